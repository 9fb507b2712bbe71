"""What holds for every codec; a new one enters by being registered."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import errors
from app.errors import ConfigError, ErrorReply, Garbled, GatewayError
from app.ir.events import (
    Delta,
    Event,
    Finish,
    FinishReason,
    Open,
    PartKind,
    Shut,
    Start,
    Usage,
    UsageEvent,
)
from app.protocols import CODECS
from app.protocols.base import Codec, Operation, Progress
from app.wire.sse import FrameCutter
from tests.contract.sayings import answers, seen_by

ALL = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())


def told(events: list[Event]) -> Usage:
    return [event.usage for event in events if isinstance(event, UsageEvent)][-1]


def read(codec: Codec, frames: list[bytes]) -> Progress:
    """What a relay learns: it reads only the frames that have a mark."""
    progress = Progress()
    for frame in frames:
        if any(mark in frame for mark in codec.marks):
            progress = codec.read_frame(frame, progress)
    return progress


@ALL
@given(events=answers())
def test_an_encoded_stream_tells_its_usage_and_its_end(codec: Codec, events: list[Event]) -> None:
    frames = list(codec.encode_stream(events))
    progress = read(codec, frames)
    assert progress.usage == seen_by(codec, told(events))
    assert progress.finished
    assert progress.failure is None
    assert progress.last is not codec.ends_by_close
    assert progress.answer_id.endswith("a1")


@ALL
@given(events=answers())
def test_a_frame_the_codec_passes_over_would_change_nothing(
    codec: Codec, events: list[Event]
) -> None:
    careful = sparing = Progress()
    for frame in codec.encode_stream(events):
        careful = codec.read_frame(frame, careful)
        if codec.tells(frame, sparing):
            sparing = codec.read_frame(frame, sparing)
    assert careful == sparing


@ALL
@given(events=answers())
def test_a_whole_answer_tells_what_its_stream_tells(codec: Codec, events: list[Event]) -> None:
    body = codec.encode_answer(events)
    progress = codec.read_answer(body, Progress())
    streamed = read(codec, list(codec.encode_stream(events)))
    assert (progress.usage, progress.answer_id) == (streamed.usage, streamed.answer_id)
    assert (progress.finished, progress.last, progress.failure) == (True, True, None)


@ALL
@given(events=answers(), data=st.data())
def test_a_stream_cut_before_its_end_is_not_finished(
    codec: Codec, events: list[Event], data: st.DataObject
) -> None:
    whole = b"".join(codec.encode_stream(events))
    frames = FrameCutter().feed(whole)
    terminal = next(
        number for number in range(len(frames) + 1) if read(codec, frames[:number]).finished
    )
    limit = sum(len(frame) for frame in frames[:terminal]) - 1
    cut = data.draw(st.integers(0, limit))
    cutter = FrameCutter()
    assert not read(codec, cutter.feed(whole[:cut])).finished


@ALL
@given(events=answers())
def test_frames_come_whole_out_of_single_bytes(codec: Codec, events: list[Event]) -> None:
    frames = list(codec.encode_stream(events))
    whole = b"".join(frames)
    cutter = FrameCutter()
    found = [frame for at in range(len(whole)) for frame in cutter.feed(whole[at : at + 1])]
    assert found == frames
    assert cutter.rest == b""


@ALL
@given(events=answers())
def test_every_frame_is_one_event_with_one_json_document(codec: Codec, events: list[Event]) -> None:
    for frame in codec.encode_stream(events):
        assert frame.endswith(b"\n\n")
        assert frame.count(b"\n\n") == 1
        data = codec.data(frame)
        assert data == b"[DONE]" or isinstance(json.loads(data), dict)


@ALL
def test_frames_leave_as_soon_as_their_event_is_known(codec: Codec) -> None:
    given_out: list[Event] = []

    def source() -> Iterator[Event]:
        said: list[Event] = [Start("a1", "m", 1), Open(PartKind.TEXT), Delta("word"), Delta("more")]
        for event in said:
            given_out.append(event)
            yield event

    for frame in codec.encode_stream(source()):
        if b"word" in frame:
            break
    assert given_out[-1] == Delta("word")


@ALL
def test_a_disordered_answer_is_no_whole_answer(codec: Codec) -> None:
    with pytest.raises(Garbled):
        codec.encode_answer([Start("a1", "m", 1), Delta("x"), Finish(FinishReason.STOP)])


@ALL
def test_a_call_without_arguments_has_empty_ones(codec: Codec) -> None:
    events: list[Event] = [
        Start("a1", "m", 1),
        Open(PartKind.TOOL_CALL, "c1", "look"),
        Shut(),
        Finish(FinishReason.STOP),
    ]
    whole, stream = codec.encode_answer(events), b"".join(codec.encode_stream(events))
    assert b"{}" in whole
    assert b"{}" in stream


@ALL
@pytest.mark.parametrize("arguments", ['{"sku": "A', "[1]", "7"])
def test_arguments_that_are_no_object_do_not_break_the_answer(codec: Codec, arguments: str) -> None:
    for reason in (FinishReason.LENGTH, FinishReason.TOOL_CALLS):
        events: list[Event] = [
            Start("a1", "m", 1),
            Open(PartKind.TOOL_CALL, "c1", "look"),
            Delta(arguments),
            Shut(),
            Finish(reason),
        ]
        assert json.loads(codec.encode_answer(events))
        assert read(codec, list(codec.encode_stream(events))).finished


def _made(kind: type[GatewayError]) -> GatewayError:
    if kind is ConfigError:
        return ConfigError("words", file="f")
    return kind("words", retry_after_s=2)


KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, GatewayError)
]


@ALL
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_has_words_in_every_protocol(codec: Codec, kind: type[GatewayError]) -> None:
    error = _made(kind)
    status = codec.error_status(error)
    body = json.loads(codec.encode_error(error, "req_1"))
    assert "words" in body["error"]["message"]
    assert "req_1" in json.dumps(body)
    assert 400 <= status <= 599
    assert (status >= 500) is (error.status >= 500)
    frame = codec.encode_stream_error(error, "req_1")
    assert FrameCutter().feed(frame) == [frame]
    assert codec.tells(frame, Progress())
    progress = codec.read_frame(frame, Progress())
    assert progress.failure is not None
    assert "words" in progress.failure.message
    assert not progress.finished


@ALL
def test_an_error_never_shows_the_providers_own_bytes(codec: Codec) -> None:
    reply = ErrorReply(500, (("x", "sk-secret"),), b"sk-secret")
    error = errors.Overloaded("words", reply=reply)
    assert b"secret" not in codec.encode_error(error, "req_1")


@ALL
def test_a_heartbeat_between_frames_teaches_nothing(codec: Codec) -> None:
    assert codec.read_frame(codec.heartbeat, Progress()) == Progress()
    assert not any(mark in codec.heartbeat for mark in codec.marks)


@ALL
@given(body=st.binary(max_size=60))
def test_any_bytes_are_either_read_or_refused(codec: Codec, body: bytes) -> None:
    try:
        codec.peek(body, Operation.GENERATE)
    except errors.BadRequest:
        return
    assert isinstance(json.loads(body), dict)


@ALL
@given(body=st.binary(max_size=60))
def test_any_bytes_of_an_answer_are_survived(codec: Codec, body: bytes) -> None:
    codec.read_answer(body, Progress())
    codec.read_frame(b"data: " + body + b"\n\n", Progress())


def test_codecs_are_registered_under_their_names() -> None:
    assert {name: codec.name for name, codec in CODECS.items()} == {name: name for name in CODECS}
    assert len(CODECS) == 4


WORKED = Usage(input_tokens=40, cache_read_tokens=60, output_tokens=20, reasoning_tokens=30)


@pytest.mark.parametrize(
    ("name", "member", "written"),
    [
        (
            "openai_chat",
            "usage",
            {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150},
        ),
        (
            "openai_responses",
            "usage",
            {"input_tokens": 100, "output_tokens": 50, "total_tokens": 150},
        ),
        (
            "anthropic_messages",
            "usage",
            {"input_tokens": 40, "cache_read_input_tokens": 60, "output_tokens": 50},
        ),
        (
            "gemini_generate",
            "usageMetadata",
            {
                "promptTokenCount": 100,
                "cachedContentTokenCount": 60,
                "candidatesTokenCount": 20,
                "thoughtsTokenCount": 30,
                "totalTokenCount": 150,
            },
        ),
    ],
)
def test_the_worked_example_of_usage(name: str, member: str, written: dict[str, int]) -> None:
    codec = CODECS[name]
    events: list[Event] = [Start("a", "m", 1), UsageEvent(WORKED), Finish(FinishReason.STOP)]
    body: dict[str, Any] = json.loads(codec.encode_answer(events))
    assert {key: body[member][key] for key in written} == written
    assert codec.read_answer(json.dumps(body).encode(), Progress()).usage == WORKED


@pytest.mark.parametrize(
    ("reason", "chat", "responses", "messages", "gemini"),
    [
        (FinishReason.STOP, "stop", ("completed", None), "end_turn", "STOP"),
        (
            FinishReason.LENGTH,
            "length",
            ("incomplete", {"reason": "max_output_tokens"}),
            "max_tokens",
            "MAX_TOKENS",
        ),
        (FinishReason.TOOL_CALLS, "tool_calls", ("completed", None), "tool_use", "STOP"),
        (
            FinishReason.REFUSAL,
            "content_filter",
            ("incomplete", {"reason": "content_filter"}),
            "refusal",
            "SAFETY",
        ),
    ],
)
def test_reasons_are_said_in_each_protocols_words(
    reason: FinishReason, chat: str, responses: Any, messages: str, gemini: str
) -> None:
    events: list[Event] = [Start("a", "m", 1), Finish(reason)]
    body = {name: json.loads(codec.encode_answer(events)) for name, codec in CODECS.items()}
    assert body["openai_chat"]["choices"][0]["finish_reason"] == chat
    response = body["openai_responses"]
    assert (response["status"], response["incomplete_details"]) == responses
    assert body["anthropic_messages"]["stop_reason"] == messages
    assert body["gemini_generate"]["candidates"][0]["finishReason"] == gemini
