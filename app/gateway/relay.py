"""Same protocol on both sides: bytes through, usage read off a copy.

The answer is never parsed on its way. What a frame tells is read before it is handed out, since
an answer the client has seen whole must be in the ledger already.
"""

from __future__ import annotations

import errno
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator

from typing_extensions import override

from app import clock
from app.errors import Garbled, TimedOut, UpstreamError
from app.gateway.exchange import Exchange
from app.protocols.base import Progress
from app.routing.catalog import Candidate
from app.upstream.transport import Reply
from app.wire.headers import client_headers
from app.wire.sse import FrameCutter

WHOLE_LIMIT = 256 * 1024
"""An answer up to this size is held until it is whole; a larger one goes through as it comes."""

_TAIL = 64 * 1024
"""How much of a large answer's end is kept to find its usage in."""

_ERROR_LIMIT = 1024 * 1024
"""Bytes of an error answer that are read."""

_COLON = ord(":")

_HEAD = 512
"""How much of its beginning: the answer's id stands there."""

_ERROR_WITHIN = 512
"""How far into a body an error object is looked for."""

Save = Callable[[Exchange, int, str], None]
"""Writes an exchange down: the exchange, the status the client saw, the blame's slug."""


class Cut(BrokenPipeError):
    """Ends a connection without the mark of a whole answer, so that the client sees the break."""

    def __init__(self) -> None:
        super().__init__(errno.EPIPE, "the answer was cut")


def refusal(candidate: Candidate, reply: Reply) -> UpstreamError:
    """What a provider's error answer means."""
    if reply.status < 400:
        return Garbled("the provider answered with a redirect, which is not followed")
    headers = {name.lower(): value for name, value in reply.headers}
    body = reply.read_all(_ERROR_LIMIT)
    return candidate.credential.provider.verdict(reply.status, headers, body)


def stream_headers(reply: Reply) -> list[tuple[str, str]]:
    """The headers of a streamed answer; the last two keep proxies from holding it back."""
    headers = client_headers(reply.headers)
    headers.append(("Cache-Control", "no-cache"))
    headers.append(("X-Accel-Buffering", "no"))
    return headers


class Relayed(ABC):
    """What all kinds of relay share: the reply, the books, and an end that comes only once."""

    def __init__(self, exchange: Exchange, reply: Reply | None, save: Save) -> None:
        self.status = 200 if reply is None else reply.status
        self.headers: list[tuple[str, str]] = []
        self._exchange = exchange
        self._held = reply
        self._save = save
        self._saved = False

    @abstractmethod
    def begin(self) -> None:
        """Wait until the first event is in hand; until then another candidate may be asked.

        Raises:
            UpstreamError: there is none, or it is an error.
        """

    @abstractmethod
    def __iter__(self) -> Iterator[bytes]:
        """The bytes for the client, as they come."""

    def close(self) -> None:
        """Let go of the upstream; whoever closes before the end has left."""
        self.let_go()
        self._settle(499, "")

    def let_go(self) -> None:
        """Close an answer nobody will take; the exchange has been written down already."""
        if self._held is not None:
            self._held.close()

    def _settle(self, status: int, blame: str) -> None:
        if not self._saved:
            self._saved = True
            self._save(self._exchange, status, blame)


