"""Content blocks of a client's request.

Source: Anthropic Python SDK 2.11, ``types/content_block_param.py`` and its parts, read
2026-11-21.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import unquote_to_bytes

from app.errors import BadRequest
from app.ir.parts import (
    Citation,
    Media,
    MediaKind,
    Opaque,
    Part,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from app.protocols.anthropic_messages.members import Node, entries, maybe, node, text, wrong
from app.protocols.seals import unpack

PROTOCOL = "anthropic_messages"
ISSUER = "anthropic"
OF_TEXT = "text"
"""What a carrier of a seal says in place of a call's id when it belongs to the text before it."""

_DATA_URL = re.compile(r"data:(?P<mime>[^;,]*)(?P<rest>[^,]*),(?P<data>.*)", re.DOTALL)


def read_content(value: Any, path: str) -> tuple[Part, ...]:
    """The parts of a message's content: a text, or a list of blocks.

    Empty texts are left out, and a seal that came in a block of its own is given back to the call
    or the text that it belongs to.
    """
    if isinstance(value, str):
        return (Text(value),) if value else ()
    if not isinstance(value, list):
        raise wrong(path, "a string or a list")
    parts: list[Part] = []
    for place, block in entries(value, path):
        parts.extend(_parts(block, place))
    return tuple(_resealed(parts))


def _parts(block: Node, path: str) -> Iterator[Part]:
    kind = text(block, "type", path)
    match kind:
        case "text" | "image" | "document" | "search_result":
            yield from _shown(block, kind, path)
        case "thinking":
            seal = unpack(maybe(block, "signature", str, path) or "", ISSUER)
            yield Thinking(text(block, "thinking", path), seal)
        case "redacted_thinking":
            yield Thinking("", unpack(text(block, "data", path), ISSUER), redacted=True)
        case "tool_use":
            arguments = node(block.get("input", {}), f"{path}.input")
            name = text(block, "name", path)
            yield ToolCall(text(block, "id", path), name, compact(arguments))
        case "tool_result":
            yield _result(block, path)
        case _:
            # what the provider's own servers did, or a block younger than this code
            yield Opaque(PROTOCOL, kind, block)


def compact(value: Any) -> str:
    """JSON without blanks; whole numbers of any size and all letters as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _shown(block: Node, kind: str, path: str) -> Iterator[Text | Media]:
    match kind:
        case "text":
            words = text(block, "text", path)
            if words:
                yield Text(words, tuple(read_citations(block.get("citations"), len(words))))
        case "image":
            yield _medium(MediaKind.IMAGE, node(block.get("source"), f"{path}.source"), path)
        case "document":
            yield from _document(block, path)
        case _:
            yield _found(block, path)


def _document(block: Node, path: str) -> Iterator[Text | Media]:
    title = maybe(block, "title", str, path) or ""
    place = f"{path}.source"
    source = node(block.get("source"), place)
    match source.get("type"):
        case "text":
            data = base64.b64encode(text(source, "data", place).encode()).decode()
            mime = maybe(source, "media_type", str, place) or "text/plain"
            yield Media(MediaKind.DOCUMENT, mime.lower(), data=data, name=title)
        case "content":
            if title:
                yield Text(title)
            yield from _result_content(source.get("content"), f"{place}.content")
        case _:
            yield replace(_medium(MediaKind.DOCUMENT, source, path), name=title)


def _medium(kind: MediaKind, source: Node, path: str) -> Media:
    place = f"{path}.source"
    match source.get("type"):
        case "base64":
            mime = text(source, "media_type", place)
            return Media(kind, _mime(mime), data=text(source, "data", place))
        case "url":
            return _by_url(kind, text(source, "url", place))
        case "file":
            return Media(kind, file_id=text(source, "file_id", place), issuer=ISSUER)
        case _:
            raise BadRequest(
                f"`{place}.type` must be base64, url or file", details={"param": f"{place}.type"}
            )


def _by_url(kind: MediaKind, url: str) -> Media:
    """A URL; one that holds the data itself is taken apart."""
    found = _DATA_URL.fullmatch(url)
    if found is None:
        # Claude reads nothing but PDFs from the address of a document.
        mime = "application/pdf" if kind is MediaKind.DOCUMENT else ""
        return Media(kind, mime, url=url)
    data = found["data"]
    if ";base64" not in found["rest"]:
        data = base64.b64encode(unquote_to_bytes(data)).decode()
    return Media(kind, _mime(found["mime"]), data=data)


def _mime(name: str) -> str:
    mime = name.strip().lower()
    return "image/jpeg" if mime == "image/jpg" else mime


def _found(block: Node, path: str) -> Text:
    """A search result as text: no other protocol has a block for it."""
    words = [
        maybe(block, "title", str, path) or "",
        maybe(block, "source", str, path) or "",
        *(text(piece, "text", at) for at, piece in entries(block.get("content"), path)),
    ]
    return Text("\n".join(word for word in words if word))


def _result(block: Node, path: str) -> ToolResult:
    content = _result_content(block.get("content"), f"{path}.content")
    failed = maybe(block, "is_error", bool, path) or False
    return ToolResult(text(block, "tool_use_id", path), tuple(content), is_error=failed)


def _result_content(value: Any, path: str) -> Iterator[Text | Media]:
    if isinstance(value, str):
        if value:
            yield Text(value)
        return
    for place, block in entries(value, path):
        kind = text(block, "type", place)
        match kind:
            case "text" | "image" | "document" | "search_result":
                yield from _shown(block, kind, place)
            case "tool_reference":
                # Claude Code loads tools on demand; other models read that it has happened.
                yield Text(f"The tool {text(block, 'tool_name', place)} is now available.")
            case _:
                yield Text(compact(block))  # the model can still read it


def read_citations(value: Any, length: int) -> Iterator[Citation]:
    """The citations that name a source of their own; they cover all of their text.

    Those that point into a document of the request have no place elsewhere.
    """
    for entry in value if isinstance(value, list) else ():
        if not isinstance(entry, dict):
            continue
        url = entry.get("url") or entry.get("source")
        if isinstance(url, str) and url:
            title, quote = entry.get("title"), entry.get("cited_text")
            yield Citation(
                url,
                title if isinstance(title, str) else "",
                0,
                length,
                quote if isinstance(quote, str) else "",
            )


def _resealed(parts: list[Part]) -> list[Part]:
    """Give seals that rode in an empty thinking block back to their call or text."""
    carried: dict[str, Seal] = {}
    kept: list[Part] = []
    for part in parts:
        if isinstance(part, Thinking) and part.seal is not None and _carries(part, part.seal):
            bare = replace(part.seal, item_id="")
            if part.seal.item_id != OF_TEXT:
                carried[part.seal.item_id] = bare
            elif kept and isinstance(kept[-1], Text):
                kept[-1] = replace(kept[-1], seal=bare)
        else:
            kept.append(part)
    return [
        replace(part, seal=carried.get(part.call_id)) if isinstance(part, ToolCall) else part
        for part in kept
    ]


def _carries(thinking: Thinking, seal: Seal) -> bool:
    # Only Gemini seals calls and texts, and its seals have no item of their own.
    return not thinking.text and seal.issuer == "google" and bool(seal.item_id)
