"""Answers of Responses upstreams, as odd as they come, are read into events in order."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from app.errors import (
    CredentialRefused,
    Garbled,
    Overloaded,
    QuotaExhausted,
    Rejected,
    UpstreamError,
)
from app.ir.events import Delta, Finish, FinishReason, Flush, Open, PartKind, Shut, Start, Usage
from app.ir.fold import Part
from app.ir.parts import Citation, Media, MediaKind, Seal
from tests.protocols.openai_responses.telling import (
    CODEC,
    COMPLETED,
    CREATED,
    added,
    call,
    cut,
    done,
    folded,
    frame,
    response,
    told,
    whole,
)

MESSAGE = {"type": "message", "id": "msg_1", "role": "assistant", "content": []}


def text(words: str, index: int = 0, place: int = 0) -> bytes:
    return frame(
        "response.output_text.delta",
        item_id="msg_1",
        output_index=index,
        content_index=place,
        delta=words,
    )


def arguments(index: int, delta: str) -> bytes:
    return frame(
        "response.function_call_arguments.delta",
        item_id=f"fc_{index}",
        output_index=index,
        delta=delta,
    )


def thought(delta: str, place: int = 0) -> bytes:
    return frame(
        "response.reasoning_summary_text.delta",
        item_id="rs_1",
        output_index=0,
        summary_index=place,
        delta=delta,
    )


def said(*words: str) -> tuple[Part, ...]:
    return tuple(Part(PartKind.TEXT, each) for each in words)


def test_text_as_it_comes() -> None:
    events = told(added(0, **MESSAGE), text("Hé"), b"", text("llo"), done(0, **MESSAGE))
    assert events == [
        Start("a1", "gpt", 1_760_000_000),
        Open(PartKind.TEXT),
        Delta("Hé"),
        Flush(),
        Delta("llo"),
        Shut(),
        Finish(FinishReason.STOP),
    ]


def test_text_that_comes_late_is_told_once() -> None:
    item = {**MESSAGE, "content": [{"type": "output_text", "text": "Hello", "annotations": []}]}
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    ends = [
        frame("response.output_text.done", **place, text="Hello"),
        frame("response.content_part.done", **place, part=item["content"][0]),
        done(0, **item),
    ]
    for length in range(1, 4):
        for some in itertools.combinations(ends, length):
            assert folded(added(0, **MESSAGE), *some).parts == said("Hello")
            assert folded(added(0, **MESSAGE), text("Hel"), *some).parts == said("Hello")
    end = frame("response.completed", response=response(output=[item]))
    assert folded(end=end).parts == said("Hello")
    assert folded(added(0, **MESSAGE), text("Hel"), end=end).parts == said("Hello")
    assert folded(added(0, **MESSAGE), text("Hello"), done(0, **item), end=end).parts == said(
        "Hello"
    )


def test_items_that_the_end_repeats_under_other_indexes_are_known_by_their_ids() -> None:
    item = {**MESSAGE, "content": [{"type": "output_text", "text": "Hello"}]}
    end = frame("response.completed", response=response(output=[{"type": "odd"}, item]))
    assert folded(added(0, **MESSAGE), text("Hello"), done(0, **item), end=end).parts == said(
        "Hello"
    )


def test_several_stretches_of_a_message() -> None:
    answer = folded(added(0, **MESSAGE), text("a"), text("b", place=1), done(0, **MESSAGE))
    assert answer.parts == said("a", "b")


def test_a_stream_without_item_events() -> None:
    assert folded(text("a"), text("b")).parts == said("ab")


def test_calls_as_they_come() -> None:
    item = call(0, namespace="mcp__s")
    events = told(added(0, **item), arguments(0, '{"n":'), arguments(0, "1}"), done(0, **item))
    assert events[1:] == [
        Open(PartKind.TOOL_CALL, "call_0", "tool_0", "mcp__s"),
        Delta('{"n":'),
        Delta("1}"),
        Shut(),
        Finish(FinishReason.TOOL_CALLS),
    ]


@pytest.mark.parametrize(
    "frames",
    [
        [done(0, **call(0, arguments='{"n":1}'))],
        [added(0, **call(0)), done(0, **call(0, arguments='{"n":1}'))],
        [added(0, **call(0, arguments='{"n":1}')), done(0, **call(0, arguments='{"n":1}'))],
        [
            added(0, **call(0)),
            frame("response.function_call_arguments.done", output_index=0, arguments='{"n":1}'),
        ],
        [added(0, **call(0)), arguments(0, '{"n"'), done(0, **call(0, arguments='{"n":1}'))],
        [arguments(0, '{"n":1}'), done(0, **call(0))],
        [added(0, **call(0, name="")), arguments(0, '{"n":1}'), done(0, **call(0))],
    ],
)
def test_arguments_may_come_anywhere(frames: list[bytes]) -> None:
    assert folded(*frames).parts == (
        Part(PartKind.TOOL_CALL, '{"n":1}', call_id="call_0", name="tool_0"),
    )


def test_interleaved_items_come_out_in_a_row() -> None:
    events = told(
        added(0, **call(0)),
        added(1, **call(1)),
        arguments(1, "{"),
        arguments(0, "{"),
        arguments(1, "}"),
        done(1, **call(1)),
        arguments(0, "}"),
        done(0, **call(0)),
        added(2, **MESSAGE),
        text("x", 2),
    )
    assert [type(event).__name__ for event in events] == [
        *("Start", "Open", "Delta", "Delta", "Shut"),
        *("Open", "Delta", "Delta", "Shut", "Open", "Delta", "Shut", "Finish"),
    ]
    assert [event.call_id for event in events if isinstance(event, Open)] == [
        "call_0",
        "call_1",
        "",
    ]


def test_a_custom_tool() -> None:
    item = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c", "name": "exec", "input": ""}
    place = {"item_id": "ctc_1", "output_index": 0}
    answer = folded(
        added(0, **item),
        frame("response.custom_tool_call_input.delta", **place, delta="ls"),
        frame("response.custom_tool_call_input.done", **place, input="ls -l"),
        done(0, **item),
    )
    assert answer.parts == (
        Part(PartKind.TOOL_CALL, "ls -l", call_id="c", name="exec", custom=True),
    )
    assert whole(output=[{**item, "input": "ls -l"}]).parts == answer.parts


def test_a_call_without_an_id_takes_the_items() -> None:
    assert folded(done(0, **call(0, call_id=None))).parts[0].call_id == "fc_0"


def test_reasoning_in_parts_with_its_proof() -> None:
    begun = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "half"}
    parts = [{"type": "summary_text", "text": words} for words in ("one", "two", "three")]
    item = {**begun, "summary": parts, "encrypted_content": "gAAA"}
    answer = folded(
        added(0, **begun),
        frame("response.reasoning_summary_part.added", output_index=0, summary_index=0),
        thought("o"),
        thought("ne"),
        frame("response.reasoning_summary_text.done", output_index=0, text="one"),
        thought("two", 1),
        done(0, **item),
    )
    assert answer.parts == (
        Part(PartKind.THINKING, "one\n\ntwo\n\nthree", seal=Seal("openai", "gAAA", "rs_1")),
    )
    assert whole(output=[item]).parts == answer.parts


def test_reasoning_in_its_own_words() -> None:
    item: dict[str, Any] = {"type": "reasoning", "id": "rs_1", "summary": [], "content": None}
    place = {"item_id": "rs_1", "output_index": 0, "content_index": 0}
    spoken = {**item, "content": [{"type": "reasoning_text", "text": "hm"}]}
    answer = folded(
        added(0, **item),
        frame("response.reasoning_text.delta", **place, delta="h"),
        frame("response.reasoning_text.done", **place, text="hm"),
        done(0, **spoken),
    )
    assert answer.parts == (Part(PartKind.THINKING, "hm"),) == whole(output=[spoken]).parts


def test_reasoning_that_says_nothing_is_nothing_unless_it_is_sealed() -> None:
    item: dict[str, Any] = {"type": "reasoning", "id": "rs_1", "summary": []}
    assert folded(added(0, **item), done(0, **item)).parts == ()
    sealed = folded(done(0, **item, encrypted_content="gAAA"))
    assert sealed.parts == (Part(PartKind.THINKING, "", seal=Seal("openai", "gAAA", "rs_1")),)


def test_a_refusal() -> None:
    part = {"type": "refusal", "refusal": "I will not."}
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    answer = folded(
        added(0, **MESSAGE),
        frame("response.refusal.delta", **place, delta="I will "),
        frame("response.refusal.done", **place, refusal="I will not."),
        done(0, **{**MESSAGE, "content": [part]}),
    )
    assert answer.parts == (Part(PartKind.REFUSAL, "I will not."),)
    assert answer.reason is FinishReason.REFUSAL
    other = whole(output=[{**MESSAGE, "content": [part]}])
    assert (other.parts, other.reason) == (answer.parts, answer.reason)


def test_citations() -> None:
    note = {
        "type": "url_citation",
        "url": "https://x",
        "title": "X",
        "start_index": 0,
        "end_index": 2,
    }
    other = {"type": "file_citation", "file_id": "f"}
    part = {"type": "output_text", "text": "ab", "annotations": [note, other, note]}
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    citation = Citation("https://x", "X", 0, 2)
    answer = folded(
        added(0, **MESSAGE),
        text("ab"),
        frame("response.output_text.annotation.added", **place, annotation=note),
        done(0, **{**MESSAGE, "content": [part]}),
    )
    assert answer.parts[0].citations == (citation, citation)
    assert whole(output=[{**MESSAGE, "content": [part]}]).parts == answer.parts


def test_the_providers_own_tools_are_skipped_but_for_their_pictures() -> None:
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    picture = {
        "type": "image_generation_call",
        "id": "ig_1",
        "result": "QUJD",
        "output_format": "jpeg",
    }
    answer = folded(
        added(0, **search),
        frame("response.web_search_call.searching", output_index=0, item_id="ws_1"),
        done(0, **search),
        added(1, **{**picture, "result": None}),
        frame("response.image_generation_call.partial_image", output_index=1, item_id="ig_1"),
        done(1, **picture),
        added(2, **MESSAGE),
        text("x", 2),
    )
    media = Media(MediaKind.IMAGE, mime="image/jpeg", data="QUJD")
    assert answer.parts == (Part(PartKind.MEDIA, "", media=media), *said("x"))
    assert answer.reason is FinishReason.STOP


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({}, FinishReason.STOP),
        ({"incomplete_details": None}, FinishReason.STOP),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            FinishReason.LENGTH,
        ),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
            FinishReason.REFUSAL,
        ),
        ({"status": "incomplete", "incomplete_details": None}, FinishReason.LENGTH),
        ({"status": "incomplete", "incomplete_details": {"reason": "new"}}, FinishReason.LENGTH),
    ],
)
def test_ends(members: dict[str, Any], reason: FinishReason) -> None:
    kind = "response.incomplete" if "status" in members else "response.completed"
    end = frame(kind, response=response(**members))
    assert folded(added(0, **MESSAGE), text("x"), end=end).reason is reason
    assert whole(**members).reason is reason


def test_a_cut_call_stays_cut() -> None:
    members = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    end = frame("response.incomplete", response=response(**members))
    answer = folded(added(0, **call(0)), arguments(0, '{"n'), end=end)
    assert (answer.parts[0].text, answer.reason) == ('{"n', FinishReason.LENGTH)


def test_usage() -> None:
    usage = {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 60},
        "output_tokens": 50,
        "output_tokens_details": {"reasoning_tokens": 30},
        "total_tokens": 150,
    }
    end = frame("response.completed", response=response(usage=usage))
    expected = Usage(input_tokens=40, cache_read_tokens=60, output_tokens=20, reasoning_tokens=30)
    assert folded(end=end).usage == expected == whole(usage=usage).usage
    assert folded().usage is None


@pytest.mark.parametrize(
    ("error", "kind", "slug"),
    [
        ({"code": "rate_limit_exceeded", "message": "slow"}, QuotaExhausted, None),
        ({"code": "server_is_overloaded", "message": "busy"}, Overloaded, None),
        (
            {"code": "context_length_exceeded", "message": "too long"},
            Rejected,
            "context_length_exceeded",
        ),
        ({"code": "invalid_api_key", "message": "key"}, CredentialRefused, None),
        ({"code": "odd", "message": "hm"}, UpstreamError, "odd"),
    ],
)
def test_failures(error: dict[str, Any], kind: type[UpstreamError], slug: str | None) -> None:
    failed = response(status="failed", error=error)
    frames = [
        frame("response.failed", response=failed),
        frame("error", **error, param=None),
        frame("error", error=error),
        frame("response.error", error=error),
        b"data: " + json.dumps({"error": error}).encode() + b"\n\n",
        json.dumps({"error": error}).encode(),
    ]
    for each in frames:
        with pytest.raises(kind) as caught:
            told(each)
        assert caught.value.message == error["message"]
        assert slug is None or caught.value.kind == slug
    for body in (failed, {"error": error}):
        with pytest.raises(kind):
            list(CODEC.decode_answer(json.dumps(body).encode()))


def test_a_failure_without_words() -> None:
    with pytest.raises(UpstreamError):
        told(frame("response.failed", response=response(status="failed")))
    with pytest.raises(UpstreamError):
        told(frame("error"))
    with pytest.raises(UpstreamError):
        whole(status="failed")
    with pytest.raises(UpstreamError):
        whole(status="cancelled")


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"<html>", b"{}", b'{"id": "resp_1"}', b'{"output": [], "status": "queued"}'],
)
def test_no_answer_at_all(body: bytes) -> None:
    with pytest.raises(Garbled):
        list(CODEC.decode_answer(body))


@pytest.mark.parametrize("data", [b"data: {\n\n", b"data: 3\n\n", b"data: nonsense\n\n"])
def test_no_frame_of_this_protocol(data: bytes) -> None:
    with pytest.raises(Garbled):
        told(data)


def test_what_means_nothing_is_passed_over() -> None:
    answer = folded(
        b": ping\n\n",
        b"event: keepalive\ndata: {}\n\n",
        frame("response.queued", response=response(status="queued")),
        frame("response.brand_new", output_index=9, item_id="x"),
        frame("codex.rate_limits", limits={}),
        b"data: [DONE]\n\n",
        added(0, **MESSAGE),
        text("x"),
        frame("response.output_text.delta", output_index=0, content_index=0, delta=None),
    )
    assert answer.parts == said("x")


def test_nothing_counts_behind_the_end() -> None:
    frames = [CREATED, COMPLETED, frame("error", message="late"), b"data: [DONE]\n\n", b""]
    assert list(CODEC.decode_stream(frames))[-2:] == [Finish(FinishReason.STOP), Flush()]


def test_half_a_surrogate_pair_in_each_of_two_events() -> None:
    halves = [
        b'data: {"type":"response.output_text.delta","output_index":0,"delta":"\\ud83d"}\n\n',
        b'data: {"type":"response.output_text.delta","output_index":0,"delta":"\\ude00"}\n\n',
    ]
    deltas = [event.text for event in told(*halves) if isinstance(event, Delta)]
    assert deltas == ["\ud83d", "\ude00"]


def test_any_split_and_any_line_end() -> None:
    frames = [CREATED, added(0, **MESSAGE), text("Größe 😀"), done(0, **MESSAGE), COMPLETED]
    body = b"".join(frames)
    expected = list(CODEC.decode_stream(frames))
    for data in (body, body.replace(b"\n", b"\r\n"), body.replace(b"\n", b"\r")):
        for size in (1, 3, 7):
            assert list(CODEC.decode_stream(cut(data, size))) == expected


def test_a_stream_that_was_cut_has_no_finish() -> None:
    frames = [CREATED, added(0, **MESSAGE), text("x"), done(0, **MESSAGE), COMPLETED]
    body = b"".join(frames)
    for length in range(len(body)):
        events = list(CODEC.decode_stream(cut(body[:length], 64)))
        assert not any(isinstance(event, Finish) for event in events)


def test_odd_members_are_passed_over() -> None:
    notes = [{"type": "url_citation", "url": 3}, None, {"type": "url_citation", "url": "u"}]
    odd = {"type": "output_text", "text": "x", "annotations": notes}
    message = {**MESSAGE, "id": {"a": 1}, "content": [{"type": "odd"}, odd, None]}
    answer = folded(
        frame("response.function_call_arguments.delta", output_index=[], item_id={}, delta=3),
        frame("response.function_call_arguments.odd", output_index=0),
        done(0, **call(0, name=None)),
        frame("response.output_text.delta", output_index=1, content_index={}, delta="y"),
        done(1, **message),
        done(2, **MESSAGE),
        frame("response.output_text.delta", output_index=2, content_index=0, delta="late"),
        done(3, type="image_generation_call", id="ig_1", status="failed", result=None),
        end=frame("response.completed", response=response(output=[None, {"type": "odd"}])),
    )
    assert [(part.text, len(part.citations)) for part in answer.parts] == [("y", 0), ("x", 1)]
    assert answer.reason is FinishReason.STOP


def test_a_summary_and_the_words_are_not_mixed() -> None:
    spoken = frame("response.reasoning_text.delta", output_index=0, content_index=0, delta="w")
    item = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "s"}],
        "content": [{"type": "reasoning_text", "text": "w"}],
    }
    assert folded(spoken, thought("s"), done(0, **item)).parts[0].text == "w"
    assert folded(thought("s"), spoken, done(0, **item)).parts[0].text == "s"
    assert whole(output=[item]).parts[0].text == "s"
    assert folded(thought("s")).parts == (Part(PartKind.THINKING, "s"),)
