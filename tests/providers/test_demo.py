from __future__ import annotations

from typing import Any

import pytest

from app.errors import BadRequest, UnknownModel
from app.ir.events import Delta, FinishReason, PartKind
from app.ir.fold import Answer, fold
from app.protocols.base import Operation
from app.providers.demo import Demo, completion_events, count_words, demo_events
from tests.providers.signers import Signer

PROTOCOLS = ("openai_chat", "openai_responses", "anthropic_messages", "gemini_generate")
EACH = pytest.mark.parametrize("protocol", PROTOCOLS)
SCHEMA = {"type": "object", "properties": {"sku": {"type": "string"}}, "required": ["sku"]}
PICTURE = "aGVsbG8="  # five bytes

ASKED: dict[str, dict[str, Any]] = {
    "openai_chat": {
        "messages": [
            {"role": "system", "content": "You are a clerk."},
            {"role": "user", "content": "first question"},
            {"role": "assistant", "content": "an answer"},
            {"role": "user", "content": [{"type": "text", "text": "How many lamps?"}]},
        ],
        "tools": [
            {"type": "custom", "custom": {"name": "free"}},
            {"type": "function", "function": {"name": "look", "parameters": SCHEMA}},
            {"type": "function", "function": {"name": "other"}},
        ],
    },
    "openai_responses": {
        "instructions": "You are a clerk.",
        "input": [
            {"role": "user", "content": "first question"},
            {"type": "reasoning", "summary": []},
            {"role": "assistant", "content": [{"type": "output_text", "text": "an answer"}]},
            {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "How many lamps?"}],
            },
        ],
        "tools": [
            {"type": "web_search"},
            {"type": "function", "name": "look", "parameters": SCHEMA},
            {"type": "function", "name": "other", "parameters": None},
        ],
    },
    "anthropic_messages": {
        "max_tokens": 50,
        "system": [{"type": "text", "text": "You are a clerk."}],
        "messages": [
            {"role": "user", "content": "first question"},
            {"role": "assistant", "content": "an answer"},
            {"role": "user", "content": [{"type": "text", "text": "How many lamps?"}]},
        ],
        "tools": [
            {"type": "web_search_20250305", "name": "web_search"},
            {"name": "look", "input_schema": SCHEMA},
            {"name": "other", "input_schema": {}},
        ],
    },
    "gemini_generate": {
        "systemInstruction": {"parts": [{"text": "You are a clerk."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "first question"}]},
            {"role": "model", "parts": [{"text": "an answer"}]},
            {"role": "user", "parts": [{"text": "How many lamps?"}]},
        ],
        "tools": [
            {"googleSearch": {}},
            {
                "functionDeclarations": [
                    {"name": "look", "parameters": SCHEMA},
                    {"name": "other", "parametersJsonSchema": {}},
                ]
            },
        ],
    },
}

RESULTS: dict[str, list[Any]] = {
    "openai_chat": [
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1"}]},
        {"role": "tool", "tool_call_id": "c1", "content": "14 units"},
    ],
    "openai_responses": [
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "14 units"},
    ],
    "anthropic_messages": [
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "input": {}}]},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "14 units"}],
        },
    ],
    "gemini_generate": [
        {"role": "model", "parts": [{"functionCall": {"name": "look", "args": {}}}]},
        {
            "role": "user",
            "parts": [{"functionResponse": {"name": "look", "response": {"result": "14 units"}}}],
        },
    ],
}

CHOICES: dict[str, dict[str, Any]] = {
    "openai_chat": {"tool_choice": {"type": "function", "function": {"name": "other"}}},
    "openai_responses": {"tool_choice": {"type": "function", "name": "other"}},
    "anthropic_messages": {"tool_choice": {"type": "tool", "name": "other"}},
    "gemini_generate": {
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["other"]}}
    },
}
NONE: dict[str, dict[str, Any]] = {
    "openai_chat": {"tool_choice": "none"},
    "openai_responses": {"tool_choice": "none"},
    "anthropic_messages": {"tool_choice": {"type": "none"}},
    "gemini_generate": {"toolConfig": {"functionCallingConfig": {"mode": "NONE"}}},
}
TURNS = {
    "openai_chat": "messages",
    "openai_responses": "input",
    "anthropic_messages": "messages",
    "gemini_generate": "contents",
}


def asked(protocol: str, **changes: Any) -> Answer:
    model = changes.pop("model", "demo-echo")
    return fold(demo_events(model, ASKED[protocol] | changes, protocol, answer_id="a1"))


def said(answer: Answer) -> str:
    return "".join(part.text for part in answer.parts if part.kind is PartKind.TEXT)


@EACH
def test_echo_repeats_the_newest_words_of_the_user(protocol: str) -> None:
    answer = asked(protocol)
    assert said(answer) == "How many lamps?"
    assert answer.reason is FinishReason.STOP
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (11, 3)


