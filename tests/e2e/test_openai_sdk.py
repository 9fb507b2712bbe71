"""The official OpenAI SDK, unmodified, through the gateway."""

from __future__ import annotations

import base64
from typing import Any

import openai
import pytest

from tests.e2e.speech import CHAT, RESPONSES
from tests.fakes import answers
from tests.fakes.answers import data_frame, dumps
from tests.fakes.gateway import Gateway
from tests.fakes.upstream import ScriptedUpstream

PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(256))).decode()
CHAT_PATH = CHAT.upstream_path()
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}


def _tool_call_frames() -> list[bytes]:
    def chunk(choices: list[dict[str, Any]], usage: Any = None) -> bytes:
        return data_frame(
            {
                "id": "chatcmpl-7",
                "object": "chat.completion.chunk",
                "created": answers.CREATED,
                "model": CHAT.model,
                "choices": choices,
                "usage": usage,
            }
        )

    def delta(value: dict[str, Any], finish: str | None = None) -> list[dict[str, Any]]:
        return [{"index": 0, "delta": value, "finish_reason": finish}]

    def call(name: str | None, arguments: str) -> dict[str, Any]:
        function: dict[str, Any] = {"arguments": arguments}
        whole: dict[str, Any] = {"index": 0, "function": function}
        if name:
            function["name"] = name
            whole |= {"id": "call_1", "type": "function"}
        return {"tool_calls": [whole]}

    return [
        chunk(delta({"role": "assistant", "content": None, **call("get_weather", "")})),
        chunk(delta(call(None, '{"city":'))),
        chunk(delta(call(None, '"Zürich"}'))),
        chunk(delta({}, "tool_calls")),
        chunk([], answers.chat_usage()),
        answers.DONE,
    ]


def test_a_chat_answer(openai_client: openai.OpenAI, upstream: ScriptedUpstream) -> None:
    upstream.reply(CHAT_PATH, CHAT.plain("Grüezi mitenand", prompt=21, completion=5))
    answer = openai_client.chat.completions.create(
        model=CHAT.model, messages=[{"role": "user", "content": "hello"}]
    )
    assert answer.choices[0].message.content == "Grüezi mitenand"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (21, 5)
    assert upstream.requests[0].header("authorization") == f"Bearer {CHAT.secrets[0]}"


