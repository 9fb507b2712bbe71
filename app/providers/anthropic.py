"""Anthropic's own API, and services that copy it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlsplit

from typing_extensions import override

from app.errors import Blame, Untranslatable, UpstreamError
from app.protocols.base import ModelInfo, Operation
from app.providers.base import Provider, Signer
from app.providers.lists import count, document_of, entries_of, infos, text, unix_s
from app.providers.openai import bearer
from app.providers.paths import versioned
from app.providers.verdicts import judge, read_failure

_HOST = "api.anthropic.com"
_PATHS = MappingProxyType(
    {Operation.GENERATE: "/messages", Operation.COUNT_TOKENS: "/messages/count_tokens"}
)
# An account without money or over the spend limit that its owner set answers 400.
_NO_MONEY = re.compile(
    r"credit balance is too low|reached your specified (?:\w+ ){0,2}usage limits"
    r"|\bspend(?:ing)? limit\b",
    re.IGNORECASE,
)
# 429 for what the request asks (its speed, its length), whatever the key has left.
_EXTRA_PAID = re.compile(
    r"usage credits are required for fast mode|extra usage is required for", re.IGNORECASE
)


class Anthropic(Provider):
    """Anthropic's own API."""

    name = "claude"
    owned_by = "anthropic"
    default_base_url = f"https://{_HOST}"
    default_models = ("claude-*",)
    # Required; this one is what clients mean that do not say.
    default_headers = MappingProxyType({"anthropic-version": "2023-06-01"})

    @override
    def protocols(self, signer: Signer) -> tuple[str, ...]:
        return ("anthropic_messages",)

    @override
    def url(
        self, signer: Signer, protocol: str, operation: Operation, model: str, stream: bool
    ) -> str:
        path = _PATHS.get(operation)
        if path is None or protocol != "anthropic_messages":
            raise Untranslatable(
                f"the provider of this model has no {operation.value} over {protocol}", status=501
            )
        return self._root(signer) + path

    @override
    def headers(self, signer: Signer) -> dict[str, str]:
        if urlsplit(signer.base_url or self.default_base_url).hostname != _HOST:
            return bearer(signer)
        return {"x-api-key": signer.secret} if signer.secret else {}

    @override
    def list_url(self, signer: Signer) -> str:
        return f"{self._root(signer)}/models?limit=1000"

    @override
    def next_list_url(self, url: str, body: bytes) -> str:
        document = document_of(body)
        if not isinstance(document, dict) or document.get("has_more") is not True:
            return ""
        last = text(document.get("last_id"))
        return f"{url.partition('?')[0]}?limit=1000&after_id={quote(last, safe='')}" if last else ""

    @override
    def read_models(self, body: bytes) -> list[ModelInfo]:
        return infos(entries_of(body, "data"), self._model)

    @override
    def verdict(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        failure = read_failure(status, headers, body)
        if status in {400, 403, 429} and _NO_MONEY.search(failure.error.message):
            return failure.exhausted(Blame.CREDENTIAL)
        if status == 429 and _EXTRA_PAID.search(failure.error.message):
            return failure.rejected()
        return judge(failure)

    def _root(self, signer: Signer) -> str:
        return versioned(signer.base_url or self.default_base_url, "v1")

    def _model(self, row: dict[str, Any]) -> ModelInfo | None:
        name = text(row.get("id"))
        if not name:
            return None
        return ModelInfo(
            id=name,
            owned_by=self.owned_by,
            created_s=unix_s(row.get("created_at")),
            display_name=text(row.get("display_name")),
            input_limit=count(row.get("max_input_tokens")),
            output_limit=count(row.get("max_tokens")),
        )
