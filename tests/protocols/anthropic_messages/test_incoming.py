from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from app.errors import (
    CredentialRefused,
    Garbled,
    Overloaded,
    QuotaExhausted,
    Rejected,
    TimedOut,
    UpstreamError,
)
from app.ir.events import (
    Event,
    Finish,
    FinishReason,
    Flush,
    PartKind,
    Start,
    Usage,
    UsageEvent,
    check,
)
from app.ir.fold import Answer, Part, fold
from app.ir.parts import Citation, Seal
from app.protocols.anthropic_messages import AnthropicMessages
from app.wire.sse import FrameCutter

CODEC = AnthropicMessages()
BIG = '{"n":9007199254740993123}'


def frame(kind: str, **members: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps({"type": kind, **members}))


def start(**usage: int) -> bytes:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x"}
    return frame("message_start", message={**message, "content": [], "usage": usage})


def block(index: int, opened: dict[str, Any], *deltas: dict[str, Any]) -> bytes:
    frames = [frame("content_block_start", index=index, content_block=opened)]
    frames += [frame("content_block_delta", index=index, delta=delta) for delta in deltas]
    return b"".join([*frames, frame("content_block_stop", index=index)])


def ended(reason: str | None, usage: dict[str, Any] | None = None, **members: Any) -> bytes:
    delta = {"stop_reason": reason, "stop_sequence": None, **members}
    return frame("message_delta", delta=delta, usage=usage) + frame("message_stop")


def text(words: str) -> dict[str, Any]:
    return {"type": "text_delta", "text": words}


def pieces(arguments: str) -> dict[str, Any]:
    return {"type": "input_json_delta", "partial_json": arguments}


CITED = {"type": "web_search_result_location", "url": "u", "title": "t", "cited_text": "q"}
STREAM = b"".join(
    [
        start(input_tokens=40, cache_read_input_tokens=60, output_tokens=1),
        b'event: ping\ndata: {"type": "ping"}\n\n',
        b": a comment\n\n",
        block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": "Größe"},
            {"type": "thinking_delta", "thinking": " \U0001f600"},
            {"type": "signature_delta", "signature": "seal"},
        ),
        block(1, {"type": "redacted_thinking", "data": "secret"}),
        block(
            2,
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            pieces('{"query":"x"}'),
        ),
        block(3, {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}),
        block(
            4,
            {"type": "text", "text": ""},
            {"type": "citations_delta", "citation": CITED},
            text("abc"),
            text(""),
            text("\u2028d"),
            {"type": "novelty_delta", "x": 1},
        ),
        frame("novelty", x=1),
        block(5, {"type": "tool_use", "id": "t1", "name": "f", "input": {}}, pieces("")),
        block(
            6,
            {"type": "tool_use", "id": "t2", "name": "g", "input": {}},
            pieces(""),
            pieces(BIG[:9]),
            pieces(BIG[9:]),
        ),
        ended("tool_use", {"output_tokens": 50, "output_tokens_details": {"thinking_tokens": 30}}),
    ]
)
WHOLE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [
        {"type": "thinking", "thinking": "Größe \U0001f600", "signature": "seal"},
        {"type": "redacted_thinking", "data": "secret"},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
        {"type": "text", "text": "abc\u2028d", "citations": [CITED]},
        {"type": "tool_use", "id": "t1", "name": "f", "input": {}},
        {"type": "tool_use", "id": "t2", "name": "g", "input": {"n": 9007199254740993123}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 40,
        "cache_read_input_tokens": 60,
        "output_tokens": 50,
        "output_tokens_details": {"thinking_tokens": 30},
    },
}
ANSWER = Answer(
    answer_id="1",
    model="claude-x",
    created_s=0,
    parts=(
        Part(PartKind.THINKING, "Größe \U0001f600", seal=Seal("anthropic", "seal")),
        Part(PartKind.THINKING, "", seal=Seal("anthropic", "secret"), redacted=True),
        Part(PartKind.TEXT, "abc\u2028d", citations=(Citation("u", "t", 0, 5, "q"),)),
        Part(PartKind.TOOL_CALL, "{}", "t1", "f"),
        Part(PartKind.TOOL_CALL, BIG, "t2", "g"),
    ),
    usage=Usage(input_tokens=40, cache_read_tokens=60, output_tokens=20, reasoning_tokens=30),
    reason=FinishReason.TOOL_CALLS,
)