def test_a_chat_stream(openai_client: openai.OpenAI, upstream: ScriptedUpstream) -> None:
    upstream.reply(CHAT_PATH, CHAT.stream("one two three", completion=3))
    chunks = list(
        openai_client.chat.completions.create(
            model=CHAT.model,
            messages=[{"role": "user", "content": "count"}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    said = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(said) == "one two three"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 3


def test_a_chat_stream_without_usage_shows_none(
    openai_client: openai.OpenAI, upstream: ScriptedUpstream
) -> None:
    upstream.reply(CHAT_PATH, CHAT.stream("one two"))
    chunks = list(
        openai_client.chat.completions.create(
            model=CHAT.model, messages=[{"role": "user", "content": "count"}], stream=True
        )
    )
    assert all(chunk.choices for chunk in chunks)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "one two"


def test_chat_tools_through_the_accumulator(
    openai_client: openai.OpenAI, upstream: ScriptedUpstream
) -> None:
    upstream.reply(CHAT_PATH, answers.streamed(_tool_call_frames()))
    with openai_client.chat.completions.stream(
        model=CHAT.model,
        messages=[{"role": "user", "content": "weather?"}],
        tools=[TOOL],  # type: ignore[list-item]  # the typed dict is wider than what is tested
    ) as stream:
        for _ in stream:
            pass
        message = stream.get_final_completion().choices[0].message
    assert message.tool_calls is not None
    assert message.tool_calls[0].function.name == "get_weather"
    assert message.tool_calls[0].function.parsed_arguments == {"city": "Zürich"}
    assert upstream.requests[0].json()["tools"] == [TOOL]


def test_a_tool_result_and_an_image_reach_the_provider(
    openai_client: openai.OpenAI, upstream: ScriptedUpstream
) -> None:
    upstream.reply(CHAT_PATH, CHAT.plain())
    messages: Any = [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
            ],
        },
        {
            "role": "assistant",
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "get_weather", "arguments": '{"city":"Bern"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
    ]
    openai_client.chat.completions.create(model=CHAT.model, messages=messages)
    assert upstream.requests[0].json()["messages"] == messages


def test_a_compatible_provider_is_asked_for_its_own_model_name(
    openai_client: openai.OpenAI, upstream: ScriptedUpstream
) -> None:
    upstream.reply("/compat/v1/chat/completions", CHAT.plain("from afar"))
    answer = openai_client.chat.completions.create(
        model="compat-model", messages=[{"role": "user", "content": "hello"}]
    )
    assert answer.choices[0].message.content == "from afar"
    assert upstream.requests[0].json()["model"] == "vendor/compat-model"
    assert upstream.requests[0].header("authorization") == "Bearer sk-compat"


def test_legacy_completions(openai_client: openai.OpenAI, upstream: ScriptedUpstream) -> None:
    body = {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": answers.CREATED,
        "model": CHAT.model,
        "choices": [{"index": 0, "text": " world", "finish_reason": "stop", "logprobs": None}],
        "usage": {"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3},
    }
    upstream.reply("/openai/v1/completions", answers.whole(dumps(body)))
    answer = openai_client.completions.create(model=CHAT.model, prompt="hello")
    assert answer.choices[0].text == " world"


def test_embeddings(openai_client: openai.OpenAI, upstream: ScriptedUpstream) -> None:
    vector = base64.b64encode(b"\x00\x00\x80\x3f\x00\x00\x00\xc0").decode()  # floats 1.0, -2.0
    body = {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": vector}],
        "model": "embedding-test",
        "usage": {"prompt_tokens": 4, "total_tokens": 4},
    }
    upstream.reply("/openai/v1/embeddings", answers.whole(dumps(body)))
    answer = openai_client.embeddings.create(model="embedding-test", input="hello")
    assert answer.data[0].embedding == [1.0, -2.0]


def test_a_responses_answer(openai_client: openai.OpenAI, upstream: ScriptedUpstream) -> None:
    upstream.reply("/openai/v1/responses", RESPONSES.plain("Guten Tag", completion=9))
    answer = openai_client.responses.create(model="gpt-responses", input="hello")
    assert answer.output_text == "Guten Tag"
    assert answer.usage is not None
    assert answer.usage.output_tokens == 9


def test_a_responses_stream_through_its_helper(
    openai_client: openai.OpenAI, upstream: ScriptedUpstream
) -> None:
    upstream.reply(RESPONSES.upstream_path(), RESPONSES.stream("one two three"))
    with openai_client.responses.stream(model=RESPONSES.model, input="count") as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert final.output_text == "one two three"


def test_a_stored_response_is_read_from_the_credential_that_made_it(
    openai_client: openai.OpenAI, upstream: ScriptedUpstream
) -> None:
    upstream.reply(RESPONSES.upstream_path(), RESPONSES.plain("kept", answer_id="resp_kept"))
    made = openai_client.responses.create(model=RESPONSES.pair, input="remember")
    maker = upstream.requests[0].header("authorization")
    upstream.reply("/codex/v1/responses/resp_kept", RESPONSES.plain("kept", answer_id="resp_kept"))
    for _ in range(3):
        upstream.requests.clear()
        again = openai_client.responses.retrieve(made.id)
        assert again.output_text == "kept"
        assert [seen.header("authorization") for seen in upstream.requests] == [maker]


def test_an_answer_goes_on_with_the_credential_that_began_it(
    openai_client: openai.OpenAI, upstream: ScriptedUpstream
) -> None:
    upstream.reply(
        RESPONSES.upstream_path(),
        answers.streamed(RESPONSES.frames("one", answer_id="resp_first")),
        RESPONSES.plain("two", answer_id="resp_next"),
    )
    with openai_client.responses.stream(model=RESPONSES.pair, input="begin") as stream:
        first = stream.get_final_response()
    maker = upstream.requests[0].header("authorization")
    for _ in range(3):
        openai_client.responses.create(
            model=RESPONSES.pair, input="go on", previous_response_id=first.id
        )
    assert {seen.header("authorization") for seen in upstream.requests} == {maker}


def test_input_tokens_of_responses(
    openai_client: openai.OpenAI, upstream: ScriptedUpstream
) -> None:
    body = {"object": "response.input_tokens", "input_tokens": 17}
    upstream.reply("/codex/v1/responses/input_tokens", answers.whole(dumps(body)))
    counted = openai_client.responses.input_tokens.count(model=RESPONSES.model, input="hello")
    assert counted.input_tokens == 17


def test_the_model_list(openai_client: openai.OpenAI, upstream: ScriptedUpstream) -> None:
    listed = list(openai_client.models.list())
    names = [model.id for model in listed]
    assert names == sorted(names)
    assert {CHAT.model, CHAT.alias, "compat-model", "claude-test", "gemini-test"} <= set(names)
    assert "vendor/compat-model" not in names
    owners = {model.id: model.owned_by for model in listed}
    assert owners["compat-model"] == "compat"
    assert openai_client.models.retrieve("compat-model").owned_by == "compat"
    assert upstream.requests == []  # configured models need no look at the provider


def test_an_unknown_model_entry(openai_client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        openai_client.models.retrieve("no-such-model")


@pytest.mark.parametrize("path", ["", "/v1"])
def test_the_base_url_works_with_and_without_v1(
    path: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.reply(CHAT_PATH, CHAT.plain("either way"))
    with openai.OpenAI(api_key=gateway.key, base_url=gateway.url + path, max_retries=0) as client:
        answer = client.chat.completions.create(
            model=CHAT.model, messages=[{"role": "user", "content": "hello"}]
        )
        assert answer.choices[0].message.content == "either way"
        assert len(list(client.models.list())) > 0
