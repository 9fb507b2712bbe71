"""What the benchmark tells the load generator, and what it hears back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench import payload


@dataclass(frozen=True, slots=True)
class Job:
    """One round of load.

    Attributes:
        port: whom to ask, on loopback.
        connections: kept alive, one exchange at a time on each.
        plan: what to ask for, as ``Plan.encode`` writes it.
        large: send the body of 395 KB.
        ask_usage: send ``stream_options.include_usage``.
        duration_s: begin new exchanges for so long; 0 = ``repeat`` exchanges a connection.
        stagger_ms: between the first exchanges of two connections.
        warm: exchanges a connection before the count begins; -1 = connect in the counted part.
        upstream_model: the name that the body had when the upstream took its checksum.
        timeout_s: then what is missing is an error.
        leave_after_ms: leave each exchange unfinished, so long after its first chunk (or, when
            the first chunk is over a second away, after the request); 0 = stay to the end.
        client, upstream: the dialects of an answer that has to be translated; empty = Chat on
            both sides, compared byte by byte.
    """

    port: int
    connections: int
    plan: str
    large: bool = False
    ask_usage: bool = True
    duration_s: float = 0.0
    repeat: int = 1
    stagger_ms: int = 0
    warm: int = 2
    upstream_model: str = payload.UPSTREAM_MODEL
    timeout_s: float = 60.0
    leave_after_ms: int = 0
    client: str = ""
    upstream: str = ""


@dataclass(frozen=True, slots=True)
class Spread:
    """Where measurements lie, in milliseconds."""

    p50: float
    p99: float
    count: int

    @classmethod
    def of(cls, values_ns: Sequence[int]) -> Spread:
        if not values_ns:
            return cls(0.0, 0.0, 0)
        ordered = sorted(values_ns)
        last = len(ordered) - 1
        return cls(ordered[last // 2] / 1e6, ordered[last * 99 // 100] / 1e6, len(ordered))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a job.

    Attributes:
        answered: whole and correct answers.
        failed: the others.
        whole: request to end of the answer.
        first: request to first chunk, without what the mock itself waited.
        chunk: written by the mock to read here.
        left_ns: when an exchange was left, monotonic, by its name.
        warmed: answers before the count began.
        own_cpu_s: what this process used.
    """

    answered: int
    failed: int
    errors: list[str]
    elapsed_s: float
    whole: Spread
    first: Spread
    chunk: Spread
    left_ns: dict[str, int]
    warmed: int
    own_cpu_s: float

    @classmethod
    def decode(cls, raw: str) -> Outcome:
        found = json.loads(raw)
        for name in ("whole", "first", "chunk"):
            found[name] = Spread(**found[name])
        return cls(**found)
