"""What Messages refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.fakes.strict import models
from tests.fakes.strict.schemas import draft_2020_12
from tests.fakes.strict.seals import is_claude_redacted, is_claude_signature
from tests.fakes.strict.shape import (
    AnthropicWording,
    At,
    Check,
    Members,
    Problem,
    anything,
    base64_text,
    either,
    first_problem,
    flag,
    integer,
    list_of,
    map_,
    nullable,
    number,
    obj,
    one_of,
    parsed,
    tagged,
    text,
    web_url,
)

_PICTURES = one_of("image/jpeg", "image/png", "image/gif", "image/webp")
_CACHE = {
    "cache_control": nullable(obj({"type": one_of("ephemeral")}, {"ttl": one_of("5m", "1h")}))
}
_TOOL_ID = text(r"[a-zA-Z0-9_-]+", least=1)
_NAME = text(r"[a-zA-Z0-9_-]{1,128}")


def _words(value: Any, at: At) -> None:
    text()(value, at)
    if not value:
        at.refuse("messages: text content blocks must be non-empty")
    if not value.strip():
        at.refuse("messages: text content blocks must contain non-whitespace text")


def _kind(value: Any, at: At) -> None:
    """The tag has been looked at already."""


_IMAGE_SOURCE = tagged(
    {
        "base64": obj({"type": _kind, "media_type": _PICTURES, "data": base64_text}),
        "url": obj({"type": _kind, "url": web_url}),
        "file": obj({"type": _kind, "file_id": text(r"file_.+")}),
    }
)
_TEXT = obj({"type": _kind, "text": _words}, {**_CACHE, "citations": nullable(list_of(map_))})
_IMAGE = obj({"type": _kind, "source": _IMAGE_SOURCE}, _CACHE)
_DOCUMENT_SOURCE = tagged(
    {
        "base64": obj(
            {"type": _kind, "media_type": one_of("application/pdf"), "data": base64_text}
        ),
        "text": obj({"type": _kind, "media_type": one_of("text/plain"), "data": text(least=1)}),
        "content": obj(
            {
                "type": _kind,
                "content": either(
                    text=_words, list=list_of(tagged({"text": _TEXT, "image": _IMAGE}), least=1)
                ),
            }
        ),
        "url": obj({"type": _kind, "url": web_url}),
        "file": obj({"type": _kind, "file_id": text(r"file_.+")}),
    }
)
_DOCUMENT = obj(
    {"type": _kind, "source": _DOCUMENT_SOURCE},
    {
        **_CACHE,
        "title": nullable(text(least=1, most=500)),
        "context": nullable(text(least=1)),
        "citations": nullable(obj(optional={"enabled": flag})),
    },
)
_SEARCH_RESULT = obj(
    {
        "type": _kind,
        "source": text(),
        "title": text(),
        "content": list_of(tagged({"text": _TEXT}), least=1),
    },
    {**_CACHE, "citations": obj(optional={"enabled": flag})},
)
_SHOWN: Mapping[str, Check] = {
    "text": _TEXT,
    "image": _IMAGE,
    "document": _DOCUMENT,
    "search_result": _SEARCH_RESULT,
}
_REFERENCE = {"tool_reference": obj({"type": _kind, "tool_name": _NAME}, _CACHE)}
_RESULT = obj(
    {"type": _kind, "tool_use_id": _TOOL_ID},
    {
        **_CACHE,
        "content": either(text=anything, list=list_of(tagged({**_SHOWN, **_REFERENCE}))),
        "is_error": flag,
    },
)


def _thinking(value: Any, at: At) -> None:
    obj({"type": _kind, "thinking": text(), "signature": text()})(value, at)
    if not is_claude_signature(value["thinking"], value["signature"]):
        (at / "signature").refuse(f"{at}: Invalid `signature` in `thinking` block")


def _redacted(value: Any, at: At) -> None:
    obj({"type": _kind, "data": text(least=1)})(value, at)
    if not is_claude_redacted(value["data"]):
        (at / "data").refuse(f"{at}: Invalid `data` in `redacted_thinking` block")


_ASKED = {**_SHOWN, "tool_result": _RESULT}
_SAID: Mapping[str, Check] = {
    "text": _TEXT,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
    "tool_use": obj(
        {"type": _kind, "id": _TOOL_ID, "name": _NAME, "input": map_},
        {**_CACHE, "caller": map_},
    ),
    "server_tool_use": map_,
    "web_search_tool_result": map_,
}


def _content(kinds: Mapping[str, Check]) -> Check:
    return either(text=_words, list=list_of(tagged(kinds), least=1))


_ROLE = one_of("user", "assistant", "system")
_MESSAGE = tagged(
    {
        "user": obj({"role": _ROLE, "content": _content(_ASKED)}),
        "assistant": obj({"role": _ROLE, "content": _content(_SAID)}),
        "system": obj({"role": _ROLE, "content": _content({"text": _TEXT})}),
    },
    "role",
)


def _input_schema(value: Any, at: At) -> None:
    draft_2020_12(value, at)
    if value.get("type") != "object":
        (at / "type").wrong("'object'", value.get("type"))
    if {"oneOf", "allOf", "anyOf"} & value.keys():
        at.refuse(f"{at}: input_schema does not support oneOf, allOf, or anyOf at the top level")


_LOCATION: Members = {name: nullable(text()) for name in ("city", "country", "region", "timezone")}
_DOMAINS = nullable(list_of(text()))


def _tool(value: Any, at: At) -> None:
    map_(value, at)
    if value.get("type", "custom") == "custom":
        obj(
            {"name": _NAME, "input_schema": _input_schema},
            {
                **_CACHE,
                "type": one_of("custom"),
                "description": text(),
                "strict": flag,
                "defer_loading": flag,
                "eager_input_streaming": nullable(flag),
                "input_examples": list_of(map_),
                "allowed_callers": list_of(text()),
            },
        )(value, at)
    elif value["type"].startswith("web_search_"):
        obj(
            {"type": text(r"web_search_20\d{6}"), "name": one_of("web_search")},
            {
                **_CACHE,
                "max_uses": nullable(integer(1)),
                "allowed_domains": _DOMAINS,
                "blocked_domains": _DOMAINS,
                "user_location": nullable(obj({"type": one_of("approximate")}, _LOCATION)),
            },
        )(value, at)
    else:
        obj({"type": text(r"code_execution_20\d{6}"), "name": one_of("code_execution")}, _CACHE)(
            value, at
        )


_SERIAL = {"disable_parallel_tool_use": flag}
_CHOICE = tagged(
    {
        "auto": obj({"type": _kind}, _SERIAL),
        "any": obj({"type": _kind}, _SERIAL),
        "tool": obj({"type": _kind, "name": _NAME}, _SERIAL),
        "none": obj({"type": _kind}),
    }
)
_DISPLAY = {"display": nullable(one_of("summarized", "omitted"))}
_THINKING = tagged(
    {
        "enabled": obj({"type": _kind, "budget_tokens": integer(1024)}, _DISPLAY),
        "disabled": obj({"type": _kind}),
        "adaptive": obj({"type": _kind}, _DISPLAY),
    }
)


def _answer_schema(value: Any, at: At) -> None:
    draft_2020_12(value, at)
    if value.get("type") == "object" and value.get("additionalProperties") is not False:
        at.refuse(
            f"{at}: For 'object' type, 'additionalProperties' must be explicitly set to false"
        )


_OUTPUT = obj(
    optional={
        "effort": nullable(one_of("low", "medium", "high", "xhigh", "max")),
        "format": nullable(obj({"type": one_of("json_schema"), "schema": _answer_schema})),
    }
)


def _stop(value: Any, at: At) -> None:
    text()(value, at)
    if not value.strip():
        at.refuse("stop_sequences: each stop sequence must contain non-whitespace")


_BODY = obj(
    {
        "model": text(least=1),
        "max_tokens": integer(1),
        "messages": list_of(_MESSAGE, least=1),
    },
    {
        **_CACHE,
        "system": either(text=anything, list=list_of(tagged({"text": _TEXT}))),
        "stop_sequences": list_of(_stop),
        "temperature": number(0, 1),
        "top_p": number(0, 1),
        "top_k": integer(0),
        "tools": list_of(_tool),
        "tool_choice": _CHOICE,
        "thinking": _THINKING,
        "output_config": _OUTPUT,
        "metadata": obj(optional={"user_id": nullable(text(most=256))}),
        "service_tier": one_of("auto", "standard_only"),
        "speed": nullable(one_of("standard", "fast")),
        "stream": flag,
    },
)


def validate(path: str, headers: Mapping[str, str], body: bytes) -> Problem | None:
    """What the service would refuse; header names are in lower case."""
    return first_problem(lambda: _validate(headers, body))


def _validate(headers: Mapping[str, str], body: bytes) -> None:
    at = At(AnthropicWording())
    if not headers.get("x-api-key") and not headers.get("authorization", "").startswith("Bearer "):
        at.refuse("x-api-key header is required")
    if not headers.get("anthropic-version"):
        at.refuse("anthropic-version: header is required")
    if not headers.get("content-type", "").startswith("application/json"):
        at.refuse("content-type: must be application/json")
    document = parsed(body, at)
    _BODY(document, at)
    if document.get("system") == []:
        (at / "system").refuse("system: at least one block is required")
    _few_cache_marks(document, at)
    turns = _merged(document["messages"])
    _roles(document, turns, at)
    _calls_pair(turns, at / "messages")
    _tools(document, at)
    _knobs(document, headers["anthropic-version"], at)
    _thinks(document, turns, at)


def _few_cache_marks(document: dict[str, Any], at: At) -> None:
    marks = sum("cache_control" in node for node in _objects(document))
    if marks > 4:
        at.refuse(f"A maximum of 4 blocks with cache_control may be provided. Found {marks}.")


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        for entry in value:
            yield from _objects(entry)
    elif isinstance(value, dict):
        yield value
        for name, entry in value.items():
            if name not in ("input", "input_schema"):
                yield from _objects(entry)


def _blocks(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _merged(messages: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The turns as the service sees them: neighbours of one role are one, system text aside."""
    turns: list[tuple[str, list[dict[str, Any]]]] = []
    for message in messages:
        if message["role"] == "system":
            continue
        if turns and turns[-1][0] == message["role"]:
            turns[-1][1].extend(_blocks(message))
        else:
            turns.append((message["role"], _blocks(message)))
    return turns


