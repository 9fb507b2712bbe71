"""Answers that begin before any provider has answered: heartbeats, and what may follow them."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import gevent
import orjson
import pytest

from app.config.schema import Config, Streaming
from app.errors import Overloaded, QuotaExhausted
from app.gateway.exchange import Answer, Exchange
from app.gateway.serve import ClientGone, LateAnswer
from app.protocols import CODECS
from tests.fakes import answers
from tests.fakes.script import Step
from tests.fakes.upstream import EVENT_STREAM, Reply, ScriptedUpstream, WaitFor
from tests.gateway.world import World, credential, exchange, gwait, taken, taken_until_cut

pytestmark = pytest.mark.usefixtures("cooperative")

SOON_S = 0.02
SOON = Config(streaming=Streaming(keepalive_seconds=SOON_S), nonstream_keepalive_interval=SOON_S)
PATIENT = Config(streaming=Streaming(keepalive_seconds=60), nonstream_keepalive_interval=60)
BEAT = CODECS["openai_chat"].heartbeat
STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What the provider waits for before it says anything."""
    event = threading.Event()
    yield event
    event.set()


def _asked(
    upstream: ScriptedUpstream, *replies: Reply, stream: bool, config: Config = SOON
) -> Exchange:
    upstream.reply("*", *replies)
    credentials = [credential(f"c{n}", f"{upstream.url}/v1") for n, _ in enumerate(replies)]
    return exchange(*credentials, stream=stream, config=config)


def _answer(gate: threading.Event, *, stream: bool) -> tuple[Reply, bytes]:
    if not stream:
        body = answers.chat_answer()
        return Reply(body=body, before_head=WaitFor(gate)), body
    frames = answers.chat_stream()
    reply = Reply(body=frames, headers=EVENT_STREAM, framing="chunked", before_head=WaitFor(gate))
    return reply, b"".join(frames)


def _after_beats(answer: Answer, gate: threading.Event, beat: bytes) -> Iterator[bytes]:
    """The pieces of an answer; the provider may speak after the second beat."""
    pieces = iter(answer)
    assert next(pieces) == beat
    assert next(pieces) == beat
    gate.set()
    return pieces


@STREAMS
def test_an_answer_that_comes_late(
    stream: bool, world: World, upstream: ScriptedUpstream, gate: threading.Event
) -> None:
    reply, body = _answer(gate, stream=stream)
    answer = world.serve(_asked(upstream, reply, stream=stream))
    beat = BEAT if stream else b"\n"
    assert isinstance(answer, LateAnswer)
    assert answer.status == 200
    kind = "text/event-stream; charset=utf-8" if stream else "application/json"
    assert ("Content-Type", kind) in answer.headers
    rest = b"".join(_after_beats(answer, gate, beat))
    answer.close()
    assert rest.removeprefix(beat * (rest.count(beat) if stream else 0)).lstrip(b"\n") == body
    assert (world.row().status, world.row().blame) == (200, "")


@STREAMS
def test_an_answer_that_comes_in_time(
    stream: bool, world: World, upstream: ScriptedUpstream, gate: threading.Event
) -> None:
    gate.set()
    reply, body = _answer(gate, stream=stream)
    answer = world.serve(_asked(upstream, reply, stream=stream, config=PATIENT))
    assert not isinstance(answer, LateAnswer)
    assert taken(answer) == body


@STREAMS
def test_a_failure_in_time_is_raised(
    stream: bool, world: World, upstream: ScriptedUpstream
) -> None:
    asked = _asked(upstream, answers.openai_error(429, "slow"), stream=stream, config=PATIENT)
    with pytest.raises(QuotaExhausted, match="slow"):
        world.serve(asked)
    assert (world.row().status, world.row().blame) == (429, "model")


def test_a_late_failure_of_a_whole_answer(
    world: World, upstream: ScriptedUpstream, gate: threading.Event
) -> None:
    error = answers.openai_error(503, "busy")
    asked = _asked(upstream, Reply(503, error.body, before_head=WaitFor(gate)), stream=False)
    answer = world.serve(asked)
    rest = b"".join(_after_beats(answer, gate, b"\n"))
    answer.close()
    assert orjson.loads(rest)["error"]["message"] == "busy"
    assert (world.row().status, world.row().blame) == (200, "upstream")


