"""How it is said: one codec for each protocol."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from app.protocols.anthropic_messages import AnthropicMessages
from app.protocols.base import Codec
from app.protocols.gemini_generate import GeminiGenerate
from app.protocols.openai_chat import OpenAIChat
from app.protocols.openai_responses import OpenAIResponses

CODECS: Mapping[str, Codec] = MappingProxyType(
    {
        codec.name: codec
        for codec in (OpenAIChat(), OpenAIResponses(), AnthropicMessages(), GeminiGenerate())
    }
)
"""All codecs by name; they hold no state."""
