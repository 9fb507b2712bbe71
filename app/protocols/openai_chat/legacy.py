"""Answers of the legacy ``/v1/completions``: text alone, thinking and calls are left out.

Source: OpenAI Python SDK 3.52, ``types/completion.py``, read 2026-11-21.
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
from app.ir.fold import fold
from app.protocols.base import PLAIN, Shape
from app.protocols.openai_chat.answer import write_usage
from app.protocols.openai_chat.stream import DONE
from app.protocols.openai_shapes import dump

_REASONS = {
    FinishReason.LENGTH: "length",
    FinishReason.WINDOW: "length",
    FinishReason.REFUSAL: "content_filter",
}
_WORDS = (PartKind.TEXT, PartKind.REFUSAL)


def encode_completion(events: Iterable[Event]) -> bytes:
    """A ``text_completion``."""
    answer = fold(events)
    text = "".join(part.text for part in answer.parts if part.kind in _WORDS)
    body = _head(Start(answer.answer_id, answer.model, answer.created_s)) | {
        "choices": [_choice(text, _REASONS.get(answer.reason, "stop"))],
        "usage": write_usage(answer.usage or Usage()),
    }
    return dump(body)


def encode_completion_stream(events: Iterable[Event], shape: Shape = PLAIN) -> Iterator[bytes]:
    """A ``text_completion`` in chunks, and ``[DONE]``."""
    head: dict[str, Any] = {}
    kind = PartKind.TEXT
    usage = Usage()
    for event in events:
        match event:
            case Start():
                head = _head(event)
            case Open():
                kind = event.kind
            case Delta(text):
                if kind in _WORDS and text:
                    yield _chunk(head | {"choices": [_choice(text, None)]})
            case Shut() | Cite():
                pass  # nothing marks the end of a part here, and nothing its source
            case Flush():
                yield b""
            case UsageEvent():
                usage = event.usage
            case Finish():
                reason = _REASONS.get(event.reason, "stop")
                yield _chunk(head | {"choices": [_choice("", reason)]})
                if shape.include_usage:
                    yield _chunk(head | {"choices": [], "usage": write_usage(usage)})
                yield DONE


def _head(start: Start) -> dict[str, Any]:
    return {
        "id": f"cmpl-{start.answer_id}",
        "object": "text_completion",
        "created": start.created_s,
        "model": start.model,
    }


def _choice(text: str, reason: str | None) -> dict[str, Any]:
    return {"index": 0, "text": text, "logprobs": None, "finish_reason": reason}


def _chunk(chunk: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % dump(chunk)
