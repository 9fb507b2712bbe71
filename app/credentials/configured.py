"""The credentials that the operator's configuration names."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from app.config import schema
from app.config.schema import Config
from app.credentials.credential import Credential, credential_id, label_of
from app.providers import PROVIDERS
from app.providers.base import Provider
from app.providers.demo import Demo

_log = logging.getLogger(__name__)

_KEYLESS = (schema.KeyEntry(),)


def from_config(config: Config) -> tuple[Credential, ...]:
    """Make a credential of each configured key, in the order of the file.

    Disabled ones are left out, and so are those that have no address. The demo provider joins
    when it is asked for, or when nothing else is configured.

    Returns:
        Credentials with unique ids; a second one of the same kind, key and base URL gets ``-1``.

    Source: ids as the earlier gateways made them, so that kept statistics go on.
    """
    credentials = _numbered(_all(config))
    if config.demo or (config.demo is None and not credentials):
        credentials.append(_demo())
    return tuple(credentials)


def _all(config: Config) -> Iterator[Credential]:
    for provider_name, keys in (
        ("openai", config.openai_api_key),
        ("claude", config.claude_api_key),
        ("gemini", config.gemini_api_key),
        ("codex", config.codex_api_key),
    ):
        for key in _enabled(keys):
            yield from _of_key(PROVIDERS[provider_name], key)
    for block in config.openai_compatibility:
        if not block.disabled:
            yield from _of_block(block)


def _enabled(keys: Sequence[schema.Credential]) -> Iterator[schema.Credential]:
    for index, key in enumerate(keys):
        if not key.disabled and key.api_key and key not in keys[:index]:
            yield key


def _of_key(provider: Provider, key: schema.Credential) -> Iterator[Credential]:
    kind = f"{provider.name}:apikey"
    label = label_of(key.name, key.api_key)
    base_url = key.base_url or provider.default_base_url
    if not base_url:
        _log.warning("a key without a base-url is left out kind=%s label=%s", kind, label)
        return
    yield Credential(
        id=credential_id(kind, key.api_key, key.base_url),
        provider=provider,
        provider_name=provider.name,
        secret=key.api_key,
        base_url=base_url,
        label=label,
        wire_api=key.wire_api if isinstance(key, schema.OpenAICredential) else "",
        prefix=_prefix(key.prefix),
        proxy_url=key.proxy_url,
        headers=_headers(key.headers),
        models=_models(key.models, label),
        excluded_models=key.excluded_models,
        priority=key.priority,
    )


def _of_block(block: schema.Compatible) -> Iterator[Credential]:
    name = block.name.strip().lower()
    if not block.base_url:
        _log.warning("a provider without a base-url is left out name=%s", name)
        return
    kind = f"{name}:apikey"
    for entry in block.api_key_entries or _KEYLESS:
        yield Credential(
            id=credential_id(kind, entry.api_key, block.base_url),
            provider=PROVIDERS["openai-compatibility"],
            provider_name=name,
            secret=entry.api_key,
            base_url=block.base_url,
            label=label_of("", entry.api_key),
            wire_api=block.wire_api,
            prefix=_prefix(block.prefix),
            proxy_url=entry.proxy_url,
            headers=_headers(block.headers),
            models=_models(block.models, name),
            excluded_models=block.excluded_models,
            priority=block.priority,
            include_usage=block.include_usage,
        )


def _numbered(credentials: Iterable[Credential]) -> list[Credential]:
    seen: Counter[str] = Counter()
    numbered = []
    for credential in credentials:
        count = seen[credential.id]
        seen[credential.id] += 1
        numbered.append(replace(credential, id=f"{credential.id}-{count}") if count else credential)
    return numbered


def _demo() -> Credential:
    provider = Demo()
    names = [name for name in provider.default_models if "*" not in name]
    return Credential(
        id="demo",
        provider=provider,
        provider_name=provider.name,
        secret="",
        base_url=provider.default_base_url,
        label="built in",
        models=MappingProxyType({name: name for name in names}),
        # Real credentials come first where a name is served by both.
        priority=-1_000_001,
    )


def _prefix(text: str) -> str:
    """A namespace without its slashes; one that still has some inside is no namespace."""
    prefix = text.strip().strip("/")
    return "" if "/" in prefix else prefix


def _headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType({name.strip().lower(): value for name, value in headers.items()})


def _models(models: Sequence[schema.Model], owner: str) -> Mapping[str, str]:
    """The client's name → the upstream's; an alias hides the name behind it."""
    names: dict[str, str] = {}
    for model in models:
        name = model.alias or model.name
        if names.setdefault(name, model.name) != model.name:
            _log.warning(
                "a model alias is used twice, the first counts owner=%s alias=%s", owner, name
            )
    return MappingProxyType(names)
