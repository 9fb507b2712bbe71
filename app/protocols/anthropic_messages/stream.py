"""Messages as a stream: blocks strictly one after another, each event named.

Source: Anthropic Python SDK 2.11, ``lib/streaming/_messages.py``, read 2026-11-21: events
without a name are skipped, blocks are appended by order, a signature is sent whole and once,
``message_delta`` replaces the counts it holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

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
from app.ir.parts import Citation
from app.protocols.anthropic_messages.answer import (
    carrier,
    media_note,
    write_citation,
    write_finish,
    write_usage,
)
from app.protocols.anthropic_messages.blocks import ISSUER, OF_TEXT
from app.protocols.seals import pack

_DELTA = (
    b"event: content_block_delta\n"
    b'data: {"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":%b}}\n\n'
)
_DELTAS = {
    PartKind.TEXT: (b"text_delta", b"text"),
    PartKind.REFUSAL: (b"text_delta", b"text"),
    PartKind.THINKING: (b"thinking_delta", b"thinking"),
    PartKind.TOOL_CALL: (b"input_json_delta", b"partial_json"),
    PartKind.MEDIA: (b"text_delta", b"text"),
}


def encode_stream(events: Iterable[Event]) -> Iterator[bytes]:
    """Named events, from ``message_start`` to ``message_stop``; an empty piece for a ``Flush``."""
    writer = _Writer()
    for event in events:
        # Nearly all of a stream is one of these two, and needs no generator of its own.
        if writer.flows and isinstance(event, Flush):
            yield b""
        elif writer.flows and isinstance(event, Delta) and event.text:
            yield writer.more(event.text)
        else:
            yield from writer.frames(event)


class _Writer:
    """Holds back as little as the order of blocks allows.

    A part's block is opened with its first words: only its end tells whether thinking is kept
    secret, and an empty text is no block at all. A call waits for the event behind its first
    words: Gemini's calls come whole, and then its seal must stand in a block before it. A pause
    in the upstream's stream ends the waiting.
    """

    def __init__(self) -> None:
        self._start: Start | None = None
        self._usage = Usage()
        self._open: Open | None = None
        self._is_written = False
        self._held = ""
        self._text: list[str] = []
        self._index = -1
        self._kinds: set[PartKind] = set()

    @property
    def flows(self) -> bool:
        """Whether the block of the open part stands, so that nothing is held back."""
        return self._is_written and self._open is not None

    def more(self, text: str) -> bytes:
        """More of a part that ``flows``."""
        assert self._open is not None
        if self._open.kind is PartKind.TEXT:
            self._text.append(text)
        return self._delta(self._open.kind, text)

    def frames(self, event: Event) -> Iterator[bytes]:
        match event:
            case Delta(text):
                if text:
                    yield from self._more(text)
            case Flush():
                yield from self._begin()
                if self._open is not None and self._open.kind is PartKind.TOOL_CALL:
                    yield from self._write_open()
                yield b""
            case Start():
                # Held back by one event: many clients take the input count from message_start,
                # and sources that know it early say it next.
                self._start = event
            case UsageEvent():
                self._usage = event.usage
                yield from self._begin()
            case Open():
                yield from self._begin()
                self._open, self._is_written = event, False
                self._held, self._text = "", []
                self._kinds.add(event.kind)
            case Cite(citation):
                yield from self._cite(citation)
            case Shut():
                yield from self._shut(event)
            case Finish():
                yield from self._begin()
                delta = write_finish(event, self._kinds)
                yield _frame("message_delta", delta=delta, usage=write_usage(self._usage))
                yield _frame("message_stop")

    def _begin(self) -> Iterator[bytes]:
        start, self._start = self._start, None
        if start is None:
            return
        message: dict[str, Any] = {
            "id": f"msg_{start.answer_id}",
            "type": "message",
            "role": "assistant",
            "model": start.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": write_usage(self._usage),
        }
        yield _frame("message_start", message=message)

    def _more(self, text: str) -> Iterator[bytes]:
        opened = self._open
        if opened is None:  # the grammar leaves this to `check`
            return
        if opened.kind is PartKind.TOOL_CALL and not self._is_written and not self._held:
            self._held = text
            return
        yield from self._write_open()
        yield self.more(text)

    def _write_open(self) -> Iterator[bytes]:
        """Open the block of the part, and write what was held back of it."""
        opened = self._open
        if opened is None or self._is_written:
            return
        self._is_written = True
        block: dict[str, Any]
        match opened.kind:
            case PartKind.THINKING:
                block = {"type": "thinking", "thinking": "", "signature": ""}
            case PartKind.TOOL_CALL:
                block = {"type": "tool_use", "id": opened.call_id, "name": opened.name, "input": {}}
            case PartKind.TEXT | PartKind.REFUSAL | PartKind.MEDIA:
                block = {"type": "text", "text": ""}
        yield self._opened(block)
        if self._held:
            yield self._delta(opened.kind, self._held)
            self._held = ""

    def _cite(self, citation: Citation) -> Iterator[bytes]:
        if not self._is_written:
            return  # there are no words that it could be about
        told = write_citation(citation, "".join(self._text))
        delta = {"type": "citations_delta", "citation": told}
        yield _frame("content_block_delta", index=self._index, delta=delta)

    def _shut(self, shut: Shut) -> Iterator[bytes]:
        opened, self._open = self._open, None
        if opened is None:
            return
        was_written = self._is_written
        match opened.kind:
            case PartKind.THINKING:
                yield from self._shut_thinking(shut)
                return
            case PartKind.TOOL_CALL:
                if shut.seal is not None and not was_written:
                    yield from self._whole(carrier(shut.seal, opened.call_id))
                self._open = opened
                yield from self._write_open()
                self._open = None
            case PartKind.MEDIA:
                self._held = media_note(opened.media)
                self._open = opened
                yield from self._write_open()
                self._open = None
            case PartKind.TEXT | PartKind.REFUSAL:
                pass  # opened with its first words; without any there is no block
        if self._is_written:
            yield self._stopped()
        if shut.seal is None or (opened.kind is PartKind.TOOL_CALL and not was_written):
            return
        # The words are out already: the seal follows them, and says whose it is.
        is_call = opened.kind is PartKind.TOOL_CALL
        yield from self._whole(carrier(shut.seal, opened.call_id if is_call else OF_TEXT))

    def _shut_thinking(self, shut: Shut) -> Iterator[bytes]:
        packed = pack(shut.seal, ISSUER)
        if self._is_written:
            if packed:
                yield self._signature(packed)
            yield self._stopped()
        elif shut.redacted:
            yield self._opened({"type": "redacted_thinking", "data": packed})
            yield self._stopped()
        elif packed:
            yield from self._whole({"type": "thinking", "thinking": "", "signature": packed})

    def _whole(self, block: dict[str, Any]) -> Iterator[bytes]:
        """An empty thinking block with its signature."""
        yield self._opened({**block, "signature": ""})
        yield self._signature(block["signature"])
        yield self._stopped()

    def _opened(self, block: dict[str, Any]) -> bytes:
        self._index += 1
        return _frame("content_block_start", index=self._index, content_block=block)

    def _delta(self, kind: PartKind, text: str) -> bytes:
        return _DELTA % (self._index, *_DELTAS[kind], orjson.dumps(text))

    def _signature(self, packed: str) -> bytes:
        proof = {"type": "signature_delta", "signature": packed}
        return _frame("content_block_delta", index=self._index, delta=proof)

    def _stopped(self) -> bytes:
        return _frame("content_block_stop", index=self._index)


def _frame(kind: str, **members: Any) -> bytes:
    data = {"type": kind, **members}
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps(data))
