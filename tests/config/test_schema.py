"""The schema is one that the loader can read."""

from __future__ import annotations

import dataclasses
import typing

import pytest

from app.config import checks, schema
from app.config.build import bare, hints_of, names_of

SECTIONS = [
    each
    for each in vars(schema).values()
    if isinstance(each, type) and dataclasses.is_dataclass(each)
]


@pytest.mark.parametrize("section", SECTIONS)
def test_every_setting_can_be_read_and_is_described(section: typing.Any) -> None:
    for field in dataclasses.fields(section):
        meta, hint = field.metadata, bare(hints_of(section)[field.name])
        assert meta["doc"]
        assert "|" not in meta["doc"]  # it stands in a table
        assert meta["kind"] in {"", "headers", *checks.KINDS}
        assert all(choice == choice.lower() for choice in meta["choices"])
        assert (hint in (int, float)) == (meta["most"] is not None)
        if meta["most"] is not None:
            assert meta["least"] < meta["most"]


@pytest.mark.parametrize("section", SECTIONS)
def test_every_default_is_one_that_could_be_written(section: typing.Any) -> None:
    for field in dataclasses.fields(section):
        meta = field.metadata
        if meta["most"] is not None:
            assert meta["least"] <= field.default <= meta["most"]
        if meta["choices"] and field.default is not dataclasses.MISSING:
            assert field.default in meta["choices"]


@pytest.mark.parametrize("section", SECTIONS)
def test_no_spelling_means_two_settings(section: typing.Any) -> None:
    fields = dataclasses.fields(section)
    spellings = sum(1 + len(field.metadata["aliases"]) for field in fields)
    assert len(names_of(section)) == spellings


def test_secrets_are_not_in_repr() -> None:
    entry = schema.Credential("sk-hidden", headers={"X-A": "sk-hidden"}, proxy_url="sk-hidden")
    assert "sk-hidden" not in repr(entry)
