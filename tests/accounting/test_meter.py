from __future__ import annotations

import pytest

from app.accounting.meter import Meter
from app.ir.events import Usage
from app.protocols import CODECS
from app.protocols.base import Codec, Operation
from tests.fakes import answers

CHAT = CODECS["openai_chat"]
TOLD = Usage(input_tokens=11, output_tokens=7)
WRITING = {Operation.GENERATE, Operation.COMPLETE, Operation.COMPACT}
READING = {Operation.EMBED, Operation.BATCH_EMBED}


def _meter(
    operation: Operation = Operation.GENERATE,
    *,
    request_bytes: int = 401,
    asked: bool = True,
    codec: Codec = CHAT,
) -> Meter:
    meter = Meter(codec, operation, request_bytes)
    if asked:
        meter.restart()
    return meter


def _feed(meter: Meter, frames: list[bytes]) -> Meter:
    for frame in frames:
        meter.read_frame(frame)
    return meter


STREAMS = {
    "openai_chat": answers.chat_stream("one two three"),
    "openai_responses": answers.responses_stream("one two three"),
    "anthropic_messages": answers.messages_stream("one two three"),
    "gemini_generate": answers.gemini_stream("one two three"),
}


@pytest.mark.parametrize("name", STREAMS)
def test_what_the_provider_says_counts(name: str) -> None:
    meter = _feed(_meter(codec=CODECS[name]), STREAMS[name])
    assert meter.usage() == TOLD
    assert meter.frames == len(STREAMS[name])
    assert meter.progress.finished


def test_a_whole_answer() -> None:
    meter = _meter()
    meter.read_answer(answers.chat_answer())
    assert meter.usage() == TOLD


@pytest.mark.parametrize("operation", Operation, ids=lambda operation: operation.value)
def test_an_answer_without_usage(operation: Operation) -> None:
    """Only what costs tokens is estimated; the bytes of an embedding are no output."""
    meter = _meter(operation)
    meter.read_answer(b"{}")
    meter.passed_bytes = 42
    match operation:
        case _ if operation in WRITING:
            expected = Usage(input_tokens=101, output_tokens=11, estimated=True)
        case _ if operation in READING:
            expected = Usage(input_tokens=101, estimated=True)
        case _:
            expected = Usage()
    assert meter.usage() == expected


@pytest.mark.parametrize("operation", Operation, ids=lambda operation: operation.value)
def test_nothing_is_estimated_where_nobody_was_asked(operation: Operation) -> None:
    assert _meter(operation, asked=False).usage() == Usage()


def test_a_finished_stream_without_usage_costs_a_token_for_each_frame() -> None:
    frames = answers.chat_stream("one two three", with_usage=False)
    usage = _feed(_meter(), frames).usage()
    assert usage == Usage(input_tokens=101, output_tokens=len(frames), estimated=True)


def test_a_cut_stream_costs_a_token_for_each_frame() -> None:
    frames = answers.chat_stream("one two three")[:3]
    usage = _feed(_meter(), frames).usage()
    assert usage == Usage(input_tokens=101, output_tokens=3, estimated=True)


def test_interim_counts_of_a_cut_stream_are_kept() -> None:
    """Anthropic tells the input first, and one token of output."""
    frames = answers.messages_stream("one two three", prompt=9, cached=5)[:6]
    usage = _feed(_meter(codec=CODECS["anthropic_messages"]), frames).usage()
    assert usage == Usage(input_tokens=9, cache_read_tokens=5, output_tokens=6, estimated=True)


def test_interim_counts_in_an_ordinary_frame_are_found_when_the_stream_is_cut() -> None:
    """Gemini repeats its counts in every frame, which is read for it only at the end."""
    frames = answers.gemini_stream("one two three", prompt=9, completion=50)[:2]
    meter = _feed(_meter(codec=CODECS["gemini_generate"]), frames)
    assert meter.progress.usage is None
    assert meter.usage() == Usage(input_tokens=9, output_tokens=50, estimated=True)
    assert meter.progress.usage is None


def test_another_attempt_begins_at_nothing() -> None:
    meter = _feed(_meter(), STREAMS["openai_chat"])
    meter.passed_bytes = 40
    meter.restart()
    assert (meter.frames, meter.last, meter.progress.usage) == (0, b"", None)
    assert meter.usage() == Usage(input_tokens=101, estimated=True)


def test_a_refused_attempt_has_cost_nothing() -> None:
    meter = _feed(_meter(), STREAMS["openai_chat"][:2])
    meter.forget()
    assert meter.usage() == Usage()


def test_frames_can_be_read_later() -> None:
    """The loop over a stream asks first whether a frame tells anything."""
    meter = _meter()
    for frame in STREAMS["openai_chat"]:
        meter.frames += 1
        meter.last = frame
        if meter.tells(frame, meter.progress):
            meter.read()
    assert meter.usage() == TOLD
