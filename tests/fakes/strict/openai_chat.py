"""What Chat Completions refuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.fakes.strict import models
from tests.fakes.strict.schemas import argument_schema, draft_2020_12, strict_schema
from tests.fakes.strict.shape import (
    At,
    Check,
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
    map_of,
    nullable,
    number,
    obj,
    one_of,
    parsed,
    tagged,
    text,
)

NAME = text(r"[a-zA-Z0-9_-]+", least=1, most=64)
CALL_ID = text(least=1, most=40)
PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
METADATA = map_of(text(most=512), most=16)


def _picture_url(value: Any, at: At) -> None:
    text()(value, at)
    if value.startswith("data:"):
        data_url(*PICTURES)(value, at)
    elif not value.startswith(("https://", "http://")):
        at.refuse(f"Invalid '{at}'. Expected a valid URL, but got a value with an invalid format.")


picture_url = _picture_url


def file_members(value: Any, at: At) -> None:
    """Hold a file to its rules: one source, and a name beside inline data."""
    sources = [name for name in ("file_data", "file_id", "file_url") if name in value]
    if len(sources) != 1:
        at.refuse(f"Invalid '{at}': expected exactly one of file_data, file_id and file_url.")
    if "file_data" in value and not value.get("filename"):
        at.missing("filename")


def _file(value: Any, at: At) -> None:
    members = {"file_data": data_url(), "file_id": text(r"file-.+"), "filename": text(least=1)}
    obj(optional=members)(value, at)
    file_members(value, at)


_KIND = one_of("text", "image_url", "input_audio", "file", "refusal", "function", "custom")
_TEXT = obj({"type": _KIND, "text": text()})
_REFUSAL = obj({"type": _KIND, "refusal": text()})
_IMAGE = obj(
    {
        "type": _KIND,
        "image_url": obj(
            {"url": _picture_url}, {"detail": one_of("auto", "low", "high", "original")}
        ),
    }
)
_AUDIO = obj(
    {
        "type": _KIND,
        "input_audio": obj({"data": base64_text, "format": one_of("wav", "mp3")}),
    }
)
_FILE = obj({"type": _KIND, "file": _file})


def _content(**kinds: Check) -> Check:
    return either(text=anything, list=list_of(tagged(kinds), least=1))


_USER = _content(text=_TEXT, image_url=_IMAGE, input_audio=_AUDIO, file=_FILE)
_WORDS = _content(text=_TEXT)
_SPOKEN = _content(text=_TEXT, refusal=_REFUSAL)
_CALL = tagged(
    {
        "function": obj(
            {"id": CALL_ID, "type": _KIND, "function": obj({"name": NAME, "arguments": text()})},
        ),
        "custom": obj(
            {"id": CALL_ID, "type": _KIND, "custom": obj({"name": NAME, "input": text()})}
        ),
    }
)
_ROLE = one_of("developer", "system", "user", "assistant", "tool")
_AUTHOR = {"name": text(r"[^\s<|\\/>]+", most=64)}
_MESSAGE = tagged(
    {
        "developer": obj({"role": _ROLE, "content": _WORDS}, _AUTHOR),
        "system": obj({"role": _ROLE, "content": _WORDS}, _AUTHOR),
        "user": obj({"role": _ROLE, "content": _USER}, _AUTHOR),
        "assistant": obj(
            {"role": _ROLE},
            {
                **_AUTHOR,
                "content": nullable(_SPOKEN),
                "refusal": nullable(text()),
                "audio": nullable(obj({"id": text()})),
                "tool_calls": list_of(_CALL, least=1, most=128),
            },
        ),
        "tool": obj({"role": _ROLE, "content": _WORDS, "tool_call_id": CALL_ID}),
    },
    "role",
)


def _function(value: Any, at: At) -> None:
    obj(
        {"name": NAME},
        {"description": text(most=1 << 20), "parameters": map_, "strict": nullable(flag)},
    )(value, at)
    if "parameters" in value:
        argument_schema(value["parameters"], at / "parameters", value["name"])
        if value.get("strict"):
            strict_schema(value["parameters"], at / "parameters", value["name"])


FORMAT = tagged(
    {
        "text": obj({"type": one_of("text")}),
        "grammar": obj(
            {
                "type": one_of("grammar"),
                "grammar": obj({"definition": text(), "syntax": one_of("lark", "regex")}),
            }
        ),
    }
)
_TOOL = tagged(
    {
        "function": obj({"type": _KIND, "function": _function}),
        "custom": obj(
            {
                "type": _KIND,
                "custom": obj({"name": NAME}, {"description": text(), "format": FORMAT}),
            }
        ),
    }
)
_NAMED = tagged(
    {
        "function": obj({"type": _KIND, "function": obj({"name": NAME})}),
        "custom": obj({"type": _KIND, "custom": obj({"name": NAME})}),
        "allowed_tools": obj(
            {
                "type": one_of("allowed_tools"),
                "allowed_tools": obj(
                    {
                        "mode": one_of("auto", "required"),
                        "tools": list_of(
                            tagged(
                                {
                                    "function": obj(
                                        {"type": _KIND, "function": obj({"name": NAME})}
                                    ),
                                    "custom": obj({"type": _KIND, "custom": obj({"name": NAME})}),
                                }
                            ),
                            least=1,
                        ),
                    }
                ),
            }
        ),
    }
)


def _json_schema(value: Any, at: At) -> None:
    obj(
        {"name": NAME},
        {"description": text(), "schema": draft_2020_12, "strict": nullable(flag)},
    )(value, at)
    if value.get("strict"):
        strict_schema(value.get("schema", {}), at / "schema", value["name"])


_FORMAT_TYPE = one_of("text", "json_object", "json_schema")
_RESPONSE_FORMAT = tagged(
    {
        "text": obj({"type": _FORMAT_TYPE}),
        "json_object": obj({"type": _FORMAT_TYPE}),
        "json_schema": obj({"type": _FORMAT_TYPE, "json_schema": _json_schema}),
    }
)
_STOP = nullable(either(text=text(least=1), list=list_of(text(least=1), least=1, most=4)))
TIERS = one_of("auto", "default", "flex", "scale", "priority", "fast")
_BODY = obj(
    {"model": text(least=1), "messages": list_of(_MESSAGE, least=1)},
    {
        "max_completion_tokens": nullable(integer(1)),
        "max_tokens": nullable(integer(1)),
        "temperature": nullable(number(0, 2)),
        "top_p": nullable(number(0, 1)),
        "n": nullable(integer(1, 128)),
        "stop": _STOP,
        "presence_penalty": nullable(number(-2, 2)),
        "frequency_penalty": nullable(number(-2, 2)),
        "logit_bias": nullable(map_of(number(-100, 100))),
        "logprobs": nullable(flag),
        "top_logprobs": nullable(integer(0, 20)),
        "seed": nullable(integer(-(2**63), 2**63 - 1)),
        "tools": list_of(_TOOL, least=1, most=128),
        "tool_choice": either(text=one_of("none", "auto", "required"), map=_NAMED),
        "parallel_tool_calls": flag,
        "response_format": _RESPONSE_FORMAT,
        "reasoning_effort": nullable(one_of(*EFFORTS)),
        "verbosity": nullable(one_of("low", "medium", "high")),
        "stream": nullable(flag),
        "stream_options": nullable(
            obj(optional={"include_usage": flag, "include_obfuscation": flag})
        ),
        "service_tier": nullable(TIERS),
        "user": text(),
        "safety_identifier": text(),
        "prompt_cache_key": text(),
        "prompt_cache_retention": nullable(one_of("in_memory", "24h")),
        "prompt_cache_options": map_,
        "metadata": nullable(METADATA),
        "store": nullable(flag),
        "modalities": nullable(list_of(one_of("text", "audio"))),
        "audio": nullable(map_),
        "prediction": nullable(map_),
        "web_search_options": map_,
        "moderation": map_,
    },
)


def validate(path: str, headers: Mapping[str, str], body: bytes) -> Problem | None:
    """What the service would refuse; header names are in lower case."""
    return first_problem(lambda: _validate(headers, body))


def bearer_and_json(headers: Mapping[str, str], at: At) -> None:
    """Refuse a request without a key, or whose body says it is no JSON."""
    if not headers.get("authorization", "").startswith("Bearer "):
        at.refuse("You didn't provide an API key.", "invalid_api_key")
    if not headers.get("content-type", "").startswith("application/json"):
        at.refuse("Unsupported content type.", "unsupported_content_type")


def _validate(headers: Mapping[str, str], body: bytes) -> None:
    at = At(OpenAIWording())
    bearer_and_json(headers, at)
    document = parsed(body, at)
    _BODY(document, at)
    _messages(document["messages"], at / "messages")
    _tools(document, at)
    _knobs(document, at)


def _messages(messages: list[dict[str, Any]], at: At) -> None:
    waiting: list[str] = []
    for index, message in enumerate(messages):
        here = at / index
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                here.refuse(
                    "Invalid parameter: messages with role 'tool' must be a response to a"
                    " preceeding message with 'tool_calls'."
                )
            waiting.remove(message["tool_call_id"])
            continue
        _all_answered(waiting, here)
        if message["role"] == "assistant":
            calls = message.get("tool_calls", [])
            if not calls and message.get("content") is None and not message.get("refusal"):
                (here / "content").refuse(
                    "Invalid value for 'content': expected a string, got null."
                )
            waiting = [call["id"] for call in calls]
            if len(set(waiting)) != len(waiting):
                (here / "tool_calls").refuse("Duplicate value for 'tool_call_id'.")
    _all_answered(waiting, at)


def _all_answered(waiting: list[str], at: At) -> None:
    if waiting:
        at.refuse(
            "An assistant message with 'tool_calls' must be followed by tool messages responding"
            " to each 'tool_call_id'. The following tool_call_ids did not have response messages: "
            + ", ".join(waiting)
        )


def _tools(document: dict[str, Any], at: At) -> None:
    names = [tool[tool["type"]]["name"] for tool in document.get("tools", [])]
    if len(set(names)) != len(names):
        (at / "tools").refuse("Tool names must be unique.")
    for knob in ("tool_choice", "parallel_tool_calls"):
        if knob in document and not names:
            (at / knob).refuse(f"'{knob}' is only allowed when 'tools' are specified.")
    choice = document.get("tool_choice")
    if not isinstance(choice, dict):
        return
    kind = choice["type"]
    chosen = choice[kind]["tools"] if kind == "allowed_tools" else [choice]
    for entry in chosen:
        if entry[entry["type"]]["name"] not in names:
            (at / "tool_choice").refuse("Tool choice not found in 'tools' parameter.")


def _knobs(document: dict[str, Any], at: At) -> None:
    model = document["model"]
    if document.get("stream_options") is not None and not document.get("stream"):
        (at / "stream_options").refuse(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        )
    if document.get("max_tokens") and document.get("max_completion_tokens"):
        (at / "max_tokens").refuse(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
        )
    if document.get("top_logprobs") is not None and not document.get("logprobs"):
        (at / "top_logprobs").refuse("'top_logprobs' needs 'logprobs' to be true.")
    form = document.get("response_format", {}).get("type")
    if form == "json_object" and "json" not in str(document["messages"]).lower():
        (at / "messages").refuse(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of"
            " type 'json_object'."
        )
    effort = document.get("reasoning_effort")
    efforts_fit(model, effort, at / "reasoning_effort")
    if models.gpt_reasons(model):
        if document.get("max_tokens") is not None:
            (at / "max_tokens").refuse(
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use"
                " 'max_completion_tokens' instead.",
                "unsupported_parameter",
            )
        if document.get("stop") is not None:
            (at / "stop").refuse(
                "Unsupported parameter: 'stop' is not supported with this model.",
                "unsupported_parameter",
            )
        no_sampling(document, effort, at)


def efforts_fit(model: str, effort: str | None, at: At) -> None:
    """Refuse an effort that the model does not know."""
    known = models.gpt_efforts(model)
    if effort is not None and effort not in known:
        if not known:
            at.refuse(f"Unrecognized request argument supplied: {at}", "unsupported_parameter")
        at.refuse(
            f"Unsupported value: '{at}' does not support '{effort}' with this model. Supported"
            " values are: " + ", ".join(known),
            "unsupported_value",
        )


def no_sampling(document: dict[str, Any], effort: str | None, at: At) -> None:
    """Refuse the knobs of chance of a model that reasons."""
    if effort == "none":
        return
    defaults = {
        "temperature": 1,
        "top_p": 1,
        "presence_penalty": 0,
        "frequency_penalty": 0,
        "logprobs": False,
        "logit_bias": None,
    }
    for knob, default in defaults.items():
        if document.get(knob) not in (None, default):
            (at / knob).refuse(
                f"Unsupported value: '{knob}' does not support {document[knob]} with this model."
                f" Only the default ({default}) value is supported.",
                "unsupported_value",
            )
