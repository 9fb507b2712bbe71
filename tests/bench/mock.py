"""The mock upstream: a provider that answers what a request's plan says.

Run as a process of its own; prints its port and serves until its standard input ends.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from time import monotonic, monotonic_ns

from typing_extensions import override

from tests.bench import conversation, payload
from tests.bench.dialects import Dialect, dialect_of
from tests.bench.loop import Channel, Loop

_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_JSON_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-request-id: req_bench\r\n"
    b"Content-Length: %d\r\n\r\n"
)
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    b"x-request-id: req_bench\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_MAX_WAIT_S = 0.5
_LAST = b"0\r\n\r\n"


def _chunked(frame: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(frame), frame)


_CHUNK = b"%x\r\n" % payload.CHUNK_BYTES + payload.CHUNK + b"\r\n"
_MARK = b"[bench:"  # a plan in the last words: the request may come from another protocol
_REFUSED = b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n"
_END = {
    with_usage: b"".join(map(_chunked, payload.stream_end(with_usage))) + _LAST
    for with_usage in (False, True)
}


class Upstream:
    """What all connections share: the loop and the counts that the benchmark asks for."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.gone: dict[str, int] = {}
        self.streams = 0
        self.most_streams = 0
        self._begun = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._listener.setblocking(False)
        loop.watch(self._listener.fileno(), self._accept)

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def beat(self, earliest: float, spacing_s: float) -> float:
        """When a paced stream begins, so that the streams spread evenly over their spacing.

        Streams that ticked together would wake whoever relays them once for all. No provider does
        that favour, and by how much it helps would change from round to round. Multiples of the
        golden ratio spread evenly however many there are.
        """
        self._begun += 1
        width = min(spacing_s, _MAX_WAIT_S)
        if not width:
            return earliest
        return earliest + (self._begun * 0.618034 * width - earliest) % width

    def _accept(self, _events: int) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            Caller(self, sock)

    def report(self, path: bytes) -> bytes:
        """Answer the benchmark's own questions.

        ``/bench/gone``: when the peer closed, monotonic ns, by the name of an exchange it left
        unfinished; ``/bench/streams``: the most streams open at once since the last such question.
        """
        if path == b"/bench/gone":
            return json.dumps(self.gone).encode()
        if path == b"/bench/streams":
            most, self.most_streams = self.most_streams, self.streams
            return b"%d" % most
        models = [{"id": payload.UPSTREAM_MODEL, "object": "model", "created": 0, "owned_by": "-"}]
        return json.dumps({"object": "list", "data": models}).encode()


class Caller(Channel):
    """One connection of the application under test."""

    __slots__ = (
        "_begin",
        "_came_ns",
        "_chunk",
        "_due",
        "_end",
        "_missing",
        "_parts",
        "_path",
        "_plan",
        "_rest",
        "_sent",
        "_upstream",
    )

    def __init__(self, upstream: Upstream, sock: socket.socket) -> None:
        super().__init__(upstream.loop, sock)
        self._upstream = upstream
        self._rest = b""
        self._parts: list[bytes] = []
        self._missing = 0
        self._plan: payload.Plan | None = None  # being answered
        self._sent = 0
        self._due = 0.0
        self._came_ns = 0
        self._path = b""
        self._begin = self._chunk = self._end = b""

    @override
    def received(self, data: bytes) -> None:
        if self._missing:
            self._parts.append(data)
            self._missing -= len(data)
            if self._missing <= 0:
                parts, self._parts, self._missing = self._parts, [], 0
                self._answer(b"".join(parts))
            return
        data = self._rest + data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._rest = data
            return
        self._rest = b""
        if data.startswith(b"GET "):
            answer = self._upstream.report(data.split(b" ", 2)[1])
            self.send(_JSON_HEAD % len(answer) + answer)
            return
        found = _LENGTH.search(data, 0, end)
        if not found:
            self.send(b"HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\n\r\n")
            return
        self._path = data.split(b" ", 2)[1]
        body = data[end + 4 :]
        self._missing = int(found[1]) - len(body)
        if self._missing > 0:
            self._parts.append(body)
        else:
            self._missing = 0
            self._answer(body)

    @override
    def ended(self) -> None:
        plan = self._plan
        if plan is not None:
            self._upstream.gone[plan.name] = monotonic_ns()
            self._upstream.streams -= plan.kind == "sse"

    def _answer(self, body: bytes) -> None:
        self._came_ns = monotonic_ns()
        plan = self._plan = payload.plan_of(body)
        dialect = dialect_of(self._path) if _MARK in body else None
        is_large = dialect is not None and len(body) >= payload.ECHO_BYTES
        if is_large and (lacking := conversation.lacks(body)):
            self.send(_REFUSED % len(lacking) + lacking.encode())
            return
        if plan.kind == "json":
            if dialect is not None:
                answer = dialect.answer(plan.size)
            else:
                answer = payload.json_answer(plan.size, payload.fingerprint_of(body))
            if plan.first_ms:
                self._loop.at(monotonic() + plan.first_ms / 1000, lambda: self._whole(answer))
            else:
                self._whole(answer)
            return
        self._speak(dialect, plan, body)
        self._sent = 0
        upstream = self._upstream
        upstream.streams += 1
        upstream.most_streams = max(upstream.most_streams, upstream.streams)
        if plan.spacing_ms or plan.first_ms:
            self._due = upstream.beat(monotonic() + plan.first_ms / 1000, plan.spacing_ms / 1000)
            self._loop.at(self._due, self._next_chunk)
        else:
            self._burst(plan)

    def _speak(self, dialect: Dialect | None, plan: payload.Plan, body: bytes) -> None:
        """Choose the frames of a stream, as a chunked body."""
        if dialect is None:
            self._begin, self._chunk = b"", _CHUNK
            self._end = _END[payload.wants_usage(body)]
            return
        self._begin = _chunked(dialect.beginning()) if dialect.beginning() else b""
        self._chunk = b"%x\r\n" % payload.CHUNK_BYTES + dialect.chunk() + b"\r\n"
        self._end = _chunked(dialect.end(plan.size)) + _LAST

    def _whole(self, answer: bytes) -> None:
        if self.is_open:
            self._plan = None
            self.send(_JSON_HEAD % len(answer) + answer)

    def _burst(self, plan: payload.Plan) -> None:
        now = monotonic_ns()
        chunks = [self._chunk % (number, now, self._came_ns) for number in range(plan.size)]
        self._finished()
        self.send(_STREAM_HEAD + self._begin + b"".join(chunks) + self._end)

    def _next_chunk(self) -> None:
        plan = self._plan
        if plan is None or not self.is_open:
            return
        number = self._sent
        self._sent = number + 1
        chunk = self._chunk % (number, monotonic_ns(), self._came_ns)
        if number == 0:
            chunk = _STREAM_HEAD + self._begin + chunk
        if self._sent == plan.size:
            self._finished()
            self.send(chunk + self._end)
            return
        self.send(chunk)
        self._due += plan.spacing_ms / 1000
        self._loop.at(self._due, self._next_chunk)

    def _finished(self) -> None:
        self._plan = None
        self._upstream.streams -= 1


def main() -> None:
    """Serve until standard input ends, so that no mock outlives its benchmark."""
    loop = Loop()
    upstream = Upstream(loop)
    stopped: list[bool] = []

    def hear(_events: int) -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            stopped.append(True)

    loop.watch(sys.stdin.fileno(), hear)
    sys.stdout.write(f"{upstream.port}\n")
    sys.stdout.flush()
    loop.run(lambda: bool(stopped))


if __name__ == "__main__":
    main()
