from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import orjson
import pytest

from app.errors import Untranslatable
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
from app.protocols.anthropic_messages import AnthropicMessages
from app.protocols.base import Encoded, Operation, Target
from app.providers.traits import traits_of
from tests.fakes.strict.anthropic_messages import validate
from tests.fakes.strict.seals import claude_redacted, claude_signature
from tests.protocols.anthropic_messages import claude_code

CODEC = AnthropicMessages()
HEADERS = {"x-api-key": "k", "anthropic-version": "2023-06-01", "content-type": "application/json"}
BUDGET, MIDDLE, NEW, YOUNGEST, OLD = (
    "claude-sonnet-4-5",
    "claude-sonnet-4-6",
    "claude-opus-4-7",
    "claude-opus-5",
    "claude-3-5-sonnet",
)
MODELS = [BUDGET, MIDDLE, NEW, YOUNGEST, OLD, "claude-opus-4-1", "claude-opus-4-8", "some-model"]
PNG = claude_code.PNG
USER = Turn(Role.USER, (Text("hi"),))
CALL = ToolCall("c1", "look", '{"sku":"x"}')
RESULT = ToolResult("c1", (Text("found"),))
SCHEMA = {"type": "object", "properties": {"sku": {"type": "string"}}}
LOOK = Tool("look", schema=SCHEMA)
OWN = Thinking("hm", Seal("anthropic", claude_signature("hm")))


def ask(*turns: Turn, **members: Any) -> Request:
    return Request("m", turns or (USER,), **members)


def user(*parts: Part) -> Turn:
    return Turn(Role.USER, parts)


def said(*parts: Part) -> Turn:
    return Turn(Role.ASSISTANT, parts)


def system(*texts: str) -> Turn:
    return Turn(Role.SYSTEM, tuple(Text(text) for text in texts))


def encode(request: Request, model: str = BUDGET, official: bool = True) -> Encoded:
    target = Target(model, traits_of(model), is_official=official)
    encoded = CODEC.encode_request(tidy(request), target)
    assert validate("/v1/messages", HEADERS, encoded.body) is None
    return encoded


def body_of(request: Request, model: str = BUDGET) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(encode(request, model).body)
    return found


def losses(request: Request, model: str = BUDGET, official: bool = True) -> list[str]:
    return sorted(loss.name for loss in encode(request, model, official).losses)


