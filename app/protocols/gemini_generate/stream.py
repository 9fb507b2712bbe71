"""Gemini answers as a stream: nothing but ``data:`` lines, and no mark at the end.

Source: google-genai 3.4, ``_api_client.py``, read 2026-11-21: a line that is neither blank nor
begins with ``data: `` spoils what follows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from app.ir.events import (
    Cite,
    Delta,
    Event,
    Finish,
    Flush,
    Open,
    PartKind,
    Shut,
    Start,
    Usage,
    UsageEvent,
)
from app.ir.fold import Part
from app.ir.parts import Citation
from app.protocols.gemini_generate.answer import (
    chunk_of,
    dump,
    end_candidate,
    part_of,
    reason_of,
)
from app.protocols.gemini_generate.citations import write_citations
from app.wire.sse import data_of


def encode_stream(events: Iterable[Event]) -> Iterator[bytes]:
    """One response object for each piece; the last has the reason and the final counts."""
    writer = _Writer()
    for event in events:
        yield from writer.frames(event)


def as_array(frames: Iterable[bytes]) -> Iterator[bytes]:
    """The same stream as one JSON list in pieces, for clients that do not ask for ``alt=sse``.

    Empty frames, which only say that there is nothing more for now, stay.
    """
    opening = b"["
    for frame in frames:
        data = data_of(frame)
        if data:
            yield opening + data
            opening = b",\r\n"
        elif not frame:
            yield frame
    yield b"]" if opening != b"[" else b"[]"


class _Writer:
    def __init__(self) -> None:
        self._start = Start("", "", 0)
        self._open = Open(PartKind.TEXT)
        self._text: list[str] = []
        self._citations: list[Citation] = []
        self._runs: list[tuple[str, list[Citation]]] = []
        self._usage: Usage | None = None
        self._is_broken = self._is_refused = False

    def frames(self, event: Event) -> Iterator[bytes]:
        match event:
            case Start():
                self._start = event
            case Open():
                self._open, self._text, self._citations = event, [], []
                self._is_refused = self._is_refused or event.kind is PartKind.REFUSAL
            case Delta(text):
                self._text.append(text)
                if text and self._open.kind is not PartKind.TOOL_CALL:  # a call is sent whole
                    yield self._chunk(part_of(Part(self._open.kind, text)))
            case Cite(citation):
                self._citations.append(citation)
            case Shut():
                yield from self._shut(event)
            case UsageEvent():
                self._usage = event.usage
            case Finish():
                yield self._finish(event)
            case Flush():
                yield b""

    def _shut(self, event: Shut) -> Iterator[bytes]:
        opened, text = self._open, "".join(self._text)
        if opened.kind is PartKind.TEXT:
            self._runs.append((text, self._citations))
        if opened.kind in (PartKind.TOOL_CALL, PartKind.MEDIA):
            part = part_of(
                Part(
                    opened.kind,
                    text,
                    opened.call_id,
                    opened.name,
                    custom=opened.custom,
                    seal=event.seal,
                    media=opened.media,
                )
            )
            if part is None:
                self._is_broken = True
            else:
                yield self._chunk(part)
        elif event.seal is not None:  # a proof that comes after its words rides on an empty part
            sealed = Part(opened.kind, "", seal=event.seal, redacted=event.redacted)
            yield self._chunk(part_of(sealed))

    def _finish(self, event: Finish) -> bytes:
        reason = reason_of(event.reason, is_broken=self._is_broken, is_refused=self._is_refused)
        chunk = chunk_of(self._start, [{"text": ""}], self._usage or Usage(), reason)
        end_candidate(chunk, event.detail, write_citations(self._runs))
        return b"data: %b\n\n" % dump(chunk)

    def _chunk(self, part: dict[str, Any] | None) -> bytes:
        parts = [part] if part is not None else []
        return b"data: %b\n\n" % dump(chunk_of(self._start, parts, self._usage))
