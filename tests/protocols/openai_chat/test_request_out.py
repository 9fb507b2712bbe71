"""Requests of other protocols in the words of Chat; the maker's own rules check each of them."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from app.errors import Untranslatable
from app.ir.parts import (
    Media,
    MediaKind,
    Opaque,
    Refusal,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from app.ir.request import (
    Choosing,
    OutputFormat,
    OutputKind,
    Reasoning,
    Request,
    Role,
    Sampling,
    Tool,
    ToolChoice,
    ToolKind,
)
from app.ir.traits import ThinkingStyle, Traits
from app.protocols.base import Target
from tests.protocols.openai_chat.asked import (
    CHAT,
    HOST,
    asking,
    body_of,
    encoded,
    losses_of,
    maker,
    said,
)

PNG = "iVBORw0KGgo="
ASK = said(Role.USER, Text("hi"))
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
PICTURE = Media(MediaKind.IMAGE, "image/png", PNG)
SHOWN = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
LOOK = Tool("look", schema=SCHEMA)
REASONER = maker(
    "gpt-5.1",
    Traits(
        style=ThinkingStyle.EFFORT,
        levels=("none", "low", "medium", "high"),
        takes_temperature=False,
        takes_top_p=False,
        takes_stop=False,
        wants_max_completion_tokens=True,
    ),
)


def messages_of(request: Request, target: Target | None = None) -> list[dict[str, Any]]:
    messages = body_of(request, target)["messages"]
    assert isinstance(messages, list)
    return messages


def words(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def document(text: str, mime: str = "text/plain", name: str = "") -> Media:
    data = base64.b64encode(text.encode()).decode()
    return Media(MediaKind.DOCUMENT, mime, data, name=name)


def test_a_claude_step_becomes_messages_in_order() -> None:
    request = asking(
        said(Role.SYSTEM, Text("one"), Text("two")),
        said(Role.USER, Text("go")),
        said(Role.SYSTEM, Text("later")),
        said(
            Role.ASSISTANT,
            Thinking("hm", Seal("anthropic", "sig")),
            Text("a"),
            ToolCall("c1", "look", '{"n":9007199254740993}'),
            ToolCall("c2", "look", "{}"),
        ),
        said(
            Role.USER,
            ToolResult("c2", (Text("no"),), is_error=True),
            ToolResult("c1", (Text("seen"), PICTURE)),
            Text("next"),
        ),
    )
    assert messages_of(request) == [
        {"role": "system", "content": "one\n\ntwo"},
        {"role": "user", "content": "go"},
        {"role": "system", "content": "later"},
        {
            "role": "assistant",
            "content": "a",
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "look", "arguments": '{"n":9007199254740993}'},
                },
                {"id": "c2", "type": "function", "function": {"name": "look", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "seen"},
        {"role": "tool", "tool_call_id": "c2", "content": "Error: no"},
        {
            "role": "user",
            "content": [words("Result of look (c1):"), SHOWN, words("next")],
        },
    ]
    assert losses_of(request) == {"thinking"}


def test_pictures_of_several_results_come_behind_all_results() -> None:
    results = (ToolResult("c1", (PICTURE,)), ToolResult("c2", (PICTURE,)))
    request = asking(
        ASK,
        said(Role.ASSISTANT, ToolCall("c1", "look", "{}"), ToolCall("c2", "look", "{}")),
        said(Role.USER, *results),
    )
    told = messages_of(request)
    assert [message["role"] for message in told] == ["user", "assistant", "tool", "tool", "user"]
    assert told[1]["content"] is None
    assert told[2]["content"] == "The result is in the next user message."
    assert [part["type"] for part in told[4]["content"]] == ["text", "image_url"] * 2


def test_an_empty_result_is_an_empty_text() -> None:
    request = asking(
        ASK, said(Role.ASSISTANT, ToolCall("c", "f", "{}")), said(Role.USER, ToolResult("c", ()))
    )
    assert messages_of(request)[2]["content"] == ""


def test_an_empty_error_is_still_one() -> None:
    failed = ToolResult("c", (), is_error=True)
    request = asking(ASK, said(Role.ASSISTANT, ToolCall("c", "f", "{}")), said(Role.USER, failed))
    assert messages_of(request)[2]["content"] == "Error: "


def test_borders_of_user_text_stay_where_the_host_knows_parts() -> None:
    request = asking(said(Role.USER, Text("a"), Text("b")))
    assert messages_of(request)[0]["content"] == [words("a"), words("b")]
    assert messages_of(request, HOST)[0]["content"] == "a\n\nb"


def test_an_answer_in_pieces_is_joined_without_anything_between() -> None:
    request = asking(ASK, said(Role.ASSISTANT, Text("a"), Text("b")), ASK)
    assert messages_of(request)[1]["content"] == [words("a"), words("b")]
    assert messages_of(request, HOST)[1]["content"] == "ab"


def test_a_refusal_is_text_for_others() -> None:
    request = asking(ASK, said(Role.ASSISTANT, Refusal("no")), ASK)
    assert messages_of(request)[1]["content"] == [{"type": "refusal", "refusal": "no"}]
    assert messages_of(request, HOST)[1]["content"] == "no"


@pytest.mark.parametrize(
    ("thinking", "goes"),
    [
        (Thinking("hm"), True),
        (Thinking("hm", Seal("openai", "x")), True),
        (Thinking("hm", Seal("anthropic", "x")), False),
        (Thinking("", Seal("openai", "x")), False),
    ],
)
def test_thoughts_go_back_to_hosts_that_want_them(thinking: Thinking, goes: bool) -> None:
    request = asking(ASK, said(Role.ASSISTANT, thinking, Text("a")), ASK)
    answer = messages_of(request, HOST)[1]
    assert answer.get("reasoning_content") == ("hm" if goes else None)
    assert losses_of(request, HOST) == (set() if goes else {"thinking"})
    assert "reasoning_content" not in messages_of(request)[1]


def test_a_turn_of_thoughts_alone_is_no_message() -> None:
    request = asking(ASK, said(Role.ASSISTANT, Thinking("hm")), ASK)
    assert [message["role"] for message in messages_of(request)] == ["user", "user"]


# --- media --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("media", "part"),
    [
        (PICTURE, SHOWN),
        (
            Media(MediaKind.IMAGE, url="https://x/y.png", detail="low"),
            {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}},
        ),
        (
            Media(MediaKind.DOCUMENT, "application/pdf", PNG, name="a.pdf"),
            {
                "type": "file",
                "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PNG}"},
            },
        ),
        (
            Media(MediaKind.DOCUMENT, "application/pdf", PNG),
            {
                "type": "file",
                "file": {
                    "filename": "document.pdf",
                    "file_data": f"data:application/pdf;base64,{PNG}",
                },
            },
        ),
        (document("größe", name="t"), words("t\n\ngröße")),
        (document("x"), words("x")),
        (
            Media(MediaKind.AUDIO, "audio/mpeg", PNG),
            {"type": "input_audio", "input_audio": {"data": PNG, "format": "mp3"}},
        ),
        (
            Media(MediaKind.DOCUMENT, file_id="file-1", issuer="openai"),
            {"type": "file", "file": {"file_id": "file-1"}},
        ),
    ],
)
def test_media(media: Media, part: dict[str, Any]) -> None:
    request = asking(said(Role.USER, media, Text("see")))
    assert messages_of(request)[0]["content"] == [part, words("see")]


@pytest.mark.parametrize(
    ("media", "named"),
    [
        (Media(MediaKind.VIDEO, "video/mp4", PNG), "video/mp4"),
        (Media(MediaKind.AUDIO, "audio/ogg", PNG), "audio/ogg"),
        (Media(MediaKind.AUDIO, url="https://x"), "audio by URL"),
        (Media(MediaKind.DOCUMENT, url="https://x"), "document by URL"),
        (Media(MediaKind.DOCUMENT, file_id="files/9", issuer="google"), "files/9"),
    ],
)
def test_media_that_chat_cannot_hold_are_refused_by_name(media: Media, named: str) -> None:
    with pytest.raises(Untranslatable, match=named):
        encoded(asking(said(Role.USER, media)))


def test_a_file_of_the_maker_is_nowhere_else() -> None:
    media = Media(MediaKind.IMAGE, file_id="file-1", issuer="openai")
    with pytest.raises(Untranslatable, match="file-1"):
        encoded(asking(said(Role.USER, media)), HOST)


def test_pictures_in_system_text_are_refused() -> None:
    with pytest.raises(Untranslatable, match="image"):
        encoded(asking(said(Role.SYSTEM, PICTURE), ASK))


def test_pictures_of_an_answer_are_shown_by_the_user() -> None:
    request = asking(ASK, said(Role.ASSISTANT, Text("a"), PICTURE), said(Role.USER, Text("b")))
    told = messages_of(request)
    assert told[1] == {"role": "assistant", "content": "a"}
    assert told[2] == {"role": "user", "content": [SHOWN, words("b")]}
    last = asking(ASK, said(Role.ASSISTANT, Text("a"), PICTURE))
    assert messages_of(last)[2] == {"role": "user", "content": [SHOWN]}


def test_what_only_one_protocol_says_is_left_out_and_told() -> None:
    request = asking(ASK, said(Role.ASSISTANT, Opaque("x", "web_search_call"), Text("a")), ASK)
    assert messages_of(request)[1] == {"role": "assistant", "content": "a"}
    assert losses_of(request) == {"web_search_call"}
    referred = asking(said(Role.USER, Opaque("openai_responses", "item_reference"), Text("a")))
    with pytest.raises(Untranslatable, match="item_reference"):
        encoded(referred)


def test_a_spoken_answer_goes_back_to_its_maker() -> None:
    audio = Opaque("openai_chat", "audio", {"id": "audio_1"})
    request = asking(ASK, said(Role.ASSISTANT, audio), ASK)
    assert messages_of(request)[1] == {
        "role": "assistant",
        "content": "",
        "audio": {"id": "audio_1"},
    }
    assert losses_of(request, HOST) == {"audio"}


def test_a_text_whose_bytes_are_no_words_is_sent_as_a_file() -> None:
    odd = Media(MediaKind.DOCUMENT, "text/plain", "//79", name="a.txt")
    (part,) = messages_of(asking(said(Role.USER, odd)))[0]["content"]
    assert part["file"]["filename"] == "a.txt"


# --- calls --------------------------------------------------------------------------------------


def test_long_ids_are_shortened_on_both_ends() -> None:
    long = "toolu_" + "x" * 60
    request = asking(
        ASK,
        said(Role.ASSISTANT, ToolCall(long, "f", "{}")),
        said(Role.USER, ToolResult(long, (Text("r"),))),
    )
    told = messages_of(request)
    call_id = told[1]["tool_calls"][0]["id"]
    assert len(call_id) <= 40
    assert told[2]["tool_call_id"] == call_id
    assert messages_of(request) == told


def test_broken_arguments_are_wrapped_for_hosts_that_parse_them() -> None:
    request = asking(
        ASK,
        said(Role.ASSISTANT, ToolCall("c", "f", '{"n":')),
        said(Role.USER, ToolResult("c", ())),
    )
    cut = messages_of(request)[1]["tool_calls"][0]["function"]["arguments"]
    assert cut == '{"n":'
    wrapped = messages_of(request, HOST)[1]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(wrapped) == {"_raw": '{"n":'}


def test_custom_tools_are_functions_for_others() -> None:
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}
    tool = Tool(
        "exec", ToolKind.CUSTOM, "Runs.", namespace="functions", options={"format": grammar}
    )
    request = asking(
        ASK,
        said(Role.ASSISTANT, ToolCall("c", "exec", "ls {", "functions", custom=True)),
        said(Role.USER, ToolResult("c", (Text("r"),), custom=True)),
        tools=(tool,),
        tool_choice=ToolChoice(Choosing.REQUIRED, ("exec",)),
    )
    own = body_of(request)
    assert own["tools"][0]["custom"]["format"]["grammar"] == {
        "syntax": "lark",
        "definition": "start: /.+/",
    }
    assert own["messages"][1]["tool_calls"][0]["custom"]["input"] == "ls {"
    assert own["tool_choice"] == {"type": "custom", "custom": {"name": "functions__exec"}}
    other = body_of(request, HOST)
    function = other["tools"][0]["function"]
    assert function["parameters"]["required"] == ["input"]
    assert "start: /.+/" in function["description"]
    call = other["messages"][1]["tool_calls"][0]["function"]
    assert json.loads(call["arguments"]) == {"input": "ls {"}
    assert call["name"] == function["name"] == "functions__exec"
    back = encoded(request, HOST).names.back("functions__exec")
    assert (back.name, back.namespace, back.custom) == ("exec", "functions", True)


def test_long_tool_names_are_shortened_everywhere() -> None:
    name = "mcp__server__" + "look_up_" * 15
    request = asking(
        ASK,
        said(Role.ASSISTANT, ToolCall("c", name, "{}")),
        said(Role.USER, ToolResult("c", ())),
        tools=(Tool(name, schema=SCHEMA), LOOK),
        tool_choice=ToolChoice(Choosing.AUTO, (name,)),
    )
    body = body_of(request)
    short = body["tools"][0]["function"]["name"]
    assert len(short) <= 64
    assert body["messages"][1]["tool_calls"][0]["function"]["name"] == short
    assert body["tool_choice"]["allowed_tools"]["tools"] == [
        {"type": "function", "function": {"name": short}}
    ]
    assert encoded(request).names.back(short).name == name


def test_a_signature_goes_back_to_googles_own_endpoint_alone() -> None:
    request = asking(
        ASK,
        said(Role.ASSISTANT, ToolCall("c", "f", "{}", seal=Seal("google", "sig"))),
        said(Role.USER, ToolResult("c", ())),
    )
    google = Target("gemini-3-pro", Traits(needs_call_seal=True), is_official=False)
    (call,) = messages_of(request, google)[1]["tool_calls"]
    assert call["extra_content"] == {"google": {"thought_signature": "sig"}}
    (call,) = messages_of(request, HOST)[1]["tool_calls"]
    assert "extra_content" not in call


# --- tools --------------------------------------------------------------------------------------


def test_tools_and_their_schemas() -> None:
    union = {"anyOf": [SCHEMA, {"type": "object", "properties": {"m": {"type": "string"}}}]}
    request = asking(
        ASK, tools=(replace(LOOK, description="Looks."), Tool("bare"), Tool("either", schema=union))
    )
    tools = [tool["function"] for tool in body_of(request)["tools"]]
    assert tools[0] == {"name": "look", "description": "Looks.", "parameters": SCHEMA}
    assert tools[1] == {"name": "bare", "parameters": {"type": "object", "properties": {}}}
    assert set(tools[2]["parameters"]["properties"]) == {"n", "m"}
    assert "anyOf" not in tools[2]["parameters"]


def test_strictness_holds_only_where_the_schema_allows_it() -> None:
    loose = Tool("loose", schema=SCHEMA, strict=True)
    tight = Tool("tight", schema=SCHEMA | {"additionalProperties": False}, strict=True)
    request = asking(ASK, tools=(loose, tight, replace(LOOK, strict=False)))
    assert [t["function"]["strict"] for t in body_of(request)["tools"]] == [False, True, False]
    assert "strict" not in body_of(request, HOST)["tools"][2]["function"]


@pytest.mark.parametrize(
    ("choice", "own", "other"),
    [
        (ToolChoice(Choosing.AUTO), "auto", "auto"),
        (ToolChoice(Choosing.REQUIRED), "required", "required"),
        (ToolChoice(Choosing.NONE), "none", "none"),
        (
            ToolChoice(Choosing.REQUIRED, ("look",)),
            {"type": "function", "function": {"name": "look"}},
            {"type": "function", "function": {"name": "look"}},
        ),
        (
            ToolChoice(Choosing.REQUIRED, ("look", "b")),
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [
                        {"type": "function", "function": {"name": "look"}},
                        {"type": "function", "function": {"name": "b"}},
                    ],
                },
            },
            "required",
        ),
        (ToolChoice(Choosing.REQUIRED, ("gone",)), "required", "required"),
    ],
)
def test_choices(choice: ToolChoice, own: object, other: object) -> None:
    request = asking(
        ASK, tools=(LOOK, Tool("b"), Tool("c")), tool_choice=choice, parallel_calls=False
    )
    assert body_of(request)["tool_choice"] == own
    body = body_of(request, HOST)
    assert body["tool_choice"] == other
    assert body["parallel_tool_calls"] is False
    assert len(body["tools"]) == (2 if len(choice.only) == 2 else 3)


def test_without_tools_nothing_is_said_of_them() -> None:
    request = asking(
        ASK,
        tools=(Tool("code", ToolKind.CODE_EXECUTION),),
        tool_choice=ToolChoice(Choosing.AUTO),
        parallel_calls=True,
    )
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & body_of(request).keys()
    assert losses_of(request) == {"code_execution"}


def test_the_search_of_search_models() -> None:
    options = {"search_context_size": "low", "user_location": {"type": "approximate", "city": "W"}}
    request = asking(ASK, tools=(Tool("web_search", ToolKind.WEB_SEARCH, options=options),))
    body = body_of(request, maker("gpt-4o-search-preview"))
    assert body["web_search_options"] == {
        "search_context_size": "low",
        "user_location": {"type": "approximate", "approximate": {"city": "W"}},
    }
    assert losses_of(request) == losses_of(request, HOST) == {"web_search"}


def test_tools_of_one_protocol_are_told() -> None:
    foreign = Tool("mcp", ToolKind.OTHER, raw=Opaque("openai_responses", "mcp", {"type": "mcp"}))
    own = Tool("browser", ToolKind.OTHER, raw=Opaque("openai_chat", "browser", {"type": "browser"}))
    request = asking(ASK, tools=(foreign, own))
    assert body_of(request, HOST)["tools"] == [{"type": "browser"}]
    assert losses_of(request, HOST) == {"mcp"}


# --- knobs --------------------------------------------------------------------------------------


def test_what_the_maker_is_told() -> None:
    request = asking(
        ASK,
        stream=True,
        max_tokens=5,
        sampling=Sampling(0.5, 0.9, 40, 7, 0.1, 0.2, ("a", "", "b", "c", "d", "e"), 1, True, 3),
        user="u" * 99,
        metadata={"a": "b"},
        service_tier="standard_only",
        verbosity="low",
        cache_key="k",
        modalities=("text", "image"),
        extras=(
            Opaque("openai_chat", "logit_bias", {"logit_bias": {"1": 2}}),
            Opaque("openai_chat", "suffix", {"suffix": "x"}),
            Opaque("gemini_generate", "safety_settings"),
        ),
    )
    body = body_of(request)
    user = body.pop("user")
    assert len(user) == 64
    assert body == {
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": "hi"}],
        "max_completion_tokens": 5,
        "temperature": 0.5,
        "top_p": 0.9,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "seed": 7,
        "stop": ["a", "b", "c", "d"],
        "verbosity": "low",
        "prompt_cache_key": "k",
        "service_tier": "default",
        "logit_bias": {"1": 2},
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert losses_of(request) == {
        "top_k", "logprobs", "stop", "modalities", "metadata", "suffix", "safety_settings",
    }  # fmt: skip


def test_what_other_hosts_are_told() -> None:
    request = asking(
        ASK,
        stream=True,
        max_tokens=5,
        user="u",
        service_tier="auto",
        verbosity="low",
        cache_key="k",
        extras=(
            Opaque("openai_chat", "prediction", {"prediction": {}}),
            Opaque("openai_chat", "logit_bias", {"logit_bias": {"1": 2}}),
        ),
    )
    assert body_of(request, replace(HOST, include_usage=False)) == {
        "model": "glm-5",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 5,
        "user": "u",
        "logit_bias": {"1": 2},
        "stream": True,
    }
    assert losses_of(request, HOST) == {"verbosity", "prompt_cache_key", "prediction"}


def test_metadata_is_for_stored_answers() -> None:
    store = Opaque("openai_chat", "store", {"store": True})
    body = body_of(asking(ASK, metadata={"a": "b"}, extras=(store,)))
    assert (body["metadata"], body["store"]) == ({"a": "b"}, True)


def test_a_spoken_answer_of_the_maker() -> None:
    voice = Opaque("openai_chat", "audio", {"audio": {"voice": "x", "format": "wav"}})
    request = asking(ASK, modalities=("text", "audio"), extras=(voice,))
    body = body_of(request)
    assert (body["modalities"], body["audio"]["voice"]) == (["text", "audio"], "x")
    assert "audio" not in body_of(request, HOST)
    assert losses_of(request, HOST) == {"modalities"}


def test_a_reasoning_model_is_spared_what_it_refuses() -> None:
    chance = Sampling(temperature=0.5, top_p=0.5, presence_penalty=0.5, stop=("x",))
    request = asking(ASK, sampling=chance, reasoning=Reasoning(budget=20000))
    body = body_of(request, REASONER)
    assert body["reasoning_effort"] == "high"
    assert not {"temperature", "top_p", "presence_penalty", "stop"} & body.keys()
    assert losses_of(request, REASONER) == {"temperature", "top_p", "presence_penalty", "stop"}


def test_a_default_knob_is_no_loss() -> None:
    request = asking(ASK, sampling=Sampling(temperature=1, top_p=1, presence_penalty=0))
    assert "temperature" not in body_of(request, REASONER)
    assert losses_of(request, REASONER) == set()


def test_without_thinking_the_knobs_of_chance_are_back() -> None:
    request = asking(ASK, sampling=Sampling(temperature=0.5), reasoning=Reasoning(level="none"))
    body = body_of(request, REASONER)
    assert (body["reasoning_effort"], body["temperature"]) == ("none", 0.5)


@pytest.mark.parametrize(
    ("reasoning", "effort"),
    [
        (Reasoning(), None),
        (Reasoning(level="max"), "high"),
        (Reasoning(level="minimal"), "low"),
        (Reasoning(budget=0), "none"),
        (Reasoning(budget=-1), None),
        (Reasoning(adaptive=True), None),
        (Reasoning(adaptive=True, level="medium"), "medium"),
    ],
)
def test_efforts(reasoning: Reasoning, effort: str | None) -> None:
    request = asking(ASK, reasoning=reasoning)
    assert body_of(request, REASONER).get("reasoning_effort") == effort


def test_a_model_that_does_not_reason_is_not_told_to() -> None:
    plain = maker("gpt-4o", Traits(max_output=16384))
    request = asking(ASK, reasoning=Reasoning(level="high"))
    assert "reasoning_effort" not in body_of(request, plain)
    assert losses_of(request, plain) == {"reasoning"}
    off = asking(ASK, reasoning=Reasoning(level="none"))
    assert losses_of(off, plain) == set()
    assert body_of(request, HOST)["reasoning_effort"] == "high"  # nobody knows that model


def test_several_answers_are_refused() -> None:
    with pytest.raises(Untranslatable, match="`n`"):
        encoded(asking(ASK, sampling=Sampling(count=2)))


def test_what_another_provider_keeps_is_refused() -> None:
    extra = Opaque("openai_responses", "previous_response_id", {"previous_response_id": "x"})
    with pytest.raises(Untranslatable, match="previous_response_id"):
        encoded(asking(ASK, extras=(extra,)))


# --- the form of the answer ---------------------------------------------------------------------


def test_a_schema_needs_a_name() -> None:
    request = asking(ASK, output=OutputFormat(OutputKind.SCHEMA, schema=SCHEMA))
    assert body_of(request)["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "response", "schema": SCHEMA},
    }


def test_a_named_and_described_schema() -> None:
    tight = SCHEMA | {"additionalProperties": False}
    output = OutputFormat(OutputKind.SCHEMA, "my name", tight, True, "d")
    assert body_of(asking(ASK, output=output))["response_format"]["json_schema"] == {
        "name": "my_name",
        "schema": tight,
        "description": "d",
        "strict": True,
    }


def test_json_is_asked_for_in_words_as_well() -> None:
    request = asking(ASK, output=OutputFormat(OutputKind.JSON))
    body = body_of(request)
    assert body["messages"][0] == {"role": "system", "content": "Answer with JSON."}
    assert body["response_format"] == {"type": "json_object"}
    pictured = asking(said(Role.USER, PICTURE, Text("x")), output=OutputFormat(OutputKind.JSON))
    assert messages_of(pictured)[0]["role"] == "system"
    spoken = asking(said(Role.USER, Text("as Json")), output=OutputFormat(OutputKind.JSON))
    assert len(messages_of(spoken)) == 1


def test_a_model_without_schemas_is_told_the_schema() -> None:
    plain = Target("m", Traits(has_structured_output=False), is_official=False)
    output = OutputFormat(OutputKind.SCHEMA, schema=SCHEMA)
    body = body_of(asking(said(Role.SYSTEM, Text("be")), ASK, output=output), plain)
    system = body["messages"][0]["content"]
    assert system.startswith("be\n\n")
    assert json.loads(system[system.index("{") :]) == SCHEMA
    assert body["response_format"] == {"type": "json_object"}


# --- odd letters and numbers ---------------------------------------------------------------------


def test_large_numbers_and_cut_letters_survive() -> None:
    schema = {"type": "object", "properties": {"n": {"maximum": 2**80}}}
    request = asking(said(Role.USER, Text("cut \ud83d")), tools=(Tool("f", schema=schema),))
    body = json.loads(CHAT.encode_request(request, HOST).body)
    assert body["tools"][0]["function"]["parameters"] == schema
    assert body["messages"][0]["content"] == "cut \ud83d"
