"""Turns as the flat items of a Responses input.

Source: OpenAI Python SDK 3.52, ``types/responses/response_input_item_param.py``, and the rules of
the input items in the API reference, read 2026-11-21: no item needs an id but reasoning that was
taken from a real answer, and that is refused when nothing of the assistant follows it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

from app.errors import Untranslatable
from app.ir.parts import (
    Media,
    MediaKind,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from app.ir.request import Loss, Role, Turn
from app.protocols.names import ToolNames, wrapped
from app.protocols.openai_responses.items import KEPT_ELSEWHERE, PARAGRAPH, PROTOCOL
from app.protocols.openai_responses.media import ISSUER, write_media

_CALL_ID = 64
_DIGEST = 16
_ASSISTANTS = ("reasoning", "function_call", "custom_tool_call")


class History:
    """Writes the turns of one request.

    Args:
        names: the target's names of the tools.
        is_official: OpenAI itself, which knows developers, namespaces and custom tools; other
            hosts know the common words only.
    """

    def __init__(self, names: ToolNames, *, is_official: bool) -> None:
        self._names = names
        self._is_official = is_official
        self.losses: list[Loss] = []
        self.seals = False
        """Whether any reasoning went along."""

    def written(self, turns: Iterable[Turn]) -> tuple[str, list[dict[str, Any]]]:
        """The ``instructions`` that the leading system text makes, and the items of the rest.

        Raises:
            Untranslatable: a part cannot be said; the message names it.
        """
        said: list[str] = []
        items: list[dict[str, Any]] = []
        for turn in turns:
            if not items and turn.role is Role.SYSTEM and _is_words(turn):
                said += [part.text for part in turn.parts if isinstance(part, Text)]
                continue
            items += self._items(turn)
        return PARAGRAPH.join(said), items

    def _items(self, turn: Turn) -> list[dict[str, Any]]:
        match turn.role:
            case Role.ASSISTANT:
                return self._led(list(self._said(turn.parts)))
            case Role.SYSTEM:
                return list(self._heard(turn, "developer" if self._is_official else "system"))
            case Role.USER:
                return list(self._heard(turn, "user"))

    def _heard(self, turn: Turn, role: str) -> Iterator[dict[str, Any]]:
        """Results first, then what else was said, as one message."""
        content: list[dict[str, Any]] = []
        for part in turn.parts:
            match part:
                case ToolResult():
                    yield self._result(part)
                case Opaque() if _is_item(part):
                    yield dict(part.raw)
                case _:
                    content += self._content(part)
        if content:
            yield {"type": "message", "role": role, "content": content}

    def _content(self, part: Part) -> list[dict[str, Any]]:
        match part:
            case Text(text) | Refusal(text):
                return [{"type": "input_text", "text": text}]
            case Media():
                return [write_media(part)]
            case Opaque(raw=raw) if part.protocol == PROTOCOL and raw:
                return [dict(raw)]
            case Opaque():
                self._lose(part.what)
            case Thinking() | ToolCall() | ToolResult():
                pass  # a tidy request has them elsewhere
        return []

    def _said(self, parts: Iterable[Part]) -> Iterator[dict[str, Any]]:
        """The items of an assistant's turn, in the order it spoke."""
        words: list[dict[str, Any]] = []
        shown: list[dict[str, Any]] = []
        for part in parts:
            match part:
                case Text(text):
                    words.append({"type": "output_text", "text": text, "annotations": []})
                    continue
                case Refusal(text):
                    words.append({"type": "refusal", "refusal": text})
                    continue
                case Media():  # an assistant's message holds words only
                    shown.append(write_media(part))
                    continue
                case _:
                    item = self._item(part)
            if item is None:
                continue
            yield from _message(words)
            words = []
            yield item
        yield from _message(words)
        if shown:
            yield {"type": "message", "role": "user", "content": shown}

    def _item(self, part: Part) -> dict[str, Any] | None:
        match part:
            case Thinking():
                return self._reasoning(part)
            case ToolCall():
                return self._call(part)
            case Opaque(raw=raw) if part.protocol == PROTOCOL and raw:
                return dict(raw)
            case Opaque():
                self._lose(part.what)
        return None

    def _reasoning(self, part: Thinking) -> dict[str, Any] | None:
        seal = part.seal
        if seal is None or seal.issuer != ISSUER or not seal.value:
            self._lose("reasoning")
            return None
        self.seals = True
        summary = [{"type": "summary_text", "text": part.text}] if part.text else []
        named = {"id": seal.item_id} if seal.item_id else {}
        return {
            "type": "reasoning",
            **named,
            "summary": summary,
            "encrypted_content": seal.value,
        }

    def _call(self, call: ToolCall) -> dict[str, Any]:
        item: dict[str, Any] = {
            "type": "function_call",
            "call_id": short_id(call.call_id),
            "name": self._names.there(call.name, call.namespace),
        }
        if call.namespace and self._is_official:
            item["namespace"] = call.namespace
        if not call.custom:
            return item | {"arguments": call.arguments or "{}"}
        if self._is_official:
            return item | {"type": "custom_tool_call", "input": call.arguments}
        return item | {"arguments": wrapped(call.arguments)}

    def _result(self, result: ToolResult) -> dict[str, Any]:
        kind = "custom_tool_call_output" if result.custom and self._is_official else None
        return {
            "type": kind or "function_call_output",
            "call_id": short_id(result.call_id),
            "output": self._output(result),
        }

    def _output(self, result: ToolResult) -> str | list[dict[str, Any]]:
        content = list(result.content)
        if result.is_error:  # no member says so
            first = content[0] if content else None
            if isinstance(first, Text):
                content[0] = Text(f"Error: {first.text}")
            else:
                content.insert(0, Text("Error: the tool failed"))
        texts = [piece.text for piece in content if isinstance(piece, Text)]
        if len(texts) == len(content) and (len(texts) < 2 or not self._is_official):
            return "\n".join(texts)
        return [_piece(piece) for piece in content]

    def _led(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The items without reasoning that leads to nothing."""
        kept: list[dict[str, Any]] = []
        for item in reversed(items):
            if item["type"] == "reasoning" and not (kept and _is_assistants(kept[0])):
                self._lose("reasoning")
                continue
            kept.insert(0, item)
        return kept

    def _lose(self, name: str) -> None:
        loss = Loss(name)
        if loss not in self.losses:
            self.losses.append(loss)


def short_id(call_id: str) -> str:
    """A call id of at most 64 letters; a longer one ends in its digest, at both ends alike."""
    if len(call_id) <= _CALL_ID:
        return call_id
    digest = hashlib.sha256(call_id.encode(errors="surrogatepass")).hexdigest()[:_DIGEST]
    return f"{call_id[: _CALL_ID - _DIGEST - 1]}_{digest}"


def _is_item(part: Opaque) -> bool:
    """Whether it is an item of its own, and not a part of a message."""
    what = part.what
    is_whole = what in KEPT_ELSEWHERE or what.endswith(("_output", "_response"))
    return part.protocol == PROTOCOL and is_whole


def _is_words(turn: Turn) -> bool:
    return all(isinstance(part, Text) for part in turn.parts)


def _is_assistants(item: dict[str, Any]) -> bool:
    return item["type"] in _ASSISTANTS or item.get("role") == "assistant"


def _message(words: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    if words:
        yield {"type": "message", "role": "assistant", "content": words}


def _piece(piece: Text | Media) -> dict[str, Any]:
    if isinstance(piece, Text):
        return {"type": "input_text", "text": piece.text}
    if piece.kind is MediaKind.AUDIO:
        raise Untranslatable("the provider of this model takes no audio in a tool's result")
    return write_media(piece)