def _roles(document: dict[str, Any], turns: list[tuple[str, list[dict[str, Any]]]], at: At) -> None:
    model = document["model"]
    for index, message in enumerate(document["messages"]):
        if message["role"] == "system" and not models.claude_takes_system_turns(model):
            (at / "messages" / index).refuse(
                'messages: Unexpected role "system". The Messages API accepts a top-level `system`'
                ' parameter, not "system" as an input message role.'
            )
    if not turns or turns[0][0] != "user":
        (at / "messages").refuse('messages: first message must use the "user" role')
    role, blocks = turns[-1]
    if role != "assistant":
        return
    if models.claude_refuses_prefill(model):
        (at / "messages").refuse(
            "This model does not support assistant message prefill. The conversation must end with"
            " a user message."
        )
    if blocks[-1]["type"] == "text" and blocks[-1]["text"] != blocks[-1]["text"].rstrip():
        (at / "messages").refuse(
            "messages: final assistant content cannot end with trailing whitespace"
        )


def _calls_pair(turns: list[tuple[str, list[dict[str, Any]]]], at: At) -> None:
    called: list[str] = []
    seen: set[str] = set()
    for index, (_, blocks) in enumerate(turns):
        results = [b["tool_use_id"] for b in blocks if b["type"] == "tool_result"]
        for result in results:
            if result not in called:
                (at / index).refuse(
                    f"{at / index}: unexpected `tool_use_id` found in `tool_result` blocks:"
                    f" {result}. Each `tool_result` block must have a corresponding `tool_use`"
                    " block in the previous message."
                )
        missing = [call for call in called if call not in results]
        first = [b["type"] for b in blocks[: len(results)]]
        if missing or (called and first != ["tool_result"] * len(results)):
            (at / (index - 1)).refuse(
                f"{at / (index - 1)}: `tool_use` ids were found without `tool_result` blocks"
                f" immediately after: {', '.join(missing or called)}."
            )
        if len(set(results)) != len(results):
            (at / index).refuse("each tool_use must have a single result")
        called = [block["id"] for block in blocks if block["type"] == "tool_use"]
        if len(set(called)) != len(called) or seen & set(called):
            (at / index).refuse("messages: `tool_use` ids must be unique")
        seen |= set(called)
    if called:
        at.refuse(
            "messages: `tool_use` ids were found without `tool_result` blocks immediately after:"
            f" {', '.join(called)}."
        )


