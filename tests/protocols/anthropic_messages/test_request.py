from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from app.errors import BadRequest
from app.ir.parts import (
    Citation,
    Media,
    MediaKind,
    Opaque,
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
    ToolChoice,
    ToolKind,
    Turn,
)
from app.ir.tidy import tidy
from app.protocols.anthropic_messages import AnthropicMessages
from app.protocols.base import Operation
from app.protocols.seals import pack
from tests.protocols.anthropic_messages import claude_code

CODEC = AnthropicMessages()
PNG = claude_code.PNG
ASK = [{"role": "user", "content": "hi"}]


def decode(operation: Operation = Operation.GENERATE, **members: Any) -> Request:
    body = {"model": "m", "max_tokens": 5, "messages": ASK, **members}
    body = {name: value for name, value in body.items() if value is not ...}
    return CODEC.decode_request(orjson.dumps(body), operation, model="alias", stream=True)


def parts(*blocks: dict[str, Any], role: str = "user") -> tuple[Any, ...]:
    turns = decode(messages=[{"role": role, "content": list(blocks)}]).turns
    return turns[0].parts if turns else ()


def test_what_claude_code_sends() -> None:
    body = orjson.dumps({**claude_code.REQUEST, "messages": []})
    body = body.replace(b'"messages":[]', b'"messages":' + _messages())
    request = CODEC.decode_request(body, Operation.GENERATE, model="alias", stream=True)
    system, ask, environment, step, results = request.turns
    assert (request.model, request.stream, request.max_tokens) == ("alias", True, 32000)
    assert system == Turn(Role.SYSTEM, (Text("You are a coding agent."), Text("Be brief.")))
    assert ask == Turn(Role.USER, (Text("What is in a.png?"),))
    assert environment == Turn(Role.SYSTEM, (Text("<env>cwd: /srv</env>"),))
    assert step == Turn(
        Role.ASSISTANT,
        (
            Thinking("", Seal("anthropic", "sealed")),
            ToolCall("toolu_1", "Read", '{"path":"a.png"}'),
            ToolCall("toolu_2", "ToolSearch", '{"path":"web","limit":9007199254740993123}'),
        ),
    )
    assert results == Turn(
        Role.USER,
        (
            ToolResult("toolu_1", (Media(MediaKind.IMAGE, "image/png", PNG),)),
            ToolResult(
                "toolu_2",
                (
                    Text("The tool WebFetch is now available."),
                    Text(f"The tool {claude_code.LONG_NAME} is now available."),
                ),
            ),
            Text("<system-reminder>Go on.</system-reminder>"),
        ),
    )
    assert [(tool.name, tool.deferred) for tool in request.tools] == [
        ("Read", False),
        ("ToolSearch", False),
        ("WebFetch", True),
        (claude_code.LONG_NAME, True),
    ]
    assert request.tools[0].schema == claude_code.tool("Read")["input_schema"]
    assert request.reasoning == Reasoning(level="high", adaptive=True, show=False)
    assert request.user.startswith('{"device_id"')
    assert request.extras == ()
    assert len(tidy(request).turns) == 5


def _messages() -> bytes:
    return orjson.dumps(claude_code.REQUEST["messages"])


def test_a_small_request() -> None:
    assert decode(
        system="Be brief.", stop_sequences=["END"], temperature=0.5, top_p=1, top_k=3
    ) == (
        Request(
            model="alias",
            turns=(Turn(Role.SYSTEM, (Text("Be brief."),)), Turn(Role.USER, (Text("hi"),))),
            stream=True,
            max_tokens=5,
            sampling=Sampling(temperature=0.5, top_p=1, top_k=3, stop=("END",)),
        )
    )


