"""The items of a Responses input, which is a flat list, as turns.

Source: OpenAI Python SDK 3.52, ``types/responses/response_input_item_param.py``, and what Codex
0.169 sends, both read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from typing import Any

from app.ir.parts import Media, Opaque, Part, Refusal, Seal, Text, Thinking, ToolCall, ToolResult
from app.ir.request import Role, Turn
from app.protocols.openai_responses.media import ISSUER, read_audio, read_file, read_image
from app.protocols.openai_responses.members import member, mistyped, needed, objects, text
from app.protocols.seals import pack, unpack

PROTOCOL = "openai_responses"
PARAGRAPH = "\n\n"
"""Between two parts of a reasoning summary: each is a paragraph with a heading."""

MADE = "rs_aip"
"""Begins the ids of reasoning items that are ours, so that they are not taken for OpenAI's."""

_REDACTED = "redacted"
_ROLES: Mapping[str, Role] = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
}
# They stand for a conversation that only the provider has.
KEPT_ELSEWHERE = frozenset({"item_reference", "compaction", "compaction_trigger"})
_SAID_BY_USER = frozenset({"mcp_approval_response", "item_reference", "compaction_trigger"})


def own_namespace(namespace: str) -> str:
    """A namespace as the IR has it; Codex's ``functions`` may as well be left out."""
    return "" if namespace == "functions" else namespace


def turns_of(items: object) -> tuple[Turn, ...]:
    """The turns of an input; the items of one step in a row are one turn.

    Raises:
        BadRequest: an item has the wrong shape; the message names it.
    """
    if isinstance(items, str):
        return (Turn(Role.USER, (Text(items),)),)
    spoken = [
        pair
        for index, item in enumerate(objects(items, "input"))
        for pair in _parts_of(item, f"input[{index}]")
    ]
    return tuple(
        Turn(role, tuple(part for _, part in group))
        for role, group in groupby(spoken, key=lambda pair: pair[0])
    )


def _parts_of(item: dict[str, Any], where: str) -> Iterator[tuple[Role, Part]]:
    kind = text(item, "type", where) or "message"
    match kind:
        case "message":
            role = _role_of(item, where)
            yield from ((role, part) for part in _content(item.get("content"), f"{where}.content"))
        case "reasoning":
            yield Role.ASSISTANT, _thinking(item, where)
        case "function_call" | "custom_tool_call":
            yield Role.ASSISTANT, _call(item, kind, where)
        case "function_call_output" | "custom_tool_call_output":
            yield Role.USER, _result(item, kind, where)
        case "additional_tools":
            pass  # read with the tools
        case _:
            is_users = kind.endswith("_output") or kind in _SAID_BY_USER
            yield (Role.USER if is_users else Role.ASSISTANT), Opaque(PROTOCOL, kind, item)


def _role_of(item: Mapping[str, Any], where: str) -> Role:
    role = _ROLES.get(needed(item, "role", where))
    if role is None:
        raise mistyped(f"{where}.role", "user, assistant, system or developer")
    return role


def _content(content: object, where: str) -> list[Part]:
    if content is None:
        return []
    if isinstance(content, str):
        return [Text(content)]
    return [_part(part, f"{where}[{index}]") for index, part in enumerate(objects(content, where))]


def _part(part: dict[str, Any], where: str) -> Part:
    kind = needed(part, "type", where)
    match kind:
        case "input_text" | "output_text" | "text" | "summary_text" | "reasoning_text":
            return Text(text(part, "text", where))
        case "refusal":
            return Refusal(text(part, "refusal", where))
        case "input_image" | "image_url":
            return read_image(part, where)
        case "input_file":
            return read_file(part, where)
        case "input_audio":
            return read_audio(part, where)
        case _:
            return Opaque(PROTOCOL, kind, part)


def _thinking(item: Mapping[str, Any], where: str) -> Thinking:
    seal = unpack(text(item, "encrypted_content", where), ISSUER)
    words = PARAGRAPH.join(_texts(item, "summary", where)) or "".join(
        _texts(item, "content", where)
    )
    if seal is None:
        return Thinking(words)
    if seal.issuer == ISSUER:
        return Thinking(words, openai_seal(seal.value, seal.item_id or item.get("id")))
    if seal.item_id == _REDACTED:
        return Thinking("", replace(seal, item_id=""), redacted=True)
    return Thinking(words, seal)


def openai_seal(value: str, item_id: object) -> Seal:
    """The seal of a reasoning item, with the item's id if OpenAI made that."""
    is_real = isinstance(item_id, str) and item_id.startswith("rs_")
    own = item_id if is_real and not str(item_id).startswith(MADE) else ""
    return Seal(ISSUER, value, str(own))


def packed(seal: Seal | None, redacted: bool) -> str:
    """A seal as ``encrypted_content``; one of redacted thinking is known by a mark."""
    if seal is not None and redacted and seal.issuer != ISSUER:
        seal = replace(seal, item_id=_REDACTED)
    return pack(seal, ISSUER)


def _texts(item: Mapping[str, Any], name: str, where: str) -> list[str]:
    parts = item.get(name)
    if parts is None:
        return []
    path = f"{where}.{name}"
    return [
        text(part, "text", f"{path}[{index}]") for index, part in enumerate(objects(parts, path))
    ]


def _call(item: Mapping[str, Any], kind: str, where: str) -> ToolCall:
    custom = kind == "custom_tool_call"
    return ToolCall(
        call_id=needed(item, "call_id", where),
        name=needed(item, "name", where),
        arguments=text(item, "input" if custom else "arguments", where),
        namespace=own_namespace(text(item, "namespace", where)),
        custom=custom,
    )


def _result(item: Mapping[str, Any], kind: str, where: str) -> ToolResult:
    output = item.get("output")
    content: list[Text | Media] = []
    for part in _content(output, f"{where}.output"):
        match part:
            case Text() | Media():
                content.append(part)
            case Refusal(words):
                content.append(Text(words))
            case _:
                raise mistyped(f"{where}.output", "a string or a list of texts, images and files")
    return ToolResult(
        call_id=needed(item, "call_id", where),
        content=tuple(content),
        name=member(item, "name", str, where) or "",
        custom=kind == "custom_tool_call_output",
    )
