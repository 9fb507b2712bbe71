"""What ``aiproxyapi usage`` prints."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import orjson

from app.accounting.ledger import GroupBy, Ledger, Totals
from app.config.schema import Config
from app.errors import BadRequest, GatewayError
from app.storage import open_ledger

_HEADINGS = (
    "requests",
    "failures",
    "input",
    "cached",
    "cache write",
    "output",
    "reasoning",
    "total",
)


RECOVERY_S = 60.0


def usage_of(
    config: Config, by: GroupBy, since: str | None, until: str | None, *, as_json: bool = False
) -> str:
    """What the database of a configuration says, spooled records of dead processes included.

    Args:
        config: names the database.
        by: what to sum for.
        since: first day or moment, see ``parse_day``.
        until: last day, or the moment that ends the span.
        as_json: for a program to read.

    Raises:
        BadRequest: a date cannot be read.
        GatewayError: the database cannot be used.
    """
    begin = None if since is None else _parsed(since)
    end = None if until is None else _parsed(until, is_end=True)
    ledger = open_ledger(config.database_url, Path(config.data_dir))
    try:
        health = ledger.health()
        if not health.ok:
            raise GatewayError(health.error)
        ledger.recover(RECOVERY_S)
        return usage_report(ledger, by, begin, end, as_json=as_json)
    finally:
        ledger.close()


def _parsed(text: str, *, is_end: bool = False) -> datetime:
    try:
        return parse_day(text, is_end=is_end)
    except ValueError as error:
        message = f"{text!r} is no date such as 2026-03-04 or 2026-03-04T12:00"
        raise BadRequest(message) from error


def usage_report(
    ledger: Ledger,
    by: GroupBy,
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    as_json: bool = False,
) -> str:
    """A table for a terminal, or JSON for a program; no line break at the end.

    Raises:
        GatewayError: the ledger cannot be read.
    """
    totals = ledger.totals(by, since, until)
    if as_json:
        rows = [_named(by, each) for each in totals]
        return orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode()
    return _table(by, totals)


def parse_day(text: str, *, is_end: bool = False) -> datetime:
    """Read a date or a point in time; without an offset it is UTC.

    Args:
        text: ISO 8601, such as ``2026-03-04`` or ``2026-03-04T12:00+01:00``.
        is_end: a date means the end of its day, so that the day is part of the span.

    Raises:
        ValueError: it is neither.
    """
    at = datetime.fromisoformat(text)
    if is_end and at.time() == time() and "T" not in text and " " not in text:
        at += timedelta(days=1)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _named(by: GroupBy, totals: Totals) -> dict[str, Any]:
    names = [heading.replace(" ", "_") for heading in _HEADINGS]
    estimated = totals.usage.estimated
    counts = dict(zip(names, _counts(totals), strict=True))
    return {by: totals.group, **counts, "estimated": estimated}


def _counts(totals: Totals) -> tuple[int, ...]:
    usage = totals.usage
    return (
        totals.requests,
        totals.failures,
        usage.input_tokens + usage.input_audio_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
        usage.output_tokens + usage.output_audio_tokens,
        usage.reasoning_tokens,
        usage.total,
    )


def _table(by: GroupBy, totals: Sequence[Totals]) -> str:
    if not totals:
        return "No usage recorded."
    marked = any(each.usage.estimated for each in totals)
    rows = [_cells(each.group or "(none)", _counts(each), each.usage.estimated) for each in totals]
    sums = [sum(column) for column in zip(*map(_counts, totals), strict=True)]
    table = [[by, *_HEADINGS], *rows, _cells("sum", sums, marked)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [_line(row, widths) for row in table]
    lines.insert(1, "  ".join("-" * width for width in widths))
    if marked:
        lines += ["", "~ some of these tokens were estimated: the provider did not count them"]
    return "\n".join(lines)


def _cells(group: str, counts: Sequence[int], estimated: bool) -> list[str]:
    cells = [group, *(f"{count:,}" for count in counts)]
    if estimated:
        cells[-1] = "~" + cells[-1]
    return cells


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = zip(row, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)])
