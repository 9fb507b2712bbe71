"""The running configuration as JSON, its secrets masked."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from app.config.report import ConfigWarning
from app.config.schema import Config
from app.errors import ConfigError
from app.redact import mask

_USERINFO = re.compile(r"(?<=://)[^/@\s]+(?=@)")


def config_json(config: Config) -> dict[str, Any]:
    """The configuration under the names that its file uses."""
    return _section(config)


def problem_json(error: ConfigError) -> dict[str, Any]:
    """Where a file is wrong, and how."""
    return {
        "file": error.file,
        "line": error.line,
        "key": error.key,
        "message": error.message,
        "notes": list(getattr(error, "__notes__", ())),
    }


def warning_json(warning: ConfigWarning) -> dict[str, Any]:
    """Where a file is odd, and how."""
    return dataclasses.asdict(warning)


def _section(section: Any) -> dict[str, Any]:
    return {
        field.name.replace("_", "-"): _shown(
            getattr(section, field.name), is_secret=bool(field.metadata.get("secret"))
        )
        for field in dataclasses.fields(section)
    }


def _shown(value: object, *, is_secret: bool) -> object:
    if dataclasses.is_dataclass(value):
        return _section(value)
    if isinstance(value, Mapping):
        # Headers. Which of them hold a key only their reader knows.
        return {name: mask(str(item)) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_shown(item, is_secret=is_secret) for item in value]
    if isinstance(value, str):
        # A proxy's URL may carry a name and a password.
        return mask(value) if is_secret else _USERINFO.sub("…", value)
    return value
