"""A client's request for content or a count of it.

Source: ai.google.dev, "GenerateContentRequest" and "GenerationConfig"; google-genai 3.4,
``types.py``, read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from app.errors import BadRequest
from app.ir.parts import Media, Opaque
from app.ir.request import (
    Choosing,
    OutputFormat,
    OutputKind,
    Reasoning,
    Request,
    Sampling,
    Tool,
    ToolChoice,
    ToolKind,
    Turn,
)
from app.protocols import schema
from app.protocols.base import Operation
from app.protocols.gemini_generate.contents import PROTOCOL, detail_of, system_turns, turns_of
from app.protocols.gemini_generate.members import (
    entries,
    flag_in,
    integer_in,
    members,
    number_in,
    parsed,
    slug_of,
    text_in,
)

_READ = frozenset(
    {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "serviceTier"}
)
_SILENT = frozenset({"model", "stream"})  # the path says them
_TUNED = frozenset(
    {
        "temperature",
        "topP",
        "topK",
        "candidateCount",
        "maxOutputTokens",
        "stopSequences",
        "seed",
        "presencePenalty",
        "frequencyPenalty",
        "responseLogprobs",
        "logprobs",
        "responseMimeType",
        "responseSchema",
        "responseJsonSchema",
        "responseModalities",
        "mediaResolution",
        "thinkingConfig",
    }
)
_HOSTED = {
    "googleSearch": ("web_search", ToolKind.WEB_SEARCH),
    "googleSearchRetrieval": ("web_search", ToolKind.WEB_SEARCH),
    "codeExecution": ("code_execution", ToolKind.CODE_EXECUTION),
}
_MODES = {
    "AUTO": Choosing.AUTO,
    "VALIDATED": Choosing.AUTO,
    "ANY": Choosing.REQUIRED,
    "NONE": Choosing.NONE,
}


def decode_request(
    body: bytes | bytearray, operation: Operation, *, model: str, stream: bool
) -> Request:
    """Read a request; see ``Codec.decode_request``."""
    asked = parsed(body)
    if operation is Operation.COUNT_TOKENS and "generateContentRequest" in asked:
        asked = members(asked["generateContentRequest"], "generateContentRequest")
    turns = turns_of(asked.get("contents"))
    if not turns:
        raise BadRequest("`contents` must not be empty", details={"param": "contents"})
    config = members(asked.get("generationConfig", {}), "generationConfig")
    calling = members(asked.get("toolConfig", {}), "toolConfig")
    detail = detail_of(config.get("mediaResolution"))
    return Request(
        model=model,
        turns=system_turns(asked.get("systemInstruction")) + _detailed(turns, detail),
        stream=stream,
        tools=tuple(_tools(asked.get("tools"))),
        tool_choice=_choice(calling.get("functionCallingConfig")),
        max_tokens=integer_in(config, "maxOutputTokens"),
        sampling=_sampling(config),
        reasoning=_reasoning(config.get("thinkingConfig")),
        output=_output(config),
        service_tier=text_in(asked, "serviceTier").lower(),
        modalities=tuple(_texts(config, "responseModalities", lower=True)),
        extras=tuple(_extras(asked, config, calling)),
    )


def _detailed(turns: tuple[Turn, ...], detail: str) -> tuple[Turn, ...]:
    """The turns with the request's own resolution on pictures that have none of theirs."""
    if not detail:
        return turns
    return tuple(
        replace(
            turn,
            parts=tuple(
                replace(part, detail=part.detail or detail) if isinstance(part, Media) else part
                for part in turn.parts
            ),
        )
        for turn in turns
    )


def _tools(value: object) -> Iterator[Tool]:
    for entry in entries(value, "tools"):
        for name, inner in members(entry, "tools").items():
            if name == "functionDeclarations":
                for declared in entries(inner, name):
                    yield _function(members(declared, name))
            elif name in _HOSTED:
                slug, kind = _HOSTED[name]
                options = members(inner, name)
                blocked = entries(options.get("excludeDomains"), "excludeDomains")
                yield Tool(slug, kind, options={"blocked_domains": blocked} if blocked else {})
            else:
                raw = Opaque(PROTOCOL, slug_of(name), {name: inner})
                yield Tool(slug_of(name), ToolKind.OTHER, raw=raw)


