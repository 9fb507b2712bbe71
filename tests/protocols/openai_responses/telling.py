"""What the tests of Responses' answers share: frames out of events, and events out of frames."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from app.ir.events import Event, check
from app.ir.fold import Answer, fold
from app.protocols.openai_responses import OpenAIResponses
from app.wire.sse import FrameCutter

CODEC = OpenAIResponses()


def frame(kind: str, **members: Any) -> bytes:
    data = json.dumps({"type": kind, **members}, ensure_ascii=False)
    return f"event: {kind}\ndata: {data}\n\n".encode()


def response(**members: Any) -> dict[str, Any]:
    return {
        "id": "resp_a1",
        "object": "response",
        "created_at": 1_760_000_000,
        "model": "gpt",
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "output": [],
        "usage": None,
    } | members


CREATED = frame("response.created", response=response(status="in_progress"))
COMPLETED = frame("response.completed", response=response())


def added(index: int, **item: Any) -> bytes:
    return frame("response.output_item.added", output_index=index, item=item)


def done(index: int, **item: Any) -> bytes:
    return frame("response.output_item.done", output_index=index, item=item)


def call(index: int, **members: Any) -> dict[str, Any]:
    return {
        "type": "function_call",
        "id": f"fc_{index}",
        "call_id": f"call_{index}",
        "name": f"tool_{index}",
        "arguments": "",
    } | members


def told(*frames: bytes, end: bytes = COMPLETED) -> list[Event]:
    return list(check(CODEC.decode_stream([CREATED, *frames, end])))


def folded(*frames: bytes, end: bytes = COMPLETED) -> Answer:
    return fold(told(*frames, end=end))


def whole(**members: Any) -> Answer:
    return fold(CODEC.decode_answer(json.dumps(response(**members)).encode()))


def cut(body: bytes, size: int = 1) -> list[bytes]:
    """The frames of a body that comes in pieces."""
    cutter = FrameCutter()
    frames: list[bytes] = []
    for start in range(0, len(body), size):
        frames += cutter.feed(body[start : start + size])
    return [*frames, *cutter.flush()]


def written(events: Iterable[Event]) -> bytes:
    return b"".join(CODEC.encode_stream(events))
