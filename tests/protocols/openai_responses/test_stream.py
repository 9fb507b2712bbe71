"""What is written for Responses clients, as the official SDK and the strictest readers see it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

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
    check,
)
from app.ir.fold import fold
from app.ir.parts import Citation, Media, MediaKind, Seal
from app.protocols.base import Shape
from app.protocols.openai_responses.items import turns_of
from tests.protocols.clients import EVENTS, openai_client
from tests.protocols.openai_responses.telling import CODEC, cut, written

START = Start("a1", "m", 1_760_000_000)
END = Finish(FinishReason.STOP)
PICTURE = Media(MediaKind.IMAGE, mime="image/png", data="QUJD")
CITATION = Citation("https://x", "X", 0, 2)
EVERYTHING: list[Event] = [
    START,
    Open(PartKind.THINKING),
    Delta("why "),
    Delta("not"),
    Shut(Seal("openai", "gAAA")),
    Open(PartKind.THINKING),
    Shut(Seal("anthropic", "dark"), redacted=True),
    Open(PartKind.TEXT),
    Delta("Grö"),
    Cite(CITATION),
    Delta("ße"),
    Shut(),
    Flush(),
    Open(PartKind.MEDIA, media=PICTURE),
    Shut(),
    Open(PartKind.TOOL_CALL, "c1", "look", "mcp__s"),
    Delta('{"n":'),
    Delta("90071992547409931}"),
    Shut(),
    Open(PartKind.TOOL_CALL, "c2", "look"),
    Shut(),
    Open(PartKind.TOOL_CALL, "c3", "exec", custom=True),
    Delta("1 < 2"),
    Shut(),
    UsageEvent(Usage(40, 60, 0, 0, 20, 30)),
    Finish(FinishReason.TOOL_CALLS),
]


def payloads(events: list[Event], shape: Shape | None = None) -> list[dict[str, Any]]:
    frames = CODEC.encode_stream(events, shape) if shape else CODEC.encode_stream(events)
    return [json.loads(frame.split(b"data: ", 1)[1]) for frame in frames if frame]


def answered(events: list[Event]) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(CODEC.encode_answer(events))
    return body


def test_the_ladder() -> None:
    events = payloads(EVERYTHING)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    finished = events[-1]["response"]
    items = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert finished["output"] == items == answered(EVERYTHING)["output"]
    begun = [event["item"] for event in events if event["type"] == "response.output_item.added"]
    assert [(item["type"], item["id"]) for item in begun] == [
        (item["type"], item["id"]) for item in items
    ]
    assert all(len(item["id"]) <= 64 for item in items)
    assert [event["type"] for event in events if event.get("output_index") == 2] == [
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.annotation.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
    ]


def test_a_pause_hands_out_what_there_is() -> None:
    frames = list(CODEC.encode_stream(EVERYTHING))
    assert frames.count(b"") == 1


def test_items() -> None:
    thought, dark, message, picture, call, empty, custom = answered(EVERYTHING)["output"]
    assert thought["summary"] == [{"type": "summary_text", "text": "why not"}]
    assert thought["encrypted_content"] == "gAAA"
    assert (dark["summary"], "dark" in dark["encrypted_content"]) == ([], False)
    assert message["content"][0]["annotations"] == [
        {
            "type": "url_citation",
            "start_index": 0,
            "end_index": 2,
            "url": "https://x",
            "title": "X",
        }
    ]
    assert (picture["type"], picture["result"]) == ("image_generation_call", "QUJD")
    assert (call["namespace"], call["call_id"]) == ("mcp__s", "c1")
    assert call["arguments"] == '{"n":90071992547409931}'
    assert (empty["arguments"], "namespace" in empty) == ("{}", False)
    assert (custom["type"], custom["input"]) == ("custom_tool_call", "1 < 2")


def test_everything_comes_back_as_it_went() -> None:
    expected = fold(EVERYTHING)
    empty = fold([START, Open(PartKind.TOOL_CALL, "c2", "look"), Delta("{}"), Shut(), END]).parts
    for events in (
        CODEC.decode_answer(CODEC.encode_answer(EVERYTHING)),
        CODEC.decode_stream(CODEC.encode_stream(EVERYTHING)),
        CODEC.decode_stream(cut(written(EVERYTHING))),
    ):
        answer = fold(events)
        assert answer.parts[0] == expected.parts[0]
        assert answer.parts[2:5] == expected.parts[2:5]
        assert answer.parts[5:6] == empty
        assert answer.parts[6:] == expected.parts[6:]
        assert (answer.reason, answer.usage) == (expected.reason, expected.usage)


def test_reasoning_comes_back_from_the_client_for_its_maker() -> None:
    """The items of an answer are the next request's input."""
    turn = turns_of(answered(EVERYTHING)["output"][:2])[0]
    thought, dark = turn.parts
    assert (thought.text, thought.seal) == ("why not", Seal("openai", "gAAA"))  # type: ignore[union-attr]
    assert (dark.redacted, dark.seal) == (True, Seal("anthropic", "dark"))  # type: ignore[union-attr]


