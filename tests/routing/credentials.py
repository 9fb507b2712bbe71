"""Credentials and lists for the tests of routing."""

from __future__ import annotations

from collections.abc import Mapping

from app.credentials.credential import Credential
from app.protocols.base import ModelInfo
from app.providers import PROVIDERS


def credential(
    credential_id: str = "c1",
    provider: str = "openai",
    *,
    models: Mapping[str, str] | None = None,
    prefix: str = "",
    excluded: tuple[str, ...] = (),
    priority: int = 0,
    wire_api: str = "",
    headers: Mapping[str, str] | None = None,
    proxy_url: str | None = None,
    provider_name: str = "",
) -> Credential:
    return Credential(
        id=credential_id,
        provider=PROVIDERS[provider],
        provider_name=provider_name or provider,
        secret=f"secret-of-{credential_id}",
        base_url="https://provider.example.net/v1",
        label="label",
        models=models or {},
        prefix=prefix,
        excluded_models=excluded,
        priority=priority,
        wire_api=wire_api,
        headers=headers or {},
        proxy_url=proxy_url,
    )


class Told:
    """Lists as a test wants them."""

    def __init__(self, **lists: tuple[str, ...]) -> None:
        self.version = 0
        self._lists: dict[str, tuple[ModelInfo, ...]] = {}
        self.tell(**lists)

    def tell(self, **lists: tuple[str, ...]) -> None:
        for name, models in lists.items():
            self._lists[name] = tuple(ModelInfo(model, "someone", 7) for model in models)
        self.version += 1

    def get(self, credential_id: str) -> tuple[ModelInfo, ...] | None:
        return self._lists.get(credential_id)
