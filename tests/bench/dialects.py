"""The same question and the same answer in each of the four protocols.

The mock upstream answers in the dialect of the path that was asked; the load generator asks in one
and reads what comes back as a client would. What both agree on is the text, the reason of the
end and the counts, so that a translated answer can be judged without knowing its every byte.
"""

from __future__ import annotations

import functools
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import orjson
from typing_extensions import override

from tests.bench import payload
from tests.bench.conversation import Call, Result, Said, Tool, Turn, short, talk, tools

Object: TypeAlias = dict[str, Any]

_STAMP = "#%04d %016d %016d "
_STAMP_BYTES = 1 + 4 + 1 + 16 + 1 + 16 + 1
_TEXT = "\0text\0"


@dataclass(frozen=True, slots=True)
class Told:
    """What a client understood: the text, each stamp reduced to its ``#``, and the counts."""

    text: str
    finish: str
    sent: int
    made: int


def _dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _data(value: Object) -> bytes:
    return b"data: " + _dump(value) + b"\n\n"


def _event(value: Object) -> bytes:
    return b"event: " + str(value["type"]).encode() + b"\n" + _data(value)


def _words(count: int) -> str:
    return (payload.WORDS * (count // len(payload.WORDS) + 1))[:count].ljust(count)


def _objects(stream: bytes) -> Iterator[Object]:
    for line in stream.split(b"\n"):
        if line.startswith(b"data: {"):
            yield orjson.loads(line[6:])


class Dialect(ABC):
    """One protocol, as the mock speaks it and as the load generator does.

    Attributes:
        name: as it stands in the names of workloads.
        ended: how the protocol says that an answer is whole.
    """

    name: ClassVar[str]
    ended: ClassVar[str]

    @abstractmethod
    def path(self, model: str, *, stream: bool) -> str:
        """Where to ask."""

    @abstractmethod
    def request(self, model: str, turns: list[Turn], offered: list[Tool], stream: bool) -> Object:
        """A question, as the official SDKs write it."""

    @abstractmethod
    def whole(self, text: str) -> Object:
        """An answer that is not streamed."""

    @abstractmethod
    def beginning(self) -> bytes:
        """The frames before the first piece of text."""

    @abstractmethod
    def piece(self, text: str) -> bytes:
        """The frame of one piece of text."""

    @abstractmethod
    def ending(self, text: str) -> bytes:
        """The frames after the last piece."""

    @abstractmethod
    def read_whole(self, answer: Object) -> Told:
        """Understand an answer that was not streamed."""

    @abstractmethod
    def read_stream(self, stream: bytes) -> Told:
        """Understand a stream."""

    def body(self, plan: payload.Plan, model: str, *, large: bool) -> bytes:
        """A request's body; the plan stands in its last words, which every protocol carries."""
        mark = f"[{plan.encode()}]"
        turns, offered = (talk(mark), tools()) if large else (short(mark), [])
        return _dump(self.request(model, turns, offered, plan.kind == "sse"))

    def text(self, plan: payload.Plan) -> str:
        """All text of the answer to a plan, each stamp reduced to its ``#``."""
        if plan.kind == "json":
            return self._whole_text(plan.size)
        return ("# " + _words(self._room())) * plan.size

    @functools.cache  # noqa: B019  there are four dialects, and they live as long as the process
    def answer(self, size: int) -> bytes:
        """An answer of ``size`` bytes."""
        return _dump(self.whole(self._whole_text(size)))

    @functools.cache  # noqa: B019  as above
    def chunk(self) -> bytes:
        """One frame of 300 bytes; takes the three numbers of ``payload.STAMP``."""
        frame = self.piece(_TEXT).replace(b"%", b"%%")
        text = _STAMP + _words(self._room())
        return frame.replace(_dump(_TEXT), _dump(text))

    @functools.cache  # noqa: B019  as above
    def end(self, pieces: int) -> bytes:
        """The frames after the last piece; those that repeat the text have no stamps."""
        return self.ending(("# " + _words(self._room())) * pieces)

    def read(self, content: bytes, plan: payload.Plan) -> Told:
        """Understand an answer to a plan."""
        if plan.kind == "sse":
            return self.read_stream(content)
        return self.read_whole(orjson.loads(content))

    def expected(self, plan: payload.Plan, upstream: Dialect) -> Told:
        """What is to be understood of an upstream's answer."""
        return Told(
            upstream.text(plan), self.ended, payload.PROMPT_TOKENS, payload.COMPLETION_TOKENS
        )

    def _room(self) -> int:
        return max(0, payload.CHUNK_BYTES - _STAMP_BYTES - len(self.piece("")))

    def _whole_text(self, size: int) -> str:
        return _words(max(16, size - len(_dump(self.whole("")))))


class Chat(Dialect):
    """Chat Completions."""

    name = "chat"
    ended = "stop"

    @override
    def path(self, model: str, *, stream: bool) -> str:
        return payload.PATH

    @override
    def request(self, model: str, turns: list[Turn], offered: list[Tool], stream: bool) -> Object:
        asked: Object = {
            "messages": [self._turn(turn) for turn in turns],
            "model": model,
            "max_completion_tokens": 512,
            "temperature": 0.2,
        }
        if offered:
            asked["tools"] = [
                {
                    "type": "function",
                    "function": {
                        "name": tool.name,
                        "description": tool.description,
                        "parameters": tool.schema,
                    },
                }
                for tool in offered
            ]
        if stream:
            asked |= {"stream": True, "stream_options": {"include_usage": True}}
        return asked

    def _turn(self, turn: Turn) -> Object:
        match turn:
            case Said(role, text):
                return {"role": role, "content": text}
            case Call(call_id, name, arguments):
                function = {"name": name, "arguments": json.dumps(arguments)}
                call = {"id": call_id, "type": "function", "function": function}
                return {"role": "assistant", "content": None, "tool_calls": [call]}
            case Result(call_id, _, text):
                return {"role": "tool", "tool_call_id": call_id, "content": text}

    @override
    def whole(self, text: str) -> Object:
        message: Object = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        head = {"id": "chatcmpl-bench", "object": "chat.completion", "created": 1_760_000_000}
        return {
            **head,
            "model": payload.UPSTREAM_MODEL,
            "choices": [choice],
            "usage": json.loads(payload.USAGE_OBJECT),
            "service_tier": "default",
            "system_fingerprint": "fp_bench",
        }

    @override
    def beginning(self) -> bytes:
        return payload.frame(self._choices({"role": "assistant", "content": ""}), "null")

    @override
    def piece(self, text: str) -> bytes:
        return payload.frame(self._choices({"content": text}), "null")

    @override
    def ending(self, text: str) -> bytes:
        return b"".join(payload.stream_end(with_usage=True))

    def _choices(self, delta: Object) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
        return _dump([choice]).decode()

    @override
    def read_whole(self, answer: Object) -> Told:
        choice = answer["choices"][0]
        return self._told(choice["message"]["content"], choice["finish_reason"], answer["usage"])

    @override
    def read_stream(self, stream: bytes) -> Told:
        pieces, finish = [], ""
        usage: Object = {}
        for chunk in _objects(stream):
            usage = chunk.get("usage") or usage
            for choice in chunk["choices"]:
                pieces.append(choice["delta"].get("content") or "")
                finish = choice["finish_reason"] or finish
        finish = finish if stream.endswith(payload.DONE) else "cut"
        return self._told("".join(pieces), finish, usage)

    def _told(self, text: str, finish: str, usage: Object) -> Told:
        return Told(text, finish, usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0))


class Messages(Dialect):
    """Anthropic's Messages."""

    name = "messages"
    ended = "end_turn"

    @override
    def path(self, model: str, *, stream: bool) -> str:
        return "/v1/messages"

    @override
    def request(self, model: str, turns: list[Turn], offered: list[Tool], stream: bool) -> Object:
        asked: Object = {"max_tokens": 512, "messages": [], "model": model, "temperature": 0.2}
        for turn in turns:
            if isinstance(turn, Said) and turn.role == "system":
                asked["system"] = turn.text
            else:
                asked["messages"].append(self._turn(turn))
        if offered:
            asked["tools"] = [
                {"name": tool.name, "description": tool.description, "input_schema": tool.schema}
                for tool in offered
            ]
        return asked | ({"stream": True} if stream else {})

    def _turn(self, turn: Turn) -> Object:
        match turn:
            case Said(role, text):
                return {"role": role, "content": [{"type": "text", "text": text}]}
            case Call(call_id, name, arguments):
                block = {"type": "tool_use", "id": call_id, "name": name, "input": arguments}
                return {"role": "assistant", "content": [block]}
            case Result(call_id, _, text):
                block = {"type": "tool_result", "tool_use_id": call_id, "content": text}
                return {"role": "user", "content": [block]}

    @override
    def whole(self, text: str) -> Object:
        content = [{"type": "text", "text": text, "citations": None}]
        usage = {"input_tokens": 81, "cache_read_input_tokens": 32, "output_tokens": 201}
        return self._message(content, "end_turn", usage)

    def _message(self, content: list[Object], reason: str | None, usage: Object) -> Object:
        return {
            "id": "msg_bench",
            "type": "message",
            "role": "assistant",
            "model": payload.UPSTREAM_MODEL,
            "content": content,
            "stop_reason": reason,
            "stop_sequence": None,
            "usage": usage,
        }

    @override
    def beginning(self) -> bytes:
        usage = {"input_tokens": 81, "cache_read_input_tokens": 32, "output_tokens": 1}
        block = {"type": "text", "text": ""}
        return (
            _event({"type": "message_start", "message": self._message([], None, usage)})
            + _event({"type": "content_block_start", "index": 0, "content_block": block})
            + _event({"type": "ping"})
        )

    @override
    def piece(self, text: str) -> bytes:
        delta = {"type": "text_delta", "text": text}
        return _event({"type": "content_block_delta", "index": 0, "delta": delta})

    @override
    def ending(self, text: str) -> bytes:
        delta = {"stop_reason": "end_turn", "stop_sequence": None}
        usage = {"input_tokens": 81, "cache_read_input_tokens": 32, "output_tokens": 201}
        return (
            _event({"type": "content_block_stop", "index": 0})
            + _event({"type": "message_delta", "delta": delta, "usage": usage})
            + _event({"type": "message_stop"})
        )

    @override
    def read_whole(self, answer: Object) -> Told:
        text = "".join(block["text"] for block in answer["content"])
        return self._told(text, answer["stop_reason"], answer["usage"])

    @override
    def read_stream(self, stream: bytes) -> Told:
        pieces, finish, last = [], "", ""
        usage: Object = {}
        for event in _objects(stream):
            last = event["type"]
            if last == "content_block_delta":
                pieces.append(event["delta"]["text"])
            elif last == "message_delta":
                finish, usage = event["delta"]["stop_reason"], event["usage"]
        finish = finish if last == "message_stop" else "cut"
        return self._told("".join(pieces), finish, usage)

    def _told(self, text: str, finish: str, usage: Object) -> Told:
        sent = usage.get("input_tokens", 0) + usage.get("cache_read_input_tokens", 0)
        return Told(text, finish, sent, usage.get("output_tokens", 0))


class Responses(Dialect):
    """OpenAI's Responses."""

    name = "responses"
    ended = "completed"

    @override
    def path(self, model: str, *, stream: bool) -> str:
        return "/v1/responses"

    @override
    def request(self, model: str, turns: list[Turn], offered: list[Tool], stream: bool) -> Object:
        asked: Object = {"input": [], "model": model, "max_output_tokens": 512, "temperature": 0.2}
        for turn in turns:
            if isinstance(turn, Said) and turn.role == "system":
                asked["instructions"] = turn.text
            else:
                asked["input"].append(self._item(turn))
        if offered:
            asked["tools"] = [
                {
                    "type": "function",
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.schema,
                    "strict": False,
                }
                for tool in offered
            ]
        return asked | ({"stream": True} if stream else {})

    def _item(self, turn: Turn) -> Object:
        match turn:
            case Said(role, text):
                kind = "input_text" if role == "user" else "output_text"
                content = [{"type": kind, "text": text}]
                return {"type": "message", "role": role, "content": content}
            case Call(call_id, name, arguments):
                call = {"type": "function_call", "call_id": call_id, "name": name}
                return {**call, "arguments": json.dumps(arguments)}
            case Result(call_id, _, text):
                return {"type": "function_call_output", "call_id": call_id, "output": text}

    @override
    def whole(self, text: str) -> Object:
        return self._response([self._message(text, "completed")], "completed")

    def _message(self, text: str, status: str) -> Object:
        part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        item = {"id": "msg_bench", "type": "message", "status": status, "role": "assistant"}
        return {**item, "content": [part] if status == "completed" else []}

    def _response(self, output: list[Object], status: str) -> Object:
        usage = {
            "input_tokens": payload.PROMPT_TOKENS,
            "input_tokens_details": {"cached_tokens": 32},
            "output_tokens": payload.COMPLETION_TOKENS,
            "output_tokens_details": {"reasoning_tokens": 64},
            "total_tokens": payload.PROMPT_TOKENS + payload.COMPLETION_TOKENS,
        }
        return {
            "id": "resp_bench",
            "object": "response",
            "created_at": 1_760_000_000,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "model": payload.UPSTREAM_MODEL,
            "output": output,
            "parallel_tool_calls": True,
            "temperature": 1.0,
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "usage": usage if status == "completed" else None,
        }

    @override
    def beginning(self) -> bytes:
        response = self._response([], "in_progress")
        item = self._message("", "in_progress")
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        return (
            _event({"type": "response.created", "sequence_number": 0, "response": response})
            + _event({"type": "response.in_progress", "sequence_number": 1, "response": response})
            + _event(
                {
                    "type": "response.output_item.added",
                    "sequence_number": 2,
                    "output_index": 0,
                    "item": item,
                }
            )
            + self._of_item("response.content_part.added", part=part)
        )

    @override
    def piece(self, text: str) -> bytes:
        return self._of_item("response.output_text.delta", delta=text, logprobs=[])

    @override
    def ending(self, text: str) -> bytes:
        item = self._message(text, "completed")
        response = self._response([item], "completed")
        done = {"type": "response.output_item.done", "sequence_number": 3, "output_index": 0}
        return (
            self._of_item("response.output_text.done", text=text, logprobs=[])
            + self._of_item("response.content_part.done", part=item["content"][0])
            + _event({**done, "item": item})
            + _event({"type": "response.completed", "sequence_number": 3, "response": response})
        )

    def _of_item(self, kind: str, **members: Any) -> bytes:
        # All pieces have the same number: they are made from one template.
        head = {"type": kind, "sequence_number": 3, "item_id": "msg_bench"}
        return _event({**head, "output_index": 0, "content_index": 0, **members})

    @override
    def read_whole(self, answer: Object) -> Told:
        content = [part for item in answer["output"] for part in item["content"]]
        text = "".join(part["text"] for part in content)
        usage = answer["usage"]
        return Told(text, answer["status"], usage["input_tokens"], usage["output_tokens"])

    @override
    def read_stream(self, stream: bytes) -> Told:
        pieces, last = [], Told("", "cut", 0, 0)
        for number, event in enumerate(_objects(stream)):
            if event["sequence_number"] != number:
                return Told("", f"event {number} has another number", 0, 0)
            if event["type"] == "response.output_text.delta":
                pieces.append(event["delta"])
            elif event["type"] == "response.completed":
                last = self.read_whole(event["response"])
        text = "".join(pieces)
        return last if last.text == text else Told(text, "another whole", 0, 0)


class Gemini(Dialect):
    """Gemini's generateContent."""

    name = "gemini"
    ended = "STOP"

    @override
    def path(self, model: str, *, stream: bool) -> str:
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return f"/v1beta/models/{model}:{verb}"

    @override
    def request(self, model: str, turns: list[Turn], offered: list[Tool], stream: bool) -> Object:
        asked: Object = {"contents": []}
        for turn in turns:
            if isinstance(turn, Said) and turn.role == "system":
                asked["systemInstruction"] = {"parts": [{"text": turn.text}]}
            else:
                asked["contents"].append(self._content(turn))
        if offered:
            declared = [
                {
                    "name": tool.name,
                    "description": tool.description,
                    "parametersJsonSchema": tool.schema,
                }
                for tool in offered
            ]
            asked["tools"] = [{"functionDeclarations": declared}]
        asked["generationConfig"] = {"maxOutputTokens": 512, "temperature": 0.2}
        return asked

    def _content(self, turn: Turn) -> Object:
        match turn:
            case Said(role, text):
                role = "user" if role == "user" else "model"
                return {"role": role, "parts": [{"text": text}]}
            case Call(call_id, name, arguments):
                call = {"id": call_id, "name": name, "args": arguments}
                return {"role": "model", "parts": [{"functionCall": call}]}
            case Result(call_id, name, text):
                answer = {"id": call_id, "name": name, "response": {"output": text}}
                return {"role": "user", "parts": [{"functionResponse": answer}]}

    @override
    def whole(self, text: str) -> Object:
        return self._chunk(text, "STOP")

    def _chunk(self, text: str, reason: str = "") -> Object:
        usage: Object = {"promptTokenCount": payload.PROMPT_TOKENS}
        if reason:
            usage |= {
                "cachedContentTokenCount": 32,
                "candidatesTokenCount": payload.COMPLETION_TOKENS - 64,
                "thoughtsTokenCount": 64,
                "totalTokenCount": payload.PROMPT_TOKENS + payload.COMPLETION_TOKENS,
            }
        candidate: Object = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
        return {
            "candidates": [candidate | ({"finishReason": reason} if reason else {})],
            "usageMetadata": usage,
            "modelVersion": payload.UPSTREAM_MODEL,
            "responseId": "bench",
        }

    @override
    def beginning(self) -> bytes:
        return b""

    @override
    def piece(self, text: str) -> bytes:
        return _data(self._chunk(text))

    @override
    def ending(self, text: str) -> bytes:
        return _data(self._chunk("", "STOP"))

    @override
    def read_whole(self, answer: Object) -> Told:
        candidate = answer["candidates"][0]
        text = "".join(part["text"] for part in candidate["content"]["parts"])
        usage = answer["usageMetadata"]
        made = usage.get("candidatesTokenCount", 0) + usage.get("thoughtsTokenCount", 0)
        return Told(text, candidate.get("finishReason", ""), usage["promptTokenCount"], made)

    @override
    def read_stream(self, stream: bytes) -> Told:
        pieces, last = [], Told("", "cut", 0, 0)
        for chunk in _objects(stream):
            candidate = chunk["candidates"][0]
            pieces += [part["text"] for part in candidate["content"]["parts"]]
            if candidate.get("finishReason"):
                last = self.read_whole(chunk)
        return Told("".join(pieces), last.finish, last.sent, last.made)


DIALECTS: dict[str, Dialect] = {
    one.name: one for one in (Chat(), Messages(), Responses(), Gemini())
}


def dialect_of(path: bytes) -> Dialect:
    """Whose path an upstream was asked at."""
    if path.startswith(b"/v1beta/"):
        return DIALECTS["gemini"]
    return DIALECTS.get(path.rpartition(b"/")[2].decode(), DIALECTS["chat"])
