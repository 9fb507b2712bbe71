"""Whole messages: reading their usage, writing them.

Source: Anthropic Python SDK 2.11, ``types/message.py`` and ``types/usage.py``, read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from app.ir.events import Event, Finish, FinishReason, PartKind, Usage
from app.ir.fold import Part, fold, settle
from app.ir.parts import Citation, Media, Seal
from app.protocols.anthropic_messages.blocks import ISSUER, OF_TEXT
from app.protocols.anthropic_messages.history import object_of
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
from app.protocols.seals import pack

REASONS: Mapping[FinishReason, str] = {
    FinishReason.STOP: "end_turn",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.WINDOW: "model_context_window_exceeded",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.REFUSAL: "refusal",
    FinishReason.PAUSE: "pause_turn",
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
            return replace(
                progress,
                usage=merge_usage(message.get("usage"), progress.usage),
                answer_id=name if isinstance(name, str) else progress.answer_id,
            )
        case "message_delta":
            usage = merge_usage(value_of(event.usage), progress.usage)
            return replace(progress, usage=usage)
        case "message_stop":
            return replace(progress, finished=True, last=True)
        case kind:
            return _read_error(event, kind, progress)


def read_answer(body: bytes, progress: Progress) -> Progress:
    """Learn from a whole message or a part of one; see ``Codec.read_answer``."""
    try:
        message = _MESSAGE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return replace(
            progress,
            usage=merge_usage(last_object(body, b"usage"), progress.usage),
            finished=is_closed(body),
            last=is_closed(body),
            answer_id=progress.answer_id or head_id(body),
        )
    progress = _read_error(message, text_of(message.type), progress)
    return replace(
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
    kinds = {part.kind for part in answer.parts}
    finish = Finish(answer.reason, answer.stop_sequence, answer.detail)
    return msgspec.json.encode(
        {
            "id": f"msg_{answer.answer_id}",
            "type": "message",
            "role": "assistant",
            "model": answer.model,
            "content": [block for part in answer.parts for block in _blocks(part)],
            **write_finish(finish, kinds),
            "usage": write_usage(answer.usage or Usage()),
        }
    )


def write_finish(finish: Finish, kinds: Collection[PartKind]) -> dict[str, Any]:
    """Why an answer ended; ``kinds`` are those of its parts."""
    reason = settle(finish.reason, PartKind.TOOL_CALL in kinds)
    if reason is FinishReason.STOP and PartKind.REFUSAL in kinds:
        reason = FinishReason.REFUSAL
    met = finish.stop_sequence if reason is FinishReason.STOP else ""
    told: dict[str, Any] = {
        "stop_reason": "stop_sequence" if met else REASONS[reason],
        "stop_sequence": met or None,
    }
    if reason is FinishReason.REFUSAL:
        # The categories are Anthropic's own classifiers'; null is their word for "none of these".
        details = {"type": "refusal", "category": None, "explanation": finish.detail or None}
        told["stop_details"] = details
    return told


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


def _blocks(part: Part) -> Iterator[dict[str, Any]]:
    match part.kind:
        case PartKind.TEXT | PartKind.REFUSAL:
            if part.text:
                citations = [write_citation(each, part.text) for each in part.citations]
                yield {"type": "text", "text": part.text, "citations": citations or None}
            if part.seal is not None:
                yield carrier(part.seal, OF_TEXT)
        case PartKind.THINKING:
            yield from _thinking(part)
        case PartKind.TOOL_CALL:
            if part.seal is not None:
                yield carrier(part.seal, part.call_id)
            call = {"type": "tool_use", "id": part.call_id, "name": part.name}
            yield call | {"input": object_of(part.text)}
        case PartKind.MEDIA:
            yield {"type": "text", "text": media_note(part.media), "citations": None}


def _thinking(part: Part) -> Iterator[dict[str, Any]]:
    if part.redacted and not part.text:
        yield {"type": "redacted_thinking", "data": pack(part.seal, ISSUER)}
    elif part.text or part.seal is not None:
        proof = pack(part.seal, ISSUER)
        yield {"type": "thinking", "thinking": part.text, "signature": proof}


def carrier(seal: Seal, owner: str) -> dict[str, Any]:
    """An empty thinking block that holds the seal of a call (its id) or of the text before it.

    Clients send thinking blocks back as they came; a call or text has no member for a seal.
    """
    packed = pack(replace(seal, item_id=owner), ISSUER)
    return {"type": "thinking", "thinking": "", "signature": packed}


def write_citation(citation: Citation, text: str) -> dict[str, Any]:
    """A citation as that of a web search: it is the one kind that names a URL."""
    return {
        "type": "web_search_result_location",
        "url": citation.url,
        "title": citation.title or None,
        "cited_text": citation.quote or text[citation.start : citation.end],
        "encrypted_index": "",
    }


def media_note(media: Media | None) -> str:
    """The place of a medium: Claude has no block for one in an answer, so only its type is told.

    Its data as text would fill the context of every request that follows.
    """
    return f"[{media.mime or media.kind.value}]" if media is not None else "[media]"


def _read_error(event: _Message, kind: str, progress: Progress) -> Progress:
    beside = {
        "code": value_of(event.code),
        "message": value_of(event.message),
        "status": value_of(event.status),
    }
    error = value_of(event.error)
    if error:
        return replace(progress, failure=failure_of(error, beside))
    if kind == "error" or is_bare(beside):
        return replace(progress, failure=failure_of(beside))
    return progress
