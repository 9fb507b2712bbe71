"""Responses as a stream: every part climbs its whole ladder, every event is numbered.

Source: OpenAI Python SDK 3.52, ``lib/streaming/responses/_responses.py``, read 2026-11-21: the
item of ``.done`` has the type and id of ``.added``, and the last event repeats all items.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

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
from app.ir.fold import Part
from app.protocols.base import Shape
from app.protocols.openai_responses.answer import (
    finished_response,
    item_id,
    item_of,
    response_of,
    text_part,
)

_CUT = (FinishReason.LENGTH, FinishReason.REFUSAL)
_DELTAS = {
    PartKind.TEXT: "response.output_text.delta",
    PartKind.THINKING: "response.reasoning_summary_text.delta",
    PartKind.TOOL_CALL: "response.function_call_arguments.delta",
}


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
                self._open, self._pieces = event, []
                yield from self._opened()
            case Delta(text):
                yield from self._delta(text)
            case Shut(signature):
                yield from self._shut(signature)
            case UsageEvent():
                self._usage = event.usage
            case Finish():
                response = finished_response(
                    self._start, self._shape, self._items, event.reason, self._usage
                )
                end = "response.incomplete" if event.reason in _CUT else "response.completed"
                yield self._frame(end, response=response)

    def _opened(self) -> Iterator[bytes]:
        part = self._part("")
        item = item_of(part, len(self._items), self._start)
        match part.kind:
            case PartKind.TEXT:
                item |= {"status": "in_progress", "content": []}
            case PartKind.THINKING:
                item["summary"] = []
            case PartKind.TOOL_CALL:
                item |= {"status": "in_progress", "arguments": ""}
        yield self._frame("response.output_item.added", output_index=len(self._items), item=item)
        if part.kind is PartKind.TEXT:
            yield self._of_item("response.content_part.added", part=text_part(""))

    def _delta(self, text: str) -> Iterator[bytes]:
        if not text:
            return
        kind = self._open.kind
        if kind is PartKind.THINKING and not self._pieces:
            empty = {"type": "summary_text", "text": ""}
            yield self._of_item("response.reasoning_summary_part.added", part=empty)
        self._pieces.append(text)
        extra: dict[str, Any] = {"logprobs": []} if kind is PartKind.TEXT else {}
        yield self._of_item(_DELTAS[kind], delta=text, **extra)

    def _shut(self, signature: str) -> Iterator[bytes]:
        part = self._part(signature)
        if part.kind is PartKind.TOOL_CALL and not part.text:
            yield from self._delta("{}")
            part = self._part(signature)
        match part.kind:
            case PartKind.TEXT:
                yield self._of_item("response.output_text.done", text=part.text, logprobs=[])
                yield self._of_item("response.content_part.done", part=text_part(part.text))
            case PartKind.THINKING if part.text:
                whole = {"type": "summary_text", "text": part.text}
                yield self._of_item("response.reasoning_summary_text.done", text=part.text)
                yield self._of_item("response.reasoning_summary_part.done", part=whole)
            case PartKind.TOOL_CALL:
                yield self._of_item(
                    "response.function_call_arguments.done", name=part.name, arguments=part.text
                )
            case _:
                pass  # thinking without words: the item alone carries the proof
        item = item_of(part, len(self._items), self._start)
        yield self._frame("response.output_item.done", output_index=len(self._items), item=item)
        self._items.append(item)

    def _part(self, signature: str) -> Part:
        opened = self._open
        text = "".join(self._pieces)
        return Part(opened.kind, text, opened.call_id, opened.name, signature)

    def _of_item(self, kind: str, **members: Any) -> bytes:
        index = len(self._items)
        place: dict[str, Any] = {
            "item_id": item_id(self._open.kind, index, self._start),
            "output_index": index,
        }
        if self._open.kind is PartKind.TEXT:
            place["content_index"] = 0
        elif self._open.kind is PartKind.THINKING:
            place["summary_index"] = 0
        return self._frame(kind, **place, **members)

    def _frame(self, kind: str, **members: Any) -> bytes:
        data = {"type": kind, "sequence_number": self._sequence, **members}
        self._sequence += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps(data))
