"""Failures of a provider told in another protocol: the right class, its words, nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from google.genai import errors as google_errors

from tests.e2e.matrix.answering import FRAMES, broken, stream_error, told
from tests.e2e.matrix.asking import written
from tests.e2e.matrix.talk import Ask, Pair, Tell, Used
from tests.e2e.test_matrix import MODELS, SPEECH
from tests.e2e.test_sdk_errors import BROKEN
from tests.e2e.translated import Stage, cross_pairs, others, staged
from tests.fakes import answers
from tests.fakes.answers import dumps
from tests.fakes.upstream import Pause, Reply, Reset

SDK_ERRORS = (openai.APIError, anthropic.APIError, google_errors.APIError)
WORDS = "the provider's own words"
LONG = Tell(("one two three four five six",))
BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with staged() as running:
        yield running


def _class(client: str, status: int) -> type[Exception]:
    if client == "gemini":
        return google_errors.ClientError if status < 500 else google_errors.ServerError
    sdk: Any = anthropic if client == "claude" else openai
    names = {
        400: "BadRequestError",
        404: "NotFoundError",
        422: "UnprocessableEntityError",
        429: "RateLimitError",
    }
    if client == "claude":
        names |= {413: "ContentTooLargeError", 503: "ServiceUnavailableError"}
        names |= {529: "OverloadedError"}
    default = "InternalServerError" if status >= 500 else "APIStatusError"
    name = names.get(status, default)
    found: type[Exception] = getattr(sdk, name, None) or getattr(sdk._exceptions, name)
    return found


def _ask(stage: Stage, pair: Pair) -> Any:
    return stage.sdks.ask(pair, f"via-{pair.upstream}", written(Ask(), pair.client))


def _refused(stage: Stage, pair: Pair) -> Any:
    with pytest.raises(SDK_ERRORS) as caught:
        _ask(stage, pair)
    assert [str(complaint) for complaint in stage.upstream.complaints] == []
    return caught.value


def _status(error: Any) -> int:
    return int(error.code if isinstance(error, google_errors.APIError) else error.status_code)


def _message(client: str, error: Any) -> str:
    """The sentence in the error object, where this client looks for it."""
    body = error.details if client == "gemini" else error.body
    inner = body["error"] if client in ("gemini", "claude") else body
    return str(inner["message"])


def _shown(client: str, status: int) -> int:
    """What each client is shown: 529 is Anthropic's own word, and Google has no 413."""
    if client == "gemini" and status == 413:
        return 400
    return 503 if status == 529 and client != "claude" else status


@cross_pairs()
@pytest.mark.parametrize(
    ("status", "stream"),
    [(status, False) for status in (400, 404, 413, 422, 429, 500, 503, 529)] + [(429, True)],
)
def test_a_refusal_has_its_class_and_its_words(
    stage: Stage, client: str, upstream: str, stream: bool, status: int
) -> None:
    stage.script(SPEECH[upstream].error(status, WORDS, Retry_After="17"))
    error: Any = _refused(stage, Pair(client, upstream, stream))
    shown = _status(error)
    assert shown == _shown(client, status)
    assert type(error).__name__ == _class(client, shown).__name__
    message = _message(client, error)
    assert WORDS in message
    assert "{" not in message
    request_id = error.response.headers["x-aiproxy-request-id"]
    if status == 429:
        assert error.response.headers["retry-after"] == "17"
    row = stage.gateway.row(request_id)
    assert row["status"] == shown
    assert row["protocol"] == SPEECH[client].name
    assert row["upstream_model"] == MODELS[f"via-{upstream}"]
    assert row["blame"] == _blame(status)
    assert row["output_tokens"] == 0


def _blame(status: int) -> str:
    if status == 429:
        return "model"
    return "request" if status < 500 else "upstream"


