"""OpenAI Chat Completions, with the legacy completions and embeddings that share its requests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

import orjson
from typing_extensions import override

from app.errors import GatewayError
from app.ir.events import Event
from app.ir.parts import MediaKind
from app.ir.request import Request
from app.protocols import openai_shapes
from app.protocols.base import (
    PLAIN,
    Codec,
    Encoded,
    ModelInfo,
    Operation,
    Peek,
    Progress,
    Shape,
    Target,
)
from app.protocols.openai_chat import answer, answer_in, request, request_out, stream


class OpenAIChat(Codec):
    """The codec of Chat Completions."""

    name: ClassVar[str] = "openai_chat"
    issuer: ClassVar[str] = "openai"
    media_by_url: ClassVar[frozenset[MediaKind]] = frozenset({MediaKind.IMAGE})
    marks: ClassVar[tuple[bytes, ...]] = (
        b'"finish_reason":"',
        b'"finish_reason": "',
        b"_tokens",  # not `"usage"`: that is in every chunk, null
        b"[DONE]",
        b'"error"',
        b'"code"',
    )

    @override
    def tells(self, frame: bytes, progress: Progress) -> bool:
        # Half the price of trying all marks, as nearly all frames hold a delta and nothing else.
        if progress.finished or b'"delta"' not in frame:
            return True
        return b'"finish_reason":"' in frame or b"_tokens" in frame or b'_reason": "' in frame

    @override
    def peek(self, body: bytes | bytearray, operation: Operation) -> Peek:
        return request.peek(body, operation)

    @override
    def read_frame(self, frame: bytes, progress: Progress) -> Progress:
        return answer.read_frame(frame, progress)

    @override
    def read_answer(self, body: bytes, progress: Progress) -> Progress:
        return answer.read_answer(body, progress)

    @override
    def decode_request(
        self, body: bytes | bytearray, operation: Operation, *, model: str, stream: bool
    ) -> Request:
        return request.decode_request(body, operation, model=model, stream=stream)

    @override
    def encode_request(self, request: Request, target: Target) -> Encoded:
        return request_out.encode_request(request, target)

    @override
    def decode_answer(self, body: bytes) -> Iterator[Event]:
        return answer_in.decode_answer(body)

    @override
    def decode_stream(self, frames: Iterable[bytes]) -> Iterator[Event]:
        return answer_in.decode_stream(frames)

    @override
    def error_status(self, error: GatewayError) -> int:
        return openai_shapes.error_status(error)

    @override
    def encode_error(self, error: GatewayError, request_id: str) -> bytes:
        return openai_shapes.encode_error(error, request_id)

    @override
    def encode_stream_error(
        self, error: GatewayError, request_id: str, *, sequence: int = 0
    ) -> bytes:
        # No [DONE] behind it: that would say the answer is whole.
        return b"data: %b\n\n" % openai_shapes.encode_error(error, request_id)

    @override
    def encode_answer(self, events: Iterable[Event], shape: Shape = PLAIN) -> bytes:
        return answer.encode_answer(events)

    @override
    def encode_stream(self, events: Iterable[Event], shape: Shape = PLAIN) -> Iterator[bytes]:
        return stream.encode_stream(events, shape)

    @override
    def encode_models(self, models: Sequence[ModelInfo]) -> bytes:
        return openai_shapes.encode_models(models)

    @override
    def encode_model(self, model: ModelInfo) -> bytes:
        return orjson.dumps(openai_shapes.model_entry(model))

    @override
    def is_usage_extra(self, frame: bytes) -> bool:
        return b"_tokens" in frame and answer.is_usage_extra(frame)
