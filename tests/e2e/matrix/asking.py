"""A request in a client protocol's own words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
    exact,
)

NO_ARGUMENTS: Body = {"type": "object", "properties": {}}


class Unsayable(Exception):
    """The protocol has no words for this; the table must not ask for it."""


def _set(body: Body, **members: Any) -> Body:
    """Add the members that have a value."""
    body.update((name, value) for name, value in members.items() if value not in (None, "", (), []))
    return body


def _data_url(mime: str, data: str) -> str:
    return f"data:{mime};base64,{data}"


def _address(picture: Picture) -> str:
    return picture.url or _data_url(picture.mime, picture.data)


# Chat


def chat(ask: Ask) -> Body:
    messages = [{"role": "system", "content": text} for text in ask.system]
    for turn in ask.turns:
        messages += _chat_messages(turn)
    body = _set(
        {"messages": messages},
        tools=[_chat_tool(tool) for tool in ask.tools],
        max_completion_tokens=ask.limit,
        temperature=ask.temperature,
        top_p=ask.top_p,
        stop=list(ask.stop),
        seed=ask.seed,
        parallel_tool_calls=ask.parallel,
        reasoning_effort=ask.effort,
        user=ask.user,
    )
    if ask.choice.startswith("="):
        kind = "custom" if any(t.custom and t.name == ask.choice[1:] for t in ask.tools) else ""
        kind = kind or "function"
        body["tool_choice"] = {"type": kind, kind: {"name": ask.choice[1:]}}
    elif ask.choice:
        body["tool_choice"] = ask.choice
    if ask.schema is not None:
        form = {"name": "reply", "schema": dict(ask.schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": form}
    elif ask.json:
        body["response_format"] = {"type": "json_object"}
    return body


def _chat_messages(turn: Say) -> Iterator[Body]:
    for piece in turn.pieces:
        if isinstance(piece, Result):
            if piece.pictures:
                raise Unsayable("pictures in results")
            yield {"role": "tool", "tool_call_id": piece.id, "content": piece.text}
    rest = [piece for piece in turn.pieces if not isinstance(piece, Result)]
    if turn.role == "system":
        yield {"role": "developer", "content": "".join(map(str, rest))}
    elif turn.role == "user" and rest:
        plain = len(rest) == 1 and isinstance(rest[0], str)
        yield {"role": "user", "content": rest[0] if plain else [_chat_part(p) for p in rest]}
    elif turn.role == "assistant":
        yield _chat_assistant(rest)


def _chat_assistant(pieces: Sequence[Piece]) -> Body:
    text = "".join(piece for piece in pieces if isinstance(piece, str))
    thoughts = "".join(piece.text for piece in pieces if isinstance(piece, Thought))
    calls = [_chat_call(piece) for piece in pieces if isinstance(piece, Call)]
    message: Body = {"role": "assistant", "content": text or None}
    return _set(message, tool_calls=calls, reasoning_content=thoughts)


def _chat_call(call: Call) -> Body:
    if call.custom:
        custom = {"name": call.name, "input": call.arguments}
        return {"id": call.id, "type": "custom", "custom": custom}
    function = {"name": call.name, "arguments": call.arguments}
    written: Body = {"id": call.id, "type": "function", "function": function}
    if call.seal:
        written["extra_content"] = {"google": {"thought_signature": call.seal}}
    return written


def _chat_part(piece: Piece) -> Body:
    match piece:
        case str():
            return {"type": "text", "text": piece}
        case Picture():
            return {"type": "image_url", "image_url": {"url": _address(piece)}}
        case Paper(mime="application/pdf"):
            data = _data_url(piece.mime, piece.data)
            return {"type": "file", "file": {"filename": piece.name, "file_data": data}}
        case Sound():
            audio = {"data": piece.data, "format": piece.form}
            return {"type": "input_audio", "input_audio": audio}
        case _:
            raise Unsayable(repr(piece))


def _chat_tool(tool: Tool) -> Body:
    if tool.custom:
        custom = {"name": tool.name, "description": tool.description}
        return {"type": "custom", "custom": custom}
    function: Body = {"name": tool.name, "description": tool.description}
    return {"type": "function", "function": _set(function, parameters=tool.schema)}


# Responses


def responses(ask: Ask) -> Body:
    items: list[Body] = []
    for turn in ask.turns:
        items += _items(turn)
    form: Body | None = None
    if ask.schema is not None:
        form = {"type": "json_schema", "name": "reply", "schema": dict(ask.schema), "strict": True}
    elif ask.json:
        form = {"type": "json_object"}
    thinks = bool(ask.effort or ask.show)
    body = _set(
        {"input": items, "store": False},
        instructions="\n\n".join(ask.system),
        tools=[_responses_tool(tool) for tool in ask.tools],
        max_output_tokens=ask.limit,
        temperature=ask.temperature,
        top_p=ask.top_p,
        parallel_tool_calls=ask.parallel,
        text={"format": form} if form else None,
        reasoning=_set({}, effort=ask.effort, summary="auto" if ask.show else ""),
        include=["reasoning.encrypted_content"] if thinks else None,
        user=ask.user,
    )
    if not body["reasoning"]:
        del body["reasoning"]
    if ask.stop or ask.seed is not None or ask.top_k is not None:
        raise Unsayable("stop, seed, top_k")
    if ask.choice.startswith("="):
        custom = any(t.custom and t.name == ask.choice[1:] for t in ask.tools)
        body["tool_choice"] = {"type": "custom" if custom else "function", "name": ask.choice[1:]}
    elif ask.choice:
        body["tool_choice"] = ask.choice
    return body


def _items(turn: Say) -> Iterator[Body]:
    kind = "output_text" if turn.role == "assistant" else "input_text"
    parts: list[Body] = []
    role = "developer" if turn.role == "system" else turn.role
    late: list[Body] = []
    for piece in turn.pieces:
        match piece:
            case Call():
                late.append(_call_item(piece))
            case Result():
                yield _result_item(piece)
            case Thought():
                summary = [{"type": "summary_text", "text": piece.text}] if piece.text else []
                item: Body = {"type": "reasoning", "summary": summary}
                yield _set(item, id=piece.item_id, encrypted_content=piece.seal)
            case str():
                parts.append({"type": kind, "text": piece})
            case _:
                parts.append(_shown(piece))
    if parts:
        yield {"type": "message", "role": role, "content": parts}
    yield from late


def _call_item(call: Call) -> Body:
    if call.custom:
        return {
            "type": "custom_tool_call",
            "call_id": call.id,
            "name": call.name,
            "input": call.arguments,
        }
    return {
        "type": "function_call",
        "call_id": call.id,
        "name": call.name,
        "arguments": call.arguments,
    }


def _result_item(result: Result) -> Body:
    kind = "custom_tool_call_output" if result.custom else "function_call_output"
    output: Any = result.text
    if result.pictures:
        output = [
            {"type": "input_text", "text": piece} if isinstance(piece, str) else _shown(piece)
            for piece in result.content
        ]
    return {"type": kind, "call_id": result.id, "output": output}


def _shown(piece: Piece) -> Body:
    match piece:
        case Picture():
            return {"type": "input_image", "detail": "auto", "image_url": _address(piece)}
        case Paper(mime="application/pdf"):
            data = _data_url(piece.mime, piece.data)
            return {"type": "input_file", "filename": piece.name, "file_data": data}
        case Sound():
            audio = {"data": piece.data, "format": piece.form}
            return {"type": "input_audio", "input_audio": audio}
        case _:
            raise Unsayable(repr(piece))


def _responses_tool(tool: Tool) -> Body:
    if tool.custom:
        return {"type": "custom", "name": tool.name, "description": tool.description}
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.schema or NO_ARGUMENTS,
        "strict": False,
    }


# Messages


def claude(ask: Ask) -> Body:
    config: Body = {}
    if ask.schema is not None:
        config["format"] = {"type": "json_schema", "schema": dict(ask.schema)}
    if ask.effort:
        config["effort"] = ask.effort
    if ask.json or ask.seed is not None:
        raise Unsayable("json mode, seed")
    body = _set(
        {"max_tokens": ask.limit or 4096, "messages": [_claude_message(t) for t in ask.turns]},
        system=[{"type": "text", "text": text} for text in ask.system],
        tools=[_claude_tool(tool) for tool in ask.tools],
        temperature=ask.temperature,
        top_p=ask.top_p,
        top_k=ask.top_k,
        stop_sequences=list(ask.stop),
        metadata={"user_id": ask.user} if ask.user else None,
    )
    if config:
        body["output_config"] = config
    if ask.budget is not None:
        body["thinking"] = {"type": "enabled", "budget_tokens": ask.budget}
    elif ask.effort or ask.show:
        body["thinking"] = {"type": "adaptive"}
    _claude_choice(ask, body)
    return body


def _claude_choice(ask: Ask, body: Body) -> None:
    words = {"auto": "auto", "required": "any", "none": "none"}
    if ask.choice.startswith("="):
        body["tool_choice"] = {"type": "tool", "name": ask.choice[1:]}
    elif ask.choice:
        body["tool_choice"] = {"type": words[ask.choice]}
    if ask.parallel is not None:
        body.setdefault("tool_choice", {"type": "auto"})
        body["tool_choice"]["disable_parallel_tool_use"] = not ask.parallel


def _claude_message(turn: Say) -> Body:
    if len(turn.pieces) == 1 and isinstance(turn.pieces[0], str):
        return {"role": turn.role, "content": turn.pieces[0]}
    return {"role": turn.role, "content": [_block(piece) for piece in turn.pieces]}


def _block(piece: Piece) -> Body:
    match piece:
        case str():
            return {"type": "text", "text": piece}
        case Picture(url=""):
            source = {"type": "base64", "media_type": piece.mime, "data": piece.data}
            return {"type": "image", "source": source}
        case Picture():
            return {"type": "image", "source": {"type": "url", "url": piece.url}}
        case Paper(mime="text/plain"):
            source = {"type": "text", "media_type": piece.mime, "data": piece.data}
            return {"type": "document", "title": piece.name, "source": source}
        case Paper():
            source = {"type": "base64", "media_type": piece.mime, "data": piece.data}
            return {"type": "document", "title": piece.name, "source": source}
        case Call(custom=False):
            arguments = exact(piece.arguments)
            return {"type": "tool_use", "id": piece.id, "name": piece.name, "input": arguments}
        case Result():
            content: Any = piece.text
            if piece.pictures:
                content = [_block(one) for one in piece.content]
            block: Body = {"type": "tool_result", "tool_use_id": piece.id, "content": content}
            return _set(block, is_error=piece.is_error or None)
        case Thought(text="") if piece.seal:
            return {"type": "redacted_thinking", "data": piece.seal}
        case Thought():
            return {"type": "thinking", "thinking": piece.text, "signature": piece.seal}
        case _:
            raise Unsayable(repr(piece))


def _claude_tool(tool: Tool) -> Body:
    if tool.custom:
        raise Unsayable("custom tools")
    return {
        "name": tool.name,
        "description": tool.description,
        "input_schema": tool.schema or NO_ARGUMENTS,
    }


# Gemini


def gemini(ask: Ask) -> Body:
    if ask.parallel is not None or ask.user:
        raise Unsayable("parallel calls, user")
    names = {p.id: p.name for t in ask.turns for p in t.pieces if isinstance(p, Call)}
    config = _set(
        {},
        temperature=ask.temperature,
        topP=ask.top_p,
        topK=ask.top_k,
        stopSequences=list(ask.stop),
        maxOutputTokens=ask.limit,
        seed=ask.seed,
        thinkingConfig=_gemini_thinking(ask) or None,
    )
    if ask.schema is not None:
        config |= {"responseMimeType": "application/json", "responseJsonSchema": dict(ask.schema)}
    elif ask.json:
        config["responseMimeType"] = "application/json"
    declarations = [_declaration(tool) for tool in ask.tools]
    body = _set(
        {"contents": [_content(turn, names) for turn in ask.turns]},
        systemInstruction={"parts": [{"text": t} for t in ask.system]} if ask.system else None,
        tools=[{"functionDeclarations": declarations}] if declarations else None,
    )
    if config:
        body["generationConfig"] = config
    if ask.choice:
        words = {"auto": "AUTO", "required": "ANY", "none": "NONE"}
        calling: Body = {"mode": words.get(ask.choice, "ANY")}
        if ask.choice.startswith("="):
            calling["allowedFunctionNames"] = [ask.choice[1:]]
        body["toolConfig"] = {"functionCallingConfig": calling}
    return body


def _gemini_thinking(ask: Ask) -> Body:
    thinking = _set({}, thinkingLevel=ask.effort.upper(), thinkingBudget=ask.budget)
    if ask.show:
        thinking["includeThoughts"] = True
    return thinking


def _content(turn: Say, names: dict[str, str]) -> Body:
    if turn.role == "system":
        raise Unsayable("system turns")
    role = "model" if turn.role == "assistant" else "user"
    return {"role": role, "parts": [_gemini_part(piece, names) for piece in turn.pieces]}


def _gemini_part(piece: Piece, names: dict[str, str]) -> Body:
    match piece:
        case str():
            return {"text": piece}
        case Picture(url=""):
            return {"inlineData": {"mimeType": piece.mime, "data": piece.data}}
        case Picture():
            return {"fileData": {"mimeType": piece.mime, "fileUri": piece.url}}
        case Paper(mime="application/pdf"):
            return {"inlineData": {"mimeType": piece.mime, "data": piece.data}}
        case Sound():
            return {"inlineData": {"mimeType": f"audio/{piece.form}", "data": piece.data}}
        case Call(custom=False):
            part: Body = {"functionCall": {"name": piece.name, "args": exact(piece.arguments)}}
            return _set(part, thoughtSignature=piece.seal)
        case Result():
            key = "error" if piece.is_error else "result"
            response: Body = {"name": names[piece.id], "response": {key: piece.text}}
            pictures = [_gemini_part(one, names) for one in piece.pictures]
            return {"functionResponse": _set(response, parts=pictures)}
        case Thought():
            return _set({"text": piece.text, "thought": True}, thoughtSignature=piece.seal)
        case _:
            raise Unsayable(repr(piece))


def _declaration(tool: Tool) -> Body:
    if tool.custom:
        raise Unsayable("custom tools")
    declaration: Body = {"name": tool.name, "description": tool.description}
    return _set(declaration, parametersJsonSchema=tool.schema)


WRITERS: dict[str, Callable[[Ask], Body]] = {
    "chat": chat,
    "responses": responses,
    "claude": claude,
    "gemini": gemini,
}


def written(ask: Ask, protocol: str) -> Body:
    """The request as a client of a protocol writes it, without model and stream switch."""
    return WRITERS[protocol](ask) | dict(ask.extra.get(protocol, {}))
