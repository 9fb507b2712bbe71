"""Tools, and the choice among them, in the words of a Responses upstream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from app.ir.parts import Json
from app.ir.request import Choosing, Loss, Request, Tool, ToolKind
from app.protocols import schema
from app.protocols.names import CUSTOM_SCHEMA, ToolNames, described
from app.protocols.openai_responses.items import PROTOCOL
from app.protocols.openai_responses.tools import GROUP

_LOCATION = ("city", "country", "region", "timezone")
_HOSTED = (ToolKind.WEB_SEARCH, ToolKind.CODE_EXECUTION, ToolKind.OTHER)


class Offers:
    """Writes the tools of one request; see ``History`` for its arguments."""

    def __init__(self, names: ToolNames, *, is_official: bool) -> None:
        self._names = names
        self._is_official = is_official
        self.losses: list[Loss] = []

    def members(self, request: Request) -> dict[str, Any]:
        """``tools``, and with any of them ``tool_choice`` and ``parallel_tool_calls``."""
        offered = [(tool, written) for tool in request.tools if (written := self._tool(tool))]
        if not offered:
            if request.tool_choice is not None and request.tool_choice.mode is Choosing.REQUIRED:
                self.losses.append(Loss("tool_choice"))
            return {}
        members: dict[str, Any] = {"tools": self._grouped(offered)}
        choice = self._choice(request, [tool for tool, _ in offered])
        if choice is not None:
            members["tool_choice"] = choice
        if request.parallel_calls is not None:
            members["parallel_tool_calls"] = request.parallel_calls
        return members

    def _grouped(self, offered: list[tuple[Tool, dict[str, Any]]]) -> list[dict[str, Any]]:
        """The tools, those of a namespace together where the namespace first appears."""
        tools: list[dict[str, Any]] = []
        groups: dict[str, dict[str, Any]] = {}
        for tool, written in offered:
            if not tool.namespace or not self._is_official:
                tools.append(written)
                continue
            group = groups.get(tool.namespace)
            if group is None:
                group = {"type": "namespace", "name": tool.namespace, "tools": []}
                about = tool.options.get(GROUP)
                if about:
                    group["description"] = about
                groups[tool.namespace] = group
                tools.append(group)
            group["tools"].append(written)
        return tools

    def _tool(self, tool: Tool) -> dict[str, Any] | None:
        match tool.kind:
            case ToolKind.FUNCTION:
                return self._function(tool, tool.description, tool.schema)
            case ToolKind.CUSTOM if self._is_official:
                written: dict[str, Any] = {"type": "custom", "name": self._name(tool)}
                if tool.description:
                    written["description"] = tool.description
                form = tool.options.get("format")
                return written | ({"format": form} if form else {})
            case ToolKind.CUSTOM:
                return self._function(tool, described(tool), CUSTOM_SCHEMA)
            case _:
                return self._hosted(tool)

    def _function(
        self, tool: Tool, description: str, parameters: Mapping[str, Json] | None
    ) -> dict[str, Any]:
        whole = dict(parameters or {"properties": {}})
        if whole.get("type") != "object":
            whole = schema.for_claude(whole)  # an object at the top is all that both ask for
        strict, whole = self._strict(tool.strict is True, whole)
        written: dict[str, Any] = {"type": "function", "name": self._name(tool)}
        if description:
            written["description"] = description
        # A missing `strict` would be taken for true.
        return written | {"parameters": whole, "strict": strict}

    def _strict(self, wanted: bool, whole: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
        strict, fitted = strictly(wanted, whole)
        if wanted and not strict:
            self._lose("strict")
        return strict, fitted

    def _hosted(self, tool: Tool) -> dict[str, Any] | None:
        raw = tool.raw
        if raw is not None and raw.protocol == PROTOCOL:
            return dict(raw.raw)
        match tool.kind:
            case ToolKind.WEB_SEARCH:
                return self._search(tool.options)
            case ToolKind.CODE_EXECUTION if self._is_official:
                return {"type": "code_interpreter", "container": {"type": "auto"}}
            case _:
                self._lose(tool.name)
                return None

    def _search(self, options: Mapping[str, Json]) -> dict[str, Any]:
        written: dict[str, Any] = {"type": "web_search"}
        if options.get("allowed_domains"):
            written["filters"] = {"allowed_domains": list(options["allowed_domains"])}
        location = options.get("user_location")
        if isinstance(location, dict):
            said = {name: location[name] for name in _LOCATION if location.get(name)}
            written["user_location"] = {"type": "approximate", **said}
        if options.get("search_context_size"):
            written["search_context_size"] = options["search_context_size"]
        for name in ("blocked_domains", "max_uses"):
            if options.get(name):
                self._lose(name)
        return written

    def _choice(self, request: Request, offered: Iterable[Tool]) -> Any:
        choice = request.tool_choice
        if choice is None:
            return None
        if not choice.only:
            return choice.mode.value
        chosen = [self._chosen(tool) for tool in offered if tool.name in choice.only]
        if choice.mode is Choosing.NONE:
            return "none"
        if not chosen:
            self._lose("tool_choice")
            return None
        if len(chosen) == 1 and choice.mode is Choosing.REQUIRED:
            return chosen[0]
        return {"type": "allowed_tools", "mode": choice.mode.value, "tools": chosen}

    def _chosen(self, tool: Tool) -> dict[str, Any]:
        if tool.kind in _HOSTED:
            written = self._hosted(tool) or {}
            return {"type": written["type"]}
        custom = tool.kind is ToolKind.CUSTOM and self._is_official
        return {"type": "custom" if custom else "function", "name": self._name(tool)}

    def _name(self, tool: Tool) -> str:
        return self._names.there(tool.name, tool.namespace)

    def _lose(self, name: str) -> None:
        loss = Loss(name)
        if loss not in self.losses:
            self.losses.append(loss)


def strictly(wanted: bool, whole: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
    """Whether a schema can be held to strictly, and the schema as it must be for that.

    Closing its objects is as far as this goes: making every property required would let the model
    answer with a null that the client's own schema refuses.
    """
    if not wanted:
        return False, whole
    closed = schema.closed(whole)
    return (True, closed) if schema.is_strict(closed) else (False, whole)
