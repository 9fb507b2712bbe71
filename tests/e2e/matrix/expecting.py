"""What most cases expect: the same meaning upstream, the same answer at the client."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from tests.e2e.matrix.talk import PROTOCOLS, Ask, Got, Pair, Tell, exact, meaning, system_text

FINISH = MappingProxyType(
    {
        "chat": {
            "stop": "stop",
            "length": "length",
            "calls": "tool_calls",
            "refusal": "content_filter",
            "stop_string": "stop",
        },
        "responses": {
            "stop": "completed",
            "length": "incomplete:max_output_tokens",
            "calls": "completed",
            "refusal": "incomplete:content_filter",
            "stop_string": "completed",
        },
        "claude": {
            "stop": "end_turn",
            "length": "max_tokens",
            "calls": "tool_use",
            "refusal": "refusal",
            "stop_string": "stop_sequence",
        },
        "gemini": {
            "stop": "STOP",
            "length": "MAX_TOKENS",
            "calls": "STOP",
            "refusal": "SAFETY",
            "stop_string": "STOP",
        },
    }
)


def same_meaning(ask: Ask, heard: Ask, pair: Pair) -> None:
    """Nothing of the talk is lost, nothing added, and the order is kept."""
    assert meaning(heard) == meaning(ask)
    assert system_text(heard) == system_text(ask)


def same_answer(tell: Tell, got: Got, pair: Pair) -> None:
    """The client's SDK says what the upstream said."""
    assert got.text == tell.text
    assert [call.name for call in got.calls] == [call.name for call in tell.calls]
    for call, expected in zip(got.calls, tell.calls, strict=True):
        assert exact(call.arguments) == exact(expected.arguments)
        assert call.id or pair.client == "gemini"
    assert got.finish == FINISH[pair.client][tell.finish]
    assert "".join(t.text for t in got.thoughts) == "".join(t.text for t in tell.thoughts)
    same_usage(tell, got, pair)


def same_usage(tell: Tell, got: Got, pair: Pair) -> None:
    """Every number arrives, however each side counts."""
    assert got.used is not None
    assert (got.used.input, got.used.output) == (tell.used.input, tell.used.output)
    assert got.used.cached == tell.used.cached
    assert got.used.reasoning == tell.used.reasoning
    if "gemini" not in (pair.client, pair.upstream):
        assert got.used.written == tell.used.written


Hears: TypeAlias = Callable[[Ask, Ask, Pair], None]
Gets: TypeAlias = Callable[[Tell, Got, Pair], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong upstream, or cannot be said to it.

    Attributes:
        status: of the upstream's answer; 0 = it is not asked at all, or breaks off.
        shows: the statuses a client may see.
        says: words the client must read.
        breaks: a stream ends ``cut`` or with an ``error`` inside it.
    """

    status: int = 0
    shows: tuple[int, ...] = ()
    says: str = ""
    breaks: str = ""


HELLO, GREETING = Ask(), Tell()


@dataclass(frozen=True, slots=True)
class Case:
    """One concept.

    Attributes:
        hears: looks at what the upstream was asked.
        gets: looks at what the client's SDK says.
        clients, upstreams: where it can be said at all.
        new: asks the newest models, which think.
        relayed: whether it holds without translation too.
        fault: for some pairs the end is an error.
    """

    name: str
    ask: Ask = HELLO
    tell: Tell = GREETING
    hears: Hears = same_meaning
    gets: Gets = same_answer
    clients: tuple[str, ...] = PROTOCOLS
    upstreams: tuple[str, ...] = PROTOCOLS
    new: bool = False
    relayed: bool = True
    fault: Callable[[Pair], Fault | None] = lambda pair: None

    def pairs(self) -> list[Pair]:
        """The cells of the matrix this case has."""
        cells = [
            Pair(client, upstream, stream)
            for client in self.clients
            for upstream in self.upstreams
            for stream in (False, True)
        ]
        return [cell for cell in cells if self.relayed or not cell.is_relay]
