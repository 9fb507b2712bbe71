"""The official Anthropic SDK, unmodified, through the gateway."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

from tests.e2e.speech import MESSAGES
from tests.e2e.test_openai_sdk import PIXEL
from tests.fakes import answers
from tests.fakes.answers import dumps, event_frame
from tests.fakes.gateway import Gateway
from tests.fakes.upstream import ScriptedUpstream

PATH = MESSAGES.upstream_path()
HELLO: Any = [{"role": "user", "content": "hello"}]
TOOL: Any = {
    "name": "get_weather",
    "description": "The weather in a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def _tool_frames() -> list[bytes]:
    message: dict[str, Any] = {
        "id": "msg_9",
        "type": "message",
        "role": "assistant",
        "model": MESSAGES.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 40, "output_tokens": 1},
    }
    tool = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}}
    pieces = ["", '{"city": ', '"Zürich"}']
    return [
        event_frame({"type": "message_start", "message": message}),
        event_frame({"type": "content_block_start", "index": 0, "content_block": tool}),
        *(
            event_frame(
                {
                    "type": "content_block_delta",
                    "index": 0,
                    "delta": {"type": "input_json_delta", "partial_json": piece},
                }
            )
            for piece in pieces
        ),
        event_frame({"type": "content_block_stop", "index": 0}),
        event_frame(
            {
                "type": "message_delta",
                "delta": {"stop_reason": "tool_use", "stop_sequence": None},
                "usage": {"output_tokens": 25},
            }
        ),
        event_frame({"type": "message_stop"}),
    ]


def test_an_answer(anthropic_client: anthropic.Anthropic, upstream: ScriptedUpstream) -> None:
    upstream.reply(PATH, MESSAGES.plain("Grüezi", prompt=21, completion=5))
    answer = anthropic_client.messages.create(model=MESSAGES.model, max_tokens=64, messages=HELLO)
    assert [block.text for block in answer.content if block.type == "text"] == ["Grüezi"]
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (21, 5)
    seen = upstream.requests[0]
    assert gateway_key_is_nowhere(seen.headers)
    assert seen.header("anthropic-version") is not None


def gateway_key_is_nowhere(headers: list[tuple[str, str]]) -> bool:
    return not any(Gateway.key in value for _, value in headers)


def test_a_stream(anthropic_client: anthropic.Anthropic, upstream: ScriptedUpstream) -> None:
    upstream.reply(PATH, MESSAGES.stream("one two three", completion=3))
    with anthropic_client.messages.stream(
        model=MESSAGES.model, max_tokens=64, messages=HELLO
    ) as stream:
        assert "".join(stream.text_stream) == "one two three"
        final = stream.get_final_message()
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens == 3


def test_tools_through_the_accumulator(
    anthropic_client: anthropic.Anthropic, upstream: ScriptedUpstream
) -> None:
    upstream.reply(PATH, answers.streamed(_tool_frames()))
    with anthropic_client.messages.stream(
        model=MESSAGES.model, max_tokens=64, messages=HELLO, tools=[TOOL]
    ) as stream:
        final = stream.get_final_message()
    block = final.content[0]
    assert block.type == "tool_use"
    assert block.input == {"city": "Zürich"}
    assert upstream.requests[0].json()["tools"] == [TOOL]


def test_an_image_and_a_tool_result_reach_the_provider(
    anthropic_client: anthropic.Anthropic, upstream: ScriptedUpstream
) -> None:
    upstream.reply(PATH, MESSAGES.plain())
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    messages: Any = [
        {"role": "user", "content": [{"type": "image", "source": source}]},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}}],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "rain"}],
        },
    ]
    anthropic_client.messages.create(model=MESSAGES.model, max_tokens=64, messages=messages)
    assert upstream.requests[0].json()["messages"] == messages


def test_counting_tokens(anthropic_client: anthropic.Anthropic, upstream: ScriptedUpstream) -> None:
    upstream.reply("/claude/v1/messages/count_tokens", answers.whole(dumps({"input_tokens": 14})))
    counted = anthropic_client.messages.count_tokens(model=MESSAGES.model, messages=HELLO)
    assert counted.input_tokens == 14


def test_the_model_list(anthropic_client: anthropic.Anthropic) -> None:
    listed = list(anthropic_client.models.list(limit=1000))
    assert [model.type for model in listed] == ["model"] * len(listed)
    assert {MESSAGES.model, MESSAGES.alias} <= {model.id for model in listed}
    entry = anthropic_client.models.retrieve(MESSAGES.model)
    assert entry.id == MESSAGES.model
    assert entry.created_at is not None


@pytest.mark.parametrize("scheme", ["bearer", "x-api-key"])
def test_both_places_of_the_key(scheme: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.reply(PATH, MESSAGES.plain("come in"))
    headers = {"x-api-key": gateway.key} if scheme == "x-api-key" else {}
    key: Any = {"auth_token": gateway.key} if scheme == "bearer" else {"api_key": "ignored"}
    with anthropic.Anthropic(
        base_url=gateway.url, max_retries=0, default_headers=headers, **key
    ) as client:
        if scheme == "x-api-key":
            # The SDK would send its own bearer key beside ours; only ours is meant.
            headers["Authorization"] = ""
        answer = client.messages.create(
            model=MESSAGES.model, max_tokens=64, messages=HELLO, extra_headers=headers
        )
    assert answer.content[0].type == "text"


def test_beta_features_reach_the_provider(
    anthropic_client: anthropic.Anthropic, upstream: ScriptedUpstream
) -> None:
    upstream.reply(PATH, MESSAGES.plain())
    anthropic_client.beta.messages.create(
        model=MESSAGES.model,
        max_tokens=64,
        messages=HELLO,
        betas=["context-1m-2025-08-07"],
        extra_query={"beta": "true"},
    )
    seen = upstream.requests[0]
    assert "context-1m-2025-08-07" in (seen.header("anthropic-beta") or "")
    assert seen.query == "beta=true"


def test_a_message_thread_is_refused_where_nobody_keeps_it(
    anthropic_client: anthropic.Anthropic,
) -> None:
    """In the words on which the SDK goes on with whole histories."""
    with pytest.raises(anthropic.BadRequestError) as caught:
        anthropic_client.beta.messages.create(
            model="demo-echo",
            max_tokens=64,
            messages=HELLO,
            betas=["message-threads-2026-08-12"],
            extra_body={"thread": {"type": "create"}},
        )
    body: Any = caught.value.body
    assert body["error"]["details"]["error_code"] == "thread_unsupported_request"


def test_a_message_thread_goes_on_with_the_credential_that_began_it(
    anthropic_client: anthropic.Anthropic, upstream: ScriptedUpstream
) -> None:
    body = MESSAGES.whole("kept").replace(b'"id":"msg_1"', b'"id":"msg_thread_1"')
    upstream.reply(MESSAGES.upstream_path(MESSAGES.pair), answers.whole(body))

    def go_on(thread: dict[str, str]) -> str | None:
        upstream.requests.clear()
        anthropic_client.beta.messages.create(
            model=MESSAGES.pair, max_tokens=64, messages=HELLO, extra_body={"thread": thread}
        )
        assert [seen.json()["thread"] for seen in upstream.requests] == [thread]
        return upstream.requests[0].header("authorization")

    maker = go_on({"type": "create"})
    again = {"type": "continue", "previous_message_id": "msg_thread_1"}
    assert [go_on(again) for _ in range(3)] == [maker] * 3
