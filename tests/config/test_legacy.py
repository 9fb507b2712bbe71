"""Files of older gateways mean here what they meant there."""

from __future__ import annotations

import pytest

from app.config import schema
from app.config.build import names_of
from app.config.legacy import KNOWN_ELSEWHERE, NEEDLESS, NOT_YET, REFUSED
from tests.config.reading import parsed, refused, warned

SAME = {
    "one client key": ("api-key: a", "api-keys: [a]"),
    "client keys": ("api-key: [a, b]", "api-keys: [a, b]"),
    "both lists": ("api-keys: [a]\napi-key: [b]", "api-keys: [a, b]"),
    "inline keys": (
        "auth: {providers: [{name: i, type: config-api-key, api-keys: [a, b]}]}",
        "api-keys: [a, b]",
    ),
    "inline keys of two providers": (
        "auth: {providers: [{type: config-api-key, api-keys: [a]}, {api-keys: [b]}]}\napi-keys: []",
        "api-keys: [a, b]",
    ),
    "inline keys beside empty ones": (
        "auth: {providers: [{type: config-api-key, api-keys: [a]}]}\napi-keys:\n",
        "api-keys: [a]",
    ),
    "listen": ("listen: ':8080'", "host: 127.0.0.1\nport: 8080"),
    "listen with address": ("listen: 10.0.0.1:8080", "host: 10.0.0.1\nport: 8080"),
    "bind and listen": ("bind: 0.0.0.0\nlisten: ':8080'", "host: 0.0.0.0\nport: 8080"),
    "bind": ("bind: 0.0.0.0", "host: 0.0.0.0"),
    "shutdown": ("daemon: {shutdown-timeout: 7}", "shutdown-timeout: 7"),
    "whole request": ("request-timeout: 7", "total-timeout: 7"),
    "response headers": ("upstream_request_timeout: 7", "first-byte-timeout: 7"),
    "heartbeat": ("non-stream-keepalive-secs: 7", "nonstream-keepalive-interval: 7"),
    "Gemini keys": (
        "generative-language-api-key: [a, b]",
        "gemini-api-key: [{api-key: a}, {api-key: b}]",
    ),
    "Gemini keys of both kinds": (
        "generative-language-api-key: [b]\ngemini-api-key: [{api-key: a}]",
        "gemini-api-key: [{api-key: a}, {api-key: b}]",
    ),
    "keys of a compatible provider": (
        "openai-compatibility: [{name: n, base-url: 'http://h', api-keys: [a, b]}]",
        "openai-compatibility: [{name: n, base-url: 'http://h', "
        "api-key-entries: [{api-key: a}, {api-key: b}]}]",
    ),
    "a flat compatible provider": (
        "openai-compatibility: [{api-key: a, base-url: 'http://h.example/v1', "
        "proxy-url: '', prefix: h/, models: [{id: m, alias: n}], wire-api: responses}]",
        "openai-compatibility: [{name: h.example, base-url: 'http://h.example/v1', prefix: h, "
        "api-key-entries: [{api-key: a, proxy-url: direct}], models: [{name: m, alias: n}], "
        "wire-api: responses}]",
    ),
    "a nameless provider": (
        "openai-compatibility: [{name: '', base-url: 'http://h:1/v1'}]",
        "openai-compatibility: [{name: h, base-url: 'http://h:1/v1'}]",
    ),
    "models by id": (
        "claude-api-key: [{api-key: a, models: [{id: m, alias: n}]}]",
        "claude-api-key: [{api-key: a, models: [{name: m, alias: n}]}]",
    ),
    "models by name alone": (
        "claude-api-key: [{api-key: a, models: [m]}]",
        "claude-api-key: [{api-key: a, models: [{name: m}]}]",
    ),
    "models as mapping": (
        "claude-api-key: [{api-key: a, models: {n: m}}]",
        "claude-api-key: [{api-key: a, models: [{name: m, alias: n}]}]",
    ),
}


