"""A client that says exactly the bytes it is told and shows exactly the bytes it gets."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias

Headers: TypeAlias = Sequence[tuple[str, str]]

_PATIENCE_S = 30.0


def request_bytes(
    method: str,
    target: str,
    body: bytes | None = None,
    headers: Headers = (),
    *,
    chunk_size: int = 0,
) -> bytes:
    """One request, with Content-Length or, with a chunk size, chunked."""
    lines = [f"{method} {target} HTTP/1.1"]
    if not any(name.lower() == "host" for name, _ in headers):
        lines.append("Host: gateway.test")
    lines += [f"{name}: {value}" for name, value in headers]
    if body is not None and not any(name.lower() == "content-type" for name, _ in headers):
        lines.append("Content-Type: application/json")
    if body is not None and chunk_size:
        lines.append("Transfer-Encoding: chunked")
        payload = b"".join(chunk(piece) for piece in _pieces(body, chunk_size)) + b"0\r\n\r\n"
    else:
        payload = body or b""
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("utf-8") + payload


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def _pieces(body: bytes, size: int) -> Iterable[bytes]:
    return (body[start : start + size] for start in range(0, len(body), size))


@dataclass(slots=True)
class Answer:
    """What came back.

    Attributes:
        content: the payload so far, without chunk framing.
        whole: whether the framing says that nothing is missing.
    """

    status: int
    headers: list[tuple[str, str]]
    content: bytearray = field(default_factory=bytearray, repr=False)
    whole: bool = False

    @property
    def body(self) -> bytes:
        """The payload."""
        return bytes(self.content)

    def header(self, name: str) -> str | None:
        """The first value of a header, its name in any spelling."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def request_id(self) -> str:
        """The gateway's id of the exchange."""
        value = self.header("x-aiproxy-request-id")
        assert value is not None, self.headers
        return value

    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


class Gone(Exception):
    """The other side closed or broke the connection."""


class Connection:
    """One connection to the gateway; use it as a context manager.

    Args:
        port: where it listens.
        receive_buffer: size of the kernel's buffer, small for a client that reads slowly.
        tls: speak HTTPS with this context.
    """

    def __init__(
        self, port: int, *, receive_buffer: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self.sock = socket.socket()
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(_PATIENCE_S)
        try:
            self.sock.connect(("127.0.0.1", port))
            if tls is not None:
                self.sock = tls.wrap_socket(self.sock, server_hostname="127.0.0.1")
        except OSError:
            self.sock.close()
            raise
        self._buffer = bytearray()
        self._answer: Answer | None = None
        self._left: int | None = None
        self._chunked = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        """Write bytes as they are."""
        self.sock.sendall(data)

    def close(self) -> float:
        """Hang up in order; returns the moment on ``time.monotonic``."""
        moment = time.monotonic()
        self.sock.close()
        return moment

    def reset(self) -> float:
        """Hang up rudely; returns the moment on ``time.monotonic``."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return self.close()

    # Reading an answer

    def head(self, method: str = "POST") -> Answer:
        """Read status and headers.

        Raises:
            Gone: the connection ended first.
        """
        answer = self._head()
        while 100 <= answer.status < 200 and answer.status != 101:
            answer = self._head()
        self._answer = answer
        self._chunked = "chunked" in (answer.header("transfer-encoding") or "").lower()
        length = answer.header("content-length")
        if method == "HEAD" or answer.status in (101, 204, 304):
            self._left = 0
        elif not self._chunked and length is not None:
            self._left = int(length)
        else:
            self._left = None
        return answer

    def until(self, token: bytes) -> bytes:
        """Read until the body holds these bytes; returns the body so far.

        Raises:
            Gone: it ended without them.
        """
        answer = self._current()
        while token not in answer.content:
            if not self._more():
                raise Gone(answer.body)
        return answer.body

    def rest(self) -> Answer:
        """Read to the end, whole or not."""
        while self._more():
            pass
        return self._current()

    def answer(self, method: str = "POST") -> Answer:
        """Read an answer from its first byte to its end."""
        self.head(method)
        return self.rest()

    def _current(self) -> Answer:
        assert self._answer is not None, "read the head first"
        return self._answer

    def _head(self) -> Answer:
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if not self._fill():
                raise Gone(bytes(self._buffer))
        first, *lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        headers = [
            (name, value.strip(" \t")) for name, _, value in (x.partition(":") for x in lines)
        ]
        return Answer(int(first.split(" ")[1]), headers)

    def _more(self) -> bool:
        """Take some of the body; False at its end."""
        answer = self._current()
        if answer.whole:
            return False
        if self._chunked:
            return self._more_chunked(answer)
        if self._left == 0:
            answer.whole = True
            return False
        if not self._buffer and not self._fill():
            answer.whole = self._left is None and answer.header("connection") == "close"
            return False
        taken = bytes(self._buffer[: self._left])
        del self._buffer[: len(taken)]
        answer.content += taken
        if self._left is not None:
            self._left -= len(taken)
            answer.whole = self._left == 0
        return True

    def _more_chunked(self, answer: Answer) -> bool:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if not self._fill():
                return False
        size = int(bytes(self._buffer[:end]).partition(b";")[0], 16)
        needed = end + 2 + size + 2
        while len(self._buffer) < needed:
            if not self._fill():
                return False
        answer.content += self._buffer[end + 2 : end + 2 + size]
        del self._buffer[:needed]
        answer.whole = size == 0
        return size > 0

    def _fill(self) -> bool:
        try:
            data = self.sock.recv(262_144)
        except ConnectionError:
            return False
        self._buffer += data
        return bool(data)


def ask(
    port: int,
    method: str,
    target: str,
    body: bytes | None = None,
    headers: Headers = (),
    *,
    chunk_size: int = 0,
) -> Answer:
    """One request on a connection of its own."""
    with Connection(port) as connection:
        with contextlib.suppress(ConnectionError):  # it may answer before it has read everything
            connection.send(request_bytes(method, target, body, headers, chunk_size=chunk_size))
        return connection.answer(method)
