"""A long piece of an agent's work, the same every time it is made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.e2e.matrix.asking import NO_ARGUMENTS
from tests.e2e.matrix.cases import HARD, PIXEL
from tests.e2e.matrix.talk import Ask, Call, Picture, Piece, Result, Say, Thought, Tool, model, user
from tests.fakes.strict.seals import claude_signature, gemini_signature, openai_encrypted

SYSTEM_SIZE = 20_000
TOOLS = 40
TURNS = 60

_RULE = "Rule {}: read a file before you change it, and say in one line what you did. Größe ✓\n"
_KINDS: tuple[dict[str, Any], ...] = (
    {
        "type": "object",
        "properties": {"path": {"type": "string"}, "line": {"type": "integer", "minimum": 1}},
        "required": ["path"],
        "additionalProperties": False,
    },
    {
        "type": "object",
        "properties": {
            "pattern": {"type": "string", "minLength": 1},
            "mode": {"type": "string", "enum": ["files", "lines", "count"], "default": "files"},
            "globs": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["pattern"],
    },
    {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
            "edits": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "properties": {
                        "old": {"type": "string"},
                        "new": {"type": ["string", "null"]},
                        "times": {"anyOf": [{"type": "integer"}, {"const": "all"}]},
                    },
                    "required": ["old", "new"],
                },
            }
        },
        "required": ["edits"],
    },
    NO_ARGUMENTS,
    HARD,
)


def tool(number: int, *, plain: bool) -> Tool:
    """The tool of this number; its schema is one of five."""
    schema = _KINDS[0] if plain else _KINDS[number % len(_KINDS)]
    return Tool(f"tool_{number:02}", schema, f"Does thing {number}.")


def _seal(client: str, number: int, thought: str) -> tuple[str, str]:
    """The proof that the client's own provider would have put on a thought."""
    match client:
        case "claude":
            return claude_signature(thought), ""
        case "responses":
            return openai_encrypted(f"rs_{number}"), f"rs_{number}"
        case _:
            return "", ""


def _arguments(number: int) -> str:
    return f'{{"path": "src/file_{number}.py", "line": {9007199254740993 + number}}}'


def _step(client: str, number: int) -> Iterator[Say]:
    """One turn of the agent and the results of its calls; every third step calls twice."""
    thought = f"Step {number}: the file must be read first,\n then changed. "
    pieces: list[Piece] = []
    if number % 2 == 0 and client != "chat":
        pieces.append(Thought(thought, *_seal(client, number, thought)))
    if number % 4:
        pieces.append(f"I look at file {number}. ")
    results: list[Piece] = []
    for each in range(1 + (number % 3 == 0)):
        call_id = f"call_{number}_{each}"
        name = f"tool_{(number * 7 + each) % TOOLS:02}"
        seal = gemini_signature(call_id) if client == "gemini" and not each else ""
        pieces.append(Call(call_id, name, _arguments(number), seal=seal))
        results.append(_result(client, number, call_id))
    yield model(*pieces)
    if number % 5 == 0:
        results.append(f"Mind the tests of file {number}.")
    yield user(*results)


def _result(client: str, number: int, call_id: str) -> Result:
    text = f"line {number}: ok\n" * (1 + number % 7)
    if number % 6 == 0 and client in ("responses", "claude", "gemini"):
        return Result(call_id, (text, Picture(data=PIXEL)))
    if number % 11 == 0 and client in ("claude", "gemini"):
        return Result(call_id, ("no such file",), is_error=True)
    return Result(call_id, (text,))


def transcript(client: str, *, plain: bool = False) -> Ask:
    """All of it, as a client of one protocol has it: with what it can say of proofs and pictures.

    ``plain`` gives all tools a schema that every service takes as it is.
    """
    system = "".join(_RULE.format(number) for number in range(SYSTEM_SIZE // 80))
    turns = [user("Repair the build. ", "Begin.", Picture(data=PIXEL))]
    for number in range((TURNS - 2) // 2):
        turns += _step(client, number)
    return Ask(
        tuple(turns),
        system=(system,),
        tools=tuple(tool(number, plain=plain) for number in range(TOOLS)),
        choice="auto",
        effort="high",
        show=True,
        limit=32_000,
    )
