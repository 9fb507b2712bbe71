"""What is written down of every exchange, and who keeps it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from app.ir.events import Usage

GroupBy = Literal["key", "model", "provider", "day", "hour"]
"""What sums are made for; an hour is one of the day's 24 in UTC, over all days."""


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """One exchange, at its end.

    Attributes:
        id: the request id; saving the same id again replaces the row.
        at: when the request came, aware UTC.
        client_id: id of the client key; ``anonymous`` where none is configured.
        model: the name the client asked for.
        upstream_model: the name sent upstream; empty when no upstream was asked.
        credential_id: empty when no upstream was asked.
        protocol: the client's protocol.
        status: the HTTP status the client saw; 499 when it left early.
        blame: slug of ``Blame``, ``client`` for a refused request, ``gateway`` for a fault of ours,
            empty for a success.
        ttft_ms: request received → first byte of the answer handed to the client; None = none.
        duration_ms: request received → end.
        answer_id: the provider's id of the answer, empty when not seen.
    """

    id: str
    at: datetime
    client_id: str
    model: str
    upstream_model: str
    provider: str
    credential_id: str
    protocol: str
    operation: str
    stream: bool
    status: int
    blame: str
    usage: Usage
    attempts: int
    ttft_ms: float | None
    duration_ms: float
    bytes_in: int
    bytes_out: int
    answer_id: str = ""


def is_failure(record: UsageRecord) -> bool:
    """Whether the client did not get a whole answer."""
    return record.status >= 400 or record.blame != ""


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over a group of exchanges; ``usage.estimated`` when any count in it is ours."""

    group: str
    requests: int
    failures: int
    usage: Usage


@dataclass(frozen=True, slots=True)
class LedgerHealth:
    """How the ledger is doing.

    ``lost`` counts records dropped because even the spool was full.
    """

    ok: bool
    waiting: int = 0
    spooled: int = 0
    lost: int = 0
    error: str = field(default="")


class Ledger(Protocol):
    """Keeps usage records."""

    def start(self) -> None:
        """Begin to write what dead processes left in a spool; saving does so by itself."""
        ...

    def recover(self, timeout_s: float = 60.0) -> bool:
        """Write what dead processes left in a spool; False when that is not done in time."""
        ...

    def save(self, record: UsageRecord) -> None:
        """Write a record down and return when it is safe from the death of this process.

        Never raises for a storage failure: the record then waits in a spool on disk.
        """
        ...

    def totals(
        self, by: GroupBy, since: datetime | None = None, until: datetime | None = None
    ) -> list[Totals]:
        """Sums for each group, sorted by group; days are UTC dates.

        ``since`` belongs to the span, ``until`` does not; the same holds for the other reads.

        Raises:
            GatewayError: the table cannot be read right now; the same holds for the other reads.
        """
        ...

    def totals_by_key_and_model(
        self, since: datetime | None = None, until: datetime | None = None
    ) -> list[tuple[str, Totals]]:
        """Client id and the sums of one of its models, sorted by both."""
        ...

    def records(
        self, since: datetime | None = None, until: datetime | None = None, limit: int = 10_000
    ) -> Iterator[UsageRecord]:
        """The newest records, newest first."""
        ...

    def credential_of(self, answer_id: str) -> str | None:
        """Which credential gave an answer, or None."""
        ...

    def health(self) -> LedgerHealth:
        """Whether records reach their table at once."""
        ...

    def close(self) -> None:
        """Write what waits and stop; safe to call twice."""
        ...
