"""``env://`` and ``file://``."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.config.secrets import SecretMissing, resolve
from tests.config.reading import parsed, refused

ERRORS = {
    # secrets elsewhere
    "variable missing": (
        "openai-api-key:\n- api-key: env://NOT_THERE\n",
        2,
        "openai-api-key[0].api-key",
        "the environment variable NOT_THERE is not set",
    ),
    "file missing": (
        "api-keys:\n- file:///not/there\n",
        2,
        "api-keys[0]",
        "the file /not/there cannot be read: No such file or directory",
    ),
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


def test_secrets_are_fetched_from_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-file\n")
    text = f"api-keys: [env://ONE, 'file://{tmp_path}/key', clear]\nhost: localhost"
    assert parsed(text, ONE="from-env").config.api_keys == ("from-env", "from-file", "clear")


def test_only_secrets_are_fetched_from_elsewhere() -> None:
    (entry,) = parsed(
        "claude-api-key: [{api-key: k, name: env://ONE}]", ONE="x"
    ).config.claude_api_key
    assert entry.name == "env://ONE"


def test_what_is_no_reference_is_the_secret() -> None:
    assert resolve("sk-1", {}) == "sk-1"


MISSING = {
    "env://": "names no variable",
    "env://BLANK": "the environment variable BLANK is empty",
    "env://NONE": "the environment variable NONE is not set",
    "file://relative": "must name an absolute path",
    "file://": "must name an absolute path",
    "file:///a\0b": "cannot be read: embedded null byte",
    "file:///dev/zero": "is longer than 65536 bytes",
    "file:///dev/null": "is empty",
    "file:///": "cannot be read: Is a directory",
}


@pytest.mark.parametrize(("text", "message"), MISSING.items(), ids=MISSING)
def test_a_secret_that_cannot_be_had_says_why(text: str, message: str) -> None:
    with pytest.raises(SecretMissing, match=message):
        resolve(text, {"BLANK": " "})


def test_a_file_must_be_text(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xff\xfe")
    with pytest.raises(SecretMissing, match="is not UTF-8 text"):
        resolve(f"file://{tmp_path}/key", {})
