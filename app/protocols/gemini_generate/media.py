"""Pictures, documents and recordings as ``inlineData`` and ``fileData``."""

from __future__ import annotations

import mimetypes
import re
from typing import Any

from app.errors import BadRequest, Untranslatable
from app.ir.parts import Media, MediaKind
from app.protocols.gemini_generate.members import members, text_in

ISSUER = "google"

_OWN_FILES = re.compile(
    r"(?:https?://[a-z-]*generativelanguage\.googleapis\.com/.*)?files/|gs://", re.IGNORECASE
)
_YOUTUBE = re.compile(r"https?://(?:[\w-]+\.)?(?:youtube\.com|youtu\.be)/", re.IGNORECASE)
_KINDS = {
    "image": MediaKind.IMAGE,
    "audio": MediaKind.AUDIO,
    "video": MediaKind.VIDEO,
}
_STARTS = (  # the first letters of the base64 of well-known files
    ("iVBOR", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lGOD", "image/gif"),
    ("UklGR", "image/webp"),
    ("JVBERi", "application/pdf"),
    ("SUQz", "audio/mpeg"),
)
_DEFAULTS = {
    MediaKind.IMAGE: "image/jpeg",
    MediaKind.DOCUMENT: "text/plain",
    MediaKind.AUDIO: "audio/wav",
    MediaKind.VIDEO: "video/mp4",
}


def inline_media(value: object) -> Media:
    """A medium of an ``inlineData`` member.

    Raises:
        BadRequest: it has the wrong shape.
    """
    blob = members(value, "inlineData")
    data = "".join(text_in(blob, "data").split()).replace("-", "+").replace("_", "/").rstrip("=")
    if not data:
        raise BadRequest("`inlineData.data` is missing", details={"param": "inlineData.data"})
    mime = mime_of(text_in(blob, "mimeType"))
    padded = data + "=" * (-len(data) % 4)
    return Media(kind_of(mime), mime, padded, name=text_in(blob, "displayName"))


def file_media(value: object) -> Media:
    """A medium of a ``fileData`` member.

    Raises:
        BadRequest: it has the wrong shape.
    """
    file = members(value, "fileData")
    uri, mime = text_in(file, "fileUri"), mime_of(text_in(file, "mimeType"))
    if not uri:
        raise BadRequest("`fileData.fileUri` is missing", details={"param": "fileData.fileUri"})
    name = text_in(file, "displayName")
    if _YOUTUBE.match(uri):
        return Media(MediaKind.VIDEO, mime, url=uri, name=name)
    known = mime or mime_of(mimetypes.guess_type(uri.partition("?")[0])[0] or "")
    if _OWN_FILES.match(uri) or "://" not in uri:
        return Media(kind_of(known), mime, file_id=uri, issuer=ISSUER, name=name)
    return Media(kind_of(known), known, url=uri, name=name)


def kind_of(mime: str) -> MediaKind:
    """What a media type is; everything that is not seen or heard is a document."""
    return _KINDS.get(mime.partition("/")[0], MediaKind.DOCUMENT)


def mime_of(text: str) -> str:
    """A media type in the usual spelling."""
    mime = text.strip().lower()
    return "image/jpeg" if mime == "image/jpg" else mime


def media_part(media: Media) -> dict[str, Any]:
    """The part for a medium.

    Raises:
        Untranslatable: it lies with another provider, or only its address is known.
    """
    what = media.kind.value
    if media.data:
        return {"inlineData": {"mimeType": _mime(media), "data": media.data}}
    if media.file_id and media.issuer == ISSUER:
        return {"fileData": _file(media.file_id, media.mime)}
    if media.file_id:
        raise Untranslatable(
            f"the {what} file `{media.file_id}` lies with another provider; send its content",
            details={"param": "file_id"},
        )
    if media.kind is MediaKind.VIDEO:  # the service itself fetches YouTube's, and no picture
        return {"fileData": _file(media.url, media.mime)}
    raise Untranslatable(
        f"this provider takes no {what} by its address; send its content", details={"param": what}
    )


def _mime(media: Media) -> str:
    if media.mime:
        return media.mime
    for start, mime in _STARTS:
        if media.data.startswith(start):
            return mime
    return mimetypes.guess_type(media.name)[0] or _DEFAULTS[media.kind]


def _file(uri: str, mime: str) -> dict[str, str]:
    return {"mimeType": mime, "fileUri": uri} if mime else {"fileUri": uri}