def test_the_official_stream_reader_takes_all_of_it() -> None:
    client = openai_client(written(EVERYTHING), kind=EVENTS)
    with client.responses.stream(model="m", input="x") as run:
        kinds = [event.type for event in run]
        final = run.get_final_response()
    assert kinds[-1] == "response.completed"
    other = openai_client(CODEC.encode_answer(EVERYTHING)).responses.create(model="m", input="x")
    assert [item.type for item in final.output] == [item.type for item in other.output]
    assert final.output_text == other.output_text == "Größe"
    assert final.usage == other.usage
    assert other.usage is not None
    assert (other.usage.input_tokens, other.usage.output_tokens) == (100, 50)
    calls = [item for item in final.output if item.type == "function_call"]
    assert [(call.call_id, call.namespace) for call in calls] == [("c1", "mcp__s"), ("c2", None)]


class Answer(BaseModel):
    n: int


def test_parsed_answers() -> None:
    events: list[Event] = [START, Open(PartKind.TEXT), Delta('{"n":'), Delta("3}"), Shut(), END]
    whole = openai_client(CODEC.encode_answer(events))
    parsed = whole.responses.parse(model="m", input="x", text_format=Answer)
    assert parsed.output_parsed == Answer(n=3)
    client = openai_client(written(events), kind=EVENTS)
    with client.responses.stream(model="m", input="x", text_format=Answer) as run:
        assert run.get_final_response().output_parsed == Answer(n=3)


@pytest.mark.parametrize(
    ("events", "status", "why", "words"),
    [
        ([END], "completed", None, None),
        ([Finish(FinishReason.LENGTH)], "incomplete", "max_output_tokens", None),
        ([Finish(FinishReason.WINDOW)], "incomplete", "max_output_tokens", None),
        ([Finish(FinishReason.PAUSE)], "completed", None, None),
        ([Finish(FinishReason.REFUSAL)], "incomplete", "content_filter", None),
        ([Finish(FinishReason.REFUSAL, detail="No.")], "incomplete", "content_filter", "No."),
        (
            [
                Open(PartKind.REFUSAL),
                Delta("Not "),
                Delta("me."),
                Shut(),
                Finish(FinishReason.REFUSAL, detail="said"),
            ],
            "completed",
            None,
            "Not me.",
        ),
    ],
)
def test_ends(events: list[Event], status: str, why: str | None, words: str | None) -> None:
    whole = answered([START, *events])
    streamed = payloads([START, *events])[-1]
    assert streamed["response"] == whole
    assert streamed["type"] == f"response.{status}"
    assert whole["status"] == status
    assert whole["incomplete_details"] == (why and {"reason": why})
    assert whole["error"] is None
    refusals = [item["content"][0].get("refusal") for item in whole["output"]]
    assert refusals == ([words] if words else [])


