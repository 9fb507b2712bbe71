"""A request in the words of the upstream's protocol: the first half of a translation."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Callable

import orjson

from app.errors import BadRequest, GatewayError, Untranslatable
from app.gateway.exchange import Exchange
from app.ir.parts import Media, Part, ToolResult
from app.ir.reasoning import with_suffix
from app.ir.request import Request, Turn
from app.ir.tidy import tidy
from app.protocols.base import Codec, Encoded, Operation, Target
from app.providers.traits import is_official, traits_of
from app.routing.catalog import Candidate

Fetch = Callable[[str], tuple[str, bytes]]
"""URL → (media type, bytes); raises ``GatewayError`` where it may not or cannot."""


def request_of(exchange: Exchange) -> Request:
    """The client's request in our own form; read once for all attempts.

    Raises:
        BadRequest: a member has the wrong shape.
    """
    if exchange.request is None:
        request = exchange.codec.decode_request(
            exchange.body,
            exchange.operation,
            model=exchange.model,
            stream=exchange.peek.stream,
        )
        exchange.request = tidy(with_suffix(request, exchange.reasoning))
    return exchange.request


def encode(request: Request, candidate: Candidate, codec: Codec, fetch: Fetch) -> Encoded:
    """Write a request for one upstream.

    Raises:
        Untranslatable: it holds content the upstream cannot be given.
    """
    credential = candidate.credential
    provider = credential.provider.name
    target = Target(
        model=candidate.upstream_model,
        traits=traits_of(candidate.upstream_model, provider),
        is_official=is_official(provider),
        include_usage=credential.include_usage,
    )
    request = with_bytes(request, codec, fetch)
    return codec.encode_request(dataclasses.replace(request, model=target.model), target)


def with_bytes(request: Request, codec: Codec, fetch: Fetch) -> Request:
    """Fetch the media that the upstream does not fetch by itself."""

    def mended(part: Part) -> Part:
        match part:
            case Media(url=url) if url and part.kind not in codec.media_by_url:
                return _fetched(part, fetch)
            case ToolResult():
                content = tuple(
                    piece if not isinstance(piece, Media) else _as_medium(mended(piece))
                    for piece in part.content
                )
                return dataclasses.replace(part, content=content)
            case _:
                return part

    if not any(_has_url(part) for turn in request.turns for part in turn.parts):
        return request
    turns = tuple(
        Turn(turn.role, tuple(mended(part) for part in turn.parts)) for turn in request.turns
    )
    return dataclasses.replace(request, turns=turns)


def _has_url(part: Part) -> bool:
    if isinstance(part, ToolResult):
        return any(isinstance(piece, Media) and bool(piece.url) for piece in part.content)
    return isinstance(part, Media) and bool(part.url)


def _as_medium(part: Part) -> Media:
    assert isinstance(part, Media)
    return part


def _fetched(media: Media, fetch: Fetch) -> Media:
    mime, data = fetch(media.url)
    text = base64.b64encode(data).decode()
    return dataclasses.replace(media, mime=mime, data=text, url="")


_COUNTED = frozenset({"model", "messages", "system", "tools", "tool_choice", "thinking"})
"""Members a Messages count takes. Source: observed refusals of any other."""

_COUNTED_INPUT = frozenset(
    {"model", "input", "instructions", "tools", "tool_choice", "reasoning", "text", "conversation"}
)


def count_body(codec: Codec, encoded: Encoded, model: str) -> bytes:
    """An encoded request as the body of the same protocol's token count.

    Raises:
        Untranslatable: the protocol has no count.
    """
    body = orjson.loads(encoded.body)
    match codec.name:
        case "anthropic_messages":
            return orjson.dumps({name: body[name] for name in body if name in _COUNTED})
        case "gemini_generate":
            named = {"model": f"models/{model}", **body}
            return orjson.dumps({"generateContentRequest": named})
        case "openai_responses":
            return orjson.dumps({name: body[name] for name in body if name in _COUNTED_INPUT})
        case _:
            raise Untranslatable("the provider of this model does not count tokens")


def read_count(codec: Codec, body: bytes) -> int:
    """The number in an upstream's count.

    Raises:
        BadRequest: it is none; the count is then made here.
    """
    try:
        document = orjson.loads(body)
        name = "totalTokens" if codec.name == "gemini_generate" else "input_tokens"
        return int(document[name])
    except (ValueError, KeyError, TypeError) as error:
        raise BadRequest("the provider's count cannot be read") from error


def count_answer(codec: Codec, count: int) -> bytes:
    """A count as a client of this protocol expects it."""
    match codec.name:
        case "gemini_generate":
            detail = [{"modality": "TEXT", "tokenCount": count}]
            return orjson.dumps({"totalTokens": count, "promptTokensDetails": detail})
        case "openai_responses":
            return orjson.dumps({"object": "response.input_tokens", "input_tokens": count})
        case _:
            return orjson.dumps({"input_tokens": count})


def counts_upstream(codec: Codec, candidate: Candidate) -> str:
    """Where the provider of a candidate counts tokens; empty when it does not."""
    credential = candidate.credential
    try:
        return credential.provider.url(
            credential, codec.name, Operation.COUNT_TOKENS, candidate.upstream_model, False
        )
    except GatewayError:
        return ""
