"""OpenAI's own API, and what every service with its paths shares."""

from __future__ import annotations

from types import MappingProxyType
from typing import ClassVar

from typing_extensions import override

from app.errors import Untranslatable
from app.protocols.base import ModelInfo, Operation
from app.providers.base import Provider, Signer
from app.providers.lists import read_openai_models
from app.providers.paths import object_segment, versioned

CHAT = "openai_chat"
RESPONSES = "openai_responses"

_PATHS = MappingProxyType(
    {
        (CHAT, Operation.GENERATE): "/chat/completions",
        (CHAT, Operation.COMPLETE): "/completions",
        (CHAT, Operation.EMBED): "/embeddings",
        (RESPONSES, Operation.GENERATE): "/responses",
        (RESPONSES, Operation.COMPACT): "/responses/compact",
        (RESPONSES, Operation.COUNT_TOKENS): "/responses/input_tokens",
    }
)
_STORED = MappingProxyType(
    {
        Operation.GET_RESPONSE: "",
        Operation.DELETE_RESPONSE: "",
        Operation.CANCEL_RESPONSE: "/cancel",
        Operation.LIST_INPUT_ITEMS: "/input_items",
    }
)


def path_of(protocol: str, operation: Operation, model: str) -> str:
    """The path of a call below a base URL that ends in a version segment.

    Raises:
        Untranslatable: OpenAI's protocols have no such call.
        NotFound: ``model`` cannot be the id of a stored response.

    Source: OpenAI API reference, read 2026-11-21.
    """
    if protocol == RESPONSES and operation in _STORED:
        return f"/responses/{object_segment(model)}{_STORED[operation]}"
    path = _PATHS.get((protocol, operation))
    if path is None:
        raise Untranslatable(
            f"the provider of this model has no {operation.value} over {protocol}", status=501
        )
    return path


def bearer(signer: Signer) -> dict[str, str]:
    """The usual signature; none where there is no key."""
    return {"authorization": f"Bearer {signer.secret}"} if signer.secret else {}


class OpenAI(Provider):
    """OpenAI's own API, or a mirror of it."""

    name = "openai"
    owned_by = "openai"
    default_base_url = "https://api.openai.com/v1"
    default_models: ClassVar[tuple[str, ...]] = (
        "gpt-*",
        "chatgpt-*",
        "codex-*",
        "computer-use-*",
        "o1*",
        "o3*",
        "o4*",
        "ft:*",
        "text-embedding-*",
        "davinci-002",
        "babbage-002",
    )

    @override
    def protocols(self, signer: Signer) -> tuple[str, ...]:
        match signer.wire_api:
            case "chat":
                return (CHAT,)
            case "responses":
                return (RESPONSES,)
            case _:
                return (CHAT, RESPONSES)

    @override
    def url(
        self, signer: Signer, protocol: str, operation: Operation, model: str, stream: bool
    ) -> str:
        return self.root(signer) + path_of(protocol, operation, model)

    @override
    def headers(self, signer: Signer) -> dict[str, str]:
        return bearer(signer)

    @override
    def list_url(self, signer: Signer) -> str:
        return self.root(signer) + "/models"

    @override
    def read_models(self, body: bytes) -> list[ModelInfo]:
        return read_openai_models(body, self.owned_by)

    def root(self, signer: Signer) -> str:
        """The base URL with its version; ``/v1`` where the operator wrote none."""
        return versioned(signer.base_url or self.default_base_url, "v1")
