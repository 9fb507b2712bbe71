"""What an error answer says beside its status: its message, its codes, how long to wait.

Providers say the same things in different places; here they are read wherever they stand, so
that a compatible host that borrowed another provider's words is understood as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from app import clock
from app.redact import scrub
from app.wire.sse import data_of

MESSAGE_LIMIT = 2000
"""Characters of a provider's message that are kept."""

WAIT_LIMIT_S = 7 * 86400.0
"""No hint keeps a credential away for longer; a wrong one must heal by itself."""

_PLAIN_TEXT_LIMIT = 500
_UNIX_S = 1e9
"""A number of seconds from here on is a moment (2001 and later), not a wait of 31 years."""

_UNIT_S = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}
_STEP = re.compile(
    r"(\d{1,12}(?:\.\d{1,12})?)\s?"
    r"(ms|milliseconds?|ns|us|µs|s|secs?|seconds?|m|mins?|minutes?|h|hours?|d|days?)(?![a-z])",
    re.IGNORECASE,
)
_PROMISE = re.compile(
    r"\b(?:retry|again|resets?|wait)\b[^\d\n]{0,40}?(?=\d)|\bafter (?=\d)", re.IGNORECASE
)
_REGAIN = re.compile(r"regain access on (\d{4}-\d{2}-\d{2})(?: at (\d{2}:\d{2}))?", re.IGNORECASE)
_PRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """An error answer, read as far as it can be.

    Attributes:
        message: for people; scrubbed and at most ``MESSAGE_LIMIT`` characters.
        code: OpenAI's ``code``, in lower case; empty when there is none or it is a number.
        type: OpenAI's or Anthropic's ``type``, in lower case.
        param: OpenAI's ``param``, the member of the request that is at fault.
        status: Google's ``status``, for example ``RESOURCE_EXHAUSTED``.
        reasons: ``reason`` of Google's error details.
        quota_ids: ``quotaId`` of Google's quota violations.
        metadata_keys: names in ``metadata``, where OpenRouter says more.
        wait_s: how long the body asks to wait, None when it does not.
    """

    message: str = ""
    code: str = ""
    type: str = ""
    param: str = ""
    status: str = ""
    reasons: frozenset[str] = field(default_factory=frozenset)
    quota_ids: tuple[str, ...] = ()
    metadata_keys: frozenset[str] = field(default_factory=frozenset)
    wait_s: float | None = None


def message_of(body: bytes) -> str:
    """The sentence for people in an error answer; empty for HTML and for nothing at all."""
    return read_error(body).message


def read_error(body: bytes) -> ErrorBody:
    """Read an error answer of any provider; whatever it is, this does not fail."""
    document = _document(body)
    if document is None:
        message = _plain_text(body)
        return ErrorBody(message=message, wait_s=_wait_in_text(message))
    error = _error_of(document)
    details = [detail for detail in _list(error.get("details")) if isinstance(detail, dict)]
    message = scrub(_message(error, document)[:MESSAGE_LIMIT])
    return ErrorBody(
        message=message,
        code=_word(error.get("code")).lower(),
        type=_word(error.get("type")).lower(),
        param=_word(error.get("param")),
        status=_word(error.get("status")),
        reasons=frozenset(_word(detail.get("reason")) for detail in details) - {""},
        quota_ids=tuple(_quota_ids(details)),
        metadata_keys=frozenset(_dict(error.get("metadata"))),
        wait_s=_wait_in_body(error, details, message),
    )


def retry_after_s(headers: Mapping[str, str], body: bytes) -> float | None:
    """How long a provider asks us to wait, in seconds; None when it does not say.

    Args:
        headers: names in lower case.
        body: the error answer; read only when no header tells.

    Source: RFC 9110, 10.2.3 "Retry-After"; the rate-limit headers of OpenAI (Go durations) and
    Anthropic (RFC 3339); google.rpc.RetryInfo.
    """
    wait = _wait_in_headers(headers)
    if wait is None:
        wait = read_error(body).wait_s
    return wait


def bounded(seconds: float) -> float:
    """A wait made sane: never negative, at most ``WAIT_LIMIT_S``."""
    return min(max(seconds, 0.0), WAIT_LIMIT_S)


def duration_s(text: str) -> float | None:
    """Seconds of ``6m0s``, ``12ms``, ``1h2m3s`` or ``20 seconds``; None for anything else."""
    total, position = 0.0, 0
    text = text.strip()
    while position < len(text):
        step = _STEP.match(text, position)
        if step is None:
            return None
        total += _step_s(step)
        position = step.end()
        while position < len(text) and text[position] == " ":
            position += 1
    return bounded(total) if text else None


# --- headers ---------------------------------------------------------------------------------


def _wait_in_headers(headers: Mapping[str, str]) -> float | None:
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return bounded(milliseconds / 1000)
    if plain := headers.get("retry-after", "").strip():
        seconds = _number(plain)
        wait = bounded(seconds) if seconds is not None else _until(_http_date(plain))
        if wait is not None:
            return wait
    waits = [wait for wait in _resets(headers) if wait is not None]
    return max(waits, default=None)


