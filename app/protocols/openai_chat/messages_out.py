"""Turns as the messages of an upstream's Chat request."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

from app.errors import Untranslatable
from app.ir.extras import REFUSED
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
from app.protocols.base import Target
from app.protocols.names import ToolNames, wrapped
from app.protocols.openai_chat.media_in import text_of_document
from app.protocols.openai_chat.messages_in import NAME
from app.protocols.openai_shapes import dump

_ID_LIMIT = 40  # seen from the service: "string too long", read 2026-11-21
_SOUNDS = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mp3": "mp3", "audio/mpeg": "mp3"}
_ENDINGS = {"application/pdf": "pdf", "application/json": "json", "application/xml": "xml"}

Message = dict[str, Any]


def short_id(call_id: str) -> str:
    """The id of a call within the length that Chat takes; the same for the same id."""
    if len(call_id) <= _ID_LIMIT:
        return call_id
    digest = hashlib.sha256(call_id.encode(errors="surrogatepass")).hexdigest()
    return f"call_{digest[:32]}"


class Messages:
    """Writes turns for one target and gathers what is lost of them."""

    def __init__(self, target: Target, names: ToolNames) -> None:
        self._target = target
        self._official = target.is_official
        self._names = names
        self._carried: list[Message] = []  # parts that only a user may say, for the next one
        self.losses: list[Loss] = []

    def write(self, turns: Sequence[Turn]) -> list[Message]:
        """All messages.

        Raises:
            Untranslatable: a part cannot be said; the message names it.
        """
        messages: list[Message] = []
        for turn in turns:
            match turn.role:
                case Role.SYSTEM:
                    messages += self._system(turn)
                case Role.USER:
                    messages += self._user(turn)
                case Role.ASSISTANT:
                    messages += self._assistant(turn)
        if self._carried:
            messages.append(self._spoken(self._taken()))
        return messages

    def _taken(self) -> list[Message]:
        carried, self._carried = self._carried, []
        return carried

    # --- who speaks ---------------------------------------------------------------------------

    def _system(self, turn: Turn) -> Iterator[Message]:
        texts = []
        for part in turn.parts:
            text = self._words(part)
            if text is None and not isinstance(part, Opaque):
                raise Untranslatable(
                    f"system text may hold words only with this model; it holds {_called(part)}"
                )
            if text:
                texts.append(text)
        if texts:
            yield {"role": "system", "content": "\n\n".join(texts)}

    def _user(self, turn: Turn) -> Iterator[Message]:
        results = [part for part in turn.parts if isinstance(part, ToolResult)]
        shown: list[Message] = []
        for result in results:
            message, media = self._result(result)
            yield message
            shown += media
        content = self._taken() + shown
        for part in turn.parts:
            if not isinstance(part, ToolResult):
                content += self._part(part)
        if content:
            yield self._spoken(content)

    def _spoken(self, content: list[Message]) -> Message:
        return {"role": "user", "content": self._content(content)}

    def _assistant(self, turn: Turn) -> Iterator[Message]:
        message: Message = {"role": "assistant", "content": None}
        content: list[Message] = []
        thoughts: list[str] = []
        calls: list[Message] = []
        for part in turn.parts:
            match part:
                case ToolCall():
                    calls.append(self._call(part))
                case Thinking():
                    thoughts += self._thought(part)
                case Refusal(text):
                    content.append(self._refusal(text))
                case Media():
                    self._carried += self._medium(part)
                case Opaque(protocol, "audio") if protocol == NAME and self._official:
                    message |= {"audio": dict(part.raw), "content": ""}
                case _:
                    content += self._part(part)
        if content:
            message["content"] = self._content(content, between="")
        if thoughts:
            message["reasoning_content"] = "".join(thoughts)
        if calls:
            message["tool_calls"] = calls
        if content or calls or "audio" in message:
            yield message

    def _refusal(self, text: str) -> Message:
        if self._official:
            return {"type": "refusal", "refusal": text}
        return {"type": "text", "text": text}

    def _thought(self, part: Thinking) -> Iterator[str]:
        """Hosts of thinking models want thoughts back; the maker has no member for them."""
        own = part.seal is None or part.seal.issuer == "openai"
        if own and part.text and not self._official:
            yield part.text
        else:
            self.losses.append(Loss("thinking"))

    # --- calls and results --------------------------------------------------------------------

    def _call(self, call: ToolCall) -> Message:
        name = self._names.there(call.name, call.namespace)
        written: Message = {"id": short_id(call.call_id)}
        if call.custom and self._official:
            return written | {"type": "custom", "custom": {"name": name, "input": call.arguments}}
        arguments = wrapped(call.arguments) if call.custom else self._arguments(call.arguments)
        written |= {"type": "function", "function": {"name": name, "arguments": arguments}}
        needed = self._target.traits.needs_call_seal  # Google's own endpoint for Chat
        if needed and call.seal is not None and call.seal.issuer == "google":
            held = {"thought_signature": call.seal.value}
            written["extra_content"] = {"google": held}
        return written

    def _arguments(self, text: str) -> str:
        """Arguments as they were; hosts that parse them get an object in any case."""
        if not text.strip():
            return "{}"
        if self._official:
            return text
        try:
            orjson.loads(text)
        except orjson.JSONDecodeError:
            return dump({"_raw": text}).decode()
        return text

    def _result(self, result: ToolResult) -> tuple[Message, list[Message]]:
        """The message of a result, and what of it only a user message can hold."""
        texts: list[str] = []
        media: list[Message] = []
        for piece in result.content:
            text = self._words(piece)
            if text is not None:
                texts.append(text)
            elif isinstance(piece, Media):
                media += self._medium(piece)
        if media:
            named = result.name or "the tool"
            media.insert(0, {"type": "text", "text": f"Result of {named} ({result.call_id}):"})
            texts = texts or ["The result is in the next user message."]
        if result.is_error:
            texts[:1] = ["Error: " + "".join(texts[:1])]
        parts = [{"type": "text", "text": text} for text in texts]
        message = {
            "role": "tool",
            "tool_call_id": short_id(result.call_id),
            "content": self._content(parts, between="\n") if parts else "",
        }
        return message, media

    # --- parts --------------------------------------------------------------------------------

    def _content(self, parts: list[Message], between: str = "\n\n") -> str | list[Message]:
        """One string where it is one text, or where a host may know nothing else."""
        if len(parts) == 1 and parts[0]["type"] == "text":
            return str(parts[0]["text"])
        if not self._official and all(part["type"] == "text" for part in parts):
            return between.join(part["text"] for part in parts)
        return parts

    def _part(self, part: Part) -> Iterator[Message]:
        text = self._words(part)
        if text is not None:
            if text:
                yield {"type": "text", "text": text}
        elif isinstance(part, Media):
            yield from self._medium(part)

    def _words(self, part: Part) -> str | None:
        """The text of a part that is words; None for media and what is left out."""
        match part:
            case Text(text) | Refusal(text):
                return text
            case Media(kind=MediaKind.DOCUMENT):
                inside = text_of_document(part)
                return f"{part.name}\n\n{inside}" if inside and part.name else inside
            case Opaque(what=what):
                if what in REFUSED:
                    raise Untranslatable(f"`{what}` cannot be given to the provider of this model")
                self.losses.append(Loss(what))
                return None
            case _:
                return None

    def _medium(self, media: Media) -> Iterable[Message]:
        """A medium as parts of a user message.

        Raises:
            Untranslatable: Chat, or this host, has no form for it.
        """
        if media.file_id:
            return [self._file_id(media)]
        match media.kind:
            case MediaKind.IMAGE:
                url = media.url or f"data:{media.mime or 'image/png'};base64,{media.data}"
                picture = {"url": url} | ({"detail": media.detail} if media.detail else {})
                return [{"type": "image_url", "image_url": picture}]
            case MediaKind.DOCUMENT if media.data:
                if (text := self._words(media)) is not None:
                    return [{"type": "text", "text": text}]
                mime = media.mime or "application/pdf"
                name = media.name or f"document.{_ENDINGS.get(mime, 'bin')}"
                data = f"data:{mime};base64,{media.data}"
                return [{"type": "file", "file": {"filename": name, "file_data": data}}]
            case MediaKind.AUDIO if media.data and media.mime in _SOUNDS:
                held = {"data": media.data, "format": _SOUNDS[media.mime]}
                return [{"type": "input_audio", "input_audio": held}]
            case _:
                raise Untranslatable(f"the provider of this model takes no {_described(media)}")

    def _file_id(self, media: Media) -> Message:
        if media.issuer != "openai" or not self._official:
            raise Untranslatable(
                f"the file `{media.file_id}` lies with another provider than the one of this"
                " model; send the file itself"
            )
        return {"type": "file", "file": {"file_id": media.file_id}}


def _described(media: Media) -> str:
    kind = media.kind.value
    if media.url:
        return f"{kind} by URL"
    return f"{kind} of type `{media.mime}`" if media.mime else kind


def _called(part: Part) -> str:
    return _described(part) if isinstance(part, Media) else type(part).__name__
