"""What belongs to tool calls, in a database: one writer a process, no spool.

Losing an entry costs a model some of its thoughts, so a database that fails is given up for a
few seconds and nobody waits for it. Writing is by a greenlet of its own, which serves no request:
a client that leaves cannot cut it in the middle of its talk with the database.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import gevent
from gevent.event import Event
from sqlalchemy import select
from typing_extensions import override

from app import clock
from app.ir.parts import Seal, Thinking
from app.storage.sql.engine import resolve
from app.storage.sql.rows import Row
from app.storage.sql.store import PostgresStore, SqliteStore, Store, TooSlow, unavailable
from app.storage.sql.tables import reasoning_seals

LASTS_S = 86_400.0
"""How long an entry can be found."""

MAX_VALUE = 256 << 10
"""Characters an entry may have; a larger one is not kept."""

DEADLINE_S = 1.0
"""How long an answer or a request may be held up."""

REST_S = 5.0
"""How long a database that failed is left alone."""

PRUNE_EVERY_S = 60.0
CLOSE_TIMEOUT_S = 5.0

PRUNED_AT_ONCE = 50
"""Expired rows that each transaction takes along: more than it brings, and soon done."""

_ASKED_AT_ONCE = 500
_WRITTEN_AT_ONCE = 20

_Kept: TypeAlias = tuple[Thinking | Seal, ...]

_columns = reasoning_seals.columns
_log = logging.getLogger(__name__)


class _Batch:
    """Rows that go in one transaction, and how that went."""

    __slots__ = ("done", "rows", "written")

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.done = Event()
        self.written = False


class SqlSeals:
    """Entries in SQLite or PostgreSQL; what it does is said in ``SealStore``.

    It belongs to the greenlets of one thread, and opens nothing before it is used, so it may be
    made before a fork.
    """

    def __init__(self, store: Store, *, rest_s: float = REST_S) -> None:
        self._store = store
        self._rest_s = rest_s
        self._open = _Batch()
        self._wake = Event()
        self._greenlet: gevent.Greenlet[[], None] | None = None
        self._failed_at = float("-inf")
        self._pruned_at = float("-inf")
        self._is_closed = False

    @classmethod
    def open(cls, database_url: str, data_dir: Path) -> SqlSeals:
        """Make the store of a configuration.

        Raises:
            ConfigError: no database is reached by such a URL.
        """
        url = resolve(database_url, data_dir.expanduser())
        sqlite = url.get_backend_name() == "sqlite"
        return cls(_SqliteSeals(url) if sqlite else _PostgresSeals(url))

    def start(self) -> None:
        is_running = self._greenlet is not None and not self._greenlet.dead
        if not is_running and not self._is_closed:
            self._greenlet = gevent.spawn(self._run)

    def save(self, client_id: str, entries: Mapping[str, _Kept]) -> None:
        rows = _rows(client_id, entries)
        if not rows:
            return
        if self._is_closed or self._rests():
            raise unavailable()
        self.start()
        batch = self._open
        batch.rows.extend(rows)
        self._wake.set()
        batch.done.wait()
        if not batch.written:
            raise unavailable()

    def load(self, client_id: str, call_ids: Collection[str]) -> dict[str, _Kept]:
        if not call_ids:
            return {}
        if self._is_closed or self._rests():
            raise unavailable()
        ids = {_key(client_id, call_id): call_id for call_id in call_ids}
        found: dict[str, _Kept] = {}
        for keys in _bundles(ids):
            for key, value in self._fetch(keys):
                if kept := _read(value):
                    found[ids[key]] = kept
        return found

    def prune(self) -> None:
        """Remove some of what has expired.

        Raises:
            Exception: the driver's own.
        """
        self._store.write((), DEADLINE_S)

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._wake.set()
            if self._greenlet is not None:
                self._greenlet.join(CLOSE_TIMEOUT_S)
                self._greenlet.kill()
            self._open.done.set()
        self._store.close()

    def _fetch(self, keys: Sequence[str]) -> list[tuple[str, str]]:
        query = select(_columns.key, _columns.value).where(
            _columns.key.in_(keys), _columns.expires_at_us > _now_us()
        )
        try:
            rows = self._store.fetch(query, DEADLINE_S)
        except Exception as error:  # drivers raise trees of their own, and OSError besides
            self._give_up(error)
            raise unavailable() from error
        return [(str(key), str(value)) for key, value in rows]

    def _rests(self) -> bool:
        return clock.monotonic() - self._failed_at < self._rest_s

    def _give_up(self, error: Exception) -> None:
        self._failed_at = clock.monotonic()
        _log.warning("kept reasoning cannot be reached error=%s", type(error).__name__)
        _log.debug("the database said: %s", error)

    def _run(self) -> None:
        while not (self._is_closed and not self._open.rows):
            if self._open.rows:
                self._flush()
            elif clock.monotonic() - self._pruned_at >= PRUNE_EVERY_S:
                self._prune_quietly()
            else:
                self._wake.wait(PRUNE_EVERY_S)
                self._wake.clear()

    def _prune_quietly(self) -> None:
        self._pruned_at = clock.monotonic()
        try:
            self.prune()
        except Exception as error:  # noqa: BLE001 - whatever a driver raises; it is tried again
            self._give_up(error)

    def _flush(self) -> None:
        batch, self._open = self._open, _Batch()
        try:
            for rows in _bundles(batch.rows, _WRITTEN_AT_ONCE):
                self._store.write(rows, DEADLINE_S)
            batch.written = True
        except Exception as error:  # noqa: BLE001 - whatever a driver raises, answers go on
            self._give_up(error)
        finally:
            batch.done.set()


def _now_us() -> int:
    return int(clock.epoch_s() * 1_000_000)


def _key(client_id: str, call_id: str) -> str:
    """A name of fixed size that says nothing, whatever a client made up for an id."""
    both = f"{client_id}\0{call_id}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(both).hexdigest()


def _rows(client_id: str, entries: Mapping[str, _Kept]) -> list[Row]:
    expires_at_us = _now_us() + int(LASTS_S * 1_000_000)
    rows: list[Row] = []
    for call_id, kept in entries.items():
        value = _written(kept)
        if len(value) > MAX_VALUE:
            _log.warning("reasoning is too large to be kept characters=%d", len(value))
        elif kept:
            rows.append((_key(client_id, call_id), expires_at_us, value))
    return rows


def _written(kept: _Kept) -> str:
    """An entry as JSON in ASCII, which every database and any odd character fits into."""
    return json.dumps([_flat(each) for each in kept], separators=(",", ":"))


def _flat(each: Thinking | Seal) -> list[object]:
    if isinstance(each, Seal):
        return ["seal", each.issuer, each.value, each.item_id]
    seal = each.seal
    proof = [seal.issuer, seal.value, seal.item_id] if seal is not None else None
    return ["thinking", each.text, each.redacted, proof]


def _read(value: str) -> _Kept:
    """An entry again; one that a later version wrote in another way is passed over."""
    try:
        return tuple(_deep(each) for each in json.loads(value))
    except (ValueError, TypeError, IndexError):
        return ()


def _deep(flat: list[Any]) -> Thinking | Seal:
    match flat:
        case ["seal", str(issuer), str(value), str(item_id)]:
            return Seal(issuer, value, item_id)
        case ["thinking", str(text), bool(redacted), [str(issuer), str(value), str(item_id)]]:
            return Thinking(text, Seal(issuer, value, item_id), redacted)
        case ["thinking", str(text), bool(redacted), None]:
            return Thinking(text, None, redacted)
        case _:
            raise ValueError("not an entry")


def _bundles(items: Collection[Any], size: int = _ASKED_AT_ONCE) -> Iterator[list[Any]]:
    rest = iter(items)
    while bundle := list(islice(rest, size)):
        yield bundle


_UPSERT = """
    INSERT INTO reasoning_seals (key, expires_at_us, value) {source}
    ON CONFLICT (key) DO UPDATE
    SET expires_at_us = excluded.expires_at_us, value = excluded.value
