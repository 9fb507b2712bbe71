"""What an error answer means and who is to blame, in the words that providers share.

Cooling and rotation follow the blame, so the order of the questions matters: a status alone
says little. A 429 may mean "slow down", "no money left" or "not this model"; a 400 may mean that
the key is bad.

Source: documentation of OpenAI, Anthropic, Google, DeepSeek, Groq and OpenRouter, and the error
texts quoted in public reports about them, read 2026-11-21. Matching on message text is a guess
by nature; where a provider gives a code, the code decides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from app.errors import (
    TOO_LONG,
    Blame,
    CredentialRefused,
    ErrorReply,
    Garbled,
    Overloaded,
    QuotaExhausted,
    Rejected,
    TimedOut,
    UpstreamError,
)
from app.providers.hints import ErrorBody, read_error, retry_after_s

REFUSED = "the provider refused this gateway's credential"
"""Told to the client instead of the provider's words: those are about a key it does not have."""

CHALLENGE_REST_S = 10.0
"""The least rest after a challenge page of an edge; asking faster keeps the challenge up."""

_CHALLENGE = re.compile(rb"challenge-platform|cf-mitigated|cloudflare challenge", re.IGNORECASE)

_REQUEST_CODES = frozenset(
    {
        TOO_LONG,
        "cyber_policy",
        "invalid_encrypted_content",
        "invalid_prompt",
        "invalid_value",
        "message_too_big",
        "previous_response_not_found",
        "string_above_max_length",
        "unsupported_parameter",
        "unsupported_value",
    }
)
_MODEL_CODES = frozenset(
    {
        "deploymentnotfound",
        "invalid_model",
        "model_decommissioned",
        "model_not_available",
        "model_not_found",
        "model_not_supported",
        "model_terms_required",
        "model_unavailable",
        "unknown_model",
        "unsupported_model",
    }
)
_MONEY_CODES = frozenset(
    {
        "billing_hard_limit_reached",
        "billing_not_active",
        "credit_balance_exhausted",
        "insufficient_quota",
        "usage_limit_reached",
    }
)
_KEY_CODES = frozenset({"invalid_api_key", "usage_not_included"})
_OVERLOAD_CODES = frozenset({"overloaded_error", "server_is_overloaded", "slow_down"})
_MODEL_TEXT = re.compile(
    r"""
      # "'top_k' with this model is not supported" is about the request
      (?<!with[ ]this[ ]) (?<!for[ ]this[ ]) (?<!by[ ]this[ ]) (?<!on[ ]this[ ]) (?<!in[ ]this[ ])
      \b models? \b [\s:/]*
        (?: ["'`] [\w./:@-]{1,120} ["'`]
          | (?= [a-z_]{0,80} [\d./:@-] ) [\w./:@-]{1,120}  # a bare word must look like a name
        )?
        \s* (?: (?:is|are|was|has\ been|does|do) \s )?
        (?: (?:currently|no\ longer|temporarily) \s )?
        (?: (?:not\ |un)supported | (?:not\ |un)available | not\ found | not\ exist
          | decommissioned | retired ) \b
    | \b (?:invalid|unknown|unsupported|no\ such) \s model (?:\ name|\ id)?
        (?= $ | [\s:]* ["'`(] | [:.,] )
    | \b not\ a\ valid\ model \b
    | \b no\ endpoints\ found\ for \b
    | \b not\ available\ (?:for|on|in|under)\ your\ (?:\w{1,20}\ )? (?:plan|account|subscription) \b
    | \b not\ have\ access\ to\ (?:the\ )?model \b
    | ^ model:\ \S{1,200} $
    """,
    re.IGNORECASE | re.VERBOSE,
)
_TOO_LONG = re.compile(
    r"""
      \b maximum \s context \s length \b
    | \b context \s (?:window|length|limit) \b .{0,40} \b exceed
    | \b exceeds? \b .{0,40} \b context \s (?:window|length|limit) \b
    | \b prompt \s is \s too \s long \b
    | \b input \s token \s count \b .{0,40} \b exceeds \b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_AT_CAPACITY = re.compile(r"\bmodel is at capacity\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Failure:
    """An error answer, read once for all the questions asked of it."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    error: ErrorBody
    wait_s: float | None

    @property
    def message(self) -> str:
        """The provider's own words, or the status where it has none."""
        return self.error.message or f"the provider answered with status {self.status}"

    @property
    def reply(self) -> ErrorReply:
        """The answer as it came."""
        return ErrorReply(self.status, tuple(self.headers.items()), self.body)

    def rejected(self) -> UpstreamError:
        """The request is at fault; a status that is no client error becomes 400.

        That the history is too long is said apart: agents then shorten theirs, whatever
        protocol they speak.
        """
        status = self.status if 400 <= self.status < 500 else 400
        too_long = self.error.code == TOO_LONG or bool(_TOO_LONG.search(self.error.message))
        return Rejected(
            self.message,
            status=status,
            kind=TOO_LONG if too_long else None,
            retry_after_s=self.wait_s,
            reply=self.reply,
        )

    def refused(self) -> UpstreamError:
        """The credential is at fault; the client is told neither 401 nor the provider's words."""
        return CredentialRefused(REFUSED, retry_after_s=self.wait_s, reply=self.reply)

    def exhausted(self, blame: Blame, at_least_s: float | None = None) -> UpstreamError:
        """The credential has run out, of one model or altogether."""
        wait = self.wait_s if at_least_s is None else max(self.wait_s or 0.0, at_least_s)
        return QuotaExhausted(self.message, retry_after_s=wait, blame=blame, reply=self.reply)

    def overloaded(self, blame: Blame = Blame.UPSTREAM) -> UpstreamError:
        """The service is unwell; a status that clients do not know becomes 503 or 502."""
        status = self.status if self.status in {429, 500, 502, 503, 529} else 502
        if self.status < 500 and self.status != 429:
            status = 503
        return Overloaded(
            self.message, status=status, retry_after_s=self.wait_s, blame=blame, reply=self.reply
        )

    def without_model(self) -> UpstreamError:
        """This credential cannot serve this model; another one may."""
        return Rejected(
            self.message,
            status=404,
            kind="model_not_found",
            retry_after_s=self.wait_s,
            blame=Blame.MODEL,
            reply=self.reply,
        )


def read_failure(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """Take an error answer apart. ``headers`` are in lower case."""
    return Failure(status, headers, body, read_error(body), retry_after_s(headers, body))


def verdict(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    """The meaning of an HTTP error where a provider has no words of its own."""
    return judge(read_failure(status, headers, body))


def judge(failure: Failure) -> UpstreamError:
    """The meaning of an error answer: by what it says first, by its status then."""
    if not 400 <= failure.status <= 599:
        return Garbled(f"the provider answered with status {failure.status}", reply=failure.reply)
    return _by_words(failure) or _by_status(failure)


def is_challenge(failure: Failure) -> bool:
    """Whether an edge in front of the provider wants a browser; the provider was never asked."""
    if failure.headers.get("cf-mitigated", "").lower() == "challenge":
        return True
    head = failure.body[:65536]
    if head.lstrip()[:1] in {b"{", b"["}:
        return False  # a JSON answer may well quote a page; it is not one
    folded = head.lower()
    return bool(_CHALLENGE.search(head)) or (b"<html" in folded and b"cloudflare" in folded)


def _by_words(failure: Failure) -> UpstreamError | None:
    words = {failure.error.code, failure.error.type}
    if failure.status == 401:  # whatever else it says: DeepSeek adds a code of request faults
        return failure.refused()
    if is_challenge(failure) and failure.status in {403, 429, 503}:
        return _challenged(failure)
    if words & _MONEY_CODES:
        return failure.exhausted(Blame.CREDENTIAL)
    if words & _KEY_CODES:
        return failure.refused()
    if _AT_CAPACITY.search(failure.error.message):
        return failure.overloaded(Blame.MODEL)
    if words & _OVERLOAD_CODES:
        return failure.overloaded()
    if _is_about_model(failure, words):
        return failure.without_model()
    if words & _REQUEST_CODES and failure.status not in {402, 429}:
        return failure.rejected()
    if failure.status == 403 and "flagged_input" in failure.error.metadata_keys:
        return failure.rejected()  # OpenRouter: moderation refused the prompt, not the key
    return None


def _by_status(failure: Failure) -> UpstreamError:
    match failure.status:
        case 401 | 402 | 403:
            return failure.refused()
        case 404 if not failure.error.message:
            # No API answers like this: the base URL is wrong, or an edge has no way to the service.
            return Rejected(failure.message, status=404, blame=Blame.UPSTREAM, reply=failure.reply)
        case 429:
            return failure.exhausted(Blame.MODEL)
        case 408 | 504 | 522 | 524:  # the last two are an edge's
            return TimedOut(failure.message, retry_after_s=failure.wait_s, reply=failure.reply)
        case 499:  # Google's CANCELLED: the call was given up on their side
            return failure.overloaded()
        case status if status >= 500:
            return failure.overloaded()
        case _:
            return failure.rejected()


def _is_about_model(failure: Failure, words: set[str]) -> bool:
    if failure.status not in {400, 403, 404, 422} or failure.error.param not in {"", "model"}:
        return False
    return bool(words & _MODEL_CODES or _MODEL_TEXT.search(failure.error.message))


def _challenged(failure: Failure) -> UpstreamError:
    return Overloaded(
        "the provider's edge asked for a browser",
        retry_after_s=max(failure.wait_s or 0.0, CHALLENGE_REST_S),
        blame=Blame.MODEL,
        reply=failure.reply,
    )