def test_a_late_failure_of_a_stream(
    world: World, upstream: ScriptedUpstream, gate: threading.Event
) -> None:
    error = answers.openai_error(503, "busy")
    asked = _asked(upstream, Reply(503, error.body, before_head=WaitFor(gate)), stream=True)
    threading.Timer(3 * SOON_S, gate.set).start()
    got, reason = taken_until_cut(world.serve(asked))
    assert isinstance(reason, Overloaded)
    beats, _, frame = got.partition(b"data: ")
    assert beats == BEAT * beats.count(BEAT)
    assert orjson.loads(frame)["error"]["message"] == "busy"
    assert (world.row().status, world.row().blame) == (200, "upstream")


def test_the_next_credential_behind_a_beat(
    world: World, upstream: ScriptedUpstream, gate: threading.Event
) -> None:
    error = answers.openai_error(503, "busy")
    first = Reply(503, error.body, before_head=WaitFor(gate))
    second = answers.streamed(answers.chat_stream())
    answer = world.serve(_asked(upstream, first, second, stream=True))
    rest = b"".join(_after_beats(answer, gate, BEAT))
    answer.close()
    assert rest.replace(BEAT, b"") == b"".join(answers.chat_stream())
    assert world.row().attempts == 2


@STREAMS
@pytest.mark.parametrize("begun", [False, True], ids=["at once", "after a beat"])
def test_a_client_that_leaves_a_late_answer(
    begun: bool,
    stream: bool,
    world: World,
    upstream: ScriptedUpstream,
    gate: threading.Event,
) -> None:
    reply, _ = _answer(gate, stream=stream)
    answer = world.serve(_asked(upstream, reply, stream=stream))
    if begun:
        next(iter(answer))
    gwait(lambda: upstream.requests)
    answer.close()
    gwait(lambda: upstream.closed_at(0) is not None)
    assert (world.row().status, world.row().blame) == (499, "")
    assert world.row().usage.estimated


def test_a_client_that_leaves_a_late_answer_that_has_begun(
    world: World, upstream: ScriptedUpstream, gate: threading.Event
) -> None:
    frames = answers.chat_stream()
    other = threading.Event()
    steps: list[Step] = [frames[0], WaitFor(other), *frames[1:]]
    reply = Reply(body=steps, headers=EVENT_STREAM, framing="chunked", before_head=WaitFor(gate))
    answer = world.serve(_asked(upstream, reply, stream=True))
    pieces = _after_beats(answer, gate, BEAT)
    while next(pieces) != frames[0]:
        pass
    answer.close()
    gwait(lambda: upstream.closed_at(0) is not None)
    other.set()
    assert (world.row().status, world.row().blame) == (499, "")


@pytest.mark.parametrize("config", [PATIENT, Config(streaming=Streaming(keepalive_seconds=0))])
def test_a_client_that_leaves_before_anything_was_said(
    config: Config, world: World, upstream: ScriptedUpstream, gate: threading.Event
) -> None:
    reply, _ = _answer(gate, stream=True)
    serving = gevent.spawn(world.serve, _asked(upstream, reply, stream=True, config=config))
    gwait(lambda: upstream.requests)
    serving.kill(ClientGone)
    assert isinstance(serving.value, ClientGone)
    gwait(lambda: upstream.closed_at(0) is not None)
    assert (world.row().status, world.row().blame) == (499, "")


def test_an_answer_that_comes_although_nobody_waits_is_let_go(
    world: World, upstream: ScriptedUpstream, gate: threading.Event
) -> None:
    """The client leaves between a beat and the first event, which has come meanwhile."""
    frames = answers.chat_stream()
    never = threading.Event()
    steps: list[Step] = [frames[0], WaitFor(never)]
    reply = Reply(body=steps, headers=EVENT_STREAM, framing="chunked", before_head=WaitFor(gate))
    asked = _asked(upstream, reply, stream=True)
    answer = world.serve(asked)
    next(iter(answer))
    gate.set()
    gwait(lambda: asked.body == b"")  # the attempt has succeeded
    assert upstream.closed_at(0) is None
    answer.close()
    gwait(lambda: upstream.closed_at(0) is not None)
    never.set()
    assert [row.status for row in world.ledger.records()] == [499]
