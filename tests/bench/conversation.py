"""What is said in a benchmark's requests, in no protocol's shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from tests.bench import payload

TURNS = 137


@dataclass(frozen=True, slots=True)
class Said:
    """Words of ``system``, ``user`` or ``assistant``."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """The model calls a tool."""

    call_id: str
    name: str
    arguments: dict[str, object]


@dataclass(frozen=True, slots=True)
class Result:
    """What the tool gave."""

    call_id: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool on offer."""

    name: str
    description: str
    schema: dict[str, object]


Turn: TypeAlias = Said | Call | Result


def short(last: str) -> list[Turn]:
    """Two messages; ``last`` ends the second."""
    asked = f"Explain in two sentences what a gateway is. {payload.WORDS}{last}"
    return [Said("system", "You are a careful assistant. " + payload.WORDS), Said("user", asked)]


def talk(last: str) -> list[Turn]:
    """A coding agent's turns: source read by tool calls, with all the escapes source needs."""
    turns: list[Turn] = [Said("system", payload.WORDS * 40)]
    for number in range(1, TURNS + 1):
        call_id = f"call_{number}"
        arguments = {"path": f"src/part_{number}.py", "from": 1, "to": 40, "why": payload.WORDS}
        turns += [
            Said("user", f"Look at part {number} – ünïcode as well.\n" + payload.WORDS),
            Call(call_id, "read_file", arguments),
            Result(call_id, "read_file", payload.CODE * 19),
            Said("assistant", f'Read "{number}".\n' + payload.WORDS * 4),
        ]
    return [*turns, Said("user", last)]


def tools() -> list[Tool]:
    """40 tools of four arguments each."""
    return [
        Tool(
            tool["function"]["name"],
            tool["function"]["description"],
            tool["function"]["parameters"],
        )
        for tool in payload.tools()
    ]


def lacks(body: bytes) -> str:
    """What is missing of ``talk`` in a body that holds it in another protocol's words, or nothing.

    A gateway that left turns or tools out would be fast for it.
    """
    for what, marks in (
        (b"Look at part ", TURNS),
        (b"src/part_", TURNS),
        (b"self.out.write", TURNS * 19),
        (b'Read \\"', TURNS),
        (b'"name":"tool_', 40),
        (b'"integer_1"', 40),
    ):
        if (found := body.count(what)) < marks:
            return f"{found} of {marks} times {what!r}"
    return ""
