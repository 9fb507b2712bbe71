"""What translation rests on: each protocol's words come back as what was meant."""

from __future__ import annotations

import json
import re
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import GatewayError
from app.ir.events import (
    Delta,
    Event,
    Finish,
    FinishReason,
    Flush,
    Open,
    PartKind,
    Shut,
    Start,
    UsageEvent,
    check,
)
from app.ir.fold import fold
from app.ir.parts import Seal, Text, Thinking, ToolCall, ToolResult
from app.ir.request import Request, Role, Tool, ToolKind, Turn
from app.ir.tidy import tidy
from app.protocols import CODECS
from app.protocols.base import Codec, Operation, Progress
from app.wire.sse import FrameCutter
from tests.contract.sayings import (
    SCHEMA,
    answers,
    heard,
    meaning,
    requests,
    sayable_answers,
    target_of,
    without_flushes,
)

ALL = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())
DATA = st.data()


def said_by(codec: Codec, data: st.DataObject) -> list[Event]:
    return data.draw(sayable_answers(codec.issuer))


# --- answers ---------------------------------------------------------------------------------


@ALL
@given(data=DATA)
def test_a_stream_comes_back_as_what_was_said(codec: Codec, data: st.DataObject) -> None:
    events = said_by(codec, data)
    frames = list(codec.encode_stream(events))
    assert heard(codec, codec.decode_stream(frames)) == heard(codec, events)


@ALL
@given(data=DATA)
def test_a_whole_answer_comes_back_as_what_was_said(codec: Codec, data: st.DataObject) -> None:
    events = said_by(codec, data)
    body = codec.encode_answer(events)
    assert heard(codec, codec.decode_answer(body)) == heard(codec, events)


@ALL
@given(events=answers())
def test_any_answer_can_be_read_again(codec: Codec, events: list[Event]) -> None:
    streamed = fold(codec.decode_stream(codec.encode_stream(events)))
    whole = fold(codec.decode_answer(codec.encode_answer(events)))
    assert (streamed.answer_id, streamed.model) == (whole.answer_id, whole.model) == ("a1", "m")
    assert streamed.usage == whole.usage
    assert streamed.reason is whole.reason
    called = [part.call_id for part in fold(events).parts if part.kind is PartKind.TOOL_CALL]
    for answer in (streamed, whole):
        found = [part.call_id for part in answer.parts if part.kind is PartKind.TOOL_CALL]
        assert found == called


def finishes(codec: Codec, frames: list[bytes]) -> bool:
    try:
        fold(codec.decode_stream(frames))
    except GatewayError:
        return False
    return True


@ALL
@given(data=DATA)
def test_a_stream_cut_anywhere_is_refused_or_says_everything(
    codec: Codec, data: st.DataObject
) -> None:
    events = said_by(codec, data)
    whole = b"".join(codec.encode_stream(events))
    cut = data.draw(st.integers(0, len(whole) - 1))
    frames = FrameCutter().feed(whole[:cut])
    progress = Progress()
    for frame in frames:
        progress = codec.read_frame(frame, progress)
    if not finishes(codec, frames):
        assert not progress.last
        return
    assert progress.finished  # only the protocol's own end lets an answer pass
    short, full = heard(codec, codec.decode_stream(frames)), heard(codec, events)
    assert (short.parts, short.reason) == (full.parts, full.reason)


@ALL
def test_every_single_cut_of_one_stream(codec: Codec) -> None:
    events: list[Event] = [
        Start("a1", "m", 1),
        Open(PartKind.TEXT),
        Delta("hällo"),
        Shut(),
        Open(PartKind.TOOL_CALL, "call_1", "look"),
        Delta('{"a": '),
        Delta("1}"),
        Shut(),
        Finish(FinishReason.TOOL_CALLS),
    ]
    frames = list(codec.encode_stream(events))
    ends = [finishes(codec, frames[:count]) for count in range(len(frames) + 1)]
    assert ends[-1]
    assert ends == sorted(ends)  # once whole, always whole
    assert not any(
        ends[: -3 if codec.name == "openai_chat" else -1]
    )  # usage and [DONE] may be missing


@ALL
@given(data=DATA)
def test_bytes_may_come_in_any_pieces(codec: Codec, data: st.DataObject) -> None:
    events = said_by(codec, data)
    whole = b"".join(codec.encode_stream(events))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=30)))
    cutter, frames = FrameCutter(), list[bytes]()
    for start, end in pairwise([0, *cuts, len(whole)]):
        frames += [*cutter.feed(whole[start:end]), b""]
    while not frames[-1]:  # behind the end nobody looks any more
        frames.pop()
    decoded = list(codec.decode_stream(frames))
    plain = list(codec.decode_stream(codec.encode_stream(events)))
    assert without_flushes(decoded) == without_flushes(plain)
    assert decoded.count(Flush()) == frames.count(b"")


