"""A provider, or a client, that keeps us waiting: in each phase of a call."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.e2e.raw import Answer, Connection, ask, request_bytes
from tests.e2e.speech import CHAT, GEMINI, MESSAGES, RESPONSES, Speech, settings
from tests.fakes.gateway import Gateway, free_port
from tests.fakes.script import Step
from tests.fakes.upstream import EVENT_STREAM, Pause, Reply, ScriptedUpstream, WaitFor

TOO_LONG_S = 8.0
"""Far above the limits of the gateway under test, far below ``never``."""


@pytest.fixture
def never() -> Iterator[WaitFor]:
    """A pause that lasts as long as the test."""
    event = threading.Event()
    yield WaitFor(event)
    event.set()


def _ask(gateway: Gateway, speech: Speech, *, stream: bool, model: str = "") -> Answer:
    began = time.monotonic()
    answer = ask(
        gateway.port,
        "POST",
        speech.client_path(model, stream=stream),
        speech.body(model, stream=stream),
        [speech.key_header(gateway.key)],
    )
    assert time.monotonic() - began < TOO_LONG_S
    return answer


def _expect_timeout(speech: Speech, answer: Answer) -> None:
    assert answer.status == 504
    assert answer.whole
    expected = {
        MESSAGES.name: {"timeout_error"},
        GEMINI.name: {"DEADLINE_EXCEEDED"},
    }.get(speech.name, {"server_error", "timeout_error", "api_error"})
    assert speech.error_type(answer.json()) in expected


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("phase", ["before the head", "within the head", "before the body"])
def test_no_first_byte(
    phase: str,
    stream: bool,
    speech: Speech,
    hasty: Gateway,
    upstream: ScriptedUpstream,
    never: WaitFor,
) -> None:
    reply = {
        "before the head": Reply(before_head=never),
        "within the head": Reply(mid_head=never),
        "before the body": Reply(body=[never, b"{}"], headers=EVENT_STREAM, framing="chunked"),
    }[phase]
    upstream.reply(speech.upstream_path(stream=stream), reply)
    answer = _ask(hasty, speech, stream=stream)
    _expect_timeout(speech, answer)
    row = hasty.row(answer.request_id)
    assert (row["status"], row["blame"]) == (504, "upstream")


def test_a_whole_answer_that_stops_half_way(
    speech: Speech, hasty: Gateway, upstream: ScriptedUpstream, never: WaitFor
) -> None:
    body = speech.whole()
    steps: list[Step] = [body[:40], never, body[40:]]
    upstream.reply(speech.upstream_path(), Reply(body=steps))
    _expect_timeout(speech, _ask(hasty, speech, stream=False))


def test_a_stream_that_stops_half_way(
    speech: Speech, hasty: Gateway, upstream: ScriptedUpstream, never: WaitFor
) -> None:
    frames = speech.frames("one two three four")
    steps: list[Step] = [*frames[:3], never, *frames[3:]]
    upstream.reply(
        speech.upstream_path(stream=True),
        Reply(body=steps, headers=EVENT_STREAM, framing="chunked"),
    )
    answer = _ask(hasty, speech, stream=True)
    assert answer.status == 200
    assert not answer.whole
    assert answer.body.startswith(b"".join(frames[:3]))
    assert b"error" in answer.body[len(b"".join(frames[:3])) :]
    row = hasty.row(answer.request_id)
    assert (row["status"], row["blame"], row["estimated"]) == (200, "upstream", 1)


def test_comments_are_no_progress(
    speech: Speech, hasty: Gateway, upstream: ScriptedUpstream
) -> None:
    """A connection kept open by comments alone is as dead as a silent one."""
    first, *rest = speech.frames("one two three four")
    beats = [step for _ in range(100) for step in (Pause(0.1), b": still here\n\n")]
    upstream.reply(
        speech.upstream_path(stream=True),
        Reply(body=[first, *beats, *rest], headers=EVENT_STREAM, framing="chunked"),
    )
    answer = _ask(hasty, speech, stream=True)
    assert not answer.whole
    assert b"error" in answer.body[len(first) :]


def test_a_slow_stream_that_goes_on_is_left_alone(
    speech: Speech, hasty: Gateway, upstream: ScriptedUpstream
) -> None:
    """Longer than every limit in all, shorter than each in its parts."""
    frames = speech.frames("one two three four five six seven")
    steps = [step for frame in frames for step in (Pause(0.15), frame)]
    upstream.reply(
        speech.upstream_path(stream=True),
        Reply(body=steps, headers=EVENT_STREAM, framing="chunked"),
    )
    answer = _ask(hasty, speech, stream=True)
    assert answer.whole
    assert answer.body == b"".join(frames)


def test_a_provider_that_does_not_read(hasty: Gateway, upstream: ScriptedUpstream) -> None:
    """More than all buffers between hold, so that sending itself hangs."""
    upstream.stop_reading("/openai/v1/embeddings")
    body = b'{"model":"embedding-test","input":"%b"}' % (b"x" * 30_000_000)
    began = time.monotonic()
    headers = [CHAT.key_header(hasty.key)]
    answer = ask(hasty.port, "POST", "/v1/embeddings", body, headers)
    assert answer.status in (503, 504)
    assert time.monotonic() - began < TOO_LONG_S


def test_a_client_that_stops_sending(hasty: Gateway, upstream: ScriptedUpstream) -> None:
    whole = request_bytes("POST", CHAT.client_path(), CHAT.body(), [CHAT.key_header(hasty.key)])
    with Connection(hasty.port) as client:
        client.send(whole[:-10])
        answer = client.answer()
    assert answer.status == 408
    assert upstream.requests == []


def test_a_client_that_stops_reading(hasty: Gateway, upstream: ScriptedUpstream) -> None:
    """It is given up after ``client-timeout``, and the provider with it."""
    frame = b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % (b"x" * 60_000)
    upstream.reply(
        CHAT.upstream_path(stream=True),
        Reply(body=[frame] * 2_000, headers=EVENT_STREAM, framing="chunked"),
    )
    began = time.monotonic()
    with Connection(hasty.port, receive_buffer=4096) as client:
        body = CHAT.body(stream=True)
        client.send(request_bytes("POST", CHAT.client_path(), body, [CHAT.key_header(hasty.key)]))
        answer = client.head()
        row = hasty.row(answer.request_id, TOO_LONG_S)
    assert time.monotonic() - began < TOO_LONG_S
    assert (row["status"], row["estimated"]) == (499, 1)


# Places that cannot be reached


@contextlib.contextmanager
def _full_listener() -> Iterator[int]:
    """A port whose queue is full: connecting to it hangs."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as listener,
        contextlib.ExitStack() as held,
    ):
        port: int = listener.getsockname()[1]
        for _ in range(4):
            filler = held.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(("127.0.0.1", port))
        yield port


