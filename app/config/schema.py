"""Every setting an operator can write, its default beside it.

One frozen dataclass for each section. A field ``request_retry`` is written ``request-retry`` in
YAML; the snake-case spelling is read as well. ``setting(doc, …)`` carries the sentence that the
documentation and the panel show, and the older spellings that are still read.
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


def setting(
    doc: str, default: Any = dataclasses.MISSING, *, aliases: tuple[str, ...] = (), secret: bool = False
) -> Any:
    """Declare one setting.

    Args:
        doc: one sentence for the operator, with the unit where there is one.
        default: what holds when the key is absent; a field without one is required.
        aliases: older spellings, as written in YAML.
        secret: masked wherever the configuration is shown.
    """
    metadata = {"doc": doc, "aliases": aliases, "secret": secret}
    if default is dataclasses.MISSING:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Tls:
    """HTTPS towards clients."""

    enable: bool = setting("serve HTTPS; needs `cert` and `key`", False)
    cert: str = setting("path of the PEM certificate chain", "")
    key: str = setting("path of the PEM private key", "")


@dataclass(frozen=True, slots=True)
class Streaming:
    """How streamed answers are kept alive."""

    keepalive_seconds: float = setting(
        "seconds of silence after which a heartbeat is sent to a waiting streaming client; 0 = never",
        15.0,
    )
    bootstrap_retries: int = setting(
        "how often a whole call may be started again before the first byte went to the client", 0
    )


@dataclass(frozen=True, slots=True)
class RemoteManagement:
    """Who may use the management API."""

    allow_remote: bool = setting("let callers that are not on this machine in", False)
    secret_key: str = setting(
        "the management key, as a bcrypt hash or in clear; empty = no management API",
        "",
        secret=True,
    )
    disable_control_panel: bool = setting("do not serve the control panel", False)


@dataclass(frozen=True, slots=True)
class Model:
    """One model of a credential: what the upstream calls it, what clients call it."""

    name: str = setting("the upstream's name of the model", aliases=("id",))
    alias: str = setting("the name clients use; empty = the same", "")


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """One API key of an OpenAI-compatible provider."""

    api_key: str = setting("the key; `env://NAME` and `file:///path` are read", "", secret=True)
    proxy_url: str | None = setting(
        "proxy for this key; `direct` = none; absent = the global one", None
    )


@dataclass(frozen=True, slots=True)
class Credential:
    """One API key of a provider."""

    api_key: str = setting("the key; `env://NAME` and `file:///path` are read", secret=True)
    name: str = setting("a name to show instead of the masked key", "")
    base_url: str = setting("root of the provider's API; empty = its public one", "")
    prefix: str = setting("namespace: models are also served as `prefix/model`", "")
    proxy_url: str | None = setting(
        "proxy for this key; `direct` = none; absent = the global one", None
    )
    headers: Mapping[str, str] = setting("extra headers for each call", NO_HEADERS)
    models: tuple[Model, ...] = setting("the models this key serves; empty = all it lists", ())
    excluded_models: tuple[str, ...] = setting(
        "models not to serve, `*` as wildcard, upper and lower case alike", ()
    )
    priority: int = setting("higher is asked first", 0)
    disabled: bool = setting("leave this key out", False)


@dataclass(frozen=True, slots=True)
class OpenAICredential(Credential):
    """One OpenAI API key."""

    wire_api: str = setting(
        "`chat` or `responses` to allow just one of the two protocols; empty = both", ""
    )


@dataclass(frozen=True, slots=True)
class Compatible:
    """A provider that speaks OpenAI's protocols."""

    name: str = setting("the provider's name, shown as `owned_by`")
    base_url: str = setting("root of its API, up to and with the version segment")
    prefix: str = setting("namespace: models are also served as `prefix/model`", "")
    headers: Mapping[str, str] = setting("extra headers for each call", NO_HEADERS)
    api_key_entries: tuple[KeyEntry, ...] = setting("its keys; empty = one call without a key", ())
    models: tuple[Model, ...] = setting("the models it serves; empty = all it lists", ())
    excluded_models: tuple[str, ...] = setting("models not to serve, `*` as wildcard", ())
    wire_api: str = setting("`chat` or `responses`: the protocol it speaks", "chat")
    include_usage: bool = setting(
        "ask for usage in Chat streams; off for hosts that refuse `stream_options`", True
    )
    priority: int = setting("higher is asked first", 0)
    disabled: bool = setting("leave this provider out", False)


