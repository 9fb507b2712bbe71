"""Single keywords of JSON Schema, as far as Gemini takes their values; the rest in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, TypeGuard

from app.protocols.schema_merge import Node, names_of, node_of, types_of

_FORMATS = {
    "string": frozenset({"date-time"}),
    "integer": frozenset({"int32", "int64"}),
    "number": frozenset({"float", "double"}),
}
_SIGNS = {  # what tells the type of a node that does not say it
    "object": ("properties", "additionalProperties", "required", "patternProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"),
    "string": ("pattern", "minLength", "maxLength", "format", "contentEncoding"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
_BOUNDS = (("exclusiveMinimum", "minimum", 1), ("exclusiveMaximum", "maximum", -1))


def spoken(node: Node, *, numbers: bool = False) -> tuple[Node, list[str]]:
    """A node whose ``const`` and ``enum`` Gemini takes, and in words what it does not.

    Args:
        node: without reference and ``allOf``.
        numbers: whether an ``enum`` may hold numbers and null.
    """
    node = dict(node)
    hints: list[str] = []
    if "const" in node:
        node["enum"] = [node.pop("const")]
    values = node.pop("enum", None)
    if isinstance(values, list) and values:
        _set_enum(node, distinct(values), hints, numbers)
    for name, words in (
        ("not", "must not match"),
        ("contains", "must contain"),
        ("if", "under a condition,"),
    ):
        if isinstance(node.pop(name, None), dict):
            hints.append(f"It {words} a further schema.")
    return node, hints


def _set_enum(node: Node, values: list[Any], hints: list[str], numbers: bool) -> None:
    types = types_of(node)
    solid = [value for value in values if value is not None]
    if not types:
        kinds = dict.fromkeys(_kind(value) for value in values)
        node["type"] = types = list(kinds)
    elif len(solid) < len(values) and "null" not in types:
        node["type"] = types = [*types, "null"]
    if not solid:
        return
    words = [value for value in solid if isinstance(value, str) and value]
    plain = (str, int, float) if numbers else str
    takes = all(isinstance(value, plain) and not isinstance(value, bool) for value in solid)
    if numbers and takes:
        node["enum"] = values
    elif takes and len(words) == len(solid) and set(types) <= {"string", "null"}:
        node["enum"] = words
    else:
        hints.append("Allowed values: " + ", ".join(_shown(value) for value in solid) + ".")


def union_of(node: Node) -> tuple[list[Node] | None, bool]:
    """The branches of a node's union without null; whether null was one of them."""
    for union in ("anyOf", "oneOf"):
        if isinstance(node.get(union), list):
            found = [node_of(one) for one in node[union]]
            solid = [one for one in found if not _is_null(one)]
            return solid, len(solid) < len(found)
    return None, False


def _is_null(node: Node) -> bool:
    if "const" in node:
        return node["const"] is None
    return types_of(node) == ["null"] or node.get("enum") == [None]


def guess(node: Node) -> str:
    """The type of a node that does not say it."""
    for kind, signs in _SIGNS.items():
        if any(sign in node for sign in signs):
            return kind
    return "string" if words_of(node) else "object"


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def simple(
    node: Node, kind: str, hints: list[str], names: Iterable[str]
) -> Iterator[tuple[str, Any]]:
    """The keywords of one type that hold no schema, as far as their values are sound."""
    node = _bounded(node, kind, hints)
    for name in names:
        value = node.get(name)
        if name == "pattern":
            if isinstance(value, str):
                yield name, value
        elif _is_number(value) and (kind in ("number", "integer") or _is_count(value)):
            yield name, value
    if node.get("format") in _FORMATS.get(kind, ()):
        yield "format", node["format"]
    if node.get("default") is not None and _fits(node["default"], kind):
        yield "default", node["default"]


def _bounded(node: Node, kind: str, hints: list[str]) -> Node:
    """Exclusive bounds as inclusive ones; only whole numbers have a next one."""
    if kind not in ("integer", "number"):
        return node
    node = dict(node)
    for exclusive, inclusive, step in _BOUNDS:
        edge = node.get(exclusive)
        if edge is True:  # the older form: a mark on the inclusive bound
            edge = node.pop(inclusive, None)
        if not _is_number(edge):
            continue
        if kind == "integer":
            moved: float = (math.floor(edge) if step > 0 else math.ceil(edge)) + step
            said = node.get(inclusive)
            if _is_number(said):
                moved = max(said, moved) if step > 0 else min(said, moved)
            node[inclusive] = moved
        else:
            word = "greater" if step > 0 else "less"
            hints.append(f"Must be {word} than {edge}.")
    return node


def require(written: Node, node: Node, properties: Node) -> None:
    """Write the members of an object; no name is required that is not among them."""
    if properties:
        written["properties"] = properties
    for name in ("required", "propertyOrdering"):
        kept = [one for one in names_of(node.get(name)) if one in properties]
        if kept:
            written[name] = kept


def describe(written: Node, node: Node, hints: list[str]) -> None:
    """Write title and description, with what could only be said in words."""
    if isinstance(node.get("title"), str):
        written["title"] = node["title"]
    words = " ".join([*([words_of(node)] if words_of(node) else []), *dict.fromkeys(hints)])
    if words:
        written["description"] = words


def described(written: Node, node: Node) -> Node:
    """``written`` with the title and description of ``node``."""
    describe(written, node, [])
    return written


def told(node: Node, hints: list[str]) -> Node:
    """``node`` with the hints at the end of its description."""
    describe(node, dict(node), hints)
    return node


def words_of(node: Node) -> str:
    """The description of a node; empty for none."""
    said = node.get("description")
    return said if isinstance(said, str) else ""


def distinct(values: list[Any]) -> list[Any]:
    """The values, each once; ``1``, ``1.0`` and ``true`` are three."""
    kept: list[Any] = []
    for value in values:
        if not any(type(value) is type(one) and value == one for one in kept):
            kept.append(value)
    return kept


def _is_number(value: object) -> TypeGuard[int | float]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 2**63 and math.isfinite(value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and value >= 0


def _fits(value: object, kind: str) -> bool:
    return _kind(value) == kind or (kind == "number" and _kind(value) == "integer")


def _shown(value: object) -> str:
    return value if isinstance(value, str) and value else repr(value)


def escaped(name: str) -> str:
    """A name as a step of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")
