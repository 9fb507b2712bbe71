"""How a failure is shown to the client and written down: one answer to both."""

from __future__ import annotations

from app.errors import (
    Blame,
    ClientError,
    CredentialRefused,
    ErrorReply,
    GatewayError,
    NoCandidate,
    UpstreamError,
)
from app.protocols.base import Codec


def verbatim(error: GatewayError) -> ErrorReply | None:
    """A provider's own words, where they may go through as they came.

    Not what it says of the gateway's credential, and nothing that is no JSON, such as the error
    page of a proxy in between.
    """
    reply = error.reply if isinstance(error, UpstreamError) else None
    if reply is None or isinstance(error, CredentialRefused):
        return None
    return reply if reply.body.lstrip()[:1] in (b"{", b"[") else None


def shown_status(codec: Codec, error: GatewayError) -> int:
    """The HTTP status the client sees."""
    reply = verbatim(error)
    return codec.error_status(error) if reply is None else reply.status


def blame_of(error: GatewayError) -> str:
    """The slug a failed exchange is written down with."""
    match error:
        case UpstreamError():
            return error.blame.value
        case NoCandidate():
            return Blame.CREDENTIAL.value
        case ClientError():
            return "client"
        case _:
            return "gateway"


def late_failure(codec: Codec, error: GatewayError, request_id: str, *, stream: bool) -> bytes:
    """How a failure is told when status 200 has been sent already."""
    if stream:
        return codec.encode_stream_error(error, request_id)
    return codec.encode_error(error, request_id)
