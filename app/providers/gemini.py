"""Google's Gemini API (AI Studio), called with a key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from typing_extensions import override

from app.errors import Blame, Untranslatable, UpstreamError
from app.protocols.base import ModelInfo, Operation
from app.providers.base import Provider, Signer
from app.providers.lists import count, document_of, entries_of, infos, text
from app.providers.paths import model_path, versioned
from app.providers.verdicts import Failure, judge, read_failure

_METHODS = MappingProxyType(
    {
        Operation.GENERATE: "generateContent",
        Operation.COUNT_TOKENS: "countTokens",
        Operation.EMBED: "embedContent",
        Operation.BATCH_EMBED: "batchEmbedContents",
    }
)
_COLLECTIONS = frozenset({"models", "tunedModels", "publishers", "projects"})
"""First words of full resource names; any other name is one of ``models/``."""

_BAD_KEY = frozenset({"API_KEY_INVALID", "API_KEY_SERVICE_BLOCKED", "API_KEY_EXPIRED"})
_BAD_KEY_TEXT = re.compile(r"\bAPI key (?:not valid|not found|expired)", re.IGNORECASE)
_FOREIGN_OBJECT = re.compile(
    r"permission to access the (?:file|tuned ?model|cached ?content)|CachedContent not found",
    re.IGNORECASE,
)
_NO_QUOTA = re.compile(r"\blimit: 0\b")

PER_MINUTE_S = 60.0
PER_DAY_S = 3600.0
"""The least rest when the day's quota is gone: Google's own hint is for the minute's. A guess."""


class Gemini(Provider):
    """Google AI Studio."""

    name = "gemini"
    owned_by = "google"
    default_base_url = "https://generativelanguage.googleapis.com"
    default_models = ("gemini-*", "gemma-*", "learnlm-*", "gemini-embedding-*", "text-embedding-0*")

    @override
    def protocols(self, signer: Signer) -> tuple[str, ...]:
        return ("gemini_generate",)

    @override
    def url(
        self, signer: Signer, protocol: str, operation: Operation, model: str, stream: bool
    ) -> str:
        method = _METHODS.get(operation)
        if method is None or protocol != "gemini_generate":
            raise Untranslatable(
                f"the provider of this model has no {operation.value} over {protocol}", status=501
            )
        resource = model if model.partition("/")[0] in _COLLECTIONS else f"models/{model}"
        if stream and operation is Operation.GENERATE:
            method = "streamGenerateContent?alt=sse"
        return f"{self._root(signer)}/{model_path(resource)}:{method}"

    @override
    def headers(self, signer: Signer) -> dict[str, str]:
        return {"x-goog-api-key": signer.secret} if signer.secret else {}

    @override
    def list_url(self, signer: Signer) -> str:
        return f"{self._root(signer)}/models?pageSize=1000"

    @override
    def next_list_url(self, url: str, body: bytes) -> str:
        document = document_of(body)
        token = text(document.get("nextPageToken")) if isinstance(document, dict) else ""
        page = f"{url.partition('?')[0]}?pageSize=1000&pageToken={quote(token, safe='')}"
        return page if token else ""

    @override
    def read_models(self, body: bytes) -> list[ModelInfo]:
        return infos(entries_of(body, "models"), self._model)

    @override
    def verdict(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        failure = read_failure(status, headers, body)
        return self._own_words(failure) or judge(failure)

    def _own_words(self, failure: Failure) -> UpstreamError | None:
        """What Google says in details that no other provider has.

        Source: ai.google.dev, "Troubleshooting"; google.rpc.ErrorInfo and QuotaFailure.
        """
        error = failure.error
        if failure.status == 400 and (
            error.reasons & _BAD_KEY or _BAD_KEY_TEXT.search(error.message)
        ):
            return failure.refused()
        if failure.status == 400 and error.status == "FAILED_PRECONDITION":
            return failure.refused()  # not offered where this account or its proxy is
        if failure.status == 403 and _FOREIGN_OBJECT.search(error.message):
            return failure.rejected()  # the prompt names an object of another account
        if error.reasons & {"MODEL_CAPACITY_EXHAUSTED", "MODEL_CAPACITY_EXCEEDED"}:
            return failure.overloaded(Blame.MODEL)
        if failure.status == 429 and error.status == "RESOURCE_EXHAUSTED":
            return failure.exhausted(Blame.MODEL, _least_rest_s(failure))
        return None

    def _root(self, signer: Signer) -> str:
        return versioned(signer.base_url or self.default_base_url, "v1beta")

    def _model(self, row: dict[str, Any]) -> ModelInfo | None:
        methods = row.get("supportedGenerationMethods")
        if isinstance(methods, list) and not set(_METHODS.values()).intersection(
            method for method in methods if isinstance(method, str)
        ):
            return None  # images, video and the like, with calls of their own
        name = text(row.get("name")).removeprefix("models/")
        if not name:
            return None
        return ModelInfo(
            id=name,
            owned_by=self.owned_by,
            display_name=text(row.get("displayName")),
            input_limit=count(row.get("inputTokenLimit")),
            output_limit=count(row.get("outputTokenLimit")),
        )


def _least_rest_s(failure: Failure) -> float | None:
    quotas = " ".join(failure.error.quota_ids)
    is_daily = "PerDay" in quotas or "Daily" in quotas
    if is_daily or _NO_QUOTA.search(failure.error.message):
        return PER_DAY_S
    if failure.wait_s is None and "PerMinute" in quotas:
        return PER_MINUTE_S
    return None