def messages(*turns: Turn, model: str = BUDGET, **members: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = body_of(ask(*turns, **members), model)["messages"]
    for message in found:
        for block in message["content"]:
            block.pop("cache_control", None)
    return found


def words(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def test_the_least_request_is_the_least_body() -> None:
    assert body_of(ask()) == {
        "model": BUDGET,
        "max_tokens": 64000,
        "messages": [{"role": "user", "content": [words("hi")]}],
    }
    assert body_of(ask(stream=True, max_tokens=7))["stream"] is True
    assert body_of(ask(max_tokens=7))["max_tokens"] == 7
    assert body_of(ask(), "some-model")["max_tokens"] == 32000
    assert body_of(ask(max_tokens=99999), BUDGET)["max_tokens"] == 64000


# --- 7.1, 7.2, 7.3: texts and turns ------------------------------


def test_system_text_is_joined_in_order() -> None:
    body = body_of(ask(system("a", " ", "b"), system("c"), USER))
    assert body["system"] == [words("a\n\nb\n\nc")]


@pytest.mark.parametrize(
    ("model", "roles", "above"),
    [
        (BUDGET, ["user", "assistant", "user"], "top\n\nnote"),
        ("claude-opus-4-8", ["user", "assistant", "system", "user"], "top"),
    ],
)
def test_system_text_in_the_middle(model: str, roles: list[str], above: str) -> None:
    turns = (system("top"), USER, said(Text("yes")), system("note"), user(Text("on")))
    body = body_of(ask(*turns), model)
    assert [message["role"] for message in body["messages"]] == roles
    assert body["system"] == [words(above)]


def test_neighbours_are_one_message_once_the_system_text_between_them_has_moved() -> None:
    assert messages(user(Text("a")), system("s"), user(Text("b"))) == [
        {"role": "user", "content": [words("a"), words("b")]}
    ]


def test_system_text_alone_is_said_by_the_user() -> None:
    request = Request("m", (system("only"),))
    target = Target(BUDGET, traits_of(BUDGET))
    for each in (request, tidy(request)):
        body = orjson.loads(CODEC.encode_request(each, target).body)
        assert body["messages"] == [{"role": "user", "content": [words("only")]}]
        assert "system" not in body


def test_the_user_speaks_first() -> None:
    first, second, third = messages(said(Text("welcome")), USER)
    assert (first["role"], second["role"], third["role"]) == ("user", "assistant", "user")


def test_blank_text_is_left_out() -> None:
    turns = (user(Text(" \n"), Text("a")), said(Text(""), Refusal("no")), USER)
    assert messages(*turns)[:2] == [
        {"role": "user", "content": [words("a")]},
        {"role": "assistant", "content": [words("no")]},
    ]


def test_a_prefill_ends_without_blanks() -> None:
    assert messages(USER, said(Text("so \n")))[-1]["content"] == [words("so")]


@pytest.mark.parametrize("model", [MIDDLE, NEW])
def test_where_no_prefill_is_taken_the_user_asks_to_go_on(model: str) -> None:
    request = ask(USER, said(Text("so ")))
    assert body_of(request, model)["messages"][-1]["role"] == "user"
    assert losses(request, model) == ["prefill"]


def test_thinking_excludes_a_prefill() -> None:
    request = ask(USER, said(Text("so")), reasoning=Reasoning(level="low"))
    assert body_of(request)["messages"][-1]["role"] == "user"


def test_a_paused_answer_goes_back_as_it_came() -> None:
    raw = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    own = Opaque("anthropic_messages", "server_tool_use", raw)
    assert messages(USER, said(Text("a"), own))[-1]["content"] == [words("a"), raw]


# --- 7.4, 7.5, 7.6: media ------------------------------


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


MEDIA: list[tuple[Media, dict[str, Any]]] = [
    (
        Media(MediaKind.IMAGE, "image/png", PNG, detail="high"),
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
    ),
    (
        Media(MediaKind.IMAGE, "", PNG),
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
    ),
    (
        Media(MediaKind.IMAGE, url="https://e.org/a.png"),
        {"type": "image", "source": {"type": "url", "url": "https://e.org/a.png"}},
    ),
    (
        Media(MediaKind.IMAGE, file_id="file_1", issuer="anthropic"),
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
    ),
    (
        Media(MediaKind.DOCUMENT, "application/pdf", PNG, name="a.pdf"),
        {
            "type": "document",
            "title": "a.pdf",
            "source": {"type": "base64", "media_type": "application/pdf", "data": PNG},
        },
    ),
    (
        Media(MediaKind.DOCUMENT, "", PNG, name="a.PDF"),
        {
            "type": "document",
            "title": "a.PDF",
            "source": {"type": "base64", "media_type": "application/pdf", "data": PNG},
        },
    ),
    (
        Media(MediaKind.DOCUMENT, url="https://e.org/a"),
        {"type": "document", "source": {"type": "url", "url": "https://e.org/a"}},
    ),
    (
        Media(MediaKind.DOCUMENT, "text/csv", b64("ä,b"), name="t.csv"),
        {
            "type": "document",
            "title": "t.csv",
            "source": {"type": "text", "media_type": "text/plain", "data": "ä,b"},
        },
    ),
    (
        Media(MediaKind.DOCUMENT, "", b64("words")),
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "words"},
        },
    ),
]


@pytest.mark.parametrize(("media", "block"), MEDIA, ids=lambda value: str(value)[:60])
def test_media(media: Media, block: dict[str, Any]) -> None:
    assert messages(user(media))[0]["content"] == [block]
    result = ToolResult("c1", (Text("see"), media))
    sent = messages(USER, said(CALL), user(result), tools=(LOOK,))
    assert sent[-1]["content"][0]["content"] == [words("see"), block]


@pytest.mark.parametrize(
    ("media", "named"),
    [
        (Media(MediaKind.IMAGE, "image/bmp", "AAAA"), "image/bmp"),
        (Media(MediaKind.IMAGE, "", "AAAA"), "unknown"),
        (Media(MediaKind.IMAGE, file_id="f_9", issuer="openai"), "f_9"),
        (Media(MediaKind.DOCUMENT, "application/msword", "AAAA", name="a.doc"), "a.doc"),
        (Media(MediaKind.DOCUMENT, "text/plain", "////"), "text/plain"),
        (Media(MediaKind.DOCUMENT, "text/plain", url="https://e.org/a.txt"), "text/plain"),
        (Media(MediaKind.AUDIO, "audio/wav", "AAAA"), "audio"),
        (Media(MediaKind.VIDEO, "video/mp4", "AAAA"), "video"),
    ],
)
def test_media_claude_does_not_take_are_named(media: Media, named: str) -> None:
    with pytest.raises(Untranslatable, match=named):
        encode(ask(user(media)))


