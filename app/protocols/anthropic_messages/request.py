"""What is read of a Messages request."""

from __future__ import annotations

import msgspec

from app.protocols.base import Operation, Peek
from app.protocols.peeking import model_of, read_head


class _Thread(msgspec.Struct):
    previous_message_id: str | None = None


class _Generate(msgspec.Struct):
    model: str | msgspec.UnsetType = msgspec.UNSET
    stream: bool | None = None
    thread: _Thread | None = None


_GENERATE = msgspec.json.Decoder(_Generate)


def peek(body: bytes | bytearray, operation: Operation) -> Peek:
    """Read what steers a request; see ``Codec.peek``. Streams always carry their usage.

    Source: Anthropic Python SDK 2.11, ``lib/threads``, read 2026-11-21: a thread that goes on
    names the message before and sends only what is new.
    """
    head = read_head(_GENERATE, body)
    thread = head.thread
    return Peek(
        model_of(head.model),
        stream=head.stream is True and operation is Operation.GENERATE,
        continues=(thread.previous_message_id or "") if thread is not None else "",
        thread=thread is not None,
    )
