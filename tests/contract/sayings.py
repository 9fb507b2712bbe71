"""Answers and requests every protocol can say, and what is left to compare once it said them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

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
from app.ir.fold import Answer, Part, fold
from app.ir.parts import Citation, Media, MediaKind, Seal, Text, ToolCall, ToolResult
from app.ir.request import (
    Choosing,
    OutputFormat,
    OutputKind,
    Reasoning,
    Request,
    Role,
    Sampling,
    Tool,
    ToolChoice,
    Turn,
)
from app.ir.tidy import tidy
from app.ir.traits import ThinkingStyle, Traits
from app.protocols.base import Codec, Target

CREATED_S = 1_760_000_000
PICTURE = Media(MediaKind.IMAGE, "image/png", data=base64.b64encode(b"\x89PNG\r\n").decode())
PAGE = Citation("https://example.com/", "a page", 0, 2, "wo")

COUNTS = st.integers(0, 10_000)
USAGES = st.builds(
    Usage,
    input_tokens=st.integers(1, 10_000),
    cache_read_tokens=COUNTS,
    cache_write_tokens=COUNTS,
    input_audio_tokens=COUNTS,
    output_tokens=st.integers(1, 10_000),
    reasoning_tokens=COUNTS,
    output_audio_tokens=COUNTS,
)
WORDS = st.text(max_size=12)
SAID = st.text(min_size=1, max_size=12).filter(lambda text: not text.isspace())
ARGUMENTS = st.dictionaries(WORDS, st.integers() | WORDS, max_size=3).map(json.dumps)
IDS = st.uuids().map(lambda name: f"call_{name.hex}")


def seen_by(codec: Codec, usage: Usage) -> Usage:
    """A usage after it was written and read again, where the protocol has no place for a count."""
    match codec.name:
        case "openai_responses" | "anthropic_messages":
            return replace(
                usage,
                input_tokens=usage.input_tokens + usage.input_audio_tokens,
                input_audio_tokens=0,
                output_tokens=usage.output_tokens + usage.output_audio_tokens,
                output_audio_tokens=0,
            )
        case "gemini_generate":
            return replace(
                usage,
                input_tokens=usage.input_tokens + usage.cache_write_tokens,
                cache_write_tokens=0,
            )
        case _:
            return usage


# --- answers ---------------------------------------------------------------------------------


@st.composite
def calls(draw: st.DrawFn) -> list[Event]:
    text = draw(ARGUMENTS)
    cut = draw(st.integers(0, len(text)))
    opened = Open(PartKind.TOOL_CALL, draw(IDS), draw(st.sampled_from(["look", "run_2"])))
    return [opened, Delta(text[:cut]), Delta(text[cut:]), Shut()]


@st.composite
def parts(draw: st.DrawFn) -> list[Event]:
    """Any part, also what only one protocol has a word for."""
    kind = draw(st.sampled_from(list(PartKind)))
    match kind:
        case PartKind.TOOL_CALL:
            return draw(calls())
        case PartKind.MEDIA:
            return [Open(kind, media=PICTURE), Shut()]
        case PartKind.THINKING:
            deltas = [Delta(text) for text in draw(st.lists(WORDS, max_size=4))]
            seals = [None, *(Seal(issuer, "c2VhbA==") for issuer in ("openai", "google", "demo"))]
            return [Open(kind), *deltas, Shut(draw(st.sampled_from(seals)), draw(st.booleans()))]
        case PartKind.TEXT:
            deltas = [Delta(text) for text in draw(st.lists(WORDS))]
            return [Open(kind), *deltas, *draw(st.sampled_from([[], [Cite(PAGE)]])), Shut()]
        case PartKind.REFUSAL:
            return [Open(kind), *(Delta(text) for text in draw(st.lists(WORDS))), Shut()]


@st.composite
def answers(draw: st.DrawFn) -> list[Event]:
    """Any answer; the usage stands just before the end."""
    events: list[Event] = [Start("a1", "m", CREATED_S)]
    if draw(st.booleans()):
        events.append(UsageEvent(draw(USAGES)))
    for part in draw(st.lists(parts(), max_size=4)):
        events += part
    events.append(UsageEvent(draw(USAGES)))
    events.append(Finish(draw(st.sampled_from(list(FinishReason)))))
    return events


@st.composite
def sayable_answers(draw: st.DrawFn, issuer: str) -> list[Event]:
    """An answer that every protocol can say whole: thinking, then text, then calls."""
    events: list[Event] = [Start("a1", "m", CREATED_S), UsageEvent(draw(USAGES))]
    if draw(st.booleans()):
        seal = draw(st.sampled_from([None, Seal(issuer, "c2VhbA==")]))
        deltas = [Delta(text) for text in draw(st.lists(SAID, min_size=1, max_size=3))]
        events += [Open(PartKind.THINKING), *deltas, Shut(seal)]
    if draw(st.booleans()):
        deltas = [Delta(text) for text in draw(st.lists(SAID, min_size=1, max_size=4))]
        events += [Open(PartKind.TEXT), *deltas, Shut()]
    called = draw(st.lists(calls(), max_size=3))
    for call in called:
        events += call
    ends = [FinishReason.LENGTH]
    ends += [FinishReason.TOOL_CALLS] if called else [FinishReason.STOP, FinishReason.REFUSAL]
    return [*events, UsageEvent(draw(USAGES)), Finish(draw(st.sampled_from(ends)))]


def heard(codec: Codec, events: Iterable[Event]) -> Answer:
    """What of an answer every protocol keeps.

    Messages and Gemini do not say when an answer was made; Chat has no place for seals;
    arguments are compared by their meaning.
    """
    answer = fold(events)
    usage = None if answer.usage is None else seen_by(codec, answer.usage)
    return replace(
        answer,
        created_s=answer.created_s if codec.issuer == "openai" else 0,
        parts=tuple(_heard_part(codec, part) for part in answer.parts),
        usage=usage,
        stop_sequence="",
        detail="",
    )


def _heard_part(codec: Codec, part: Part) -> Part:
    if part.kind is PartKind.TOOL_CALL:
        part = replace(part, text=json.dumps(json.loads(part.text), sort_keys=True))
    if codec.name == "openai_chat" or part.seal is None:
        return replace(part, seal=None)
    return replace(part, seal=replace(part.seal, item_id=""))


def without_flushes(events: Iterable[Event]) -> list[Event]:
    return [event for event in events if not isinstance(event, Flush)]


# --- requests --------------------------------------------------------------------------------

SCHEMA = {
    "type": "object",
    "properties": {"place": {"type": "string", "description": "where"}},
    "required": ["place"],
}
TOOLS = (Tool("look", description="Looks around.", schema=SCHEMA), Tool("run_2", schema=SCHEMA))
_STYLES = {
    "anthropic": (ThinkingStyle.ADAPTIVE, ("low", "medium", "high")),
    "google": (ThinkingStyle.LEVEL, ("minimal", "low", "medium", "high")),
    "openai": (ThinkingStyle.EFFORT, ("none", "low", "medium", "high")),
}


def target_of(codec: Codec) -> Target:
    """A model of the protocol's maker that thinks by levels."""
    style, levels = _STYLES[codec.issuer]
    return Target("m", Traits(style, levels, wants_max_completion_tokens=True))