def test_a_picture_of_the_assistant_is_shown_by_the_user() -> None:
    picture = Media(MediaKind.IMAGE, "image/png", PNG)
    _, mine, yours = messages(USER, said(Text("here"), picture), user(Text("bigger")))
    assert mine["content"] == [words("here")]
    assert [block["type"] for block in yours["content"]] == ["text", "image", "text"]


# --- 7.7, 7.8, 7.9: tools ------------------------------


def test_tools() -> None:
    namespaced = Tool("go", namespace="ns", description="d", strict=True, schema=SCHEMA)
    custom = Tool("patch", ToolKind.CUSTOM, description="p", options={"format": {"type": "text"}})
    encoded = encode(ask(tools=(LOOK, Tool("bare", description=" "), namespaced, custom)))
    tools = orjson.loads(encoded.body)["tools"]
    assert tools[0] == {"name": "look", "input_schema": SCHEMA}
    assert tools[1] == {"name": "bare", "input_schema": {"type": "object", "properties": {}}}
    assert (tools[2]["name"], tools[2]["strict"]) == ("ns__go", True)
    assert tools[2]["input_schema"]["additionalProperties"] is False
    assert tools[3]["input_schema"]["required"] == ["input"]
    back = encoded.names.back("ns__go")
    assert (back.name, back.namespace) == ("go", "ns")
    assert encoded.names.back("patch").custom


def test_strictness_is_for_models_that_have_it() -> None:
    tool = body_of(ask(tools=(replace(LOOK, strict=True),)), OLD)["tools"][0]
    assert "strict" not in tool


def test_names_are_mended_everywhere() -> None:
    odd = "größe/" + "x" * 200
    encoded = encode(
        ask(
            USER,
            said(ToolCall("c1", odd, "{}")),
            user(RESULT),
            tools=(Tool(odd),),
            tool_choice=ToolChoice(Choosing.REQUIRED, (odd,)),
        )
    )
    body = orjson.loads(encoded.body)
    name = body["tools"][0]["name"]
    assert body["tool_choice"] == {"type": "tool", "name": name}
    assert body["messages"][1]["content"][0]["name"] == name
    assert encoded.names.back(name).name == odd


def test_a_union_at_the_top_of_a_schema_is_merged() -> None:
    other = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    sent = body_of(ask(tools=(Tool("f", schema={"anyOf": [SCHEMA, other]}),)))["tools"][0]
    assert set(sent["input_schema"]["properties"]) == {"sku", "n"}
    assert "anyOf" not in sent["input_schema"]


def test_properties_named_like_keywords_stay() -> None:
    names = ("type", "const", "additionalProperties", "$schema")
    properties = {name: {"type": "string"} for name in names}
    schema = {"type": "object", "properties": properties, "required": list(names)}
    sent = body_of(ask(tools=(Tool("f", schema=schema),)))["tools"][0]["input_schema"]
    assert sent["properties"] == properties


CHOICES: list[tuple[ToolChoice | None, bool | None, dict[str, Any] | None, list[str]]] = [
    (None, None, None, ["look", "other"]),
    (None, False, {"type": "auto", "disable_parallel_tool_use": True}, ["look", "other"]),
    (None, True, None, ["look", "other"]),
    (ToolChoice(Choosing.AUTO), None, {"type": "auto"}, ["look", "other"]),
    (ToolChoice(Choosing.AUTO, ("other",)), None, {"type": "auto"}, ["other"]),
    (ToolChoice(Choosing.AUTO, ("ghost",)), None, {"type": "auto"}, ["look", "other"]),
    (
        ToolChoice(Choosing.REQUIRED),
        False,
        {"type": "any", "disable_parallel_tool_use": True},
        ["look", "other"],
    ),
    (
        ToolChoice(Choosing.REQUIRED, ("look",)),
        None,
        {"type": "tool", "name": "look"},
        ["look", "other"],
    ),
    (ToolChoice(Choosing.REQUIRED, ("ghost",)), None, {"type": "any"}, ["look", "other"]),
    (
        ToolChoice(Choosing.REQUIRED, ("look", "other")),
        None,
        {"type": "any"},
        ["look", "other"],
    ),
    (ToolChoice(Choosing.NONE), False, {"type": "none"}, ["look", "other"]),
]


