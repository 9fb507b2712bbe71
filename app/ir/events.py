"""The steps of an answer, in no vendor's shape, and the grammar they keep.

    Start (Open Delta* Shut)* Finish      with Usage at any point between Start and Finish

A whole answer is a stream that came at once: both are the same events.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from app.errors import Garbled


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one answer; no token is counted in two fields.

    ``estimated`` marks counts that are ours and not the provider's.
    """

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    input_audio_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    output_audio_tokens: int = 0
    estimated: bool = False

    @property
    def input_total(self) -> int:
        """Everything sent, cached or not."""
        return (
            self.input_tokens
            + self.cache_read_tokens
            + self.cache_write_tokens
            + self.input_audio_tokens
        )

    @property
    def output_total(self) -> int:
        """Everything produced, reasoning included."""
        return self.output_tokens + self.reasoning_tokens + self.output_audio_tokens

    @property
    def total(self) -> int:
        """Input and output together."""
        return self.input_total + self.output_total


class PartKind(enum.Enum):
    """What a part of an answer is."""

    TEXT = "text"
    THINKING = "thinking"
    TOOL_CALL = "tool_call"


class FinishReason(enum.Enum):
    """Why an answer ended."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    REFUSAL = "refusal"


@dataclass(frozen=True, slots=True)
class Start:
    """An answer begins. ``answer_id`` carries no vendor's prefix; ``created_s`` is Unix time."""

    answer_id: str
    model: str
    created_s: int


@dataclass(frozen=True, slots=True)
class Open:
    """A part begins; ``call_id`` and ``name`` belong to tool calls."""

    kind: PartKind
    call_id: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Delta:
    """More of the open part: its text, or JSON text of a tool call's arguments."""

    text: str


@dataclass(frozen=True, slots=True)
class Shut:
    """The open part is whole; ``signature`` proves a thinking part to its issuer."""

    signature: str = ""


@dataclass(frozen=True, slots=True)
class UsageEvent:
    """What has been used so far; a later one replaces an earlier one."""

    usage: Usage


@dataclass(frozen=True, slots=True)
class Finish:
    """The answer is whole."""

    reason: FinishReason


Event = Start | Open | Delta | Shut | UsageEvent | Finish


def check(events: Iterable[Event]) -> Iterator[Event]:
    """Pass events on as long as they keep the grammar.

    Raises:
        Garbled: an event is out of place, or the stream ends before ``Finish``.
    """
    started = is_open = finished = False
    for event in events:
        match event:
            case Start():
                fits = not started
                started = True
            case Open():
                fits = started and not is_open and not finished
                is_open = True
            case Delta():
                fits = is_open
            case Shut():
                fits = is_open
                is_open = False
            case UsageEvent():
                fits = started and not finished
            case Finish():
                fits = started and not is_open and not finished
                finished = True
        if not fits:
            raise Garbled(f"the answer is out of order at {type(event).__name__}")
        yield event
    if not finished:
        raise Garbled("the answer ended before it was finished")
