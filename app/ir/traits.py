"""What a model takes and refuses; the table itself is the providers'."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class ThinkingStyle(enum.Enum):
    """How a model is told to think."""

    NONE = "none"
    """It cannot be told, or nobody knows."""

    EFFORT = "effort"
    """By a level (OpenAI)."""

    BUDGET = "budget"
    """By a number of tokens (Gemini 2.5, Claude up to 4.5)."""

    LEVEL = "level"
    """By Gemini's levels."""

    ADAPTIVE = "adaptive"
    """Claude's own judgement, with an effort."""


@dataclass(frozen=True, slots=True)
class Traits:
    """One family of models. The defaults are those of an unknown model: let everything pass.

    Attributes:
        levels: the levels it knows, weakest first.
        budget_min, budget_max: range of thinking tokens.
        can_be_off: whether thinking can be switched off.
        thinks_by_default: it thinks when nothing is said.
        max_output: most tokens of an answer; 0 = unknown.
        takes_temperature, takes_top_p, takes_top_k: whether it accepts the knob.
        takes_both_t_and_p: temperature and top_p together.
        takes_stop: stop sequences.
        wants_max_completion_tokens: refuses the older name ``max_tokens``.
        has_structured_output: takes a schema for its text.
        takes_system_turns: system text in the middle of a talk.
        takes_prefill: the last turn may be the assistant's.
        takes_media_in_results: pictures inside tool results (Gemini).
        needs_call_seal: refuses a first tool call without its signature (Gemini 3).
        searches_beside_functions: a hosted search together with functions (Gemini).
    """

    style: ThinkingStyle = ThinkingStyle.NONE
    levels: tuple[str, ...] = ()
    budget_min: int = 0
    budget_max: int = 0
    can_be_off: bool = True
    thinks_by_default: bool = False
    max_output: int = 0
    takes_temperature: bool = True
    takes_top_p: bool = True
    takes_top_k: bool = True
    takes_both_t_and_p: bool = True
    takes_stop: bool = True
    wants_max_completion_tokens: bool = False
    has_structured_output: bool = True
    takes_system_turns: bool = True
    takes_prefill: bool = True
    takes_media_in_results: bool = True
    needs_call_seal: bool = False
    searches_beside_functions: bool = True


UNKNOWN = Traits()