def read(body: bytes, size: int = 0) -> Iterator[Event]:
    """The events of a stream that comes in pieces of a size."""
    cutter = FrameCutter()
    step = size or len(body) or 1

    def frames() -> Iterator[bytes]:
        for at in range(0, len(body), step):
            yield from cutter.feed(body[at : at + step])
        if cutter.rest:
            yield cutter.rest + b"\n\n"

    return CODEC.decode_stream(frames())


def whole(**members: Any) -> Answer:
    return fold(CODEC.decode_answer(orjson.dumps({**WHOLE, **members})))


def test_a_stream_and_a_whole_answer_are_the_same() -> None:
    assert fold(read(STREAM)) == ANSWER
    assert whole() == ANSWER


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_pieces_of_any_size(size: int) -> None:
    assert fold(read(STREAM, size)) == ANSWER


def test_other_line_ends() -> None:
    assert fold(read(STREAM.replace(b"\n", b"\r\n"))) == ANSWER


def test_a_stream_cut_anywhere_is_refused() -> None:
    last = STREAM.rindex(b"event: message_stop")
    for end in range(0, last, 5):
        with pytest.raises(Garbled):
            fold(read(STREAM[:end]))


def test_integers_beyond_64_bits_stay_exact() -> None:
    body = orjson.dumps({**WHOLE, "content": [WHOLE["content"][5]]})
    body = body.replace(b'"input":{}', b'"input":{"n":123456789012345678901234567890}')
    part = fold(CODEC.decode_answer(body)).parts[0]
    assert part.text == '{"n":123456789012345678901234567890}'


def test_an_empty_frame_is_a_pause() -> None:
    frames = [b"", start(), b"", ended("end_turn").split(b"\n\n")[0] + b"\n\n"]
    kinds = [type(event) for event in CODEC.decode_stream(frames)]
    assert kinds == [Flush, Start, Flush]


def test_events_come_as_soon_as_they_are_known() -> None:
    frames = iter([start(input_tokens=3), b""])
    events = CODEC.decode_stream(frames)
    assert next(events) == Start("1", "claude-x", 0)
    assert next(events) == UsageEvent(Usage(input_tokens=3))
    assert next(events) == Flush()


def test_what_follows_the_end_is_not_read() -> None:
    assert fold(read(STREAM + b"data: nonsense\n\n" + STREAM)) == ANSWER


@pytest.mark.parametrize(
    ("reason", "wanted"),
    [
        ("end_turn", Finish(FinishReason.STOP)),
        ("max_tokens", Finish(FinishReason.LENGTH)),
        ("model_context_window_exceeded", Finish(FinishReason.WINDOW)),
        ("tool_use", Finish(FinishReason.TOOL_CALLS)),
        ("pause_turn", Finish(FinishReason.PAUSE)),
        ("refusal", Finish(FinishReason.REFUSAL)),
        ("novelty", Finish(FinishReason.STOP)),
        (None, Finish(FinishReason.STOP)),
    ],
)
def test_stop_reasons(reason: str | None, wanted: Finish) -> None:
    assert list(read(start() + ended(reason)))[-1] == wanted
    assert whole(stop_reason=reason).reason is wanted.reason


def test_the_stop_string_that_was_met() -> None:
    events = list(read(start() + ended("stop_sequence", stop_sequence="END")))
    assert events[-1] == Finish(FinishReason.STOP, "END")
    answer = whole(stop_reason="stop_sequence", stop_sequence="END")
    assert (answer.reason, answer.stop_sequence) == (FinishReason.STOP, "END")
    assert whole(stop_reason="end_turn", stop_sequence="END").stop_sequence == ""


def test_a_refusal_says_why() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "no"}
    assert list(read(start() + ended("refusal", stop_details=details)))[-1] == Finish(
        FinishReason.REFUSAL, detail="no"
    )
    answer = whole(content=[], stop_reason="refusal", stop_details={**details, "explanation": None})
    assert (answer.parts, answer.reason, answer.detail) == ((), FinishReason.REFUSAL, "")