@dataclass(frozen=True, slots=True)
class Config:
    """One state of the operator's file. It never changes; a reload makes another."""

    # serving
    host: str = setting("address to listen on; empty = all interfaces", "")
    port: int = setting("port to listen on", 8317)
    workers: int = setting("worker processes; 0 = one for each core (at start only)", 0)
    worker_connections: int = setting("open client connections a worker accepts (at start only)", 10_000)
    tls: Tls = setting("HTTPS towards clients (at start only)", Tls())
    trusted_proxies: tuple[str, ...] = setting(
        "addresses or networks whose `X-Forwarded-*` headers are believed", ()
    )
    debug: bool = setting("log more", False)

    # where things are kept
    data_dir: str = setting("directory of the database, the key file and the spool", "~/.aiproxyapi")
    database_url: str = setting(
        "SQLAlchemy URL; empty = SQLite in the data directory", "", secret=True
    )
    auth_dir: str = setting("directory of credential files", "~/.cli-proxy-api")

    # who may call
    api_keys: tuple[str, ...] = setting(
        "keys of our clients, in clear or as bcrypt hashes; none = everybody may call",
        (),
        aliases=("api-key",),
        secret=True,
    )
    remote_management: RemoteManagement = setting("the management API", RemoteManagement())

    # limits of size and time
    body_limit_mb: int = setting("largest request body, inflated, in MiB", 64)
    connect_timeout: float = setting("seconds to open a connection to a provider", 10.0)
    first_byte_timeout: float = setting(
        "seconds a provider may take before the first byte of its answer",
        600.0,
        aliases=("upstream-request-timeout",),
    )
    idle_timeout: float = setting("seconds between two pieces of an answer", 300.0)
    total_timeout: float = setting(
        "seconds for a whole call; 0 = no limit", 0.0, aliases=("request-timeout",)
    )
    client_timeout: float = setting("seconds a client may take to send or read a piece", 120.0)
    shutdown_timeout: float = setting("seconds open answers have to finish when stopping", 30.0)

    # streaming
    streaming: Streaming = setting("how streamed answers are kept alive", Streaming())
    nonstream_keepalive_interval: float = setting(
        "seconds of silence after which a blank line is sent to a waiting client that does not "
        "stream; 0 = never, so that a late failure keeps its status",
        0.0,
        aliases=("non-stream-keepalive-secs", "nonstream-keepalive"),
    )

    # towards providers
    proxy_url: str = setting("proxy for all providers: http, https, socks5 or socks5h URL", "")
    use_environment_proxy: bool = setting(
        "take HTTP_PROXY, HTTPS_PROXY and NO_PROXY where no proxy is configured", False
    )
    force_model_prefix: bool = setting(
        "serve models of prefixed credentials under their prefix alone", False
    )
    model_list_interval: float = setting(
        "seconds between two looks at the model lists of providers without `models`; 0 = never",
        3600.0,
    )
    demo: bool | None = setting(
        "serve the built-in demo models; absent = as long as there is no credential", None
    )
    openai_api_key: tuple[OpenAICredential, ...] = setting("OpenAI keys", ())
    openai_compatibility: tuple[Compatible, ...] = setting("providers that speak OpenAI's protocols", ())
    claude_api_key: tuple[Credential, ...] = setting("Anthropic keys", ())
    gemini_api_key: tuple[Credential, ...] = setting("Gemini AI Studio keys", ())
    codex_api_key: tuple[Credential, ...] = setting("keys of endpoints that speak Responses alone", ())
