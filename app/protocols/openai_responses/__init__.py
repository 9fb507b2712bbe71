"""OpenAI Responses."""

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
from app.protocols.openai_responses import answer, body, reading, request, stream
from app.protocols.openai_responses.media import ISSUER
from app.protocols.seals import PACKED


class OpenAIResponses(Codec):
    """The codec of Responses."""

    name: ClassVar[str] = "openai_responses"
    issuer: ClassVar[str] = ISSUER
    foreign: ClassVar[tuple[bytes, ...]] = (PACKED, b'"rs_aip')
    media_by_url: ClassVar[frozenset[MediaKind]] = frozenset({MediaKind.IMAGE, MediaKind.DOCUMENT})
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
    def decode_request(
        self, body: bytes | bytearray, operation: Operation, *, model: str, stream: bool
    ) -> Request:
        return request.decode_request(body, model=model, stream=stream)

    @override
    def encode_request(self, request: Request, target: Target) -> Encoded:
        return body.encode_request(request, target)

    @override
    def decode_answer(self, body: bytes) -> Iterator[Event]:
        return reading.decode_answer(body)

    @override
    def decode_stream(self, frames: Iterable[bytes]) -> Iterator[Event]:
        return reading.decode_stream(frames)

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
