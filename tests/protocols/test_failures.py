"""Errors that come inside an answer with status 200."""

from __future__ import annotations

import json

import pytest

from app.errors import (
    CredentialRefused,
    Overloaded,
    QuotaExhausted,
    Rejected,
    TimedOut,
    UpstreamError,
)
from app.protocols import CODECS
from app.protocols.base import Codec, Progress

CHAT = CODECS["openai_chat"]
RESPONSES = CODECS["openai_responses"]
MESSAGES = CODECS["anthropic_messages"]
GEMINI = CODECS["gemini_generate"]

Case = tuple[Codec, object, type[UpstreamError], int]

CASES: list[Case] = [
    (CHAT, {"error": {"message": "m", "code": "rate_limit_exceeded"}}, QuotaExhausted, 429),
    (CHAT, {"error": {"message": "m", "type": "server_error"}}, Overloaded, 502),
    (CHAT, {"error": {"message": "m", "code": 503}}, Overloaded, 503),
    (CHAT, {"error": {"message": "m", "status": "400"}}, Rejected, 400),
    (CHAT, {"error": {"message": "m", "status_code": 504}}, TimedOut, 504),
    (CHAT, {"error": {"message": "m", "code": "context_length_exceeded"}}, Rejected, 400),
    (CHAT, {"error": {"message": "m", "code": "invalid_api_key"}}, CredentialRefused, 503),
    (CHAT, {"error": {"message": "m", "code": 401}}, CredentialRefused, 503),
    (CHAT, {"error": {"message": "m", "code": 429}}, QuotaExhausted, 429),
    (CHAT, {"error": "m", "status": 529}, Overloaded, 529),
    (CHAT, {"error": {"message": "m"}}, UpstreamError, 502),
    (CHAT, {"code": "server_error", "message": "m"}, Overloaded, 502),
    (CHAT, {"type": "error", "message": "m"}, UpstreamError, 502),
    (RESPONSES, {"type": "error", "code": "server_error", "message": "m"}, Overloaded, 502),
    (RESPONSES, {"type": "error", "error": {"message": "m", "code": 429}}, QuotaExhausted, 429),
    (
        RESPONSES,
        {
            "type": "response.failed",
            "response": {"error": {"code": "server_error", "message": "m"}},
        },
        Overloaded,
        502,
    ),
    (RESPONSES, {"code": "x", "message": "m"}, UpstreamError, 502),
    (
        MESSAGES,
        {"type": "error", "error": {"type": "overloaded_error", "message": "m"}},
        Overloaded,
        502,
    ),
    (
        MESSAGES,
        {"type": "error", "error": {"type": "rate_limit_error", "message": "m"}},
        QuotaExhausted,
        429,
    ),
    (
        MESSAGES,
        {"type": "error", "error": {"type": "invalid_request_error", "message": "m"}},
        Rejected,
        400,
    ),
    (MESSAGES, {"code": 500, "message": "m"}, Overloaded, 500),
    (MESSAGES, {"type": "error", "message": "m"}, UpstreamError, 502),
    (
        GEMINI,
        {"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}},
        Overloaded,
        503,
    ),
    (
        GEMINI,
        {"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED"}},
        QuotaExhausted,
        429,
    ),
    (GEMINI, {"code": 400, "message": "m", "status": "INVALID_ARGUMENT"}, Rejected, 400),
]


@pytest.mark.parametrize(("codec", "document", "kind", "status"), CASES)
@pytest.mark.parametrize("form", [b"data: %b\n\n", b"event: error\ndata:%b\r\n\r\n", b"%b\n\n"])
def test_an_error_in_a_stream_is_a_failure(
    codec: Codec, document: object, kind: type[UpstreamError], status: int, form: bytes
) -> None:
    frame = form % json.dumps(document).encode()
    assert codec.tells(frame, Progress())
    progress = codec.read_frame(frame, Progress())
    assert type(progress.failure) is kind
    assert (progress.failure.status, progress.failure.message) == (status, "m")


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())
def test_an_error_with_status_200_is_a_failure(codec: Codec) -> None:
    body = b'{"error": {"message": "m", "code": 503, "type": "server_error"}}'
    failure = codec.read_answer(body, Progress()).failure
    assert isinstance(failure, Overloaded)


def test_a_failed_response_is_a_failure_even_without_a_reason() -> None:
    failure = RESPONSES.read_answer(b'{"status": "failed", "error": null}', Progress()).failure
    assert failure is not None
    assert failure.message == "the provider broke off with an error"


def test_words_keep_their_code_and_lose_their_keys() -> None:
    error = {"message": "no: sk-abcdefghijklmnop1234", "code": "context_length_exceeded"}
    failure = CHAT.read_frame(b"data: " + json.dumps({"error": error}).encode(), Progress()).failure
    assert failure is not None
    assert failure.kind == "context_length_exceeded"
    assert "abcdefgh" not in failure.message


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())
@pytest.mark.parametrize("error", [b"null", b"{}", b'""', b"[]"])
def test_no_error_is_no_failure(codec: Codec, error: bytes) -> None:
    frame = b'data: {"error": %b, "response": {"error": %b}}\n\n' % (error, error)
    assert codec.read_frame(frame, Progress()).failure is None
