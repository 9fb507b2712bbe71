"""Pictures, files and recordings as Chat parts and URLs hold them."""

from __future__ import annotations

import base64
import binascii
import mimetypes
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

from app.ir.parts import Media, MediaKind, Part, Text
from app.protocols.openai_chat.members import object_in, refused, text_in

_TYPES = mimetypes.MimeTypes(filenames=())  # Python's own table, not the machine's
_ODD_TYPES = {"image/jpg": "image/jpeg", "audio/x-wav": "audio/wav", "audio/wave": "audio/wav"}
_FORMATS = {"wav": "audio/wav", "mp3": "audio/mp3"}
_PICTURE = re.compile(r"!\[[^\]\n]{0,200}\]\((data:image/[^)\s]+)\)")


def kind_of(mime: str) -> MediaKind:
    """What a media type is; a document unless it says otherwise."""
    for kind in (MediaKind.IMAGE, MediaKind.AUDIO, MediaKind.VIDEO):
        if mime.startswith(f"{kind.value}/"):
            return kind
    return MediaKind.DOCUMENT


def picture_in(part: dict[str, Any], at: str) -> Media:
    """An ``image_url`` part; its URL may stand without the object around it."""
    held = part.get("image_url")
    if isinstance(held, str):
        held = {"url": held}
    elif not isinstance(held, dict):
        raise refused(f"{at}image_url", "an object with a `url`")
    url = text_in(held, "url", f"{at}image_url.")
    detail = text_in(held, "detail", f"{at}image_url.")
    if not url:
        raise refused(f"{at}image_url.url", "a URL")
    if url[:5].lower() != "data:":
        return Media(MediaKind.IMAGE, url=url, detail=detail)
    mime, data = _opened(url, f"{at}image_url.url")
    return Media(MediaKind.IMAGE, mime, data, detail=detail)


def recording_in(part: dict[str, Any], at: str) -> Media:
    """An ``input_audio`` part."""
    held = object_in(part, "input_audio", at)
    data = text_in(held, "data", f"{at}input_audio.")
    form = text_in(held, "format", f"{at}input_audio.").lower() or "wav"
    if not data:
        raise refused(f"{at}input_audio.data", "base64")
    mime = _FORMATS.get(form, f"audio/{form}")
    if data.startswith("data:"):
        mime, data = _opened(data, f"{at}input_audio.data")
    return Media(MediaKind.AUDIO, mime, _padded(data))


def file_in(part: dict[str, Any], at: str) -> Media:
    """A ``file`` part: an id, or data with or without ``data:`` in front."""
    held = object_in(part, "file", at)
    at += "file."
    name = text_in(held, "filename", at)
    if file_id := text_in(held, "file_id", at):
        return Media(MediaKind.DOCUMENT, file_id=file_id, issuer="openai", name=name)
    data = text_in(held, "file_data", at)
    if not data:
        raise refused(f"{at}file_data", "given, or a `file_id`")
    mime = _plain_type(_TYPES.guess_type(name)[0] or "")
    if data.startswith(("https://", "http://")):
        return Media(kind_of(mime), mime, url=data, name=name)
    if data[:5].lower() == "data:":
        said, data = _opened(data, f"{at}file_data")
        mime = said if said not in ("", "application/octet-stream") else mime or said
    mime = mime or "application/pdf"  # what the service itself takes a nameless file for
    return Media(kind_of(mime), mime, _padded(data), name=name)


def pictures_in(text: str) -> Iterator[Part]:
    """Text, and the pictures that an answer of ours carried inside it."""
    start = 0
    for found in _PICTURE.finditer(text) if "](data:image/" in text else ():
        if found.start() > start:
            yield Text(text[start : found.start()])
        mime, data = _opened(found[1], "content")
        yield Media(MediaKind.IMAGE, mime, data)
        start = found.end()
    if start < len(text):
        yield Text(text[start:])


def medium_of(url: str) -> Media | None:
    """A picture of an answer; None when its data URL is broken."""
    try:
        if url[:5].lower() != "data:":
            return Media(MediaKind.IMAGE, url=url)
        mime, data = _unpacked(url)
    except ValueError:
        return None
    return Media(kind_of(mime), mime, data)


def _opened(url: str, where: str) -> tuple[str, str]:
    try:
        return _unpacked(url)
    except ValueError:
        raise refused(where, "a complete data URL") from None


def _unpacked(url: str) -> tuple[str, str]:
    """Media type and base64 of a data URL, whatever parameters stand between them.

    Raises:
        ValueError: there is no comma in it, or its base64 is broken.

    Source: RFC 2397, section 3: without ``;base64`` the data is percent-encoded.
    """
    comma = url.index(",")
    mime, *parameters = url[5:comma].split(";")
    mime = _plain_type(mime.strip().lower() or "text/plain")
    data = url[comma + 1 :]
    if any(parameter.strip().lower() == "base64" for parameter in parameters):
        return mime, _padded(data)
    return mime, base64.b64encode(unquote_to_bytes(data)).decode()


def _plain_type(mime: str) -> str:
    return _ODD_TYPES.get(mime, mime)


def _padded(data: str) -> str:
    """Base64 of the usual letters, without blanks, with its padding."""
    if "%" in data:
        data = unquote_to_bytes(data).decode("ascii", "replace")
    if "\n" in data or " " in data or "\r" in data:
        data = "".join(data.split())
    if "-" in data or "_" in data:
        data = data.replace("-", "+").replace("_", "/")
    return data + "=" * (-len(data) % 4)


def text_of_document(media: Media) -> str | None:
    """The words of a text document; None when it is none or its bytes are no UTF-8."""
    if not media.mime.startswith("text/") or not media.data:
        return None
    try:
        return base64.b64decode(media.data).decode()
    except (binascii.Error, ValueError):
        return None
