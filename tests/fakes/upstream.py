"""A provider of our own on loopback: scripted replies in, recorded requests out.

It is plain threads and sockets, so it behaves the same whether or not gevent has patched the
process, and it keeps watching a connection while it is silent, so the moment at which the peer
closed is known exactly.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias

from tests.fakes.script import (
    EVENT_STREAM,
    JSON,
    Close,
    Hang,
    Pause,
    Reply,
    Reset,
    Step,
    WaitFor,
)

__all__ = [
    "EVENT_STREAM",
    "JSON",
    "Close",
    "Hang",
    "Pause",
    "Recorded",
    "Reply",
    "Reset",
    "ScriptedUpstream",
    "WaitFor",
]

_SLICE_MS = 5
"""How often a silent connection looks whether its event is set; an end of file wakes it at once."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One request as it came: headers in their order and spelling, the body's raw bytes.

    Attributes:
        connection: number of the connection it came on, from 0.
        at: ``time.monotonic()`` when it had been read whole.
    """

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    connection: int
    at: float

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """What follows the question mark."""
        return self.target.partition("?")[2]

    def header(self, name: str) -> str | None:
        """The first value of a header, its name in any spelling."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)

    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


Answer: TypeAlias = Reply | Callable[[Recorded], Reply]
Match: TypeAlias = str | Callable[[Recorded], bool]


@dataclass(slots=True)
class _Rule:
    match: Match
    answers: list[Answer]

    def fits(self, request: Recorded) -> bool:
        if callable(self.match):
            return self.match(request)
        return self.match in ("*", request.path, request.target)

    def take(self) -> Answer:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class PeerGone(Exception):
    """The other side closed."""


@dataclass(slots=True)
class _Link:
    """One accepted connection."""

    number: int
    sock: socket.socket
    buffer: bytearray = field(default_factory=bytearray)
    accepted_at: float = 0.0
    closed_at: float | None = None