@EACH
def test_the_same_question_has_the_same_answer(protocol: str) -> None:
    for model in Demo().models():
        assert asked(protocol, model=model.id) == asked(protocol, model=model.id)


@EACH
def test_thinking_comes_before_the_text(protocol: str) -> None:
    answer = asked(protocol, model="demo-thinking")
    assert [part.kind for part in answer.parts] == [PartKind.THINKING, PartKind.TEXT]
    assert "How many lamps?" in answer.parts[0].text
    seal = answer.parts[0].seal
    assert seal is not None
    assert seal.issuer == "demo"
    assert seal.value
    assert answer.usage is not None
    assert answer.usage.reasoning_tokens == len(answer.parts[0].text.split())


@EACH
def test_slow_counts_to_twenty_in_twenty_pieces(protocol: str) -> None:
    events = list(demo_events("demo-slow", ASKED[protocol], protocol))
    assert sum(isinstance(event, Delta) for event in events) == 20
    assert said(fold(events)).split()[::19] == ["one", "twenty"]


@EACH
def test_tools_calls_the_first_function(protocol: str) -> None:
    answer = asked(protocol, model="demo-tools")
    (part,) = answer.parts
    assert (part.kind, part.name, part.text) == (PartKind.TOOL_CALL, "look", '{"sku":"sample"}')
    assert part.call_id == "call_a1"
    assert answer.reason is FinishReason.TOOL_CALLS


@EACH
def test_tools_calls_the_function_that_was_chosen(protocol: str) -> None:
    answer = asked(protocol, model="demo-tools", **CHOICES[protocol])
    assert (answer.parts[0].name, answer.parts[0].text) == ("other", "{}")


@EACH
def test_tools_talks_when_it_must_not_call(protocol: str) -> None:
    assert said(asked(protocol, model="demo-tools", **NONE[protocol])) == "How many lamps?"
    assert said(asked(protocol, model="demo-tools", tools=[])) == "How many lamps?"


@EACH
def test_tools_quotes_what_the_tool_returned(protocol: str) -> None:
    turns = ASKED[protocol][TURNS[protocol]] + RESULTS[protocol]
    answer = asked(protocol, model="demo-tools", **{TURNS[protocol]: turns})
    assert said(answer) == "The tool returned: 14 units"
    again = [*turns, ASKED[protocol][TURNS[protocol]][-1]]
    assert asked(protocol, model="demo-tools", **{TURNS[protocol]: again}).parts[0].name == "look"


@pytest.mark.parametrize(
    ("protocol", "content", "words"),
    [
        (
            "openai_chat",
            {"image_url": {"url": f"data:image/png;base64,{PICTURE}"}, "type": "image_url"},
            "[image/png, 5 bytes]",
        ),
        (
            "openai_chat",
            {"type": "image_url", "image_url": {"url": "https://example.com/x.png"}},
            "[image at https://example.com/x.png]",
        ),
        (
            "openai_chat",
            {"type": "input_audio", "input_audio": {"format": "wav", "data": PICTURE}},
            "[audio/wav, 5 bytes]",
        ),
        (
            "openai_chat",
            {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PICTURE}"}},
            "[application/pdf, 5 bytes]",
        ),
        (
            "openai_responses",
            {"type": "input_image", "image_url": f"data:image/gif;base64,{PICTURE}"},
            "[image/gif, 5 bytes]",
        ),
        ("openai_responses", {"type": "input_file", "file_id": "file_1"}, "[file at file_1]"),
        (
            "anthropic_messages",
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": PICTURE},
            },
            "[image/png, 5 bytes]",
        ),
        (
            "anthropic_messages",
            {"type": "document", "source": {"type": "text", "data": "plain words"}},
            "plain words",
        ),
        (
            "anthropic_messages",
            {"type": "image", "source": {"type": "url", "url": "https://example.com/x.png"}},
            "[image at https://example.com/x.png]",
        ),
        (
            "gemini_generate",
            {"inlineData": {"mimeType": "image/png", "data": PICTURE}},
            "[image/png, 5 bytes]",
        ),
        (
            "gemini_generate",
            {"file_data": {"file_uri": "https://example.com/f"}},
            "[file at https://example.com/f]",
        ),
    ],
)
def test_media_is_told_in_brackets(protocol: str, content: dict[str, Any], words: str) -> None:
    member = "parts" if protocol == "gemini_generate" else "content"
    text = {"text": "See"} if member == "parts" else {"type": "text", "text": "See"}
    turn = {"role": "user", member: [text, content]}
    assert said(asked(protocol, **{TURNS[protocol]: [turn]})) == f"See\n{words}"


