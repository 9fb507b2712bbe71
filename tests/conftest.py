"""What holds for every test: an end in time, and no socket but loopback."""

from __future__ import annotations

import contextlib
import faulthandler
import ipaddress
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

TIME_LIMIT_S = 60.0
"""A test that takes longer hangs; ``time_limit(seconds)`` gives one its own."""

_GRACE_S = 15.0


class TookTooLong(BaseException):
    """Raised in a test that hangs; not an ``Exception``, so that no handler swallows it."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "time_limit(seconds): how long the test may take")
    sys.addaudithook(_refuse_strangers)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Make a test that hangs fail, with the stacks of all threads when even that is impossible."""
    marker = item.get_closest_marker("time_limit")
    limit_s = float(marker.args[0]) if marker else TIME_LIMIT_S
    if threading.current_thread() is not threading.main_thread():
        return (yield)
    with _alarm(limit_s):
        return (yield)


@contextlib.contextmanager
def _alarm(limit_s: float) -> Iterator[None]:
    def ring(number: int, frame: FrameType | None) -> None:
        raise TookTooLong(f"the test took longer than {limit_s} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    faulthandler.dump_traceback_later(limit_s + _GRACE_S, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _refuse_strangers(event: str, arguments: tuple[object, ...]) -> None:
    """Stop a connection to anywhere but this machine."""
    if event != "socket.connect":
        return
    address = arguments[1]
    if isinstance(address, tuple) and not _is_here(str(address[0])):
        raise OSError(f"tests reach loopback alone, not {address[0]} (process {os.getpid()})")


def _is_here(host: str) -> bool:
    if host in ("localhost", ""):
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:  # a name that nobody has looked up
        return False
