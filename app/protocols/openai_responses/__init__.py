"""OpenAI Responses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

import orjson
from typing_extensions import override

from app.errors import GatewayError
from app.ir.events import Event
from app.protocols import openai_shapes
from app.protocols.base import PLAIN, Codec, ModelInfo, Operation, Peek, Progress, Shape
from app.protocols.openai_responses import answer, request, stream


class OpenAIResponses(Codec):
    """The codec of Responses."""

    name: ClassVar[str] = "openai_responses"
    marks: ClassVar[tuple[bytes, ...]] = (b'"response"', b'"error"', b'"code"')

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
    def error_status(self, error: GatewayError) -> int:
        return openai_shapes.error_status(error)

    @override
    def encode_error(self, error: GatewayError, request_id: str) -> bytes:
        return openai_shapes.encode_error(error, request_id)

    @override
    def encode_stream_error(
        self, error: GatewayError, request_id: str, *, sequence: int = 0
    ) -> bytes:
        # The documented event has its members at the top, and strictly typed clients read them
        # there; the SDKs raise only for a member `error`. Both are served.
        inner = openai_shapes.error_object(error, request_id)
        data = {
            "type": "error",
            "sequence_number": sequence,
            "code": inner["code"],
            "message": inner["message"],
            "param": inner["param"],
            "error": inner,
        }
        return b"event: error\ndata: %b\n\n" % orjson.dumps(data)

    @override
    def encode_answer(self, events: Iterable[Event], shape: Shape = PLAIN) -> bytes:
        return answer.encode_answer(events, shape)

    @override
    def encode_stream(self, events: Iterable[Event], shape: Shape = PLAIN) -> Iterator[bytes]:
        return stream.encode_stream(events, shape)

    @override
    def encode_models(self, models: Sequence[ModelInfo]) -> bytes:
        return openai_shapes.encode_models(models)

    @override
    def encode_model(self, model: ModelInfo) -> bytes:
        return orjson.dumps(openai_shapes.model_entry(model))
