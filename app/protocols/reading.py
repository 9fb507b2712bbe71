"""Small readings that all protocols need off a relayed answer."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import orjson

from app.wire.sse import data_of

Raw = msgspec.Raw | msgspec.UnsetType
"""A member kept as it came, so that an odd value in it cannot spoil the rest."""

_DECODER = json.JSONDecoder()
_HEAD_ID = re.compile(rb'"id"\s*:\s*"([^"\\]{1,200})"')


def payload_of(frame: bytes) -> bytes:
    """The JSON of a frame.

    Some services answer 200 and then write a bare error document without ``data:``.
    """
    data = data_of(frame)
    if not data and frame.lstrip()[:1] in (b"{", b"["):
        return frame.strip()
    return data


def value_of(raw: Raw) -> Any:
    """What a raw member holds; None when it is absent, null or broken."""
    if isinstance(raw, msgspec.UnsetType):
        return None
    try:
        return orjson.loads(bytes(raw))
    except orjson.JSONDecodeError:
        return None


def text_of(raw: Raw) -> str:
    """A raw member's text; empty when it holds anything else."""
    value = value_of(raw)
    return value if isinstance(value, str) else ""


def mapping_of(value: object) -> dict[str, Any]:
    """The value when it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def count_of(value: object) -> int:
    """A token count: 0 for what is missing, negative or no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return max(0, int(value)) if value == value and value < 2**53 else 0


def last_object(body: bytes, name: bytes) -> dict[str, Any] | None:
    """The last object of this name in a part of a JSON text.

    A name inside a string is no hit: its quotes are escaped there.
    """
    member = re.compile(rb'"' + name + rb'"\s*:\s*(?=\{)')
    for found in reversed(list(member.finditer(body))):
        rest = body[found.end() :].decode("utf-8", "replace")
        try:
            value, _ = _DECODER.raw_decode(rest)
        except (ValueError, RecursionError):
            continue
        return mapping_of(value)
    return None


def head_id(body: bytes) -> str:
    """The ``id`` at the beginning of an answer, when its beginning is there."""
    if not body.lstrip().startswith(b"{"):
        return ""
    found = _HEAD_ID.search(body, 0, 512)
    return found.group(1).decode("utf-8", "replace") if found else ""


def is_closed(body: bytes) -> bool:
    """Whether a part of a JSON text holds its end."""
    return body.rstrip()[-1:] in (b"}", b"]")
