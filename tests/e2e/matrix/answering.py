"""An answer as an upstream of each protocol sends it, whole or streamed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from tests.e2e.matrix.talk import Body, Call, Pair, Tell, Thought, exact
from tests.fakes import answers
from tests.fakes.answers import CREATED, DONE, data_frame, dumps, event_frame, words
from tests.fakes.script import Reply
from tests.fakes.strict.seals import claude_signature, gemini_signature, openai_encrypted

MODEL = "upstream-model"
Frames: TypeAlias = list[bytes]


def sealed(thought: Thought, upstream: str) -> str:
    """The proof that an upstream puts on a thought."""
    match upstream:
        case "claude":
            return claude_signature(thought.text)
        case "responses":
            return openai_encrypted("rs_0")
        case "gemini":
            return gemini_signature(thought.text)
        case _:
            return ""


def call_seal(call: Call) -> str:
    """The signature Gemini puts on a call; only the first of a step has one."""
    return gemini_signature(call.name) if call.seal else ""


# Chat


def _chat_finish(tell: Tell) -> str:
    words = {"calls": "tool_calls", "stop_string": "stop", "refusal": "content_filter"}
    return words.get(tell.finish, tell.finish)


def _chat_usage(tell: Tell) -> Body:
    used = tell.used
    usage = answers.chat_usage(used.input, used.output, used.cached, used.reasoning)
    if used.written:
        usage["prompt_tokens_details"]["cache_write_tokens"] = used.written
    return usage


def _chat_calls(tell: Tell) -> list[Body]:
    return [
        {"id": c.id, "type": "custom", "custom": {"name": c.name, "input": c.arguments}}
        if c.custom
        else {
            "id": c.id,
            "type": "function",
            "function": {"name": c.name, "arguments": c.arguments},
        }
        for c in tell.calls
    ]


def _chat_notes(tell: Tell) -> list[Body]:
    if tell.source is None:
        return []
    cited: Body = {"start_index": 0, "end_index": len(tell.text)}
    cited |= {"url": tell.source.url, "title": tell.source.title}
    return [{"type": "url_citation", "url_citation": cited}]


def chat_whole(tell: Tell) -> bytes:
    message: Body = {"role": "assistant", "content": tell.text or None, "refusal": None}
    if tell.finish == "refusal":
        message |= {"content": None, "refusal": tell.text or None}
    if tell.calls:
        message["tool_calls"] = _chat_calls(tell)
    if tell.thoughts:
        message["reasoning_content"] = "".join(t.text for t in tell.thoughts)
    if tell.source:
        message["annotations"] = _chat_notes(tell)
    choice = {"index": 0, "message": message, "finish_reason": _chat_finish(tell)}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": CREATED, "model": MODEL}
    return dumps({**head, "choices": [choice], "usage": _chat_usage(tell)})


def chat_frames(tell: Tell) -> Frames:
    head = {"object": "chat.completion.chunk", "created": CREATED, "model": MODEL}

    def chunk(delta: Body, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return data_frame({"id": "chatcmpl-1", **head, "choices": [choice], "usage": None})

    frames = [chunk({"role": "assistant", "content": ""})]
    for thought in tell.thoughts:
        frames += [chunk({"reasoning_content": word}) for word in words(thought.text)]
    key = "refusal" if tell.finish == "refusal" else "content"
    frames += [chunk({key: word}) for word in words(tell.text) if word]
    if tell.source:
        frames.append(chunk({"annotations": _chat_notes(tell)}))
    for index, call in enumerate(_chat_calls(tell)):
        kind = call["type"]
        member = "input" if kind == "custom" else "arguments"
        text = call[kind].pop(member)
        frames.append(chunk({"tool_calls": [{"index": index, **call}]}))
        for piece in _halves(text):
            more = {"index": index, kind: {member: piece}}
            frames.append(chunk({"tool_calls": [more]}))
    frames.append(chunk({}, _chat_finish(tell)))
    usage = {"id": "chatcmpl-1", **head, "choices": [], "usage": _chat_usage(tell)}
    return [*frames, data_frame(usage), DONE]


def _halves(text: str) -> list[str]:
    middle = len(text) // 2
    return [half for half in (text[:middle], text[middle:]) if half]


# Responses


def _responses_usage(tell: Tell) -> Body:
    used = tell.used
    usage = answers.responses_usage(used.input, used.output, used.cached, used.reasoning)
    if used.written:
        usage["input_tokens_details"]["cache_write_tokens"] = used.written
    return usage


def _response_items(tell: Tell) -> list[Body]:
    items: list[Body] = []
    for number, piece in enumerate(tell.pieces):
        match piece:
            case Thought():
                summary = [{"type": "summary_text", "text": piece.text}] if piece.text else []
                item = {"type": "reasoning", "id": f"rs_{number}", "summary": summary}
                items.append({**item, "encrypted_content": openai_encrypted(f"rs_{number}")})
            case Call():
                kind = "custom_tool_call" if piece.custom else "function_call"
                member = "input" if piece.custom else "arguments"
                prefix = "ctc" if piece.custom else "fc"
                items.append(
                    {
                        "type": kind,
                        "id": f"{prefix}_{number}",
                        "call_id": piece.id,
                        "name": piece.name,
                        member: piece.arguments,
                        "status": "completed",
                    }
                )
            case str() if piece:
                items.append(_message_item(tell, number, piece))
    return items


def _message_item(tell: Tell, number: int, text: str) -> Body:
    part: Body = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    if tell.source:
        cited: Body = {"start_index": 0, "end_index": len(text)}
        cited |= {"url": tell.source.url, "title": tell.source.title}
        part["annotations"] = [{"type": "url_citation", **cited}]
    if tell.finish == "refusal":
        part = {"type": "refusal", "refusal": text}
    status = "incomplete" if tell.finish == "length" else "completed"
    head = {"type": "message", "id": f"msg_{number}", "status": status, "role": "assistant"}
    return {**head, "content": [part]}


def _response(tell: Tell, *, ended: bool) -> Body:
    reason = {"length": "max_output_tokens", "refusal": "content_filter"}.get(tell.finish)
    cut = ended and reason is not None
    status = "incomplete" if cut else "completed" if ended else "in_progress"
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": None,
        "incomplete_details": {"reason": reason} if cut else None,
        "instructions": None,
        "metadata": {},
        "model": MODEL,
        "output": _response_items(tell) if ended else [],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": _responses_usage(tell) if ended else None,
    }


def responses_whole(tell: Tell) -> bytes:
    return dumps(_response(tell, ended=True))


def responses_frames(tell: Tell) -> Frames:
    events: list[Body] = [
        {"type": "response.created", "response": _response(tell, ended=False)},
        {"type": "response.in_progress", "response": _response(tell, ended=False)},
    ]
    for index, item in enumerate(_response_items(tell)):
        events += _item_events(index, item)
    last = _response(tell, ended=True)
    events.append({"type": f"response.{last['status']}", "response": last})
    return [event_frame({**event, "sequence_number": n}) for n, event in enumerate(events)]


def _item_events(index: int, item: Body) -> Iterator[Body]:
    place = {"item_id": item["id"], "output_index": index}
    kind = item["type"]
    empty: dict[str, Body] = {"message": {"content": []}, "reasoning": {"summary": []}}
    opened = {**item, **empty.get(kind, {}), "status": "in_progress"}
    for member in ("arguments", "input"):
        if member in opened:
            opened[member] = ""
    if kind == "reasoning":
        opened["encrypted_content"] = "gAAAA-early"
    yield {"type": "response.output_item.added", "output_index": index, "item": opened}
    if kind == "message":
        yield from _message_events(item["content"][0], {**place, "content_index": 0})
    elif kind == "reasoning":
        for number, part in enumerate(item["summary"]):
            yield from _summary_events(part, {**place, "summary_index": number})
    else:
        member = "input" if kind == "custom_tool_call" else "arguments"
        name = "custom_tool_call_input" if member == "input" else "function_call_arguments"
        for half in _halves(item[member]):
            yield {"type": f"response.{name}.delta", **place, "delta": half}
        yield {"type": f"response.{name}.done", **place, member: item[member]}
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _message_events(part: Body, place: Body) -> Iterator[Body]:
    member = "refusal" if part["type"] == "refusal" else "text"
    name = "refusal" if member == "refusal" else "output_text"
    empty = {**part, member: ""} | ({"annotations": []} if member == "text" else {})
    extra: Body = {"logprobs": []} if member == "text" else {}
    yield {"type": "response.content_part.added", **place, "part": empty}
    for word in words(part[member]):
        yield {"type": f"response.{name}.delta", **place, "delta": word, **extra}
    for number, note in enumerate(part.get("annotations", [])):
        annotation = {"annotation_index": number, "annotation": note}
        yield {"type": "response.output_text.annotation.added", **place, **annotation}
    yield {"type": f"response.{name}.done", **place, member: part[member], **extra}
    yield {"type": "response.content_part.done", **place, "part": part}


def _summary_events(part: Body, place: Body) -> Iterator[Body]:
    kind = "response.reasoning_summary"
    yield {"type": f"{kind}_part.added", **place, "part": {**part, "text": ""}}
    for word in words(part["text"]):
        yield {"type": f"{kind}_text.delta", **place, "delta": word}
    yield {"type": f"{kind}_text.done", **place, "text": part["text"]}
    yield {"type": f"{kind}_part.done", **place, "part": part}


# Messages


def _claude_usage(tell: Tell) -> Body:
    used = tell.used
    fresh = used.input - used.cached - used.written
    usage = answers.messages_usage(fresh, used.output, used.cached, used.written)
    if used.reasoning:
        usage["output_tokens_details"] = {"thinking_tokens": used.reasoning}
    return usage


def _claude_blocks(tell: Tell) -> list[Body]:
    blocks: list[Body] = []
    for piece in tell.pieces:
        match piece:
            case Thought():
                signature = claude_signature(piece.text)
                blocks.append({"type": "thinking", "thinking": piece.text, "signature": signature})
            case Call():
                arguments = {"input": piece.arguments} if piece.custom else exact(piece.arguments)
                block = {"type": "tool_use", "id": piece.id, "name": piece.name}
                blocks.append({**block, "input": arguments})
            case str() if piece:
                block = {"type": "text", "text": piece}
                if tell.source:
                    cited = {"type": "web_search_result_location", "cited_text": piece}
                    cited |= {"url": tell.source.url, "title": tell.source.title}
                    block["citations"] = [{**cited, "encrypted_index": "x"}]  # type: ignore[assignment]
                blocks.append(block)
    return blocks


def _claude_end(tell: Tell) -> Body:
    words = {"stop": "end_turn", "length": "max_tokens", "calls": "tool_use"}
    words["stop_string"] = "stop_sequence"
    end: Body = {"stop_reason": words.get(tell.finish, "refusal")}
    end["stop_sequence"] = tell.stop_string or None
    return end


def _claude_message(tell: Tell) -> Body:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": _claude_blocks(tell),
        **_claude_end(tell),
        "usage": _claude_usage(tell),
    }


def claude_whole(tell: Tell) -> bytes:
    return dumps(_claude_message(tell))


def claude_frames(tell: Tell) -> Frames:
    whole = _claude_message(tell)
    start = {**whole, "content": [], "stop_reason": None, "stop_sequence": None}
    start["usage"] = {**whole["usage"], "output_tokens": 1}
    events: list[Body] = [{"type": "message_start", "message": start}, {"type": "ping"}]
    for index, block in enumerate(whole["content"]):
        empty, deltas = _block_deltas(block)
        events.append({"type": "content_block_start", "index": index, "content_block": empty})
        events += [
            {"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas
        ]
        events.append({"type": "content_block_stop", "index": index})
    usage = {"output_tokens": tell.used.output}
    if "output_tokens_details" in whole["usage"]:
        usage["output_tokens_details"] = whole["usage"]["output_tokens_details"]
    events.append({"type": "message_delta", "delta": _claude_end(tell), "usage": usage})
    events.append({"type": "message_stop"})
    return [event_frame(event) for event in events]


def _block_deltas(block: Body) -> tuple[Body, list[Body]]:
    match block["type"]:
        case "thinking":
            deltas: list[Body] = [
                {"type": "thinking_delta", "thinking": word} for word in words(block["thinking"])
            ]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
            return {"type": "thinking", "thinking": "", "signature": ""}, deltas
        case "tool_use":
            text = dumps(block["input"]).decode() if block["input"] else ""
            pieces = ["", *_halves(text)]
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
            return {**block, "input": {}}, deltas
        case _:
            deltas = [{"type": "text_delta", "text": word} for word in words(block["text"])]
            deltas += [
                {"type": "citations_delta", "citation": note} for note in block.get("citations", [])
            ]
            return {"type": "text", "text": ""}, deltas


# Gemini


def _gemini_usage(tell: Tell) -> Body:
    used = tell.used
    visible = used.output - used.reasoning
    return answers.gemini_usage(used.input, visible, used.cached, used.reasoning)


def _gemini_parts(tell: Tell) -> list[Body]:
    parts: list[Body] = []
    for piece in tell.pieces:
        match piece:
            case Thought():
                parts.append({"text": piece.text, "thought": True})
            case Call():
                arguments = {"input": piece.arguments} if piece.custom else exact(piece.arguments)
                part: Body = {"functionCall": {"name": piece.name, "args": arguments}}
                if piece.seal:
                    part["thoughtSignature"] = call_seal(piece)
                parts.append(part)
            case str() if piece:
                parts.append({"text": piece})
    return parts


def _gemini_chunk(tell: Tell, parts: list[Body], *, last: bool) -> Body:
    candidate: Body = {"content": {"role": "model", "parts": parts}, "index": 0}
    if last:
        words = {"length": "MAX_TOKENS", "refusal": "SAFETY"}
        candidate["finishReason"] = words.get(tell.finish, "STOP")
        if tell.source:
            web = {"uri": tell.source.url, "title": tell.source.title}
            segment = {"startIndex": 0, "endIndex": len(tell.text.encode()), "text": tell.text}
            support = {"segment": segment, "groundingChunkIndices": [0]}
            candidate["groundingMetadata"] = {
                "groundingChunks": [{"web": web}],
                "groundingSupports": [support],
            }
    return {
        "candidates": [candidate],
        "usageMetadata": _gemini_usage(tell),
        "modelVersion": MODEL,
        "responseId": "r-1",
    }


def gemini_whole(tell: Tell) -> bytes:
    return dumps(_gemini_chunk(tell, _gemini_parts(tell), last=True))


def gemini_frames(tell: Tell) -> Frames:
    pieces: list[Body] = []
    for part in _gemini_parts(tell):
        if "text" in part:
            pieces += [{**part, "text": word} for word in words(part["text"])]
        else:
            pieces.append(part)
    chunks = [_gemini_chunk(tell, [part], last=False) for part in pieces]
    chunks.append(_gemini_chunk(tell, [{"text": ""}], last=True))
    return [b"data: " + dumps(chunk) + b"\r\n\r\n" for chunk in chunks]


WHOLE: dict[str, Callable[[Tell], bytes]] = {
    "chat": chat_whole,
    "responses": responses_whole,
    "claude": claude_whole,
    "gemini": gemini_whole,
}
FRAMES: dict[str, Callable[[Tell], Frames]] = {
    "chat": chat_frames,
    "responses": responses_frames,
    "claude": claude_frames,
    "gemini": gemini_frames,
}


def told(tell: Tell, pair: Pair) -> Reply:
    """The upstream's answer."""
    if pair.stream:
        return answers.streamed(FRAMES[pair.upstream](tell))
    return answers.whole(WHOLE[pair.upstream](tell))


def broken(tell: Tell, pair: Pair, last: bytes = b"") -> Reply:
    """A stream that ends before its end, or with an error in place of it."""
    frames = FRAMES[pair.upstream](tell)
    kept = [frame for frame in frames[: len(frames) // 2] if frame]
    return answers.streamed([*kept, last] if last else kept)


def stream_error(upstream: str) -> bytes:
    """An error in the middle of a stream, as the upstream's protocol writes it."""
    message = "the model is overloaded"
    error: Any
    match upstream:
        case "chat":
            error = {"message": message, "type": "server_error", "code": None, "param": None}
            return data_frame({"error": error})
        case "responses":
            error = {"type": "error", "code": "server_error", "message": message, "param": None}
            return event_frame({**error, "sequence_number": 9})
        case "claude":
            error = {"type": "overloaded_error", "message": message}
            return event_frame({"type": "error", "error": error})
        case _:
            error = {"code": 503, "message": message, "status": "UNAVAILABLE"}
            return data_frame({"error": error})