def _tools(document: dict[str, Any], at: At) -> None:
    names = [tool["name"] for tool in document.get("tools", [])]
    if len(set(names)) != len(names):
        (at / "tools").refuse("tools: Tool names must be unique.")
    if names and all(tool.get("defer_loading") for tool in document["tools"]):
        (at / "tools").refuse("tools: At least one tool must have defer_loading=false.")
    choice = document.get("tool_choice")
    if choice is not None and not names:
        (at / "tool_choice").refuse("tool_choice: may only be specified while providing tools.")
    if choice and choice["type"] == "tool" and choice["name"] not in names:
        (at / "tool_choice").refuse(
            f"tool_choice.tool.name: Tool '{choice['name']}' not found in provided tools"
        )
    used = any(
        block["type"] in ("tool_use", "tool_result")
        for message in document["messages"]
        for block in _blocks(message)
    )
    if used and not names:
        at.refuse("tools: Requests which include `tool_use` or `tool_result` must define tools")


def _knobs(document: dict[str, Any], version: str, at: At) -> None:
    model = document["model"]
    asked = [knob for knob in ("temperature", "top_p", "top_k") if knob in document]
    if asked and (models.claude_refuses_sampling(model) or version >= "2026-10-21"):
        (at / asked[0]).refuse(f"`{asked[0]}` is deprecated for this model.")
    if {"temperature", "top_p"} <= set(asked) and models.claude_refuses_both(model):
        (at / "top_p").refuse(
            "`temperature` and `top_p` cannot both be specified for this model. Please use only"
            " one."
        )
    most = models.claude_max_output(model)
    if document["max_tokens"] > most:
        (at / "max_tokens").refuse(
            f"max_tokens: {document['max_tokens']} > {most}, which is the maximum allowed number of"
            f" output tokens for {model}"
        )
    effort = document.get("output_config", {}).get("effort")
    if effort is not None and effort not in models.claude_efforts(model):
        (at / "output_config" / "effort").refuse(
            f"This model does not support the effort level '{effort}'."
        )


