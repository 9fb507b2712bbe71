"""Saves records to a directory that may not be written; for root, everything else may.

python -m tests.storage.powerless CLOSED_DIR OPEN_DIR
"""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path

from app.storage import open_ledger
from tests.storage.records import record


def main(closed: str, spooling: str) -> None:
    # Whatever is imported late is imported now: the interpreter itself may be out of reach for
    # the one that this process becomes.
    mine = f"sqlite:///{spooling}/mine.db"
    ledger = open_ledger(mine, Path(spooling, "other"))
    ledger.save(record())
    assert ledger.health().ok
    ledger.close()
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(Path(spooling, "mine.db"), nobody.pw_uid, nobody.pw_gid)
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)
    ledger = open_ledger(f"sqlite:///{closed}/usage.db", Path(spooling))
    for number in range(5):
        ledger.save(record(id=str(number)))
    health = ledger.health()
    # That it is the directory, and nothing else that this process has lost:
    control = open_ledger(mine, Path(spooling, "other"))
    control.save(record())
    said = (health.ok, health.spooled, health.lost, health.error.split()[-1], control.health().ok)
    sys.stdout.write(" ".join(map(str, said)))


if __name__ == "__main__":
    main(*sys.argv[1:])