@pytest.fixture(scope="module")
def lost() -> Iterator[Gateway]:
    """A gateway whose providers cannot be reached, each in its own way."""
    with _full_listener() as full, socket.create_server(("127.0.0.1", 0)) as silent:
        places = {
            "full": f"http://127.0.0.1:{full}/v1",
            "silent-tls": f"https://127.0.0.1:{silent.getsockname()[1]}/v1",
            "closed": f"http://127.0.0.1:{free_port()}/v1",
            "unknown": "http://nowhere.invalid/v1",
            "dead-proxy": f"http://127.0.0.1:{silent.getsockname()[1]}/v1",
        }
        blocks = [
            {
                "name": name,
                "base-url": url,
                "models": [name],
                "api-key-entries": [{"api-key": "k", **_proxy(name)}],
            }
            for name, url in places.items()
        ]
        limits = {"connect-timeout": 0.5, "first-byte-timeout": 20}
        with Gateway({"openai-compatibility": blocks, **limits}) as running:
            yield running


def _proxy(name: str) -> dict[str, str]:
    dead = name == "dead-proxy"
    return {"proxy-url": f"http://127.0.0.1:{free_port()}"} if dead else {}


@pytest.mark.parametrize(
    ("model", "statuses"),
    [
        ("full", {504}),
        ("silent-tls", {503, 504}),
        ("closed", {502, 503}),
        ("unknown", {502, 503}),
        ("dead-proxy", {502, 503}),
    ],
)
def test_a_provider_out_of_reach(model: str, statuses: set[int], lost: Gateway) -> None:
    answer = _ask(lost, CHAT, stream=True, model=model)
    assert answer.status in statuses
    assert answer.whole
    message = CHAT.error_message(answer.json())
    assert "127.0.0.1" not in message
    assert "nowhere.invalid" not in message


# The limit on a whole call


@pytest.fixture(scope="module")
def bounded(provider: ScriptedUpstream) -> Iterator[Gateway]:
    """A gateway that allows a call one second in all."""
    with Gateway(settings(provider.url) | {"total-timeout": 1.0}) as running:
        yield running


@pytest.mark.parametrize("speech", [CHAT, RESPONSES, MESSAGES], ids=lambda speech: speech.name)
def test_a_call_may_be_limited_as_a_whole(
    speech: Speech, bounded: Gateway, upstream: ScriptedUpstream
) -> None:
    first, second, *_ = speech.frames("one two three")
    steps = [first, *(step for _ in range(200) for step in (Pause(0.1), second))]
    upstream.reply(
        speech.upstream_path(stream=True),
        Reply(body=steps, headers=EVENT_STREAM, framing="chunked"),
    )
    began = time.monotonic()
    answer = _ask(bounded, speech, stream=True)
    assert time.monotonic() - began >= 0.9
    assert not answer.whole
    assert b"error" in answer.body[-400:]
