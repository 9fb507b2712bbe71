from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.wire.headers import VALUE_LIMIT, client_headers, environ_headers, upstream_headers

PROTOCOLS = ["openai_chat", "openai_responses", "anthropic_messages", "gemini_generate"]
each_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)

NEVER_UP = [
    "Authorization",
    "X-Api-Key",
    "X-Goog-Api-Key",
    "Api-Key",
    "Cookie",
    "Connection",
    "Keep-Alive",
    "Proxy-Authorization",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "Expect",
    "Host",
    "Content-Length",
    "Content-Encoding",
    "Accept-Encoding",
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Real-IP",
    "Via",
    "CF-Connecting-IP",
    "Origin",
    "Referer",
    "traceparent",
    "tracestate",
    "X-Stainless-Retry-Count",
    "anthropic-dangerous-direct-browser-access",
    "X-Unknown",
]
NEVER_DOWN = [
    "Set-Cookie",
    "Connection",
    "Keep-Alive",
    "Transfer-Encoding",
    "Content-Encoding",
    "Content-Length",
    "Server",
    "Date",
    "Access-Control-Allow-Origin",
    "Alt-Svc",
    "Strict-Transport-Security",
    "CF-Ray",
    "Location",
    "WWW-Authenticate",
    "openai-organization",
    "anthropic-organization-id",
    "x-codex-credits-balance",
    "Via",
]


@each_protocol
def test_what_never_goes_to_a_provider(protocol: str) -> None:
    assert upstream_headers([(name, "v") for name in NEVER_UP], protocol) == {}


def test_what_never_goes_to_a_client() -> None:
    assert client_headers([(name, "v") for name in NEVER_DOWN]) == []


@pytest.mark.parametrize(
    ("name", "protocols"),
    [
        ("User-Agent", PROTOCOLS),
        ("Accept", PROTOCOLS),
        ("Idempotency-Key", PROTOCOLS),
        ("session-id", PROTOCOLS),
        ("session_id", PROTOCOLS),
        ("x-claude-code-session-id", PROTOCOLS),
        ("Anthropic-Beta", ["anthropic_messages"]),
        ("anthropic-version", ["anthropic_messages"]),
        ("x-app", ["anthropic_messages"]),
        ("OpenAI-Beta", ["openai_chat", "openai_responses"]),
        ("OpenAI-Organization", ["openai_chat", "openai_responses"]),
        ("OpenAI-Project", ["openai_chat", "openai_responses"]),
        ("originator", ["openai_responses"]),
        ("x-codex-turn-metadata", ["openai_responses"]),
        ("x-openai-internal-codex-responses-lite", ["openai_responses"]),
        ("x-goog-api-client", ["gemini_generate"]),
    ],
)
def test_what_goes_to_which_provider(name: str, protocols: list[str]) -> None:
    for protocol in PROTOCOLS:
        expected = {name.lower(): "v"} if protocol in protocols else {}
        assert upstream_headers([(name, "v")], protocol) == expected


@pytest.mark.parametrize(
    "name",
    [
        "Retry-After",
        "retry-after-ms",
        "x-should-retry",
        "X-RateLimit-Remaining-Tokens",
        "anthropic-ratelimit-requests-reset",
        "RateLimit-Policy",
        "request-id",
        "X-Request-Id",
        "openai-processing-ms",
        "Content-Type",
        "x-codex-turn-state",
        "x-codex-primary-used-percent",
    ],
)
def test_what_goes_to_the_client(name: str) -> None:
    assert client_headers([(name, "v")]) == [(name, "v")]


def test_order_and_repetition_are_kept_for_the_client() -> None:
    headers = [("x-request-id", "2"), ("Server", "x"), ("X-Request-Id", "1")]
    assert client_headers(headers) == [("x-request-id", "2"), ("X-Request-Id", "1")]


def test_repeated_headers_are_joined_for_the_provider() -> None:
    headers = [("anthropic-beta", "a"), ("Anthropic-Beta", "b")]
    assert upstream_headers(headers, "anthropic_messages") == {"anthropic-beta": "a, b"}


def test_headers_named_by_connection_stay_behind() -> None:
    assert (
        upstream_headers([("User-Agent", "x"), ("Connection", "User-Agent")], "openai_chat") == {}
    )
    headers = [("Connection", "close, Request-Id"), ("request-id", "1"), ("Retry-After", "1")]
    assert client_headers(headers) == [("Retry-After", "1")]


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\rb", "a\0b", "x" * (VALUE_LIMIT + 1)])
def test_values_that_could_do_harm_are_dropped(value: str) -> None:
    assert upstream_headers([("User-Agent", value)], "openai_chat") == {}
    assert client_headers([("Retry-After", value)]) == []


def test_long_and_tabbed_values_pass() -> None:
    for value in ("x" * VALUE_LIMIT, "a\tb", ""):
        assert client_headers([("Retry-After", value)]) == [("Retry-After", value)]


@pytest.mark.parametrize("name", ["x-ratelimit-a b", "x-ratelimit-\r\nx", "x-ratelimit-é"])
def test_a_name_that_is_no_token_stays_behind(name: str) -> None:
    assert client_headers([(name, "v")]) == []
    assert upstream_headers([(f"x-codex-{name}", "v")], "openai_responses") == {}


@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20))))
def test_nothing_that_crosses_can_split_a_head(headers: list[tuple[str, str]]) -> None:
    widened = [("x-ratelimit-" + name, value) for name, value in headers]
    for name, value in client_headers(widened + headers):
        assert not set("\r\n\0") & set(name + value)


def test_environ_headers() -> None:
    environ = {"HTTP_X_SESSION_ID": "1", "CONTENT_TYPE": "x", "wsgi.input": 3, "HTTP_ODD": None}
    assert list(environ_headers(environ)) == [("x-session-id", "1")]
