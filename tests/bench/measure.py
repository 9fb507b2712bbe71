"""The measurements: what is started, asked and read off for each figure."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from tests.bench import payload, servers
from tests.bench.job import Job, Outcome, Spread
from tests.bench.payload import Plan
from tests.bench.processes import BenchError, Cores, Memory, cpu_ms, forget_peak, peak_mb
from tests.bench.servers import Application, Load, Mock, Recipe
from tests.bench.workloads import Workload

SETTLE_S = 0.25
"""After a round, before its CPU is read: what is written behind the answers counts as well."""

SLOW = Plan("sse", 10, spacing_ms=500, first_ms=500)

_GONE_WAIT_S = 5.0
_GONE_EACH = 8


@dataclass(frozen=True, slots=True)
class Sample:
    """One round of one workload on one application."""

    cpu_ms: float  # an answer
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Comparison:
    """One workload on both, round by round."""

    workload: Workload
    floor: list[Sample]
    gateway: list[Sample]

    @property
    def ratio(self) -> float:
        """The gateway's cost over the floor's: the median of the rounds' own ratios."""
        pairs = zip(self.gateway, self.floor, strict=True)
        return statistics.median(ours.cpu_ms / bare.cpu_ms for ours, bare in pairs)


@dataclass(frozen=True, slots=True)
class Starts:
    """Process start to first whole answer, in seconds, and memory a second later, in MB."""

    first_s: float
    later_s: list[float]
    cpu_s: float  # of the last one
    idle: Memory


@dataclass(frozen=True, slots=True)
class Crowd:
    """Many slow streams on one worker."""

    streams: int
    whole: int
    open_upstream: int
    cpu_s: float
    before: Memory
    peak: Memory
    first: Spread
    chunk: Spread
    direct_chunk: Spread

    @property
    def kb_a_stream(self) -> float:
        return (self.peak.rss - self.before.rss) * 1000 / self.streams


@dataclass(frozen=True, slots=True)
class FirstToken:
    """Request to first chunk, without the mock's own wait, in milliseconds."""

    gateway: Spread
    direct: Spread

    @property
    def added_p50(self) -> float:
        return self.gateway.p50 - self.direct.p50


@dataclass(frozen=True, slots=True)
class Books:
    """What the gateway answered and what its ledger says."""

    answered: int
    booked: int
    tokens_due: int
    tokens_booked: int


@dataclass(frozen=True, slots=True)
class Peak:
    """Memory for one large body: the peak over the size before, in MB."""

    what: str
    body_mb: float
    grown_mb: float


