"""The load generator: asks over and over, and looks at every byte of every answer.

Run as a process of its own. It reads one job a line (JSON, ``Job``) from its standard input,
opens its connections, writes ``ready``, waits for another line, works, and writes an ``Outcome``.
"""

from __future__ import annotations

import dataclasses
import json
import re
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic, monotonic_ns, process_time

from typing_extensions import override

from tests.bench import payload
from tests.bench.dialects import DIALECTS
from tests.bench.job import Job, Outcome, Spread
from tests.bench.loop import Channel, Loop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)")
_UNREAD = -2  # the head has not been read
_CHUNKED = -1
_MAX_ERRORS = 5


@dataclass(slots=True)
class Round:
    """One job in work: what is still to do and what was seen.

    Attributes:
        judge: says what is wrong with an answer; empty when nothing is.
        left: exchanges still to begin, where ``until`` is 0.
        busy: connections that have not finished their part.
    """

    loop: Loop
    job: Job
    plan: payload.Plan
    judge: Callable[[bytes], str]
    left: int = 0
    until: float = 0.0
    busy: int = 0
    answered: int = 0
    failed: int = 0
    errors: list[str] = field(default_factory=list)
    whole_ns: list[int] = field(default_factory=list)
    first_ns: list[int] = field(default_factory=list)
    chunk_ns: list[int] = field(default_factory=list)
    left_ns: dict[str, int] = field(default_factory=dict)

    def wants_more(self) -> bool:
        """Whether another exchange is to begin; counts it if so."""
        if self.until:
            return monotonic() < self.until
        self.left -= 1
        return self.left >= 0

    def fail(self, message: str) -> None:
        """Count an answer that was wrong."""
        self.failed += 1
        if len(self.errors) < _MAX_ERRORS:
            self.errors.append(message)


