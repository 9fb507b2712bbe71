"""Whole messages: reading their usage, writing them.

Source: Anthropic Python SDK 2.11, ``types/message.py`` and ``types/usage.py``, read 2026-11-21.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import orjson

from app.ir.events import Event, FinishReason, PartKind, Usage
from app.ir.fold import Answer, Part, fold, settle
from app.protocols.base import Progress
from app.protocols.failures import failure_of, is_bare
from app.protocols.reading import (
    Raw,
    count_of,
    head_id,
    is_closed,
    last_object,
    mapping_of,
    payload_of,
    text_of,
    value_of,
)

REASONS: Mapping[FinishReason, str] = {
    FinishReason.STOP: "end_turn",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.REFUSAL: "refusal",
}


class _Message(msgspec.Struct):
    type: Raw = msgspec.UNSET
    id: Raw = msgspec.UNSET
    usage: Raw = msgspec.UNSET
    error: Raw = msgspec.UNSET
    code: Raw = msgspec.UNSET
    message: Raw = msgspec.UNSET
    """A message in ``message_start``, text in the errors of some compatible services."""
    status: Raw = msgspec.UNSET


_MESSAGE = msgspec.json.Decoder(_Message)


def read_frame(frame: bytes, progress: Progress) -> Progress:
    """Learn from an event; see ``Codec.read_frame``."""
    try:
        event = _MESSAGE.decode(payload_of(frame))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return progress
    match text_of(event.type):
        case "message_start":
            message = mapping_of(value_of(event.message))
            name = message.get("id")
            return dataclasses.replace(
                progress,
                usage=merge_usage(message.get("usage"), progress.usage),
                answer_id=name if isinstance(name, str) else progress.answer_id,
            )
        case "message_delta":
            usage = merge_usage(value_of(event.usage), progress.usage)
            return dataclasses.replace(progress, usage=usage)
        case "message_stop":
            return dataclasses.replace(progress, finished=True, last=True)
        case kind:
            return _read_error(event, kind, progress)


def read_answer(body: bytes, progress: Progress) -> Progress:
    """Learn from a whole message or a part of one; see ``Codec.read_answer``."""
    try:
        message = _MESSAGE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return dataclasses.replace(
            progress,
            usage=merge_usage(last_object(body, b"usage"), progress.usage),
            finished=is_closed(body),
            last=is_closed(body),
            answer_id=progress.answer_id or head_id(body),
        )
    progress = _read_error(message, text_of(message.type), progress)
    return dataclasses.replace(
        progress,
        usage=merge_usage(value_of(message.usage), progress.usage),
        finished=True,
        last=True,
        answer_id=progress.answer_id or text_of(message.id),
    )


def merge_usage(usage: object, before: Usage | None) -> Usage | None:
    """Take counts over what was known; each is a running total, and input excludes the cache.

    ``message_delta`` leaves out what has not changed. Some services send zeros for input there,
    or only there the true numbers: input counts are replaced together, unless all are zero.
    """
    members = {name: value for name, value in mapping_of(usage).items() if value is not None}
    if not members:
        return before
    known = before or Usage()
    sent = count_of(members.get("input_tokens", known.input_tokens))
    read = count_of(members.get("cache_read_input_tokens", known.cache_read_tokens))
    written = count_of(members.get("cache_creation_input_tokens", known.cache_write_tokens))
    if not written:
        split = mapping_of(members.get("cache_creation"))
        written = sum(count_of(count) for count in split.values())
    if not sent + read + written:
        sent, read, written = known.input_tokens, known.cache_read_tokens, known.cache_write_tokens
    answer = count_of(members.get("output_tokens", known.output_total))
    details = mapping_of(members.get("output_tokens_details"))
    thought = min(count_of(details.get("thinking_tokens", known.reasoning_tokens)), answer)
    return Usage(
        input_tokens=sent,
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=answer - thought,
        reasoning_tokens=thought,
    )


def encode_answer(events: Iterable[Event]) -> bytes:
    """A ``message``."""
    answer = fold(events)
    return orjson.dumps(
        {
            "id": f"msg_{answer.answer_id}",
            "type": "message",
            "role": "assistant",
            "model": answer.model,
            "content": [_block(part) for part in answer.parts],
            "stop_reason": _reason(answer),
            "stop_sequence": None,
            "usage": write_usage(answer.usage or Usage()),
        }
    )


def write_usage(usage: Usage) -> dict[str, Any]:
    """Counts without overlap on the input side; output includes thinking.

    Sound has no place of its own here and is counted as plain input or output.
    """
    return {
        "input_tokens": usage.input_tokens + usage.input_audio_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "output_tokens": usage.output_total,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
    }


def _reason(answer: Answer) -> str:
    called = any(part.kind is PartKind.TOOL_CALL for part in answer.parts)
    return REASONS[settle(answer.reason, called)]


def _block(part: Part) -> dict[str, Any]:
    match part.kind:
        case PartKind.TEXT:
            return {"type": "text", "text": part.text, "citations": None}
        case PartKind.THINKING:
            return {"type": "thinking", "thinking": part.text, "signature": part.signature}
        case PartKind.TOOL_CALL:
            call = {"type": "tool_use", "id": part.call_id, "name": part.name}
            return call | {"input": _arguments(part.text)}


def _arguments(text: str) -> dict[str, Any]:
    """An object always: arguments that were cut off cannot be said in a whole message."""
    try:
        return mapping_of(orjson.loads(text))
    except orjson.JSONDecodeError:
        return {}


def _read_error(event: _Message, kind: str, progress: Progress) -> Progress:
    beside = {
        "code": value_of(event.code),
        "message": value_of(event.message),
        "status": value_of(event.status),
    }
    error = value_of(event.error)
    if error:
        return dataclasses.replace(progress, failure=failure_of(error, beside))
    if kind == "error" or is_bare(beside):
        return dataclasses.replace(progress, failure=failure_of(beside))
    return progress
