from __future__ import annotations

import threading

import pytest

from app.errors import Garbled, TimedOut
from app.upstream.transport import Timeouts, Transport
from tests.fakes import answers
from tests.fakes.script import Framing, Step, compressed
from tests.fakes.upstream import (
    EVENT_STREAM,
    Close,
    Hang,
    Pause,
    Reply,
    Reset,
    ScriptedUpstream,
    WaitFor,
)
from tests.fakes.waiting import wait_until
from tests.upstream.calls import fetch, post

each_framing = pytest.mark.parametrize("framing", ["length", "chunked", "close"])
FRAMES = answers.chat_stream("Some words that come one by one")


@each_framing
@pytest.mark.parametrize("write_size", [0, 1, 7])
def test_a_body_comes_whole(
    upstream: ScriptedUpstream, transport: Transport, framing: Framing, write_size: int
) -> None:
    upstream.reply("/", Reply(body=list(FRAMES), framing=framing, write_size=write_size))
    assert fetch(transport, upstream) == b"".join(FRAMES)


@each_framing
def test_a_piece_is_given_the_moment_it_comes(
    upstream: ScriptedUpstream, transport: Transport, framing: Framing
) -> None:
    go = threading.Event()
    upstream.reply("/", Reply(body=[b"first", WaitFor(go), b"second"], framing=framing))
    reply = post(transport, upstream)
    assert reply.read() == b"first"
    assert reply.read(0.02) is None
    assert reply.read(0) is None
    go.set()
    assert reply.read() == b"second"
    assert [reply.read(), reply.read()] == [b"", b""]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
@each_framing
def test_compression_is_taken_off_by_arrival(
    upstream: ScriptedUpstream, transport: Transport, framing: Framing, encoding: str
) -> None:
    go = threading.Event()
    body: list[Step] = [b"first", WaitFor(go), b"second"]
    upstream.reply("/", Reply(body=body, framing=framing, encoded=encoding))
    reply = post(transport, upstream)
    assert reply.read() == b"first"
    assert reply.read(0.02) is None
    go.set()
    assert reply.read_all(100) == b"second"
    assert reply.get("content-encoding") == encoding


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_compression_that_is_not_declared(
    upstream: ScriptedUpstream, transport: Transport, encoding: str
) -> None:
    packed = list(compressed([b'{"a":1}'], encoding))
    upstream.reply("/", Reply(body=packed))
    assert fetch(transport, upstream) == b'{"a":1}'
    binary = [("Content-Type", "application/octet-stream")]
    upstream.reply("/", Reply(body=packed, headers=binary))
    assert fetch(transport, upstream) != b'{"a":1}'


def test_compression_that_is_cut_or_unknown(
    upstream: ScriptedUpstream, transport: Transport
) -> None:
    cut = [("Content-Encoding", "gzip")]
    upstream.reply("/", Reply(body=b"\x1f\x8b\x08\x00\x00", headers=cut))
    with pytest.raises(Garbled):
        fetch(transport, upstream)
    upstream.reply("/", Reply(body=b"x", headers=[("Content-Encoding", "rot13")]))
    with pytest.raises(Garbled):
        fetch(transport, upstream)
    wait_until(lambda: upstream.open_connections == 0)


@pytest.mark.parametrize("ends", [Reset(), Close()])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_that_is_cut(
    upstream: ScriptedUpstream, transport: Transport, framing: Framing, ends: Reset | Close
) -> None:
    go = threading.Event()
    body: list[Step] = [b"some", WaitFor(go), ends, b"more"]
    upstream.reply("/", Reply(body=body, framing=framing))
    reply = post(transport, upstream)
    assert reply.read() == b"some"
    go.set()
    with pytest.raises(Garbled) as caught:
        reply.read()
    assert "127.0.0.1" not in caught.value.message
    with pytest.raises(Garbled):
        reply.read()


def test_a_body_shorter_than_it_claims(upstream: ScriptedUpstream, transport: Transport) -> None:
    upstream.reply("/", Reply(body=b"short", claimed_length=10, keep_alive=False))
    with pytest.raises(Garbled):
        fetch(transport, upstream)


def test_a_body_longer_than_it_claims(upstream: ScriptedUpstream, transport: Transport) -> None:
    upstream.reply("/", Reply(body=b"too long", claimed_length=3))
    assert fetch(transport, upstream) == b"too"
    assert fetch(transport, upstream) == b"too"
    assert upstream.connections == 2  # the surplus must not become the next answer


def test_bytes_after_the_last_chunk(upstream: ScriptedUpstream, transport: Transport) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    upstream.reply("/", Reply(raw=[head + b"2\r\nab\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"]))
    assert fetch(transport, upstream) == b"ab"
    assert fetch(transport, upstream) == b"ab"
    assert upstream.connections == 2


