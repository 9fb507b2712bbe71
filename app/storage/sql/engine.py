"""Engines: which database, and how to talk to it under gevent."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from app.errors import ConfigError

DEFAULT_NAME = "aiproxyapi.db"
CONNECT_TIMEOUT_S = 5
READ_POOL = 3


def resolve(database_url: str, data_dir: Path) -> URL:
    """Read the operator's URL; empty means SQLite in the data directory.

    Raises:
        ConfigError: the URL cannot be read, or names a database there is no code for.
    """
    if not database_url:
        return URL.create("sqlite", database=str(data_dir.expanduser() / DEFAULT_NAME))
    try:
        url = make_url(database_url)
    except (ArgumentError, ValueError) as error:
        raise _refusal("it is not a database URL such as sqlite:////var/lib/x.db") from error
    match url.drivername.partition("+")[0]:
        case "sqlite":
            if url.database in {None, "", ":memory:"}:
                raise _refusal("SQLite needs a file: sqlite:////absolute/path.db")
            return URL.create("sqlite", database=str(Path(url.database or "").expanduser()))
        case "postgres" | "postgresql":
            if importlib.util.find_spec("psycopg") is None:
                raise _refusal("PostgreSQL needs: pip install 'aiproxyapi[postgres]'")
            return url.set(drivername="postgresql+psycopg")
        case _:
            raise _refusal("the database must be sqlite or postgresql")


def _refusal(message: str) -> ConfigError:
    return ConfigError(message, file="configuration", key="database-url")


def make_engine(url: URL, *, busy_timeout_ms: int = 0) -> Engine:
    """Make an engine; to be called in the process that uses it, after any fork.

    Args:
        url: as ``resolve`` gives it.
        busy_timeout_ms: how long SQLite may sit in C, the whole process standing still, until
            another process lets go of its lock. Ignored by PostgreSQL.
    """
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine(url, busy_timeout_ms)
    return _postgres_engine(url)


def _sqlite_engine(url: URL, busy_timeout_ms: int) -> Engine:
    path = Path(url.database or "")
    # No pool: the writer keeps one connection for itself, and reads run in native threads,
    # where a pool's locks (gevent's, once patched) do not belong.
    engine = create_engine(
        url, poolclass=NullPool, connect_args={"timeout": busy_timeout_ms / 1000}
    )

    @event.listens_for(engine, "do_connect")
    def _private_file(*_: object) -> None:
        make_private(path)

    @event.listens_for(engine, "connect")
    def _settle(connection: sqlite3.Connection, _: object) -> None:
        # Transactions are opened by us, as IMMEDIATE: one that starts by reading and then
        # writes can be refused half way.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        # A row survives the death of the process, which is what is promised; only a power cut
        # can take the last ones, and never the file.
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")

    return engine


def make_private(path: Path) -> None:
    """Make a database file that only its owner can read, and its directory."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite gives its -wal and -shm files the mode of the database. A file that is there must
    # not be opened: closing any descriptor of it would drop the locks that this process's other
    # connections hold, and whoever closes the database next would delete the log under them.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _postgres_engine(url: URL) -> Engine:
    engine = create_engine(
        url,
        pool_size=READ_POOL,
        max_overflow=0,
        pool_timeout=CONNECT_TIMEOUT_S,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": "aiproxyapi",
            "keepalives_idle": 30,
            "tcp_user_timeout": 10_000,
        },
    )

    @event.listens_for(engine, "do_connect")
    def _look_up(_dialect: object, _record: object, _args: object, params: dict[str, Any]) -> None:
        # libpq looks names up in C and would stop the process while a name server is silent;
        # Python's look-up gives way once gevent has patched it.
        host = params.get("host")
        if isinstance(host, str) and host and "/" not in host and "," not in host:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
            params.update(host=",".join([host] * len(addresses)), hostaddr=",".join(addresses))

    return engine
