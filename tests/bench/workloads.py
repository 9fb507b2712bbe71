"""What is measured side by side, and what each must stay below."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from tests.bench.dialects import DIALECTS
from tests.bench.job import Job
from tests.bench.payload import JSON_PLAN, Plan


@dataclass(frozen=True, slots=True)
class Workload:
    """One kind of load, given to the floor and the gateway in turn.

    Attributes:
        bar: the most the gateway may cost, as a multiple of the floor; None = shown, not judged.
        duration_s: begin new exchanges for so long; 0 = ``repeat`` exchanges a connection.
        client, upstream: the dialects between which the gateway translates; the floor has the
            same load in Chat alone.
    """

    name: str
    about: str
    connections: int
    plan: Plan
    bar: float | None
    duration_s: float = 0.0
    repeat: int = 1
    large: bool = False
    ask_usage: bool = True
    client: str = ""
    upstream: str = ""

    def job(self, port: int, upstream_model: str, *, quick: bool = False) -> Job:
        """This load for whoever listens on ``port``."""
        return Job(
            port,
            self.connections,
            self.plan.encode(),
            large=self.large,
            ask_usage=self.ask_usage,
            duration_s=self.duration_s / 4 if quick else self.duration_s,
            repeat=1 if quick else self.repeat,
            warm=2 if self.duration_s else 1,
            upstream_model=upstream_model,
            client=self.client,
            upstream=self.upstream,
        )

    @property
    def bare(self) -> Workload:
        """The same load without a translation."""
        return dataclasses.replace(self, client="", upstream="")


_PACED = Plan("sse", 100, spacing_ms=10, first_ms=10)

WORKLOADS = {
    one.name: one
    for one in (
        Workload("json", "small answers, 32 connections", 32, JSON_PLAN, bar=0.50, duration_s=2.0),
        Workload("json1", "the same on one connection", 1, JSON_PLAN, bar=None, duration_s=1.2),
        Workload(
            "sse64", "64 streams of 100 chunks, one each 10 ms", 64, _PACED, bar=0.85, repeat=3
        ),
        Workload(
            "sseburst",
            "32 streams of 100 chunks, all at once",
            *(32, Plan("sse", 100)),
            bar=0.50,
            duration_s=2.0,
        ),
        Workload(
            "large",
            "requests of 395 KB, 8 connections",
            *(8, JSON_PLAN),
            bar=0.85,
            duration_s=2.0,
            large=True,
        ),
    )
}

_WIDER = 1.3  # what any other pair may cost, as a multiple of the bar between Chat and Messages


def _translated() -> Iterator[Workload]:
    """All pairs of two protocols, under each kind of load."""
    kinds = (
        (Workload("json", "small answers", 32, JSON_PLAN, bar=0.6, duration_s=1.0), ("messages",)),
        (Workload("sse64", "64 paced streams", 64, _PACED, bar=1.0), ("messages", "chat")),
        (
            Workload("large", "395 KB", 8, JSON_PLAN, bar=1.0, duration_s=1.5, large=True),
            ("messages", "chat"),
        ),
    )
    for (kind, first), (client, upstream) in itertools.product(
        kinds, itertools.permutations(DIALECTS, 2)
    ):
        is_first = client in first and {client, upstream} == {"chat", "messages"}
        assert kind.bar is not None
        yield dataclasses.replace(
            kind,
            name=f"{kind.name}-{client}-{upstream}",
            about=f"{kind.about}, {client} client on {upstream} upstream",
            bar=kind.bar if is_first else round(kind.bar * _WIDER, 2),
            client=client,
            upstream=upstream,
        )


TRANSLATED = {one.name: one for one in _translated()}
