"""A request in the words of a Chat upstream.

The body is built from a list of known members, never copied: a member that the upstream does not
know is refused by it. Hosts that are compatible with the protocol get what all of them know.

Source: OpenAI Python SDK 3.52, ``types/chat/completion_create_params.py``, read 2026-11-21.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from app.errors import Untranslatable
from app.ir.extras import refuse_foreign
from app.ir.reasoning import is_said, level_for
from app.ir.request import Loss, OutputFormat, OutputKind, Request
from app.ir.traits import UNKNOWN, ThinkingStyle
from app.protocols import schema
from app.protocols.base import Encoded, Target
from app.protocols.names import ToolNames, name_tools
from app.protocols.openai_chat.messages_in import NAME
from app.protocols.openai_chat.messages_out import Message, Messages
from app.protocols.openai_chat.tools_out import Tools
from app.protocols.openai_shapes import dump

_STOPS = 4
_NAME = 64  # letters of a tool's and a schema's name, and of a user's or a cache's key
_COMMON_EXTRAS = frozenset({"logit_bias"})
_OFFICIAL_EXTRAS = _COMMON_EXTRAS | {
    "audio",
    "moderation",
    "prediction",
    "prompt_cache_options",
    "prompt_cache_retention",
    "store",
}
_TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})
_OTHER_TIERS: Mapping[str, str] = {"standard": "default", "standard_only": "default"}
_JSON_WORD = re.compile("json", re.IGNORECASE)


def encode_request(request: Request, target: Target) -> Encoded:
    """Write a request; see ``Codec.encode_request``."""
    names = name_tools(request, limit=_NAME, allowed="a-zA-Z0-9_-")
    return _Writer(request, target, names).encoded()


class _Writer:
    def __init__(self, request: Request, target: Target, names: ToolNames) -> None:
        self._request = request
        self._target = target
        self._names = names
        self._official = target.is_official
        self._body: dict[str, Any] = {"model": target.model}
        self._losses: dict[str, Loss] = {}

    def encoded(self) -> Encoded:
        """The whole request."""
        request = self._request
        for loss in refuse_foreign(request, NAME):
            self._lose(loss.name)
        messages = Messages(self._target, self._names)
        self._body["messages"] = messages.write(request.turns)
        for loss in messages.losses:
            self._lose(loss.name)
        self._tools()
        self._output(request.output)
        self._limit()
        self._sampling()
        self._reasoning()
        self._labels()
        self._extras()
        if request.stream:
            self._body["stream"] = True
            if self._target.include_usage:
                self._body["stream_options"] = {"include_usage": True}
        return Encoded(dump(self._body), tuple(self._losses.values()), self._names)

    def _lose(self, name: str) -> None:
        self._losses[name] = Loss(name)

    def _put(self, name: str, value: object, known: bool = True) -> None:
        """Say a member, or lose it where it is not known; None and "" say nothing."""
        if value is None or value == "":
            return
        if known:
            self._body[name] = value
        else:
            self._lose(name)

    def _tools(self) -> None:
        tools = Tools(self._request, self._target, self._names)
        self._body |= tools.members()
        for name in tools.losses:
            self._lose(name)

    # --- the knobs ----------------------------------------------------------------------------

    def _limit(self) -> None:
        newer = self._official or self._target.traits.wants_max_completion_tokens
        limit = self._request.max_tokens
        self._put("max_completion_tokens" if newer else "max_tokens", limit)

    def _sampling(self) -> None:
        said = self._request.sampling
        traits = self._target.traits
        warm = traits.takes_temperature or self._is_off()
        if said.count is not None and said.count > 1:
            raise Untranslatable(
                "several answers to one request (`n`) cannot be had from the provider of this"
                " model",
                details={"param": "n"},
            )
        self._chance("temperature", said.temperature, warm, 1)
        both = traits.takes_both_t_and_p or said.temperature is None
        self._chance("top_p", said.top_p, (traits.takes_top_p or self._is_off()) and both, 1)
        self._chance("presence_penalty", said.presence_penalty, warm, 0)
        self._chance("frequency_penalty", said.frequency_penalty, warm, 0)
        self._put("seed", said.seed)
        self._put("top_k", said.top_k, known=False)
        if said.logprobs or said.top_logprobs:  # no other protocol's answer could hold them
            self._lose("logprobs")
        self._stop(said.stop)

    def _is_off(self) -> bool:
        """Whether a model that can leave its thinking does; then it takes the knobs of chance."""
        return self._effort() == "none"

    def _chance(self, name: str, value: float | None, known: bool, default: int) -> None:
        """A knob of chance; its default says nothing where the knob is not known."""
        if known or value != default:
            self._put(name, value, known)

    def _stop(self, stop: tuple[str, ...]) -> None:
        kept = [one for one in stop if one]
        if not kept:
            return
        if not self._target.traits.takes_stop:
            self._lose("stop")
            return
        if len(kept) > _STOPS:
            self._lose("stop")
        self._body["stop"] = kept[:_STOPS]

    def _effort(self) -> str | None:
        traits = self._target.traits
        if traits.style is ThinkingStyle.NONE and traits != UNKNOWN:
            return None
        return level_for(self._request.reasoning, traits)

    def _reasoning(self) -> None:
        effort = self._effort()
        self._put("reasoning_effort", effort)
        traits = self._target.traits
        cannot = traits.style is ThinkingStyle.NONE and traits != UNKNOWN
        if cannot and is_said(self._request.reasoning):
            wanted = level_for(self._request.reasoning, UNKNOWN)
            if wanted not in (None, "none"):
                self._lose("reasoning")

    def _labels(self) -> None:
        """Who asks, and how the provider shall treat it."""
        request = self._request
        self._put("user", _key(request.user))
        self._put("verbosity", request.verbosity, self._official)
        self._put("prompt_cache_key", _key(request.cache_key), self._official)
        tier = _OTHER_TIERS.get(request.service_tier, request.service_tier)
        if self._official or tier not in ("auto", "default"):  # else it is the default already
            self._put("service_tier", tier, self._official and tier in _TIERS)
        spoken = request.modalities == ("text", "audio") and self._official
        if request.modalities not in ((), ("text",)):
            self._put("modalities", list(request.modalities), spoken)
        if request.metadata:  # the service takes it for stored answers only
            self._put("metadata", dict(request.metadata), self._official and self._is_stored())

    def _is_stored(self) -> bool:
        return any(extra.what == "store" and extra.protocol == NAME for extra in self._own())

    def _own(self) -> Iterator[Any]:
        return (extra for extra in self._request.extras if extra.protocol == NAME)

    def _extras(self) -> None:
        known = _OFFICIAL_EXTRAS if self._official else _COMMON_EXTRAS
        for extra in self._own():
            if extra.what == "audio" and "modalities" not in self._body:
                continue  # lost with the modalities, and told there
            if extra.what in known:
                self._body |= extra.raw
            else:
                self._lose(extra.what)

    # --- the form of the answer ---------------------------------------------------------------

    def _output(self, output: OutputFormat) -> None:
        traits = self._target.traits
        match output.kind:
            case OutputKind.TEXT:
                return
            case OutputKind.SCHEMA if traits.has_structured_output:
                self._body["response_format"] = _schema_format(output)
                return
            case OutputKind.SCHEMA:
                told = "Answer with one JSON object that follows this JSON Schema:\n"
                self._instruct(told + dump(output.schema or {}).decode())
            case OutputKind.JSON:
                if not self._speaks_of_json():
                    self._instruct("Answer with JSON.")
        self._body["response_format"] = {"type": "json_object"}

    def _speaks_of_json(self) -> bool:
        """Without the word in any message the service refuses ``json_object``."""
        messages: list[Message] = self._body["messages"]
        return any(_JSON_WORD.search(text) for message in messages for text in _texts(message))

    def _instruct(self, text: str) -> None:
        """Add to the system text, or begin with it."""
        messages: list[Message] = self._body["messages"]
        first = messages[0] if messages else {}
        if first.get("role") == "system":
            messages[0] = first | {"content": f"{first['content']}\n\n{text}"}
        else:
            messages.insert(0, {"role": "system", "content": text})


def _texts(message: Message) -> Iterator[str]:
    content = message["content"]
    if isinstance(content, str):
        yield content
    elif content:
        yield from (part["text"] for part in content if part["type"] == "text")


def _schema_format(output: OutputFormat) -> dict[str, Any]:
    name = re.sub(r"[^a-zA-Z0-9_-]", "_", output.name)[:_NAME] or "response"
    held: dict[str, Any] = {"name": name, "schema": dict(output.schema or {"type": "object"})}
    if output.description:
        held["description"] = output.description
    if output.strict is not None:
        # A client's word about strictness is about its own provider's rules.
        held["strict"] = output.strict and schema.is_strict(held["schema"])
    return {"type": "json_schema", "json_schema": held}


def _key(text: str) -> str:
    """A key within the length the service takes; the same for the same text."""
    if len(text) <= _NAME:
        return text
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
