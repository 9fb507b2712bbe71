"""Members of a client's request, read with their types; a wrong one is named."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from app.errors import BadRequest


def document_of(body: bytes | bytearray) -> dict[str, Any]:
    """A body as an object; integers of any size stay exact.

    Raises:
        BadRequest: it is no JSON object.
    """
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        document = _lenient(body)
    if not isinstance(document, dict):
        raise BadRequest("the request body must be a JSON object")
    return document


def _lenient(body: bytes | bytearray) -> Any:
    """Halves of surrogate pairs as well: editors cut emoji in two, and providers bear it."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest("the request body is not valid JSON") from None


def refused(where: str, wanted: str) -> BadRequest:
    """Which member is wrong, and what it should be."""
    return BadRequest(f"`{where}` must be {wanted}", details={"param": where})


def text_in(holder: Mapping[str, Any], name: str, at: str = "") -> str:
    """A string; empty when it is missing or null."""
    value = holder.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise refused(at + name, "a string")
    return value


def number_in(holder: Mapping[str, Any], name: str) -> float | None:
    """A number; None when it is missing or null."""
    value = holder.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise refused(name, "a number")
    return value


def count_in(holder: Mapping[str, Any], name: str) -> int | None:
    """A whole number; None when it is missing or null."""
    value = number_in(holder, name)
    if value is None or isinstance(value, int):
        return value
    if not value.is_integer():
        raise refused(name, "a whole number")
    return int(value)


def flag_in(holder: Mapping[str, Any], name: str, at: str = "") -> bool | None:
    """True or false; None when it is missing or null."""
    value = holder.get(name)
    if value is not None and not isinstance(value, bool):
        raise refused(at + name, "true or false")
    return value


def object_in(holder: Mapping[str, Any], name: str, at: str = "") -> dict[str, Any]:
    """An object; an empty one when it is missing or null."""
    value = holder.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise refused(at + name, "an object")
    return value


def objects_in(holder: Mapping[str, Any], name: str, at: str = "") -> Sequence[dict[str, Any]]:
    """A list of objects; an empty one when it is missing or null."""
    value = holder.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise refused(at + name, "a list of objects")
    return value


def texts_in(holder: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A list of strings, or one string alone."""
    value = holder.get(name)
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise refused(name, "a string or a list of strings")
    return tuple(value)
