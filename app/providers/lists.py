"""Reads the model lists of providers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson

from app.errors import Garbled
from app.protocols.base import ModelInfo

MAX_MODELS = 10_000
"""Entries of one list page that are read; the largest known list has under a thousand."""


def entries_of(body: bytes, *names: str) -> list[dict[str, Any]]:
    """The objects in the first of the named members; a bare array is taken as it is.

    Raises:
        Garbled: it is not a list of objects.
    """
    document = document_of(body)
    rows: object = document
    if isinstance(document, dict):
        rows = next((document[name] for name in names if name in document), None)
    if not isinstance(rows, list):
        raise Garbled("the provider's model list cannot be read")
    return [row for row in rows[:MAX_MODELS] if isinstance(row, dict)]


def document_of(body: bytes) -> object:
    """The JSON of a list page.

    Raises:
        Garbled: it is no JSON.
    """
    try:
        document: object = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Garbled("the provider's model list is not JSON") from error
    return document


def read_openai_models(body: bytes, owned_by: str) -> list[ModelInfo]:
    """OpenAI's list, also as Groq, OpenRouter, vLLM and Together word it.

    Source: OpenAI API reference, "List models"; the limits are names seen at those hosts.
    """
    return infos(entries_of(body, "data", "models"), lambda row: _openai_model(row, owned_by))


def infos(
    rows: list[dict[str, Any]], read: Callable[[dict[str, Any]], ModelInfo | None]
) -> list[ModelInfo]:
    """The entries that could be read, each id once."""
    found: dict[str, ModelInfo] = {}
    for row in rows:
        if (info := read(row)) is not None:
            found.setdefault(info.id, info)
    return list(found.values())


def text(value: object) -> str:
    """A text, or nothing."""
    return value if isinstance(value, str) else ""


def count(*values: object) -> int:
    """The first that is a positive whole number, else 0."""
    return next((v for v in values if isinstance(v, int) and not isinstance(v, bool) and v > 0), 0)


def unix_s(value: object) -> int:
    """Unix seconds of an RFC 3339 text or of a number; 0 when it is neither."""
    if isinstance(value, str):
        try:
            return max(0, int(datetime.fromisoformat(value).timestamp()))
        except (ValueError, OverflowError):
            return 0
    return count(value)


def _openai_model(row: dict[str, Any], owned_by: str) -> ModelInfo | None:
    name = text(row.get("id"))
    if not name:
        return None
    top = row.get("top_provider")
    top = top if isinstance(top, dict) else {}
    return ModelInfo(
        id=name,
        owned_by=owned_by or text(row.get("owned_by")),
        created_s=unix_s(row.get("created")),
        display_name=text(row.get("display_name")) or text(row.get("name")),
        input_limit=count(
            row.get("context_length"), row.get("context_window"), row.get("max_model_len")
        ),
        output_limit=count(row.get("max_completion_tokens"), top.get("max_completion_tokens")),
    )
