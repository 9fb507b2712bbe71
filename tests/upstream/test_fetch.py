from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import gevent
import pytest

from app import clock
from app.errors import BadRequest
from app.upstream.fetch import MediaFetcher, is_public
from tests.fakes.certificates import Certificate
from tests.fakes.upstream import Hang, Reply, ScriptedUpstream

PNG = b"\x89PNG\r\n\x1a\n rest"


def typed(mime: str) -> tuple[tuple[str, str], ...]:
    return (("Content-Type", mime),) if mime else ()


def image(body: bytes = PNG, mime: str = "image/png") -> Reply:
    return Reply(body=body, headers=typed(mime))


def to(location: str, status: int = 302) -> Reply:
    return Reply(status=status, headers=(("Location", location),) if location else ())


@pytest.fixture
def fetcher() -> MediaFetcher:
    return MediaFetcher(allow_private=True, max_bytes=10_000)


def refusal(fetcher: MediaFetcher, url: str) -> str:
    with pytest.raises(BadRequest) as caught:
        fetcher.fetch(url)
    message = caught.value.message
    assert message.startswith("a medium given by URL ")
    assert "127.0.0.1" not in message
    assert "http:" not in message
    return message.removeprefix("a medium given by URL ")


def test_what_is_public() -> None:
    for address in ("1.1.1.1", "93.184.216.34", "2606:4700::1111", "64:ff9b::101:101"):
        assert is_public(address), address


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1",
        "169.254.169.254", "100.64.0.1", "100.127.255.254", "192.0.0.1", "198.18.0.1",
        "192.0.2.1", "224.0.0.1", "239.1.2.3", "240.0.0.1", "255.255.255.255",
        "::", "::1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd12::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1",
        "64:ff9b:1::101:101", "2002:7f00:1::", "2002:101:101::1", "2001:0:1::1", "2001:db8::1",
        "not an address", "",
    ],
)  # fmt: skip
def test_what_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/x.png",
        "http://127.1/x.png",
        "http://2130706433/x.png",
        "http://0x7f.0.0.1/x.png",
        "http://[::1]/x.png",
        "http://[::ffff:127.0.0.1]/x.png",
        "http://localhost/x.png",
        "https://169.254.169.254/latest",
    ],
)
def test_nothing_inside_is_reached(url: str) -> None:
    assert refusal(MediaFetcher(), url) == "is not on the public internet"


def answering(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[tuple[Any, ...]]:
    """Make names resolve to these addresses, one list for each time; numbers stay themselves."""
    asked: list[tuple[Any, ...]] = []
    real: Callable[..., Any] = socket.getaddrinfo
    left = iter(answers)

    def resolve(host: str, port: int, **options: Any) -> Any:
        if host.replace(".", "").isdigit():
            return real(host, port, **options)
        asked.append((host, port))
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in next(left)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return asked


def test_a_name_with_one_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, ["1.1.1.1", "10.0.0.1"])
    assert refusal(MediaFetcher(), "http://both.test/x") == "is not on the public internet"


def test_the_checked_address_is_the_one_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answering(monkeypatch, ["1.1.1.1"], ["127.0.0.1"])
    reached: list[object] = []

    def connect(self: socket.socket, address: object) -> None:
        reached.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", connect)
    message = refusal(MediaFetcher(), "http://moving.test:81/x")
    assert message == "is on a server that could not be reached"
    assert asked == [("moving.test", 81)]
    assert reached == [("1.1.1.1", 81)]


def test_each_address_of_a_name_is_tried(
    fetcher: MediaFetcher, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.reply("/x", image())
    answering(monkeypatch, ["127.0.0.9", "127.0.0.1"])
    assert fetcher.fetch(f"http://two.test:{upstream.port}/x").data == PNG
    assert upstream.requests[0].header("host") == f"two.test:{upstream.port}"


def test_a_name_nobody_knows(monkeypatch: pytest.MonkeyPatch, fetcher: MediaFetcher) -> None:
    def resolve(*_: object, **__: object) -> None:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert "could not be resolved" in refusal(fetcher, "http://nowhere.test/x")


def test_bytes_and_type_come_back(fetcher: MediaFetcher, upstream: ScriptedUpstream) -> None:
    upstream.reply("/x", image(mime="Image/JPG; q=1"))
    assert fetcher.fetch(f" {upstream.url}/x?size=1#part ") == ("image/jpeg", PNG)
    request = upstream.requests[0]
    assert request.query == "size=1"
    assert request.header("accept-encoding") == "identity"
    assert request.header("authorization") is None


@pytest.mark.parametrize(
    ("body", "mime"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"%PDF-1.7", "application/pdf"),
        (b"RIFF....WEBPVP8 ", "image/webp"),
    ],
)
@pytest.mark.parametrize("told", ["", "application/octet-stream"])
def test_bytes_that_nobody_named_are_looked_at(
    fetcher: MediaFetcher, upstream: ScriptedUpstream, body: bytes, mime: str, told: str
) -> None:
    upstream.reply("/x", image(body, told))
    assert fetcher.fetch(f"{upstream.url}/x") == (mime, body)


