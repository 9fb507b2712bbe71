"""Pictures, files and recordings as Responses spells them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from app.errors import BadRequest, Untranslatable
from app.ir.parts import Media, MediaKind

ISSUER = "openai"

# By ending; the system's own table differs from host to host.
_MIMES: Mapping[str, str] = {
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "html": "text/html",
    "htm": "text/html",
    "css": "text/css",
    "xml": "application/xml",
    "json": "application/json",
    "yaml": "application/yaml",
    "yml": "application/yaml",
    "js": "text/javascript",
    "py": "text/x-python",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
}
_ENDINGS = {mime: ending for ending, mime in reversed(list(_MIMES.items()))}
_TEXTUAL = frozenset({"application/json", "application/xml", "application/yaml"})
_SOUNDS: Mapping[str, str] = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/mp3": "mp3",
    "audio/mpeg": "mp3",
}
_DETAILS = ("auto", "low", "high", "original")
_DATA_URL = re.compile(r"data:(?P<mime>[^;,]*)(?P<rest>[^,]*),(?P<data>.*)", re.DOTALL | re.I)
_BLANKS = re.compile(r"\s+")


def read_image(part: Mapping[str, Any], where: str) -> Media:
    """An ``input_image`` part.

    Raises:
        BadRequest: it has neither a usable address nor a file id.
    """
    detail = part.get("detail")
    detail = detail if isinstance(detail, str) else ""
    url = part.get("image_url")
    if isinstance(url, dict):  # Chat's shape, which many programs send
        url = url.get("url")
    if isinstance(url, str) and url:
        if is_data_url(url):
            mime, data = split_data_url(url, where)
            return Media(MediaKind.IMAGE, mime=mime or "image/png", data=data, detail=detail)
        return Media(MediaKind.IMAGE, url=url, detail=detail)
    name = part.get("file_id")
    if isinstance(name, str) and name:
        return Media(MediaKind.IMAGE, file_id=name, issuer=ISSUER, detail=detail)
    raise BadRequest(f"`{where}.image_url` is missing", details={"param": f"{where}.image_url"})


def read_file(part: Mapping[str, Any], where: str) -> Media:
    """An ``input_file`` part.

    Raises:
        BadRequest: it has no data, address or file id.
    """
    filename = part.get("filename")
    name = filename if isinstance(filename, str) else ""
    data, url, file_id = (part.get(key) for key in ("file_data", "file_url", "file_id"))
    if isinstance(data, str) and data:
        if is_data_url(data):
            mime, data = split_data_url(data, where)
        else:
            mime, data = "", as_base64(data, where)
        mime = mime or mime_of(name) or "application/pdf"
        return Media(kind_of(mime), mime=mime, data=data, name=name)
    if isinstance(url, str) and url:
        return Media(MediaKind.DOCUMENT, mime=mime_of(name or url), url=url, name=name)
    if isinstance(file_id, str) and file_id:
        return Media(MediaKind.DOCUMENT, file_id=file_id, issuer=ISSUER, name=name)
    raise BadRequest(f"`{where}.file_data` is missing", details={"param": f"{where}.file_data"})


def read_audio(part: Mapping[str, Any], where: str) -> Media:
    """An ``input_audio`` part.

    Raises:
        BadRequest: it has no data.
    """
    inner = part.get("input_audio")
    members = inner if isinstance(inner, dict) else part
    data, form = members.get("data"), members.get("format")
    if not isinstance(data, str) or not data:
        place = f"{where}.input_audio.data"
        raise BadRequest(f"`{place}` is missing", details={"param": place})
    ending = form if isinstance(form, str) and form else "wav"
    return Media(MediaKind.AUDIO, mime=f"audio/{ending.lower()}", data=as_base64(data, where))


def is_data_url(url: str) -> bool:
    """Whether an address holds what it addresses."""
    return url[:5].lower() == "data:"


def split_data_url(url: str, where: str) -> tuple[str, str]:
    """The media type and the base64 data of a data URL, whose data need not be in base64.

    Raises:
        BadRequest: it is none.

    Source: RFC 2397, section 3.
    """
    found = _DATA_URL.fullmatch(url)
    if found is None:
        raise BadRequest(f"`{where}` holds a broken data URL", details={"param": where})
    mime = found["mime"].strip().lower()
    mime = "image/jpeg" if mime == "image/jpg" else mime
    if found["rest"].lower().endswith(";base64"):
        return mime, as_base64(found["data"], where)
    return mime, base64.b64encode(unquote_to_bytes(found["data"])).decode()


def as_base64(text: str, where: str) -> str:
    """Base64 in its plain alphabet, without blanks and with padding.

    Raises:
        BadRequest: it is no base64.
    """
    text = _BLANKS.sub("", text).replace("-", "+").replace("_", "/").rstrip("=")
    text += "=" * (-len(text) % 4)
    try:
        binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        raise BadRequest(f"`{where}` holds broken base64", details={"param": where}) from None
    return text


def mime_of(name: str) -> str:
    """The media type that an ending tells of; empty when it is unknown."""
    path = name.partition("?")[0].partition("#")[0]
    return _MIMES.get(path.rpartition(".")[2].lower(), "") if "." in path else ""


def kind_of(mime: str) -> MediaKind:
    """What a media type holds."""
    match mime.partition("/")[0]:
        case "image":
            return MediaKind.IMAGE
        case "audio":
            return MediaKind.AUDIO
        case "video":
            return MediaKind.VIDEO
        case _:
            return MediaKind.DOCUMENT


def write_media(media: Media) -> dict[str, Any]:
    """A medium as a part of user content.

    Raises:
        Untranslatable: Responses cannot be given it; the message names it.
    """
    if media.file_id and media.issuer != ISSUER:
        raise Untranslatable(
            "a file that was uploaded to another provider cannot be given to this one; send its"
            " content instead"
        )
    match media.kind:
        case MediaKind.IMAGE:
            return _image(media)
        case MediaKind.DOCUMENT:
            return _document(media)
        case MediaKind.AUDIO:
            return _audio(media)
        case MediaKind.VIDEO:
            raise Untranslatable("the provider of this model takes no video")


def _image(media: Media) -> dict[str, Any]:
    detail = media.detail if media.detail in _DETAILS else "auto"
    if media.file_id:
        return {"type": "input_image", "file_id": media.file_id, "detail": detail}
    url = media.url or f"data:{media.mime or 'image/png'};base64,{media.data}"
    return {"type": "input_image", "image_url": url, "detail": detail}


def _document(media: Media) -> dict[str, Any]:
    if media.file_id:
        return {"type": "input_file", "file_id": media.file_id}
    if media.url:
        return {"type": "input_file", "file_url": media.url}
    if media.mime.startswith("text/") or media.mime in _TEXTUAL:
        text = base64.b64decode(media.data).decode("utf-8", "replace")
        return {"type": "input_text", "text": f"{media.name}\n\n{text}" if media.name else text}
    mime = media.mime or "application/pdf"
    name = media.name or f"document.{_ENDINGS.get(mime, 'bin')}"
    return {
        "type": "input_file",
        "filename": name,
        "file_data": f"data:{mime};base64,{media.data}",
    }


def _audio(media: Media) -> dict[str, Any]:
    form = _SOUNDS.get(media.mime)
    if form is None or not media.data:
        raise Untranslatable(
            f"the provider of this model takes audio as wav or mp3 only, not {media.mime}"
        )
    return {"type": "input_audio", "input_audio": {"data": media.data, "format": form}}
