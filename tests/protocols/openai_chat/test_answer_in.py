"""Upstream answers as events, the odd ones of compatible hosts among them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from app.errors import Garbled, Overloaded, QuotaExhausted, Rejected, UpstreamError
from app.ir.events import Event, FinishReason, Flush, Open, PartKind, Start, Usage, check
from app.ir.fold import Answer, Part, fold
from app.ir.parts import Citation, Media, MediaKind, Seal
from app.wire.sse import FrameCutter
from tests.protocols.openai_chat.asked import CHAT

HEAD = {"id": "chatcmpl-a1", "object": "chat.completion.chunk", "created": 5, "model": "m"}
USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 50,
    "total_tokens": 150,
    "prompt_tokens_details": {"cached_tokens": 60},
    "completion_tokens_details": {"reasoning_tokens": 30},
}
COUNTED = Usage(input_tokens=40, cache_read_tokens=60, output_tokens=20, reasoning_tokens=30)
DONE = b"data: [DONE]\n\n"
CALL = PartKind.TOOL_CALL


def chunk(delta: dict[str, Any] | None = None, reason: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": reason}
    return b"data: " + json.dumps(HEAD | {"choices": [choice]} | more).encode() + b"\n\n"


def usage_chunk() -> bytes:
    return b"data: " + json.dumps(HEAD | {"choices": [], "usage": USAGE}).encode() + b"\n\n"


def call(
    index: int | None = None, call_id: str | None = None, name: str | None = None, text: Any = None
) -> dict[str, Any]:
    held = {"name": name, "arguments": text}
    piece: dict[str, Any] = {"function": {k: v for k, v in held.items() if v is not None}}
    if index is not None:
        piece["index"] = index
    if call_id is not None:
        piece["id"] = call_id
    return {"tool_calls": [piece]}


def read(*frames: bytes) -> Answer:
    return fold(CHAT.decode_stream(frames))


def parts(*frames: bytes) -> list[tuple[PartKind, str]]:
    return [(part.kind, part.text) for part in read(*frames).parts]


def calls(*deltas: dict[str, Any]) -> list[tuple[str, str, str]]:
    answer = read(*(chunk(delta) for delta in deltas), chunk({}, "tool_calls"), DONE)
    assert answer.reason is FinishReason.TOOL_CALLS
    return [(part.call_id, part.name, part.text) for part in answer.parts]


def whole(message: dict[str, Any], reason: str | None = "stop", **more: Any) -> Answer:
    choice = {"index": 0, "message": {"role": "assistant"} | message, "finish_reason": reason}
    return fold(CHAT.decode_answer(json.dumps(HEAD | {"choices": [choice]} | more).encode()))


def test_a_stream_of_everything_in_its_order() -> None:
    answer = read(
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning_content": "h"}),
        chunk({"reasoning_content": "m"}),
        chunk({"content": "a"}),
        chunk({"content": "b"}),
        chunk(call(0, "c1", "f", "")),
        chunk(call(0, text='{"n":')),
        chunk(call(0, text="1}")),
        chunk({}, "tool_calls"),
        usage_chunk(),
        DONE,
    )
    assert answer == Answer(
        "a1",
        "m",
        5,
        (
            Part(PartKind.THINKING, "hm"),
            Part(PartKind.TEXT, "ab"),
            Part(CALL, '{"n":1}', "c1", "f"),
        ),
        COUNTED,
        FinishReason.TOOL_CALLS,
    )


def test_a_whole_answer_gives_what_its_stream_gives() -> None:
    message = {
        "reasoning_content": "hm",
        "content": "ab",
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"n":1}'}}
        ],
    }
    streamed = read(
        chunk({"reasoning_content": "hm"}),
        chunk({"content": "ab"}),
        chunk(call(0, "c1", "f", '{"n":1}')),
        chunk({}, "tool_calls"),
        usage_chunk(),
    )
    assert whole(message, "tool_calls", usage=USAGE) == streamed


def test_deltas_come_as_they_come() -> None:
    pieces = iter([chunk({"content": "a"}), b"", chunk(call(0, "c1", "f", '{"n"')), b""])
    seen: list[Event] = []
    for event in CHAT.decode_stream(pieces):
        seen.append(event)
    assert [type(event).__name__ for event in seen] == [
        "Start", "Open", "Delta", "Flush", "Shut", "Open", "Delta", "Flush",
    ]  # fmt: skip
    assert isinstance(seen[3], Flush)


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_bytes_cut_anywhere(size: int, end: bytes) -> None:
    frames = [b": ping\n\n", chunk({"content": "Größe \u2028 😀"}), chunk({}, "stop"), DONE]
    body = b"".join(frames).replace(b"\n", end)
    cutter = FrameCutter()
    cut = [f for at in range(0, len(body), size) for f in cutter.feed(body[at : at + size])]
    assert parts(*cut, *cutter.flush()) == [(PartKind.TEXT, "Größe \u2028 😀")]


def test_a_cut_stream_is_no_answer() -> None:
    body = b"".join([chunk({"content": "a"}), chunk(call(0, "c", "f", "{}")), chunk({}, "stop")])
    for length in range(len(body) - 1):
        frames = FrameCutter().feed(body[:length])
        with pytest.raises(Garbled):
            list(check(CHAT.decode_stream(frames)))


@pytest.mark.parametrize(
    "end",
    [
        [chunk({}, "stop"), usage_chunk(), DONE],
        [chunk({}, "stop", usage=USAGE), DONE],
        [chunk({}, "stop", usage=USAGE), usage_chunk()],
        [chunk({}, "stop"), chunk({}, usage=USAGE), DONE],
        [chunk({}, "stop", x_groq={"usage": USAGE}), DONE],
        [usage_chunk(), chunk({}, "stop"), DONE],
    ],
)
def test_usage_wherever_it_stands(end: list[bytes]) -> None:
    assert read(chunk({"content": "a"}), *end).usage == COUNTED


def test_usage_inside_the_choice() -> None:
    choice = {"index": 0, "delta": {}, "finish_reason": "stop", "usage": USAGE}
    frame = b"data: " + json.dumps(HEAD | {"choices": [choice]}).encode() + b"\n\n"
    assert read(frame).usage == COUNTED


def test_no_usage_at_all() -> None:
    assert read(chunk({"content": "a"}), chunk({}, "stop"), DONE).usage is None


def test_content_and_reason_in_one_chunk() -> None:
    answer = read(chunk({"content": "a"}, "length"))
    assert [part.text for part in answer.parts] == ["a"]
    assert answer.reason is FinishReason.LENGTH


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("content_filter", FinishReason.REFUSAL),
        ("tool_calls", FinishReason.STOP),  # without a call a client would wait for ever
        ("MAX_TOKENS", FinishReason.LENGTH),
        ("SAFETY", FinishReason.REFUSAL),
        ("eos", FinishReason.STOP),
        ("model_length", FinishReason.WINDOW),
    ],
)
def test_reasons(word: str, reason: FinishReason) -> None:
    assert read(chunk({"content": "a"}, word)).reason is reason


@pytest.mark.parametrize(
    ("word", "reason"),
    [("stop", FinishReason.TOOL_CALLS), ("length", FinishReason.LENGTH)],
)
def test_an_answer_with_calls_says_so_unless_it_was_cut(word: str, reason: FinishReason) -> None:
    assert read(chunk(call(0, "c", "f", "{")), chunk({}, word)).reason is reason


def test_a_refusal_is_one_whatever_the_reason() -> None:
    answer = read(chunk({"refusal": "no"}), chunk({}, "stop"))
    assert [(part.kind, part.text) for part in answer.parts] == [(PartKind.REFUSAL, "no")]
    assert answer.reason is FinishReason.REFUSAL


def test_the_stop_string_that_a_host_names() -> None:
    choice = {"index": 0, "delta": {}, "finish_reason": "stop", "stop_reason": "END"}
    frame = b"data: " + json.dumps(HEAD | {"choices": [choice]}).encode() + b"\n\n"
    assert read(frame).stop_sequence == "END"


@pytest.mark.parametrize("reason", ["", "null"])
def test_an_empty_reason_is_none(reason: str) -> None:
    assert parts(chunk({"content": "a"}, reason), chunk({"content": "b"}, "stop")) == [
        (PartKind.TEXT, "ab")
    ]


# --- calls -------------------------------------------------------------------------------------


def test_a_whole_call_in_one_fragment_each() -> None:
    both = {"tool_calls": call(0, "a", "f", '{"n":1}')["tool_calls"]}
    both["tool_calls"] = both["tool_calls"] + call(1, "b", "g", '{"n":2}')["tool_calls"]
    assert calls(both) == [("a", "f", '{"n":1}'), ("b", "g", '{"n":2}')]


def test_fragments_of_two_calls_may_alternate() -> None:
    assert calls(
        call(0, "a", "f", ""),
        call(1, "b", "g", ""),
        call(0, text='{"x"'),
        call(1, text='{"y"'),
        call(0, text=":1}"),
        call(1, text=":2}"),
    ) == [("a", "f", '{"x":1}'), ("b", "g", '{"y":2}')]


def test_the_second_call_does_not_wait_for_the_end() -> None:
    frames = [chunk(call(0, "a", "f", "{}")), chunk(call(1, "b", "g", '{"n"'))]
    opened = [e for e in CHAT.decode_stream(iter(frames)) if isinstance(e, Open)]
    assert [event.name for event in opened] == ["f", "g"]


def test_three_calls_at_once() -> None:
    deltas = [call(n, f"c{n}", "f", "") for n in range(3)]
    deltas += [call(n, text='{"n":') for n in (2, 0, 1)]
    deltas += [call(n, text=f"{n}}}") for n in (1, 2, 0)]
    assert calls(*deltas) == [(f"c{n}", "f", f'{{"n":{n}}}') for n in range(3)]


@pytest.mark.parametrize("index", [None, 0])
def test_calls_that_only_their_ids_tell_apart(index: int | None) -> None:
    assert calls(call(index, "a", "f", '{"n":1}'), call(index, "b", "f", '{"n":2}')) == [
        ("a", "f", '{"n":1}'),
        ("b", "f", '{"n":2}'),
    ]


def test_fragments_without_an_index() -> None:
    assert calls(call(None, "a", "f", ""), call(None, text='{"n":'), call(None, "", "", "1}")) == [
        ("a", "f", '{"n":1}')
    ]


def test_an_id_that_came_before_leads_back_to_its_call() -> None:
    assert calls(
        call(None, "a", "f", '{"n"'), call(None, "b", "g", "{}"), call(None, "a", "", ":1}")
    ) == [("a", "f", '{"n":1}'), ("b", "g", "{}")]


def test_a_name_repeated_without_index_and_id_is_one_call() -> None:
    assert calls(call(None, "", "f", '{"n"'), call(None, "", "f", ":1}")) == [
        ("call_a1_0", "f", '{"n":1}')
    ]
    assert calls(call(None, "a"), call(None, None, "f", "{}")) == [("a", "f", "{}")]


def test_calls_without_index_and_id() -> None:
    found = calls(call(None, "", "f", '{"n":1}'), call(None, "", "f", '{"n":2}'))
    assert found == [("call_a1_0", "f", '{"n":1}'), ("call_a1_1", "f", '{"n":2}')]


def test_a_repeated_id_and_name_are_one_call() -> None:
    assert calls(call(0, "a", "f", '{"n"'), call(0, "a", "f", ":1"), call(0, "", "", "}")) == [
        ("a", "f", '{"n":1}')
    ]


def test_a_new_id_for_each_fragment_is_one_call() -> None:
    assert calls(call(0, "a", "f", '{"n"'), call(0, "b", None, ":1}")) == [("a", "f", '{"n":1}')]


def test_id_and_name_in_chunks_of_their_own() -> None:
    assert calls(call(0, "a"), call(0, None, "f"), call(0, text="{}")) == [("a", "f", "{}")]


def test_indexes_need_not_begin_at_zero() -> None:
    assert calls(call(3, "a", "f", "{}"), call(7, "b", "g", "{}")) == [
        ("a", "f", "{}"),
        ("b", "g", "{}"),
    ]


@pytest.mark.parametrize("text", ["", None, " "])
def test_no_arguments_are_an_empty_object(text: str | None) -> None:
    (found,) = calls(call(0, "a", "f", text))
    assert json.loads(found[2]) == {}


def test_arguments_as_an_object() -> None:
    assert calls(call(0, "a", "f", {"n": 2**60 + 1})) == [("a", "f", f'{{"n":{2**60 + 1}}}')]


def test_arguments_stay_to_the_letter() -> None:
    text = '{"n": 123456789012345678901234567890, "s": "\u2028\\ud83d\\ude00"}'
    assert calls(call(0, "a", "f", text[:9]), call(0, text=text[9:])) == [("a", "f", text)]


def test_an_empty_shell_of_a_call_is_none() -> None:
    answer = read(chunk({"content": "a"}), chunk(call(0, "", "", "")), chunk({}, "stop"))
    assert [part.kind for part in answer.parts] == [PartKind.TEXT]
    assert answer.reason is FinishReason.STOP


def test_a_call_without_a_name_is_garbled() -> None:
    with pytest.raises(Garbled, match="name"):
        read(chunk(call(0, "a", "", "{}")), chunk({}, "tool_calls"))


def test_text_between_two_calls() -> None:
    assert parts(
        chunk({"content": "a"}),
        chunk(call(0, "c", "f", "{}")),
        chunk({"content": "b"}),
        chunk({"content": "c"}),
        chunk(call(1, "d", "g", "")),
        chunk({}, "tool_calls"),
    ) == [
        (PartKind.TEXT, "a"),
        (CALL, "{}"),
        (PartKind.TEXT, "bc"),
        (CALL, "{}"),
    ]


def test_text_in_the_middle_of_a_call_waits() -> None:
    assert parts(
        chunk(call(0, "c", "f", '{"n"')),
        chunk({"content": "b"}),
        chunk({"content": "c"}),
        chunk(call(0, text=":1}")),
        chunk({"reasoning_content": "d"}),
        chunk({}, "tool_calls"),
    ) == [(CALL, '{"n":1}'), (PartKind.TEXT, "bc"), (PartKind.THINKING, "d")]


def test_what_comes_behind_a_whole_call_is_a_repetition() -> None:
    assert calls(call(0, "a", "f", "{}"), call(1, "b", "g", "{}"), call(0, "a", "f", "{}")) == [
        ("a", "f", "{}"),
        ("b", "g", "{}"),
    ]


def test_custom_calls() -> None:
    first = {"index": 0, "id": "a", "type": "custom", "custom": {"name": "c", "input": ""}}
    answer = read(
        chunk({"tool_calls": [first]}),
        chunk({"tool_calls": [{"index": 0, "custom": {"input": "free }"}}]}),
        chunk({}, "tool_calls"),
    )
    assert answer.parts == (Part(CALL, "free }", "a", "c", custom=True),)


def test_calls_before_there_were_tools() -> None:
    answer = whole({"function_call": {"name": "f", "arguments": "{}"}}, "function_call")
    assert answer.parts == (Part(CALL, "{}", "call_a1_0", "f"),)
    assert answer.reason is FinishReason.TOOL_CALLS


def test_a_signature_seals_its_call() -> None:
    piece = call(None, "a", "f", "{}")
    piece["tool_calls"][0]["extra_content"] = {"google": {"thought_signature": "sig"}}
    (part,) = read(chunk(piece), chunk({}, "stop")).parts
    assert part.seal == Seal("google", "sig")


# --- other content ------------------------------------------------------------------------------


def test_the_other_spelling_of_thoughts() -> None:
    assert parts(chunk({"reasoning": "hm", "content": ""}), chunk({"content": "a"}, "stop")) == [
        (PartKind.THINKING, "hm"),
        (PartKind.TEXT, "a"),
    ]


def test_content_as_a_list() -> None:
    content = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "a"},
        {"type": "odd"},
    ]
    assert parts(chunk({"content": content}, "stop")) == [
        (PartKind.THINKING, "hm"),
        (PartKind.TEXT, "a"),
    ]


def test_sources_belong_to_the_text() -> None:
    cited = {"start_index": 0, "end_index": 2, "title": "T", "url": "https://x"}
    annotations = [{"type": "url_citation", "url_citation": cited}, {"type": "odd"}]
    expected = (Part(PartKind.TEXT, "ab", citations=(Citation("https://x", "T", 0, 2),)),)
    assert whole({"content": "ab", "annotations": annotations}).parts == expected
    streamed = read(
        chunk({"content": "ab"}), chunk({"annotations": annotations}), chunk({}, "stop")
    )
    assert streamed.parts == expected
    assert whole({"annotations": annotations}).parts == ()


def test_sources_of_later_text_count_from_its_beginning() -> None:
    cited = {"start_index": 3, "end_index": 5, "title": "", "url": "https://x"}
    annotations = [{"type": "url_citation", "url_citation": cited}]
    answer = read(
        chunk({"content": "abc"}),
        chunk(call(0, "c", "f", "{}")),
        chunk({"content": "de", "annotations": annotations}),
        chunk({}, "stop"),
    )
    assert answer.parts[2].citations == (Citation("https://x", "", 0, 2),)


def test_text_that_waits_keeps_its_sources() -> None:
    cited = {"start_index": 0, "end_index": 1, "title": "", "url": "https://x"}
    annotations = [{"type": "url_citation", "url_citation": cited}]
    answer = read(
        chunk(call(0, "c", "f", '{"n":{}')),
        chunk({"content": "a", "annotations": annotations}),
        chunk({}, "tool_calls"),
    )
    assert answer.parts == (
        Part(CALL, '{"n":{}', "c", "f"),
        Part(PartKind.TEXT, "a", citations=(Citation("https://x", "", 0, 1),)),
    )


def test_sources_without_text_are_left_out() -> None:
    annotations = [{"type": "url_citation", "url_citation": {"url": "https://x"}}]
    assert parts(chunk({"reasoning": "hm"}), chunk({"annotations": annotations}, "stop")) == [
        (PartKind.THINKING, "hm")
    ]


def test_pictures_beside_the_text() -> None:
    images = [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
        {"type": "image_url", "image_url": {"url": "data:broken"}},
    ]
    answer = whole({"content": "a", "images": images})
    assert [part.media for part in answer.parts] == [
        None,
        Media(MediaKind.IMAGE, "image/png", "iVBORw0KGgo="),
        Media(MediaKind.IMAGE, url="https://x/y.png"),
    ]


def test_the_words_of_speech() -> None:
    audio = {"id": "audio_1", "data": "AA==", "transcript": "hello", "expires_at": 1}
    assert [part.text for part in whole({"content": None, "audio": audio}).parts] == ["hello"]


def test_an_empty_answer() -> None:
    assert whole({"content": None}).parts == ()
    assert whole({"content": ""}, None).reason is FinishReason.STOP


def test_only_the_first_choice_is_read() -> None:
    choices = [
        {"index": 1, "delta": {"content": "other"}, "finish_reason": "length"},
        {"index": 0, "delta": {"content": "first"}, "finish_reason": "stop"},
    ]
    frame = b"data: " + json.dumps(HEAD | {"choices": choices}).encode() + b"\n\n"
    answer = read(frame)
    assert [part.text for part in answer.parts] == ["first"]
    assert answer.reason is FinishReason.STOP


def test_a_last_chunk_with_the_whole_message_repeats_nothing() -> None:
    choice = {"index": 0, "message": {"content": "ab"}, "finish_reason": "stop"}
    last = b"data: " + json.dumps(HEAD | {"choices": [choice]}).encode() + b"\n\n"
    assert parts(chunk({"content": "ab"}), last) == [(PartKind.TEXT, "ab")]
    assert parts(last) == [(PartKind.TEXT, "ab")]


def test_a_filter_chunk_ahead_starts_nothing() -> None:
    ahead = b'data: {"id":"","object":"","created":0,"model":"","choices":[]}\n\n'
    first = next(iter(CHAT.decode_stream(iter([ahead, chunk({"content": "a"})]))))
    assert first == Start("a1", "m", 5)


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (b'data: {"error":{"message":"slow","code":"rate_limit_exceeded"}}\n\n', QuotaExhausted),
        (b'event: error\ndata: {"error":{"message":"x","type":"server_error"}}\n\n', Overloaded),
        (b'data: {"error":"plain"}\n\n', UpstreamError),
        (b'data: {"type":"error","message":"x","code":"invalid_argument"}\n\n', Rejected),
        (b'data: {"object":"error","message":"x","code":400}\n\n', Rejected),
        (b'{"error":{"message":"x","status":503}}\n\n', Overloaded),
        (chunk({}, "error"), Overloaded),
        (b"data: not json\n\n", Garbled),
        (b"data: [1]\n\n", Garbled),
    ],
)
def test_errors_in_a_stream(frame: bytes, kind: type[UpstreamError]) -> None:
    with pytest.raises(kind):
        read(chunk({"content": "a"}), frame)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"error":{"message":"x","type":"invalid_request_error"}}', Rejected),
        (b"<html>", Garbled),
        (b"[]", Garbled),
        (b"{}", Garbled),
        (b'{"choices":[]}', Garbled),
        (b'{"choices":null}', Garbled),
    ],
)
def test_bodies_that_are_no_answer(body: bytes, kind: type[UpstreamError]) -> None:
    with pytest.raises(kind):
        fold(CHAT.decode_answer(body))


def test_done_alone_is_no_end() -> None:
    with pytest.raises(Garbled):
        read(chunk({"content": "a"}), DONE)


def test_nothing_is_read_behind_done() -> None:
    def frames() -> Iterator[bytes]:
        yield chunk({"content": "a"}, "stop")
        yield DONE
        raise AssertionError("read on")

    assert fold(CHAT.decode_stream(frames())).reason is FinishReason.STOP