def test_unknown_bytes_are_refused(fetcher: MediaFetcher, upstream: ScriptedUpstream) -> None:
    upstream.reply("/x", image(b"MZ", ""))
    assert refusal(fetcher, f"{upstream.url}/x") == "is of an unknown type"


@pytest.mark.parametrize("mime", ["application/json", "application/zip", "text/event-stream", "x"])
def test_what_is_no_medium_is_refused(
    fetcher: MediaFetcher, upstream: ScriptedUpstream, mime: str
) -> None:
    upstream.reply("/x", image(mime=mime))
    assert refusal(fetcher, f"{upstream.url}/x") == "is no image, document, audio or video"


def test_text_comes_as_utf8(fetcher: MediaFetcher, upstream: ScriptedUpstream) -> None:
    upstream.reply("/old", image("für".encode("latin-1"), 'text/plain; charset="ISO-8859-1"'))
    upstream.reply("/new", image("für".encode(), "text/markdown"))
    upstream.reply("/bad", image(b"x", "text/plain; charset=klingon"))
    assert fetcher.fetch(f"{upstream.url}/old") == ("text/plain", "für".encode())
    assert fetcher.fetch(f"{upstream.url}/new") == ("text/markdown", "für".encode())
    assert "character set" in refusal(fetcher, f"{upstream.url}/bad")


@pytest.mark.parametrize("status", [204, 206, 304, 401, 404, 500])
def test_another_status_is_refused(
    fetcher: MediaFetcher, upstream: ScriptedUpstream, status: int
) -> None:
    upstream.reply("/x", Reply(status=status, headers=typed("image/png")))
    expected = f"could not be fetched: the answer has status {status}"
    assert refusal(fetcher, f"{upstream.url}/x") == expected


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_size_is_limited(upstream: ScriptedUpstream, framing: Any) -> None:
    fetcher = MediaFetcher(allow_private=True, max_bytes=4096)
    upstream.reply("/fits", Reply(body=b"x" * 4096, headers=typed("image/png"), framing=framing))
    upstream.reply("/more", Reply(body=b"x" * 4097, headers=typed("image/png"), framing=framing))
    assert len(fetcher.fetch(f"{upstream.url}/fits").data) == 4096
    assert refusal(fetcher, f"{upstream.url}/more") == "is larger than 4 KiB"


def test_a_medium_that_says_it_is_too_large_is_not_read(
    fetcher: MediaFetcher, upstream: ScriptedUpstream
) -> None:
    vast = Reply(body=[b"x", Hang()], headers=typed("image/png"), claimed_length=1 << 40)
    upstream.reply("/x", vast)
    assert refusal(fetcher, f"{upstream.url}/x") == "is larger than 9 KiB"


def test_time_is_limited(upstream: ScriptedUpstream) -> None:
    fetcher = MediaFetcher(allow_private=True, total_s=0.2)
    upstream.reply("/head", Reply(before_head=Hang()))
    stalled = Reply(body=[b"x", Hang()], headers=typed("image/png"), claimed_length=9)
    upstream.reply("/body", stalled)
    assert refusal(fetcher, f"{upstream.url}/head") == "did not come in time"
    assert refusal(fetcher, f"{upstream.url}/body") == "did not come in time"


def test_a_silent_name_server_does_not_hold_it_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: gevent.sleep(50))
    assert refusal(MediaFetcher(total_s=0.01), "http://slow.test/x") == "did not come in time"


def test_somebody_elses_time_limit_stays_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: gevent.sleep(50))
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.01):
        MediaFetcher().fetch("http://slow.test/x")


