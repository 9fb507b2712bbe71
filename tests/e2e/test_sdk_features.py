"""What the official SDKs do on top of plain requests, on providers of the other protocols."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pydantic
import pytest
from google.genai import types

from tests.e2e.matrix.answering import sealed
from tests.e2e.matrix.talk import Call, Tell, Thought, Used
from tests.e2e.translated import Stage, others, staged

THOUGHT = "The shelf is what they mean."
USED = Used(21, 0, 0, 30, 12)
QUESTION = "How many A7?"
TURN: Any = [{"role": "user", "content": QUESTION}]
SKU = {
    "type": "object",
    "properties": {"sku": {"type": "string"}},
    "required": ["sku"],
    "additionalProperties": False,
}


class Stock(pydantic.BaseModel):
    """What the model is to fill in."""

    sku: str
    units: int


FILLED = Tell(('{"sku":"A7","units":14}',))


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with staged() as running:
        yield running


def _call(*names: str) -> Tell:
    """Thinking and a call whose id no other test has."""
    call = Call("_".join(("call", *names)), "lookup_stock", '{"sku": "A7"}', seal="yes")
    return Tell((Thought(THOUGHT), call), "calls", USED)


def _holds(body: Any, text: str) -> bool:
    return text in json.dumps(body)


def _brings_back(body: Any, upstream: str) -> bool:
    """Whether the provider's own proof of its reasoning is in a request."""
    if upstream == "chat":  # it has none
        return True
    thought = Thought("lookup_stock" if upstream == "gemini" else THOUGHT)
    return _holds(body, sealed(thought, upstream))


# openai: Chat


@others("chat")
def test_chat_parse_fills_a_model(stage: Stage, upstream: str) -> None:
    stage.tells(upstream, FILLED)
    answer = stage.sdks.openai.chat.completions.parse(
        model=f"via-{upstream}", messages=TURN, response_format=Stock
    )
    assert answer.choices[0].message.parsed == Stock(sku="A7", units=14)
    (body,) = stage.heard(upstream)
    assert _holds(body, "units")


@others("chat")
def test_chat_parse_reads_the_arguments_of_a_strict_tool(stage: Stage, upstream: str) -> None:
    stage.tells(upstream, _call("strict", upstream))
    function: Any = {"name": "lookup_stock", "parameters": SKU, "strict": True}
    answer = stage.sdks.openai.chat.completions.parse(
        model=f"via-{upstream}", messages=TURN, tools=[{"type": "function", "function": function}]
    )
    (call,) = answer.choices[0].message.tool_calls or []
    assert call.function.parsed_arguments == {"sku": "A7"}
    assert answer.choices[0].finish_reason == "tool_calls"
    stage.heard(upstream)


@others("chat")
def test_chat_stream_helper(stage: Stage, upstream: str) -> None:
    stage.tells(upstream, FILLED)
    with stage.sdks.openai.chat.completions.stream(
        model=f"via-{upstream}",
        messages=TURN,
        response_format=Stock,
        stream_options={"include_usage": True},
    ) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert kinds.count("content.done") == 1
    assert "content.delta" in kinds
    assert final.choices[0].message.parsed == Stock(sku="A7", units=14)
    assert final.usage is not None
    assert (final.usage.prompt_tokens, final.usage.completion_tokens) == (21, 9)
    stage.heard(upstream)


@others("chat")
def test_chat_stream_helper_with_a_tool_loop(stage: Stage, upstream: str) -> None:
    stage.tells(upstream, _call("loop", "chat", upstream), Tell(("14.",)))
    tools: Any = [{"type": "function", "function": {"name": "lookup_stock", "parameters": SKU}}]
    asked: Any = {"model": f"via-{upstream}-new", "tools": tools, "reasoning_effort": "high"}
    with stage.sdks.openai.chat.completions.stream(messages=TURN, **asked) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
        message = stream.get_final_completion().choices[0].message
    assert [json.loads(event.arguments) for event in done] == [{"sku": "A7"}]
    said: Any = message.model_dump(exclude_none=True)
    (call,) = message.tool_calls or []
    result = {"role": "tool", "tool_call_id": call.id, "content": "14 units"}
    history: Any = [*TURN, said, result]
    with stage.sdks.openai.chat.completions.stream(messages=history, **asked) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content == "14."
    _, second = stage.heard(upstream)
    assert _brings_back(second, upstream)


# openai: Responses


@others("responses")
def test_responses_parse(stage: Stage, upstream: str) -> None:
    stage.tells(upstream, FILLED)
    answer = stage.sdks.openai.responses.parse(
        model=f"via-{upstream}", input=QUESTION, text_format=Stock
    )
    assert answer.output_parsed == Stock(sku="A7", units=14)
    assert answer.status == "completed"
    stage.heard(upstream)


@others("responses")
def test_responses_stream_helper(stage: Stage, upstream: str) -> None:
    stage.tells(upstream, FILLED)
    with stage.sdks.openai.responses.stream(
        model=f"via-{upstream}", input=QUESTION, text_format=Stock
    ) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert "response.output_text.delta" in kinds
    assert final.output_parsed == Stock(sku="A7", units=14)
    assert final.usage is not None
    assert (final.usage.input_tokens, final.usage.output_tokens) == (21, 9)
    stage.heard(upstream)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@others("responses")
