from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import gevent.socket
import pytest

from app import clock
from app.upstream.waits import Waits, watch


class Line:
    """A connection whose one end is read under gevent, and its plain other end."""

    def __init__(self) -> None:
        near, self.far = gevent.socket.socketpair()
        self.near: Any = near
        self.watcher = watch(near)

    def read(self, waits: Waits, until: float | None) -> bytes:
        return waits.recv(self.near._sock, self.watcher, until)

    def close(self) -> None:
        self.watcher.stop()
        self.watcher.close()
        self.near.close()
        self.far.close()


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.close()


def _until(predicate: Callable[[], object]) -> None:
    with gevent.Timeout(10):
        while not predicate():
            gevent.sleep(0.001)


def _soon(seconds: float = 0.01) -> float:
    return clock.monotonic() + seconds


def _in_time() -> float:
    return clock.monotonic() + 30


@pytest.mark.parametrize("until", [None, _in_time], ids=["no limit", "a limit"])
def test_what_is_there_is_taken(line: Line, until: Callable[[], float] | None) -> None:
    waits = Waits()
    line.far.sendall(b"x" * 70_000)
    assert line.read(waits, until and until()) == b"x" * 65536
    assert line.read(waits, until and until()) == b"x" * (70_000 - 65536)


@pytest.mark.parametrize("until", [None, _in_time], ids=["no limit", "a limit"])
def test_what_comes_is_waited_for(line: Line, until: Callable[[], float] | None) -> None:
    waits = Waits()
    reading = gevent.spawn(line.read, waits, until and until())
    gevent.sleep(0)
    assert not reading.ready()
    line.far.sendall(b"hello")
    assert reading.get(timeout=10) == b"hello"


def test_the_end_of_a_connection(line: Line) -> None:
    line.far.shutdown(socket.SHUT_WR)
    assert line.read(Waits(), _in_time()) == b""


def test_a_connection_that_broke() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        near: Any = gevent.socket.create_connection(server.getsockname())
        far, _ = server.accept()
    linger = (1).to_bytes(4, "little") + bytes(4)
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    far.close()
    watcher = watch(near)
    with pytest.raises(ConnectionResetError):
        Waits().recv(near._sock, watcher, _in_time())
    watcher.close()
    near.close()


def test_the_time_is_over(line: Line) -> None:
    waits = Waits()
    until = _soon()
    with pytest.raises(TimeoutError):
        line.read(waits, until)
    assert clock.monotonic() >= until
    line.far.sendall(b"later")
    assert line.read(waits, _in_time()) == b"later"


def test_a_time_that_has_passed_allows_one_look(line: Line) -> None:
    waits = Waits()
    line.far.sendall(b"there")
    assert line.read(waits, clock.monotonic() - 1) == b"there"
    with pytest.raises(TimeoutError):
        line.read(waits, clock.monotonic() - 1)


def test_one_timer_looks_after_all() -> None:
    waits = Waits()
    lines = [Line() for _ in range(5)]
    limits = [_soon(), _soon(), _in_time(), _in_time(), None]
    readings = [
        gevent.spawn(line.read, waits, until) for line, until in zip(lines, limits, strict=True)
    ]
    _until(lambda: all(reading.ready() for reading in readings[:2]))
    assert [type(reading.exception) for reading in readings[:2]] == [TimeoutError] * 2
    assert not any(reading.ready() for reading in readings[2:])
    for line in lines[2:]:
        line.far.sendall(b"x")
    assert [reading.get(timeout=10) for reading in readings[2:]] == [b"x"] * 3
    for line in lines:
        line.close()


def test_the_timer_stops_when_nothing_waits(line: Line) -> None:
    waits = Waits()
    with pytest.raises(TimeoutError):
        line.read(waits, _soon())
    assert waits._timer is not None
    _until(lambda: waits._timer is None)
    with pytest.raises(TimeoutError):
        line.read(waits, _soon())


def test_without_limits_there_is_no_timer(line: Line) -> None:
    waits = Waits()
    line.far.sendall(b"x")
    assert line.read(waits, None) == b"x"
    assert waits._timer is None


@pytest.mark.parametrize("until", [None, _in_time], ids=["no limit", "a limit"])
def test_a_reader_that_is_ended_while_it_waits(
    line: Line, until: Callable[[], float] | None
) -> None:
    waits = Waits()
    reading = gevent.spawn(line.read, waits, until and until())
    gevent.sleep(0)
    reading.kill()
    assert isinstance(reading.value, gevent.GreenletExit)
    assert not line.watcher.active
    assert waits._waiting == {}
    line.far.sendall(b"still here")
    assert line.read(waits, _in_time()) == b"still here"


def test_being_woken_for_nothing(line: Line) -> None:
    """Somebody else has taken what had come; the wait goes on, with the same limit."""
    waits = Waits()
    reading = gevent.spawn(line.read, waits, _in_time())
    gevent.sleep(0)
    before = dict(waits._waiting)
    line.watcher.feed(1, line.watcher.callback, True)  # readable, says the loop
    _until(lambda: waits._waiting.keys() != before.keys())
    assert not reading.ready()
    assert list(waits._waiting.values()) == list(before.values())
    line.far.sendall(b"now")
    assert reading.get(timeout=10) == b"now"


def test_only_plain_sockets_of_gevent_are_watched() -> None:
    one, two = socket.socketpair()
    assert watch(one) is None
    assert watch(object()) is None
    one.close()
    two.close()
