"""How much a model shall think, in the measure the model understands.

The table between levels and budgets is the one other gateways have made customary.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from app.ir.request import Reasoning, Request
from app.ir.traits import ThinkingStyle, Traits

BUDGETS: Mapping[str, int] = {
    "none": 0,
    "minimal": 512,
    "low": 1024,
    "medium": 8192,
    "high": 24576,
    "xhigh": 32768,
    "max": 128000,
}
"""Thinking tokens of each level, weakest first."""

_RANKS = {level: rank for rank, level in enumerate(BUDGETS)}
_DYNAMIC = -1
_SUFFIX = re.compile(r"(?P<model>.+)\((?P<amount>[^()]+)\)", re.DOTALL)


def level_of(budget: int) -> str:
    """The level a budget amounts to; ``auto`` for -1. ``max`` is never made of a number."""
    if budget < 0:
        return "auto"
    for level in ("none", "minimal", "low", "medium", "high"):
        if budget <= BUDGETS[level]:
            return level
    return "xhigh"


def is_said(reasoning: Reasoning) -> bool:
    """Whether anything was said about how much to think."""
    return reasoning.level is not None or reasoning.budget is not None or reasoning.adaptive


def is_off(reasoning: Reasoning) -> bool:
    """Whether the model shall not think."""
    return reasoning.level == "none" or reasoning.budget == 0


def is_dynamic(reasoning: Reasoning) -> bool:
    """Whether the amount is left to the model: ``auto``, -1, or adaptive without an effort."""
    if reasoning.level is not None:
        return reasoning.level == "auto"
    if reasoning.budget is not None:
        return reasoning.budget < 0
    return reasoning.adaptive


def is_on(reasoning: Reasoning, traits: Traits) -> bool:
    """Whether the model will think: because it was told to, or because it does by itself."""
    if is_off(reasoning):
        return not traits.can_be_off
    return is_said(reasoning) or traits.thinks_by_default


def wants_thoughts(reasoning: Reasoning) -> bool:
    """Whether the client asked to see thoughts; False when it left that to the protocol."""
    if is_off(reasoning):
        return False
    return bool(reasoning.summary) if reasoning.show is None else reasoning.show


def level_for(reasoning: Reasoning, traits: Traits) -> str | None:
    """The level to send: the one asked for, or the nearest weaker one the model knows.

    Args:
        reasoning: what the client said, as level or budget.
        traits: without ``levels`` any level passes, and a budget becomes the level of the table.

    Returns:
        None when nothing is to be sent: nothing was said, the amount is the model's to choose,
        or thinking is to be switched off by other means (Claude's ``disabled``). ``none`` means
        off; a model that knows no ``none`` gets its weakest level instead.
    """
    if not is_said(reasoning) or is_dynamic(reasoning):
        return None
    if is_off(reasoning):
        return _level_when_off(traits)
    wanted = reasoning.level or level_of(reasoning.budget or 0)
    if not traits.levels or wanted in traits.levels or wanted not in _RANKS:
        return wanted  # a word nobody knows is the upstream's to refuse
    thinking = [level for level in traits.levels if level != "none"]
    weaker = [level for level in thinking if _RANKS[level] < _RANKS[wanted]]
    return weaker[-1] if weaker else thinking[0]


def _level_when_off(traits: Traits) -> str | None:
    if not traits.levels or "none" in traits.levels:
        return "none"
    if traits.style is ThinkingStyle.ADAPTIVE and traits.can_be_off:
        return None
    return traits.levels[0]


def budget_for(
    reasoning: Reasoning,
    traits: Traits,
    max_tokens: int | None = None,
    *,
    takes_dynamic: bool = True,
) -> int | None:
    """The thinking tokens to send, inside the model's range.

    Args:
        reasoning: what the client said, as level or budget.
        traits: ``budget_max`` 0 means that the range is unknown.
        max_tokens: the budget must stay below it (Claude's rule); None = no such rule.
        takes_dynamic: whether -1 may be sent (Gemini); else a free amount is a medium one.

    Returns:
        None when nothing was said; 0 when thinking is to be off, also because ``max_tokens``
        leaves no room for the least budget; -1 when the model is to choose.
    """
    if not is_said(reasoning):
        return None
    if is_off(reasoning):
        return 0 if traits.can_be_off else traits.budget_min
    if is_dynamic(reasoning):
        if takes_dynamic:
            return _DYNAMIC
        wanted: int | None = BUDGETS["medium"]
    else:
        wanted = reasoning.budget
        if wanted is None:
            wanted = BUDGETS.get(reasoning.level or "")
    if wanted is None:  # a level nobody knows
        return None
    return _within(wanted, traits, max_tokens)


def _within(budget: int, traits: Traits, max_tokens: int | None) -> int:
    budget = max(budget, traits.budget_min)
    if traits.budget_max:
        budget = min(budget, traits.budget_max)
    if max_tokens is None or budget < max_tokens:
        return budget
    return max_tokens - 1 if max_tokens - 1 >= max(traits.budget_min, 1) else 0


def split_suffix(model: str) -> tuple[str, Reasoning | None]:
    """Take a thinking suffix off a model's name: ``model(8192)``, ``model(high)``, ``model(-1)``.

    The suffix is the last pair of parentheses, at the very end. A whole number is a budget, a
    level is one in any case of letters. Anything else is part of the name, so that it ends as an
    unknown model and not as a silent default.
    """
    found = _SUFFIX.fullmatch(model)
    if found is None:
        return model, None
    amount = found["amount"].strip().lower()
    if amount in BUDGETS:
        return found["model"], Reasoning(level=amount)
    if amount in ("auto", "-1"):
        return found["model"], Reasoning(level="auto")
    if re.fullmatch(r"[0-9]{1,9}", amount):
        return found["model"], Reasoning(budget=int(amount))
    return model, None


def with_suffix(request: Request, reasoning: Reasoning | None) -> Request:
    """The request as the suffix of its model wants it.

    How much to think is the suffix's word whatever the body says; whether to show it the body's.
    """
    if reasoning is None:
        return request
    body = request.reasoning
    return replace(request, reasoning=replace(reasoning, show=body.show, summary=body.summary))
