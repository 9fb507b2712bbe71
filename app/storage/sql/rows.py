"""Usage records as rows of plain values, for the table and for the spool."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from app.accounting.ledger import UsageRecord
from app.ir.events import Usage

Value = str | int | float | bool | None
Row = tuple[Value, ...]
"""One record, its values in the order of ``COLUMNS``."""

COLUMNS = (
    "id", "at_us", "client_id", "model", "upstream_model", "provider", "credential_id",
    "protocol", "operation", "stream", "status", "blame",
    "input_tokens", "cache_read_tokens", "cache_write_tokens", "input_audio_tokens",
    "output_tokens", "reasoning_tokens", "output_audio_tokens", "estimated",
    "attempts", "ttft_ms", "duration_ms", "bytes_in", "bytes_out", "answer_id",
)  # fmt: skip

TOKEN_COLUMNS = COLUMNS[12:19]
"""The counts of ``Usage``, in the order of its fields."""

MAX_TEXT = 256
MAX_COUNT = 10**12
"""Largest count kept: a provider may claim any number, and a sum of rows must stay a BIGINT."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(at: datetime) -> int:
    """Microseconds since 1970, exact."""
    return (at - _EPOCH) // _MICROSECOND


def row_of(record: UsageRecord) -> Row:
    """Flatten a record to values that every database takes."""
    usage = record.usage
    return (
        _text(record.id),
        micros(record.at),
        _text(record.client_id),
        _text(record.model),
        _text(record.upstream_model),
        _text(record.provider),
        _text(record.credential_id),
        _text(record.protocol),
        _text(record.operation),
        record.stream,
        record.status,
        _text(record.blame),
        _count(usage.input_tokens),
        _count(usage.cache_read_tokens),
        _count(usage.cache_write_tokens),
        _count(usage.input_audio_tokens),
        _count(usage.output_tokens),
        _count(usage.reasoning_tokens),
        _count(usage.output_audio_tokens),
        usage.estimated,
        record.attempts,
        record.ttft_ms,
        record.duration_ms,
        _count(record.bytes_in),
        _count(record.bytes_out),
        _text(record.answer_id),
    )


def record_of(row: Sequence[Value]) -> UsageRecord:
    """Read a row back."""
    named = dict(zip(COLUMNS, row, strict=True))
    ttft_ms = named["ttft_ms"]
    return UsageRecord(
        id=str(named["id"]),
        at=_EPOCH + timedelta(microseconds=_number(named["at_us"])),
        client_id=str(named["client_id"]),
        model=str(named["model"]),
        upstream_model=str(named["upstream_model"]),
        provider=str(named["provider"]),
        credential_id=str(named["credential_id"]),
        protocol=str(named["protocol"]),
        operation=str(named["operation"]),
        stream=bool(named["stream"]),
        status=_number(named["status"]),
        blame=str(named["blame"]),
        usage=usage_of([named[name] for name in TOKEN_COLUMNS], named["estimated"]),
        attempts=_number(named["attempts"]),
        ttft_ms=None if ttft_ms is None else float(ttft_ms),
        duration_ms=float(named["duration_ms"] or 0.0),
        bytes_in=_number(named["bytes_in"]),
        bytes_out=_number(named["bytes_out"]),
        answer_id=str(named["answer_id"]),
    )


def usage_of(counts: Sequence[Value], estimated: Value) -> Usage:
    """Make a usage of the values of ``TOKEN_COLUMNS``; SQLite has no booleans but 0 and 1."""
    fresh, read, write, audio_in, out, reasoning, audio_out = map(_number, counts)
    return Usage(fresh, read, write, audio_in, out, reasoning, audio_out, bool(estimated))


def _number(value: Value) -> int:
    return int(value or 0)


def _text(value: str) -> str:
    if len(value) <= MAX_TEXT and value.isascii() and "\0" not in value:
        return value
    return _clean(value)


def _clean(value: str) -> str:
    """Cut what a client may have made up: PostgreSQL takes no NUL, an index no long text."""
    return value[:MAX_TEXT].replace("\0", "").encode("utf-8", "replace").decode()


def _count(value: int) -> int:
    return value if 0 <= value <= MAX_COUNT else max(0, min(value, MAX_COUNT))
