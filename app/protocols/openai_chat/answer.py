"""Whole Chat answers and single chunks: reading their usage, writing answers.

Source: OpenAI Python SDK 3.52, ``types/chat``, read 2026-11-21.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from app.ir.events import Event, FinishReason, PartKind, Usage
from app.ir.fold import Answer, Part, fold, settle
from app.ir.parts import Citation, Media, MediaKind, Seal
from app.protocols.base import Progress
from app.protocols.failures import failure_of, is_bare
from app.protocols.openai_shapes import dump, read_usage
from app.protocols.reading import (
    Raw,
    head_id,
    is_closed,
    last_object,
    payload_of,
    text_of,
    value_of,
)
from app.protocols.seals import pack

REASONS: Mapping[FinishReason, str] = {
    FinishReason.STOP: "stop",
    FinishReason.LENGTH: "length",
    FinishReason.TOOL_CALLS: "tool_calls",
    FinishReason.REFUSAL: "content_filter",
    FinishReason.WINDOW: "length",
    FinishReason.PAUSE: "stop",
}


class _Choice(msgspec.Struct):
    finish_reason: Raw = msgspec.UNSET


class _Groq(msgspec.Struct):
    usage: Raw = msgspec.UNSET


class _Chunk(msgspec.Struct):
    id: Raw = msgspec.UNSET
    choices: list[_Choice] | None = None
    usage: Raw = msgspec.UNSET
    x_groq: _Groq | None = None
    error: Raw = msgspec.UNSET
    type: Raw = msgspec.UNSET
    code: Raw = msgspec.UNSET
    message: Raw = msgspec.UNSET
    status: Raw = msgspec.UNSET


_CHUNK = msgspec.json.Decoder(_Chunk)


def read_frame(frame: bytes, progress: Progress) -> Progress:
    """Learn from a chunk; see ``Codec.read_frame``."""
    data = payload_of(frame)
    if data.startswith(b"[DONE]"):
        return dataclasses.replace(progress, finished=True, last=True)
    try:
        chunk = _CHUNK.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return progress
    return _merge(chunk, progress)


def read_answer(body: bytes, progress: Progress) -> Progress:
    """Learn from a whole answer or a part of one; see ``Codec.read_answer``."""
    try:
        chunk = _CHUNK.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        usage = read_usage(last_object(body, b"usage"), "prompt", "completion")
        return dataclasses.replace(
            progress,
            usage=usage or progress.usage,
            finished=is_closed(body),
            last=is_closed(body),
            answer_id=progress.answer_id or head_id(body),
        )
    return dataclasses.replace(_merge(chunk, progress), finished=True, last=True)


def is_usage_extra(frame: bytes) -> bool:
    """Whether a chunk holds a usage and neither a choice nor an error."""
    try:
        chunk = _CHUNK.decode(payload_of(frame))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return chunk.choices == [] and bool(value_of(chunk.usage)) and not value_of(chunk.error)


def encode_answer(events: Iterable[Event]) -> bytes:
    """A ``chat.completion``."""
    answer = fold(events)
    reason = settle(answer.reason, any(part.kind is PartKind.TOOL_CALL for part in answer.parts))
    body = {
        "id": f"chatcmpl-{answer.answer_id}",
        "object": "chat.completion",
        "created": answer.created_s,
        "model": answer.model,
        "choices": [
            {
                "index": 0,
                "message": _message(answer),
                "logprobs": None,
                "finish_reason": REASONS[reason],
            }
        ],
        "usage": write_usage(answer.usage or Usage()),
    }
    return dump(body)


def write_usage(usage: Usage) -> dict[str, Any]:
    """Totals that include everything, and what they are made of."""
    return {
        "prompt_tokens": usage.input_total,
        "completion_tokens": usage.output_total,
        "total_tokens": usage.total,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
            "audio_tokens": usage.input_audio_tokens,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": usage.output_audio_tokens,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def shown(media: Media | None) -> str:
    """A picture of an answer as Markdown, which is all that a Chat message can hold of it.

    Anything but a picture is left out.
    """
    if media is None or media.kind is not MediaKind.IMAGE:
        return ""
    url = media.url or f"data:{media.mime or 'image/png'};base64,{media.data}"
    return f"![image]({url})"


def annotation(citation: Citation, offset: int) -> dict[str, Any]:
    """A citation; ``offset`` is the number of characters before its part."""
    cited = {
        "start_index": offset + citation.start,
        "end_index": offset + citation.end,
        "title": citation.title,
        "url": citation.url,
    }
    return {"type": "url_citation", "url_citation": cited}


def sealed(seal: Seal | None) -> dict[str, Any]:
    """The member that carries a call's proof; clients of Google's endpoint send it back."""
    packed = pack(seal, "google")
    return {"extra_content": {"google": {"thought_signature": packed}}} if packed else {}


def _message(answer: Answer) -> dict[str, Any]:
    texts: list[str] = []
    annotations: list[dict[str, Any]] = []
    offset = 0
    for part in answer.parts:
        if part.kind not in (PartKind.TEXT, PartKind.MEDIA):
            continue
        annotations += [annotation(citation, offset) for citation in part.citations]
        texts.append(part.text if part.kind is PartKind.TEXT else shown(part.media))
        offset += len(texts[-1])
    thoughts = [part.text for part in answer.parts if part.kind is PartKind.THINKING]
    refusals = [part.text for part in answer.parts if part.kind is PartKind.REFUSAL]
    calls = [_call(part) for part in answer.parts if part.kind is PartKind.TOOL_CALL]
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(texts) if texts else None,
        "refusal": "".join(refusals) or _explained(answer.reason, answer.detail) or None,
        "annotations": annotations,
    }
    if any(thoughts):  # no official member; this is the one most clients read
        message["reasoning_content"] = "".join(thoughts)
    if calls:
        message["tool_calls"] = calls
    return message


def _explained(reason: FinishReason, detail: str) -> str:
    return detail if reason is FinishReason.REFUSAL else ""


def _call(part: Part) -> dict[str, Any]:
    if part.custom:
        custom = {"name": part.name, "input": part.text}
        return {"id": part.call_id, "type": "custom", "custom": custom} | sealed(part.seal)
    function = {"name": part.name, "arguments": part.text or "{}"}
    return {"id": part.call_id, "type": "function", "function": function} | sealed(part.seal)


def _merge(chunk: _Chunk, progress: Progress) -> Progress:
    usage = read_usage(value_of(chunk.usage), "prompt", "completion")
    if usage is None and chunk.x_groq is not None:
        usage = read_usage(value_of(chunk.x_groq.usage), "prompt", "completion")
    finished = any(text_of(choice.finish_reason) for choice in chunk.choices or ())
    failure = progress.failure
    error = value_of(chunk.error)
    if error:
        failure = failure_of(error, _beside(chunk))
    elif text_of(chunk.type) == "error" or is_bare(_beside(chunk)):
        failure = failure_of(_beside(chunk))
    return dataclasses.replace(
        progress,
        usage=usage or progress.usage,
        finished=progress.finished or finished,
        answer_id=progress.answer_id or text_of(chunk.id),
        failure=failure,
    )


def _beside(chunk: _Chunk) -> dict[str, Any]:
    return {
        "type": value_of(chunk.type),
        "code": value_of(chunk.code),
        "message": value_of(chunk.message),
        "status": value_of(chunk.status),
    }
