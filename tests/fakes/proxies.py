"""Proxies on loopback: HTTP, HTTPS and SOCKS5, with or without a password."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import struct
import threading
from abc import ABC, abstractmethod
from typing import Self

from typing_extensions import override


class _FakeProxy(ABC):
    """Accepts connections and hands each to `serve` in a thread.

    Attributes:
        asked: what was asked for, in order: a request line, or ``name:port`` for SOCKS.
    """

    scheme: str

    def __init__(self, *, user: str = "", password: str = "", tls: ssl.SSLContext | None = None):
        self.asked: list[str] = []
        self._user = user
        self._password = password
        self._tls = tls
        self._socks: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port = self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        """The proxy's URL, with the user and password it wants."""
        login = f"{self._user}:{self._password}@" if self._user else ""
        return f"{self.scheme}://{login}127.0.0.1:{self._port}"

    @property
    def bare_url(self) -> str:
        """The same without user and password."""
        return f"{self.scheme}://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        for sock in [self._listener, *self._socks]:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._socks.append(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError):
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
                self._socks.append(sock)
            self.serve(sock)
        sock.close()

    @abstractmethod
    def serve(self, sock: socket.socket) -> None:
        """Speak the proxy's protocol on one connection."""

    def join(self, sock: socket.socket, host: str, port: int, first: bytes = b"") -> None:
        """Pump bytes both ways until one side ends."""
        far = socket.create_connection((host, port))
        self._socks.append(far)
        far.sendall(first)
        back = threading.Thread(target=_pump, args=(far, sock), daemon=True)
        back.start()
        _pump(sock, far)
        back.join()
        far.close()


class HttpProxy(_FakeProxy):
    """Opens tunnels and forwards plain requests.

    Args:
        refuses: answer every CONNECT with 403.
    """

    def __init__(
        self,
        *,
        user: str = "",
        password: str = "",
        tls: ssl.SSLContext | None = None,
        refuses: bool = False,
    ) -> None:
        super().__init__(user=user, password=password, tls=tls)
        self.scheme = "https" if tls else "http"
        self._refuses = refuses

    @override
    def serve(self, sock: socket.socket) -> None:
        head, rest = _read_head(sock)
        first, *lines = head.decode("latin-1").split("\r\n")
        self.asked.append(first)
        if not self._is_welcome(lines):
            sock.sendall(b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n")
            return
        method, target, _ = first.split(" ")
        if method == "CONNECT":
            if self._refuses:
                sock.sendall(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
                return
            host, _, port = target.rpartition(":")
            sock.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            self.join(sock, host, int(port))
            return
        _, _, where = target.partition("://")
        address, _, path = where.partition("/")
        host, _, port = address.partition(":")
        kept = [line for line in lines if not line.lower().startswith("proxy-")]
        kept.append("Connection: close")  # the next request would need its target changed, too
        sent = "\r\n".join([f"{method} /{path} HTTP/1.1", *kept, "", ""]).encode("latin-1")
        self.join(sock, host, int(port), sent + rest)

    def _is_welcome(self, lines: list[str]) -> bool:
        if not self._user:
            return True
        wanted = base64.b64encode(f"{self._user}:{self._password}".encode()).decode()
        return f"Proxy-Authorization: Basic {wanted}" in lines


class Socks5Proxy(_FakeProxy):
    """SOCKS 5, CONNECT alone. Source: RFC 1928 and RFC 1929."""

    scheme = "socks5h"

    @override
    def serve(self, sock: socket.socket) -> None:
        _, count = _take(sock, 2)
        methods = _take(sock, count)
        if self._user:
            if 2 not in methods:
                sock.sendall(b"\x05\xff")
                return
            sock.sendall(b"\x05\x02")
            if not self._is_welcome(sock):
                return
        else:
            sock.sendall(b"\x05\x00")
        _, _, _, kind = _take(sock, 4)
        host = _take(sock, _take(sock, 1)[0]).decode() if kind == 3 else _address(sock, kind)
        (port,) = struct.unpack("!H", _take(sock, 2))
        self.asked.append(f"{host}:{port}")
        try:
            socket.create_connection((host, port)).close()
        except OSError:
            sock.sendall(b"\x05\x05\x00\x01" + bytes(6))
            return
        sock.sendall(b"\x05\x00\x00\x01" + bytes(6))
        self.join(sock, host, port)

    def _is_welcome(self, sock: socket.socket) -> bool:
        user = _take(sock, _take(sock, 2)[1])
        password = _take(sock, _take(sock, 1)[0])
        right = (user, password) == (self._user.encode(), self._password.encode())
        sock.sendall(b"\x01\x00" if right else b"\x01\x01")
        return right


def _address(sock: socket.socket, kind: int) -> str:
    if kind == 1:
        return socket.inet_ntop(socket.AF_INET, _take(sock, 4))
    return socket.inet_ntop(socket.AF_INET6, _take(sock, 16))


def _take(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = sock.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _read_head(sock: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            raise EOFError
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for sock in (source, sink):
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
