"""Chat answers as a stream of chunks.

Source: OpenAI Python SDK 3.52, ``lib/streaming/chat`` and ``lib/streaming/_deltas.py``, read
2026-11-21: the accumulator adds strings up, so a role, an id and a name are sent once; calls are
counted densely from 0; a list may come once and no more; the chunk with the usage comes last and
has no choices.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

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
from app.ir.fold import settle
from app.protocols.base import Shape
from app.protocols.openai_chat.answer import REASONS, annotation, sealed, shown, write_usage
from app.protocols.openai_shapes import dump

DONE = b"data: [DONE]\n\n"


def encode_stream(events: Iterable[Event], shape: Shape) -> Iterator[bytes]:
    """Chunks, and ``[DONE]``."""
    writer = _Writer(shape.include_usage)
    for event in events:
        # Nearly all of a stream is one of these two; a generator for each would be half its price.
        if isinstance(event, Flush):
            yield b""
        elif isinstance(event, Delta):
            if event.text:
                yield writer.more(event.text)
        else:
            yield from writer.frames(event)


class _Writer:
    def __init__(self, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._head: dict[str, Any] = {}
        # What stands around the delta of nearly every chunk, written once: half of the price of
        # a chunk would be the same members again.
        self._before = self._after = b""
        self._usage = Usage()
        self._kind = PartKind.TEXT
        self._custom = False
        self._calls = 0
        self._has_arguments = False
        self._chars = 0
        self._part_at = 0
        self._annotations: list[dict[str, Any]] = []
        self._refused = False

    def more(self, text: str) -> bytes:
        """More of the open part."""
        return self._chunk(self._delta(text))

    def frames(self, event: Start | Open | Cite | Shut | UsageEvent | Finish) -> Iterator[bytes]:
        """All that is no text."""
        match event:
            case Start():
                self._begin(event)
                yield self._chunk({"role": "assistant", "content": ""})
            case Open():
                yield from self._open(event)
            case Cite(citation):
                self._annotations.append(annotation(citation, self._part_at))
            case Shut():
                yield from self._shut(event)
            case UsageEvent():
                self._usage = event.usage
            case Finish():
                yield from self._finish(event)

    def _begin(self, start: Start) -> None:
        self._head = {
            "id": f"chatcmpl-{start.answer_id}",
            "object": "chat.completion.chunk",
            "created": start.created_s,
            "model": start.model,
        }
        self._before = b'data: %b,"choices":[{"index":0,"delta":' % dump(self._head)[:-1]
        usage = b',"usage":null' if self._include_usage else b""
        self._after = b',"logprobs":null,"finish_reason":null}]%b}\n\n' % usage

    def _open(self, event: Open) -> Iterator[bytes]:
        self._kind = event.kind
        self._part_at = self._chars
        if event.kind is PartKind.TOOL_CALL:
            yield self._open_call(event)
        elif event.kind is PartKind.MEDIA and (text := shown(event.media)):
            yield self._chunk(self._delta(text))

    def _open_call(self, event: Open) -> bytes:
        self._calls += 1
        self._has_arguments = False
        self._custom = event.custom
        call = {"index": self._calls - 1, "id": event.call_id}
        if event.custom:
            call |= {"type": "custom", "custom": {"name": event.name, "input": ""}}
        else:
            call |= {"type": "function", "function": {"name": event.name, "arguments": ""}}
        return self._chunk({"tool_calls": [call]})

    def _delta(self, text: str) -> dict[str, Any]:
        match self._kind:
            case PartKind.TEXT | PartKind.MEDIA:
                self._chars += len(text)
                return {"content": text}
            case PartKind.THINKING:
                return {"reasoning_content": text}
            case PartKind.REFUSAL:
                self._refused = True
                return {"refusal": text}
            case PartKind.TOOL_CALL:
                self._has_arguments = True
                held = {"custom": {"input": text}} if self._custom else None
                return self._more(held or {"function": {"arguments": text}})

    def _more(self, members: dict[str, Any]) -> dict[str, Any]:
        """More of the latest call."""
        return {"tool_calls": [{"index": self._calls - 1} | members]}

    def _shut(self, event: Shut) -> Iterator[bytes]:
        if self._kind is not PartKind.TOOL_CALL:
            return
        if not self._has_arguments and not self._custom:
            yield self._chunk(self._delta("{}"))  # the sum must be JSON
        if seal := sealed(event.seal):
            # The accumulator insists on a function in every fragment of a function's call.
            held = {} if self._custom else {"function": {"arguments": ""}}
            yield self._chunk(self._more(held | seal))

    def _finish(self, event: Finish) -> Iterator[bytes]:
        if event.reason is FinishReason.REFUSAL and event.detail and not self._refused:
            yield self._chunk({"refusal": event.detail})
        delta = {"annotations": self._annotations} if self._annotations else {}
        reason = REASONS[settle(event.reason, self._calls > 0)]
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        chunk = self._head | {"choices": [choice]}
        if self._include_usage:
            yield b"data: %b\n\n" % dump(chunk | {"usage": None})
            chunk = self._head | {"choices": [], "usage": write_usage(self._usage)}
        yield b"data: %b\n\n" % dump(chunk)
        yield DONE

    def _chunk(self, delta: dict[str, Any]) -> bytes:
        return b"%b%b%b" % (self._before, dump(delta), self._after)