class StreamRelay(Relayed):
    """Server-sent events, handed out the moment they arrive.

    Made by ``begin``, which waits for the first event: until then a failure may still go to the
    next candidate.
    """

    def __init__(self, exchange: Exchange, reply: Reply, save: Save, *, drop_usage: bool) -> None:
        super().__init__(exchange, reply, save)
        self._reply = reply
        config = exchange.snapshot.config
        self.headers = stream_headers(reply)
        self._codec = exchange.codec
        self._meter = exchange.meter
        self._cutter = FrameCutter()
        self._drop_usage = drop_usage
        self._heartbeat_s = config.streaming.keepalive_seconds or None
        self._idle_s = config.idle_timeout
        self._unpaid_since: float | None = None
        self._first = b""

    @override
    def begin(self) -> None:
        """Wait for the first event.

        Raises:
            UpstreamError: it is an error, or the stream ends without one.
        """
        pieces: list[bytes] = []
        while True:
            chunk = self._reply.read(None)
            if not chunk:
                raise Garbled("the provider's stream ended before its first event")
            pieces.append(chunk)
            frames = self._take(chunk)
            if self._meter.progress.failure is not None:
                raise self._meter.progress.failure
            if any(not frame.startswith(b":") for frame in frames):
                break
            self._refuse_document()
        whole = b"".join(pieces)
        if self._drop_usage:
            whole = self._without_usage(self._frames_of(whole))
        self._first = whole

    @override
    def __iter__(self) -> Iterator[bytes]:
        # Once for each piece of each stream: what could be functions stands in line here, which
        # is worth a tenth of the whole gateway's cost.
        exchange, meter, read, feed = (
            self._exchange,
            self._meter,
            self._reply.read,
            self._cutter.feed,
        )
        tells, heartbeat_s, drop_usage = meter.tells, self._heartbeat_s, self._drop_usage
        ends_by_close = self._codec.ends_by_close
        exchange.hand_out(0)
        piece: bytes | None = self._first
        try:
            while True:
                if piece:
                    exchange.bytes_out += len(piece)
                    progress = meter.progress
                    if progress.last or (ends_by_close and progress.finished):
                        # Written down first: from here on the client may hold a whole answer.
                        self._settle(self.status, self._blame())
                    yield piece
                piece = read(heartbeat_s)
                if not piece:
                    if piece is not None:
                        break
                    # Between two frames a heartbeat is harmless, inside one it would be rubbish.
                    piece = b"" if self._cutter.rest else self._codec.heartbeat
                    continue
                frames = feed(piece)
                for frame in frames:
                    meter.frames += 1
                    meter.last = frame
                    if tells(frame, meter.progress):
                        meter.read()
                if piece[0] == _COLON:
                    self._bear_with_comments()
                else:
                    self._unpaid_since = None
                if drop_usage:
                    piece = self._without_usage(frames)
            yield from self._end()
        except UpstreamError as error:
            # The status line is gone; the client's own protocol says it instead. Half a frame
            # that has been handed out is ended first, or the two would be read as one.
            self._settle(200, error.blame.value)
            half = b"" if self._drop_usage or not self._cutter.rest else b"\n\n"
            yield half + self._codec.encode_stream_error(error, exchange.id, sequence=meter.frames)
            raise Cut from error

    def _end(self) -> Iterator[bytes]:
        rest = self._cutter.rest
        if rest:
            # Some hosts leave out the last blank line.
            self._meter.read_frame(rest + b"\n\n")
        progress = self._meter.progress
        if not progress.finished and progress.failure is None:
            raise Garbled("the provider's stream ended before the answer was finished")
        self._settle(self.status, self._blame())
        if self._drop_usage and rest and not self._codec.is_usage_extra(rest + b"\n\n"):
            self._exchange.hand_out(len(rest))
            yield rest

    def _blame(self) -> str:
        failure = self._meter.progress.failure
        return failure.blame.value if failure else ""

    def _bear_with_comments(self) -> None:
        """Comments keep a connection open for ever; only payload counts as progress."""
        now = clock.monotonic()
        if self._unpaid_since is None:
            self._unpaid_since = now
        elif self._idle_s and now - self._unpaid_since > self._idle_s:
            raise TimedOut("the provider sent nothing but comments for too long")

    def _take(self, chunk: bytes) -> list[bytes]:
        """Read a copy of what has come; the frames it completes."""
        frames = self._cutter.feed(chunk)
        for frame in frames:
            self._meter.read_frame(frame)
        if chunk[0] == _COLON:
            self._bear_with_comments()
        else:
            self._unpaid_since = None
        return frames

    def _refuse_document(self) -> None:
        start = self._cutter.rest
        if start[:1] in (b"{", b"["):
            # A gateway in between may answer 200 and a bare error document.
            self._meter.read_frame(start + self._reply.read_all(WHOLE_LIMIT))
            raise self._meter.progress.failure or Garbled("the provider did not send a stream")

    @staticmethod
    def _frames_of(whole: bytes) -> list[bytes]:
        return FrameCutter().feed(whole)

    def _without_usage(self, frames: list[bytes]) -> bytes:
        is_extra = self._codec.is_usage_extra
        return b"".join([frame for frame in frames if not is_extra(frame)])


