"""Calls to providers: the only importer of requests beside its adapter.

No retry, no redirect followed, no cookie kept, no environment trusted unless asked.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Protocol, cast

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies, select_proxy
from typing_extensions import override

from app import clock
from app.errors import Garbled, Overloaded, TimedOut
from app.providers.verdicts import verdict
from app.upstream.adapter import Call, CallRequest, PooledAdapter, Timeouts
from app.upstream.answer import Body
from app.upstream.proxies import ProxyDialer, read_proxy
from app.upstream.sockets import Dialer

__all__ = ["Call", "Reply", "Timeouts", "Transport"]

_DEMO = "demo://"
_PROXIES = 256


class Raw(Protocol):
    """What an adapter's response must have as ``raw``."""

    def read(self, wait_s: float | None = None, /) -> bytes | None: ...
    def close(self) -> None: ...


class Reply:
    """The answer to one call; its head has come.

    Attributes:
        headers: as they came, those of the connection included.
        read: gives whatever payload has come, without framing and compression, within
            ``wait_s`` seconds: ``b""`` at the end, None when nothing came. Raises ``TimedOut``
            when the idle or the total limit has passed, ``Garbled`` when the answer broke off.
    """

    __slots__ = ("_raw", "headers", "read", "reason", "status")

    def __init__(self, status: int, reason: str, headers: list[tuple[str, str]], raw: Raw) -> None:
        self.status = status
        self.reason = reason
        self.headers = headers
        self.read = raw.read  # bound here: it is called for each piece
        self._raw = raw

    def get(self, name: str, default: str = "") -> str:
        """The first value of a header, its name in any case."""
        low = name.lower()
        for key, value in self.headers:
            if key.lower() == low:
                return value
        return default

    def read_all(self, limit: int) -> bytes:
        """The payload to its end, or its first ``limit`` bytes.

        Raises:
            TimedOut: as `read`.
            Garbled: as `read`.
        """
        out = io.BytesIO()
        while out.tell() < limit and (chunk := self._raw.read()):
            out.write(chunk)
        return out.getvalue()[:limit]

    def close(self) -> None:
        """Let go of the connection; one whose answer is not at its end is closed at once."""
        self._raw.close()


class _Session(requests.Session):
    """A session that follows no redirect and keeps no cookie."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    @override
    def resolve_redirects(self, *args: Any, **kwargs: Any) -> Iterator[requests.Response]:
        # The parent would read the body of a redirect, and need its Location to be sound.
        return iter(())


class Transport:
    """Sends calls; one for the life of a worker.

    Args:
        pool_size: idle connections kept for each provider.
        trust_env: use HTTP_PROXY, HTTPS_PROXY and NO_PROXY where a call names no proxy.
        ca_file: certificate authorities to trust, PEM; empty = those of certifi.
    """

    def __init__(
        self, *, pool_size: int = 10_000, trust_env: bool = False, ca_file: str = ""
    ) -> None:
        self._pool_size = pool_size
        self._trust_env = trust_env
        self._ca_file = ca_file
        self._sessions: dict[str, _Session] = {}
        self._direct = self._open("")
        self._plain: _Session | None = None

    def send(self, call: Call) -> Reply:
        """Send a call and wait for the head of its answer.

        Raises:
            Overloaded: refused, reset, or a failure of name, TLS or proxy.
            TimedOut: a limit of time has passed.
            Garbled: the answer is not HTTP.
        """
        session = self._direct
        if call.proxy_url or self._trust_env:
            session = self._session(self._proxy_for(call.proxy_url, call.url))
        request = CallRequest(call)
        if call.url.startswith(_DEMO):
            session = self._with_demo(session, request)
        response = session.send(request, stream=True, proxies={})
        raw: object = response.raw
        if isinstance(raw, Body):
            return Reply(response.status_code, response.reason, raw.head.fields, raw)
        fields = list(response.headers.items())
        return Reply(response.status_code, response.reason, fields, cast(Raw, raw))

    def get_json(
        self, url: str, headers: Mapping[str, str], *, proxy_url: str, limit: int, timeout_s: float
    ) -> bytes:
        """Fetch a small document in the background, through requests' own adapter.

        Args:
            url: of the document.
            headers: of the request.
            proxy_url: as `Call.proxy_url`.
            limit: bytes it may have.
            timeout_s: seconds for all of it.

        Raises:
            UpstreamError: it could not be had; with a status that is not 2xx, what that means.
        """
        proxy = self._proxy_for(proxy_url, url)
        deadline = clock.monotonic() + timeout_s
        try:
            with self._plain_session().get(
                url,
                headers=dict(headers),
                proxies={"http": proxy, "https": proxy} if proxy else {},
                timeout=timeout_s,
                verify=self._ca_file or True,
                allow_redirects=False,
                stream=True,
            ) as response:
                body = _read_within(response, limit, deadline)
                status = response.status_code
                answered = {name.lower(): value for name, value in response.headers.items()}
        except requests.Timeout as error:
            raise TimedOut("the provider did not answer in time") from error
        except (
            requests.exceptions.ChunkedEncodingError,
            requests.exceptions.ContentDecodingError,
        ) as error:
            raise Garbled("the provider's answer broke off") from error
        except (requests.RequestException, ValueError) as error:
            # ValueError: a URL or header that cannot be sent, which requests leaves to the caller.
            raise Overloaded("the provider could not be reached") from error
        if not 200 <= status < 300:
            raise verdict(status, answered, body)
        return body

    def close(self) -> None:
        """Close all idle connections."""
        for session in [*self._sessions.values(), *filter(None, [self._plain])]:
            session.close()

    def _proxy_for(self, proxy_url: str, url: str) -> str:
        """The proxy of a call: its own, or the environment's, or none."""
        if proxy_url:
            return "" if proxy_url == "direct" else proxy_url
        if not self._trust_env:
            return ""
        return select_proxy(url, get_environ_proxies(url, no_proxy=None)) or ""

    def _session(self, proxy_url: str) -> _Session:
        return self._sessions.get(proxy_url) or self._open(proxy_url)

    def _open(self, proxy_url: str) -> _Session:
        dialer = (
            ProxyDialer(read_proxy(proxy_url), self._ca_file)
            if proxy_url
            else Dialer(self._ca_file)
        )
        if len(self._sessions) > _PROXIES:  # edited ones are left behind
            self._close_proxied()
        adapter = PooledAdapter(dialer, self._pool_size)
        session = _Session()
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        self._sessions[proxy_url] = session
        return session

    def _close_proxied(self) -> None:
        for proxy_url in [url for url in self._sessions if url]:
            self._sessions.pop(proxy_url).close()

    def _with_demo(self, session: _Session, request: CallRequest) -> _Session:
        if _DEMO not in session.adapters:
            from app.upstream.demo import DemoAdapter  # most gateways never ask for it

            session.mount(_DEMO, DemoAdapter())
        request.body = b"".join(request.pieces)
        request.headers = requests.structures.CaseInsensitiveDict(request.call.headers)
        return session

    def _plain_session(self) -> _Session:
        if self._plain is None:
            self._plain = _Session()
            for scheme in ("http://", "https://"):
                self._plain.mount(scheme, HTTPAdapter(max_retries=0))
        return self._plain


def _read_within(response: requests.Response, limit: int, deadline: float) -> bytes:
    body = bytearray()
    for chunk in response.iter_content(16384):
        body += chunk
        if len(body) > limit:
            raise Garbled("the provider's answer is too long")
        if clock.monotonic() > deadline:
            raise TimedOut("the provider's answer took too long")
    return bytes(body)
