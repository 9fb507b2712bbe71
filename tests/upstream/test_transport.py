from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import responses
from requests import exceptions

from app import clock
from app.errors import CredentialRefused, Garbled, Overloaded, TimedOut, UpstreamError
from app.upstream.transport import Call, Transport
from tests.fakes.certificates import Certificate
from tests.fakes.proxies import HttpProxy
from tests.fakes.upstream import Hang, Pause, Reply, ScriptedUpstream
from tests.upstream.calls import fetch, post

URL = "https://provider.test/v1/models"


@pytest.fixture
def scripted() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


def get_json(
    transport: Transport, url: str = URL, *, proxy_url: str = "", timeout_s: float = 5
) -> bytes:
    headers = {"authorization": "Bearer k"}
    return transport.get_json(url, headers, proxy_url=proxy_url, limit=1000, timeout_s=timeout_s)


# Replies


def test_headers_are_found_in_any_case(upstream: ScriptedUpstream, transport: Transport) -> None:
    upstream.reply("/", Reply(headers=[("X-A", "1"), ("x-a", "2")]))
    reply = post(transport, upstream)
    assert reply.get("x-A") == "1"
    assert reply.get("x-b") == ""
    assert reply.get("x-b", "none") == "none"
    assert reply.headers == [("X-A", "1"), ("x-a", "2"), ("Content-Length", "0")]
    reply.close()


def test_the_demo_answers_without_a_network(transport: Transport) -> None:
    body = b'{"model":"demo-echo","messages":[{"role":"user","content":"hello"}]}'
    url = "demo://local/openai_chat/generate?model=demo-echo&stream=0"
    for _ in range(2):
        reply = transport.send(Call("POST", url, {"content-type": "application/json"}, (body,)))
        assert reply.status == 200
        assert reply.get("content-type") == "application/json"
        assert "hello" in json.loads(reply.read_all(100_000))["choices"][0]["message"]["content"]
        reply.close()


# Proxies


def test_each_proxy_has_its_own_connections(
    upstream: ScriptedUpstream, transport: Transport
) -> None:
    upstream.reply("/", Reply(body=b"ok"))
    with HttpProxy() as one, HttpProxy() as two:
        for proxy in (one, two, one):
            assert fetch(transport, upstream, proxy_url=proxy.url) == b"ok"
        assert fetch(transport, upstream, proxy_url="direct") == b"ok"
        assert (len(one.asked), len(two.asked)) == (2, 1)


def test_the_environment_is_not_trusted_unless_asked(
    upstream: ScriptedUpstream, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.reply("/", Reply(body=b"ok"))
    trusting = Transport(trust_env=True)
    with HttpProxy() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert fetch(transport, upstream) == b"ok"
        assert get_json(transport, upstream.url + "/") == b"ok"
        assert fetch(trusting, upstream, proxy_url="direct") == b"ok"
        assert proxy.asked == []
        assert fetch(trusting, upstream) == b"ok"
        assert get_json(trusting, upstream.url + "/") == b"ok"
        assert len(proxy.asked) == 2
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert fetch(trusting, upstream) == b"ok"
        assert len(proxy.asked) == 2
    trusting.close()


def test_left_behind_proxies_are_let_go(transport: Transport) -> None:
    for number in range(300):
        transport._session(f"http://proxy{number}.test")
    assert len(transport._sessions) < 300
    assert "" in transport._sessions


# Documents fetched in the background


def test_a_document(scripted: responses.RequestsMock, transport: Transport) -> None:
    scripted.get(URL, body=b'{"data":[]}')
    assert get_json(transport) == b'{"data":[]}'
    assert scripted.calls[0].request.headers["authorization"] == "Bearer k"


@pytest.mark.parametrize(
    ("status", "error"), [(401, CredentialRefused), (503, Overloaded), (302, UpstreamError)]
)
def test_a_refusal(
    scripted: responses.RequestsMock, transport: Transport, status: int, error: type[UpstreamError]
) -> None:
    scripted.get(URL, body=b"no", status=status, headers={"Location": "https://elsewhere.test/"})
    with pytest.raises(error):
        get_json(transport)


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (exceptions.ConnectTimeout(), TimedOut),
        (exceptions.ReadTimeout(), TimedOut),
        (exceptions.ConnectionError("provider.test"), Overloaded),
        (exceptions.ProxyError("provider.test"), Overloaded),
        (exceptions.SSLError("provider.test"), Overloaded),
        (exceptions.ChunkedEncodingError(), Garbled),
        (exceptions.ContentDecodingError(), Garbled),
        (UnicodeError("label too long"), Overloaded),
    ],
)
def test_a_failure(
    scripted: responses.RequestsMock,
    transport: Transport,
    failure: Exception,
    error: type[UpstreamError],
) -> None:
    scripted.get(URL, body=failure)
    with pytest.raises(error) as caught:
        get_json(transport)
    assert "provider.test" not in caught.value.message


