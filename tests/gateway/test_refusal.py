from __future__ import annotations

import orjson
import pytest

from app.errors import (
    BadRequest,
    CredentialRefused,
    ErrorReply,
    Garbled,
    GatewayError,
    NoCandidate,
    Overloaded,
    QuotaExhausted,
    Rejected,
)
from app.gateway.refusal import blame_of, late_failure, shown_status, verbatim
from app.protocols import CODECS
from app.protocols.base import Codec

CHAT = CODECS["openai_chat"]


def _reply(body: bytes, status: int = 418) -> ErrorReply:
    return ErrorReply(status, (("content-type", "application/json"),), body)


@pytest.mark.parametrize("body", [b'{"error":1}', b'\r\n [{"error":1}]'])
def test_a_providers_own_words_go_through(body: bytes) -> None:
    error = Rejected("no", reply=_reply(body))
    reply = verbatim(error)
    assert reply is not None
    assert reply.body == body
    assert shown_status(CHAT, error) == 418


@pytest.mark.parametrize(
    "error",
    [
        Rejected("no", reply=_reply(b"<html>no</html>")),
        Rejected("no", reply=_reply(b"")),
        Rejected("no"),
        CredentialRefused("no", reply=_reply(b'{"error":"key sk-1 is wrong"}')),
        BadRequest("no"),
        NoCandidate("no"),
    ],
    ids=["a page", "nothing", "no answer", "about our key", "ours", "none left"],
)
def test_other_words_do_not(error: GatewayError) -> None:
    assert verbatim(error) is None
    assert shown_status(CHAT, error) == error.status


@pytest.mark.parametrize(
    ("error", "blame"),
    [
        (Rejected("no"), "request"),
        (QuotaExhausted("no"), "model"),
        (CredentialRefused("no"), "credential"),
        (Overloaded("no"), "upstream"),
        (Garbled("no"), "upstream"),
        (NoCandidate("no"), "credential"),
        (BadRequest("no"), "client"),
        (GatewayError("no"), "gateway"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_who_is_to_blame(error: GatewayError, blame: str) -> None:
    assert blame_of(error) == blame


@pytest.mark.parametrize("codec", CODECS.values(), ids=lambda codec: codec.name)
def test_a_failure_behind_the_status_line(codec: Codec) -> None:
    error = Overloaded("out of breath")
    whole = late_failure(codec, error, "request-1", stream=False)
    assert "out of breath" in str(orjson.loads(whole)["error"])
    frame = late_failure(codec, error, "request-1", stream=True)
    assert frame == codec.encode_stream_error(error, "request-1")
    assert frame.endswith(b"\n\n")
