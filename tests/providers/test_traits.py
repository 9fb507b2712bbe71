"""The table of models, against what their makers and other gateways say of them."""

from __future__ import annotations

import pytest

from app.ir.traits import UNKNOWN, ThinkingStyle
from app.providers.traits import is_official, traits_of

EFFORT, BUDGET = ThinkingStyle.EFFORT, ThinkingStyle.BUDGET
LEVEL, ADAPTIVE = ThinkingStyle.LEVEL, ThinkingStyle.ADAPTIVE


@pytest.mark.parametrize(
    ("model", "least", "most", "can_be_off", "max_output"),
    [
        ("gemini-2.5-pro", 128, 32768, False, 65536),
        ("gemini-2.5-flash", 0, 24576, True, 65536),
        ("gemini-2.5-flash-lite", 512, 24576, True, 65536),
        ("gemini-2.5-flash-image", 0, 24576, True, 65536),
        ("gemini-pro-latest", 128, 32768, False, 65536),
        ("gemini-flash-latest", 0, 24576, True, 65536),
        ("gemini-flash-lite-latest", 512, 24576, True, 65536),
        ("claude-3-7-sonnet-20250219", 1024, 128000, True, 8192),
        ("claude-opus-4-20250514", 1024, 128000, True, 32000),
        ("claude-sonnet-4-20250514", 1024, 128000, True, 64000),
        ("claude-opus-4-1-20250805", 1024, 128000, True, 32000),
        ("claude-opus-4-5-20251101", 1024, 128000, True, 64000),
        ("claude-sonnet-4-5-20250929", 1024, 128000, True, 64000),
        ("claude-haiku-4-5-20251001", 1024, 128000, True, 64000),
    ],
)
def test_models_that_think_by_a_budget(
    model: str, least: int, most: int, can_be_off: bool, max_output: int
) -> None:
    traits = traits_of(model)
    assert (traits.style, traits.levels) == (BUDGET, ())
    assert (traits.budget_min, traits.budget_max) == (least, most)
    assert (traits.can_be_off, traits.max_output) == (can_be_off, max_output)


@pytest.mark.parametrize(
    ("model", "style", "levels", "can_be_off", "max_output"),
    [
        ("gemini-3-pro-preview", LEVEL, "low high", False, 65536),
        ("gemini-3-pro-image-preview", LEVEL, "low high", False, 65536),
        ("gemini-3.1-pro-preview", LEVEL, "low medium high", False, 65536),
        ("gemini-3-flash-preview", LEVEL, "minimal low medium high", False, 65536),
        ("gemini-3.1-flash-lite-preview", LEVEL, "minimal high", False, 65536),
        ("gemini-3.1-flash-image-preview", LEVEL, "minimal high", False, 65536),
        ("gemini-3.5-flash-lite", LEVEL, "minimal low medium high", False, 65536),
        ("gemini-3.7-flash", LEVEL, "minimal low medium high", False, 65536),
        ("claude-sonnet-4-6", ADAPTIVE, "low medium high max", True, 64000),
        ("claude-opus-4-6", ADAPTIVE, "low medium high max", True, 128000),
        ("claude-opus-4-7", ADAPTIVE, "low medium high xhigh max", True, 128000),
        ("claude-opus-4-8", ADAPTIVE, "low medium high xhigh max", True, 128000),
        ("claude-opus-5", ADAPTIVE, "low medium high xhigh max", True, 128000),
        ("claude-sonnet-5", ADAPTIVE, "low medium high xhigh max", True, 128000),
        ("claude-fable-5", ADAPTIVE, "low medium high xhigh max", True, 128000),
        ("gpt-5", EFFORT, "minimal low medium high", False, 128000),
        ("gpt-5-codex", EFFORT, "low medium high", False, 128000),
        ("gpt-5-pro", EFFORT, "high", False, 128000),
        ("gpt-5.1", EFFORT, "none low medium high", True, 128000),
        ("gpt-5.1-codex-max", EFFORT, "low medium high xhigh", False, 128000),
        ("gpt-5.2", EFFORT, "none low medium high xhigh", True, 128000),
        ("gpt-5.6", EFFORT, "none low medium high xhigh max", True, 128000),
        ("o3", EFFORT, "low medium high", False, 100000),
        ("o4-mini", EFFORT, "low medium high", False, 100000),
    ],
)
def test_models_that_think_by_a_level(
    model: str, style: ThinkingStyle, levels: str, can_be_off: bool, max_output: int
) -> None:
    traits = traits_of(model)
    assert (traits.style, traits.levels) == (style, tuple(levels.split()))
    assert (traits.can_be_off, traits.max_output) == (can_be_off, max_output)


