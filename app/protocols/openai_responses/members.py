"""Typed readings of the members of a request; what is null counts as left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from app.errors import BadRequest

T = TypeVar("T")

_WORDS: Mapping[object, str] = {
    str: "a string",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    dict: "an object",
    list: "a list",
}


def place(where: str, name: str) -> str:
    """The path of a member, as messages name it."""
    return f"{where}.{name}" if where else name


def member(holder: Mapping[str, Any], name: str, kind: type[T], where: str = "") -> T | None:
    """A member of one type; None when it is absent or null.

    Raises:
        BadRequest: it has another type; the message names it.
    """
    value = holder.get(name)
    if value is None:
        return None
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise mistyped(place(where, name), _WORDS[kind])
    return value


def text(holder: Mapping[str, Any], name: str, where: str = "") -> str:
    """A string; empty when it is absent or null.

    Raises:
        BadRequest: it is something else.
    """
    return member(holder, name, str, where) or ""


def needed(holder: Mapping[str, Any], name: str, where: str = "") -> str:
    """A string that must be there and say something.

    Raises:
        BadRequest: it does not.
    """
    value = text(holder, name, where)
    if not value:
        path = place(where, name)
        raise BadRequest(f"`{path}` is missing", details={"param": path})
    return value


def objects(value: object, where: str) -> list[dict[str, Any]]:
    """A list of objects.

    Raises:
        BadRequest: it is no list, or one of its entries is no object.
    """
    if not isinstance(value, list):
        raise mistyped(where, "a list")
    for index, entry in enumerate(value):
        if not isinstance(entry, dict):
            raise mistyped(f"{where}[{index}]", "an object")
    return value


def mistyped(where: str, wanted: str) -> BadRequest:
    """The error of a member of the wrong type."""
    return BadRequest(f"`{where}` must be {wanted}", details={"param": where})
