"""The tools of a client's Chat request, and how the model is to choose among them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.ir.parts import Opaque
from app.ir.request import Choosing, Tool, ToolChoice, ToolKind
from app.protocols.openai_chat.members import flag_in, object_in, objects_in, refused, text_in
from app.protocols.openai_chat.messages_in import NAME

_MODES = {"auto": Choosing.AUTO, "required": Choosing.REQUIRED, "none": Choosing.NONE}


def tools_in(document: Mapping[str, Any]) -> tuple[Tool, ...]:
    """All tools: today's, the ``functions`` before them, and the search of search models."""
    tools = [
        _tool(tool, f"tools[{number}].")
        for number, tool in enumerate(objects_in(document, "tools"))
    ]
    tools += [
        _function(function, f"functions[{number}].")
        for number, function in enumerate(objects_in(document, "functions"))
    ]
    if document.get("web_search_options") is not None:
        tools.append(_search(object_in(document, "web_search_options")))
    return tuple(tools)


def choice_in(document: Mapping[str, Any]) -> ToolChoice | None:
    """``tool_choice``, or the ``function_call`` before it."""
    choice = document.get("tool_choice")
    where = "tool_choice"
    if choice is None:
        choice, where = document.get("function_call"), "function_call"
    if choice is None:
        return None
    if isinstance(choice, str):
        if choice not in _MODES:
            raise refused(where, "one of none, auto and required, or an object")
        return ToolChoice(_MODES[choice])
    if not isinstance(choice, dict):
        raise refused(where, "a string or an object")
    if where == "function_call":
        return ToolChoice(Choosing.REQUIRED, (text_in(choice, "name", "function_call."),))
    if choice.get("type") == "allowed_tools":
        held = object_in(choice, "allowed_tools", "tool_choice.")
        mode = _MODES.get(text_in(held, "mode", "tool_choice.allowed_tools."), Choosing.AUTO)
        allowed = objects_in(held, "tools", "tool_choice.allowed_tools.")
        return ToolChoice(mode, tuple(_name(tool) for tool in allowed))
    return ToolChoice(Choosing.REQUIRED, (_name(choice),))


def _name(tool: dict[str, Any]) -> str:
    """The name in a reference to a tool; some clients leave the object around it out."""
    held = object_in(tool, str(tool.get("type")), "tool_choice.")
    name = text_in(held or tool, "name", "tool_choice.")
    if not name:
        raise refused("tool_choice", "an object that names a tool")
    return name


def _tool(tool: dict[str, Any], at: str) -> Tool:
    kind = text_in(tool, "type", at)
    match kind:
        case "function" | "":
            held = object_in(tool, "function", at)
            return _function(held or tool, f"{at}function." if held else at)
        case "custom":
            return _custom(object_in(tool, "custom", at), f"{at}custom.")
        case "web_search" | "web_search_preview":
            return _search(tool)
        case _:
            return Tool(kind, ToolKind.OTHER, raw=Opaque(NAME, kind, tool))


def _function(held: dict[str, Any], at: str) -> Tool:
    return Tool(
        _named(held, at),
        description=text_in(held, "description", at),
        schema=object_in(held, "parameters", at) or None,
        strict=flag_in(held, "strict", at),
    )


def _custom(held: dict[str, Any], at: str) -> Tool:
    form = object_in(held, "format", at)
    # flat, as Responses has it, is our form
    form = {"type": form.get("type")} | object_in(form, "grammar", f"{at}format.") if form else {}
    return Tool(
        _named(held, at),
        ToolKind.CUSTOM,
        description=text_in(held, "description", at),
        options={"format": form} if form else {},
    )


def _named(held: dict[str, Any], at: str) -> str:
    name = text_in(held, "name", at)
    if not name:
        raise refused(f"{at}name", "the name of a tool")
    return name


def _search(options: dict[str, Any]) -> Tool:
    return Tool("web_search", ToolKind.WEB_SEARCH, options=dict(_search_options(options)))


def _search_options(options: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    if size := text_in(options, "search_context_size"):
        yield "search_context_size", size
    if location := object_in(options, "user_location"):
        # flat, as the other protocols have it, is our form
        place = object_in(location, "approximate", "user_location.")
        yield "user_location", {"type": "approximate"} | (place or location)
    domains = object_in(options, "filters").get("allowed_domains")
    if isinstance(domains, list):
        yield "allowed_domains", domains
