from __future__ import annotations

import socket
import threading

import pytest
import requests

from app.errors import CredentialRefused, Garbled, Overloaded, TimedOut
from app.upstream.adapter import CallRequest, PooledAdapter
from app.upstream.sockets import Dialer
from app.upstream.transport import Call, Timeouts, Transport
from tests.fakes import answers
from tests.fakes.script import Step
from tests.fakes.upstream import Close, Hang, Reply, Reset, ScriptedUpstream, WaitFor
from tests.fakes.waiting import wait_until
from tests.upstream.calls import fetch, post

# What goes out


def test_the_request_goes_out_as_it_was_given(
    upstream: ScriptedUpstream, transport: Transport
) -> None:
    upstream.reply("/v1/x", Reply(body=b"{}"))
    headers = {
        "x-b": "2",
        "X-A": "ü",
        "accept-encoding": "br",
        "Content-Length": "999",
        "host": "h",
    }
    fetch(transport, upstream, "/v1/x?beta=true&q=%20", b'{"a"', b":1}", headers=headers)
    request = upstream.requests[0]
    assert (request.method, request.target) == ("POST", "/v1/x?beta=true&q=%20")
    assert request.body == b'{"a":1}'
    assert request.headers == [
        ("Host", f"127.0.0.1:{upstream.port}"),
        ("x-b", "2"),
        ("X-A", "ü"),
        ("accept-encoding", "br"),
        ("Content-Length", "7"),
    ]


def test_identity_is_asked_for_and_nothing_is_added(
    upstream: ScriptedUpstream, transport: Transport
) -> None:
    fetch(transport, upstream, method="GET")
    assert [name for name, _ in upstream.requests[0].headers] == ["Host", "Accept-Encoding"]
    assert upstream.requests[0].header("accept-encoding") == "identity"


def test_a_post_without_a_body_says_so(upstream: ScriptedUpstream, transport: Transport) -> None:
    fetch(transport, upstream)
    assert upstream.requests[0].header("content-length") == "0"


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b"])
def test_a_header_that_would_split_the_head_is_not_sent(
    upstream: ScriptedUpstream, transport: Transport, value: str
) -> None:
    with pytest.raises(CredentialRefused):
        fetch(transport, upstream, headers={"x-key": value})
    with pytest.raises(CredentialRefused):
        fetch(transport, upstream, headers={f"x{value}": "1"})
    assert upstream.connections == 0


def test_a_header_beyond_latin_1_is_sent_as_utf_8(
    upstream: ScriptedUpstream, transport: Transport
) -> None:
    fetch(transport, upstream, headers={"x-name": "名"})
    assert (upstream.requests[0].header("x-name") or "").encode("latin-1").decode() == "名"


def test_a_path_that_needs_quoting(upstream: ScriptedUpstream, transport: Transport) -> None:
    fetch(transport, upstream, "/v1beta/models/a b\u00fc:gen?x=1")
    assert upstream.requests[0].target == "/v1beta/models/a%20b%C3%BC:gen?x=1"


def test_a_large_body_in_pieces(upstream: ScriptedUpstream, transport: Transport) -> None:
    big = bytes(range(256)) * 12_000
    upstream.reply("/", Reply(body=b"ok"))
    pieces = (big, memoryview(big)[5:], bytearray(b"end"))
    assert fetch(transport, upstream, "/", *pieces) == b"ok"
    assert upstream.requests[0].body == big + big[5:] + b"end"


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "http:///x", "http://127.0.0.1:port/", "x"])
def test_an_address_that_is_none(transport: Transport, url: str) -> None:
    with pytest.raises((Overloaded, requests.exceptions.InvalidSchema)):
        transport.send(Call("GET", url, {}))


def test_many_urls_do_not_pile_up(upstream: ScriptedUpstream) -> None:
    adapter = PooledAdapter(Dialer(), 10)
    for number in range(5000):
        adapter._read_url(f"{upstream.url}/{number}")
    assert len(adapter._targets) <= 4096


# Connections


def test_a_connection_is_used_again(upstream: ScriptedUpstream, transport: Transport) -> None:
    upstream.reply("/length", answers.whole(answers.chat_answer()))
    upstream.reply("/chunked", answers.streamed(answers.chat_stream()))
    for path in ("/length", "/chunked", "/length", "/none"):
        fetch(transport, upstream, path)
    assert upstream.connections == 1


def test_two_calls_at_once_have_two_connections(
    upstream: ScriptedUpstream, transport: Transport
) -> None:
    go = threading.Event()
    upstream.reply("/", Reply(body=[b"a", WaitFor(go), b"b"]))
    replies = [post(transport, upstream) for _ in range(3)]
    go.set()
    assert [reply.read_all(10) for reply in replies] == [b"ab"] * 3
    assert upstream.connections == 3
    assert fetch(transport, upstream) == b"ab"
    assert upstream.connections == 3


