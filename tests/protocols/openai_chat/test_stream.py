"""Answers written as Chat, read by the official SDK and by our own decoder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from app.errors import Overloaded
from app.ir.events import (
    Cite,
    Delta,
    Event,
    Finish,
    FinishReason,
    Flush,
    Open,
    PartKind,
    Shut,
    Start,
    Usage,
    UsageEvent,
)
from app.ir.fold import fold
from app.ir.parts import Citation, Media, MediaKind, Seal
from app.protocols.base import Shape
from app.protocols.openai_chat.legacy import encode_completion, encode_completion_stream
from app.protocols.seals import unpack
from tests.protocols.clients import EVENTS, openai_client
from tests.protocols.openai_chat.asked import CHAT

ASK: Any = [{"role": "user", "content": "hi"}]
PNG = "iVBORw0KGgo="
USAGE = Usage(40, 60, 0, 0, 20, 30)


def part(kind: PartKind, *pieces: str, **more: Any) -> list[Event]:
    seal = more.pop("seal", None)
    return [Open(kind, **more), *(Delta(piece) for piece in pieces), Shut(seal)]


def call(name: str, *pieces: str, **more: Any) -> list[Event]:
    return part(PartKind.TOOL_CALL, *pieces, call_id=f"id_{name}", name=name, **more)


def answer(
    *parts: list[Event], reason: FinishReason = FinishReason.STOP, **more: Any
) -> list[Event]:
    told: list[Event] = [Start("a1", "m", 5)]
    for events in parts:
        told += events
    return [*told, UsageEvent(USAGE), Finish(reason, **more)]


def accumulated(events: list[Event]) -> Any:
    client = openai_client(b"".join(CHAT.encode_stream(events)), kind=EVENTS)
    with client.chat.completions.stream(
        model="m", messages=ASK, stream_options={"include_usage": True}
    ) as stream:
        for _ in stream:
            pass
        return stream.current_completion_snapshot


def whole(events: list[Event]) -> Any:
    return openai_client(CHAT.encode_answer(events)).chat.completions.create(
        model="m", messages=ASK
    )


def both(events: list[Event]) -> Iterator[Any]:
    yield whole(events)
    yield accumulated(events)


def test_everything_in_one_answer() -> None:
    events = answer(
        part(PartKind.THINKING, "h", "m", seal=Seal("anthropic", "sig")),
        part(PartKind.TEXT, "a"),
        call("f"),
        part(PartKind.TEXT, "b"),
        call("g", '{"n":', "1}"),
    )
    for told in both(events):
        (choice,) = told.choices
        assert choice.message.content == "ab"
        assert choice.message.reasoning_content == "hm"
        assert choice.finish_reason == "tool_calls"
        found = [(c.id, c.function.name, c.function.arguments) for c in choice.message.tool_calls]
        assert found == [("id_f", "f", "{}"), ("id_g", "g", '{"n":1}')]
        assert (told.id, told.model, told.created) == ("chatcmpl-a1", "m", 5)
        assert told.usage.prompt_tokens == 100
        assert told.usage.completion_tokens == 50
        assert told.usage.total_tokens == 150
        assert told.usage.prompt_tokens_details.cached_tokens == 60
        assert told.usage.completion_tokens_details.reasoning_tokens == 30


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        (FinishReason.STOP, "stop"),
        (FinishReason.LENGTH, "length"),
        (FinishReason.WINDOW, "length"),
        (FinishReason.REFUSAL, "content_filter"),
        (FinishReason.PAUSE, "stop"),
    ],
)
def test_reasons(reason: FinishReason, word: str) -> None:
    events = answer(part(PartKind.TEXT, "a"), reason=reason)
    assert whole(events).choices[0].finish_reason == word
    client = openai_client(b"".join(CHAT.encode_stream(events)), kind=EVENTS)
    chunks = list(client.chat.completions.create(model="m", messages=ASK, stream=True))
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == word


def test_a_refusal_in_words() -> None:
    for told in both(answer(part(PartKind.REFUSAL, "n", "o"), reason=FinishReason.REFUSAL)):
        assert told.choices[0].message.refusal == "no"


def test_a_refusal_explained() -> None:
    for told in both(answer(reason=FinishReason.REFUSAL, detail="why")):
        assert told.choices[0].message.refusal == "why"
        assert told.choices[0].finish_reason == "content_filter"


def test_an_explanation_does_not_repeat_the_words() -> None:
    for told in both(answer(part(PartKind.REFUSAL, "no"), reason=FinishReason.REFUSAL, detail="w")):
        assert told.choices[0].message.refusal == "no"


def test_sources_count_from_the_beginning_of_all_text() -> None:
    first: list[Event] = [
        Open(PartKind.TEXT),
        Delta("abc"),
        Cite(Citation("https://x", "X", 0, 3)),
        Shut(),
    ]
    second: list[Event] = [
        Open(PartKind.TEXT),
        Delta("de"),
        Cite(Citation("https://y", "Y", 1, 2)),
        Shut(),
    ]
    for told in both(answer(first, second)):
        annotations = told.choices[0].message.annotations
        found = [
            note["url_citation"] if isinstance(note, dict) else note.url_citation.model_dump()
            for note in annotations
        ]
        assert [(one["start_index"], one["end_index"], one["url"]) for one in found] == [
            (0, 3, "https://x"),
            (4, 5, "https://y"),
        ]


def test_pictures_are_markdown() -> None:
    picture = Media(MediaKind.IMAGE, "image/png", PNG)
    sound = Media(MediaKind.AUDIO, "audio/wav", PNG)
    events = answer(
        part(PartKind.TEXT, "see "),
        part(PartKind.MEDIA, media=picture),
        part(PartKind.MEDIA, media=sound),
    )
    for told in both(events):
        content = told.choices[0].message.content
        assert content == f"see ![image](data:image/png;base64,{PNG})"


def test_seals_ride_on_their_calls() -> None:
    own, foreign = Seal("google", "sig"), Seal("openai", "enc", "rs_1")
    for told in both(answer(call("f", "{}", seal=own), call("g", "{}", seal=foreign))):
        carried = [
            c.extra_content["google"]["thought_signature"]
            for c in told.choices[0].message.tool_calls
        ]
        assert carried[0] == "sig"
        assert [unpack(text, "google") for text in carried] == [own, foreign]


def test_custom_calls() -> None:
    events = answer(call("c", "free ", "text", custom=True), call("d", custom=True))
    calls = whole(events).choices[0].message.tool_calls
    assert [(c.type, c.custom.name, c.custom.input) for c in calls] == [
        ("custom", "c", "free text"),
        ("custom", "d", ""),
    ]
    client = openai_client(b"".join(CHAT.encode_stream(events)), kind=EVENTS)
    pieces = [
        piece.model_dump()
        for chunk in client.chat.completions.create(model="m", messages=ASK, stream=True)
        if chunk.choices
        for piece in chunk.choices[0].delta.tool_calls or ()
    ]
    assert [piece["index"] for piece in pieces] == [0, 0, 0, 1]
    assert "".join(piece["custom"]["input"] for piece in pieces) == "free text"


def test_an_answer_without_content() -> None:
    message = whole(answer()).choices[0].message
    assert (message.content, message.refusal, message.tool_calls) == (None, None, None)


def test_an_empty_piece_for_each_pause() -> None:
    events: list[Event] = [Start("a", "m", 0), Flush(), Finish(FinishReason.STOP), Flush()]
    for frames in (list(CHAT.encode_stream(events)), list(encode_completion_stream(events))):
        assert [frame == b"" for frame in frames].count(True) == 2
        assert frames[-1] == b""


def test_usage_only_where_it_was_asked_for() -> None:
    events = answer(part(PartKind.TEXT, "a"))
    body = b"".join(CHAT.encode_stream(events, Shape(include_usage=False)))
    assert b"usage" not in body
    told = [json.loads(f[6:]) for f in CHAT.encode_stream(events) if b"[DONE]" not in f]
    assert [chunk["usage"] is None for chunk in told] == [True] * (len(told) - 1) + [False]
    assert told[-1]["choices"] == []


def test_cut_letters_are_written_all_the_same() -> None:
    events = answer(part(PartKind.TEXT, "\ud83d"))
    assert b"\\ud83d" in CHAT.encode_answer(events)
    assert b"\\ud83d" in b"".join(CHAT.encode_stream(events))


def test_legacy_answers() -> None:
    events = answer(
        part(PartKind.THINKING, "hm"),
        part(PartKind.TEXT, "a", "b"),
        call("f", "{}"),
        part(PartKind.REFUSAL, "c"),
        reason=FinishReason.WINDOW,
    )
    done = openai_client(encode_completion(events)).completions.create(model="m", prompt="x")
    assert (done.id, done.choices[0].text, done.choices[0].finish_reason) == (
        "cmpl-a1", "abc", "length",
    )  # fmt: skip
    body = b"".join(encode_completion_stream(events))
    chunks = list(
        openai_client(body, kind=EVENTS).completions.create(model="m", prompt="x", stream=True)
    )
    assert "".join(c.choices[0].text for c in chunks if c.choices) == "abc"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 150


def test_an_error_frame_is_an_error_to_the_sdk() -> None:
    frames = list(CHAT.encode_stream(answer(part(PartKind.TEXT, "a"))))[:2]
    body = b"".join(frames) + CHAT.encode_stream_error(Overloaded("gone"), "r")
    stream = openai_client(body, kind=EVENTS).chat.completions.create(
        model="m", messages=ASK, stream=True
    )
    with pytest.raises(openai.APIError, match="gone"):
        list(stream)


def test_our_own_decoder_reads_the_same() -> None:
    seal = Seal("google", "sig")
    events = answer(
        part(PartKind.THINKING, "hm"), part(PartKind.TEXT, "a"), call("f", "{}", seal=seal)
    )
    expected = fold(CHAT.decode_answer(CHAT.encode_answer(events)))
    assert fold(CHAT.decode_stream(CHAT.encode_stream(events))) == expected
    assert [p.text for p in expected.parts] == ["hm", "a", "{}"]
    assert expected.parts[2].seal == seal
    assert expected.reason is FinishReason.TOOL_CALLS
