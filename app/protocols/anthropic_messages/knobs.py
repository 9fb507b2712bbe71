"""Limits, chance and thinking for a Messages upstream.

Source: the Messages reference, "Extended thinking" and "Adaptive thinking", and the refusals of
the service that public reports quote, read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from app.errors import Untranslatable
from app.ir.parts import Json
from app.ir.reasoning import budget_for, is_off, is_on, is_said, level_for, wants_thoughts
from app.ir.request import Loss, Reasoning, Request, Sampling
from app.ir.traits import ThinkingStyle, Traits
from app.protocols.anthropic_messages.history import is_thinking

_MOST = 32000
"""Tokens of an answer when neither client nor table says; what other gateways send."""

_ROOM = 4096
"""Tokens left for the answer beside a budget when the limit is ours to choose."""

_LEAST_BUDGET = 1024
_LEAST_TOP_P = 0.95
_STANDARD = {"default": "standard_only", "standard": "standard_only", "flex": "standard_only"}
_TIERS = {**_STANDARD, "standard_only": "standard_only", "auto": "auto", "priority": "auto"}


@dataclass(frozen=True, slots=True)
class Thought:
    """How thinking is asked for: members ``thinking`` and ``output_config.effort``."""

    thinking: dict[str, Json] | None = None
    effort: str | None = None
    is_on: bool = False


def answer_limit(request: Request, traits: Traits) -> int:
    """Claude wants a limit always."""
    if request.max_tokens is None:
        return traits.max_output or _MOST
    most = max(request.max_tokens, 1)
    return min(most, traits.max_output) if traits.max_output else most


def think(
    request: Request,
    traits: Traits,
    messages: list[dict[str, Json]],
    choice: dict[str, Json] | None,
    losses: list[Loss],
) -> Thought:
    """Find the words for how much to think.

    A forced tool and a tool loop whose thinking was lost both exclude thinking; so they switch
    it off for this request.
    """
    wanted = _wanted(request.reasoning)
    if traits.style not in (ThinkingStyle.BUDGET, ThinkingStyle.ADAPTIVE):
        if is_said(request.reasoning) and not is_off(request.reasoning):
            losses.append(Loss("reasoning"))
        return Thought()
    excluded = _is_forced(choice) or _has_lost_thinking(messages)
    if excluded and is_on(wanted, traits):
        if is_said(wanted) and not is_off(wanted):
            losses.append(Loss("reasoning"))
        wanted = Reasoning(level="none")
    if is_off(wanted):
        return _off(traits)
    if not is_said(wanted):
        return Thought(is_on=traits.thinks_by_default)
    if traits.style is ThinkingStyle.ADAPTIVE:
        thinking: dict[str, Json] = {
            "type": "adaptive",
            "display": "omitted" if wanted.show is False else "summarized",
        }
        return Thought(thinking, level_for(wanted, traits), is_on=True)
    return _budgeted(request, wanted, traits, losses)


def _wanted(reasoning: Reasoning) -> Reasoning:
    """What is asked for; whoever asks to see thoughts asks for thinking."""
    if not is_said(reasoning) and wants_thoughts(reasoning):
        return Reasoning(adaptive=True, show=True)
    return reasoning


def _off(traits: Traits) -> Thought:
    if not traits.can_be_off:
        return Thought(effort=level_for(Reasoning(level="none"), traits), is_on=True)
    # Left out where that says it: models without thinking refuse even the word for "off".
    return Thought({"type": "disabled"} if traits.thinks_by_default else None)


def _budgeted(request: Request, wanted: Reasoning, traits: Traits, losses: list[Loss]) -> Thought:
    limit = answer_limit(request, traits)
    if request.max_tokens is None:  # then there is no reason to use all of it up
        limit = max(limit - _ROOM, 0)
    budget = budget_for(wanted, traits, limit, takes_dynamic=False) or 0
    if budget < _LEAST_BUDGET:
        losses.append(Loss("reasoning"))
        return _off(traits)
    return Thought({"type": "enabled", "budget_tokens": budget}, is_on=True)


def _is_forced(choice: dict[str, Json] | None) -> bool:
    return choice is not None and choice["type"] in ("any", "tool")


def _has_lost_thinking(messages: Iterable[dict[str, Json]]) -> bool:
    """Whether the last assistant turn has calls but not the thinking that led to them."""
    said = [message["content"] for message in messages if message["role"] == "assistant"]
    if not said:
        return False
    blocks = said[-1]
    return any(block["type"] == "tool_use" for block in blocks) and not is_thinking(blocks[0])


def write_chance(
    sampling: Sampling, traits: Traits, *, thinks: bool, losses: list[Loss]
) -> dict[str, Json]:
    """The knobs of chance, within what the model takes.

    Raises:
        Untranslatable: more than one answer is wanted.
    """
    if sampling.count is not None and sampling.count > 1:
        raise Untranslatable("the provider of this model gives one answer, not several (`n`)")
    written: dict[str, Json] = {}
    temperature, top_p, top_k = sampling.temperature, sampling.top_p, sampling.top_k
    if temperature is not None:
        temperature = min(max(temperature, 0), 1)
        if traits.takes_temperature and not thinks:
            written["temperature"] = temperature
        elif temperature != 1:
            losses.append(Loss("temperature"))
    if top_p is not None:
        too_many = "temperature" in written and not traits.takes_both_t_and_p
        if not traits.takes_top_p or too_many or (thinks and top_p < _LEAST_TOP_P):
            losses.append(Loss("top_p"))
        else:
            written["top_p"] = min(max(top_p, 0), 1)
    if top_k is not None:
        if traits.takes_top_k and not thinks:
            written["top_k"] = top_k
        else:
            losses.append(Loss("top_k"))
    written |= _stops(sampling, traits, losses)
    losses += _unsayable(sampling)
    return written


def _stops(sampling: Sampling, traits: Traits, losses: list[Loss]) -> dict[str, Json]:
    stops = [word for word in sampling.stop if word.strip()]
    if len(stops) < len(sampling.stop) or (stops and not traits.takes_stop):
        losses.append(Loss("stop"))
    return {"stop_sequences": stops} if stops and traits.takes_stop else {}


def _unsayable(sampling: Sampling) -> Iterable[Loss]:
    said: dict[str, Any] = {
        "seed": sampling.seed is not None,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "logprobs": sampling.logprobs or sampling.top_logprobs,
    }
    return [Loss(name) for name, value in said.items() if value]


def tier_of(request: Request, losses: list[Loss]) -> str | None:
    """Claude's word for a service tier."""
    if not request.service_tier:
        return None
    tier = _TIERS.get(request.service_tier)
    if tier is None:
        losses.append(Loss("service_tier"))
    return tier
