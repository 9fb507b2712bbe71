"""Pictures and documents that a client names by URL, for providers that want the bytes.

The URL is a stranger's, so what it can reach is limited: only addresses of the public internet.
The name is looked up here, every address of it is checked, and the connection is made to a checked
address; a name that answers differently the second time gains nothing. Redirects are followed one
by one, each checked like the first.

Operators' proxies are not used: which address a proxy connects to cannot be checked from here.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

import gevent
from typing_extensions import override

from app import clock
from app.errors import BadRequest, TimedOut, UpstreamError
from app.upstream.adapter import Call, CallRequest, PooledAdapter, Timeouts
from app.upstream.answer import Body
from app.upstream.sockets import Dialer

MAX_BYTES = 20 << 20
TOTAL_S = 20.0
CONNECT_S = 10.0
REDIRECTS = 3
URL_LIMIT = 8192

_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_.])?|[0-9A-Fa-f:.]+")
_HEADERS = {
    "Accept": "image/*, application/pdf, audio/*, video/*, text/*, */*;q=0.1",
    "User-Agent": "aiproxyapi",
}
_TYPES = ("image/", "audio/", "video/", "text/")
_SPOKEN = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "application/x-pdf": "application/pdf",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
}
"""Other names of types, and the ones that providers know."""

_UNTOLD = frozenset({"", "application/octet-stream", "binary/octet-stream"})
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF-", "application/pdf"),
)
_CHARSET = re.compile(r"charset\s*=\s*\"?([A-Za-z0-9._:-]{1,40})", re.IGNORECASE)

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_TUNNELS = (
    # 6to4 and Teredo: an IPv4 address in disguise, and nobody serves pictures from there.
    ipaddress.IPv6Network("2002::/16"),
    ipaddress.IPv6Network("2001::/32"),
    ipaddress.IPv6Network("64:ff9b:1::/48"),
)


class Fetched(NamedTuple):
    """What a URL held; ``mime`` is lower case and without parameters, text is UTF-8."""

    mime: str
    data: bytes


class MediaFetcher:
    """Fetches media for clients; one for the life of a worker.

    Args:
        max_bytes: largest medium.
        total_s: seconds for all of it, looking up names and redirects included.
        allow_private: reach any address; for tests, and for operators whose media lie inside
            their own network.
        ca_file: certificate authorities to trust, PEM; empty = those of certifi.
    """

    def __init__(
        self,
        *,
        max_bytes: int = MAX_BYTES,
        total_s: float = TOTAL_S,
        allow_private: bool = False,
        ca_file: str = "",
    ) -> None:
        self._max_bytes = max_bytes
        self._total_s = total_s
        # No connection is kept: the next one is checked again.
        self._adapter = PooledAdapter(_GuardedDialer(ca_file, allow_private), 0)

    def fetch(self, url: str) -> Fetched:
        """Fetch one medium.

        Raises:
            BadRequest: it may not or cannot be had; the text names no address.
        """
        timeout = gevent.Timeout(self._total_s + 1)
        try:
            # The deadline below ends every wait but that for a name server; this ends that one.
            with timeout:
                return self._follow(url, clock.monotonic() + self._total_s)
        except gevent.Timeout as error:
            if error is not timeout:
                raise
            raise _refusal("did not come in time") from error

    def _follow(self, url: str, deadline: float) -> Fetched:
        for _ in range(REDIRECTS + 1):
            body = self._ask(_checked(url), deadline)
            try:
                if body.head.status not in (301, 302, 303, 307, 308):
                    return self._take(body)
                url = _next(url, _field(body, "location"))
            finally:
                body.close()
        raise _refusal("redirects too often")

    def _ask(self, url: str, deadline: float) -> Body:
        left_s = deadline - clock.monotonic()
        if left_s <= 0:
            raise _refusal("did not come in time")
        times = Timeouts(min(CONNECT_S, left_s), left_s, left_s, left_s)
        call = Call("GET", url, _HEADERS, timeouts=times)
        try:
            body = self._adapter.send(CallRequest(call)).raw
        except TimedOut as error:
            raise _refusal("did not come in time") from error
        except UpstreamError as error:
            raise _refusal("could not be fetched") from error
        assert isinstance(body, Body)
        return body

    def _take(self, body: Body) -> Fetched:
        if body.head.status != 200:
            raise _refusal(f"could not be fetched: the answer has status {body.head.status}")
        if body.head.encoding not in ("", "identity"):
            # Not asked for, and it may hold a thousand times what it weighs.
            raise _refusal("came compressed")
        told = _field(body, "content-type")
        mime = _mime(told)
        if mime not in _UNTOLD and not _is_medium(mime):
            raise _refusal("is no image, document, audio or video")
        data = self._read(body)
        if mime in _UNTOLD:
            mime = _sniffed(data)
        return Fetched(mime, _in_utf8(data, told) if mime.startswith("text/") else bytes(data))

    def _read(self, body: Body) -> bytearray:
        data = bytearray()
        try:
            while max(len(data), body.head.length) <= self._max_bytes:
                chunk = body.read()
                if not chunk:
                    return data
                data += chunk
        except TimedOut as error:
            raise _refusal("did not come in time") from error
        except UpstreamError as error:
            raise _refusal("did not come whole") from error
        raise _refusal(f"is larger than {self._max_bytes >> 10} KiB")


class _GuardedDialer(Dialer):
    """Connects to public addresses alone."""

    def __init__(self, ca_file: str, allow_private: bool) -> None:
        super().__init__(ca_file)
        self._allow_private = allow_private

    @override
    def connect(self, host: str, port: int, deadline: float | None) -> socket.socket:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise _refusal("is on a host whose name could not be resolved") from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        # One bad address among good ones is refused as well: the name means harm or is broken.
        if not self._allow_private and not all(map(is_public, addresses)):
            raise _refusal("is not on the public internet")
        failure: UpstreamError | None = None
        for tried, address in enumerate(addresses):
            now = clock.monotonic()
            # One silent address must not use up the time of the others.
            until = None if deadline is None else now + (deadline - now) / (len(addresses) - tried)
            try:
                # An address is looked up without asking anybody: it stands for itself.
                return super().connect(address, port, until)
            except UpstreamError as error:
                failure = error
        raise _refusal("is on a server that could not be reached") from failure


def is_public(address: str) -> bool:
    """Whether an address is one of the open internet, and not of this host or network.

    Source: IANA special-purpose address registries, as ``ipaddress`` knows them; RFC 6052 for
    the IPv4 addresses inside ``64:ff9b::/96``.
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if any(ip in network for network in _TUNNELS):
            return False
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if ip in _NAT64:
            return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
        if ip.is_site_local:
            return False
    return ip.is_global and not (
        ip.is_private
        or ip.is_loopback
        or ip.is_link_local
        or ip.is_multicast
        or ip.is_reserved
        or ip.is_unspecified
    )