class WholeRelay(Relayed):
    """An answer that is not streamed to the client as events."""

    def __init__(self, exchange: Exchange, reply: Reply, save: Save) -> None:
        super().__init__(exchange, reply, save)
        self._reply = reply
        self._start: list[bytes] = []
        self._ended = False

    @override
    def begin(self) -> None:
        """Read until the end, or until the answer is too large to hold back.

        Raises:
            UpstreamError: it broke off.
        """
        size = 0
        while size <= WHOLE_LIMIT:
            chunk = self._reply.read(None)
            if not chunk:
                self._ended = True
                break
            self._start.append(chunk)
            size += len(chunk)
        self.headers = client_headers(self._reply.headers)
        if self._ended:
            self._finish_whole()
        elif length := self._length():
            self.headers.append(("Content-Length", length))

    def _finish_whole(self) -> None:
        body = b"".join(self._start)
        self._start = [body]
        self._refuse_error(body)
        self._exchange.meter.read_answer(body)
        self.headers.append(("Content-Length", str(len(body))))
        self._reply.close()

    def _refuse_error(self, body: bytes) -> None:
        """Some hosts say 200 and put the error into the body.

        Raises:
            UpstreamError: this is one.
        """
        if b'"error"' in body[:_ERROR_WITHIN]:
            codec = self._exchange.codec
            progress = codec.read_frame(body, Progress())
            if progress.failure is not None:
                raise progress.failure

    def _length(self) -> str:
        return "" if self._reply.get("content-encoding") else self._reply.get("content-length")

    @override
    def __iter__(self) -> Iterator[bytes]:
        if self._ended:
            body = self._start[0]
            self._exchange.hand_out(len(body))
            self._settle(self.status, "")
            yield body
            return
        yield from self._through()

    def _through(self) -> Iterator[bytes]:
        tail = _Tail()
        head = b"".join(self._start)[:_HEAD]
        # One piece is held back: the last one must wait for the ledger.
        held = b"".join(self._start)
        self._start = []
        try:
            while following := self._reply.read(None):
                tail.feed(held)
                self._exchange.hand_out(len(held))
                yield held
                held = following
        except UpstreamError as error:
            self._settle(self.status, error.blame.value)
            raise Cut from error
        tail.feed(held)
        self._exchange.meter.read_answer(head + tail.bytes())
        self._exchange.hand_out(len(held))
        self._settle(self.status, "")
        yield held


class ArrayRelay(Relayed):
    """A stream that comes as one JSON array, piece by piece.

    Source: protocols of Gemini, ``streamGenerateContent`` without ``alt=sse``.
    """

    def __init__(self, exchange: Exchange, reply: Reply, save: Save) -> None:
        super().__init__(exchange, reply, save)
        self._reply = reply
        self.headers = stream_headers(reply)
        self._first = b""
        self._tail = _Tail()

    @override
    def begin(self) -> None:
        """Wait for the first bytes.

        Raises:
            UpstreamError: there are none.
        """
        self._first = self._reply.read(None) or b""
        if not self._first:
            raise Garbled("the provider's answer is empty")

    @override
    def __iter__(self) -> Iterator[bytes]:
        piece: bytes | None = self._first
        try:
            while piece:
                self._tail.feed(piece)
                self._exchange.hand_out(len(piece))
                if piece.rstrip().endswith(b"]"):
                    # Perhaps the end: written down before the client can have seen it.
                    self._write_down()
                yield piece
                piece = self._reply.read(None)
            if not self._tail.bytes().rstrip().endswith(b"]"):
                raise Garbled("the provider's stream ended before the answer was finished")
        except UpstreamError as error:
            self._saved = False
            self._settle(self.status, error.blame.value)
            raise Cut from error

    def _write_down(self) -> None:
        self._exchange.meter.read_answer(self._tail.bytes())
        self._saved = False
        self._settle(self.status, "")


class _Tail:
    """The last bytes of something that is too large to keep."""

    __slots__ = ("_pieces", "_size")

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._size = 0

    def feed(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        while self._size - len(self._pieces[0]) >= _TAIL:
            self._size -= len(self._pieces.popleft())

    def bytes(self) -> bytes:
        return b"".join(self._pieces)[-_TAIL:]
