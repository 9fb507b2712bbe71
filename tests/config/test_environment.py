"""What the environment overrides, and the ``.env`` file."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.config.environment import VARIABLES, config_path, parse_dotenv, with_dotenv
from app.errors import ConfigError
from tests.config.reading import parsed, refused

FILE = "host: h\nport: 1\nworkers: 1\ndebug: true\ndata-dir: /f\ndatabase-url: 'sqlite:///f'\n"


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("AIPROXY_HOST", "10.0.0.1", "host", "10.0.0.1"),
        ("AI_PROXY_HOST", "10.0.0.1", "host", "10.0.0.1"),
        ("AIPROXY_PORT", "9000", "port", 9000),
        ("AI_PROXY_PORT", "9000", "port", 9000),
        ("AIPROXY_WORKERS", "3", "workers", 3),
        ("AIPROXY_LOG_LEVEL", "INFO", "debug", False),
        ("AIPROXY_LOG_LEVEL", "trace", "debug", True),
        ("AI_PROXY_LOG_LEVEL", "warn", "debug", False),
        ("AIPROXY_DATA_DIR", "~/d", "data_dir", "/home/nobody/d"),
        ("AIPROXY_DATABASE_URL", "postgres://h/d", "database_url", "postgresql+psycopg://h/d"),
        ("AIPROXY_PORT", " ", "port", 1),
        ("AIPROXY_HOST", "", "host", "h"),
    ],
)
def test_a_variable_overrides_the_file(name: str, value: str, field: str, expected: object) -> None:
    assert getattr(parsed(FILE, **{name: value}).config, field) == expected


def test_our_own_name_wins_over_an_older_one() -> None:
    assert parsed(FILE, AIPROXY_PORT="2", AI_PROXY_PORT="3").config.port == 2


@pytest.mark.parametrize("name", ["MANAGEMENT_PASSWORD", "management_password"])
def test_a_management_password_opens_the_management_to_others(name: str) -> None:
    text = "remote-management: {secret-key: file, allow-remote: false}"
    management = parsed(text, **{name: "secret"}).config.remote_management
    assert (management.secret_key, management.allow_remote) == ("secret", True)


def test_a_secret_of_the_environment_may_lie_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("sqlite:////x\n")
    config = parsed("{}", AIPROXY_DATABASE_URL=f"file://{tmp_path}/url").config
    assert config.database_url == "sqlite:////x"


@pytest.mark.parametrize(
    ("file", "environ", "expected"),
    [
        ("{}", {}, "/w/data"),
        ("data-dir: here", {}, "/w/here"),
        ("data-dir: ./here/", {}, "/w/here"),
        ("data-dir: /there", {}, "/there"),
        ("data-dir: here", {"AIPROXY_DATA_DIR": "d"}, "d"),
    ],
)
@pytest.mark.parametrize("name", ["WRITABLE_PATH", "writable_path"])
def test_the_data_directory_lies_where_writing_is_possible(
    file: str, environ: dict[str, str], expected: str, name: str
) -> None:
    assert parsed(file, **{name: "/w"}, **environ).config.data_dir == expected


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("AIPROXY_PORT", "abc", "must be a whole number from 1 to 65535, not 'abc'"),
        ("AI_PROXY_PORT", "0", "must be a whole number from 1 to 65535, not '0'"),
        ("AIPROXY_LOG_LEVEL", "loud", "must be one of trace, debug, info"),
        ("AIPROXY_HOST", "http://h", "must be an address or a host name"),
        ("AIPROXY_DATABASE_URL", "env://NO", "the environment variable NO is not set"),
        ("MANAGEMENT_PASSWORD", "$2b$half", "begins like a bcrypt hash"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(name: str, value: str, message: str) -> None:
    error = refused(FILE, **{name: value})
    assert (error.file, error.line, error.key) == ("environment", None, name)
    assert message in error.message


def test_a_broken_file_is_told_before_the_environment() -> None:
    assert refused("port: x", AIPROXY_PORT="y").file == "gateway.yaml"


def test_every_variable_names_a_setting_that_exists() -> None:
    for variable in VARIABLES:
        value: object = parsed("{}").config
        for part in filter(None, variable.setting.split(".")):
            value = getattr(value, part)


def test_the_configuration_file_is_named_by_the_environment() -> None:
    assert config_path({}) == Path("config.yaml")
    assert config_path({"AI_PROXY_CONFIG": "/b"}) == Path("/b")
    assert config_path({"AI_PROXY_CONFIG": "/b", "AIPROXY_CONFIG": "/a"}) == Path("/a")


# .env

DOTENV = r"""
# a comment
PLAIN=one
SPACED = two words   # a remark
HASH=a#b
export LED=three
SINGLE='a "b" \n # c'  # a remark
DOUBLE="a 'b'\t\"c\"\\\$ # d"
EMPTY=
NONE= # only a remark
URL=postgresql://u:p@h/d?x=y
TWICE=1
TWICE=2
"""


def test_dotenv_is_read_as_it_is_written() -> None:
    assert parse_dotenv(DOTENV, ".env") == {
        "PLAIN": "one",
        "SPACED": "two words",
        "HASH": "a#b",
        "LED": "three",
        "SINGLE": r'a "b" \n # c',
        "DOUBLE": "a 'b'\t\"c\"\\$ # d",
        "EMPTY": "",
        "NONE": "",
        "URL": "postgresql://u:p@h/d?x=y",
        "TWICE": "2",
    }


@pytest.mark.parametrize(
    ("line", "key", "message"),
    [
        ("sk-secret", "", "must be a comment or an assignment such as NAME=value"),
        ("1A=sk-secret", "", "must be a comment or an assignment"),
        ("set A=sk-secret", "", "must be a comment or an assignment"),
        ("A='sk-secret", "A", "must end with the quote it begins with"),
        ('A="sk-secret" more', "A", "must end with the quote it begins with"),
        ('A="sk-secret\\"', "A", "must end with the quote it begins with"),
    ],
)
def test_a_line_that_is_no_assignment_is_refused_without_being_shown(
    line: str, key: str, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_dotenv(f"A=b\n{line}\n", ".env")
    assert (caught.value.line, caught.value.key) == (2, key)
    assert message in caught.value.message
    assert "sk-secret" not in str(caught.value)


def test_what_is_set_wins_over_dotenv(tmp_path: Path) -> None:
    assert with_dotenv({"A": "1"}, tmp_path) == {"A": "1"}
    (tmp_path / ".env").write_bytes(b"\xef\xbb\xbfA=2\r\nB=3\r\n")
    assert with_dotenv({"A": "1"}, tmp_path) == {"A": "1", "B": "3"}


def test_a_dotenv_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"A=\xff")
    with pytest.raises(ConfigError, match="it is not UTF-8 text"):
        with_dotenv({}, tmp_path)
    (tmp_path / ".env").unlink()
    (tmp_path / ".env").mkdir()
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        with_dotenv({}, tmp_path)
