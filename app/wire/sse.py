"""Server-sent events: chunks of bytes to frames.

A frame is what stands between two blank lines. It is kept as it came, so that joining all
frames and the rest gives the bytes again.

Source: WHATWG HTML, 9.2.6 "Interpreting an event stream", read 2026-11-21: lines end in CRLF, LF
or CR; a line that starts with a colon is a comment; several data lines are joined with LF.
"""

from __future__ import annotations

import re

_END = re.compile(rb"\n\n|\r\n\r\n|\n\r\n|\r\r|\r\n\n")


class FrameCutter:
    """Cuts a byte stream into whole frames, whatever the pieces it comes in."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    @property
    def rest(self) -> bytes:
        """The beginning of a frame whose end has not come yet."""
        return self._rest

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take more bytes; return the frames they complete, each with its blank line."""
        data = self._rest + chunk if self._rest else chunk
        if b"\r" not in data:
            return self._feed_lf(data)
        frames = []
        start = 0
        for end in _END.finditer(data, max(0, len(self._rest) - 3) if self._rest else 0):
            frames.append(data[start : end.end()])
            start = end.end()
        self._rest = data[start:]
        return frames

    def _feed_lf(self, data: bytes) -> list[bytes]:
        if data.endswith(b"\n\n"):
            self._rest = b""
            if data.find(b"\n\n") == len(data) - 2:  # one frame a chunk: nearly always
                return [data]
        frames = data.split(b"\n\n")
        self._rest = frames.pop()
        return [frame + b"\n\n" for frame in frames]


def data_of(frame: bytes) -> bytes:
    """The payload of a frame: its data lines joined with LF; empty for a comment."""
    if frame.startswith(b"data: ") and frame.find(b"\n") >= len(frame) - 2 and b"\r" not in frame:
        return frame[6:].rstrip(b"\n")
    lines = []
    for line in frame.splitlines():
        if line.startswith(b"data:"):
            value = line[5:]
            lines.append(value[1:] if value.startswith(b" ") else value)
    return b"\n".join(lines)
