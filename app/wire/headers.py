"""Which headers cross the gateway, and which never do. This is the one place that says so.

Both tables name what may cross; a header that is not named stays behind. That keeps out, without
naming each: credentials (Authorization, X-Api-Key, X-Goog-Api-Key), cookies, what belongs to one
connection (RFC 9110, 7.6.1: Connection, Keep-Alive, TE, Trailer, Transfer-Encoding, Upgrade,
Proxy-*), how the request came (Forwarded, X-Forwarded-*, X-Real-IP, Via, CF-*), and what each
side makes for itself (Host, Content-Length, Accept-Encoding, Server, Date).

Sources: the headers of real clients and providers as seen on the wire in November 2026; the
providers' API references.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

VALUE_LIMIT = 8 << 10
"""Bytes of a value; the longest known, a Codex turn's metadata, has some 800."""

_OPENAI = frozenset({"openai_chat", "openai_responses"})
_RESPONSES = frozenset({"openai_responses"})
_ANTHROPIC = frozenset({"anthropic_messages"})
_GEMINI = frozenset({"gemini_generate"})
_ANY = _OPENAI | _ANTHROPIC | _GEMINI

_UP: dict[str, frozenset[str]] = {
    # What the client can read and who it is. Some providers choose by it, and it is the truth.
    "accept": _ANY,
    "accept-language": _ANY,
    "user-agent": _ANY,
    # Lets a provider see that two calls are one; a call of ours is the client's call.
    "idempotency-key": _ANY,
    # Without these the body means something else, or is refused.
    "anthropic-version": _ANTHROPIC,
    "anthropic-beta": _ANTHROPIC,
    "openai-beta": _OPENAI,
    # Which of the caller's organizations and projects pays; the provider checks it against the key.
    "openai-organization": _OPENAI,
    "openai-project": _OPENAI,
    # The name and version of Google's own SDKs; their service answers old ones in an older way.
    "x-goog-api-client": _GEMINI,
    # Which program it is, where a provider has a mode for it.
    "x-app": _ANTHROPIC,
    "originator": _RESPONSES,
    "x-initiator": _OPENAI,
    # Names of conversations. Providers route by them so that their prompt caches are hit. They
    # go to every protocol: tools send the same ones whatever they speak.
    "x-claude-code-session-id": _ANY,
    "session-id": _ANY,
    "session_id": _ANY,
    "thread-id": _ANY,
    "conversation_id": _ANY,
    "x-session-id": _ANY,
    "x-session-affinity": _ANY,
    "x-client-request-id": _ANY,
}
# Left out on purpose:
#   x-stainless-*       repeats the user agent, and its retry count and timeout are those between
#                       the client and us: we retry and wait by our own rules
#   anthropic-dangerous-direct-browser-access   a browser's word to the server it talks to: us
#   traceparent, tracestate, baggage            the client's tracing is not the provider's business
#   content-type        the gateway sets it: it has inflated and read the body
#   range, if-*         no answer of a model can be had in part or kept

_UP_PREFIXES: tuple[tuple[str, frozenset[str]], ...] = (
    ("x-codex-", _RESPONSES),  # turn state, window, beta features: a turn fails without them
    ("x-openai-internal-codex-", _RESPONSES),  # says which tool language the body is written in
)

_DOWN = frozenset(
    {
        # When and whether to try again; SDKs obey them, Codex gives up without the first.
        "retry-after",
        "retry-after-ms",
        "x-should-retry",
        # What to name when asking the provider for help.
        "request-id",
        "x-request-id",
        # How long it took and which API version answered; SDKs show them.
        "openai-processing-ms",
        "openai-version",
        "anthropic-version",
        # What the body is.
        "content-type",
        "content-language",
        "content-disposition",
        # RFC 9745 and RFC 8594: notice that a model or an endpoint goes away.
        "deprecation",
        "sunset",
        # Must be sent back within the same turn.
        "x-codex-turn-state",
    }
)
_DOWN_PREFIXES = (
    "x-ratelimit-",
    "ratelimit-",
    "anthropic-ratelimit-",
    "x-codex-primary-",  # how much of an account's allowance is used; Codex shows it
    "x-codex-secondary-",
)
# Left out on purpose:
#   openai-organization, anthropic-organization-id, x-codex-credits-*   whose account it is
#   set-cookie, www-authenticate, location      between the provider and us
#   content-encoding, content-length, transfer-encoding   the gateway's answer has its own
#   access-control-*, strict-transport-security, alt-svc  would speak for our origin
#   server, date, via, cf-*, x-envoy-*, nel, report-to    about hops the client does not see
#   cache-control, etag, vary                   the gateway says itself what may be kept

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, 5.6.2
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # RFC 9110, 5.5: all but the tab


def upstream_headers(headers: Iterable[tuple[str, str]], protocol: str) -> dict[str, str]:
    """The headers of a client that go to the provider, names in lower case.

    A header that came several times goes as one, joined with commas.

    Args:
        headers: as the client sent them, names in any case.
        protocol: a codec's name; both sides speak it.
    """
    passed: dict[str, str] = {}
    named: frozenset[str] = frozenset()
    for name, value in headers:
        low = name.lower()
        if low == "connection":
            named |= _listed(value)
        elif _goes_up(low, protocol) and is_safe(value):
            passed[low] = f"{passed[low]}, {value}" if low in passed else value
    return {name: value for name, value in passed.items() if name not in named}


def client_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers of a provider's answer that go to the client, in order and spelling."""
    passed: list[tuple[str, str]] = []
    named: frozenset[str] = frozenset()
    for name, value in headers:
        low = name.lower()
        if low == "connection":
            named |= _listed(value)
        elif _goes_down(low) and is_safe(value):
            passed.append((name, value))
    return [item for item in passed if item[0].lower() not in named] if named else passed


def environ_headers(environ: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """The request headers of a WSGI environ, names in lower case with dashes.

    WSGI cannot tell ``session_id`` from ``session-id``; both come out as the latter.
    """
    for key, value in environ.items():
        if key.startswith("HTTP_") and isinstance(value, str):
            yield key[5:].replace("_", "-").lower(), value


def is_safe(value: str) -> bool:
    """Whether a value can be sent: no line break or other control character, not too long."""
    return len(value) <= VALUE_LIMIT and _CONTROL.search(value) is None


def _goes_up(name: str, protocol: str) -> bool:
    families = _UP.get(name)
    if families is not None:
        return protocol in families
    return any(
        name.startswith(prefix) and protocol in families and _TOKEN.fullmatch(name) is not None
        for prefix, families in _UP_PREFIXES
    )


def _goes_down(name: str) -> bool:
    if name in _DOWN:
        return True
    return name.startswith(_DOWN_PREFIXES) and _TOKEN.fullmatch(name) is not None


def _listed(connection: str) -> frozenset[str]:
    """The headers that a Connection header declares to be for this connection alone."""
    return frozenset(name.strip().lower() for name in connection.split(","))
