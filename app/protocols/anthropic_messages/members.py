"""Members of a client's request, each checked for its type."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from app.errors import BadRequest

Node = dict[str, Any]

T = TypeVar("T")


def wrong(path: str, wanted: str) -> BadRequest:
    """The refusal of a member that has the wrong shape."""
    return BadRequest(f"`{path}` must be {wanted}", details={"param": path})


def node(value: Any, path: str) -> Node:
    """An object."""
    if not isinstance(value, dict):
        raise wrong(path, "an object")
    return value


def text(holder: Node, name: str, path: str) -> str:
    """A text that has to be there."""
    value = holder.get(name)
    if not isinstance(value, str):
        raise wrong(f"{path}.{name}", "a string")
    return value


def maybe(holder: Node, name: str, kind: type[T], path: str) -> T | None:
    """A member of a type, or None when it is absent or null."""
    value = holder.get(name)
    if value is None:
        return None
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise wrong(f"{path}.{name}" if path else name, _WORDS[kind])
    return value


def number(holder: Node, name: str) -> float | None:
    """A number, or None when it is absent or null."""
    value = holder.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong(name, "a number")
    return value


def entries(value: Any, path: str) -> Iterator[tuple[str, Node]]:
    """The objects of a list, each with its path; nothing for null."""
    if value is None:
        return
    if not isinstance(value, list):
        raise wrong(path, "a list")
    for index, entry in enumerate(value):
        place = f"{path}.{index}"
        yield place, node(entry, place)


_WORDS: dict[type, str] = {
    str: "a string",
    bool: "true or false",
    int: "a whole number",
    dict: "an object",
    list: "a list",
}
