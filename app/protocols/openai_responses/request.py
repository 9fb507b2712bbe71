"""What is read of a Responses request.

Source: OpenAI Python SDK 3.52, ``types/responses/response_create_params.py``, read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from app.errors import BadRequest
from app.ir.parts import Opaque, Text
from app.ir.request import (
    OutputFormat,
    OutputKind,
    Reasoning,
    Request,
    Role,
    Sampling,
    Turn,
)
from app.protocols.base import Operation, Peek
from app.protocols.openai_responses.items import KEPT_ELSEWHERE, PROTOCOL, turns_of
from app.protocols.openai_responses.members import member, mistyped, needed, text
from app.protocols.openai_responses.tools import read_choice, read_tools
from app.protocols.peeking import model_of, read_head

LOGPROBS = "message.output_text.logprobs"
ENCRYPTED = "reasoning.encrypted_content"

# Members that only this protocol has and that somebody would miss. Whatever is not read here is
# bookkeeping between a client and the provider: `client_metadata`, `stream_options`, ...
_EXTRAS = (
    "previous_response_id",
    "conversation",
    "prompt",
    "background",
    "max_tool_calls",
    "context_management",
    "moderation",
    "truncation",
    "include",
    "store",
    "prompt_cache_retention",
)


class _Generate(msgspec.Struct):
    model: str | msgspec.UnsetType = msgspec.UNSET
    stream: bool | None = None
    previous_response_id: str | None = None


_GENERATE = msgspec.json.Decoder(_Generate)
_WHOLE = msgspec.json.Decoder(dict[str, Any])  # integers of any size stay exact


def peek(body: bytes | bytearray, operation: Operation) -> Peek:
    """Read what steers a request; see ``Codec.peek``. The usage is always in the last event."""
    head = read_head(_GENERATE, body)
    return Peek(
        model_of(head.model),
        stream=head.stream is True,
        continues=head.previous_response_id or "",
    )


def decode_request(body: bytes | bytearray, *, model: str, stream: bool) -> Request:
    """Read a request; see ``Codec.decode_request``."""
    document = read_head(_WHOLE, body)
    tools = read_tools(document)
    form = member(document, "text", dict) or {}
    return Request(
        model=model,
        turns=_turns(document),
        stream=stream,
        tools=tools,
        tool_choice=read_choice(document.get("tool_choice"), tools),
        parallel_calls=member(document, "parallel_tool_calls", bool),
        max_tokens=member(document, "max_output_tokens", int),
        sampling=_sampling(document),
        reasoning=_reasoning(document),
        output=_output(form),
        user=text(document, "safety_identifier") or text(document, "user"),
        metadata=_metadata(document),
        service_tier=text(document, "service_tier"),
        verbosity=text(form, "verbosity", "text"),
        cache_key=text(document, "prompt_cache_key"),
        extras=tuple(_extras(document)),
    )


def _turns(document: Mapping[str, Any]) -> tuple[Turn, ...]:
    said = text(document, "instructions")
    system = (Turn(Role.SYSTEM, (Text(said),)),) if said else ()
    items = document.get("input")
    if items is None:
        if not any(document.get(name) for name in ("prompt", "previous_response_id")):
            raise BadRequest("`input` is missing", details={"param": "input"})
        return system
    if not isinstance(items, str | list):
        raise mistyped("input", "a string or a list of items")
    return system + turns_of(items)


def _sampling(document: Mapping[str, Any]) -> Sampling:
    include = document.get("include")
    top_logprobs = member(document, "top_logprobs", int)
    asked = isinstance(include, list) and LOGPROBS in include
    return Sampling(
        temperature=member(document, "temperature", float),
        top_p=member(document, "top_p", float),
        logprobs=True if asked or top_logprobs else None,
        top_logprobs=top_logprobs,
    )


def _reasoning(document: Mapping[str, Any]) -> Reasoning:
    said = member(document, "reasoning", dict) or {}
    summary = text(said, "summary", "reasoning") or text(said, "generate_summary", "reasoning")
    return Reasoning(
        level=text(said, "effort", "reasoning") or None,
        show=True if summary else None,
        summary=summary,
    )


def _output(form: Mapping[str, Any]) -> OutputFormat:
    where = "text.format"
    wanted = member(form, "format", dict, "text") or {}
    match wanted.get("type", "text"):
        case "json_object":
            return OutputFormat(OutputKind.JSON)
        case "json_schema":
            schema = member(wanted, "schema", dict, where)
            if schema is None:
                raise BadRequest(f"`{where}.schema` is missing", details={"param": where})
            return OutputFormat(
                OutputKind.SCHEMA,
                name=needed(wanted, "name", where),
                schema=schema,
                strict=member(wanted, "strict", bool, where),
                description=text(wanted, "description", where),
            )
        case "text":
            return OutputFormat()
        case _:
            raise mistyped(f"{where}.type", "text, json_object or json_schema")


def _metadata(document: Mapping[str, Any]) -> Mapping[str, str]:
    said = member(document, "metadata", dict) or {}
    return {str(name): value for name, value in said.items() if isinstance(value, str)}


def _extras(document: Mapping[str, Any]) -> list[Opaque]:
    extras = [
        Opaque(PROTOCOL, name, {name: document[name]})
        for name in _EXTRAS
        if document.get(name) not in (None, "") and (name != "background" or document[name])
    ]
    items = document.get("input")
    kinds = {
        item["type"]
        for item in (items if isinstance(items, list) else ())
        if isinstance(item.get("type"), str)
    }
    # The items themselves stay in the turns; this is the mark that nobody else can read them.
    return extras + [Opaque(PROTOCOL, kind) for kind in sorted(kinds & KEPT_ELSEWHERE)]