@cross_pairs()
@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_credential_is_not_the_client_s(
    stage: Stage, client: str, upstream: str, status: int
) -> None:
    stage.script(SPEECH[upstream].error(status, "Incorrect API key provided: sk-secret-1234"))
    error = _refused(stage, Pair(client, upstream))
    assert _status(error) == 503
    assert "sk-secret" not in str(error)
    assert "Incorrect" not in str(error)
    row = stage.gateway.row(error.response.headers["x-aiproxy-request-id"])
    assert (row["status"], row["blame"]) == (503, "credential")


TOO_LONG = {
    "chat": "This model's maximum context length is 128000 tokens. However, you asked for more.",
    "responses": "Your input exceeds the context window of this model.",
    "claude": "prompt is too long: 210000 tokens > 200000 maximum",
    "gemini": "The input token count (1200000) exceeds the maximum number of tokens allowed",
}
"""What each provider says of a history that is too long; clients shorten theirs on these words."""


@cross_pairs()
def test_a_history_too_long_is_told_so(stage: Stage, client: str, upstream: str) -> None:
    reply = SPEECH[upstream].error(400, TOO_LONG[upstream])
    if upstream in ("chat", "responses"):
        error: dict[str, Any] = {"message": TOO_LONG[upstream], "type": "invalid_request_error"}
        error |= {"param": "messages", "code": "context_length_exceeded"}
        reply = Reply(400, dumps({"error": error}))
    stage.script(reply)
    caught = _refused(stage, Pair(client, upstream))
    assert _status(caught) == 400
    assert TOO_LONG[upstream] in _message(client, caught)
    if client == "claude":
        assert _message(client, caught).startswith("prompt is too long: ")
    elif client != "gemini":
        assert caught.code == "context_length_exceeded"


@others("gemini")
def test_google_s_hint_when_to_come_back_is_a_header(stage: Stage, upstream: str) -> None:
    client = upstream  # the other three are the clients here
    stage.script(answers.gemini_error(429, "quota"))
    error = _refused(stage, Pair(client, "gemini"))
    assert error.response.headers["retry-after"] == "17"


@others("gemini")
def test_a_header_when_to_come_back_is_google_s_hint(stage: Stage, upstream: str) -> None:
    stage.script(SPEECH[upstream].error(429, "later", Retry_After="17"))
    error = _refused(stage, Pair("gemini", upstream))
    details = error.details["error"]["details"]
    hints = [one["retryDelay"] for one in details if one["@type"].endswith("RetryInfo")]
    assert hints == ["17s"]


@cross_pairs()
@BOTH
def test_a_page_in_place_of_an_error_is_not_handed_on(
    stage: Stage, client: str, upstream: str, stream: bool
) -> None:
    page = b"<html><title>502 Bad Gateway</title><center>nginx</center></html>"
    stage.script(Reply(502, page, headers=[("Content-Type", "text/html")]))
    error = _refused(stage, Pair(client, upstream, stream))
    assert _status(error) == 502
    assert "<" not in _message(client, error)


# Streams that do not end well


@cross_pairs()
def test_an_error_in_the_middle(stage: Stage, client: str, upstream: str) -> None:
    pair = Pair(client, upstream, stream=True)
    stage.script(broken(LONG, pair, stream_error(upstream)))
    error = _refused(stage, pair)
    assert "the model is overloaded" in str(error)
    # Where it came together with the beginning, the answer has not begun and has its status.
    answer = stage.generate(client, f"via-{upstream}", stream=True)
    row = stage.last_row(answer)
    assert (row["status"], row["blame"]) == (answer.status, "upstream")


