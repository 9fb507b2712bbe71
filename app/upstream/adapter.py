"""Our transport adapter for requests: pooled sockets, one send, bytes by arrival.

`BaseAdapter` is the place requests gives for this. The usual adapter with urllib3 and
http.client below it costs four times the CPU for a small call, and holds an answer back that
has no length and no chunks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from typing_extensions import override

from app import clock
from app.errors import CredentialRefused, Garbled, Overloaded, TimedOut
from app.upstream.answer import Body
from app.upstream.sockets import Connection, Dialer, Pool, Site
from app.wire.http1 import Head, head_end, read_head

_TOGETHER = 64 << 10
"""Head and body up to this size go out in one send; larger bodies are not copied."""

_URLS = 4096
_INTERIM = 16
_MADE_HERE = frozenset({"host", "content-length", "transfer-encoding", "connection", "expect"})
_NOT_IN_TARGET = re.compile(r"[^\x21-\x7e]")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds each phase of a call may take; 0 = no limit."""

    connect_s: float = 10.0
    first_byte_s: float = 600.0
    idle_s: float = 300.0
    total_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Call:
    """One request to a provider.

    Attributes:
        headers: complete, but for those that frame the body.
        body: pieces whose concatenation is the body.
        proxy_url: empty = the environment's if it is trusted; ``direct`` = none.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: tuple[bytes | bytearray | memoryview, ...] = ()
    proxy_url: str = ""
    timeouts: Timeouts = Timeouts()


class CallRequest(requests.PreparedRequest):
    """A prepared request made straight from a call; nothing is left to prepare."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        self.call = call
        self.method = call.method
        self.url = call.url

    @property
    def pieces(self) -> tuple[bytes | bytearray | memoryview, ...]:
        """The body, not joined."""
        return self.call.body


class CallResponse(requests.Response):
    """An answer whose ``raw`` is read by arrival.

    The parent's constructor is not called: it makes a cookie jar and dictionaries that nobody
    reads, and takes a sixth of the time of a whole small call.
    """

    def __init__(self, request: requests.PreparedRequest, body: Body) -> None:
        self.status_code = body.head.status
        self.reason = body.head.reason
        self.raw = body
        self.request = request
        self.url = request.url or ""
        self.history = []
        self._content = b""  # what reads the body is `raw.read`
        self._content_consumed = True

    def __getattr__(self, name: str) -> object:
        if name == "headers" and isinstance(self.raw, Body):
            self.headers = CaseInsensitiveDict(self.raw.head.fields)
            return self.headers
        raise AttributeError(name)


class _Target(NamedTuple):
    """What a URL means on the wire."""

    site: Site
    host: str
    line: str
    """The request target: path and query, or the whole URL for a forwarding proxy."""


class _NothingCame(Exception):
    """A reused connection ended before any byte of the answer."""


