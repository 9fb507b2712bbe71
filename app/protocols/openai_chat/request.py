"""What a client's Chat, legacy completion or embedding request says.

Source: OpenAI Python SDK 3.52, ``types/chat/completion_create_params.py`` and
``types/completion_create_params.py``, read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    Tool,
    ToolChoice,
    Turn,
)
from app.protocols.base import Operation, Peek
from app.protocols.openai_chat.members import (
    count_in,
    document_of,
    flag_in,
    number_in,
    object_in,
    objects_in,
    refused,
    text_in,
    texts_in,
)
from app.protocols.openai_chat.messages_in import NAME, turns_in
from app.protocols.openai_chat.tools_in import choice_in, tools_in
from app.protocols.peeking import model_of, read_head

_OWN = (
    "audio",
    "logit_bias",
    "moderation",
    "prediction",
    "prompt_cache_options",
    "prompt_cache_retention",
    "store",
)
"""Members without a counterpart; ``False`` and null say nothing."""


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Generate(msgspec.Struct):
    model: str | msgspec.UnsetType = msgspec.UNSET
    stream: bool | None = None
    stream_options: _StreamOptions | None = None


class _Named(msgspec.Struct):
    model: str | msgspec.UnsetType = msgspec.UNSET


_GENERATE = msgspec.json.Decoder(_Generate)
_NAMED = msgspec.json.Decoder(_Named)


def peek(body: bytes | bytearray, operation: Operation) -> Peek:
    """Read what steers a request; see ``Codec.peek``."""
    if operation not in (Operation.GENERATE, Operation.COMPLETE):
        return Peek(model_of(read_head(_NAMED, body).model))
    head = read_head(_GENERATE, body)
    options = head.stream_options
    asked = options is not None and options.include_usage is True
    return Peek(model_of(head.model), stream=head.stream is True, wants_usage=asked)


def decode_request(
    body: bytes | bytearray, operation: Operation, *, model: str, stream: bool
) -> Request:
    """Read a client's request; see ``Codec.decode_request``."""
    document = document_of(body)
    if operation is Operation.COMPLETE:
        turns: tuple[Turn, ...] = (Turn(Role.USER, (Text(_prompt(document)),)),)
        tools: tuple[Tool, ...] = ()
        choice: ToolChoice | None = None
    else:
        if not isinstance(document.get("messages"), list):
            raise refused("messages", "a list of messages")
        turns = turns_in(objects_in(document, "messages"))
        tools = tools_in(document)
        choice = choice_in(document)
    return Request(
        model=model,
        turns=turns,
        stream=stream,
        tools=tools,
        tool_choice=choice,
        parallel_calls=flag_in(document, "parallel_tool_calls"),
        max_tokens=_limit(document),
        sampling=_sampling(document, operation),
        reasoning=_reasoning(document),
        output=_output(object_in(document, "response_format")),
        user=text_in(document, "safety_identifier") or text_in(document, "user"),
        metadata=_metadata(object_in(document, "metadata")),
        service_tier=text_in(document, "service_tier"),
        verbosity=text_in(document, "verbosity"),
        cache_key=text_in(document, "prompt_cache_key"),
        modalities=_modalities(document),
        extras=tuple(_extras(document, operation)),
        include_usage=not stream
        or flag_in(object_in(document, "stream_options"), "include_usage") is True,
    )


def _prompt(document: Mapping[str, Any]) -> str:
    """The one text of a legacy request.

    Raises:
        BadRequest: there are several, or they are lists of tokens, which only the provider that
            made the tokens can read.
    """
    prompt = document.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if isinstance(prompt, str):
        return prompt
    said = {"param": "prompt"}
    if isinstance(prompt, list) and prompt and all(isinstance(one, str) for one in prompt):
        raise BadRequest("`prompt` may hold one text only with this model", details=said)
    raise BadRequest("`prompt` must be a string; tokens cannot be translated", details=said)


def _limit(document: Mapping[str, Any]) -> int | None:
    newer = count_in(document, "max_completion_tokens")
    return count_in(document, "max_tokens") if newer is None else newer


def _sampling(document: Mapping[str, Any], operation: Operation) -> Sampling:
    top = count_in(document, "top_logprobs")
    if operation is Operation.COMPLETE:  # there the one member says both
        top = count_in(document, "logprobs")
        told = None if top is None else True
    else:
        told = flag_in(document, "logprobs")
    return Sampling(
        temperature=number_in(document, "temperature"),
        top_p=number_in(document, "top_p"),
        top_k=count_in(document, "top_k"),  # many hosts' own
        seed=count_in(document, "seed"),
        presence_penalty=number_in(document, "presence_penalty"),
        frequency_penalty=number_in(document, "frequency_penalty"),
        stop=texts_in(document, "stop"),
        count=count_in(document, "n"),
        logprobs=told,
        top_logprobs=top,
    )


def _reasoning(document: Mapping[str, Any]) -> Reasoning:
    return Reasoning(level=text_in(document, "reasoning_effort") or None)


def _output(form: Mapping[str, Any]) -> OutputFormat:
    match form.get("type"):
        case "json_object":
            return OutputFormat(OutputKind.JSON)
        case "json_schema":
            at = "response_format.json_schema."
            held = object_in(form, "json_schema", "response_format.")
            return OutputFormat(
                OutputKind.SCHEMA,
                text_in(held, "name", at),
                object_in(held, "schema", at),
                flag_in(held, "strict", at),
                text_in(held, "description", at),
            )
        case "text" | None:
            return OutputFormat()
        case _:
            raise refused("response_format.type", "one of text, json_object and json_schema")


def _metadata(held: Mapping[str, Any]) -> dict[str, str]:
    for name, value in held.items():
        if not isinstance(value, str):
            raise refused(f"metadata.{name}", "a string")
    return dict(held)


def _modalities(document: Mapping[str, Any]) -> tuple[str, ...]:
    wanted = texts_in(document, "modalities")
    return () if wanted == ("text",) else wanted


def _extras(document: Mapping[str, Any], operation: Operation) -> Iterator[Opaque]:
    names = (*_OWN, "best_of", "echo", "suffix") if operation is Operation.COMPLETE else _OWN
    for name in names:
        value = document.get(name)
        if value is not None and value is not False and value not in ({}, ""):
            yield Opaque(NAME, name, {name: value})
