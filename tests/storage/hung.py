"""Saves records while PostgreSQL is silent, then again while it answers.

    python -m tests.storage.hung DATABASE_URL DATA_DIR

Prints the milliseconds that the first, the second and the greatest pause of an unconcerned
greenlet took, then the number of records found at the end.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

# ruff: noqa: E402 - what follows must see patched modules, as it does in a worker
import sys
import time
from pathlib import Path

import gevent
import psycopg

from app.storage import open_ledger
from tests.storage.records import record


def main(url: str, data_dir: str) -> None:
    ledger = open_ledger(url, Path(data_dir))
    ledger.save(record(id="before"))
    pauses = [0.0]
    ticker = gevent.spawn(_tick, pauses)
    other = psycopg.connect(url)
    other.execute("LOCK TABLE usage_records IN ACCESS EXCLUSIVE MODE")
    waits = [_timed(lambda name=name: ledger.save(record(id=name))) for name in ("a", "b")]
    ticker.kill()
    other.close()
    while not ledger.health().ok:
        gevent.sleep(0.01)
    milliseconds = [int(1000 * seconds) for seconds in (*waits, max(pauses))]
    sys.stdout.write(f"{milliseconds} {len(list(ledger.records()))}")
    ledger.close()


def _tick(pauses: list[float]) -> None:
    while True:
        pauses.append(_timed(lambda: gevent.sleep(0.005)))


def _timed(work: object) -> float:
    assert callable(work)
    began = time.monotonic()
    work()
    return time.monotonic() - began


if __name__ == "__main__":
    main(*sys.argv[1:])
