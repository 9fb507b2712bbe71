"""What a Responses client says is read to the letter."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from app.errors import BadRequest, Untranslatable
from app.ir.extras import refuse_foreign
from app.ir.parts import (
    Media,
    MediaKind,
    Opaque,
    Part,
    Refusal,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from app.ir.request import Choosing, OutputKind, Role, ToolChoice, ToolKind, Turn
from app.protocols.base import Operation
from app.protocols.openai_responses.items import packed
from tests.protocols.openai_responses.asking import CODEC, asked, decoded

PNG = base64.b64encode(b"\x89PNG picture").decode()


def turns(*items: Any, **members: Any) -> list[tuple[Role, tuple[Part, ...]]]:
    return [(turn.role, turn.parts) for turn in decoded({"input": list(items)} | members).turns]


def test_a_string_is_what_the_user_says() -> None:
    assert asked(input="Hé").turns == (Turn(Role.USER, (Text("Hé"),)),)


def test_instructions_lead() -> None:
    assert turns({"role": "user", "content": "a"}, instructions="Be brief")[0] == (
        Role.SYSTEM,
        (Text("Be brief"),),
    )


def test_messages_with_and_without_a_type() -> None:
    found = turns(
        {"type": "message", "role": "developer", "content": "d"},
        {"role": "user", "content": [{"type": "input_text", "text": "u"}]},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "phase": "commentary",
            "content": [
                {"type": "output_text", "text": "a", "annotations": []},
                {"type": "refusal", "refusal": "no"},
            ],
        },
        {"role": "system", "content": "s"},
    )
    assert found == [
        (Role.SYSTEM, (Text("d"),)),
        (Role.USER, (Text("u"),)),
        (Role.ASSISTANT, (Text("a"), Refusal("no"))),
        (Role.SYSTEM, (Text("s"),)),
    ]


def test_the_items_of_one_step_are_one_turn() -> None:
    found = turns(
        {"role": "user", "content": "go"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
        {"role": "assistant", "content": "Looking"},
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"n": 1}'},
        {"type": "function_call", "call_id": "c2", "name": "look", "arguments": ""},
        {"type": "function_call_output", "call_id": "c1", "output": "one"},
        {"type": "function_call_output", "call_id": "c2", "output": "two"},
    )
    assert [role for role, _ in found] == [Role.USER, Role.ASSISTANT, Role.USER]
    assert found[1][1] == (
        Thinking("", Seal("openai", "gAAA", "rs_1")),
        Text("Looking"),
        ToolCall("c1", "look", '{"n": 1}'),
        ToolCall("c2", "look", ""),
    )
    assert found[2][1] == (ToolResult("c1", (Text("one"),)), ToolResult("c2", (Text("two"),)))


@pytest.mark.parametrize(
    ("item", "thinking"),
    [
        pytest.param(
            {
                "summary": [{"type": "summary_text", "text": " a "}, {"text": "b"}],
                "content": None,
                "encrypted_content": "gAAA",
                "id": "rs_7",
            },
            Thinking(" a \n\nb", Seal("openai", "gAAA", "rs_7")),
            id="a summary in parts",
        ),
        pytest.param(
            {"summary": [], "content": [{"type": "reasoning_text", "text": "x"}]},
            Thinking("x"),
            id="the words themselves",
        ),
        pytest.param(
            {"summary": [], "encrypted_content": "gAAA"},
            Thinking("", Seal("openai", "gAAA")),
            id="without an id",
        ),
        pytest.param(
            {"summary": [], "encrypted_content": "gAAA", "id": "rs_aip_a1_0"},
            Thinking("", Seal("openai", "gAAA")),
            id="an id of our own",
        ),
        pytest.param(
            {
                "id": "rs_aip_a1_0",
                "summary": [{"type": "summary_text", "text": "mm "}],
                "encrypted_content": packed(Seal("anthropic", "sig"), False),
            },
            Thinking("mm ", Seal("anthropic", "sig")),
            id="somebody else's",
        ),
        pytest.param(
            {"summary": [], "encrypted_content": packed(Seal("anthropic", "dark"), True)},
            Thinking("", Seal("anthropic", "dark"), redacted=True),
            id="redacted by somebody else",
        ),
        pytest.param(
            {"summary": [], "encrypted_content": packed(Seal("google", "s", "i"), False)},
            Thinking("", Seal("google", "s", "i")),
            id="somebody else's with an id",
        ),
    ],
)
def test_reasoning(item: dict[str, Any], thinking: Thinking) -> None:
    assert turns({"type": "reasoning", **item}) == [(Role.ASSISTANT, (thinking,))]


@pytest.mark.parametrize(
    ("part", "media"),
    [
        (
            {"type": "input_image", "image_url": f"data:image/JPG;x=y;base64,{PNG}"},
            Media(MediaKind.IMAGE, mime="image/jpeg", data=PNG),
        ),
        (
            {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
            Media(MediaKind.IMAGE, url="https://x/y.png"),
        ),
        (
            {"type": "input_file", "file_data": f"data:image/png;base64,{PNG}"},
            Media(MediaKind.IMAGE, mime="image/png", data=PNG),
        ),
        (
            {"type": "input_file", "file_data": "data:audio/wav;base64,QUJD"},
            Media(MediaKind.AUDIO, mime="audio/wav", data="QUJD"),
        ),
        (
            {"type": "input_file", "file_data": "data:video/mp4;base64,QUJD"},
            Media(MediaKind.VIDEO, mime="video/mp4", data="QUJD"),
        ),
        (
            {"type": "input_image", "image_url": "https://x/y.png", "detail": "low"},
            Media(MediaKind.IMAGE, url="https://x/y.png", detail="low"),
        ),
        (
            {"type": "input_image", "file_id": "file-1"},
            Media(MediaKind.IMAGE, file_id="file-1", issuer="openai"),
        ),
        (
            {"type": "input_file", "filename": "a.pdf", "file_data": PNG},
            Media(MediaKind.DOCUMENT, mime="application/pdf", data=PNG, name="a.pdf"),
        ),
        (
            {"type": "input_file", "file_data": "data:text/plain,a%20b"},
            Media(MediaKind.DOCUMENT, mime="text/plain", data="YSBi"),
        ),
        (
            {"type": "input_file", "file_url": "https://x/y.pdf?z=1"},
            Media(MediaKind.DOCUMENT, mime="application/pdf", url="https://x/y.pdf?z=1"),
        ),
        (
            {"type": "input_file", "file_id": "file-1"},
            Media(MediaKind.DOCUMENT, file_id="file-1", issuer="openai"),
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "mp3"}},
            Media(MediaKind.AUDIO, mime="audio/mp3", data="QUJD"),
        ),
    ],
)
def test_media(part: dict[str, Any], media: Media) -> None:
    assert turns({"role": "user", "content": [part]}) == [(Role.USER, (media,))]


def test_results_of_parts_and_of_custom_tools() -> None:
    found = turns(
        {"type": "custom_tool_call", "call_id": "c", "name": "exec", "input": "ls", "id": "ctc_1"},
        {
            "type": "custom_tool_call_output",
            "call_id": "c",
            "output": [
                {"type": "input_text", "text": "see"},
                {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"},
            ],
        },
    )
    picture = Media(MediaKind.IMAGE, mime="image/png", data=PNG)
    assert found[0][1] == (ToolCall("c", "exec", "ls", custom=True),)
    assert found[1][1] == (ToolResult("c", (Text("see"), picture), custom=True),)


def test_items_of_the_providers_own_tools_stay_as_they_came() -> None:
    item = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    shell = {"type": "local_shell_call_output", "id": "x", "output": "y"}
    assert turns(item, shell) == [
        (Role.ASSISTANT, (Opaque("openai_responses", "web_search_call", item),)),
        (Role.USER, (Opaque("openai_responses", "local_shell_call_output", shell),)),
    ]


@pytest.mark.parametrize(
    "members",
    [
        {"previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"prompt": {"id": "pmpt_1"}},
        {"background": True},
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
        {"input": [{"type": "compaction", "encrypted_content": "g"}]},
        {"input": [{"type": "compaction_trigger"}]},
    ],
)
def test_what_only_the_provider_keeps_is_refused_elsewhere(members: dict[str, Any]) -> None:
    request = asked(**members)
    with pytest.raises(Untranslatable, match="only the provider"):
        refuse_foreign(request, "openai_chat")
    assert refuse_foreign(request, "openai_responses") == ()


def test_bookkeeping_is_no_loss() -> None:
    request = asked(
        store=True,
        include=["reasoning.encrypted_content"],
        truncation="auto",
        background=False,
        client_metadata={"a": "b"},
        stream_options={"include_obfuscation": False},
    )
    assert refuse_foreign(request, "gemini_generate") == ()
    limited = asked(max_tool_calls=3)
    assert [loss.name for loss in refuse_foreign(limited, "gemini_generate")] == ["max_tool_calls"]


def test_knobs() -> None:
    request = asked(
        max_output_tokens=100,
        temperature=1,
        top_p=0.5,
        top_logprobs=3,
        parallel_tool_calls=False,
        reasoning={"effort": "high", "generate_summary": "concise", "context": "auto"},
        text={"verbosity": "low"},
        user="u",
        safety_identifier="s",
        prompt_cache_key="k",
        metadata={"a": "b"},
        service_tier="flex",
    )
    assert request.max_tokens == 100
    assert (request.sampling.temperature, request.sampling.top_p) == (1.0, 0.5)
    assert (request.sampling.logprobs, request.sampling.top_logprobs) == (True, 3)
    assert request.parallel_calls is False
    assert (request.reasoning.level, request.reasoning.show) == ("high", True)
    assert (request.reasoning.summary, request.verbosity) == ("concise", "low")
    assert (request.user, request.cache_key, request.service_tier) == ("s", "k", "flex")
    assert request.metadata == {"a": "b"}


def test_nothing_said_is_nothing_read() -> None:
    request = asked(
        instructions=None, tools=None, tool_choice=None, reasoning=None, text=None, metadata=None
    )
    assert request == asked()
    assert request.reasoning.level is None
    assert request.reasoning.show is None
    assert request.tool_choice is None
    assert request.output.kind is OutputKind.TEXT


def test_structured_output_is_flat() -> None:
    form = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}
    output = asked(text={"format": form}).output
    assert (output.kind, output.name, output.strict) == (OutputKind.SCHEMA, "n", True)
    assert output.schema == {"type": "object"}
    assert asked(text={"format": {"type": "json_object"}}).output.kind is OutputKind.JSON


def test_tools_of_every_kind() -> None:
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: /./"}
    mcp = {"type": "mcp", "server_label": "x"}
    request = asked(
        tools=[
            {
                "type": "function",
                "name": "f",
                "parameters": {"maximum": 2**70},
                "strict": None,
                "defer_loading": True,
            },
            {"type": "custom", "name": "c", "description": "d", "format": grammar},
            {
                "type": "namespace",
                "name": "mcp__s",
                "description": "about",
                "tools": [{"type": "function", "name": "f", "parameters": None}],
            },
            {
                "type": "web_search_preview_2025_03_11",
                "filters": {"allowed_domains": ["a.org"]},
                "user_location": {"type": "approximate", "city": "X"},
                "search_context_size": "low",
            },
            {"type": "code_interpreter", "container": {"type": "auto"}},
            mcp,
        ]
    )
    function, custom, grouped, search, code, other = request.tools
    assert function.schema == {"maximum": 2**70}
    assert (function.strict, function.deferred) == (None, True)
    assert (custom.kind, custom.options["format"]) == (ToolKind.CUSTOM, grammar)
    assert (grouped.name, grouped.namespace, grouped.schema) == ("f", "mcp__s", None)
    assert search.kind is ToolKind.WEB_SEARCH
    assert search.options["allowed_domains"] == ["a.org"]
    assert code.kind is ToolKind.CODE_EXECUTION
    assert other.kind is ToolKind.OTHER
    assert other.raw == Opaque("openai_responses", "mcp", mcp)


@pytest.mark.parametrize(
    ("said", "choice"),
    [
        ("auto", ToolChoice(Choosing.AUTO)),
        ("none", ToolChoice(Choosing.NONE)),
        ("required", ToolChoice(Choosing.REQUIRED)),
        ({"type": "function", "name": "f"}, ToolChoice(Choosing.REQUIRED, ("f",))),
        ({"type": "custom", "name": "c"}, ToolChoice(Choosing.REQUIRED, ("c",))),
        ({"type": "web_search_preview"}, ToolChoice(Choosing.REQUIRED, ("web_search",))),
        ({"type": "mcp", "server_label": "x"}, ToolChoice(Choosing.REQUIRED, ("mcp",))),
        (
            {
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "function", "name": "f"}, {"type": "namespace", "name": "ns"}],
            },
            ToolChoice(Choosing.AUTO, ("f", "g", "h")),
        ),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "web_search"}]},
            ToolChoice(Choosing.REQUIRED, ("web_search",)),
        ),
    ],
)
def test_choices(said: Any, choice: ToolChoice) -> None:
    inner = [{"type": "function", "name": "g"}, {"type": "custom", "name": "h"}]
    tools = [
        {"type": "function", "name": "f"},
        {"type": "namespace", "name": "ns", "tools": inner},
    ]
    assert asked(tools=tools, tool_choice=said).tool_choice == choice


@pytest.mark.parametrize(
    ("members", "where"),
    [
        ({"input": None}, "input"),
        ({"input": 3}, "input"),
        ({"input": ["x"]}, "input[0]"),
        ({"input": [{"content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": 7}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"text": "x"}]}]}, "input[0].content[0].type"),
        ({"input": [{"type": "function_call", "name": "x"}]}, "input[0].call_id"),
        ({"input": [{"type": "function_call", "call_id": "x"}]}, "input[0].name"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
            "input[0].content[0].image_url",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file"}]}]},
            "input[0].content[0].file_data",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            "input[0].content[0].input_audio.data",
        ),
        (
            {
                "input": [
                    {
                        "role": "user",
                        "content": [{"type": "input_image", "image_url": "data:image/png"}],
                    }
                ]
            },
            "input[0].content[0]",
        ),
        (
            {
                "input": [
                    {
                        "role": "user",
                        "content": [{"type": "input_file", "file_data": "data:a/b;base64,?"}],
                    }
                ]
            },
            "input[0].content[0]",
        ),
        (
            {
                "input": [
                    {
                        "type": "function_call_output",
                        "call_id": "c",
                        "output": [{"type": "odd"}],
                    }
                ]
            },
            "input[0].output",
        ),
        ({"max_output_tokens": "many"}, "max_output_tokens"),
        ({"temperature": True}, "temperature"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{"type": "function", "name": "f", "strict": 1}]}, "tools[0].strict"),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"tool_choice": 1}, "tool_choice"),
        ({"tool_choice": {"name": "f"}}, "tool_choice.type"),
        ({"reasoning": "high"}, "reasoning"),
        ({"reasoning": {"effort": 1}}, "reasoning.effort"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format"),
    ],
)
def test_a_wrong_shape_is_named(members: dict[str, Any], where: str) -> None:
    with pytest.raises(BadRequest) as caught:
        asked(**members)
    assert caught.value.details["param"] == where
    assert where in caught.value.message


def test_no_json_is_a_bad_request() -> None:
    with pytest.raises(BadRequest, match="not valid JSON"):
        CODEC.decode_request(b"{", Operation.GENERATE, model="m", stream=False)


def test_a_conversation_kept_elsewhere_needs_no_input() -> None:
    assert asked(input=None, previous_response_id="resp_1").turns == ()


def test_a_message_without_content_and_a_result_that_declines() -> None:
    refused = {
        "type": "function_call_output",
        "call_id": "c",
        "output": [{"type": "refusal", "refusal": "no"}],
    }
    assert turns({"role": "user", "content": None}, refused) == [
        (Role.USER, (ToolResult("c", (Text("no"),)),))
    ]


def test_what_steers_a_request() -> None:
    body = b'{"model": " m ", "stream": true, "previous_response_id": "resp_1"}'
    head = CODEC.peek(body, Operation.GENERATE)
    assert (head.model, head.stream, head.continues) == ("m", True, "resp_1")
