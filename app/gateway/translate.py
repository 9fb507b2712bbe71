"""Another protocol upstream: decode, check, encode.

A stream is a chain of generators. Its first link reads what has arrived, cut into frames, and an
empty frame when nothing more is there; the empty frame comes out at the far end as an empty piece,
which is the sign to hand out what has been written. So a burst of frames leaves in one send, and
nothing waits for more than has come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import orjson
from typing_extensions import override

from app.accounting.meter import Meter
from app.errors import Garbled, UpstreamError
from app.gateway.exchange import Exchange
from app.gateway.relay import Cut, Relayed, Save
from app.ir.events import Delta, Event, Finish, Flush, Open, Start, UsageEvent, check
from app.protocols.base import Codec, Encoded, Operation, Shape
from app.protocols.gemini_generate import as_array
from app.protocols.openai_chat.legacy import encode_completion, encode_completion_stream
from app.upstream.transport import Reply
from app.wire.sse import FrameCutter, data_of

ANSWER_LIMIT = 256 * 1024 * 1024
"""Bytes of a whole answer; one is held in memory while it is translated."""

_UNNAMED = "call__"
"""How a decoder's own call ids begin when the answer has no id."""

Link = Callable[[Iterable[Event]], Iterator[Event]]
"""Something events pass through on their way."""


def losses_header(encoded: Encoded) -> list[tuple[str, str]]:
    """What could not be said, by name, for whoever looks."""
    names = sorted({loss.name for loss in encoded.losses})
    return [("X-Aiproxy-Loss", ", ".join(names))] if names else []


