"""The built-in demo models through every SDK's own helpers, which check what they are sent."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import types

from tests.e2e.test_anthropic_sdk import TOOL as ANTHROPIC_TOOL
from tests.e2e.test_gemini_sdk import TOOL as GEMINI_TOOL
from tests.e2e.test_openai_sdk import TOOL as CHAT_TOOL
from tests.fakes.gateway import Gateway
from tests.fakes.waiting import wait_until

TEXT = "The quick brown fox"
MESSAGES: Any = [{"role": "user", "content": TEXT}]
RESPONSES_TOOL: Any = {"type": "function", **CHAT_TOOL["function"]}


# Chat


def test_chat_whole(openai_client: openai.OpenAI) -> None:
    answer = openai_client.chat.completions.create(model="demo-echo", messages=MESSAGES)
    assert answer.choices[0].message.content == TEXT
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 4


@pytest.mark.parametrize("with_usage", [False, True])
def test_chat_stream(with_usage: bool, openai_client: openai.OpenAI) -> None:
    extra: Any = {"stream_options": {"include_usage": True}} if with_usage else {}
    with openai_client.chat.completions.stream(
        model="demo-echo", messages=MESSAGES, **extra
    ) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()
    assert "".join(deltas) == TEXT
    assert final.choices[0].message.content == TEXT
    assert (final.usage is not None) is with_usage


def test_chat_tools(openai_client: openai.OpenAI) -> None:
    tools: Any = [CHAT_TOOL]
    with openai_client.chat.completions.stream(
        model="demo-tools", messages=MESSAGES, tools=tools
    ) as stream:
        for _ in stream:
            pass
        message = stream.get_final_completion().choices[0].message
    assert message.tool_calls is not None
    call = message.tool_calls[0]
    assert call.function.name == "get_weather"
    assert isinstance(call.function.parsed_arguments, dict)
    history: Any = [
        *MESSAGES,
        message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "rain"},
    ]
    for entry in history[1]["tool_calls"]:
        entry["function"].pop("parsed_arguments", None)
        entry.pop("index", None)
    after = openai_client.chat.completions.create(model="demo-tools", messages=history, tools=tools)
    assert "rain" in (after.choices[0].message.content or "")


def test_chat_thinking(openai_client: openai.OpenAI) -> None:
    with openai_client.chat.completions.stream(model="demo-thinking", messages=MESSAGES) as stream:
        for _ in stream:
            pass
        message: Any = stream.get_final_completion().choices[0].message
    assert message.content == TEXT
    assert TEXT in message.reasoning_content


# Responses


def test_responses_whole(openai_client: openai.OpenAI) -> None:
    answer = openai_client.responses.create(model="demo-echo", input=TEXT)
    assert answer.output_text == TEXT
    assert answer.status == "completed"


@pytest.mark.parametrize("model", ["demo-echo", "demo-thinking"])
def test_responses_stream(model: str, openai_client: openai.OpenAI) -> None:
    numbers = []
    with openai_client.responses.stream(model=model, input=TEXT) as stream:
        for event in stream:
            if (number := getattr(event, "sequence_number", None)) is not None:
                numbers.append(number)
        final = stream.get_final_response()
    assert final.output_text == TEXT
    assert numbers == list(range(len(numbers)))
    kinds = [item.type for item in final.output]
    assert ("reasoning" in kinds) is (model == "demo-thinking")
    assert final.usage is not None
    assert final.usage.total_tokens == final.usage.input_tokens + final.usage.output_tokens


def test_responses_tools(openai_client: openai.OpenAI) -> None:
    with openai_client.responses.stream(
        model="demo-tools", input=TEXT, tools=[RESPONSES_TOOL]
    ) as stream:
        for _ in stream:
            pass
        final = stream.get_final_response()
    call = next(item for item in final.output if item.type == "function_call")
    assert call.name == "get_weather"
    history: Any = [
        {"role": "user", "content": TEXT},
        {
            "type": "function_call",
            "call_id": call.call_id,
            "name": call.name,
            "arguments": call.arguments,
        },
        {"type": "function_call_output", "call_id": call.call_id, "output": "rain"},
    ]
    after = openai_client.responses.create(
        model="demo-tools", input=history, tools=[RESPONSES_TOOL]
    )
    assert "rain" in after.output_text


# Messages


def test_messages_whole(anthropic_client: anthropic.Anthropic) -> None:
    answer = anthropic_client.messages.create(model="demo-echo", max_tokens=99, messages=MESSAGES)
    assert [block.text for block in answer.content if block.type == "text"] == [TEXT]
    assert answer.usage.output_tokens == 4


def test_messages_stream(anthropic_client: anthropic.Anthropic) -> None:
    with anthropic_client.messages.stream(
        model="demo-echo", max_tokens=99, messages=MESSAGES
    ) as stream:
        assert "".join(stream.text_stream) == TEXT
        assert stream.get_final_message().stop_reason == "end_turn"


def test_messages_tools(anthropic_client: anthropic.Anthropic) -> None:
    with anthropic_client.messages.stream(
        model="demo-tools", max_tokens=99, messages=MESSAGES, tools=[ANTHROPIC_TOOL]
    ) as stream:
        final = stream.get_final_message()
    assert final.stop_reason == "tool_use"
    call = next(block for block in final.content if block.type == "tool_use")
    assert call.name == "get_weather"
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "rain"}
    history: Any = [
        *MESSAGES,
        {"role": "assistant", "content": final.content},
        {"role": "user", "content": [result]},
    ]
    after = anthropic_client.messages.create(
        model="demo-tools", max_tokens=99, messages=history, tools=[ANTHROPIC_TOOL]
    )
    assert "rain" in "".join(block.text for block in after.content if block.type == "text")


def test_messages_thinking(anthropic_client: anthropic.Anthropic) -> None:
    with anthropic_client.messages.stream(
        model="demo-thinking", max_tokens=99, messages=MESSAGES
    ) as stream:
        final = stream.get_final_message()
    kinds = [block.type for block in final.content]
    assert kinds == ["thinking", "text"]
    assert final.content[0].type == "thinking"
    assert final.content[0].signature


# Gemini


def _gemini_text(chunk: types.GenerateContentResponse, *, thought: bool) -> str:
    candidates = chunk.candidates or []
    parts = (candidates[0].content.parts or []) if candidates and candidates[0].content else []
    return "".join(part.text or "" for part in parts if bool(part.thought) is thought)


def test_gemini_whole(genai_client: genai.Client) -> None:
    answer = genai_client.models.generate_content(model="demo-echo", contents=TEXT)
    assert answer.text == TEXT
    assert answer.usage_metadata is not None
    assert answer.usage_metadata.candidates_token_count == 4


@pytest.mark.parametrize("model", ["demo-echo", "demo-thinking"])
def test_gemini_stream(model: str, genai_client: genai.Client) -> None:
    chunks = list(genai_client.models.generate_content_stream(model=model, contents=TEXT))
    assert "".join(_gemini_text(chunk, thought=False) for chunk in chunks) == TEXT
    thoughts = "".join(_gemini_text(chunk, thought=True) for chunk in chunks)
    assert (TEXT in thoughts) is (model == "demo-thinking")


def test_gemini_tools(genai_client: genai.Client) -> None:
    config = types.GenerateContentConfig(tools=[GEMINI_TOOL])
    chunks = list(
        genai_client.models.generate_content_stream(
            model="demo-tools", contents=TEXT, config=config
        )
    )
    calls = [call for chunk in chunks for call in chunk.function_calls or []]
    assert [call.name for call in calls] == ["get_weather"]
    contents: Any = [
        types.Content(role="user", parts=[types.Part(text=TEXT)]),
        types.Content(role="model", parts=[types.Part(function_call=calls[0])]),
        types.Content(
            role="user",
            parts=[
                types.Part.from_function_response(name="get_weather", response={"output": "rain"})
            ],
        ),
    ]
    after = genai_client.models.generate_content(
        model="demo-tools", contents=contents, config=config
    )
    assert "rain" in (after.text or "")


# The smaller calls


def test_counting_and_embedding(
    openai_client: openai.OpenAI,
    anthropic_client: anthropic.Anthropic,
    genai_client: genai.Client,
) -> None:
    counted = anthropic_client.messages.count_tokens(model="demo-echo", messages=MESSAGES)
    assert counted.input_tokens == 4
    assert genai_client.models.count_tokens(model="demo-echo", contents=TEXT).total_tokens == 4
    assert (
        openai_client.responses.input_tokens.count(model="demo-echo", input=TEXT).input_tokens == 4
    )
    vectors = openai_client.embeddings.create(model="demo-echo", input=[TEXT, "other"])
    assert vectors.data[0].embedding != vectors.data[1].embedding
    embedded = genai_client.models.embed_content(model="demo-echo", contents=TEXT)
    assert embedded.embeddings is not None
    assert embedded.embeddings[0].values


def test_legacy_completions(openai_client: openai.OpenAI) -> None:
    assert openai_client.completions.create(model="demo-echo", prompt=TEXT).choices[0].text == TEXT
    pieces = openai_client.completions.create(model="demo-echo", prompt=TEXT, stream=True)
    assert "".join(piece.choices[0].text for piece in pieces if piece.choices) == TEXT


def test_the_demo_is_listed_beside_credentials_when_asked_for(
    openai_client: openai.OpenAI,
) -> None:
    names = {model.id for model in openai_client.models.list()}
    assert {"demo-echo", "demo-tools", "demo-thinking", "demo-slow"} <= names


def test_without_credentials_the_demo_answers_until_one_is_configured() -> None:
    with (
        Gateway() as gateway,
        openai.OpenAI(api_key=gateway.key, base_url=f"{gateway.url}/v1", max_retries=0) as client,
    ):
        assert [model.id for model in client.models.list()] == [
            "demo-echo",
            "demo-slow",
            "demo-thinking",
            "demo-tools",
        ]
        answer = client.chat.completions.create(model="demo-echo", messages=MESSAGES)
        assert answer.choices[0].message.content == TEXT
        gateway.edit_config(
            {
                "openai-api-key": [
                    {"api-key": "sk-real", "base-url": "http://127.0.0.1:9", "models": ["gpt-x"]}
                ]
            }
        )
        wait_until(lambda: [m.id for m in client.models.list()] == ["gpt-x"], 5, "the demo is off")
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model="demo-echo", messages=MESSAGES)
