"""What is read of a Chat, legacy completion or embedding request."""

from __future__ import annotations

import msgspec

from app.protocols.base import Operation, Peek
from app.protocols.peeking import model_of, read_head


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Generate(msgspec.Struct):
    model: str | msgspec.UnsetType = msgspec.UNSET
    stream: bool | None = None
    stream_options: _StreamOptions | None = None


class _Named(msgspec.Struct):
    model: str | msgspec.UnsetType = msgspec.UNSET


_GENERATE = msgspec.json.Decoder(_Generate)
_NAMED = msgspec.json.Decoder(_Named)


def peek(body: bytes | bytearray, operation: Operation) -> Peek:
    """Read what steers a request; see ``Codec.peek``."""
    if operation not in (Operation.GENERATE, Operation.COMPLETE):
        return Peek(model_of(read_head(_NAMED, body).model))
    head = read_head(_GENERATE, body)
    options = head.stream_options
    asked = options is not None and options.include_usage is True
    return Peek(model_of(head.model), stream=head.stream is True, wants_usage=asked)
