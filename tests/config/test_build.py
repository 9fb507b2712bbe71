"""Shapes, numbers and words; what is left out with a warning."""

from __future__ import annotations

import dataclasses

import pytest

from app.config import schema
from tests.config.reading import parsed, refused, warned

ERRORS = {
    # shapes
    "section as text": ("tls: true\n", 1, "tls", "must be a mapping, not a single value"),
    "section as list": ("tls: [a]\n", 1, "tls", "must be a mapping, not a list"),
    "text as list": ("host: [a]\n", 1, "host", "must be a single value, not a list"),
    "number as mapping": ("port: {a: 1}\n", 1, "port", "a single value, not a mapping"),
    "list as mapping": (
        "openai-api-key:\n  api-key: k\n",
        2,
        "openai-api-key",
        "must be a list; begin each entry with `- `",
    ),
    "entry as list": ("claude-api-key: [[k]]\n", 1, "claude-api-key[0]", "must be a mapping"),
    "key entry as list": (
        "openai-compatibility:\n- {name: n, base-url: 'http://h', api-key-entries: [[k]]}\n",
        2,
        "openai-compatibility[0].api-key-entries[0]",
        "must be a mapping, not a list",
    ),
    "list of texts as mapping": ("api-keys: {a: b}\n", 1, "api-keys", "must be a list"),
    "a text of a list as list": ("api-keys: [[a]]\n", 1, "api-keys[0]", "must be a single value"),
    "a tag": ("host: !mine here\n", 1, "host", "has a tag (!mine)"),
    "a tagged list": ("api-keys: !mine [a]\n", 1, "api-keys", "has a tag (!mine)"),
    # numbers and words
    "port as word": ("port: abc\n", 1, "port", "a whole number from 1 to 65535, not 'abc'"),
    "port too small": ("port: 0\n", 1, "port", "from 1 to 65535, not '0'"),
    "port below nothing": ("port: -1\n", 1, "port", "from 1 to 65535, not '-1'"),
    "port too large": ("port: 65536\n", 1, "port", "from 1 to 65535, not '65536'"),
    "port as fraction": ("port: 1.5\n", 1, "port", "must be a whole number"),
    "port as truth": ("port: yes\n", 1, "port", "must be a whole number"),
    "port as hexadecimal": ("port: 0x50\n", 1, "port", "must be a whole number"),
    "port tagged": ("port: !!int abc\n", 1, "port", "must be a whole number"),
    "port endless": (f"port: {'9' * 5000}\n", 1, "port", "must be a whole number"),
    "seconds as word": (
        "idle-timeout: 5m\n",
        1,
        "idle-timeout",
        "must be a number from 0 to 86400",
    ),
    "seconds not a number": ("idle-timeout: .nan\n", 1, "idle-timeout", "must be a number"),
    "seconds without end": ("idle-timeout: .inf\n", 1, "idle-timeout", "must be a number"),
    "seconds too few": ("connect-timeout: 0\n", 1, "connect-timeout", "from 0.1 to 86400"),
    "truth as number": ("debug: 1\n", 1, "debug", "must be true or false, not '1'"),
    "truth as word": ("demo: perhaps\n", 1, "demo", "must be true or false, not 'perhaps'"),
    "a long value is cut": ("debug: " + "a" * 100, 1, "debug", "not '" + "a" * 60 + "…'"),
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


def test_an_absent_key_keeps_its_default_and_an_explicit_one_counts() -> None:
    config = parsed("{}").config
    assert config == dataclasses.replace(
        schema.Config(),
        data_dir="/home/nobody/.aiproxyapi",
        auth_dir="/home/nobody/.cli-proxy-api",
    )
    assert parsed("streaming: {keepalive-seconds: 0}").config.streaming.keepalive_seconds == 0
    assert parsed("port:\nhost: ~\n").config.port == 8317


def test_both_spellings_of_a_key_are_read() -> None:
    assert (
        parsed("api_keys: [a]\nbody_limit_mb: 5").config
        == parsed("api-keys: [a]\nbody-limit-mb: 5").config
    )


def test_text_stays_as_it_was_written_whatever_yaml_takes_it_for() -> None:
    config = parsed("api-keys: [0123, on, 1.50, 2026-01-02, null, ' ', ' padded ']").config
    assert config.api_keys == ("0123", "on", "1.50", "2026-01-02", "padded")


@pytest.mark.parametrize("word", ["true", "yes", "on", "True", '"true"'])
def test_truth_has_many_spellings(word: str) -> None:
    assert parsed(f"debug: {word}").config.debug is True


def test_the_three_states_of_demo() -> None:
    assert [parsed(text).config.demo for text in ("{}", "demo: on", "demo: off")] == [
        None,
        True,
        False,
    ]


def test_numbers_may_be_quoted() -> None:
    config = parsed('port: "9000"\nidle-timeout: "1.5"').config
    assert (config.port, config.idle_timeout) == (9000, 1.5)


def test_seconds_below_zero_mean_off() -> None:
    text = "streaming:\n  keepalive-seconds: -1\n"
    assert parsed(text).config.streaming.keepalive_seconds == 0
    assert warned(text) == [
        "gateway.yaml:2: streaming.keepalive-seconds: is below 0 and counts as 0"
    ]


WARNINGS = {
    "a typing error": ("prot: 1", "gateway.yaml:1: prot: is not a setting; did you mean `port`?"),
    "nothing near": ("zzz: 1", "gateway.yaml:1: zzz: is not a setting"),
    "a nested typing error": (
        "claude-api-key:\n- api-key: k\n  modles: []\n",
        "gateway.yaml:3: claude-api-key[0].modles: is not a setting; did you mean `models`?",
    ),
    "a blank key": (
        "claude-api-key:\n- api-key: ''\n",
        "gateway.yaml:2: claude-api-key[0]: is left out: its `api-key` is missing",
    ),
    "no key": (
        "gemini-api-key:\n- name: a\n",
        "gateway.yaml:2: gemini-api-key[0]: is left out: its `api-key` is missing",
    ),
    "compatible without URL": (
        "openai-compatibility:\n- name: a\n  base-url: ''\n",
        "gateway.yaml:2: openai-compatibility[0]: is left out: its `base-url` is missing",
    ),
    "codex without URL": (
        "codex-api-key:\n- api-key: k\n",
        "gateway.yaml:2: codex-api-key[0]: is left out: its `base-url` is missing",
    ),
    "model without name": (
        "claude-api-key:\n- api-key: k\n  models:\n  - alias: a\n",
        "gateway.yaml:4: claude-api-key[0].models[0]: is left out: its `name` is missing",
    ),
    "the same client key": (
        "api-keys:\n- a\n- b\n- a\n",
        "gateway.yaml:4: api-keys[2]: is the same as `api-keys[0]` and is left out",
    ),
    "the same credential": (
        "claude-api-key:\n- api-key: k\n- api-key: k\n  name: again\n",
        "gateway.yaml:3: claude-api-key[1]: is the same as `claude-api-key[0]` and is left out",
    ),
    "a prefix with a slash": (
        "claude-api-key:\n- api-key: k\n  prefix: a/b\n",
        "gateway.yaml:3: claude-api-key[0].prefix: holds a slash inside and is left out; "
        "write one word such as `team-a`",
    ),
    "a header of ours": (
        "claude-api-key:\n- api-key: k\n  headers: {X-Api-Key: b}\n",
        "gateway.yaml:3: claude-api-key[0].headers.X-Api-Key: is left out: "
        "the gateway sets this header itself",
    ),
    "a header without value": (
        "claude-api-key:\n- api-key: k\n  headers: {X-A: ''}\n",
        "gateway.yaml:3: claude-api-key[0].headers.X-A: is left out: it has no name or no value",
    ),
    "a header of the client": (
        "claude-api-key:\n- api-key: k\n  headers: {X-A: $X-B}\n",
        "gateway.yaml:3: claude-api-key[0].headers.X-A: is left out: "
        "this version copies no header of the client",
    ),
    "two spellings of which one counts": (
        "nonstream-keepalive: 5\nnonstream-keepalive-interval: 6\n",
        "gateway.yaml:1: nonstream-keepalive: does nothing beside `nonstream-keepalive-interval`",
    ),
}


@pytest.mark.parametrize(("text", "warning"), WARNINGS.values(), ids=WARNINGS)
def test_a_warning_says_where_and_what_is_done(text: str, warning: str) -> None:
    assert warned(text) == [warning]


def test_what_is_warned_of_is_left_out() -> None:
    config = parsed(
        "claude-api-key: [{api-key: ''}, k, {api-key: k}, '']\ncodex-api-key: [k]"
    ).config
    assert [each.api_key for each in config.claude_api_key] == ["k"]
    assert config.codex_api_key == ()


def test_entries_that_differ_are_all_kept() -> None:
    text = """
    claude-api-key:
      - {api-key: k}
      - {api-key: k, base-url: https://h}
      - {api-key: k, proxy-url: direct}
      - {api-key: k, headers: {X-A: b}}
      - {api-key: k, models: [m]}
    """
    assert len(parsed(text).config.claude_api_key) == 5
    assert warned(text) == []


def test_an_own_spelling_wins_over_an_older_one() -> None:
    config = parsed("request-timeout: 5\ntotal-timeout: 6\n").config
    assert config.total_timeout == 6
