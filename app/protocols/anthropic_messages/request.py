"""What is read of a Messages request.

Source: Anthropic Python SDK 2.11, ``types/message_create_params.py``, read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from app.errors import BadRequest
from app.ir.parts import Opaque, Part, Text
from app.ir.request import OutputFormat, OutputKind, Reasoning, Request, Role, Sampling, Turn
from app.protocols.anthropic_messages.blocks import PROTOCOL, read_content
from app.protocols.anthropic_messages.members import Node, entries, maybe, node, number, wrong
from app.protocols.anthropic_messages.offers import read_choice, read_tools
from app.protocols.base import Operation, Peek
from app.protocols.peeking import model_of, read_head

_BILLING = "x-anthropic-billing-header:"
_ROLES = {"user": Role.USER, "assistant": Role.ASSISTANT, "system": Role.SYSTEM}

# What changes the answer when it is left out; it is told as a loss. `context_management`,
# `speed`, `diagnostics`, `user_profile_id` and cache marks do not.
_TOLD = ("container", "mcp_servers", "inference_geo")


class _Thread(msgspec.Struct):
    previous_message_id: str | None = None


class _Generate(msgspec.Struct):
    model: str | msgspec.UnsetType = msgspec.UNSET
    stream: bool | None = None
    thread: _Thread | None = None


_GENERATE = msgspec.json.Decoder(_Generate)


def peek(body: bytes | bytearray, operation: Operation) -> Peek:
    """Read what steers a request; see ``Codec.peek``. Streams always carry their usage.

    Source: Anthropic Python SDK 2.11, ``lib/threads``, read 2026-11-21: a thread that goes on
    names the message before and sends only what is new.
    """
    head = read_head(_GENERATE, body)
    thread = head.thread
    return Peek(
        model_of(head.model),
        stream=head.stream is True and operation is Operation.GENERATE,
        continues=(thread.previous_message_id or "") if thread is not None else "",
        thread=thread is not None,
    )


def decode_request(
    body: bytes | bytearray, operation: Operation, *, model: str, stream: bool
) -> Request:
    """Read a request; see ``Codec.decode_request``. A count needs no ``max_tokens``."""
    document = _parsed(body)
    if document.get("thread") is not None:
        # With this code the SDK goes on by itself and sends whole histories.
        raise BadRequest(
            "message threads are kept by Anthropic's own service alone; send the whole history",
            details={"error_code": "thread_unsupported_request"},
        )
    choice, parallel = read_choice(maybe(document, "tool_choice", dict, ""))
    metadata = maybe(document, "metadata", dict, "") or {}
    return Request(
        model=model,
        turns=tuple(_turns(document)),
        stream=stream,
        tools=tuple(read_tools(document.get("tools"))),
        tool_choice=choice,
        parallel_calls=parallel,
        max_tokens=_max_tokens(document, operation),
        sampling=_sampling(document),
        reasoning=_reasoning(document),
        output=_output(document),
        user=maybe(metadata, "user_id", str, "metadata") or "",
        # Claude's word for "not the faster lane" is `standard_only`.
        service_tier={"auto": "auto", "standard_only": "default"}.get(
            maybe(document, "service_tier", str, "") or "", ""
        ),
        extras=tuple(
            Opaque(PROTOCOL, name, {name: document[name]}) for name in _TOLD if document.get(name)
        ),
    )


def _parsed(body: bytes | bytearray) -> Node:
    try:
        document = msgspec.json.decode(body)  # keeps whole numbers of any size exact
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequest("the request body is not valid JSON") from None
    if not isinstance(document, dict):
        raise BadRequest("the request body must be an object")
    return document


def _turns(document: Node) -> Iterator[Turn]:
    system = tuple(_system(document.get("system")))
    if system:
        yield Turn(Role.SYSTEM, system)
    if not isinstance(document.get("messages"), list):
        raise wrong("messages", "a list")
    for path, message in entries(document["messages"], "messages"):
        role = _ROLES.get(message.get("role", ""))
        if role is None:
            raise wrong(f"{path}.role", "user, assistant or system")
        parts = read_content(message.get("content"), f"{path}.content")
        if parts:
            yield Turn(role, parts)


def _system(value: Any) -> Iterator[Part]:
    """System text, without the line Claude Code puts there for its maker's accounting.

    That line changes with each request, so it would also spoil every other provider's cache.
    """
    if value is None:
        return
    for part in read_content(value, "system"):
        if not (isinstance(part, Text) and part.text.startswith(_BILLING)):
            yield part


def _max_tokens(document: Node, operation: Operation) -> int | None:
    most = maybe(document, "max_tokens", int, "")
    if most is None and operation is not Operation.COUNT_TOKENS:
        raise BadRequest("`max_tokens` is missing", details={"param": "max_tokens"})
    if most is not None and most < 1:
        raise wrong("max_tokens", "at least 1")
    return most


def _sampling(document: Node) -> Sampling:
    stop = maybe(document, "stop_sequences", list, "") or []
    if not all(isinstance(word, str) for word in stop):
        raise wrong("stop_sequences", "a list of strings")
    return Sampling(
        temperature=number(document, "temperature"),
        top_p=number(document, "top_p"),
        top_k=maybe(document, "top_k", int, ""),
        stop=tuple(stop),
    )


def _reasoning(document: Node) -> Reasoning:
    """How much to think.

    A client that turns thinking on wants to see it, unless it says ``omitted``; even then it
    wants the seals.
    """
    config = maybe(document, "output_config", dict, "") or {}
    effort = maybe(config, "effort", str, "output_config")
    thinking = maybe(document, "thinking", dict, "")
    if thinking is None:
        return Reasoning(level=effort)
    show = thinking.get("display") != "omitted"
    match thinking.get("type"):
        case "disabled":
            return Reasoning(level="none")
        case "enabled":
            budget = maybe(thinking, "budget_tokens", int, "thinking")
            if budget is None:
                raise wrong("thinking.budget_tokens", "a whole number")
            return Reasoning(budget=budget, show=show)
        case "adaptive" | "between_tools":
            return Reasoning(level=effort, adaptive=True, show=show)
        case _:
            raise wrong("thinking.type", "enabled, disabled or adaptive")


def _output(document: Node) -> OutputFormat:
    config = maybe(document, "output_config", dict, "") or {}
    # `output_format` is the name it had while it was in beta.
    form = config.get("format") or document.get("output_format")
    if form is None:
        return OutputFormat()
    path = "output_config.format"
    if node(form, path).get("type") != "json_schema":
        raise wrong(f"{path}.type", "json_schema")
    return OutputFormat(OutputKind.SCHEMA, schema=node(form.get("schema"), f"{path}.schema"))
