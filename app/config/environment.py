"""Settings that come from the environment, and the ``.env`` file that adds to it."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from app.config.build import ABSENT, Builder, hints_of
from app.config.report import Report
from app.config.schema import Config
from app.errors import ConfigError

_LEVELS = MappingProxyType(
    {
        "trace": "true",
        "debug": "true",
        "info": "false",
        "warn": "false",
        "warning": "false",
        "error": "false",
    }
)


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable that the gateway reads.

    Attributes:
        setting: the field it overrides, dotted as in the schema; empty when it is read elsewhere.
        older: names of older gateways, read when the variable itself is not set.
        words: what its values mean, where they are not the setting's own.
        also: further fields, each with the text it gets when the variable is set.
    """

    name: str
    doc: str
    setting: str = ""
    older: tuple[str, ...] = ()
    words: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    also: tuple[tuple[str, str], ...] = ()

    def read(self, environ: Mapping[str, str]) -> tuple[str, str]:
        """The name under which it is set and its value; empty texts when it is not."""
        for name in (self.name, *self.older):
            if value := environ.get(name, "").strip():
                return name, value
        return "", ""


CONFIG = Variable("AIPROXY_CONFIG", "the configuration file", older=("AI_PROXY_CONFIG",))
WRITABLE = Variable(
    "WRITABLE_PATH",
    "base directory of a `data-dir` that is absent or relative",
    older=("writable_path",),
)
LOG_LEVEL = Variable(
    "AIPROXY_LOG_LEVEL",
    "`debug` switches `debug` on, `info`, `warning` and `error` switch it off",
    "debug",
    older=("AI_PROXY_LOG_LEVEL",),
    words=_LEVELS,
)

VARIABLES = (
    CONFIG,
    Variable("AIPROXY_HOST", "overrides `host`", "host", older=("AI_PROXY_HOST",)),
    Variable("AIPROXY_PORT", "overrides `port`", "port", older=("AI_PROXY_PORT",)),
    Variable("AIPROXY_WORKERS", "overrides `workers`", "workers"),
    LOG_LEVEL,
    Variable("AIPROXY_DATA_DIR", "overrides `data-dir`", "data_dir"),
    Variable("AIPROXY_DATABASE_URL", "overrides `database-url`", "database_url"),
    Variable(
        "MANAGEMENT_PASSWORD",
        "overrides `remote-management.secret-key` and switches `allow-remote` on",
        "remote_management.secret_key",
        older=("management_password",),
        also=(("remote_management.allow_remote", "true"),),
    ),
    Variable("AIPROXY_SECRET_KEY", "the key that encrypts stored credentials"),
    WRITABLE,
)
"""Every variable that is read; the command line sets the same ones for the server it starts."""


def override(config: Config, environ: Mapping[str, str]) -> Config:
    """Lay the environment over what the file says.

    Raises:
        ConfigError: a variable has a value that its setting cannot take; ``key`` is its name.
    """
    report = Report("environment")
    builder = Builder(report, environ)
    relative = not os.path.isabs(config.data_dir) or config.data_dir == _default_data_dir(builder)
    for variable in VARIABLES:
        name, value = variable.read(environ)
        if not name or not variable.setting:
            continue
        if variable.words and value.lower() not in variable.words:
            known = ", ".join(variable.words)
            report.error(f"must be one of {known}, not {value!r}", None, name)
            continue
        value = variable.words.get(value.lower(), value)
        config = _put(config, variable.setting, value, name, builder)
        for setting, text in variable.also:
            config = _put(config, setting, text, name, builder)
    _, base = WRITABLE.read(environ)
    if base and relative and not environ.get("AIPROXY_DATA_DIR", "").strip():
        tail = "data" if os.path.isabs(config.data_dir) else config.data_dir
        config = dataclasses.replace(config, data_dir=os.path.normpath(os.path.join(base, tail)))
    report.raise_if_wrong()
    return config


def _default_data_dir(builder: Builder) -> str:
    declared = next(each for each in dataclasses.fields(Config) if each.name == "data_dir")
    return str(builder.default(declared))


def _put(section: Any, setting: str, text: str, name: str, builder: Builder) -> Any:
    """The section with one field, perhaps further down, set from text."""
    head, _, rest = setting.partition(".")
    if rest:
        value = _put(getattr(section, head), rest, text, name, builder)
    else:
        declared = next(each for each in dataclasses.fields(section) if each.name == head)
        node = yaml.ScalarNode("tag:yaml.org,2002:str", text)
        kind: Any = type(section)
        value = builder.convert(hints_of(kind)[head], declared.metadata, node, name)
    return section if value is ABSENT else dataclasses.replace(section, **{head: value})


_LINE = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?P<value>.*)")
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r"}


def with_dotenv(environ: Mapping[str, str], directory: Path) -> dict[str, str]:
    """The environment with what ``.env`` in a directory adds; what is set already wins.

    Raises:
        ConfigError: the file cannot be read, or a line of it is no assignment.
    """
    file = directory / ".env"
    try:
        text = file.read_text("utf-8-sig")
    except FileNotFoundError:
        return dict(environ)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"cannot be read: {reason}", file=str(file)) from error
    return {**parse_dotenv(text, str(file)), **environ}


def parse_dotenv(text: str, file: str) -> dict[str, str]:
    r"""Read ``NAME=value`` lines.

    Comments begin with ``#`` at the start of a line or after a blank; ``export`` may lead. A
    value in single quotes is taken as it is; in double quotes ``\n``, ``\t``, ``\"`` and ``\\``
    are read. Nothing is expanded and no value goes on in the next line.

    Raises:
        ConfigError: a line is no assignment; its text is not shown, it may hold a secret.
    """
    values = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            message = "must be a comment or an assignment such as NAME=value"
            raise ConfigError(message, file=file, line=number)
        values[match["name"]] = _unquoted(match["value"], match["name"], file, number)
    return values


def _unquoted(value: str, name: str, file: str, line: int) -> str:
    quote = value[:1]
    if quote not in ("'", '"'):
        return re.split(r"(?:^|\s)#", value, maxsplit=1)[0].strip()
    pattern = r"'([^']*)'" if quote == "'" else r'"((?:[^"\\]|\\.)*)"'
    match = re.fullmatch(rf"{pattern}\s*(?:#.*)?", value)
    if match is None:
        message = "must end with the quote it begins with"
        raise ConfigError(message, file=file, line=line, key=name)
    if quote == "'":
        return match[1]
    return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), match[1])


def config_path(environ: Mapping[str, str]) -> Path:
    """The configuration file to read: the one the environment names, else ``config.yaml`` here."""
    return Path(CONFIG.read(environ)[1] or "config.yaml")
