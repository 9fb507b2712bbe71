"""Whole Responses: reading their usage, writing them.

Source: OpenAI Python SDK 3.52, ``types/responses``, read 2026-11-21.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import orjson

from app.errors import UpstreamError
from app.ir.events import Event, Finish, FinishReason, PartKind, Start, Usage
from app.ir.fold import Part, fold
from app.ir.parts import Citation, Media, MediaKind
from app.protocols.base import Progress, Shape
from app.protocols.failures import failure_of, is_bare
from app.protocols.openai_responses.items import MADE, packed
from app.protocols.openai_shapes import read_usage
from app.protocols.reading import (
    Raw,
    head_id,
    is_closed,
    last_object,
    mapping_of,
    payload_of,
    text_of,
    value_of,
)

_ENDS = ("response.completed", "response.incomplete", "response.failed")
_PREFIXES = {
    PartKind.TEXT: "msg",
    PartKind.REFUSAL: "msg",
    PartKind.THINKING: MADE,
    PartKind.TOOL_CALL: "fc",
    PartKind.MEDIA: "ig",
}

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
    items: list[dict[str, Any]] = []
    for part in answer.parts:
        if can_say(part.kind, part.media):
            items.append(item_of(part, len(items), start))
    short = shortfall(answer.reason, items)
    words = explanation(Finish(answer.reason, detail=answer.detail), items)
    if words:
        items.append(item_of(Part(PartKind.REFUSAL, words), len(items), start))
    return dumps(finished_response(start, shape, items, short, answer.usage or Usage()))


def response_of(
    start: Start, shape: Shape, status: str, items: list[dict[str, Any]]
) -> dict[str, Any]:
    """A response in any state, without usage."""
    echo = {
        name: default if shape.echo.get(name) is None else shape.echo[name]
        for name, default in _DEFAULTS.items()
    }
    if isinstance(echo["text"], dict):  # a request may have said the verbosity alone
        echo["text"] = _DEFAULTS["text"] | echo["text"]
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
    start: Start, shape: Shape, items: list[dict[str, Any]], short: str | None, usage: Usage
) -> dict[str, Any]:
    """A response at its end: completed, or incomplete for the reason ``short``."""
    body = response_of(start, shape, "incomplete" if short else "completed", items)
    body["incomplete_details"] = {"reason": short} if short else None
    body["usage"] = write_usage(usage)
    return body


def shortfall(reason: FinishReason, items: list[dict[str, Any]]) -> str | None:
    """Why an answer is incomplete; None when it is not.

    Words of refusal are an answer of their own. Only a filter's stop leaves one incomplete.
    """
    match reason:
        case FinishReason.LENGTH | FinishReason.WINDOW:
            return "max_output_tokens"
        case FinishReason.REFUSAL if not any(is_refusal(item) for item in items):
            return "content_filter"
        case _:
            return None


def is_refusal(item: Mapping[str, Any]) -> bool:
    """Whether an output item holds words of refusal."""
    content = item.get("content")
    parts = content if item.get("type") == "message" and isinstance(content, list) else ()
    return any(mapping_of(part).get("type") == "refusal" for part in parts)


def explanation(finish: Finish, items: list[dict[str, Any]]) -> str:
    """The words of a refusal that came only with the end of the answer."""
    if finish.reason is not FinishReason.REFUSAL or any(is_refusal(item) for item in items):
        return ""
    return finish.detail


def can_say(kind: PartKind, media: Media | None) -> bool:
    """Whether a part has an item; other media than pictures are left out of an answer."""
    if kind is not PartKind.MEDIA:
        return True
    return media is not None and media.kind is MediaKind.IMAGE and bool(media.data)


def item_id(kind: PartKind, index: int, start: Start, custom: bool = False) -> str:
    """An id of at most 64 characters that begins with the prefix of its kind."""
    prefix = "ctc" if custom else _PREFIXES[kind]
    return f"{prefix}_{start.answer_id[-48:]}_{index}"


def item_of(part: Part, index: int, start: Start) -> dict[str, Any]:
    """A finished output item."""
    name = item_id(part.kind, index, start, part.custom)
    match part.kind:
        case PartKind.TEXT | PartKind.REFUSAL:
            return {
                "type": "message",
                "id": name,
                "role": "assistant",
                "status": "completed",
                "content": [content_part(part)],
            }
        case PartKind.THINKING:
            return {
                "type": "reasoning",
                "id": name,
                "summary": [{"type": "summary_text", "text": part.text}] if part.text else [],
                "encrypted_content": packed(part.seal, part.redacted) or None,
            }
        case PartKind.TOOL_CALL:
            return _call_item(part, name)
        case PartKind.MEDIA:
            media = part.media or Media(MediaKind.IMAGE)
            return {
                "type": "image_generation_call",
                "id": name,
                "status": "completed",
                "output_format": media.mime.rpartition("/")[2] or "png",
                "result": media.data,
            }


def _call_item(part: Part, name: str) -> dict[str, Any]:
    item: dict[str, Any] = {
        "type": "custom_tool_call" if part.custom else "function_call",
        "id": name,
        "call_id": part.call_id,
        "name": part.name,
    }
    if part.namespace:
        item["namespace"] = part.namespace
    said = {"input": part.text} if part.custom else {"arguments": part.text or "{}"}
    return item | said | {"status": "completed"}


def content_part(part: Part) -> dict[str, Any]:
    """The one content part of a message item."""
    if part.kind is PartKind.REFUSAL:
        return {"type": "refusal", "refusal": part.text}
    return {
        "type": "output_text",
        "text": part.text,
        "annotations": [annotation(citation) for citation in part.citations],
        "logprobs": [],
    }


def annotation(citation: Citation) -> dict[str, Any]:
    """Where a stretch of text comes from; typed clients want every member."""
    return {
        "type": "url_citation",
        "start_index": citation.start,
        "end_index": citation.end,
        "url": citation.url,
        "title": citation.title,
    }


def dumps(document: object) -> bytes:
    """An answer as JSON, also with half a surrogate pair in it, which is then escaped."""
    try:
        return orjson.dumps(document)
    except TypeError:
        return json.dumps(document, separators=(",", ":")).encode()


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
