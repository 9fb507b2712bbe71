"""The table of usage records in each database: write a batch of rows, read a query."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import gevent
from sqlalchemy import URL, Engine, Select, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import PoolProxiedConnection
from typing_extensions import override

from app import clock
from app.errors import GatewayError
from app.storage.sql import migrate
from app.storage.sql.engine import make_engine
from app.storage.sql.rows import COLUMNS, Row
from app.storage.sql.tables import usage_records

READ_DEADLINE_S = 30.0
READ_BUSY_MS = 5_000
"""How long a reading thread waits for a lock; the answers do not wait with it."""

LOCK_POLL_S = 0.002


class TooSlow(Exception):
    """The database did not answer in time."""


class Store(ABC):
    """One database, as the process that holds this object sees it.

    ``write`` is for one greenlet alone; any may call ``fetch``.
    """

    def __init__(self, url: URL) -> None:
        self.url = url
        self._engine: Engine | None = None

    @abstractmethod
    def write(self, rows: Sequence[Row], deadline_s: float) -> None:
        """Write rows in one transaction; a row whose id is there already replaces it.

        No rows is a question whether any could be written.

        Raises:
            Exception: the driver's own. Whether the rows are written is then not known.
        """

    @abstractmethod
    def fetch(self, query: Select[Any], deadline_s: float = READ_DEADLINE_S) -> list[Row]:
        """Read rows.

        Args:
            query: values come back as the driver gives them.
            deadline_s: how long PostgreSQL may take; a thread that reads SQLite cannot be
                stopped, nor does it need a server that may be silent.

        Raises:
            Exception: the driver's own, or SQLAlchemy's.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of every connection; the next call opens them again."""

    def engine(self) -> Engine:
        """The engine of this process, made when first asked for, its tables up to date."""
        if self._engine is None:
            migrate.upgrade(self.url)
            self._engine = make_engine(self.url)
        return self._engine

    def _dispose(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.dispose()


class SqliteStore(Store):
    """SQLite: it blocks, so its writes are short and never wait for a lock inside C."""

    def __init__(self, url: URL) -> None:
        super().__init__(url)
        self._pooled: PoolProxiedConnection | None = None
        self._reading: Engine | None = None
        self._upsert = ""

    @override
    def write(self, rows: Sequence[Row], deadline_s: float) -> None:
        give_up = clock.monotonic() + deadline_s
        while True:
            try:
                self._write_now(rows)
            except sqlite3.OperationalError as error:
                # Another process writes. Wait here, with no transaction of ours open, so that
                # the other greenlets of this process go on.
                if not _is_busy(error) or clock.monotonic() >= give_up:
                    self._drop()
                    raise
                gevent.sleep(LOCK_POLL_S)
            else:
                return

    def _write_now(self, rows: Sequence[Row]) -> None:
        connection = self._connection()
        # From here to COMMIT nothing may yield: a second greenlet that wanted to write would
        # wait for a lock whose holder cannot run.
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany(self._upsert, rows)
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def _connection(self) -> sqlite3.Connection:
        if self._pooled is None:
            engine = self.engine()
            self._upsert = str(_sqlite_upsert().compile(dialect=engine.dialect))
            self._pooled = engine.raw_connection()
        connection = self._pooled.driver_connection
        assert isinstance(connection, sqlite3.Connection)
        return connection

    @override
    def fetch(self, query: Select[Any], deadline_s: float = READ_DEADLINE_S) -> list[Row]:
        self.engine()  # for the tables' sake
        if self._reading is None:
            self._reading = make_engine(self.url, busy_timeout_ms=READ_BUSY_MS)
        engine = self._reading
        compiled = query.compile(
            dialect=engine.dialect, compile_kwargs={"render_postcompile": True}
        )
        values = [compiled.params[name] for name in compiled.positiontup or ()]
        # A sum over a year of rows takes a while; SQLite lets go of the interpreter meanwhile,
        # so in a thread it does not hold the answers up.
        found: list[Row] = gevent.get_hub().threadpool.apply(
            _fetch_sqlite, (engine, str(compiled), values)
        )
        return found

    def _drop(self) -> None:
        pooled, self._pooled = self._pooled, None
        if pooled is not None:
            pooled.close()

    @override
    def close(self) -> None:
        self._drop()
        self._dispose()


def _is_busy(error: sqlite3.OperationalError) -> bool:
    # The low byte is the kind, the rest its variety.
    return error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _fetch_sqlite(engine: Engine, sql: str, values: Sequence[object]) -> list[Row]:
    pooled = engine.raw_connection()
    try:
        cursor = pooled.cursor()
        cursor.execute(sql, values)
        return [tuple(row) for row in cursor.fetchall()]
    finally:
        pooled.close()


def _sqlite_upsert() -> Any:
    statement = sqlite_insert(usage_records)
    return statement.on_conflict_do_update(
        index_elements=["id"], set_={name: statement.excluded[name] for name in COLUMNS[1:]}
    )


class PostgresStore(Store):
    """PostgreSQL through psycopg, which waits cooperatively once gevent has patched."""

    def __init__(self, url: URL) -> None:
        super().__init__(url)
        self._pooled: PoolProxiedConnection | None = None
        self._upsert = ""

    @override
    def write(self, rows: Sequence[Row], deadline_s: float) -> None:
        # One statement takes a row only once, so the last of each id is kept.
        unique = {row[0]: row for row in rows}
        columns = zip(*unique.values(), strict=True) if unique else [()] * len(COLUMNS)
        values = {name: list(column) for name, column in zip(COLUMNS, columns, strict=True)}
        whole = False
        try:
            with gevent.Timeout(deadline_s, TooSlow("the database did not answer in time")):
                self._connection().execute(self._upsert, values)
            whole = True
        finally:
            if not whole:
                # Cut in the middle of its conversation, it is of no more use.
                self._drop()

    def _connection(self) -> Any:
        if self._pooled is None:
            engine = self.engine()
            self._upsert = str(_postgres_upsert().compile(dialect=engine.dialect))
            self._pooled = engine.raw_connection()
            # A statement of its own is a transaction already: one round trip in place of three.
            self._pooled.driver_connection.autocommit = True  # type: ignore[union-attr]
        return self._pooled.driver_connection

    @override
    def fetch(self, query: Select[Any], deadline_s: float = READ_DEADLINE_S) -> list[Row]:
        timeout = TooSlow("the database did not answer in time")
        with gevent.Timeout(deadline_s, timeout), self.engine().connect() as connection:
            return [tuple(row) for row in connection.execute(query)]

    def _drop(self) -> None:
        pooled, self._pooled = self._pooled, None
        if pooled is not None:
            pooled.invalidate()

    @override
    def close(self) -> None:
        self._drop()
        self._dispose()


def _postgres_upsert() -> Any:
    """One array for each column: the statement is the same for any number of rows."""
    arrays = [bindparam(column.name, type_=ARRAY(column.type)) for column in usage_records.columns]
    rows = func.unnest(*arrays).table_valued(*COLUMNS).render_derived(name="fresh")
    statement = postgres_insert(usage_records).from_select(list(COLUMNS), select(rows))
    return statement.on_conflict_do_update(
        index_elements=["id"], set_={name: statement.excluded[name] for name in COLUMNS[1:]}
    )


def open_store(url: URL) -> Store:
    """The store for a URL as ``resolve`` gives it; opens nothing yet."""
    return SqliteStore(url) if url.get_backend_name() == "sqlite" else PostgresStore(url)


def prepare_database(url: URL) -> None:
    """Bring the tables up to date.

    Raises:
        GatewayError: the database cannot be reached or changed.
    """
    try:
        migrate.upgrade(url)
    except (SQLAlchemyError, OSError) as error:
        raise unavailable() from error


def unavailable() -> GatewayError:
    """What a caller is told while the database cannot be used."""
    return GatewayError(
        "the database cannot be used right now", status=503, kind="storage_unavailable"
    )
