"""What a provider must tell: where to call, how to sign, and what its failures mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Protocol

from app.errors import UpstreamError
from app.protocols.base import ModelInfo, Operation
from app.providers.verdicts import verdict


class Signer(Protocol):
    """What a provider needs to know of a credential."""

    @property
    def secret(self) -> str: ...
    @property
    def base_url(self) -> str: ...
    @property
    def wire_api(self) -> str: ...


class Provider(ABC):
    """A service: how to reach it and how to read its failures."""

    name: ClassVar[str]
    owned_by: ClassVar[str]
    default_base_url: ClassVar[str]
    default_models: ClassVar[tuple[str, ...]] = ()
    """Globs of the model names to expect while no list is configured or fetched."""

    default_headers: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Headers, in lower case, that go with a call whose client sent none of that name."""

    @abstractmethod
    def protocols(self, signer: Signer) -> tuple[str, ...]:
        """Names of the protocols spoken, the preferred one first."""

    @abstractmethod
    def url(
        self, signer: Signer, protocol: str, operation: Operation, model: str, stream: bool
    ) -> str:
        """Where to send a call, without the client's query.

        For operations on a stored response ``model`` is that response's id.

        Raises:
            Untranslatable: the provider has no such operation.
        """

    @abstractmethod
    def headers(self, signer: Signer) -> dict[str, str]:
        """The headers that sign a call, names in lower case."""

    @abstractmethod
    def list_url(self, signer: Signer) -> str:
        """Where the live model list is; empty when there is none."""

    @abstractmethod
    def read_models(self, body: bytes) -> list[ModelInfo]:
        """The entries of a live model list.

        Raises:
            Garbled: it is not a model list.
        """

    def next_list_url(self, url: str, body: bytes) -> str:
        """Where the page of the live model list after this one is; empty after the last."""
        return ""

    def verdict(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """Say what an error answer means and who is to blame. ``headers`` are in lower case."""
        return verdict(status, headers, body)