"""
_PRUNE = """
    DELETE FROM reasoning_seals WHERE key IN (
        SELECT key FROM reasoning_seals WHERE expires_at_us <= {now} LIMIT {most}
    )
"""


class _SqliteSeals(SqliteStore):
    """The rows of this table in SQLite, on a connection of their own.

    Like those of usage records its transactions never yield, so the two cannot meet inside one
    process; between processes ``write`` waits without holding anything.
    """

    _upsert_seals = _UPSERT.format(source="VALUES (?, ?, ?)")
    _prune_seals = _PRUNE.format(now="?", most="?")

    @override
    def _write_now(self, rows: Sequence[Row]) -> None:
        connection = self._connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany(self._upsert_seals, rows)
            connection.execute(self._prune_seals, (_now_us(), PRUNED_AT_ONCE))
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


class _PostgresSeals(PostgresStore):
    """The rows of this table in PostgreSQL."""

    _upsert_seals = _UPSERT.format(
        source="SELECT * FROM unnest(%s::text[], %s::bigint[], %s::text[])"
    )
    _prune_seals = _PRUNE.format(now="%s", most="%s")

    @override
    def write(self, rows: Sequence[Row], deadline_s: float) -> None:
        # One statement takes a row only once, so the last of each key is kept.
        unique = {row[0]: row for row in rows}
        whole = False
        try:
            with gevent.Timeout(deadline_s, TooSlow("the database did not answer in time")):
                connection = self._connection()
                if unique:
                    columns = [list(column) for column in zip(*unique.values(), strict=True)]
                    connection.execute(self._upsert_seals, columns)
                connection.execute(self._prune_seals, (_now_us(), PRUNED_AT_ONCE))
            whole = True
        finally:
            if not whole:
                # Cut in the middle of its conversation, it is of no more use.
                self._drop()
