"""Seals as the scripted providers make them, so that each knows its own and no other's."""

from __future__ import annotations

import base64
import hashlib

BYPASS = "skip_thought_signature_validator"
"""What Gemini takes in place of a signature for a history it did not make."""

_CLAUDE = b"\x12\xb0claude:"
_REDACTED = b"\x12\xb0claude-redacted:"
_OPENAI = "gAAAAAB"
_GOOGLE = b"\x12\x04\x01gemini:"
_BYPASSES = frozenset({BYPASS, base64.b64encode(BYPASS.encode()).decode()})


def claude_signature(thinking: str) -> str:
    """The proof of a thinking block; it covers every byte of the text."""
    digest = hashlib.sha256(thinking.encode()).digest()
    return base64.b64encode(_CLAUDE + digest).decode()


def is_claude_signature(thinking: str, signature: str) -> bool:
    """Whether a thinking block came back as it went."""
    omitted = claude_signature("") + base64.b64encode(b"omitted").decode()
    return signature == claude_signature(thinking) or (not thinking and signature == omitted)


def claude_redacted(secret: str) -> str:
    """What stands for thinking that is not shown."""
    return base64.b64encode(_REDACTED + secret.encode()).decode()


def is_claude_redacted(data: str) -> bool:
    """Whether Claude made it."""
    return _starts(data, _REDACTED)


def openai_encrypted(item_id: str) -> str:
    """The encrypted content of a reasoning item; it knows the item's id."""
    return _OPENAI + base64.urlsafe_b64encode(item_id.encode()).decode()


def encrypted_item(content: str) -> str | None:
    """The id of the item that encrypted content belongs to; None if OpenAI did not make it."""
    if not content.startswith(_OPENAI):
        return None
    return base64.urlsafe_b64decode(content.removeprefix(_OPENAI)).decode()


def gemini_signature(seed: str) -> str:
    """A thought signature."""
    return base64.b64encode(_GOOGLE + seed.encode()).decode()


def is_gemini_signature(signature: str) -> bool:
    """Whether Gemini takes it: its own, or the word that stands for none."""
    return signature in _BYPASSES or _starts(signature, _GOOGLE)


def _starts(value: str, with_: bytes) -> bool:
    try:
        return base64.b64decode(value, validate=True).startswith(with_)
    except ValueError:
        return False
