"""What Responses refuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.fakes.strict import models
from tests.fakes.strict.openai_chat import (
    EFFORTS,
    METADATA,
    NAME,
    TIERS,
    bearer_and_json,
    efforts_fit,
    file_members,
    no_sampling,
    picture_url,
)
from tests.fakes.strict.schemas import argument_schema, draft_2020_12, strict_schema
from tests.fakes.strict.seals import encrypted_item
from tests.fakes.strict.shape import (
    At,
    Check,
    Members,
    OpenAIWording,
    Problem,
    anything,
    base64_text,
    data_url,
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

_CALL_ID = text(least=1, most=64)
_STATUS = {"status": nullable(one_of("in_progress", "completed", "incomplete"))}


def _id(prefix: str) -> Members:
    def check(value: Any, at: At) -> None:
        text(least=1, most=64)(value, at)
        if not value.startswith(prefix):
            at.refuse(
                f"Invalid '{at}': '{value}'. Expected an ID that begins with '{prefix}'.",
                "invalid_value",
            )

    return {"id": check}


def _input_file(value: Any, at: At) -> None:
    obj(
        {"type": anything},
        {
            "filename": text(least=1),
            "file_data": data_url(),
            "file_url": web_url,
            "file_id": text(r"file-.+"),
            "detail": one_of("auto", "low", "high"),
        },
    )(value, at)
    file_members(value, at)


def _input_image(value: Any, at: At) -> None:
    obj(
        {"type": anything},
        {
            "detail": one_of("auto", "low", "high", "original"),
            "image_url": nullable(picture_url),
            "file_id": nullable(text(r"file-.+")),
        },
    )(value, at)
    if not value.get("image_url") and not value.get("file_id"):
        at.missing("image_url")


_INPUT_TEXT = obj({"type": anything, "text": text()})
_SHOWN: Mapping[str, Check] = {
    "input_text": _INPUT_TEXT,
    "input_image": _input_image,
    "input_file": _input_file,
}
_HEARD = {
    "input_audio": obj(
        {
            "type": anything,
            "input_audio": obj({"data": base64_text, "format": one_of("wav", "mp3")}),
        }
    )
}
_SAID: Mapping[str, Check] = {
    "output_text": obj(
        {"type": anything, "text": text()},
        {"annotations": list_of(map_), "logprobs": list_of(map_)},
    ),
    "refusal": obj({"type": anything, "refusal": text()}),
}
_ROLE = one_of("user", "system", "developer", "assistant")


def _message(value: Any, at: At) -> None:
    role = value.get("role")
    _ROLE(role, at / "role")
    parts = _SAID if role == "assistant" else {**_SHOWN, **_HEARD}
    obj(
        {"role": _ROLE, "content": either(text=anything, list=list_of(tagged(parts), least=1))},
        {
            "type": one_of("message"),
            "phase": nullable(one_of("commentary", "final_answer")),
            **_id("msg_"),
            **_STATUS,
        },
    )(value, at)


_OUTPUT = either(text=anything, list=list_of(tagged(_SHOWN)))
_ITEM = tagged(
    {
        "message": _message,
        "function_call": obj(
            {"type": anything, "call_id": _CALL_ID, "name": NAME, "arguments": text()},
            {**_id("fc_"), **_STATUS, "namespace": text(least=1)},
        ),
        "function_call_output": obj(
            {"type": anything, "call_id": _CALL_ID, "output": _OUTPUT},
            {**_id("fc"), **_STATUS},
        ),
        "custom_tool_call": obj(
            {"type": anything, "call_id": _CALL_ID, "name": NAME, "input": text()},
            {**_id("ctc_"), **_STATUS, "namespace": text(least=1)},
        ),
        "custom_tool_call_output": obj(
            {"type": anything, "call_id": _CALL_ID, "output": _OUTPUT}, _id("ctc")
        ),
        "reasoning": obj(
            {
                "type": anything,
                "summary": list_of(obj({"type": one_of("summary_text"), "text": text()})),
            },
            {
                **_id("rs_"),
                **_STATUS,
                "content": nullable(
                    list_of(obj({"type": one_of("reasoning_text"), "text": text()}))
                ),
                "encrypted_content": nullable(text(least=1)),
            },
        ),
        "web_search_call": map_,
        "additional_tools": map_,
        "compaction": obj({"type": anything, "encrypted_content": text()}, _id("cmp_")),
    },
    default="message",
)


def _function(value: Any, at: At) -> None:
    # `parameters` and `strict` may be null, but must be there
    obj(
        {
            "type": anything,
            "name": NAME,
            "parameters": nullable(map_),
        },
        {"strict": nullable(flag), "description": nullable(text()), "defer_loading": flag},
    )(value, at)
    parameters = value.get("parameters")
    if parameters is not None:
        argument_schema(parameters, at / "parameters", value["name"])
        # the service takes a missing `strict` for true
        if value.get("strict", True):
            strict_schema(parameters, at / "parameters", value["name"])


_FORMAT = tagged(
    {
        "text": obj({"type": anything}),
        "grammar": obj({"type": anything, "definition": text(), "syntax": one_of("lark", "regex")}),
    }
)
_CUSTOM = obj({"type": anything, "name": NAME}, {"description": text(), "format": _FORMAT})
_LOCATION = obj(
    {"type": one_of("approximate")},
    {name: nullable(text()) for name in ("city", "country", "region", "timezone")},
)
_SEARCH = obj(
    {"type": anything},
    {
        "filters": nullable(obj(optional={"allowed_domains": list_of(text())})),
        "user_location": nullable(_LOCATION),
        "search_context_size": one_of("low", "medium", "high"),
    },
)
_TOOL = tagged(
    {
        "function": _function,
        "custom": _CUSTOM,
        "namespace": obj(
            {
                "type": anything,
                "name": NAME,
                "tools": list_of(tagged({"function": _function, "custom": _CUSTOM}), least=1),
            },
            {"description": text()},
        ),
        "web_search": _SEARCH,
        "web_search_preview": _SEARCH,
        "code_interpreter": obj({"type": anything, "container": anything}),
    }
)
_CHOSEN = {
    "function": obj({"type": anything, "name": NAME}),
    "custom": obj({"type": anything, "name": NAME}),
    "web_search": obj({"type": anything}),
    "code_interpreter": obj({"type": anything}),
}
_CHOICE = tagged(
    {
        **_CHOSEN,
        "allowed_tools": obj(
            {
                "type": anything,
                "mode": one_of("auto", "required"),
                "tools": list_of(tagged(_CHOSEN), least=1),
            }
        ),
    }
)


def _schema_format(value: Any, at: At) -> None:
    obj(
        {"type": anything, "name": NAME, "schema": draft_2020_12},
        {"strict": nullable(flag), "description": text()},
    )(value, at)
    if value.get("strict", True):
        strict_schema(value["schema"], at / "schema", value["name"])


_TEXT = obj(
    optional={
        "format": tagged(
            {
                "text": obj({"type": anything}),
                "json_object": obj({"type": anything}),
                "json_schema": _schema_format,
            }
        ),
        "verbosity": nullable(one_of("low", "medium", "high")),
    }
)
_REASONING = obj(
    optional={
        "effort": nullable(one_of(*EFFORTS)),
        "summary": nullable(one_of("auto", "concise", "detailed")),
        "generate_summary": nullable(one_of("auto", "concise", "detailed")),
    }
)
_INCLUDE = one_of(
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
    "web_search_call.action.sources",
    "code_interpreter_call.outputs",
    "message.input_image.image_url",
)
_BODY = obj(
    {"model": text(least=1), "input": either(text=text(least=1), list=list_of(_ITEM, least=1))},
    {
        "instructions": nullable(text()),
        "max_output_tokens": nullable(integer(16)),
        "max_tool_calls": nullable(integer(1)),
        "tools": list_of(_TOOL, most=128),
        "tool_choice": either(text=one_of("none", "auto", "required"), map=_CHOICE),
        "parallel_tool_calls": nullable(flag),
        "reasoning": nullable(_REASONING),
        "text": _TEXT,
        "include": nullable(list_of(_INCLUDE)),
        "store": nullable(flag),
        "previous_response_id": nullable(text(r"resp_.+")),
        "conversation": nullable(anything),
        "temperature": nullable(number(0, 2)),
        "top_p": nullable(number(0, 1)),
        "top_logprobs": nullable(integer(0, 20)),
        "truncation": nullable(one_of("auto", "disabled")),
        "service_tier": nullable(TIERS),
        "prompt_cache_key": text(),
        "prompt_cache_retention": nullable(one_of("in_memory", "24h")),
        "prompt_cache_options": map_,
        "safety_identifier": text(),
        "user": text(),
        "metadata": nullable(METADATA),
        "background": nullable(flag),
        "prompt": nullable(map_),
        "stream": nullable(flag),
        "stream_options": nullable(obj(optional={"include_obfuscation": flag})),
    },
)


def validate(path: str, headers: Mapping[str, str], body: bytes) -> Problem | None:
    """What the service would refuse; header names are in lower case."""
    return first_problem(lambda: _validate(headers, body))


def _validate(headers: Mapping[str, str], body: bytes) -> None:
    at = At(OpenAIWording())
    bearer_and_json(headers, at)
    document = parsed(body, at)
    _BODY(document, at)
    if isinstance(document["input"], list):
        _calls_pair(document["input"], at / "input")
        _reasoning_is_ours(document["input"], at / "input")
    _tools(document, at)
    _knobs(document, at)


def _calls_pair(items: list[dict[str, Any]], at: At) -> None:
    called: dict[str, str] = {}
    answered: set[str] = set()
    for index, item in enumerate(items):
        kind = item.get("type", "message")
        if kind in ("function_call", "custom_tool_call"):
            if item["call_id"] in called:
                (at / index).refuse(f"Duplicate call_id {item['call_id']}.")
            called[item["call_id"]] = kind
        elif kind in ("function_call_output", "custom_tool_call_output"):
            if called.get(item["call_id"]) != kind.removesuffix("_output"):
                (at / index).refuse(
                    f"No tool call found for function call output with call_id {item['call_id']}."
                )
            answered.add(item["call_id"])
    for call_id in called:
        if call_id not in answered:
            at.refuse(f"No tool output found for function call {call_id}.")


def _reasoning_is_ours(items: list[dict[str, Any]], at: At) -> None:
    for index, item in enumerate(items):
        if item.get("type") != "reasoning":
            continue
        content = item.get("encrypted_content")
        if content is None:
            (at / index).refuse(
                f"Item with id '{item.get('id')}' not found. Items are not persisted when `store`"
                " is set to false."
            )
        sealed = encrypted_item(content)
        if sealed is None:
            (at / index).refuse("The encrypted content could not be verified.")
        if "id" in item and item["id"] != sealed:
            (at / index).refuse("Encrypted content item_id did not match the target item id.")
        follower = items[index + 1] if index + 1 < len(items) else {}
        said_by_model = (
            follower.get("role", "assistant") == "assistant" and "output" not in follower
        )
        if not follower or not said_by_model:
            (at / index).refuse(
                f"Item '{sealed}' of type 'reasoning' was provided without its required following"
                " item."
            )


def _tools(document: dict[str, Any], at: At) -> None:
    tools = document.get("tools", [])
    names = [tool["name"] for tool in tools if "name" in tool]
    if len(set(names)) != len(names):
        (at / "tools").refuse("Tool names must be unique.")
    choice = document.get("tool_choice")
    if choice in ("auto", "required") and not tools:
        (at / "tool_choice").refuse("Tool choice is only allowed when 'tools' are specified.")
    if not isinstance(choice, dict):
        return
    offered = {(tool["type"], tool.get("name")) for tool in tools}
    for entry in choice.get("tools", [choice]):
        if (entry["type"], entry.get("name")) not in offered:
            (at / "tool_choice").refuse("Tool choice not found in 'tools' parameter.")


def _knobs(document: dict[str, Any], at: At) -> None:
    if document.get("stream_options") is not None and not document.get("stream"):
        (at / "stream_options").refuse("'stream_options' needs 'stream'.")
    form = document.get("text", {}).get("format", {}).get("type")
    said = str(document["input"]) + str(document.get("instructions"))
    if form == "json_object" and "json" not in said.lower():
        (at / "input").refuse(
            "Response input messages must contain the word 'json' in some form to use"
            " 'text.format' of type 'json_object'."
        )
    reasoning = document.get("reasoning") or {}
    effort = reasoning.get("effort")
    efforts_fit(document["model"], effort, at / "reasoning" / "effort")
    if models.gpt_reasons(document["model"]):
        no_sampling(document, effort, at)
        return
    if reasoning.get("summary"):
        (at / "reasoning" / "summary").refuse(
            "Unsupported parameter: 'reasoning.summary' is not supported with this model.",
            "unsupported_parameter",
        )
    if "reasoning.encrypted_content" in (document.get("include") or []):
        (at / "include").refuse(
            "Encrypted content is not supported with this model.", "unsupported_parameter"
        )
