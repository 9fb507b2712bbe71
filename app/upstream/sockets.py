"""Connections to providers: opened within a time, direct or through a proxy, kept for reuse."""

from __future__ import annotations

import _socket
import contextlib
import socket
import ssl
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, cast

import certifi

from app import clock
from app.errors import Overloaded, TimedOut
from app.upstream.waits import Waits, watch

_IDLE_S = 60.0
"""An idle connection older than this is not used: many providers close theirs at 60 s or later."""

_SWEEP_S = 10.0


class Stream(Protocol):
    """What a plain socket, a TLS socket and TLS within TLS have in common."""

    def send(self, data: bytes | memoryview, /) -> int: ...
    def recv(self, size: int, /) -> bytes: ...
    def settimeout(self, value: float | None, /) -> None: ...
    def fileno(self) -> int: ...
    def close(self) -> None: ...


class Site(NamedTuple):
    """Where a connection leads; connections to the same site are exchangeable."""

    host: str
    port: int
    tls: bool


@dataclass(slots=True, eq=False)
class Connection:
    """One open connection; ``reused`` says whether it has carried an answer before."""

    site: Site
    stream: Stream
    waits: Waits | None = None
    reused: bool = False
    idle_since: float = 0.0
    _watcher: Any = None
    _bare: Any = None

    def send(self, data: bytes | memoryview, timeout_s: float | None) -> None:
        """Send all of it; the time limit is for each bit of progress.

        Raises:
            OSError: the connection broke; TimeoutError when the other side stopped reading.
        """
        self.stream.settimeout(timeout_s)
        sent = self.stream.send(data)
        if sent < len(data):
            rest = memoryview(data)[sent:]
            while rest:
                rest = rest[self.stream.send(rest[:_PIECE]) :]

    def recv_until(self, until: float | None) -> bytes:
        """Whatever comes next, at most 64 KiB, read once it is there.

        Args:
            until: on the monotonic clock; None = no limit. Even a time that has passed allows
                one look.

        Raises:
            TimeoutError: nothing came in time.
            OSError: the connection broke.
        """
        if self._bare is None and self.waits is not None:
            self._watcher = watch(self.stream)
            self._bare = cast(Any, self.stream)._sock if self._watcher is not None else False
        if not self._bare or self.waits is None:
            left = None if until is None else max(until - clock.monotonic(), 0.0005)
            self.stream.settimeout(left)
            return self.stream.recv(65536) or b""
        return self.waits.recv(self._bare, self._watcher, until)

    def is_stale(self) -> bool:
        """Whether something has come in while the connection was idle; an end, most likely.

        The bare system call is asked: under TLS, and under gevent, a socket's own `recv` cannot
        just look.
        """
        bare = _socket.socket(
            socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=self.stream.fileno()
        )
        try:
            bare.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True
        else:
            return True
        finally:
            bare.detach()

    def close(self) -> None:
        """Let go of it at once."""
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
            self._watcher = None
            self._bare = False
        with contextlib.suppress(OSError):
            self.stream.close()


_PIECE = 256 << 10


class Pool:
    """Idle connections by site; the last one used is the first one taken."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._idle: dict[Site, list[Connection]] = {}
        self._swept_at = clock.monotonic()

    def take(self, site: Site) -> Connection | None:
        """An open connection to a site, None when there is none."""
        idle = self._idle.get(site)
        while idle:
            connection = idle.pop()
            if clock.monotonic() - connection.idle_since < _IDLE_S and not connection.is_stale():
                return connection
            connection.close()
        return None

    def put(self, connection: Connection) -> None:
        """Keep a connection whose answer has been read to its end."""
        connection.reused = True
        connection.idle_since = now = clock.monotonic()
        idle = self._idle.setdefault(connection.site, [])
        if len(idle) < self._size:
            idle.append(connection)
        else:
            connection.close()
        if now - self._swept_at > _SWEEP_S:
            self._sweep(now)

    def close(self) -> None:
        """Close all of them."""
        idle, self._idle = self._idle, {}
        for connections in idle.values():
            for connection in connections:
                connection.close()

    def _sweep(self, now: float) -> None:
        """Close what has been idle too long; a burst leaves many that nobody takes again."""
        self._swept_at = now
        for site, idle in list(self._idle.items()):
            old = [connection for connection in idle if now - connection.idle_since >= _IDLE_S]
            self._idle[site] = idle[len(old) :]  # the oldest are at the beginning
            if not self._idle[site]:
                del self._idle[site]
            for connection in old:
                connection.close()


class Dialer:
    """Opens direct connections. Made once a worker: certificates take 15 ms to load.

    Args:
        ca_file: certificate authorities to trust, PEM; empty = those of certifi.
    """

    authorization = ""
    """What a forwarded request must carry as Proxy-Authorization."""

    def __init__(self, ca_file: str = "") -> None:
        self._ca_file = ca_file or certifi.where()
        self._context: ssl.SSLContext | None = None
        self._waits = Waits()

    def forwards(self, site: Site) -> bool:
        """Whether a proxy is to read our requests to this site and needs whole URLs."""
        return False

    def dial(self, site: Site, deadline: float | None) -> Connection:
        """Open a connection.

        Args:
            site: where to.
            deadline: on the monotonic clock; for the name, the connection and TLS together.

        Raises:
            Overloaded: it cannot be reached.
            TimedOut: not in time.
        """
        sock = self.connect(site.host, site.port, deadline)
        if site.tls:
            return Connection(site, self.secure(sock, site.host, deadline))
        return Connection(site, sock, self._waits)

    def connect(self, host: str, port: int, deadline: float | None) -> socket.socket:
        """Open a plain connection, trying the name's addresses in turn."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise Overloaded("the provider's name could not be resolved") from error
        failure: OSError = OSError("no address")
        for tried, (family, kind, proto, _, address) in enumerate(found):
            sock = socket.socket(family, kind, proto)
            try:
                # One silent address must not use up the time of the others.
                sock.settimeout(left_s(deadline, shares=len(found) - tried))
                sock.connect(address)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                sock.close()
                failure = error
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        if isinstance(failure, TimeoutError):
            raise TimedOut("the provider did not accept a connection in time") from failure
        raise Overloaded("the provider could not be reached") from failure

    def secure(self, sock: socket.socket, host: str, deadline: float | None) -> ssl.SSLSocket:
        """Put TLS on a connection; the certificate must be valid for the host."""
        secured: socket.socket = sock
        try:
            sock.settimeout(left_s(deadline))
            # The handshake is a step of its own, so that there is something to close when a
            # greenlet is killed in the middle of it.
            secured = tls = self.context().wrap_socket(
                sock, server_hostname=host, do_handshake_on_connect=False
            )
            tls.do_handshake()
        except TimeoutError as error:
            secured.close()
            raise TimedOut("the provider did not accept a connection in time") from error
        except (OSError, ValueError) as error:
            secured.close()
            raise Overloaded("no secure connection to the provider could be made") from error
        except BaseException:
            secured.close()
            raise
        return tls

    def context(self) -> ssl.SSLContext:
        """How TLS is done; the same for all connections."""
        if self._context is None:
            self._context = ssl.create_default_context(cafile=self._ca_file)
            self._context.set_alpn_protocols(["http/1.1"])
        return self._context


def left_s(deadline: float | None, shares: int = 1) -> float | None:
    """Seconds until a deadline, or a share of them; None without one.

    Raises:
        TimeoutError: it has passed.
    """
    if deadline is None:
        return None
    left = deadline - clock.monotonic()
    if left <= 0:
        raise TimeoutError("the deadline has passed")
    return left / shares
