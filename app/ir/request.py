"""A request for an answer, in no vendor's shape, and what gets lost of it on the way."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.ir.parts import NOTHING, Json, Opaque, Part


class Role(enum.Enum):
    """Who speaks. ``SYSTEM`` covers OpenAI's developer messages, wherever they stand."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side says in one go; tool results are parts of user turns."""

    role: Role
    parts: tuple[Part, ...]


class ToolKind(enum.Enum):
    """What a tool is."""

    FUNCTION = "function"
    CUSTOM = "custom"
    WEB_SEARCH = "web_search"
    CODE_EXECUTION = "code_execution"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool the model may use.

    Attributes:
        schema: JSON Schema of the arguments; None when there are none. Types in lower case.
        strict: None when nobody said.
        namespace: Responses' group; calls must come back with it.
        options: of a hosted tool: ``allowed_domains``, ``blocked_domains``, ``user_location``,
            ``max_uses``, ``search_context_size``; of a custom tool ``format``.
        raw: of a tool that only one protocol has (``OTHER``), as it came.
        deferred: Claude's ``defer_loading``: known, but not shown to the model yet.
    """

    name: str
    kind: ToolKind = ToolKind.FUNCTION
    description: str = ""
    schema: Mapping[str, Json] | None = None
    strict: bool | None = None
    namespace: str = ""
    options: Mapping[str, Json] = field(default_factory=lambda: NOTHING)
    raw: Opaque | None = None
    deferred: bool = False


class Choosing(enum.Enum):
    """Whether the model calls tools."""

    AUTO = "auto"
    REQUIRED = "required"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """How the model chooses; ``only`` limits it to some tools (one name = that one).

    ``REQUIRED`` with one name means: call this one.
    """

    mode: Choosing
    only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reasoning:
    """How much a model shall think; all None = nobody said.

    Attributes:
        level: none, minimal, low, medium, high, xhigh, max; ``auto`` = the model decides.
        budget: tokens; -1 = the model decides, 0 = none. At most one of level and budget is set,
            but for Claude's adaptive thinking with an effort: ``adaptive`` and ``level``.
        adaptive: Claude's word for "the model decides".
        show: whether the client wants to see thoughts; None = the protocol's own default.
        summary: Responses' ``auto``, ``concise``, ``detailed``.
    """

    level: str | None = None
    budget: int | None = None
    adaptive: bool = False
    show: bool | None = None
    summary: str = ""


class OutputKind(enum.Enum):
    """What form the answer's text must have."""

    TEXT = "text"
    JSON = "json"
    SCHEMA = "schema"


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """The form of the answer's text; ``schema`` is JSON Schema in lower-case types."""

    kind: OutputKind = OutputKind.TEXT
    name: str = ""
    schema: Mapping[str, Json] | None = None
    strict: bool | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Sampling:
    """The knobs of chance; None = nobody said."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stop: tuple[str, ...] = ()
    count: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks of a model.

    Attributes:
        turns: in order; system text stands where it was said, most often first.
        user: an id of the end user, already opaque.
        extras: members that only the client's protocol has and that change the meaning if they
            are left out; an encoder of another protocol drops them as losses or refuses.
        include_usage: Chat's switch; the others always say usage.
    """

    model: str
    turns: tuple[Turn, ...]
    stream: bool = False
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_calls: bool | None = None
    max_tokens: int | None = None
    sampling: Sampling = Sampling()
    reasoning: Reasoning = Reasoning()
    output: OutputFormat = OutputFormat()
    user: str = ""
    metadata: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    service_tier: str = ""
    verbosity: str = ""
    cache_key: str = ""
    modalities: tuple[str, ...] = ()
    extras: tuple[Opaque, ...] = ()
    include_usage: bool = True


@dataclass(frozen=True, slots=True)
class Loss:
    """A knob or part the target cannot say and that was left out.

    ``name`` is a short slug, sent to the client in a header: ``top_k``, ``seed``, ``logit_bias``.
    """

    name: str