class PooledAdapter(BaseAdapter):
    """Sends calls on connections of its own.

    Never retries, but for one thing that is not the provider's answer: when a connection that
    was idle turns out to have been closed meanwhile, the call goes out once more on a new one.
    """

    def __init__(self, dialer: Dialer, pool_size: int) -> None:
        super().__init__()
        self._dialer = dialer
        self._pool = Pool(pool_size)
        self._targets: dict[str, _Target] = {}

    @override
    def send(  # type: ignore[override]  # it takes only the requests that Transport makes
        self, request: CallRequest, **_: object
    ) -> CallResponse:
        """Send a call and wait for the head of its answer.

        Raises:
            Overloaded: the provider cannot be reached or closes the connection.
            TimedOut: a limit of time has passed.
            Garbled: what it answers is not HTTP.
        """
        call = request.call
        times = call.timeouts
        deadline = clock.monotonic() + times.total_s if times.total_s else None
        target = self._targets.get(call.url) or self._read_url(call.url)
        head = self._head(call, target)
        connection = self._pool.take(target.site)
        if connection is not None:
            try:
                return CallResponse(request, self._exchange(connection, call, head, deadline))
            except _NothingCame:
                pass
        until = _sooner(deadline, times.connect_s)
        connection = self._dialer.dial(target.site, until)
        return CallResponse(request, self._exchange(connection, call, head, deadline))

    @override
    def close(self) -> None:
        self._pool.close()

    def _exchange(
        self, connection: Connection, call: Call, head: bytes, deadline: float | None
    ) -> Body:
        try:
            whole = self._send(connection, call, head, deadline)
            until = _sooner(deadline, call.timeouts.first_byte_s)
            answer, rest = self._await_head(connection, call.method, until, deadline)
            if not whole:
                answer = _last(answer)
            return Body(connection, self._pool, answer, rest, call.timeouts.idle_s, deadline)
        except BaseException:  # a killed greenlet too: the answer may still come
            connection.close()
            raise

    def _send(
        self, connection: Connection, call: Call, head: bytes, deadline: float | None
    ) -> bool:
        """Send the request; False when the provider closed before it had all of it.

        It may have answered before it did so ("too large"), so that is not a failure yet.
        """
        try:
            for data in _bundles(head, call.body):
                connection.send(data, _idle_left(call.timeouts.idle_s, deadline))
        except TimeoutError as error:
            _check_total(deadline, error)
            raise TimedOut("the provider stopped reading the request") from error
        except OSError:
            return False
        return True

    def _await_head(
        self, connection: Connection, method: str, until: float | None, deadline: float | None
    ) -> tuple[Head, bytes]:
        """The head of the final answer, and what came after it."""
        data = b""
        for _ in range(_INTERIM):
            seen = 0
            while not (end := head_end(data, seen)):
                seen = len(data)
                data += self._more(connection, until, deadline, began=bool(data))
            head = read_head(data[:end], method)
            data = data[end:]
            if head.status >= 200:
                return head, data
            if head.status == 101:
                break
        raise Garbled("the provider did not answer the request")

    def _more(
        self, connection: Connection, until: float | None, deadline: float | None, *, began: bool
    ) -> bytes:
        try:
            data = connection.recv_until(until)
        except TimeoutError as error:
            _check_total(deadline, error)
            raise TimedOut("the provider did not begin to answer in time") from error
        except OSError as error:
            raise self._broken(connection, began=began) from error
        if not data:
            raise self._broken(connection, began=began)
        return data

    def _broken(self, connection: Connection, *, began: bool) -> Exception:
        if began:
            return Garbled("the provider's answer broke off")
        if connection.reused:
            return _NothingCame()
        return Overloaded("the provider closed the connection without an answer")

    def _head(self, call: Call, target: _Target) -> bytes:
        lines = [f"{call.method} {target.line} HTTP/1.1", f"Host: {target.host}"]
        encodes = False
        for name, value in call.headers.items():
            low = name.lower()
            if low in _MADE_HERE:
                continue
            encodes = encodes or low == "accept-encoding"
            lines.append(f"{name}: {value}")
        if not encodes:
            lines.append("Accept-Encoding: identity")
        if call.body or call.method in ("POST", "PUT", "PATCH"):
            lines.append(f"Content-Length: {sum(map(len, call.body))}")
        if self._dialer.forwards(target.site) and self._dialer.authorization:
            lines.append(f"Proxy-Authorization: {self._dialer.authorization}")
        lines += ("", "")
        text = "\r\n".join(lines)
        if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1 or "\0" in text:
            raise CredentialRefused("a header of this credential cannot be sent")
        try:
            return text.encode("latin-1")
        except UnicodeEncodeError:
            return text.encode()

    def _read_url(self, url: str) -> _Target:
        target = _read_target(url, self._dialer.forwards)
        if len(self._targets) >= _URLS:
            self._targets.clear()
        self._targets[url] = target
        return target


def _read_target(url: str, forwards: Callable[[Site], bool]) -> _Target:
    try:
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(parts.scheme)
        site = Site(parts.hostname, parts.port or (443 if tls else 80), tls)
    except ValueError as error:
        raise Overloaded("the provider's address cannot be read") from error
    host = parts.netloc.rpartition("@")[2]
    line = parts.path or "/"
    if parts.query:
        line += f"?{parts.query}"
    if _NOT_IN_TARGET.search(line):
        line = quote(line, safe="/?&=:%+,;@!$'()*~[]")
    if forwards(site):
        line = f"http://{host}{line}"
    return _Target(site, host, line)


def _bundles(
    head: bytes, body: tuple[bytes | bytearray | memoryview, ...]
) -> list[bytes | memoryview]:
    """What to send, in as few sends as go without copying a large body."""
    if len(head) + sum(map(len, body)) <= _TOGETHER:
        return [b"".join((head, *body))]
    return [head, *(memoryview(piece) for piece in body)]


def _last(head: Head) -> Head:
    """The same head, with no other answer to follow on the connection."""
    return Head(head.status, head.reason, head.fields, head.length, False, head.encoding)


def _sooner(deadline: float | None, seconds: float) -> float | None:
    """The moment in some seconds (0 = never), or the deadline if that is before it."""
    if not seconds:
        return deadline
    moment = clock.monotonic() + seconds
    return moment if deadline is None else min(moment, deadline)


def _idle_left(idle_s: float, deadline: float | None) -> float | None:
    left = None if deadline is None else max(deadline - clock.monotonic(), 0.0005)
    if not idle_s:
        return left
    return idle_s if left is None else min(idle_s, left)


def _check_total(deadline: float | None, error: BaseException) -> None:
    if deadline is not None and deadline <= clock.monotonic():
        raise TimedOut("the provider's answer took too long") from error