@pytest.mark.parametrize(("choice", "parallel", "wanted", "names"), CHOICES)
def test_tool_choice(
    choice: ToolChoice | None,
    parallel: bool | None,
    wanted: dict[str, Any] | None,
    names: list[str],
) -> None:
    tools = (LOOK, Tool("other"))
    body = body_of(ask(tools=tools, tool_choice=choice, parallel_calls=parallel))
    assert body.get("tool_choice") == wanted
    assert [tool["name"] for tool in body["tools"]] == names


def test_without_tools_there_is_nothing_to_choose() -> None:
    body = body_of(ask(tool_choice=ToolChoice(Choosing.REQUIRED), parallel_calls=False))
    assert not {"tools", "tool_choice"} & body.keys()


def test_a_history_with_calls_keeps_definitions() -> None:
    body = body_of(ask(USER, said(CALL), user(RESULT)))
    assert [tool["name"] for tool in body["tools"]] == ["look"]
    assert body["tool_choice"] == {"type": "none"}


def test_hosted_tools() -> None:
    place = {"type": "approximate", "city": "Ulm", "country": "DE", "x": 1}
    search = Tool(
        "search",
        ToolKind.WEB_SEARCH,
        options={
            "allowed_domains": ["e.org"],
            "blocked_domains": ["f.org"],
            "user_location": place,
            "max_uses": 3,
            "search_context_size": "low",
        },
    )
    request = ask(tools=(search, Tool("run", ToolKind.CODE_EXECUTION), LOOK))
    assert body_of(request)["tools"][:2] == [
        {
            "type": "web_search_20250305",
            "name": "web_search",
            "max_uses": 3,
            "allowed_domains": ["e.org"],
            "user_location": {"type": "approximate", "city": "Ulm", "country": "DE"},
        },
        {"type": "code_execution_20250825", "name": "code_execution"},
    ]
    assert losses(request) == ["blocked_domains", "search_context_size"]
    assert losses(request, official=False) == ["code_execution", "web_search"]
    blocked = Tool("s", ToolKind.WEB_SEARCH, options={"blocked_domains": ["f.org"]})
    assert body_of(ask(tools=(blocked,)))["tools"][0]["blocked_domains"] == ["f.org"]


@pytest.mark.parametrize(
    ("tool", "name"),
    [("search", "web_search"), ("run", "code_execution")],
)
def test_a_hosted_tool_can_be_demanded(tool: str, name: str) -> None:
    tools = (Tool("search", ToolKind.WEB_SEARCH), Tool("run", ToolKind.CODE_EXECUTION))
    body = body_of(ask(tools=tools, tool_choice=ToolChoice(Choosing.REQUIRED, (tool,))))
    assert body["tool_choice"] == {"type": "tool", "name": name}


def test_a_function_goes_before_a_hosted_tool_of_its_name() -> None:
    tools = (Tool("web_search", schema=SCHEMA), Tool("s", ToolKind.WEB_SEARCH))
    assert losses(ask(tools=tools)) == ["web_search"]


def test_tools_of_other_vendors_are_losses() -> None:
    foreign = Tool("image", ToolKind.OTHER, raw=Opaque("openai_responses", "image_generation"))
    assert losses(ask(tools=(foreign,))) == ["image_generation"]
    assert "tools" not in body_of(ask(tools=(foreign,)))


