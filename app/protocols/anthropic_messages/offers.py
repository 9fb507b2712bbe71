"""Tools and how to choose among them, there and back.

Source: Anthropic Python SDK 2.11, ``types/tool_union_param.py`` and
``types/tool_choice_param.py``, read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.ir.parts import Json, Opaque, ToolCall
from app.ir.request import Choosing, Loss, Request, Tool, ToolChoice, ToolKind
from app.protocols.anthropic_messages.blocks import PROTOCOL
from app.protocols.anthropic_messages.members import Node, entries, maybe, node, text, wrong
from app.protocols.base import Target
from app.protocols.names import CUSTOM_SCHEMA, ToolNames, described
from app.protocols.schema import closed, for_claude

_PLACEHOLDER = "DeferredToolPlaceholder"
"""Claude Code's stand-in for the tools it has not loaded; nothing can call it."""

_HOSTED = {
    "web_search_": ToolKind.WEB_SEARCH,
    "code_execution_": ToolKind.CODE_EXECUTION,
}
_OPTIONS = ("allowed_domains", "blocked_domains", "user_location", "max_uses")
_MODES = {"auto": Choosing.AUTO, "any": Choosing.REQUIRED, "none": Choosing.NONE}

# The oldest versions of the hosted tools, which all models have.
_SEARCH = {"type": "web_search_20250305", "name": "web_search"}
_RUN = {"type": "code_execution_20250825", "name": "code_execution"}


def read_tools(value: Any) -> Iterator[Tool]:
    """The tools a client offers."""
    for path, tool in entries(value, "tools"):
        kind = maybe(tool, "type", str, path) or "custom"
        if kind != "custom":
            yield _hosted(tool, kind)
        elif tool.get("name") != _PLACEHOLDER:
            yield Tool(
                name=text(tool, "name", path),
                description=maybe(tool, "description", str, path) or "",
                schema=node(tool.get("input_schema"), f"{path}.input_schema"),
                strict=maybe(tool, "strict", bool, path),
                deferred=maybe(tool, "defer_loading", bool, path) or False,
            )


def _hosted(tool: Node, kind: str) -> Tool:
    name = tool.get("name") if isinstance(tool.get("name"), str) else kind
    for start, known in _HOSTED.items():
        if kind.startswith(start):
            options = {key: tool[key] for key in _OPTIONS if tool.get(key) is not None}
            return Tool(str(name), known, options=options, raw=Opaque(PROTOCOL, kind, tool))
    return Tool(str(name), ToolKind.OTHER, raw=Opaque(PROTOCOL, kind, tool))


def read_choice(choice: Node | None) -> tuple[ToolChoice | None, bool | None]:
    """How the model chooses, and whether it may call several tools at once."""
    if choice is None:
        return None, None
    parallel = maybe(choice, "disable_parallel_tool_use", bool, "tool_choice")
    kind = choice.get("type")
    if kind == "tool":
        found = ToolChoice(Choosing.REQUIRED, (text(choice, "name", "tool_choice"),))
    elif isinstance(kind, str) and kind in _MODES:
        found = ToolChoice(_MODES[kind])
    else:
        raise wrong("tool_choice.type", "auto, any, tool or none")
    return found, None if parallel is None else not parallel


# --- writing ---------------------------------------------------------------------------------


def write_tools(
    request: Request, target: Target, names: ToolNames
) -> tuple[list[dict[str, Json]], list[Loss]]:
    """The tools to offer, and what could not be offered."""
    tools: dict[str, dict[str, Json]] = {}
    losses: list[Loss] = []
    for tool in _offered(request):
        match tool.kind:
            case ToolKind.FUNCTION | ToolKind.CUSTOM:
                written: dict[str, Json] | None = _function(tool, target, names)
            case ToolKind.WEB_SEARCH if target.is_official:
                written = _search(tool.options, losses)
            case ToolKind.CODE_EXECUTION if target.is_official:
                written = dict(_RUN)
            case _:
                raw = tool.raw
                is_own = raw is not None and raw.protocol == PROTOCOL
                written = dict(raw.raw) if raw is not None and is_own else None
        if written is None or written["name"] in tools:
            losses.append(Loss(tool.raw.what if tool.raw is not None else tool.kind.value))
        else:
            tools[written["name"]] = written
    return list(tools.values()), losses


