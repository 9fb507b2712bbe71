"""Codex, the program that speaks most of Responses, on upstreams that speak something else.

The request is made after what Codex 0.169 was seen to send on 2026-11-21: no ``tools``, but an
input item with a namespace of them; a custom tool with a grammar; outputs that are lists; messages
with ids; reasoning items whose ``content`` is null.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.ir.events import Delta, Event, Finish, FinishReason, Open, PartKind, Shut, Start
from app.ir.extras import refuse_foreign
from app.ir.fold import Part, fold
from app.ir.parts import Seal, Thinking
from app.ir.request import Role, ToolKind
from app.ir.tidy import tidy
from app.protocols import CODECS
from app.protocols.base import Encoded, Shape, Target
from app.protocols.names import free_text, name_tools, wrapped
from app.protocols.openai_responses.items import packed
from app.providers.traits import traits_of
from tests.protocols.openai_responses.asking import CODEC, decoded, encoded
from tests.protocols.openai_responses.telling import cut, written

LARK = 'start: "// @exec" /.+/s'
SCHEMA = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
TOOLS = [
    {
        "type": "namespace",
        "name": "functions",
        "description": "The tools of this machine.",
        "tools": [
            {
                "type": "custom",
                "name": "exec",
                "description": "Runs JavaScript.",
                "format": {"type": "grammar", "syntax": "lark", "definition": LARK},
            },
            {"type": "function", "name": "wait", "strict": False, "parameters": SCHEMA},
        ],
    },
    {
        "type": "namespace",
        "name": "mcp__docs",
        "tools": [{"type": "function", "name": "search", "parameters": SCHEMA}],
    },
]
SEALED = packed(Seal("anthropic", "c2lnbmF0dXJl"), False)
REQUEST: dict[str, Any] = {
    "input": [
        {"type": "additional_tools", "role": "developer", "tools": TOOLS},
        {
            "type": "message",
            "id": "msg_0d7c",
            "role": "developer",
            "content": [{"type": "input_text", "text": "You are Codex."}],
        },
        {
            "type": "message",
            "id": "msg_0d7d",
            "role": "user",
            "content": [{"type": "input_text", "text": "List the files"}],
        },
        {
            "type": "reasoning",
            "id": "rs_aip_a1_0",
            "summary": [{"type": "summary_text", "text": "I shall look. "}],
            "content": None,
            "encrypted_content": SEALED,
        },
        {
            "type": "custom_tool_call",
            "id": "ctc_a1_1",
            "status": "completed",
            "call_id": "toolu_1",
            "name": "exec",
            "input": 'await tools.shell("ls")\n',
        },
        {
            "type": "function_call",
            "call_id": "toolu_2",
            "name": "search",
            "namespace": "mcp__docs",
            "arguments": '{"query":"files","n":90071992547409931}',
        },
        {
            "type": "custom_tool_call_output",
            "call_id": "toolu_1",
            "output": [{"type": "input_text", "text": "a.txt"}],
        },
        {"type": "function_call_output", "call_id": "toolu_2", "output": "nothing"},
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "reasoning": {"effort": "medium", "summary": "auto", "context": "auto"},
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "0199",
    "text": {"verbosity": "low"},
    "client_metadata": {"x-codex-installation-id": "1"},
}


def test_the_request_is_understood() -> None:
    request = tidy(decoded(REQUEST, stream=True))
    assert [(tool.name, tool.namespace, tool.kind) for tool in request.tools] == [
        ("exec", "", ToolKind.CUSTOM),
        ("wait", "", ToolKind.FUNCTION),
        ("search", "mcp__docs", ToolKind.FUNCTION),
    ]
    assert [turn.role for turn in request.turns] == [
        Role.SYSTEM,
        Role.USER,
        Role.ASSISTANT,
        Role.USER,
    ]
    thought = Thinking("I shall look. ", Seal("anthropic", "c2lnbmF0dXJl"))
    assert request.turns[2].parts[0] == thought
    for protocol in CODECS:
        assert refuse_foreign(request, protocol) == ()


def test_other_targets_get_flat_functions() -> None:
    request = tidy(decoded(REQUEST, stream=True))
    names = name_tools(request, limit=64, allowed="A-Za-z0-9_-")
    assert names.there("exec") == "exec"
    assert names.there("search", "mcp__docs") == "mcp__docs__search"
    calls: list[Event] = [
        Start("a1", "m", 1),
        Open(PartKind.TOOL_CALL, "c1", "exec"),
        Delta(wrapped("1 < 2")[:7]),
        Delta(wrapped("1 < 2")[7:]),
        Shut(),
        Open(PartKind.TOOL_CALL, "c2", "mcp__docs__search"),
        Delta('{"query":"x"}'),
        Shut(),
        Finish(FinishReason.TOOL_CALLS),
    ]
    body = written(names.restore(calls))
    assert fold(CODEC.decode_stream(cut(body))).parts == (
        Part(PartKind.TOOL_CALL, "1 < 2", call_id="c1", name="exec", custom=True),
        Part(
            PartKind.TOOL_CALL,
            '{"query":"x"}',
            call_id="c2",
            name="search",
            namespace="mcp__docs",
        ),
    )


def named(value: Any, found: set[str]) -> set[str]:
    """All values of members called ``name`` anywhere in a body."""
    match value:
        case dict():
            for name, inner in value.items():
                if name == "name" and isinstance(inner, str):
                    found.add(inner)
                named(inner, found)
        case list():
            for inner in value:
                named(inner, found)
    return found


@pytest.mark.parametrize(
    ("protocol", "model"),
    [
        ("openai_chat", "gpt-4.1"),
        ("anthropic_messages", "claude-sonnet-4-5"),
        ("gemini_generate", "gemini-2.5-flash"),
    ],
)
def test_every_other_protocol_can_be_asked(protocol: str, model: str) -> None:
    request = tidy(decoded(REQUEST, stream=True))
    result: Encoded = CODECS[protocol].encode_request(
        request, Target(model, traits_of(model), is_official=True)
    )
    body = json.loads(result.body)
    assert {"exec", "wait", "mcp__docs__search"} <= named(body, set())
    said = result.body.decode()
    assert "You are Codex." in said
    assert "a.txt" in said
    assert "90071992547409931" in said
    assert SEALED not in said
    assert ("c2lnbmF0dXJl" in said) is (protocol == "anthropic_messages")
    assert "client_metadata" not in said


def test_its_own_protocol_keeps_the_groups() -> None:
    body, result = encoded(decoded(REQUEST, stream=True))
    assert [tool["type"] for tool in body["tools"]] == ["custom", "function", "namespace"]
    assert body["instructions"] == "You are Codex."
    assert [item["type"] for item in body["input"]] == [
        "message",
        "custom_tool_call",
        "function_call",
        "custom_tool_call_output",
        "function_call_output",
    ]
    assert body["input"][2]["namespace"] == "mcp__docs"
    assert (body["store"], body["include"]) == (False, ["reasoning.encrypted_content"])
    assert {loss.name for loss in result.losses} == {"reasoning"}  # Claude's thoughts


def test_the_echo_of_such_a_request_is_one_typed_clients_read() -> None:
    events: list[Event] = [Start("a1", "m", 1), Finish(FinishReason.STOP)]
    last = list(CODEC.encode_stream(events, Shape(echo=REQUEST)))[-1]
    response = json.loads(last.split(b"data: ", 1)[1])["response"]
    assert (response["tools"], response["tool_choice"]) == ([], "auto")
    assert response["text"] == {"format": {"type": "text"}, "verbosity": "low"}


def test_free_text_survives_its_wrapper() -> None:
    for text in ("", "{}", '{"input": 1}', "a\u2028b 😀 \\ \n"):
        assert free_text(wrapped(text)) == text
