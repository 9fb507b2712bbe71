"""A request as Claude Code 2.1 sends it in the third round of a task.

Made by hand after what was seen of that client on 2026-11-21: system blocks with a billing line
first, a system turn in the middle, tools loaded on demand, thinking that is not shown, pictures
in results.
"""

from __future__ import annotations

from typing import Any

PNG = "iVBORw0KGgo="
_MARK = {"type": "ephemeral"}
_DRAFT = "http://json-schema.org/draft-07/schema#"


def tool(name: str, **members: Any) -> dict[str, Any]:
    schema = {
        "$schema": _DRAFT,
        "type": "object",
        "properties": {"path": {"type": "string"}, "limit": {"type": "integer"}},
        "required": ["path"],
        "additionalProperties": False,
    }
    return {"name": name, "description": f"{name} a thing", "input_schema": schema, **members}


LONG_NAME = "mcp__warehouse__look_up_the_stock_of_an_article_in_all_of_the_stores_of_one_region_now"

REQUEST: dict[str, Any] = {
    "model": "claude-opus-4-8",
    "max_tokens": 32000,
    "stream": True,
    "system": [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.329; cch=abc12;"},
        {"type": "text", "text": "You are a coding agent.", "cache_control": _MARK},
        {"type": "text", "text": "Be brief.", "cache_control": _MARK},
    ],
    "thinking": {"type": "adaptive", "display": "omitted"},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "output_config": {"effort": "high"},
    "metadata": {"user_id": '{"device_id":"d","account_uuid":"","session_id":"s"}'},
    "tools": [
        tool("Read"),
        tool("ToolSearch"),
        tool("WebFetch", defer_loading=True),
        tool(LONG_NAME, defer_loading=True),
        {
            "name": "DeferredToolPlaceholder",
            "description": "",
            "input_schema": {"type": "object", "properties": {}},
            "defer_loading": True,
        },
    ],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "What is in a.png?"}]},
        {"role": "system", "content": "<env>cwd: /srv</env>"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "", "signature": "sealed"},
                {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"path": "a.png"}},
                {
                    "type": "tool_use",
                    "id": "toolu_2",
                    "name": "ToolSearch",
                    "input": {"path": "web", "limit": 9007199254740993123},
                },
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [
                        {
                            "type": "image",
                            "source": {"type": "base64", "media_type": "image/png", "data": PNG},
                        }
                    ],
                },
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_2",
                    "content": [
                        {"type": "tool_reference", "tool_name": "WebFetch"},
                        {"type": "tool_reference", "tool_name": LONG_NAME},
                    ],
                },
                {
                    "type": "text",
                    "text": "<system-reminder>Go on.</system-reminder>",
                    "cache_control": _MARK,
                },
            ],
        },
    ],
}
