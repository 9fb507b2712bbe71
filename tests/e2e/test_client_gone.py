"""A client that leaves, or reads slowly: the provider must feel it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from typing import overload

import psutil
import pytest
from typing_extensions import override

from tests.e2e.raw import Connection, request_bytes
from tests.e2e.speech import CHAT, Speech
from tests.fakes.gateway import Gateway
from tests.fakes.script import Step
from tests.fakes.upstream import EVENT_STREAM, Pause, Reply, ScriptedUpstream, WaitFor
from tests.fakes.waiting import wait_until

LATENCY_S = 0.050
TRIES = 3
"""The machine may be busy with something else once; the best of these counts."""


@pytest.fixture
def never() -> Iterator[WaitFor]:
    """A pause that lasts as long as the test."""
    event = threading.Event()
    yield WaitFor(event)
    event.set()


def _reply(phase: str, speech: Speech, never: WaitFor) -> tuple[Reply, bytes]:
    """The provider's script, and what the client has read of it when it leaves."""
    frames = speech.frames("one two three")
    paced: list[Step] = [step for _ in range(3000) for step in (Pause(0.01), frames[1])]
    half = speech.whole()[:60]
    match phase:
        case "between frames":
            return Reply(body=[frames[0], *paced], headers=EVENT_STREAM, framing="chunked"), frames[
                0
            ]
        case "silent after a frame":
            return (
                Reply(body=[frames[0], never], headers=EVENT_STREAM, framing="chunked"),
                frames[0],
            )
        case "silent before the head":
            return Reply(before_head=never), b""
        case "silent before the body":
            return Reply(body=[never], headers=EVENT_STREAM, framing="chunked"), b""
        case _:
            return Reply(body=[half, never, speech.whole()[60:]]), b""


PHASES = [
    ("between frames", True),
    ("silent after a frame", True),
    ("silent before the head", True),
    ("silent before the head", False),
    ("silent before the body", True),
    ("silent half way", False),
]


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize(("phase", "stream"), PHASES)
def test_the_provider_is_let_go_at_once(
    phase: str,
    stream: bool,
    how: str,
    speech: Speech,
    gateway: Gateway,
    upstream: ScriptedUpstream,
    never: WaitFor,
) -> None:
    reply, read = _reply(phase, speech, never)
    upstream.reply(speech.upstream_path(stream=stream), reply)
    taken: list[float] = []
    while len(taken) < TRIES and min(taken, default=1.0) > LATENCY_S:
        taken.append(_leave(gateway, upstream, speech, stream=stream, how=how, read=read))
    assert min(taken) <= LATENCY_S, taken


def _leave(
    gateway: Gateway,
    upstream: ScriptedUpstream,
    speech: Speech,
    *,
    stream: bool,
    how: str,
    read: bytes,
) -> float:
    """Seconds between the client's hanging up and the provider's seeing it."""
    before = len(upstream.requests)
    rows = len(gateway.ledger_rows())
    with Connection(gateway.port) as client:
        path, body = speech.client_path(stream=stream), speech.body(stream=stream)
        client.send(request_bytes("POST", path, body, [speech.key_header(gateway.key)]))
        wait_until(lambda: len(upstream.requests) > before, what="the provider is asked")
        link = upstream.requests[-1].connection
        if read:
            client.head()
            client.until(read)
        assert upstream.closed_at(link) is None
        left = client.close() if how == "close" else client.reset()
    wait_until(lambda: upstream.closed_at(link) is not None, what="the provider is let go")
    closed = upstream.closed_at(link)
    assert closed is not None
    wait_until(lambda: len(gateway.ledger_rows()) > rows, what="the row")
    row = gateway.ledger_rows()[-1]
    assert (row["status"], row["blame"]) == (499, "")
    assert row["estimated"] == 1
    assert row["input_tokens"] > 0
    return closed - left


