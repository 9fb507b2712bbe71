"""A client's ``contents`` to turns.

Source: ai.google.dev, "Content" and "Part"; google-genai 3.4, ``types.py``, read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from app.errors import BadRequest
from app.ir.parts import Media, Opaque, Part, Seal, Text, Thinking, ToolCall, ToolResult
from app.ir.request import Role, Turn
from app.ir.tidy import merged
from app.protocols.gemini_generate.media import ISSUER, file_media, inline_media
from app.protocols.gemini_generate.members import compact, entries, members, slug_of, text_in
from app.protocols.seals import pack, unpack

PROTOCOL = "gemini_generate"
REDACTED = "redacted"
"""Marks, in place of an item id, a foreign seal of words that its issuer keeps to itself."""

_ROLES = {
    "user": Role.USER,
    "function": Role.USER,
    "tool": Role.USER,
    "": Role.USER,
    "model": Role.ASSISTANT,
    "assistant": Role.ASSISTANT,
    "system": Role.SYSTEM,
}
NO_SEAL = "skip_thought_signature_validator"
"""What stands for the signature of a call that the model did not make; clients send it back."""

_BESIDE = frozenset(
    {"thought", "thoughtSignature", "videoMetadata", "mediaResolution", "partMetadata"}
)
_DETAILS = {"MEDIA_RESOLUTION_LOW": "low", "MEDIA_RESOLUTION_HIGH": "high"}
_WRAPS = ({"output"}, {"result"})


def turns_of(contents: object) -> tuple[Turn, ...]:
    """The turns of ``contents``; a content without a role is the user's.

    Raises:
        BadRequest: a member has the wrong shape.
    """
    turns = merged(_turn(content) for content in entries(contents, "contents"))
    return tuple(Turn(turn.role, tuple(_whole_thoughts(turn.parts))) for turn in turns)


def _whole_thoughts(parts: Iterable[Part]) -> Iterator[Part]:
    """Put the pieces of a thought together again.

    A client that streams keeps every chunk, often as a content of its own, and sends them back
    so; the seal is on the last of them and covers the words of all.
    """
    before: Thinking | None = None
    for part in parts:
        if before is not None:
            if isinstance(part, Thinking) and not part.redacted:
                part = replace(part, text=before.text + part.text)
            else:
                yield before
            before = None
        if isinstance(part, Thinking) and part.seal is None:
            before = part
        else:
            yield part
    if before is not None:
        yield before


def system_turns(instruction: object) -> tuple[Turn, ...]:
    """The turn of ``systemInstruction``: text, a content, or bare parts.

    Raises:
        BadRequest: it has the wrong shape.
    """
    if instruction is None or instruction == "":
        return ()
    if isinstance(instruction, str):
        return (Turn(Role.SYSTEM, (Text(instruction),)),)
    if isinstance(instruction, dict) and "parts" in instruction:
        instruction = instruction["parts"]
    pieces = instruction if isinstance(instruction, list) else [instruction]
    parts = tuple(
        Text(piece) if isinstance(piece, str) else part_of(piece) for piece in pieces if piece
    )
    return (Turn(Role.SYSTEM, parts),) if parts else ()


def detail_of(resolution: object) -> str:
    """Chat's ``detail`` for a ``mediaResolution``; empty for the default."""
    if isinstance(resolution, dict):
        resolution = resolution.get("level")
    return _DETAILS.get(resolution, "") if isinstance(resolution, str) else ""


def _turn(value: object) -> Turn:
    content = members(value, "contents")
    role = text_in(content, "role")
    if role not in _ROLES:
        raise BadRequest(
            f"`role` must be user or model, not {role!r}", details={"param": "contents.role"}
        )
    parts = entries(content.get("parts"), "parts")
    return Turn(_ROLES[role], tuple(part_of(part) for part in parts))


def part_of(value: object) -> Part:
    """One part.

    Raises:
        BadRequest: it has the wrong shape or holds nothing.
    """
    node = members(value, "parts")
    seal = seal_of(text_in(node, "thoughtSignature"))
    if "text" in node:
        return _text(text_in(node, "text"), node, seal)
    if "functionCall" in node:
        return _call(members(node["functionCall"], "functionCall"), seal)
    if "functionResponse" in node:
        return _result(members(node["functionResponse"], "functionResponse"))
    if "inlineData" in node:
        media = inline_media(node["inlineData"])
        return replace(media, detail=detail_of(node.get("mediaResolution")))
    if "fileData" in node:
        media = file_media(node["fileData"])
        return replace(media, detail=detail_of(node.get("mediaResolution")))
    for name in node:
        if name not in _BESIDE:
            return Opaque(PROTOCOL, slug_of(name), value if isinstance(value, dict) else {})
    if seal is None:
        raise BadRequest("a part holds no data", details={"param": "parts"})
    return _text("", node, seal)


def seal_of(signature: str) -> Seal | None:
    """The seal behind a ``thoughtSignature``; the word that stands for none is none."""
    return None if signature == NO_SEAL else unpack(signature, ISSUER)


def packed(seal: Seal | None, redacted: bool = False) -> str:
    """The ``thoughtSignature`` that carries a seal to a client; empty for none."""
    if seal is not None and redacted and seal.issuer != ISSUER and not seal.item_id:
        seal = replace(seal, item_id=REDACTED)
    return pack(seal, ISSUER)


def _text(text: str, node: dict[str, Any], seal: Seal | None) -> Text | Thinking:
    if node.get("thought") is not True and (seal is None or seal.issuer == ISSUER):
        return Text(text, seal=seal)
    if seal is not None and seal.item_id == REDACTED:
        return Thinking(text, replace(seal, item_id=""), redacted=True)
    return Thinking(text, seal)


def _call(call: dict[str, Any], seal: Seal | None) -> ToolCall:
    name = text_in(call, "name")
    if not name:
        raise BadRequest("`functionCall.name` is missing", details={"param": "functionCall.name"})
    arguments = call.get("args", {})
    if not isinstance(arguments, dict):
        raise BadRequest("`functionCall.args` must be an object", details={"param": "args"})
    return ToolCall(text_in(call, "id"), name, compact(arguments), seal=seal)


def _result(answer: dict[str, Any]) -> ToolResult:
    name = text_in(answer, "name")
    response = answer.get("response")
    if response is None and "content" in answer:  # seen from one SDK
        response = {"result": answer["content"]}
    error = response.get("error") if isinstance(response, dict) else None
    text = _told(response, name)
    content: list[Text | Media] = [Text(text)] if text else []
    for piece in entries(answer.get("parts"), "functionResponse.parts"):
        node = members(piece, "functionResponse.parts")
        if "inlineData" in node:
            content.append(inline_media(node["inlineData"]))
        elif "fileData" in node:
            content.append(file_media(node["fileData"]))
        elif "text" in node:
            content.append(Text(text_in(node, "text")))
    return ToolResult(text_in(answer, "id"), tuple(content), name, is_error=bool(error))


def _told(response: object, name: str) -> str:
    """The words of a response: the one text it wraps, else all of it as JSON."""
    if response is None or response == {}:
        return ""
    if isinstance(response, str):
        return response
    if isinstance(response, dict):
        if response.keys() == {"error"}:
            return _plain(response["error"])
        if response.keys() in _WRAPS:
            (only,) = response.values()
            if isinstance(only, str):
                return only
        if response.keys() == {"name", "content"} and response["name"] == name:
            return _plain(response["content"])
    return compact(response)


def _plain(value: object) -> str:
    return value if isinstance(value, str) else compact(value)