def _next(url: str, location: str) -> str:
    if not location:
        raise _refusal("redirects to nowhere")
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise _refusal("redirects to a URL that cannot be read") from error


def _checked(url: str) -> str:
    """The URL without its fragment, its host in ASCII.

    Raises:
        BadRequest: it is none we fetch.
    """
    if len(url) > URL_LIMIT:
        raise _refusal("has too long a URL")
    try:
        parts = urlsplit(url.strip())
        host = parts.hostname or ""
        port = parts.port
        if not host.isascii():
            host = host.encode("idna").decode()
    except ValueError as error:
        raise _refusal("has a URL that cannot be read") from error
    if parts.scheme not in ("http", "https"):
        raise _refusal("has a URL that is neither http nor https")
    if parts.username is not None or parts.password is not None:
        raise _refusal("has a URL with a password in it")
    if not _HOST.fullmatch(host) or port == 0:
        raise _refusal("has a URL that cannot be read")
    shown = f"[{host}]" if ":" in host else host
    netloc = shown if port is None else f"{shown}:{port}"
    return parts._replace(netloc=netloc, fragment="").geturl()


def _field(body: Body, name: str) -> str:
    return next((value for key, value in body.head.fields if key.lower() == name), "")


def _mime(content_type: str) -> str:
    mime = content_type.partition(";")[0].strip().lower()
    return _SPOKEN.get(mime, mime)


def _is_medium(mime: str) -> bool:
    # A stream of events would never end.
    return mime == "application/pdf" or (mime.startswith(_TYPES) and mime != "text/event-stream")


def _sniffed(data: bytearray) -> str:
    """What bytes are that nobody named; storage services often do not know."""
    for magic, mime in _MAGIC:
        if data.startswith(magic):
            return mime
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    raise _refusal("is of an unknown type")


def _in_utf8(data: bytearray, content_type: str) -> bytes:
    named = _CHARSET.search(content_type)
    try:
        return data.decode(named[1] if named else "utf-8", "replace").encode("utf-8", "replace")
    except (LookupError, ValueError) as error:
        raise _refusal("is text in an unknown character set") from error


def _refusal(why: str) -> BadRequest:
    return BadRequest(f"a medium given by URL {why}")
