"""Ready-made provider answers, whole and streamed, for the four protocols.

Every builder takes the text and the token counts, so that a test can look for both. The shapes
follow the providers' public API references, read 2026-11-21.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeAlias

from tests.fakes.script import EVENT_STREAM, Reply, Step

Object: TypeAlias = dict[str, Any]

CREATED = 1_795_000_000
DONE = b"data: [DONE]\n\n"


def dumps(value: object) -> bytes:
    """Compact JSON, not escaped, as providers send it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def data_frame(value: object) -> bytes:
    """One frame with a data line alone."""
    return b"data: " + dumps(value) + b"\n\n"


def event_frame(value: Object) -> bytes:
    """One frame whose event line repeats the object's type."""
    return b"event: " + str(value["type"]).encode() + b"\ndata: " + dumps(value) + b"\n\n"


def words(text: str) -> list[str]:
    """The pieces a model would stream a text in; joined they are the text."""
    return [word + " " for word in text.split(" ")[:-1]] + [text.split(" ")[-1]]


def streamed(frames: Sequence[Step], **extra: Any) -> Reply:
    """Frames as one chunked event stream, a chunk a frame."""
    return Reply(body=list(frames), headers=EVENT_STREAM, framing="chunked", **extra)


def whole(body: bytes, **extra: Any) -> Reply:
    """A JSON body with its length."""
    return Reply(body=body, **extra)


# OpenAI Chat Completions


