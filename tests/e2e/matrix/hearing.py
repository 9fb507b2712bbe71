"""What an upstream of each protocol was asked, told in the words of ``talk``."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from tests.e2e.matrix.talk import (
    Ask,
    Body,
    Call,
    Paper,
    Picture,
    Piece,
    Result,
    Say,
    Sound,
    Thought,
    Tool,
)
from tests.fakes.strict.gemini_generate import camelled
from tests.fakes.upstream import Recorded


def heard(request: Recorded, protocol: str) -> Ask:
    """The request an upstream received."""
    body = request.json()
    return READERS[protocol](camelled(body) if protocol == "gemini" else body)


def compact(value: Any) -> str:
    """JSON text of a value, its integers as they are."""
    return json.dumps(value, ensure_ascii=False)


def _at_url(url: str) -> Picture | Paper:
    found = re.fullmatch(r"data:([^;,]+);base64,(.*)", url, re.DOTALL)
    if not found:
        return Picture(url=url, mime="")
    if found[1] == "application/pdf":
        return Paper(found[2])
    return Picture(found[1], found[2])


def _words(content: Any) -> Iterator[Piece]:
    """The pieces of a Chat or Responses content."""
    if isinstance(content, str):
        if content:
            yield content
        return
    for part in content or []:
        match part["type"]:
            case "text" | "input_text" | "output_text":
                yield part["text"]
            case "refusal":
                yield part["refusal"]
            case "image_url":
                yield _at_url(part["image_url"]["url"])
            case "input_image":
                yield _at_url(part["image_url"])
            case "file":
                yield _at_url(part["file"]["file_data"])
            case "input_file":
                yield _at_url(part["file_data"])
            case "input_audio":
                yield Sound(part["input_audio"]["data"], part["input_audio"]["format"])
            case other:
                raise AssertionError(other)


def _choice(value: Any) -> str:
    if isinstance(value, dict):
        return "=" + str(value.get("name") or value[value["type"]]["name"])
    return value or ""


def chat(body: Body) -> Ask:
    turns: list[Say] = []
    for message in body["messages"]:
        pieces = list(_words(message.get("content")))
        match message["role"]:
            case "system" | "developer":
                turns.append(Say("system", tuple(pieces)))
            case "tool":
                content = tuple(p for p in pieces if isinstance(p, str))
                result = Result(message["tool_call_id"], content)
                turns.append(Say("user", (result,)))
            case "assistant":
                thought = message.get("reasoning_content")
                first: list[Piece] = [Thought(thought)] if thought else []
                calls = [_chat_call(call) for call in message.get("tool_calls", [])]
                turns.append(Say("assistant", (*first, *pieces, *calls)))
            case _:
                turns.append(Say("user", tuple(pieces)))
    form = body.get("response_format", {})
    stop = body.get("stop") or ()
    return Ask(
        tuple(turns),
        tools=tuple(
            _openai_tool(tool[tool["type"]], tool["type"]) for tool in body.get("tools", [])
        ),
        choice=_choice(body.get("tool_choice")),
        parallel=body.get("parallel_tool_calls"),
        limit=body.get("max_completion_tokens") or body.get("max_tokens"),
        temperature=body.get("temperature"),
        top_p=body.get("top_p"),
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        seed=body.get("seed"),
        effort=body.get("reasoning_effort") or "",
        schema=form.get("json_schema", {}).get("schema"),
        json=form.get("type") == "json_object",
        user=body.get("user") or body.get("safety_identifier") or "",
    )


def _chat_call(call: Body) -> Call:
    if call["type"] == "custom":
        return Call(call["id"], call["custom"]["name"], call["custom"]["input"], custom=True)
    seal = call.get("extra_content", {}).get("google", {}).get("thought_signature", "")
    return Call(call["id"], call["function"]["name"], call["function"]["arguments"], seal=seal)


def _openai_tool(tool: Body, kind: str) -> Tool:
    if kind == "custom":
        return Tool(tool["name"], None, tool.get("description", ""), custom=True)
    return Tool(tool["name"], tool.get("parameters"), tool.get("description") or "")


def responses(body: Body) -> Ask:
    given = body["input"]
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    form = body.get("text", {}).get("format", {})
    reasoning = body.get("reasoning") or {}
    return Ask(
        tuple(_said(item) for item in items),
        system=(body["instructions"],) if body.get("instructions") else (),
        tools=tuple(_openai_tool(tool, tool["type"]) for tool in body.get("tools", [])),
        choice=_choice(body.get("tool_choice")),
        parallel=body.get("parallel_tool_calls"),
        limit=body.get("max_output_tokens"),
        temperature=body.get("temperature"),
        top_p=body.get("top_p"),
        effort=reasoning.get("effort") or "",
        show=bool(reasoning.get("summary")),
        schema=form.get("schema"),
        json=form.get("type") == "json_object",
        user=body.get("user") or body.get("safety_identifier") or "",
    )


def _said(item: Body) -> Say:
    match item.get("type", "message"):
        case "function_call":
            call = Call(item["call_id"], item["name"], item["arguments"])
            return Say("assistant", (call,))
        case "custom_tool_call":
            call = Call(item["call_id"], item["name"], item["input"], custom=True)
            return Say("assistant", (call,))
        case "function_call_output" | "custom_tool_call_output":
            pieces = tuple(p for p in _words(item["output"]) if isinstance(p, str | Picture))
            return Say("user", (Result(item["call_id"], pieces),))
        case "reasoning":
            text = "".join(part["text"] for part in item["summary"])
            seal = item.get("encrypted_content") or ""
            return Say("assistant", (Thought(text, seal, item.get("id", "")),))
        case "message":
            role = "system" if item["role"] == "developer" else item["role"]
            return Say(role, tuple(_words(item["content"])))
        case other:
            raise AssertionError(other)


def claude(body: Body) -> Ask:
    system = body.get("system") or []
    texts = [system] if isinstance(system, str) else [block["text"] for block in system]
    choice = body.get("tool_choice", {})
    words = {"auto": "auto", "any": "required", "none": "none", None: ""}
    kind = choice.get("type")
    serial = choice.get("disable_parallel_tool_use")
    thinking = body.get("thinking", {})
    config = body.get("output_config", {})
    return Ask(
        tuple(Say(m["role"], tuple(_blocks(m["content"]))) for m in body["messages"]),
        system=tuple(texts),
        tools=tuple(
            Tool(tool["name"], tool.get("input_schema"), tool.get("description", ""))
            for tool in body.get("tools", [])
        ),
        choice=f"={choice['name']}" if kind == "tool" else words[kind],
        parallel=None if serial is None else not serial,
        limit=body["max_tokens"],
        temperature=body.get("temperature"),
        top_p=body.get("top_p"),
        top_k=body.get("top_k"),
        stop=tuple(body.get("stop_sequences", ())),
        effort=config.get("effort") or ("adaptive" if thinking.get("type") == "adaptive" else ""),
        budget=thinking.get("budget_tokens"),
        show=thinking.get("display") == "summarized",
        schema=(config.get("format") or {}).get("schema"),
        user=body.get("metadata", {}).get("user_id") or "",
    )


def _blocks(content: Any) -> Iterator[Piece]:
    if isinstance(content, str):
        yield content
        return
    for block in content:
        match block["type"]:
            case "text":
                yield block["text"]
            case "image":
                source = block["source"]
                if source["type"] == "url":
                    yield Picture(mime="", url=source["url"])
                else:
                    yield Picture(source["media_type"], source["data"])
            case "document":
                source = block["source"]
                yield Paper(source["data"], mime=source["media_type"])
            case "tool_use":
                yield Call(block["id"], block["name"], compact(block["input"]))
            case "tool_result":
                pieces = [
                    piece
                    for piece in _blocks(block.get("content") or [])
                    if isinstance(piece, str | Picture)
                ]
                is_error = block.get("is_error", False)
                yield Result(block["tool_use_id"], tuple(p for p in pieces if p), is_error)
            case "thinking":
                yield Thought(block["thinking"], block["signature"])
            case "redacted_thinking":
                yield Thought("", block["data"])
            case other:
                raise AssertionError(other)


def gemini(body: Body) -> Ask:
    config = body.get("generationConfig", {})
    calling = body.get("toolConfig", {}).get("functionCallingConfig", {})
    words = {"AUTO": "auto", "ANY": "required", "NONE": "none", None: ""}
    allowed = calling.get("allowedFunctionNames", [])
    thinking = config.get("thinkingConfig", {})
    schema = config.get("responseJsonSchema") or config.get("responseSchema")
    return Ask(
        tuple(_contents(body["contents"])),
        system=tuple(p["text"] for p in body.get("systemInstruction", {}).get("parts", [])),
        tools=tuple(
            Tool(
                function["name"],
                function.get("parametersJsonSchema") or function.get("parameters"),
                function.get("description", ""),
            )
            for tool in body.get("tools", [])
            for function in tool.get("functionDeclarations", [])
        ),
        choice=f"={allowed[0]}" if allowed else words[calling.get("mode")],
        limit=config.get("maxOutputTokens"),
        temperature=config.get("temperature"),
        top_p=config.get("topP"),
        top_k=config.get("topK"),
        stop=tuple(config.get("stopSequences", ())),
        seed=config.get("seed"),
        effort=(thinking.get("thinkingLevel") or "").lower(),
        budget=thinking.get("thinkingBudget"),
        show=bool(thinking.get("includeThoughts")),
        schema=schema,
        json=config.get("responseMimeType") == "application/json" and not schema,
    )


def _contents(contents: list[Body]) -> Iterator[Say]:
    open_ids: list[str] = []
    for number, content in enumerate(contents):
        pieces: list[Piece] = []
        fresh: list[str] = []
        for index, part in enumerate(content["parts"]):
            call_id = f"{number}.{index}"
            if "functionCall" in part:
                fresh.append(call_id)
            pieces.append(_part(part, call_id, open_ids))
        open_ids = fresh
        role = "assistant" if content.get("role") == "model" else "user"
        yield Say(role, tuple(pieces))


def _part(part: Body, call_id: str, open_ids: list[str]) -> Piece:
    if part.get("thought"):
        return Thought(part.get("text", ""), part.get("thoughtSignature", ""))
    if "text" in part:
        return str(part["text"])
    if "inlineData" in part:
        return _blob(part["inlineData"])
    if "fileData" in part:
        return Picture(mime="", url=part["fileData"]["fileUri"])
    if "functionCall" in part:
        call = part["functionCall"]
        seal = part.get("thoughtSignature", "")
        return Call(call_id, call["name"], compact(call.get("args", {})), seal=seal)
    response = part["functionResponse"]
    words = response["response"]
    is_error = set(words) == {"error"}
    told = words.get("error", words.get("result", words.get("output")))
    text = told if isinstance(told, str) else compact(words if told is None else told)
    pictures = [_blob(one["inlineData"]) for one in response.get("parts", [])]
    shown = [one for one in pictures if isinstance(one, Picture)]
    said = (text,) if text else ()
    return Result(open_ids.pop(0), (*said, *shown), is_error, name=response["name"])


def _blob(blob: Body) -> Piece:
    mime = blob["mimeType"]
    data = blob["data"].replace("-", "+").replace("_", "/")  # Google's SDK has the other alphabet
    if mime == "application/pdf":
        return Paper(data)
    if mime == "text/plain":
        return Paper(base64.b64decode(data).decode(), mime=mime)
    if mime.startswith("audio/"):
        return Sound(data, "mp3" if mime in ("audio/mpeg", "audio/mp3") else "wav")
    return Picture(mime, data)


READERS: dict[str, Callable[[Body], Ask]] = {
    "chat": chat,
    "responses": responses,
    "claude": claude,
    "gemini": gemini,
}