def test_a_connection_the_provider_closed_while_idle_is_not_used(
    upstream: ScriptedUpstream, transport: Transport
) -> None:
    upstream.reply("/", Reply(body=b"ok"))
    assert fetch(transport, upstream) == b"ok"
    upstream.drop_idle()
    wait_until(lambda: upstream.closed_at(0))
    assert fetch(transport, upstream) == b"ok"
    assert [request.connection for request in upstream.requests] == [0, 1]


@pytest.mark.parametrize("ends", [Close(), Reset()])
def test_one_free_try_when_a_reused_connection_ends_without_a_byte(
    upstream: ScriptedUpstream, transport: Transport, ends: Step
) -> None:
    upstream.reply("/", Reply(body=b"1"), Reply(before_head=ends), Reply(body=b"2"))
    assert fetch(transport, upstream) == b"1"
    assert fetch(transport, upstream) == b"2"
    assert [request.connection for request in upstream.requests] == [0, 0, 1]


@pytest.mark.parametrize("ends", [Close(), Reset()])
def test_no_second_try_on_a_fresh_connection(
    upstream: ScriptedUpstream, transport: Transport, ends: Step
) -> None:
    upstream.reply("/", Reply(body=b"1"), Reply(before_head=ends))
    assert fetch(transport, upstream) == b"1"
    with pytest.raises(Overloaded):
        fetch(transport, upstream)
    assert len(upstream.requests) == 3


@pytest.mark.parametrize("ends", [Close(), Reset()])
def test_no_second_try_after_a_byte_of_the_answer(
    upstream: ScriptedUpstream, transport: Transport, ends: Step
) -> None:
    go = threading.Event()
    mid: list[Step] = [b"HTTP/1.1 2", WaitFor(go), ends]
    upstream.reply("/", Reply(body=b"1"), Reply(raw=mid))
    assert fetch(transport, upstream) == b"1"
    threading.Timer(0.05, go.set).start()
    with pytest.raises(Garbled):
        fetch(transport, upstream)
    assert len(upstream.requests) == 2


def test_an_answer_that_ends_with_its_connection(
    upstream: ScriptedUpstream, transport: Transport
) -> None:
    upstream.reply("/", Reply(body=b"x", framing="close"))
    assert [fetch(transport, upstream) for _ in range(2)] == [b"x", b"x"]
    upstream.reply("/", Reply(body=b"x", keep_alive=False))
    assert [fetch(transport, upstream) for _ in range(2)] == [b"x", b"x"]
    assert upstream.connections == 4


# Failures before the answer


def test_nobody_listens(transport: Transport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(Overloaded) as caught:
        transport.send(Call("GET", f"http://127.0.0.1:{port}/", {}))
    assert "127.0.0.1" not in caught.value.message


def test_a_name_that_does_not_exist(transport: Transport) -> None:
    for host in ("does-not-exist.invalid", "x" * 70 + ".invalid", "a..b"):
        with pytest.raises(Overloaded) as caught:
            transport.send(Call("GET", f"http://{host}/", {}, timeouts=Timeouts(connect_s=5)))
        assert "invalid" not in caught.value.message


def test_a_connection_that_hangs(transport: Transport) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = []
        for _ in range(8):  # until the queue is full and the kernel stops answering
            sock = socket.socket()
            sock.settimeout(0)
            sock.connect_ex(full.getsockname())
            waiting.append(sock)
        url = f"http://127.0.0.1:{full.getsockname()[1]}/"
        try:
            with pytest.raises(TimedOut, match="connection in time"):
                transport.send(Call("GET", url, {}, timeouts=Timeouts(connect_s=0.2)))
        finally:
            for sock in waiting:
                sock.close()


@pytest.mark.parametrize("ends", [Close(), Reset()])
def test_closed_before_the_head(
    upstream: ScriptedUpstream, transport: Transport, ends: Step
) -> None:
    upstream.reply("/", Reply(before_head=ends))
    with pytest.raises(Overloaded) as caught:
        post(transport, upstream)
    assert "127.0.0.1" not in caught.value.message


@pytest.mark.parametrize("reply", [Reply(before_head=Hang()), Reply(mid_head=Hang())])
def test_a_head_that_does_not_come(
    upstream: ScriptedUpstream, transport: Transport, reply: Reply
) -> None:
    upstream.reply("/", reply)
    with pytest.raises(TimedOut, match="did not begin"):
        post(transport, upstream, timeouts=Timeouts(first_byte_s=0.1))
    wait_until(lambda: upstream.closed_at(0))


def test_the_total_limit_counts_before_the_head(
    upstream: ScriptedUpstream, transport: Transport
) -> None:
    upstream.reply("/", Reply(before_head=Hang()))
    with pytest.raises(TimedOut, match="too long"):
        post(transport, upstream, timeouts=Timeouts(total_s=0.1))


@pytest.mark.parametrize("timeouts", [Timeouts(idle_s=0.2), Timeouts(total_s=0.2)])
def test_a_provider_that_stops_reading(
    upstream: ScriptedUpstream, transport: Transport, timeouts: Timeouts
) -> None:
    upstream.stop_reading("/")
    with pytest.raises(TimedOut, match=r"stopped reading|too long"):
        post(transport, upstream, "/", bytes(50_000_000), timeouts=timeouts)


@pytest.mark.parametrize(
    "garbage",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 201 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 40,
    ],
)
def test_what_is_no_answer_is_refused_at_once(
    upstream: ScriptedUpstream, transport: Transport, garbage: bytes
) -> None:
    upstream.reply("/", Reply(raw=[garbage, Hang()]))
    with pytest.raises(Garbled):
        post(transport, upstream)
    wait_until(lambda: upstream.closed_at(0))


