"""Pictures and documents for a Messages upstream.

Source: Anthropic Python SDK 2.11, ``types/base64_image_source_param.py`` and
``types/document_block_param.py``, read 2026-11-21.
"""

from __future__ import annotations

import base64
import binascii

from app.errors import Untranslatable
from app.ir.parts import Json, Media, MediaKind
from app.protocols.anthropic_messages.blocks import ISSUER

_PICTURES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_PDF = "application/pdf"
_TEXTS = frozenset(
    {
        "application/json",
        "application/xml",
        "application/yaml",
        "application/x-yaml",
        "application/javascript",
        "application/x-python",
        "application/sql",
        "application/toml",
    }
)
_VAGUE = frozenset({"", "application/octet-stream", "image/*"})
_TITLE = 500
"""Most letters of a document's title."""

# How base64 of the first bytes begins, for pictures of which nobody said what they are.
_MAGIC = {
    "/9j/": "image/jpeg",
    "iVBORw": "image/png",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
    "JVBERi": _PDF,
}


def write_medium(media: Media) -> dict[str, Json]:
    """A block of a medium.

    Raises:
        Untranslatable: Claude takes nothing of its kind.
    """
    if media.file_id:
        if media.issuer != ISSUER:
            raise Untranslatable(
                f"the file `{media.file_id}` lies with another provider; send its content instead"
            )
        return _block(media, {"type": "file", "file_id": media.file_id})
    match media.kind:
        case MediaKind.IMAGE:
            return _picture(media)
        case MediaKind.DOCUMENT:
            return _document(media)
        case MediaKind.AUDIO | MediaKind.VIDEO:
            raise Untranslatable(f"the provider of this model takes no {media.kind.value} input")


def _picture(media: Media) -> dict[str, Json]:
    if media.url:
        return _block(media, {"type": "url", "url": media.url})
    mime = media.mime if media.mime in _PICTURES else _guessed(media)
    if mime not in _PICTURES:
        raise Untranslatable(
            f"the provider of this model takes images as JPEG, PNG, GIF or WebP, not as"
            f" {media.mime or 'an unknown type'}"
        )
    return _block(media, {"type": "base64", "media_type": mime, "data": media.data})


def _document(media: Media) -> dict[str, Json]:
    said = "" if media.mime in _VAGUE else media.mime
    mime = said or _by_name(media.name or media.url) or _guessed(media)
    if media.url and mime in ("", _PDF):
        return _block(media, {"type": "url", "url": media.url})
    if mime == _PDF:
        return _block(media, {"type": "base64", "media_type": _PDF, "data": media.data})
    words = _text(media.data) if mime in _TEXTS or mime.startswith("text/") or not mime else None
    if words is None or not words.strip():
        raise Untranslatable(
            f"the provider of this model takes documents as PDF or text, not as"
            f" {mime or 'an unknown type'}{f' ({media.name})' if media.name else ''}"
        )
    return _block(media, {"type": "text", "media_type": "text/plain", "data": words})


def _block(media: Media, source: dict[str, Json]) -> dict[str, Json]:
    kind = "image" if media.kind is MediaKind.IMAGE else "document"
    block: dict[str, Json] = {"type": kind, "source": source}
    if kind == "document" and media.name.strip():
        block["title"] = media.name[:_TITLE]
    return block


def _guessed(media: Media) -> str:
    if media.mime not in _VAGUE:
        return ""
    starts = (mime for start, mime in _MAGIC.items() if media.data.startswith(start))
    return next(starts, "")


def _by_name(name: str) -> str:
    return _PDF if name.lower().endswith(".pdf") else ""


def _text(data: str) -> str | None:
    try:
        return base64.b64decode(data, validate=True).decode("utf-8-sig")
    except (binascii.Error, ValueError):
        return None
