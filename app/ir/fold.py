"""Events to a whole answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

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
    check,
)


@dataclass(frozen=True, slots=True)
class Part:
    """A finished part; ``text`` of a tool call is the JSON text of its arguments."""

    kind: PartKind
    text: str
    call_id: str = ""
    name: str = ""
    signature: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """All of an answer; ``usage`` is None when nothing was said about it."""

    answer_id: str
    model: str
    created_s: int
    parts: tuple[Part, ...]
    usage: Usage | None
    reason: FinishReason


def fold(events: Iterable[Event]) -> Answer:
    """Gather events, so that a stream and a whole answer of the same content are equal.

    Raises:
        Garbled: the events break their grammar.
    """
    start = Start("", "", 0)
    opened = Open(PartKind.TEXT)
    pieces: list[str] = []
    parts: list[Part] = []
    usage: Usage | None = None
    reason = FinishReason.STOP
    for event in check(events):
        match event:
            case Start():
                start = event
            case Open():
                opened, pieces = event, []
            case Delta(text):
                pieces.append(text)
            case Shut(signature):
                text = "".join(pieces)
                parts.append(Part(opened.kind, text, opened.call_id, opened.name, signature))
            case UsageEvent(usage):
                pass
            case Finish(reason):
                pass
    return Answer(start.answer_id, start.model, start.created_s, tuple(parts), usage, reason)


def settle(reason: FinishReason, called: bool) -> FinishReason:
    """The reason to report: an answer with tool calls says so, unless it was cut or refused.

    Some services report a plain stop there; a client would then never run its tools.
    """
    if called and reason is FinishReason.STOP:
        return FinishReason.TOOL_CALLS
    return reason
