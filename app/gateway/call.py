"""An exchange's request as one call to a provider: URL, headers, bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping

import orjson

from app.config.schema import Config
from app.gateway.exchange import Exchange
from app.protocols.base import Codec, Encoded, Operation
from app.routing.catalog import Candidate
from app.upstream.transport import Call, Timeouts
from app.wire import splice
from app.wire.headers import upstream_headers

Pieces = tuple[bytes | bytearray | memoryview, ...]


def relayed_call(exchange: Exchange, candidate: Candidate, *, ask_usage: bool) -> Call:
    """The client's own bytes; the model's name and the switch for usage are all that changes."""
    codec = exchange.codec
    body: Pieces = _body(exchange, candidate, ask_usage=ask_usage) if exchange.body else ()
    url = _url(exchange, candidate, codec, exchange.operation)
    query = _with_query(url, exchange.query, keep=codec.model_in_path)
    return _call(exchange, candidate, codec, query, body, exchange.method)


def translated_call(
    exchange: Exchange,
    candidate: Candidate,
    codec: Codec,
    encoded: Encoded,
    operation: Operation = Operation.GENERATE,
) -> Call:
    """A request in the provider's protocol; the client's query says nothing there."""
    url = _url(exchange, candidate, codec, operation)
    return _call(exchange, candidate, codec, url, (encoded.body,), "POST")


def _url(exchange: Exchange, candidate: Candidate, codec: Codec, operation: Operation) -> str:
    credential = candidate.credential
    return credential.provider.url(
        credential,
        codec.name,
        operation,
        exchange.stored_id or candidate.upstream_model,
        exchange.peek.stream,
    )


def _call(
    exchange: Exchange, candidate: Candidate, codec: Codec, url: str, body: Pieces, method: str
) -> Call:
    config = exchange.snapshot.config
    credential = candidate.credential
    provider = credential.provider
    headers = upstream_headers(exchange.headers, codec.name)
    for name, value in provider.default_headers.items():
        headers.setdefault(name, value)
    headers.update(_configured(credential.headers, exchange))
    headers.update(provider.headers(credential))
    if body:
        headers.setdefault("content-type", "application/json")
    headers["accept-encoding"] = "identity"
    return Call(
        method=method,
        url=url,
        headers=headers,
        body=body,
        proxy_url=_proxy(config, credential.proxy_url),
        timeouts=Timeouts(
            connect_s=config.connect_timeout,
            first_byte_s=config.first_byte_timeout,
            idle_s=config.idle_timeout,
            total_s=config.total_timeout,
        ),
    )


def _configured(headers: Mapping[str, str], exchange: Exchange) -> dict[str, str]:
    """The operator's headers; ``$Name`` copies the client's header, if it sent one."""
    if not headers:
        return {}
    sent = dict(exchange.headers)
    chosen: dict[str, str] = {}
    for name, value in headers.items():
        if not value.startswith("$"):
            chosen[name.lower()] = value
        elif (copied := sent.get(value[1:].lower())) is not None:
            chosen[name.lower()] = copied
    return chosen


def _body(
    exchange: Exchange, candidate: Candidate, *, ask_usage: bool
) -> tuple[bytes | bytearray | memoryview, ...]:
    """The client's bytes with the upstream's model name, and the switch for usage if it is off."""
    body = exchange.body
    edits: list[splice.Edit] = []
    if candidate.upstream_model != exchange.model:
        if exchange.codec.model_in_path:
            return (_renamed_within(body, exchange.model, candidate.upstream_model),)
        name = orjson.dumps(candidate.upstream_model)
        edits += splice.member_edits(body, "model", name, present=True)
    if ask_usage:
        edits += splice.path_edits(body, "stream_options", "include_usage", b"true")
    return splice.apply(body, edits) if edits else (body,)


def _renamed_within(body: bytes | bytearray, alias: str, name: str) -> bytes | bytearray:
    """Gemini's counting and batch bodies repeat the path's model in members of their own."""
    if b'"model"' not in body:
        return body
    old, new = (orjson.dumps(f"models/{model}") for model in (alias, name))
    # A quote inside a JSON string is escaped, so this can only be a member.
    pattern = rb'("model"\s*:\s*)' + re.escape(old)
    return re.sub(pattern, lambda match: match[1] + new, body)


def _with_query(url: str, query: str, *, keep: bool) -> str:
    """Join the client's query to a URL.

    Where the client's query decides the framing (Gemini's ``alt``) it replaces the provider's.
    """
    path, _, own = url.partition("?")
    if keep and not url.startswith("demo:"):
        own = query
    elif query:
        own = f"{own}&{query}" if own else query
    return f"{path}?{own}" if own else path


def _proxy(config: Config, own: str | None) -> str:
    return config.proxy_url if own is None else own
