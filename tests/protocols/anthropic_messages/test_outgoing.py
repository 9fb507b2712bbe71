"""What a Claude client gets, read by the official SDK and by our own decoder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
from app.ir.parts import Citation, Media, MediaKind, Part, Seal, Text, Thinking, ToolCall
from app.protocols.anthropic_messages import AnthropicMessages
from app.protocols.base import Operation
from app.wire.sse import FrameCutter
from tests.protocols.clients import EVENTS, anthropic_client

CODEC = AnthropicMessages()
START = Start("a1", "alias", 5)
USED = UsageEvent(Usage(input_tokens=3, cache_read_tokens=4, output_tokens=5, reasoning_tokens=2))
DONE = Finish(FinishReason.STOP)
GOOGLE = Seal("google", "sig")
OPENAI = Seal("openai", "enc", "rs_1")
CLAUDE = Seal("anthropic", "own")


def part(kind: PartKind, *texts: str, shut: Shut = Shut(), **members: Any) -> list[Event]:  # noqa: B008  a frozen value
    return [Open(kind, **members), *(Delta(text) for text in texts), shut]


def call(*texts: str, seal: Seal | None = None, call_id: str = "c1") -> list[Event]:
    return part(PartKind.TOOL_CALL, *texts, shut=Shut(seal), call_id=call_id, name="look")


def whole(*events: Event) -> Any:
    body = CODEC.encode_answer([START, *events])
    return anthropic_client(body).messages.create(
        model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}]
    )


def streamed(*events: Event) -> Any:
    body = b"".join(CODEC.encode_stream([START, *events]))
    with anthropic_client(body, kind=EVENTS).messages.stream(
        model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}]
    ) as run:
        return run.get_final_message()


def both(*events: Event) -> Any:
    """The message as the SDK has it, the same streamed or whole."""
    one, other = whole(*events), streamed(*events)
    assert [_plain(block) for block in one.content] == [_plain(block) for block in other.content]
    assert (one.stop_reason, one.stop_sequence) == (other.stop_reason, other.stop_sequence)
    assert (one.id, one.model, one.role) == (other.id, other.model, other.role)
    assert one.usage.output_tokens == other.usage.output_tokens
    assert one.usage.input_tokens == other.usage.input_tokens
    return one


def _plain(block: Any) -> dict[str, Any]:
    return {name: value for name, value in block.to_dict().items() if value not in (None, [])}


def sent_back(message: Any) -> tuple[Part, ...]:
    """The parts of the next request, when a client sends the blocks of an answer back."""
    content = [block.to_dict() for block in message.content]
    body = {"max_tokens": 1, "messages": [{"role": "assistant", "content": content}]}
    return (
        CODEC.decode_request(orjson.dumps(body), Operation.GENERATE, model="m", stream=False)
        .turns[0]
        .parts
    )


def test_an_answer_with_everything() -> None:
    message = both(
        USED,
        *part(PartKind.THINKING, "hm", "m", shut=Shut(CLAUDE)),
        *part(PartKind.THINKING, shut=Shut(Seal("anthropic", "secret"), redacted=True)),
        *part(PartKind.TEXT, "Größe", "\u2028\U0001f600"),
        *call('{"n":', "9007199254740993123}"),
        *call(call_id="c2"),
        USED,
        DONE,
    )
    assert (message.id, message.model) == ("msg_a1", "alias")
    assert [block.type for block in message.content] == [
        "thinking",
        "redacted_thinking",
        "text",
        "tool_use",
        "tool_use",
    ]
    thinking, hidden, text, one, two = message.content
    assert (thinking.thinking, thinking.signature, hidden.data) == ("hmm", "own", "secret")
    assert text.text == "Größe\u2028\U0001f600"
    assert (one.id, one.name, one.input) == ("c1", "look", {"n": 9007199254740993123})
    assert two.input == {}
    assert message.stop_reason == "tool_use"
    assert message.usage.input_tokens == 3
    assert message.usage.cache_read_input_tokens == 4
    assert message.usage.output_tokens == 7


@pytest.mark.parametrize(
    ("finish", "reason", "sequence"),
    [
        (Finish(FinishReason.STOP), "end_turn", None),
        (Finish(FinishReason.STOP, "END"), "stop_sequence", "END"),
        (Finish(FinishReason.LENGTH), "max_tokens", None),
        (Finish(FinishReason.WINDOW), "model_context_window_exceeded", None),
        (Finish(FinishReason.TOOL_CALLS), "tool_use", None),
        (Finish(FinishReason.REFUSAL), "refusal", None),
        (Finish(FinishReason.PAUSE), "pause_turn", None),
    ],
)
def test_stop_reasons(finish: Finish, reason: str, sequence: str | None) -> None:
    message = both(*part(PartKind.TEXT, "a"), finish)
    assert (message.stop_reason, message.stop_sequence) == (reason, sequence)


def test_calls_in_an_answer_are_told_unless_it_was_cut() -> None:
    assert both(*call("{}"), DONE).stop_reason == "tool_use"
    assert both(*call("{}"), Finish(FinishReason.LENGTH)).stop_reason == "max_tokens"


def test_a_refusal_keeps_its_words() -> None:
    message = both(*part(PartKind.REFUSAL, "I will not."), DONE)
    assert (message.stop_reason, message.content[0].text) == ("refusal", "I will not.")
    empty = both(Finish(FinishReason.REFUSAL, detail="unsafe"))
    assert (empty.content, empty.stop_details.explanation) == ([], "unsafe")


def test_no_content_makes_no_block() -> None:
    assert both(DONE).content == []
    assert both(*part(PartKind.TEXT), *part(PartKind.TEXT, ""), DONE).content == []
    assert both(*part(PartKind.THINKING), DONE).content == []


def test_a_picture_is_told_by_its_type() -> None:
    picture = Media(MediaKind.IMAGE, "image/png", "AAAA")
    message = both(*part(PartKind.MEDIA, media=picture), *part(PartKind.TEXT, "a"), DONE)
    assert [block.text for block in message.content] == ["[image/png]", "a"]


def test_citations() -> None:
    cited: list[Event] = [
        Open(PartKind.TEXT),
        Delta("abcdef"),
        Cite(Citation("https://e.org", "t", 1, 3)),
        Cite(Citation("https://f.org", quote="q")),
        Shut(),
    ]
    first, second = both(*cited, DONE).content[0].citations
    assert (first.url, first.title, first.cited_text) == ("https://e.org", "t", "bc")
    assert (second.url, second.cited_text) == ("https://f.org", "q")
    empty: list[Event] = [Open(PartKind.TEXT), Cite(Citation("u")), Shut()]
    assert both(*empty, DONE).content == []


@pytest.mark.parametrize("arguments", ["{", "[1]", "x"])
def test_a_whole_answer_holds_broken_arguments_as_text(arguments: str) -> None:
    assert whole(*call(arguments), DONE).content[0].input == {"_raw": arguments}


@pytest.mark.parametrize(
    ("events", "parts"),
    [
        (
            part(PartKind.THINKING, "t", shut=Shut(OPENAI)),
            (Thinking("t", OPENAI),),
        ),
        (part(PartKind.THINKING, shut=Shut(OPENAI)), (Thinking("", OPENAI),)),
        (
            part(PartKind.THINKING, shut=Shut(OPENAI, redacted=True)),
            (Thinking("", OPENAI, redacted=True),),
        ),
        (part(PartKind.THINKING, "t", shut=Shut(GOOGLE)), (Thinking("t", GOOGLE),)),
        (part(PartKind.THINKING, "t"), (Thinking("t"),)),
        (call("{}", seal=GOOGLE), (ToolCall("c1", "look", "{}", seal=GOOGLE),)),
        (call(seal=GOOGLE), (ToolCall("c1", "look", "{}", seal=GOOGLE),)),
        (
            call('{"a":', "1}", seal=GOOGLE),
            (ToolCall("c1", "look", '{"a":1}', seal=GOOGLE),),
        ),
        (
            [
                *part(PartKind.THINKING, "t"),
                *call("{}", seal=GOOGLE),
                *call("{}", call_id="c2"),
            ],
            (
                Thinking("t"),
                ToolCall("c1", "look", "{}", seal=GOOGLE),
                ToolCall("c2", "look", "{}"),
            ),
        ),
        (part(PartKind.TEXT, "a", shut=Shut(GOOGLE)), (Text("a", seal=GOOGLE),)),
    ],
    ids=str,
)
@pytest.mark.parametrize("read", [whole, streamed])
def test_seals_come_back_with_the_next_request(
    read: Any, events: list[Event], parts: tuple[Part, ...]
) -> None:
    assert sent_back(read(*events, DONE)) == parts


@pytest.mark.parametrize("read", [whole, streamed])
def test_the_seal_of_a_whole_call_stands_before_it(read: Any) -> None:
    message = read(*part(PartKind.TEXT, "a"), *call("{}", seal=GOOGLE), DONE)
    kinds = [block.type for block in message.content]
    assert kinds == ["text", "thinking", "tool_use"]
    assert message.content[1].thinking == ""


def types_of(*events: Event) -> list[str]:
    """The types of the frames, and ``pause`` for each empty piece."""
    return [
        orjson.loads(CODEC.data(piece))["type"] if piece else "pause"
        for piece in CODEC.encode_stream([START, *events])
    ]


def test_the_order_of_frames() -> None:
    assert types_of(USED, Flush(), *part(PartKind.TEXT, "a", "b"), Flush(), DONE) == [
        "message_start",
        "pause",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "pause",
        "message_delta",
        "message_stop",
    ]


def test_a_pause_hands_out_what_is_held_back() -> None:
    assert types_of(Flush())[:2] == ["message_start", "pause"]
    opened = Open(PartKind.TOOL_CALL, "c1", "look")
    held = types_of(Flush(), opened, Delta("{"), Flush(), Delta("}"), Shut(GOOGLE), DONE)
    assert held[2:] == [
        "content_block_start",
        "content_block_delta",
        "pause",
        "content_block_delta",
        "content_block_stop",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


def test_arguments_flow() -> None:
    assert types_of(*call("{", '"a":', "1}"), DONE).count("content_block_delta") == 3


def test_every_frame_is_named_and_blocks_are_counted_without_gaps() -> None:
    events = [
        *part(PartKind.THINKING),
        *part(PartKind.TEXT, ""),
        *part(PartKind.TEXT, "a"),
        *call("{}", seal=GOOGLE),
    ]
    opened = []
    for piece in CODEC.encode_stream([START, *events, DONE]):
        name, data, *_ = piece.split(b"\n")
        event = orjson.loads(data.removeprefix(b"data: "))
        assert name == b"event: " + event["type"].encode()
        if event["type"] == "content_block_start":
            opened.append(event["index"])
    assert opened == [0, 1, 2]


# --- there and back ------------------------------

WORDS = st.text(min_size=1, max_size=20)
OWN = st.sampled_from([None, CLAUDE])


@st.composite
def answers(draw: st.DrawFn) -> list[Event]:
    """Answers with what Claude itself can say."""
    events: list[Event] = [START, UsageEvent(Usage(input_tokens=draw(st.integers(0, 9)) + 1))]
    for number in range(draw(st.integers(0, 4))):
        words = draw(st.lists(WORDS, min_size=1, max_size=3))
        match draw(st.sampled_from(["text", "thinking", "hidden", "call"])):
            case "text":
                events += part(PartKind.TEXT, *words)
            case "thinking":
                events += part(PartKind.THINKING, *words, shut=Shut(draw(OWN)))
            case "hidden":
                events += part(PartKind.THINKING, shut=Shut(CLAUDE, redacted=True))
            case _:
                told = orjson.dumps({"a": "".join(words)}).decode()
                at = draw(st.integers(0, len(told)))
                events += call(told[:at], told[at:], call_id=f"c{number}")
        if draw(st.booleans()):
            events.append(Flush())
    called = any(isinstance(event, Open) and event.call_id for event in events)
    reason = FinishReason.TOOL_CALLS if called else draw(st.sampled_from(list(FinishReason)))
    stop = draw(st.sampled_from(["", "END"])) if reason is FinishReason.STOP else ""
    return [*events, Finish(reason, stop)]


def frames_of(body: bytes, step: int) -> Iterator[bytes]:
    cutter = FrameCutter()
    for at in range(0, len(body), step):
        yield from cutter.feed(body[at : at + step])


@settings(max_examples=60, deadline=None)
@given(events=answers(), step=st.integers(1, 50))
def test_an_answer_comes_back_as_it_went(events: list[Event], step: int) -> None:
    wanted = fold(events)
    body = b"".join(CODEC.encode_stream(events))
    back = fold(CODEC.decode_stream(frames_of(body, step)))
    again = fold(CODEC.decode_answer(CODEC.encode_answer(events)))
    for found in (back, again):
        assert found.parts == wanted.parts
        assert (found.reason, found.stop_sequence) == (wanted.reason, wanted.stop_sequence)
        assert found.usage == wanted.usage
        assert found.answer_id == wanted.answer_id