def _thinks(
    document: dict[str, Any], turns: list[tuple[str, list[dict[str, Any]]]], at: At
) -> None:
    thinking = document.get("thinking", {"type": "disabled"})
    kind = thinking["type"]
    model = document["model"]
    if kind == "enabled" and not models.claude_takes_budget(model):
        (at / "thinking").refuse(
            '"thinking.type.enabled" is not supported for this model. Use'
            ' "thinking.type.adaptive" and "output_config.effort" to control thinking behavior.'
        )
    if kind == "adaptive" and not models.claude_takes_adaptive(model):
        (at / "thinking").refuse("adaptive thinking is not supported on this model")
    if kind == "disabled":
        return
    if kind == "enabled" and thinking["budget_tokens"] >= document["max_tokens"]:
        (at / "max_tokens").refuse("`max_tokens` must be greater than `thinking.budget_tokens`.")
    if document.get("tool_choice", {}).get("type") in ("any", "tool"):
        (at / "tool_choice").refuse("Thinking may not be enabled when tool_choice forces tool use.")
    if document.get("temperature", 1) != 1:
        (at / "temperature").refuse("`temperature` may only be set to 1 when thinking is enabled.")
    if "top_k" in document:
        (at / "top_k").refuse("`top_k` must be unset when thinking is enabled.")
    if document.get("top_p", 1) < 0.95:
        (at / "top_p").refuse("`top_p` must be >= 0.95 or unset when thinking is enabled.")
    if kind == "enabled":
        _open_loop_thinks(turns, at / "messages")


def _open_loop_thinks(turns: list[tuple[str, list[dict[str, Any]]]], at: At) -> None:
    """Refuse an open tool loop whose last assistant turn lost its thinking."""
    if turns[-1][0] == "assistant":
        at.refuse("prefilling assistant responses is not supported when thinking is enabled")
    if len(turns) < 2 or not any(b["type"] == "tool_result" for b in turns[-1][1]):
        return
    first = turns[-2][1][0]["type"]
    if first not in ("thinking", "redacted_thinking"):
        (at / (len(turns) - 2)).refuse(
            f"{at}.{len(turns) - 2}.content.0.type: Expected `thinking` or `redacted_thinking`,"
            f" but found `{first}`. When `thinking` is enabled, a final `assistant` message must"
            " start with a thinking block."
        )
