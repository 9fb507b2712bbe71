"""Waiting for bytes of a plain socket under gevent, cheaply.

gevent starts a timer of its own for each read with a time limit, and tries to read before it
waits. For an answer that arrives in a hundred small pieces both are wasted: nothing is there yet,
and the limit of minutes is never reached. Here one timer looks after all reads that wait.
"""

from __future__ import annotations

from typing import Any

import gevent
import gevent.socket
from gevent.hub import Waiter

from app import clock

_READ = 1
_LOOK_S = 0.05
"""How late a time limit may be noticed."""


class Waits:
    """The reads of one worker that wait, and until when. Not shared between threads."""

    def __init__(self) -> None:
        self._waiting: dict[Waiter[bool], float] = {}
        self._timer: Any = None

    def recv(self, bare: Any, watcher: Any, until: float | None) -> bytes:
        """Wait until a socket can be read, then take what is there, at most 64 KiB.

        Args:
            bare: the operating system's socket, not blocking.
            watcher: of the same socket, as made by ``watch``.
            until: on the monotonic clock; None = as long as it takes.

        Raises:
            TimeoutError: the time is over.
            OSError: the connection broke.
        """
        hub = gevent.get_hub()
        while True:
            waiter: Waiter[bool] = Waiter(hub)
            if until is not None:
                self._waiting[waiter] = until
                if self._timer is None:
                    self._begin(hub)
            watcher.start(waiter.switch, True)
            try:
                if not waiter.get():
                    raise TimeoutError
                data: bytes = bare.recv(65536)
            except BlockingIOError:  # woken for nothing
                continue
            else:
                return data
            finally:
                watcher.stop()
                if until is not None:
                    self._waiting.pop(waiter, None)

    def _begin(self, hub: Any) -> None:
        self._timer = hub.loop.timer(_LOOK_S, _LOOK_S, ref=False)
        self._timer.start(self._look)

    def _look(self) -> None:
        # In the hub. Each switch comes back here when the woken greenlet waits again.
        if not self._waiting:
            self._timer.stop()
            self._timer.close()
            self._timer = None
            return
        now = clock.monotonic()
        over = [waiter for waiter, until in self._waiting.items() if until <= now]
        for waiter in over:
            if self._waiting.pop(waiter, None) is not None:
                waiter.switch(False)


def watch(stream: object) -> Any:
    """A watcher for a plain gevent socket; None for any other, which must wait by itself."""
    if type(stream) is gevent.socket.socket:
        return gevent.get_hub().loop.io(stream.fileno(), _READ)
    return None
