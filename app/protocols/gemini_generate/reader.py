"""An upstream's answers as events.

Source: ai.google.dev, "GenerateContentResponse", read 2026-11-21: chunks hold more of the same
answer, counts are cumulative, a call comes whole, offsets count bytes of UTF-8.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from app.errors import BadRequest, Garbled
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
from app.ir.parts import Citation, Media, Seal
from app.protocols.failures import failure_of, is_bare
from app.protocols.gemini_generate.answer import BROKEN_REASONS, read_usage
from app.protocols.gemini_generate.citations import citations_of
from app.protocols.gemini_generate.contents import REDACTED, seal_of
from app.protocols.gemini_generate.media import file_media, inline_media
from app.protocols.gemini_generate.members import compact
from app.protocols.reading import Raw, mapping_of, payload_of, text_of, value_of

_REFUSALS = frozenset(
    {
        "SAFETY",
        "RECITATION",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
        "MODEL_ARMOR",
    }
)
_DONE = b"[DONE]"  # no part of the protocol, but some hosts send it


class _Call(msgspec.Struct):
    name: str | None = None
    id: str | None = None
    args: Raw = msgspec.UNSET


class _Part(msgspec.Struct, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: _Call | None = None
    inline_data: Raw = msgspec.UNSET
    file_data: Raw = msgspec.UNSET
    executable_code: Raw = msgspec.UNSET
    code_execution_result: Raw = msgspec.UNSET


class _Content(msgspec.Struct):
    parts: list[_Part] | None = None


class _Candidate(msgspec.Struct, rename="camel"):
    index: int | None = None
    content: _Content | None = None
    finish_reason: str | None = None
    finish_message: Raw = msgspec.UNSET
    grounding_metadata: Raw = msgspec.UNSET
    citation_metadata: Raw = msgspec.UNSET


class _Chunk(msgspec.Struct, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: Raw = msgspec.UNSET
    usage_metadata: Raw = msgspec.UNSET
    model_version: Raw = msgspec.UNSET
    response_id: Raw = msgspec.UNSET
    create_time: Raw = msgspec.UNSET
    error: Raw = msgspec.UNSET
    code: Raw = msgspec.UNSET
    message: Raw = msgspec.UNSET
    status: Raw = msgspec.UNSET


_CHUNK = msgspec.json.Decoder(_Chunk)
_CHUNKS = msgspec.json.Decoder(list[_Chunk])


def decode_answer(body: bytes) -> Iterator[Event]:
    """Read a whole answer; see ``Codec.decode_answer``. A list of chunks is read as their stream.

    A whole document cannot have been cut, so one without a reason has ended well.
    """
    reader = _Reader()
    for chunk in _chunks(body):
        yield from reader.chunk(chunk)
    yield from reader.end(is_whole=True)


def decode_stream(frames: Iterable[bytes]) -> Iterator[Event]:
    """Read a stream; see ``Codec.decode_stream``. The end of the frames is the end of it."""
    reader = _Reader()
    for frame in frames:
        if not frame:
            yield Flush()
            continue
        data = payload_of(frame)
        if data and data != _DONE:
            for chunk in _chunks(data):
                yield from reader.chunk(chunk)
    yield from reader.end()


def _chunks(data: bytes) -> list[_Chunk]:
    try:
        if data.lstrip().startswith(b"["):
            return _CHUNKS.decode(data)
        return [_CHUNK.decode(data)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Garbled("the provider's answer is no answer of its protocol") from error


class _Reader:
    """Turns chunks into events; at most one part is open."""

    def __init__(self) -> None:
        self._start: Start | None = None
        self._kind: PartKind | None = None
        self._seal: Seal | None = None
        self._text: list[str] = []
        self._cited: set[Citation] = set()
        self._calls = 0
        self._has_output = False
        self._counts = b""
        self._usage: Usage | None = None
        self._reason = ""
        self._detail = ""
        self._is_blocked = False

    def chunk(self, chunk: _Chunk) -> Iterator[Event]:
        self._fail(chunk)
        if self._start is None:
            self._start = _start(chunk)
            yield self._start
        yield from self._count(chunk.usage_metadata)
        for candidate in chunk.candidates or ():
            if not candidate.index:  # there is room for one answer
                yield from self._candidate(candidate)
        feedback = mapping_of(value_of(chunk.prompt_feedback))
        if feedback.get("blockReason"):
            self._is_blocked = True
            self._detail = _words(feedback, "blockReasonMessage", "blockReason")

    def end(self, *, is_whole: bool = False) -> Iterator[Event]:
        """Finish what has ended; an answer that was cut gets no ``Finish``."""
        if self._start is None or not (self._reason or self._is_blocked):
            if not is_whole or not self._has_output:
                return
            self._reason = "STOP"
        if self._reason in BROKEN_REASONS and not self._has_output:
            raise Garbled(f"the model's answer broke off: {self._detail or self._reason}")
        yield from self._shut()
        reason = self._finish()
        detail = self._detail if reason is FinishReason.REFUSAL else ""
        yield Finish(settle(reason, self._calls > 0), detail=detail)

    def _count(self, raw: Raw) -> Iterator[Event]:
        """The counts so far; most chunks repeat them to the letter."""
        if isinstance(raw, msgspec.UnsetType) or bytes(raw) == self._counts:
            return
        self._counts = bytes(raw)
        usage = read_usage(value_of(raw))
        if usage is not None and usage != self._usage:
            self._usage = usage
            yield UsageEvent(usage)

    def _finish(self) -> FinishReason:
        if self._reason in _REFUSALS or (self._is_blocked and not self._reason):
            return FinishReason.REFUSAL
        return FinishReason.LENGTH if self._reason == "MAX_TOKENS" else FinishReason.STOP

    def _fail(self, chunk: _Chunk) -> None:
        error = value_of(chunk.error)
        if error:
            raise failure_of(error)
        if chunk.candidates is None and chunk.code is not msgspec.UNSET:
            bare = {
                "code": value_of(chunk.code),
                "message": value_of(chunk.message),
                "status": value_of(chunk.status),
            }
            if is_bare(bare):
                raise failure_of(bare)

    def _candidate(self, candidate: _Candidate) -> Iterator[Event]:
        if candidate.content is not None:
            for part in candidate.content.parts or ():
                yield from self._part(part)
        if candidate.grounding_metadata is not msgspec.UNSET or (
            candidate.citation_metadata is not msgspec.UNSET
        ):
            yield from self._cite(candidate)
        if candidate.finish_reason and candidate.finish_reason != "FINISH_REASON_UNSPECIFIED":
            self._reason = candidate.finish_reason
            self._detail = text_of(candidate.finish_message) or self._reason

    def _part(self, part: _Part) -> Iterator[Event]:
        seal = seal_of(part.thought_signature or "")
        if part.text is not None:
            kind = PartKind.THINKING if part.thought else PartKind.TEXT
            yield from self._words(kind, part.text, seal)
        elif part.function_call is not None:
            yield from self._call(part.function_call, seal)
        elif part.thought:
            return  # drafts of a picture, no part of the answer
        elif (media := _media(part)) is not None:
            yield from self._open(Open(PartKind.MEDIA, media=media))
            self._seal = seal
        elif (told := _run(part)) is not None:
            yield from self._words(PartKind.TEXT, told, seal)
        elif seal is not None:
            yield from self._words(PartKind.TEXT, "", seal)

    def _words(self, kind: PartKind, text: str, seal: Seal | None) -> Iterator[Event]:
        """More of the open part, or a new one; a bare seal is for what stands before it."""
        if not text:
            if seal is None:
                return
            may_seal = kind in (self._kind, PartKind.TEXT)
            if self._kind is None or self._seal is not None or not may_seal:
                yield from self._open(Open(kind))
            self._seal = seal
            return
        if self._kind is not kind or self._seal is not None:
            yield from self._open(Open(kind))
        self._has_output = self._has_output or kind is PartKind.TEXT
        if kind is PartKind.TEXT:
            self._text.append(text)
        self._seal = seal
        yield Delta(text)

    def _call(self, call: _Call, seal: Seal | None) -> Iterator[Event]:
        """A call, whole. Its end waits for the next part: that may be its seal."""
        answer_id = self._start.answer_id if self._start else ""
        call_id = call.id or f"call_{answer_id}_{self._calls}"
        self._calls += 1
        yield from self._open(Open(PartKind.TOOL_CALL, call_id, call.name or ""))
        arguments = "{}"
        if call.args is not msgspec.UNSET and bytes(call.args) != b"null":
            arguments = _arguments(bytes(call.args))
        yield Delta(arguments)
        self._seal = seal

    def _open(self, opened: Open) -> Iterator[Event]:
        yield from self._shut()
        self._kind = opened.kind
        if opened.kind is not PartKind.THINKING:
            self._has_output = self._has_output or opened.kind is not PartKind.TEXT
        yield opened

    def _shut(self) -> Iterator[Event]:
        if self._kind is None:
            return
        seal, redacted = self._seal, False
        if seal is not None and seal.item_id == REDACTED:
            seal, redacted = replace(seal, item_id=""), True
        self._kind = self._seal = None
        self._text.clear()
        self._cited.clear()
        yield Shut(seal, redacted=redacted)

    def _cite(self, candidate: _Candidate) -> Iterator[Event]:
        """The sources of the open text; each chunk may tell all of them again."""
        if self._kind is not PartKind.TEXT:
            return
        grounding = value_of(candidate.grounding_metadata)
        recited = value_of(candidate.citation_metadata)
        for citation in citations_of("".join(self._text), grounding, recited):
            if citation not in self._cited:
                self._cited.add(citation)
                yield Cite(citation)


def _start(chunk: _Chunk) -> Start:
    try:
        created = datetime.fromisoformat(text_of(chunk.create_time)[:19] + "+00:00")
        created_s = int(created.timestamp())
    except ValueError:
        created_s = 0
    return Start(text_of(chunk.response_id), text_of(chunk.model_version), created_s)


def _arguments(raw: bytes) -> str:
    """The text of a call's arguments without line breaks; big integers stay exact."""
    try:
        return compact(json.loads(raw))
    except (ValueError, RecursionError) as error:
        raise Garbled("the arguments of a call are no JSON") from error


def _media(part: _Part) -> Media | None:
    try:
        if part.inline_data is not msgspec.UNSET:
            return inline_media(value_of(part.inline_data))
        if part.file_data is not msgspec.UNSET:
            return file_media(value_of(part.file_data))
    except BadRequest as error:
        raise Garbled("the provider sent a medium without content") from error
    return None


def _run(part: _Part) -> str | None:
    """Code that the service ran, and what came of it, as text."""
    code = mapping_of(value_of(part.executable_code))
    if code:
        return f"\n```{str(code.get('language', '')).lower()}\n{code.get('code', '')}\n```\n"
    result = mapping_of(value_of(part.code_execution_result))
    return f"\n```\n{result.get('output', '')}\n```\n" if result else None


def _words(holder: dict[str, Any], *names: str) -> str:
    found = (holder.get(name) for name in names)
    return next((text for text in found if isinstance(text, str) and text), "")
