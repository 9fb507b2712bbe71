from __future__ import annotations

import math
from typing import Any

import pytest

from app.providers.demo_sample import sample_of, vector_of


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "sample"),
        ({"type": "STRING"}, "sample"),
        ({}, "sample"),
        ({"type": "string", "enum": ["red", "blue"]}, "red"),
        ({"type": "string", "minLength": 8}, "samplesample"),
        ({"type": "string", "maxLength": 3}, "sam"),
        ({"type": "string", "minLength": 7, "maxLength": 8}, "samplesa"),
        ({"type": "string", "format": "date"}, "2026-01-31"),
        ({"type": ["null", "integer"], "minimum": 5}, 5),
        ({"type": "number"}, 1),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": ["null"]}, None),
        ({"const": 7}, 7),
        ({"default": "d", "type": "string"}, "d"),
        ({"type": "array", "items": {"type": "integer"}}, [1]),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 3}, [1, 1, 1]),
        ({"type": "array", "minItems": -1}, ["sample"]),
        ({"anyOf": [{"type": "null"}, {"type": "boolean"}]}, True),
        ({"oneOf": [{"type": "null"}]}, None),
        ({"$ref": "#/$defs/colour"}, "green"),
        ({"$ref": "#/nowhere"}, "sample"),
        (
            {
                "allOf": [
                    {"type": "object", "properties": {"a": {}}, "required": ["a"]},
                    {"properties": {"b": {"type": "integer"}}, "required": ["b"]},
                ]
            },
            {"a": "sample", "b": 1},
        ),
        (
            {"properties": {"x": {"type": "boolean"}}, "required": ["x", "y"]},
            {"x": True, "y": "sample"},
        ),
        ("odd", None),
    ],
)
def test_values_fit_their_schema(schema: object, value: object) -> None:
    root: dict[str, Any] = {
        "type": "object",
        "properties": {"v": schema, "skipped": {}},
        "required": ["v"],
        "$defs": {"colour": {"enum": ["green"]}},
    }
    assert sample_of(root) == {"v": value}


def test_a_schema_without_an_end_is_filled_in_so_far() -> None:
    loop = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}
    depth, value = 0, sample_of(loop)
    while value:
        depth, value = depth + 1, value["next"]
    assert depth == 9


def test_a_schema_of_no_object_gives_no_arguments() -> None:
    assert sample_of({}) == {}
    assert sample_of({"type": "array"}) == {}


@pytest.mark.parametrize("dimensions", [1, 8, 13, 1536])
def test_vectors_have_length_one_and_depend_on_the_text(dimensions: int) -> None:
    vector = vector_of("hello", dimensions)
    assert len(vector) == dimensions
    assert math.isclose(sum(number * number for number in vector), 1.0, rel_tol=1e-5)
    assert vector == vector_of("hello", dimensions)
    assert vector != vector_of("other", dimensions) or dimensions == 1
