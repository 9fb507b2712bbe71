"""YAML that is none, keys that stand twice, anchors."""

from __future__ import annotations

import pytest

from tests.config.reading import parsed, refused, warned

ERRORS = {
    # the file itself
    "empty": ("", None, "", "is empty: it holds no setting"),
    "comments alone": ("# port: 1\n", None, "", "is empty: it holds no setting"),
    "a list": ("- a\n", 1, "", "must be a mapping of settings such as `port: 8317`, not a list"),
    "a word": ("port", 1, "", "not a single value"),
    "not YAML": ("port: 1\nhost: [a\n", 3, "", "is not valid YAML"),
    "a tab": ("port: 1\n\tdebug: true\n", 2, "", "found a tab character"),
    "an at sign": ("host: @here\n", 1, "", "quote values that begin with @"),
    "a stray colon": ("host: a: b\n", 1, "", "quote values that hold a colon"),
    "a control character": ("port: 1\nhost: a\x01\n", 2, "", "U+0001 is not allowed"),
    "brackets without end": ("port: 1\na: " + "[" * 100_000, 2, "", "is nested too deeply"),
    "brackets in lines": ("a:\n" + " [\n" * 300, 201, "", "is nested too deeply"),
    "dashes without end": ("- " * 100_000, 1, "", "is nested too deeply"),
    "two documents": ("port: 1\n---\nport: 2\n", 2, "", "is not valid YAML"),
    "unknown anchor": ("port: 1\nhost: *here\n", 2, "", "is not valid YAML"),
    # keys
    "a key twice": ("port: 1\ndebug: on\nport: 2\n", 3, "port", "twice, first in line 1"),
    "a nested key twice": ("tls:\n  cert: a\n  cert: b\n", 3, "tls.cert", "first in line 2"),
    "two spellings": ("data-dir: a\ndata_dir: b\n", 2, "data_dir", "also as `data-dir`"),
    "a list as key": ("? [a]\n: b\n", 1, "", "a key must be a word, not a list"),
    "a merge of text": ("tls:\n  <<: text\n", 2, "tls.<<", "must name a mapping"),
}


@pytest.mark.parametrize(("text", "line", "key", "message"), ERRORS.values(), ids=ERRORS)
def test_an_error_says_where_and_what_would_be_right(
    text: str, line: int | None, key: str, message: str
) -> None:
    error = refused(text)
    assert error.file == "gateway.yaml"
    assert error.line == line
    assert error.key == key
    assert message in error.message


def test_a_merged_mapping_is_laid_under_the_own_keys() -> None:
    text = """
    x-deep: &deep {priority: 7, disabled: true}
    x-common: &common {<<: *deep, prefix: team, priority: 3}
    claude-api-key:
      - {api-key: a, <<: *common}
      - {api-key: b, <<: [*common, *deep], prefix: own}
    """
    first, second = parsed(text).config.claude_api_key
    assert (first.prefix, first.priority, first.disabled) == ("team", 3, True)
    assert (second.prefix, second.priority) == ("own", 3)
    assert warned(text) == []


def test_a_long_line_is_not_a_deep_one() -> None:
    assert parsed(f"api-keys: [{'a, ' * 500}]").config.api_keys == ("a",)
    assert parsed(f"x-many: [{'[], ' * 500}]\nport: 1").config.port == 1


def test_an_anchor_that_holds_itself_ends() -> None:
    assert parsed("tls: &self {cert: a, <<: *self}").config.tls.cert == "a"