def chat_usage(
    prompt: int = 11, completion: int = 7, cached: int = 0, reasoning: int = 0
) -> Object:
    """A usage object as Chat counts: prompt with the cached, completion with the reasoning."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": reasoning, "audio_tokens": 0},
    }


def chat_answer(text: str = "Hello there", model: str = "gpt-test", **usage: int) -> bytes:
    """A whole Chat answer."""
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": CREATED,
            "model": model,
            "choices": [choice],
            "usage": chat_usage(**usage),
        }
    )


def chat_stream(
    text: str = "Hello there", model: str = "gpt-test", *, with_usage: bool = True, **usage: int
) -> list[bytes]:
    """The frames of a streamed Chat answer, ``[DONE]`` last."""

    def chunk(choices: list[Object], **more: object) -> bytes:
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": CREATED}
        return data_frame({**head, "model": model, "choices": choices, **more})

    def choice(delta: Object, finish: str | None = None) -> list[Object]:
        return [{"index": 0, "delta": delta, "finish_reason": finish}]

    quiet: Object = {"usage": None} if with_usage else {}
    frames = [chunk(choice({"role": "assistant", "content": ""}), **quiet)]
    frames += [chunk(choice({"content": word}), **quiet) for word in words(text)]
    frames.append(chunk(choice({}, "stop"), **quiet))
    if with_usage:
        frames.append(chunk([], usage=chat_usage(**usage)))
    return [*frames, DONE]


# OpenAI Responses


def responses_usage(
    prompt: int = 11, completion: int = 7, cached: int = 0, reasoning: int = 0
) -> Object:
    """A usage object as Responses counts."""
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": completion,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": prompt + completion,
    }


def _response(text: str, model: str, status: str, usage: Object | None, answer_id: str) -> Object:
    content = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
    item = {
        "id": "msg_1",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": content,
    }
    return {
        "id": answer_id,
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": model,
        "output": [item] if status == "completed" else [],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": usage,
    }


def responses_answer(
    text: str = "Hello there", model: str = "gpt-test", answer_id: str = "resp_1", **usage: int
) -> bytes:
    """A whole Responses answer."""
    return dumps(_response(text, model, "completed", responses_usage(**usage), answer_id))


def responses_stream(
    text: str = "Hello there", model: str = "gpt-test", answer_id: str = "resp_1", **usage: int
) -> list[bytes]:
    """The frames of a streamed Responses answer; the last is ``response.completed``."""
    started = _response(text, model, "in_progress", None, answer_id)
    ended = _response(text, model, "completed", responses_usage(**usage), answer_id)
    item = ended["output"][0]
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    empty = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    opened = {**item, "status": "in_progress", "content": []}
    events: list[Object] = [
        {"type": "response.created", "response": started},
        {"type": "response.in_progress", "response": started},
        {"type": "response.output_item.added", "output_index": 0, "item": opened},
        {"type": "response.content_part.added", **place, "part": empty},
    ]
    events += [
        {"type": "response.output_text.delta", **place, "delta": word, "logprobs": []}
        for word in words(text)
    ]
    events += [
        {"type": "response.output_text.done", **place, "text": text, "logprobs": []},
        {"type": "response.content_part.done", **place, "part": item["content"][0]},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": ended},
    ]
    return [event_frame({**event, "sequence_number": n}) for n, event in enumerate(events)]


# Anthropic Messages


def messages_usage(
    prompt: int = 11, completion: int = 7, cached: int = 0, cache_write: int = 0
) -> Object:
    """A usage object as Anthropic counts: input without the cached."""
    return {
        "input_tokens": prompt,
        "cache_creation_input_tokens": cache_write,
        "cache_read_input_tokens": cached,
        "output_tokens": completion,
        "service_tier": "standard",
    }


def messages_answer(text: str = "Hello there", model: str = "claude-test", **usage: int) -> bytes:
    """A whole Messages answer."""
    return dumps(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": messages_usage(**usage),
        }
    )


def messages_stream(
    text: str = "Hello there", model: str = "claude-test", **usage: int
) -> list[bytes]:
    """The frames of a streamed Messages answer; the last is ``message_stop``."""
    counts = messages_usage(**usage)
    message: Object = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**counts, "output_tokens": 1},
    }
    opened = {"type": "text", "text": ""}
    events: list[Object] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": opened},
        {"type": "ping"},
    ]
    events += [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
        for word in words(text)
    ]
    events += [
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": counts["output_tokens"]},
        },
        {"type": "message_stop"},
    ]
    return [event_frame(event) for event in events]


# Gemini generateContent


def gemini_usage(
    prompt: int = 11, completion: int = 7, cached: int = 0, reasoning: int = 0
) -> Object:
    """A usage object as Gemini counts: candidates without the thoughts."""
    return {
        "promptTokenCount": prompt,
        "candidatesTokenCount": completion,
        "cachedContentTokenCount": cached,
        "thoughtsTokenCount": reasoning,
        "totalTokenCount": prompt + completion + reasoning,
    }


def _gemini(text: str, model: str, finish: str | None, usage: Object) -> Object:
    candidate: Object = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {
        "candidates": [candidate],
        "usageMetadata": usage,
        "modelVersion": model,
        "responseId": "resp-1",
    }


def gemini_answer(text: str = "Hello there", model: str = "gemini-test", **usage: int) -> bytes:
    """A whole Gemini answer, indented as Google sends it."""
    answer = _gemini(text, model, "STOP", gemini_usage(**usage))
    return json.dumps(answer, indent=2, ensure_ascii=False).encode() + b"\n"


def gemini_stream(
    text: str = "Hello there", model: str = "gemini-test", **usage: int
) -> list[bytes]:
    """The frames of a streamed Gemini answer, with the CRLF lines Google sends."""
    pieces = words(text)
    counts = gemini_usage(**usage)
    frames = []
    for number, word in enumerate(pieces):
        last = number == len(pieces) - 1
        value = _gemini(word, model, "STOP" if last else None, counts)
        frames.append(b"data: " + dumps(value) + b"\r\n\r\n")
    return frames


# Errors


def openai_error(status: int = 429, message: str = "slow down", **headers: str) -> Reply:
    """An error as OpenAI words it."""
    body = {"error": {"message": message, "type": "tokens", "param": None, "code": "rate_limited"}}
    return _error(status, dumps(body), headers)


def anthropic_error(status: int = 529, message: str = "overloaded", **headers: str) -> Reply:
    """An error as Anthropic words it."""
    body = {"type": "error", "error": {"type": "overloaded_error", "message": message}}
    return _error(status, dumps(body), headers)


def gemini_error(status: int = 429, message: str = "quota", **headers: str) -> Reply:
    """An error as Google words it, with its hint how long to wait."""
    hint = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17s"}
    error = {"code": status, "message": message, "status": "RESOURCE_EXHAUSTED", "details": [hint]}
    return _error(status, dumps({"error": error}), headers)


def _error(status: int, body: bytes, headers: dict[str, str]) -> Reply:
    extra = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return Reply(status, body, headers=[("Content-Type", "application/json"), *extra])
