"""A client's request as WSGI hands it over: header look-ups and the body, read with bounds."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_plus

from app.errors import BadRequest, RequestTimedOut, TooLarge, UnsupportedMedia
from app.wire.inflate import inflate

Environ = dict[str, Any]

_WORTH_READING = 64 * 1024
"""A body up to this size is read to its end when nobody wants it, to keep the connection."""

_STEP = 1024 * 1024
_LENGTH = re.compile(r"[0-9]{1,18}")  # what Python calls a digit is more than that
_UNREADABLE = ("multipart/", "text/html", "image/", "audio/", "video/")
_KEY_PARAMETERS = frozenset({"key", "auth_token"})


class Incoming:
    """One request before anything is known about it."""

    __slots__ = ("_has_read", "environ")

    def __init__(self, environ: Environ) -> None:
        self.environ = environ
        self._has_read = False

    def abandon_body(self) -> None:
        """Ask the server to close the connection rather than read a large body to its end."""
        if self._has_read:
            return
        try:
            is_small = (self._declared_length() or 0) <= _WORTH_READING
        except BadRequest:
            is_small = False
        if not is_small or self._is_chunked():
            with contextlib.suppress(AttributeError):  # another server's input takes no marks
                self.environ["wsgi.input"].must_close = True

    def _declared_length(self) -> int | None:
        declared = str(self.environ.get("CONTENT_LENGTH") or "")
        if not declared:
            return None
        if _LENGTH.fullmatch(declared) is None:
            raise BadRequest("Content-Length is not a number")
        return int(declared)

    def _is_chunked(self) -> bool:
        return "chunked" in str(self.environ.get("HTTP_TRANSFER_ENCODING", "")).lower()

    @property
    def method(self) -> str:
        return str(self.environ["REQUEST_METHOD"])

    @property
    def path(self) -> str:
        return str(self.environ["PATH_INFO"])

    @property
    def query(self) -> str:
        return str(self.environ.get("QUERY_STRING", ""))

    def header(self, name: str) -> str | None:
        """A header by its lower-case name."""
        value = self.environ.get("HTTP_" + name.upper().replace("-", "_"))
        return None if value is None else str(value)

    def headers(self) -> list[tuple[str, str]]:
        """All headers but those of the body, names in lower case."""
        found = [
            (name[5:].replace("_", "-").lower(), value)
            for name, value in self.environ.items()
            if name.startswith("HTTP_")
        ]
        if content_type := self.environ.get("CONTENT_TYPE"):
            found.append(("content-type", content_type))
        return found

    def query_without_keys(self) -> str:
        """The query string as it came, without the parameters that carry a client key."""
        query = self.query
        if not query:
            return ""
        # A name may be escaped: whoever reads it next would see a key in it.
        return "&".join(
            pair
            for pair in query.split("&")
            if unquote_plus(pair.partition("=")[0]) not in _KEY_PARAMETERS
        )

    def body(self, limit: int, timeout_s: float) -> bytes | bytearray:
        """The inflated body.

        Raises:
            TooLarge: more than ``limit`` bytes, before or after inflating.
            RequestTimedOut: the client stopped sending for ``timeout_s``.
            BadRequest: it broke off, or its encoding is corrupt.
            UnsupportedMedia: an encoding or a content type we cannot read.
        """
        content_type = str(self.environ.get("CONTENT_TYPE", "")).lower()
        # curl calls any body a form unless told otherwise; such a body is read as JSON.
        if content_type.startswith(_UNREADABLE):
            raise UnsupportedMedia(
                f"the content type {content_type.split(';')[0]!r} is not understood here; "
                "send application/json"
            )
        raw = self._read(limit, timeout_s)
        encoding = self.header("content-encoding")
        if encoding is None or encoding.strip().lower() in ("", "identity"):
            return raw
        return inflate(bytes(raw), encoding, limit)

    def _read(self, limit: int, timeout_s: float) -> bytes | bytearray:
        length = self._declared_length()
        if length is not None and length > limit:
            raise _too_large(limit)
        client = self.environ.get("gunicorn.socket")
        if client is not None and timeout_s:
            client.settimeout(timeout_s)
        try:
            raw = self._read_chunked(limit) if length is None else self._read_length(length)
        except TimeoutError as error:
            raise RequestTimedOut("the request's body did not arrive in time") from error
        self._has_read = True
        return raw

    def _read_length(self, length: int) -> bytes | bytearray:
        source = self.environ["wsgi.input"]
        if length <= _STEP:
            body = source.read(length)
            if len(body) < length:
                raise BadRequest("the request's body broke off")
            return bytes(body)
        # A preallocated buffer keeps a large body in memory once.
        buffer = bytearray(length)
        filled = 0
        while filled < length:
            piece = source.read(min(_STEP, length - filled))
            if not piece:
                raise BadRequest("the request's body broke off")
            buffer[filled : filled + len(piece)] = piece
            filled += len(piece)
        return buffer

    def _read_chunked(self, limit: int) -> bytes | bytearray:
        buffer = bytearray()
        for piece in self._pieces():
            buffer += piece
            if len(buffer) > limit:
                raise _too_large(limit)
        return bytes(buffer) if len(buffer) <= _STEP else buffer

    def _pieces(self) -> Iterator[bytes]:
        # Without a length only a chunked body can be told from none at all.
        if not self._is_chunked():
            return
        source = self.environ["wsgi.input"]
        while piece := source.read(65536):
            yield piece


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the request's body is larger than {limit // (1024 * 1024)} MiB")
