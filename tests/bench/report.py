"""Figures into bars, bars into a table."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.bench.measure import Books, Comparison, Crowd, FirstToken, Peak, Sample, Starts


@dataclass(frozen=True, slots=True)
class Bar:
    """One figure and what it may be at most.

    Attributes:
        limit: None = shown, not judged.
        note: what the figure was made of.
    """

    name: str
    value: float
    limit: float | None
    unit: str
    note: str = ""

    @property
    def is_met(self) -> bool:
        return self.limit is None or self.value <= self.limit


def _median(samples: Iterable[Sample]) -> float:
    return statistics.median(sample.cpu_ms for sample in samples)


def of_comparison(found: Comparison) -> list[Bar]:
    floor, gateway = _median(found.floor), _median(found.gateway)
    rate = statistics.median(s.outcome.answered / s.outcome.elapsed_s for s in found.gateway)
    chunks = found.workload.plan.size if found.workload.plan.kind == "sse" else 0
    each = f", {gateway / chunks * 1000:.0f} us a chunk" if chunks else ""
    note = f"{gateway:.3f} against {floor:.3f} CPU-ms; {rate:,.0f}/s{each}"
    return [Bar(found.workload.name, found.ratio, found.workload.bar, "x floor", note)]


def of_crowd(found: Crowd) -> list[Bar]:
    name = f"slow{found.streams}"
    latency = (
        f"chunk p50 {found.chunk.p50:.2f} p99 {found.chunk.p99:.2f} ms "
        f"(direct {found.direct_chunk.p50:.2f} and {found.direct_chunk.p99:.2f})"
    )
    memory = (
        f"peak PSS {found.peak.pss:.0f} MB; before, RSS {found.before.rss:.0f}; "
        f"{found.kb_a_stream:.0f} KB a stream"
    )
    return [
        Bar(
            f"{name} not whole",
            found.streams - found.whole,
            0,
            "streams",
            f"{found.open_upstream} open upstream at once",
        ),
        Bar(
            f"{name} CPU",
            found.cpu_s,
            2.0,
            "CPU-s",
            f"{found.cpu_s / found.streams * 1000:.2f} CPU-ms each",
        ),
        Bar(f"{name} memory", found.peak.rss, 150, "MB RSS", memory),
        Bar(
            f"{name} chunk p50",
            found.chunk.p50 - found.direct_chunk.p50,
            None,
            "ms added",
            latency,
        ),
        Bar(f"{name} chunk p99", found.chunk.p99 - found.direct_chunk.p99, None, "ms added"),
    ]


def of_first_token(found: FirstToken) -> list[Bar]:
    note = (
        f"{found.gateway.p50:.2f} against {found.direct.p50:.2f} ms; "
        f"p99 {found.gateway.p99:.2f} against {found.direct.p99:.2f}"
    )
    return [Bar("first token p50", found.added_p50, 1.5, "ms added", note)]


def of_gone(found: dict[str, float]) -> list[Bar]:
    return [Bar(f"client gone, {what}", ms, 50, "ms") for what, ms in found.items()]


def of_starts(found: Starts) -> list[Bar]:
    later = ", ".join(f"{one:.2f}" for one in found.later_s)
    return [
        Bar(
            "start to first answer",
            statistics.median(found.later_s),
            1.0,
            "s",
            f"{later}; {found.cpu_s:.2f} CPU-s; the very first, with a new database, "
            f"{found.first_s:.2f}",
        ),
        Bar("idle memory", found.idle.pss, 100, "MB PSS", f"RSS {found.idle.rss:.0f} MB"),
    ]


def of_books(found: Books) -> list[Bar]:
    """Whether nothing was made fast by leaving a ledger row out."""
    calls = f"{found.booked} of {found.answered}"
    tokens = f"{found.tokens_booked} of {found.tokens_due}"
    return [
        Bar("calls booked wrongly", abs(found.answered - found.booked), 0, "calls", calls),
        Bar(
            "tokens booked wrongly",
            abs(found.tokens_due - found.tokens_booked),
            0,
            "tokens",
            tokens,
        ),
    ]


def of_peaks(found: Sequence[Peak]) -> list[Bar]:
    return [
        Bar(one.what, one.grown_mb / one.body_mb, None, "x its size", f"{one.grown_mb:.0f} MB")
        for one in found
    ]


def table(bars: Sequence[Bar]) -> str:
    """One line a bar: verdict, name, figure, limit, what it was made of."""
    width = max(len(bar.name) for bar in bars)
    return "\n".join(_line(bar, width) for bar in bars)


def _line(bar: Bar, width: int) -> str:
    verdict = "    " if bar.limit is None else "PASS" if bar.is_met else "FAIL"
    limit = "" if bar.limit is None else f"<= {bar.limit:g}"
    figure = f"{bar.value:.0f}" if bar.value >= 100 or bar.limit == 0 else f"{bar.value:.2f}"
    parts = (
        verdict,
        f"{bar.name:<{width}}",
        f"{figure:>7} {bar.unit:<10}",
        f"{limit:<7}",
        bar.note,
    )
    return "  ".join(parts).rstrip()


def as_json(bars: Sequence[Bar], comparisons: Sequence[Comparison]) -> dict[str, object]:
    """All figures, for whoever keeps them."""
    return {
        "bars": [{**dataclasses.asdict(bar), "is_met": bar.is_met} for bar in bars],
        "rounds": {
            one.workload.name: {
                "floor": [dataclasses.asdict(sample) for sample in one.floor],
                "gateway": [dataclasses.asdict(sample) for sample in one.gateway],
            }
            for one in comparisons
        },
    }
