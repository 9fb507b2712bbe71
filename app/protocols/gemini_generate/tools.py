"""Tools and the choice among them, for an upstream."""

from __future__ import annotations

from typing import Any

from app.ir.parts import ToolCall
from app.ir.request import Choosing, Loss, Request, Tool, ToolKind
from app.protocols import schema
from app.protocols.base import Target
from app.protocols.gemini_generate.contents import PROTOCOL
from app.protocols.names import CUSTOM_SCHEMA, Called, ToolNames, described, name_tools

# Source: ai.google.dev, "FunctionDeclaration", read 2026-11-21: at most 128; it was 64 before, and
# hosts that follow later still say so.
_LONGEST, _SHORTEST = 128, 64
_LETTERS = "a-zA-Z0-9_.:-"
_FUNCTIONS = (ToolKind.FUNCTION, ToolKind.CUSTOM)
_MODES = {Choosing.AUTO: "AUTO", Choosing.REQUIRED: "ANY", Choosing.NONE: "NONE"}


def names_for(request: Request, target: Target) -> ToolNames:
    """Names the service accepts; they begin with a letter or an underscore."""
    limit = _LONGEST if target.is_official else _SHORTEST
    names = name_tools(request, limit=limit, allowed=_LETTERS)
    there: dict[tuple[str, str], str] = {}
    back: dict[str, Called] = {}
    for name, namespace in _mentioned(request):
        mended = names.there(name, namespace)
        if (namespace, name) in there:
            continue
        found = mended
        if not (mended[:1].isalpha() or mended[:1] == "_"):
            found = f"_{mended}"[:limit]
        number = 2
        while found in back:
            found = f"_{mended[: limit - 8]}_{number}"
            number += 1
        there[namespace, name] = found
        back[found] = names.back(mended)
    return ToolNames(there, back)


def functions_of(request: Request) -> list[Tool]:
    """The tools that the client runs itself."""
    return [tool for tool in request.tools if tool.kind in _FUNCTIONS]


def write_tools(
    request: Request, target: Target, names: ToolNames
) -> tuple[list[dict[str, Any]], list[Loss]]:
    """The ``tools`` member: one object with all functions, one for each hosted tool."""
    functions = functions_of(request)
    losses = [Loss("strict") for tool in functions if tool.strict]
    written: list[dict[str, Any]] = []
    if functions:
        written.append({"functionDeclarations": [_declared(t, target, names) for t in functions]})
    is_alone = not functions or target.traits.searches_beside_functions
    for tool in request.tools:
        if tool.kind in _FUNCTIONS:
            continue
        hosted = _hosted(tool, losses) if is_alone else None
        if hosted is None:
            losses.append(Loss(tool.raw.what if tool.raw else tool.name or tool.kind.value))
        elif hosted not in written:
            written.append(hosted)
    return written, losses


def write_choice(request: Request, names: ToolNames) -> dict[str, Any] | None:
    """The ``functionCallingConfig``; None when there is nothing to choose or to say."""
    choice, functions = request.tool_choice, functions_of(request)
    if choice is None or not functions:
        return None
    spaces = {tool.name: tool.namespace for tool in reversed(functions)}
    only = [names.there(name, spaces[name]) for name in choice.only if name in spaces]
    if choice.mode is Choosing.NONE or not only:
        return {"mode": _MODES[choice.mode]}
    # AUTO with names is refused; VALIDATED leaves the choice to the model just the same.
    mode = "VALIDATED" if choice.mode is Choosing.AUTO else "ANY"
    return {"mode": mode, "allowedFunctionNames": only}


def _mentioned(request: Request) -> list[tuple[str, str]]:
    found = [(tool.name, tool.namespace) for tool in functions_of(request)]
    for turn in request.turns:
        found += [(p.name, p.namespace) for p in turn.parts if isinstance(p, ToolCall)]
    return found


def _declared(tool: Tool, target: Target, names: ToolNames) -> dict[str, Any]:
    written: dict[str, Any] = {"name": names.there(tool.name, tool.namespace)}
    is_custom = tool.kind is ToolKind.CUSTOM
    description = described(tool) if is_custom else tool.description
    if description:
        written["description"] = description
    arguments = CUSTOM_SCHEMA if is_custom else tool.schema
    if arguments is None:
        return written
    # The JSON form keeps references, maps, tuples and numbers in an enum, which the older form
    # has to put into words; but hosts other than Google's own may know the older form alone.
    top = schema.for_claude(arguments)  # an object, with no union at its top
    if target.is_official:
        return written | {"parametersJsonSchema": schema.for_gemini_json(top)}
    return written | {"parameters": schema.for_gemini(top)}


def _hosted(tool: Tool, losses: list[Loss]) -> dict[str, Any] | None:
    """A tool the service runs; None when it has no such tool."""
    match tool.kind:
        case ToolKind.WEB_SEARCH:
            losses += [Loss(option) for option in tool.options]
            return {"googleSearch": {}}
        case ToolKind.CODE_EXECUTION:
            return {"codeExecution": {}}
        case _:
            own = tool.raw is not None and tool.raw.protocol == PROTOCOL
            return dict(tool.raw.raw) if own and tool.raw else None
