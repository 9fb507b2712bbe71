"""Takes compression off bodies, within a bound, by arrival.

The codings are those of the IANA "HTTP Content Coding Registry", read 2026-11-21, that providers
and SDKs use: gzip, deflate, br, zstd. Every coder hands on pieces of some 64 KiB, so that a
bomb is noticed when the bound is crossed and not when memory is gone.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from typing import Protocol, TypeAlias

import brotli  # type: ignore[import-untyped]  # it ships no types
import zstandard
from typing_extensions import override

from app.errors import BadRequest, Garbled, TooLarge, UnsupportedMedia

Sink: TypeAlias = Callable[[bytes], object]

PIECE = 64 << 10
_SLICE = 16 << 10
_STACKED = 3  # codings on top of each other; one is usual, two have been seen
_ZSTD_WINDOW = 8 << 20
"""RFC 9659, 3: a zstd content coding must not need a larger window."""


class CorruptBody(ValueError):
    """The bytes are not what their coding says."""


class OversizedBody(ValueError):
    """More came out than allowed."""


class UnknownCoding(ValueError):
    """A content coding that we cannot take off."""


class _Coder(Protocol):
    def feed(self, data: bytes | memoryview) -> None:
        """Take more bytes and hand on what they decode to."""

    def finish(self) -> None:
        """See that the end was the end."""


class Inflater:
    """Takes the codings off an upstream's answer as it arrives.

    Args:
        encoding: the value of Content-Encoding, outermost coding last.
        limit: bytes that may come out in all.

    Raises:
        Garbled: here and in the methods: unknown coding, corrupt, cut, or over the limit.
    """

    def __init__(self, encoding: str, limit: int) -> None:
        self._out = io.BytesIO()
        try:
            self._first, self._coders = _chain(encoding, limit, self._out.write)
        except UnknownCoding as error:
            raise Garbled("the provider's answer is compressed in an unknown way") from error

    def feed(self, chunk: bytes) -> bytes:
        """Take one piece; return what it decodes to, perhaps nothing yet."""
        try:
            self._first(chunk)
        except (CorruptBody, OversizedBody) as error:
            raise Garbled("the provider's compressed answer cannot be read") from error
        return self._taken()

    def finish(self) -> None:
        """Call at the end of the answer: a coding that is still open was cut."""
        try:
            for coder in self._coders:
                coder.finish()
        except CorruptBody as error:
            raise Garbled("the provider's compressed answer was cut") from error

    def _taken(self) -> bytes:
        data = self._out.getvalue()
        self._out.seek(0)
        self._out.truncate()
        return data


def inflate(body: bytes | bytearray, encoding: str, limit: int) -> bytes:
    """Take all codings off a request's body.

    The result grows in place: at the bound it takes the bound and an eighth.

    Args:
        body: as it came.
        encoding: the value of Content-Encoding, several codings in the order applied.
        limit: bytes that may come out, of any coding.

    Raises:
        UnsupportedMedia: a coding we do not know.
        BadRequest: corrupt or cut.
        TooLarge: more than ``limit`` bytes come out.
    """
    out = io.BytesIO()
    try:
        first, coders = _chain(encoding, limit, out.write)
        view = memoryview(body)
        for start in range(0, len(view), _SLICE):
            first(view[start : start + _SLICE])
        for coder in coders:
            coder.finish()
    except UnknownCoding as error:
        raise UnsupportedMedia(
            "the content encoding is not one of gzip, deflate, br, zstd"
        ) from error
    except CorruptBody as error:
        raise BadRequest("the body does not decode as its content encoding says") from error
    except OversizedBody as error:
        raise TooLarge("the body is larger than allowed") from error
    return out.getvalue()


def codings(encoding: str) -> list[str]:
    """The codings named in a Content-Encoding, ``identity`` left out."""
    names = [name.strip().lower() for name in encoding.split(",")]
    return [name for name in names if name not in ("", "identity")]


def _chain(
    encoding: str, limit: int, out: Sink
) -> tuple[Callable[[bytes | memoryview], object], list[_Coder]]:
    """The function that takes compressed bytes, and the coders in the order bytes pass them."""
    names = codings(encoding)
    if len(names) > _STACKED or any(name not in _CODERS for name in names):
        raise UnknownCoding(encoding)
    coders: list[_Coder] = []
    sink: Callable[[bytes | memoryview], object] = _bounded(limit, out)
    for name in names:  # the first one applied is the last one taken off
        coder = _CODERS[name](sink)
        coders.insert(0, coder)
        sink = _bounded(limit, coder.feed) if len(coders) < len(names) else coder.feed
    return sink, coders


def _bounded(limit: int, sink: Callable[[bytes], object]) -> Callable[[bytes | memoryview], object]:
    left = limit

    def count(piece: bytes | memoryview) -> int:
        nonlocal left
        left -= len(piece)
        if left < 0:
            raise OversizedBody
        sink(piece if isinstance(piece, bytes) else bytes(piece))
        return len(piece)

    return count


class _Zlib:
    """Deflate in its wrappers. A gzip body may have several members, one after another."""

    def __init__(self, wbits: int, sink: Sink) -> None:
        self._sink = sink
        self._wbits = wbits
        self._stream = zlib.decompressobj(wbits)
        self._begun = False

    def feed(self, data: bytes | memoryview) -> None:
        for start in range(0, len(data), _SLICE):
            self._feed(data[start : start + _SLICE])

    def finish(self) -> None:
        if self._begun and not self._stream.eof:
            raise CorruptBody

    def _feed(self, data: bytes | memoryview) -> None:
        while len(data):
            if self._stream.eof:
                self._next_member()
            self._begun = True
            data = self._step(data)

    def _step(self, data: bytes | memoryview) -> bytes:
        try:
            piece = self._stream.decompress(data, PIECE)
            while piece:
                self._sink(piece)
                piece = self._stream.decompress(self._stream.unconsumed_tail, PIECE)
        except zlib.error as error:
            raise CorruptBody from error
        return self._stream.unused_data

    def _next_member(self) -> None:
        if self._wbits != _GZIP:
            raise CorruptBody
        self._stream = zlib.decompressobj(self._wbits)


class _Deflate(_Zlib):
    """``deflate``: zlib by the standard, bare deflate by some senders.

    Source: RFC 9110, 8.4.1.2, "Note: Some non-conformant implementations send the deflate
    compressed data without the zlib wrapper."
    """

    def __init__(self, sink: Sink) -> None:
        super().__init__(zlib.MAX_WBITS, sink)
        self._head = b""

    @override
    def feed(self, data: bytes | memoryview) -> None:
        if not self._begun:
            self._head += bytes(data)
            if len(self._head) < 2:
                return
            data = self._head
            if not _is_zlib(data):
                self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        super().feed(data)

    @override
    def finish(self) -> None:
        if self._head and not self._begun:
            raise CorruptBody
        super().finish()


def _is_zlib(head: bytes) -> bool:
    # RFC 1950, 2.2: method 8 in the low bits, and the two bytes are a multiple of 31.
    return head[0] & 0x0F == 8 and (head[0] << 8 | head[1]) % 31 == 0


class _Brotli:
    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._stream = brotli.Decompressor()
        self._begun = False

    def feed(self, data: bytes | memoryview) -> None:
        if not len(data):
            return
        self._begun = True
        try:
            piece = self._stream.process(data, output_buffer_limit=PIECE)
            while piece:
                self._sink(piece)
                if self._stream.is_finished():
                    return
                piece = self._stream.process(b"", output_buffer_limit=PIECE)
        except brotli.error as error:
            raise CorruptBody from error

    def finish(self) -> None:
        if self._begun and not self._stream.is_finished():
            raise CorruptBody


class _Zstd:
    def __init__(self, sink: Sink) -> None:
        self._out = _ZstdOut(sink)
        coder = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        # Of the library's interfaces this alone gives pieces of bounded size as bytes come in.
        self._stream = coder.stream_writer(self._out, write_size=PIECE, closefd=False)  # type: ignore[arg-type]  # a file in name only
        self._begun = False

    def feed(self, data: bytes | memoryview) -> None:
        if not len(data):
            return
        self._begun = True
        try:
            self._stream.write(data)
        except zstandard.ZstdError as error:
            raise CorruptBody from error

    def finish(self) -> None:
        """Write one more frame: only after a whole one its content comes out, and alone.

        The writer has no other way to tell whether a frame is still open.
        """
        if not self._begun:
            return
        came: list[bytes] = []
        self._out.sink = came.append
        self.feed(zstandard.compress(_MARK))
        if b"".join(came) != _MARK:
            raise CorruptBody


_MARK = b"the end"


class _ZstdOut:
    """The little of a file that the writer needs."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink

    def write(self, piece: bytes) -> int:
        self.sink(piece)
        return len(piece)


_GZIP = zlib.MAX_WBITS + 16

_CODERS: dict[str, Callable[[Sink], _Coder]] = {
    "gzip": lambda sink: _Zlib(_GZIP, sink),
    "x-gzip": lambda sink: _Zlib(_GZIP, sink),  # RFC 9110, 8.4.1.3: the same
    "deflate": _Deflate,
    "br": _Brotli,
    "zstd": _Zstd,
}
