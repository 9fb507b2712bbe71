"""The answer to one call, read as it arrives."""

from __future__ import annotations

from collections.abc import Callable

from app import clock
from app.errors import Garbled, TimedOut
from app.upstream.sockets import Connection, Pool
from app.wire.http1 import CHUNKED, UNKNOWN, Dechunker, Head
from app.wire.inflate import Inflater

_INFLATED_LIMIT = 1 << 30
"""Bytes a compressed answer may have in all; far above any, it stops endless ones."""

_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5": "zstd"}
"""How compressed bytes begin. JSON and event streams never begin so."""

_TEXTUAL = ("application/json", "text/event-stream")


class Body:
    """What follows the head of an answer.

    The connection goes back to the pool at the moment the end has been read, and is closed at
    once when anything else ends the reading.

    Args:
        connection: where the answer comes in.
        pool: takes the connection back.
        head: of the answer.
        rest: bytes that came with the head.
        idle_s: seconds between two payload bytes, 0 = no limit. Framing does not count.
        deadline: of the whole call on the monotonic clock.
    """

    __slots__ = (
        "_chunks",
        "_closed",
        "_connection",
        "_deadline",
        "_feed",
        "_head",
        "_idle_s",
        "_inflater",
        "_left",
        "_looked_at",
        "_moved_at",
        "_pool",
        "_rest",
        "_sniffed",
        "complete",
    )

    def __init__(
        self,
        connection: Connection,
        pool: Pool,
        head: Head,
        rest: bytes,
        idle_s: float,
        deadline: float | None,
    ) -> None:
        self._connection = connection
        self._pool = pool
        self._head = head
        self._rest = rest
        self._idle_s = idle_s
        self._deadline = deadline
        self._moved_at = self._looked_at = clock.monotonic()
        self._left = head.length
        self._chunks = Dechunker() if head.length == CHUNKED else None
        self._inflater = Inflater(head.encoding, _INFLATED_LIMIT) if head.encoding else None
        self._sniffed = bool(head.encoding)
        self._feed: Callable[[bytes], bytes] | None = None
        self._closed = False
        self.complete = False
        if head.length == 0:
            self._end(surplus=bool(rest))

    @property
    def head(self) -> Head:
        """Status and headers."""
        return self._head

    def read(self, wait_s: float | None = None) -> bytes | None:
        """The payload that has come, without framing and compression.

        Returns:
            ``b""`` at the end; None when nothing came within ``wait_s`` seconds.

        Raises:
            TimedOut: the idle or the total limit has passed.
            Garbled: the answer broke off, or breaks its framing.
        """
        if self.complete:
            return b""
        if self._closed:
            raise Garbled("the provider's answer was closed before its end")
        try:
            # Once for each piece of an answer: what could be a function of its own stands in line.
            data, self._rest = self._rest, b""
            feed = self._feed
            while True:
                if data:
                    payload = self._unframe(data) if feed is None else feed(data)
                    if feed is not None and self._chunks is not None and self._chunks.ended:
                        self._end(surplus=self._chunks.surplus)
                    if payload:
                        self._moved_at = self._looked_at = clock.monotonic()
                        return payload
                    if self.complete:
                        return b""
                limit = self._moved_at + self._idle_s if self._idle_s else self._deadline
                if self._deadline is not None and limit is not None and self._deadline < limit:
                    limit = self._deadline
                until = limit
                if wait_s is not None and (limit is None or self._looked_at + wait_s < limit):
                    until = self._looked_at + wait_s
                try:
                    data = self._connection.recv_until(until)
                except TimeoutError:
                    self._looked_at = now = clock.monotonic()
                    if limit is not None and limit <= now:
                        self._time_out(now)
                    return None
                except OSError as error:
                    raise Garbled("the provider's answer broke off") from error
                if not data:
                    return self._eof()
        except BaseException:  # a killed greenlet too: half an answer must not be reused
            self.close()
            raise

    def close(self) -> None:
        """Let go of the connection; cuts the answer short if its end has not been read."""
        if not self._closed:
            self._closed = True
            self._connection.close()

    def _time_out(self, now: float) -> None:
        if self._deadline is not None and self._deadline <= now:
            raise TimedOut("the provider's answer took too long")
        raise TimedOut("the provider's answer stalled")

    def _unframe(self, data: bytes) -> bytes:
        """The payload in what has come; sees to the end when it is in there as well."""
        ended = surplus = False
        if self._chunks is not None:
            data = self._chunks.feed(data)
            ended, surplus = self._chunks.ended, self._chunks.surplus
        elif self._left != UNKNOWN:
            surplus = len(data) > self._left
            data = data[: self._left] if surplus else data
            self._left -= len(data)
            ended = not self._left
        if not self._sniffed and data:
            self._sniff(data)
            if self._inflater is None and self._chunks is not None:
                self._feed = self._chunks.feed  # plain chunks from here on
        if self._inflater is not None:
            data = self._inflater.feed(data)
        if ended:
            self._end(surplus=surplus)
        return data

    def _sniff(self, data: bytes) -> None:
        """Some hosts compress and do not say so."""
        self._sniffed = True
        coding = _MAGIC.get(data[:2])
        if coding and any(
            value.lower().startswith(_TEXTUAL)
            for name, value in self._head.fields
            if name.lower() == "content-type"
        ):
            self._inflater = Inflater(coding, _INFLATED_LIMIT)

    def _eof(self) -> bytes:
        if self._chunks is not None or self._left != UNKNOWN:
            raise Garbled("the provider's answer broke off")
        self._end(surplus=False)
        return b""

    def _end(self, *, surplus: bool) -> None:
        if self._inflater is not None:
            self._inflater.finish()
        self.complete = True
        if surplus or not self._head.keep_alive:
            self.close()
        else:
            self._closed = True
            self._pool.put(self._connection)
