from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ir.reasoning import (
    BUDGETS,
    budget_for,
    is_dynamic,
    is_off,
    is_on,
    is_said,
    level_for,
    level_of,
    split_suffix,
    wants_thoughts,
    with_suffix,
)
from app.ir.request import Reasoning, Request
from app.ir.traits import UNKNOWN, ThinkingStyle, Traits

SILENT = Reasoning()
EFFORT = Traits(ThinkingStyle.EFFORT, ("none", "low", "medium", "high"))
NEVER_OFF = Traits(
    ThinkingStyle.LEVEL, ("minimal", "low", "high"), can_be_off=False, thinks_by_default=True
)
ADAPTIVE = Traits(ThinkingStyle.ADAPTIVE, ("low", "medium", "high", "max"))
ALWAYS_ADAPTIVE = Traits(ThinkingStyle.ADAPTIVE, ("low", "high"), can_be_off=False)
CLAUDE = Traits(ThinkingStyle.BUDGET, budget_min=1024, budget_max=128000)
PRO = Traits(ThinkingStyle.BUDGET, budget_min=128, budget_max=32768, can_be_off=False)


def level(word: str) -> Reasoning:
    return Reasoning(level=word)


def budget(tokens: int) -> Reasoning:
    return Reasoning(budget=tokens)


@pytest.mark.parametrize(
    ("tokens", "word"),
    [
        (-1, "auto"),
        (0, "none"),
        (1, "minimal"),
        (512, "minimal"),
        (513, "low"),
        (1024, "low"),
        (1025, "medium"),
        (8192, "medium"),
        (8193, "high"),
        (24576, "high"),
        (24577, "xhigh"),
        (128000, "xhigh"),
    ],
)
def test_a_budget_amounts_to_a_level(tokens: int, word: str) -> None:
    assert level_of(tokens) == word


@pytest.mark.parametrize(
    ("reasoning", "said", "off", "dynamic"),
    [
        (SILENT, False, False, False),
        (level("none"), True, True, False),
        (budget(0), True, True, False),
        (level("auto"), True, False, True),
        (budget(-1), True, False, True),
        (Reasoning(adaptive=True), True, False, True),
        (Reasoning(level="low", adaptive=True), True, False, False),
        (budget(7), True, False, False),
        (Reasoning(show=True, summary="auto"), False, False, False),
    ],
)
def test_what_a_reasoning_says(reasoning: Reasoning, said: bool, off: bool, dynamic: bool) -> None:
    assert (is_said(reasoning), is_off(reasoning), is_dynamic(reasoning)) == (said, off, dynamic)


@pytest.mark.parametrize(
    ("reasoning", "traits", "on"),
    [
        (SILENT, UNKNOWN, False),
        (SILENT, NEVER_OFF, True),
        (level("none"), EFFORT, False),
        (level("none"), NEVER_OFF, True),
        (level("low"), UNKNOWN, True),
        (Reasoning(adaptive=True), ADAPTIVE, True),
    ],
)
def test_whether_a_model_will_think(reasoning: Reasoning, traits: Traits, on: bool) -> None:
    assert is_on(reasoning, traits) is on


@pytest.mark.parametrize(
    ("reasoning", "wanted"),
    [
        (SILENT, False),
        (Reasoning(level="high"), False),
        (Reasoning(summary="auto"), True),
        (Reasoning(show=True), True),
        (Reasoning(show=False, summary="auto"), False),
        (Reasoning(level="none", show=True), False),
    ],
)
def test_whether_thoughts_are_shown(reasoning: Reasoning, wanted: bool) -> None:
    assert wants_thoughts(reasoning) is wanted


@pytest.mark.parametrize(
    ("reasoning", "traits", "sent"),
    [
        (SILENT, EFFORT, None),
        (level("auto"), EFFORT, None),
        (budget(-1), NEVER_OFF, None),
        (Reasoning(adaptive=True), ADAPTIVE, None),
        (Reasoning(level="max", adaptive=True), ADAPTIVE, "max"),
        # off
        (level("none"), UNKNOWN, "none"),
        (budget(0), EFFORT, "none"),
        (budget(0), NEVER_OFF, "minimal"),
        (level("none"), ADAPTIVE, None),
        (level("none"), ALWAYS_ADAPTIVE, "low"),
        # what is known is sent, else the nearest weaker one
        (level("xhigh"), UNKNOWN, "xhigh"),
        (budget(9000), UNKNOWN, "high"),
        (level("medium"), EFFORT, "medium"),
        (level("xhigh"), EFFORT, "high"),
        (level("max"), EFFORT, "high"),
        (level("minimal"), EFFORT, "low"),
        (level("medium"), NEVER_OFF, "low"),
        (level("minimal"), ADAPTIVE, "low"),
        (level("xhigh"), ADAPTIVE, "high"),
        (budget(512), NEVER_OFF, "minimal"),
        (budget(100_000), ADAPTIVE, "high"),
        (level("enormous"), EFFORT, "enormous"),
    ],
)
def test_the_level_sent(reasoning: Reasoning, traits: Traits, sent: str | None) -> None:
    assert level_for(reasoning, traits) == sent