@cross_pairs()
@pytest.mark.parametrize("ending", ["cut", "reset"])
def test_a_stream_that_breaks_is_not_taken_for_whole(
    stage: Stage, client: str, upstream: str, ending: str
) -> None:
    pair = Pair(client, upstream, stream=True)
    frames: list[Any] = FRAMES[upstream](LONG)
    kept = frames[: len(frames) // 2]
    stage.script(answers.streamed([*kept, Reset()] if ending == "reset" else kept))
    with pytest.raises(BROKEN):
        _ask(stage, pair)
    answer = stage.generate(client, f"via-{upstream}", stream=True)
    row = stage.last_row(answer)
    assert (row["status"], row["blame"]) == (answer.status, "upstream")
    assert not answer.whole or answer.status == 502


@others("gemini")
def test_a_list_that_breaks_ends_with_the_error(stage: Stage, upstream: str) -> None:
    """Gemini's stream without ``alt=sse`` is one JSON list, and stays one."""
    path = f"/v1beta/models/via-{upstream}:streamGenerateContent"
    body = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
    frames: list[Any] = FRAMES[upstream](LONG)
    first = frames[: len(frames) // 2]
    stage.script(answers.streamed([*first, Pause(0.2), stream_error(upstream)]))
    answer = stage.post("gemini", path, body)
    *chunks, last = json.loads(answer.body)
    assert chunks
    assert all("candidates" in chunk for chunk in chunks)
    assert last["error"]["message"] == "the model is overloaded"
    assert not answer.whole
    assert stage.last_row(answer)["blame"] == "upstream"


@cross_pairs()
def test_an_error_that_begins_the_stream_has_its_status(
    stage: Stage, client: str, upstream: str
) -> None:
    stage.script(answers.streamed([stream_error(upstream)]))
    error = _refused(stage, Pair(client, upstream, stream=True))
    assert _status(error) >= 500
    assert "the model is overloaded" in _message(client, error)


@cross_pairs()
def test_an_error_in_place_of_a_whole_answer(stage: Stage, client: str, upstream: str) -> None:
    """With status 200, as some hosts do."""
    error = {"error": {"message": WORDS, "type": "server_error", "code": 503}}
    stage.script(Reply(body=dumps(error)))
    caught = _refused(stage, Pair(client, upstream))
    assert _status(caught) >= 500
    assert WORDS in _message(client, caught)


@cross_pairs()
def test_half_a_whole_answer(stage: Stage, client: str, upstream: str) -> None:
    reply = told(LONG, Pair(client, upstream))
    assert isinstance(reply.body, bytes)
    stage.script(Reply(body=reply.body[: len(reply.body) // 2]))
    assert _status(_refused(stage, Pair(client, upstream))) == 502


# Answers in the other form than was asked for


@cross_pairs()
@BOTH
def test_an_answer_in_the_other_form(
    stage: Stage, client: str, upstream: str, stream: bool
) -> None:
    """A provider that always streams, and one that never does."""
    stage.script(told(LONG, Pair(client, upstream, not stream)))
    got = _ask(stage, Pair(client, upstream, stream))
    assert got.text == "one two three four five six"
    assert got.used is not None
    assert (got.used.input, got.used.output) == (21, 9)
    stage.heard(upstream)


# What is written down


@cross_pairs()
@BOTH
def test_a_row_is_the_client_s_and_counts_as_the_provider_does(
    stage: Stage, client: str, upstream: str, stream: bool
) -> None:
    written_ = 3 if upstream == "claude" else 0
    reasoning = 0 if upstream == "claude" else 4
    tell = Tell(LONG.pieces, used=Used(40, 12, written_, 19, reasoning))
    stage.tells(upstream, tell)
    answer = stage.generate(client, f"via-{upstream}", stream=stream)
    rows = [row for row in stage.gateway.ledger_rows() if row["id"] == answer.request_id]
    (row,) = rows  # at once: it was written before the last byte went out
    assert (row["status"], row["blame"], row["attempts"]) == (200, "", 1)
    assert (row["protocol"], row["operation"]) == (SPEECH[client].name, "generate")
    assert (row["model"], row["upstream_model"]) == (f"via-{upstream}", MODELS[f"via-{upstream}"])
    assert row["stream"] == stream
    assert row["estimated"] == 0
    kinds = ("input", "cache_read", "cache_write", "output", "reasoning")
    counts = [row[f"{kind}_tokens"] for kind in kinds]
    assert counts == [28 - written_, 12, written_, 19 - reasoning, reasoning]
    assert row["bytes_out"] == len(answer.body)
    assert 0 < row["ttft_ms"] <= row["duration_ms"]
    assert stage.gateway.key not in json.dumps(row)
