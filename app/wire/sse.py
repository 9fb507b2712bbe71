"""Server-sent events: chunks of bytes to frames.

A frame is what stands between two blank lines. It is kept as it came, so that joining all
frames and the rest gives the bytes again.

Source: WHATWG HTML, 9.2.6 "Interpreting an event stream", read 2026-11-21: lines end in CRLF, LF
or CR; a line that starts with a colon is a comment; several data lines are joined with LF; one
byte order mark at the very beginning is ignored.
"""

from __future__ import annotations

import re

from app.errors import Garbled

FRAME_LIMIT = 64 << 20
"""Bytes a frame may have; image output and encrypted reasoning reach tens of megabytes."""

# A line end followed by a line end. CRLF as the first of the two needs no case of its own, its
# second half is enough. A CR that is the last byte so far is left alone: it may be half a CRLF.
_END = re.compile(rb"\n(?:\n|\r\n|\r(?!\Z))|\r\r(?:\n|(?!\Z))")
_BOM = b"\xef\xbb\xbf"
_LOOK_BACK = 3  # the longest frame end is CRLF CRLF


class FrameCutter:
    """Cuts a byte stream into whole frames, whatever the pieces it comes in.

    The work is linear in the bytes fed, however they are cut and however long a frame is.
    """

    __slots__ = ("_has_cr", "_limit", "_rest")

    def __init__(self, limit: int = FRAME_LIMIT) -> None:
        self._rest = bytearray()
        self._limit = limit
        self._has_cr = False

    @property
    def rest(self) -> bytes:
        """The beginning of a frame whose end has not come yet."""
        return bytes(self._rest)

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take more bytes; return the frames they complete, each with its blank line.

        In a stream whose lines end in bare CRs a frame is complete with the byte after it.

        Raises:
            Garbled: a frame has outgrown the limit.
        """
        # One whole frame a chunk is how nearly all answers arrive.
        if not self._rest and chunk[-2:] == b"\n\n" and chunk.find(b"\n\n") == len(chunk) - 2:
            if b"\r" not in chunk:
                return [chunk]
            self._has_cr = True
        return self._cut(chunk)

    def flush(self) -> list[bytes]:
        """Return what a last bare CR has completed, now that no byte follows."""
        if not self._rest.endswith((b"\r\r", b"\n\r")):
            return []
        frame = bytes(self._rest)
        self._rest.clear()
        return [frame]

    def _cut(self, chunk: bytes) -> list[bytes]:
        rest = self._rest
        seen = max(0, len(rest) - _LOOK_BACK)
        rest += chunk
        self._has_cr = self._has_cr or b"\r" in chunk
        frames = self._ends_any(seen) if self._has_cr else self._ends_lf(seen)
        if len(rest) > self._limit:
            raise Garbled("a frame of the provider's stream is too long")
        return frames

    def _ends_lf(self, seen: int) -> list[bytes]:
        frames = []
        start = 0
        while (end := self._rest.find(b"\n\n", seen) + 2) > 1:
            frames.append(bytes(self._rest[start:end]))
            start = seen = end
        del self._rest[:start]
        return frames

    def _ends_any(self, seen: int) -> list[bytes]:
        frames = []
        start = 0
        while match := _END.search(self._rest, seen):
            seen = match.end()
            del match  # it would keep the bytes from being shortened below
            frames.append(bytes(self._rest[start:seen]))
            start = seen
        del self._rest[:start]
        return frames


def data_of(frame: bytes) -> bytes:
    """The payload of a frame: its data lines joined with LF; empty for a comment."""
    if frame.startswith(b"data: ") and frame.find(b"\n") >= len(frame) - 2 and b"\r" not in frame:
        return frame[6:].rstrip(b"\n")
    lines = []
    for line in frame.removeprefix(_BOM).splitlines():
        if line.startswith(b"data:"):
            value = line[5:]
            lines.append(value[1:] if value.startswith(b" ") else value)
        elif line == b"data":  # a field without a colon has an empty value
            lines.append(b"")
    return b"\n".join(lines)