def _offered(request: Request) -> list[Tool]:
    """The tools without those a list of allowed ones leaves out; Claude has no such list."""
    choice = request.tool_choice
    if choice is None or not choice.only or choice.mode is Choosing.NONE:
        return list(request.tools)
    if choice.mode is Choosing.REQUIRED and len(choice.only) == 1:
        return list(request.tools)  # it can be named
    return [tool for tool in request.tools if tool.name in choice.only] or list(request.tools)


def _function(tool: Tool, target: Target, names: ToolNames) -> dict[str, Json]:
    is_custom = tool.kind is ToolKind.CUSTOM
    written: dict[str, Json] = {"name": names.there(tool.name, tool.namespace)}
    description = described(tool) if is_custom else tool.description
    if description.strip():
        written["description"] = description
    schema = dict(CUSTOM_SCHEMA) if is_custom else for_claude(dict(tool.schema or {}))
    if tool.strict and not is_custom and target.traits.has_structured_output:
        schema = closed(schema)
        written["strict"] = True
    return written | {"input_schema": schema}


def _search(options: Mapping[str, Json], losses: list[Loss]) -> dict[str, Json]:
    written: dict[str, Json] = dict(_SEARCH)
    if options.get("max_uses"):
        written["max_uses"] = options["max_uses"]
    if options.get("allowed_domains"):
        written["allowed_domains"] = list(options["allowed_domains"])
        if options.get("blocked_domains"):  # one of the two only
            losses.append(Loss("blocked_domains"))
    elif options.get("blocked_domains"):
        written["blocked_domains"] = list(options["blocked_domains"])
    location = options.get("user_location")
    if isinstance(location, Mapping):
        places = ("city", "region", "country", "timezone")
        known = {name: location[name] for name in places if location.get(name)}
        if known:
            written["user_location"] = {"type": "approximate", **known}
    if options.get("search_context_size"):
        losses.append(Loss("search_context_size"))
    return written


def explain_history(request: Request, names: ToolNames) -> list[dict[str, Json]]:
    """Definitions for the calls of a history that offers no tool any more; it needs them."""
    called = dict.fromkeys(
        names.there(part.name, part.namespace)
        for turn in request.turns
        for part in turn.parts
        if isinstance(part, ToolCall)
    )
    return [{"name": name, "input_schema": {"type": "object"}} for name in called]


def write_choice(
    request: Request, names: ToolNames, tools: list[dict[str, Json]]
) -> dict[str, Json] | None:
    """How to choose among ``tools``; None says nothing."""
    choice = request.tool_choice
    alone = {"disable_parallel_tool_use": True} if request.parallel_calls is False else {}
    match choice:
        case None:
            return {"type": "auto", **alone} if alone else None
        case ToolChoice(Choosing.NONE):
            return {"type": "none"}
        case ToolChoice(Choosing.AUTO):
            return {"type": "auto", **alone}
        case ToolChoice(only=(name,)):
            known = {tool["name"] for tool in tools}
            wanted = names.there(name, _namespace(request, name))
            wanted = wanted if wanted in known else _hosted_name(request, name)
            if wanted not in known:
                return {"type": "any", **alone}
            return {"type": "tool", "name": wanted, **alone}
        case _:
            return {"type": "any", **alone}


def _namespace(request: Request, name: str) -> str:
    return next((tool.namespace for tool in request.tools if tool.name == name), "")


def _hosted_name(request: Request, name: str) -> str:
    for tool in request.tools:
        if tool.name == name and tool.kind is ToolKind.WEB_SEARCH:
            return _SEARCH["name"]
        if tool.name == name and tool.kind is ToolKind.CODE_EXECUTION:
            return _RUN["name"]
    return name
