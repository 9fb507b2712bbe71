from __future__ import annotations

import threading
from typing import Any

import openai
import orjson
import pytest
import requests

from app import clock
from app.protocols import CODECS
from app.protocols.base import Operation, Progress
from app.providers.demo import Demo
from app.upstream.demo import PACE_S, DemoAdapter, DemoBody
from app.wire.sse import FrameCutter
from tests.protocols.clients import EVENTS, anthropic_client, gemini_client, openai_client
from tests.providers.signers import Signer

ASK: Any = [{"role": "user", "content": "hello there"}]
BODIES: dict[str, dict[str, Any]] = {
    "openai_chat": {"messages": ASK, "stream_options": {"include_usage": True}},
    "openai_responses": {"input": "hello there"},
    "anthropic_messages": {"messages": ASK, "max_tokens": 9},
    "gemini_generate": {"contents": [{"parts": [{"text": "hello there"}]}]},
}


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 50.0
        self.slept_s: list[float] = []
        monkeypatch.setattr(clock, "monotonic", lambda: self.now_s)
        monkeypatch.setattr(clock, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_s += seconds


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def call(
    protocol: str,
    operation: Operation,
    body: object,
    *,
    model: str = "demo-echo",
    stream: bool = False,
    query: str = "",
) -> requests.Response:
    url = Demo().url(Signer(), protocol, operation, model, stream) + query
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    return DemoAdapter().send(requests.Request("POST", url, data=data).prepare())


def drain(response: requests.Response) -> list[bytes]:
    pieces = []
    while piece := response.raw.read():
        pieces.append(piece)
    assert response.raw.read() == b""
    return pieces


@pytest.mark.parametrize("protocol", BODIES)
def test_a_whole_answer(protocol: str) -> None:
    response = call(protocol, Operation.GENERATE, BODIES[protocol])
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    progress = CODECS[protocol].read_answer(b"".join(drain(response)), Progress())
    assert progress.usage is not None
    assert (progress.usage.input_tokens, progress.usage.output_tokens) == (2, 2)


@pytest.mark.parametrize("protocol", BODIES)
def test_a_stream_comes_frame_by_frame(protocol: str) -> None:
    query = "&alt=sse" if protocol == "gemini_generate" else ""
    response = call(protocol, Operation.GENERATE, BODIES[protocol], stream=True, query=query)
    assert response.headers["content-type"] == EVENTS
    pieces = drain(response)
    assert FrameCutter().feed(b"".join(pieces)) == pieces
    codec, progress = CODECS[protocol], Progress()
    for piece in pieces:
        progress = codec.read_frame(piece, progress)
    assert progress.finished
    assert progress.usage is not None
    assert progress.usage.output_tokens == 2


def test_a_gemini_stream_without_alt_is_a_list() -> None:
    response = call("gemini_generate", Operation.GENERATE, BODIES["gemini_generate"], stream=True)
    assert response.headers["content-type"] == "application/json"
    assert len(orjson.loads(b"".join(drain(response)))) == 3


def test_a_chat_stream_tells_its_usage_only_when_asked() -> None:
    response = call("openai_chat", Operation.GENERATE, {"messages": ASK}, stream=True)
    assert b"usage" not in b"".join(drain(response))


def test_answers_have_ids_of_their_own() -> None:
    responses = [call("openai_chat", Operation.GENERATE, {"messages": ASK}) for _ in range(3)]
    assert len({orjson.loads(drain(response)[0])["id"] for response in responses}) == 3


@pytest.mark.parametrize("stream", [True, False])
def test_legacy_completions(stream: bool) -> None:
    response = call("openai_chat", Operation.COMPLETE, {"prompt": "say this"}, stream=stream)
    body = b"".join(drain(response))
    assert b"text_completion" in body
    assert body.endswith(b"[DONE]\n\n") is stream


def test_the_slow_model_keeps_its_pace(time: Clock) -> None:
    response = call(
        "openai_chat", Operation.GENERATE, {"messages": ASK}, model="demo-slow", stream=True
    )
    first = response.raw.read()
    assert b'"role"' in first
    assert time.slept_s == []
    assert b"one" in response.raw.read()
    assert time.now_s == pytest.approx(50 + PACE_S)
    drain(response)
    assert time.now_s == pytest.approx(50 + 20 * PACE_S)
    assert max(time.slept_s) < PACE_S / 2


def test_a_whole_slow_answer_takes_as_long(time: Clock) -> None:
    response = call("openai_chat", Operation.GENERATE, {"messages": ASK}, model="demo-slow")
    assert len(drain(response)) == 1
    assert time.now_s == pytest.approx(50 + 20 * PACE_S)


def test_a_reader_that_waits_too_short_gets_nothing_yet(time: Clock) -> None:
    body = DemoBody(iter([(1.0, b"late"), (0.0, b"next")]))
    assert body.read(0.25) is None
    assert body.read(0) is None
    assert time.now_s == pytest.approx(50.25)
    assert body.read(2) == b"late"
    assert time.now_s == pytest.approx(51)
    assert body.read(0) == b"next"
    assert body.read(0) == b""


def test_closing_ends_a_waiting_read() -> None:
    body = DemoBody(iter([(3600.0, b"never"), (0.0, b"after")]))
    found: list[bytes | None] = []
    reader = threading.Thread(target=lambda: found.append(body.read()))
    reader.start()
    body.close()
    reader.join(30)
    assert found == [b""]
    assert body.read() == b""


@pytest.mark.parametrize("protocol", BODIES)
@pytest.mark.parametrize(
    ("body", "model", "status"),
    [
        (b"{", "demo-echo", 400),
        (b"[]", "demo-echo", 400),
        ({}, "demo-echo", 400),
        (BODIES, "gpt-x", 404),
    ],
)
def test_refusals_are_in_the_protocols_own_words(
    protocol: str, body: object, model: str, status: int
) -> None:
    response = call(protocol, Operation.GENERATE, body, model=model)
    assert response.status_code == status
    assert orjson.loads(drain(response)[0])["error"]["message"]


@pytest.mark.parametrize(
    "operation",
    [
        Operation.COMPACT,
        Operation.GET_RESPONSE,
        Operation.DELETE_RESPONSE,
        Operation.CANCEL_RESPONSE,
        Operation.LIST_INPUT_ITEMS,
    ],
)
def test_nothing_is_stored(operation: Operation) -> None:
    response = call("openai_responses", operation, b"", model="resp_1")
    assert response.status_code == 404
    assert "resp_1" in orjson.loads(drain(response)[0])["error"]["message"]


def test_tokens_are_counted() -> None:
    response = call("anthropic_messages", Operation.COUNT_TOKENS, {"messages": ASK})
    counted = anthropic_client(drain(response)[0]).messages.count_tokens(model="m", messages=ASK)
    assert counted.input_tokens == 2
    response = call("gemini_generate", Operation.COUNT_TOKENS, BODIES["gemini_generate"])
    assert (
        gemini_client(drain(response)[0]).models.count_tokens(model="m", contents="x").total_tokens
        == 2
    )


@pytest.mark.parametrize("packed", [True, False])
def test_embeddings(packed: bool) -> None:
    asked: dict[str, Any] = {"input": ["one two", "three"], "dimensions": 5}
    if packed:
        asked["encoding_format"] = "base64"
    body = drain(call("openai_chat", Operation.EMBED, asked))[0]
    found = openai_client(body).embeddings.create(model="m", input=["x", "y"])
    assert [len(entry.embedding) for entry in found.data] == [5, 5]
    assert found.usage.prompt_tokens == 3
    plain = drain(call("openai_chat", Operation.EMBED, asked | {"encoding_format": "float"}))[0]
    assert orjson.loads(plain)["data"][0]["embedding"] == found.data[0].embedding


@pytest.mark.parametrize("body", [{}, {"input": []}, {"input": "x", "dimensions": 0}])
def test_embeddings_that_cannot_be_made(body: dict[str, Any]) -> None:
    response = call("openai_chat", Operation.EMBED, body)
    client = openai_client(drain(response)[0], status=response.status_code)
    with pytest.raises(openai.BadRequestError):
        client.embeddings.create(model="m", input="x")


def test_gemini_embeddings() -> None:
    content = {"parts": [{"text": "one two"}]}
    single = drain(call("gemini_generate", Operation.EMBED, {"content": content}))[0]
    values = orjson.loads(single)["embedding"]["values"]
    assert len(values) == 16
    asked = {"requests": [{"content": content}, {"content": content, "outputDimensionality": 4}]}
    body = drain(call("gemini_generate", Operation.BATCH_EMBED, asked))[0]
    found = gemini_client(body).models.embed_content(model="m", contents=["x", "y"])
    assert found.embeddings is not None
    sizes = [len(entry.values or ()) for entry in found.embeddings]
    assert sizes == [16, 4]
    progress = CODECS["gemini_generate"].read_answer(body, Progress())
    assert progress.usage is not None
    assert progress.usage.input_tokens == 4


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        (Operation.EMBED, {}),
        (Operation.EMBED, {"content": {"parts": [{"text": "x"}]}, "outputDimensionality": 99999}),
        (Operation.BATCH_EMBED, {}),
        (Operation.BATCH_EMBED, {"requests": [7]}),
    ],
)
def test_gemini_embeddings_that_cannot_be_made(operation: Operation, body: Any) -> None:
    assert call("gemini_generate", operation, body).status_code == 400


def test_requests_finds_the_adapter_by_its_scheme() -> None:
    with requests.Session() as session:
        session.mount("demo://", DemoAdapter())
        url = Demo().url(Signer(), "openai_chat", Operation.GENERATE, "demo-echo", False)
        response = session.send(
            requests.Request("POST", url, data=orjson.dumps({"messages": ASK})).prepare(),
            stream=True,
        )
        assert response.status_code == 200
        assert b"hello there" in response.raw.read()
