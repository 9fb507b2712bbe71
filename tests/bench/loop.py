"""A loop over sockets and timers, as small as it can be.

The mock upstream and the load generator share a core with each other and with the benchmark
itself. asyncio costs them some 30 us a request; this costs about 3.
"""

from __future__ import annotations

import gc
import heapq
import itertools
import select
import socket
from collections.abc import Callable
from time import monotonic

RECEIVE_BYTES = 65_536
_FINE_S = 0.01
_GONE = select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP


class Loop:
    """Calls whoever watches a ready descriptor, and timers when they are due."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watchers: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        # What lives here is freed by reference count; a collection would only add a pause.
        gc.disable()

    def watch(self, fd: int, watcher: Callable[[int], None], mask: int = select.EPOLLIN) -> None:
        """Call ``watcher(events)`` whenever ``fd`` is ready for ``mask``."""
        self._watchers[fd] = watcher
        self._epoll.register(fd, mask)

    def change(self, fd: int, mask: int) -> None:
        """Watch for something else."""
        self._epoll.modify(fd, mask)

    def forget(self, fd: int) -> None:
        """Watch no longer; call before the descriptor is closed."""
        if self._watchers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def at(self, when: float, callback: Callable[[], None]) -> None:
        """Call once at ``when`` on the monotonic clock, some 0.1 ms late when idle."""
        heapq.heappush(self._timers, (when, next(self._order), callback))

    def run(self, is_done: Callable[[], bool], until: float = float("inf")) -> None:
        """Serve until ``is_done()`` says so or the time has come."""
        timers, watchers, poll = self._timers, self._watchers, self._epoll.poll
        ready = self._epoll.fileno()
        while not is_done():
            now = monotonic()
            if now >= until:
                return
            if timers and timers[0][0] <= now:
                while timers and timers[0][0] <= now:
                    heapq.heappop(timers)[2]()
                if is_done():
                    return
            wait = min(timers[0][0] if timers else until, until) - monotonic()
            if wait < _FINE_S:
                # epoll would round up to whole milliseconds and so bunch chunks that are paced.
                select.select((ready,), (), (), max(0.0, wait))
                wait = 0.0
            for fd, events in poll(min(wait, 1.0), 256):
                watcher = watchers.get(fd)
                if watcher is not None:
                    watcher(events)

    def close(self) -> None:
        """Give the kernel its descriptor back."""
        self._epoll.close()


class Channel:
    """A connected socket: reads by arrival, writes without waiting."""

    __slots__ = ("_fd", "_loop", "_receive", "_send", "_sock", "_unsent", "is_open")

    def __init__(self, loop: Loop, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._loop = loop
        self._sock = sock
        self._receive = sock.recv
        self._send = sock.send
        self._fd = sock.fileno()
        self._unsent: memoryview | None = None
        self.is_open = True
        loop.watch(self._fd, self._ready, select.EPOLLIN | select.EPOLLRDHUP)

    def received(self, data: bytes) -> None:
        """Take what came."""
        raise NotImplementedError

    def ended(self) -> None:
        """Hear that the peer closed; the socket is closed after this returns."""
        raise NotImplementedError

    def send(self, data: bytes) -> None:
        """Write now what the socket takes, the rest when it can."""
        if self._unsent is not None:
            self._unsent = memoryview(bytes(self._unsent) + data)
            return
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        except OSError:  # the peer is gone; the loop hears of it as an event
            return
        if sent < len(data):
            self._unsent = memoryview(data)[sent:]
            self._loop.change(self._fd, select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLOUT)

    def close(self, *, reset: bool = False) -> None:
        """Close once; with ``reset`` the peer sees RST in place of FIN."""
        if not self.is_open:
            return
        self.is_open = False
        self._loop.forget(self._fd)
        if reset:
            self._sock.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00"
            )
        self._sock.close()

    def _ready(self, events: int) -> None:
        if events & select.EPOLLOUT:
            self._flush()
        if events & (select.EPOLLIN | _GONE):
            try:
                data = self._receive(RECEIVE_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if data:
                self.received(data)
            elif self.is_open:
                self.ended()
                self.close()

    def _flush(self) -> None:
        if self._unsent is None:
            return
        try:
            self._unsent = self._unsent[self._send(self._unsent) :]
        except OSError:
            return
        if not self._unsent:
            self._unsent = None
            self._loop.change(self._fd, select.EPOLLIN | select.EPOLLRDHUP)
