from __future__ import annotations

import pytest

from app.errors import Garbled
from app.protocols.base import ModelInfo
from app.providers.lists import MAX_MODELS, entries_of, read_openai_models, unix_s


def test_openai_lists_are_read_in_the_words_of_many_hosts() -> None:
    body = b"""{"object":"list","data":[
        {"id":"gpt-1","object":"model","created":1700000000,"owned_by":"system"},
        {"id":"r/one","name":"One","context_length":1000,
         "top_provider":{"max_completion_tokens":50}},
        {"id":"g","context_window":2000,"max_completion_tokens":60,"created":"2027-01-15T08:00:00Z"},
        {"id":"v","max_model_len":3000,"created":true,"top_provider":null},
        {"id":"gpt-1","created":1}, {"id":""}, {"id":5}, {"name":"nameless"}, 7, null]}"""
    assert read_openai_models(body, "") == [
        ModelInfo("gpt-1", "system", 1700000000),
        ModelInfo("r/one", "", 0, "One", 1000, 50),
        ModelInfo("g", "", 1_800_000_000, "", 2000, 60),
        ModelInfo("v", "", 0, "", 3000, 0),
    ]
    assert read_openai_models(b'[{"id":"a"}]', "mine") == [ModelInfo("a", "mine")]
    assert read_openai_models(b'{"models":[{"id":"a"}]}', "mine") == [ModelInfo("a", "mine")]


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"data":{}}', b'"x"', b"17", b"null"])
def test_what_is_no_list_is_garbled(body: bytes) -> None:
    with pytest.raises(Garbled):
        entries_of(body, "data")


def test_a_list_without_end_is_cut() -> None:
    body = b'{"data":[' + b",".join([b"{}"] * (MAX_MODELS + 5)) + b"]}"
    assert len(entries_of(body, "data")) == MAX_MODELS


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2027-01-15T08:00:00Z", 1_800_000_000),
        ("yesterday", 0),
        (12, 12),
        (-1, 0),
        (None, 0),
        ("0001-01-01T00:00:00+23:59", 0),
    ],
)
def test_moments_become_unix_seconds(value: object, seconds: int) -> None:
    assert unix_s(value) == seconds
