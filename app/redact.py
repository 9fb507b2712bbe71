"""Keeps secrets out of logs, messages and listings."""

from __future__ import annotations

import re

_SECRET_QUERY = re.compile(
    r"(?i)([?&](?:key|token|auth_token|api_key|access_token|secret)=)[^&\s]+"
)
_SECRET_WORD = re.compile(
    r"(?:sk-[A-Za-z0-9_\-]{8,}|AIza[A-Za-z0-9_\-]{20,}|(?i:bearer)\s+[A-Za-z0-9._\-]{8,})"
)


def mask(secret: str) -> str:
    """Show enough of a secret to tell it from others: first 4, dots, last 4.

    Secrets under 16 characters show their first two only.
    """
    if len(secret) < 16:
        return secret[:2] + "…" if secret else ""
    return f"{secret[:4]}…{secret[-4:]}"


def scrub(text: str) -> str:
    """Replace whatever looks like a key in free text, for example an upstream's message."""
    text = _SECRET_QUERY.sub(r"\1…", text)
    return _SECRET_WORD.sub(lambda match: mask(match.group(0)), text)