# Odd, but answers


@pytest.mark.parametrize("interim", [1, 3])
def test_interim_answers_are_skipped(
    upstream: ScriptedUpstream, transport: Transport, interim: int
) -> None:
    upstream.reply("/", Reply(body=b"ok", interim=interim))
    assert [fetch(transport, upstream) for _ in range(2)] == [b"ok", b"ok"]
    assert upstream.connections == 1


def test_a_head_in_single_bytes(upstream: ScriptedUpstream, transport: Transport) -> None:
    upstream.reply("/", Reply(418, b"x", reason="I am", headers=[("X-A", "1")], write_size=1))
    reply = post(transport, upstream)
    assert (reply.status, reply.reason, reply.get("x-a"), reply.read_all(9)) == (
        418,
        "I am",
        "1",
        b"x",
    )


def test_both_length_and_chunks(upstream: ScriptedUpstream, transport: Transport) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n"
    upstream.reply("/", Reply(raw=[head + b"2\r\nab\r\n0\r\n\r\n"]))
    assert [fetch(transport, upstream) for _ in range(2)] == [b"ab", b"ab"]
    assert upstream.connections == 2


def test_an_answer_before_the_request_was_read(transport: Transport) -> None:
    """A provider that says "too large" and closes while the body is still being sent."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            for _ in range(2):
                sock, _ = server.accept()
                sock.recv(1000)
                sock.sendall(b"HTTP/1.1 413 No\r\nContent-Length: 3\r\n\r\nbig")
                sock.close()  # unread bytes make it a reset

        thread = threading.Thread(target=refuse)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        for _ in range(2):
            reply = transport.send(Call("POST", url, {}, (bytes(50_000_000),)))
            assert (reply.status, reply.read_all(10)) == (413, b"big")
        thread.join()


def test_a_reset_while_the_request_is_sent(
    upstream: ScriptedUpstream, transport: Transport
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def cut() -> None:
            sock, _ = server.accept()
            sock.recv(10)
            sock.close()  # unread bytes make it a reset

        thread = threading.Thread(target=cut)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        with pytest.raises(Overloaded):
            transport.send(Call("POST", url, {}, (bytes(50_000_000),)))
        thread.join()


# What requests sees


def test_a_response_shows_its_headers(upstream: ScriptedUpstream) -> None:
    upstream.reply("/", Reply(body=b"x", headers=[("X-A", "1")]))
    adapter = PooledAdapter(Dialer(), 10)
    response = adapter.send(CallRequest(Call("GET", upstream.url + "/", {})))
    assert response.headers["x-a"] == "1"
    assert response.headers is response.headers
    with pytest.raises(AttributeError):
        _ = response.nothing_of_the_kind
    response.raw.close()
    adapter.close()


def test_redirects_are_shown_and_not_followed(
    upstream: ScriptedUpstream, transport: Transport
) -> None:
    elsewhere = [("Location", "http://[bad"), ("Set-Cookie", "a=b")]
    upstream.reply("/", Reply(307, b"there", headers=elsewhere))
    reply = post(transport, upstream)
    assert (reply.status, reply.get("location")) == (307, "http://[bad")
    assert reply.read_all(9) == b"there"
    fetch(transport, upstream)
    assert upstream.requests[1].header("cookie") is None
    assert len(upstream.requests) == 2
