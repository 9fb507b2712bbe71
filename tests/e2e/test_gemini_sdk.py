"""The official Gemini SDK, unmodified, through the gateway."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from google import genai
from google.genai import types

from tests.e2e.speech import GEMINI
from tests.e2e.test_openai_sdk import PIXEL
from tests.fakes import answers
from tests.fakes.answers import data_frame, dumps
from tests.fakes.gateway import Gateway
from tests.fakes.upstream import ScriptedUpstream

WHOLE = GEMINI.upstream_path()
STREAM = GEMINI.upstream_path(stream=True)
TOOL = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="get_weather",
            description="The weather in a city",
            parameters=types.Schema(
                type=types.Type.OBJECT, properties={"city": types.Schema(type=types.Type.STRING)}
            ),
        )
    ]
)


def test_an_answer(genai_client: genai.Client, upstream: ScriptedUpstream) -> None:
    upstream.reply(WHOLE, GEMINI.plain("Grüezi", prompt=21, completion=5))
    answer = genai_client.models.generate_content(model=GEMINI.model, contents="hello")
    assert answer.text == "Grüezi"
    assert answer.usage_metadata is not None
    assert answer.usage_metadata.prompt_token_count == 21
    seen = upstream.requests[0]
    assert seen.header("x-goog-api-key") == GEMINI.secrets[0]
    assert not any(Gateway.key in value for _, value in seen.headers)


def test_a_stream(genai_client: genai.Client, upstream: ScriptedUpstream) -> None:
    upstream.reply(STREAM, GEMINI.stream("one two three", completion=3))
    chunks = list(genai_client.models.generate_content_stream(model=GEMINI.model, contents="count"))
    assert "".join(chunk.text or "" for chunk in chunks) == "one two three"
    assert upstream.requests[0].query == "alt=sse"


def test_a_tool_call_in_a_stream(genai_client: genai.Client, upstream: ScriptedUpstream) -> None:
    call = {"functionCall": {"name": "get_weather", "args": {"city": "Zürich"}}}
    part = call | {"thoughtSignature": base64.b64encode(b"seal").decode()}
    body = {
        "candidates": [
            {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}
        ],
        "usageMetadata": answers.gemini_usage(),
        "modelVersion": GEMINI.model,
    }
    upstream.reply(STREAM, answers.streamed([data_frame(body)]))
    chunks = list(
        genai_client.models.generate_content_stream(
            model=GEMINI.model,
            contents="weather?",
            config=types.GenerateContentConfig(tools=[TOOL]),
        )
    )
    assert chunks[0].function_calls is not None
    assert chunks[0].function_calls[0].args == {"city": "Zürich"}
    sent = upstream.requests[0].json()
    assert sent["tools"][0]["functionDeclarations"][0]["name"] == "get_weather"


def test_an_image_reaches_the_provider(
    genai_client: genai.Client, upstream: ScriptedUpstream
) -> None:
    upstream.reply(WHOLE, GEMINI.plain())
    image = types.Part.from_bytes(data=base64.b64decode(PIXEL), mime_type="image/png")
    contents: Any = [image, "What is this?"]
    genai_client.models.generate_content(model=GEMINI.model, contents=contents)
    part = upstream.requests[0].json()["contents"][0]["parts"][0]
    sent = part["inlineData"]["data"]
    assert base64.urlsafe_b64decode(sent.replace("+", "-").replace("/", "_")) == base64.b64decode(
        PIXEL
    )


def test_counting_tokens(genai_client: genai.Client, upstream: ScriptedUpstream) -> None:
    path = WHOLE.replace(":generateContent", ":countTokens")
    upstream.reply(path, answers.whole(dumps({"totalTokens": 31})))
    counted = genai_client.models.count_tokens(model=GEMINI.model, contents="hello")
    assert counted.total_tokens == 31


def test_embeddings(genai_client: genai.Client, upstream: ScriptedUpstream) -> None:
    root = "/gemini/v1beta/models/gemini-embedding-001"
    body = {"embeddings": [{"values": [0.5, -0.25]}]}
    upstream.reply(f"{root}:batchEmbedContents", answers.whole(dumps(body)))
    answer = genai_client.models.embed_content(model="gemini-embedding-001", contents="hello")
    assert answer.embeddings is not None
    assert answer.embeddings[0].values == [0.5, -0.25]


def test_the_model_list(genai_client: genai.Client) -> None:
    names = [model.name for model in genai_client.models.list()]
    assert {f"models/{GEMINI.model}", f"models/{GEMINI.alias}"} <= set(names)
    entry = genai_client.models.get(model=GEMINI.model)
    assert entry.name == f"models/{GEMINI.model}"


@pytest.mark.parametrize("version", ["v1", "v1beta"])
def test_both_versions_of_the_api(
    version: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.reply(WHOLE, GEMINI.plain("plain"))
    upstream.reply(STREAM, GEMINI.stream("streamed"))
    client = genai.Client(
        api_key=gateway.key,
        http_options=types.HttpOptions(base_url=gateway.url, api_version=version),
    )
    try:
        assert client.models.generate_content(model=GEMINI.model, contents="hi").text == "plain"
        chunks = client.models.generate_content_stream(model=GEMINI.model, contents="hi")
        assert "".join(chunk.text or "" for chunk in chunks) == "streamed"
        assert any(model.name == f"models/{GEMINI.model}" for model in client.models.list())
    finally:
        client.close()