def test_media_that_is_no_picture_is_left_out() -> None:
    sound = Media(MediaKind.AUDIO, mime="audio/wav", data="QUJD")
    events: list[Event] = [
        START,
        Open(PartKind.MEDIA, media=sound),
        Shut(),
        Open(PartKind.TEXT),
        Delta("x"),
        Shut(),
        END,
    ]
    assert [item["type"] for item in answered(events)["output"]] == ["message"]
    assert payloads(events)[-1]["response"] == answered(events)


def test_the_echo_repeats_the_request() -> None:
    echo = {
        "tools": None,
        "text": {"verbosity": "low"},
        "instructions": "Be brief",
        "temperature": 0.5,
        "store": True,
        "input": "secret",
    }
    for event in (payloads([START, END], Shape(echo=echo))[0], payloads([START, END])[0]):
        assert event["response"]["tools"] == []
        assert event["response"]["store"] is False
        assert "input" not in event["response"]
    response = payloads([START, END], Shape(echo=echo))[-1]["response"]
    assert response["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    assert (response["instructions"], response["temperature"]) == ("Be brief", 0.5)


def test_half_a_surrogate_pair_is_escaped() -> None:
    events: list[Event] = [
        START,
        Open(PartKind.TEXT),
        Delta("\ud83d"),
        Delta("\ude00"),
        Shut(),
        END,
    ]
    assert b"\\ud83d" in written(events)
    assert b"\\ud83d" in CODEC.encode_answer(events)


def test_a_cut_answer_is_never_a_whole_one() -> None:
    body = written(EVERYTHING)
    end = body.rindex(b"event: response.completed")
    for length in [*range(0, end, 97), *range(end, len(body))]:
        events = list(CODEC.decode_stream(cut(body[:length], 4096)))
        assert not any(isinstance(event, Finish) for event in events)


WORDS = st.text(max_size=8)
SEALS = st.none() | st.builds(Seal, st.just("openai"), st.text("gA_-", min_size=1, max_size=8))
CITATIONS = st.builds(Citation, st.just("https://x"), WORDS, st.integers(0, 9), st.integers(0, 9))


@st.composite
def parts(draw: st.DrawFn) -> list[Event]:
    kind = draw(st.sampled_from(list(PartKind)))
    deltas = [Delta(text) for text in draw(st.lists(WORDS.filter(bool), min_size=1, max_size=3))]
    match kind:
        case PartKind.TEXT:
            cites = [Cite(each) for each in draw(st.lists(CITATIONS, max_size=2))]
            return [Open(kind), *deltas, *cites, Shut()]
        case PartKind.REFUSAL:
            return [Open(kind), *deltas, Shut()]
        case PartKind.THINKING:
            return [Open(kind), *deltas, Shut(draw(SEALS))]
        case PartKind.TOOL_CALL:
            name, namespace = draw(st.sampled_from(["look", "find"])), draw(WORDS)
            custom = draw(st.booleans())
            call_id = draw(st.uuids()).hex
            return [Open(kind, call_id, name, namespace, custom), *deltas, Shut()]
        case PartKind.MEDIA:
            return [Open(kind, media=PICTURE), Shut()]


@given(st.lists(parts(), max_size=5), st.integers(1, 50))
def test_any_answer_comes_back_as_it_went(some: list[list[Event]], size: int) -> None:
    middle = [event for part in some for event in part]
    called = any(isinstance(e, Open) and e.kind is PartKind.TOOL_CALL for e in middle)
    refused = any(isinstance(e, Open) and e.kind is PartKind.REFUSAL for e in middle)
    reason = FinishReason.STOP
    if called:
        reason = FinishReason.TOOL_CALLS
    elif refused:
        reason = FinishReason.REFUSAL
    events = [START, *middle, UsageEvent(Usage(1, 2, 3, 0, 5, 6)), Finish(reason)]
    expected = fold(events)
    assert fold(check(CODEC.decode_stream(cut(written(events), size)))) == expected
    assert fold(CODEC.decode_answer(CODEC.encode_answer(events))) == expected


def test_only_text_cites() -> None:
    events: list[Event] = [START, Open(PartKind.REFUSAL), Delta("x"), Cite(CITATION), Shut(), END]
    assert b"annotation" not in written(events)
