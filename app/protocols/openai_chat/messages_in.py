"""The messages of a client's Chat request.

Source: OpenAI Python SDK 3.52, ``types/chat/chat_completion_*_param.py``, read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from app.ir.parts import Media, Opaque, Part, Refusal, Text, Thinking, ToolCall, ToolResult
from app.ir.request import Role, Turn
from app.protocols.openai_chat.media_in import file_in, picture_in, pictures_in, recording_in
from app.protocols.openai_chat.members import object_in, objects_in, refused, text_in
from app.protocols.reading import mapping_of
from app.protocols.seals import unpack

NAME = "openai_chat"


def turns_in(messages: Sequence[dict[str, Any]]) -> tuple[Turn, ...]:
    """Messages as turns, one each; tool results still stand alone.

    Raises:
        BadRequest: a message has the wrong shape; the error names its place.
    """
    customs: set[str] = set()
    return tuple(
        _turn(message, f"messages[{number}].", customs) for number, message in enumerate(messages)
    )


def _turn(message: dict[str, Any], at: str, customs: set[str]) -> Turn:
    """One message; ``customs`` gathers the ids of calls to custom tools."""
    match text_in(message, "role", at):
        case "system" | "developer":
            return Turn(Role.SYSTEM, tuple(_content(message, at)))
        case "user":
            return Turn(Role.USER, tuple(_content(message, at)))
        case "assistant":
            parts = tuple(_said(message, at))
            customs |= {p.call_id for p in parts if isinstance(p, ToolCall) and p.custom}
            return Turn(Role.ASSISTANT, parts)
        case "tool":
            call_id = text_in(message, "tool_call_id", at)
            name = text_in(message, "name", at)
            content = _result(message, at)
            return Turn(Role.USER, (ToolResult(call_id, content, name, custom=call_id in customs),))
        case "function":
            name = text_in(message, "name", at)
            return Turn(Role.USER, (ToolResult("", _result(message, at), name),))
        case _:
            raise refused(f"{at}role", "one of developer, system, user, assistant and tool")


def _content(message: dict[str, Any], at: str) -> Iterator[Part]:
    content = message.get("content")
    if content is None:
        return
    if isinstance(content, str):
        yield Text(content)
        return
    if not isinstance(content, list):
        raise refused(f"{at}content", "a string or a list of parts")
    for number, part in enumerate(content):
        where = f"{at}content[{number}]"
        if isinstance(part, str):
            yield Text(part)
        elif isinstance(part, dict):
            yield _part(part, f"{where}.")
        else:
            raise refused(where, "an object")


def _part(part: dict[str, Any], at: str) -> Part:
    match part.get("type"):
        case "text" | "input_text" | "output_text":
            return Text(text_in(part, "text", at))
        case "refusal":
            return Refusal(text_in(part, "refusal", at))
        case "image_url":
            return picture_in(part, at)
        case "input_audio":
            return recording_in(part, at)
        case "file":
            return file_in(part, at)
        case "thinking":  # what some hosts answer and get back
            return Thinking(text_in(part, "thinking", at))
        case _:
            raise refused(f"{at}type", "one of text, image_url, input_audio, file and refusal")


def _result(message: dict[str, Any], at: str) -> tuple[Text | Media, ...]:
    parts = tuple(part for part in _content(message, at) if isinstance(part, Text | Media))
    return tuple(part for part in parts if not isinstance(part, Text) or part.text)


def _said(message: dict[str, Any], at: str) -> Iterator[Part]:
    """What the assistant said: thoughts, words, calls, in this order."""
    for name in ("reasoning_content", "reasoning"):  # no official members, many hosts' own
        if isinstance(thought := message.get(name), str) and thought:
            yield Thinking(thought)
            break
    for part in _content(message, at):
        if isinstance(part, Text):
            yield from pictures_in(part.text)
        else:
            yield part
    if refusal := text_in(message, "refusal", at):
        yield Refusal(refusal)
    if audio := object_in(message, "audio", at):
        yield Opaque(NAME, "audio", audio)
    for number, call in enumerate(objects_in(message, "tool_calls", at)):
        yield _call(call, f"{at}tool_calls[{number}].")
    if call := object_in(message, "function_call", at):
        name = text_in(call, "name", f"{at}function_call.")
        yield ToolCall("", name, _arguments(call, f"{at}function_call."))


def _call(call: dict[str, Any], at: str) -> ToolCall:
    call_id = text_in(call, "id", at)
    google = mapping_of(mapping_of(call.get("extra_content")).get("google"))
    signature = google.get("thought_signature")
    seal = unpack(signature, "google") if isinstance(signature, str) else None
    if call.get("type") == "custom":
        held = object_in(call, "custom", at)
        name = text_in(held, "name", f"{at}custom.")
        text = text_in(held, "input", f"{at}custom.")
        return ToolCall(call_id, _named(name, f"{at}custom."), text, custom=True, seal=seal)
    held = object_in(call, "function", at)
    name = text_in(held, "name", f"{at}function.")
    arguments = _arguments(held, f"{at}function.")
    return ToolCall(call_id, _named(name, f"{at}function."), arguments, seal=seal)


def _named(name: str, at: str) -> str:
    if not name:
        raise refused(f"{at}name", "the name of a tool")
    return name


def _arguments(held: dict[str, Any], at: str) -> str:
    """JSON text; some clients send the object itself."""
    value = held.get("arguments")
    if isinstance(value, dict):
        return msgspec.json.encode(value).decode()
    return text_in(held, "arguments", at) or "{}"
