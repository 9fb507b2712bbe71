"""Saves records from many greenlets, tells which are safe, and kills itself half way.

python -m tests.storage.crash DATABASE_URL DATA_DIR
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import gevent

from app.storage import open_ledger
from tests.storage.records import record

RECORDS = 500
GREENLETS = 50


def main(url: str, data_dir: str) -> None:
    ledger = open_ledger(url, Path(data_dir))
    numbers = iter(range(RECORDS))
    safe = 0

    def work() -> None:
        nonlocal safe
        for number in numbers:
            ledger.save(record(id=f"r{number}"))
            os.write(1, f"r{number}\n".encode())
            safe += 1
            if safe == RECORDS // 2:
                os.kill(os.getpid(), signal.SIGKILL)
            gevent.sleep(0)

    gevent.joinall([gevent.spawn(work) for _ in range(GREENLETS)], raise_error=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
