"""Responses as a stream: every part climbs its whole ladder, every event is numbered.

Source: OpenAI Python SDK 3.52, ``lib/streaming/responses/_responses.py``, read 2026-11-21: the
item of ``.done`` has the type and id of ``.added``, and the last event repeats all items.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from app.ir.events import (
    Cite,
    Delta,
    Event,
    Finish,
    Flush,
    Open,
    PartKind,
    Shut,
    Start,
    Usage,
    UsageEvent,
)
from app.ir.fold import Part
from app.ir.parts import Citation
from app.protocols.base import Shape
from app.protocols.openai_responses.answer import (
    annotation,
    can_say,
    content_part,
    dumps,
    explanation,
    finished_response,
    item_id,
    item_of,
    response_of,
    shortfall,
)

_DELTAS = {
    PartKind.TEXT: "response.output_text.delta",
    PartKind.REFUSAL: "response.refusal.delta",
    PartKind.THINKING: "response.reasoning_summary_text.delta",
    PartKind.TOOL_CALL: "response.function_call_arguments.delta",
}
_SPOKEN = (PartKind.TEXT, PartKind.REFUSAL)


def encode_stream(events: Iterable[Event], shape: Shape) -> Iterator[bytes]:
    """Named events with rising sequence numbers; the last is the response itself."""
    writer = _Writer(shape)
    for event in events:
        yield from writer.frames(event)


class _Writer:
    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._sequence = 0
        self._start = Start("", "", 0)
        self._open = Open(PartKind.TEXT)
        self._pieces: list[str] = []
        self._citations: list[Citation] = []
        self._items: list[dict[str, Any]] = []
        self._usage = Usage()

    def frames(self, event: Event) -> Iterator[bytes]:
        match event:
            case Start():
                self._start = event
                response = response_of(event, self._shape, "in_progress", [])
                yield self._frame("response.created", response=response)
                yield self._frame("response.in_progress", response=response)
            case Open():
                self._open, self._pieces, self._citations = event, [], []
                if can_say(event.kind, event.media):
                    yield from self._opened()
            case Delta(text):
                yield from self._delta(text)
            case Cite(citation) if self._open.kind is PartKind.TEXT:
                yield self._cited(citation)
            case Cite():
                pass  # only text can say where it comes from
            case Shut():
                if can_say(self._open.kind, self._open.media):
                    yield from self._shut(event)
            case UsageEvent():
                self._usage = event.usage
            case Finish():
                yield from self._finished(event)
            case Flush():
                yield b""

    def _opened(self) -> Iterator[bytes]:
        part = self._part(Shut())
        item = item_of(part, len(self._items), self._start)
        match part.kind:
            case PartKind.TEXT | PartKind.REFUSAL:
                item |= {"status": "in_progress", "content": []}
            case PartKind.THINKING:
                item["summary"] = []
            case PartKind.TOOL_CALL:
                item |= {"status": "in_progress", "input" if part.custom else "arguments": ""}
            case PartKind.MEDIA:
                item |= {"status": "in_progress", "result": None}
        yield self._frame("response.output_item.added", output_index=len(self._items), item=item)
        if part.kind in _SPOKEN:
            yield self._of_item("response.content_part.added", part=content_part(part))

    def _delta(self, text: str) -> Iterator[bytes]:
        kind = self._open.kind
        if not text or kind is PartKind.MEDIA:
            return
        if kind is PartKind.THINKING and not self._pieces:
            empty = {"type": "summary_text", "text": ""}
            yield self._of_item("response.reasoning_summary_part.added", part=empty)
        self._pieces.append(text)
        extra: dict[str, Any] = {"logprobs": []} if kind is PartKind.TEXT else {}
        name = "response.custom_tool_call_input.delta" if self._open.custom else _DELTAS[kind]
        yield self._of_item(name, delta=text, **extra)

    def _cited(self, citation: Citation) -> bytes:
        self._citations.append(citation)
        return self._of_item(
            "response.output_text.annotation.added",
            annotation_index=len(self._citations) - 1,
            annotation=annotation(citation),
        )

    def _shut(self, shut: Shut) -> Iterator[bytes]:
        part = self._part(shut)
        if part.kind is PartKind.TOOL_CALL and not part.text and not part.custom:
            yield from self._delta("{}")
            part = self._part(shut)
        match part.kind:
            case PartKind.TEXT:
                yield self._of_item("response.output_text.done", text=part.text, logprobs=[])
                yield self._of_item("response.content_part.done", part=content_part(part))
            case PartKind.REFUSAL:
                yield self._of_item("response.refusal.done", refusal=part.text)
                yield self._of_item("response.content_part.done", part=content_part(part))
            case PartKind.THINKING if part.text:
                whole = {"type": "summary_text", "text": part.text}
                yield self._of_item("response.reasoning_summary_text.done", text=part.text)
                yield self._of_item("response.reasoning_summary_part.done", part=whole)
            case PartKind.TOOL_CALL if part.custom:
                yield self._of_item("response.custom_tool_call_input.done", input=part.text)
            case PartKind.TOOL_CALL:
                yield self._of_item(
                    "response.function_call_arguments.done", name=part.name, arguments=part.text
                )
            case _:
                pass  # thinking without words and pictures: the item alone carries them
        item = item_of(part, len(self._items), self._start)
        yield self._frame("response.output_item.done", output_index=len(self._items), item=item)
        self._items.append(item)

    def _finished(self, finish: Finish) -> Iterator[bytes]:
        short = shortfall(finish.reason, self._items)
        words = explanation(finish, self._items)
        if words:
            for event in (Open(PartKind.REFUSAL), Delta(words), Shut()):
                yield from self.frames(event)
        response = finished_response(self._start, self._shape, self._items, short, self._usage)
        name = "response.incomplete" if short else "response.completed"
        yield self._frame(name, response=response)

    def _part(self, shut: Shut) -> Part:
        opened = self._open
        return Part(
            kind=opened.kind,
            text="".join(self._pieces),
            call_id=opened.call_id,
            name=opened.name,
            namespace=opened.namespace,
            custom=opened.custom,
            seal=shut.seal,
            redacted=shut.redacted,
            media=opened.media,
            citations=tuple(self._citations),
        )

    def _of_item(self, kind: str, **members: Any) -> bytes:
        index = len(self._items)
        opened = self._open
        place: dict[str, Any] = {
            "item_id": item_id(opened.kind, index, self._start, opened.custom),
            "output_index": index,
        }
        if opened.kind in _SPOKEN:
            place["content_index"] = 0
        elif opened.kind is PartKind.THINKING:
            place["summary_index"] = 0
        return self._frame(kind, **place, **members)

    def _frame(self, kind: str, **members: Any) -> bytes:
        data = {"type": kind, "sequence_number": self._sequence, **members}
        self._sequence += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), dumps(data))
