"""What the codec understands of a client's request."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from app.errors import BadRequest
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
    Turn,
)
from app.protocols.base import Operation
from app.protocols.seals import pack
from tests.protocols.openai_chat.asked import CHAT, decoded, of_messages

PNG = "iVBORw0KGgo="
HI = {"role": "user", "content": "hi"}
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 2**70}}}


def parts_of(request: Request) -> list[Any]:
    return [part for turn in request.turns for part in turn.parts]


def part_of(part: dict[str, Any]) -> Any:
    (found,) = parts_of(of_messages({"role": "user", "content": [part]}))
    return found


def test_all_knobs() -> None:
    request = of_messages(
        HI,
        stream=True,
        stream_options={"include_usage": True},
        max_completion_tokens=7,
        max_tokens=9,
        temperature=0.5,
        top_p=0.9,
        top_k=3,
        seed=4,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        stop="END",
        n=1,
        logprobs=True,
        top_logprobs=2,
        reasoning_effort="high",
        verbosity="low",
        user="u",
        safety_identifier="s",
        prompt_cache_key="c",
        metadata={"a": "b"},
        service_tier="flex",
        parallel_tool_calls=False,
        modalities=["text", "audio"],
        audio={"voice": "x", "format": "wav"},
        logit_bias={"5": 1},
        prediction={"type": "content", "content": "x"},
        store=True,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": SCHEMA, "strict": True, "description": "d"},
        },
        some_unknown_member=1,
    )
    assert request == Request(
        model="m",
        turns=(Turn(Role.USER, (Text("hi"),)),),
        stream=True,
        parallel_calls=False,
        max_tokens=7,
        sampling=Sampling(0.5, 0.9, 3, 4, 0.1, 0.2, ("END",), 1, True, 2),
        reasoning=Reasoning(level="high"),
        output=OutputFormat(OutputKind.SCHEMA, "n", SCHEMA, True, "d"),
        user="s",
        metadata={"a": "b"},
        service_tier="flex",
        verbosity="low",
        cache_key="c",
        modalities=("text", "audio"),
        extras=(
            Opaque("openai_chat", "audio", {"audio": {"voice": "x", "format": "wav"}}),
            Opaque("openai_chat", "logit_bias", {"logit_bias": {"5": 1}}),
            Opaque(
                "openai_chat", "prediction", {"prediction": {"type": "content", "content": "x"}}
            ),
            Opaque("openai_chat", "store", {"store": True}),
        ),
        include_usage=True,
    )


def test_nothing_said_is_nothing_asked() -> None:
    nulls: dict[str, Any] = dict.fromkeys(
        ("temperature", "stop", "tools", "tool_choice", "max_tokens", "n", "user", "logit_bias")
    )
    request = of_messages(HI, store=False, modalities=["text"], **nulls)
    assert request == Request("m", (Turn(Role.USER, (Text("hi"),)),))


def test_older_limit_counts_without_the_newer() -> None:
    assert of_messages(HI, max_tokens=9).max_tokens == 9
    assert of_messages(HI, max_tokens=9.0).max_tokens == 9


def test_stops_may_be_a_list() -> None:
    assert of_messages(HI, stop=["a", "b"]).sampling.stop == ("a", "b")


def test_a_stream_that_did_not_ask_for_usage_gets_none() -> None:
    assert not of_messages(HI, stream=True).include_usage
    assert of_messages(HI).include_usage


@pytest.mark.parametrize(
    ("form", "output"),
    [
        ({"type": "text"}, OutputFormat()),
        ({"type": "json_object"}, OutputFormat(OutputKind.JSON)),
        (
            {"type": "json_schema", "json_schema": {"name": "n"}},
            OutputFormat(OutputKind.SCHEMA, "n", {}),
        ),
    ],
)
def test_forms_of_output(form: dict[str, Any], output: OutputFormat) -> None:
    assert of_messages(HI, response_format=form).output == output


def test_roles_and_places() -> None:
    request = of_messages(
        {"role": "system", "content": "a"},
        {"role": "user", "content": [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}]},
        {"role": "developer", "content": [{"type": "text", "text": "d"}]},
        {"role": "assistant", "content": None},
    )
    assert request.turns == (
        Turn(Role.SYSTEM, (Text("a"),)),
        Turn(Role.USER, (Text("b"), Text("c"))),
        Turn(Role.SYSTEM, (Text("d"),)),
        Turn(Role.ASSISTANT, ()),
    )


def test_what_an_assistant_said() -> None:
    signed = {"google": {"thought_signature": "sig"}}
    tagged = {"google": {"thought_signature": pack(Seal("anthropic", "v"), "google")}}
    request = of_messages(
        {
            "role": "assistant",
            "reasoning_content": "hm",
            "reasoning_details": [{"type": "x"}],
            "content": [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "b"}],
            "refusal": "c",
            "annotations": [],
            "audio": {"id": "audio_1"},
            "tool_calls": [
                {
                    "id": "1",
                    "type": "function",
                    "function": {"name": "f", "arguments": '{"n": 9007199254740993}'},
                    "extra_content": signed,
                },
                {"id": "2", "function": {"name": "f", "arguments": ""}, "extra_content": tagged},
                {"id": "3", "type": "custom", "custom": {"name": "c", "input": "free"}},
            ],
        },
        {"role": "tool", "tool_call_id": "3", "content": "done"},
        {"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": "one"}]},
    )
    assert parts_of(request) == [
        Thinking("hm"),
        Text("a"),
        Refusal("b"),
        Refusal("c"),
        Opaque("openai_chat", "audio", {"id": "audio_1"}),
        ToolCall("1", "f", '{"n": 9007199254740993}', seal=Seal("google", "sig")),
        ToolCall("2", "f", "{}", seal=Seal("anthropic", "v")),
        ToolCall("3", "c", "free", custom=True),
        ToolResult("3", (Text("done"),), custom=True),
        ToolResult("1", (Text("one"),)),
    ]


def test_the_other_spelling_of_thoughts() -> None:
    request = of_messages({"role": "assistant", "reasoning": "hm", "content": "x"})
    assert parts_of(request) == [Thinking("hm"), Text("x")]


def test_forms_that_some_clients_send() -> None:
    request = of_messages(
        {
            "role": "assistant",
            "content": ["a", {"type": "thinking", "thinking": "hm"}, {"type": "output_text"}],
            "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": {"n": 2**70}}}],
        },
        tools=[{"type": "web_search", "filters": {"allowed_domains": ["x.org"]}}],
    )
    assert parts_of(request) == [
        Text("a"),
        Thinking("hm"),
        ToolCall("1", "f", f'{{"n":{2**70}}}'),
    ]
    assert request.tools[0].options == {"allowed_domains": ["x.org"]}


def test_functions_before_tools() -> None:
    request = of_messages(
        {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "r"},
        functions=[{"name": "f", "parameters": SCHEMA}],
        function_call={"name": "f"},
    )
    assert parts_of(request) == [ToolCall("", "f", "{}"), ToolResult("", (Text("r"),), "f")]
    assert request.tools == (Tool("f", schema=SCHEMA),)
    assert request.tool_choice == ToolChoice(Choosing.REQUIRED, ("f",))
    assert of_messages(HI, function_call="none").tool_choice == ToolChoice(Choosing.NONE)


@pytest.mark.parametrize(
    ("url", "media"),
    [
        (f"data:image/png;base64,{PNG}", Media(MediaKind.IMAGE, "image/png", PNG)),
        (f"data:image/jpg;charset=x;base64,{PNG}", Media(MediaKind.IMAGE, "image/jpeg", PNG)),
        (f"DATA:image/png;base64,{PNG[:-1]}", Media(MediaKind.IMAGE, "image/png", PNG)),
        ("data:image/svg+xml,%3Csvg/%3E", Media(MediaKind.IMAGE, "image/svg+xml", "PHN2Zy8+")),
        ("https://x/y.png", Media(MediaKind.IMAGE, url="https://x/y.png")),
    ],
)
def test_pictures(url: str, media: Media) -> None:
    assert part_of({"type": "image_url", "image_url": {"url": url}}) == media
    assert part_of({"type": "image_url", "image_url": url}) == media


def test_a_picture_keeps_its_detail() -> None:
    part = part_of({"type": "image_url", "image_url": {"url": "https://x", "detail": "low"}})
    assert part.detail == "low"


@pytest.mark.parametrize(
    ("held", "media"),
    [
        ({"data": PNG, "format": "wav"}, Media(MediaKind.AUDIO, "audio/wav", PNG)),
        ({"data": PNG, "format": "mp3"}, Media(MediaKind.AUDIO, "audio/mp3", PNG)),
        ({"data": f"data:audio/ogg;base64,{PNG}"}, Media(MediaKind.AUDIO, "audio/ogg", PNG)),
    ],
)
def test_recordings(held: dict[str, Any], media: Media) -> None:
    assert part_of({"type": "input_audio", "input_audio": held}) == media


@pytest.mark.parametrize(
    ("held", "media"),
    [
        (
            {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PNG}"},
            Media(MediaKind.DOCUMENT, "application/pdf", PNG, name="a.pdf"),
        ),
        (
            {"filename": "a.csv", "file_data": PNG},
            Media(MediaKind.DOCUMENT, "text/csv", PNG, name="a.csv"),
        ),
        (
            {"filename": "a.csv", "file_data": f"data:application/octet-stream;base64,{PNG}"},
            Media(MediaKind.DOCUMENT, "text/csv", PNG, name="a.csv"),
        ),
        ({"file_data": PNG}, Media(MediaKind.DOCUMENT, "application/pdf", PNG)),
        (
            {"filename": "a.png", "file_data": PNG},
            Media(MediaKind.IMAGE, "image/png", PNG, name="a.png"),
        ),
        (
            {"filename": "a.pdf", "file_data": "https://x/a.pdf"},
            Media(MediaKind.DOCUMENT, "application/pdf", url="https://x/a.pdf", name="a.pdf"),
        ),
        ({"file_id": "file-1"}, Media(MediaKind.DOCUMENT, file_id="file-1", issuer="openai")),
    ],
)
def test_files(held: dict[str, Any], media: Media) -> None:
    assert part_of({"type": "file", "file": held}) == media


def test_base64_in_percent_letters() -> None:
    url = "data:image/png;base64,iVBORw0KGgo%3D"
    assert part_of({"type": "image_url", "image_url": url}).data == PNG


def test_base64_of_other_letters_and_with_line_ends() -> None:
    data = base64.b64encode(b"\xfb\xff\xfe" * 9)
    urlsafe = base64.urlsafe_b64encode(b"\xfb\xff\xfe" * 9).decode()
    broken = urlsafe[:8] + "\r\n" + urlsafe[8:]
    assert part_of({"type": "file", "file": {"file_data": broken}}).data == data.decode()


def test_a_picture_that_an_answer_carried_is_a_picture_again() -> None:
    text = f"here: ![image](data:image/png;base64,{PNG}) done"
    request = of_messages({"role": "assistant", "content": text})
    assert parts_of(request) == [
        Text("here: "),
        Media(MediaKind.IMAGE, "image/png", PNG),
        Text(" done"),
    ]


def test_tools_of_all_kinds() -> None:
    grammar = {"definition": "x", "syntax": "lark"}
    request = of_messages(
        HI,
        tools=[
            {"type": "function", "function": {"name": "f", "description": "d", "strict": True}},
            {"type": "function", "name": "flat", "parameters": SCHEMA},
            {
                "type": "custom",
                "custom": {"name": "c", "format": {"type": "grammar", "grammar": grammar}},
            },
            {"type": "browser", "x": 1},
        ],
        web_search_options={
            "search_context_size": "low",
            "user_location": {"type": "approximate", "approximate": {"city": "Wien"}},
        },
    )
    assert request.tools == (
        Tool("f", description="d", strict=True),
        Tool("flat", schema=SCHEMA),
        Tool("c", ToolKind.CUSTOM, options={"format": {"type": "grammar"} | grammar}),
        Tool(
            "browser",
            ToolKind.OTHER,
            raw=Opaque("openai_chat", "browser", {"type": "browser", "x": 1}),
        ),
        Tool(
            "web_search",
            ToolKind.WEB_SEARCH,
            options={
                "search_context_size": "low",
                "user_location": {"type": "approximate", "city": "Wien"},
            },
        ),
    )


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", ToolChoice(Choosing.AUTO)),
        ("required", ToolChoice(Choosing.REQUIRED)),
        ("none", ToolChoice(Choosing.NONE)),
        (
            {"type": "function", "function": {"name": "f"}},
            ToolChoice(Choosing.REQUIRED, ("f",)),
        ),
        ({"type": "custom", "custom": {"name": "c"}}, ToolChoice(Choosing.REQUIRED, ("c",))),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "auto",
                    "tools": [{"type": "function", "function": {"name": "f"}}],
                },
            },
            ToolChoice(Choosing.AUTO, ("f",)),
        ),
    ],
)
def test_choices(choice: object, expected: ToolChoice) -> None:
    assert of_messages(HI, tool_choice=choice).tool_choice == expected


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"messages": "x"}, "messages"),
        ({}, "messages"),
        ({"messages": ["x"]}, "messages"),
        ({"messages": [{"role": "judge", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [1]}]}, "messages[0].content[0]"),
        (
            {"messages": [{"role": "user", "content": [{"type": "odd"}]}]},
            "messages[0].content[0].type",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages[0].content[0].image_url",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "data:x"}}],
                    }
                ]
            },
            "messages[0].content[0].image_url.url",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            "messages[0].content[0].input_audio.data",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]},
            "messages[0].content[0].file.file_data",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "1"}]}]},
            "messages[0].tool_calls[0].function.name",
        ),
        ({"messages": [], "tools": [{"type": "function"}]}, "tools[0].name"),
        ({"messages": [], "tools": [{"type": "custom"}]}, "tools[0].custom.name"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "messages[0].content[0].image_url.url",
        ),
        ({"messages": [], "tool_choice": "perhaps"}, "tool_choice"),
        ({"messages": [], "tool_choice": 1}, "tool_choice"),
        ({"messages": [], "tool_choice": {"type": "function"}}, "tool_choice"),
        ({"messages": [], "temperature": "warm"}, "temperature"),
        ({"messages": [], "seed": 1.5}, "seed"),
        ({"messages": [], "stop": [1]}, "stop"),
        ({"messages": [], "metadata": {"a": 1}}, "metadata.a"),
        ({"messages": [], "metadata": []}, "metadata"),
        ({"messages": [], "user": 1}, "user"),
        ({"messages": [], "parallel_tool_calls": "no"}, "parallel_tool_calls"),
        ({"messages": [], "response_format": {"type": "xml"}}, "response_format.type"),
    ],
)
def test_a_wrong_member_is_named(body: dict[str, Any], place: str) -> None:
    with pytest.raises(BadRequest) as caught:
        decoded(body)
    assert caught.value.details == {"param": place}
    assert place in caught.value.message


@pytest.mark.parametrize("body", [b"[]", b"{", b"\xff", b"[" * 100_000])
def test_no_object_no_request(body: bytes) -> None:
    with pytest.raises(BadRequest):
        CHAT.decode_request(body, Operation.GENERATE, model="m", stream=False)


def test_halves_of_surrogate_pairs_are_borne() -> None:
    (part,) = parts_of(of_messages({"role": "user", "content": "cut \ud83d"}))
    assert part == Text("cut \ud83d")


@pytest.mark.parametrize("prompt", ["once", ["once"]])
def test_legacy_prompt(prompt: object) -> None:
    body = {"model": "m", "prompt": prompt, "max_tokens": 5, "logprobs": 2, "suffix": "end"}
    request = decoded(body, Operation.COMPLETE)
    assert request.turns == (Turn(Role.USER, (Text("once"),)),)
    assert request.max_tokens == 5
    assert request.sampling == Sampling(logprobs=True, top_logprobs=2)
    assert [extra.what for extra in request.extras] == ["suffix"]


@pytest.mark.parametrize("prompt", [["a", "b"], [1, 2], [[1], [2]], None, [], 5])
def test_legacy_prompts_that_cannot_be_told(prompt: object) -> None:
    with pytest.raises(BadRequest, match="prompt"):
        decoded({"model": "m", "prompt": prompt}, Operation.COMPLETE)


def test_numbers_in_schemas_stay_exact() -> None:
    body = json.dumps({"messages": [], "functions": [{"name": "f", "parameters": SCHEMA}]})
    request = CHAT.decode_request(body.encode(), Operation.GENERATE, model="m", stream=False)
    assert request.tools[0].schema == SCHEMA
