"""What the scripted providers' models take; the names are real ones, the facts public."""

from __future__ import annotations

import re

_O_SERIES = re.compile(r"o[1-9](?:-|$)")
_BOTH_REFUSED = re.compile(r"claude-(?:opus|sonnet|haiku)-4-[1-6]\b")
_SAMPLING_REFUSED = re.compile(r"claude-(?:opus-4-[78]|opus-5|sonnet-5|fable-5)")
_SYSTEM_TURNS = re.compile(r"claude-(?:opus-4-8|opus-5|sonnet-5|fable-5)")
_BUDGETS = re.compile(
    r"claude-(?:3-7-sonnet|opus-4-[15]|sonnet-4-5|haiku-4-5|opus-4-0|sonnet-4-0"
    r"|(?:opus|sonnet)-4-2025)"
)
_MIDDLING = re.compile(r"claude-(?:opus|sonnet)-4-6")


def gpt_reasons(model: str) -> bool:
    """Whether an OpenAI model reasons."""
    return bool(_O_SERIES.match(model)) or model.startswith(("gpt-5", "codex-"))


def gpt_efforts(model: str) -> tuple[str, ...]:
    """The efforts an OpenAI model takes; none for a model that does not reason."""
    if not gpt_reasons(model):
        return ()
    if model.startswith("gpt-5.6"):
        return ("none", "low", "medium", "high", "xhigh", "max")
    if model.startswith(("gpt-5.2", "gpt-5.3", "gpt-5.4", "gpt-5.5")):
        return ("none", "low", "medium", "high", "xhigh")
    if model.startswith("gpt-5.1"):
        return ("none", "low", "medium", "high")
    if model.startswith("gpt-5"):
        return ("minimal", "low", "medium", "high")
    return ("low", "medium", "high")


def claude_takes_budget(model: str) -> bool:
    """Whether ``thinking.type: enabled`` is known."""
    return bool(_BUDGETS.match(model) or _MIDDLING.match(model))


def claude_takes_adaptive(model: str) -> bool:
    """Whether ``thinking.type: adaptive`` is known."""
    return bool(_MIDDLING.match(model) or _SAMPLING_REFUSED.match(model))


def claude_efforts(model: str) -> tuple[str, ...]:
    """The efforts a Claude model takes."""
    if _MIDDLING.match(model):
        return ("low", "medium", "high", "max")
    if _SAMPLING_REFUSED.match(model):
        return ("low", "medium", "high", "xhigh", "max")
    return ("low", "medium", "high") if model.startswith("claude-opus-4-5") else ()


def claude_refuses_sampling(model: str) -> bool:
    """Whether temperature, top_p and top_k are refused altogether."""
    return bool(_SAMPLING_REFUSED.match(model))
    return bool(_SAMPLING_REFUSED.match(model))


def claude_refuses_both(model: str) -> bool:
    """Whether temperature and top_p exclude each other."""
    return bool(_BOTH_REFUSED.match(model))


def claude_takes_system_turns(model: str) -> bool:
    """Whether system text may stand among the messages. A guess by age."""
    return bool(_SYSTEM_TURNS.match(model))
    return bool(_SAMPLING_REFUSED.match(model))


def claude_refuses_prefill(model: str) -> bool:
    """Whether the last message must be the user's."""
    return bool(_MIDDLING.match(model) or _SAMPLING_REFUSED.match(model))


def claude_max_output(model: str) -> int:
    """The most tokens of an answer."""
    if model.startswith(("claude-opus-4-1", "claude-opus-4-0", "claude-opus-4-2025")):
        return 32_000
    if model.startswith("claude-opus-4-6") or _SAMPLING_REFUSED.match(model):
        return 128_000
    return 64_000


def gemini_is_3(model: str) -> bool:
    """Whether a Gemini model is of the third generation or later."""
    found = re.match(r"gemini-(\d+)", model)
    return bool(found and int(found[1]) >= 3)


def gemini_levels(model: str) -> tuple[str, ...]:
    """The thinking levels of a Gemini model; none for those with budgets."""
    if not gemini_is_3(model):
        return ()
    if model.startswith("gemini-3.1-pro"):
        return ("LOW", "MEDIUM", "HIGH")
    if "-pro" in model:
        return ("LOW", "HIGH")
    return ("MINIMAL", "LOW", "MEDIUM", "HIGH")


def gemini_budget(model: str) -> tuple[int, int]:
    """The least and most thinking tokens; -1 is always allowed."""
    return (128, 32_768) if model.startswith("gemini-2.5-pro") else (0, 24_576)
