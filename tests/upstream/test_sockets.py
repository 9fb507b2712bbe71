from __future__ import annotations

import socket
import struct
import threading
from pathlib import Path

import pytest

from app import clock
from app.errors import Overloaded, TimedOut
from app.upstream.sockets import Connection, Dialer, Pool, Site, left_s
from app.upstream.transport import Call, Timeouts, Transport
from tests.fakes.certificates import make_certificate
from tests.fakes.upstream import Hang, Pause, Reply, ScriptedUpstream
from tests.fakes.waiting import wait_until
from tests.upstream.calls import fetch, post

SITE = Site("127.0.0.1", 80, False)


def pair() -> tuple[Connection, socket.socket]:
    near, far = socket.socketpair()
    return Connection(SITE, near), far


def is_open(far: socket.socket) -> bool:
    far.settimeout(0)
    try:
        return far.recv(1) != b""
    except BlockingIOError:
        return True


def test_the_last_connection_put_is_the_first_taken() -> None:
    pool = Pool(10)
    (one, far_one), (two, far_two) = pair(), pair()
    assert pool.take(SITE) is None
    pool.put(one)
    pool.put(two)
    assert pool.take(Site("127.0.0.1", 80, True)) is None
    assert pool.take(SITE) is two
    assert pool.take(SITE) is one
    assert one.reused
    pool.put(one)
    pool.put(two)
    pool.close()
    assert not is_open(far_one)
    assert not is_open(far_two)
    far_one.close()
    far_two.close()


def test_a_full_pool_closes_what_it_cannot_keep() -> None:
    pool = Pool(1)
    (one, far_one), (two, far_two) = pair(), pair()
    pool.put(one)
    pool.put(two)
    assert is_open(far_one)
    assert not is_open(far_two)
    pool.close()
    far_one.close()
    far_two.close()


@pytest.mark.parametrize("what", ["closed", "spoke"])
def test_a_connection_on_which_something_came_is_not_taken(what: str) -> None:
    pool = Pool(10)
    connection, far = pair()
    pool.put(connection)
    if what == "closed":
        far.close()
    else:
        far.sendall(b"x")
    assert connection.is_stale()
    assert pool.take(SITE) is None
    far.close()


def test_a_connection_that_lost_its_socket_is_stale() -> None:
    near, far = socket.socketpair()
    connection = Connection(SITE, near)
    assert not connection.is_stale()
    far.close()
    near.close()


def test_a_connection_that_was_reset_is_stale() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        far.close()
    connection = Connection(SITE, near)
    wait_until(connection.is_stale)
    connection.close()


def test_old_connections_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    pool = Pool(10)
    (one, far_one), (two, far_two) = pair(), pair()
    other, far_other = pair()
    other.site = Site("other", 80, False)
    pool.put(one)
    pool.put(other)
    now[0] += 61
    pool.put(two)  # sweeps
    assert not is_open(far_one)
    assert not is_open(far_other)
    assert pool.take(SITE) is two
    pool.put(two)
    now[0] += 61
    assert pool.take(SITE) is None
    for far in (far_one, far_two, far_other):
        far.close()


def test_left() -> None:
    assert left_s(None) is None
    soon = left_s(clock.monotonic() + 100, shares=2)
    assert soon is not None
    assert 40 < soon < 51
    with pytest.raises(TimeoutError):
        left_s(clock.monotonic() - 1)


def test_every_address_of_a_name_is_tried(upstream: ScriptedUpstream) -> None:
    # localhost is ::1 as well on most machines, where nobody listens on this port.
    connection = Dialer().dial(Site("localhost", upstream.port, False), None)
    connection.send(b"GET / HTTP/1.1\r\n\r\n", 5)
    assert connection.recv_until(None).startswith(b"HTTP/1.1 404")
    connection.close()


def test_https(tls_upstream: ScriptedUpstream, tls_transport: Transport) -> None:
    big = bytes(3_000_000)
    tls_upstream.reply("/", Reply(body=[b"a" * 40_000, Pause(0.01), b"b"], framing="chunked"))
    for _ in range(2):
        reply = post(tls_transport, tls_upstream, "/", big)
        assert reply.read_all(100_000) == b"a" * 40_000 + b"b"
    assert tls_upstream.connections == 1
    assert tls_upstream.requests[0].body == big


def test_waiting_on_https(tls_upstream: ScriptedUpstream, tls_transport: Transport) -> None:
    tls_upstream.reply("/", Reply(body=[b"a", Hang(), b"b"], framing="chunked"))
    reply = post(tls_transport, tls_upstream)
    assert reply.read() == b"a"
    assert reply.read(0.02) is None
    tls_upstream.release()
    assert reply.read_all(9) == b"b"


def test_https_connection_closed_while_idle(
    tls_upstream: ScriptedUpstream, tls_transport: Transport
) -> None:
    tls_upstream.reply("/", Reply(body=b"ok"))
    assert fetch(tls_transport, tls_upstream) == b"ok"
    tls_upstream.drop_idle()
    wait_until(lambda: tls_upstream.closed_at(0))
    assert fetch(tls_transport, tls_upstream) == b"ok"
    assert tls_upstream.connections == 2


def test_a_certificate_nobody_vouches_for(
    tls_upstream: ScriptedUpstream, transport: Transport
) -> None:
    with pytest.raises(Overloaded, match="secure connection"):
        post(transport, tls_upstream)


def test_a_certificate_for_another_host(tmp_path: Path) -> None:
    other = make_certificate(tmp_path, "example.test")
    transport = Transport(ca_file=other.ca_file)
    with (
        ScriptedUpstream(tls=other.server) as upstream,
        pytest.raises(Overloaded, match="secure connection"),
    ):
        post(transport, upstream)
    transport.close()


def test_https_to_one_who_does_not_speak_it(tls_transport: Transport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            sock, _ = server.accept()
            with sock:
                sock.sendall(b"HTTP/1.1 400 Bad\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"https://127.0.0.1:{server.getsockname()[1]}/"
        with pytest.raises(Overloaded, match="secure connection"):
            tls_transport.send(Call("GET", url, {}))
        thread.join()


def test_a_handshake_that_hangs(tls_transport: Transport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(TimedOut, match="connection in time"):
            tls_transport.send(Call("GET", url, {}, timeouts=Timeouts(connect_s=0.2)))
