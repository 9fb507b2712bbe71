"""A credential: one API key we call a provider with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from app.providers.base import Provider
from app.redact import mask


@dataclass(frozen=True, slots=True)
class Credential:
    """One API key, or none where a provider asks for none.

    Attributes:
        id: ``<kind>:<12 hex>``, the same for the same kind, key and base URL.
        models: the client's name → the upstream's; empty when the provider's list decides.
        proxy_url: None = the global proxy, ``direct`` = none.
    """

    id: str
    provider: Provider
    provider_name: str
    secret: str = field(repr=False)
    base_url: str
    label: str
    wire_api: str = ""
    prefix: str = ""
    proxy_url: str | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    models: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    excluded_models: tuple[str, ...] = ()
    priority: int = 0
    include_usage: bool = True


def credential_id(kind: str, secret: str, base_url: str) -> str:
    """The stable id of a key: its kind and the start of a digest over kind, key and base URL."""
    digest = hashlib.sha256("\0".join((kind, secret, base_url)).encode()).hexdigest()
    return f"{kind}:{digest[:12]}"


def label_of(name: str, secret: str) -> str:
    """What to show instead of the key."""
    return name or mask(secret) or "no key"