class Connection(Channel):
    """One kept-alive connection to whom is asked."""

    __slots__ = (
        "_at_ns",
        "_is_busy",
        "_missing",
        "_next_chunk",
        "_parts",
        "_request",
        "_rest",
        "_round",
        "_tail",
        "name",
    )

    def __init__(self, work: Round, sock: socket.socket, request: bytes, name: str) -> None:
        super().__init__(work.loop, sock)
        self._round = work
        self._request = request
        self.name = name
        self._rest = b""
        self._tail = b""
        self._parts: list[bytes] = []
        self._missing = _UNREAD
        self._next_chunk = 0
        self._at_ns = 0
        self._is_busy = False

    def enlist(self, when: float) -> None:
        """Take part from ``when`` on."""
        if self.is_open:
            self._is_busy = True
            self._round.busy += 1
            self._round.loop.at(when, self.begin)

    def begin(self) -> None:
        """Ask, if there is more to ask."""
        if not self.is_open or not self._round.wants_more():
            self._retire()
            return
        self._missing = _UNREAD
        self._next_chunk = 0
        self._at_ns = monotonic_ns()
        self.send(self._request)
        job = self._round.job
        if job.leave_after_ms and self._round.plan.first_ms > 1000:
            self._round.loop.at(monotonic() + job.leave_after_ms / 1000, self.leave)

    def leave(self) -> None:
        """Go away in the middle; every other connection by a reset."""
        if self.is_open:
            self._round.left_ns[self.name] = monotonic_ns()
            self._retire()
            self.close(reset=self._fd % 2 == 0)

    def fail(self, message: str) -> None:
        """Count the answer as wrong and ask no more."""
        if self.is_open:
            self._round.fail(message)
            self._retire()
            self.close()

    def _retire(self) -> None:
        if self._is_busy:
            self._is_busy = False
            self._round.busy -= 1

    @property
    def is_waiting(self) -> bool:
        """Whether an answer is still to come."""
        return self.is_open and bool(self._at_ns)

    @override
    def received(self, data: bytes) -> None:
        now = monotonic_ns()
        if self._missing == _UNREAD:
            data = self._rest + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._rest = data
                return
            self._rest = b""
            if not self._read_head(data[: end + 2].lower()):
                self.fail(f"answered {data[:600].decode(errors='replace')!r}")
                return
            data = data[end + 4 :]
        if self._missing == _CHUNKED:
            content, is_end = self._dechunk(data)
        else:
            self._missing -= len(data)
            content, is_end = data, self._missing <= 0
        if self._round.plan.kind == "json":
            self._parts.append(content)
        elif content and not self._take_chunks(content, now):
            return
        if is_end:
            self._end(now)

    @override
    def ended(self) -> None:
        if self._at_ns:
            self.fail("the connection was closed before the answer's end")
        else:  # else fewer connections than asked for would work on
            self._round.fail("an idle connection was closed")

    def _read_head(self, head: bytes) -> bool:
        found = _LENGTH.search(head)
        self._missing = int(found[1]) if found else _CHUNKED
        if not found and b"\r\ntransfer-encoding: chunked" not in head:
            return False
        return head.startswith(b"http/1.1 200") and b"\r\nconnection: close" not in head

    def _dechunk(self, data: bytes) -> tuple[bytes, bool]:
        data = self._rest + data if self._rest else data
        pieces: list[bytes] = []
        at = 0
        while True:
            line = data.find(b"\r\n", at)
            if line < 0:
                break
            size = int(data[at:line], 16)
            end = line + 2 + size
            if len(data) < end + 2:
                break
            if not size:
                self._rest = b""
                return b"".join(pieces), True
            pieces.append(data[line + 2 : end])
            at = end + 2
        self._rest = data[at:]
        return b"".join(pieces), False

    def _take_chunks(self, content: bytes, now: int) -> bool:
        content = self._tail + content
        cut = content.rfind(b"\n\n") + 2
        if cut == 1:
            self._tail = content
            return True
        content, self._tail = content[:cut], content[cut:]
        work = self._round
        for number, written, came in payload.STAMP.findall(content):
            if self._next_chunk == work.plan.size:
                break  # some protocols repeat at the end all that was said
            if int(number) != self._next_chunk:
                self.fail(f"chunk {int(number)} came in place of {self._next_chunk}")
                return False
            written_ns = int(written)
            work.chunk_ns.append(now - written_ns)
            if not self._next_chunk:
                work.first_ns.append(now - self._at_ns - (written_ns - int(came)))
                if work.job.leave_after_ms:
                    work.loop.at(monotonic() + work.job.leave_after_ms / 1000, self.leave)
            self._next_chunk += 1
        self._parts.append(content)
        return True

    def _end(self, now: int) -> None:
        work = self._round
        content = b"".join(self._parts)
        self._parts.clear()
        if work.plan.kind == "sse":
            content = payload.STAMP.sub(b"#", content + self._tail)
            self._tail = b""
        if wrong := work.judge(content):
            self.fail(wrong)
            return
        work.whole_ns.append(now - self._at_ns)
        work.answered += 1
        self._at_ns = 0
        self.begin()


def _difference(found: bytes, expected: bytes) -> str:
    at = next((i for i, (a, b) in enumerate(zip(found, expected, strict=False)) if a != b), None)
    at = min(len(found), len(expected)) if at is None else at
    return (
        f"{len(found)} bytes in place of {len(expected)}, different from byte {at}: "
        f"{found[at : at + 60]!r} in place of {expected[at : at + 60]!r}"
    )


def _requests(job: Job, plan: payload.Plan) -> list[bytes]:
    """One request for each connection; all the same unless they must be told apart."""
    asked = [plan] * job.connections
    if job.leave_after_ms:
        asked = [dataclasses.replace(plan, name=f"{plan.name}{n}") for n in range(job.connections)]
    requests = {one: _request(job, one) for one in set(asked)}
    return [requests[one] for one in asked]