SOURCE = {"type": "base64", "media_type": "image/JPG", "data": PNG}
WORDS = base64.b64encode("Größe".encode()).decode()
ROWS: list[tuple[dict[str, Any], tuple[Any, ...]]] = [
    ({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}, (Text("a"),)),
    ({"type": "text", "text": ""}, ()),
    (
        {
            "type": "text",
            "text": "abc",
            "citations": [
                {"type": "web_search_result_location", "url": "u", "title": "t", "cited_text": "q"},
                {"type": "search_result_location", "source": "s", "title": None},
                {"type": "char_location", "document_index": 0, "cited_text": "q"},
                "no citation",
            ],
        },
        (Text("abc", (Citation("u", "t", 0, 3, "q"), Citation("s", "", 0, 3, ""))),),
    ),
    ({"type": "image", "source": SOURCE}, (Media(MediaKind.IMAGE, "image/jpeg", PNG),)),
    (
        {"type": "image", "source": {"type": "url", "url": "https://e.org/a.png"}},
        (Media(MediaKind.IMAGE, url="https://e.org/a.png"),),
    ),
    (
        {"type": "image", "source": {"type": "url", "url": f"data:image/png;x=y;base64,{PNG}"}},
        (Media(MediaKind.IMAGE, "image/png", PNG),),
    ),
    (
        {"type": "document", "source": {"type": "url", "url": "data:text/plain,Gr%C3%B6%C3%9Fe"}},
        (Media(MediaKind.DOCUMENT, "text/plain", WORDS),),
    ),
    (
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        (Media(MediaKind.IMAGE, file_id="file_1", issuer="anthropic"),),
    ),
    (
        {
            "type": "document",
            "title": "t",
            "context": "c",
            "citations": {"enabled": True},
            "source": {"type": "base64", "media_type": "application/pdf", "data": PNG},
        },
        (Media(MediaKind.DOCUMENT, "application/pdf", PNG, name="t"),),
    ),
    (
        {"type": "document", "source": {"type": "url", "url": "https://e.org/a"}},
        (Media(MediaKind.DOCUMENT, "application/pdf", url="https://e.org/a"),),
    ),
    (
        {
            "type": "document",
            "title": "t",
            "source": {"type": "text", "media_type": "text/plain", "data": "Größe"},
        },
        (Media(MediaKind.DOCUMENT, "text/plain", WORDS, name="t"),),
    ),
    (
        {
            "type": "document",
            "title": "t",
            "source": {
                "type": "content",
                "content": [{"type": "text", "text": "a"}, {"type": "image", "source": SOURCE}],
            },
        },
        (Text("t"), Text("a"), Media(MediaKind.IMAGE, "image/jpeg", PNG)),
    ),
    (
        {"type": "document", "source": {"type": "content", "content": "words"}},
        (Text("words"),),
    ),
    (
        {
            "type": "search_result",
            "source": "https://e.org",
            "title": "t",
            "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
        },
        (Text("t\nhttps://e.org\na\nb"),),
    ),
    (
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        (Thinking("hm", Seal("anthropic", "s")),),
    ),
    ({"type": "thinking", "thinking": "hm"}, (Thinking("hm"),)),
    (
        {"type": "redacted_thinking", "data": "d"},
        (Thinking("", Seal("anthropic", "d"), redacted=True),),
    ),
    ({"type": "tool_use", "id": "a", "name": "f", "input": {}}, (ToolCall("a", "f", "{}"),)),
    ({"type": "tool_use", "id": "a", "name": "f"}, (ToolCall("a", "f", "{}"),)),
    ({"type": "tool_result", "tool_use_id": "a"}, (ToolResult("a", ()),)),
    ({"type": "tool_result", "tool_use_id": "a", "content": ""}, (ToolResult("a", ()),)),
    (
        {"type": "tool_result", "tool_use_id": "a", "content": "no", "is_error": True},
        (ToolResult("a", (Text("no"),), is_error=True),),
    ),
    (
        {
            "type": "tool_result",
            "tool_use_id": "a",
            "content": [
                {"type": "text", "text": "x"},
                {"type": "document", "source": {"type": "text", "data": "Größe"}},
                {"type": "novelty", "n": 1},
            ],
        },
        (
            ToolResult(
                "a",
                (
                    Text("x"),
                    Media(MediaKind.DOCUMENT, "text/plain", WORDS),
                    Text('{"type":"novelty","n":1}'),
                ),
            ),
        ),
    ),
    (
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        (
            Opaque(
                "anthropic_messages",
                "server_tool_use",
                {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            ),
        ),
    ),
]


@pytest.mark.parametrize(("block", "wanted"), ROWS, ids=lambda value: str(value)[:50])
def test_blocks(block: dict[str, Any], wanted: tuple[Any, ...]) -> None:
    assert parts(block) == wanted


@pytest.mark.parametrize("seal", [Seal("openai", "enc", "rs_1"), Seal("google", "sig")])
def test_a_foreign_seal_of_thinking_comes_back(seal: Seal) -> None:
    packed = pack(seal, "anthropic")
    assert parts({"type": "thinking", "thinking": "t", "signature": packed}) == (
        Thinking("t", seal),
    )
    assert parts({"type": "redacted_thinking", "data": packed}) == (Thinking("", seal, True),)


def test_the_seals_of_calls_and_texts_go_back_to_them() -> None:
    def carrier(value: str, owner: str) -> dict[str, Any]:
        packed = pack(Seal("google", value, owner), "anthropic")
        return {"type": "thinking", "thinking": "", "signature": packed}

    call = {"type": "tool_use", "id": "c1", "name": "f", "input": {}}
    assert parts(
        {"type": "text", "text": "so"},
        carrier("of the text", "text"),
        carrier("of the call", "c1"),
        call,
        {**call, "id": "c2"},
        role="assistant",
    ) == (
        Text("so", seal=Seal("google", "of the text")),
        ToolCall("c1", "f", "{}", seal=Seal("google", "of the call")),
        ToolCall("c2", "f", "{}"),
    )
    assert parts(carrier("lost", "gone"), carrier("lost", "text"), role="assistant") == ()


THINKING: list[tuple[dict[str, Any], Reasoning]] = [
    ({}, Reasoning()),
    ({"output_config": {"effort": "low"}}, Reasoning(level="low")),
    ({"thinking": {"type": "disabled"}}, Reasoning(level="none")),
    (
        {"thinking": {"type": "disabled"}, "output_config": {"effort": "max"}},
        Reasoning(level="none"),
    ),
    ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, Reasoning(budget=2000, show=True)),
    (
        {"thinking": {"type": "enabled", "budget_tokens": 2000, "display": "omitted"}},
        Reasoning(budget=2000, show=False),
    ),
    ({"thinking": {"type": "adaptive"}}, Reasoning(adaptive=True, show=True)),
    ({"thinking": {"type": "between_tools"}}, Reasoning(adaptive=True, show=True)),
    (
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}},
        Reasoning(level="max", adaptive=True, show=True),
    ),
]


