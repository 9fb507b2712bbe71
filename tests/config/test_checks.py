"""What texts must look like, and the one form they are brought into."""

from __future__ import annotations

import pytest

from app.config import schema
from tests.config.reading import parsed, refused

ERRORS = {
    # kinds of text
    "host with port": ("host: 127.0.0.1:80\n", 1, "host", "without scheme and port"),
    "host as URL": ("host: http://here\n", 1, "host", "must be an address or a host name"),
    "network": ("trusted-proxies: [10.0.0.0/99]\n", 1, "trusted-proxies[0]", "10.0.0.0/8"),
    "proxy address": ("trusted-proxies: nginx\n", 1, "trusted-proxies", "not 'nginx'"),
    "line break": ('host: "a\\nb"\n', 1, "host", "must not hold line breaks"),
    "database": ("database-url: mysql://h/d\n", 1, "database-url", "postgresql://"),
    "database without scheme": ("database-url: gateway.db\n", 1, "database-url", "sqlite:///"),
    "global proxy": ("proxy-url: ftp://h\n", 1, "proxy-url", "http, https, socks5 and socks5h"),
    "global proxy port": ("proxy-url: http://h:x\n", 1, "proxy-url", "must be a URL"),
    "proxy of a key": (
        "claude-api-key:\n- api-key: k\n  proxy-url: here\n",
        3,
        "claude-api-key[0].proxy-url",
        "or `direct`",
    ),
    "base URL": (
        "claude-api-key:\n- api-key: k\n  base-url: api.example.com\n",
        3,
        "claude-api-key[0].base-url",
        "must be an http or https URL such as https://api.example.com/v1, not 'api.example.com'",
    ),
    "base URL with query": (
        "claude-api-key: [{api-key: k, base-url: 'https://h/?a=b'}]",
        1,
        "claude-api-key[0].base-url",
        "without user name, query and fragment",
    ),
    "base URL with port": (
        "claude-api-key: [{api-key: k, base-url: 'https://h:99999'}]",
        1,
        "claude-api-key[0].base-url",
        "must be an http or https URL",
    ),
    "wire API": (
        "openai-api-key: [{api-key: k, wire-api: grpc}]",
        1,
        "openai-api-key[0].wire-api",
        "must be `chat` or `responses`, not 'grpc'",
    ),
    "provider key with a blank": (
        "openai-api-key: [{api-key: 'k k'}]",
        1,
        "openai-api-key[0].api-key",
        "visible ASCII",
    ),
    "half a hash": ("api-keys: ['$2b$12$short']", 1, "api-keys[0]", "begins like a bcrypt hash"),
    "half a management hash": (
        "remote-management:\n  secret-key: $2y$10$short\n",
        2,
        "remote-management.secret-key",
        "`aiproxyapi hash-password` makes one",
    ),
    # headers
    "headers as list": (
        "claude-api-key: [{api-key: k, headers: [a]}]",
        1,
        "claude-api-key[0].headers",
        "must be a mapping of names to values",
    ),
    "header name": (
        "claude-api-key:\n- api-key: k\n  headers:\n    'X A': b\n",
        4,
        "claude-api-key[0].headers.X A",
        "is no name of a header",
    ),
    "header value": (
        'claude-api-key: [{api-key: k, headers: {X-A: "b\\r\\nHost: c"}}]',
        1,
        "claude-api-key[0].headers.X-A",
        "without line breaks",
    ),
    "header beyond Latin": (
        "claude-api-key: [{api-key: k, headers: {X-A: 雨}}]",
        1,
        "claude-api-key[0].headers.X-A",
        "non-Latin",
    ),
    "header twice": (
        "claude-api-key: [{api-key: k, headers: {X-A: b, x-a: c}}]",
        1,
        "claude-api-key[0].headers.x-a",
        "upper and lower case mean the same",
    ),
    "header as list": (
        "claude-api-key: [{api-key: k, headers: {X-A: [b]}}]",
        1,
        "claude-api-key[0].headers.X-A",
        "must be a single value",
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


@pytest.mark.parametrize(
    "text",
    [
        "proxy-url: ftp://user:hunter2@host",
        "database-url: mysql://user:hunter2@host",
        "openai-api-key: [{api-key: 'hunter2 hunter2'}]",
        "api-keys: ['$2b$hunter2']",
        'api-keys: ["hunter2\\nhunter2"]',
        "claude-api-key: [{api-key: k, headers: {X-A: 'hunter2 雨'}}]",
    ],
)
def test_an_error_about_a_secret_does_not_show_it(text: str) -> None:
    assert "hunter2" not in str(refused(text))


def test_a_credential_is_put_into_its_normal_form() -> None:
    text = """
    openai-api-key:
      - api-key: " sk-1 "
        base-url: https://api.example.com/v1/
        prefix: /team/
        headers: {X-Team: a}
        excluded-models: [GPT-3*, " gpt-3* ", O1]
        wire-api: Responses
    """
    (credential,) = parsed(text).config.openai_api_key
    assert credential == schema.OpenAICredential(
        api_key="sk-1",
        base_url="https://api.example.com/v1",
        prefix="team",
        headers={"X-Team": "a"},
        excluded_models=("gpt-3*", "o1"),
        wire_api="responses",
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("", None),
        ("proxy-url:", None),
        ('proxy-url: ""', "direct"),
        ("proxy-url: direct", "direct"),
        ("proxy-url: None", "direct"),
        ("proxy-url: socks5h://u:p@h:1080/", "socks5h://u:p@h:1080"),
    ],
)
def test_the_proxy_of_a_key_is_inherited_none_or_its_own(written: str, meant: str | None) -> None:
    (credential,) = parsed(f"claude-api-key:\n- api-key: k\n  {written}\n").config.claude_api_key
    assert credential.proxy_url == meant


@pytest.mark.parametrize("written", ['""', "direct", "none"])
def test_the_global_proxy_may_be_none(written: str) -> None:
    assert parsed(f"proxy-url: {written}").config.proxy_url == ""


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgresql_gets_the_driver_we_install(scheme: str) -> None:
    config = parsed(f"database-url: {scheme}://u:p@h/d").config
    assert config.database_url == "postgresql+psycopg://u:p@h/d"


def test_addresses_are_understood_in_every_form() -> None:
    config = parsed("host: '[::1]'\ntrusted-proxies: [10.1.2.3/8, '::1']").config
    assert config.host == "::1"
    assert config.trusted_proxies == ("10.0.0.0/8", "::1")


def test_home_is_expanded_in_paths() -> None:
    config = parsed("data-dir: ~/gateway\nauth-dir: '~'").config
    assert (config.data_dir, config.auth_dir) == ("/home/nobody/gateway", "/home/nobody")


def test_hashed_keys_are_kept_as_they_are() -> None:
    hashed = "$2b$04$icSbVQN7lvU5ZfEea9zsx.vbFCtKGPCk2dQzrangj7u.4ARXbbScq"
    config = parsed(f"api-keys: ['{hashed}']\nremote-management: {{secret-key: '{hashed}'}}").config
    assert config.api_keys == (hashed,)
    assert config.remote_management.secret_key == hashed
