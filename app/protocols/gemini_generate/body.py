"""A request for an upstream, from a list of what may be said.

Source: ai.google.dev, "GenerationConfig" and "Thinking", read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.errors import Untranslatable
from app.ir.extras import refuse_foreign
from app.ir.parts import Media, ToolResult
from app.ir.reasoning import budget_for, is_said, level_for, wants_thoughts
from app.ir.request import Loss, OutputKind, Request
from app.ir.traits import ThinkingStyle
from app.protocols import schema
from app.protocols.base import Encoded, Target
from app.protocols.gemini_generate.contents import PROTOCOL
from app.protocols.gemini_generate.history import History
from app.protocols.gemini_generate.members import compact, written
from app.protocols.gemini_generate.tools import (
    functions_of,
    names_for,
    write_choice,
    write_tools,
)

_STOPS = 5
_SEED = 2**31
_JSON = "application/json"
_TIERS = {
    "flex": "flex",
    "priority": "priority",
    "standard": "standard",
    "standard_only": "standard",
    "auto": "",
    "default": "",
}
_RESOLUTIONS = {"low": "MEDIA_RESOLUTION_LOW", "high": "MEDIA_RESOLUTION_HIGH"}
_LEVELS = {"none": "MINIMAL", "max": "HIGH"}


def encode_request(request: Request, target: Target) -> Encoded:
    """Write a request; see ``Codec.encode_request``."""
    losses = list(refuse_foreign(request, PROTOCOL))
    names = names_for(request, target)
    history = History(request, target, names)
    losses += history.losses
    tools, lost = write_tools(request, target, names)
    losses += lost
    config = dict(_tuned(request, target, losses)) | _thinking(request, target, losses)
    config |= _form(request, target, history.system, losses)
    body: dict[str, Any] = {"contents": history.contents}
    if history.system:
        body["systemInstruction"] = {"parts": [{"text": text} for text in history.system]}
    if tools:
        body["tools"] = tools
    choice = write_choice(request, names)
    if choice is not None:
        body["toolConfig"] = {"functionCallingConfig": choice}
    if config:
        body["generationConfig"] = config
    _tier(request, target, body, losses)
    _own_extras(request, body)
    losses += _unsaid(request)
    return Encoded(written(body), tuple(dict.fromkeys(losses)), names)


def as_count(body: bytes, model: str) -> bytes:
    """A written request as the body of ``countTokens``; ``model`` is the upstream's name.

    Source: ai.google.dev, "models.countTokens", read 2026-11-21: either bare contents, or a whole
    request that names its model; only the latter counts tools and system text.
    """
    name = model if "/" in model else f"models/{model}"
    return b'{"generateContentRequest":{"model":%b,%b}' % (written(name), body[1:])


def _tuned(request: Request, target: Target, losses: list[Loss]) -> Iterator[tuple[str, Any]]:
    """The knobs of chance and length, inside the service's limits."""
    sampling, traits = request.sampling, target.traits
    if sampling.count is not None and sampling.count > 1:
        raise Untranslatable("`n`: only one answer can be asked for", details={"param": "n"})
    top_p = sampling.top_p if traits.takes_top_p else None
    if sampling.temperature is not None and not traits.takes_both_t_and_p:
        top_p = None
    if sampling.top_p is not None and top_p is None:
        losses.append(Loss("top_p"))
    temperature = sampling.temperature
    if temperature is not None:
        if traits.takes_temperature:
            yield "temperature", min(max(temperature, 0), 2)
        else:
            losses.append(Loss("temperature"))
    if top_p is not None:
        yield "topP", top_p
    if sampling.top_k is not None:
        if traits.takes_top_k:
            yield "topK", sampling.top_k
        else:
            losses.append(Loss("top_k"))
    if request.max_tokens is not None:
        most = traits.max_output or request.max_tokens
        yield "maxOutputTokens", min(request.max_tokens, most)
    yield from _stops(request, target, losses)
    if sampling.seed is not None:
        if -_SEED <= sampling.seed < _SEED:
            yield "seed", sampling.seed
        else:
            losses.append(Loss("seed"))
    for name, value in (
        ("presencePenalty", sampling.presence_penalty),
        ("frequencyPenalty", sampling.frequency_penalty),
    ):
        if value is not None:
            yield name, value
    if sampling.logprobs:
        yield "responseLogprobs", True
        if sampling.top_logprobs is not None:
            yield "logprobs", sampling.top_logprobs
        losses.append(Loss("logprobs"))  # asked for, but no answer of ours can carry them
    if request.modalities and request.modalities != ("text",):
        yield "responseModalities", [name.upper() for name in request.modalities]
    yield from _resolution(request, losses)


