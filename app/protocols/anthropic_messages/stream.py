"""Messages as a stream: blocks strictly one after another, each event named.

Source: Anthropic Python SDK 2.11, ``lib/streaming/_messages.py``, read 2026-11-21: events
without a name are skipped, blocks are appended by order, a signature is sent whole and once,
``message_delta`` replaces the counts it holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from app.ir.events import Delta, Event, Finish, Open, PartKind, Shut, Start, Usage, UsageEvent
from app.ir.fold import settle
from app.protocols.anthropic_messages.answer import REASONS, write_usage


def encode_stream(events: Iterable[Event]) -> Iterator[bytes]:
    """Named events, from ``message_start`` to ``message_stop``."""
    writer = _Writer()
    for event in events:
        yield from writer.frames(event)


class _Writer:
    def __init__(self) -> None:
        self._start: Start | None = None
        self._usage = Usage()
        self._kind = PartKind.TEXT
        self._index = -1
        self._called = False

    def frames(self, event: Event) -> Iterator[bytes]:
        match event:
            case Start():
                # Held back by one event: many clients take the input count from message_start,
                # and sources that know it early say it next.
                self._start = event
            case UsageEvent():
                self._usage = event.usage
                yield from self._begin()
            case Open():
                yield from self._begin()
                yield self._opened(event)
            case Delta(text):
                if text:
                    yield self._delta(text)
            case Shut(signature):
                if self._kind is PartKind.THINKING and signature:
                    proof = {"type": "signature_delta", "signature": signature}
                    yield self._of_block("content_block_delta", delta=proof)
                yield self._of_block("content_block_stop")
            case Finish():
                yield from self._begin()
                reason = REASONS[settle(event.reason, self._called)]
                delta = {"stop_reason": reason, "stop_sequence": None}
                yield _frame("message_delta", delta=delta, usage=write_usage(self._usage))
                yield _frame("message_stop")

    def _begin(self) -> Iterator[bytes]:
        start, self._start = self._start, None
        if start is None:
            return
        message: dict[str, Any] = {
            "id": f"msg_{start.answer_id}",
            "type": "message",
            "role": "assistant",
            "model": start.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": write_usage(self._usage),
        }
        yield _frame("message_start", message=message)

    def _opened(self, event: Open) -> bytes:
        self._kind = event.kind
        self._index += 1
        block: dict[str, Any]
        match event.kind:
            case PartKind.TEXT:
                block = {"type": "text", "text": ""}
            case PartKind.THINKING:
                block = {"type": "thinking", "thinking": "", "signature": ""}
            case PartKind.TOOL_CALL:
                self._called = True
                block = {"type": "tool_use", "id": event.call_id, "name": event.name, "input": {}}
        return self._of_block("content_block_start", content_block=block)

    def _delta(self, text: str) -> bytes:
        match self._kind:
            case PartKind.TEXT:
                delta = {"type": "text_delta", "text": text}
            case PartKind.THINKING:
                delta = {"type": "thinking_delta", "thinking": text}
            case PartKind.TOOL_CALL:
                delta = {"type": "input_json_delta", "partial_json": text}
        return self._of_block("content_block_delta", delta=delta)

    def _of_block(self, kind: str, **members: Any) -> bytes:
        return _frame(kind, index=self._index, **members)


def _frame(kind: str, **members: Any) -> bytes:
    data = {"type": kind, **members}
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps(data))
