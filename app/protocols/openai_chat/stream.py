"""Chat answers as a stream of chunks.

Source: OpenAI Python SDK 3.52, ``lib/streaming/chat`` and ``lib/streaming/_deltas.py``, read
2026-11-21: the accumulator adds strings up, so a role, an id and a name are sent once; calls are
counted densely from 0; the chunk with the usage comes last and has no choices.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from app.ir.events import Delta, Event, Finish, Open, PartKind, Shut, Start, Usage, UsageEvent
from app.ir.fold import settle
from app.protocols.base import Shape
from app.protocols.openai_chat.answer import REASONS, write_usage

DONE = b"data: [DONE]\n\n"


def encode_stream(events: Iterable[Event], shape: Shape) -> Iterator[bytes]:
    """Chunks, and ``[DONE]``."""
    writer = _Writer(shape.include_usage)
    for event in events:
        yield from writer.frames(event)


class _Writer:
    def __init__(self, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._head: dict[str, Any] = {}
        self._usage = Usage()
        self._kind = PartKind.TEXT
        self._calls = 0
        self._has_arguments = False

    def frames(self, event: Event) -> Iterator[bytes]:
        match event:
            case Start():
                self._head = {
                    "id": f"chatcmpl-{event.answer_id}",
                    "object": "chat.completion.chunk",
                    "created": event.created_s,
                    "model": event.model,
                }
                yield self._chunk({"role": "assistant", "content": ""})
            case Open():
                self._kind = event.kind
                if event.kind is PartKind.TOOL_CALL:
                    yield self._open_call(event)
            case Delta(text):
                if text:
                    yield self._chunk(self._delta(text))
            case Shut():
                if self._kind is PartKind.TOOL_CALL and not self._has_arguments:
                    yield self._chunk(self._delta("{}"))  # the sum must be JSON
            case UsageEvent():
                self._usage = event.usage
            case Finish():
                yield from self._finish(event)

    def _open_call(self, event: Open) -> bytes:
        self._calls += 1
        self._has_arguments = False
        function = {"name": event.name, "arguments": ""}
        call = {"index": self._calls - 1, "id": event.call_id, "type": "function"}
        return self._chunk({"tool_calls": [call | {"function": function}]})

    def _delta(self, text: str) -> dict[str, Any]:
        match self._kind:
            case PartKind.TEXT:
                return {"content": text}
            case PartKind.THINKING:
                return {"reasoning_content": text}
            case PartKind.TOOL_CALL:
                self._has_arguments = True
                return {"tool_calls": [{"index": self._calls - 1, "function": {"arguments": text}}]}

    def _finish(self, event: Finish) -> Iterator[bytes]:
        yield self._chunk({}, REASONS[settle(event.reason, self._calls > 0)])
        if self._include_usage:
            usage = write_usage(self._usage)
            yield b"data: %b\n\n" % orjson.dumps(self._head | {"choices": [], "usage": usage})
        yield DONE

    def _chunk(self, delta: dict[str, Any], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        chunk = self._head | {"choices": [choice]}
        if self._include_usage:
            chunk["usage"] = None
        return b"data: %b\n\n" % orjson.dumps(chunk)