class Bench:
    """Everything that takes part, and the measurements made with it."""

    def __init__(
        self,
        home: Path,
        mock: Mock,
        load: Load,
        cores: Cores,
        recipe: Callable[[Path, Mock], Recipe] = servers.gateway,
        settle_s: float = SETTLE_S,
    ) -> None:
        self.home = home
        self.mock = mock
        self._load = load
        self._cores = cores
        self._recipe = recipe
        self._settle_s = settle_s
        self._running: dict[str, Application] = {}
        self._answered = 0  # by the gateway, over the present data directory

    @classmethod
    @contextlib.contextmanager
    def open(
        cls,
        cores: Cores,
        recipe: Callable[[Path, Mock], Recipe] = servers.gateway,
        settle_s: float = SETTLE_S,
    ) -> Iterator[Bench]:
        """Start mock and load generator; stop all that was started at the end.

        Args:
            cores: who runs where.
            recipe: what to measure; the harness's own test puts something simple in its place.
            settle_s: from the end of a round to the reading of its CPU.
        """
        with contextlib.ExitStack() as stack:
            home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            mock = Mock(cores.others)
            stack.callback(mock.close)
            load = Load(cores.others)
            stack.callback(load.close)
            bench = cls(home, mock, load, cores, recipe, settle_s)
            stack.callback(bench.stop)
            yield bench

    def stop(self) -> None:
        """Stop the applications under test."""
        while self._running:
            self._running.popitem()[1].stop()

    @property
    def gateway(self) -> Application:
        """The gateway, started when first asked for."""
        if "gateway" not in self._running:
            recipe = self._recipe(self.home, self.mock)
            self._running["gateway"] = Application(recipe, self._cores.tested)
            self._answered += 1  # it counts as running once it has answered
        return self._running["gateway"]

    @property
    def floor(self) -> Application:
        """The floor, started when first asked for."""
        if "floor" not in self._running:
            recipe = servers.floor(self.home, self.mock)
            self._running["floor"] = Application(recipe, self._cores.tested)
        return self._running["floor"]

    def restart_gateway(self) -> Application:
        """A new gateway over the same data."""
        if "gateway" in self._running:
            self._running.pop("gateway").stop()
        return self.gateway

    # The figures

    def starts(self, times: int) -> Starts:
        """Start the gateway on an empty directory, then again over what it made there."""
        first_s = self.restart_gateway().started_s
        later_s = [self.restart_gateway().started_s for _ in range(times)]
        sleep(1.0)
        cpu_s = self.gateway.started_cpu_s
        return Starts(first_s, later_s, cpu_s, Memory.of(self.gateway.pids))

    def sample(self, workload: Workload, application: Application, *, quick: bool) -> Sample:
        """One round: CPU of the whole process tree over the answers that were right."""
        job = workload.job(application.port, application.upstream_model, quick=quick)
        self._load.prepare(job)
        pids = application.pids
        before = cpu_ms(pids)
        outcome = self._load.go()
        sleep(self._settle_s)
        used = cpu_ms(pids) - before
        self._accept(f"{workload.name} on {application.name}", outcome, application)
        return Sample(used / outcome.answered, outcome)

    def compare(self, workload: Workload, rounds: int, *, quick: bool = False) -> Comparison:
        """Floor and gateway in turn, so that what else the machine does meets both."""
        floor, gateway = [], []
        for _ in range(rounds):
            floor.append(self.sample(workload, self.floor, quick=quick))
            gateway.append(self.sample(workload, self.gateway, quick=quick))
        return Comparison(workload, floor, gateway)

    def compare_all(
        self, workloads: Sequence[Workload], rounds: int, *, quick: bool = False
    ) -> Iterator[Comparison]:
        """Translations of the same load, round by round against one turn of the floor."""
        floor: list[Sample] = []
        gateway: dict[str, list[Sample]] = {one.name: [] for one in workloads}
        for _ in range(rounds):
            floor.append(self.sample(workloads[0].bare, self.floor, quick=quick))
            for one in workloads:
                gateway[one.name].append(self.sample(one, self.gateway, quick=quick))
        for one in workloads:
            yield Comparison(one, floor, gateway[one.name])

    def crowd(self, streams: int, each: Plan = SLOW) -> Crowd:
        """Many slow streams, begun at once."""
        plan = each.encode()
        direct = self._load.run(Job(self.mock.port, streams, plan, warm=-1))
        self._accept("slow streams from the mock itself", direct)
        gateway = self.gateway
        warm = Job(gateway.port, 16, payload.JSON_PLAN.encode(), repeat=20)
        self._accept("small answers", self._load.run(warm), gateway)
        self.mock.ask("/bench/streams")
        self._load.prepare(Job(gateway.port, streams, plan, warm=-1))
        pids = gateway.pids
        before, used = Memory.of(pids), cpu_ms(pids)
        peak = before

        def look() -> None:
            nonlocal peak
            peak = peak.or_more(Memory.of(pids))

        outcome = self._load.go(look)
        sleep(self._settle_s)
        used = cpu_ms(pids) - used
        most = self.mock.ask("/bench/streams")
        assert isinstance(most, int)
        self._accept(f"{streams} slow streams", outcome, gateway)
        return Crowd(
            streams,
            outcome.answered,
            most,
            used / 1000,
            before,
            peak,
            outcome.first,
            outcome.chunk,
            direct.chunk,
        )

    def first_token(self, repeat: int, streams: int = 16, chunks: int = 50) -> FirstToken:
        """Paced streams at a time, each begun in its own moment, with and without the gateway."""
        plan = Plan("sse", chunks, spacing_ms=10, first_ms=10).encode()
        seen = []
        for application in (self.gateway, None):
            port = application.port if application else self.mock.port
            outcome = self._load.run(Job(port, streams, plan, repeat=repeat, stagger_ms=31, warm=1))
            self._accept("first token", outcome, application)
            seen.append(outcome.first)
        return FirstToken(*seen)

    def books(self) -> Books:
        """Look up whether each answer so far is in the ledger, with its tokens."""
        calls, tokens = servers.booked(self.gateway)
        each = payload.PROMPT_TOKENS + payload.COMPLETION_TOKENS
        return Books(self._answered, calls, self._answered * each, tokens)

    def gone(self) -> dict[str, float]:
        """Clients that leave: the longest time until the upstream call was closed, in ms.

        Half of them close, half reset. Infinite when a call was still open after 5 s.
        """
        return {what: self._gone(plan) for what, plan in GONE.items()}

    def _gone(self, plan: Plan) -> float:
        job = Job(
            self.gateway.port, _GONE_EACH, plan.encode(), warm=0, leave_after_ms=250, timeout_s=20
        )
        outcome = self._load.run(job)
        if outcome.failed or len(outcome.left_ns) != _GONE_EACH:
            raise BenchError(f"client gone, {plan.name}: {outcome.errors}")
        until = monotonic() + _GONE_WAIT_S
        while True:
            closed = self.mock.ask("/bench/gone")
            assert isinstance(closed, dict)
            if outcome.left_ns.keys() <= closed.keys():
                return max(closed[name] - at for name, at in outcome.left_ns.items()) / 1e6
            if monotonic() > until:
                return float("inf")
            sleep(0.1)

    def _accept(self, what: str, outcome: Outcome, application: Application | None = None) -> None:
        """Refuse a round with a wrong answer; count the others."""
        if application and application is self._running.get("gateway"):
            self._answered += outcome.answered + outcome.warmed
        if outcome.failed or not outcome.answered:
            seen = "; ".join(outcome.errors) + (application.log() if application else "")
            total = outcome.answered + outcome.failed
            raise BenchError(f"{what}: {outcome.failed} wrong of {total}: {seen}")

    def peaks(self) -> list[Peak]:
        """Memory of one 50 MB answer and of one image request of 30 MB."""
        whole = Plan("json", 50_000_000)
        model = self.gateway.upstream_model
        image = payload.image_body(payload.JSON_PLAN, 30_000_000, model)
        return [
            self._peak(
                "answer of 50 MB",
                payload.request_body(whole),
                payload.json_answer(whole.size, payload.fingerprint_of(b"")),
            ),
            self._peak(
                "request with an image of 30 MB",
                payload.image_body(payload.JSON_PLAN, 30_000_000),
                payload.json_answer(payload.ANSWER_BYTES, payload.fingerprint_of(image)),
            ),
        ]

    def _peak(self, what: str, body: bytes, expected: bytes) -> Peak:
        application = self.restart_gateway()
        sleep(0.5)
        pids = application.pids
        before = Memory.of(pids).rss
        for pid in pids:
            forget_peak(pid)
        status, answer = servers.ask(application.port, body, 120)
        if status != 200 or answer != expected:
            raise BenchError(f"{what}: {status} {answer[:300]!r}{application.log()}")
        grown_mb = sum(map(peak_mb, pids)) - before
        return Peak(what, max(len(body), len(expected)) / 1e6, grown_mb)


GONE = {
    "chunks each 50 ms": Plan("sse", 2000, 50, 10, "gone50ms"),
    "chunks each 2 s": Plan("sse", 100, 2000, 10, "gone2s"),
    "chunks each 15 s": Plan("sse", 100, 15_000, 10, "gone15s"),
    "before the first byte": Plan("sse", 100, 10, 15_000, "gonefirst"),
    "answer not streamed": Plan("json", 1600, 0, 15_000, "gonejson"),
}
"""When clients leave, by what the upstream is doing."""
