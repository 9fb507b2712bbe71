"""Gemini answers as a stream: nothing but ``data:`` lines, and no mark at the end.

Source: google-genai 3.4, ``_api_client.py``, read 2026-11-21: a line that is neither blank nor
begins with ``data: `` spoils what follows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from app.ir.events import (
    Delta,
    Event,
    Finish,
    FinishReason,
    Open,
    PartKind,
    Shut,
    Start,
    Usage,
    UsageEvent,
)
from app.ir.fold import Part
from app.protocols.gemini_generate.answer import BROKEN_CALL, REASONS, chunk_of, part_of
from app.wire.sse import data_of


def encode_stream(events: Iterable[Event]) -> Iterator[bytes]:
    """One response object for each piece; the last has the reason and the final counts."""
    writer = _Writer()
    for event in events:
        yield from writer.frames(event)


def as_array(frames: Iterable[bytes]) -> Iterator[bytes]:
    """The same stream as one JSON list in pieces, for clients that do not ask for ``alt=sse``."""
    opening = b"["
    for frame in frames:
        data = data_of(frame)
        if data:
            yield opening + data
            opening = b",\r\n"
    yield b"]" if opening != b"[" else b"[]"


class _Writer:
    def __init__(self) -> None:
        self._start = Start("", "", 0)
        self._open = Open(PartKind.TEXT)
        self._arguments: list[str] = []
        self._usage: Usage | None = None
        self._is_broken = False

    def frames(self, event: Event) -> Iterator[bytes]:
        match event:
            case Start():
                self._start = event
            case Open():
                self._open, self._arguments = event, []
            case Delta(text):
                if self._open.kind is PartKind.TOOL_CALL:
                    self._arguments.append(text)  # a call is sent whole
                elif text:
                    yield self._chunk(part_of(Part(self._open.kind, text)))
            case Shut(signature):
                yield from self._shut(signature)
            case UsageEvent():
                self._usage = event.usage
            case Finish():
                yield self._finish(event)

    def _shut(self, signature: str) -> Iterator[bytes]:
        opened = self._open
        if opened.kind is PartKind.TOOL_CALL:
            text = "".join(self._arguments)
            part = part_of(Part(opened.kind, text, opened.call_id, opened.name, signature))
            if part is None:
                self._is_broken = True
            else:
                yield self._chunk(part)
        elif signature:  # a proof that comes after its words rides on an empty part
            yield self._chunk(part_of(Part(opened.kind, "", signature=signature)))

    def _finish(self, event: Finish) -> bytes:
        reason = REASONS[event.reason]
        if self._is_broken and event.reason is not FinishReason.LENGTH:
            reason = BROKEN_CALL
        self._usage = self._usage or Usage()
        return self._chunk({"text": ""}, reason)

    def _chunk(self, part: dict[str, Any] | None, reason: str = "") -> bytes:
        parts = [part] if part is not None else []
        return b"data: %b\n\n" % orjson.dumps(chunk_of(self._start, parts, self._usage, reason))
