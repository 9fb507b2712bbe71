from __future__ import annotations

import pytest

from app.wire.peer import client_address, is_local, is_loopback, networks

PROXIES = networks(["10.0.0.0/8", "127.0.0.1", "2001:db8::/32"])


@pytest.mark.parametrize(
    ("remote_addr", "forwarded_for", "expected"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "127.0.0.1", "203.0.113.9"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "127.0.0.1, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.7, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "203.0.113.9:4711", "203.0.113.9"),
        ("10.0.0.1", "[2001:db9::1]:4711", "2001:db9::1"),
        ("10.0.0.1", '"[2001:db9::1]"', "2001:db9::1"),
        ("10.0.0.1", "203.0.113.9, garbage", "unknown"),
        ("10.0.0.1", "garbage, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", " , ", "10.0.0.1"),
        ("::ffff:10.0.0.1", "::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:0db8:0::1", "2001:0db9:0::1", "2001:db9::1"),
        ("", "203.0.113.9", ""),
    ],
)
def test_only_trusted_proxies_are_believed(
    remote_addr: str, forwarded_for: str, expected: str
) -> None:
    assert client_address(remote_addr, forwarded_for, PROXIES) == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("unknown", False),
        ("", False),
    ],
)
def test_loopback(address: str, expected: bool) -> None:
    assert is_loopback(address) is expected


@pytest.mark.parametrize(
    ("remote_addr", "forwarded_for", "was_forwarded", "trusted", "expected"),
    [
        ("127.0.0.1", "", False, (), True),
        ("203.0.113.9", "", False, (), False),
        ("", "", False, (), False),
        # a proxy on this machine that nobody told us of
        ("127.0.0.1", "127.0.0.1", True, (), False),
        ("127.0.0.1", "", True, (), False),
        # one that we were told of
        ("127.0.0.1", "203.0.113.9", True, PROXIES, False),
        ("127.0.0.1", "::1", True, PROXIES, True),
        ("127.0.0.1", "", True, PROXIES, False),
        ("127.0.0.1", " , ", True, PROXIES, False),
        ("127.0.0.1", "", False, PROXIES, True),
    ],
)
def test_a_proxy_on_this_machine_makes_nobody_local(
    remote_addr: str,
    forwarded_for: str,
    was_forwarded: bool,
    trusted: tuple[object, ...],
    expected: bool,
) -> None:
    proxies = PROXIES if trusted else ()
    assert is_local(remote_addr, forwarded_for, was_forwarded, proxies) is expected


def test_a_wrong_network_is_refused() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        networks(["nonsense"])
