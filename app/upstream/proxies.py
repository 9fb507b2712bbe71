"""Connections to providers through a proxy.

HTTP and HTTPS proxies open a tunnel (RFC 9110, 9.3.6) towards an https provider and forward
requests to an http one. SOCKS is PySocks' work. What comes out is a connection like any other,
so time limits, reading by arrival and reuse are the same with and without a proxy.
"""

from __future__ import annotations

import base64
import socket
from typing import NamedTuple, cast
from urllib.parse import unquote, urlsplit

import socks  # type: ignore[import-untyped]  # it ships no types
from typing_extensions import override
from urllib3.util.ssltransport import SSLTransport

from app.errors import Garbled, Overloaded, TimedOut
from app.upstream.sockets import Connection, Dialer, Site, Stream, left_s
from app.wire.http1 import head_end, read_head

_SOCKS = {"socks4": False, "socks4a": True, "socks5": False, "socks5h": True}
"""Schemes, and whether the proxy resolves the provider's name."""

_PORTS = {"http": 80, "https": 443}


class Proxy(NamedTuple):
    """A proxy's URL, taken apart."""

    scheme: str
    host: str
    port: int
    user: str | None
    password: str | None

    @property
    def authorization(self) -> str:
        """The value of Proxy-Authorization, empty without a user."""
        if self.user is None:
            return ""
        pair = f"{self.user}:{self.password or ''}".encode()
        return "Basic " + base64.b64encode(pair).decode()


def read_proxy(url: str) -> Proxy:
    """Take a proxy's URL apart.

    Raises:
        Overloaded: it is none, or of a kind we do not know.
    """
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port or _PORTS.get(parts.scheme, 1080)
        host = parts.hostname
    except ValueError as error:
        raise Overloaded("the proxy's address cannot be read") from error
    if not host or (parts.scheme not in _SOCKS and parts.scheme not in _PORTS):
        raise Overloaded("the proxy's address cannot be read")
    user = None if parts.username is None else unquote(parts.username)
    password = None if parts.password is None else unquote(parts.password)
    return Proxy(parts.scheme, host, port, user, password)


class ProxyDialer(Dialer):
    """Opens connections through one proxy."""

    def __init__(self, proxy: Proxy, ca_file: str = "") -> None:
        super().__init__(ca_file)
        self._proxy = proxy
        self.authorization = proxy.authorization

    @override
    def forwards(self, site: Site) -> bool:
        return not site.tls and self._proxy.scheme in _PORTS

    @override
    def dial(self, site: Site, deadline: float | None) -> Connection:
        try:
            return self._dial(site, deadline)
        except TimeoutError as error:
            raise TimedOut("the proxy did not connect in time") from error
        except (OSError, Garbled) as error:
            raise Overloaded("the proxy did not connect") from error

    def _dial(self, site: Site, deadline: float | None) -> Connection:
        if self._proxy.scheme in _SOCKS:
            sock = self._through_socks(site, deadline)
            return Connection(site, self.secure(sock, site.host, deadline) if site.tls else sock)
        sock = self.connect(self._proxy.host, self._proxy.port, deadline)
        stream: socket.socket = sock
        try:
            if self._proxy.scheme == "https":
                stream = self.secure(sock, self._proxy.host, deadline)
            if not site.tls:
                return Connection(site, stream)
            self._open_tunnel(stream, site, deadline)
            return Connection(site, self._inside(stream, site, deadline))
        except BaseException:
            stream.close()
            raise

    def _inside(self, stream: socket.socket, site: Site, deadline: float | None) -> Stream:
        if self._proxy.scheme == "http":
            return self.secure(stream, site.host, deadline)
        stream.settimeout(left_s(deadline))
        # The standard library cannot put TLS on a TLS socket; urllib3 can.
        return cast(Stream, SSLTransport(stream, self.context(), server_hostname=site.host))

    def _open_tunnel(self, stream: socket.socket, site: Site, deadline: float | None) -> None:
        host = f"[{site.host}]" if ":" in site.host else site.host
        lines = [f"CONNECT {host}:{site.port} HTTP/1.1", f"Host: {host}:{site.port}"]
        if self.authorization:
            lines.append(f"Proxy-Authorization: {self.authorization}")
        stream.settimeout(left_s(deadline))
        stream.sendall("\r\n".join([*lines, "", ""]).encode())
        status = self._tunnel_status(stream, deadline)
        if status == 407:
            raise Overloaded("the proxy refused the credentials configured for it")
        if not 200 <= status < 300:
            raise Overloaded("the proxy did not connect")

    def _tunnel_status(self, stream: socket.socket, deadline: float | None) -> int:
        data = b""
        while not (end := head_end(data)):
            stream.settimeout(left_s(deadline))
            more = stream.recv(4096)
            if not more:
                raise Overloaded("the proxy did not connect")
            data += more
        return read_head(data[:end], "CONNECT").status

    def _through_socks(self, site: Site, deadline: float | None) -> socket.socket:
        proxy = self._proxy
        version = socks.SOCKS5 if proxy.scheme.startswith("socks5") else socks.SOCKS4
        try:
            sock: socket.socket = socks.create_connection(
                (site.host, site.port),
                timeout=left_s(deadline),
                proxy_type=version,
                proxy_addr=proxy.host,
                proxy_port=proxy.port,
                proxy_rdns=_SOCKS[proxy.scheme],
                proxy_username=proxy.user,
                proxy_password=proxy.password,
                socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
            )
        except socks.ProxyError as error:
            why = error.socket_err or error  # PySocks wraps its own errors as well
            if isinstance(why, socks.SOCKS5AuthError):
                raise Overloaded("the proxy refused the credentials configured for it") from error
            if isinstance(why, TimeoutError):
                raise TimeoutError from error
            raise
        return sock
