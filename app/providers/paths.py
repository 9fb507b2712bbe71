"""Parts of a URL made from what others say, so that none of it can leave its place."""

from __future__ import annotations

import re
from urllib.parse import quote

from app.errors import NotFound, UnknownModel

_VERSION = re.compile(r"v\d+(?:(?:alpha|beta)\d*)?", re.ASCII)
_LONGEST = 512


def versioned(base_url: str, version: str) -> str:
    """A base URL with a version segment: its own where it ends in one, else ``version``."""
    base = base_url.rstrip("/")
    place, _, last = base.rpartition("/")
    if last[:1] == "v" and not place.endswith("/") and _VERSION.fullmatch(last):
        return base  # a place that ends in a slash has "https:/" before it: that was the host
    return f"{base}/{version}"


def object_segment(object_id: str) -> str:
    """The id of a stored object as one path segment.

    Raises:
        NotFound: no object can have such an id.
    """
    segment = _segment(object_id)
    if not segment:
        raise NotFound("no stored object has this id")
    return segment


def model_path(model: str) -> str:
    """A model's name as path segments; slashes in it stay, everything unusual is escaped.

    Raises:
        UnknownModel: no model can have such a name.
    """
    segments = [_segment(part) for part in model.split("/")]
    if not all(segments):
        raise UnknownModel("no model can have this name")
    return "/".join(segments)


def _segment(text: str) -> str:
    """One escaped path segment; empty when the text cannot be one.

    ``.`` and ``..`` mean a place to every URL parser, escaped or not, and an encoded slash is a
    slash to some servers.
    """
    if text in {".", ".."} or len(text) > _LONGEST or "/" in text or "\\" in text:
        return ""
    return quote(text, safe="", errors="replace")
