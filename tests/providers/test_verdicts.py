from __future__ import annotations

import json

import pytest

from app.errors import (
    Blame,
    CredentialRefused,
    Garbled,
    Overloaded,
    QuotaExhausted,
    Rejected,
    TimedOut,
    UpstreamError,
)
from app.providers.verdicts import CHALLENGE_REST_S, REFUSED, verdict

CHALLENGE = b'<!DOCTYPE html><html><script src="/cdn-cgi/challenge-platform/x.js"></script></html>'
EDGE_PAGE = b"<html><title>Access denied</title>cloudflare ray 1</html>"


def error_body(message: str = "words", **members: object) -> bytes:
    return json.dumps({"error": {"message": message, **members}}).encode()


@pytest.mark.parametrize(
    ("status", "body", "kind", "blame", "told"),
    [
        # by status
        (400, error_body(), Rejected, Blame.REQUEST, 400),
        (409, error_body(), Rejected, Blame.REQUEST, 409),
        (413, error_body(), Rejected, Blame.REQUEST, 413),
        (422, error_body(), Rejected, Blame.REQUEST, 422),
        (405, error_body(), Rejected, Blame.REQUEST, 405),
        (401, error_body(), CredentialRefused, Blame.CREDENTIAL, 503),
        (402, error_body(), CredentialRefused, Blame.CREDENTIAL, 503),
        (403, error_body(), CredentialRefused, Blame.CREDENTIAL, 503),
        (404, error_body("Response with id 'resp_1' not found."), Rejected, Blame.REQUEST, 404),
        (
            404,
            error_body(
                "Item with id 'rs_1' not found. Items are not persisted when `store` is"
                " set to false."
            ),
            Rejected,
            Blame.REQUEST,
            404,
        ),
        (404, b"<html>nginx</html>", Rejected, Blame.UPSTREAM, 404),
        (404, b"", Rejected, Blame.UPSTREAM, 404),
        (408, error_body(), TimedOut, Blame.UPSTREAM, 504),
        (429, error_body(), QuotaExhausted, Blame.MODEL, 429),
        (429, b"", QuotaExhausted, Blame.MODEL, 429),
        (499, error_body(), Overloaded, Blame.UPSTREAM, 503),
        (500, error_body(), Overloaded, Blame.UPSTREAM, 500),
        (502, b"", Overloaded, Blame.UPSTREAM, 502),
        (503, b"<html>busy</html>", Overloaded, Blame.UPSTREAM, 503),
        (504, error_body(), TimedOut, Blame.UPSTREAM, 504),
        (520, EDGE_PAGE, Overloaded, Blame.UPSTREAM, 502),
        (524, EDGE_PAGE, TimedOut, Blame.UPSTREAM, 504),
        (529, error_body(type="overloaded_error"), Overloaded, Blame.UPSTREAM, 529),
        (302, b"", Garbled, Blame.UPSTREAM, 502),
        (99, b"", Garbled, Blame.UPSTREAM, 502),
        (600, error_body(), Garbled, Blame.UPSTREAM, 502),
        # by code, whatever the status says
        (429, error_body(code="insufficient_quota"), QuotaExhausted, Blame.CREDENTIAL, 429),
        (429, error_body(type="insufficient_quota"), QuotaExhausted, Blame.CREDENTIAL, 429),
        (403, error_body(code="insufficient_quota"), QuotaExhausted, Blame.CREDENTIAL, 429),
        (400, error_body(code="billing_hard_limit_reached"), QuotaExhausted, Blame.CREDENTIAL, 429),
        (429, error_body(type="usage_limit_reached"), QuotaExhausted, Blame.CREDENTIAL, 429),
        (429, error_body(code="rate_limit_exceeded"), QuotaExhausted, Blame.MODEL, 429),
        (429, error_body(type="usage_not_included"), CredentialRefused, Blame.CREDENTIAL, 503),
        (400, error_body(code="invalid_api_key"), CredentialRefused, Blame.CREDENTIAL, 503),
        (
            401,
            error_body(type="authentication_error", code="invalid_request_error"),
            CredentialRefused,
            Blame.CREDENTIAL,
            503,
        ),
        (503, error_body(code="server_is_overloaded"), Overloaded, Blame.UPSTREAM, 503),
        (400, error_body(code="slow_down"), Overloaded, Blame.UPSTREAM, 503),
        (429, error_body("Selected model is at capacity."), Overloaded, Blame.MODEL, 429),
        (400, error_body("Selected model is at capacity."), Overloaded, Blame.MODEL, 503),
        (500, error_body(code="context_length_exceeded"), Rejected, Blame.REQUEST, 400),
        (403, error_body(code="cyber_policy"), Rejected, Blame.REQUEST, 403),
        (429, error_body(code="message_too_big"), QuotaExhausted, Blame.MODEL, 429),
        (402, error_body(code="invalid_prompt"), CredentialRefused, Blame.CREDENTIAL, 503),
        (404, error_body(code="previous_response_not_found"), Rejected, Blame.REQUEST, 404),
        (403, error_body("flagged", metadata={"flagged_input": "x"}), Rejected, Blame.REQUEST, 403),
        # an edge in front of the provider
        (403, CHALLENGE, Overloaded, Blame.MODEL, 503),
        (403, EDGE_PAGE, Overloaded, Blame.MODEL, 503),
        (429, CHALLENGE, Overloaded, Blame.MODEL, 503),
        (503, EDGE_PAGE, Overloaded, Blame.MODEL, 503),
        (
            403,
            error_body("the page says challenge-platform"),
            CredentialRefused,
            Blame.CREDENTIAL,
            503,
        ),
        (403, b"<html>nginx</html>", CredentialRefused, Blame.CREDENTIAL, 503),
    ],
)
def test_who_is_to_blame(
    status: int, body: bytes, kind: type[UpstreamError], blame: Blame, told: int
) -> None:
    error = verdict(status, {}, body)
    assert (type(error), error.blame, error.status) == (kind, blame, told)
    assert error.message


