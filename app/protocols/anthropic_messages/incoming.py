"""Reads answers of a Messages upstream, whole and streamed.

Source: Anthropic Python SDK 2.11, ``types/raw_message_stream_event.py`` and
``types/content_block.py``, read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
import orjson

from app.errors import Garbled, UpstreamError
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
from app.ir.parts import Seal
from app.protocols.anthropic_messages.answer import merge_usage
from app.protocols.anthropic_messages.blocks import ISSUER, compact, read_citations
from app.protocols.failures import failure_of, is_bare
from app.protocols.reading import mapping_of, payload_of

_REASONS: Mapping[str, FinishReason] = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.WINDOW,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.REFUSAL,
    "pause_turn": FinishReason.PAUSE,
}

_KINDS: Mapping[str, PartKind] = {
    "text": PartKind.TEXT,
    "thinking": PartKind.THINKING,
    "redacted_thinking": PartKind.THINKING,
    "tool_use": PartKind.TOOL_CALL,
}
"""The blocks a client is shown; all others are the business of the provider's own servers."""


def decode_answer(body: bytes) -> Iterator[Event]:
    """Read a whole message; see ``Codec.decode_answer``."""
    try:
        message = msgspec.json.decode(body)  # keeps whole numbers of any size exact
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Garbled("the provider's answer is not JSON") from None
    message = mapping_of(message)
    _raise_for(message)
    content = message.get("content")
    if not isinstance(content, list):
        raise Garbled("the provider's answer is no message")
    reader = _Reader()
    yield from reader.start(message)
    for block in content:
        yield from reader.open(mapping_of(block))
        yield from reader.shut()
    reader.note_end(message)
    yield reader.finish()


def decode_stream(frames: Iterable[bytes]) -> Iterator[Event]:
    """Read a stream; see ``Codec.decode_stream``."""
    reader = _Reader()
    for frame in frames:
        if not frame:
            yield Flush()
            continue
        data = payload_of(frame)
        if not data:
            continue  # a comment, or a name alone
        yield from reader.events(data)
        if reader.is_finished:
            return