# --- 7.10: calls and results ------------------------------


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ("", b'"input":{}'),
        (" ", b'"input":{}'),
        ("{}", b'"input":{}'),
        (
            '{"n": 123456789012345678901234567890}',
            b'"input":{"n": 123456789012345678901234567890}',
        ),
        ('{"a":"\u2028\U0001f600"}', '"input":{"a":"\u2028\U0001f600"}'.encode()),
        ('{"a":', b'"input":{"_raw":"{\\"a\\":"}'),
        ("[1]", b'"input":{"_raw":"[1]"}'),
        ("7", b'"input":{"_raw":"7"}'),
        ('{"a":"\\ud800"}', b'"input":{"_raw":"{\\"a\\":\\"\\\\ud800\\"}"}'),
        ("{}{}", b'"input":{"_raw":"{}{}"}'),
    ],
)
def test_arguments_are_an_object_to_the_letter(arguments: str, sent: bytes) -> None:
    call = ToolCall("c1", "look", arguments)
    encoded = CODEC.encode_request(
        tidy(ask(USER, said(call), user(RESULT), tools=(LOOK,))), Target(BUDGET)
    )
    assert sent in encoded.body


def test_a_custom_call_is_wrapped() -> None:
    call = ToolCall("c1", "patch", "free text", custom=True)
    tools = (Tool("patch", ToolKind.CUSTOM),)
    sent = messages(USER, said(call), user(replace(RESULT, custom=True)), tools=tools)
    assert sent[1]["content"][0]["input"] == {"input": "free text"}


def test_results_come_first_and_in_the_order_of_the_calls() -> None:
    calls = [ToolCall(name, "look", "{}") for name in ("a.1", "a_1", "a/1")]
    results = [ToolResult(call.call_id, (Text(call.call_id),)) for call in reversed(calls)]
    sent = messages(
        USER, said(Text("so"), *calls), user(Text("and"), *results, Text("on")), tools=(LOOK,)
    )
    ids = [block["id"] for block in sent[1]["content"][1:]]
    assert ids == ["a_1_2", "a_1", "a_1_3"]
    answers = sent[2]["content"]
    assert [block.get("tool_use_id") for block in answers] == [*ids, None, None]
    told = [block["content"][0]["text"] for block in answers[:3]]
    assert told == ["a.1", "a_1", "a/1"]


def test_results_of_all_shapes() -> None:
    calls = [ToolCall(f"c{n}", "look", "{}") for n in range(3)]
    picture = Media(MediaKind.IMAGE, "image/png", PNG)
    results = (
        ToolResult("c0", ()),
        ToolResult("c1", (Text("bad"),), is_error=True),
        ToolResult("c2", (Text("bad"), picture), is_error=True),
    )
    empty, failed, shown = messages(USER, said(*calls), user(*results), tools=(LOOK,))[2]["content"]
    assert empty == {"type": "tool_result", "tool_use_id": "c0"}
    assert (failed["is_error"], failed["content"]) == (True, [words("bad")])
    assert "is_error" not in shown
    assert [piece["type"] for piece in shown["content"]] == ["text", "text", "image"]


def test_calls_of_a_last_turn_get_results_beside_the_text_that_follows_them() -> None:
    last = messages(USER, said(CALL, Text("and")), tools=(LOOK,))[-1]
    assert [block["type"] for block in last["content"]] == ["tool_result"]


def test_system_text_behind_the_assistants_words_leaves_them_last() -> None:
    sent = messages(USER, said(Text("so ")), system("note"), model="claude-opus-4-8")
    assert [message["role"] for message in sent] == ["user", "assistant", "system", "user"]


def test_an_interrupted_call_gets_a_result() -> None:
    for turns in ((USER, said(CALL)), (USER, said(CALL), user(Text("on")))):
        last = messages(*turns, tools=(LOOK,))[-1]
        assert (last["role"], last["content"][0]["tool_use_id"]) == ("user", "c1")


# --- 7.11, 10: thinking ------------------------------

