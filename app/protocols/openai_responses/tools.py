"""The tools of a Responses request, and how the model is to choose among them.

Source: OpenAI Python SDK 3.52, ``types/responses/tool_param.py`` and ``tool_choice_*_param.py``,
read 2026-11-21. Codex 0.169 sends its tools in an input item instead (seen the same day).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from app.ir.parts import Json, Opaque
from app.ir.request import Choosing, Tool, ToolChoice, ToolKind
from app.protocols.openai_responses.items import PROTOCOL, own_namespace
from app.protocols.openai_responses.members import member, mistyped, needed, objects, text

GROUP = "group_description"
"""Option of a tool in a namespace: what the namespace says of itself."""

_SEARCHES = ("web_search", "web_search_preview")
_MODES = {mode.value: mode for mode in Choosing}


def read_tools(document: Mapping[str, Any]) -> tuple[Tool, ...]:
    """All tools of a request: of ``tools``, and of the ``additional_tools`` items of its input.

    Raises:
        BadRequest: one has the wrong shape; the message names it.
    """
    tools = list(_listed(document.get("tools"), "tools"))
    items = document.get("input")
    for index, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, dict) and item.get("type") == "additional_tools":
            tools += _listed(item.get("tools"), f"input[{index}].tools")
    return tuple(tools)


def _listed(tools: object, where: str) -> Iterator[Tool]:
    if tools is None:
        return
    for index, tool in enumerate(objects(tools, where)):
        path = f"{where}[{index}]"
        if tool.get("type") == "namespace":
            yield from _grouped(tool, path)
        else:
            yield _tool(tool, path)


def _grouped(group: dict[str, Any], where: str) -> Iterator[Tool]:
    name = own_namespace(needed(group, "name", where))
    about = {GROUP: text(group, "description", where)}
    inner = group.get("tools")
    for index, tool in enumerate(objects([] if inner is None else inner, f"{where}.tools")):
        yield _tool(tool, f"{where}.tools[{index}]", name, about if name and about[GROUP] else {})


def _tool(
    tool: dict[str, Any],
    where: str,
    namespace: str = "",
    about: Mapping[str, Json] | None = None,
) -> Tool:
    kind = needed(tool, "type", where)
    options: dict[str, Json] = dict(about or {})
    match kind:
        case "function":
            return Tool(
                name=needed(tool, "name", where),
                description=text(tool, "description", where),
                schema=member(tool, "parameters", dict, where),
                strict=member(tool, "strict", bool, where),
                namespace=namespace,
                options=options,
                deferred=tool.get("defer_loading") is True,
            )
        case "custom":
            form = member(tool, "format", dict, where)
            return Tool(
                name=needed(tool, "name", where),
                kind=ToolKind.CUSTOM,
                description=text(tool, "description", where),
                namespace=namespace,
                options=options | ({"format": form} if form else {}),
                deferred=tool.get("defer_loading") is True,
            )
        case _ if kind.startswith(_SEARCHES):  # some carry a date
            return Tool("web_search", ToolKind.WEB_SEARCH, options=_search(tool, where))
        case "code_interpreter":
            raw = Opaque(PROTOCOL, kind, tool)
            return Tool(kind, ToolKind.CODE_EXECUTION, raw=raw)
        case _:
            return Tool(kind, ToolKind.OTHER, raw=Opaque(PROTOCOL, kind, tool))


def _search(tool: dict[str, Any], where: str) -> dict[str, Json]:
    filters = member(tool, "filters", dict, where) or {}
    options = {
        "allowed_domains": filters.get("allowed_domains"),
        "blocked_domains": filters.get("blocked_domains"),
        "user_location": member(tool, "user_location", dict, where),
        "search_context_size": member(tool, "search_context_size", str, where),
    }
    return {name: value for name, value in options.items() if value}


def read_choice(choice: object, tools: Iterable[Tool]) -> ToolChoice | None:
    """How the model is to choose; ``tools`` are those of the request.

    Raises:
        BadRequest: it has none of the known shapes.
    """
    if choice is None:
        return None
    if isinstance(choice, str):
        if choice not in _MODES:
            raise mistyped("tool_choice", "none, auto, required or an object")
        return ToolChoice(_MODES[choice])
    if not isinstance(choice, dict):
        raise mistyped("tool_choice", "a string or an object")
    if choice.get("type") != "allowed_tools":
        return ToolChoice(Choosing.REQUIRED, tuple(_named(choice, "tool_choice", tools)))
    mode = choice.get("mode")
    entries = objects(choice.get("tools"), "tool_choice.tools")
    names = [
        name
        for index, entry in enumerate(entries)
        for name in _named(entry, f"tool_choice.tools[{index}]", tools)
    ]
    wanted = Choosing.REQUIRED if mode == "required" else Choosing.AUTO
    return ToolChoice(wanted, tuple(dict.fromkeys(names)))


def _named(entry: Mapping[str, Any], where: str, tools: Iterable[Tool]) -> list[str]:
    """The names an entry of a choice means: one tool, or all of a namespace."""
    kind = needed(entry, "type", where)
    match kind:
        case "function" | "custom":
            return [needed(entry, "name", where)]
        case "namespace":
            group = needed(entry, "name", where)
            return [tool.name for tool in tools if tool.namespace == own_namespace(group)]
        case _ if kind.startswith(_SEARCHES):
            return ["web_search"]
        case _:
            return [kind]