@pytest.mark.parametrize(("members", "wanted"), THINKING)
def test_thinking(members: dict[str, Any], wanted: Reasoning) -> None:
    assert decode(**members).reasoning == wanted


def test_tools_of_all_kinds() -> None:
    tools = decode(
        tools=[
            {"type": "custom", "name": "f", "input_schema": {"type": "object"}, "strict": True},
            {
                "type": "web_search_20250305",
                "name": "web_search",
                "max_uses": 2,
                "allowed_domains": ["e.org"],
                "user_location": {"type": "approximate", "city": "Ulm"},
            },
            {"type": "code_execution_20250825", "name": "code_execution"},
            {"type": "web_fetch_20250910", "name": "web_fetch"},
            {"type": "bash_20250124", "name": "bash"},
            {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"},
            {"type": "memory_20250818", "name": "memory"},
            {"type": "computer_20250124", "name": "computer", "display_width_px": 1},
            {"type": "mcp_toolset", "mcp_server_name": "x"},
        ]
    ).tools
    assert [(tool.name, tool.kind) for tool in tools[:3]] == [
        ("f", ToolKind.FUNCTION),
        ("web_search", ToolKind.WEB_SEARCH),
        ("code_execution", ToolKind.CODE_EXECUTION),
    ]
    assert {tool.kind for tool in tools[3:]} == {ToolKind.OTHER}
    assert tools[0].strict is True
    assert tools[1].options == {
        "max_uses": 2,
        "allowed_domains": ["e.org"],
        "user_location": {"type": "approximate", "city": "Ulm"},
    }
    assert [tool.raw.what for tool in tools[3:] if tool.raw] == [
        "web_fetch_20250910",
        "bash_20250124",
        "text_editor_20250728",
        "memory_20250818",
        "computer_20250124",
        "mcp_toolset",
    ]


@pytest.mark.parametrize(
    ("choice", "wanted", "parallel"),
    [
        ({"type": "auto"}, ToolChoice(Choosing.AUTO), None),
        (
            {"type": "any", "disable_parallel_tool_use": True},
            ToolChoice(Choosing.REQUIRED),
            False,
        ),
        (
            {"type": "tool", "name": "f", "disable_parallel_tool_use": False},
            ToolChoice(Choosing.REQUIRED, ("f",)),
            True,
        ),
        ({"type": "none"}, ToolChoice(Choosing.NONE), None),
    ],
)
def test_tool_choice(choice: dict[str, Any], wanted: ToolChoice, parallel: bool | None) -> None:
    request = decode(tool_choice=choice)
    assert (request.tool_choice, request.parallel_calls) == (wanted, parallel)


@pytest.mark.parametrize("where", ["output_config", "output_format"])
def test_structured_output(where: str) -> None:
    form: dict[str, Any] = {"type": "json_schema", "schema": {"type": "object"}}
    members = {where: {"format": form}} if where == "output_config" else {where: form}
    assert decode(**members).output == OutputFormat(OutputKind.SCHEMA, schema={"type": "object"})


def test_what_only_claude_knows_is_told_where_it_matters() -> None:
    request = decode(
        container="c",
        mcp_servers=[{"name": "x"}],
        inference_geo="eu",
        context_management={"edits": []},
        speed="fast",
        diagnostics={},
        service_tier="standard_only",
        cache_control={"type": "ephemeral"},
        thread=None,
    )
    assert [extra.what for extra in request.extras] == ["container", "mcp_servers", "inference_geo"]
    assert request.service_tier == "default"


def test_a_count_needs_no_limit() -> None:
    assert decode(Operation.COUNT_TOKENS, max_tokens=...).max_tokens is None
    with pytest.raises(BadRequest, match="max_tokens"):
        decode(max_tokens=...)


def test_threads_are_refused_so_that_the_sdk_goes_on_without() -> None:
    with pytest.raises(BadRequest) as caught:
        decode(thread={"type": "create"})
    assert caught.value.details == {"error_code": "thread_unsupported_request"}
    assert caught.value.status == 400
    told = orjson.loads(CODEC.encode_error(caught.value, "r"))
    assert told["error"]["type"] == "invalid_request_error"
    assert told["error"]["details"]["error_code"] == "thread_unsupported_request"


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"messages": "x"}, "messages"),
        ({"messages": [1]}, "messages.0"),
        ({"messages": [{"role": "tool", "content": ""}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [{}]}]}, "messages.0.content.0.type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]},
            "messages.0.content.0.source.type",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_use", "input": []}]}]},
            "messages.0.content.0.input",
        ),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"stop_sequences": [1]}, "stop_sequences"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"name": "f"}]}, "tools.0.input_schema"),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"thinking": {"type": "much"}}, "thinking.type"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
        ({"output_config": {"effort": 1}}, "output_config.effort"),
        ({"metadata": {"user_id": 1}}, "metadata.user_id"),
    ],
)
def test_a_wrong_member_is_named(members: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        decode(**members)
    assert caught.value.details == {"param": param}
    assert f"`{param}`" in caught.value.message


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a":"\xff"}'])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        CODEC.decode_request(body, Operation.GENERATE, model="m", stream=False)