def _function(declared: dict[str, Any]) -> Tool:
    name = text_in(declared, "name")
    if not name:
        raise BadRequest(
            "`functionDeclarations.name` is missing", details={"param": "functionDeclarations.name"}
        )
    arguments = declared.get("parametersJsonSchema")
    if not isinstance(arguments, dict):
        said = declared.get("parameters")
        arguments = schema.from_gemini(said) if isinstance(said, dict) else None
    return Tool(name, description=text_in(declared, "description"), schema=arguments)


def _choice(value: object) -> ToolChoice | None:
    if value is None:
        return None
    calling = members(value, "functionCallingConfig")
    mode = text_in(calling, "mode").upper()
    only = tuple(_texts(calling, "allowedFunctionNames"))
    if mode in ("", "MODE_UNSPECIFIED"):
        return None
    if mode not in _MODES:
        raise BadRequest(f"there is no mode {mode!r}", details={"param": "mode"})
    return ToolChoice(_MODES[mode], () if mode in ("AUTO", "NONE") else only)


def _sampling(config: dict[str, Any]) -> Sampling:
    return Sampling(
        temperature=number_in(config, "temperature"),
        top_p=number_in(config, "topP"),
        top_k=integer_in(config, "topK"),
        seed=integer_in(config, "seed"),
        presence_penalty=number_in(config, "presencePenalty"),
        frequency_penalty=number_in(config, "frequencyPenalty"),
        stop=tuple(_texts(config, "stopSequences")),
        count=integer_in(config, "candidateCount"),
        logprobs=flag_in(config, "responseLogprobs"),
        top_logprobs=integer_in(config, "logprobs"),
    )


def _reasoning(value: object) -> Reasoning:
    """Level and budget together are refused by the service; here the level has its way."""
    if value is None:
        return Reasoning()
    config = members(value, "thinkingConfig")
    level = text_in(config, "thinkingLevel").lower()
    show = flag_in(config, "includeThoughts")
    if level and level != "thinking_level_unspecified":
        return Reasoning(level=level, show=show)
    return Reasoning(budget=integer_in(config, "thinkingBudget"), show=show)


def _output(config: dict[str, Any]) -> OutputFormat:
    form = config.get("responseJsonSchema")
    if form is None and isinstance(config.get("responseSchema"), dict):
        form = schema.from_gemini(config["responseSchema"])
    if isinstance(form, dict):
        return OutputFormat(OutputKind.SCHEMA, schema=form)
    is_json = text_in(config, "responseMimeType").startswith("application/json")
    return OutputFormat(OutputKind.JSON if is_json else OutputKind.TEXT)


def _texts(node: dict[str, Any], name: str, *, lower: bool = False) -> Iterator[str]:
    value = node.get(name)
    for text in [value] if isinstance(value, str) else entries(value, name):
        if not isinstance(text, str):
            raise BadRequest(f"`{name}` must be a list of strings", details={"param": name})
        yield text.lower() if lower else text


def _extras(
    asked: dict[str, Any], config: dict[str, Any], calling: dict[str, Any]
) -> Iterator[Opaque]:
    """What only this protocol has, each with the members it goes back as."""
    for name, value in asked.items():
        if name not in _READ and name not in _SILENT:
            yield Opaque(PROTOCOL, slug_of(name), {name: value})
    for name, value in config.items():
        if name not in _TUNED:
            yield Opaque(PROTOCOL, slug_of(name), {"generationConfig": {name: value}})
    for name, value in calling.items():
        if name != "functionCallingConfig":
            yield Opaque(PROTOCOL, slug_of(name), {"toolConfig": {name: value}})
