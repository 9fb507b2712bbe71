"""What the demo models see of a request, whichever protocol it came in.

This is no decoder: it looks for the newest words of the user, results of tools and the tools
themselves, and passes over everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.errors import BadRequest

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that may be called; ``schema`` is the JSON schema of its arguments."""

    name: str
    schema: Json


@dataclass(frozen=True, slots=True)
class Prompt:
    """The part of a request the demo models answer.

    Attributes:
        text: what the user said last, with a note in brackets for each picture or file.
        results: what tools have returned since.
        choice: ``auto``, ``none``, or the name of the one tool to call.
        words: an estimate of the input tokens: the words of all texts.
    """

    text: str
    results: tuple[str, ...]
    tools: tuple[Tool, ...]
    choice: str
    words: int


@dataclass(slots=True)
class _Reader:
    user: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    words: int = 0

    def turn(self, texts: list[str], results: list[str], from_user: bool) -> None:
        """Take one message; a user's words begin a new question, results belong to the last."""
        self.words += sum(len(text.split()) for text in texts + results)
        if from_user and texts:
            self.user, self.results = texts, []
        self.results += results


def read_prompt(request: Json, protocol: str) -> Prompt:
    """Read a generation request.

    Raises:
        BadRequest: what a real service would miss is missing.
    """
    reader = _Reader()
    _READERS[protocol](request, reader)
    tools = tuple(_TOOLS[protocol](request))
    choice = _CHOICES[protocol](request)
    return Prompt("\n".join(reader.user), tuple(reader.results), tools, choice, reader.words or 1)


def completion_prompt(request: Json) -> Prompt:
    """Read a legacy completion request.

    Raises:
        BadRequest: there is no prompt.
    """
    texts = texts_of(request, "prompt")
    words = sum(len(text.split()) for text in texts)
    return Prompt("\n".join(texts), (), (), "none", words or 1)


def texts_of(request: Json, name: str) -> list[str]:
    """A member that is a text, a list of texts, or lists of token numbers.

    Raises:
        BadRequest: it is missing or anything else.
    """
    value = request.get(name)
    entries = value if isinstance(value, list) else [value]
    if entries and all(isinstance(entry, int) for entry in entries):
        entries = [entries]
    texts = [
        entry if isinstance(entry, str) else " ".join(map(str, entry))
        for entry in entries
        if isinstance(entry, str | list)
    ]
    if not texts or len(texts) < len(entries):
        raise BadRequest(f"Missing required parameter: '{name}'.", details={"param": name})
    return texts


def gemini_texts(content: object) -> list[str]:
    """The texts of one Gemini content, media as notes."""
    found = []
    for part in _objects(_object(content).get("parts")):
        if isinstance(part.get("text"), str):
            if not part.get("thought"):
                found.append(part["text"])
        elif data := _object(part.get("inlineData") or part.get("inline_data")):
            kind = data.get("mimeType") or data.get("mime_type")
            found.append(_note(str(kind), str(data.get("data", ""))))
        elif data := _object(part.get("fileData") or part.get("file_data")):
            found.append(f"[file at {data.get('fileUri') or data.get('file_uri')}]")
    return found


def _read_chat(request: Json, reader: _Reader) -> None:
    for message in _required(request, "messages", "Missing required parameter: 'messages'."):
        texts = _texts(message.get("content"))
        if message.get("role") in ("tool", "function"):
            reader.turn([], ["\n".join(texts)], False)
        else:
            reader.turn(texts, [], message.get("role") == "user")


def _read_responses(request: Json, reader: _Reader) -> None:
    reader.turn(_texts(request.get("instructions")), [], False)
    given = request.get("input")
    if isinstance(given, str):
        reader.turn([given], [], True)
        return
    for item in _required(request, "input", "Missing required parameter: 'input'."):
        if item.get("type") in ("function_call_output", "custom_tool_call_output"):
            reader.turn([], ["\n".join(_texts(item.get("output")))], False)
        elif item.get("type", "message") == "message":
            reader.turn(_texts(item.get("content")), [], item.get("role") == "user")


def _read_messages(request: Json, reader: _Reader) -> None:
    reader.turn(_texts(request.get("system")), [], False)
    for message in _required(request, "messages", "messages: Field required"):
        content = message.get("content")
        results = [
            "\n".join(_texts(block.get("content")))
            for block in _objects(content)
            if block.get("type") == "tool_result"
        ]
        reader.turn(_texts(content), results, message.get("role") == "user")


def _read_gemini(request: Json, reader: _Reader) -> None:
    system = request.get("systemInstruction") or request.get("system_instruction")
    reader.turn(gemini_texts(system), [], False)
    missing = "* GenerateContentRequest.contents: contents is not specified"
    for content in _required(request, "contents", missing):
        results = []
        for part in _objects(content.get("parts")):
            answer = part.get("functionResponse") or part.get("function_response")
            if isinstance(answer, dict):
                results.append(_returned(_object(answer.get("response"))))
        texts = gemini_texts(content)
        reader.turn(texts, results, content.get("role", "user") == "user")