def test_a_client_that_has_sent_too_much_is_still_watched(
    gateway: Gateway, upstream: ScriptedUpstream, never: WaitFor
) -> None:
    """Bytes behind the request keep the socket readable; a hang-up behind them counts too."""
    upstream.reply(CHAT.upstream_path(), Reply(before_head=never))
    taken: list[float] = []
    for _ in range(TRIES):
        before = len(upstream.requests)
        with Connection(gateway.port) as client:
            request = request_bytes(
                "POST", CHAT.client_path(), CHAT.body(), [CHAT.key_header(gateway.key)]
            )
            client.send(request + b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            wait_until(lambda seen=before: len(upstream.requests) > seen)  # type: ignore[misc]
            link = upstream.requests[-1].connection
            left = client.close()
        wait_until(lambda at=link: upstream.closed_at(at) is not None)  # type: ignore[misc]
        taken.append((upstream.closed_at(link) or 0.0) - left)
        if taken[-1] <= LATENCY_S:
            break
    assert min(taken) <= LATENCY_S, taken


def test_a_client_that_leaves_a_large_answer(
    gateway: Gateway, upstream: ScriptedUpstream, never: WaitFor
) -> None:
    """Past the size up to which a whole answer is held back, it goes through piece by piece."""
    body = CHAT.whole("x" * 2_000_000)
    steps: list[Step] = [body[:1_000_000], never, body[1_000_000:]]
    upstream.reply(CHAT.upstream_path(), Reply(body=steps))
    with Connection(gateway.port) as client:
        headers = [CHAT.key_header(gateway.key)]
        client.send(request_bytes("POST", CHAT.client_path(), CHAT.body(), headers))
        request_id = client.head().request_id
        client.until(body[:500_000])
        link = upstream.requests[-1].connection
    wait_until(lambda: upstream.closed_at(link) is not None, what="the provider is let go")
    row = gateway.row(request_id)
    assert (row["status"], row["estimated"]) == (499, 1)
    assert row["output_tokens"] > 0


def test_others_are_not_disturbed(
    gateway: Gateway, upstream: ScriptedUpstream, never: WaitFor
) -> None:
    gate = threading.Event()
    first, *rest = CHAT.frames("one two three")
    steps: list[Step] = [first, WaitFor(gate), *rest]
    upstream.reply(
        CHAT.upstream_path(stream=True),
        Reply(body=steps, headers=EVENT_STREAM, framing="chunked"),
    )
    request = request_bytes(
        "POST", CHAT.client_path(), CHAT.body(stream=True), [CHAT.key_header(gateway.key)]
    )
    with Connection(gateway.port) as staying, Connection(gateway.port) as leaving:
        for client in (staying, leaving):
            client.send(request)
            client.head()
            client.until(first)
        left = upstream.requests[-1].connection
        leaving.close()
        wait_until(lambda: upstream.closed_at(left) is not None)
        gate.set()
        assert staying.rest().whole


# A client that reads slowly


class _Counted(Sequence[Step]):
    """The same bytes many times over, counting how many were taken."""

    def __init__(self, head: bytes, piece: bytes, count: int, tail: bytes) -> None:
        self._steps = (head, piece, tail)
        self._count = count
        self.taken = 0

    @override
    def __iter__(self) -> Iterator[Step]:
        head, piece, tail = self._steps
        yield head
        for _ in range(self._count):
            self.taken += 1
            yield piece
        yield tail

    @override
    def __len__(self) -> int:
        return self._count + 2

    @overload
    def __getitem__(self, index: int) -> Step: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Step]: ...
    @override
    def __getitem__(self, index: int | slice) -> Step | Sequence[Step]:
        return list(self)[index]


def test_a_slow_reader_slows_the_provider_and_gets_everything(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    count, size = 1_500, 40_000
    head, *end = CHAT.frames("one")
    frame = b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % (b"x" * size)
    start = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    script = _Counted(start + head, frame, count, b"".join(end))
    upstream.reply(CHAT.upstream_path(stream=True), Reply(raw=script))
    worker = psutil.Process(gateway.worker_pids()[0])
    memory = worker.memory_info().rss
    digest = hashlib.sha256(head)
    for _ in range(count):
        digest.update(frame)
    digest.update(b"".join(end))
    with Connection(gateway.port, receive_buffer=8192) as client:
        body = CHAT.body(stream=True)
        headers = [CHAT.key_header(gateway.key)]
        client.send(request_bytes("POST", CHAT.client_path(), body, headers))
        client.head()
        client.until(head)
        _wait_until_it_stands_still(script)
        assert script.taken < count // 2
        assert worker.memory_info().rss - memory < 24 * 1024 * 1024
        answer = client.rest()
    assert answer.whole
    assert hashlib.sha256(answer.body).digest() == digest.digest()


def _wait_until_it_stands_still(script: _Counted) -> None:
    """Nothing taken in a hundred looks in a row means that the provider is held back."""
    looks, before = 0, -1

    def is_still() -> bool:
        nonlocal looks, before
        looks = looks + 1 if script.taken == before else 0
        before = script.taken
        return looks > 100

    wait_until(is_still, 20, "the provider is held back")