def _resets(headers: Mapping[str, str]) -> Iterator[float | None]:
    """Waits of the limits that are used up; a limit with something left is not what stopped us."""
    for name, value in headers.items():
        if name.startswith("x-ratelimit-reset-"):
            if _used_up(headers.get(name.replace("-reset-", "-remaining-", 1))):
                yield _wait_until_reset(value)
            continue
        if name.startswith("anthropic-ratelimit-") and name.endswith("-reset"):
            limit = name.removesuffix("reset")
            allowed = headers.get(limit + "status", "").startswith("allowed")
            if not allowed and _used_up(headers.get(limit + "remaining")):
                yield _until(_moment(value))


def _wait_until_reset(value: str) -> float | None:
    """Hosts write a Go duration, seconds, or (some mirrors) Unix seconds."""
    seconds = _number(value)
    if seconds is None:
        return duration_s(value)
    return bounded(seconds) if seconds < _UNIX_S else _until(seconds)


def _used_up(remaining: str | None) -> bool:
    if remaining is None:
        return True
    left = _number(remaining)
    return left is None or left <= 0


def _http_date(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return _epoch_s(moment)


def _moment(text: str) -> float | None:
    """Unix time of an RFC 3339 moment or of a number of Unix seconds."""
    seconds = _number(text)
    if seconds is not None:
        return seconds
    try:
        return _epoch_s(datetime.fromisoformat(text.strip()))
    except ValueError:
        return None


def _epoch_s(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _until(epoch_s: float | None) -> float | None:
    return None if epoch_s is None else bounded(epoch_s - clock.epoch_s())


def _number(text: str) -> float | None:
    text = text.strip()
    # no float(): it would take "nan", "1e9" and "1_000" as well
    return float(text) if re.fullmatch(r"-?\d{1,15}(?:\.\d{1,15})?", text, re.ASCII) else None


def _step_s(step: re.Match[str]) -> float:
    unit = step[2].lower()
    if unit not in _UNIT_S:
        unit = "ms" if unit.startswith("milli") else unit[0]
    return float(step[1]) * _UNIT_S[unit]


# --- body ------------------------------------------------------------------------------------


def _document(body: bytes) -> dict[str, Any] | None:
    """The JSON object in a body: bare, first of an array, or in a server-sent frame."""
    body = body.strip()
    if body.startswith((b"data:", b"event:")):
        body = data_of(re.split(rb"\r?\n\r?\n", body, maxsplit=1)[0] + b"\n\n")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if isinstance(value, list) and value:
        value = value[0]
    return value if isinstance(value, dict) else None


def _error_of(document: dict[str, Any]) -> dict[str, Any]:
    """The object that describes the error: ``error``, ``response.error``, or the whole document."""
    for holder in (document, _dict(document.get("response"))):
        if isinstance(error := holder.get("error"), dict):
            return error
    return document


def _message(error: dict[str, Any], document: dict[str, Any]) -> str:
    for holder, name in (
        (error, "message"),
        (document, "error"),
        (document, "detail"),
        (document, "message"),
        (document, "error_description"),
        (document, "errors"),
    ):
        if text := _sentence(holder.get(name)):
            return text
    return ""


def _sentence(value: object) -> str:
    """A text, or the texts in a list or object as validation errors bring them."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, dict):
        return _sentence(value.get("message") or value.get("msg") or "")
    if isinstance(value, list):
        return "; ".join(filter(None, map(_sentence, value[:5])))
    return ""


def _plain_text(body: bytes) -> str:
    """A short text that is not markup; a long one is a page, not a message."""
    if len(body) > _PLAIN_TEXT_LIMIT:
        return ""
    text = body.decode(errors="replace").strip()
    if "<" in text or text.startswith(("{", "[")) or _PRINTABLE.search(text) or "\ufffd" in text:
        return ""
    return scrub(text)


def _wait_in_body(error: dict[str, Any], details: list[Any], message: str) -> float | None:
    resets_at = _figure(error.get("resets_at"))  # Codex: the end of a usage window, Unix seconds
    if resets_at is not None:
        return _until(resets_at)
    resets_in = _figure(error.get("resets_in_seconds"))
    if resets_in is not None:
        return bounded(resets_in)
    infos = [d for d in details if _word(d.get("@type")).endswith("google.rpc.RetryInfo")]
    delays = [info.get("retryDelay") for info in infos]
    delays += [_dict(detail.get("metadata")).get("quotaResetDelay") for detail in details]
    waits = (duration_s(_word(delay)) for delay in delays)
    first = next((wait for wait in waits if wait is not None), None)
    return _wait_in_text(message) if first is None else first


def _wait_in_text(message: str) -> float | None:
    """The wait in ``Please retry in 12.3s``, ``after 1h2m3s``, ``regain access on 2026-04-01``."""
    if regain := _REGAIN.search(message):
        return _until(_moment(f"{regain[1]}T{regain[2] or '00:00'}:00+00:00"))
    for promise in _PROMISE.finditer(message):
        total, position = 0.0, promise.end()
        while step := _STEP.match(message, position):
            total += _step_s(step)
            position = step.end()
        if position > promise.end():
            return bounded(total)
    return None


def _quota_ids(details: list[Any]) -> Iterator[str]:
    for detail in details:
        for violation in _list(detail.get("violations")):
            if quota_id := _word(_dict(violation).get("quotaId")):
                yield quota_id


def _figure(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return None


def _word(value: object) -> str:
    return value if isinstance(value, str) else ""


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
