"""The bytes of HTTP/1.1 answers: heads and chunked bodies.

It is stricter than browsers: whatever could be read in two ways is refused, because the next
answer comes on the same connection.

Source: RFC 9112, read 2026-11-21.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from app.errors import Garbled

HEAD_LIMIT = 64 << 10
FIELD_LIMIT = 200
_LINE_LIMIT = 4 << 10  # of a chunk's size with its extensions, or of one trailer
_TRAILER_LIMIT = 64
_CHUNK_LIMIT = 1 << 32
UNKNOWN: Final = -1
"""A body without a length: it ends with the connection."""
CHUNKED: Final = -2

_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: ([^\r\n\0]*))?\r\n")
_FIELDS = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[^\r\n\0]*+\r\n)*+")
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n\0]*)?\r\n")
_TELLING = frozenset({"connection", "content-encoding", "content-length", "transfer-encoding"})
_LENGTH = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Head:
    """Status line and headers of an answer.

    Attributes:
        fields: names and values as they came, without the white space around values.
        length: bytes of the body, or ``CHUNKED``, or ``UNKNOWN``.
        keep_alive: whether another answer may follow on the connection.
        encoding: the value of Content-Encoding.
    """

    status: int
    reason: str
    fields: list[tuple[str, str]]
    length: int
    keep_alive: bool
    encoding: str


def head_end(data: bytes | bytearray, seen: int = 0) -> int:
    """Where the head ends in what has come so far, 0 when it has not all come.

    Args:
        data: the beginning of an answer.
        seen: how many of its bytes an earlier call has looked at.

    Raises:
        Garbled: this is no HTTP/1 answer, or its head is too large.
    """
    end = data.find(b"\r\n\r\n", max(0, seen - 3)) + 4
    if end >= 4:
        if end > HEAD_LIMIT:
            raise Garbled("the head of the provider's answer is too large")
        return end
    if not data.startswith(b"HTTP/1.") and not b"HTTP/1.".startswith(bytes(data[:7])):
        raise Garbled("the provider did not answer in HTTP")
    if len(data) > HEAD_LIMIT:
        raise Garbled("the head of the provider's answer is too large")
    if data.count(b"\n", seen) > data.count(b"\r\n", max(0, seen - 1)):
        raise Garbled("the head of the provider's answer is malformed")
    return 0


def read_head(data: bytes, method: str) -> Head:
    """Read a whole head.

    Args:
        data: from the status line to the empty line.
        method: of the request; the answer to HEAD has no body.

    Raises:
        Garbled: malformed, or its length could be read in two ways.
    """
    first = _STATUS.match(data)
    if first is None or _FIELDS.fullmatch(data, first.end(), len(data) - 2) is None:
        raise Garbled("the head of the provider's answer is malformed")
    text = data[first.end() : -4].decode("latin-1")
    fields = _fields(text)
    if len(fields) > FIELD_LIMIT:
        raise Garbled("the provider's answer has too many headers")
    status = int(first[2])
    told = _told(fields)
    length, sure = _framing(told)
    if method == "HEAD" or status < 200 or status in (204, 304):
        length = 0
    connection = told.get("connection", "").lower()
    persistent = "close" not in connection if first[1] == b"1" else "keep-alive" in connection
    reason = (first[3] or b"").decode("latin-1")
    encoding = told.get("content-encoding", "")
    return Head(status, reason, fields, length, persistent and sure and length != UNKNOWN, encoding)


def _fields(text: str) -> list[tuple[str, str]]:
    if not text:
        return []
    parted = [line.partition(":") for line in text.split("\r\n")]
    return [(name, value.strip(" \t")) for name, _, value in parted]


def _told(fields: list[tuple[str, str]]) -> dict[str, str]:
    """The headers that say how to read the body; one that came several times is joined."""
    told: dict[str, str] = {}
    for name, value in fields:
        low = name.lower()
        if low in _TELLING:
            told[low] = f"{told[low]}, {value}" if low in told else value
    return told


def _framing(told: dict[str, str]) -> tuple[int, bool]:
    """How the body is framed, and whether there is no doubt about it.

    Source: RFC 9112, 6.3: Transfer-Encoding wins over Content-Length, and such a connection is
    closed after the answer; a Content-Length that contradicts itself is an error.
    """
    coding = told.get("transfer-encoding", "").strip().lower()
    length = told.get("content-length", "")
    if coding and coding != "identity":
        if coding != "chunked":
            raise Garbled("the provider's answer has an unknown transfer coding")
        return CHUNKED, not length
    if not length:
        return UNKNOWN, True
    values = {value.strip() for value in length.split(",")}
    only = values.pop()
    if values or _LENGTH.fullmatch(only) is None:
        raise Garbled("the provider's answer has no clear length")
    return int(only), True


class Dechunker:
    """Takes the chunk framing off a body, whatever the pieces it comes in.

    Attributes:
        ended: the last chunk and its trailers have come.
        surplus: whether bytes came after them.
    """

    __slots__ = ("_left", "_rest", "_trailers", "ended", "surplus")

    def __init__(self) -> None:
        self._rest = b""
        self._left = 0  # of the open chunk, its CRLF counted
        self._trailers = -1  # lines read of the trailer section, -1 = it has not begun
        self.ended = False
        self.surplus = False

    def feed(self, data: bytes) -> bytes:
        """Return all payload that the bytes complete.

        Raises:
            Garbled: the framing is broken.
        """
        if self._rest:
            data = self._rest + data
            self._rest = b""
        elif not self._left:
            # Exactly one whole chunk is how nearly all streamed events arrive.
            match = _SIZE.match(data)
            if match is not None and self._trailers < 0:
                end = match.end() + int(match[1], 16)
                if len(data) == end + 2 and end > match.end() and data.endswith(b"\r\n"):
                    return data[match.end() : end]
        payload: list[bytes] = []
        place = 0
        while place < len(data) and not self.ended:
            if self._left:
                place = self._inside(data, place, payload)
            elif self._trailers < 0:
                place = self._size(data, place)
            else:
                place = self._trailer(data, place)
        self.surplus = self.surplus or (self.ended and place < len(data))
        return payload[0] if len(payload) == 1 else b"".join(payload)

    def _inside(self, data: bytes, place: int, payload: list[bytes]) -> int:
        """Take what has come of the open chunk."""
        end = place + self._left
        if end - 2 > place:
            payload.append(data[place : min(end - 2, len(data))])
        if len(data) < end:
            self._see_crlf(data[max(end - 2, place) :], self._left)
            self._left = end - len(data)
            return len(data)
        self._see_crlf(data[max(end - 2, place) : end], min(2, self._left))
        self._left = 0
        return end

    def _see_crlf(self, came: bytes, left: int) -> None:
        expected = b"\n" if left == 1 else b"\r\n"
        if not expected.startswith(came):
            raise Garbled("the provider's answer has a broken chunk")

    def _size(self, data: bytes, place: int) -> int:
        match = _SIZE.match(data, place)
        if match is None:
            return self._wait_for_line(data, place)
        size = int(match[1], 16)
        if size > _CHUNK_LIMIT:
            raise Garbled("the provider's answer has a broken chunk")
        if size:
            self._left = size + 2
        else:
            self._trailers = 0
        return match.end()

    def _trailer(self, data: bytes, place: int) -> int:
        """Step over one line of the trailer section; an empty one ends the body."""
        end = data.find(b"\r\n", place)
        if end < 0:
            return self._wait_for_line(data, place)
        self.ended = end == place
        self._trailers += 1
        if self._trailers > _TRAILER_LIMIT:
            raise Garbled("the provider's answer has a broken chunk")
        return end + 2

    def _wait_for_line(self, data: bytes, place: int) -> int:
        self._rest = data[place:]
        if b"\n" in self._rest or len(self._rest) > _LINE_LIMIT:
            raise Garbled("the provider's answer has a broken chunk")
        return len(data)
