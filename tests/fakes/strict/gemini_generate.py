"""What generateContent refuses."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from tests.fakes.strict import models
from tests.fakes.strict.schemas import google_json_schema, openapi_schema
from tests.fakes.strict.seals import is_gemini_signature
from tests.fakes.strict.shape import (
    At,
    GoogleWording,
    Members,
    Problem,
    anything,
    base64_text,
    first_problem,
    flag,
    integer,
    list_of,
    map_,
    number,
    obj,
    one_of,
    parsed,
    text,
)


def _bytes(value: Any, at: At) -> None:
    """Take base64 in either alphabet, as proto JSON does."""
    text()(value, at)
    base64_text(value.replace("-", "+").replace("_", "/"), at)


_MEDIA_TYPE = text(r"(?:image|audio|video|text|application)/[\w.+-]+")
_BLOB = obj({"mimeType": _MEDIA_TYPE, "data": _bytes}, {"displayName": text()})
_FILE = obj(
    {"fileUri": text(r"(?:https?|gs)://\S+")}, {"mimeType": _MEDIA_TYPE, "displayName": text()}
)
_CALL = obj({"name": text(least=1)}, {"args": map_, "id": text()})


def _result_part(value: Any, at: At) -> None:
    obj(optional={"inlineData": _BLOB, "fileData": _FILE})(value, at)
    _exactly_one(value, ("inlineData", "fileData"), at)


_RESULT = obj(
    {"name": text(least=1), "response": map_},
    {"id": text(), "parts": list_of(_result_part), "willContinue": flag, "scheduling": text()},
)
_DATA: Members = {
    "text": text(),
    "inlineData": _BLOB,
    "fileData": _FILE,
    "functionCall": _CALL,
    "functionResponse": _RESULT,
    "executableCode": map_,
    "codeExecutionResult": map_,
}
_BESIDE: Members = {
    "thought": flag,
    "thoughtSignature": _bytes,
    "videoMetadata": map_,
    "mediaResolution": anything,
    "partMetadata": map_,
}


def _exactly_one(value: dict[str, Any], names: tuple[str, ...], at: At) -> None:
    found = [name for name in names if name in value]
    if len(found) > 1:
        at.refuse(f"Invalid value at '{at}' (oneof), oneof field 'data' is already set.")
    if not found:
        at.refuse(
            f"* GenerateContentRequest.{at}.data: required oneof field 'data' must have one"
            " initialized field"
        )


def _part(value: Any, at: At) -> None:
    obj(optional={**_DATA, **_BESIDE})(value, at)
    _exactly_one(value, tuple(_DATA), at)
    signature = value.get("thoughtSignature")
    if signature is None:
        return
    if "functionResponse" in value:
        at.refuse("A function response cannot have a thought signature.")
    if not is_gemini_signature(signature):
        at.refuse("Thought signature is not valid.")


_CONTENT = obj({"parts": list_of(_part, least=1)}, {"role": one_of("user", "model")})
_NAME = text(r"[a-zA-Z_][\w.:-]{0,127}")


def _declaration(value: Any, at: At) -> None:
    obj(
        {"name": _NAME},
        {
            "description": text(),
            "parameters": openapi_schema,
            "parametersJsonSchema": google_json_schema,
            "response": openapi_schema,
            "responseJsonSchema": google_json_schema,
            "behavior": text(),
        },
    )(value, at)
    if "parameters" in value and "parametersJsonSchema" in value:
        at.refuse(f"{at}: parameters and parameters_json_schema are mutually exclusive.")


_TOOL = obj(
    optional={
        "functionDeclarations": list_of(_declaration, least=1, most=512),
        "googleSearch": map_,
        "urlContext": map_,
        "codeExecution": map_,
        "googleMaps": map_,
        "fileSearch": map_,
        "computerUse": map_,
    }
)
_CALLING = obj(
    optional={
        "mode": one_of("AUTO", "ANY", "NONE", "VALIDATED", "MODE_UNSPECIFIED"),
        "allowedFunctionNames": list_of(_NAME),
    }
)
_THINKING = obj(
    optional={
        "includeThoughts": flag,
        "thinkingBudget": integer(-1),
        "thinkingLevel": one_of(
            "MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH", "THINKING_LEVEL_UNSPECIFIED"
        ),
    }
)
_GENERATION = obj(
    optional={
        "temperature": number(0, 2),
        "topP": number(0, 1),
        "topK": number(0),
        "candidateCount": integer(1, 8),
        "maxOutputTokens": integer(1),
        "stopSequences": list_of(text(least=1), most=5),
        "seed": integer(-(2**31), 2**31 - 1),
        "presencePenalty": number(-2, 2),
        "frequencyPenalty": number(-2, 2),
        "responseLogprobs": flag,
        "logprobs": integer(0, 20),
        "responseMimeType": one_of("text/plain", "application/json", "text/x.enum"),
        "responseSchema": openapi_schema,
        "responseJsonSchema": google_json_schema,
        "responseModalities": list_of(one_of("TEXT", "IMAGE", "AUDIO")),
        "mediaResolution": text(),
        "speechConfig": map_,
        "imageConfig": map_,
        "thinkingConfig": _THINKING,
    }
)
_BODY = obj(
    {"contents": list_of(_CONTENT, least=1)},
    {
        "systemInstruction": obj(
            {"parts": list_of(obj({"text": text()}), least=1)}, {"role": anything}
        ),
        "tools": list_of(_TOOL),
        "toolConfig": obj(optional={"functionCallingConfig": _CALLING, "retrievalConfig": map_}),
        "generationConfig": _GENERATION,
        "safetySettings": list_of(obj({"category": text(), "threshold": text()})),
        "cachedContent": text(r"cachedContents/.+"),
        "labels": map_,
        "serviceTier": one_of("flex", "standard", "priority"),
        "store": flag,
    },
)


_FREE = frozenset({"args", "response", "properties", "parametersJsonSchema", "responseJsonSchema"})


def camelled(value: Any) -> Any:
    """A body in the usual spelling; the service takes snake case for its own names as well."""
    if isinstance(value, list):
        return [camelled(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    told: dict[str, Any] = {}
    for name, entry in value.items():
        spelled = re.sub(r"_([a-z])", lambda found: found[1].upper(), name)
        told[spelled] = entry if spelled in _FREE else camelled(entry)
    return told


def validate(path: str, headers: Mapping[str, str], body: bytes) -> Problem | None:
    """What the service would refuse; header names are in lower case, the path names the model."""
    return first_problem(lambda: _validate(path, headers, body))


def _validate(path: str, headers: Mapping[str, str], body: bytes) -> None:
    at = At(GoogleWording())
    named = re.search(r"/models/([^/:]+):(?:generateContent|streamGenerateContent)$", path)
    if named is None:
        at.refuse(f"{path} is not found for API version v1beta")
    model = named[1]
    if not headers.get("x-goog-api-key"):
        at.refuse("Method doesn't allow unregistered callers.")
    document = camelled(parsed(body, at))
    _BODY(document, at)
    if not document["contents"]:
        at.refuse("* GenerateContentRequest.contents: contents is not specified")
    _calls_pair(document["contents"], at / "contents")
    _signatures(model, document["contents"], at / "contents")
    _results_fit(model, document["contents"], at / "contents")
    _tools(model, document, at)
    _knobs(model, document.get("generationConfig", {}), at / "generationConfig")


def _calls_pair(contents: list[dict[str, Any]], at: At) -> None:
    called: list[dict[str, Any]] = []
    for index, content in enumerate(contents):
        results = [p["functionResponse"] for p in content["parts"] if "functionResponse" in p]
        calls = [p["functionCall"] for p in content["parts"] if "functionCall" in p]
        _same_functions(called, results, at / index)
        if calls and (content.get("role") != "model" or index == 0):
            (at / index).refuse(
                "Please ensure that function call turn comes immediately after a user turn or after"
                " a function response turn."
            )
        if calls and contents[index - 1].get("role", "user") != "user":
            (at / index).refuse(
                "Please ensure that function call turn comes immediately after a user turn or after"
                " a function response turn."
            )
        if results and content.get("role") != "user":
            (at / index).refuse("Please use a valid role: user, model.")
        called = calls
    _same_functions(called, [], at)
    if contents[-1].get("role", "user") == "model" and called:
        at.refuse("Please ensure that the conversation ends with a user turn.")


def _same_functions(called: list[dict[str, Any]], results: list[dict[str, Any]], at: At) -> None:
    if Counter(call["name"] for call in called) != Counter(one["name"] for one in results):
        at.refuse(
            "Please ensure that the number of function response parts is equal to the number of"
            " function call parts of the function call turn."
        )
    # Where both sides have ids they pair by them, else by their order.
    for call, result in zip(called, results, strict=True):
        if "id" in call and "id" in result:
            if {one.get("id") for one in called} != {one.get("id") for one in results}:
                at.refuse("Function response ids do not match function call ids.")
        elif call["name"] != result["name"]:
            at.refuse("Function responses without ids must come in the order of the calls.")


def _signatures(model: str, contents: list[dict[str, Any]], at: At) -> None:
    if not models.gemini_is_3(model):
        return
    for index, content in enumerate(contents):
        first = next((part for part in content["parts"] if "functionCall" in part), None)
        if first is not None and "thoughtSignature" not in first:
            (at / index).refuse(
                f"Function call `{first['functionCall']['name']}` in the `{index}.` content block"
                " is missing a `thought_signature`."
            )


def _results_fit(model: str, contents: list[dict[str, Any]], at: At) -> None:
    if models.gemini_is_3(model):
        return
    for index, content in enumerate(contents):
        if any("parts" in part.get("functionResponse", {}) for part in content["parts"]):
            (at / index).refuse("Multimodal function responses are not supported by this model.")


def _tools(model: str, document: dict[str, Any], at: At) -> None:
    tools = document.get("tools", [])
    declared = [f["name"] for tool in tools for f in tool.get("functionDeclarations", [])]
    if len(set(declared)) != len(declared):
        (at / "tools").refuse("Duplicate function declaration found.")
    if sum("functionDeclarations" in tool for tool in tools) > 1:
        (at / "tools").refuse("Multiple tools are supported only when they are all search tools.")
    hosted = {name for tool in tools for name in tool} - {"functionDeclarations"}
    if declared and hosted and not models.gemini_is_3(model):
        (at / "tools").refuse(
            "Built-in tools and Function Calling cannot be combined in the same request."
        )
    calling = document.get("toolConfig", {}).get("functionCallingConfig", {})
    if calling and not declared:
        (at / "toolConfig").refuse("Function calling config is set without function_declarations.")
    allowed = calling.get("allowedFunctionNames", [])
    if allowed and calling.get("mode") not in ("ANY", "VALIDATED"):
        (at / "toolConfig").refuse(
            "Allowed function names may only be set when function calling mode is ANY."
        )
    if not set(allowed) <= set(declared):
        (at / "toolConfig").refuse("Allowed function names must be declared.")


def _knobs(model: str, generation: dict[str, Any], at: At) -> None:
    schemas = [name for name in ("responseSchema", "responseJsonSchema") if name in generation]
    if len(schemas) == 2:
        at.refuse("Only one of response_schema and response_json_schema may be set.")
    if schemas and generation.get("responseMimeType") != "application/json":
        at.refuse("response_schema requires response_mime_type to be 'application/json'.")
    if "logprobs" in generation and not generation.get("responseLogprobs"):
        at.refuse("Logprobs needs response_logprobs to be true.")
    thinking = generation.get("thinkingConfig", {})
    level, budget = thinking.get("thinkingLevel"), thinking.get("thinkingBudget")
    if level is not None and budget is not None:
        at.refuse("You can only set one of thinking budget and thinking level.")
    if level is not None and level not in models.gemini_levels(model):
        at.refuse(f"Thinking level {level} is not supported for this model.")
    if budget is not None and budget != -1 and not models.gemini_is_3(model):
        least, most = models.gemini_budget(model)
        if not least <= budget <= most:
            at.refuse(
                f"The thinking budget {budget} is invalid. Please choose a value between {least}"
                f" and {most}."
            )
