"""The benchmark's command: ``python -m tests.bench``."""

from __future__ import annotations

import itertools
import json
import os
import sys
from pathlib import Path
from time import monotonic

import click

from tests.bench import report
from tests.bench.measure import Bench, Comparison
from tests.bench.processes import BenchError, Cores, raise_descriptor_limit
from tests.bench.report import Bar
from tests.bench.workloads import TRANSLATED, WORKLOADS, Workload

CROWD = 1000
BUSY_LOAD = 0.5
OTHERS = ("start", "slow1000", "first-token", "gone")
NAMES = (*OTHERS, *WORKLOADS, "translated")


def _chosen(_context: click.Context, _option: click.Parameter, only: str) -> tuple[str, ...]:
    names = tuple(filter(None, only.split(",")))
    unknown = [name for name in names if name not in NAMES and name not in TRANSLATED]
    if unknown:
        raise click.BadParameter(f"{', '.join(unknown)}: not one of {', '.join(NAMES)}")
    return names or NAMES


@click.command()
@click.option(
    "--only",
    default="",
    callback=_chosen,
    help=f"Just these, comma between: {','.join(NAMES)}; of the translated as well one alone, "
    "such as sse64-messages-chat.",
)
@click.option(
    "--rounds",
    default=3,
    show_default=True,
    type=click.IntRange(1),
    help="Rounds of each workload.",
)
@click.option("--quick", is_flag=True, help="One short round of each; a miss is no failure.")
@click.option("--peak", is_flag=True, help="Just the memory that very large bodies take.")
@click.option(
    "--json", "kept", type=click.Path(path_type=Path), help="Write all figures to this file."
)
def main(only: tuple[str, ...], rounds: int, quick: bool, peak: bool, kept: Path | None) -> None:
    """Measure what the gateway costs beside a bare application, and judge it by its bars."""
    began = monotonic()
    raise_descriptor_limit()
    cores = Cores.pick()
    if not cores.are_apart:
        click.echo("one core alone: load and gateway share it, latencies mean little", err=True)
    if (load := os.getloadavg()[0]) > BUSY_LOAD:
        click.echo(f"load average {load:.1f}: other work is going on, times will vary", err=True)
    os.sched_setaffinity(0, {cores.others})
    comparisons: list[Comparison] = []
    try:
        with Bench.open(cores) as bench:
            if peak:
                bars = report.of_peaks(bench.peaks())
                _show(bars)
            else:
                bars = _measure(bench, only, 1 if quick else rounds, quick, comparisons)
    except BenchError as error:
        raise click.ClickException(str(error)) from error
    if kept:
        kept.write_text(json.dumps(report.as_json(bars, comparisons), indent=1))
    missed = [bar.name for bar in bars if not bar.is_met]
    click.echo(f"\n{report.table(bars)}\n\n{monotonic() - began:.0f} s")
    if missed and not quick:
        click.echo(f"{len(missed)} of the bars missed: {'; '.join(missed)}", err=True)
        sys.exit(1)


def _measure(
    bench: Bench, only: tuple[str, ...], rounds: int, quick: bool, kept: list[Comparison]
) -> list[Bar]:
    """Measure what was chosen, each figure shown as soon as it is known."""
    bars: list[Bar] = []

    def add(found: list[Bar]) -> None:
        _show(found)
        bars.extend(found)

    if "start" in only:
        add(report.of_starts(bench.starts(1 if quick else 3)))
    if "slow1000" in only:
        add(report.of_crowd(bench.crowd(CROWD // 10 if quick else CROWD)))
    for name in only:
        if name in WORKLOADS:
            kept.append(bench.compare(WORKLOADS[name], rounds, quick=quick))
            add(report.of_comparison(kept[-1]))
    for alike in _translated(only):
        for found in bench.compare_all(alike, rounds, quick=quick):
            kept.append(found)
            add(report.of_comparison(found))
    if "first-token" in only:
        add(report.of_first_token(bench.first_token(1 if quick else 5)))
    if kept:
        add(report.of_books(bench.books()))
    if "gone" in only:  # last: a call that was left has estimated tokens, which no one can foretell
        add(report.of_gone(bench.gone()))
    return bars


def _translated(only: tuple[str, ...]) -> list[list[Workload]]:
    """The translations that were chosen, those with the same load together."""
    chosen = [one for one in TRANSLATED.values() if one.name in only or "translated" in only]
    return [
        list(alike)
        for _, alike in itertools.groupby(chosen, lambda one: one.name.partition("-")[0])
    ]


def _show(bars: list[Bar]) -> None:
    for bar in bars:
        click.echo(f"{bar.name}: {bar.value:.3f} {bar.unit}  {bar.note}")


if __name__ == "__main__":
    main()
