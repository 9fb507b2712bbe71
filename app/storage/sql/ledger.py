"""The ledger in a database: group commit, a spool when it fails, reads beside them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Integer, Select, case, cast, func, or_, select
from typing_extensions import override

from app import clock
from app.accounting.ledger import GroupBy, Ledger, LedgerHealth, Totals, UsageRecord
from app.errors import GatewayError
from app.storage.sql.engine import resolve
from app.storage.sql.rows import TOKEN_COLUMNS, Row, Value, micros, record_of, row_of, usage_of
from app.storage.sql.spool import Spool
from app.storage.sql.store import READ_DEADLINE_S, Store, open_store, unavailable
from app.storage.sql.tables import usage_records
from app.storage.sql.writer import Writer

DAY_US = 86_400_000_000
HOUR_US = 3_600_000_000
PROBE_EVERY_S = 5.0
PROBE_DEADLINE_S = 1.0

_columns = usage_records.columns
_GROUPS: dict[GroupBy, ColumnElement[Any]] = {
    "key": _columns.client_id,
    "model": _columns.model,
    "provider": _columns.provider,
    "day": _columns.at_us // DAY_US,
    "hour": (_columns.at_us // HOUR_US) % 24,
}


class SqlLedger(Ledger):
    """Usage records in SQLite or PostgreSQL.

    It belongs to the greenlets of one thread. Make it before a fork if you like: it opens
    nothing before it is used.
    """

    def __init__(self, store: Store, spool: Spool, writer: Writer | None = None) -> None:
        self._store = store
        self._spool = spool
        self._writer = writer or Writer(store, spool)
        self._probed_at = float("-inf")
        self._probe_error = ""

    @classmethod
    def open(cls, database_url: str, data_dir: Path) -> SqlLedger:
        """Make the ledger of a configuration.

        Raises:
            ConfigError: no database is reached by such a URL.
        """
        data_dir = data_dir.expanduser()
        return cls(open_store(resolve(database_url, data_dir)), Spool(data_dir / "spool"))

    @override
    def save(self, record: UsageRecord) -> None:
        self._writer.save(row_of(record))

    @override
    def start(self) -> None:
        self._writer.start()

    @override
    def recover(self, timeout_s: float = 60.0) -> bool:
        return self._writer.settle(timeout_s)

    @override
    def totals(
        self, by: GroupBy, since: datetime | None = None, until: datetime | None = None
    ) -> list[Totals]:
        rows = self._fetch(_between(_sums(_GROUPS[by]), since, until))
        found = [_totals(_label(by, row[0]), row[1:]) for row in rows]
        return sorted(found, key=lambda totals: totals.group)

    @override
    def totals_by_key_and_model(
        self, since: datetime | None = None, until: datetime | None = None
    ) -> list[tuple[str, Totals]]:
        query = _sums(_columns.client_id, _columns.model)
        rows = self._fetch(_between(query, since, until))
        found = [(str(row[0]), _totals(str(row[1]), row[2:])) for row in rows]
        return sorted(found, key=lambda pair: (pair[0], pair[1].group))

    @override
    def records(
        self, since: datetime | None = None, until: datetime | None = None, limit: int = 10_000
    ) -> Iterator[UsageRecord]:
        newest = select(usage_records).order_by(_columns.at_us.desc(), _columns.id.desc())
        return map(record_of, self._fetch(_between(newest, since, until).limit(limit)))

    @override
    def credential_of(self, answer_id: str) -> str | None:
        if not answer_id:  # most rows have none
            return None
        query = (
            select(_columns.credential_id)
            .where(_columns.answer_id == answer_id)
            .order_by(_columns.at_us.desc())
            .limit(1)
        )
        found = self._fetch(query)
        return str(found[0][0]) if found else None

    @override
    def health(self) -> LedgerHealth:
        self._writer.start()  # a worker that has saved nothing yet looks after orphans too
        error = self._writer.error or self._probe()
        return LedgerHealth(
            ok=not error,
            waiting=self._writer.waiting,
            spooled=self._spool.waiting,
            lost=self._spool.lost,
            error=error,
        )

    @override
    def close(self) -> None:
        self._writer.close()

    def _probe(self) -> str:
        """Why the table cannot be read, empty when it can; asked at most every 5 s."""
        if clock.monotonic() - self._probed_at >= PROBE_EVERY_S:
            self._probed_at = clock.monotonic()
            try:
                self._fetch(select(_columns.id).limit(1), PROBE_DEADLINE_S)
                self._probe_error = ""
            except GatewayError as error:
                self._probe_error = error.message
        return self._probe_error

    def _fetch(self, query: Select[Any], deadline_s: float = READ_DEADLINE_S) -> list[Row]:
        try:
            return self._store.fetch(query, deadline_s)
        except Exception as error:  # drivers raise trees of their own, and OSError besides
            raise unavailable() from error


def _sums(*groups: ColumnElement[Any]) -> Select[Any]:
    failed = or_(_columns.status >= 400, _columns.blame != "")
    return select(
        *groups,
        func.count(),
        func.sum(case((failed, 1), else_=0)),
        # PostgreSQL sums BIGINT to a decimal; counts are small enough to come back.
        *(cast(func.sum(_columns[name]), BigInteger) for name in TOKEN_COLUMNS),
        func.max(cast(_columns.estimated, Integer)),
    ).group_by(*groups)


def _between(query: Select[Any], since: datetime | None, until: datetime | None) -> Select[Any]:
    if since is not None:
        query = query.where(_columns.at_us >= micros(since))
    if until is not None:
        query = query.where(_columns.at_us < micros(until))
    return query


def _totals(group: str, sums: tuple[Value, ...]) -> Totals:
    requests, failures, *counts, estimated = sums
    return Totals(
        group=group,
        requests=int(requests or 0),
        failures=int(failures or 0),
        usage=usage_of(counts, estimated),
    )


def _label(by: GroupBy, group: Value) -> str:
    if by == "day":
        return (date(1970, 1, 1) + timedelta(days=int(group or 0))).isoformat()
    return f"{int(group or 0):02d}" if by == "hour" else str(group)