def test_redirects_share_the_time(
    fetcher: MediaFetcher, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = clock.monotonic

    def late() -> float:  # once the first answer has come, the time is over
        return real() + (60 if upstream.requests else 0)

    upstream.reply("*", to("/on"))
    monkeypatch.setattr(clock, "monotonic", late)
    assert refusal(fetcher, f"{upstream.url}/x") == "did not come in time"


def test_an_answer_that_breaks_off(fetcher: MediaFetcher, upstream: ScriptedUpstream) -> None:
    upstream.reply(
        "/x",
        Reply(
            body=b"x",
            headers=typed("image/png"),
            claimed_length=9,
            framing="length",
            keep_alive=False,
        ),
    )
    assert refusal(fetcher, f"{upstream.url}/x") == "did not come whole"
    upstream.reply("/y", Reply(raw=[b"SSH-2.0\r\n"]))
    assert refusal(fetcher, f"{upstream.url}/y") == "could not be fetched"


def test_compressed_answers_are_refused(fetcher: MediaFetcher, upstream: ScriptedUpstream) -> None:
    upstream.reply("/x", Reply(body=PNG, headers=typed("image/png"), encoded="gzip"))
    assert refusal(fetcher, f"{upstream.url}/x") == "came compressed"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(
    fetcher: MediaFetcher, upstream: ScriptedUpstream, status: int
) -> None:
    upstream.reply("/a/1", to("2", status))
    upstream.reply("/a/2", to(f"{upstream.url}/3", status))
    upstream.reply("/3", to("?4", status))
    upstream.reply("/3?4", image())
    assert fetcher.fetch(f"{upstream.url}/a/1").data == PNG


def test_not_for_ever(fetcher: MediaFetcher, upstream: ScriptedUpstream) -> None:
    upstream.reply("*", to("/again"))
    assert refusal(fetcher, f"{upstream.url}/x") == "redirects too often"
    assert len(upstream.requests) == 4


def test_a_redirect_is_checked_like_the_first(
    upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The scripted server stands for a public one: its name and its address alone are let through.
    monkeypatch.setattr("app.upstream.fetch.is_public", lambda address: address == "127.0.0.1")
    upstream.reply("/x", to("http://127.0.0.2/inside"))
    assert refusal(MediaFetcher(), f"{upstream.url}/x") == "is not on the public internet"


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("", "redirects to nowhere"),
        ("file:///etc/passwd", "has a URL that is neither http nor https"),
        ("http://[", "redirects to a URL that cannot be read"),
    ],
)
def test_redirects_that_lead_nowhere(
    fetcher: MediaFetcher, upstream: ScriptedUpstream, location: str, why: str
) -> None:
    upstream.reply("/x", to(location))
    assert refusal(fetcher, f"{upstream.url}/x") == why


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "neither http"),
        ("ftp://host.test/x", "neither http"),
        ("file:///etc/passwd", "neither http"),
        ("demo://x", "neither http"),
        ("http://", "cannot be read"),
        ("http://[", "cannot be read"),
        ("http://host.test:99999/", "cannot be read"),
        ("http://host.test:0/", "cannot be read"),
        ("http://ho st.test/", "cannot be read"),
        ("http://host.test\\@127.0.0.1/", "with a password"),
        ("http://[fe80::1%25eth0]/", "cannot be read"),
        ("http://me:secret@host.test/", "with a password"),
        ("http://\udc80.test/", "cannot be read"),
        ("http://host.test/" + "x" * 9000, "too long"),
    ],
)
def test_urls_that_are_not_fetched(fetcher: MediaFetcher, url: str, why: str) -> None:
    assert why in refusal(fetcher, url)


def test_a_name_in_another_script(
    fetcher: MediaFetcher, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.reply("*", image())
    asked = answering(monkeypatch, ["127.0.0.1"])
    assert fetcher.fetch(f"http://bücher.test:{upstream.port}/ü x").data == PNG
    assert asked == [("xn--bcher-kva.test", upstream.port)]
    assert upstream.requests[0].path == "/%C3%BC%20x"


def test_certificates_are_checked_for_the_name(
    tls_upstream: ScriptedUpstream, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls_upstream.reply("/x", image())
    trusting = MediaFetcher(allow_private=True, ca_file=certificate.ca_file)
    assert trusting.fetch(f"{tls_upstream.url}/x").data == PNG
    assert refusal(MediaFetcher(allow_private=True), f"{tls_upstream.url}/x") == (
        "could not be fetched"
    )
    answering(monkeypatch, ["127.0.0.1"])
    assert refusal(trusting, f"https://other.test:{tls_upstream.port}/x") == "could not be fetched"
