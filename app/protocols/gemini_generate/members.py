"""Reading a client's JSON: both spellings of a name, and words for what has the wrong shape."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from app.errors import BadRequest

_HUMP = re.compile(r"_([a-z0-9])")
_CAPITAL = re.compile(r"(?<!^)([A-Z])")


def parsed(body: bytes | bytearray) -> dict[str, Any]:
    """A request's body; integers of any size stay exact.

    Raises:
        BadRequest: it is no JSON object.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest("the body is not valid JSON") from error
    return members(document, "the body")


def members(value: object, where: str) -> dict[str, Any]:
    """An object's members, named in camelCase whichever way they came; null ones are left out.

    Raises:
        BadRequest: it is no object.

    Source: protobuf.dev, "ProtoJSON Format", read 2026-11-21: parsers take both spellings.
    """
    if not isinstance(value, dict):
        raise BadRequest(f"`{where}` must be an object", details={"param": where})
    found: dict[str, Any] = {}
    for name, member in value.items():
        if member is not None:
            spelt = _HUMP.sub(lambda hump: hump[1].upper(), name) if "_" in name else name
            found.setdefault(spelt, member)
    return found


def entries(value: object, where: str) -> list[Any]:
    """A list; a single object counts as a list of one, nothing as an empty one.

    Raises:
        BadRequest: it is neither.
    """
    if value is None:
        return []
    if isinstance(value, dict):
        return [value]
    if not isinstance(value, list):
        raise BadRequest(f"`{where}` must be a list", details={"param": where})
    return value


def text_in(node: dict[str, Any], name: str) -> str:
    """A text member, empty when it is missing.

    Raises:
        BadRequest: it is no text.
    """
    value = node.get(name, "")
    if not isinstance(value, str):
        raise BadRequest(f"`{name}` must be a string", details={"param": name})
    return value


def number_in(node: dict[str, Any], name: str) -> float | None:
    """A number, which protobuf's JSON may write as text; None when it is missing.

    Raises:
        BadRequest: it is no number.
    """
    value = node.get(name)
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
        if value is None:
            raise BadRequest(f"`{name}` must be a number", details={"param": name})
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise BadRequest(f"`{name}` must be a number", details={"param": name})


def integer_in(node: dict[str, Any], name: str) -> int | None:
    """A whole number, also one written as 40.0; None when it is missing.

    Raises:
        BadRequest: it is no whole number.
    """
    value = number_in(node, name)
    if isinstance(value, float):
        if not value.is_integer():
            raise BadRequest(f"`{name}` must be a whole number", details={"param": name})
        return int(value)
    return value


def flag_in(node: dict[str, Any], name: str) -> bool | None:
    """A boolean; None when it is missing.

    Raises:
        BadRequest: it is something else.
    """
    value = node.get(name)
    if value is None or isinstance(value, bool):
        return value
    raise BadRequest(f"`{name}` must be a boolean", details={"param": name})


def slug_of(name: str) -> str:
    """The snake_case name of a member, as losses and extras are named."""
    return _CAPITAL.sub(r"_\1", name).lower()


def compact(value: object) -> str:
    """JSON text without spaces; big integers and lone surrogates survive."""
    return written(value).decode()


def written(value: object) -> bytes:
    """JSON bytes of any value that JSON can say."""
    try:
        return orjson.dumps(value)
    except TypeError:  # an integer beyond 64 bits, or half a surrogate pair
        pass
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def object_of(text: str) -> dict[str, Any] | None:
    """The object a JSON text holds; None for broken JSON and for what is no object."""
    try:
        value = json.loads(text or "{}", parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _refuse(name: str) -> object:
    raise ValueError(f"{name} is no JSON")