def _returned(response: Json) -> str:
    for name in ("result", "output", "error"):
        if isinstance(response.get(name), str):
            return str(response[name])
    return orjson.dumps(dict(response)).decode()


def _chat_tools(request: Json) -> Iterator[Tool]:
    for tool in _objects(request.get("tools")):
        if tool.get("type") == "function":
            yield from _tool(_object(tool.get("function")), "parameters")


def _responses_tools(request: Json) -> Iterator[Tool]:
    for tool in _objects(request.get("tools")):
        if tool.get("type") == "function":
            yield from _tool(tool, "parameters")


def _messages_tools(request: Json) -> Iterator[Tool]:
    for tool in _objects(request.get("tools")):
        if tool.get("type", "custom") == "custom":  # the others run at the provider
            yield from _tool(tool, "input_schema")


def _gemini_tools(request: Json) -> Iterator[Tool]:
    for tool in _objects(request.get("tools")):
        declared = tool.get("functionDeclarations") or tool.get("function_declarations")
        for function in _objects(declared):
            schemas = ("parametersJsonSchema", "parameters_json_schema")
            own = [name for name in schemas if name in function]
            yield from _tool(function, own[0] if own else "parameters")


def _tool(function: Json, schema: str) -> Iterator[Tool]:
    if isinstance(function.get("name"), str):
        yield Tool(function["name"], _object(function.get(schema)))


def _openai_choice(request: Json) -> str:
    choice = request.get("tool_choice")
    if isinstance(choice, dict):
        name = choice.get("name") or _object(choice.get("function")).get("name")
        return name if isinstance(name, str) else "auto"
    return "none" if choice == "none" else "auto"


def _messages_choice(request: Json) -> str:
    choice = _object(request.get("tool_choice"))
    if choice.get("type") == "tool" and isinstance(choice.get("name"), str):
        return str(choice["name"])
    return "none" if choice.get("type") == "none" else "auto"


def _gemini_choice(request: Json) -> str:
    config = _object(request.get("toolConfig") or request.get("tool_config"))
    calling = _object(config.get("functionCallingConfig") or config.get("function_calling_config"))
    if calling.get("mode") == "NONE":
        return "none"
    allowed = calling.get("allowedFunctionNames") or calling.get("allowed_function_names")
    return str(allowed[0]) if isinstance(allowed, list) and allowed else "auto"


def _texts(content: object) -> list[str]:
    """Texts of a message in the shapes of OpenAI and Anthropic, media as notes."""
    if isinstance(content, str):
        return [content]
    found = []
    for part in _objects(content):
        match part.get("type"):
            case "text" | "input_text" | "output_text":
                found.append(str(part.get("text", "")))
            case "image_url":
                found.append(_link("image", _object(part.get("image_url")).get("url")))
            case "input_image":
                found.append(_link("image", part.get("image_url")))
            case "image" | "document":
                found.append(_source(part))
            case "file" | "input_file":
                holder = _object(part.get("file")) or part
                found.append(_link("file", holder.get("file_data") or holder.get("file_id")))
            case "input_audio":
                audio = _object(part.get("input_audio"))
                found.append(_note(f"audio/{audio.get('format')}", str(audio.get("data", ""))))
            case _:
                pass  # calls, thinking and what runs at the provider are not the user's words
    return found


def _source(block: Json) -> str:
    source = _object(block.get("source"))
    if source.get("type") == "base64":
        return _note(str(source.get("media_type")), str(source.get("data", "")))
    if source.get("type") == "text":
        return str(source.get("data", ""))
    return f"[{block.get('type')} at {source.get('url') or source.get('file_id')}]"


def _link(what: str, url: object) -> str:
    text = url if isinstance(url, str) else ""
    if text.startswith("data:"):
        head, _, data = text[5:].partition(",")
        return _note(head.partition(";")[0], data)
    return f"[{what} at {text}]"


def _note(kind: str, data: str) -> str:
    size = len(data) * 3 // 4 - data[-2:].count("=")
    return f"[{kind}, {size} bytes]"


def _required(request: Json, name: str, missing: str) -> list[Json]:
    entries = _objects(request.get(name))
    if not entries:
        raise BadRequest(missing, details={"param": name})
    return entries


def _objects(value: object) -> list[Json]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}


_READERS: Mapping[str, Callable[[Json, _Reader], None]] = {
    "openai_chat": _read_chat,
    "openai_responses": _read_responses,
    "anthropic_messages": _read_messages,
    "gemini_generate": _read_gemini,
}
_TOOLS: Mapping[str, Callable[[Json], Iterator[Tool]]] = {
    "openai_chat": _chat_tools,
    "openai_responses": _responses_tools,
    "anthropic_messages": _messages_tools,
    "gemini_generate": _gemini_tools,
}
_CHOICES: Mapping[str, Callable[[Json], str]] = {
    "openai_chat": _openai_choice,
    "openai_responses": _openai_choice,
    "anthropic_messages": _messages_choice,
    "gemini_generate": _gemini_choice,
}