def test_odd_spellings_of_gemini_are_understood() -> None:
    request = {
        "system_instruction": {"parts": [{"text": "one two"}]},
        "contents": [{"parts": [{"text": "hm", "thought": True}, {"text": "hello"}]}],
        "tools": [
            {"function_declarations": [{"name": "a"}, {"name": "b", "parameters_json_schema": {}}]}
        ],
        "tool_config": {
            "function_calling_config": {"mode": "ANY", "allowed_function_names": ["b"]}
        },
    }
    answer = fold(demo_events("demo-tools", request, "gemini_generate"))
    assert answer.parts[0].name == "b"
    assert answer.usage is not None
    assert answer.usage.input_tokens == 3


def test_a_structured_result_is_quoted_as_json() -> None:
    turn = {"parts": [{"functionResponse": {"name": "look", "response": {"left": 14}}}]}
    contents = [{"parts": [{"text": "hello"}]}, turn]
    answer = asked("gemini_generate", model="demo-tools", contents=contents)
    assert said(answer) == 'The tool returned: {"left":14}'


def test_a_plain_text_is_an_input_too() -> None:
    assert said(asked("openai_responses", input="just text")) == "just text"


def test_nothing_to_repeat_is_said() -> None:
    turns = [{"role": "assistant", "content": "x"}]
    assert said(asked("openai_chat", messages=turns)) == "There was nothing to repeat."


@pytest.mark.parametrize("text", ["  leading and trailing \n", "one  two\tthree", "word " * 1000])
def test_an_echo_is_exact_and_in_few_pieces(text: str) -> None:
    request = {"messages": [{"role": "user", "content": text}]}
    events = list(demo_events("demo-echo", request, "openai_chat"))
    assert said(fold(events)) == text
    assert sum(isinstance(event, Delta) for event in events) <= 200


@EACH
def test_what_is_missing_is_refused_before_the_first_event(protocol: str) -> None:
    for turns in (None, [], "" if protocol != "openai_responses" else {}):
        with pytest.raises(BadRequest):
            demo_events("demo-echo", ASKED[protocol] | {TURNS[protocol]: turns}, protocol)


@EACH
def test_another_model_is_unknown(protocol: str) -> None:
    with pytest.raises(UnknownModel, match="gpt-x"):
        demo_events("gpt-x", ASKED[protocol], protocol)


def test_messages_need_a_limit() -> None:
    request = ASKED["anthropic_messages"] | {"max_tokens": None}
    with pytest.raises(BadRequest, match="max_tokens"):
        demo_events("demo-echo", request, "anthropic_messages")
    assert count_words("demo-echo", request, "anthropic_messages") == 11


def test_threads_are_refused_in_the_words_clients_know() -> None:
    request = ASKED["anthropic_messages"] | {"thread": {"type": "create"}}
    with pytest.raises(BadRequest) as caught:
        demo_events("demo-echo", request, "anthropic_messages")
    assert caught.value.details == {"error_code": "thread_unsupported_request"}


def test_no_earlier_response_is_known() -> None:
    request = ASKED["openai_responses"] | {"previous_response_id": "resp_1"}
    with pytest.raises(BadRequest, match="resp_1") as caught:
        demo_events("demo-echo", request, "openai_responses")
    assert caught.value.kind == "previous_response_not_found"


@pytest.mark.parametrize(
    ("prompt", "text"),
    [("say this", "say this"), (["one", "two"], "one\ntwo"), ([1, 2], "1 2"), ([[3]], "3")],
)
def test_legacy_completions_repeat_their_prompt(prompt: object, text: str) -> None:
    assert said(fold(completion_events("demo-echo", {"prompt": prompt}))) == text


@pytest.mark.parametrize("prompt", [None, [], {}, [None], ["a", None]])
def test_a_completion_needs_a_prompt(prompt: object) -> None:
    with pytest.raises(BadRequest, match="prompt"):
        completion_events("demo-echo", {"prompt": prompt})


def test_counting_agrees_with_usage() -> None:
    for protocol in PROTOCOLS:
        assert count_words("demo-echo", ASKED[protocol], protocol) == 11
    wrapped = {"generateContentRequest": ASKED["gemini_generate"]}
    assert count_words("demo-echo", wrapped, "gemini_generate") == 11


def test_the_provider_names_its_models_and_its_place() -> None:
    demo, signer = Demo(), Signer()
    assert [model.id for model in demo.models()] == sorted(demo.default_models)
    assert demo.read_models(b"") == demo.models()
    assert demo.protocols(signer) == PROTOCOLS
    assert (demo.headers(signer), demo.list_url(signer)) == ({}, "")
    url = demo.url(signer, "openai_chat", Operation.GENERATE, "a/b", stream=True)
    assert url == "demo://local/openai_chat/generate?model=a%2Fb&stream=1"
