"""A request for a Responses upstream.

The body is built member by member: the service refuses what it does not know.

Source: OpenAI Python SDK 3.52, ``types/responses/response_create_params.py``, read 2026-11-21.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec

from app.errors import Untranslatable
from app.ir.extras import refuse_foreign
from app.ir.reasoning import is_off, is_said, level_for, wants_thoughts
from app.ir.request import Loss, OutputKind, Request
from app.ir.traits import UNKNOWN, ThinkingStyle
from app.protocols import schema
from app.protocols.base import Encoded, Target
from app.protocols.names import name_tools
from app.protocols.openai_responses.history import History
from app.protocols.openai_responses.items import KEPT_ELSEWHERE, PARAGRAPH, PROTOCOL
from app.protocols.openai_responses.offers import Offers, strictly
from app.protocols.openai_responses.request import ENCRYPTED, LOGPROBS

_NAME_LIMIT = 64
_NAME_LETTERS = "A-Za-z0-9_-"
_LEAST_OUTPUT = 16
_USER_LIMIT = 64
_METADATA = (16, 64, 512)  # pairs, letters of a name, letters of a value
_TIERS = {
    "auto": "auto",
    "default": "default",
    "flex": "flex",
    "scale": "scale",
    "priority": "priority",
    "ultrafast": "ultrafast",
    "standard": "default",
    "standard_only": "default",
}
_VERBOSITIES = ("low", "medium", "high")
_JSON_HINT = "Answer with JSON."
_SUMMARIES = ("auto", "concise", "detailed")


def encode_request(request: Request, target: Target) -> Encoded:
    """Write a request; see ``Codec.encode_request``."""
    return _Writer(request, target).written()


class _Writer:
    def __init__(self, request: Request, target: Target) -> None:
        self._request = request
        self._target = target
        self._losses: dict[str, Loss] = {}

    def written(self) -> Encoded:
        request, target = self._request, self._target
        self._told(refuse_foreign(request, PROTOCOL))
        names = name_tools(
            request,
            limit=_NAME_LIMIT,
            allowed=_NAME_LETTERS,
            keeps_namespaces=target.is_official,
        )
        history = History(names, is_official=target.is_official)
        offers = Offers(names, is_official=target.is_official)
        instructions, items = history.written(request.turns)
        effort, thought = self._reasoning()
        body: dict[str, Any] = {"model": target.model}
        body |= self._said(instructions, items)
        body |= offers.members(request)
        body |= thought | self._sampling(effort) | self._text() | self._books()
        body |= self._kept(history.seals)
        if request.stream:
            body["stream"] = True
        self._told(history.losses)
        self._told(offers.losses)
        return Encoded(_dumped(body), tuple(self._losses.values()), names)

    def _told(self, losses: tuple[Loss, ...] | list[Loss]) -> None:
        self._losses |= {loss.name: loss for loss in losses}

    def _lose(self, *names: str) -> None:
        self._told([Loss(name) for name in names])

    def _said(self, instructions: str, items: list[dict[str, Any]]) -> dict[str, Any]:
        if not items and not self._own("previous_response_id") and not self._own("prompt"):
            raise Untranslatable("the request says nothing that this model's provider can be given")
        if self._request.output.kind is OutputKind.JSON and not _asks_for_json(instructions, items):
            # Without the word in the input the service refuses the mode.
            instructions = PARAGRAPH.join(filter(None, (instructions, _JSON_HINT)))
        return ({"instructions": instructions} if instructions else {}) | {"input": items}

    def _reasoning(self) -> tuple[str | None, dict[str, Any]]:
        """The effort, and the member that says it."""
        said, traits = self._request.reasoning, self._target.traits
        if not self._may_reason():
            if is_said(said) and not is_off(said):
                self._lose("reasoning_effort")
            return None, {}
        effort = level_for(said, traits)
        member: dict[str, Any] = {"effort": effort} if effort else {}
        if wants_thoughts(said):
            member["summary"] = said.summary if said.summary in _SUMMARIES else "auto"
        return effort, {"reasoning": member} if member else {}

    def _may_reason(self) -> bool:
        traits = self._target.traits
        return traits.style is not ThinkingStyle.NONE or traits == UNKNOWN

    def _sampling(self, effort: str | None) -> dict[str, Any]:
        said, traits = self._request.sampling, self._target.traits
        members: dict[str, Any] = {}
        if said.count is not None and said.count > 1:
            raise Untranslatable("the provider of this model gives one answer (`n` is above 1)")
        for name, value, top, takes in (
            ("temperature", said.temperature, 2.0, traits.takes_temperature),
            ("top_p", said.top_p, 1.0, traits.takes_top_p),
        ):
            if value is None:
                continue
            if takes or effort == "none":  # only thinking excludes them
                members[name] = min(max(value, 0.0), top)
            else:
                self._lose(name)
        for name in ("top_k", "seed", "presence_penalty", "frequency_penalty", "logprobs"):
            if getattr(said, name):
                self._lose(name)
        if said.seed == 0:
            self._lose("seed")
        if said.stop:
            self._lose("stop")
        limit = self._request.max_tokens
        if limit is not None:
            limit = min(limit, traits.max_output) if traits.max_output else limit
            members["max_output_tokens"] = max(limit, _LEAST_OUTPUT)
        return members

    def _text(self) -> dict[str, Any]:
        said, verbosity = self._request.output, self._request.verbosity
        member: dict[str, Any] = {}
        if said.kind is OutputKind.JSON:
            member["format"] = {"type": "json_object"}
        elif said.kind is OutputKind.SCHEMA:
            member["format"] = self._schema()
        if verbosity in _VERBOSITIES:
            member["verbosity"] = verbosity
        elif verbosity:
            self._lose("verbosity")
        return {"text": member} if member else {}

    def _schema(self) -> dict[str, Any]:
        said = self._request.output
        whole = dict(said.schema or {"type": "object"})
        # Nobody minds strictness that costs nothing.
        wanted = schema.is_strict(whole) if said.strict is None else said.strict
        strict, whole = strictly(wanted, whole)
        if wanted and not strict:
            self._lose("strict")
        form: dict[str, Any] = {"type": "json_schema", "name": _fitting(said.name)}
        if said.description:
            form["description"] = said.description
        return form | {"schema": whole, "strict": strict}

    def _books(self) -> dict[str, Any]:
        """Who asks, and on which terms."""
        request, is_official = self._request, self._target.is_official
        members: dict[str, Any] = {}
        if request.user:
            members |= _user(request.user) if is_official else {"user": request.user}
        if request.metadata and is_official:
            members["metadata"] = self._metadata()
        if request.service_tier:
            tier = _TIERS.get(request.service_tier)
            if tier is None or not is_official:
                self._lose("service_tier")
            else:
                members["service_tier"] = tier
        if request.cache_key and is_official:
            members["prompt_cache_key"] = request.cache_key
        if any(kind != "text" for kind in request.modalities):
            self._lose("modalities")
        return members

    def _metadata(self) -> dict[str, str]:
        most, of_name, of_value = _METADATA
        said = self._request.metadata
        kept = [
            (name, value)
            for name, value in said.items()
            if len(name) <= of_name and len(value) <= of_value
        ][:most]
        if len(kept) < len(said):
            self._lose("metadata")
        return dict(kept)

    def _kept(self, has_seals: bool) -> dict[str, Any]:
        """What the provider shall keep: nothing, unless its own client said otherwise."""
        own = {
            name: value
            for extra in self._request.extras
            if extra.protocol == PROTOCOL and extra.what not in KEPT_ELSEWHERE
            for name, value in extra.raw.items()
        }
        include = [name for name in own.get("include") or [] if name not in (ENCRYPTED, LOGPROBS)]
        if self._wants_proof(has_seals):
            include.append(ENCRYPTED)
        own["include"] = include
        own.setdefault("store", False)
        return {name: value for name, value in own.items() if value != []}

    def _wants_proof(self, has_seals: bool) -> bool:
        """Whether to ask for encrypted reasoning; a model that has none refuses the question.

        Of a model that nobody knows it is asked when the client takes it for one that reasons.
        """
        if not self._may_reason() or self._own("store"):
            return False
        said = self._request.reasoning
        is_known = self._target.traits.style is not ThinkingStyle.NONE
        return is_known or has_seals or wants_thoughts(said) or (is_said(said) and not is_off(said))

    def _own(self, name: str) -> bool:
        return any(
            bool(extra.raw.get(name))
            for extra in self._request.extras
            if extra.protocol == PROTOCOL and extra.what == name
        )


def _user(user: str) -> dict[str, Any]:
    if len(user) > _USER_LIMIT:
        user = hashlib.sha256(user.encode(errors="surrogatepass")).hexdigest()
    return {"safety_identifier": user}


def _fitting(name: str) -> str:
    """A name for a schema; the service insists on one."""
    letters = (
        letter if letter.isascii() and (letter.isalnum() or letter in "_-") else "_"
        for letter in name[:_NAME_LIMIT]
    )
    return "".join(letters) or "response"


def _asks_for_json(instructions: str, items: list[dict[str, Any]]) -> bool:
    words = [instructions]
    for item in items:
        content = item.get("content")
        for part in content if isinstance(content, list) else ():
            words.append(str(part.get("text", "")))
    return any("json" in text.lower() for text in words)


def _dumped(body: dict[str, Any]) -> bytes:
    """The body as JSON; integers of any size stay exact."""
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError:  # half a surrogate pair can only be said escaped
        return json.dumps(body, separators=(",", ":")).encode()