class Translation(Relayed):
    """An answer of one protocol told in another, streamed or whole as the client asked."""

    def __init__(
        self,
        exchange: Exchange,
        reply: Reply,
        save: Save,
        *,
        source: Codec,
        encoded: Encoded,
        remember: Link,
    ) -> None:
        super().__init__(exchange, reply, save)
        self._reply = reply
        self.status = 200
        self._source = source
        self._names = encoded.names
        self._remember = remember
        self._meter: Meter = exchange.meter
        self._heartbeat_s = exchange.snapshot.config.streaming.keepalive_seconds or None
        self._finished = False
        self._silent = False
        self._pieces: Iterator[bytes] = iter(())
        self._first = b""
        self._written = 0
        self.headers = [*self._answer_headers(), *losses_header(encoded)]

    @override
    def begin(self) -> None:
        """Wait for the first event, or for all of an answer that is not streamed.

        Raises:
            UpstreamError: it is an error, or breaks its protocol.
        """
        if self._exchange.peek.stream:
            self._begin_stream()
        else:
            self._begin_whole()

    def _answer_headers(self) -> list[tuple[str, str]]:
        stream = self._exchange.peek.stream
        kind = "application/json"
        if stream and not self._is_array():
            kind = "text/event-stream; charset=utf-8"
        headers = [("Content-Type", kind)]
        if stream:
            headers += [("Cache-Control", "no-cache"), ("X-Accel-Buffering", "no")]
        return headers

    def _is_array(self) -> bool:
        exchange = self._exchange
        return exchange.codec.model_in_path and "alt=sse" not in exchange.query

    def _is_completion(self) -> bool:
        return self._exchange.operation is Operation.COMPLETE

    def _events(self, decoded: Iterable[Event]) -> Iterator[Event]:
        checked = check(decoded)
        # Each link costs every event: most answers keep the names of their tools.
        named = self._names.restore(checked) if self._names.has_changed else checked
        return self._remember(self._watch(named))

    def _watch(self, events: Iterable[Event]) -> Iterator[Event]:
        """Read the events on their way: usage, the end, and the name the client asked for."""
        meter = self._meter
        for event in events:
            match event:
                case Delta() | Flush():  # nearly all of a stream, so they are asked for first
                    pass
                case Start(answer_id, _, created_s):
                    meter.progress = replace(meter.progress, answer_id=answer_id)
                    created_s = created_s or int(self._exchange.at.timestamp())
                    # Google leaves the id out at times; every client's protocol has one.
                    answer_id = answer_id or self._exchange.id
                    yield Start(answer_id, self._exchange.model, created_s)
                    continue
                case Open(call_id=call_id) if call_id.startswith(_UNNAMED):
                    # Made from an answer's id that was not there: unique only with ours in it.
                    made = f"call_{self._exchange.id}{call_id[len(_UNNAMED) - 1 :]}"
                    yield replace(event, call_id=made)
                    continue
                case UsageEvent(usage):
                    meter.progress = replace(meter.progress, usage=usage)
                case Finish():
                    self._finished = True
                    meter.progress = replace(meter.progress, finished=True, last=True)
                case _:
                    pass
            yield event

    def _shape(self) -> Shape:
        exchange = self._exchange
        echo = orjson.loads(exchange.body) if exchange.codec.name == "openai_responses" else {}
        return Shape(include_usage=exchange.peek.wants_usage, echo=echo)

    def _begin_whole(self) -> None:
        body = self._reply.read_all(ANSWER_LIMIT)
        if self._reply.get("content-type").lower().startswith("text/event-stream"):
            decoded = self._source.decode_stream(FrameCutter().feed(body + b"\n\n"))
        else:
            decoded = self._source.decode_answer(body)
        events = self._events(decoded)
        if self._is_completion():
            encoded = encode_completion(events)
        else:
            encoded = self._exchange.codec.encode_answer(events, self._shape())
        self._first = encoded
        self.headers.append(("Content-Length", str(len(encoded))))
        self._reply.close()

    def _begin_stream(self) -> None:
        events, shape = self._events(self._decoded()), self._shape()
        if self._is_completion():
            pieces = encode_completion_stream(events, shape)
        else:
            pieces = self._exchange.codec.encode_stream(events, shape)
        self._pieces = as_array(pieces) if self._is_array() else pieces
        while not self._first:
            first = self._gather()
            if first is None:
                raise Garbled("the provider's stream ended before its first event")
            self._first = first

    def _decoded(self) -> Iterator[Event]:
        if not self._reply.get("content-type").lower().startswith("text/event-stream"):
            # A provider that does not stream, or an error document with status 200.
            return self._source.decode_answer(self._reply.read_all(ANSWER_LIMIT))
        return self._source.decode_stream(self._arriving())

    def _arriving(self) -> Iterator[bytes]:
        """The frames of the upstream's stream; an empty one after each piece."""
        cutter = FrameCutter()
        while (chunk := self._reply.read(self._heartbeat_s)) != b"":
            self._silent = chunk is None
            if chunk is not None:
                frames = cutter.feed(chunk)
                self._meter.frames += len(frames)
                yield from frames
            yield b""
        yield from cutter.flush()
        if cutter.rest:
            yield cutter.rest + b"\n\n"

    def _gather(self) -> bytes | None:
        """What has been written up to the next pause; None at the end."""
        written: list[bytes] = []
        for piece in self._pieces:
            if not piece:
                return b"".join(written)
            written.append(piece)
            self._written += 1
        return b"".join(written) or None

    @override
    def __iter__(self) -> Iterator[bytes]:
        exchange = self._exchange
        exchange.hand_out(0)
        piece: bytes | None = self._first
        try:
            while piece is not None:
                if not piece and self._silent and not self._is_array():
                    piece = exchange.codec.heartbeat
                if piece:
                    exchange.bytes_out += len(piece)
                    if self._finished:
                        # Written down first: from here on the client may hold a whole answer.
                        self._settle(self.status, "")
                    yield piece
                if not exchange.peek.stream:
                    return
                piece = self._gather()
            self._settle(self.status, "")
        except UpstreamError as error:
            self._settle(200, error.blame.value)
            told = exchange.codec.encode_stream_error(error, exchange.id, sequence=self._written)
            # The last entry of a list that has begun: the first piece opened it.
            yield b",\r\n%b]" % data_of(told) if self._is_array() else told
            raise Cut from error