@pytest.mark.parametrize(
    ("model", "takes"),
    [  # temperature, top_p, top_k, temperature and top_p together
        ("claude-3-5-haiku-20241022", (True, True, True, True)),
        ("claude-opus-4-20250514", (True, True, True, True)),
        ("claude-opus-4-1-20250805", (True, True, True, False)),
        ("claude-haiku-4-5", (True, True, True, False)),
        ("claude-sonnet-4-6", (True, True, True, False)),
        ("claude-opus-4-7", (False, False, False, False)),
        ("claude-sonnet-5", (False, False, False, False)),
        ("o3-mini", (False, False, False, False)),
        ("gpt-5-mini", (False, False, False, False)),
        ("gpt-5-chat-latest", (True, True, False, True)),
        ("gpt-4.1-mini", (True, True, False, True)),
        ("gemini-2.0-flash", (True, True, True, True)),
        ("gemini-3-flash", (True, True, True, True)),
    ],
)
def test_what_models_refuse_of_sampling(model: str, takes: tuple[bool, ...]) -> None:
    traits = traits_of(model)
    assert takes == (
        traits.takes_temperature,
        traits.takes_top_p,
        traits.takes_top_k,
        traits.takes_both_t_and_p,
    )


@pytest.mark.parametrize(
    ("trait", "have", "lack"),
    [
        ("wants_max_completion_tokens", "o1 o3 gpt-5.1 gpt-5-chat-latest", "gpt-4o gpt-4.1 llama"),
        ("takes_stop", "o1 gpt-4o claude-opus-5 gemini-3-pro", "o3 o4-mini gpt-5"),
        ("takes_prefill", "claude-opus-4-5 claude-3-7-sonnet", "claude-opus-4-6 claude-sonnet-5"),
        (
            "has_structured_output",
            "claude-opus-4-1 claude-haiku-4-5 claude-opus-5 gpt-4o",
            "claude-opus-4 claude-3-7-sonnet claude-sonnet-4 gpt-4-turbo gpt-3.5-turbo",
        ),
        ("takes_system_turns", "claude-opus-4-8 claude-sonnet-5 gpt-4o", "claude-opus-4-7"),
        ("needs_call_seal", "gemini-3-pro gemini-3.6-flash", "gemini-2.5-pro gpt-5"),
        ("takes_media_in_results", "gemini-3-pro claude-opus-4", "gemini-2.5-pro"),
        ("searches_beside_functions", "gemini-3-pro", "gemini-2.5-flash gemini-1.5-pro"),
        (
            "thinks_by_default",
            "claude-sonnet-5 claude-opus-5 gemini-2.5-flash gemini-2.5-pro gemini-3-pro gpt-5 o3",
            "claude-opus-4-8 gemini-2.5-flash-lite gpt-5.2 gpt-4o",
        ),
    ],
)
def test_what_else_models_take(trait: str, have: str, lack: str) -> None:
    assert [model for model in have.split() if not getattr(traits_of(model), trait)] == []
    assert [model for model in lack.split() if getattr(traits_of(model), trait)] == []


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("anthropic/claude-sonnet-4.5", "claude-sonnet-4-5"),
        ("anthropic/claude-3.7-sonnet:thinking", "claude-3-7-sonnet"),
        ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
        ("us.anthropic.claude-opus-4-1-20250805-v1:0", "claude-opus-4-1"),
        ("claude-opus-4-8[1m]", "claude-opus-4-8"),
        ("claude-opus-4-20250514", "claude-opus-4-0"),
        (" Claude-Opus-5-Latest ", "claude-opus-5"),
        ("models/gemini-3-flash-preview", "gemini-3-flash"),
        ("publishers/google/models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("openai/gpt-5.2-2025-12-11", "gpt-5.2"),
        ("openai/o4-mini-2025-04-16", "o4-mini"),
    ],
)
def test_a_name_may_be_dressed_up(written: str, plain: str) -> None:
    assert traits_of(plain) != UNKNOWN
    assert traits_of(written) == traits_of(plain)


@pytest.mark.parametrize("model", ["", "llama-4", "my-gpt-5", "claude", "omni", "deepseek-chat"])
def test_of_an_unknown_model_everything_passes(model: str) -> None:
    assert traits_of(model, "anthropic") == UNKNOWN


def test_open_models_take_what_hosts_give_them() -> None:
    assert traits_of("openai/gpt-oss-120b").levels == ("low", "medium", "high")
    assert traits_of("deepseek-v4-pro").levels[-1] == "max"
    assert traits_of("openai/gpt-oss-120b").takes_top_k


def test_only_the_maker_insists_on_its_signatures() -> None:
    assert traits_of("gemini-3-pro", "gemini").needs_call_seal
    assert not traits_of("google/gemini-3-pro", "openai-compatibility").needs_call_seal
    assert traits_of("gemini-2.5-pro", "gemini") == traits_of("gemini-2.5-pro", "other")


def test_who_is_a_maker() -> None:
    assert is_official("openai")
    assert is_official("gemini")
    assert not is_official("openai-compatibility")
    assert not is_official("demo")
