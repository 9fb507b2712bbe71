"""JSON Schema for each protocol: every rule of its own, and whatever else a schema may be."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from google.genai import types
from hypothesis import given, settings
from hypothesis import strategies as st

from app.protocols import schema

OPEN_API = frozenset(
    [
        "type",
        "format",
        "title",
        "description",
        "nullable",
        "enum",
        "items",
        "minItems",
        "maxItems",
        "properties",
        "required",
        "minProperties",
        "maxProperties",
        "minLength",
        "maxLength",
        "pattern",
        "minimum",
        "maximum",
        "anyOf",
        "propertyOrdering",
        "default",
        "example",
    ]
)
JSON_FORM = frozenset(
    [
        "$defs",
        "$ref",
        "type",
        "format",
        "title",
        "description",
        "enum",
        "items",
        "prefixItems",
        "minItems",
        "maxItems",
        "minimum",
        "maximum",
        "anyOf",
        "oneOf",
        "properties",
        "additionalProperties",
        "required",
        "propertyOrdering",
    ]
)


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


STRING = {"type": "string"}
INTEGER = {"type": "integer"}
NODE = {
    "type": "object",
    "description": "a node",
    "properties": {"next": {"$ref": "#/$defs/node"}},
}

# what a property becomes in `parameters`, and in `parametersJsonSchema`
ROWS: list[tuple[str, Any, Any, Any]] = [
    (
        "marks",
        {"$schema": "x", "$id": "y", "$comment": "z", "$anchor": "a", "id": "b", "type": "string"},
        {"type": "STRING"},
        STRING,
    ),
    (
        "additionalProperties",
        {"type": "object", "additionalProperties": False},
        {"type": "OBJECT"},
        {"type": "object", "additionalProperties": False},
    ),
    (
        "map",
        {"type": "object", "additionalProperties": INTEGER},
        {"type": "OBJECT", "description": "A map from names to values of type integer."},
        {"type": "object", "additionalProperties": INTEGER},
    ),
    (
        "dropped",
        {
            "type": "object",
            "propertyNames": STRING,
            "patternProperties": {"a": STRING},
            "unevaluatedProperties": False,
            "dependentRequired": {"a": ["b"]},
            "dependentSchemas": {"a": {}},
        },
        {"type": "OBJECT"},
        {"type": "object"},
    ),
    ("const", {"const": "x"}, {"type": "STRING", "enum": ["x"]}, {"type": "string", "enum": ["x"]}),
    (
        "const number",
        {"const": 7},
        {"type": "INTEGER", "description": "Allowed values: 7."},
        {"type": "integer", "enum": [7]},
    ),
    (
        "const boolean",
        {"const": True},
        {"type": "BOOLEAN", "description": "Allowed values: True."},
        {"type": "boolean", "description": "Allowed values: True."},
    ),
    (
        "enum without type",
        {"enum": ["a", "b"]},
        {"type": "STRING", "enum": ["a", "b"]},
        {"type": "string", "enum": ["a", "b"]},
    ),
    (
        "integer enum",
        {"type": "integer", "enum": [1, 2], "description": "How many."},
        {"type": "INTEGER", "description": "How many. Allowed values: 1, 2."},
        {"type": "integer", "enum": [1, 2], "description": "How many."},
    ),
    (
        "enum with null",
        {"type": "string", "enum": ["a", None]},
        {"type": "STRING", "enum": ["a"], "nullable": True},
        {"type": ["string", "null"], "enum": ["a", None]},
    ),
    (
        "nullable type",
        {"type": ["string", "null"]},
        {"type": "STRING", "nullable": True},
        {"type": ["string", "null"]},
    ),
    (
        "two types",
        {"type": ["string", "integer"], "minimum": 1},
        {"anyOf": [{"type": "STRING"}, {"type": "INTEGER", "minimum": 1}]},
        {"type": ["string", "integer"], "minimum": 1},
    ),
    (
        "nullable union",
        {"anyOf": [STRING, {"type": "null"}], "description": "d"},
        {"type": "STRING", "nullable": True, "description": "d"},
        {"anyOf": [STRING, {"type": "null"}], "description": "d"},
    ),
    (
        "nullable union of two",
        {"anyOf": [STRING, INTEGER, {"type": "null"}]},
        {"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}], "nullable": True},
        {"anyOf": [STRING, INTEGER, {"type": "null"}]},
    ),
    (
        "oneOf",
        {"oneOf": [STRING, {"enum": ["a"]}]},
        {"anyOf": [{"type": "STRING"}, {"type": "STRING", "enum": ["a"]}]},
        {"oneOf": [STRING, {"type": "string", "enum": ["a"]}]},
    ),
    (
        "allOf",
        {
            "allOf": [
                of(a=STRING) | {"required": ["a"]},
                of(b=INTEGER) | {"required": ["b"]},
            ]
        },
        {
            "type": "OBJECT",
            "properties": {"a": {"type": "STRING"}, "b": {"type": "INTEGER"}},
            "required": ["b", "a"],
        },
        of(a=STRING, b=INTEGER) | {"required": ["b", "a"]},
    ),
    (
        "not",
        {"type": "string", "not": {"const": "x"}},
        {"type": "STRING", "description": "It must not match a further schema."},
        {"type": "string", "description": "It must not match a further schema."},
    ),
    (
        "anyOf beside items",
        {"type": "array", "items": STRING, "anyOf": [{"minItems": 1}, {"maxItems": 3}]},
        {
            "anyOf": [
                {"type": "ARRAY", "minItems": 1, "items": {"type": "STRING"}},
                {"type": "ARRAY", "maxItems": 3, "items": {"type": "STRING"}},
            ]
        },
        {
            "type": "array",
            "items": STRING,
            "anyOf": [
                {"type": "array", "minItems": 1, "items": STRING},
                {"type": "array", "maxItems": 3, "items": STRING},
            ],
        },
    ),
    (
        "no type, properties",
        {"properties": {"a": STRING}},
        {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}},
        of(a=STRING),
    ),
    (
        "no type, items",
        {"items": INTEGER},
        {"type": "ARRAY", "items": {"type": "INTEGER"}},
        {"type": "array", "items": INTEGER},
    ),
    ("no type, words", {"description": "d"}, {"type": "STRING", "description": "d"}, None),
    (
        "array without items",
        {"type": "array"},
        {"type": "ARRAY", "items": {"type": "STRING"}},
        {"type": "array", "items": STRING},
    ),
    ("no properties", {"type": "object", "properties": {}}, {"type": "OBJECT"}, None),
    (
        "exclusive bounds of integers",
        {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 10},
        {"type": "INTEGER", "minimum": 1, "maximum": 9},
        {"type": "integer", "minimum": 1, "maximum": 9},
    ),
    (
        "exclusive bounds of numbers",
        {"type": "number", "exclusiveMinimum": 0},
        {"type": "NUMBER", "description": "Must be greater than 0."},
        {"type": "number", "description": "Must be greater than 0."},
    ),
    (
        "older exclusive bounds",
        {"type": "integer", "minimum": 3, "exclusiveMinimum": True},
        {"type": "INTEGER", "minimum": 4},
        {"type": "integer", "minimum": 4},
    ),
    (
        "unknown keywords",
        {
            "type": "string",
            "multipleOf": 2,
            "uniqueItems": True,
            "contentEncoding": "base64",
            "examples": ["x"],
            "deprecated": True,
            "readOnly": True,
            "x-order": 1,
        },
        {"type": "STRING"},
        STRING,
    ),
    (
        "formats",
        {"type": "string", "format": "uri"},
        {"type": "STRING"},
        STRING,
    ),
    (
        "known format",
        {"type": "string", "format": "date-time"},
        {"type": "STRING", "format": "date-time"},
        {"type": "string", "format": "date-time"},
    ),
    (
        "kept",
        {"type": "string", "minLength": 1, "maxLength": 9, "pattern": "a+", "default": "a"},
        {"type": "STRING", "minLength": 1, "maxLength": 9, "pattern": "a+", "default": "a"},
        {"type": "string", "description": "minLength: 1. maxLength: 9. pattern: a+."},
    ),
    (
        "required ghost",
        of(a=STRING) | {"required": ["a", "ghost"]},
        {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}, "required": ["a"]},
        of(a=STRING) | {"required": ["a"]},
    ),
    (
        "only ghosts",
        {"type": "object", "required": ["ghost"]},
        {"type": "OBJECT"},
        {"type": "object"},
    ),
    (
        "tuple",
        {"type": "array", "items": [STRING, INTEGER]},
        {"type": "ARRAY", "items": {"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}]}},
        {"type": "array", "prefixItems": [STRING, INTEGER]},
    ),
    (
        "prefixItems",
        {"type": "array", "prefixItems": [STRING, STRING]},
        {"type": "ARRAY", "items": {"type": "STRING"}},
        {"type": "array", "prefixItems": [STRING, STRING]},
    ),
    ("true", True, {"type": "OBJECT"}, {}),
    (
        "names like keywords",
        of(type=STRING, const=INTEGER, additionalProperties=STRING, **{"$ref": STRING}),
        {
            "type": "OBJECT",
            "properties": {
                "type": {"type": "STRING"},
                "const": {"type": "INTEGER"},
                "additionalProperties": {"type": "STRING"},
                "$ref": {"type": "STRING"},
            },
        },
        of(type=STRING, const=INTEGER, additionalProperties=STRING, **{"$ref": STRING}),
    ),
]


@pytest.mark.parametrize(
    ("given_schema", "old"), [row[1:3] for row in ROWS], ids=[r[0] for r in ROWS]
)
def test_a_keyword_for_parameters(given_schema: Any, old: Any) -> None:
    assert schema.for_gemini(of(p=given_schema)) == {"type": "OBJECT", "properties": {"p": old}}


NEW = [row for row in ROWS if row[3] is not None]


@pytest.mark.parametrize(
    ("given_schema", "new"), [(r[1], r[3]) for r in NEW], ids=[r[0] for r in NEW]
)
def test_a_keyword_for_the_json_form(given_schema: Any, new: Any) -> None:
    assert schema.for_gemini_json(of(p=given_schema)) == of(p=new)


def test_a_forbidden_property_is_left_out() -> None:
    asked = of(a=False, b=STRING) | {"required": ["a", "b"]}
    assert schema.for_gemini_json(asked) == of(b=STRING) | {"required": ["b"]}
    assert schema.for_gemini(asked)["required"] == ["b"]


def test_a_reference_used_twice_is_copied_twice() -> None:
    asked = of(a={"$ref": "#/definitions/s"}, b={"$ref": "#/definitions/s", "description": "d"})
    asked["definitions"] = {"s": STRING, "unused": INTEGER}
    assert schema.for_gemini(asked)["properties"] == {
        "a": {"type": "STRING"},
        "b": {"type": "STRING", "description": "d"},
    }
    link = {"$ref": "#/$defs/s"}
    found = schema.for_gemini_json(asked)
    assert found["properties"] == {"a": link, "b": {"anyOf": [link], "description": "d"}}
    assert found["$defs"] == {"s": STRING}


def test_a_loop_is_cut_after_one_round() -> None:
    asked = of(first={"$ref": "#/$defs/node"}) | {"$defs": {"node": NODE}}
    stub = {"type": "OBJECT", "description": "a node"}
    assert schema.for_gemini(asked)["properties"]["first"] == {
        **stub,
        "properties": {"next": stub},
    }
    # a loop through an optional property may stay
    assert schema.for_gemini_json(asked) == asked


def test_a_loop_of_required_members_is_cut() -> None:
    node = {**NODE, "required": ["next"]}
    asked = of(first={"$ref": "#/$defs/node"}) | {"$defs": {"node": node}, "required": ["first"]}
    found = schema.for_gemini_json(asked)
    assert found["$defs"]["node"]["properties"]["next"] == {"type": "object"}
    pair = {
        "a": of(b={"$ref": "#/$defs/b"}) | {"required": ["b"]},
        "b": of(a={"$ref": "#/$defs/a"}) | {"required": ["a"]},
    }
    both = schema.for_gemini_json(of(x={"$ref": "#/$defs/a"}) | {"$defs": pair})
    assert both["$defs"]["a"]["properties"]["b"] == {"$ref": "#/$defs/b"}
    assert both["$defs"]["b"]["properties"]["a"] == {"type": "object"}


@pytest.mark.parametrize("ref", ["#", "#/", "#/nowhere", "http://127.0.0.1/x", "#/$defs/~2", ""])
def test_a_reference_that_leads_nowhere_is_an_object(ref: str) -> None:
    asked = of(a={"$ref": ref})
    assert schema.for_gemini(asked)["properties"] == {"a": {"type": "OBJECT"}}
    assert schema.for_gemini_json(asked)["properties"] == {"a": {"type": "object"}}


def test_references_that_multiply_end() -> None:
    levels = {
        f"d{n}": of(a={"$ref": f"#/$defs/d{n + 1}"}, b={"$ref": f"#/$defs/d{n + 1}"})
        for n in range(30)
    }
    asked = of(x={"$ref": "#/$defs/d0"}) | {"$defs": levels}
    assert allowed(schema.for_gemini(asked), OPEN_API)
    assert allowed(schema.for_gemini_json(asked), JSON_FORM)


def test_nesting_without_end_ends() -> None:
    asked: dict[str, Any] = STRING
    for _ in range(400):
        asked = {"type": "array", "items": asked}
    for change in (schema.for_gemini, schema.for_gemini_json, schema.strict, schema.from_gemini):
        assert change(asked)


def test_claude_gets_no_union_at_the_top() -> None:
    one = of(kind={"const": "a"}, x=STRING) | {"required": ["kind", "x"]}
    two = of(kind={"const": "b"}, y=STRING) | {"required": ["kind", "y"]}
    for union in ("anyOf", "oneOf"):
        found = schema.for_claude({union: [one, {"$ref": "#/$defs/two"}], "$defs": {"two": two}})
        assert found == {
            "type": "object",
            "properties": {
                "kind": {"anyOf": [{"const": "a"}, {"const": "b"}]},
                "x": STRING,
                "y": STRING,
            },
            "required": ["kind"],
            "$defs": {"two": two},
        }


def test_claude_gets_an_object_whatever_was_given() -> None:
    for nothing in (None, True, {}, 7, {"type": "string"}, {"type": ["object", "null"]}):
        found = schema.for_claude(nothing)
        assert (found["type"], found["properties"]) == ("object", {})
    whole = of(a={"anyOf": [STRING, INTEGER]}) | {"required": ["a"], "additionalProperties": False}
    assert schema.for_claude(whole) == whole
    merged = schema.for_claude({"allOf": [of(a=STRING), of(b=STRING)]})
    assert set(merged["properties"]) == {"a", "b"}


def test_strict_closes_and_requires_everything() -> None:
    asked = of(a=STRING, b=of(c=INTEGER), d={"anyOf": [STRING, {"type": "null"}]})
    asked["required"] = ["b"]
    found = schema.strict(asked)
    assert found["required"] == ["b", "a", "d"]
    assert found["additionalProperties"] is False
    assert found["properties"] == {
        "a": {"type": ["string", "null"]},
        "b": {
            "type": "object",
            "properties": {"c": {"type": ["integer", "null"]}},
            "required": ["c"],
            "additionalProperties": False,
        },
        "d": {"anyOf": [STRING, {"type": "null"}]},
    }
    assert schema.is_strict(found)
    assert not schema.is_strict(asked)


def test_closed_leaves_maps_and_optional_members_alone() -> None:
    asked = of(a={"type": "object", "additionalProperties": INTEGER}, b=STRING)
    assert schema.closed(asked) == {**asked, "additionalProperties": False}


def test_a_gemini_schema_becomes_json_schema() -> None:
    asked = {
        "type": "OBJECT",
        "properties": {
            "type": {"type": "STRING", "nullable": True, "example": "x"},
            "nullable": {"type": "INTEGER", "format": "int32"},
            "list": {"type": "ARRAY", "items": {"type": "NUMBER"}, "minItems": "2"},
            "pick": {"type": "STRING", "format": "enum", "enum": ["a"], "nullable": True},
            "any": {"any_of": [{"type": "STRING"}, {"type": "BOOLEAN"}], "nullable": True},
            "vague": {"type": "TYPE_UNSPECIFIED", "nullable": True},
        },
        "propertyOrdering": ["type"],
        "required": ["type"],
    }
    assert schema.from_gemini(asked) == {
        "type": "object",
        "properties": {
            "type": {"type": ["string", "null"]},
            "nullable": {"type": "integer", "format": "int32"},
            "list": {"type": "array", "items": {"type": "number"}, "minItems": 2},
            "pick": {"type": ["string", "null"], "enum": ["a", None]},
            "any": {"anyOf": [STRING, {"type": "boolean"}, {"type": "null"}]},
            "vague": {},
        },
        "required": ["type"],
    }


def allowed(node: Any, keywords: frozenset[str]) -> bool:
    """Whether a schema holds known keywords alone, in every schema inside of it."""
    assert isinstance(node, dict)
    assert node.keys() <= keywords, node.keys() - keywords
    if keywords is OPEN_API:
        assert ("type" in node) is not ("anyOf" in node)
        assert ("items" in node) is (node.get("type") == "ARRAY")
        assert all(isinstance(word, str) and word for word in node.get("enum", ()))
    if "$ref" in node:
        assert node.keys() == {"$ref"}
    assert set(node.get("required", ())) <= set(node.get("properties", ()))
    inner = [node[name] for name in ("items",) if name in node]
    inner += [one for name in ("anyOf", "oneOf", "prefixItems") for one in node.get(name, ())]
    inner += [one for name in ("properties", "$defs") for one in node.get(name, {}).values()]
    if isinstance(node.get("additionalProperties"), dict):
        inner.append(node["additionalProperties"])
    return all(allowed(one, keywords) for one in inner)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
TYPES = st.sampled_from(["string", "integer", "object", "array", "null", "OBJECT", "odd"])
REFS = st.sampled_from(["#", "#/$defs/a", "#/definitions/b", "#/properties/type", "x"])


def _node(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    named = st.dictionaries(st.sampled_from(["type", "a", "b", "$ref", "items"]), inner, max_size=3)
    several = st.lists(inner, max_size=3)
    texts = st.lists(st.sampled_from(["type", "a", "zz"]), max_size=3)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": TYPES | st.lists(TYPES, max_size=3) | inner,
            "properties": named | inner,
            "required": texts | inner,
            "items": inner | several,
            "anyOf": several | inner,
            "oneOf": several,
            "allOf": several | inner,
            "$ref": REFS | inner,
            "$defs": named,
            "definitions": named,
            "enum": st.lists(SCALARS, max_size=3) | inner,
            "const": inner,
            "nullable": SCALARS,
            "not": inner,
            "minimum": SCALARS,
            "exclusiveMinimum": SCALARS,
            "minLength": SCALARS,
            "default": inner,
            "description": SCALARS,
            "additionalProperties": inner,
            "prefixItems": several,
            "format": SCALARS,
        },
    )


SCHEMAS = st.recursive(SCALARS, _node, max_leaves=12)


@given(asked=SCHEMAS)
@settings(max_examples=150, deadline=None)
def test_whatever_comes_only_known_keywords_go(asked: Any) -> None:
    before = copy.deepcopy(asked)
    written = schema.for_gemini(asked)
    assert allowed(written, OPEN_API)
    types.Schema.model_validate(written)  # the SDK's own type agrees
    assert allowed(schema.for_gemini_json(asked), JSON_FORM)
    top = schema.for_claude(asked)
    assert top["type"] == "object"
    assert not top.keys() & {"anyOf", "oneOf", "allOf", "$ref"}
    for change in (schema.strict, schema.closed, schema.from_gemini):
        assert isinstance(change(asked), dict)
    assert repr(asked) == repr(before)