class ScriptedUpstream:
    """A real HTTP/1.1 server on 127.0.0.1 that does what a test tells it.

    Use it as a context manager. A path without a script is answered with 404.

    Args:
        tls: serve HTTPS with this context.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Recorded] = []
        self._tls = tls
        self._rules: list[_Rule] = []
        self._deaf: set[str] = set()
        self._lock = threading.Lock()
        self._links: list[_Link] = []
        self._released = threading.Event()
        self._stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # What a test says

    def reply(self, match: Match, *answers: Answer) -> None:
        """Script the answers for a path (``*`` = any), a full target or a predicate.

        They are given in turn, the last one for ever. The newest script that fits wins.
        """
        with self._lock:
            self._rules.insert(0, _Rule(match, list(answers)))

    def stop_reading(self, path: str) -> None:
        """Read the head of requests for a path and never their body, until ``release()``."""
        self._deaf.add(path)

    def release(self) -> None:
        """Let every ``Hang`` go on, now and later."""
        self._released.set()

    def close(self) -> None:
        """Break all connections and stop."""
        self._stopping.set()
        self._released.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for link in list(self._links):
            with contextlib.suppress(OSError):
                link.sock.shutdown(socket.SHUT_RDWR)

    # What a test asks

    @property
    def connections(self) -> int:
        """How many connections were ever accepted."""
        return len(self._links)

    @property
    def open_connections(self) -> int:
        """How many of them are open."""
        return sum(link.closed_at is None for link in list(self._links))

    def closed_at(self, connection: int) -> float | None:
        """``time.monotonic()`` when a connection ended, by either side; None while it is open."""
        return self._links[connection].closed_at

    def drop_idle(self) -> None:
        """Close every open connection from our side, as a provider's keep-alive limit does."""
        for link in list(self._links):
            if link.closed_at is None:
                with contextlib.suppress(OSError):
                    link.sock.shutdown(socket.SHUT_RDWR)

    # Serving

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = _Link(len(self._links), sock, accepted_at=time.monotonic())
            self._links.append(link)
            threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, link: _Link) -> None:
        try:
            if self._tls is not None:
                link.sock = self._tls.wrap_socket(link.sock, server_side=True)
            while self._exchange(link):
                pass
        except (PeerGone, OSError):
            pass  # the peer left, or a script broke the connection: the test looks at closed_at
        finally:
            if link.closed_at is None:
                link.closed_at = time.monotonic()
            link.sock.close()

    def _exchange(self, link: _Link) -> bool:
        """Serve one request; say whether another may follow."""
        method, target, headers = self._read_head(link)
        path = target.partition("?")[0]
        fields = {name.lower(): value for name, value in headers}
        if path in self._deaf:
            self._record(Recorded(method, target, headers, b"", link.number, time.monotonic()))
            self._released.wait()
            return False
        if fields.get("expect", "").lower() == "100-continue":
            link.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = self._read_body(link, fields)
        request = Recorded(method, target, headers, body, link.number, time.monotonic())
        self._record(request)
        reply = self._choose(request)
        if not self._play(link, reply.steps(method)):
            return False
        return not reply.closes and fields.get("connection", "").lower() != "close"

    def _record(self, request: Recorded) -> None:
        with self._lock:
            self.requests.append(request)

    def _choose(self, request: Recorded) -> Reply:
        with self._lock:
            rule = next((rule for rule in self._rules if rule.fits(request)), None)
            answer = rule.take() if rule else Reply(404, b'{"error":"no script for this path"}')
        return answer(request) if callable(answer) else answer

    def _read_head(self, link: _Link) -> tuple[str, str, list[tuple[str, str]]]:
        while (end := link.buffer.find(b"\r\n\r\n")) < 0:
            self._fill(link)
        head = bytes(link.buffer[:end]).decode("latin-1")
        del link.buffer[: end + 4]
        first, *lines = head.split("\r\n")
        method, target, _ = first.split(" ")
        headers = [
            (name, value.strip(" \t")) for name, _, value in (x.partition(":") for x in lines)
        ]
        return method, target, headers

    def _read_body(self, link: _Link, fields: dict[str, str]) -> bytes:
        if "chunked" in fields.get("transfer-encoding", "").lower():
            return self._read_chunks(link)
        return self._take(link, int(fields.get("content-length", "0")))

    def _read_chunks(self, link: _Link) -> bytes:
        body = bytearray()
        while True:
            while (end := link.buffer.find(b"\r\n")) < 0:
                self._fill(link)
            size = int(bytes(link.buffer[:end]).partition(b";")[0], 16)
            del link.buffer[: end + 2]
            body += self._take(link, size)
            self._take(link, 2)
            if size == 0:
                return bytes(body)

    def _take(self, link: _Link, count: int) -> bytes:
        while len(link.buffer) < count:
            self._fill(link)
        taken = bytes(link.buffer[:count])
        del link.buffer[:count]
        return taken

    def _fill(self, link: _Link) -> None:
        data = link.sock.recv(1 << 18)
        if not data:
            raise PeerGone
        link.buffer += data

    # Playing a script

    def _play(self, link: _Link, steps: Sequence[Step] | Any) -> bool:
        """Do the steps; False when one of them ended the connection."""
        for step in steps:
            match step:
                case bytes():
                    link.sock.sendall(step)
                case Pause(seconds):
                    self._silence(link, seconds, None)
                case WaitFor(event):
                    self._silence(link, None, event)
                case Hang():
                    self._silence(link, None, self._released)
                case Reset():
                    linger = struct.pack("ii", 1, 0)
                    link.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    return False
                case Close():
                    return False
        return True

    def _silence(self, link: _Link, seconds: float | None, until: threading.Event | None) -> None:
        """Say nothing for a time or until an event, with an eye on the peer.

        Raises:
            PeerGone: it closed meanwhile; the moment is kept.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        while not self._stopping.is_set():
            if until is not None and until.is_set():
                return
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return
            slice_ms = _SLICE_MS if until is not None else 50
            self._look(link, slice_ms if left is None else min(slice_ms, left * 1000))

    def _look(self, link: _Link, wait_ms: float) -> None:
        poller = select.poll()
        poller.register(link.sock, select.POLLIN)
        if not poller.poll(wait_ms):
            return
        try:
            data = link.sock.recv(1 << 16)  # a TLS socket cannot peek
        except OSError:
            data = b""
        if not data:
            link.closed_at = time.monotonic()
            raise PeerGone
        link.buffer += data
