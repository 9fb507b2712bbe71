"""Sets members of a JSON object in its bytes, and keeps every other byte.

The body is not parsed into objects and not copied: what comes out are pieces, views of the body
around the new bytes, whose concatenation is the new body. The input is known to be a valid
JSON object; whoever calls has let a parser see it.

A parser takes the last of several members with the same name, some take the first; so all of
them are set.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias

from app.errors import BadRequest

Body: TypeAlias = bytes | bytearray | memoryview
Pieces: TypeAlias = tuple[bytes | memoryview, ...]


class Edit(NamedTuple):
    """Bytes ``start`` to ``end`` of a body become ``new``."""

    start: int
    end: int
    new: bytes


class _Member(NamedTuple):
    """Where a member stands; ``key`` is the place of its opening quote."""

    key: int
    key_end: int
    value: int
    end: int


_SPACE = re.compile(rb"[ \t\r\n]*+")
_COLON = re.compile(rb"[ \t\r\n]*+:[ \t\r\n]*+")
_SCALAR = re.compile(rb"[^\s,\]}]*+")
_ESCAPED_LETTER = re.compile(rb"\\u00[4-7]")
_BEFORE_KEY = b" \t\r\n{,"
_QUOTE, _BACKSLASH, _COMMA = 0x22, 0x5C, 0x2C

# Strings are stepped over by the expression below, those with long runs (images in base64) by
# `_string_end`, which is a hundred times faster on them.
_SHORT = rb'"[^"\\]{0,256}+(?:\\.[^"\\]{0,256}+)*+"'
_FLAT = rb'[^"\[\]{}]++|' + _SHORT


def _nested(levels: int) -> bytes:
    """What may stand between two brackets, with whole brackets inside down to some depth."""
    inside = _FLAT
    for _ in range(levels):
        inside = _FLAT + rb"|[\[{](?:" + inside + rb")*+[\]}]"
    return inside


_INSIDE = re.compile(rb"(?:" + _nested(6) + rb")*+", re.DOTALL)


def set_member(body: Body, key: str, value: bytes, *, present: bool = False) -> Pieces:
    """Give the top-level member ``key`` a value, in place or as a new first member.

    Args:
        body: one JSON object.
        key: in plain ASCII.
        value: JSON.
        present: whoever calls has seen that the object has this member; spares a walk.
    """
    return apply(body, member_edits(body, key, value, present=present))


def set_path(body: Body, key: str, inner: str, value: bytes) -> Pieces:
    """Give the member ``inner`` of the top-level object ``key`` a value.

    An absent or null ``key`` becomes an object. One that is neither null nor an object is
    wrong already and left for the provider to refuse.
    """
    return apply(body, path_edits(body, key, inner, value))


def drop_member(body: Body, key: str) -> Pieces:
    """Take the top-level member ``key`` out, and the comma that goes with it."""
    return apply(body, drop_edits(body, key))


def top_level(body: Body, key: str) -> bytes | None:
    """The bytes of a top-level member's value, the last one's; None when there is none."""
    value = None
    for member in _named(body, key):
        value = bytes(body[member.value : member.end])
    return value


def apply(body: Body, edits: Iterable[Edit]) -> Pieces:
    """Do several edits at once, each made for this same body; they may not overlap."""
    view = memoryview(body)
    pieces: list[bytes | memoryview] = []
    done = 0
    for edit in sorted(edits, key=lambda edit: edit.start):
        pieces += [view[done : edit.start], edit.new]
        done = edit.end
    pieces.append(view[done:])
    return tuple(piece for piece in pieces if len(piece))


def member_edits(body: Body, key: str, value: bytes, *, present: bool = False) -> list[Edit]:
    """The edits of `set_member`. Two insertions need an object that is not empty."""
    raw = _bytes(body)
    only = _only_key(raw, key) if present else None
    members = [_member(raw, only)] if only is not None else list(_named(raw, key))
    if not members:
        return [_insertion(raw, key, value)]
    return [Edit(member.value, member.end, value) for member in members]


def path_edits(body: Body, key: str, inner: str, value: bytes) -> list[Edit]:
    """The edits of `set_path`."""
    raw = _bytes(body)
    members = [] if _is_absent(raw, key) else list(_named(raw, key))
    if not members:
        return [_insertion(raw, key, _object(inner, value))]
    edits: list[Edit] = []
    for _, _, start, end in members:
        if raw[start : start + 1] == b"{":
            inside = member_edits(raw[start:end], inner, value)
            edits += [Edit(edit.start + start, edit.end + start, edit.new) for edit in inside]
        elif raw[start:end] == b"null":
            edits.append(Edit(start, end, _object(inner, value)))
    return edits


def drop_edits(body: Body, key: str) -> list[Edit]:
    """The edits of `drop_member`."""
    raw = _bytes(body)
    if _is_absent(raw, key):
        return []
    members = list(_members(raw))
    edits = []
    kept = False
    for number, member in enumerate(members):
        if not _is_named(raw, member, key):
            kept = True
        elif kept:  # with the comma before it
            edits.append(Edit(members[number - 1].end, member.end, b""))
        else:  # with the comma after it, if any
            following = members[number + 1 : number + 2]
            edits.append(Edit(member.key, following[0].key if following else member.end, b""))
    return edits


def _bytes(body: Body) -> bytes | bytearray:
    # Searching and the expressions want an object with `find`; views come from tests and slices.
    return bytes(body) if isinstance(body, memoryview) else body


def _object(key: str, value: bytes) -> bytes:
    return b'{"' + key.encode() + b'":' + value + b"}"


def _insertion(body: bytes | bytearray, key: str, value: bytes) -> Edit:
    place = body.index(b"{") + 1
    empty = body[_SPACE.match(body, place).end()] == 0x7D  # type: ignore[union-attr]  # matches always
    new = b'"' + key.encode() + b'":' + value
    return Edit(place, place, new if empty else new + b",")


def _only_key(body: bytes | bytearray, key: str) -> int | None:
    """The place of the object's one key with this name, where it can be known without a walk.

    A quoted name after white space, a comma or a brace, and before a colon, is a key and not
    part of a text: inside a string its first quote would be escaped. When it is the only such
    one in the whole body, and the top level is known to have it, it is that one.
    """
    places = _plain_keys(body, key)
    first = next(places, None)
    if first is None or next(places, None) is not None or _may_escape(body):
        return None
    return first


def _is_absent(body: bytes | bytearray, key: str) -> bool:
    """Whether no object in the body has such a key, which is quick to see."""
    return next(_plain_keys(body, key), None) is None and not _may_escape(body)


def _plain_keys(body: bytes | bytearray, key: str) -> Iterator[int]:
    """The places of all keys of this name spelled without escapes, at any depth."""
    for match in _key_pattern(key).finditer(body):
        if body[match.start() - 1] in _BEFORE_KEY:
            yield match.start()


@functools.lru_cache(maxsize=64)
def _key_pattern(key: str) -> re.Pattern[bytes]:
    # An expression that begins with literal bytes is searched for faster than `find` does it.
    return re.compile(b'"' + re.escape(key.encode()) + rb'"[ \t\r\n]*+:')


def _may_escape(body: bytes | bytearray) -> bool:
    """Whether a letter is written as an escape somewhere, so that a key might be."""
    return _ESCAPED_LETTER.search(body) is not None


def _named(body: Body, key: str) -> Iterator[_Member]:
    raw = _bytes(body)
    return (member for member in _members(raw) if _is_named(raw, member, key))


def _is_named(body: bytes | bytearray, member: _Member, key: str) -> bool:
    name = body[member.key + 1 : member.key_end - 1]
    if _BACKSLASH in name:
        return bool(json.loads(body[member.key : member.key_end]) == key)
    return name == key.encode()


def _members(body: bytes | bytearray) -> Iterator[_Member]:
    """Walk the top-level members; what is inside them is stepped over.

    Raises:
        BadRequest: it is not a whole JSON object after all.
    """
    try:
        place = _after_space(body, body.index(b"{") + 1)
        while body[place] == _QUOTE:
            member = _member(body, place)
            yield member
            place = _after_space(body, member.end)
            if body[place] != _COMMA:
                return
            place = _after_space(body, place + 1)
    except (IndexError, ValueError) as error:
        raise BadRequest("the body is not a JSON object") from error


def _member(body: bytes | bytearray, key: int) -> _Member:
    key_end = _string_end(body, key)
    colon = _COLON.match(body, key_end)
    if colon is None:
        raise BadRequest("the body is not a JSON object")
    return _Member(key, key_end, colon.end(), _value_end(body, colon.end()))


def _after_space(body: bytes | bytearray, place: int) -> int:
    return _SPACE.match(body, place).end()  # type: ignore[union-attr]  # matches always


def _value_end(body: bytes | bytearray, start: int) -> int:
    first = body[start]
    if first == _QUOTE:
        return _string_end(body, start)
    if first in b"[{":
        return _bracket_end(body, start)
    return _SCALAR.match(body, start).end()  # type: ignore[union-attr]  # matches always


def _string_end(body: bytes | bytearray, start: int) -> int:
    """The place after the closing quote of the string that opens at ``start``."""
    end = body.index(b'"', start + 1)
    while body[end - 1] == _BACKSLASH:
        escape = end - 1
        while body[escape - 1] == _BACKSLASH:
            escape -= 1
        if (end - escape) % 2 == 0:
            break  # the backslashes escape each other
        end = body.index(b'"', end + 1)
    return end + 1


def _bracket_end(body: bytes | bytearray, start: int) -> int:
    """The place after the bracket that closes the one at ``start``."""
    place = start + 1
    depth = 1
    while depth:
        place = _INSIDE.match(body, place).end()  # type: ignore[union-attr]  # matches always
        if body[place] == _QUOTE:
            place = _string_end(body, place)
            continue
        depth += 1 if body[place] in b"[{" else -1
        place += 1
    return place