def _request(job: Job, plan: payload.Plan) -> bytes:
    path = payload.PATH
    if job.client:
        client, model = DIALECTS[job.client], payload.model_on(job.upstream)
        path = client.path(model, stream=plan.kind == "sse")
        body = client.body(plan, model, large=job.large)
    else:
        body = payload.request_body(plan, large=job.large, ask_usage=job.ask_usage)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{job.port}\r\n"
        f"Authorization: Bearer {payload.CLIENT_KEY}\r\nContent-Type: application/json\r\n"
        f"Accept: application/json\r\nUser-Agent: bench/1\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _judge(job: Job, plan: payload.Plan) -> Callable[[bytes], str]:
    """Whoever compares the answers to a plan with what they must be."""
    if job.client:
        client = DIALECTS[job.client]
        told = client.expected(plan, DIALECTS[job.upstream])

        def understand(content: bytes) -> str:
            try:
                found = client.read(content, plan)
            except (ValueError, LookupError, TypeError) as error:
                return f"{type(error).__name__} {error} in {content[:300]!r}"
            return "" if found == told else f"{found} in place of {told}"

        return understand
    expected = _expected(job, plan)
    return lambda content: "" if content == expected else _difference(content, expected)


def _expected(job: Job, plan: payload.Plan) -> bytes:
    if plan.kind == "sse":
        return payload.stream_answer(plan.size, job.ask_usage)
    body = payload.request_body(plan, job.upstream_model, large=job.large)
    return payload.json_answer(plan.size, payload.fingerprint_of(body))


def _connect(work: Round, requests: list[bytes]) -> list[Connection]:
    address = ("127.0.0.1", work.job.port)
    return [
        Connection(work, socket.create_connection(address), request, f"{work.plan.name}{number}")
        for number, request in enumerate(requests)
    ]


def _work(work: Round, connections: list[Connection], exchanges: int, until: float) -> None:
    """Let the connections work until the exchanges are done or the time has come."""
    work.left, work.until = exchanges, until
    now = monotonic()
    for number, connection in enumerate(connections):
        connection.enlist(now + number * work.job.stagger_ms / 1000)
    work.loop.run(lambda: not work.busy, now + work.job.timeout_s)
    for connection in connections:
        if connection.is_waiting:
            connection.fail(f"no answer within {work.job.timeout_s:g} s")


def _forget(work: Round) -> int:
    """Start to count anew; say how many answers there were."""
    answered, work.answered = work.answered, 0
    for seen in (work.whole_ns, work.first_ns, work.chunk_ns):
        seen.clear()
    return answered


def run(job: Job) -> Outcome:
    """Do one job, telling the benchmark when the counted part is to begin."""
    _, kind, size, spacing_ms, first_ms, name = job.plan.split(":")
    plan = payload.Plan(
        "sse" if kind == "sse" else "json", int(size), int(spacing_ms), int(first_ms), name
    )
    work = Round(Loop(), job, plan, _judge(job, plan))
    requests = _requests(job, plan)
    connections = _connect(work, requests) if job.warm >= 0 else []
    if job.warm > 0:
        _work(work, connections, job.warm * job.connections, 0.0)
    warmed = _forget(work)
    _say("ready")
    sys.stdin.readline()
    began, cpu = monotonic(), process_time()
    connections = connections or _connect(work, requests)
    until = began + job.duration_s if job.duration_s else 0.0
    _work(work, connections, job.repeat * job.connections, until)
    elapsed_s, own_cpu_s = monotonic() - began, process_time() - cpu
    for connection in connections:
        connection.close()
    work.loop.close()
    return Outcome(
        work.answered,
        work.failed,
        work.errors,
        elapsed_s,
        Spread.of(work.whole_ns),
        Spread.of(work.first_ns),
        Spread.of(work.chunk_ns),
        work.left_ns,
        warmed,
        own_cpu_s,
    )


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Do jobs until standard input ends."""
    while line := sys.stdin.readline():
        _say(json.dumps(dataclasses.asdict(run(Job(**json.loads(line))))))


if __name__ == "__main__":
    main()
