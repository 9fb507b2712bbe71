"""What is read of a Responses request."""

from __future__ import annotations

import msgspec

from app.protocols.base import Operation, Peek
from app.protocols.peeking import model_of, read_head


class _Generate(msgspec.Struct):
    model: str | msgspec.UnsetType = msgspec.UNSET
    stream: bool | None = None
    previous_response_id: str | None = None


_GENERATE = msgspec.json.Decoder(_Generate)


def peek(body: bytes | bytearray, operation: Operation) -> Peek:
    """Read what steers a request; see ``Codec.peek``. The usage is always in the last event."""
    head = read_head(_GENERATE, body)
    return Peek(
        model_of(head.model),
        stream=head.stream is True,
        continues=head.previous_response_id or "",
    )
