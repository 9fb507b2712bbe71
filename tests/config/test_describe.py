"""The documentation and the sample file say what the schema says."""

from __future__ import annotations

import dataclasses

import yaml

from app.config import schema
from app.config.describe import refreshed, rows
from app.config.load import load
from app.config.paths import root_file
from tests.config.reading import NOWHERE, parsed


def _uncommented() -> str:
    lines = root_file("config.example.yaml").read_text().splitlines()
    return "\n".join(line.removeprefix("# ") for line in lines)


def test_the_sample_file_loads() -> None:
    loaded = load(root_file("config.example.yaml"), NOWHERE)
    assert [warning.key for warning in loaded.warnings] == ["api-keys"]
    expected = dataclasses.replace(
        parsed("{}").config, host="127.0.0.1", api_keys=("your-api-key-1",)
    )
    assert loaded.config == expected


def test_the_sample_file_loads_with_every_setting_switched_on() -> None:
    assert [warning.key for warning in parsed(_uncommented()).warnings] == ["api-keys"]


def test_the_sample_file_shows_every_setting() -> None:
    def keys(value: object, path: str = "") -> set[str]:
        if isinstance(value, list):
            return set().union(*(keys(item, f"{path}[]") for item in value))
        if isinstance(value, dict):
            inner = (keys(v, f"{path}.{k}" if path else k) for k, v in value.items())
            return {path}.union(*inner)
        return {path}

    shown = {key.rstrip("[]") for key in keys(yaml.safe_load(_uncommented()))}
    wanted = {row.key for row in rows()}
    assert wanted - shown == set()


def test_the_sample_file_shows_the_defaults() -> None:
    switched_on = parsed(_uncommented()).config
    defaults = parsed("{}").config
    samples = {"host", "api_keys", "tls", "trusted_proxies", "demo"}
    for field in dataclasses.fields(schema.Config):
        if field.name not in samples and not field.name.endswith(("_api_key", "_compatibility")):
            assert getattr(switched_on, field.name) == getattr(defaults, field.name), field.name


def test_the_page_is_true_to_the_schema() -> None:
    page = root_file("docs/configuration.md")
    text = page.read_text("utf-8")
    assert refreshed(text) == text, (
        "docs/configuration.md is out of date; write its tables anew with "
        "`python -m app.config.describe docs/configuration.md`"
    )


def test_every_setting_has_its_row_in_the_page() -> None:
    text = root_file("docs/configuration.md").read_text("utf-8")
    for row in rows():
        assert f"| `{row.key}` | {row.type} |" in text


def test_an_edit_of_the_table_is_noticed() -> None:
    text = root_file("docs/configuration.md").read_text("utf-8")
    edited = text.replace("| `port` |", "| `porter` |")
    assert edited != text
    assert refreshed(edited) == text
