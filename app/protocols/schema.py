"""JSON Schema for tools and answers, made into what each protocol accepts.

All functions are pure, take any JSON value for a schema, never raise, and leave what they are
given alone. A property is known by where it stands: one that is named like a keyword stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from app.ir.parts import Json
from app.protocols.schema_gemini import json_schema, open_api
from app.protocols.schema_merge import (
    Node,
    Root,
    list_of,
    merged,
    names_of,
    node_of,
    shared_names,
    types_of,
)

_DEPTH = 60
_ONE = ("items", "additionalProperties", "contains", "not", "if", "then", "else", "propertyNames")
_SEVERAL = ("anyOf", "oneOf", "allOf", "prefixItems", "items")
_NAMED = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_SNAKE: Mapping[str, str] = {
    "any_of": "anyOf",
    "min_items": "minItems",
    "max_items": "maxItems",
    "min_length": "minLength",
    "max_length": "maxLength",
    "min_properties": "minProperties",
    "max_properties": "maxProperties",
    "prefix_items": "prefixItems",
    "additional_properties": "additionalProperties",
    "property_ordering": "propertyOrdering",
    "defs": "$defs",
    "ref": "$ref",
}
_COUNTS = frozenset(
    {"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"}
)
_GEMINI_ONLY = frozenset({"propertyOrdering", "example", "nullable"})


def for_gemini(schema: Json) -> dict[str, Json]:
    """A schema for Gemini's ``parameters`` and ``responseSchema``: the OpenAPI subset.

    References are put in place, loops cut; what cannot be said is told in the description.
    """
    return open_api(schema)


def for_gemini_json(schema: Json) -> dict[str, Json]:
    """A schema for Gemini's ``parametersJsonSchema`` and ``responseJsonSchema``."""
    return json_schema(schema)


def for_claude(schema: Json) -> dict[str, Json]:
    """A schema for a tool's arguments: an object with no union at its top.

    The branches of a union are merged; only what all of them require stays required. Claude
    refuses a union there, and Gemini and OpenAI want an object as well.
    """
    root = Root(schema)
    node, seen, _ = root.flat(root.schema, frozenset({"#"}))
    required = names_of(node.get("required"))
    for union in ("anyOf", "oneOf"):
        branches = [root.flat(node_of(one), seen)[0] for one in list_of(node.pop(union, None))]
        objects = [one for one in branches if "object" in types_of(one) or "properties" in one]
        needed = shared_names(one.get("required") for one in objects)
        properties: Node = {}
        for branch in objects:
            for name, value in node_of(branch.get("properties")).items():
                properties[name] = _either(properties[name], value) if name in properties else value
        required = names_of(required + needed)
        node["properties"] = merged(
            {"properties": properties}, {"properties": node_of(node.get("properties"))}
        )["properties"]
    node["properties"] = node_of(node.get("properties"))
    node.pop("required", None)
    if required:
        node["required"] = required
    return {**node, "type": "object"}


def closed(schema: Json) -> dict[str, Json]:
    """The schema with ``additionalProperties: false`` on every object but those that are maps.

    Claude's strict tools and structured output want it.
    """
    return _mapped(node_of(schema), _close, 0)


def strict(schema: Json) -> dict[str, Json]:
    """The schema as OpenAI's strict mode wants it: objects closed, every property required.

    A property that was optional may be null instead.
    """
    return _mapped(node_of(schema), _tighten, 0)


def is_strict(schema: Json) -> bool:
    """Whether OpenAI's strict mode would take a schema as it is."""
    return bool(node_of(schema) == strict(schema))


def from_gemini(schema: Json) -> dict[str, Json]:
    """JSON Schema of a Gemini schema: types in lower case, ``nullable`` as a type of its own."""
    return _mapped(node_of(schema), _plain, 0, before=_camel)


def _mapped(
    node: Node,
    change: Callable[[Node], Node],
    depth: int,
    before: Callable[[Node], Node] = lambda node: node,
) -> Node:
    """Change every schema of a schema, the inner ones first."""
    if depth > _DEPTH:
        return {}

    def inner(value: Any) -> Any:
        return _mapped(value, change, depth + 1, before) if isinstance(value, dict) else value

    whole = before(dict(node))
    for name in _ONE:
        if name in whole:
            whole[name] = inner(whole[name])
    for name in _SEVERAL:
        if isinstance(whole.get(name), list):
            whole[name] = [inner(one) for one in whole[name]]
    for name in _NAMED:
        if isinstance(whole.get(name), dict):
            whole[name] = {key: inner(value) for key, value in whole[name].items()}
    return change(whole)


def _either(one: Any, other: Any) -> Any:
    return one if one == other else {"anyOf": [one, other]}


def _is_object(node: Node) -> bool:
    return "object" in types_of(node) or isinstance(node.get("properties"), dict)


def _close(node: Node) -> Node:
    is_map = isinstance(node.get("additionalProperties"), dict)
    if not _is_object(node) or is_map or "$ref" in node:
        return node
    return {**node, "additionalProperties": False}


def _tighten(node: Node) -> Node:
    node = _close(node)
    properties = node.get("properties")
    if not isinstance(properties, dict) or not _is_object(node):
        return node
    said = names_of(node.get("required"))
    filled = {
        name: value if name in said else _or_null(value) for name, value in properties.items()
    }
    kept = [name for name in said if name in filled]
    return {
        **node,
        "properties": filled,
        "required": kept + [name for name in filled if name not in kept],
    }


def _or_null(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    types = types_of(value)
    if "null" in types:
        return value
    if types and "enum" not in value and "const" not in value:
        return {**value, "type": [*types, "null"]}
    branches = value.get("anyOf")
    if isinstance(branches, list) and not types:
        known = any(isinstance(one, dict) and "null" in types_of(one) for one in branches)
        return value if known else {**value, "anyOf": [*branches, {"type": "null"}]}
    return {"anyOf": [value, {"type": "null"}]}


def _camel(node: Node) -> Node:
    return {_SNAKE.get(name, name): value for name, value in node.items()}


def _plain(node: Node) -> Node:
    kept = {name: value for name, value in node.items() if name not in _GEMINI_ONLY}
    for name in _COUNTS & kept.keys():  # proto JSON writes its 64-bit numbers as text
        if isinstance(kept[name], str) and kept[name].isdecimal():
            kept[name] = int(kept[name])
    if "type" in kept:
        types = types_of(kept)
        kept["type"] = types if len(types) > 1 else "".join(types)
        if not types:
            del kept["type"]
    if kept.get("format") == "enum":  # Gemini's mark of an enum, a format nobody else knows
        del kept["format"]
    return _nullable(kept) if node.get("nullable") is True else kept


def _nullable(node: Node) -> Node:
    branches = node.get("anyOf")
    if isinstance(branches, list):
        return {**node, "anyOf": [*branches, {"type": "null"}]}
    if not (types := types_of(node)):
        return node
    if isinstance(node.get("enum"), list):
        node = {**node, "enum": [*node["enum"], None]}
    return {**node, "type": list(dict.fromkeys([*types, "null"]))}


__all__ = [
    "closed",
    "for_claude",
    "for_gemini",
    "for_gemini_json",
    "from_gemini",
    "is_strict",
    "strict",
]
