"""Whole Responses: reading their usage, writing them.

Source: OpenAI Python SDK 3.52, ``types/responses``, read 2026-11-21.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import orjson

from app.errors import UpstreamError
from app.ir.events import Event, FinishReason, PartKind, Start, Usage
from app.ir.fold import Part, fold
from app.protocols.base import Progress, Shape
from app.protocols.failures import failure_of, is_bare
from app.protocols.openai_shapes import read_usage
from app.protocols.reading import (
    Raw,
    head_id,
    is_closed,
    last_object,
    payload_of,
    text_of,
    value_of,
)

_ENDS = ("response.completed", "response.incomplete", "response.failed")
_PREFIXES = {PartKind.TEXT: "msg", PartKind.THINKING: "rs", PartKind.TOOL_CALL: "fc"}

# Typed clients expect all of these to be there. What a request said is repeated in its answer.
_DEFAULTS: Mapping[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}


class _Response(msgspec.Struct):
    id: Raw = msgspec.UNSET
    status: Raw = msgspec.UNSET
    usage: Raw = msgspec.UNSET
    error: Raw = msgspec.UNSET


class _Frame(msgspec.Struct):
    type: Raw = msgspec.UNSET
    response: _Response | None = None
    error: Raw = msgspec.UNSET
    code: Raw = msgspec.UNSET
    message: Raw = msgspec.UNSET
    status: Raw = msgspec.UNSET


_FRAME = msgspec.json.Decoder(_Frame)
_WHOLE = msgspec.json.Decoder(_Response)


def read_frame(frame: bytes, progress: Progress) -> Progress:
    """Learn from an event; see ``Codec.read_frame``."""
    try:
        event = _FRAME.decode(payload_of(frame))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return progress
    kind = text_of(event.type)
    if event.response is not None:
        progress = _merge(event.response, progress)
    failure = progress.failure or _failure(event, kind)
    ended = kind in _ENDS
    return dataclasses.replace(
        progress,
        finished=progress.finished or ended,
        last=progress.last or ended,
        failure=failure,
    )


def read_answer(body: bytes, progress: Progress) -> Progress:
    """Learn from a whole response or a part of one; see ``Codec.read_answer``."""
    try:
        response = _WHOLE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        usage = read_usage(last_object(body, b"usage"), "input", "output")
        return dataclasses.replace(
            progress,
            usage=usage or progress.usage,
            finished=is_closed(body),
            last=is_closed(body),
            answer_id=progress.answer_id or head_id(body),
        )
    return dataclasses.replace(_merge(response, progress), finished=True, last=True)


def encode_answer(events: Iterable[Event], shape: Shape) -> bytes:
    """A ``response``."""
    answer = fold(events)
    start = Start(answer.answer_id, answer.model, answer.created_s)
    items = [item_of(part, index, start) for index, part in enumerate(answer.parts)]
    return orjson.dumps(
        finished_response(start, shape, items, answer.reason, answer.usage or Usage())
    )


def response_of(
    start: Start, shape: Shape, status: str, items: list[dict[str, Any]]
) -> dict[str, Any]:
    """A response in any state, without usage."""
    echo = {name: shape.echo.get(name, default) for name, default in _DEFAULTS.items()}
    return {
        "id": f"resp_{start.answer_id}",
        "object": "response",
        "created_at": start.created_s,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": start.model,
        "output": items,
        **echo,
        "service_tier": "default",
        "store": False,  # whoever writes this answer keeps none, whatever was asked
        "usage": None,
    }


def finished_response(
    start: Start, shape: Shape, items: list[dict[str, Any]], reason: FinishReason, usage: Usage
) -> dict[str, Any]:
    """A response at its end: completed, or incomplete and why."""
    why = {FinishReason.LENGTH: "max_output_tokens", FinishReason.REFUSAL: "content_filter"}
    short = why.get(reason)
    body = response_of(start, shape, "incomplete" if short else "completed", items)
    body["incomplete_details"] = {"reason": short} if short else None
    body["usage"] = write_usage(usage)
    return body


def item_id(kind: PartKind, index: int, start: Start) -> str:
    """An id of at most 64 characters that begins with the prefix of its kind."""
    return f"{_PREFIXES[kind]}_{start.answer_id[-48:]}_{index}"


def item_of(part: Part, index: int, start: Start) -> dict[str, Any]:
    """A finished output item."""
    name = item_id(part.kind, index, start)
    match part.kind:
        case PartKind.TEXT:
            return {
                "type": "message",
                "id": name,
                "role": "assistant",
                "status": "completed",
                "content": [text_part(part.text)],
            }
        case PartKind.THINKING:
            return {
                "type": "reasoning",
                "id": name,
                "summary": [{"type": "summary_text", "text": part.text}] if part.text else [],
                "encrypted_content": part.signature or None,
            }
        case PartKind.TOOL_CALL:
            return {
                "type": "function_call",
                "id": name,
                "call_id": part.call_id,
                "name": part.name,
                "arguments": part.text or "{}",
                "status": "completed",
            }


def text_part(text: str) -> dict[str, Any]:
    """The one content part of a message item."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def write_usage(usage: Usage) -> dict[str, Any]:
    """Totals that include everything, and what they are made of."""
    return {
        "input_tokens": usage.input_total,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_total,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total,
    }


def _merge(response: _Response, progress: Progress) -> Progress:
    usage = read_usage(value_of(response.usage), "input", "output")
    failure = progress.failure
    error = value_of(response.error)
    if error or text_of(response.status) == "failed":
        failure = failure_of(error or {})
    return dataclasses.replace(
        progress,
        usage=usage or progress.usage,
        answer_id=progress.answer_id or text_of(response.id),
        failure=failure,
    )


def _failure(event: _Frame, kind: str) -> UpstreamError | None:
    beside = {
        "code": value_of(event.code),
        "message": value_of(event.message),
        "status": value_of(event.status),
    }
    error = value_of(event.error)
    if error:
        return failure_of(error, beside)
    if kind in ("error", "response.error", "response.failed") or is_bare(beside):
        return failure_of(beside)
    return None
