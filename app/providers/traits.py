"""What each family of models takes and refuses.

Providers publish most of this in prose only, so the table is read from documents and from the
refusals that other gateways met. A model nobody knows gets ``UNKNOWN``: everything passes, and
the upstream has the last word.

Sources, read in autumn 2026: the model tables of CLIProxyAPI (thinking ranges, output limits),
Anthropic's, OpenAI's and Google's model pages and their SDKs' types, error texts in public bug
reports. Rows marked "guess" carry on what the family's last known model does.
"""

from __future__ import annotations

import re
from dataclasses import replace
from fnmatch import translate
from functools import lru_cache

from app.ir.traits import UNKNOWN, ThinkingStyle, Traits

_MAKERS = frozenset({"openai", "codex", "claude", "anthropic", "gemini", "vertex"})
_CACHED = 4096
"""Names are the clients' to choose; the cache must not grow with them."""


def is_official(provider: str) -> bool:
    """Whether a provider knows all of its protocol, not only what every compatible host knows."""
    return provider in _MAKERS


@lru_cache(maxsize=_CACHED)
def traits_of(model: str, provider: str = "") -> Traits:
    """The traits of a model.

    Args:
        model: the upstream's name. The maker in front (``anthropic/``, ``models/``), the variant
            behind a colon, a date, and dots for dashes in versions do not matter.
        provider: the provider's name; only the makers insist on their own signatures.
    """
    name = _plain(model)
    for pattern, traits in _PATTERNS:
        if pattern.fullmatch(name):
            return _as_hosted(traits, provider)
    return UNKNOWN


def _as_hosted(traits: Traits, provider: str) -> Traits:
    """Hosts between us and the maker see to signatures themselves."""
    if traits.needs_call_seal and provider and not is_official(provider):
        return replace(traits, needs_call_seal=False)
    return traits


def _plain(model: str) -> str:
    """The bare name in lower case, versions of Claude with dashes."""
    name = model.strip().lower().rsplit("/", 1)[-1]
    name = re.split(r"[:@\[]", name, maxsplit=1)[0]
    name = re.sub(r"^(?:(?:us|eu|apac|global)\.)?(?:anthropic|openai|google)\.", "", name)
    if name.startswith("claude-"):
        name = name.replace(".", "-")
    return re.sub(r"-(?:latest|20\d{6}|20\d\d-\d\d-\d\d)(?:-v\d+)?$", "", name)


# --- Claude ----------------------------------------------------------------------------------

_CLAUDE = Traits(
    has_structured_output=False,
    takes_system_turns=False,
    max_output=8192,
)
_CLAUDE_4 = replace(
    _CLAUDE,
    style=ThinkingStyle.BUDGET,
    budget_min=1024,
    budget_max=128000,
    max_output=32000,
)
_CLAUDE_4_5 = replace(
    _CLAUDE_4, max_output=64000, takes_both_t_and_p=False, has_structured_output=True
)
_CLAUDE_4_6 = replace(
    _CLAUDE_4_5,
    style=ThinkingStyle.ADAPTIVE,
    levels=("low", "medium", "high", "max"),
    takes_prefill=False,
)
_CLAUDE_4_7 = replace(
    _CLAUDE_4_6,
    levels=("low", "medium", "high", "xhigh", "max"),
    budget_min=0,
    budget_max=0,
    max_output=128000,
    takes_temperature=False,
    takes_top_p=False,
    takes_top_k=False,
)
_CLAUDE_4_8 = replace(_CLAUDE_4_7, takes_system_turns=True)
_CLAUDE_5 = replace(_CLAUDE_4_8, thinks_by_default=True)

# --- Gemini ----------------------------------------------------------------------------------

_GEMINI = Traits(
    takes_media_in_results=False,
    searches_beside_functions=False,
    takes_system_turns=False,
    max_output=8192,
)
_GEMINI_2_5 = replace(
    _GEMINI,
    style=ThinkingStyle.BUDGET,
    budget_max=24576,
    thinks_by_default=True,
    max_output=65536,
)
_GEMINI_2_5_PRO = replace(_GEMINI_2_5, budget_min=128, budget_max=32768, can_be_off=False)
_GEMINI_2_5_LITE = replace(_GEMINI_2_5, budget_min=512, thinks_by_default=False)
_GEMINI_3 = replace(
    _GEMINI,
    style=ThinkingStyle.LEVEL,
    levels=("minimal", "low", "medium", "high"),
    can_be_off=False,
    thinks_by_default=True,
    max_output=65536,
    takes_media_in_results=True,
    needs_call_seal=True,
    searches_beside_functions=True,
)

# --- OpenAI ----------------------------------------------------------------------------------

_GPT = Traits(takes_top_k=False)
_GPT_OLD = replace(_GPT, has_structured_output=False, max_output=4096)
_REASONING = replace(
    _GPT,
    style=ThinkingStyle.EFFORT,
    levels=("low", "medium", "high"),
    can_be_off=False,
    thinks_by_default=True,
    takes_temperature=False,
    takes_top_p=False,
    takes_both_t_and_p=False,
    takes_stop=False,
    wants_max_completion_tokens=True,
    max_output=100000,
)
_GPT_5 = replace(_REASONING, levels=("minimal", "low", "medium", "high"), max_output=128000)
_GPT_5_1 = replace(
    _GPT_5,
    levels=("none", "low", "medium", "high"),
    can_be_off=True,
    thinks_by_default=False,
)
_GPT_5_2 = replace(_GPT_5_1, levels=("none", "low", "medium", "high", "xhigh"))
_CODEX = replace(_REASONING, levels=("low", "medium", "high"), max_output=128000)
_CODEX_MAX = replace(_CODEX, levels=("low", "medium", "high", "xhigh"))