THINKING: list[tuple[str, Reasoning, int | None, dict[str, Any] | None, str | None, list[str]]] = [
    # nothing said
    (BUDGET, Reasoning(), None, None, None, []),
    (YOUNGEST, Reasoning(), None, None, None, []),
    # budgets
    (BUDGET, Reasoning(budget=5000), 9000, {"type": "enabled", "budget_tokens": 5000}, None, []),
    (BUDGET, Reasoning(budget=32000), 32000, {"type": "enabled", "budget_tokens": 31999}, None, []),
    (BUDGET, Reasoning(budget=100), 9000, {"type": "enabled", "budget_tokens": 1024}, None, []),
    (BUDGET, Reasoning(budget=5000), 1024, None, None, ["reasoning"]),
    (BUDGET, Reasoning(level="high"), None, {"type": "enabled", "budget_tokens": 24576}, None, []),
    (BUDGET, Reasoning(level="max"), None, {"type": "enabled", "budget_tokens": 59903}, None, []),
    (BUDGET, Reasoning(level="auto"), None, {"type": "enabled", "budget_tokens": 8192}, None, []),
    (BUDGET, Reasoning(budget=-1), None, {"type": "enabled", "budget_tokens": 8192}, None, []),
    (BUDGET, Reasoning(adaptive=True), None, {"type": "enabled", "budget_tokens": 8192}, None, []),
    (BUDGET, Reasoning(show=True), None, {"type": "enabled", "budget_tokens": 8192}, None, []),
    (BUDGET, Reasoning(level="none"), None, None, None, []),
    (BUDGET, Reasoning(budget=0), None, None, None, []),
    # efforts
    (NEW, Reasoning(level="high"), None, {"type": "adaptive"}, "high", []),
    (NEW, Reasoning(level="minimal"), None, {"type": "adaptive"}, "low", []),
    (NEW, Reasoning(level="xhigh"), None, {"type": "adaptive"}, "xhigh", []),
    (MIDDLE, Reasoning(level="xhigh"), None, {"type": "adaptive"}, "high", []),
    (NEW, Reasoning(budget=8192), None, {"type": "adaptive"}, "medium", []),
    (NEW, Reasoning(budget=-1), None, {"type": "adaptive"}, None, []),
    (NEW, Reasoning(adaptive=True), None, {"type": "adaptive"}, None, []),
    (NEW, Reasoning(level="low", adaptive=True), None, {"type": "adaptive"}, "low", []),
    (NEW, Reasoning(summary="auto"), None, {"type": "adaptive"}, None, []),
    (NEW, Reasoning(level="none"), None, None, None, []),
    (YOUNGEST, Reasoning(level="none"), None, {"type": "disabled"}, None, []),
    (YOUNGEST, Reasoning(show=True), None, {"type": "adaptive"}, None, []),
    # models without
    (OLD, Reasoning(level="high"), None, None, None, ["reasoning"]),
    (OLD, Reasoning(level="none"), None, None, None, []),
]


@pytest.mark.parametrize(("model", "reasoning", "limit", "thinking", "effort", "lost"), THINKING)
def test_thinking(
    model: str,
    reasoning: Reasoning,
    limit: int | None,
    thinking: dict[str, Any] | None,
    effort: str | None,
    lost: list[str],
) -> None:
    request = ask(reasoning=reasoning, max_tokens=limit)
    body = body_of(request, model)
    if thinking == {"type": "adaptive"}:
        thinking = {"type": "adaptive", "display": "summarized"}
    assert body.get("thinking") == thinking
    assert body.get("output_config", {}).get("effort") == effort
    assert losses(request, model) == lost


def test_thoughts_nobody_wants_to_see_are_omitted() -> None:
    request = ask(reasoning=Reasoning(adaptive=True, show=False))
    assert body_of(request, NEW)["thinking"] == {"type": "adaptive", "display": "omitted"}


def test_a_model_that_always_thinks_thinks_least_when_told_not_to() -> None:
    traits = replace(traits_of(NEW), can_be_off=False)
    request = ask(reasoning=Reasoning(level="none"), sampling=Sampling(top_k=1))
    encoded = CODEC.encode_request(request, Target(NEW, traits))
    body = orjson.loads(encoded.body)
    assert "thinking" not in body
    assert body["output_config"] == {"effort": "low"}


@pytest.mark.parametrize(("model", "off"), [(BUDGET, None), (NEW, None), (YOUNGEST, "disabled")])
@pytest.mark.parametrize("choice", [ToolChoice(Choosing.REQUIRED), None], ids=["forced", "lost"])
def test_what_excludes_thinking_switches_it_off(
    model: str, off: str | None, choice: ToolChoice | None
) -> None:
    loop = (USER, said(Text("so"), CALL), user(RESULT)) if choice is None else (USER,)
    request = ask(*loop, tools=(LOOK,), tool_choice=choice, reasoning=Reasoning(level="high"))
    assert body_of(request, model).get("thinking", {}).get("type") == off
    assert losses(request, model) == ["reasoning"]
    silent = replace(request, reasoning=Reasoning())
    assert body_of(silent, model).get("thinking", {}).get("type") == off
    assert losses(silent, model) == []


