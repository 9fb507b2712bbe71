"""The pieces of a message, in no vendor's shape."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias

Json: TypeAlias = Any
"""A parsed JSON value. Integers of any size stay exact."""

NOTHING: Mapping[str, Json] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Seal:
    """A proof that only its issuer can read: a signature, or reasoning in encrypted form.

    It goes back unchanged to the issuer and never to anybody else.

    Attributes:
        issuer: ``anthropic``, ``openai`` or ``google``; see ``Codec.issuer``.
        value: as it came.
        item_id: the issuer's id of what was sealed, where it must go back as well.
    """

    issuer: str
    value: str
    item_id: str = ""


@dataclass(frozen=True, slots=True)
class Citation:
    """Where a stretch of text comes from; ``start`` and ``end`` count characters of its part."""

    url: str
    title: str = ""
    start: int = 0
    end: int = 0
    quote: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """Words. ``seal`` is Gemini's: it may sign a text part as well."""

    text: str
    citations: tuple[Citation, ...] = ()
    seal: Seal | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Words with which a model declined."""

    text: str


@dataclass(frozen=True, slots=True)
class Thinking:
    """Reasoning that has been shown, or only sealed.

    ``text`` is byte for byte what came: a seal may cover it. ``redacted`` says that the issuer
    keeps the words to itself; then only the seal counts.
    """

    text: str
    seal: Seal | None = None
    redacted: bool = False


class MediaKind(enum.Enum):
    """What a medium is."""

    IMAGE = "image"
    DOCUMENT = "document"
    AUDIO = "audio"
    VIDEO = "video"


@dataclass(frozen=True, slots=True)
class Media:
    """A picture, document or recording; exactly one of ``data``, ``url``, ``file_id`` is set.

    Attributes:
        mime: lower case, ``image/jpeg`` never ``image/jpg``; empty when nobody said.
        data: base64 with padding, no ``data:`` in front. A text document holds its text in
            base64 of UTF-8 as well.
        file_id: names a file that lies with one provider; ``issuer`` says with which.
        name: file name or title.
        detail: Chat's ``auto``, ``low``, ``high``; empty when nobody said.
    """

    kind: MediaKind
    mime: str = ""
    data: str = ""
    url: str = ""
    file_id: str = ""
    issuer: str = ""
    name: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model asks for a tool.

    Attributes:
        call_id: empty when the protocol has none (Gemini); ``request.tidy`` gives it one.
        arguments: JSON text of an object; of a ``custom`` tool its free text. It may be broken
            JSON when the model was cut.
        namespace: Responses' group of tools; empty elsewhere.
        seal: Gemini's signature of this call.
    """

    call_id: str
    name: str
    arguments: str
    namespace: str = ""
    custom: bool = False
    seal: Seal | None = None


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool gave back; ``name`` is the called tool's where the protocol says it."""

    call_id: str
    content: tuple[Text | Media, ...]
    name: str = ""
    is_error: bool = False
    custom: bool = False


@dataclass(frozen=True, slots=True)
class Opaque:
    """Something only one protocol has a word for; other protocols leave it out as a loss.

    ``what`` names it for people and for the loss header, such as ``web_search_call``.
    """

    protocol: str
    what: str
    raw: Mapping[str, Json] = field(default_factory=lambda: NOTHING)


Part: TypeAlias = Text | Refusal | Thinking | Media | ToolCall | ToolResult | Opaque