def _stops(request: Request, target: Target, losses: list[Loss]) -> Iterator[tuple[str, Any]]:
    stops = [stop for stop in request.sampling.stop if stop]
    kept = stops[:_STOPS] if target.traits.takes_stop else []
    if len(kept) < len(stops):
        losses.append(Loss("stop"))
    if kept:
        yield "stopSequences", kept


def _resolution(request: Request, losses: list[Loss]) -> Iterator[tuple[str, Any]]:
    """One resolution for all pictures, when they agree."""
    said = {media.detail for media in _media(request) if media.detail and media.detail != "auto"}
    if len(said) == 1 and said <= _RESOLUTIONS.keys():
        yield "mediaResolution", _RESOLUTIONS[said.pop()]
    elif said:
        losses.append(Loss("detail"))


def _media(request: Request) -> Iterator[Media]:
    for turn in request.turns:
        for part in turn.parts:
            pieces = part.content if isinstance(part, ToolResult) else (part,)
            yield from (piece for piece in pieces if isinstance(piece, Media))


def _thinking(request: Request, target: Target, losses: list[Loss]) -> dict[str, Any]:
    """The ``thinkingConfig``; a budget and a level never stand together."""
    reasoning, traits = request.reasoning, target.traits
    config: dict[str, Any] = {}
    match traits.style:
        case ThinkingStyle.BUDGET:
            budget = budget_for(reasoning, traits)
            if budget is not None:
                config["thinkingBudget"] = budget
        case ThinkingStyle.LEVEL:
            level = level_for(reasoning, traits)
            if level is not None:
                config["thinkingLevel"] = _LEVELS.get(level, level.upper())
        case _:
            if is_said(reasoning):
                losses.append(Loss("reasoning"))
            return {}
    if wants_thoughts(reasoning):
        config["includeThoughts"] = True
    return {"thinkingConfig": config} if config else {}


def _form(
    request: Request, target: Target, system: list[str], losses: list[Loss]
) -> dict[str, Any]:
    """The form of the answer's text, or words that ask for it.

    Models that cannot search beside functions (all before Gemini 3) refuse a JSON answer beside
    functions as well: "Function calling with a response mime type is unsupported".
    """
    output, traits = request.output, target.traits
    if output.kind is OutputKind.TEXT:
        return {}
    is_busy = bool(functions_of(request)) and not traits.searches_beside_functions
    if is_busy or not traits.has_structured_output:
        losses.append(Loss("response_format"))
        words = "Give the final answer as JSON and nothing else."
        if output.schema is not None:
            words = f"{words} It must follow this JSON Schema:\n{compact(dict(output.schema))}"
        system.append(words)
        return {}
    if output.schema is None:
        return {"responseMimeType": _JSON}
    if target.is_official:
        return {
            "responseMimeType": _JSON,
            "responseJsonSchema": schema.for_gemini_json(output.schema),
        }
    return {"responseMimeType": _JSON, "responseSchema": schema.for_gemini(output.schema)}


def _tier(request: Request, target: Target, body: dict[str, Any], losses: list[Loss]) -> None:
    if not request.service_tier:
        return
    tier = _TIERS.get(request.service_tier)
    if tier is None or (tier and not target.is_official):
        losses.append(Loss("service_tier"))
    elif tier:
        body["serviceTier"] = tier


def _own_extras(request: Request, body: dict[str, Any]) -> None:
    for extra in request.extras:
        if extra.protocol != PROTOCOL:
            continue
        for name, value in extra.raw.items():
            inner = body.get(name)
            if isinstance(inner, dict) and isinstance(value, Mapping):
                body[name] = {**value, **inner}
            else:
                body.setdefault(name, value)


def _unsaid(request: Request) -> Iterator[Loss]:
    """The knobs that have no word here."""
    if request.parallel_calls is False and functions_of(request):
        yield Loss("parallel_tool_calls")
    for name, value in (
        ("verbosity", request.verbosity),
        ("metadata", request.metadata),
        ("user", request.user),
        ("prompt_cache_key", request.cache_key),
    ):
        if value:
            yield Loss(name)