def test_a_call_whose_arguments_come_at_once() -> None:
    opened = {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}
    answer = fold(read(start() + block(0, opened) + ended("tool_use")))
    assert answer.parts[0].text == '{"a":1}'
    sent = fold(read(start() + block(0, opened, pieces('{"b":2}')) + ended("tool_use")))
    assert sent.parts[0].text == '{"b":2}'


def test_a_block_that_begins_with_words() -> None:
    body = start() + block(0, {"type": "text", "text": "a", "citations": None}, text("b"))
    assert fold(read(body + ended("end_turn"))).parts[0].text == "ab"


def test_blocks_without_a_stop_are_shut() -> None:
    opened = frame("content_block_start", index=0, content_block={"type": "text", "text": "a"})
    body = start() + opened + opened.replace(b'"a"', b'"b"') + ended("end_turn")
    assert [part.text for part in fold(read(body)).parts] == ["a", "b"]


def test_thinking_without_a_signature_has_no_seal() -> None:
    body = start() + block(0, {"type": "thinking", "thinking": "x", "signature": ""})
    assert fold(read(body + ended("end_turn"))).parts == (Part(PartKind.THINKING, "x"),)


def test_usage_that_only_the_end_knows() -> None:
    body = start(input_tokens=0, output_tokens=0) + ended(
        "end_turn", {"input_tokens": 7, "output_tokens": 5}
    )
    assert fold(read(body)).usage == Usage(input_tokens=7, output_tokens=5)
    assert fold(read(frame("message_start", message={}) + ended("end_turn"))).usage is None


ERRORS: list[tuple[str, type[UpstreamError], int]] = [
    ("overloaded_error", Overloaded, 529),
    ("rate_limit_error", QuotaExhausted, 429),
    ("invalid_request_error", Rejected, 400),
    ("request_too_large", Rejected, 400),
    ("not_found_error", Rejected, 400),
    ("authentication_error", CredentialRefused, 503),
    ("permission_error", CredentialRefused, 503),
    ("billing_error", CredentialRefused, 503),
    ("timeout_error", TimedOut, 504),
    ("api_error", Overloaded, 502),
    ("novelty_error", UpstreamError, 502),
]


@pytest.mark.parametrize(("kind", "wanted", "status"), ERRORS)
def test_errors(kind: str, wanted: type[UpstreamError], status: int) -> None:
    error = {"type": kind, "message": "prompt is too long: 9 > 8"}
    for events in (
        read(frame("error", error=error)),
        read(start() + block(0, {"type": "text", "text": "a"}) + frame("error", error=error)),
        CODEC.decode_answer(orjson.dumps({"type": "error", "error": error})),
    ):
        with pytest.raises(UpstreamError) as caught:
            list(check(events))
        assert type(caught.value) is wanted
        assert caught.value.status == status
        assert caught.value.message == "prompt is too long: 9 > 8"


def test_an_error_without_an_object() -> None:
    with pytest.raises(UpstreamError, match="broke"):
        list(read(b'data: {"type":"error","message":"it broke"}\n\n'))
    with pytest.raises(UpstreamError, match="it failed"):
        list(read(b'{"code": 500, "message": "it failed"}\n\n'))


@pytest.mark.parametrize(
    "body",
    [
        b"data: nonsense\n\n",
        b"data: [1]\n\n",
        b"data: \xff\n\n",
        frame("content_block_delta", index=0, delta=text("x")),
        start() + frame("content_block_delta", index=0, delta=text("x")),
        start() + start() + ended("end_turn"),
        block(0, {"type": "text", "text": "a"}),
        ended("end_turn"),
        b"",
    ],
)
def test_what_is_no_stream_is_garbled(body: bytes) -> None:
    with pytest.raises(Garbled):
        list(check(read(body)))


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[]", b"{}", b'{"content":"x"}', b"\xff"])
def test_what_is_no_message_is_garbled(body: bytes) -> None:
    with pytest.raises(Garbled):
        list(CODEC.decode_answer(body))


def test_odd_members_do_no_harm() -> None:
    odd = [1, {"type": 3}, {"type": "text", "text": None}, {"type": "thinking"}]
    answer = whole(content=odd, id=None, model=4, usage=[], stop_reason=9, stop_details="x")
    assert answer.parts == (Part(PartKind.TEXT, ""), Part(PartKind.THINKING, ""))
    assert (answer.answer_id, answer.model, answer.usage) == ("", "", None)
