"""What Chat can say comes back as it was, whatever it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

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
from app.ir.fold import fold, settle
from app.ir.parts import Media, MediaKind, Part, Text, ToolCall, ToolResult
from app.ir.request import (
    Choosing,
    OutputFormat,
    OutputKind,
    Request,
    Role,
    Sampling,
    Tool,
    ToolChoice,
    ToolKind,
    Turn,
)
from app.ir.tidy import tidy
from app.protocols.base import Operation, Shape
from app.wire.sse import FrameCutter
from tests.protocols.openai_chat.asked import CHAT, encoded, maker

TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).filter(
    lambda text: bool(text.strip())
)
NAMES = st.from_regex(r"[a-z_]{1,12}", fullmatch=True)
JSON_TEXTS = st.sampled_from(["{}", '{"n":12345678901234567890123}', '{"a":{"b":[1,"\u2028"]}}'])
MEDIA = st.sampled_from(
    [
        Media(MediaKind.IMAGE, "image/png", "iVBORw0KGgo="),
        Media(MediaKind.IMAGE, url="https://x/y.png", detail="high"),
        Media(MediaKind.DOCUMENT, "application/pdf", "iVBORw0KGgo=", name="a.pdf"),
        Media(MediaKind.AUDIO, "audio/wav", "iVBORw0KGgo="),
    ]
)
SCHEMAS = st.sampled_from(
    [
        {"type": "object", "properties": {}},
        {"type": "object", "properties": {"type": {"const": 1}}, "required": ["type"]},
    ]
)


@st.composite
def steps(draw: st.DrawFn) -> list[Turn]:
    """What a user says, what the assistant says and calls, and the results."""
    said: list[Part] = draw(st.lists(st.builds(Text, TEXTS) | MEDIA, min_size=1, max_size=3))
    turns = [Turn(Role.USER, tuple(said))]
    calls = draw(
        st.lists(
            st.builds(ToolCall, NAMES, NAMES, JSON_TEXTS),
            max_size=3,
            unique_by=lambda call: call.call_id,
        )
    )
    words = draw(st.builds(Text, TEXTS))
    turns.append(Turn(Role.ASSISTANT, (words, *calls)))
    results = [
        ToolResult(call.call_id, tuple(draw(st.lists(st.builds(Text, TEXTS), max_size=2))))
        for call in calls
    ]
    if results:
        turns.append(Turn(Role.USER, tuple(results)))
    if draw(st.booleans()):
        turns.append(Turn(Role.SYSTEM, (draw(st.builds(Text, TEXTS)),)))
    return turns


@st.composite
def requests(draw: st.DrawFn) -> Request:
    turns = [turn for step in draw(st.lists(steps(), min_size=1, max_size=3)) for turn in step]
    functions = st.builds(
        Tool,
        NAMES,
        description=TEXTS | st.just(""),
        schema=SCHEMAS,
        strict=st.sampled_from([None, False]),
    )
    custom = st.builds(Tool, NAMES, st.just(ToolKind.CUSTOM), TEXTS)
    tools = draw(st.lists(functions | custom, max_size=3, unique_by=lambda tool: tool.name))
    choices: st.SearchStrategy[ToolChoice | None] = st.none()
    if tools:
        names = st.lists(st.sampled_from([tool.name for tool in tools]), unique=True)
        choices |= st.builds(
            ToolChoice, st.sampled_from([Choosing.AUTO, Choosing.REQUIRED]), names.map(tuple)
        )
    return tidy(
        Request(
            "gpt-4o",
            tuple(turns),
            stream=draw(st.booleans()),
            tools=tuple(tools),
            tool_choice=draw(choices),
            parallel_calls=draw(st.sampled_from([None, True, False])) if tools else None,
            max_tokens=draw(st.none() | st.integers(1, 10**6)),
            sampling=draw(
                st.builds(
                    Sampling,
                    temperature=st.none() | st.floats(0, 2),
                    top_p=st.none() | st.floats(0, 1),
                    seed=st.none() | st.integers(-(2**63), 2**63 - 1),
                    stop=st.lists(TEXTS, max_size=4).map(tuple),
                )
            ),
            output=draw(
                st.just(OutputFormat())
                | st.builds(OutputFormat, st.just(OutputKind.SCHEMA), NAMES, SCHEMAS)
            ),
            user=draw(NAMES | st.just("")),
            cache_key=draw(NAMES | st.just("")),
            verbosity=draw(st.sampled_from(["", "low"])),
            service_tier=draw(st.sampled_from(["", "flex"])),
        )
    )


@settings(max_examples=60, deadline=None)
@given(request=requests())
def test_a_request_comes_back_as_it_went(request: Request) -> None:
    written = encoded(request, maker())
    assert written.losses == ()
    read = CHAT.decode_request(
        written.body, Operation.GENERATE, model=request.model, stream=request.stream
    )
    assert tidy(read) == request


@st.composite
def answers(draw: st.DrawFn) -> list[Event]:
    events: list[Event] = [Start(draw(NAMES), "m", draw(st.integers(0, 2**40)))]
    calls = 0
    last: PartKind | None = None
    kinds = [PartKind.THINKING, PartKind.TEXT, PartKind.TOOL_CALL]
    for kind in draw(st.lists(st.sampled_from(kinds), max_size=5)):
        if kind is last and kind is not PartKind.TOOL_CALL:
            continue  # Chat has no border between two texts
        last = kind
        whole = draw(JSON_TEXTS if kind is PartKind.TOOL_CALL else TEXTS)
        cut = draw(st.integers(0, len(whole)))
        more: dict[str, Any] = {}
        if kind is PartKind.TOOL_CALL:
            calls += 1
            more = {"call_id": f"c{calls}", "name": draw(NAMES)}
        events += [Open(kind, **more), Delta(whole[:cut]), Delta(whole[cut:]), Shut()]
    counts = st.integers(0, 10**9)
    usage = Usage(*draw(st.tuples(counts, counts, counts, counts, counts, counts, counts)))
    reason = draw(st.sampled_from([FinishReason.STOP, FinishReason.LENGTH, FinishReason.REFUSAL]))
    return [*events, UsageEvent(usage), Finish(settle(reason, calls > 0))]


@settings(max_examples=60, deadline=None)
@given(events=answers(), size=st.integers(1, 50))
def test_a_stream_comes_back_as_it_went(events: list[Event], size: int) -> None:
    body = b"".join(CHAT.encode_stream(events))
    cutter = FrameCutter()
    frames = [f for at in range(0, len(body), size) for f in cutter.feed(body[at : at + size])]
    expected = fold(events)
    if expected.usage == Usage():
        expected = replace(expected, usage=None)  # nothing counted is nothing said
    assert fold(CHAT.decode_stream(frames)) == expected


@settings(max_examples=30, deadline=None)
@given(events=answers())
def test_without_usage_only_the_usage_is_missing(events: list[Event]) -> None:
    frames = CHAT.encode_stream(events, Shape(include_usage=False))
    assert fold(CHAT.decode_stream(frames)) == replace(fold(events), usage=None)
