"""Google Gemini generateContent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import msgspec
import orjson
from typing_extensions import override

from app.errors import GatewayError, Unauthenticated
from app.ir.events import Event
from app.ir.parts import MediaKind
from app.ir.request import Request
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
from app.protocols.gemini_generate import answer, reader, request, stream
from app.protocols.gemini_generate.body import as_count, encode_request
from app.protocols.gemini_generate.contents import PROTOCOL
from app.protocols.gemini_generate.media import ISSUER
from app.protocols.gemini_generate.stream import as_array
from app.protocols.peeking import read_head

__all__ = ["GeminiGenerate", "as_array", "as_count"]

# Source: google.rpc.Code and its HTTP mapping, read 2026-11-21.
_STATUSES: Mapping[int, str] = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_RPC = "type.googleapis.com/google.rpc."
_WRONG_KEY = "API key not valid. Please pass a valid API key."


class _Object(msgspec.Struct):
    """Any JSON object; nothing of it is needed, the model is in the path."""


_OBJECT = msgspec.json.Decoder(_Object)


class GeminiGenerate(Codec):
    """The codec of generateContent."""

    name: ClassVar[str] = PROTOCOL
    issuer: ClassVar[str] = ISSUER
    # Of all addresses only YouTube's are fetched by every model; no other protocol has video.
    media_by_url: ClassVar[frozenset[MediaKind]] = frozenset({MediaKind.VIDEO})
    model_in_path: ClassVar[bool] = True
    ends_by_close: ClassVar[bool] = True
    heartbeat: ClassVar[bytes] = b"\n"  # a comment would break the official SDK's line reader
    marks: ClassVar[tuple[bytes, ...]] = (b'Reason"', b'"error"', b'"code"')

    @override
    def peek(self, body: bytes | bytearray, operation: Operation) -> Peek:
        read_head(_OBJECT, body)
        return Peek("")

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
        return encode_request(request, target)

    @override
    def decode_answer(self, body: bytes) -> Iterator[Event]:
        return reader.decode_answer(body)

    @override
    def decode_stream(self, frames: Iterable[bytes]) -> Iterator[Event]:
        return reader.decode_stream(frames)

    @override
    def error_status(self, error: GatewayError) -> int:
        if isinstance(error, Unauthenticated):
            return 400  # how the service itself refuses a key; its clients know the words
        return {413: 400, 529: 503}.get(error.status, error.status)

    @override
    def encode_error(self, error: GatewayError, request_id: str) -> bytes:
        code = self.error_status(error)
        otherwise = "INTERNAL" if code >= 500 else "INVALID_ARGUMENT"
        message, reason = error.message, error.kind.upper()
        if isinstance(error, Unauthenticated):
            message, reason = f"{_WRONG_KEY} ({message})", "API_KEY_INVALID"
        details: list[dict[str, Any]] = [
            {"@type": f"{_RPC}ErrorInfo", "reason": reason, "domain": "googleapis.com"},
            {"@type": f"{_RPC}RequestInfo", "requestId": request_id},
        ]
        if error.retry_after_s is not None:
            delay = f"{error.retry_after_s:.3f}".rstrip("0").rstrip(".") + "s"
            details.append({"@type": f"{_RPC}RetryInfo", "retryDelay": delay})
        inner = {
            "code": code,
            "message": message,
            "status": _STATUSES.get(code, otherwise),
            "details": details,
        }
        return orjson.dumps({"error": inner})

    @override
    def encode_stream_error(
        self, error: GatewayError, request_id: str, *, sequence: int = 0
    ) -> bytes:
        return b"data: %b\n\n" % self.encode_error(error, request_id)

    @override
    def encode_answer(self, events: Iterable[Event], shape: Shape = PLAIN) -> bytes:
        return answer.encode_answer(events)

    @override
    def encode_stream(self, events: Iterable[Event], shape: Shape = PLAIN) -> Iterator[bytes]:
        return stream.encode_stream(events)

    @override
    def encode_models(self, models: Sequence[ModelInfo]) -> bytes:
        return orjson.dumps({"models": [_entry(model) for model in models]})

    @override
    def encode_model(self, model: ModelInfo) -> bytes:
        return orjson.dumps(_entry(model))


def _entry(model: ModelInfo) -> dict[str, object]:
    embeds = "embed" in model.id  # a guess by name; nothing else tells the two kinds apart
    entry: dict[str, object] = {
        "name": f"models/{model.id}",
        "version": "001",
        "displayName": model.display_name or model.id,
        "description": f"{model.display_name or model.id}, by {model.owned_by}",
        "supportedGenerationMethods": (
            ["embedContent", "batchEmbedContents"]
            if embeds
            else ["generateContent", "streamGenerateContent", "countTokens"]
        ),
    }
    if model.input_limit:
        entry["inputTokenLimit"] = model.input_limit
    if model.output_limit:
        entry["outputTokenLimit"] = model.output_limit
    return entry
