from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.routing.names import Globs


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("gpt-*", "gpt-1", True),
        ("gpt-*", "gpt-", True),
        ("gpt-*", "xgpt-1", False),
        ("*-preview", "a-preview", True),
        ("*-preview", "a-preview-1", False),
        ("*mini*", "a-mini-b", True),
        ("a*b", "a-x-b", True),
        ("a*b", "a-x-c", False),
        ("a*b*c", "abbc", True),
        ("*", "", True),
        ("**", "anything\nat all", True),
        ("o1", "o1", True),
        ("o1", "o10", False),
        ("a.c", "abc", False),
        ("a?c", "abc", False),
        (" gpt-* ", "gpt-1", True),
        ("", "", False),
    ],
)
def test_stars_stand_for_anything(pattern: str, name: str, fits: bool) -> None:
    assert Globs([pattern]).match(name) is fits


def test_one_of_several_is_enough_and_none_fits_nothing() -> None:
    assert Globs(["a*", "b*"]).match("b1")
    assert not Globs(["a*", "b*"]).match("c1")
    assert not Globs([]).match("a")


def test_case_counts_unless_folded() -> None:
    assert not Globs(["GPT-*"]).match("gpt-1")
    assert Globs(["GPT-*"], fold=True).match("gpt-1")


@given(st.text(alphabet="ab*", max_size=8), st.text(alphabet="ab", max_size=10))
def test_it_agrees_with_the_shell(pattern: str, name: str) -> None:
    assert Globs([pattern]).match(name) is (bool(pattern) and fnmatchcase(name, pattern))


def test_a_hostile_name_does_not_send_the_search_back_and_forth() -> None:
    # would not come back in a lifetime if each star tried every place
    assert not Globs(["*a" * 20 + "*b"]).match("a" * 20_000)
