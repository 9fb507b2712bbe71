"""Time, in one place, so that tests own it."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> datetime:
    """The present as an aware UTC datetime."""
    return datetime.now(UTC)


def epoch_s() -> float:
    """Seconds since 1970-01-01 UTC."""
    return time.time()


def monotonic() -> float:
    """Seconds on a clock that never goes back; only differences mean anything."""
    return time.monotonic()


def sleep(seconds: float) -> None:
    """Rest, letting other greenlets run."""
    time.sleep(seconds)
