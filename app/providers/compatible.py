"""Services that speak OpenAI's protocols under an address of their own."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from app.providers.base import Signer
from app.providers.openai import CHAT, RESPONSES, OpenAI


class Compatible(OpenAI):
    """One ``openai-compatibility`` block of the configuration.

    The base URL is taken as it is: hosts keep their version in odd places, or have none.
    """

    name = "openai-compatibility"
    owned_by = ""  # the block's own name is shown
    default_base_url = ""
    default_models: ClassVar[tuple[str, ...]] = ()

    @override
    def protocols(self, signer: Signer) -> tuple[str, ...]:
        return (RESPONSES,) if signer.wire_api == "responses" else (CHAT,)

    @override
    def root(self, signer: Signer) -> str:
        return signer.base_url.rstrip("/")


class Codex(Compatible):
    """An endpoint that speaks Responses alone, called with a key (``codex-api-key``)."""

    name = "codex"
    owned_by = "openai"
    default_models: ClassVar[tuple[str, ...]] = ("gpt-*", "codex-*", "o3*", "o4*")

    @override
    def protocols(self, signer: Signer) -> tuple[str, ...]:
        return (RESPONSES,)
