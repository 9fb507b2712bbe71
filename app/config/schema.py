"""Every setting an operator can write, its default beside it.

One frozen dataclass for each section. A field ``request_retry`` is written ``request-retry`` in
YAML; the snake-case spelling is read as well. ``setting(doc, …)`` carries the sentence that the
documentation and the panel show, the older spellings that are still read, and what a value must
be: the loader knows no key by name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

EXAMPLE_KEYS = frozenset({"your-api-key-1", "your-api-key-2", "your-api-key-3"})
"""Client keys of the sample files; a gateway that still has one serves loopback only."""

NO_HEADERS: Mapping[str, str] = MappingProxyType({})

_DAY_S = 86_400


def setting(
    doc: str,
    default: Any = dataclasses.MISSING,
    *,
    aliases: tuple[str, ...] = (),
    secret: bool = False,
    kind: str = "",
    least: float | None = None,
    most: float | None = None,
    choices: tuple[str, ...] = (),
    shorthand: str = "",
    needs: tuple[str, ...] = (),
    distinct: tuple[str, ...] = (),
    restart: bool = False,
) -> Any:
    """Declare one setting.

    Args:
        doc: one sentence for the operator, with the unit where there is one.
        default: what holds when the key is absent; a field without one is required.
        aliases: older spellings, as written in YAML.
        secret: masked wherever the configuration is shown, absent from ``repr``, and read from
            elsewhere when written as ``env://NAME`` or ``file:///path``.
        kind: the name of a check in ``app.config.checks``.
        least: smallest number allowed. Where it is 0 a negative number counts as 0, with a
            warning: "off" is written that way in many files.
        most: largest number allowed.
        choices: the words allowed, in lower case.
        shorthand: ``value`` takes a list entry that is plain text; ``key`` takes the keys when
            the whole list is written as a mapping.
        needs: fields of the entries of a list without which an entry is left out.
        distinct: fields of the entries of a list that together tell two of them apart; of
            several alike the first one stays.
        restart: read once when the process starts.
    """
    metadata = {
        "doc": doc,
        "aliases": aliases,
        "secret": secret,
        "kind": kind,
        "least": least,
        "most": most,
        "choices": choices,
        "shorthand": shorthand,
        "needs": needs,
        "distinct": distinct,
        "restart": restart,
    }
    if default is dataclasses.MISSING:
        return dataclasses.field(metadata=metadata, repr=not secret)
    if default is NO_HEADERS:  # has no hash, which dataclasses take for "can change"
        return dataclasses.field(
            default_factory=lambda: NO_HEADERS, metadata=metadata, repr=not secret
        )
    return dataclasses.field(default=default, metadata=metadata, repr=not secret)


_SAME_KEY = (
    "api_key",
    "base_url",
    "prefix",
    "proxy_url",
    "headers",
    "models",
    "excluded_models",
)


@dataclass(frozen=True, slots=True)
class Tls:
    """HTTPS towards clients."""

    enable: bool = setting("serve HTTPS; needs `cert` and `key`", False, restart=True)
    cert: str = setting("path of the PEM certificate chain", "", kind="path", restart=True)
    key: str = setting("path of the PEM private key", "", kind="path", restart=True)


@dataclass(frozen=True, slots=True)
class Streaming:
    """How streamed answers are kept alive."""

    keepalive_seconds: float = setting(
        "seconds of silence after which a heartbeat is sent to a waiting streaming client; "
        "0 = never",
        15.0,
        least=0,
        most=_DAY_S,
    )
    bootstrap_retries: int = setting(
        "how often a whole call may be started again before the first byte went to the client",
        0,
        least=0,
        most=100,
    )


@dataclass(frozen=True, slots=True)
class RemoteManagement:
    """Who may use the management API."""

    allow_remote: bool = setting("let callers that are not on this machine in", False)
    secret_key: str = setting(
        "the management key, as a bcrypt hash or in clear; empty = no management API",
        "",
        secret=True,
        kind="key",
    )
    disable_control_panel: bool = setting("do not serve the control panel", False)


@dataclass(frozen=True, slots=True)
class Model:
    """One model of a credential: what the upstream calls it, what clients call it."""

    name: str = setting("the upstream's name of the model", aliases=("id",), shorthand="value")
    alias: str = setting("the name clients use; empty = the same", "", shorthand="key")


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """One API key of an OpenAI-compatible provider."""

    api_key: str = setting(
        "the key; `env://NAME` and `file:///path` are read",
        "",
        secret=True,
        kind="token",
        shorthand="value",
    )
    proxy_url: str | None = setting(
        "proxy for this key; `direct` = none; absent = the global one",
        None,
        secret=True,
        kind="own-proxy",
    )


@dataclass(frozen=True, slots=True)
class Credential:
    """One API key of a provider."""

    api_key: str = setting(
        "the key; `env://NAME` and `file:///path` are read",
        secret=True,
        kind="token",
        shorthand="value",
    )
    name: str = setting("a name to show instead of the masked key", "")
    base_url: str = setting("root of the provider's API; empty = its public one", "", kind="url")
    prefix: str = setting("namespace: models are also served as `prefix/model`", "", kind="prefix")
    proxy_url: str | None = setting(
        "proxy for this key; `direct` = none; absent = the global one",
        None,
        secret=True,
        kind="own-proxy",
    )
    headers: Mapping[str, str] = setting(
        "extra headers for each call", NO_HEADERS, secret=True, kind="headers"
    )
    models: tuple[Model, ...] = setting(
        "the models this key serves; empty = all it lists", (), distinct=("name", "alias")
    )
    excluded_models: tuple[str, ...] = setting(
        "models not to serve, `*` as wildcard, upper and lower case alike", (), kind="glob"
    )
    priority: int = setting("higher is asked first", 0, least=-1_000_000, most=1_000_000)
    disabled: bool = setting("leave this key out", False)


@dataclass(frozen=True, slots=True)
class OpenAICredential(Credential):
    """One OpenAI API key."""

    wire_api: str = setting(
        "`chat` or `responses` to allow just one of the two protocols; empty = both",
        "",
        choices=("", "chat", "responses"),
    )


@dataclass(frozen=True, slots=True)
class Compatible:
    """A provider that speaks OpenAI's protocols."""

    name: str = setting("the provider's name, shown as `owned_by`")
    base_url: str = setting("root of its API, up to and with the version segment", kind="url")
    prefix: str = setting("namespace: models are also served as `prefix/model`", "", kind="prefix")
    headers: Mapping[str, str] = setting(
        "extra headers for each call", NO_HEADERS, secret=True, kind="headers"
    )
    api_key_entries: tuple[KeyEntry, ...] = setting(
        "its keys; empty = one call without a key",
        (),
        aliases=("api-keys",),
        distinct=("api_key", "proxy_url"),
    )
    models: tuple[Model, ...] = setting(
        "the models it serves; empty = all it lists", (), distinct=("name", "alias")
    )
    excluded_models: tuple[str, ...] = setting(
        "models not to serve, `*` as wildcard, upper and lower case alike", (), kind="glob"
    )
    wire_api: str = setting(
        "`chat` or `responses`: the protocol it speaks", "chat", choices=("chat", "responses")
    )
    include_usage: bool = setting(
        "ask for usage in Chat streams; off for hosts that refuse `stream_options`", True
    )
    priority: int = setting("higher is asked first", 0, least=-1_000_000, most=1_000_000)
    disabled: bool = setting("leave this provider out", False)


