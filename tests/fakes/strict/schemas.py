"""What the services demand of JSON Schemas."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.fakes.strict.shape import (
    At,
    Check,
    anything,
    flag,
    list_of,
    map_,
    map_of,
    number,
    one_of,
    text,
)

# Google's `Schema` message, see protocols reference 5.4.
_TYPES = ("STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL")
_STRING_FORMATS = {"enum", "date-time"}
_NUMBER_FORMATS = {"int32", "int64", "float", "double"}


def _google_type(value: Any, at: At) -> None:
    text()(value, at)
    if value.upper() not in _TYPES:
        at.wrong("one of " + ", ".join(_TYPES), value)


def _length(value: Any, at: At) -> None:
    """A 64-bit count: proto JSON writes it as a string, and takes a number too."""
    if isinstance(value, str) and value.isdecimal():
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        at.wrong("an int64", value)


def openapi_schema(value: Any, at: At) -> None:
    """Hold a schema to the subset that ``parameters`` and ``responseSchema`` know."""
    map_(value, at)
    for name, entry in value.items():
        known = _OPENAPI.get(name)
        if known is None:
            at.unknown(name)
        known(entry, at / name)
    kind = str(value.get("type", "")).upper()
    if not kind and "anyOf" not in value:
        at.refuse(f"* {at}.type: must be specified")
    _kind_fits(value, kind, at)


def _kind_fits(value: dict[str, Any], kind: str, at: At) -> None:
    if kind == "ARRAY" and "items" not in value:
        at.refuse(f"* {at}.items: missing field.")
    if "items" in value and kind != "ARRAY":
        at.refuse(f"* {at}.items: field predicate failed: $type == Type.ARRAY")
    if "properties" in value and kind != "OBJECT":
        at.refuse(f"* {at}.properties: only allowed for OBJECT type")
    if "enum" in value and kind != "STRING":
        at.refuse(f"* {at}.enum: only allowed for STRING type")
    for index, name in enumerate(value.get("required", [])):
        if name not in value.get("properties", {}):
            at.refuse(f"* {at}.required[{index}]: property is not defined")
    form = value.get("format")
    formats = _STRING_FORMATS if kind == "STRING" else _NUMBER_FORMATS
    if form is not None and form not in formats:
        at.refuse(f"* {at}.format: only 'enum' and 'date-time' are supported for STRING type")


def _enum(value: Any, at: At) -> None:
    list_of(text(least=1), least=1)(value, at)


_OPENAPI: dict[str, Check] = {
    "type": _google_type,
    "format": text(),
    "title": text(),
    "description": text(),
    "nullable": flag,
    "enum": _enum,
    "items": openapi_schema,
    "minItems": _length,
    "maxItems": _length,
    "properties": map_of(openapi_schema),
    "required": list_of(text()),
    "minProperties": _length,
    "maxProperties": _length,
    "minLength": _length,
    "maxLength": _length,
    "pattern": text(),
    "minimum": number(),
    "maximum": number(),
    "anyOf": list_of(openapi_schema, least=1),
    "propertyOrdering": list_of(text()),
    "default": anything,
    "example": anything,
}


def google_json_schema(value: Any, at: At) -> None:
    """Hold a schema to what ``parametersJsonSchema`` and ``responseJsonSchema`` know."""
    map_(value, at)
    for name, entry in value.items():
        known = _JSON_SCHEMA.get(name)
        if known is None:
            at.unknown(name)
        known(entry, at / name)
    if "$ref" in value and any(not name.startswith("$") for name in value):
        at.refuse(f"* {at}: a $ref cannot have siblings")
    kinds = value.get("type")
    if "array" in ([kinds] if isinstance(kinds, str) else kinds or []) and not (
        "items" in value or "prefixItems" in value
    ):
        at.refuse(f"* {at}.items: missing field.")
    for index, name in enumerate(value.get("required", [])):
        if name not in value.get("properties", {}):
            at.refuse(f"* {at}.required[{index}]: property is not defined")


def _types(value: Any, at: At) -> None:
    names = ("string", "number", "integer", "boolean", "array", "object", "null")
    if isinstance(value, list):
        list_of(one_of(*names), least=1)(value, at)
    else:
        one_of(*names)(value, at)


def _string_or_number(value: Any, at: At) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, str | int | float)):
        at.wrong("a string or a number", value)


def _schema_or_flag(value: Any, at: At) -> None:
    if not isinstance(value, bool):
        google_json_schema(value, at)


_JSON_SCHEMA: dict[str, Check] = {
    "$id": text(),
    "$defs": map_of(google_json_schema),
    "$ref": text(r"#(/\$defs/.+)?"),
    "$anchor": text(),
    "type": _types,
    "format": text(),
    "title": text(),
    "description": text(),
    "enum": list_of(_string_or_number, least=1),
    "items": google_json_schema,
    "prefixItems": list_of(google_json_schema),
    "minItems": _length,
    "maxItems": _length,
    "minimum": number(),
    "maximum": number(),
    "anyOf": list_of(google_json_schema, least=1),
    "oneOf": list_of(google_json_schema, least=1),
    "properties": map_of(google_json_schema),
    "additionalProperties": _schema_or_flag,
    "required": list_of(text()),
    "propertyOrdering": list_of(text()),
}

# OpenAI and Anthropic take JSON Schema itself.


def argument_schema(value: Any, at: At, tool: str) -> None:
    """Hold a function's parameters to what OpenAI takes: an object schema."""
    map_(value, at)
    if value.get("type") != "object":
        told = value.get("type")
        at.refuse(
            f"Invalid schema for function '{tool}': schema must be a JSON Schema of"
            f" 'type: \"object\"', got 'type: \"{told}\"'.",
            "invalid_function_parameters",
        )
    draft_2020_12(value, at)


