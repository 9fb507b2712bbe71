"""What an error object inside an answer means."""

from __future__ import annotations

from collections.abc import Mapping

from app.errors import (
    CredentialRefused,
    Overloaded,
    QuotaExhausted,
    Rejected,
    TimedOut,
    UpstreamError,
)
from app.redact import scrub

_Kind = type[UpstreamError]

# Words of the providers' `type`, `code` and `status`, without case and punctuation. Sources:
# the error pages of the three providers, read 2026-11-21; overlapping words are kept once.
_MEANINGS: Mapping[str, _Kind] = {
    "ratelimiterror": QuotaExhausted,
    "ratelimitexceeded": QuotaExhausted,
    "insufficientquota": QuotaExhausted,
    "resourceexhausted": QuotaExhausted,
    "tokens": QuotaExhausted,
    "requests": QuotaExhausted,
    "overloadederror": Overloaded,
    "serverisoverloaded": Overloaded,
    "slowdown": Overloaded,
    "unavailable": Overloaded,
    "servererror": Overloaded,
    "internalservererror": Overloaded,
    "apierror": Overloaded,
    "internal": Overloaded,
    "timeouterror": TimedOut,
    "deadlineexceeded": TimedOut,
    "authenticationerror": CredentialRefused,
    "permissionerror": CredentialRefused,
    "billingerror": CredentialRefused,
    "invalidapikey": CredentialRefused,
    "apikeyinvalid": CredentialRefused,
    "unauthenticated": CredentialRefused,
    "permissiondenied": CredentialRefused,
    "invalidrequesterror": Rejected,
    "notfounderror": Rejected,
    "requesttoolarge": Rejected,
    "contextlengthexceeded": Rejected,
    "invalidprompt": Rejected,
    "invalidargument": Rejected,
    "failedprecondition": Rejected,
    "notfound": Rejected,
    "modelnotfound": Rejected,
    "contentpolicyviolation": Rejected,
}
_BROKEN = "the provider broke off with an error"


def failure_of(error: object, beside: Mapping[str, object] | None = None) -> UpstreamError:
    """The failure that an ``error`` member tells of.

    Args:
        error: the member's value: an object, or bare text.
        beside: what stands beside it; a status is looked for there too.
    """
    inner = error if isinstance(error, dict) else {"message": error}
    outer = beside or {}
    status = _status(inner) or _status(outer)
    kind = _kind(inner, status)
    message = inner.get("message")
    text = scrub(message) if isinstance(message, str) and message.strip() else _BROKEN
    code = inner.get("code")
    slug = code if isinstance(code, str) and code else None
    if kind is None:
        return UpstreamError(text, status=status or 502, kind=slug)
    if status is None and kind is Overloaded:
        status = 502
    return kind(text, status=_shown(kind, status), kind=slug)


def is_bare(members: Mapping[str, object]) -> bool:
    """Whether an object is an error without saying so: it has a code and words."""
    return members.get("code") is not None and isinstance(members.get("message"), str)


def _shown(kind: _Kind, status: int | None) -> int | None:
    """A refused credential is ours: the client must not take the provider's 401 for its own."""
    return None if kind is CredentialRefused else status


def _kind(error: Mapping[str, object], status: int | None) -> _Kind | None:
    for name in ("code", "type", "status"):
        value = error.get(name)
        if isinstance(value, str):
            meaning = _MEANINGS.get(value.replace("_", "").replace("-", "").lower())
            if meaning is not None:
                return meaning
    match status:
        case None:
            return None
        case 401 | 402 | 403:
            return CredentialRefused
        case 429:
            return QuotaExhausted
        case 408 | 504:
            return TimedOut
        case _:
            return Overloaded if status >= 500 else Rejected


def _status(holder: Mapping[str, object]) -> int | None:
    """The first of the usual members that holds a status of an error."""
    for name in ("status", "status_code", "code"):
        value: object = holder.get(name)
        if isinstance(value, str) and value.isdecimal():
            value = int(value)
        if isinstance(value, int) and 400 <= value <= 599:
            return value
    return None
