"""Made-up values for the demo models, the same every time."""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Mapping
from typing import Any

_DEPTH = 8
"""Schemas may refer to themselves; deeper than this nothing is filled in."""

_WORD = "sample"
_FORMATS: Mapping[str, str] = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "email": "sample@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def sample_of(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments that fit the schema of a function: the required members, first choices taken."""
    value = _sample(schema, schema, 0)
    return value if isinstance(value, dict) else {}


def vector_of(text: str, dimensions: int) -> list[float]:
    """A vector of length 1 that depends on the text alone; each number is a 32-bit float."""
    numbers: list[float] = []
    block = 0
    while len(numbers) < dimensions:
        digest = hashlib.sha256(f"{block}:{text}".encode("utf-8", "replace")).digest()
        numbers += [value / 2**31 for value in struct.unpack(">8i", digest)]
        block += 1
    numbers = numbers[:dimensions]
    length = math.sqrt(sum(number * number for number in numbers)) or 1.0
    packed = struct.pack(f"<{dimensions}f", *(number / length for number in numbers))
    return list(struct.unpack(f"<{dimensions}f", packed))


def _sample(schema: object, root: Mapping[str, Any], depth: int) -> Any:
    if not isinstance(schema, Mapping) or depth > _DEPTH:
        return None
    schema = _resolved(schema, root)
    for name in ("enum", "examples"):
        if isinstance(schema.get(name), list) and schema[name]:
            return schema[name][0]
    for name in ("const", "default", "example"):
        if name in schema:
            return schema[name]
    for name in ("anyOf", "oneOf"):
        choices = schema.get(name)
        if isinstance(choices, list) and choices:
            real = [choice for choice in choices if _type(choice) != "null"]
            return _sample((real or choices)[0], root, depth + 1)
    return _typed(schema, root, depth)


def _typed(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Any:
    match _type(schema):
        case "object":
            members = _mapping(schema.get("properties"))
            required = schema.get("required")
            names = required if isinstance(required, list) else []
            return {name: _sample(members.get(name, {}), root, depth + 1) for name in names}
        case "array":
            count = _whole(schema.get("minItems"), 1)
            items = schema.get("items", {"type": "string"})
            return [_sample(items, root, depth + 1) for _ in range(min(count, 20))]
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return _text(schema)


def _text(schema: Mapping[str, Any]) -> str:
    text = _FORMATS.get(str(schema.get("format")), _WORD)
    least = min(_whole(schema.get("minLength"), 0), 10_000)
    while len(text) < least:
        text += _WORD
    return text[: max(least, _whole(schema.get("maxLength"), len(text)))]


def _resolved(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema a local ``$ref`` points to, and the members of all its ``allOf``."""
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#"):
        target: Any = root
        for step in reference.split("/")[1:]:
            target = _mapping(target).get(step)
        schema = _mapping(target)
    every = schema.get("allOf")
    if not isinstance(every, list):
        return schema
    merged = {name: value for name, value in schema.items() if name != "allOf"}
    for part in every:
        for name, value in _mapping(part).items():
            before = merged.get(name)
            if isinstance(before, dict) and isinstance(value, dict):
                merged[name] = before | value
            elif isinstance(before, list) and isinstance(value, list):
                merged[name] = before + value
            else:
                merged[name] = value
    return merged


def _type(schema: object) -> str:
    """A type in lower case: Gemini writes it in capitals, and a list may name several."""
    kind = _mapping(schema).get("type")
    if isinstance(kind, list):
        kind = next((name for name in kind if name != "null"), "null")
    if kind is None and "properties" in _mapping(schema):
        return "object"
    return str(kind).lower()


def _whole(value: object, default: int) -> int:
    return value if isinstance(value, int) and value >= 0 else default


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