def test_reasoning_items_go_back_over_two_turns(stage: Stage, upstream: str, stream: bool) -> None:
    names = ("items", upstream, "s" if stream else "w")
    stage.tells(upstream, _call(*names), _call(*names, "2"), Tell(("14 and 3.",)))
    asked: Any = {
        "model": f"via-{upstream}-new",
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"effort": "high", "summary": "auto"},
        "tools": [{"type": "function", "name": "lookup_stock", "parameters": SKU, "strict": True}],
    }

    def ask(items: Any) -> Any:
        if not stream:
            return stage.sdks.openai.responses.create(input=items, **asked)
        with stage.sdks.openai.responses.stream(input=items, **asked) as events:
            return events.get_final_response()

    items: list[Any] = list(TURN)
    for round_ in (1, 2):
        answer = ask(items)
        kinds = [item.type for item in answer.output]
        assert kinds == ["reasoning", "function_call"]
        thought, call = answer.output
        assert [part.text for part in thought.summary] == [THOUGHT]
        items += [item.to_dict() for item in answer.output]
        items.append(
            {"type": "function_call_output", "call_id": call.call_id, "output": f"{round_} units"}
        )
    last = ask(items)
    assert last.output_text == "14 and 3."
    first, second, third = stage.heard(upstream)
    assert not _brings_back(first, upstream) or upstream == "chat"
    assert _brings_back(second, upstream)
    assert _brings_back(third, upstream)
    assert _holds(third, "1 units")
    assert _holds(third, "2 units")


# anthropic


@others("claude")
def test_messages_stream_helper(stage: Stage, upstream: str) -> None:
    tell = Tell((Thought(THOUGHT), "Fourteen units, all told."), used=USED)
    stage.tells(upstream, tell)
    with stage.sdks.anthropic.messages.stream(
        model=f"via-{upstream}-new",
        max_tokens=8000,
        messages=TURN,
        thinking={"type": "enabled", "budget_tokens": 4000},
    ) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_message()
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"
    assert {"thinking", "text"} <= set(kinds)  # the helper's own events
    assert final.stop_reason == "end_turn"
    thinking, text = final.content
    assert thinking.type == "thinking"
    assert thinking.thinking == THOUGHT
    assert text.type == "text"
    assert text.text == "Fourteen units, all told."
    assert (final.usage.input_tokens, final.usage.output_tokens) == (21, 30)
    stage.heard(upstream)


@others("claude")
def test_messages_parse(stage: Stage, upstream: str) -> None:
    stage.tells(upstream, FILLED)
    answer = stage.sdks.anthropic.messages.parse(
        model=f"via-{upstream}", max_tokens=500, messages=TURN, output_format=Stock
    )
    assert answer.parsed_output == Stock(sku="A7", units=14)
    (body,) = stage.heard(upstream)
    assert _holds(body, "units")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@others("claude")
def test_the_tool_runner_falls_back_to_whole_histories(
    stage: Stage, upstream: str, stream: bool
) -> None:
    """It first asks the provider to keep the thread, which only Anthropic's own service does."""
    names = ("runner", upstream, "s" if stream else "w")
    stage.tells(upstream, _call(*names), Tell(("14.",)))
    skus: list[str] = []

    @anthropic.beta_tool
    def lookup_stock(sku: str) -> str:
        """Units on the shelf.

        Args:
            sku: the article.
        """
        skus.append(sku)
        return "14 units"

    runner: Any = stage.sdks.anthropic.beta.messages.tool_runner(
        model=f"via-{upstream}-new",
        max_tokens=8000,
        messages=TURN,
        tools=[lookup_stock],
        thinking={"type": "enabled", "budget_tokens": 4000},
        stream=stream,
    )
    final = runner.until_done()
    assert [block.text for block in final.content if block.type == "text"] == ["14."]
    assert skus == ["A7"]
    first, second = stage.heard(upstream)
    assert "thread" not in first
    assert "thread" not in second
    assert _holds(second, "14 units")
    assert _holds(second, QUESTION)
    assert _brings_back(second, upstream)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@others("claude")
