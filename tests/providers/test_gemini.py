from __future__ import annotations

import json

import pytest

from app.errors import (
    Blame,
    CredentialRefused,
    Overloaded,
    QuotaExhausted,
    Rejected,
    UnknownModel,
    Untranslatable,
    UpstreamError,
)
from app.protocols.base import ModelInfo, Operation
from app.providers.gemini import PER_DAY_S, PER_MINUTE_S, Gemini
from tests.providers.signers import Signer

PROVIDER = Gemini()
GENERATE = "gemini_generate"
ROOT = "https://generativelanguage.googleapis.com/v1beta"


def error_body(status: str, message: str = "words", *details: object) -> bytes:
    return json.dumps(
        {"error": {"code": 1, "message": message, "status": status, "details": details}}
    ).encode()


def info(reason: str) -> dict[str, str]:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}


def violation(quota_id: str) -> dict[str, object]:
    return {"@type": "x/google.rpc.QuotaFailure", "violations": [{"quotaId": quota_id}]}


@pytest.mark.parametrize(
    ("operation", "stream", "method"),
    [
        (Operation.GENERATE, False, "generateContent"),
        (Operation.GENERATE, True, "streamGenerateContent?alt=sse"),
        (Operation.COUNT_TOKENS, False, "countTokens"),
        (Operation.EMBED, False, "embedContent"),
        (Operation.BATCH_EMBED, False, "batchEmbedContents"),
    ],
)
def test_each_call_has_its_method(operation: Operation, stream: bool, method: str) -> None:
    url = PROVIDER.url(Signer(), GENERATE, operation, "gemini-1", stream)
    assert url == f"{ROOT}/models/gemini-1:{method}"


@pytest.mark.parametrize(
    ("protocol", "operation"),
    [(GENERATE, Operation.COMPLETE), ("openai_chat", Operation.GENERATE)],
)
def test_other_calls_are_refused(protocol: str, operation: Operation) -> None:
    with pytest.raises(Untranslatable):
        PROVIDER.url(Signer(), protocol, operation, "m", False)


@pytest.mark.parametrize(
    ("model", "resource"),
    [
        ("models/gemini-1", "models/gemini-1"),
        ("tunedModels/mine", "tunedModels/mine"),
        ("publishers/google/models/g", "publishers/google/models/g"),
        ("vendor/g", "models/vendor/g"),
        ("g:countTokens?x=1#y", "models/g%3AcountTokens%3Fx%3D1%23y"),
    ],
)
def test_model_names_in_the_path(model: str, resource: str) -> None:
    url = PROVIDER.url(Signer(), GENERATE, Operation.COUNT_TOKENS, model, False)
    assert url == f"{ROOT}/{resource}:countTokens"


@pytest.mark.parametrize("model", ["..", "models/../../x", "a//b", "models/", "a\\..\\b"])
def test_model_names_that_could_leave_the_path(model: str) -> None:
    with pytest.raises(UnknownModel):
        PROVIDER.url(Signer(), GENERATE, Operation.GENERATE, model, False)


def test_other_places_keep_their_version() -> None:
    for base_url, root in (
        ("https://h/v1alpha", "https://h/v1alpha"),
        ("https://h/g/", "https://h/g/v1beta"),
    ):
        signer = Signer(base_url=base_url)
        assert PROVIDER.list_url(signer) == f"{root}/models?pageSize=1000"


def test_the_key_travels_in_its_header() -> None:
    assert PROVIDER.headers(Signer(secret="abc")) == {"x-goog-api-key": "abc"}
    assert PROVIDER.headers(Signer(secret="")) == {}


