"""Short ways to make a call."""

from __future__ import annotations

from collections.abc import Mapping

from app.upstream.transport import Call, Reply, Timeouts, Transport
from tests.fakes.upstream import ScriptedUpstream

PATIENT = Timeouts(connect_s=10, first_byte_s=10, idle_s=10)


def post(
    transport: Transport,
    upstream: ScriptedUpstream,
    path: str = "/",
    *body: bytes | bytearray | memoryview,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    proxy_url: str = "",
    timeouts: Timeouts = PATIENT,
) -> Reply:
    """Send a call to a path of the upstream."""
    url = upstream.url + path
    return transport.send(Call(method, url, headers or {}, body, proxy_url, timeouts))


def fetch(
    transport: Transport,
    upstream: ScriptedUpstream,
    path: str = "/",
    *body: bytes | bytearray | memoryview,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    proxy_url: str = "",
) -> bytes:
    """Send a call and read the whole answer."""
    reply = post(
        transport, upstream, path, *body, method=method, headers=headers, proxy_url=proxy_url
    )
    try:
        return reply.read_all(1 << 30)
    finally:
        reply.close()
