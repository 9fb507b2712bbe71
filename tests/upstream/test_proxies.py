from __future__ import annotations

import socket

import pytest

from app.errors import Overloaded, TimedOut
from app.upstream.proxies import Proxy, read_proxy
from app.upstream.transport import Timeouts, Transport
from tests.fakes.certificates import Certificate
from tests.fakes.proxies import HttpProxy, Socks5Proxy
from tests.fakes.upstream import Hang, Reply, ScriptedUpstream
from tests.upstream.calls import fetch, post


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://h:3128", Proxy("http", "h", 3128, None, None)),
        ("http://h", Proxy("http", "h", 80, None, None)),
        ("https://h", Proxy("https", "h", 443, None, None)),
        ("h:3128", Proxy("http", "h", 3128, None, None)),
        ("socks5://u:p%40@h", Proxy("socks5", "h", 1080, "u", "p@")),
        ("socks5h://[::1]:9", Proxy("socks5h", "::1", 9, None, None)),
    ],
)
def test_read_proxy(url: str, proxy: Proxy) -> None:
    assert read_proxy(url) == proxy


@pytest.mark.parametrize("url", ["ftp://h", "http://", "http://h:port", "http://[", "quic://h:1"])
def test_a_proxy_that_is_none(transport: Transport, upstream: ScriptedUpstream, url: str) -> None:
    with pytest.raises(Overloaded, match="proxy's address"):
        post(transport, upstream, proxy_url=url)


@pytest.mark.parametrize("user", ["", "me"])
def test_plain_http_is_forwarded(
    upstream: ScriptedUpstream, transport: Transport, user: str
) -> None:
    upstream.reply("/x?q=1", Reply(body=b"ok"))
    with HttpProxy(user=user, password="secret") as proxy:
        for _ in range(2):
            assert fetch(transport, upstream, "/x?q=1", proxy_url=proxy.url) == b"ok"
        assert proxy.asked == [f"POST {upstream.url}/x?q=1 HTTP/1.1"] * len(proxy.asked)
    assert upstream.requests[0].header("proxy-authorization") is None


@pytest.mark.parametrize("user", ["", "me"])
def test_https_goes_through_a_tunnel(
    tls_upstream: ScriptedUpstream, tls_transport: Transport, user: str
) -> None:
    tls_upstream.reply("/", Reply(body=b"ok"))
    with HttpProxy(user=user, password="s:e@c") as proxy:
        url = proxy.url.replace("s:e@c", "s%3Ae%40c")
        assert [fetch(tls_transport, tls_upstream, "/", proxy_url=url) for _ in range(2)] == [
            b"ok"
        ] * 2
        assert proxy.asked == [f"CONNECT 127.0.0.1:{tls_upstream.port} HTTP/1.1"]
    assert tls_upstream.connections == 1


def test_an_https_proxy(
    upstream: ScriptedUpstream,
    tls_upstream: ScriptedUpstream,
    tls_transport: Transport,
    certificate: Certificate,
) -> None:
    upstream.reply("/", Reply(body=b"plain"))
    tls_upstream.reply("/", Reply(body=[b"a", Hang(), b"b"], framing="chunked"))
    with HttpProxy(tls=certificate.server) as proxy:
        assert fetch(tls_transport, upstream, "/", proxy_url=proxy.url) == b"plain"
        reply = post(tls_transport, tls_upstream, "/", bytes(1_000_000), proxy_url=proxy.url)
        assert reply.read() == b"a"
        assert reply.read(0.02) is None
        tls_upstream.release()
        assert reply.read_all(9) == b"b"
        reply.close()
    assert tls_upstream.requests[0].body == bytes(1_000_000)


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
@pytest.mark.parametrize("user", ["", "me"])
def test_socks(upstream: ScriptedUpstream, transport: Transport, scheme: str, user: str) -> None:
    upstream.reply("/", Reply(body=[b"a", Hang(), b"b"], framing="close"))
    upstream.url = upstream.url.replace("127.0.0.1", "localhost")
    with Socks5Proxy(user=user, password="secret") as proxy:
        url = proxy.url.replace("socks5h", scheme)
        reply = post(transport, upstream, proxy_url=url)
        assert reply.read() == b"a"
        assert reply.read(0.02) is None
        upstream.release()
        assert reply.read_all(9) == b"b"
        named = proxy.asked[0].startswith("localhost:")
        assert named == (scheme == "socks5h")


def test_https_through_socks(tls_upstream: ScriptedUpstream, tls_transport: Transport) -> None:
    tls_upstream.reply("/", Reply(body=b"ok"))
    with Socks5Proxy() as proxy:
        assert [fetch(tls_transport, tls_upstream, "/", proxy_url=proxy.url) for _ in range(2)] == [
            b"ok"
        ] * 2
        assert len(proxy.asked) == 1


def test_a_proxy_that_wants_a_password(
    tls_upstream: ScriptedUpstream, tls_transport: Transport
) -> None:
    for fake in (HttpProxy, Socks5Proxy):
        with fake(user="me", password="secret") as proxy:
            wrong = proxy.url.replace("secret", "guess")
            with pytest.raises(Overloaded, match="proxy refused the credentials") as caught:
                fetch(tls_transport, tls_upstream, "/", proxy_url=wrong)
            assert "guess" not in caught.value.message
    with HttpProxy(user="me", password="secret") as proxy:
        reply = post(tls_transport, _plain(tls_upstream), proxy_url=proxy.bare_url)
        assert reply.status == 407
        reply.close()


def _plain(upstream: ScriptedUpstream) -> ScriptedUpstream:
    upstream.url = upstream.url.replace("https:", "http:")
    return upstream


def test_a_proxy_that_does_not_connect(
    tls_upstream: ScriptedUpstream, tls_transport: Transport, transport: Transport
) -> None:
    with HttpProxy(refuses=True) as proxy, pytest.raises(Overloaded, match="proxy did not"):
        fetch(tls_transport, tls_upstream, "/", proxy_url=proxy.url)
    with socket.create_server(("127.0.0.1", 0)) as gone:
        dead = gone.getsockname()[1]
    nowhere = ScriptedUpstream()
    nowhere.close()
    with Socks5Proxy() as proxy, pytest.raises(Overloaded, match="proxy did not"):
        fetch(transport, nowhere, "/", proxy_url=proxy.url)
    for scheme in ("http", "https", "socks5"):
        with pytest.raises(Overloaded):
            fetch(tls_transport, tls_upstream, "/", proxy_url=f"{scheme}://127.0.0.1:{dead}")


def test_a_proxy_that_is_no_proxy(
    upstream: ScriptedUpstream, tls_upstream: ScriptedUpstream, tls_transport: Transport
) -> None:
    upstream.reply("*", Reply(raw=[b"SSH-2.0\r\n"]), Reply(raw=[b"HTTP/1.1 200"]))
    for _ in range(2):
        with pytest.raises(Overloaded, match="proxy did not"):
            fetch(tls_transport, tls_upstream, "/", proxy_url=upstream.url)


@pytest.mark.parametrize("scheme", ["http", "https", "socks5h"])
def test_a_proxy_that_hangs(
    tls_upstream: ScriptedUpstream, tls_transport: Transport, scheme: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(TimedOut, match="in time"):
            post(tls_transport, tls_upstream, proxy_url=url, timeouts=Timeouts(connect_s=0.2))
