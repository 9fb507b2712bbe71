"""Anthropic Messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import ClassVar

import orjson
from typing_extensions import override

from app.errors import TOO_LONG, GatewayError
from app.ir.events import Event
from app.ir.parts import MediaKind
from app.ir.request import Request
from app.protocols.anthropic_messages import answer, asking, incoming, request, stream
from app.protocols.anthropic_messages.blocks import ISSUER
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
from app.protocols.seals import PACKED

# Source: Anthropic API reference, "Errors", and SDK 2.11 `types/shared/error_type.py`, read
# 2026-11-21; what is not listed there is told by its status alone.
_TYPES: Mapping[int, str] = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_TOO_LONG_WORDS = "prompt is too long"


class AnthropicMessages(Codec):
    """The codec of Messages."""

    name: ClassVar[str] = "anthropic_messages"
    issuer: ClassVar[str] = ISSUER
    foreign: ClassVar[tuple[bytes, ...]] = (PACKED, b'"signature":""', b'"signature": ""')
    media_by_url: ClassVar[frozenset[MediaKind]] = frozenset({MediaKind.IMAGE, MediaKind.DOCUMENT})
    marks: ClassVar[tuple[bytes, ...]] = (b"message_", b'"error"', b'"code"')

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
        return asking.encode_request(request, target)

    @override
    def decode_answer(self, body: bytes) -> Iterator[Event]:
        return incoming.decode_answer(body)

    @override
    def decode_stream(self, frames: Iterable[bytes]) -> Iterator[Event]:
        return incoming.decode_stream(frames)

    @override
    def error_status(self, error: GatewayError) -> int:
        return error.status

    @override
    def encode_error(self, error: GatewayError, request_id: str) -> bytes:
        status = self.error_status(error)
        otherwise = "api_error" if status >= 500 else "invalid_request_error"
        inner: dict[str, object] = {
            "type": _TYPES.get(status, otherwise),
            "message": _worded(error),
        }
        # The SDKs choose their class by `error_code`, so it is there only when it is one of theirs.
        if error.details:
            inner["details"] = error.details
        return orjson.dumps({"type": "error", "error": inner, "request_id": request_id})

    @override
    def encode_stream_error(
        self, error: GatewayError, request_id: str, *, sequence: int = 0
    ) -> bytes:
        return b"event: error\ndata: %b\n\n" % self.encode_error(error, request_id)

    @override
    def encode_answer(self, events: Iterable[Event], shape: Shape = PLAIN) -> bytes:
        return answer.encode_answer(events)

    @override
    def encode_stream(self, events: Iterable[Event], shape: Shape = PLAIN) -> Iterator[bytes]:
        return stream.encode_stream(events)

    @override
    def encode_models(self, models: Sequence[ModelInfo]) -> bytes:
        return orjson.dumps(
            {
                "data": [_entry(model) for model in models],
                "has_more": False,
                "first_id": models[0].id if models else None,
                "last_id": models[-1].id if models else None,
            }
        )

    @override
    def encode_model(self, model: ModelInfo) -> bytes:
        return orjson.dumps(_entry(model))


def _entry(model: ModelInfo) -> dict[str, object]:
    created = datetime.fromtimestamp(model.created_s, UTC)
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.display_name or model.id,
        "created_at": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycle": "active",
        "max_input_tokens": model.input_limit or None,
        "max_tokens": model.output_limit or None,
    }


def _worded(error: GatewayError) -> str:
    """The message; on these words of Anthropic's, and on no code, agents shorten a history."""
    if error.kind != TOO_LONG or _TOO_LONG_WORDS in error.message.lower():
        return error.message
    return f"{_TOO_LONG_WORDS}: {error.message}"
