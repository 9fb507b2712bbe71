"""Whole Gemini answers and single chunks of one: reading their usage, writing them.

Source: google-genai 3.4, ``types.py``, ``GenerateContentResponse``, read 2026-11-21.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from app.errors import Untranslatable, UpstreamError
from app.ir.events import Event, FinishReason, PartKind, Start, Usage
from app.ir.fold import Part, fold
from app.ir.parts import Media
from app.protocols.base import Progress
from app.protocols.failures import failure_of, is_bare
from app.protocols.gemini_generate.citations import write_citations
from app.protocols.gemini_generate.contents import NO_SEAL, packed
from app.protocols.gemini_generate.media import media_part
from app.protocols.gemini_generate.members import object_of, written
from app.protocols.names import wrapped
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
    FinishReason.WINDOW: "MAX_TOKENS",
    FinishReason.PAUSE: "STOP",
    FinishReason.TOOL_CALLS: "STOP",
    FinishReason.REFUSAL: "SAFETY",
}
BROKEN_CALL = "MALFORMED_FUNCTION_CALL"
BROKEN_REASONS = frozenset(
    {
        BROKEN_CALL,
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MALFORMED_RESPONSE",
        "MISSING_THOUGHT_SIGNATURE",
    }
)
"""Reasons that mean the model stumbled."""

_CUT = (FinishReason.LENGTH, FinishReason.WINDOW)


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
    parts = [said for part in answer.parts if (said := part_of(part)) is not None]
    reason = reason_of(
        answer.reason,
        is_broken=len(parts) < len(answer.parts),
        is_refused=any(part.kind is PartKind.REFUSAL for part in answer.parts),
    )
    start = Start(answer.answer_id, answer.model, answer.created_s)
    chunk = chunk_of(start, parts, answer.usage or Usage(), reason)
    texts = [(part.text, part.citations) for part in answer.parts if part.kind is PartKind.TEXT]
    end_candidate(chunk, answer.detail, write_citations(texts))
    return dump(chunk)


def reason_of(reason: FinishReason, *, is_broken: bool, is_refused: bool) -> str:
    """The ``finishReason``.

    Args:
        reason: why the answer ended.
        is_broken: a call could not be said.
        is_refused: the answer holds words of refusal.
    """
    if reason in _CUT:
        return REASONS[reason]
    if is_broken:
        return BROKEN_CALL
    return REASONS[FinishReason.REFUSAL if is_refused else reason]


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


def end_candidate(chunk: dict[str, Any], detail: str, sources: dict[str, Any] | None) -> None:
    """Add to the last chunk what is known at the end alone."""
    (candidate,) = chunk["candidates"]
    if detail:
        candidate["finishMessage"] = detail
    if sources:
        candidate["groundingMetadata"] = sources


def dump(chunk: dict[str, Any]) -> bytes:
    """A chunk as JSON on one line, also for readers that know Unicode's own line ends.

    The official SDK splits its stream at them and then reads halves of a document.
    """
    data = written(chunk)
    for raw, escaped in _LINE_ENDS:
        if raw in data:
            data = data.replace(raw, escaped)
    return data


_LINE_ENDS = (
    ("\x85".encode(), b"\\u0085"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)


def part_of(part: Part) -> dict[str, Any] | None:
    """A finished part; None for a call whose arguments are not an object and cannot be said."""
    said: dict[str, Any]
    match part.kind:
        case PartKind.TEXT | PartKind.REFUSAL:
            said = {"text": part.text}
        case PartKind.THINKING:
            said = {"text": part.text, "thought": True}
        case PartKind.TOOL_CALL:
            arguments = object_of(wrapped(part.text) if part.custom else part.text)
            if arguments is None:
                return None
            call = {"id": part.call_id, "name": part.name, "args": arguments}
            said = {"functionCall": call}
        case PartKind.MEDIA:
            said = _medium(part.media)
    if signature := packed(part.seal, part.redacted):
        said["thoughtSignature"] = signature
    elif part.kind is PartKind.TOOL_CALL:
        # Gemini 3 refuses a history with unsigned calls; this client may go there next.
        said["thoughtSignature"] = NO_SEAL
    return said


def _medium(media: Media | None) -> dict[str, Any]:
    """A medium; of one that is no bytes and lies elsewhere the address is said as text."""
    if media is None:
        return {"text": ""}
    if media.data or media.file_id:
        try:
            return media_part(media)
        except Untranslatable:
            return {"text": media.name or media.file_id}
    return {"fileData": {"mimeType": media.mime or "image/png", "fileUri": media.url}}


def write_usage(usage: Usage) -> dict[str, Any]:
    """Counts whose sum is the total; what is zero and optional is left out."""
    text = usage.input_total - usage.input_audio_tokens
    counts: dict[str, Any] = {
        "promptTokenCount": usage.input_total,
        "candidatesTokenCount": usage.output_total - usage.reasoning_tokens,
        "totalTokenCount": usage.total,
        "promptTokensDetails": _modalities(text, usage.input_audio_tokens),
    }
    if usage.cache_read_tokens:
        counts["cachedContentTokenCount"] = usage.cache_read_tokens
    if usage.reasoning_tokens:
        counts["thoughtsTokenCount"] = usage.reasoning_tokens
    if usage.output_audio_tokens:
        spoken = usage.output_audio_tokens
        counts["candidatesTokensDetails"] = _modalities(usage.output_tokens, spoken)
    return counts


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
