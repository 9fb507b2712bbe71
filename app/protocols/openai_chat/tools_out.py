"""Tools and the choice among them for a Chat upstream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.ir.request import Choosing, Request, Tool, ToolChoice, ToolKind
from app.protocols import schema
from app.protocols.base import Target
from app.protocols.names import CUSTOM_SCHEMA, ToolNames, described
from app.protocols.openai_chat.messages_in import NAME

_DESCRIPTION = 1 << 20


class Tools:
    """What a request says about tools.

    ``losses`` is filled by ``members``.
    """

    def __init__(self, request: Request, target: Target, names: ToolNames) -> None:
        self._request = request
        self._official = target.is_official
        self._model = target.model
        self._names = names
        self.losses: list[str] = []

    def members(self) -> dict[str, Any]:
        """``tools`` and what needs them; nothing when there is no tool to send."""
        choice = self._request.tool_choice
        body: dict[str, Any] = {}
        written: dict[str, dict[str, Any]] = {}
        for tool in self._offered(choice):
            match tool.kind:
                case ToolKind.FUNCTION | ToolKind.CUSTOM:
                    entry = self._tool(tool)
                    written.setdefault(entry[entry["type"]]["name"], entry)
                case ToolKind.WEB_SEARCH if self._official and "-search" in self._model:
                    body["web_search_options"] = _search_options(tool.options)
                case ToolKind.OTHER if self._is_own(tool):
                    assert tool.raw is not None
                    written.setdefault(f"{tool.name} {len(written)}", dict(tool.raw.raw))
                case _:
                    self.losses.append(tool.raw.what if tool.raw else tool.kind.value)
        if not written:
            return body
        body["tools"] = list(written.values())
        if choice is not None:
            body["tool_choice"] = self._choice(choice, written)
        if self._request.parallel_calls is not None:
            body["parallel_tool_calls"] = self._request.parallel_calls
        return body

    def _is_own(self, tool: Tool) -> bool:
        return tool.raw is not None and tool.raw.protocol == NAME

    def _offered(self, choice: ToolChoice | None) -> list[Tool]:
        """The tools to send; a host without ``allowed_tools`` gets the allowed ones alone."""
        tools = list(self._request.tools)
        if choice is None or self._official or not choice.only or _is_named(choice):
            return tools
        return [tool for tool in tools if tool.name in choice.only]

    def _tool(self, tool: Tool) -> dict[str, Any]:
        held: dict[str, Any] = {"name": self._names.there(tool.name, tool.namespace)}
        custom = tool.kind is ToolKind.CUSTOM
        description = tool.description
        if custom and not self._official:
            description = described(tool)
        if description:
            held["description"] = description[:_DESCRIPTION]
        if custom and self._official:
            return {"type": "custom", "custom": held | _format(tool)}
        if custom:
            held["parameters"] = CUSTOM_SCHEMA
        elif tool.schema:
            held["parameters"] = _parameters(tool.schema)
        else:
            held["parameters"] = {"type": "object", "properties": {}}
        if tool.strict is not None and (self._official or tool.strict):
            # A client's word about strictness is about its own provider's rules.
            held["strict"] = tool.strict and schema.is_strict(held["parameters"])
        return {"type": "function", "function": held}

    def _choice(self, choice: ToolChoice, written: Mapping[str, dict[str, Any]]) -> object:
        if choice.mode is Choosing.NONE or not choice.only:
            return choice.mode.value
        names = [name for name in map(self._there, choice.only) if name in written]
        if not names:
            return choice.mode.value
        if _is_named(choice):
            return _reference(names[0], written)
        if not self._official:
            return choice.mode.value
        tools = [_reference(name, written) for name in dict.fromkeys(names)]
        allowed = {"mode": choice.mode.value, "tools": tools}
        return {"type": "allowed_tools", "allowed_tools": allowed}

    def _there(self, name: str) -> str:
        """The target's name of a chosen tool, which may sit in a namespace."""
        for tool in self._request.tools:
            if tool.name == name:
                return self._names.there(name, tool.namespace)
        return self._names.there(name)


def _is_named(choice: ToolChoice) -> bool:
    return choice.mode is Choosing.REQUIRED and len(choice.only) == 1


def _reference(name: str, written: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    kind = written[name]["type"]
    return {"type": kind, kind: {"name": name}}


def _parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """An object with properties and no union at its top, which the service refuses."""
    plain = given.get("type") == "object" and isinstance(given.get("properties"), dict)
    if plain and not {"anyOf", "oneOf", "allOf", "enum", "not", "$ref"} & given.keys():
        return dict(given)
    return {name: value for name, value in schema.for_claude(given).items() if name not in _TOP}


_TOP = frozenset({"anyOf", "oneOf", "allOf", "enum", "not"})


def _format(tool: Tool) -> dict[str, Any]:
    form = tool.options.get("format")
    if not isinstance(form, dict) or not form.get("type"):
        return {}
    if form["type"] != "grammar":
        return {"format": {"type": form["type"]}}
    grammar = {"definition": form.get("definition", ""), "syntax": form.get("syntax", "lark")}
    return {"format": {"type": "grammar", "grammar": grammar}}


def _search_options(options: Mapping[str, Any]) -> dict[str, Any]:
    written: dict[str, Any] = {}
    if size := options.get("search_context_size"):
        written["search_context_size"] = size
    if isinstance(location := options.get("user_location"), dict):
        place = {name: value for name, value in location.items() if name != "type" and value}
        written["user_location"] = {"type": "approximate", "approximate": place}
    return written
