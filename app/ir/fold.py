"""Events to a whole answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

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
from app.ir.parts import Citation, Media, Seal


@dataclass(frozen=True, slots=True)
class Part:
    """A finished part; ``text`` of a tool call is the JSON text of its arguments."""

    kind: PartKind
    text: str
    call_id: str = ""
    name: str = ""
    namespace: str = ""
    custom: bool = False
    seal: Seal | None = None
    redacted: bool = False
    media: Media | None = None
    citations: tuple[Citation, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """All of an answer; ``usage`` is None when nothing was said about it."""

    answer_id: str
    model: str
    created_s: int
    parts: tuple[Part, ...]
    usage: Usage | None
    reason: FinishReason
    stop_sequence: str = ""
    detail: str = ""


def fold(events: Iterable[Event]) -> Answer:
    """Gather events, so that a stream and a whole answer of the same content are equal.

    Raises:
        Garbled: the events break their grammar.
    """
    start = Start("", "", 0)
    opened = Open(PartKind.TEXT)
    pieces: list[str] = []
    citations: list[Citation] = []
    parts: list[Part] = []
    usage: Usage | None = None
    finish = Finish(FinishReason.STOP)
    for event in check(events):
        match event:
            case Start():
                start = event
            case Open():
                opened, pieces, citations = event, [], []
            case Delta(text):
                pieces.append(text)
            case Cite(citation):
                citations.append(citation)
            case Shut():
                parts.append(_part(opened, "".join(pieces), tuple(citations), event))
            case UsageEvent(usage):
                pass
            case Finish():
                finish = event
            case Flush():
                pass
    return Answer(
        start.answer_id,
        start.model,
        start.created_s,
        tuple(parts),
        usage,
        finish.reason,
        finish.stop_sequence,
        finish.detail,
    )


def _part(opened: Open, text: str, citations: tuple[Citation, ...], shut: Shut) -> Part:
    return Part(
        kind=opened.kind,
        text=text,
        call_id=opened.call_id,
        name=opened.name,
        namespace=opened.namespace,
        custom=opened.custom,
        seal=shut.seal,
        redacted=shut.redacted,
        media=opened.media,
        citations=citations,
    )


def settle(reason: FinishReason, called: bool) -> FinishReason:
    """The reason to report: an answer with tool calls says so, unless it was cut or refused.

    Some services report a plain stop there; a client would then never run its tools.
    """
    if called and reason is FinishReason.STOP:
        return FinishReason.TOOL_CALLS
    return reason
