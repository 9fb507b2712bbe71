"""Tool names that a target accepts, and the way back to the client's own.

A name can be too long, hold a letter the target refuses, or sit in a namespace the target has
no word for. A name that is fine as it is stays; others are mended and kept apart, in tools,
choices, history and answers alike.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from app.ir.events import Delta, Event, Open, PartKind, Shut
from app.ir.parts import ToolCall
from app.ir.request import Request, Tool, ToolKind

_DIGEST = 8


@dataclass(frozen=True, slots=True)
class Called:
    """Which of the client's tools a call means."""

    name: str
    namespace: str = ""
    custom: bool = False


class ToolNames:
    """The names of one request's tools, there and back."""

    def __init__(self, there: dict[tuple[str, str], str], back: dict[str, Called]) -> None:
        self._there = there
        self._back = back

    def there(self, name: str, namespace: str = "") -> str:
        """The target's name of a client's tool."""
        return self._there.get((namespace, name)) or self._there.get(("", name)) or name

    def back(self, name: str) -> Called:
        """The client's tool behind a name that the target used."""
        return self._back.get(name) or Called(name)

    @property
    def has_changed(self) -> bool:
        """Whether ``restore`` has anything to do."""
        return any(called != Called(name) for name, called in self._back.items())

    def restore(self, events: Iterable[Event]) -> Iterator[Event]:
        """Give the calls of an answer the client's names, and custom tools their free text.

        The argument of a custom tool arrives as ``{"input": "..."}`` and is held back until it
        is whole.
        """
        held: list[str] | None = None
        for event in events:
            match event:
                case Open(kind=PartKind.TOOL_CALL):
                    called = self.back(event.name)
                    held = [] if called.custom and not event.custom else None
                    yield replace(
                        event,
                        name=called.name,
                        namespace=called.namespace or event.namespace,
                        custom=called.custom or event.custom,
                    )
                case Delta() if held is not None:
                    held.append(event.text)
                case Shut() if held is not None:
                    yield Delta(free_text("".join(held)))
                    held = None
                    yield event
                case _:
                    yield event


NO_NAMES = ToolNames({}, {})


def name_tools(
    request: Request, *, limit: int, allowed: str, keeps_namespaces: bool = False
) -> ToolNames:
    """Find names a target accepts for all tools of a request, those in its history included.

    Args:
        request: whose tools and calls.
        limit: most letters of a name.
        allowed: the letters of a name, as the inside of a character class.
        keeps_namespaces: the target has namespaces of its own, and custom tools.
    """
    refused = re.compile(f"[^{allowed}]")
    there: dict[tuple[str, str], str] = {}
    back: dict[str, Called] = {}
    for called in _mentioned(request):
        key = (called.namespace, called.name)
        if key in there:
            continue
        whole = called.name
        if called.namespace and not keeps_namespaces:
            whole = f"{called.namespace}__{called.name}"
        name = _fitting(refused.sub("_", whole), whole, limit, back)
        there[key] = name
        back[name] = Called(called.name, called.namespace, called.custom and not keeps_namespaces)
    return ToolNames(there, back)


def _mentioned(request: Request) -> Iterator[Called]:
    for tool in request.tools:
        if tool.kind in (ToolKind.FUNCTION, ToolKind.CUSTOM):
            yield Called(tool.name, tool.namespace, tool.kind is ToolKind.CUSTOM)
    for turn in request.turns:
        for part in turn.parts:
            if isinstance(part, ToolCall):
                yield Called(part.name, part.namespace, part.custom)


def _fitting(mended: str, whole: str, limit: int, taken: dict[str, Called]) -> str:
    if mended == whole and len(mended) <= limit and mended not in taken:
        return mended
    digest = hashlib.sha256(whole.encode(errors="surrogatepass")).hexdigest()[:_DIGEST]
    if len(mended) <= limit and mended not in taken:
        return mended
    return f"{mended[: limit - _DIGEST - 1]}_{digest}"


def free_text(arguments: str) -> str:
    """The text inside a custom tool's wrapped argument; what is no such wrapper stays as it is."""
    try:
        document = json.loads(arguments)
    except ValueError:
        return arguments
    text = document.get("input") if isinstance(document, dict) else None
    return text if isinstance(text, str) else arguments


def wrapped(text: str) -> str:
    """Free text of a custom tool as the argument of a function."""
    return json.dumps({"input": text}, ensure_ascii=False)


CUSTOM_SCHEMA = {
    "type": "object",
    "properties": {"input": {"type": "string", "description": "The tool's whole input."}},
    "required": ["input"],
    "additionalProperties": False,
}
"""What a custom tool's argument looks like where there are only functions."""


def described(tool: Tool) -> str:
    """A custom tool's description where its format cannot be said otherwise."""
    form = tool.options.get("format")
    if not isinstance(form, dict) or form.get("type") != "grammar":
        return tool.description
    return (
        f"{tool.description}\n\nThe input must follow this {form.get('syntax', '')} grammar:\n"
        f"{form.get('definition', '')}"
    )