@pytest.mark.parametrize(
    ("reasoning", "traits", "max_tokens", "sent"),
    [
        (SILENT, PRO, None, None),
        (level("none"), CLAUDE, None, 0),
        (budget(0), PRO, None, 128),
        (budget(-1), PRO, None, -1),
        (Reasoning(adaptive=True), PRO, None, -1),
        (level("minimal"), UNKNOWN, None, 512),
        (level("minimal"), CLAUDE, None, 1024),
        (level("high"), PRO, None, 24576),
        (level("max"), PRO, None, 32768),
        (level("max"), UNKNOWN, None, 128000),
        (budget(5), PRO, None, 128),
        (budget(5000), PRO, None, 5000),
        (level("enormous"), PRO, None, None),
        (Reasoning(level="low", adaptive=True), CLAUDE, None, 1024),
        # below the limit of the whole answer
        (budget(5000), CLAUDE, 5001, 5000),
        (budget(5000), CLAUDE, 5000, 4999),
        (budget(5000), CLAUDE, 1025, 1024),
        (budget(5000), CLAUDE, 1024, 0),
        (budget(5000), UNKNOWN, 1, 0),
    ],
)
def test_the_budget_sent(
    reasoning: Reasoning, traits: Traits, max_tokens: int | None, sent: int | None
) -> None:
    assert budget_for(reasoning, traits, max_tokens) == sent


def test_a_free_amount_is_a_medium_one_where_it_must_be_a_number() -> None:
    free = Reasoning(adaptive=True)
    assert budget_for(free, CLAUDE, takes_dynamic=False) == 8192
    assert budget_for(budget(-1), CLAUDE, 2000, takes_dynamic=False) == 1999


@given(
    reasoning=st.sampled_from([*BUDGETS]).map(level) | st.integers(1, 200_000).map(budget),
    max_tokens=st.integers(1, 200_000),
)
def test_a_budget_keeps_its_bounds(reasoning: Reasoning, max_tokens: int) -> None:
    sent = budget_for(reasoning, CLAUDE, max_tokens)
    assert sent == 0 or 1024 <= (sent or 0) < max_tokens


@pytest.mark.parametrize(
    ("model", "name", "reasoning"),
    [
        ("m(8192)", "m", budget(8192)),
        ("m(0)", "m", budget(0)),
        ("m(high)", "m", level("high")),
        ("m(XHigh)", "m", level("xhigh")),
        ("m(max)", "m", level("max")),
        ("m(none)", "m", level("none")),
        ("m(auto)", "m", level("auto")),
        ("m(-1)", "m", level("auto")),
        ("a(b)(low)", "a(b)", level("low")),
        ("vendor/m-2.5(minimal)", "vendor/m-2.5", level("minimal")),
    ],
)
def test_a_suffix_is_taken_off(model: str, name: str, reasoning: Reasoning) -> None:
    assert split_suffix(model) == (name, reasoning)


@pytest.mark.parametrize(
    "model",
    [
        *("m", "", "m()", "m( )", "(high)", "m(high) ", "m(high", "m)", "m(((high)))"),
        *("m(-2)", "m(8k)", "m(1.5)", "m(fast)", "m(\u0663)", f"m({'9' * 5000})"),
    ],
)
def test_what_is_no_suffix_stays_in_the_name(model: str) -> None:
    assert split_suffix(model) == (model, None)


def test_a_suffix_overrides_the_body_but_not_what_is_shown() -> None:
    said = Reasoning(level="low", adaptive=True, show=True, summary="auto")
    request = Request("m", (), reasoning=said)
    assert with_suffix(request, None) is request
    assert with_suffix(request, budget(7)).reasoning == Reasoning(
        budget=7, show=True, summary="auto"
    )
