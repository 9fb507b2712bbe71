"""Sees a client leave while its answer is still being made.

WSGI alone notices only when a second write fails, which may be half a minute after the client
closed. The watcher looks at the socket itself: readable and empty means gone.
"""

from __future__ import annotations

import select
import socket
from types import TracebackType
from typing import Any, Self

import gevent
from gevent import monkey

from app.gateway.serve import ClientGone

_READ = 1
_POLL_S = 0.02
_poll = monkey.get_original("select", "poll")


class ClientWatch:
    """Throws ``ClientGone`` into the serving greenlet when its client closes.

    Without a socket (another server, a test client) it does nothing.
    """

    __slots__ = ("_active", "_greenlet", "_io", "_socket", "_timer")

    def __init__(self, client: socket.socket | None) -> None:
        self._socket = client
        self._greenlet: Any = None
        self._io: Any = None
        self._timer: Any = None
        self._active = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to watch on behalf of the running greenlet."""
        if self._socket is None:
            return
        self._greenlet = gevent.getcurrent()
        self._active = True
        self._io = gevent.get_hub().loop.io(self._socket.fileno(), _READ)
        self._io.start(self._look)

    def stop(self) -> None:
        """Stop watching; safe to call twice."""
        self._active = False
        for watcher in (self._io, self._timer):
            if watcher is not None:
                watcher.stop()
                watcher.close()
        self._io = self._timer = None

    def _look(self) -> None:
        # In the hub: must neither block nor raise.
        if not self._active or self._socket is None:
            return
        if self._has_left(self._socket):
            self._throw()
        else:
            # Bytes of a pipelined request, or TLS records: readable for as long as we do not
            # read them, so a timer looks for the hang-up from here on.
            self._io.stop()
            self._timer = gevent.get_hub().loop.timer(_POLL_S, _POLL_S)
            self._timer.start(self._look_again)

    def _look_again(self) -> None:
        if self._active and self._socket is not None and _hung_up(self._socket.fileno()):
            self._throw()

    def _throw(self) -> None:
        greenlet = self._greenlet
        self.stop()
        greenlet.throw(ClientGone)

    @staticmethod
    def _has_left(client: socket.socket) -> bool:
        try:
            descriptor = client.fileno()
            if descriptor < 0:
                return True
            return not _peek(descriptor)
        except BlockingIOError:
            return False
        except OSError:
            return True


def _peek(descriptor: int) -> bytes:
    # A plain socket over the same descriptor: a TLS socket refuses flags.
    duplicate = _plain_socket(fileno=descriptor)
    try:
        data: bytes = duplicate.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        return data
    finally:
        duplicate.detach()


_plain_socket = monkey.get_original("socket", "socket")


def _hung_up(descriptor: int) -> bool:
    poll = _poll()
    poll.register(descriptor, select.POLLRDHUP | select.POLLHUP | select.POLLERR)
    return bool(poll.poll(0))