def test_chunk_extensions_and_trailers(upstream: ScriptedUpstream, transport: Transport) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    upstream.reply(
        "/", Reply(raw=[head, b"2;x=y\r\nab\r\n0;z\r\nDigest: 1\r\nB: 2\r\n\r\n", Hang()])
    )
    reply = post(transport, upstream)
    assert reply.read_all(10) == b"ab"


def test_a_broken_chunk(upstream: ScriptedUpstream, transport: Transport) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    upstream.reply("/", Reply(raw=[head, b"2\r\nab\r\nnonsense\r\n", Hang()]))
    with pytest.raises(Garbled):
        fetch(transport, upstream)
    wait_until(lambda: upstream.closed_at(0))


def test_an_answer_that_stalls(upstream: ScriptedUpstream, transport: Transport) -> None:
    upstream.reply("/", Reply(body=[b"x", Hang()], framing="chunked"))
    reply = post(transport, upstream, timeouts=Timeouts(idle_s=0.1))
    assert reply.read() == b"x"
    with pytest.raises(TimedOut, match="stalled"):
        reply.read()
    wait_until(lambda: upstream.closed_at(0))


def test_waiting_in_steps_does_not_put_the_idle_limit_off(
    upstream: ScriptedUpstream, transport: Transport
) -> None:
    upstream.reply("/", Reply(body=[b"x", Hang()], framing="chunked"))
    reply = post(transport, upstream, timeouts=Timeouts(idle_s=0.2))
    assert reply.read() == b"x"
    with pytest.raises(TimedOut, match="stalled"):
        list(iter(lambda: reply.read(0.01), b""))


def test_framing_without_payload_does_not_put_the_idle_limit_off(
    upstream: ScriptedUpstream, transport: Transport
) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n1;"
    trickle: list[Step] = [step for _ in range(30) for step in (b"e", Pause(0.02))]
    upstream.reply("/", Reply(raw=[head, *trickle, b"\r\ny\r\n", Hang()]))
    reply = post(transport, upstream, timeouts=Timeouts(idle_s=0.1))
    assert reply.read() == b"x"
    with pytest.raises(TimedOut, match="stalled"):
        reply.read()


def test_an_answer_that_takes_too_long_in_all(
    upstream: ScriptedUpstream, transport: Transport
) -> None:
    upstream.reply("/", Reply(body=[b"x", Hang()], framing="chunked"))
    reply = post(transport, upstream, timeouts=Timeouts(idle_s=10, total_s=0.2))
    assert reply.read() == b"x"
    with pytest.raises(TimedOut, match="too long"):
        reply.read()


def test_no_limits_at_all(upstream: ScriptedUpstream, transport: Transport) -> None:
    go = threading.Event()
    upstream.reply("/", Reply(body=[b"x", WaitFor(go), b"y"]))
    reply = post(transport, upstream, timeouts=Timeouts(0, 0, 0, 0))
    assert reply.read() == b"x"
    go.set()
    assert reply.read_all(10) == b"y"


def test_closing_a_silent_answer_closes_the_connection_at_once(
    upstream: ScriptedUpstream, transport: Transport
) -> None:
    upstream.reply("/", Reply(body=[b"x", Hang()], framing="chunked", headers=EVENT_STREAM))
    reply = post(transport, upstream)
    assert reply.read() == b"x"
    assert upstream.closed_at(0) is None
    reply.close()
    reply.close()
    wait_until(lambda: upstream.closed_at(0))
    with pytest.raises(Garbled):
        reply.read()


def test_read_all_stops_at_its_limit(upstream: ScriptedUpstream, transport: Transport) -> None:
    upstream.reply("/", Reply(body=b"0123456789" * 100_000))
    reply = post(transport, upstream)
    assert reply.read_all(15) == b"012345678901234"
    reply.close()
    wait_until(lambda: upstream.closed_at(0))


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body_leave_the_connection_usable(
    upstream: ScriptedUpstream, transport: Transport, status: int
) -> None:
    upstream.reply("/", Reply(status))
    for _ in range(2):
        reply = post(transport, upstream)
        assert (reply.status, reply.read_all(10)) == (status, b"")
    assert upstream.connections == 1


def test_the_answer_to_head(upstream: ScriptedUpstream, transport: Transport) -> None:
    upstream.reply("/", Reply(body=b"not sent"))
    for _ in range(2):
        reply = post(transport, upstream, method="HEAD")
        assert (reply.get("Content-Length"), reply.read()) == ("8", b"")
    assert upstream.connections == 1


def test_a_large_answer_is_read_in_pieces(upstream: ScriptedUpstream, transport: Transport) -> None:
    body = bytes(range(256)) * 20_000
    upstream.reply("/", Reply(body=body))
    reply = post(transport, upstream)
    pieces = iter(reply.read, b"")
    sizes = []
    whole = b""
    for piece in pieces:
        assert piece is not None
        sizes.append(len(piece))
        whole += piece
    assert whole == body
    assert max(sizes) <= 65536
