"""From the operator's file to a configuration, or to a sentence that says what is wrong."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from app.config import schema
from app.config.describe import rows
from app.config.load import load
from app.errors import ConfigError
from tests.config.reading import NOWHERE, outcome, parsed, refused

ERRORS = {
    # TLS
    "TLS without files": ("tls:\n  enable: true\n", 2, "tls.cert", "must name a PEM file"),
    "TLS file missing": (
        "tls:\n  enable: true\n  cert: /not/there\n  key: /not/there\n",
        3,
        "tls.cert",
        "there is none at '/not/there'",
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


def test_an_error_reads_as_file_line_key_and_sentence() -> None:
    assert str(refused("debug: off\nport: abc\n")) == (
        "gateway.yaml:2: port: must be a whole number from 1 to 65535, not 'abc'"
    )


def test_all_errors_of_a_file_are_told_together_in_its_order() -> None:
    error = refused("debug: 7\nopenai-api-key: [{api-key: env://NO}]\nport: x\n")
    assert error.line == 1
    assert [note.split(": ")[0] for note in error.__notes__] == ["gateway.yaml:2", "gateway.yaml:3"]


def test_a_configuration_does_not_show_its_secrets() -> None:
    text = """
    api-keys: [hunter2]
    proxy-url: http://user:hunter2@host
    database-url: postgresql://user:hunter2@host/db
    remote-management: {secret-key: hunter2}
    claude-api-key: [{api-key: hunter2, headers: {X-A: hunter2}}]
    openai-compatibility: [{name: n, base-url: 'http://h', api-keys: [hunter2]}]
    """
    assert "hunter2" not in repr(parsed(text))


def test_the_auth_dir_of_another_gateway_is_found(tmp_path: Path) -> None:
    (tmp_path / ".ai-proxy-api").mkdir()
    home = str(tmp_path)
    assert parsed("{}", HOME=home).config.auth_dir == f"{home}/.ai-proxy-api"
    assert parsed("auth-dir: ~/x", HOME=home).config.auth_dir == f"{home}/x"
    (tmp_path / ".cli-proxy-api").mkdir()
    assert parsed("{}", HOME=home).config.auth_dir == f"{home}/.cli-proxy-api"


def test_tls_is_accepted_with_files_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "pem").touch()
    config = parsed(f"tls: {{enable: true, cert: {tmp_path}/pem, key: {tmp_path}/pem}}").config
    assert config.tls == schema.Tls(True, f"{tmp_path}/pem", f"{tmp_path}/pem")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read every file")
def test_tls_refuses_a_key_it_may_not_read(tmp_path: Path) -> None:
    (tmp_path / "pem").touch(0o000)
    error = refused(f"tls: {{enable: true, cert: {tmp_path}/pem, key: {tmp_path}/pem}}")
    assert "may not read" in error.message


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("{}", "everybody who can reach the gateway may call it"),
        ("host: 0.0.0.0", "everybody who can reach the gateway may call it"),
        ("api-keys: [your-api-key-1, mine]", "until it is replaced only this machine is served"),
    ],
)
def test_open_doors_are_told(text: str, warning: str) -> None:
    (found,) = parsed(text).warnings
    assert found.key == "api-keys"
    assert warning in found.message


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_a_loopback_gateway_needs_no_key(host: str) -> None:
    assert parsed(f"host: '{host}'").warnings == ()


def test_the_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_bytes(b"\xef\xbb\xbfport: 1\r\n")
    loaded = load(path, NOWHERE)
    assert loaded.config.port == 1
    assert loaded.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load(tmp_path / "gateway.yaml", NOWHERE)


def test_a_directory_in_the_file_s_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a container runtime makes one"):
        load(tmp_path, NOWHERE)


def test_a_path_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be read: Not a directory"):
        load(tmp_path / "file" / "gateway.yaml", NOWHERE)


def test_a_file_in_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_bytes(b"port: 1\nhost: \xff\n")
    with pytest.raises(ConfigError, match="is not UTF-8 text") as caught:
        load(path, NOWHERE)
    assert caught.value.line == 2


_SCALARS = st.one_of(
    st.text(max_size=20),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.dates(),
    st.sampled_from(
        ["env://", "env://X", "file://", "file:///", "file:///\0", "~", "~x", "http://[", "://",
         "$2b$", "<<", "direct", "socks5://:@:", "http://\u2100", "0" * 500, "-", "*", "&a"]
    ),
)  # fmt: skip
_KEYS = sorted(row.key for row in rows())


def _document(key: str, value: object) -> object:
    """The value at a dotted key; a list has one entry, with the rest of what an entry needs."""
    head, _, rest = key.partition(".")
    inner: object = _document(rest, value) if rest else value
    if head.endswith("[]"):
        needed = {"name": "n", "base-url": "http://h", "api-key": "k"}
        entry = {**needed, **inner} if isinstance(inner, dict) else inner
        return {head.removesuffix("[]"): [entry]}
    return {head: inner}


@settings(max_examples=400, deadline=None)
@given(key=st.sampled_from(_KEYS), value=_SCALARS, listed=st.booleans())
def test_any_value_anywhere_loads_or_is_refused_with_its_line(
    key: str, value: object, listed: bool
) -> None:
    document = _document(key, [value] if listed else value)
    text = yaml.safe_dump(document, allow_unicode=True)
    match outcome(text):
        case ConfigError() as error:
            assert error.line is not None
            # `tls.enable` may be at fault by what it asks of `tls.cert`: compare the head
            assert re.split(r"[.\[]", error.key)[0] == re.split(r"[.\[]", key)[0]
        case loaded:
            assert isinstance(loaded.config, schema.Config)


@settings(max_examples=200, deadline=None)
@given(text=st.text())
def test_any_text_loads_or_is_refused(text: str) -> None:
    found = outcome(text)
    assert isinstance(found, ConfigError) or isinstance(found.config, schema.Config)
