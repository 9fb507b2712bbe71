"""What a Responses upstream is sent, held against a service that refuses what the real one does."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from app.errors import Untranslatable
from app.ir.parts import (
    Citation,
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
    Turn,
)
from app.ir.tidy import tidy
from app.protocols.base import Target
from tests.fakes.strict.seals import claude_signature, openai_encrypted
from tests.protocols.openai_responses.asking import CODEC, asked, encoded, losses

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}
STRICT = {**SCHEMA, "required": ["n"], "additionalProperties": False}
LOOK = Tool("look", description="Looks", schema=SCHEMA)
PNG = base64.b64encode(b"\x89PNG picture").decode()
PICTURE = Media(MediaKind.IMAGE, mime="image/png", data=PNG)
ASK = Turn(Role.USER, (Text("Hello"),))


def ask(*turns: Turn, **members: Any) -> Request:
    return Request("m", turns or (ASK,), **members)


def items(*turns: Turn, **members: Any) -> list[dict[str, Any]]:
    body, _ = encoded(ask(*turns, **members))
    found: list[dict[str, Any]] = body["input"]
    return found


def said(*parts: Part) -> Turn:
    return Turn(Role.ASSISTANT, parts)


def heard(*parts: Part) -> Turn:
    return Turn(Role.USER, parts)


def test_the_least() -> None:
    body, result = encoded(ask(), "gpt-4.1")
    assert body == {
        "model": "gpt-4.1",
        "input": [
            {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "Hello"}],
            }
        ],
        "store": False,
    }
    assert result.losses == ()


def test_system_text_leads_as_instructions_and_stays_in_place_later() -> None:
    body, _ = encoded(
        ask(
            Turn(Role.SYSTEM, (Text("one"),)),
            Turn(Role.SYSTEM, (Text("two"),)),
            ASK,
            Turn(Role.SYSTEM, (Text("three"),)),
            said(Text("ok")),
            heard(Text("go")),
        )
    )
    assert body["instructions"] == "one\n\ntwo"
    assert [item["role"] for item in body["input"]] == ["user", "developer", "assistant", "user"]


def test_another_host_has_no_developer() -> None:
    turns = (ASK, Turn(Role.SYSTEM, (Text("three"),)), heard(Text("go")))
    body, _ = encoded(ask(*turns), "m", is_official=False)
    assert body["input"][1]["role"] == "system"


def test_a_system_text_with_a_picture_stays_an_item() -> None:
    found = items(Turn(Role.SYSTEM, (Text("Like this"), PICTURE)), ASK)
    assert [item["role"] for item in found] == ["developer", "user"]


def test_a_tool_loop() -> None:
    found = items(
        ASK,
        said(
            Text("Checking", (Citation("u"),)),
            ToolCall("c1", "look", '{"n": 90071992547409931}'),
            ToolCall("c2", "look", ""),
        ),
        heard(
            ToolResult("c1", (Text("14"),)),
            ToolResult("c2", ()),
            Text("and?"),
        ),
        tools=(LOOK,),
    )
    assert found[1:] == [
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Checking", "annotations": []}],
        },
        {
            "type": "function_call",
            "call_id": "c1",
            "name": "look",
            "arguments": '{"n": 90071992547409931}',
        },
        {"type": "function_call", "call_id": "c2", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "14"},
        {"type": "function_call_output", "call_id": "c2", "output": ""},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "and?"}]},
    ]


@pytest.mark.parametrize(
    ("result", "output"),
    [
        (ToolResult("c", (Text("x"),), is_error=True), "Error: x"),
        (ToolResult("c", (), is_error=True), "Error: the tool failed"),
        (
            ToolResult("c", (Text("a"), Text("b"))),
            [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}],
        ),
        (
            ToolResult("c", (Text("see"), PICTURE)),
            [
                {"type": "input_text", "text": "see"},
                {
                    "type": "input_image",
                    "image_url": f"data:image/png;base64,{PNG}",
                    "detail": "auto",
                },
            ],
        ),
    ],
)
def test_results(result: ToolResult, output: Any) -> None:
    found = items(ASK, said(ToolCall("c", "look", "{}")), heard(result))
    assert found[-1]["output"] == output


def test_texts_of_a_result_are_joined_for_another_host() -> None:
    result = ToolResult("c", (Text("a"), Text("b")))
    request = ask(ASK, said(ToolCall("c", "look", "{}")), heard(result))
    body, _ = encoded(request, "m", is_official=False)
    assert body["input"][-1]["output"] == "a\nb"


def test_long_ids_are_shortened_alike_on_both_ends() -> None:
    long, other = "x" * 90, "x" * 89 + "y"
    found = items(
        ASK,
        said(ToolCall(long, "look", "{}"), ToolCall(other, "look", "{}")),
        heard(ToolResult(long, (Text("1"),)), ToolResult(other, (Text("2"),))),
    )
    ids = [item["call_id"] for item in found[1:]]
    assert ids[:2] == ids[2:]
    assert ids[0] != ids[1]
    assert {len(call_id) for call_id in ids} == {64}


def test_reasoning_goes_back_to_its_maker_alone() -> None:
    own = Seal("openai", openai_encrypted("rs_1"), "rs_1")
    foreign = Thinking("hm", Seal("anthropic", claude_signature("hm")))
    body, result = encoded(
        ask(
            ASK,
            said(Thinking("why", own), foreign, Thinking("bare"), ToolCall("c", "look", "{}")),
            heard(ToolResult("c", (Text("1"),))),
        )
    )
    assert body["input"][1] == {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "why"}],
        "encrypted_content": openai_encrypted("rs_1"),
    }
    assert [item["type"] for item in body["input"]] == [
        "message",
        "reasoning",
        "function_call",
        "function_call_output",
    ]
    assert losses(result) == {"reasoning"}


def test_reasoning_that_leads_to_nothing_is_left_out() -> None:
    own = Thinking("why", Seal("openai", openai_encrypted("rs_1"), "rs_1"))
    found = items(ASK, said(Text("ok"), own), heard(Text("go")))
    assert [item["type"] for item in found] == ["message", "message", "message"]


def test_an_assistants_picture_is_shown_by_the_user() -> None:
    found = items(ASK, said(Text("Here"), PICTURE), heard(Text("Bigger")))
    assert [item["role"] for item in found] == ["user", "assistant", "user", "user"]
    assert found[2]["content"][0]["type"] == "input_image"


def test_a_refusal_in_the_history() -> None:
    found = items(ASK, said(Refusal("No.")), heard(Text("Please")))
    assert found[1]["content"] == [{"type": "refusal", "refusal": "No."}]


@pytest.mark.parametrize(
    ("media", "part"),
    [
        (
            Media(MediaKind.IMAGE, url="https://x/y.png", detail="low"),
            {"type": "input_image", "image_url": "https://x/y.png", "detail": "low"},
        ),
        (
            Media(MediaKind.IMAGE, file_id="file-1", issuer="openai"),
            {"type": "input_image", "file_id": "file-1", "detail": "auto"},
        ),
        (
            Media(MediaKind.DOCUMENT, mime="application/pdf", data="QUJD"),
            {
                "type": "input_file",
                "filename": "document.pdf",
                "file_data": "data:application/pdf;base64,QUJD",
            },
        ),
        (
            Media(MediaKind.DOCUMENT, mime="application/pdf", url="https://x/y"),
            {"type": "input_file", "file_url": "https://x/y"},
        ),
        (
            Media(MediaKind.DOCUMENT, file_id="file-1", issuer="openai"),
            {"type": "input_file", "file_id": "file-1"},
        ),
        (
            Media(MediaKind.DOCUMENT, mime="text/plain", data="SMOp", name="a.txt"),
            {"type": "input_text", "text": "a.txt\n\nHé"},
        ),
        (
            Media(MediaKind.AUDIO, mime="audio/mpeg", data="QUJD"),
            {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "mp3"}},
        ),
    ],
)
def test_media(media: Media, part: dict[str, Any]) -> None:
    assert items(heard(media))[0]["content"] == [part]


@pytest.mark.parametrize(
    ("part", "word"),
    [
        (Media(MediaKind.VIDEO, mime="video/mp4", data="QUJD"), "video"),
        (Media(MediaKind.AUDIO, mime="audio/ogg", data="QUJD"), "audio/ogg"),
        (Media(MediaKind.IMAGE, file_id="f", issuer="anthropic"), "another provider"),
    ],
)
def test_media_that_cannot_be_said(part: Media, word: str) -> None:
    with pytest.raises(Untranslatable, match=word):
        CODEC.encode_request(ask(heard(part)), Target("m"))


def test_sound_in_a_result_cannot_be_said() -> None:
    sound = Media(MediaKind.AUDIO, mime="audio/wav", data="QUJD")
    request = ask(ASK, said(ToolCall("c", "f", "{}")), heard(ToolResult("c", (sound,))))
    with pytest.raises(Untranslatable, match="audio in a tool"):
        CODEC.encode_request(request, Target("m"))


def test_what_other_protocols_alone_have_is_a_loss_or_refused() -> None:
    odd = Opaque("anthropic_messages", "server_tool_use", {"type": "server_tool_use"})
    _, result = encoded(
        ask(
            heard(Text("a"), odd),
            said(odd, Text("b")),
            heard(Text("c")),
            extras=(Opaque("openai_chat", "logit_bias", {"logit_bias": {}}),),
        )
    )
    assert losses(result) == {"server_tool_use", "logit_bias"}
    with pytest.raises(Untranslatable, match="cached_content"):
        encoded(ask(extras=(Opaque("gemini_generate", "cached_content"),)))


def test_its_own_words_go_through() -> None:
    item = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    request = asked(
        input=[{"role": "user", "content": "x"}, item, {"role": "user", "content": "y"}],
        store=True,
        previous_response_id="resp_1",
        include=["reasoning.encrypted_content", "web_search_call.action.sources"],
        max_tool_calls=2,
    )
    body, result = encoded(request)
    assert body["input"][1] == item
    assert (body["store"], body["previous_response_id"]) == (True, "resp_1")
    assert body["include"] == ["web_search_call.action.sources"]
    assert body["max_tool_calls"] == 2
    assert result.losses == ()


# --- tools -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "parameters", "strict", "lost"),
    [
        (LOOK, SCHEMA, False, set()),
        (Tool("look"), {"type": "object", "properties": {}}, False, set()),
        (replace(LOOK, strict=False), SCHEMA, False, set()),
        (replace(LOOK, schema=STRICT, strict=True), STRICT, True, set()),
        (
            replace(LOOK, schema={**SCHEMA, "required": ["n"]}, strict=True),
            STRICT,
            True,
            set(),
        ),
        (replace(LOOK, strict=True), SCHEMA, False, {"strict"}),
    ],
)
def test_functions(tool: Tool, parameters: Any, strict: bool, lost: set[str]) -> None:
    body, result = encoded(ask(tools=(tool,)))
    assert body["tools"][0]["parameters"] == parameters
    assert body["tools"][0]["strict"] is strict
    assert losses(result) == lost


def test_a_union_at_the_top_becomes_an_object() -> None:
    branches = [{"type": "object", "properties": {name: {"type": "string"}}} for name in "ab"]
    body, _ = encoded(ask(tools=(Tool("f", schema={"anyOf": branches}),)))
    assert set(body["tools"][0]["parameters"]["properties"]) == {"a", "b"}


def test_integers_of_any_size_stay_exact() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 2**70}}}
    result = CODEC.encode_request(ask(tools=(Tool("f", schema=schema),)), Target("gpt-5.2"))
    assert str(2**70).encode() in result.body


def test_half_a_surrogate_pair_is_escaped() -> None:
    result = CODEC.encode_request(ask(heard(Text("a\ud83d"))), Target("m"))
    assert b"a\\ud83d" in result.body


CUSTOM = Tool(
    "exec",
    ToolKind.CUSTOM,
    "Runs",
    options={"format": {"type": "grammar", "syntax": "lark", "definition": "start: /./"}},
)
GROUPED = Tool("find", schema=SCHEMA, namespace="mcp__docs", options={"group_description": "Docs"})
CUSTOM_LOOP = (
    ASK,
    said(
        ToolCall("c1", "exec", "1 < 2\n", custom=True),
        ToolCall("c2", "find", "{}", namespace="mcp__docs"),
    ),
    heard(ToolResult("c1", (Text("true"),), custom=True), ToolResult("c2", (Text("x"),))),
)


def test_custom_tools_and_namespaces_are_its_own() -> None:
    body, _ = encoded(ask(*CUSTOM_LOOP, tools=(CUSTOM, GROUPED, LOOK)))
    assert [tool["type"] for tool in body["tools"]] == ["custom", "namespace", "function"]
    assert body["tools"][0]["format"] == CUSTOM.options["format"]
    assert body["tools"][1]["description"] == "Docs"
    assert [tool["name"] for tool in body["tools"][1]["tools"]] == ["find"]
    custom, grouped, result, _ = body["input"][1:]
    assert (custom["type"], custom["input"]) == ("custom_tool_call", "1 < 2\n")
    assert (grouped["name"], grouped["namespace"]) == ("find", "mcp__docs")
    assert result["type"] == "custom_tool_call_output"


def test_another_host_gets_functions() -> None:
    request = ask(*CUSTOM_LOOP, tools=(CUSTOM, GROUPED))
    body, result = encoded(request, "m", is_official=False)
    assert [(tool["type"], tool["name"]) for tool in body["tools"]] == [
        ("function", "exec"),
        ("function", "mcp__docs__find"),
    ]
    assert "lark grammar" in body["tools"][0]["description"]
    custom, grouped, output, _ = body["input"][1:]
    assert json.loads(custom["arguments"]) == {"input": "1 < 2\n"}
    assert grouped["name"] == "mcp__docs__find"
    assert "namespace" not in grouped
    assert output["type"] == "function_call_output"
    assert result.names.back("exec").custom
    assert result.names.back("mcp__docs__find").namespace == "mcp__docs"


def test_names_are_mended_everywhere() -> None:
    name = "mcp__server__" + "look.up_" * 10
    request = ask(
        ASK,
        said(ToolCall("c", name, "{}")),
        heard(ToolResult("c", (Text("1"),))),
        tools=(Tool(name, schema=SCHEMA), LOOK),
        tool_choice=ToolChoice(Choosing.REQUIRED, (name,)),
    )
    body, result = encoded(request)
    short = body["tools"][0]["name"]
    assert len(short) <= 64
    assert body["tool_choice"] == {"type": "function", "name": short}
    assert body["input"][1]["name"] == short
    assert result.names.back(short).name == name


SEARCH = Tool(
    "web_search",
    ToolKind.WEB_SEARCH,
    options={
        "allowed_domains": ["a.org"],
        "blocked_domains": ["b.org"],
        "max_uses": 3,
        "user_location": {"type": "approximate", "city": "X", "odd": 1},
        "search_context_size": "low",
    },
)


def test_hosted_tools() -> None:
    claude = Tool("bash", ToolKind.OTHER, raw=Opaque("anthropic_messages", "bash_20250124"))
    code = Tool("code_execution", ToolKind.CODE_EXECUTION)
    body, result = encoded(ask(tools=(SEARCH, code, claude, LOOK)))
    assert body["tools"][:2] == [
        {
            "type": "web_search",
            "filters": {"allowed_domains": ["a.org"]},
            "user_location": {"type": "approximate", "city": "X"},
            "search_context_size": "low",
        },
        {"type": "code_interpreter", "container": {"type": "auto"}},
    ]
    assert losses(result) == {"blocked_domains", "max_uses", "bash"}


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        (ToolChoice(Choosing.AUTO), "auto"),
        (ToolChoice(Choosing.REQUIRED), "required"),
        (ToolChoice(Choosing.NONE), "none"),
        (ToolChoice(Choosing.NONE, ("look",)), "none"),
        (
            ToolChoice(Choosing.REQUIRED, ("look",)),
            {"type": "function", "name": "look"},
        ),
        (ToolChoice(Choosing.REQUIRED, ("exec",)), {"type": "custom", "name": "exec"}),
        (ToolChoice(Choosing.REQUIRED, ("web_search",)), {"type": "web_search"}),
        (
            ToolChoice(Choosing.AUTO, ("look",)),
            {
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "function", "name": "look"}],
            },
        ),
        (
            ToolChoice(Choosing.REQUIRED, ("look", "exec")),
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [
                    {"type": "function", "name": "look"},
                    {"type": "custom", "name": "exec"},
                ],
            },
        ),
    ],
)
def test_choices(choice: ToolChoice, written: Any) -> None:
    body, _ = encoded(ask(tools=(LOOK, CUSTOM, SEARCH), tool_choice=choice))
    assert body["tool_choice"] == written


def test_a_choice_of_nothing_is_a_loss() -> None:
    body, result = encoded(ask(tools=(LOOK,), tool_choice=ToolChoice(Choosing.REQUIRED, ("gone",))))
    assert "tool_choice" not in body
    assert losses(result) == {"tool_choice"}


def test_without_tools_there_is_no_choice() -> None:
    body, result = encoded(ask(tool_choice=ToolChoice(Choosing.REQUIRED), parallel_calls=False))
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & set(body)
    assert losses(result) == {"tool_choice"}
    body, _ = encoded(ask(tools=(LOOK,), parallel_calls=False))
    assert body["parallel_tool_calls"] is False


# --- knobs -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "reasoning", "written", "lost"),
    [
        ("gpt-5.2", Reasoning(), None, set()),
        ("gpt-5.2", Reasoning(level="high"), {"effort": "high"}, set()),
        ("gpt-5.2", Reasoning(level="max"), {"effort": "xhigh"}, set()),
        ("gpt-5.2", Reasoning(budget=2000), {"effort": "medium"}, set()),
        ("gpt-5.2", Reasoning(budget=0), {"effort": "none"}, set()),
        ("gpt-5", Reasoning(level="none"), {"effort": "minimal"}, set()),
        ("gpt-5.2", Reasoning(adaptive=True, show=True), {"summary": "auto"}, set()),
        (
            "gpt-5.2",
            Reasoning(level="low", show=True, summary="detailed"),
            {"effort": "low", "summary": "detailed"},
            set(),
        ),
        ("gpt-4.1", Reasoning(level="high", show=True), None, {"reasoning_effort"}),
        ("gpt-4.1", Reasoning(level="none"), None, set()),
    ],
)
def test_reasoning(model: str, reasoning: Reasoning, written: Any, lost: set[str]) -> None:
    body, result = encoded(ask(reasoning=reasoning), model)
    assert body.get("reasoning") == written
    assert losses(result) == lost


@pytest.mark.parametrize(
    ("model", "reasoning", "asks"),
    [
        ("gpt-5.2", Reasoning(), True),
        ("gpt-4.1", Reasoning(level="high"), False),
        ("nobody", Reasoning(), False),
    ],
)
def test_the_proof_is_asked_for_where_there_is_one(
    model: str, reasoning: Reasoning, asks: bool
) -> None:
    body, _ = encoded(ask(reasoning=reasoning), model)
    assert (body.get("include") == ["reasoning.encrypted_content"]) is asks
    assert body["store"] is False


def test_the_proof_of_a_model_that_nobody_knows() -> None:
    result = CODEC.encode_request(ask(reasoning=Reasoning(level="low")), Target("nobody"))
    assert json.loads(result.body)["include"] == ["reasoning.encrypted_content"]


def test_sampling() -> None:
    chance = Sampling(temperature=3, top_p=0.5, top_k=4, seed=0, stop=("x",), logprobs=True)
    body, result = encoded(ask(sampling=chance), "gpt-4.1")
    assert (body["temperature"], body["top_p"]) == (2.0, 0.5)
    assert losses(result) == {"top_k", "seed", "stop", "logprobs"}
    body, result = encoded(ask(sampling=Sampling(temperature=0.5, top_p=0.5)), "gpt-5.2")
    assert not {"temperature", "top_p"} & set(body)
    assert losses(result) == {"temperature", "top_p"}
    off = ask(sampling=Sampling(temperature=0.5), reasoning=Reasoning(level="none"))
    assert encoded(off, "gpt-5.2")[0]["temperature"] == 0.5
    penalties = Sampling(presence_penalty=1, frequency_penalty=1)
    _, result = encoded(ask(sampling=penalties))
    assert losses(result) == {"presence_penalty", "frequency_penalty"}


def test_several_answers_cannot_be_had() -> None:
    with pytest.raises(Untranslatable, match="`n`"):
        encoded(ask(sampling=Sampling(count=2)))
    encoded(ask(sampling=Sampling(count=1)))


@pytest.mark.parametrize(("asked_for", "sent"), [(1, 16), (500, 500), (64000, 32768)])
def test_the_limit_is_one_the_model_takes(asked_for: int, sent: int) -> None:
    body, _ = encoded(ask(max_tokens=asked_for), "gpt-4.1")
    assert body["max_output_tokens"] == sent


def test_structured_output() -> None:
    form = OutputFormat(OutputKind.SCHEMA, schema=STRICT)
    body, _ = encoded(ask(output=form, verbosity="low"))
    assert body["text"] == {
        "format": {"type": "json_schema", "name": "response", "schema": STRICT, "strict": True},
        "verbosity": "low",
    }
    loose = OutputFormat(OutputKind.SCHEMA, "a b", SCHEMA, True, "d")
    body, result = encoded(ask(output=loose, verbosity="odd"))
    assert body["text"]["format"] == {
        "type": "json_schema",
        "name": "a_b",
        "description": "d",
        "schema": SCHEMA,
        "strict": False,
    }
    assert losses(result) == {"strict", "verbosity"}


def test_json_needs_the_word() -> None:
    form = OutputFormat(OutputKind.JSON)
    body, _ = encoded(ask(output=form))
    assert body["text"]["format"] == {"type": "json_object"}
    assert "JSON" in body["instructions"]
    body, _ = encoded(ask(heard(Text("Give me json")), output=form))
    assert "instructions" not in body


def test_books() -> None:
    request = ask(
        user="u",
        metadata={"a": "b", "long": "x" * 600},
        service_tier="standard_only",
        cache_key="k",
        modalities=("text", "image"),
        stream=True,
    )
    body, result = encoded(request)
    assert body["safety_identifier"] == "u"
    assert body["metadata"] == {"a": "b"}
    assert (body["service_tier"], body["prompt_cache_key"]) == ("default", "k")
    assert body["stream"] is True
    assert losses(result) == {"metadata", "modalities"}
    long, _ = encoded(replace(request, user="x" * 200))
    assert len(long["safety_identifier"]) == 64
    other, result = encoded(request, "m", is_official=False)
    assert other["user"] == "u"
    assert not {"metadata", "service_tier", "prompt_cache_key", "safety_identifier"} & set(other)


def test_a_request_that_says_nothing_is_refused() -> None:
    own = Turn(Role.ASSISTANT, (Thinking("x"),))
    with pytest.raises(Untranslatable, match="says nothing"):
        CODEC.encode_request(Request("m", (own,)), Target("m"))


def test_a_long_history_with_gaps_is_taken() -> None:
    """Calls without ids, results in reverse order, one missing, one nobody asked for."""
    request = tidy(
        ask(
            ASK,
            said(ToolCall("", "look", "{}"), Text("and"), ToolCall("", "look", "{}")),
            heard(ToolResult("", (Text("1"),), "look")),
            heard(ToolResult("zz", (Text("?"),))),
            said(ToolCall("a", "look", "{"), ToolCall("b", "look", "{}")),
            heard(ToolResult("b", (Text("2"),)), ToolResult("a", (Text("1"),))),
            tools=(LOOK,),
        )
    )
    found = encoded(request)[0]["input"]
    assert sum(item["type"] == "function_call" for item in found) == 4


def test_another_host_has_no_code_interpreter() -> None:
    code = Tool("code_execution", ToolKind.CODE_EXECUTION)
    body, result = encoded(
        ask(tools=(code, Tool("web_search", ToolKind.WEB_SEARCH))), "m", is_official=False
    )
    assert body["tools"] == [{"type": "web_search"}]
    assert losses(result) == {"code_execution"}


def test_a_group_without_a_word_about_itself() -> None:
    other = Tool("list", ToolKind.CUSTOM, namespace="mcp__docs")
    body, _ = encoded(ask(tools=(replace(GROUPED, options={}), other)))
    assert body["tools"] == [
        {
            "type": "namespace",
            "name": "mcp__docs",
            "tools": [
                {"type": "function", "name": "find", "parameters": SCHEMA, "strict": False},
                {"type": "custom", "name": "list"},
            ],
        }
    ]


def test_its_own_odd_parts_go_through() -> None:
    odd = {"type": "input_odd", "x": 1}
    shell = {"type": "local_shell_call_output", "id": "x", "output": "y"}
    request = asked(input=[shell, {"role": "user", "content": [odd]}])
    body = json.loads(CODEC.encode_request(tidy(request), Target("gpt-5.2")).body)
    assert body["input"] == [
        shell,
        {"type": "message", "role": "user", "content": [odd]},
    ]
    only = asked(input=[shell])
    body = json.loads(CODEC.encode_request(tidy(only), Target("gpt-5.2")).body)
    assert body["input"] == [shell]
