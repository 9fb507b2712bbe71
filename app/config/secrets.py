"""Secrets that are written elsewhere: ``env://NAME`` and ``file:///absolute/path``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_MOST_BYTES = 64 * 1024
"""A key or a service account fits; a device that never ends does not."""


class SecretMissing(ValueError):
    """What stands behind ``env://`` or ``file://`` cannot be had; the text says why."""


def resolve(text: str, environ: Mapping[str, str]) -> str:
    """The secret itself.

    Args:
        text: a secret in clear, or where to find it.
        environ: where ``env://`` looks.

    Raises:
        SecretMissing: the variable or the file is missing, empty or unreadable.
    """
    if text.startswith("env://"):
        return _from_environment(text.removeprefix("env://"), environ)
    if text.startswith("file://"):
        return _from_file(text.removeprefix("file://"))
    return text


def _from_environment(name: str, environ: Mapping[str, str]) -> str:
    if not name:
        raise SecretMissing("names no variable; write env://NAME")
    if value := environ.get(name, "").strip():
        return value
    state = "is empty" if name in environ else "is not set"
    raise SecretMissing(f"the environment variable {name} {state}")


def _from_file(name: str) -> str:
    if not name.startswith("/"):
        raise SecretMissing("must name an absolute path: file:///path/of/the/secret")
    try:
        with Path(name).open("rb") as source:
            raw = source.read(_MOST_BYTES + 1)
        value = raw.decode().strip()
    except UnicodeDecodeError:
        raise SecretMissing(f"the file {name} is not UTF-8 text") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SecretMissing(f"the file {name} cannot be read: {reason}") from error
    if len(raw) > _MOST_BYTES:
        raise SecretMissing(f"the file {name} is longer than {_MOST_BYTES} bytes")
    if not value:
        raise SecretMissing(f"the file {name} is empty")
    return value