@ALL
@given(data=DATA)
def test_a_pause_upstream_comes_out_as_a_pause(codec: Codec, data: st.DataObject) -> None:
    events = said_by(codec, data)
    places = sorted(data.draw(st.lists(st.integers(1, len(events) - 1), max_size=5)), reverse=True)
    paused = list(events)
    for place in places:
        paused.insert(place, Flush())
    pieces = list(codec.encode_stream(paused))
    assert pieces.count(b"") == len(places)
    said = [piece for piece in pieces if piece]
    assert heard(codec, codec.decode_stream(said)) == heard(codec, events)
    assert codec.encode_answer(paused) == codec.encode_answer(events)


@ALL
def test_what_came_before_a_pause_goes_out_before_it(codec: Codec) -> None:
    frames = list(codec.encode_stream([Start("a1", "m", 1), Open(PartKind.TEXT), Delta("word")]))
    for event in codec.decode_stream([*frames, b""]):
        if event == Flush():
            break
        last = event
    assert last == Delta("word")


@ALL
def test_large_numbers_in_arguments_stay_exact(codec: Codec) -> None:
    arguments = '{"n": 123456789012345678901234567890, "s": "\\u2028\\ud83d\\ude00"}'
    events: list[Event] = [
        Start("a1", "m", 1),
        Open(PartKind.TOOL_CALL, "call_1", "look"),
        Delta(arguments),
        Shut(),
        Finish(FinishReason.TOOL_CALLS),
    ]
    for decoded in (
        codec.decode_stream(codec.encode_stream(events)),
        codec.decode_answer(codec.encode_answer(events)),
    ):
        assert json.loads(fold(decoded).parts[0].text) == json.loads(arguments)


@ALL
@given(body=st.binary(max_size=60))
def test_any_bytes_of_an_upstream_are_events_or_refused(codec: Codec, body: bytes) -> None:
    frame = b"data: " + body.replace(b"\n", b" ") + b"\n\n"
    for read in (partial(codec.decode_answer, body), partial(codec.decode_stream, [frame])):
        try:
            list(check(read()))
        except GatewayError:
            continue


@ALL
@given(data=DATA)
def test_usage_of_a_stream_is_said_before_its_end(codec: Codec, data: st.DataObject) -> None:
    decoded = list(codec.decode_stream(codec.encode_stream(said_by(codec, data))))
    assert isinstance(decoded[-1], Finish)
    assert any(isinstance(event, UsageEvent) for event in decoded)


# --- the way back through a client -----------------------------------------------------------


def echoed(codec: Codec, events: list[Event]) -> tuple[Turn, ...]:
    """The history of a client that sends an answer back as it came, with results of its calls."""
    answer = json.loads(codec.encode_answer(events))
    match codec.name:
        case "openai_chat":
            message = answer["choices"][0]["message"]
            results = [
                {"role": "tool", "tool_call_id": call["id"], "content": "r"}
                for call in message.get("tool_calls") or []
            ]
            said: dict[str, Any] = {
                "messages": [{"role": "user", "content": "hi"}, message, *results]
            }
        case "openai_responses":
            results = [
                {"type": "function_call_output", "call_id": item["call_id"], "output": "r"}
                for item in answer["output"]
                if item["type"] == "function_call"
            ]
            said = {"input": [{"role": "user", "content": "hi"}, *answer["output"], *results]}
        case "anthropic_messages":
            results = [
                {"type": "tool_result", "tool_use_id": block["id"], "content": "r"}
                for block in answer["content"]
                if block["type"] == "tool_use"
            ]
            turn = {"role": "assistant", "content": answer["content"]}
            after = {"role": "user", "content": results}
            said = {"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}, turn, after]}
        case _:
            turn = answer["candidates"][0]["content"]
            results = [
                {"functionResponse": {"name": part["functionCall"]["name"], "response": {"a": "r"}}}
                for part in turn["parts"]
                if "functionCall" in part
            ]
            after = {"role": "user", "parts": results}
            said = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}, turn, after]}
    body = json.dumps({"model": "m", **said}).encode()
    return tidy(codec.decode_request(body, Operation.GENERATE, model="m", stream=False)).turns