@dataclass(frozen=True, slots=True)
class Config:
    """One state of the operator's file. It never changes; a reload makes another."""

    # serving
    host: str = setting(
        "address to listen on; empty = all interfaces", "", kind="host", restart=True
    )
    port: int = setting("port to listen on", 8317, least=1, most=65_535, restart=True)
    workers: int = setting(
        "worker processes; 0 = one for each core", 0, least=0, most=1_024, restart=True
    )
    worker_connections: int = setting(
        "open client connections a worker accepts", 10_000, least=1, most=1_000_000, restart=True
    )
    tls: Tls = setting("HTTPS towards clients", Tls(), restart=True)  # noqa: RUF009 - a field
    trusted_proxies: tuple[str, ...] = setting(
        "addresses or networks whose `X-Forwarded-*` headers are believed", (), kind="network"
    )
    debug: bool = setting("log more", False)

    # where things are kept
    data_dir: str = setting(
        "directory of the database, the key file and the spool",
        "~/.aiproxyapi",
        kind="path",
        restart=True,
    )
    database_url: str = setting(
        "`sqlite:///…` or `postgresql://…`; empty = SQLite in the data directory",
        "",
        secret=True,
        kind="database-url",
        restart=True,
    )
    auth_dir: str = setting("directory of credential files", "~/.cli-proxy-api", kind="path")

    # who may call
    api_keys: tuple[str, ...] = setting(
        "keys of our clients, in clear or as bcrypt hashes; none = everybody may call",
        (),
        aliases=("api-key",),
        secret=True,
        kind="key",
    )
    remote_management: RemoteManagement = setting("the management API", RemoteManagement())  # noqa: RUF009 - a field

    # limits of size and time
    body_limit_mb: int = setting("largest request body, inflated, in MiB", 64, least=1, most=4_096)
    connect_timeout: float = setting(
        "seconds to open a connection to a provider", 10.0, least=0.1, most=_DAY_S
    )
    first_byte_timeout: float = setting(
        "seconds a provider may take before the first byte of its answer; 0 = no limit",
        600.0,
        aliases=("upstream-request-timeout",),
        least=0,
        most=_DAY_S,
    )
    idle_timeout: float = setting(
        "seconds between two pieces of an answer; 0 = no limit", 300.0, least=0, most=_DAY_S
    )
    total_timeout: float = setting(
        "seconds for a whole call; 0 = no limit",
        0.0,
        aliases=("request-timeout",),
        least=0,
        most=_DAY_S,
    )
    client_timeout: float = setting(
        "seconds a client may take to send or read a piece", 120.0, least=0.1, most=_DAY_S
    )
    shutdown_timeout: float = setting(
        "seconds open answers have to finish when stopping",
        30.0,
        least=0,
        most=_DAY_S,
        restart=True,
    )

    # streaming
    streaming: Streaming = setting("how streamed answers are kept alive", Streaming())  # noqa: RUF009 - a field
    nonstream_keepalive_interval: float = setting(
        "seconds of silence after which a blank line is sent to a waiting client that does not "
        "stream; 0 = never, so that a late failure keeps its status",
        0.0,
        aliases=("non-stream-keepalive-secs", "nonstream-keepalive"),
        least=0,
        most=_DAY_S,
    )

    # towards providers
    proxy_url: str = setting(
        "proxy for all providers: http, https, socks5 or socks5h URL",
        "",
        secret=True,
        kind="proxy",
    )
    fetch_private_addresses: bool = setting(
        "fetch pictures and files for providers that want bytes from private addresses as well",
        False,
    )
    use_environment_proxy: bool = setting(
        "take HTTP_PROXY, HTTPS_PROXY and NO_PROXY where no proxy is configured", False
    )
    force_model_prefix: bool = setting(
        "serve models of prefixed credentials under their prefix alone", False
    )
    model_list_interval: float = setting(
        "seconds between two looks at the model lists of providers without `models`; 0 = never",
        3600.0,
        least=0,
        most=31 * _DAY_S,
    )
    demo: bool | None = setting(
        "serve the built-in demo models; absent = as long as there is no credential", None
    )
    openai_api_key: tuple[OpenAICredential, ...] = setting(
        "OpenAI keys", (), distinct=(*_SAME_KEY, "wire_api")
    )
    openai_compatibility: tuple[Compatible, ...] = setting(
        "providers that speak OpenAI's protocols", ()
    )
    claude_api_key: tuple[Credential, ...] = setting("Anthropic keys", (), distinct=_SAME_KEY)
    gemini_api_key: tuple[Credential, ...] = setting(
        "Gemini AI Studio keys",
        (),
        aliases=("generative-language-api-key",),
        distinct=_SAME_KEY,
    )
    codex_api_key: tuple[Credential, ...] = setting(
        "keys of endpoints that speak Responses alone; each needs its `base-url`",
        (),
        needs=("base_url",),
        distinct=_SAME_KEY,
    )
