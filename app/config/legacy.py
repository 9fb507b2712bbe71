"""What users of older gateways have in their files.

Older shapes are rewritten, node by node, into today's, so that the rest of the loader knows one
shape and every message still names the operator's own line. Settings that are known elsewhere
and do nothing here stand in a table, so that they are not taken for typing errors.

Source: the outer surface of the gateways this one replaces; simple renamings are aliases in
``schema.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

import yaml

from app.config import schema
from app.config.nodes import Pair, is_null, join, list_node, map_node, pairs, text_node
from app.config.report import Report

NOT_YET = "is known, but this version does not act on it yet"
REFUSED = (
    "is not honoured, on purpose: it would make a provider take the gateway or its user for "
    "somebody else"
)
NEEDLESS = "is not needed here and does nothing"

_ENTRY: dict[str, str] = {
    "weight": NOT_YET,
    "disable-cooling": NOT_YET,
    "request-retry": NOT_YET,
    "request-scoped-errors": NOT_YET,
    "rebuild-mid-system-message": NOT_YET,
    "websockets": NOT_YET,
    "alpha-search": NOT_YET,
    "region": NOT_YET,
    "cloak": REFUSED,
    "fingerprint-profile": REFUSED,
    "experimental-cch-signing": REFUSED,
    "sensitive-words": REFUSED,
}

_NOT_YET_AT_TOP = (
    "commercial-mode",
    "default-max-tokens",
    "auth-keys",
    "api-key-limits",
    "rate-limit",
    "routing",
    "request-retry",
    "max-retry-interval",
    "max-retry-credentials",
    "disable-cooling",
    "model-fallback",
    "transient-error-cooldown-seconds",
    "save-cooldown-status",
    "retry",
    "circuit-breaker",
    "quota-cooldown-default-secs",
    "quota-exceeded",
    "request-scoped-errors",
    "oauth-request-scoped-errors",
    "auth-auto-refresh-workers",
    "oauth-excluded-models",
    "oauth-model-mappings",
    "oauth-model-alias",
    "model-name-mappings",
    "managed-auth",
    "payload",
    "passthrough-headers",
    "dashboard",
    "logging-to-file",
    "logs-max-total-size-mb",
    "error-logs-max-files",
    "request-log",
    "log-dir",
    "log",
    "log-store",
    "audit",
    "usage-statistics-enabled",
    "model-prices",
    "cache",
    "thinking-cache",
    "ws-auth",
    "ampcode",
    "disable-image-generation",
    "gpt-image-2-base-model",
    "video-result-auth-cache-ttl",
    "xai",
    "antigravity-signature-cache-enabled",
    "redis-usage-queue-retention-seconds",
    "amp-upstream-url",
    "amp-upstream-api-key",
    "amp-restrict-management-to-localhost",
    "amp-model-mappings",
)

_UNUSED_KEYS = f"{NOT_YET}; its credentials are not used"

KNOWN_ELSEWHERE: Mapping[type, Mapping[str, str]] = MappingProxyType(
    {
        schema.Config: {
            **dict.fromkeys(_NOT_YET_AT_TOP, NOT_YET),
            "providers": _UNUSED_KEYS,
            "upstreams": _UNUSED_KEYS,
            "vertex-api-key": _UNUSED_KEYS,
            "xai-api-key": _UNUSED_KEYS,
            "interactions-api-key": _UNUSED_KEYS,
            "claude-header-defaults": REFUSED,
            "codex-header-defaults": REFUSED,
            "codex": REFUSED,
            "claude-code": REFUSED,
            "antigravity": REFUSED,
            "antigravity-signature-bypass-strict": REFUSED,
            "disable-claude-cloak-mode": REFUSED,
            "cloak": REFUSED,
            "fingerprint-profile": REFUSED,
            "sensitive-words": REFUSED,
            "experimental-cch-signing": REFUSED,
            "pprof": NEEDLESS,
            "plugins": NEEDLESS,
            "home": NEEDLESS,
            "credential-concurrency": NEEDLESS,
            "credential-in-flight": NEEDLESS,
        },
        schema.Credential: _ENTRY,
        schema.OpenAICredential: _ENTRY,
        schema.Compatible: {**_ENTRY, "support-prompt-cache-key": NOT_YET},
        schema.KeyEntry: {"weight": NOT_YET, "disable-cooling": NOT_YET},
        schema.Model: dict.fromkeys(
            (
                "display-name",
                "max-context-length",
                "force-mapping",
                "fork",
                "is-compat",
                "thinking",
                "image",
                "input-modalities",
                "output-modalities",
            ),
            NOT_YET,
        ),
        schema.RemoteManagement: dict.fromkeys(
            ("disable-auto-update-panel", "panel-github-repository"), NEEDLESS
        ),
    }
)
"""Section → key → what the operator is told about it."""


def kebab(name: str) -> str:
    """A key in the spelling of this program."""
    return name.replace("_", "-")


def _modern_root(entries: list[Pair], path: str, report: Report) -> list[Pair]:
    entries = _bind_and_listen(entries, report)
    entries = _daemon(entries, report)
    return _auth_providers(entries, report)


def _take(entries: list[Pair], *names: str) -> tuple[dict[str, Pair], list[Pair]]:
    """Split the entries into those of the given names, by name, and the others."""
    taken = {kebab(pair.name): pair for pair in entries if kebab(pair.name) in names}
    return taken, [pair for pair in entries if kebab(pair.name) not in names]


def _bind_and_listen(entries: list[Pair], report: Report) -> list[Pair]:
    old, others = _take(entries, "bind", "listen")
    present, _ = _take(others, "host", "port")
    for pair in old.values():
        if pair.name in old and present:
            report.warn("counts only where `host` and `port` are absent", pair.key, pair.name)
    if not old or present:
        return others
    listen, bind = old.get("listen"), old.get("bind")
    if listen is None:
        return others if bind is None else [*others, Pair("host", bind.key, bind.value)]
    written = listen.value.value if isinstance(listen.value, yaml.ScalarNode) else ""
    match = re.fullmatch(r"(.*):(\d{1,5})", written.strip())
    if match is None:
        report.error("must be a colon and a port, such as ':8080'", listen.value, "listen")
        return others
    host, port = match.groups()
    # The older gateway listened on loopback unless told otherwise; so must its file.
    where = bind.value if bind is not None else text_node(host or "127.0.0.1", listen.value)
    return [
        *others,
        Pair("host", listen.key, where),
        Pair("port", listen.key, text_node(port, listen.value)),
    ]


def _daemon(entries: list[Pair], report: Report) -> list[Pair]:
    old, others = _take(entries, "daemon")
    if not old or not isinstance(old["daemon"].value, yaml.MappingNode):
        return entries
    for pair in pairs(old["daemon"].value, "daemon", report):
        if kebab(pair.name) != "shutdown-timeout":
            report.warn(NEEDLESS, pair.key, join("daemon", pair.name))
        elif not _take(others, "shutdown-timeout")[0]:
            others.append(Pair("shutdown-timeout", pair.key, pair.value))
    return others


def _auth_providers(entries: list[Pair], report: Report) -> list[Pair]:
    old, others = _take(entries, "auth")
    if not old:
        return entries
    auth = old["auth"]
    keys, _ = _take(others, "api-keys", "api-key")
    if any(_has_items(pair.value) for pair in keys.values()):
        report.warn("is an older spelling and does nothing beside `api-keys`", auth.key, "auth")
        return others
    items = [item for value in _inline_keys(auth, report) for item in value]
    others = [pair for pair in others if pair not in keys.values()]
    return [*others, Pair("api-keys", auth.key, list_node(items, auth.value))]


def _has_items(node: yaml.Node) -> bool:
    return not is_null(node) and bool(node.value)


def _inline_keys(auth: Pair, report: Report) -> Iterator[list[yaml.Node]]:
    """The key lists of ``auth.providers[]`` of the one type that carries keys itself."""
    providers = _members(auth.value, "auth", report).get("providers")
    if providers is None or not isinstance(providers.value, yaml.SequenceNode):
        return
    for index, item in enumerate(providers.value.value):
        path = f"auth.providers[{index}]"
        members = _members(item, path, report)
        kind = members.get("type")
        if kind is not None and kind.value.value != "config-api-key":
            report.warn(NOT_YET, item, path)
        elif (found := members.get("api-keys")) and isinstance(found.value, yaml.SequenceNode):
            yield found.value.value


def _members(node: yaml.Node, path: str, report: Report) -> dict[str, Pair]:
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {kebab(pair.name): pair for pair in pairs(node, path, report)}


def _modern_compatible(entries: list[Pair], path: str, report: Report) -> list[Pair]:
    """One key written on the block itself, and a block without a name."""
    flat, others = _take(entries, "api-key", "proxy-url")
    if key := flat.get("api-key"):
        entry = map_node([(pair.key, pair.value) for pair in flat.values()], key.value)
        entries = [*others, Pair("api-keys", key.key, list_node([entry], key.value))]
    members, rest = _take(entries, "name", "base-url")
    if "base-url" not in members or ("name" in members and _has_items(members["name"].value)):
        return entries
    base = members["base-url"]
    host = _host_of(base.value)
    return [*rest, base, Pair("name", base.key, text_node(host, base.value))]


def _host_of(node: yaml.Node) -> str:
    try:
        host = urlsplit(node.value).hostname if isinstance(node, yaml.ScalarNode) else None
    except ValueError:
        host = None
    return host or "unnamed"  # the check of `base-url` says what is wrong with it


Reshape = Callable[[list[Pair], str, Report], list[Pair]]

RESHAPE: Mapping[type, Reshape] = MappingProxyType(
    {schema.Config: _modern_root, schema.Compatible: _modern_compatible}
)
"""Section → how its older shapes become today's."""
