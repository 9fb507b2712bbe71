"""The steps of an answer, in no vendor's shape, and the grammar they keep.

    Start (Open (Delta | Cite)* Shut)* Finish   with UsageEvent anywhere between Start and Finish,
                                                and Flush anywhere at all

A whole answer is a stream that came at once: both are the same events.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from app.errors import Garbled
from app.ir.parts import Citation, Media, Seal


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
    REFUSAL = "refusal"
    THINKING = "thinking"
    TOOL_CALL = "tool_call"
    MEDIA = "media"


class FinishReason(enum.Enum):
    """Why an answer ended."""

    STOP = "stop"
    LENGTH = "length"
    WINDOW = "window"
    """The context window is full."""

    TOOL_CALLS = "tool_calls"
    REFUSAL = "refusal"
    """The model declined, or a filter stopped it."""

    PAUSE = "pause"
    """Claude's server tools want to go on; the answer is to be sent back."""


@dataclass(frozen=True, slots=True)
class Start:
    """An answer begins. ``answer_id`` carries no vendor's prefix; ``created_s`` is Unix time."""

    answer_id: str
    model: str
    created_s: int


@dataclass(frozen=True, slots=True)
class Open:
    """A part begins.

    ``call_id``, ``name``, ``namespace`` and ``custom`` belong to tool calls and mean what they
    mean in ``ToolCall``; ``media`` is all of a medium, which has no deltas.
    """

    kind: PartKind
    call_id: str = ""
    name: str = ""
    namespace: str = ""
    custom: bool = False
    media: Media | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """More of the open part: its text, or JSON text of a tool call's arguments."""

    text: str


@dataclass(frozen=True, slots=True)
class Cite:
    """Where the open text comes from."""

    citation: Citation


@dataclass(frozen=True, slots=True)
class Shut:
    """The open part is whole.

    ``seal`` proves a thinking part, a call or a text to its issuer. ``redacted`` marks thinking
    whose words the issuer keeps to itself.
    """

    seal: Seal | None = None
    redacted: bool = False


@dataclass(frozen=True, slots=True)
class UsageEvent:
    """What has been used so far; a later one replaces an earlier one."""

    usage: Usage


@dataclass(frozen=True, slots=True)
class Finish:
    """The answer is whole.

    ``stop_sequence`` names the stop string that was met, ``detail`` says why a model declined.
    """

    reason: FinishReason
    stop_sequence: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Flush:
    """Nothing more has come for now: what has been written is to be handed out.

    Decoders make one of each empty frame, encoders make an empty piece of each one.
    """


Event = Start | Open | Delta | Cite | Shut | UsageEvent | Finish | Flush


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
            case Delta() | Cite():
                fits = is_open
            case Shut():
                fits = is_open
                is_open = False
            case UsageEvent():
                fits = started and not finished
            case Finish():
                fits = started and not is_open and not finished
                finished = True
            case Flush():
                fits = True
        if not fits:
            raise Garbled(f"the answer is out of order at {type(event).__name__}")
        yield event
    if not finished:
        raise Garbled("the answer ended before it was finished")
