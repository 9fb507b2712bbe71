from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator

import gevent
import gevent.socket
import pytest

from app.api.presence import ClientWatch
from app.gateway.serve import ClientGone


class Call:
    """A greenlet that serves somebody who may leave."""

    def __init__(self, near: socket.socket | None, far: socket.socket) -> None:
        self.near, self.far = near, far
        self.watch = ClientWatch(near)
        self.outcome = ""
        self.greenlet = gevent.spawn(self._serve)
        gevent.sleep(0)

    def _serve(self) -> None:
        try:
            with self.watch:
                gevent.sleep(60)
        except ClientGone:
            self.outcome = "gone"
            gevent.sleep(0)  # what cleans up may wait, and is not interrupted again
            self.outcome = "gone, cleaned up"

    def is_over(self) -> bool:
        gevent.joinall([self.greenlet], timeout=10)
        return self.greenlet.ready() and self.outcome == "gone, cleaned up"

    def goes_on(self) -> bool:
        """Whether it is still served after everything that has happened was looked at."""
        for _ in range(5):
            gevent.sleep(0.01)
        return not self.outcome and not self.greenlet.ready()


@pytest.fixture
def call() -> Iterator[Call]:
    near, far = gevent.socket.socketpair()
    made = Call(near, far)
    yield made
    made.greenlet.kill()
    near.close()
    far.close()


def test_a_client_that_stays(call: Call) -> None:
    assert call.goes_on()


@pytest.mark.parametrize(
    "leave", [socket.socket.close, lambda far: far.shutdown(socket.SHUT_WR)], ids=["close", "end"]
)
def test_a_client_that_leaves(call: Call, leave: Callable[[socket.socket], None]) -> None:
    leave(call.far)
    assert call.is_over()


@pytest.mark.parametrize("resets", [False, True])
@pytest.mark.parametrize("sent_before", [False, True])
def test_a_client_over_tcp(resets: bool, sent_before: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        far = socket.create_connection(server.getsockname())
        near, _ = server.accept()
    served = Call(near, far)
    if sent_before:
        far.sendall(b"more than was asked for")
        assert served.goes_on()
    if resets:
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    far.close()
    assert served.is_over()
    near.close()


def test_bytes_that_nobody_reads_are_left_where_they_are(call: Call) -> None:
    call.far.sendall(b"next request")
    assert call.goes_on()
    assert call.near is not None
    call.greenlet.kill()
    assert call.near.recv(100) == b"next request"


def test_a_connection_that_our_side_has_closed() -> None:
    near, far = socket.socketpair()
    served = Call(near, far)
    far.sendall(b"x")
    near.detach()
    assert served.is_over()
    far.close()


def test_nobody_is_told_after_the_watch_has_ended(call: Call) -> None:
    call.watch.stop()
    call.watch.stop()
    call.far.close()
    assert call.goes_on()


def test_without_a_socket_nothing_is_watched() -> None:
    near, far = socket.socketpair()
    served = Call(None, far)
    near.close()
    assert served.goes_on()
    served.greenlet.kill()
    far.close()


def test_a_watch_can_be_used_again(call: Call) -> None:
    """For the next request on the same connection."""
    call.greenlet.kill()
    assert call.near is not None
    again = Call(call.near, call.far)
    assert again.goes_on()
    call.far.close()
    assert again.is_over()