def test_a_thread_is_refused_before_anybody_is_asked(
    stage: Stage, upstream: str, stream: bool
) -> None:
    stage.script()
    with pytest.raises(anthropic.BadRequestError) as caught:
        stage.sdks.anthropic.beta.messages.create(
            model=f"via-{upstream}",
            max_tokens=64,
            messages=TURN,
            betas=["message-threads-2026-08-12"],
            stream=stream,
            extra_body={"thread": {"type": "create"}},
        )
    body: Any = caught.value.body
    assert body["error"]["details"]["error_code"] == "thread_unsupported_request"
    assert stage.upstream.requests == []


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@others("claude")
def test_thinking_signatures_go_back_over_a_tool_loop(
    stage: Stage, upstream: str, stream: bool
) -> None:
    names = ("signed", upstream, "s" if stream else "w")
    stage.tells(upstream, _call(*names), _call(*names, "2"), Tell(("Both.",)))
    asked: Any = {
        "model": f"via-{upstream}-new",
        "max_tokens": 8000,
        "thinking": {"type": "enabled", "budget_tokens": 4000},
        "tools": [{"name": "lookup_stock", "input_schema": SKU}],
    }

    def ask(history: Any) -> Any:
        if not stream:
            return stage.sdks.anthropic.messages.create(messages=history, **asked)
        with stage.sdks.anthropic.messages.stream(messages=history, **asked) as events:
            return events.get_final_message()

    history: list[Any] = list(TURN)
    for round_ in (1, 2):
        answer = ask(history)
        # Of Gemini's there is one more, without words, for the proof on the call.
        thoughts = [block for block in answer.content if block.type == "thinking"]
        (call,) = [block for block in answer.content if block.type == "tool_use"]
        assert len(thoughts) + 1 == len(answer.content)
        assert "".join(block.thinking for block in thoughts) == THOUGHT
        assert answer.stop_reason == "tool_use"
        history.append({"role": "assistant", "content": answer.content})
        result = {"type": "tool_result", "tool_use_id": call.id}
        history.append({"role": "user", "content": [{**result, "content": f"{round_} units"}]})
    assert ask(history).content[0].text == "Both."
    _, second, third = stage.heard(upstream)
    assert _brings_back(second, upstream)
    assert _brings_back(third, upstream)
    assert _holds(third, "1 units")
    assert _holds(third, "2 units")


# google-genai


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@others("gemini")
def test_automatic_function_calling(stage: Stage, upstream: str, stream: bool) -> None:
    names = ("automatic", upstream, "s" if stream else "w")
    stage.tells(upstream, _call(*names), Tell(("14.",)))
    skus: list[str] = []

    def lookup_stock(sku: str) -> dict[str, int]:
        """Units on the shelf."""
        skus.append(sku)
        return {"units": 14}

    config = types.GenerateContentConfig(
        tools=[lookup_stock],
        thinking_config=types.ThinkingConfig(include_thoughts=True),
    )
    asked: Any = {"model": f"via-{upstream}-new", "contents": QUESTION, "config": config}
    if stream:
        chunks = list(stage.sdks.google.models.generate_content_stream(**asked))
        text = "".join(_visible(chunk) for chunk in chunks)
    else:
        text = _visible(stage.sdks.google.models.generate_content(**asked))
    assert text == "14."
    assert skus == ["A7"]
    _, second = stage.heard(upstream)
    assert _holds(second, "14")
    assert _brings_back(second, upstream)


def _visible(answer: types.GenerateContentResponse) -> str:
    content = (answer.candidates or [types.Candidate()])[0].content
    parts = (content and content.parts) or []
    return "".join(part.text or "" for part in parts if not part.thought)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@others("gemini")
def test_a_schema_s_output_is_parsed(stage: Stage, upstream: str, stream: bool) -> None:
    stage.tells(upstream, FILLED)
    config = types.GenerateContentConfig(
        response_mime_type="application/json", response_schema=Stock
    )
    asked: Any = {"model": f"via-{upstream}", "contents": QUESTION, "config": config}
    if stream:
        chunks = list(stage.sdks.google.models.generate_content_stream(**asked))
        parsed: Any = Stock.model_validate_json("".join(chunk.text or "" for chunk in chunks))
    else:
        parsed = stage.sdks.google.models.generate_content(**asked).parsed
    assert parsed == Stock(sku="A7", units=14)
    (body,) = stage.heard(upstream)
    assert _holds(body, "units")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@others("gemini")
def test_thought_signatures_go_back_in_a_chat(stage: Stage, upstream: str, stream: bool) -> None:
    names = ("thought", upstream, "s" if stream else "w")
    stage.tells(upstream, _call(*names), Tell(("14.",)))
    declaration = types.FunctionDeclaration(name="lookup_stock", parameters_json_schema=SKU)
    chat = stage.sdks.google.chats.create(
        model=f"via-{upstream}-new",
        config=types.GenerateContentConfig(
            tools=[types.Tool(function_declarations=[declaration])],
            thinking_config=types.ThinkingConfig(include_thoughts=True),
        ),
    )
    calls: list[types.FunctionCall] = []
    if stream:
        for chunk in chat.send_message_stream(QUESTION):
            calls += chunk.function_calls or []
    else:
        calls += chat.send_message(QUESTION).function_calls or []
    (call,) = calls
    assert call.args == {"sku": "A7"}
    result = types.Part(
        function_response=types.FunctionResponse(
            id=call.id, name=call.name, response={"result": "14 units"}
        )
    )
    if stream:
        text = "".join(_visible(chunk) for chunk in chat.send_message_stream(result))
    else:
        text = _visible(chat.send_message(result))
    assert text == "14."
    _, second = stage.heard(upstream)
    assert _holds(second, "14 units")
    assert _brings_back(second, upstream)