@st.composite
def histories(draw: st.DrawFn) -> tuple[Turn, ...]:
    """System text, then user and model in turn; every call has its result."""
    turns = [Turn(Role.SYSTEM, (Text(draw(SAID)),))] if draw(st.booleans()) else []
    turns.append(Turn(Role.USER, (Text(draw(SAID)), *draw(_PICTURES))))
    for _ in range(draw(st.integers(0, 3))):
        asked = [
            ToolCall(draw(IDS), draw(st.sampled_from(["look", "run_2"])), draw(ARGUMENTS))
            for _ in range(draw(st.integers(0, 3)))
        ]
        results = [ToolResult(call.call_id, (Text(draw(SAID)),), call.name) for call in asked]
        words = [Text(draw(SAID))] if draw(st.booleans()) or not asked else []
        more: tuple[Text | Media, ...] = ()
        if draw(st.booleans()) or not asked:
            more = (Text(draw(SAID)), *draw(_PICTURES))
        turns.append(Turn(Role.ASSISTANT, (*words, *asked)))
        turns.append(Turn(Role.USER, (*results, *more)))
    return tuple(turns)


_PICTURES: st.SearchStrategy[tuple[Media, ...]] = st.sampled_from([(), (PICTURE,)])
_CHOICES = st.sampled_from(
    [
        None,
        ToolChoice(Choosing.AUTO),
        ToolChoice(Choosing.NONE),
        ToolChoice(Choosing.REQUIRED),
        ToolChoice(Choosing.REQUIRED, ("look",)),
    ]
)
_SAMPLINGS = st.builds(
    Sampling,
    temperature=st.sampled_from([None, 0.0, 0.5, 1.0]),
    stop=st.sampled_from([(), ("END",), ("a", "b")]),
) | st.builds(Sampling, top_p=st.sampled_from([0.25, 1.0]))
_OUTPUTS = st.sampled_from(
    [
        OutputFormat(),
        OutputFormat(OutputKind.SCHEMA, "answer", SCHEMA | {"additionalProperties": False}),
    ]
)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """A request every protocol can say; thinking excludes forced calls and sampling (Claude)."""
    thinks = draw(st.booleans())
    level = draw(st.sampled_from(["low", "medium", "high"])) if thinks else None
    turns = draw(histories())
    if thinks:  # Claude cannot go on thinking behind a call whose thoughts are lost
        turns += (Turn(Role.ASSISTANT, (Text("so"),)), Turn(Role.USER, (Text("and"),)))
    return tidy(
        Request(
            "m",
            turns,
            stream=draw(st.booleans()),
            tools=TOOLS,
            tool_choice=None if thinks else draw(_CHOICES),
            parallel_calls=draw(st.sampled_from([None, False])),
            max_tokens=draw(st.integers(4096, 30_000)),
            sampling=Sampling() if thinks else draw(_SAMPLINGS),
            reasoning=Reasoning(level),
            output=draw(_OUTPUTS),
        )
    )


