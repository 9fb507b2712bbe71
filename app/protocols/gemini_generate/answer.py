"""Whole Gemini answers and single chunks of one: reading their usage, writing them.

Source: google-genai 3.4, ``types.py``, ``GenerateContentResponse``, read 2026-11-21.
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
from app.protocols.base import Progress
from app.protocols.failures import failure_of, is_bare
from app.protocols.reading import (
    Raw,
    count_of,
    is_closed,
    last_object,
    mapping_of,
    payload_of,
    text_of,
    value_of,
)

REASONS: Mapping[FinishReason, str] = {
    FinishReason.STOP: "STOP",
    FinishReason.LENGTH: "MAX_TOKENS",
    FinishReason.TOOL_CALLS: "STOP",
    FinishReason.REFUSAL: "SAFETY",
}
BROKEN_CALL = "MALFORMED_FUNCTION_CALL"


class _Candidate(msgspec.Struct, rename="camel"):
    finish_reason: Raw = msgspec.UNSET


class _Feedback(msgspec.Struct, rename="camel"):
    block_reason: Raw = msgspec.UNSET


class _Chunk(msgspec.Struct, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: Raw = msgspec.UNSET
    response_id: Raw = msgspec.UNSET
    error: Raw = msgspec.UNSET
    code: Raw = msgspec.UNSET
    message: Raw = msgspec.UNSET
    status: Raw = msgspec.UNSET


_CHUNK = msgspec.json.Decoder(_Chunk)
_CHUNKS = msgspec.json.Decoder(list[_Chunk])


def read_frame(frame: bytes, progress: Progress) -> Progress:
    """Learn from a chunk; see ``Codec.read_frame``. Nothing says that a chunk is the last."""
    chunks = _decode(payload_of(frame))
    for chunk in chunks or ():
        progress = _merge(chunk, progress)
    return progress


def read_answer(body: bytes, progress: Progress) -> Progress:
    """Learn from a whole answer, a list of chunks, or a part of either."""
    chunks = _decode(body)
    if chunks is None:
        usage = read_usage(last_object(body, b"usageMetadata"))
        return dataclasses.replace(
            progress,
            usage=usage or progress.usage,
            finished=is_closed(body),
            last=is_closed(body),
        )
    for chunk in chunks:
        progress = _merge(chunk, progress)
    return dataclasses.replace(progress, finished=True, last=True)


def read_usage(usage: object) -> Usage | None:
    """Take a usage object apart so that nothing is counted twice.

    The prompt includes what was cached, but not what tools of the service put in; the candidates
    exclude thoughts.
    """
    members = mapping_of(usage)
    prompt = count_of(members.get("promptTokenCount"))
    tools = count_of(members.get("toolUsePromptTokenCount"))
    answer = count_of(members.get("candidatesTokenCount"))
    thoughts = count_of(members.get("thoughtsTokenCount"))
    if not prompt + tools + answer + thoughts:
        return None
    cached = min(count_of(members.get("cachedContentTokenCount")), prompt)
    # Sound that was cached stands in both lists; it is counted as cached.
    heard = _audio(members.get("promptTokensDetails")) - _audio(members.get("cacheTokensDetails"))
    heard = min(max(0, heard), prompt - cached)
    spoken = min(_audio(members.get("candidatesTokensDetails")), answer)
    return Usage(
        input_tokens=prompt - cached - heard + tools,
        cache_read_tokens=cached,
        input_audio_tokens=heard,
        output_tokens=answer - spoken,
        reasoning_tokens=thoughts,
        output_audio_tokens=spoken,
    )


def encode_answer(events: Iterable[Event]) -> bytes:
    """A ``GenerateContentResponse``."""
    answer = fold(events)
    parts = [written for part in answer.parts if (written := part_of(part)) is not None]
    reason = REASONS[answer.reason]
    if len(parts) < len(answer.parts) and answer.reason is not FinishReason.LENGTH:
        reason = BROKEN_CALL
    start = Start(answer.answer_id, answer.model, answer.created_s)
    return orjson.dumps(chunk_of(start, parts, answer.usage or Usage(), reason))


def chunk_of(
    start: Start, parts: list[dict[str, Any]], usage: Usage | None, reason: str = ""
) -> dict[str, Any]:
    """One response object; a stream is a row of them."""
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if reason:
        candidate["finishReason"] = reason
    chunk: dict[str, Any] = {"candidates": [candidate]}
    if usage is not None:
        chunk["usageMetadata"] = write_usage(usage)
    return chunk | {"modelVersion": start.model, "responseId": start.answer_id}


def part_of(part: Part) -> dict[str, Any] | None:
    """A finished part; None for a call whose arguments are not an object and cannot be said."""
    written: dict[str, Any]
    match part.kind:
        case PartKind.TEXT:
            written = {"text": part.text}
        case PartKind.THINKING:
            written = {"text": part.text, "thought": True}
        case PartKind.TOOL_CALL:
            try:
                arguments = orjson.loads(part.text or "{}")
            except orjson.JSONDecodeError:
                return None
            if not isinstance(arguments, dict):
                return None
            call = {"id": part.call_id, "name": part.name, "args": arguments}
            written = {"functionCall": call}
    if part.signature:
        written["thoughtSignature"] = part.signature
    return written


def write_usage(usage: Usage) -> dict[str, Any]:
    """Counts whose sum is the total; what is zero and optional is left out."""
    text = usage.input_total - usage.input_audio_tokens
    written: dict[str, Any] = {
        "promptTokenCount": usage.input_total,
        "candidatesTokenCount": usage.output_total - usage.reasoning_tokens,
        "totalTokenCount": usage.total,
        "promptTokensDetails": _modalities(text, usage.input_audio_tokens),
    }
    if usage.cache_read_tokens:
        written["cachedContentTokenCount"] = usage.cache_read_tokens
    if usage.reasoning_tokens:
        written["thoughtsTokenCount"] = usage.reasoning_tokens
    if usage.output_audio_tokens:
        spoken = usage.output_audio_tokens
        written["candidatesTokensDetails"] = _modalities(usage.output_tokens, spoken)
    return written


def _modalities(text: int, audio: int) -> list[dict[str, Any]]:
    details: list[dict[str, Any]] = [{"modality": "TEXT", "tokenCount": text}]
    return [*details, {"modality": "AUDIO", "tokenCount": audio}] if audio else details


def _audio(details: object) -> int:
    entries = details if isinstance(details, list) else []
    found = [entry for entry in map(mapping_of, entries) if entry.get("modality") == "AUDIO"]
    return sum(count_of(entry.get("tokenCount")) for entry in found)


def _decode(data: bytes) -> list[_Chunk] | None:
    try:
        if data.lstrip().startswith(b"["):
            return _CHUNKS.decode(data)
        return [_CHUNK.decode(data)]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _merge(chunk: _Chunk, progress: Progress) -> Progress:
    ended = any(text_of(candidate.finish_reason) for candidate in chunk.candidates or ())
    if chunk.prompt_feedback is not None and text_of(chunk.prompt_feedback.block_reason):
        ended = True
    return dataclasses.replace(
        progress,
        usage=read_usage(value_of(chunk.usage_metadata)) or progress.usage,
        finished=progress.finished or ended,
        answer_id=progress.answer_id or text_of(chunk.response_id),
        failure=_failure(chunk) or progress.failure,
    )


def _failure(chunk: _Chunk) -> UpstreamError | None:
    error = value_of(chunk.error)
    if error:
        return failure_of(error)
    bare = {
        "code": value_of(chunk.code),
        "message": value_of(chunk.message),
        "status": value_of(chunk.status),
    }
    return failure_of(bare) if is_bare(bare) else None
