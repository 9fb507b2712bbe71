"""Gemini requests, read from clients and written for upstreams."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from google.genai import types

from app.errors import BadRequest, Untranslatable
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
from app.ir.traits import ThinkingStyle, Traits
from app.protocols.base import Encoded, Operation, Target
from app.protocols.gemini_generate import GeminiGenerate, as_count
from app.protocols.gemini_generate.contents import NO_SEAL
from app.protocols.seals import pack

CODEC = GeminiGenerate()
ASK = Turn(Role.USER, (Text("q"),))
HI = {"role": "user", "parts": [{"text": "q"}]}
SEAL = Seal("google", "c2ln")
FOREIGN = Seal("anthropic", "EqQB")
PNG = Media(MediaKind.IMAGE, "image/png", data="iVBORw0KGgo=")
INLINE = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}


def decode(body: Any, operation: Operation = Operation.GENERATE) -> Request:
    return CODEC.decode_request(json.dumps(body).encode(), operation, model="m", stream=False)


def parts_of(*parts: Any, role: str = "user") -> tuple[Part, ...]:
    return decode({"contents": [{"role": role, "parts": list(parts)}]}).turns[0].parts


def encoded(request: Request, traits: Traits | None = None, *, official: bool = True) -> Encoded:
    target = Target("m", traits or Traits(), is_official=official)
    return CODEC.encode_request(tidy(request), target)


def body_of(request: Request, traits: Traits | None = None, *, official: bool = True) -> Any:
    return json.loads(encoded(request, traits, official=official).body)


def lost(request: Request, traits: Traits | None = None, *, official: bool = True) -> list[str]:
    return [loss.name for loss in encoded(request, traits, official=official).losses]


def talk(*turns: Turn, **more: Any) -> Request:
    return Request("m", turns or (ASK,), **more)


# --- reading ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "read"),
    [
        ({"text": "a"}, Text("a")),
        ({"text": "a", "thoughtSignature": "c2ln"}, Text("a", seal=SEAL)),
        ({"text": "a", "thought": True}, Thinking("a")),
        ({"text": "a", "thought": True, "thought_signature": "c2ln"}, Thinking("a", SEAL)),
        (
            {"text": "", "thought": True, "thoughtSignature": pack(FOREIGN, "google")},
            Thinking("", FOREIGN),
        ),
        ({"thoughtSignature": "c2ln"}, Text("", seal=SEAL)),
        (INLINE, PNG),
        ({"inline_data": {"mime_type": "image/PNG", "data": "iVBORw0KGgo"}}, PNG),
        (
            {"inlineData": {"mimeType": "image/jpg", "data": "_-8"}},
            Media(MediaKind.IMAGE, "image/jpeg", data="/+8="),
        ),
        (
            {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0="}},
            Media(MediaKind.DOCUMENT, "application/pdf", data="JVBERi0="),
        ),
        (
            {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}},
            Media(MediaKind.AUDIO, "audio/wav", data="AAAA"),
        ),
        (
            {"fileData": {"fileUri": "https://www.youtube.com/watch?v=x"}},
            Media(MediaKind.VIDEO, url="https://www.youtube.com/watch?v=x"),
        ),
        (
            {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/a"}},
            Media(
                MediaKind.DOCUMENT,
                file_id="https://generativelanguage.googleapis.com/v1beta/files/a",
                issuer="google",
            ),
        ),
        (
            {"fileData": {"fileUri": "gs://b/c.png", "mimeType": "image/png"}},
            Media(MediaKind.IMAGE, "image/png", file_id="gs://b/c.png", issuer="google"),
        ),
        (
            {"fileData": {"fileUri": "https://example.com/c.png?x=1"}},
            Media(MediaKind.IMAGE, "image/png", url="https://example.com/c.png?x=1"),
        ),
        (
            {"functionCall": {"name": "f", "args": {"n": 2**70, "s": "\u2028"}}},
            ToolCall("", "f", '{"n":1180591620717411303424,"s":"\\u2028"}'),
        ),
        ({"functionCall": {"name": "f", "id": "c1"}}, ToolCall("c1", "f", "{}")),
        (
            {"functionCall": {"name": "f"}, "thoughtSignature": "c2ln"},
            ToolCall("", "f", "{}", seal=SEAL),
        ),
        (
            {"executableCode": {"code": "1"}},
            Opaque("gemini_generate", "executable_code", {"executableCode": {"code": "1"}}),
        ),
    ],
)
def test_a_part_is_read(part: Any, read: Part) -> None:
    (found,) = parts_of(part, role="model")
    if isinstance(read, ToolCall) and isinstance(found, ToolCall):
        assert json.loads(found.arguments) == json.loads(read.arguments)
        assert str(2**70) in found.arguments or "n" not in read.arguments
        assert (found.name, found.call_id, found.seal) == (read.name, read.call_id, read.seal)
    else:
        assert found == read


@pytest.mark.parametrize(
    ("response", "text", "is_error"),
    [
        ({"result": "x"}, "x", False),
        ({"output": "x"}, "x", False),
        ({"result": [1, 2]}, '{"result":[1,2]}', False),
        ({"a": 1}, '{"a":1}', False),
        ({"error": "bad"}, "bad", True),
        ({"error": {"code": 1}}, '{"code":1}', True),
        ({"error": None, "result": "x"}, '{"error":null,"result":"x"}', False),
        ({"name": "f", "content": "x"}, "x", False),
        ("x", "x", False),
        ({"result": 12345678901234567890123}, '{"result":12345678901234567890123}', False),
    ],
)
def test_a_result_is_read(response: Any, text: str, is_error: bool) -> None:
    (found,) = parts_of({"functionResponse": {"name": "f", "response": response}})
    assert found == ToolResult("", (Text(text),), "f", is_error=is_error)


def test_a_result_may_be_empty_or_hold_media() -> None:
    assert parts_of({"functionResponse": {"name": "f", "response": {"result": ""}}}) == (
        ToolResult("", (), "f"),
    )
    assert parts_of({"functionResponse": {"name": "f", "id": "c", "parts": [INLINE]}}) == (
        ToolResult("c", (PNG,), "f"),
    )
    shown = {"functionResponse": {"name": "f", "content": "words"}}
    assert parts_of(shown) == (ToolResult("", (Text("words"),), "f"),)


@pytest.mark.parametrize(
    "said",
    ["be kind", {"parts": [{"text": "be kind"}]}, {"text": "be kind"}, ["be kind"]],
)
@pytest.mark.parametrize("name", ["systemInstruction", "system_instruction"])
def test_system_text_in_all_its_forms(said: Any, name: str) -> None:
    request = decode({name: said, "contents": [{"parts": [{"text": "q"}]}]})
    assert request.turns == (Turn(Role.SYSTEM, (Text("be kind"),)), ASK)


def test_roles() -> None:
    names = ["user", "model", "function", "system"]
    contents = [{"role": name, "parts": [{"text": "x"}]} for name in names]
    roles = [turn.role for turn in decode({"contents": contents}).turns]
    assert roles == [Role.USER, Role.ASSISTANT, Role.USER, Role.SYSTEM]


def test_settings_are_read_in_both_spellings() -> None:
    config = {
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 40.0,
        "candidateCount": 1,
        "maxOutputTokens": "500",
        "stopSequences": ["a"],
        "seed": 7,
        "presencePenalty": 0.1,
        "frequencyPenalty": 0.2,
        "responseLogprobs": True,
        "logprobs": 3,
        "responseModalities": ["TEXT", "IMAGE"],
        "thinkingConfig": {"includeThoughts": True, "thinkingBudget": -1},
    }
    snake = {
        "top_p": 0.9,
        "top_k": 40,
        "max_output_tokens": 500,
        "candidate_count": 1,
        "stop_sequences": ["a"],
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "response_logprobs": True,
        "response_modalities": ["TEXT", "IMAGE"],
        "thinking_config": {"include_thoughts": True, "thinking_budget": -1},
    }
    same = {name: config[name] for name in ("temperature", "seed", "logprobs")} | snake
    found = decode({"contents": [HI], "generationConfig": config})
    assert found == decode({"contents": [HI], "generation_config": same})
    assert found.sampling == Sampling(
        0.5, 0.9, 40, 7, 0.1, 0.2, ("a",), count=1, logprobs=True, top_logprobs=3
    )
    assert (found.max_tokens, found.modalities) == (500, ("text", "image"))
    assert found.reasoning == Reasoning(budget=-1, show=True)


@pytest.mark.parametrize(
    ("config", "read"),
    [
        ({"thinkingBudget": 0}, Reasoning(budget=0)),
        ({"thinkingLevel": "HIGH"}, Reasoning(level="high")),
        ({"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED"}, Reasoning()),
        ({"includeThoughts": False}, Reasoning(show=False)),
        ({"thinkingLevel": "LOW", "thinkingBudget": 9}, Reasoning(level="low")),
    ],
)
def test_thinking_is_read(config: Any, read: Reasoning) -> None:
    asked = {"contents": [HI], "generationConfig": {"thinkingConfig": config}}
    assert decode(asked).reasoning == read


@pytest.mark.parametrize(
    ("config", "read"),
    [
        ({"responseMimeType": "application/json"}, OutputFormat(OutputKind.JSON)),
        ({"responseMimeType": "text/plain"}, OutputFormat()),
        (
            {"responseMimeType": "application/json", "responseSchema": {"type": "STRING"}},
            OutputFormat(OutputKind.SCHEMA, schema={"type": "string"}),
        ),
        (
            {"response_json_schema": {"const": 1}},
            OutputFormat(OutputKind.SCHEMA, schema={"const": 1}),
        ),
    ],
)
def test_the_form_of_the_answer_is_read(config: Any, read: OutputFormat) -> None:
    assert decode({"contents": [HI], "generationConfig": config}).output == read


def test_tools_are_read() -> None:
    tools = [
        {
            "function_declarations": [
                {"name": "a", "description": "d", "parameters": {"type": "OBJECT"}},
                {"name": "b", "parametersJsonSchema": {"type": "object", "$defs": {}}},
                {"name": "c"},
            ],
            "googleSearch": {"excludeDomains": ["x.example"]},
        },
        {"code_execution": {}},
        {"urlContext": {}},
    ]
    assert decode({"contents": [HI], "tools": tools}).tools == (
        Tool("a", description="d", schema={"type": "object"}),
        Tool("b", schema={"type": "object", "$defs": {}}),
        Tool("c"),
        Tool("web_search", ToolKind.WEB_SEARCH, options={"blocked_domains": ["x.example"]}),
        Tool("code_execution", ToolKind.CODE_EXECUTION),
        Tool(
            "url_context",
            ToolKind.OTHER,
            raw=Opaque("gemini_generate", "url_context", {"urlContext": {}}),
        ),
    )


CHOICES = [
    ({"mode": "AUTO"}, ToolChoice(Choosing.AUTO)),
    ({"mode": "ANY"}, ToolChoice(Choosing.REQUIRED)),
    ({"mode": "NONE"}, ToolChoice(Choosing.NONE)),
    (
        {"mode": "ANY", "allowedFunctionNames": ["f"]},
        ToolChoice(Choosing.REQUIRED, ("f",)),
    ),
    (
        {"mode": "VALIDATED", "allowedFunctionNames": ["f"]},
        ToolChoice(Choosing.AUTO, ("f",)),
    ),
]


@pytest.mark.parametrize(("calling", "choice"), CHOICES)
def test_the_choice_goes_both_ways(calling: Any, choice: ToolChoice) -> None:
    asked = {"contents": [HI], "toolConfig": {"functionCallingConfig": calling}}
    assert decode(asked).tool_choice == choice
    request = talk(tools=(Tool("f"),), tool_choice=choice)
    assert body_of(request)["toolConfig"] == {"functionCallingConfig": calling}
    assert "toolConfig" not in body_of(talk(tool_choice=choice))


def test_no_mode_is_no_choice() -> None:
    calling = {"functionCallingConfig": {"mode": "MODE_UNSPECIFIED"}}
    assert decode({"contents": [HI], "toolConfig": calling}).tool_choice is None


def test_members_of_this_protocol_alone_are_kept_apart() -> None:
    asked = {
        "contents": [HI],
        "cachedContent": "cachedContents/x",
        "safetySettings": [{"category": "x"}],
        "generationConfig": {"speechConfig": {"a": 1}, "temperature": 1},
        "toolConfig": {"retrievalConfig": {}},
        "serviceTier": "FLEX",
    }
    request = decode(asked)
    names = [extra.what for extra in request.extras]
    assert names == ["cached_content", "safety_settings", "speech_config", "retrieval_config"]
    assert request.service_tier == "flex"
    body = body_of(request)
    assert body["cachedContent"] == "cachedContents/x"
    assert body["generationConfig"] == {"speechConfig": {"a": 1}, "temperature": 1}
    assert body["serviceTier"] == "flex"


def test_counts_hold_the_same_request() -> None:
    whole = {"contents": [HI], "systemInstruction": "s"}
    inner = decode({"generateContentRequest": {"model": "models/m", **whole}}, COUNT)
    assert inner == decode(whole, COUNT) == decode(whole)
    assert decode({"generate_content_request": whole}, COUNT) == inner


COUNT = Operation.COUNT_TOKENS


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"contents": []},
        {"contents": "x"},
        {"contents": [7]},
        {"contents": [{"role": "robot", "parts": []}]},
        {"contents": [{"parts": [{}]}]},
        {"contents": [{"parts": [{"text": 7}]}]},
        {"contents": [{"parts": [{"functionCall": {"name": "f", "args": "x"}}]}]},
        {"contents": [{"parts": [{"functionCall": {}}]}]},
        {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png"}}]}]},
        {"contents": [{"parts": [{"fileData": {}}]}]},
        {"contents": [HI], "tools": [{"functionDeclarations": [{}]}]},
        {"contents": [HI], "toolConfig": {"functionCallingConfig": {"mode": "SOME"}}},
        {"contents": [HI], "generationConfig": []},
        {"contents": [HI], "generationConfig": {"temperature": "warm"}},
        {"contents": [HI], "generationConfig": {"temperature": True}},
        {"contents": [HI], "generationConfig": {"topK": 1.5}},
        {"contents": [HI], "generationConfig": {"stopSequences": [1]}},
        {"contents": [HI], "generationConfig": {"responseLogprobs": 1}},
    ],
)
def test_what_has_the_wrong_shape_is_refused(body: Any) -> None:
    with pytest.raises(BadRequest):
        decode(body)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"[" * 100_000])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        CODEC.decode_request(body, Operation.GENERATE, model="m", stream=False)


# --- writing ---------------------------------------------------------------------------------

CALL = ToolCall("c1", "look", '{"sku":"A7"}')
STEP = Turn(Role.ASSISTANT, (Text("Checking."), CALL))


def test_a_tool_loop_is_written() -> None:
    request = talk(
        Turn(Role.SYSTEM, (Text("clerk"),)),
        ASK,
        STEP,
        Turn(Role.USER, (ToolResult("c1", (Text("14 units"),)),)),
        tools=(Tool("look", description="d", schema={"type": "object"}),),
        max_tokens=500,
    )
    declared = {"name": "look", "description": "d"}
    answered = {"name": "look", "response": {"result": "14 units"}}
    plain = {
        "systemInstruction": {"parts": [{"text": "clerk"}]},
        "contents": [
            HI,
            {
                "role": "model",
                "parts": [
                    {"text": "Checking."},
                    {"functionCall": {"name": "look", "args": {"sku": "A7"}}},
                ],
            },
            {"role": "user", "parts": [{"functionResponse": answered}]},
        ],
        "tools": [
            {"functionDeclarations": [declared | {"parameters": {"type": "OBJECT"}}]},
        ],
        "generationConfig": {"maxOutputTokens": 500},
    }
    assert body_of(request, official=False) == plain
    own = body_of(request)
    (tool,) = own["tools"][0]["functionDeclarations"]
    assert tool == declared | {"parametersJsonSchema": {"type": "object"}}
    assert own["contents"][1]["parts"][1]["functionCall"]["id"] == "c1"
    assert own["contents"][2]["parts"][0]["functionResponse"]["id"] == "c1"


def test_two_calls_of_one_function_with_results_in_reverse_order() -> None:
    calls = (ToolCall("c1", "f", "{}"), ToolCall("c2", "f", "{}"))
    results = (
        Text("and now?"),
        ToolResult("c2", (Text("two"),), is_error=True),
        ToolResult("c1", (Text("one"),)),
    )
    turns = (ASK, Turn(Role.ASSISTANT, calls), Turn(Role.USER, results))
    parts = body_of(talk(*turns), official=False)["contents"][2]["parts"]
    assert parts == [
        {"functionResponse": {"name": "f", "response": {"result": "one"}}},
        {"functionResponse": {"name": "f", "response": {"error": "two"}}},
        {"text": "and now?"},
    ]


@pytest.mark.parametrize(
    ("arguments", "written"),
    [
        ("", {}),
        ("{}", {}),
        ('{"n":1180591620717411303424}', {"n": 2**70}),
        ('{"s":"\\ud800"}', {"s": "\ud800"}),
        ('{"a', {"_raw": '{"a'}),
        ("[1]", {"_raw": "[1]"}),
        ('{"a":NaN}', {"_raw": '{"a":NaN}'}),
    ],
)
def test_arguments_are_objects(arguments: str, written: Any) -> None:
    turn = Turn(Role.ASSISTANT, (ToolCall("c", "f", arguments),))
    call = body_of(talk(ASK, turn))["contents"][1]["parts"][0]["functionCall"]
    assert call["args"] == written


def test_custom_tools_are_functions_with_one_text() -> None:
    tool = Tool("exec", ToolKind.CUSTOM, options={"format": {"type": "grammar", "syntax": "lark"}})
    turn = Turn(Role.ASSISTANT, (ToolCall("c", "exec", "1 + 1", custom=True),))
    found = encoded(talk(ASK, turn, tools=(tool,)))
    body = json.loads(found.body)
    assert body["contents"][1]["parts"][0]["functionCall"]["args"] == {"input": "1 + 1"}
    (declared,) = body["tools"][0]["functionDeclarations"]
    assert declared["parametersJsonSchema"]["required"] == ["input"]
    assert "lark" in declared["description"]
    assert found.names.back("exec").custom


@pytest.mark.parametrize("name", ["3d", "-x", "a b", "é", "a" * 200, "mcp.x:y-z", "_ok"])
def test_names_are_mended_there_and_back(name: str) -> None:
    tools = (Tool(name, namespace="ns"), Tool("_3d"), Tool("ok"))
    choice = ToolChoice(Choosing.REQUIRED, (name,))
    for official, longest in ((True, 128), (False, 64)):
        request = talk(tools=tools, tool_choice=choice)
        found = encoded(request, official=official)
        body = json.loads(found.body)
        names = [tool["name"] for tool in body["tools"][0]["functionDeclarations"]]
        assert len(set(names)) == 3
        for one in names:
            assert len(one) <= longest
            assert one[0].isalpha() or one[0] == "_"
            assert all(letter.isascii() for letter in one)
        assert [found.names.back(one).name for one in names] == [name, "_3d", "ok"]
        calling = body["toolConfig"]["functionCallingConfig"]
        assert calling == {"mode": "ANY", "allowedFunctionNames": names[:1]}


def test_a_wrong_first_letter_gets_a_name_of_its_own() -> None:
    found = encoded(talk(tools=(Tool("_3d"), Tool("3d"))))
    names = [tool["name"] for tool in json.loads(found.body)["tools"][0]["functionDeclarations"]]
    assert len(set(names)) == 2
    assert [found.names.back(name).name for name in names] == ["_3d", "3d"]


def test_own_seals_go_back_and_foreign_thinking_stays_away() -> None:
    said = Turn(
        Role.ASSISTANT,
        (
            Thinking("secret", FOREIGN),
            Thinking("unsigned"),
            Text("words", seal=SEAL),
            ToolCall("c1", "f", "{}", seal=SEAL),
            ToolCall("c2", "f", "{}", seal=FOREIGN),
        ),
    )
    strict = Traits(needs_call_seal=True)
    parts = body_of(talk(ASK, said), strict, official=False)["contents"][1]["parts"]
    call = {"functionCall": {"name": "f", "args": {}}}
    assert parts == [
        {"text": "words", "thoughtSignature": "c2ln"},
        call | {"thoughtSignature": "c2ln"},
        call,
    ]


def test_a_call_without_its_seal_gets_the_documented_one() -> None:
    calls = Turn(Role.ASSISTANT, (ToolCall("c1", "f", "{}"), ToolCall("c2", "f", "{}")))
    strict = Traits(needs_call_seal=True)
    parts = body_of(talk(ASK, calls), strict)["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == [NO_SEAL, None]
    parts = body_of(talk(ASK, calls))["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == [None, None]


def test_a_seal_kept_on_thinking_returns_to_the_call_behind_it() -> None:
    said = Turn(Role.ASSISTANT, (Thinking("", SEAL), ToolCall("c1", "f", "{}")))
    (part,) = body_of(talk(ASK, said))["contents"][1]["parts"]
    assert part["thoughtSignature"] == "c2ln"
    assert "functionCall" in part
    alone = Turn(Role.ASSISTANT, (Thinking("hm", SEAL), Text("a")))
    parts = body_of(talk(ASK, alone))["contents"][1]["parts"]
    assert parts[0] == {"text": "hm", "thought": True, "thoughtSignature": "c2ln"}


def test_a_turn_of_foreign_thinking_alone_vanishes() -> None:
    request = talk(ASK, Turn(Role.ASSISTANT, (Thinking("x", FOREIGN),)), ASK)
    assert body_of(request)["contents"] == [{"role": "user", "parts": [{"text": "q"}] * 2}]


def test_system_text_in_the_middle_is_gathered_in_front() -> None:
    late = Turn(Role.SYSTEM, (Text("late"), PNG))
    early = Turn(Role.SYSTEM, (Text("early"), Text("more")))
    body = body_of(talk(early, ASK, late, Turn(Role.USER, (Text("r"),))))
    assert [part["text"] for part in body["systemInstruction"]["parts"]] == [
        "early",
        "more",
        "late",
    ]
    assert body["contents"] == [{"role": "user", "parts": [{"text": "q"}, INLINE, {"text": "r"}]}]


def test_the_user_speaks_first() -> None:
    contents = body_of(talk(STEP))["contents"]
    assert [content["role"] for content in contents] == ["user", "model"]
    assert contents[0]["parts"] == [{"text": " "}]


def test_media_in_results() -> None:
    result = Turn(Role.USER, (ToolResult("c1", (Text("see"), PNG)), Text("well?")))
    inside = body_of(talk(ASK, STEP, result))["contents"][2]["parts"]
    assert inside[0]["functionResponse"]["parts"] == [INLINE]
    older = Traits(takes_media_in_results=False)
    beside = body_of(talk(ASK, STEP, result), older)["contents"][2]["parts"]
    assert "parts" not in beside[0]["functionResponse"]
    assert beside[1:] == [INLINE, {"text": "well?"}]
    alone = Turn(Role.USER, (ToolResult("c1", (PNG,)),))
    shown = body_of(talk(ASK, STEP, alone), older)["contents"][2]["parts"]
    assert shown[0]["functionResponse"]["response"] == {"result": "The result is attached."}
    empty = Turn(Role.USER, (ToolResult("c1", ()),))
    told = body_of(talk(ASK, STEP, empty))["contents"][2]["parts"]
    assert told[0]["functionResponse"]["response"] == {"result": ""}


@pytest.mark.parametrize(
    ("media", "part"),
    [
        (PNG, INLINE),
        (Media(MediaKind.IMAGE, data="iVBORw0KGgo="), INLINE),
        (
            Media(MediaKind.DOCUMENT, data="eA==", name="a.csv"),
            {"inlineData": {"mimeType": "text/csv", "data": "eA=="}},
        ),
        (
            Media(MediaKind.AUDIO, data="AAAA"),
            {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}},
        ),
        (
            Media(MediaKind.VIDEO, url="https://youtu.be/x"),
            {"fileData": {"fileUri": "https://youtu.be/x"}},
        ),
        (
            Media(MediaKind.IMAGE, "image/png", file_id="files/x", issuer="google"),
            {"fileData": {"mimeType": "image/png", "fileUri": "files/x"}},
        ),
    ],
)
def test_media_are_written(media: Media, part: Any) -> None:
    assert body_of(talk(Turn(Role.USER, (media,))))["contents"][0]["parts"] == [part]


@pytest.mark.parametrize(
    "media",
    [
        Media(MediaKind.IMAGE, file_id="file-1", issuer="openai"),
        Media(MediaKind.IMAGE, url="https://example.com/x.png"),
    ],
)
def test_media_that_cannot_be_given_are_refused(media: Media) -> None:
    with pytest.raises(Untranslatable, match="image"):
        encoded(talk(Turn(Role.USER, (media,))))


def test_words_of_refusal_and_foreign_parts() -> None:
    said = Turn(Role.ASSISTANT, (Refusal("no"), Opaque("openai_responses", "web_search_call")))
    request = talk(ASK, said)
    assert body_of(request)["contents"][1]["parts"] == [{"text": "no"}]
    assert lost(request) == ["web_search_call"]


def test_search_gives_way_to_functions_where_both_cannot_be() -> None:
    search = Tool("web_search", ToolKind.WEB_SEARCH, options={"allowed_domains": ["x"]})
    code = Tool("code_execution", ToolKind.CODE_EXECUTION)
    both = talk(tools=(Tool("f"), search, code))
    assert body_of(both)["tools"][1:] == [{"googleSearch": {}}, {"codeExecution": {}}]
    assert lost(both) == ["allowed_domains"]
    older = Traits(searches_beside_functions=False)
    assert body_of(both, older)["tools"] == [{"functionDeclarations": [{"name": "f"}]}]
    assert lost(both, older) == ["web_search", "code_execution"]
    alone = talk(tools=(search,))
    assert body_of(alone, older)["tools"] == [{"googleSearch": {}}]


def test_tools_of_one_protocol_alone() -> None:
    own = Tool("url", ToolKind.OTHER, raw=Opaque("gemini_generate", "url", {"urlContext": {}}))
    other = Tool("m", ToolKind.OTHER, raw=Opaque("anthropic_messages", "mcp_toolset"))
    request = talk(tools=(own, other))
    assert body_of(request)["tools"] == [{"urlContext": {}}]
    assert lost(request) == ["mcp_toolset"]


BUDGET = Traits(style=ThinkingStyle.BUDGET, budget_min=128, budget_max=32768, can_be_off=False)
LEVEL = Traits(style=ThinkingStyle.LEVEL, levels=("minimal", "low", "high"), can_be_off=False)


@pytest.mark.parametrize(
    ("reasoning", "traits", "config"),
    [
        (Reasoning(), BUDGET, None),
        (Reasoning(budget=99999), BUDGET, {"thinkingBudget": 32768}),
        (Reasoning(level="none"), BUDGET, {"thinkingBudget": 128}),
        (
            Reasoning(level="low", show=True),
            BUDGET,
            {"thinkingBudget": 1024, "includeThoughts": True},
        ),
        (Reasoning(budget=-1), BUDGET, {"thinkingBudget": -1}),
        (Reasoning(level="medium"), LEVEL, {"thinkingLevel": "LOW"}),
        (Reasoning(level="none", show=True), LEVEL, {"thinkingLevel": "MINIMAL"}),
        (Reasoning(budget=30000), LEVEL, {"thinkingLevel": "HIGH"}),
        (Reasoning(adaptive=True, show=True), LEVEL, {"includeThoughts": True}),
    ],
)
def test_thinking_is_written(reasoning: Reasoning, traits: Traits, config: Any) -> None:
    body = body_of(talk(reasoning=reasoning), traits)
    assert body.get("generationConfig", {}).get("thinkingConfig") == config


def test_a_model_that_cannot_be_told_to_think_is_not() -> None:
    request = talk(reasoning=Reasoning(level="high", show=True))
    assert "generationConfig" not in body_of(request)
    assert lost(request) == ["reasoning"]


def test_knobs_are_written_within_their_limits() -> None:
    sampling = Sampling(
        temperature=2.5,
        top_p=0.9,
        top_k=3,
        seed=7,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        stop=("a", "", "b", "c", "d", "e", "f"),
        count=1,
        logprobs=True,
        top_logprobs=2,
    )
    request = talk(sampling=sampling, max_tokens=10**6, modalities=("text", "image"))
    assert body_of(request, Traits(max_output=65536))["generationConfig"] == {
        "temperature": 2,
        "topP": 0.9,
        "topK": 3,
        "maxOutputTokens": 65536,
        "stopSequences": ["a", "b", "c", "d", "e"],
        "seed": 7,
        "presencePenalty": 0.1,
        "frequencyPenalty": 0.2,
        "responseLogprobs": True,
        "logprobs": 2,
        "responseModalities": ["TEXT", "IMAGE"],
    }
    assert lost(request) == ["stop", "logprobs"]


def test_knobs_a_model_refuses_are_lost() -> None:
    sampling = Sampling(temperature=1, top_p=1, top_k=1, seed=2**40, stop=("x",))
    traits = Traits(takes_temperature=False, takes_top_p=False, takes_top_k=False, takes_stop=False)
    request = talk(sampling=sampling)
    assert "generationConfig" not in body_of(request, traits)
    assert lost(request, traits) == ["top_p", "temperature", "top_k", "stop", "seed"]
    picky = Traits(takes_both_t_and_p=False)
    assert lost(request, picky) == ["top_p", "seed"]


def test_what_has_no_word_here_is_told() -> None:
    request = talk(
        tools=(Tool("f", strict=True),),
        parallel_calls=False,
        verbosity="low",
        metadata={"a": "b"},
        user="u",
        cache_key="k",
        service_tier="scale",
        extras=(Opaque("openai_chat", "logit_bias", {"logit_bias": {}}),),
    )
    assert lost(request) == [
        "logit_bias",
        "strict",
        "service_tier",
        "parallel_tool_calls",
        "verbosity",
        "metadata",
        "user",
        "prompt_cache_key",
    ]


@pytest.mark.parametrize(
    ("tier", "written"),
    [("auto", None), ("default", None), ("flex", "flex"), ("standard_only", "standard")],
)
def test_service_tiers(tier: str, written: str | None) -> None:
    assert body_of(talk(service_tier=tier)).get("serviceTier") == written
    assert lost(talk(service_tier=tier)) == []
    assert lost(talk(service_tier=tier), official=False) == (["service_tier"] if written else [])


def test_content_elsewhere_and_several_answers_are_refused() -> None:
    foreign = Opaque("openai_responses", "previous_response_id")
    with pytest.raises(Untranslatable, match="previous_response_id"):
        encoded(talk(extras=(foreign,)))
    with pytest.raises(Untranslatable, match="n"):
        encoded(talk(sampling=Sampling(count=2)))


def test_the_form_of_the_answer() -> None:
    form = OutputFormat(OutputKind.SCHEMA, schema={"type": "object", "additionalProperties": False})
    request = talk(output=form)
    assert body_of(request)["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object", "additionalProperties": False},
    }
    assert body_of(request, official=False)["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseSchema": {"type": "OBJECT"},
    }
    plain = talk(output=OutputFormat(OutputKind.JSON))
    assert body_of(plain)["generationConfig"] == {"responseMimeType": "application/json"}


def test_the_form_is_asked_for_in_words_where_it_cannot_be_set() -> None:
    form = OutputFormat(OutputKind.SCHEMA, schema={"type": "object"})
    older = Traits(searches_beside_functions=False)
    request = talk(output=form, tools=(Tool("f"),))
    body = body_of(request, older)
    assert "generationConfig" not in body
    assert '{"type":"object"}' in body["systemInstruction"]["parts"][0]["text"]
    assert lost(request, older) == ["response_format"]


def test_one_resolution_for_all_pictures() -> None:
    def shown(*details: str) -> Request:
        pictures = tuple(Media(MediaKind.IMAGE, data="AAAA", detail=detail) for detail in details)
        return talk(Turn(Role.USER, pictures))

    assert body_of(shown("high", "auto"))["generationConfig"] == {
        "mediaResolution": "MEDIA_RESOLUTION_HIGH"
    }
    assert "generationConfig" not in body_of(shown("auto"))
    assert lost(shown("high", "low")) == ["detail"]
    asked = {"contents": [{"parts": [INLINE]}]}
    config = {"generationConfig": {"mediaResolution": "MEDIA_RESOLUTION_LOW"}}
    (media,) = decode(asked | config).turns[0].parts
    assert isinstance(media, Media)
    assert media.detail == "low"


def test_a_foreign_seal_returns_as_what_it_was() -> None:
    redacted = Thinking("", FOREIGN, redacted=True)
    from app.protocols.gemini_generate.contents import packed

    signature = packed(redacted.seal, redacted=True)
    base64.b64decode(signature, validate=True)
    part = {"text": "", "thought": True, "thoughtSignature": signature}
    assert parts_of(part, role="model") == (redacted,)


@pytest.mark.parametrize("official", [True, False])
def test_the_sdks_own_types_know_every_member(official: bool) -> None:
    """They refuse a member they do not know, as the service does."""
    deep = {
        "type": "object",
        "properties": {"a": {"type": ["string", "null"], "minLength": 1}, "b": {"enum": [1, 2]}},
        "required": ["a", "ghost"],
        "additionalProperties": False,
    }
    request = talk(
        Turn(Role.SYSTEM, (Text("s"),)),
        Turn(Role.USER, (Text("q"), PNG)),
        Turn(Role.ASSISTANT, (Text("a", seal=SEAL), CALL, ToolCall("c2", "look", "{}"))),
        Turn(Role.USER, (ToolResult("c2", (Text("x"), PNG)), ToolResult("c1", (), is_error=True))),
        tools=(Tool("look", description="d", schema=deep), Tool("web", ToolKind.WEB_SEARCH)),
        tool_choice=ToolChoice(Choosing.AUTO, ("look",)),
        max_tokens=9,
        sampling=Sampling(0.5, 0.9, 3, 7, 0.1, 0.2, ("x",), 1, logprobs=True, top_logprobs=2),
        reasoning=Reasoning(level="high", show=True),
        output=OutputFormat(OutputKind.SCHEMA, schema=deep),
        modalities=("text", "image"),
    )
    body = body_of(request, LEVEL, official=official)
    for content in [*body["contents"], body["systemInstruction"]]:
        types.Content.model_validate(content)
    for tool in body["tools"]:
        types.Tool.model_validate(tool)
    types.ToolConfig.model_validate(body["toolConfig"])
    types.GenerationConfig.model_validate(body["generationConfig"])
    known = {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig"}
    assert body.keys() == known
    responses = [part["functionResponse"] for part in body["contents"][2]["parts"]]
    assert [one["response"] for one in responses] == [{"error": ""}, {"result": "x"}]


def test_what_is_written_reads_the_same() -> None:
    request = talk(
        Turn(Role.SYSTEM, (Text("s"),)),
        Turn(Role.USER, (Text("q"), PNG)),
        Turn(Role.ASSISTANT, (Text("a", seal=SEAL), CALL)),
        Turn(Role.USER, (ToolResult("c1", (Text('{"a": 1}'), PNG), "look"),)),
        tools=(Tool("look", description="d", schema={"type": "object"}),),
        tool_choice=ToolChoice(Choosing.REQUIRED, ("look",)),
        max_tokens=9,
        sampling=Sampling(0.5, 0.9, 3, 7, 0.1, 0.2, ("x",)),
        reasoning=Reasoning(level="high", show=True),
        output=OutputFormat(OutputKind.SCHEMA, schema={"type": "object"}),
        service_tier="flex",
    )
    assert decode(body_of(request, LEVEL)) == request


def test_a_count_holds_the_whole_request() -> None:
    request = talk(Turn(Role.SYSTEM, (Text("s"),)), ASK, tools=(Tool("f"),))
    body = json.loads(as_count(encoded(request).body, "gemini-x"))
    assert body["generateContentRequest"].pop("model") == "models/gemini-x"
    assert body == {"generateContentRequest": body_of(request)}
    assert decode(body, COUNT) == request
