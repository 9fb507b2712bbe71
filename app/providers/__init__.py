"""Who is asked: one class for each kind of service.

``PROVIDERS`` holds one of each by name. They keep no state: what differs between two accounts
is in the credential they are given.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from app.providers.anthropic import Anthropic
from app.providers.base import Provider
from app.providers.compatible import Codex, Compatible
from app.providers.gemini import Gemini
from app.providers.openai import OpenAI

PROVIDERS: Mapping[str, Provider] = MappingProxyType(
    {
        provider.name: provider
        for provider in (OpenAI(), Compatible(), Codex(), Anthropic(), Gemini())
    }
)
