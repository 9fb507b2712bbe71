from __future__ import annotations

import json

import pytest

from app.errors import (
    Blame,
    CredentialRefused,
    Overloaded,
    QuotaExhausted,
    Rejected,
    Untranslatable,
    UpstreamError,
)
from app.protocols.base import ModelInfo, Operation
from app.providers.anthropic import Anthropic
from tests.providers.signers import Signer

PROVIDER = Anthropic()
MESSAGES = "anthropic_messages"


def error_body(kind: str, message: str) -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode()


@pytest.mark.parametrize(
    ("base_url", "root"),
    [
        ("", "https://api.anthropic.com/v1"),
        ("https://api.anthropic.com/", "https://api.anthropic.com/v1"),
        ("https://h/anthropic", "https://h/anthropic/v1"),
        ("https://h/v1", "https://h/v1"),
    ],
)
def test_urls(base_url: str, root: str) -> None:
    signer = Signer(base_url=base_url)
    assert PROVIDER.url(signer, MESSAGES, Operation.GENERATE, "m", True) == f"{root}/messages"
    count = PROVIDER.url(signer, MESSAGES, Operation.COUNT_TOKENS, "m", False)
    assert count == f"{root}/messages/count_tokens"
    assert PROVIDER.list_url(signer) == f"{root}/models?limit=1000"


@pytest.mark.parametrize(
    ("protocol", "operation"),
    [(MESSAGES, Operation.EMBED), ("openai_chat", Operation.GENERATE)],
)
def test_other_calls_are_refused(protocol: str, operation: Operation) -> None:
    with pytest.raises(Untranslatable):
        PROVIDER.url(Signer(), protocol, operation, "m", False)


@pytest.mark.parametrize(
    ("base_url", "name"),
    [
        ("", "x-api-key"),
        ("https://API.anthropic.com", "x-api-key"),
        ("https://api.anthropic.com:443/v1", "x-api-key"),
        ("https://h/anthropic", "authorization"),
        ("https://api.anthropic.com.example.net", "authorization"),
    ],
)
def test_the_key_goes_where_the_host_wants_it(base_url: str, name: str) -> None:
    headers = PROVIDER.headers(Signer(secret="abc", base_url=base_url))
    assert headers == {name: "Bearer abc" if name == "authorization" else "abc"}
    assert PROVIDER.headers(Signer(secret="", base_url=base_url)) == {}


def test_a_version_is_sent_for_clients_that_send_none() -> None:
    assert PROVIDER.default_headers == {"anthropic-version": "2023-06-01"}


def test_the_list_is_read_page_by_page() -> None:
    page = json.dumps(
        {
            "data": [
                {
                    "type": "model",
                    "id": "claude-1",
                    "display_name": "Claude One",
                    "created_at": "2027-01-15T08:00:00Z",
                    "max_input_tokens": 10,
                    "max_tokens": 5,
                },
                {"id": "claude-2"},
                {"type": "model"},
            ],
            "has_more": True,
            "last_id": "claude-2&x",
        }
    ).encode()
    assert PROVIDER.read_models(page) == [
        ModelInfo("claude-1", "anthropic", 1_800_000_000, "Claude One", 10, 5),
        ModelInfo("claude-2", "anthropic"),
    ]
    url = "https://h/v1/models?limit=1000"
    assert PROVIDER.next_list_url(url, page) == f"{url}&after_id=claude-2%26x"
    for last in (b'{"data":[],"has_more":false,"last_id":"x"}', b'{"has_more":true}', b"[]"):
        assert PROVIDER.next_list_url(url, last) == ""


@pytest.mark.parametrize(
    ("status", "kind", "message", "expected", "blame", "told"),
    [
        (400, "invalid_request_error", "max_tokens: required", Rejected, Blame.REQUEST, 400),
        (
            400,
            "invalid_request_error",
            "prompt is too long: 9 tokens > 8",
            Rejected,
            Blame.REQUEST,
            400,
        ),
        (
            400,
            "invalid_request_error",
            "Your credit balance is too low to access the API.",
            QuotaExhausted,
            Blame.CREDENTIAL,
            429,
        ),
        (
            400,
            "invalid_request_error",
            "You have reached your specified API usage limits. You will"
            " regain access on 2027-01-16 at 00:00 UTC.",
            QuotaExhausted,
            Blame.CREDENTIAL,
            429,
        ),
        (
            403,
            "permission_error",
            "The workspace's spend limit is reached",
            QuotaExhausted,
            Blame.CREDENTIAL,
            429,
        ),
        (
            401,
            "authentication_error",
            "invalid x-api-key",
            CredentialRefused,
            Blame.CREDENTIAL,
            503,
        ),
        (402, "billing_error", "pay", CredentialRefused, Blame.CREDENTIAL, 503),
        (403, "permission_error", "no", CredentialRefused, Blame.CREDENTIAL, 503),
        (404, "not_found_error", "model: claude-none", Rejected, Blame.MODEL, 404),
        (404, "not_found_error", "Not Found", Rejected, Blame.REQUEST, 404),
        (409, "conflict_error", "again", Rejected, Blame.REQUEST, 409),
        (413, "request_too_large", "big", Rejected, Blame.REQUEST, 413),
        (429, "rate_limit_error", "slow", QuotaExhausted, Blame.MODEL, 429),
        (
            429,
            "rate_limit_error",
            "Usage credits are required for fast mode",
            Rejected,
            Blame.REQUEST,
            429,
        ),
        (
            429,
            "rate_limit_error",
            "Extra usage is required for long context requests.",
            Rejected,
            Blame.REQUEST,
            429,
        ),
        (500, "api_error", "oh", Overloaded, Blame.UPSTREAM, 500),
        (529, "overloaded_error", "Overloaded", Overloaded, Blame.UPSTREAM, 529),
    ],
)
def test_who_is_to_blame(
    status: int, kind: str, message: str, expected: type[UpstreamError], blame: Blame, told: int
) -> None:
    error = PROVIDER.verdict(status, {}, error_body(kind, message))
    assert (type(error), error.blame, error.status) == (expected, blame, told)