@ALL
@pytest.mark.parametrize("issuer", ["anthropic", "openai", "google"])
@pytest.mark.parametrize("text", ["  I  think\n", ""])
def test_thoughts_come_back_with_their_seal(codec: Codec, issuer: str, text: str) -> None:
    seal = Seal(issuer, "c2VhbA==", "rs_1" if issuer == "openai" else "")
    events: list[Event] = [
        Start("a1", "m", 1),
        Open(PartKind.THINKING),
        *([Delta(text)] if text else []),
        Shut(seal),
        Open(PartKind.TEXT),
        Delta("said"),
        Shut(),
        *(Open(PartKind.TOOL_CALL, "call_1", "look"), Delta('{"a":1}'), Shut()),
        *(Open(PartKind.TOOL_CALL, "call_2", "look"), Delta('{"a":2}'), Shut()),
        Finish(FinishReason.TOOL_CALLS),
    ]
    _, turn, results = echoed(codec, events)
    thoughts = [part for part in turn.parts if isinstance(part, Thinking)]
    if codec.name != "openai_chat":  # the gateway keeps them for it
        assert [thought.text for thought in thoughts] == [text]
        found = thoughts[0].seal
        assert found is not None
        assert (found.issuer, found.value) == (seal.issuer, seal.value)
        assert isinstance(turn.parts[0], Thinking)
    assert [part.text for part in turn.parts if isinstance(part, Text)] == ["said"]
    calls = [part for part in turn.parts if isinstance(part, ToolCall)]
    assert [(call.name, json.loads(call.arguments)) for call in calls] == [
        ("look", {"a": 1}),
        ("look", {"a": 2}),
    ]
    assert [part.call_id for part in results.parts if isinstance(part, ToolResult)] == [
        call.call_id for call in calls
    ]


@ALL
@given(data=DATA)
def test_an_answer_sent_back_is_a_history(codec: Codec, data: st.DataObject) -> None:
    events = said_by(codec, data)
    answer = fold(events)
    turns = echoed(codec, events)
    texts = [part.text for part in answer.parts if part.kind is PartKind.TEXT]
    found = [part for turn in turns[1:] for part in turn.parts]
    assert [part.text for part in found if isinstance(part, Text)] == texts
    assert [json.loads(part.arguments) for part in found if isinstance(part, ToolCall)] == [
        json.loads(part.text) for part in answer.parts if part.kind is PartKind.TOOL_CALL
    ]


# --- requests --------------------------------------------------------------------------------


@ALL
@given(request=requests())
def test_a_request_comes_back_as_what_was_meant(codec: Codec, request: Request) -> None:
    encoded = codec.encode_request(request, target_of(codec))
    back = codec.decode_request(
        encoded.body, Operation.GENERATE, model=request.model, stream=request.stream
    )
    assert meaning(codec, back) == meaning(codec, request)


@ALL
@given(request=requests())
def test_a_request_names_its_losses_once(codec: Codec, request: Request) -> None:
    names = [loss.name for loss in codec.encode_request(request, target_of(codec)).losses]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z0-9_]+", name) for name in names)


LONG = "mcp__a_server_with_a_long_name__look_up_" + "x" * 90
ODD = "look.up/it:now"


def called(codec: Codec, *tools: Tool) -> tuple[list[str], list[Open]]:
    """The names a target is told, and what its calls of them become."""
    turns = (
        Turn(Role.USER, (Text("go"),)),
        Turn(
            Role.ASSISTANT,
            tuple(
                ToolCall(
                    f"call_{number}",
                    tool.name,
                    "{}",
                    tool.namespace,
                    custom=tool.kind is ToolKind.CUSTOM,
                )
                for number, tool in enumerate(tools)
            ),
        ),
        Turn(
            Role.USER,
            tuple(ToolResult(f"call_{number}", (Text("r"),)) for number in range(len(tools))),
        ),
    )
    encoded = codec.encode_request(tidy(Request("m", turns, tools=tools)), target_of(codec))
    sent = [encoded.names.there(tool.name, tool.namespace) for tool in tools]
    assert all(json.dumps(name).encode() in encoded.body for name in sent)
    events = [
        event
        for name in sent
        for event in (Open(PartKind.TOOL_CALL, "call_9", name), Delta("{}"), Shut())
    ]
    return sent, [event for event in encoded.names.restore(events) if isinstance(event, Open)]


@ALL
def test_odd_and_long_names_come_back_as_the_client_wrote_them(codec: Codec) -> None:
    tools = [Tool(name, schema=SCHEMA) for name in (LONG, LONG + "y", ODD, "look_up_it_now")]
    sent, back = called(codec, *tools)
    assert len(set(sent)) == len(sent)
    assert all(re.fullmatch(r"[a-zA-Z0-9_.:-]{1,128}", name) for name in sent)
    assert [opened.name for opened in back] == [tool.name for tool in tools]


@ALL
def test_a_namespace_comes_back_where_the_target_has_none(codec: Codec) -> None:
    tools = [Tool("look", schema=SCHEMA, namespace=space) for space in ("", "one", "two")]
    _, back = called(codec, *tools)
    if codec.name != "openai_responses":  # it says the namespace itself
        assert [(opened.namespace, opened.name) for opened in back] == [
            (tool.namespace, tool.name) for tool in tools
        ]


@ALL
def test_a_custom_tool_comes_back_as_one(codec: Codec) -> None:
    tool = Tool("patch", ToolKind.CUSTOM, options={"format": {"type": "text"}})
    _, back = called(codec, tool)
    assert [opened.name for opened in back] == ["patch"]
    assert back[0].custom is (codec.name != "openai_responses")  # which has such tools itself
