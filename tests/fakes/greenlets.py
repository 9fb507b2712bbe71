"""Waiting as it is in a worker, where gevent has patched the process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace

import gevent
import pytest
from gevent.event import Event

from app import clock
from app.routing import lists


class _Thread:
    def __init__(self, target: Callable[..., None], args: tuple[object, ...], daemon: bool) -> None:
        self._greenlet = gevent.Greenlet(target, *args)
        self.start = self._greenlet.start
        self.join = self._greenlet.join


def cooperate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what runs in the background of a worker let others run while it waits.

    Without this it would keep the only thread of the tests to itself. To patch the process
    would change it for all tests behind.
    """
    monkeypatch.setattr(clock, "sleep", gevent.sleep)
    green = SimpleNamespace(Event=Event, Thread=_Thread, Lock=threading.Lock)
    monkeypatch.setattr(lists, "threading", green)


def settle() -> None:
    """Let greenlets that were ended come to their end."""
    for _ in range(3):
        gevent.sleep(0)
