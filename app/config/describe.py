"""The settings as documentation shows them, read off the schema.

``python -m app.config.describe docs/configuration.md`` writes the tables of that page anew; all
that stands outside their markers is left alone.
"""

from __future__ import annotations

import dataclasses
import sys
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from app.config.build import bare, hints_of, plain
from app.config.environment import VARIABLES
from app.config.schema import Config


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One setting.

    Attributes:
        key: dotted path, ``[]`` after a list: ``openai-api-key[].api-key``.
        default: as written in YAML; empty when the setting is required.
        older: other spellings that are read.
        secret: shown masked, and read from elsewhere when written as a reference.
        restart: a change waits for the next start.
    """

    key: str
    type: str
    default: str
    doc: str
    older: tuple[str, ...]
    secret: bool
    restart: bool


def rows(section: Any = Config, path: str = "") -> Iterator[Row]:
    """Every setting in the order of the schema, each section before what it holds."""
    hints = hints_of(section)
    for field in dataclasses.fields(section):
        hint = bare(hints[field.name])
        listed = typing.get_origin(hint) is tuple
        inner = typing.get_args(hint)[0] if listed else hint
        key = f"{path}{field.name.replace('_', '-')}"
        meta = field.metadata
        yield Row(
            key,
            _type(hint, inner, meta),
            _default(field),
            meta["doc"],
            meta["aliases"],
            meta["secret"],
            meta["restart"],
        )
        if dataclasses.is_dataclass(inner):
            yield from rows(inner, f"{key}[]." if listed else f"{key}.")


def _type(hint: Any, inner: Any, meta: Mapping[str, Any]) -> str:
    if typing.get_origin(hint) is tuple:
        return "list" if dataclasses.is_dataclass(inner) else "list of text"
    if dataclasses.is_dataclass(hint):
        return "section"
    if meta["kind"] == "headers":
        return "name: value"
    if meta["choices"]:
        return " or ".join(f"`{choice}`" for choice in meta["choices"] if choice)
    if hint is bool:
        return "true or false"
    if hint is str:
        return "text"
    noun = "whole number" if hint is int else "number"
    return f"{noun}, {plain(meta['least'])} to {plain(meta['most'])}"


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return "{}"
    value = field.default
    if value is dataclasses.MISSING or dataclasses.is_dataclass(value):
        return ""
    match value:
        case None:
            return "absent"
        case bool():
            return str(value).lower()
        case tuple():
            return "[]"
        case str():
            return value or '""'
        case _:
            return f"{value:g}" if isinstance(value, float) else str(value)


_FILLED_IN = {"openai-compatibility[].name": "the host of `base-url`"}
"""Required fields that the loader makes out of others when they are not written."""


def settings_table() -> str:
    """All settings as a Markdown table."""
    lines = ["| Key | Type | Default | Meaning |", "| --- | --- | --- | --- |"]
    for row in rows():
        required = "" if row.type == "section" else _FILLED_IN.get(row.key, "required")
        default = f"`{row.default}`" if row.default else required
        notes = [row.doc]
        if row.older:
            notes.append("also read: " + ", ".join(f"`{name}`" for name in row.older))
        if row.secret:
            notes.append("secret")
        if row.restart:
            notes.append("at start only")
        lines.append(f"| `{row.key}` | {row.type} | {default} | {'; '.join(notes)} |")
    return "\n".join(lines)


def variables_table() -> str:
    """All environment variables as a Markdown table."""
    lines = ["| Variable | Meaning | Also read |", "| --- | --- | --- |"]
    for variable in VARIABLES:
        older = ", ".join(f"`{name}`" for name in variable.older)
        lines.append(f"| `{variable.name}` | {variable.doc} | {older} |")
    return "\n".join(lines)


def refreshed(page: str) -> str:
    """The page with its tables written anew; it must hold the markers of both."""
    for name, table in (("settings", settings_table()), ("variables", variables_table())):
        begin, end = f"<!-- {name}: generated -->", f"<!-- {name}: end -->"
        head, _, rest = page.partition(begin)
        _, _, tail = rest.partition(end)
        page = f"{head}{begin}\n\n{table}\n\n{end}{tail}"
    return page


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(refreshed(target.read_text("utf-8")), "utf-8")
