"""Foreign seals in a client's own field, marked so that they find their way back.

A seal of the client protocol's own issuer stays as it is. Any other is written as
the base64 of ``aip1 NUL issuer NUL item id NUL value``: plain base64, since Gemini's clients take
the field for bytes; no provider makes one like it.
"""

from __future__ import annotations

import base64
import binascii

from app.ir.parts import Seal

_MARK = "aip1"

PACKED = b'"YWlwMQ'
"""How the JSON string of a packed seal begins."""


def pack(seal: Seal | None, issuer: str) -> str:
    """The text a client protocol of ``issuer`` carries for a seal; empty for none."""
    if seal is None:
        return ""
    if seal.issuer == issuer:
        return seal.value
    inner = "\0".join((_MARK, seal.issuer, seal.item_id, seal.value))
    return base64.b64encode(inner.encode()).decode()


def unpack(text: str, issuer: str) -> Seal | None:
    """The seal behind a text that a client of ``issuer``'s protocol sent back."""
    if not text:
        return None
    try:
        inner = base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        return Seal(issuer, text)
    parts = inner.split("\0")
    if len(parts) != 4 or parts[0] != _MARK:
        return Seal(issuer, text)
    return Seal(parts[1], parts[3], parts[2])