# --- open weights ----------------------------------------------------------------------------

_OPEN = Traits(
    style=ThinkingStyle.EFFORT,
    levels=("low", "medium", "high"),
    can_be_off=False,
    thinks_by_default=True,
)
_DEEPSEEK = Traits(
    style=ThinkingStyle.EFFORT,
    levels=("low", "medium", "high", "xhigh", "max"),  # it counts them as high and max
    thinks_by_default=True,
)

_TABLE: tuple[tuple[str, Traits], ...] = (
    # Anthropic; the most telling patterns first
    ("claude-3-7-sonnet*", replace(_CLAUDE_4, max_output=8192)),
    ("claude-3-5-*", _CLAUDE),
    ("claude-3-*", replace(_CLAUDE, max_output=4096)),
    ("claude-opus-4-1*", replace(_CLAUDE_4, takes_both_t_and_p=False, has_structured_output=True)),
    ("claude-opus-4-5*", _CLAUDE_4_5),
    ("claude-sonnet-4-5*", _CLAUDE_4_5),
    ("claude-haiku-4-5*", _CLAUDE_4_5),
    ("claude-opus-4-6*", replace(_CLAUDE_4_6, max_output=128000)),
    ("claude-*-4-6*", _CLAUDE_4_6),
    ("claude-*-4-7*", _CLAUDE_4_7),
    ("claude-*-4-[89]*", _CLAUDE_4_8),
    ("claude-opus-4", _CLAUDE_4),
    ("claude-opus-4-0", _CLAUDE_4),
    ("claude-sonnet-4", replace(_CLAUDE_4, max_output=64000)),
    ("claude-sonnet-4-0", replace(_CLAUDE_4, max_output=64000)),
    ("claude-opus-5*", _CLAUDE_5),
    ("claude-sonnet-5*", _CLAUDE_5),
    ("claude-fable-5*", _CLAUDE_4_8),
    ("claude-*-5*", _CLAUDE_4_8),  # guess
    # Google
    ("gemini-2.5-pro*", _GEMINI_2_5_PRO),
    ("gemini-2.5-flash-lite*", _GEMINI_2_5_LITE),
    ("gemini-2.5-flash*", _GEMINI_2_5),
    ("gemini-pro", _GEMINI_2_5_PRO),  # their names end in -latest
    ("gemini-flash-lite", _GEMINI_2_5_LITE),
    ("gemini-flash", _GEMINI_2_5),
    ("gemini-3-pro*", replace(_GEMINI_3, levels=("low", "high"))),
    ("gemini-3.1-pro*", replace(_GEMINI_3, levels=("low", "medium", "high"))),
    ("gemini-3.1-flash-lite*", replace(_GEMINI_3, levels=("minimal", "high"))),
    ("gemini-3.1-flash-image*", replace(_GEMINI_3, levels=("minimal", "high"))),
    ("gemini-3*-pro*", replace(_GEMINI_3, levels=("low", "medium", "high"))),  # guess
    ("gemini-3*", _GEMINI_3),
    ("gemini-2*", _GEMINI),
    ("gemini-1*", _GEMINI),
    # OpenAI
    ("gpt-5*-chat*", replace(_GPT, wants_max_completion_tokens=True, max_output=16384)),
    ("gpt-5.1-codex-max*", _CODEX_MAX),
    ("gpt-5-codex*", _CODEX),
    ("gpt-5.1-codex*", _CODEX),
    ("gpt-5.*-codex*", _CODEX_MAX),
    ("gpt-5-pro*", replace(_GPT_5, levels=("high",))),
    ("gpt-5.*-pro*", replace(_GPT_5, levels=("medium", "high", "xhigh"))),
    ("gpt-5.1*", _GPT_5_1),
    (
        "gpt-5.6*",
        replace(_GPT_5_2, levels=("none", "low", "medium", "high", "xhigh", "max")),
    ),
    ("gpt-5.*", _GPT_5_2),
    ("gpt-5*", _GPT_5),
    ("gpt-4.1*", replace(_GPT, max_output=32768)),
    ("gpt-4o*", replace(_GPT, max_output=16384)),
    ("chatgpt-4o*", replace(_GPT_OLD, max_output=16384)),
    ("gpt-oss*", _OPEN),
    ("gpt-3.5*", _GPT_OLD),
    ("gpt-4", _GPT_OLD),
    ("gpt-4-*", _GPT_OLD),
    ("gpt-*", _GPT),
    ("o1*", replace(_REASONING, takes_stop=True)),
    ("o3*", _REASONING),
    ("o[4-9]*", _REASONING),
    # open weights, served by many hosts
    ("deepseek-v4*", _DEEPSEEK),
)
_PATTERNS = tuple((re.compile(translate(glob)), traits) for glob, traits in _TABLE)
