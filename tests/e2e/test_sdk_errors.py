"""Each kind of failure raises the class that an SDK's users catch."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import anthropic
import httpx2
import openai
import pytest
from google import genai
from google.genai import errors as genai_errors
from google.genai import types as genai_types

from tests.e2e.speech import CHAT, GEMINI, MESSAGES, RESPONSES, Speech
from tests.fakes import answers
from tests.fakes.gateway import Gateway
from tests.fakes.upstream import Reply, Reset, ScriptedUpstream

Caller: TypeAlias = Callable[..., Any]

EXAMPLE_KEY = "your-api-key-1"

# The SDKs let their HTTP library speak where a connection breaks in the middle of a body.
BROKEN = (openai.APIError, anthropic.APIError, genai_errors.APIError, httpx2.TransportError)


@pytest.fixture
def call(gateway: Gateway, speech: Speech) -> Iterator[Caller]:
    """Ask through the SDK of a protocol: ``call(model=…, key=…, text=…, stream=…)``."""
    with _caller(speech, gateway) as ask:
        yield ask


@contextlib.contextmanager
def _caller(speech: Speech, gateway: Gateway, **headers: str) -> Iterator[Caller]:
    closing: list[Callable[[], None]] = []
    extra = {name.replace("_", "-"): value for name, value in headers.items()}

    def ask(
        model: str = "", *, key: str = gateway.key, text: str = "hi", stream: bool = False
    ) -> Any:
        name = model or speech.model
        if speech is GEMINI:
            client = genai.Client(
                api_key=key,
                http_options=genai_types.HttpOptions(
                    base_url=gateway.url,
                    headers=extra,
                    retry_options=genai_types.HttpRetryOptions(attempts=1),
                ),
            )
            closing.append(client.close)
            if stream:
                return list(client.models.generate_content_stream(model=name, contents=text))
            return client.models.generate_content(model=name, contents=text)
        if speech is MESSAGES:
            claude = anthropic.Anthropic(
                api_key=key, base_url=gateway.url, max_retries=0, default_headers=extra
            )
            closing.append(claude.close)
            asked: Any = {"model": name, "max_tokens": 9}
            asked["messages"] = [{"role": "user", "content": text}]
            if stream:
                return list(claude.messages.create(**asked, stream=True))
            return claude.messages.create(**asked)
        client_ = openai.OpenAI(
            api_key=key, base_url=f"{gateway.url}/v1", max_retries=0, default_headers=extra
        )
        closing.append(client_.close)
        if speech is RESPONSES:
            return _listed(client_.responses.create(model=name, input=text, stream=stream), stream)
        messages: Any = [{"role": "user", "content": text}]
        made: Any = client_.chat.completions.create(model=name, messages=messages, stream=stream)
        return _listed(made, stream)

    try:
        yield ask
    finally:
        for close in closing:
            close()


def _listed(answer: Any, stream: bool) -> Any:
    return list(answer) if stream else answer


def _class(speech: Speech, status: int) -> type[Exception]:
    if speech is GEMINI:
        return genai_errors.ClientError if status < 500 else genai_errors.ServerError
    sdk: Any = anthropic if speech is MESSAGES else openai
    names = {
        400: "BadRequestError",
        401: "AuthenticationError",
        403: "PermissionDeniedError",
        404: "NotFoundError",
        422: "UnprocessableEntityError",
        429: "RateLimitError",
    }
    if speech is MESSAGES:
        names |= {413: "ContentTooLargeError", 503: "ServiceUnavailableError"}
        names |= {529: "OverloadedError", 501: "HTTPNotImplementedError"}
    default = "InternalServerError" if status >= 500 else "APIStatusError"
    found: type[Exception] = getattr(sdk, names.get(status, default), None) or getattr(
        sdk._exceptions, names.get(status, default)
    )
    return found


def _status(error: Any) -> int:
    return int(error.code if isinstance(error, genai_errors.APIError) else error.status_code)


def _raises(speech: Speech, status: int, action: Callable[[], Any]) -> Any:
    with pytest.raises(_class(speech, status)) as caught:
        action()
    assert _status(caught.value) == status
    return caught.value


def _word(speech: Speech, error: Any) -> str:
    """The type, as the SDK hands it on."""
    if speech is GEMINI:
        return str(error.status)
    body = error.body
    return str(body["error"]["type"] if speech is MESSAGES else body["type"])


def test_a_wrong_key(speech: Speech, call: Caller, upstream: ScriptedUpstream) -> None:
    # Google answers 400 to a wrong key, and its clients look for these words.
    error = _raises(speech, 400 if speech is GEMINI else 401, lambda: call(key="wrong"))
    if speech is GEMINI:
        assert "API key not valid" in str(error)
    expected = {
        CHAT.name: ("invalid_request_error", "authentication_error"),
        RESPONSES.name: ("invalid_request_error", "authentication_error"),
        MESSAGES.name: ("authentication_error",),
        GEMINI.name: ("INVALID_ARGUMENT",),
    }
    assert _word(speech, error) in expected[speech.name]
    assert upstream.requests == []


@pytest.mark.parametrize("stream", [False, True])
def test_an_unknown_model(
    stream: bool, speech: Speech, call: Caller, upstream: ScriptedUpstream
) -> None:
    error = _raises(speech, 404, lambda: call("no-such-model", stream=stream))
    expected = {MESSAGES.name: "not_found_error", GEMINI.name: "NOT_FOUND"}
    assert _word(speech, error) == expected.get(speech.name, "invalid_request_error")
    if speech in (CHAT, RESPONSES):
        assert error.code == "model_not_found"
    assert upstream.requests == []


def test_a_body_over_the_limit(speech: Speech, call: Caller, upstream: ScriptedUpstream) -> None:
    large = "x" * (9 * 1024 * 1024)
    error = _raises(speech, 400 if speech is GEMINI else 413, lambda: call(text=large))
    if speech is MESSAGES:
        assert _word(speech, error) == "request_too_large"
    assert upstream.requests == []


def test_an_operation_that_the_provider_does_not_have(
    openai_client: openai.OpenAI, upstream: ScriptedUpstream
) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        openai_client.embeddings.create(model=MESSAGES.model, input="x")
    assert caught.value.status_code == 501
    assert upstream.requests == []


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [400, 404, 422, 429, 500, 503, 529])
def test_what_the_provider_refuses(
    status: int, stream: bool, speech: Speech, call: Caller, upstream: ScriptedUpstream
) -> None:
    path = speech.upstream_path(stream=stream)
    upstream.reply(path, speech.error(status, "the provider's words"))
    error = _raises(speech, status, lambda: call(stream=stream))
    assert "the provider's words" in str(error)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_credential_is_not_the_clients(
    status: int, speech: Speech, call: Caller, upstream: ScriptedUpstream
) -> None:
    secret = "Incorrect API key provided: sk-secret"
    upstream.reply(speech.upstream_path(), speech.error(status, secret))
    error = _raises(speech, 503, call)
    assert "sk-secret" not in str(error)


def test_the_provider_says_when_to_come_back(
    speech: Speech, call: Caller, upstream: ScriptedUpstream
) -> None:
    upstream.reply(speech.upstream_path(), speech.error(429, "later", retry_after="9"))
    error = _raises(speech, 429, call)
    assert error.response.headers["retry-after"] == "9"


def test_googles_hint_becomes_a_header(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.reply(GEMINI.upstream_path(), answers.gemini_error(429, "quota"))
    with _caller(GEMINI, gateway) as ask:
        error = _raises(GEMINI, 429, ask)
    assert error.response.headers["retry-after"] == "17"


@pytest.mark.parametrize("ending", ["cut", "reset"])
def test_a_stream_that_breaks_raises(
    ending: str, speech: Speech, call: Caller, upstream: ScriptedUpstream
) -> None:
    """SDKs must not take half an answer for a whole one."""
    frames: list[Any] = list(speech.frames("one two three four")[:3])
    if ending == "reset":
        frames.append(Reset())
    upstream.reply(speech.upstream_path(stream=True), answers.streamed(frames))
    with pytest.raises(BROKEN):
        call(stream=True)


def test_the_providers_own_error_in_a_stream_raises(
    speech: Speech, call: Caller, upstream: ScriptedUpstream
) -> None:
    frames: list[Any] = list(speech.frames("one two three four")[:3])
    error = json.loads(_body(speech.error(503, "broke half way")))
    if speech in (MESSAGES, RESPONSES):
        frames.append(b"event: error\n" + answers.data_frame({"type": "error", **error}))
    else:
        frames.append(answers.data_frame(error))
    upstream.reply(speech.upstream_path(stream=True), answers.streamed(frames))
    with pytest.raises((openai.APIError, anthropic.APIError, genai_errors.APIError)) as caught:
        call(stream=True)
    assert "broke half way" in str(caught.value)


def _body(reply: Reply) -> bytes:
    assert isinstance(reply.body, bytes)
    return reply.body


@pytest.fixture(scope="module")
def unsafe() -> Iterator[Gateway]:
    """A gateway with a key that everybody knows, behind a proxy that tells who calls."""
    with Gateway({"api-keys": [EXAMPLE_KEY], "trusted-proxies": ["127.0.0.1"]}) as running:
        yield running


def test_an_example_key_on_another_machine_is_forbidden(speech: Speech, unsafe: Gateway) -> None:
    with _caller(speech, unsafe) as near:
        near("demo-echo", key=EXAMPLE_KEY)
    with _caller(speech, unsafe, X_Forwarded_For="203.0.113.7") as far:
        error = _raises(speech, 403, lambda: far("demo-echo", key=EXAMPLE_KEY))
    expected = {GEMINI.name: "PERMISSION_DENIED"}
    assert _word(speech, error) == expected.get(speech.name, "permission_error")


@pytest.mark.parametrize("speech", [CHAT, RESPONSES, MESSAGES], ids=lambda speech: speech.name)
def test_a_request_that_names_no_model(
    speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    with _caller(speech, gateway) as ask:
        error = _raises(speech, 400, lambda: ask("   "))
    assert _word(speech, error) == "invalid_request_error"
    assert "model" in str(error)
    assert upstream.requests == []