@pytest.mark.parametrize(("old", "new"), SAME.values(), ids=SAME)
def test_an_older_shape_means_the_same(old: str, new: str) -> None:
    assert parsed(old).config == parsed(new).config
    assert warned(old) == []


@pytest.mark.parametrize("written", ["eighty", "8080", "':'", "[a]"])
def test_a_listen_that_is_no_port_is_refused(written: str) -> None:
    error = refused(f"debug: on\nlisten: {written}")
    assert (error.line, error.key) == (2, "listen")
    assert error.message == "must be a colon and a port, such as ':8080'"


def test_errors_name_the_line_of_the_older_shape() -> None:
    error = refused("port: 1\ndebug: on\n\nauth:\n  providers:\n  - api-keys: [a, [b]]\n")
    assert (error.line, error.key) == (6, "api-keys[1]")


def test_a_broken_base_url_is_told_where_the_name_was_to_come_from_it() -> None:
    error = refused("openai-compatibility:\n- base-url: 'http://['\n")
    assert (error.line, error.key) == (2, "openai-compatibility[0].base-url")


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("port: 1\nlisten: ':2'", "2: listen: counts only where `host` and `port` are absent"),
        ("host: ''\nbind: a", "2: bind: counts only where `host` and `port` are absent"),
        ("api-keys: [a]\nauth: {providers: []}", "2: auth: is an older spelling and does nothing"),
        ("auth:\n  providers:\n  - type: oidc\n", "3: auth.providers[0]: is known, but"),
        ("daemon:\n  pid-file: /run/x.pid\n", "2: daemon.pid-file: is not needed here"),
        ("payload: {default: []}", "1: payload: is known, but"),
        ("routing: {strategy: rr}", "1: routing: is known, but"),
        ("default_max_tokens: 5", "1: default_max_tokens: is known, but"),
        ("upstreams: [{name: a}]", "its credentials are not used"),
        ("providers: []", "its credentials are not used"),
        ("pprof: {enable: true}", "1: pprof: is not needed here"),
        ("claude-header-defaults: {os: x}", "1: claude-header-defaults: is not honoured"),
        ("codex-header-defaults: {}", "1: codex-header-defaults: is not honoured"),
        ("codex: {identity-confuse: true}", "1: codex: is not honoured"),
        ("remote-management: {panel-github-repository: x}", "is not needed here"),
        ("auth: none", None),
    ],
)
def test_what_does_nothing_here_is_told_once(text: str, warning: str | None) -> None:
    found = warned(text)
    assert len(found) == (1 if warning else 0)
    assert all(warning and warning in each for each in found)


def test_what_stays_in_force_beside_an_older_shape() -> None:
    assert parsed("port: 1\nlisten: ':2'").config.port == 1
    assert parsed("shutdown-timeout: 5\ndaemon: {shutdown-timeout: 6}").config.shutdown_timeout == 5
    assert parsed("api-keys: [a]\nauth: {providers: [{api-keys: [b]}]}").config.api_keys == ("a",)


@pytest.mark.parametrize(
    "key",
    ["cloak", "fingerprint-profile", "sensitive-words", "experimental-cch-signing"],
)
def test_what_would_mislead_a_provider_is_refused_with_one_warning(key: str) -> None:
    entries = "".join(f"- api-key: k{number}\n  {key}: x\n" for number in range(3))
    assert warned(f"claude-api-key:\n{entries}") == [
        f"gateway.yaml:3: claude-api-key[0].{key}: {REFUSED} (and in 2 more places)"
    ]


def test_two_keys_that_mean_the_same_nothing_are_both_told() -> None:
    found = warned("claude-api-key: [{api-key: k, weight: 1, websockets: true}]")
    assert [each.split(": ")[1] for each in found] == [
        "claude-api-key[0].weight",
        "claude-api-key[0].websockets",
    ]


def test_no_setting_of_ours_is_called_useless() -> None:
    for section, known in KNOWN_ELSEWHERE.items():
        assert not known.keys() & names_of(section).keys()
        assert all(text.startswith((NOT_YET, REFUSED, NEEDLESS)) for text in known.values())
    assert schema.Config in KNOWN_ELSEWHERE