def test_own_thinking_leads_its_turn_and_keeps_the_loop_thinking() -> None:
    hidden = Thinking("", Seal("anthropic", claude_redacted("x")), redacted=True)
    foreign = Thinking("their thoughts", Seal("openai", "enc", "rs_1"))
    bare = Thinking("unsealed")
    turns = (USER, said(Text("so"), foreign, bare, OWN, hidden, CALL), user(RESULT))
    request = ask(*turns, tools=(LOOK,), reasoning=Reasoning(level="high"))
    body = body_of(request)
    assert body["thinking"]["type"] == "enabled"
    kinds = [block["type"] for block in body["messages"][1]["content"]]
    assert kinds == ["thinking", "redacted_thinking", "text", "tool_use"]
    assert OWN.seal is not None
    assert body["messages"][1]["content"][0] == {
        "type": "thinking",
        "thinking": "hm",
        "signature": OWN.seal.value,
    }
    assert b"their thoughts" not in encode(request).body
    assert b"unsealed" not in encode(request).body


def test_thinking_between_the_blocks_of_a_turn_stays_there() -> None:
    turns = (USER, said(OWN, Text("a"), OWN, CALL), user(RESULT))
    kinds = [block["type"] for block in messages(*turns, tools=(LOOK,))[1]["content"]]
    assert kinds == ["thinking", "text", "thinking", "tool_use"]


# --- 7.13, 7.14: form and chance ------------------------------


def test_structured_output() -> None:
    form = OutputFormat(OutputKind.SCHEMA, "n", SCHEMA, description="An article")
    config = body_of(ask(output=form))["output_config"]
    assert config["format"] == {
        "type": "json_schema",
        "schema": {**SCHEMA, "additionalProperties": False},
    }
    told = body_of(ask(system("s"), USER, output=form), OLD)
    assert "output_config" not in told
    assert told["system"][0]["text"].startswith("s\n\n")
    assert '{"sku":{"type":"string"}}' in told["system"][0]["text"]
    assert "An article" in told["system"][0]["text"]
    anything = body_of(ask(output=OutputFormat(OutputKind.JSON)))
    assert "JSON object" in anything["system"][0]["text"]


CHANCE: list[tuple[str, Sampling, Reasoning, dict[str, Any], list[str]]] = [
    (
        "claude-opus-4-0",
        Sampling(1.5, 0.5, 3),
        Reasoning(),
        {"temperature": 1, "top_p": 0.5, "top_k": 3},
        [],
    ),
    (BUDGET, Sampling(1.5, 0.5, 3), Reasoning(), {"temperature": 1, "top_k": 3}, ["top_p"]),
    (BUDGET, Sampling(top_p=0.5), Reasoning(), {"top_p": 0.5}, []),
    (BUDGET, Sampling(0.5, 0.5, 3), Reasoning(level="low"), {}, ["temperature", "top_k", "top_p"]),
    (BUDGET, Sampling(1, 0.97), Reasoning(level="low"), {"top_p": 0.97}, []),
    (NEW, Sampling(0.5, 0.5, 3), Reasoning(), {}, ["temperature", "top_k", "top_p"]),
    (NEW, Sampling(1), Reasoning(), {}, []),
    (BUDGET, Sampling(stop=("END", " ", "")), Reasoning(), {"stop_sequences": ["END"]}, ["stop"]),
    (BUDGET, Sampling(stop=("END",)), Reasoning(), {"stop_sequences": ["END"]}, []),
    (
        BUDGET,
        Sampling(seed=0, presence_penalty=1, frequency_penalty=0, top_logprobs=2, count=1),
        Reasoning(),
        {},
        ["logprobs", "presence_penalty", "seed"],
    ),
]


@pytest.mark.parametrize(("model", "sampling", "reasoning", "sent", "lost"), CHANCE)
def test_chance(
    model: str, sampling: Sampling, reasoning: Reasoning, sent: dict[str, Any], lost: list[str]
) -> None:
    request = ask(sampling=sampling, reasoning=reasoning)
    body = body_of(request, model)
    knobs = ("temperature", "top_p", "top_k", "stop_sequences")
    assert {knob: body[knob] for knob in knobs if knob in body} == sent
    assert losses(request, model) == lost


