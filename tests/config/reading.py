"""Short ways to read a configuration in a test."""

from __future__ import annotations

import pytest

from app.config.load import Loaded, parse
from app.errors import ConfigError

NOWHERE = {"HOME": "/home/nobody"}


def parsed(text: str, **environ: str) -> Loaded:
    return parse(text, "gateway.yaml", {**NOWHERE, **environ})


def refused(text: str, **environ: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parsed(text, **environ)
    return caught.value


def outcome(text: str) -> Loaded | ConfigError:
    try:
        return parsed(text)
    except ConfigError as error:
        return error


def warned(text: str, **environ: str) -> list[str]:
    """The warnings without those about missing client keys."""
    found = parsed(text, **environ).warnings
    return [str(warning) for warning in found if "everybody" not in warning.message]