def test_the_list_is_read_page_by_page() -> None:
    page = json.dumps(
        {
            "models": [
                {
                    "name": "models/gemini-1",
                    "displayName": "Gemini One",
                    "inputTokenLimit": 10,
                    "outputTokenLimit": 5,
                    "supportedGenerationMethods": ["generateContent", 7],
                },
                {"name": "models/imagen-1", "supportedGenerationMethods": ["predict"]},
                {"name": "tunedModels/mine"},
                {"displayName": "nameless"},
            ],
            "nextPageToken": "a+b=",
        }
    ).encode()
    assert PROVIDER.read_models(page) == [
        ModelInfo("gemini-1", "google", 0, "Gemini One", 10, 5),
        ModelInfo("tunedModels/mine", "google"),
    ]
    url = f"{ROOT}/models?pageSize=1000"
    assert PROVIDER.next_list_url(url, page) == f"{url}&pageToken=a%2Bb%3D"
    assert PROVIDER.next_list_url(url, b'{"models":[]}') == ""
    assert PROVIDER.next_list_url(url, b"[]") == ""


@pytest.mark.parametrize(
    ("status", "body", "expected", "blame", "told"),
    [
        (400, error_body("INVALID_ARGUMENT"), Rejected, Blame.REQUEST, 400),
        (
            400,
            error_body("INVALID_ARGUMENT", "m", info("API_KEY_INVALID")),
            CredentialRefused,
            Blame.CREDENTIAL,
            503,
        ),
        (
            400,
            error_body("INVALID_ARGUMENT", "API key not valid. Please pass one."),
            CredentialRefused,
            Blame.CREDENTIAL,
            503,
        ),
        (
            400,
            error_body("FAILED_PRECONDITION", "User location is not supported"),
            CredentialRefused,
            Blame.CREDENTIAL,
            503,
        ),
        (401, error_body("UNAUTHENTICATED"), CredentialRefused, Blame.CREDENTIAL, 503),
        (403, error_body("PERMISSION_DENIED"), CredentialRefused, Blame.CREDENTIAL, 503),
        (
            403,
            error_body(
                "PERMISSION_DENIED",
                "You do not have permission to access the File f or it may not exist.",
            ),
            Rejected,
            Blame.REQUEST,
            403,
        ),
        (
            404,
            error_body("NOT_FOUND", "models/g-1 is not found for API version v1beta"),
            Rejected,
            Blame.MODEL,
            404,
        ),
        (429, error_body("RESOURCE_EXHAUSTED"), QuotaExhausted, Blame.MODEL, 429),
        (
            503,
            error_body("UNAVAILABLE", "m", info("MODEL_CAPACITY_EXHAUSTED")),
            Overloaded,
            Blame.MODEL,
            503,
        ),
        (
            429,
            error_body("RESOURCE_EXHAUSTED", "m", info("MODEL_CAPACITY_EXHAUSTED")),
            Overloaded,
            Blame.MODEL,
            429,
        ),
        (500, error_body("INTERNAL"), Overloaded, Blame.UPSTREAM, 500),
        (503, b"[" + error_body("UNAVAILABLE") + b"]", Overloaded, Blame.UPSTREAM, 503),
    ],
)
def test_who_is_to_blame(
    status: int, body: bytes, expected: type[UpstreamError], blame: Blame, told: int
) -> None:
    error = PROVIDER.verdict(status, {}, body)
    assert (type(error), error.blame, error.status) == (expected, blame, told)


@pytest.mark.parametrize(
    ("message", "details", "wait_s"),
    [
        ("m", [], None),
        ("m", [violation("GenerateRequestsPerMinutePerProject")], PER_MINUTE_S),
        ("Please retry in 7s", [violation("GenerateRequestsPerMinutePerProject")], 7.0),
        ("Please retry in 7s", [violation("GenerateRequestsPerDayPerProject")], PER_DAY_S),
        ("Please retry in 7200s", [violation("GenerateRequestsPerDayPerProject")], 7200.0),
        ("quota exceeded for metric x, limit: 0", [], PER_DAY_S),
        ("quota exceeded for metric x, limit: 05", [], None),
    ],
)
def test_how_long_a_quota_rests(message: str, details: list[object], wait_s: float | None) -> None:
    error = PROVIDER.verdict(429, {}, error_body("RESOURCE_EXHAUSTED", message, *details))
    assert error.retry_after_s == wait_s