def test_stop_strings_a_model_refuses_are_told() -> None:
    traits = replace(traits_of(BUDGET), takes_stop=False)
    encoded = CODEC.encode_request(ask(sampling=Sampling(stop=("a",))), Target(BUDGET, traits))
    assert [loss.name for loss in encoded.losses] == ["stop"]
    assert b"stop_sequences" not in encoded.body


def test_several_answers_are_refused() -> None:
    with pytest.raises(Untranslatable, match="`n`"):
        encode(ask(sampling=Sampling(count=2)))


@pytest.mark.parametrize(
    ("tier", "sent", "lost"),
    [
        ("", None, []),
        ("auto", "auto", []),
        ("priority", "auto", []),
        ("default", "standard_only", []),
        ("flex", "standard_only", []),
        ("scale", None, ["service_tier"]),
    ],
)
def test_service_tier(tier: str, sent: str | None, lost: list[str]) -> None:
    request = ask(service_tier=tier)
    assert body_of(request).get("service_tier") == sent
    assert losses(request) == lost


def test_the_end_user() -> None:
    assert body_of(ask(user="u1"))["metadata"] == {"user_id": "u1"}
    assert len(body_of(ask(user="u" * 300))["metadata"]["user_id"]) == 64


def test_other_members_are_told() -> None:
    request = ask(
        USER,
        said(Opaque("openai_responses", "web_search_call"), Text("a")),
        user(Text("b"), Opaque("gemini_generate", "executable_code")),
        metadata={"a": "b"},
        verbosity="low",
        cache_key="k",
        modalities=("text", "audio"),
        extras=(Opaque("openai_chat", "logit_bias"), Opaque("anthropic_messages", "container")),
    )
    assert losses(request) == [
        "executable_code",
        "logit_bias",
        "metadata",
        "modalities",
        "verbosity",
        "web_search_call",
    ]


@pytest.mark.parametrize(
    "members",
    [
        {"modalities": ("image",)},
        {"extras": (Opaque("openai_responses", "previous_response_id"),)},
    ],
)
def test_what_cannot_be_said_at_all_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(Untranslatable):
        encode(ask(**members))


# --- 7.16: caching ------------------------------


def marks(body: dict[str, Any]) -> list[str]:
    places = [("tools", body.get("tools", [])), ("system", body.get("system", []))]
    places += [(message["role"], message["content"]) for message in body["messages"]]
    return [place for place, blocks in places for block in blocks if "cache_control" in block]


def test_what_comes_again_is_marked_for_the_cache() -> None:
    turns = (system("s"), USER, said(OWN, CALL), user(RESULT))
    assert marks(body_of(ask(*turns, tools=(LOOK,)))) == ["tools", "system", "user"]
    assert "cache_control" in body_of(ask(*turns, tools=(LOOK,)))["messages"][-1]["content"][-1]
    assert marks(body_of(ask(system("s" * 5000), USER))) == ["system", "user"]
    assert marks(body_of(ask(system("short"), USER))) == []


# --- whole conversations ------------------------------


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("level", [None, "none", "high"])
def test_claude_code_can_be_sent_to_every_model(model: str, level: str | None) -> None:
    request = CODEC.decode_request(
        orjson.dumps({**claude_code.REQUEST, "messages": claude_code.REQUEST["messages"][:1]}),
        Operation.GENERATE,
        model="alias",
        stream=True,
    )
    picture = Media(MediaKind.IMAGE, "image/png", PNG)
    calls = [ToolCall(f"call:{n}", claude_code.LONG_NAME, f'{{"n":{n}}}') for n in range(4)]
    turns: list[Turn] = [system("s" * 20000), *request.turns]
    for n, call in enumerate(calls):
        turns += [
            said(Text(f"step {n} "), call, replace(call, call_id=f"b{n}", name="gone.tool")),
            user(ToolResult(f"b{n}", ()), ToolResult(call.call_id, (picture,), is_error=n == 2)),
            system(f"reminder {n}"),
        ]
    talk = replace(request, turns=tuple(turns), reasoning=Reasoning(level=level), max_tokens=4000)
    encoded = encode(talk, model)
    assert encoded.names.back(claude_code.LONG_NAME).name == claude_code.LONG_NAME


def test_two_requests_of_one_meaning_are_the_same_bytes() -> None:
    request = ask(system("s"), USER, said(OWN, CALL), user(RESULT), tools=(LOOK,))
    assert encode(request).body == encode(request).body
