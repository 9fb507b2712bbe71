"""Good bodies pass; each rule, broken once, is refused with the service's own words."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
import requests

from tests.fakes import answers
from tests.fakes.strict.seals import (
    BYPASS,
    claude_redacted,
    claude_signature,
    gemini_signature,
    openai_encrypted,
)
from tests.fakes.strict.shape import Problem
from tests.fakes.strict.upstream import VALIDATORS, StrictUpstream, protocol_of

Body: TypeAlias = dict[str, Any]
Change: TypeAlias = Callable[[Body], object]

PIXEL = "iVBORw0KGgo="
SCHEMA: Body = {
    "type": "object",
    "properties": {"sku": {"type": "string"}, "n": {"type": "integer"}},
    "required": ["sku"],
}
HEADERS = {
    "openai_chat": {"authorization": "Bearer k", "content-type": "application/json"},
    "openai_responses": {"authorization": "Bearer k", "content-type": "application/json"},
    "anthropic_messages": {
        "x-api-key": "k",
        "anthropic-version": "2023-06-01",
        "content-type": "application/json",
    },
    "gemini_generate": {"x-goog-api-key": "k", "content-type": "application/json"},
}

CHAT: Body = {
    "model": "gpt-4.1",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look at this."},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
                {
                    "type": "file",
                    "file": {
                        "filename": "a.pdf",
                        "file_data": f"data:application/pdf;base64,{PIXEL}",
                    },
                },
                {"type": "input_audio", "input_audio": {"data": PIXEL, "format": "wav"}},
            ],
        },
        {
            "role": "assistant",
            "content": "Looking.",
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "a", "arguments": "{}"}},
                {"id": "call_2", "type": "function", "function": {"name": "b", "arguments": ""}},
            ],
        },
        {"role": "tool", "tool_call_id": "call_2", "content": "two"},
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "one"}]},
        {"role": "user", "content": "Go on."},
    ],
    "tools": [
        {"type": "function", "function": {"name": "a", "parameters": SCHEMA}},
        {"type": "function", "function": {"name": "b"}},
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "temperature": 0.5,
    "stop": ["END"],
    "max_tokens": 50,
    "stream": True,
    "stream_options": {"include_usage": True},
}

RESPONSES: Body = {
    "model": "gpt-5.1",
    "instructions": "Be brief.",
    "input": [
        {"role": "developer", "content": "Mind the shelf."},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Look."},
                {
                    "type": "input_image",
                    "detail": "auto",
                    "image_url": f"data:image/png;base64,{PIXEL}",
                },
                {
                    "type": "input_file",
                    "filename": "a.pdf",
                    "file_data": f"data:application/pdf;base64,{PIXEL}",
                },
            ],
        },
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": openai_encrypted("rs_1"),
        },
        {"type": "function_call", "call_id": "call_1", "name": "a", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "call_2", "name": "c", "input": "free"},
        {"type": "function_call_output", "call_id": "call_1", "output": "one"},
        {
            "type": "custom_tool_call_output",
            "call_id": "call_2",
            "output": [{"type": "input_text", "text": "two"}],
        },
    ],
    "tools": [
        {"type": "function", "name": "a", "parameters": SCHEMA, "strict": False},
        {"type": "custom", "name": "c"},
    ],
    "tool_choice": {"type": "function", "name": "a"},
    "reasoning": {"effort": "low", "summary": "auto"},
    "include": ["reasoning.encrypted_content"],
    "max_output_tokens": 50,
    "store": False,
    "stream": True,
}

MESSAGES: Body = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 4000,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look."},
                {
                    "type": "image",
                    "source": {"type": "base64", "media_type": "image/png", "data": PIXEL},
                },
                {
                    "type": "document",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": PIXEL},
                },
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": claude_signature("hm")},
                {"type": "redacted_thinking", "data": claude_redacted("x")},
                {"type": "text", "text": "Looking."},
                {"type": "tool_use", "id": "toolu_1", "name": "a", "input": {"sku": "A7"}},
                {"type": "tool_use", "id": "toolu_2", "name": "a", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "one"},
                {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": True},
                {"type": "text", "text": "Go on."},
            ],
        },
    ],
    "tools": [{"name": "a", "description": "d", "input_schema": SCHEMA}],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "stop_sequences": ["END"],
    "metadata": {"user_id": "u"},
}

GEMINI: Body = {
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "contents": [
        {
            "role": "user",
            "parts": [
                {"text": "Look."},
                {"inlineData": {"mimeType": "image/png", "data": PIXEL}},
                {"fileData": {"mimeType": "image/png", "fileUri": "https://example.com/a.png"}},
            ],
        },
        {
            "role": "model",
            "parts": [
                {"text": "hm", "thought": True},
                {
                    "functionCall": {"name": "a", "args": {"sku": "A7"}},
                    "thoughtSignature": gemini_signature("1"),
                },
                {"functionCall": {"name": "b", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "a", "response": {"result": "one"}}},
                {"functionResponse": {"name": "b", "response": {"error": "two"}}},
            ],
        },
    ],
    "tools": [
        {
            "functionDeclarations": [
                {"name": "a", "parameters": {**SCHEMA, "type": "OBJECT"}},
                {"name": "b", "parametersJsonSchema": SCHEMA},
            ]
        }
    ],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["a"]}},
    "generationConfig": {
        "temperature": 1.5,
        "topP": 0.9,
        "maxOutputTokens": 50,
        "stopSequences": ["END"],
        "thinkingConfig": {"includeThoughts": True, "thinkingLevel": "LOW"},
    },
}
GOOD = {
    "openai_chat": CHAT,
    "openai_responses": RESPONSES,
    "anthropic_messages": MESSAGES,
    "gemini_generate": GEMINI,
}
PATHS = {
    "openai_chat": "/v1/chat/completions",
    "openai_responses": "/v1/responses",
    "anthropic_messages": "/v1/messages",
    "gemini_generate": "/v1beta/models/gemini-3-pro-preview:generateContent",
}


def judged(protocol: str, body: Body, path: str = "", **headers: str) -> Problem | None:
    sent = HEADERS[protocol] | {name.replace("_", "-"): value for name, value in headers.items()}
    return VALIDATORS[protocol](path or PATHS[protocol], sent, json.dumps(body).encode())


def fresh(body: Body) -> Body:
    """A copy that shares nothing, not even within itself."""
    copied: Body = json.loads(json.dumps(body))
    return copied


def at(body: Body, *path: str | int) -> Any:
    here: Any = body
    for step in path:
        here = here[step]
    return here


def put(*path: str | int, value: object) -> Change:
    """Set one member."""
    return lambda body: at(body, *path[:-1]).__setitem__(path[-1], value)


def drop(*path: str | int) -> Change:
    """Take one member away."""
    return lambda body: at(body, *path[:-1]).__delitem__(path[-1])


@pytest.mark.parametrize("protocol", GOOD)
def test_a_good_body_passes(protocol: str) -> None:
    assert judged(protocol, GOOD[protocol]) is None


_CHAT_SCHEMA = ("tools", 0, "function", "parameters")
CHAT_FAULTS: dict[str, tuple[Change, str]] = {
    "unknown member": (put("top_k", value=3), "Unknown parameter: 'top_k'."),
    "unknown member of a message": (
        put("messages", 0, "cache_control", value={}),
        "Unknown parameter: 'messages[0].cache_control'.",
    ),
    "unknown member of a part": (
        put("messages", 1, "content", 0, "annotations", value=[]),
        "Unknown parameter: 'messages[1].content[0].annotations'.",
    ),
    "no model": (drop("model"), "Missing required parameter: 'model'."),
    "no messages": (put("messages", value=[]), "empty array"),
    "unknown role": (put("messages", 0, "role", value="critic"), "one of developer"),
    "a picture in the system text": (
        put("messages", 0, "content", value=[{"type": "image_url", "image_url": {"url": "x"}}]),
        "expected one of text",
    ),
    "a raw picture": (
        put("messages", 1, "content", 1, "image_url", "url", value=PIXEL),
        "Expected a valid URL",
    ),
    "a picture of an unknown kind": (
        put("messages", 1, "content", 1, "image_url", "url", value="data:image/tiff;base64,AA=="),
        "expected a base64-encoded data URL",
    ),
    "a file without a name": (
        drop("messages", 1, "content", 2, "file", "filename"),
        "file.filename",
    ),
    "a file that is no data URL": (
        put("messages", 1, "content", 2, "file", "file_data", value=PIXEL),
        "data URL",
    ),
    "audio with a prefix": (
        put("messages", 1, "content", 3, "input_audio", "data", value="data:audio/wav;base64,AA=="),
        "expected base64",
    ),
    "an unanswered call": (
        drop("messages", 3),
        "did not have response messages: call_2",
    ),
    "a user between call and result": (
        lambda body: body["messages"].insert(3, {"role": "user", "content": "x"}),
        "must be followed by tool messages",
    ),
    "a result without a call": (
        lambda body: body["messages"].append(
            {"role": "tool", "tool_call_id": "call_1", "content": "x"}
        ),
        "must be a response to a preceeding message",
    ),
    "an assistant without words": (
        lambda body: body["messages"].append({"role": "assistant", "content": None}),
        "expected a string, got null",
    ),
    "arguments as an object": (
        put("messages", 2, "tool_calls", 0, "function", "arguments", value={}),
        "expected a string",
    ),
    "two calls of one id": (
        put("messages", 2, "tool_calls", 1, "id", value="call_1"),
        "Duplicate value",
    ),
    "a long id": (put("messages", 2, "tool_calls", 0, "id", value="x" * 41), "too long"),
    "a long name": (put("tools", 0, "function", "name", value="x" * 65), "too long"),
    "a dotted name": (put("tools", 0, "function", "name", value="a.b"), "pattern"),
    "two tools of one name": (put("tools", 1, "function", "name", value="a"), "unique"),
    "a choice without tools": (drop("tools"), "only allowed when 'tools' are specified"),
    "a choice of an unknown tool": (
        put("tool_choice", value={"type": "function", "function": {"name": "z"}}),
        "not found in 'tools'",
    ),
    "a choice in another protocol's words": (
        put("tool_choice", value={"type": "function", "name": "a"}),
        "Unknown parameter: 'tool_choice.name'.",
    ),
    "a schema that is no object": (put(*_CHAT_SCHEMA, "type", value="string"), 'type: "object"'),
    "Google's types": (
        put(*_CHAT_SCHEMA, "properties", "sku", "type", value="STRING"),
        "no type of draft",
    ),
    "a reference to nowhere": (
        put(*_CHAT_SCHEMA, "properties", "sku", value={"$ref": "#/$defs/x"}),
        "unknown definition",
    ),
    "a strict schema that is open": (
        put("tools", 0, "function", "strict", value=True),
        "'additionalProperties' is required",
    ),
    "a temperature out of range": (put("temperature", value=3), "less than or equal to 2"),
    "five stops": (put("stop", value=list("abcde")), "array too long"),
    "both limits": (put("max_completion_tokens", value=9), "at the same time"),
    "stream options without a stream": (put("stream", value=False), "'stream' is enabled"),
    "an effort for a model without": (put("reasoning_effort", value="low"), "reasoning_effort"),
    "json mode without the word": (
        put("response_format", value={"type": "json_object"}),
        "must contain the word 'json'",
    ),
    "a schema format without a name": (
        put("response_format", value={"type": "json_schema", "json_schema": {"schema": SCHEMA}}),
        "json_schema.name",
    ),
    "too much metadata": (
        put("metadata", value={str(n): "x" for n in range(17)}),
        "too many properties",
    ),
    "not a number": (put("temperature", value=float("nan")), "could not parse"),
}

REASONER_FAULTS: dict[str, tuple[Change, str]] = {
    "the old limit": (put("model", value="gpt-5.1"), "Use 'max_completion_tokens' instead"),
    "a stop": (
        lambda body: body.pop("max_tokens") and body.update(model="o3"),
        "'stop' is not supported",
    ),
    "a temperature": (
        lambda body: [body.pop("max_tokens"), body.pop("stop"), body.update(model="gpt-5.1")],
        "'temperature' does not support 0.5",
    ),
    "an effort it does not know": (
        lambda body: body.update(model="gpt-5.1", reasoning_effort="minimal"),
        "Supported values are: none, low",
    ),
}

RESPONSES_FAULTS: dict[str, tuple[Change, str]] = {
    "unknown member": (put("stop", value=["x"]), "Unknown parameter: 'stop'."),
    "unknown member of an item": (
        put("input", 3, "thought_signature", value="x"),
        "Unknown parameter: 'input[3].thought_signature'.",
    ),
    "no input": (drop("input"), "'input'"),
    "user parts on an assistant": (put("input", 1, "role", value="assistant"), "output_text"),
    "assistant parts on a user": (
        put("input", 1, "content", value=[{"type": "output_text", "text": "x"}]),
        "input_text",
    ),
    "an image in an object": (
        put("input", 1, "content", 1, "image_url", value={"url": "https://x"}),
        "expected a string",
    ),
    "a call without an output": (drop("input", 5), "No tool output found for function call call_1"),
    "an output without a call": (
        put("input", 5, "call_id", value="call_9"),
        "No tool call found for function call output",
    ),
    "a function's output for a custom call": (
        put("input", 6, "type", value="function_call_output"),
        "No tool call found",
    ),
    "two calls of one id": (put("input", 4, "call_id", value="call_1"), "Duplicate call_id"),
    "a long call id": (put("input", 3, "call_id", value="x" * 65), "too long"),
    "an item id of another kind": (put("input", 3, "id", value="call_1"), "begins with 'fc_'"),
    "foreign reasoning": (
        put("input", 2, "encrypted_content", value=claude_signature("hm")),
        "could not be verified",
    ),
    "reasoning under another id": (put("input", 2, "id", value="rs_2"), "did not match"),
    "reasoning that was not stored": (drop("input", 2, "encrypted_content"), "not persisted"),
    "reasoning that leads to nothing": (
        lambda body: body["input"].append(body["input"].pop(2)),
        "without its required following item",
    ),
    "no summary": (drop("input", 2, "summary"), "summary"),
    "a wrapped function": (
        put("tools", 0, value={"type": "function", "function": {"name": "a"}}),
        "Unknown parameter: 'tools[0].function'.",
    ),
    "a strict schema that is open": (drop("tools", 0, "strict"), "'additionalProperties'"),
    "a choice in another protocol's words": (
        put("tool_choice", value={"type": "function", "function": {"name": "a"}}),
        "Unknown parameter",
    ),
    "a choice of an unknown tool": (put("tool_choice", "name", value="z"), "not found in 'tools'"),
    "a nested schema format": (
        put("text", value={"format": {"type": "json_schema", "json_schema": {}}}),
        "json_schema",
    ),
    "a temperature": (put("temperature", value=0.5), "'temperature' does not support"),
    "a summary of a model without": (
        lambda body: body.update(model="gpt-4.1", reasoning={"summary": "auto"}),
        "'reasoning.summary' is not supported",
    ),
    "an unknown inclusion": (put("include", value=["thoughts"]), "include[0]"),
    "a tiny limit": (put("max_output_tokens", value=3), "max_output_tokens"),
}

_LAST = ("messages", 2, "content")
CLAUDE_FAULTS: dict[str, tuple[Change, str]] = {
    "unknown member": (put("seed", value=3), "seed: Extra inputs are not permitted"),
    "unknown member of a block": (
        put("messages", 0, "content", 0, "annotations", value=[]),
        "messages.0.content.0.annotations: Extra inputs are not permitted",
    ),
    "unknown metadata": (put("metadata", "x", value="y"), "Extra inputs are not permitted"),
    "no limit": (drop("max_tokens"), "max_tokens: Field required"),
    "an empty text": (put("messages", 0, "content", 0, "text", value=""), "must be non-empty"),
    "a blank text": (put("messages", 0, "content", 0, "text", value=" \n"), "non-whitespace text"),
    "an empty message": (put("messages", 0, "content", value=[]), "empty array"),
    "no system text": (put("system", value=[]), "system"),
    "a picture of an unknown kind": (
        put("messages", 0, "content", 1, "source", "media_type", value="image/jpg"),
        "image/jpeg",
    ),
    "a data URL": (
        put("messages", 0, "content", 1, "source", "data", value=f"data:image/png;base64,{PIXEL}"),
        "got a data URL",
    ),
    "broken base64": (
        put("messages", 0, "content", 1, "source", "data", value="AAA"),
        "not valid base64",
    ),
    "a document of an unknown kind": (
        put("messages", 0, "content", 2, "source", "media_type", value="text/csv"),
        "application/pdf",
    ),
    "an assistant first": (drop("messages", 0), 'first message must use the "user" role'),
    "a system turn": (
        lambda body: body["messages"].insert(1, {"role": "system", "content": "x"}),
        'Unexpected role "system"',
    ),
    "an unanswered call": (
        drop(*_LAST, 1),
        "`tool_use` ids were found without `tool_result` blocks immediately after: toolu_2",
    ),
    "a call at the end": (drop("messages", 2), "without `tool_result` blocks"),
    "text before the results": (
        lambda body: body["messages"][2]["content"].insert(0, body["messages"][2]["content"].pop()),
        "without `tool_result` blocks",
    ),
    "a result without a call": (
        put(*_LAST, 0, "tool_use_id", value="toolu_9"),
        "unexpected `tool_use_id` found in `tool_result` blocks",
    ),
    "two results of one call": (
        put(*_LAST, 1, "tool_use_id", value="toolu_1"),
        "without `tool_result`",
    ),
    "arguments as text": (put("messages", 1, "content", 3, "input", value="{}"), "an object"),
    "an odd id": (
        lambda body: [
            put("messages", 1, "content", 3, "id", value="a.b")(body),
            put(*_LAST, 0, "tool_use_id", value="a.b")(body),
        ],
        "pattern",
    ),
    "a long name": (put("tools", 0, "name", value="x" * 129), "pattern"),
    "a union at the top": (
        put("tools", 0, "input_schema", "anyOf", value=[]),
        "does not support oneOf, allOf, or anyOf at the top level",
    ),
    "a schema that is no object": (
        put("tools", 0, "input_schema", "type", value="array"),
        "object",
    ),
    "no schema": (drop("tools", 0, "input_schema"), "input_schema: Field required"),
    "no tools for the history": (
        lambda body: [body.pop("tools"), body.pop("tool_choice")],
        "must define tools",
    ),
    "a choice without tools": (drop("tools"), "only be specified while providing tools"),
    "a choice of an unknown tool": (
        put("tool_choice", value={"type": "tool", "name": "z"}),
        "not found in provided tools",
    ),
    "none with a parallel switch": (
        put("tool_choice", "type", value="none"),
        "Extra inputs are not permitted",
    ),
    "a changed thought": (
        put("messages", 1, "content", 0, "thinking", value="hm "),
        "Invalid `signature` in `thinking` block",
    ),
    "a foreign signature": (
        put("messages", 1, "content", 0, "signature", value=openai_encrypted("rs_1")),
        "Invalid `signature`",
    ),
    "an empty signature": (
        put("messages", 1, "content", 0, "signature", value=""),
        "Invalid `signature`",
    ),
    "foreign redacted thinking": (
        put("messages", 1, "content", 1, "data", value=gemini_signature("x")),
        "Invalid `data`",
    ),
    "a loop without its thinking": (
        lambda body: [body["messages"][1]["content"].pop(0) for _ in range(2)],
        "Expected `thinking` or `redacted_thinking`, but found `text`",
    ),
    "a budget above the limit": (put("max_tokens", value=1024), "must be greater than"),
    "a small budget": (put("thinking", "budget_tokens", value=100), "1024"),
    "a forced tool while thinking": (
        put("tool_choice", value={"type": "any"}),
        "Thinking may not be enabled when tool_choice forces",
    ),
    "a temperature while thinking": (put("temperature", value=0.5), "may only be set to 1"),
    "top_k while thinking": (put("top_k", value=5), "`top_k` must be unset"),
    "top_p while thinking": (put("top_p", value=0.5), "`top_p` must be >= 0.95"),
    "a hot temperature": (put("temperature", value=1.5), "less than or equal to 1"),
    "a blank stop": (put("stop_sequences", value=["\n"]), "non-whitespace"),
    "five cache marks": (
        lambda body: [
            block.update(cache_control={"type": "ephemeral"})
            for block in body["messages"][0]["content"] + body["messages"][2]["content"]
        ],
        "A maximum of 4 blocks with cache_control",
    ),
    "an old switch for a new model": (
        put("model", value="claude-opus-4-7"),
        "is not supported for this model",
    ),
    "too many tokens": (put("max_tokens", value=64_001), "maximum allowed number of output"),
    "an effort for a model without": (
        put("output_config", value={"effort": "low"}),
        "does not support the effort",
    ),
    "an open answer schema": (
        put("output_config", value={"format": {"type": "json_schema", "schema": SCHEMA}}),
        "must be explicitly set to false",
    ),
    "temperature and top_p": (
        lambda body: [body.pop("thinking"), body.update(temperature=1, top_p=0.99)],
        "cannot both be specified",
    ),
    "adaptive thinking for an old model": (
        put("thinking", value={"type": "adaptive"}),
        "adaptive thinking is not supported",
    ),
    "words that end in a blank": (
        lambda body: [
            body.pop("thinking"),
            body["messages"].append({"role": "assistant", "content": "So "}),
        ],
        "cannot end with trailing whitespace",
    ),
}

_DECLARED = ("tools", 0, "functionDeclarations", 0, "parameters")
_CALLS = ("contents", 1, "parts")
GEMINI_FAULTS: dict[str, tuple[Change, str]] = {
    "unknown member": (put("model", value="x"), 'Unknown name "model": Cannot find field.'),
    "unknown member of a part": (
        put("contents", 0, "parts", 0, "cache_control", value={}),
        "Unknown name \"cacheControl\" at 'contents[0].parts[0]': Cannot find field.",
    ),
    "no contents": (put("contents", value=[]), "empty array"),
    "no parts": (put("contents", 0, "parts", value=[]), "empty array"),
    "an unknown role": (put("contents", 0, "role", value="assistant"), "user, model"),
    "two data fields": (
        put("contents", 0, "parts", 1, "text", value="x"),
        "oneof field 'data' is already set",
    ),
    "no data field": (put("contents", 0, "parts", 0, value={}), "required oneof field 'data'"),
    "a data URL": (
        put(
            "contents", 0, "parts", 1, "inlineData", "data", value=f"data:image/png;base64,{PIXEL}"
        ),
        "got a data URL",
    ),
    "arguments as text": (put(*_CALLS, 1, "functionCall", "args", value="{}"), "an object"),
    "a result as text": (
        put("contents", 2, "parts", 0, "functionResponse", "response", value="one"),
        "an object",
    ),
    "one result too few": (
        drop("contents", 2, "parts", 1),
        "number of function response parts is equal to the number of function call parts",
    ),
    "results of another function": (
        put("contents", 2, "parts", 0, "functionResponse", "name", value="z"),
        "number of function response parts",
    ),
    "results in another order": (
        lambda body: body["contents"][2]["parts"].reverse(),
        "in the order of the calls",
    ),
    "a text turn between": (
        lambda body: body["contents"].insert(2, {"role": "user", "parts": [{"text": "x"}]}),
        "number of function response parts",
    ),
    "a call at the end": (drop("contents", 2), "number of function response parts"),
    "a call first": (drop("contents", 0), "immediately after a user turn"),
    "no signature": (drop(*_CALLS, 1, "thoughtSignature"), "missing a `thought_signature`"),
    "a foreign signature": (
        put(*_CALLS, 1, "thoughtSignature", value=claude_signature("hm")),
        "Thought signature is not valid",
    ),
    "a signed result": (
        put("contents", 2, "parts", 0, "thoughtSignature", value=gemini_signature("1")),
        "cannot have a thought signature",
    ),
    "a name that starts with a digit": (
        put("tools", 0, "functionDeclarations", 0, "name", value="1a"),
        "pattern",
    ),
    "two functions of one name": (
        put("tools", 0, "functionDeclarations", 1, "name", value="a"),
        "Duplicate function declaration",
    ),
    "both kinds of schema": (
        put("tools", 0, "functionDeclarations", 0, "parametersJsonSchema", value=SCHEMA),
        "mutually exclusive",
    ),
    "functions in two tools": (
        lambda body: body["tools"].append({"functionDeclarations": [{"name": "x"}]}),
        "Multiple tools",
    ),
    "an unknown keyword": (
        put(*_DECLARED, "additionalProperties", value=False),
        'Unknown name "additionalProperties"',
    ),
    "an unknown keyword inside": (
        put(*_DECLARED, "properties", "sku", "const", value="x"),
        'Unknown name "const"',
    ),
    "no type": (put(*_DECLARED, "properties", "sku", value={}), "type: must be specified"),
    "two types": (
        put(*_DECLARED, "properties", "sku", "type", value=["string", "null"]),
        "expected a string",
    ),
    "an array of nothing": (
        put(*_DECLARED, "properties", "sku", "type", value="array"),
        "items: missing field",
    ),
    "items of no array": (
        put(*_DECLARED, "properties", "sku", "items", value={"type": "string"}),
        "field predicate failed",
    ),
    "numbers in an enum": (
        put(*_DECLARED, "properties", "n", "enum", value=[1, 2]),
        "expected a string",
    ),
    "an enum of a number": (
        put(*_DECLARED, "properties", "n", "enum", value=["1"]),
        "only allowed for STRING type",
    ),
    "a required ghost": (
        put(*_DECLARED, "required", value=["sku", "ghost"]),
        "required[1]: property is not defined",
    ),
    "an unknown format": (
        put(*_DECLARED, "properties", "sku", "format", value="uri"),
        "only 'enum' and 'date-time' are supported",
    ),
    "an unknown keyword of JSON Schema": (
        put("tools", 0, "functionDeclarations", 1, "parametersJsonSchema", "$schema", value="x"),
        'Unknown name "$schema"',
    ),
    "a reference with neighbours": (
        put(
            "tools",
            0,
            "functionDeclarations",
            1,
            "parametersJsonSchema",
            "properties",
            "n",
            value={"$ref": "#", "description": "x"},
        ),
        "cannot have siblings",
    ),
    "names in mode AUTO": (
        put("toolConfig", "functionCallingConfig", "mode", value="AUTO"),
        "only be set when function calling mode is ANY",
    ),
    "an undeclared name": (
        put("toolConfig", "functionCallingConfig", "allowedFunctionNames", value=["z"]),
        "must be declared",
    ),
    "a choice without functions": (drop("tools"), "without function_declarations"),
    "six stops": (put("generationConfig", "stopSequences", value=list("abcdef")), "too long"),
    "a schema without its type": (
        put("generationConfig", "responseSchema", value={"type": "STRING"}),
        "requires response_mime_type",
    ),
    "a level and a budget": (
        put("generationConfig", "thinkingConfig", "thinkingBudget", value=100),
        "only set one of",
    ),
    "an unknown level": (
        put("generationConfig", "thinkingConfig", "thinkingLevel", value="MEDIUM"),
        "not supported for this model",
    ),
}
FAULTS = {
    "openai_chat": CHAT_FAULTS | {f"reasoner: {n}": f for n, f in REASONER_FAULTS.items()},
    "openai_responses": RESPONSES_FAULTS,
    "anthropic_messages": CLAUDE_FAULTS,
    "gemini_generate": GEMINI_FAULTS,
}


@pytest.mark.parametrize(
    ("protocol", "fault"),
    [(protocol, name) for protocol, faults in FAULTS.items() for name in faults],
)
def test_a_broken_rule_is_refused(protocol: str, fault: str) -> None:
    change, words = FAULTS[protocol][fault]
    body = fresh(GOOD[protocol])
    change(body)
    problem = judged(protocol, body)
    assert problem is not None
    assert words in problem.message


@pytest.mark.parametrize("protocol", GOOD)
def test_a_request_needs_a_key(protocol: str) -> None:
    body = json.dumps(GOOD[protocol]).encode()
    kind = {"content-type": "application/json", "anthropic-version": "2023-06-01"}
    assert VALIDATORS[protocol](PATHS[protocol], kind, body) is not None


def test_claude_takes_no_sampling_at_its_newest_version() -> None:
    body = {"model": "claude-haiku-4-5", "max_tokens": 9, "temperature": 0.5}
    body["messages"] = [{"role": "user", "content": "x"}]
    assert judged("anthropic_messages", body) is None
    problem = judged("anthropic_messages", body, anthropic_version="2026-10-21")
    assert problem is not None
    assert "deprecated" in problem.message


def test_new_claude_models_take_system_turns_and_no_prefill() -> None:
    body: Body = {"model": "claude-opus-4-8", "max_tokens": 9, "thinking": {"type": "adaptive"}}
    body["messages"] = [{"role": "user", "content": "x"}, {"role": "system", "content": "y"}]
    assert judged("anthropic_messages", body) is None
    body["messages"].append({"role": "assistant", "content": "z"})
    problem = judged("anthropic_messages", body)
    assert problem is not None
    assert "prefill" in problem.message


def test_gemini_2_takes_a_budget_and_no_pictures_in_results() -> None:
    path = "/v1beta/models/gemini-2.5-flash:generateContent"
    body = fresh(GEMINI)
    body["generationConfig"]["thinkingConfig"] = {"thinkingBudget": 0}
    del body["contents"][1]["parts"][1]["thoughtSignature"]
    assert judged("gemini_generate", body, path) is None
    pictures = [{"inlineData": {"mimeType": "image/png", "data": PIXEL}}]
    body["contents"][2]["parts"][0]["functionResponse"]["parts"] = pictures
    problem = judged("gemini_generate", body, path)
    assert problem is not None
    assert "Multimodal" in problem.message
    pro = path.replace("-flash", "-pro")
    del body["contents"][2]["parts"][0]["functionResponse"]["parts"]
    problem = judged("gemini_generate", body, pro)
    assert problem is not None
    assert "between 128 and 32768" in problem.message


def test_gemini_3_takes_the_word_for_no_signature() -> None:
    body = fresh(GEMINI)
    signature = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="
    body["contents"][1]["parts"][1]["thoughtSignature"] = signature
    assert BYPASS not in signature
    assert judged("gemini_generate", body) is None


def test_a_strict_upstream_refuses_in_the_protocol_s_own_form() -> None:
    with StrictUpstream() as upstream:
        upstream.reply("*", answers.whole(b"{}"))
        for protocol, body in GOOD.items():
            for document, status in ((body, 200), ({**body, "odd": 1}, 400)):
                answer = requests.post(
                    upstream.url + PATHS[protocol],
                    json=document,
                    headers=HEADERS[protocol],
                    timeout=5,
                )
                assert answer.status_code == status
            assert "odd" in str(answer.json()["error"]["message"])
    assert [complaint.protocol for complaint in upstream.complaints] == list(GOOD)
    assert "odd" in str(upstream.complaints[0])
    assert protocol_of("/v1/models") is None
