"""Reads a few members of a request body without building the rest of it."""

from __future__ import annotations

import codecs
import re
from typing import TypeVar

import msgspec

from app.errors import BadRequest

_WINDOW = 64 * 1024
_PLACE = re.compile(r" ?\(byte (\d+)\)")
_MISTAKE = re.compile(r"Expected `([^`]+)`, got `([^`]+)`(?: - at `\$\.?([^`]*)`)?")
_WORDS = {
    "str": "a string",
    "bool": "true or false",
    "int": "a number",
    "float": "a number",
    "object": "an object",
    "array": "a list",
    "null": "null",
}

T = TypeVar("T")


def read_head(decoder: msgspec.json.Decoder[T], body: bytes | bytearray) -> T:
    """Decode the members the decoder's type names, and check that all of the body is JSON.

    Memory does not grow with the body: members that are not named are skipped, not built.

    Raises:
        BadRequest: not JSON, not an object, not UTF-8, nested too deeply, or a named member has
            the wrong type.
    """
    try:
        head = decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _mistyped(str(error)) from None
    except msgspec.DecodeError as error:
        raise BadRequest(_malformed(str(error), body)) from None
    except RecursionError:
        raise BadRequest("the request body is nested too deeply") from None
    except UnicodeDecodeError:
        raise BadRequest("the request body is not valid UTF-8") from None
    if not body.isascii():  # about 0.1 ms for each MB that is
        _check_utf8(body)
    return head


def model_of(value: str | msgspec.UnsetType) -> str:
    """The model a request names, without blanks around it.

    Raises:
        BadRequest: it names none.
    """
    if value is msgspec.UNSET:
        raise BadRequest("`model` is missing", details={"param": "model"})
    model = value.strip()
    if not model:
        raise BadRequest("`model` is empty", details={"param": "model"})
    return model


def _check_utf8(body: bytes | bytearray) -> None:
    """The decoder looks at the bytes of strings it skips only as far as JSON needs it to."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    start = 0
    try:
        with memoryview(body) as view:
            for start in range(0, len(view), _WINDOW):
                decoder.decode(view[start : start + _WINDOW])
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise BadRequest(f"the request body is not valid UTF-8 (near byte {start})") from None


def _malformed(reason: str, body: bytes | bytearray) -> str:
    if not body.strip():
        return "the request body is empty; a JSON object is expected"
    if body.startswith(codecs.BOM_UTF8):
        return "the request body begins with a byte order mark; send plain UTF-8"
    place = _PLACE.search(reason)
    if place is None:
        return "the request body is not valid JSON: it ends too early or holds half a character"
    offset = int(place.group(1))
    line = body.count(b"\n", 0, offset) + 1
    column = offset - body.rfind(b"\n", 0, offset)
    what = _PLACE.sub("", reason).removeprefix("JSON is malformed: ")
    return f"the request body is not valid JSON: {what} near line {line}, column {column}"


def _mistyped(reason: str) -> BadRequest:
    found = _MISTAKE.match(reason)
    if found is None:
        return BadRequest(f"the request body cannot be used: {reason}")
    wanted, got, place = found.groups()
    expected = " or ".join(_WORDS.get(word, word) for word in wanted.split(" | ") if word != "null")
    given = _WORDS.get(got, got)
    if not place:
        return BadRequest(f"the request body must be {expected}, not {given}")
    return BadRequest(f"`{place}` must be {expected}, not {given}", details={"param": place})
