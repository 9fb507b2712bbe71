"""The tree of errors; every failure a client or operator can see is one of these.

GatewayError               status, kind (a stable slug), message, retry_after_s
  ClientError              the caller can mend it
    BadRequest             400  malformed body, missing field
    Unauthenticated        401  no key, or a wrong one
    Forbidden              403  known, but not allowed
    UnknownModel           404  no provider serves this name
    NotFound               404  no such route or object
    MethodNotAllowed       405
    TooLarge               413  body over the limit
    UnsupportedMedia       415  content type or encoding we cannot read
    UpgradeRequired        426  WebSocket where only HTTP is served
    LimitExceeded          429  a limit of ours
    Untranslatable         400  the chosen provider cannot be given this; 501 for what it cannot do
  UpstreamError            a provider failed; ``blame`` says whose fault it is
    Rejected               REQUEST     the request is at fault: show it, do not retry
    CredentialRefused      CREDENTIAL  the key is bad
    QuotaExhausted         MODEL       this credential has run out of this model
    Overloaded             UPSTREAM    the service is unwell
    TimedOut               UPSTREAM    no answer in time
    Garbled                UPSTREAM    an answer that breaks its protocol
  NoCandidate              503 no credential can serve the model, 429 when all of them rest
  ConfigError              file, line, key; at start it ends the process
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from typing_extensions import override


class Blame(enum.Enum):
    """Who is at fault when an upstream fails; it alone steers the loop over candidates."""

    REQUEST = "request"
    MODEL = "model"
    CREDENTIAL = "credential"
    UPSTREAM = "upstream"


class GatewayError(Exception):
    """A failure with a meaning.

    ``message`` is for the client: it never holds a host, a path or a secret.
    """

    status: int = 500
    kind: str = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        kind: str | None = None,
        retry_after_s: float | None = None,
        details: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        if status is not None:
            self.status = status
        if kind is not None:
            self.kind = kind
        self.retry_after_s = retry_after_s
        self.details = dict(details or {})


class ClientError(GatewayError):
    """The caller can mend this."""

    status = 400
    kind = "bad_request"


class BadRequest(ClientError):
    """The request cannot be understood."""


class Unauthenticated(ClientError):
    """No client key, or one we do not know."""

    status = 401
    kind = "invalid_api_key"


class Forbidden(ClientError):
    """The caller is known and may not do this."""

    status = 403
    kind = "forbidden"


class UnknownModel(ClientError):
    """No provider serves a model of this name."""

    status = 404
    kind = "model_not_found"


class NotFound(ClientError):
    """There is no such route or object."""

    status = 404
    kind = "not_found"


class MethodNotAllowed(ClientError):
    """The route exists, the method does not."""

    status = 405
    kind = "method_not_allowed"


class RequestTimedOut(ClientError):
    """The client did not finish sending its request in time."""

    status = 408
    kind = "request_timeout"


class TooLarge(ClientError):
    """The body is larger than the operator allows."""

    status = 413
    kind = "request_too_large"


class UnsupportedMedia(ClientError):
    """A content type or content encoding that cannot be read."""

    status = 415
    kind = "unsupported_media_type"


class UpgradeRequired(ClientError):
    """A WebSocket was asked for where only HTTP is served."""

    status = 426
    kind = "websocket_not_supported"


class LimitExceeded(ClientError):
    """A limit of ours has been reached."""

    status = 429
    kind = "limit_exceeded"


class Untranslatable(ClientError):
    """The provider chosen for the model cannot be given this content.

    Raised with status 501 where it has no such operation at all.
    """

    status = 400
    kind = "untranslatable"


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """An upstream's error answer as it came, for relaying it byte by byte."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class UpstreamError(GatewayError):
    """A provider failed.

    ``reply`` holds its answer when there was one; ``status`` is what the client is told.
    """

    status = 502
    kind = "upstream_error"
    blame: Blame = Blame.UPSTREAM

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        kind: str | None = None,
        retry_after_s: float | None = None,
        details: Mapping[str, object] | None = None,
        blame: Blame | None = None,
        reply: ErrorReply | None = None,
    ) -> None:
        super().__init__(
            message, status=status, kind=kind, retry_after_s=retry_after_s, details=details
        )
        if blame is not None:
            self.blame = blame
        self.reply = reply


TOO_LONG = "context_length_exceeded"
"""The kind of a ``Rejected`` whose history does not fit the model; OpenAI's own code."""


class Rejected(UpstreamError):
    """The request would fail with any credential."""

    status = 400
    kind = "upstream_rejected"
    blame = Blame.REQUEST


class CredentialRefused(UpstreamError):
    """The upstream does not accept our credential; never the client's fault."""

    status = 503
    kind = "credential_refused"
    blame = Blame.CREDENTIAL


class QuotaExhausted(UpstreamError):
    """The credential has run out of this model for now."""

    status = 429
    kind = "quota_exhausted"
    blame = Blame.MODEL


class Overloaded(UpstreamError):
    """The service is unwell, whoever asks."""

    status = 503
    kind = "upstream_overloaded"


class TimedOut(UpstreamError):
    """The upstream did not answer in time."""

    status = 504
    kind = "upstream_timeout"


class Garbled(UpstreamError):
    """The upstream's answer breaks its own protocol, or ended too early."""

    status = 502
    kind = "upstream_garbled"


class NoCandidate(GatewayError):
    """No credential can serve the model right now."""

    status = 503
    kind = "no_credential"


class ConfigError(GatewayError):
    """The operator's configuration cannot be used.

    Attributes:
        file: where it was read, as the operator named it.
        line: 1-based, or None when the place is not known.
        key: dotted path such as ``openai-api-key[0].api-key``, empty for the whole file.
    """

    kind = "config_error"

    def __init__(self, message: str, *, file: str, line: int | None = None, key: str = "") -> None:
        super().__init__(message)
        self.file = file
        self.line = line
        self.key = key

    @override
    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.key}: {self.message}" if self.key else f"{where}: {self.message}"
