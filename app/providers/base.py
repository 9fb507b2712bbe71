"""What a provider must tell: where to call, how to sign, and what its failures mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Protocol

from app.errors import (
    CredentialRefused,
    ErrorReply,
    Overloaded,
    QuotaExhausted,
    Rejected,
    TimedOut,
    UpstreamError,
)
from app.protocols.base import ModelInfo, Operation
from app.providers.hints import message_of, retry_after_s


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

    @abstractmethod
    def protocols(self, signer: Signer) -> tuple[str, ...]:
        """Names of the protocols spoken, the preferred one first."""

    @abstractmethod
    def url(self, signer: Signer, protocol: str, operation: Operation, model: str, stream: bool) -> str:
        """Where to send a call, without the client's query.

        For operations on a stored response ``model`` is that response's id.

        Raises:
            Untranslatable: the provider has no such operation.
        """

    @abstractmethod
    def headers(self, signer: Signer) -> dict[str, str]:
        """The headers that sign a call."""

    @abstractmethod
    def list_url(self, signer: Signer) -> str:
        """Where the live model list is; empty when there is none."""

    @abstractmethod
    def read_models(self, body: bytes) -> list[ModelInfo]:
        """The entries of a live model list.

        Raises:
            Garbled: it is not a model list.
        """

    def verdict(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """Say what an error answer means and who is to blame. ``headers`` are in lower case."""
        return verdict(status, headers, body)


def verdict(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    """The meaning of an HTTP error where a provider has no words of its own.

    Source: the signals common to the providers; RFC 9110, 15.5 and 15.6.
    """
    message = message_of(body) or f"the provider answered with status {status}"
    wait = retry_after_s(headers, body)
    reply = ErrorReply(status, tuple(headers.items()), body)
    match status:
        case 401 | 402 | 403:
            return CredentialRefused(message, retry_after_s=wait, reply=reply)
        case 429:
            return QuotaExhausted(message, retry_after_s=wait, reply=reply)
        case 408 | 504:
            return TimedOut(message, retry_after_s=wait, reply=reply)
        case _ if status >= 500:
            return Overloaded(message, status=status, retry_after_s=wait, reply=reply)
        case _:
            return Rejected(message, status=status, retry_after_s=wait, reply=reply)