def strict_schema(value: Any, at: At, name: str) -> None:
    """Hold a schema to OpenAI's strict mode."""
    for node in _nodes(value):
        if node.get("type") != "object" and "properties" not in node:
            continue
        if node.get("additionalProperties") is not False:
            at.refuse(
                f"Invalid schema for '{name}': In context=(), 'additionalProperties' is required"
                " to be supplied and to be false.",
                "invalid_json_schema",
            )
        if set(node.get("required", [])) != set(node.get("properties", {})):
            at.refuse(
                f"Invalid schema for '{name}': In context=(), 'required' is required to be"
                " supplied and to be an array including every key in properties.",
                "invalid_json_schema",
            )


def references_resolve(value: Any, at: At) -> None:
    """Refuse a ``$ref`` that leads nowhere."""
    for node in _nodes(value):
        target = node.get("$ref")
        if isinstance(target, str) and not _leads_somewhere(value, target):
            at.refuse(f"Invalid schema: reference to unknown definition '{target}'.")


def _leads_somewhere(root: Any, target: str) -> bool:
    here = root
    for step in target.removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(here, dict) or name not in here:
            return False
        here = here[name]
    return target.startswith("#")


_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_MAPS = ("properties", "$defs", "definitions", "patternProperties")
_ONES = ("items", "additionalProperties", "not")


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Every schema inside a schema, itself first; property names are no keywords."""
    if not isinstance(value, dict):
        return
    yield value
    inner: list[Any] = [value.get(name) for name in _ONES]
    for name in _LISTS:
        inner += value.get(name, [])
    for name in _MAPS:
        inner += value.get(name, {}).values()
    for node in inner:
        yield from _nodes(node)


_KINDS = {"string", "number", "integer", "boolean", "array", "object", "null"}


def draft_2020_12(value: Any, at: At) -> None:
    """Refuse what is no JSON Schema of the 2020-12 draft, such as Google's spelling of types."""
    map_(value, at)
    for node in _nodes(value):
        kinds = node.get("type", [])
        for kind in [kinds] if isinstance(kinds, str) else kinds:
            if kind not in _KINDS:
                at.refuse(f"{at}: JSON schema is invalid. {kind!r} is no type of draft 2020-12.")
        if isinstance(node.get("items"), list):
            at.refuse(f"{at}: JSON schema is invalid. `items` must be a schema.")
    references_resolve(value, at)