def test_a_document_that_is_too_long(
    scripted: responses.RequestsMock, transport: Transport
) -> None:
    scripted.get(URL, body=b"x" * 1001)
    with pytest.raises(Garbled, match="too long"):
        get_json(transport)


def test_a_document_through_a_real_connection(
    upstream: ScriptedUpstream, transport: Transport
) -> None:
    cookie = [("Set-Cookie", "a=b; Path=/"), ("Content-Type", "application/json")]
    upstream.reply("/m", Reply(body=b"{}", headers=cookie))
    upstream.reply("/hang", Reply(before_head=Hang()))
    upstream.reply("/cut", Reply(body=b"{}", claimed_length=10, keep_alive=False))
    for _ in range(2):
        assert get_json(transport, upstream.url + "/m") == b"{}"
    assert upstream.requests[1].header("cookie") is None
    with pytest.raises(TimedOut):
        get_json(transport, upstream.url + "/hang", timeout_s=0.1)
    with pytest.raises(Garbled):
        get_json(transport, upstream.url + "/cut")


def test_a_document_that_trickles(
    upstream: ScriptedUpstream, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.reply("/", Reply(body=[b"{", Pause(0.05), b"}"], framing="chunked"))
    now = iter([0.0, *[100.0] * 50])
    monkeypatch.setattr(clock, "monotonic", lambda: next(now))
    with pytest.raises(TimedOut, match="too long"):
        get_json(transport, upstream.url + "/")


def test_a_document_through_a_proxy_and_tls(
    tls_upstream: ScriptedUpstream, tls_transport: Transport, certificate: Certificate
) -> None:
    tls_upstream.reply("/", Reply(body=b"{}"))
    with HttpProxy() as proxy:
        assert get_json(tls_transport, tls_upstream.url + "/", proxy_url=proxy.url) == b"{}"
        assert len(proxy.asked) == 1


# Under gevent

_PATCHED = """
from gevent import monkey
monkey.patch_all()
import sys
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""


def run_patched(*arguments: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-c", _PATCHED, "-p", "no:cacheprovider", *arguments],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "module", ["test_answer.py", "test_adapter.py", "test_sockets.py", "test_proxies.py"]
)
def test_all_of_it_under_gevent(module: str) -> None:
    done = run_patched(str(Path(__file__).with_name(module)))
    assert done.returncode == 0, done.stdout + done.stderr


_KILLED = """
from gevent import monkey
monkey.patch_all()
import socket
import time
import gevent
from app.upstream.transport import Call, Timeouts, Transport
from tests.fakes.upstream import Hang, Reply, ScriptedUpstream
from tests.fakes.waiting import wait_until

class Gone(gevent.GreenletExit):
    pass

def ask(path):
    reply = transport.send(Call("POST", upstream.url + path, {}, (b"{}",)))
    try:
        while reply.read():
            pass
    finally:
        reply.close()

with ScriptedUpstream() as upstream:
    transport = Transport()
    upstream.reply("/ok", Reply(body=b"ok"))
    upstream.reply("/before", Reply(before_head=Hang()))
    upstream.reply("/mid", Reply(mid_head=Hang()))
    upstream.reply("/body", Reply(body=[b"x", Hang()], framing="chunked"))
    ask("/ok")
    for path in ("/before", "/mid", "/body"):
        seen = len(upstream.requests)
        asking = gevent.spawn(ask, path)
        wait_until(lambda: len(upstream.requests) > seen)
        gevent.sleep(0.05)
        killed_at = time.monotonic()
        asking.kill(Gone)
        number = upstream.requests[-1].connection
        wait_until(lambda: upstream.closed_at(number))
        assert upstream.closed_at(number) - killed_at < 0.05, path
        ask("/ok")
        assert upstream.requests[-1].connection != number
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        asking = gevent.spawn(transport.send, Call("GET", url, {}))
        far, _ = silent.accept()
        assert far.recv(1) == b"\\x16"  # the handshake has begun
        asking.kill(Gone)
        far.settimeout(5)
        while far.recv(1000):
            pass
        far.close()
    ticks = 0
    def tick():
        global ticks
        while True:
            gevent.sleep(0.01)
            ticks += 1
    gevent.spawn(tick)
    try:
        call = Call("POST", upstream.url + "/before", {}, (), "", Timeouts(first_byte_s=0.3))
        transport.send(call)
    except Exception as error:
        assert "begin" in str(error), error
    assert ticks > 10, ticks
    transport.close()
print("all closed")
"""


def test_a_killed_greenlet_closes_its_connection() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", _KILLED],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "all closed\n", done.stdout + done.stderr
