"""Stores of one process, for tests and trials."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime

from typing_extensions import override

from app import clock
from app.accounting.ledger import (
    GroupBy,
    Ledger,
    LedgerHealth,
    Totals,
    UsageRecord,
    is_failure,
)
from app.ir.events import Usage
from app.ir.parts import Seal, Thinking

_GROUPS: dict[GroupBy, Callable[[UsageRecord], str]] = {
    "key": lambda record: record.client_id,
    "model": lambda record: record.model,
    "provider": lambda record: record.provider,
    "day": lambda record: record.at.astimezone(UTC).date().isoformat(),
    "hour": lambda record: f"{record.at.astimezone(UTC).hour:02d}",
}


class MemoryLedger(Ledger):
    """Keeps records as long as the process lives."""

    def __init__(self) -> None:
        self._records: dict[str, UsageRecord] = {}

    @override
    def start(self) -> None:
        """There is no spool."""

    @override
    def recover(self, timeout_s: float = 60.0) -> bool:
        return True

    @override
    def save(self, record: UsageRecord) -> None:
        self._records[record.id] = record

    @override
    def totals(
        self, by: GroupBy, since: datetime | None = None, until: datetime | None = None
    ) -> list[Totals]:
        group_of = _GROUPS[by]
        groups: dict[str, list[UsageRecord]] = {}
        for record in self._between(since, until):
            groups.setdefault(group_of(record), []).append(record)
        return [_sum(group, groups[group]) for group in sorted(groups)]

    @override
    def totals_by_key_and_model(
        self, since: datetime | None = None, until: datetime | None = None
    ) -> list[tuple[str, Totals]]:
        groups: dict[tuple[str, str], list[UsageRecord]] = {}
        for record in self._between(since, until):
            groups.setdefault((record.client_id, record.model), []).append(record)
        return [(key, _sum(model, groups[key, model])) for key, model in sorted(groups)]

    @override
    def records(
        self, since: datetime | None = None, until: datetime | None = None, limit: int = 10_000
    ) -> Iterator[UsageRecord]:
        found = sorted(self._between(since, until), key=lambda r: (r.at, r.id), reverse=True)
        return iter(found[:limit])

    @override
    def credential_of(self, answer_id: str) -> str | None:
        for record in self.records():
            if answer_id and record.answer_id == answer_id:
                return record.credential_id
        return None

    @override
    def health(self) -> LedgerHealth:
        return LedgerHealth(ok=True)

    @override
    def close(self) -> None:
        """Nothing waits here."""

    def _between(self, since: datetime | None, until: datetime | None) -> list[UsageRecord]:
        return [
            record
            for record in self._records.values()
            if (since is None or record.at >= since) and (until is None or record.at < until)
        ]


def _sum(group: str, records: list[UsageRecord]) -> Totals:
    usages = [record.usage for record in records]
    return Totals(
        group=group,
        requests=len(records),
        failures=sum(is_failure(record) for record in records),
        usage=Usage(
            input_tokens=sum(usage.input_tokens for usage in usages),
            cache_read_tokens=sum(usage.cache_read_tokens for usage in usages),
            cache_write_tokens=sum(usage.cache_write_tokens for usage in usages),
            input_audio_tokens=sum(usage.input_audio_tokens for usage in usages),
            output_tokens=sum(usage.output_tokens for usage in usages),
            reasoning_tokens=sum(usage.reasoning_tokens for usage in usages),
            output_audio_tokens=sum(usage.output_audio_tokens for usage in usages),
            estimated=any(usage.estimated for usage in usages),
        ),
    )


class MemorySeals:
    """Keeps what belongs to tool calls as long as the process lives, a day at most."""

    lasts_s = 86_400.0

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], tuple[float, tuple[Thinking | Seal, ...]]] = {}

    def start(self) -> None:
        """What has expired goes when something is saved."""

    def save(self, client_id: str, entries: Mapping[str, tuple[Thinking | Seal, ...]]) -> None:
        now = clock.epoch_s()
        self._entries = {key: entry for key, entry in self._entries.items() if entry[0] > now}
        for call_id, kept in entries.items():
            if kept:
                self._entries[client_id, call_id] = (now + self.lasts_s, kept)

    def load(
        self, client_id: str, call_ids: Collection[str]
    ) -> dict[str, tuple[Thinking | Seal, ...]]:
        now = clock.epoch_s()
        entries = {each: self._entries.get((client_id, each)) for each in call_ids}
        return {each: entry[1] for each, entry in entries.items() if entry and entry[0] > now}

    def close(self) -> None:
        """Nothing waits here."""