@pytest.mark.parametrize(
    ("status", "message", "members"),
    [
        (404, "The model `gpt-9` does not exist or you do not have access to it.", {}),
        (400, "words", {"code": "model_not_found"}),
        (403, "words", {"code": "model_not_found"}),
        (422, "words", {"code": "model_decommissioned"}),
        (400, "The 'gpt-5-codex' model is not supported when using Codex", {}),
        (404, "models/gemini-x is not found for API version v1beta", {}),
        (404, "model: claude-none", {"type": "not_found_error"}),
        (400, "Model Not Exist", {"code": "invalid_request_error"}),
        (404, 'model "llama3" not found, try pulling it first', {}),
        (400, "some/thing is not a valid model ID", {}),
        (404, "No endpoints found for some/thing.", {}),
        (403, "Project `p` does not have access to model `gpt-5`", {}),
        (400, "The model `m-1` has been decommissioned and is no longer supported.", {}),
        (400, "Unsupported model: foo", {}),
        (400, "unknown model", {}),
        (422, "This model is currently unavailable", {}),
        (400, "m-1 is not available for your current plan", {}),
        (404, "The model `gpt-9` does not exist", {"param": "model"}),
    ],
)
def test_a_model_this_key_cannot_use(status: int, message: str, members: dict[str, object]) -> None:
    error = verdict(status, {}, error_body(message, **members))
    assert isinstance(error, Rejected)
    assert (error.blame, error.status, error.kind) == (Blame.MODEL, 404, "model_not_found")
    assert error.message == message


@pytest.mark.parametrize(
    ("status", "message", "members"),
    [
        (400, "role 'system' is not supported on this model", {}),
        (400, "'top_k' with this model is not supported", {}),
        (400, "model output not supported", {}),
        (400, "Invalid model output", {}),
        (400, "This model's maximum context length is 8192 tokens", {}),
        (400, "Unsupported value: 'temperature' does not support 0.5 with this model.", {}),
        (400, "tool 'model x-1 not found' is not allowed", {"param": "tools"}),
        (413, "The model `gpt-9` does not exist", {}),
    ],
)
def test_a_request_that_only_mentions_a_model(
    status: int, message: str, members: dict[str, object]
) -> None:
    error = verdict(status, {}, error_body(message, **members))
    assert (type(error), error.blame, error.status) == (Rejected, Blame.REQUEST, status)


def test_a_refused_credential_keeps_the_providers_words_to_itself() -> None:
    body = error_body("Incorrect API key provided: abcd", code="invalid_api_key")
    error = verdict(401, {"x-request-id": "r"}, body)
    assert error.message == REFUSED
    assert error.reply is not None
    assert (error.reply.status, error.reply.body) == (401, body)
    assert error.reply.headers == (("x-request-id", "r"),)


def test_a_wait_travels_with_the_error() -> None:
    assert verdict(429, {"retry-after": "7"}, b"").retry_after_s == 7.0
    assert verdict(503, {"retry-after": "7"}, b"").retry_after_s == 7.0
    assert verdict(429, {}, b"").retry_after_s is None
    assert verdict(403, {}, CHALLENGE).retry_after_s == CHALLENGE_REST_S
    assert verdict(403, {"retry-after": "60"}, CHALLENGE).retry_after_s == 60.0


def test_a_challenge_is_known_by_its_header_alone() -> None:
    assert verdict(403, {"cf-mitigated": "challenge"}, b"").blame is Blame.MODEL
