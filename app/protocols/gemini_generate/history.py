"""Turns to ``contents``.

Source: ai.google.dev, "Function calling" and "Thought signatures", read 2026-11-21: a turn with
calls is followed by one with as many responses; the first call of a step needs its signature.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from app.ir.parts import (
    Media,
    Opaque,
    Part,
    Refusal,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from app.ir.request import Loss, Request, Role, Turn
from app.protocols.base import Target
from app.protocols.gemini_generate.contents import NO_SEAL, PROTOCOL
from app.protocols.gemini_generate.media import ISSUER, media_part
from app.protocols.gemini_generate.members import object_of
from app.protocols.names import ToolNames, wrapped

_ATTACHED = "The result is attached."


class History:
    """Writes the turns of one request.

    Attributes:
        system: the texts of ``systemInstruction``.
        contents: the talk; it begins with the user.
        losses: of parts that were left out.
    """

    def __init__(self, request: Request, target: Target, names: ToolNames) -> None:
        self._target = target
        self._names = names
        self._called = {
            part.call_id: names.there(part.name, part.namespace)
            for turn in request.turns
            for part in turn.parts
            if isinstance(part, ToolCall)
        }
        self.losses: list[Loss] = []
        self.system: list[str] = []
        self.contents: list[dict[str, Any]] = []
        for turn in request.turns:
            self._take(turn)
        if not self.contents or self.contents[0]["role"] == "model":
            # A call may not open the talk, and an empty text is refused.
            self.contents.insert(0, {"role": "user", "parts": [{"text": " "}]})

    def _take(self, turn: Turn) -> None:
        """Write a turn; system text is gathered in front, whatever its place was."""
        match turn.role:
            case Role.SYSTEM:
                self.system += [part.text for part in turn.parts if isinstance(part, Text)]
                self._add("user", self._said(p for p in turn.parts if not isinstance(p, Text)))
            case Role.USER:
                results = [part for part in turn.parts if isinstance(part, ToolResult)]
                rest = [part for part in turn.parts if not isinstance(part, ToolResult)]
                self._add("user", [*self._answered(results), *self._said(rest)])
            case Role.ASSISTANT:
                self._add("model", self._said(self._resealed(turn.parts)))

    def _add(self, role: str, parts: list[dict[str, Any]]) -> None:
        if not parts:
            return
        if self.contents and self.contents[-1]["role"] == role:
            joined = self.contents[-1]["parts"] + parts
            self.contents[-1]["parts"] = sorted(joined, key=lambda p: "functionResponse" not in p)
        else:
            self.contents.append({"role": role, "parts": parts})

    def _resealed(self, parts: Iterable[Part]) -> Iterable[Part]:
        """Put the seals of this service on the parts they belong to.

        A client without a field for the seal of a call keeps it on thinking in front of the call.
        """
        moved: list[Part] = []
        for part in parts:
            before = moved[-1] if moved else None
            if (
                isinstance(part, ToolCall)
                and _own(part.seal) is None
                and isinstance(before, Thinking)
                and _own(before.seal) is not None
            ):
                moved[-1] = Thinking(before.text)
                part = _sealed(part, before.seal)
            moved.append(part)
        return moved

    def _said(self, parts: Iterable[Part]) -> list[dict[str, Any]]:
        said: list[dict[str, Any]] = []
        for part in parts:
            match part:
                case Text(text, seal=seal):
                    if text or _own(seal):
                        said.append(_signed({"text": text}, seal))
                case Refusal(text):
                    said.append({"text": text})
                case Thinking(text, seal=seal):
                    if _own(seal):  # reasoning of others stays with them
                        said.append(_signed({"text": text, "thought": True}, seal))
                case Media():
                    said.append(media_part(part))
                case ToolCall():
                    is_first = not any("functionCall" in one for one in said)
                    said.append(self._call(part, is_first))
                case ToolResult():
                    said += self._answered([part])
                case Opaque():
                    self._opaque(part, said)
        return said

    def _call(self, call: ToolCall, is_first: bool) -> dict[str, Any]:
        text = wrapped(call.arguments) if call.custom else call.arguments
        arguments = object_of(text)
        if arguments is None:  # only an object can be said
            arguments = {"_raw": text}
        written = {"name": self._names.there(call.name, call.namespace), "args": arguments}
        part = _signed({"functionCall": self._numbered(call.call_id) | written}, call.seal)
        if is_first and "thoughtSignature" not in part and self._target.traits.needs_call_seal:
            part["thoughtSignature"] = NO_SEAL
        return part

    def _numbered(self, call_id: str) -> dict[str, Any]:
        """The member ``id``; hosts other than Google's own do not all know it."""
        return {"id": call_id} if call_id and self._target.is_official else {}

    def _answered(self, results: list[ToolResult]) -> list[dict[str, Any]]:
        """The responses first, then the media that may not stand inside of them."""
        responses: list[dict[str, Any]] = []
        beside: list[dict[str, Any]] = []
        for result in results:
            media = [media_part(piece) for piece in result.content if isinstance(piece, Media)]
            name = self._called.get(result.call_id) or self._names.there(result.name)
            response = self._numbered(result.call_id) | {
                "name": name,
                "response": _response(result),
            }
            if media and self._target.traits.takes_media_in_results:
                response["parts"] = media
            else:
                beside += media
            responses.append({"functionResponse": response})
        return responses + beside

    def _opaque(self, part: Opaque, said: list[dict[str, Any]]) -> None:
        if part.protocol == PROTOCOL:
            said.append(dict(part.raw))
        else:
            self.losses.append(Loss(part.what))


def _response(result: ToolResult) -> dict[str, Any]:
    """The words of a result as the object the service wants.

    Words that happen to be JSON stay words: as an object they would lose the order of their
    members and the last digits of big integers.
    """
    texts = [piece.text for piece in result.content if isinstance(piece, Text)]
    text = "\n".join(texts)
    if not texts and result.content:
        text = _ATTACHED
    return {"error" if result.is_error else "result": text}


def _own(seal: Seal | None) -> str | None:
    return seal.value if seal is not None and seal.issuer == ISSUER else None


def _signed(part: dict[str, Any], seal: Seal | None) -> dict[str, Any]:
    own = _own(seal)
    return part | {"thoughtSignature": own} if own else part


def _sealed(call: ToolCall, seal: Seal | None) -> ToolCall:
    return ToolCall(
        call.call_id, call.name, call.arguments, call.namespace, custom=call.custom, seal=seal
    )