class _Reader:
    """What is known of an answer on its way."""

    def __init__(self) -> None:
        self.is_finished = False
        self._usage: Usage | None = None
        self._kind: PartKind | None = None
        self._is_open = False
        self._seal = ""
        self._is_redacted = False
        self._input = ""
        self._length = 0
        self._citations: list[Any] = []
        self._reason: object = None
        self._stop_sequence: object = None
        self._details: object = None

    def events(self, data: bytes) -> Iterator[Event]:
        """The events of one frame's payload; what is unknown gives none."""
        try:
            event = orjson.loads(data)
        except orjson.JSONDecodeError:
            raise Garbled("the provider's stream holds a frame that is not JSON") from None
        if not isinstance(event, dict):
            raise Garbled("the provider's stream holds a frame that is no event")
        match event.get("type"):
            case "content_block_delta":
                yield from self._delta(mapping_of(event.get("delta")))
            case "content_block_start":
                yield from self.shut()  # some services leave out the stop of the block before
                yield from self.open(mapping_of(event.get("content_block")))
            case "content_block_stop":
                yield from self.shut()
            case "message_start":
                yield from self.start(mapping_of(event.get("message")))
            case "message_delta":
                yield from self.shut()
                self.note_end(mapping_of(event.get("delta")))
                yield from self._used(event.get("usage"))
            case "message_stop":
                yield from self.shut()
                yield self.finish()
            case _:
                _raise_for(event)

    def start(self, message: dict[str, Any]) -> Iterator[Event]:
        name, model = message.get("id"), message.get("model")
        answer_id = name.removeprefix("msg_") if isinstance(name, str) else ""
        yield Start(answer_id, model if isinstance(model, str) else "", 0)
        yield from self._used(message.get("usage"))

    def open(self, block: dict[str, Any]) -> Iterator[Event]:
        """Begin a block; whole ones hold all they have already."""
        kind = block.get("type")
        self._kind = _KINDS.get(kind) if isinstance(kind, str) else None
        self._is_open = True
        self._seal, self._is_redacted, self._input = "", False, ""
        self._length, self._citations = 0, []
        match kind:
            case "text":
                yield Open(PartKind.TEXT)
                yield from self._words(block.get("text"))
                cited = block.get("citations")
                self._citations += cited if isinstance(cited, list) else []
            case "thinking":
                yield Open(PartKind.THINKING)
                yield from self._words(block.get("thinking"))
                self._seal = _text(block.get("signature"))
            case "redacted_thinking":
                yield Open(PartKind.THINKING)
                self._seal, self._is_redacted = _text(block.get("data")), True
            case "tool_use":
                given = block.get("input")
                self._input = compact(given) if isinstance(given, dict) else "{}"
                call_id, name = _text(block.get("id")), _text(block.get("name"))
                yield Open(PartKind.TOOL_CALL, call_id, name)
            case _:
                pass  # left out, and what comes for it as well

    def _delta(self, delta: dict[str, Any]) -> Iterator[Event]:
        if not self._is_open:
            raise Garbled("the provider's stream goes on with a block that is not open")
        match (delta.get("type"), self._kind):
            case ("text_delta", PartKind.TEXT):
                yield from self._words(delta.get("text"))
            case ("thinking_delta", PartKind.THINKING):
                yield from self._words(delta.get("thinking"))
            case ("input_json_delta", PartKind.TOOL_CALL):
                yield from self._words(delta.get("partial_json"))
            case ("signature_delta", PartKind.THINKING):
                self._seal = _text(delta.get("signature"))
            case ("citations_delta", PartKind.TEXT):
                self._citations.append(delta.get("citation"))
            case _:
                pass  # of a block that is left out, or younger than this code

    def _words(self, text: object) -> Iterator[Event]:
        if isinstance(text, str) and text:
            self._length += len(text)
            yield Delta(text)

    def shut(self) -> Iterator[Event]:
        """End the block that is open, if any."""
        kind, self._kind, self._is_open = self._kind, None, False
        match kind:
            case None:
                return
            case PartKind.TOOL_CALL:
                if not self._length:
                    yield Delta(self._input)
            case PartKind.TEXT:
                # Only now it is known how far the text goes that they cover.
                for citation in read_citations(self._citations, self._length):
                    yield Cite(citation)
            case _:
                pass
        yield Shut(Seal(ISSUER, self._seal) if self._seal else None, self._is_redacted)

    def note_end(self, holder: dict[str, Any]) -> None:
        """Take the reason of the end from a message or a ``message_delta``."""
        self._reason = holder.get("stop_reason") or self._reason
        self._stop_sequence = holder.get("stop_sequence") or self._stop_sequence
        self._details = holder.get("stop_details") or self._details

    def finish(self) -> Finish:
        self.is_finished = True
        reason = _REASONS.get(_text(self._reason), FinishReason.STOP)
        met = _text(self._stop_sequence) if self._reason == "stop_sequence" else ""
        why = ""
        if reason is FinishReason.REFUSAL:
            why = _text(mapping_of(self._details).get("explanation"))
        return Finish(reason, met, why)

    def _used(self, usage: object) -> Iterator[Event]:
        known = merge_usage(usage, self._usage)
        if known is not None and known != self._usage:
            self._usage = known
            yield UsageEvent(known)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _raise_for(document: dict[str, Any]) -> None:
    """Raise for an error; events of unknown types and pings are none.

    Raises:
        UpstreamError: the document is an error.
    """
    error = document.get("error")
    if error or document.get("type") == "error" or is_bare(document):
        raise _failure(error or document, document)


def _failure(error: object, beside: dict[str, Any]) -> UpstreamError:
    if mapping_of(error).get("type") == "overloaded_error":
        beside = {**beside, "status": 529}  # the status it has outside of streams
    return failure_of(error, beside)
