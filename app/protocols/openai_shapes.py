"""What the two protocols of OpenAI have in common: errors, model lists, how tokens are counted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import orjson

from app.errors import GatewayError
from app.ir.events import Usage
from app.protocols.base import ModelInfo
from app.protocols.reading import count_of, mapping_of

# Our slugs in the words clients know. Source: OpenAI API reference, "Error codes", read 2026-11-21.
_CODES: Mapping[str, str] = {
    "bad_request": "invalid_request",
    "limit_exceeded": "rate_limit_exceeded",
    "quota_exhausted": "rate_limit_exceeded",
    "internal_error": "server_error",
    "upstream_error": "server_error",
    "upstream_overloaded": "server_error",
    "upstream_garbled": "server_error",
    "upstream_timeout": "timeout",
    "credential_refused": "server_error",
    "no_credential": "server_error",
    "upstream_rejected": "invalid_request",
}


def dump(body: object) -> bytes:
    """JSON of anything; numbers of any size and halves of surrogate pairs stay as they are."""
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError:
        return json.dumps(body).encode()


def error_status(error: GatewayError) -> int:
    """The status as it is, but for Anthropic's 529, which only their own clients know."""
    return 503 if error.status == 529 else error.status


def error_object(error: GatewayError, request_id: str) -> dict[str, object]:
    """The inside of an error; ``request_id`` is an extra member that SDKs hand on untouched."""
    status = error_status(error)
    code = _CODES.get(error.kind, error.kind)
    if status == 429 and code == "server_error":  # all credentials rest
        code = "rate_limit_exceeded"
    param = error.details.get("param")
    if param is None and error.kind == "model_not_found":
        param = "model"
    return {
        "message": error.message,
        "type": _type(status),
        "param": param,
        "code": code,
        "request_id": request_id,
    }


def encode_error(error: GatewayError, request_id: str) -> bytes:
    """The body of an error."""
    return orjson.dumps({"error": error_object(error, request_id)})


def model_entry(model: ModelInfo) -> dict[str, object]:
    """One entry of a model list; these four members and no other."""
    return {
        "id": model.id,
        "object": "model",
        "created": model.created_s,
        "owned_by": model.owned_by,
    }


def encode_models(models: Sequence[ModelInfo]) -> bytes:
    """The body of a model list."""
    return orjson.dumps({"object": "list", "data": [model_entry(model) for model in models]})


def read_usage(usage: object, read: str, written: str) -> Usage | None:
    """Take a usage object apart so that nothing is counted twice.

    The totals include what was cached, heard and thought. ``read`` and ``written`` begin the
    names of its members: ``prompt`` and ``completion``, or ``input`` and ``output``.

    Returns:
        None when it holds no count.

    Source: OpenAI Python SDK 3.52, ``types/completion_usage.py`` and
    ``types/responses/response_usage.py``, read 2026-11-21.
    """
    members = mapping_of(usage)
    if not any(count_of(members.get(f"{name}_tokens")) for name in (read, written, "total")):
        return None
    sent = mapping_of(members.get(f"{read}_tokens_details"))
    made = mapping_of(members.get(f"{written}_tokens_details"))
    prompt = count_of(members.get(f"{read}_tokens"))
    answer = count_of(members.get(f"{written}_tokens"))
    reasoning = count_of(made.get("reasoning_tokens"))
    # xAI and Google's compatible endpoint leave thinking out of the completion; only the total
    # shows it. Seen in their published examples, a guess for everybody else.
    beyond = count_of(members.get("total_tokens")) - prompt - answer
    if beyond > 0 and answer:
        answer += beyond
        reasoning = max(reasoning, beyond)
    # DeepSeek has its own name for cached input.
    cached = count_of(sent.get("cached_tokens")) or count_of(members.get("prompt_cache_hit_tokens"))
    cached = min(cached, prompt)
    stored = min(count_of(sent.get("cache_write_tokens")), prompt - cached)
    heard = min(count_of(sent.get("audio_tokens")), prompt - cached - stored)
    reasoning = min(reasoning, answer)
    spoken = min(count_of(made.get("audio_tokens")), answer - reasoning)
    return Usage(
        input_tokens=prompt - cached - stored - heard,
        cache_read_tokens=cached,
        cache_write_tokens=stored,
        input_audio_tokens=heard,
        output_tokens=answer - reasoning - spoken,
        reasoning_tokens=reasoning,
        output_audio_tokens=spoken,
    )


def _type(status: int) -> str:
    match status:
        case 401:
            return "authentication_error"
        case 403:
            return "permission_error"
        case 429:
            return "rate_limit_error"
        case _ if status >= 500:
            return "server_error"
        case _:
            return "invalid_request_error"
