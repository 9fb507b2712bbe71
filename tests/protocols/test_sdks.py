"""The official SDKs read what the codecs write: answers, streams, lists and errors."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import anthropic
import openai
import orjson
import pytest
from google.genai import errors as gemini_errors

from app.errors import (
    BadRequest,
    Forbidden,
    GatewayError,
    LimitExceeded,
    NoCandidate,
    NotFound,
    Overloaded,
    TimedOut,
    TooLarge,
    Unauthenticated,
    UnknownModel,
    Untranslatable,
)
from app.ir.events import Event
from app.protocols import CODECS
from app.protocols.base import ModelInfo, Shape
from app.protocols.openai_chat.legacy import encode_completion, encode_completion_stream
from app.providers.demo import demo_events
from tests.protocols.clients import (
    EVENTS,
    anthropic_client,
    gemini_client,
    openai_client,
)

CHAT = CODECS["openai_chat"]
RESPONSES = CODECS["openai_responses"]
MESSAGES = CODECS["anthropic_messages"]
GEMINI = CODECS["gemini_generate"]

ASK: Any = [{"role": "user", "content": "Größe, bitte"}]
SCHEMA = {"type": "object", "properties": {"sku": {"type": "string"}}, "required": ["sku"]}
REQUEST: dict[str, Any] = {
    "model": "m",
    "max_tokens": 99,
    "messages": ASK,
    "input": "Größe, bitte",
    "contents": [{"role": "user", "parts": [{"text": "Größe, bitte"}]}],
}
TOOLS: dict[str, Any] = {
    "openai_chat": [{"type": "function", "function": {"name": "look", "parameters": SCHEMA}}],
    "openai_responses": [{"type": "function", "name": "look", "parameters": SCHEMA}],
    "anthropic_messages": [{"name": "look", "input_schema": SCHEMA}],
    "gemini_generate": [{"functionDeclarations": [{"name": "look", "parameters": SCHEMA}]}],
}
MODELS = ["demo-echo", "demo-tools", "demo-thinking"]


def events(model: str, protocol: str) -> Iterator[Event]:
    request = REQUEST | {"tools": TOOLS[protocol]}
    return demo_events(model, request, protocol, answer_id="a1", created_s=1_760_000_000)


def stream(model: str, protocol: str, heartbeat: bool = True) -> bytes:
    """An encoded stream; with a heartbeat between all frames, which no SDK may mind."""
    codec = CODECS[protocol]
    beat = codec.heartbeat if heartbeat else b""
    return b"".join(beat + frame for frame in codec.encode_stream(events(model, protocol)))


@pytest.mark.parametrize("model", MODELS)
def test_chat(model: str) -> None:
    whole = openai_client(CHAT.encode_answer(events(model, "openai_chat")))
    answer = whole.chat.completions.create(model="m", messages=ASK)
    client = openai_client(stream(model, "openai_chat"), kind=EVENTS)
    with client.chat.completions.stream(
        model="m", messages=ASK, stream_options={"include_usage": True}
    ) as chunks:
        told = chunks.get_final_completion()
    assert told.id == answer.id == "chatcmpl-a1"
    assert told.usage == answer.usage
    assert answer.usage is not None
    assert answer.usage.total_tokens == (
        answer.usage.prompt_tokens + answer.usage.completion_tokens
    )
    one, other = answer.choices[0], told.choices[0]
    assert one.finish_reason == other.finish_reason
    assert (one.message.content or None) == (other.message.content or None)
    assert getattr(one.message, "reasoning_content", None) == getattr(
        other.message, "reasoning_content", None
    )
    if model == "demo-tools":
        assert one.finish_reason == "tool_calls"
        call, same = one.message.tool_calls, other.message.tool_calls
        assert call is not None
        assert same is not None
        assert (call[0].id, same[0].id) == ("call_a1", "call_a1")
        assert call[0].type == "function"
        assert call[0].function.arguments == same[0].function.arguments == '{"sku":"sample"}'
    else:
        assert one.message.content == "Größe, bitte"


def test_chat_without_the_switch_has_no_chunk_of_usage() -> None:
    frames = CHAT.encode_stream(events("demo-echo", "openai_chat"), Shape(include_usage=False))
    body = b"".join(frames)
    assert b"usage" not in body
    chunks = openai_client(body, kind=EVENTS).chat.completions.create(
        model="m", messages=ASK, stream=True
    )
    assert all(chunk.choices for chunk in chunks)


def test_legacy_completions() -> None:
    whole = openai_client(encode_completion(events("demo-thinking", "openai_chat")))
    answer = whole.completions.create(model="m", prompt="x")
    assert (answer.id, answer.choices[0].text) == ("cmpl-a1", "Größe, bitte")
    body = b"".join(encode_completion_stream(events("demo-thinking", "openai_chat")))
    chunks = list(
        openai_client(body, kind=EVENTS).completions.create(model="m", prompt="x", stream=True)
    )
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == "Größe, bitte"
    assert chunks[-1].usage == answer.usage


@pytest.mark.parametrize("model", MODELS)
def test_responses(model: str) -> None:
    whole = openai_client(RESPONSES.encode_answer(events(model, "openai_responses")))
    answer = whole.responses.create(model="m", input="x")
    client = openai_client(stream(model, "openai_responses"), kind=EVENTS)
    with client.responses.stream(model="m", input="x") as run:
        numbers = [event.sequence_number for event in run]
        told = run.get_final_response()
    assert numbers == list(range(len(numbers)))
    assert told.id == answer.id == "resp_a1"
    assert told.status == answer.status == "completed"
    assert told.usage == answer.usage
    assert told.output_text == answer.output_text
    assert [_unparsed(item) for item in told.output] == [_unparsed(one) for one in answer.output]
    if model == "demo-tools":
        item = answer.output[0]
        assert item.type == "function_call"
        assert (item.name, item.call_id, item.arguments) == ("look", "call_a1", '{"sku":"sample"}')
    else:
        assert answer.output_text == "Größe, bitte"


def _unparsed(item: Any) -> dict[str, Any]:
    """An item without what the accumulator adds to it of its own accord."""
    found: dict[str, Any] = item.to_dict()
    found.pop("parsed_arguments", None)
    for part in found.get("content") or ():
        part.pop("parsed", None)
    return found


def test_a_response_repeats_what_was_asked() -> None:
    asked = {"tools": TOOLS["openai_responses"], "tool_choice": "none", "temperature": 0.5}
    shape = Shape(echo=asked | {"input": "secret", "store": True})
    body = orjson.loads(RESPONSES.encode_answer(events("demo-echo", "openai_responses"), shape))
    assert {name: body[name] for name in asked} == asked
    assert body["store"] is False
    assert "input" not in body


@pytest.mark.parametrize("model", MODELS)
def test_messages(model: str) -> None:
    whole = anthropic_client(MESSAGES.encode_answer(events(model, "anthropic_messages")))
    answer = whole.messages.create(model="m", max_tokens=9, messages=ASK)
    client = anthropic_client(stream(model, "anthropic_messages"), kind=EVENTS)
    with client.messages.stream(model="m", max_tokens=9, messages=ASK) as run:
        told = run.get_final_message()
    assert told.id == answer.id == "msg_a1"
    assert told.stop_reason == answer.stop_reason
    assert told.usage.output_tokens == answer.usage.output_tokens
    assert told.usage.input_tokens == answer.usage.input_tokens == 2
    assert [_plain(block) for block in told.content] == [_plain(block) for block in answer.content]
    if model == "demo-tools":
        block = answer.content[0]
        assert block.type == "tool_use"
        assert (answer.stop_reason, block.name, block.input) == (
            "tool_use",
            "look",
            {"sku": "sample"},
        )
    if model == "demo-thinking":
        assert answer.content[0].type == "thinking"
        assert answer.content[0].signature


def _plain(block: Any) -> dict[str, Any]:
    """A block without what one of the two ways of reading leaves out."""
    return {name: value for name, value in block.to_dict().items() if value not in (None, [])}


@pytest.mark.parametrize("model", MODELS)
def test_gemini(model: str) -> None:
    whole = gemini_client(GEMINI.encode_answer(events(model, "gemini_generate")))
    answer = whole.models.generate_content(model="m", contents="x")
    client = gemini_client(stream(model, "gemini_generate"), kind=EVENTS)
    chunks = list(client.models.generate_content_stream(model="m", contents="x"))
    assert {chunk.response_id for chunk in chunks} == {answer.response_id} == {"a1"}
    assert chunks[-1].usage_metadata == answer.usage_metadata
    reasons = [chunk.candidates[0].finish_reason for chunk in chunks if chunk.candidates]
    assert reasons[:-1] == [None] * (len(chunks) - 1)
    assert answer.candidates is not None
    assert reasons[-1] == answer.candidates[0].finish_reason == "STOP"
    text = "".join(chunk.text or "" for chunk in chunks)
    if model == "demo-tools":
        assert answer.function_calls is not None
        call = answer.function_calls[0]
        assert (call.name, call.args, call.id) == ("look", {"sku": "sample"}, "call_a1")
        assert [chunk.function_calls for chunk in chunks if chunk.function_calls] == [[call]]
    else:
        assert text == answer.text == "Größe, bitte"


def test_a_gemini_stream_as_a_list_is_json() -> None:
    from app.protocols.gemini_generate import as_array

    frames = list(GEMINI.encode_stream(events("demo-echo", "gemini_generate")))
    pieces = list(as_array(iter(frames)))
    assert len(pieces) == len(frames) + 1
    assert len(orjson.loads(b"".join(pieces))) == len(frames)
    assert b"".join(as_array([])) == b"[]"
    assert b"".join(as_array([b": note\n\n", b'data: {"a":1}\n\n'])) == b'[{"a":1}]'


LIST = [
    ModelInfo("alpha", "us", 1_760_000_000, "Alpha", 1000, 100),
    ModelInfo("text-embed-1", "them"),
]


def test_model_lists() -> None:
    body = CHAT.encode_models(LIST)
    assert RESPONSES.encode_models(LIST) == body
    assert orjson.loads(body)["data"][1] == {
        "id": "text-embed-1",
        "object": "model",
        "created": 0,
        "owned_by": "them",
    }
    assert [model.id for model in openai_client(body).models.list()] == ["alpha", "text-embed-1"]
    page = anthropic_client(MESSAGES.encode_models(LIST)).models.list()
    assert (page.first_id, page.last_id, page.has_more) == ("alpha", "text-embed-1", False)
    assert [model.display_name for model in page] == ["Alpha", "text-embed-1"]
    found = list(gemini_client(GEMINI.encode_models(LIST)).models.list())
    assert [model.name for model in found] == ["models/alpha", "models/text-embed-1"]
    assert found[0].input_token_limit == 1000
    assert found[0].supported_actions is not None
    assert "generateContent" in found[0].supported_actions
    assert found[1].supported_actions == ["embedContent", "batchEmbedContents"]


def test_empty_model_lists() -> None:
    assert list(openai_client(CHAT.encode_models([])).models.list()) == []
    assert list(anthropic_client(MESSAGES.encode_models([])).models.list()) == []
    assert list(gemini_client(GEMINI.encode_models([])).models.list()) == []


def test_single_models() -> None:
    for codec in (CHAT, RESPONSES):
        assert openai_client(codec.encode_model(LIST[0])).models.retrieve("alpha").owned_by == "us"
    model = anthropic_client(MESSAGES.encode_model(LIST[0])).models.retrieve("alpha")
    assert model.created_at == datetime.fromtimestamp(1_760_000_000, UTC)
    assert (model.max_input_tokens, model.max_tokens) == (1000, 100)
    unknown = anthropic_client(MESSAGES.encode_model(LIST[1])).models.retrieve("x")
    assert unknown.created_at == datetime.fromtimestamp(0, UTC)
    shown = gemini_client(GEMINI.encode_model(LIST[0])).models.get(model="alpha")
    assert (shown.display_name, shown.output_token_limit) == ("Alpha", 100)


FAILURES: list[tuple[GatewayError, type[Exception], type[Exception], str]] = [
    (
        BadRequest("bad `x`", details={"param": "x"}),
        openai.BadRequestError,
        anthropic.BadRequestError,
        "INVALID_ARGUMENT",
    ),
    (
        Unauthenticated("Missing API key"),
        openai.AuthenticationError,
        anthropic.AuthenticationError,
        "INVALID_ARGUMENT",
    ),
    (
        Forbidden("not for you"),
        openai.PermissionDeniedError,
        anthropic.PermissionDeniedError,
        "PERMISSION_DENIED",
    ),
    (UnknownModel("no m"), openai.NotFoundError, anthropic.NotFoundError, "NOT_FOUND"),
    (NotFound("no route"), openai.NotFoundError, anthropic.NotFoundError, "NOT_FOUND"),
    (TooLarge("big"), openai.APIStatusError, anthropic.ContentTooLargeError, "INVALID_ARGUMENT"),
    (
        LimitExceeded("slow down", retry_after_s=3),
        openai.RateLimitError,
        anthropic.RateLimitError,
        "RESOURCE_EXHAUSTED",
    ),
    (
        NoCandidate("resting", status=429, retry_after_s=1.5),
        openai.RateLimitError,
        anthropic.RateLimitError,
        "RESOURCE_EXHAUSTED",
    ),
    (GatewayError("oh"), openai.InternalServerError, anthropic.InternalServerError, "INTERNAL"),
    (
        Untranslatable("cannot", status=501),
        openai.InternalServerError,
        anthropic.HTTPNotImplementedError,
        "UNIMPLEMENTED",
    ),
    (
        Overloaded("unwell"),
        openai.InternalServerError,
        anthropic.ServiceUnavailableError,
        "UNAVAILABLE",
    ),
    (
        Overloaded("unwell", status=529),
        openai.InternalServerError,
        anthropic.OverloadedError,
        "UNAVAILABLE",
    ),
    (
        TimedOut("late"),
        openai.InternalServerError,
        anthropic.GatewayTimeoutError,
        "DEADLINE_EXCEEDED",
    ),
]


@pytest.mark.parametrize(("error", "kind"), [(row[0], row[1]) for row in FAILURES])
@pytest.mark.parametrize("codec", [CHAT, RESPONSES], ids=lambda codec: codec.name)
def test_openai_raises_its_own_class(
    codec: Any, error: GatewayError, kind: type[Exception]
) -> None:
    client = openai_client(codec.encode_error(error, "r1"), status=codec.error_status(error))
    with pytest.raises(kind, match=error.message) as caught:
        client.chat.completions.create(model="m", messages=ASK)
    body: Any = caught.value.body  # type: ignore[attr-defined]
    assert (body["message"], body["request_id"]) == (error.message, "r1")


@pytest.mark.parametrize(("error", "kind"), [(row[0], row[2]) for row in FAILURES])
def test_anthropic_raises_its_own_class(error: GatewayError, kind: type[Exception]) -> None:
    client = anthropic_client(
        MESSAGES.encode_error(error, "r1"), status=MESSAGES.error_status(error)
    )
    with pytest.raises(kind, match=error.message) as caught:
        client.messages.create(model="m", max_tokens=1, messages=ASK)
    found: Any = caught.value
    assert type(caught.value) is kind
    assert found.api_message == error.message
    assert found.body["request_id"] == "r1"


@pytest.mark.parametrize(("error", "word"), [(row[0], row[3]) for row in FAILURES])
def test_gemini_raises_its_own_class(error: GatewayError, word: str) -> None:
    status = GEMINI.error_status(error)
    client = gemini_client(GEMINI.encode_error(error, "r1"), status=status)
    kind = gemini_errors.ServerError if status >= 500 else gemini_errors.ClientError
    with pytest.raises(kind) as caught:
        client.models.generate_content(model="m", contents="x")
    assert (caught.value.code, caught.value.status) == (status, word)
    assert caught.value.message is not None
    assert error.message in caught.value.message
    details = {detail["@type"].rpartition(".")[2]: detail for detail in _details(caught.value)}
    assert details["RequestInfo"]["requestId"] == "r1"
    if error.retry_after_s is not None:
        assert details["RetryInfo"]["retryDelay"] == f"{error.retry_after_s:g}s"


def _details(error: gemini_errors.APIError) -> list[dict[str, Any]]:
    found: Any = error.details
    return list(found["error"]["details"])


def test_a_wrong_key_reads_as_gemini_users_know_it() -> None:
    body = orjson.loads(GEMINI.encode_error(Unauthenticated("Invalid API key"), "r1"))
    assert body["error"]["message"].startswith("API key not valid.")
    assert "Invalid API key" in body["error"]["message"]
    assert body["error"]["details"][0]["reason"] == "API_KEY_INVALID"


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        (Unauthenticated("x"), "invalid_api_key", "authentication_error"),
        (UnknownModel("x"), "model_not_found", "invalid_request_error"),
        (TooLarge("x"), "request_too_large", "invalid_request_error"),
        (LimitExceeded("x"), "rate_limit_exceeded", "rate_limit_error"),
        (NoCandidate("x", status=429), "rate_limit_exceeded", "rate_limit_error"),
        (NoCandidate("x"), "server_error", "server_error"),
        (Forbidden("x"), "forbidden", "permission_error"),
        (BadRequest("x", kind="context_length_exceeded"), "context_length_exceeded", None),
    ],
)
def test_slugs_become_the_codes_openai_users_know(
    error: GatewayError, code: str, kind: str | None
) -> None:
    inner = orjson.loads(CHAT.encode_error(error, "r1"))["error"]
    assert (inner["code"], inner["type"]) == (code, kind or "invalid_request_error")
    assert inner["param"] == ("model" if code == "model_not_found" else None)


def test_a_refused_thread_lets_the_sdk_go_on() -> None:
    refusal = BadRequest("no threads", details={"error_code": "thread_unsupported_request"})
    client = anthropic_client(MESSAGES.encode_error(refusal, "r1"), status=400)
    with pytest.raises(anthropic.BadRequestError) as caught:
        client.messages.create(model="m", max_tokens=1, messages=ASK)
    assert caught.value.error_code == "thread_unsupported_request"


BROKEN = Overloaded("it broke")


def test_chat_raises_for_an_error_in_the_stream() -> None:
    frames = list(CHAT.encode_stream(events("demo-echo", "openai_chat")))[:2]
    body = b"".join(frames) + CHAT.encode_stream_error(BROKEN, "r1")
    chunks = openai_client(body, kind=EVENTS).chat.completions.create(
        model="m", messages=ASK, stream=True
    )
    with pytest.raises(openai.APIError, match="it broke"):
        list(chunks)
    assert b"[DONE]" not in body


def test_responses_raises_for_an_error_in_the_stream() -> None:
    frames = list(RESPONSES.encode_stream(events("demo-echo", "openai_responses")))[:5]
    last = RESPONSES.encode_stream_error(BROKEN, "r1", sequence=5)
    chunks = openai_client(b"".join(frames) + last, kind=EVENTS).responses.create(
        model="m", input="x", stream=True
    )
    with pytest.raises(openai.APIError, match="it broke"):
        list(chunks)
    data = orjson.loads(RESPONSES.data(last))
    assert (data["type"], data["sequence_number"], data["message"]) == ("error", 5, "it broke")
    assert (data["code"], data["param"]) == ("server_error", None)


def test_anthropic_raises_for_an_error_in_the_stream() -> None:
    frames = list(MESSAGES.encode_stream(events("demo-echo", "anthropic_messages")))[:3]
    body = b"".join(frames) + MESSAGES.encode_stream_error(BROKEN, "r1")
    client = anthropic_client(body, kind=EVENTS)
    with (
        pytest.raises(anthropic.APIStatusError, match="it broke"),
        client.messages.stream(model="m", max_tokens=9, messages=ASK) as run,
    ):
        run.until_done()


def test_gemini_raises_for_an_error_in_the_stream() -> None:
    frames = list(GEMINI.encode_stream(events("demo-echo", "gemini_generate")))[:1]
    body = b"".join(frames) + GEMINI.encode_stream_error(BROKEN, "r1")
    client = gemini_client(body, kind=EVENTS)
    with pytest.raises(gemini_errors.ServerError, match="it broke"):
        list(client.models.generate_content_stream(model="m", contents="x"))
