"""What a scripted server does to one call: bytes, pauses and mishaps, in order."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import brotli  # type: ignore[import-untyped]  # it ships no types
import zstandard


@dataclass(frozen=True, slots=True)
class Pause:
    """Say nothing for some seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class WaitFor:
    """Say nothing until the event is set."""

    event: threading.Event


@dataclass(frozen=True, slots=True)
class Hang:
    """Say nothing until the server's ``release()``, then go on."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Break the connection so that the peer sees a reset."""


@dataclass(frozen=True, slots=True)
class Close:
    """End the connection in order, wherever the answer stands."""


Step: TypeAlias = bytes | Pause | WaitFor | Hang | Reset | Close
Framing: TypeAlias = Literal["length", "chunked", "close"]

JSON = (("Content-Type", "application/json"),)
EVENT_STREAM = (("Content-Type", "text/event-stream; charset=utf-8"),)


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer.

    ``body`` may be a list that mixes bytes with pauses and mishaps; with chunked framing each
    bytes piece is one chunk. ``before_head`` and ``mid_head`` put a step there, ``raw`` replaces
    the whole answer, after which the connection is closed.

    Attributes:
        claimed_length: a Content-Length that lies.
        interim: how many 100 Continue answers come first.
        write_size: bytes a write, 0 = a piece at a time.
        encoded: ``gzip``, ``deflate``, ``br`` or ``zstd``: compress the body and say so.
    """

    status: int = 200
    body: bytes | Sequence[Step] = b""
    headers: Sequence[tuple[str, str]] = JSON
    framing: Framing = "length"
    reason: str = "Scripted"
    before_head: Step | None = None
    mid_head: Step | None = None
    raw: Sequence[Step] | None = None
    claimed_length: int | None = None
    interim: int = 0
    write_size: int = 0
    encoded: str = ""
    keep_alive: bool = True

    @property
    def closes(self) -> bool:
        """Whether the connection ends with this answer."""
        return self.raw is not None or self.framing == "close" or not self.keep_alive

    def steps(self, method: str) -> Iterator[Step]:
        """Everything to do, in order, for a request with this method."""
        if self.raw is not None:
            yield from self._cut(self.raw)
            return
        yield from self._cut(self._answer(method))

    def _answer(self, method: str) -> Iterator[Step]:
        if self.before_head is not None:
            yield self.before_head
        for _ in range(self.interim):
            yield b"HTTP/1.1 100 Continue\r\n\r\n"
        pieces = self._pieces()
        head = self._head(sum(len(piece) for piece in pieces if isinstance(piece, bytes)))
        if self.mid_head is None:
            yield head
        else:
            yield head[: len(head) // 2]
            yield self.mid_head
            yield head[len(head) // 2 :]
        if method == "HEAD" or self.status in (204, 304):
            return
        for piece in pieces:
            if isinstance(piece, bytes) and self.framing == "chunked":
                yield b"%x\r\n%b\r\n" % (len(piece), piece)
            else:
                yield piece
        if self.framing == "chunked":
            yield b"0\r\n\r\n"

    def _head(self, length: int) -> bytes:
        lines = [f"HTTP/1.1 {self.status} {self.reason}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.encoded:
            lines.append(f"Content-Encoding: {self.encoded}")
        if self.framing == "chunked":
            lines.append("Transfer-Encoding: chunked")
        elif self.framing == "length" and self.status not in (204, 304):
            claimed = length if self.claimed_length is None else self.claimed_length
            lines.append(f"Content-Length: {claimed}")
        if self.closes:
            lines.append("Connection: close")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _pieces(self) -> list[Step]:
        pieces = [self.body] if isinstance(self.body, bytes) else list(self.body)
        if self.encoded:
            return list(compressed(pieces, self.encoded))
        return [piece for piece in pieces if piece != b""]  # an empty chunk would end the body

    def _cut(self, steps: Iterable[Step]) -> Iterator[Step]:
        for step in steps:
            if not self.write_size or not isinstance(step, bytes):
                yield step
                continue
            for start in range(0, len(step), self.write_size):
                yield step[start : start + self.write_size]


def compressed(pieces: Iterable[Step], encoding: str) -> Iterator[Step]:
    """Compress the bytes among the steps, flushed after each so that a reader can go on."""
    put, flush, finish = _compressor(encoding)
    for piece in pieces:
        yield put(piece) + flush() if isinstance(piece, bytes) else piece
    yield finish()


def _compressor(
    encoding: str,
) -> tuple[Callable[[bytes], bytes], Callable[[], bytes], Callable[[], bytes]]:
    match encoding:
        case "gzip" | "deflate":
            packer = zlib.compressobj(wbits=31 if encoding == "gzip" else 15)
            return packer.compress, lambda: packer.flush(zlib.Z_SYNC_FLUSH), packer.flush
        case "br":
            brotler = brotli.Compressor()
            return brotler.process, brotler.flush, brotler.finish
        case "zstd":
            writer = zstandard.ZstdCompressor().compressobj()
            block = zstandard.COMPRESSOBJ_FLUSH_BLOCK
            return writer.compress, lambda: writer.flush(block), writer.flush
        case _:
            raise ValueError(encoding)