@dataclass(frozen=True, slots=True)
class Meaning:
    """What of a request every protocol keeps."""

    turns: list[tuple[str, list[Any]]]
    tools: list[tuple[str, str, Any]]
    choice: tuple[Choosing, tuple[str, ...]]
    parallel: bool
    max_tokens: int | None
    temperature: float | None
    top_p: float | None
    stop: tuple[str, ...]
    level: str | None
    output: OutputKind
    members: list[str]
    stream: bool


def meaning(codec: Codec, request: Request) -> Meaning:
    """A request reduced to what is the same in every protocol's words.

    Ids of calls become numbers (Gemini may leave them out); Responses has no stop sequences;
    Gemini cannot ask for one call at a time, and Claude not together with no call at all.
    """
    choice = request.tool_choice or ToolChoice(Choosing.AUTO)
    serial = request.parallel_calls is False and choice.mode is not Choosing.NONE
    numbers: dict[str, int] = {}
    return Meaning(
        turns=[
            (turn.role.value, [_meant(part, numbers) for part in turn.parts])
            for turn in tidy(request).turns
        ],
        tools=[(tool.name, tool.description, tool.schema) for tool in request.tools],
        choice=(choice.mode, choice.only),
        parallel=codec.issuer == "google" or not serial,
        max_tokens=request.max_tokens,
        temperature=request.sampling.temperature,
        top_p=request.sampling.top_p,
        stop=() if codec.name == "openai_responses" else request.sampling.stop,
        level=request.reasoning.level,
        output=request.output.kind,
        members=sorted((request.output.schema or {}).get("properties", {})),
        stream=request.stream,
    )


def _meant(part: object, numbers: dict[str, int]) -> object:
    match part:
        case Text(text):
            return text
        case ToolCall(call_id, name, arguments):
            number = numbers.setdefault(call_id, len(numbers))
            return ("call", number, name, json.loads(arguments))
        case ToolResult(call_id, content, name):
            return ("result", numbers[call_id], name, [_meant(piece, numbers) for piece in content])
        case Media():
            return ("media", part.mime, part.data)
        case _:
            return part
