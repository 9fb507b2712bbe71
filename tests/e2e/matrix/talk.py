"""What the matrix tests talk about, in words of their own: not the product's, and no vendor's."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias

Body: TypeAlias = dict[str, Any]
PROTOCOLS = ("chat", "responses", "claude", "gemini")
NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Picture:
    """An image; ``data`` is base64, or ``url`` says where it is."""

    mime: str = "image/png"
    data: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Paper:
    """A PDF, or with ``mime`` text/plain a text document whose ``data`` is the text itself."""

    data: str = ""
    name: str = "report.pdf"
    mime: str = "application/pdf"


@dataclass(frozen=True, slots=True)
class Sound:
    """A recording in base64."""

    data: str
    form: str = "wav"


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call; ``arguments`` is JSON text, or free text of a custom tool."""

    id: str
    name: str
    arguments: str = "{}"
    custom: bool = False
    seal: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What a tool gave back."""

    id: str
    content: tuple[str | Picture, ...] = ()
    is_error: bool = False
    custom: bool = False
    name: str = ""

    @property
    def text(self) -> str:
        return "".join(piece for piece in self.content if isinstance(piece, str))

    @property
    def pictures(self) -> tuple[Picture, ...]:
        return tuple(piece for piece in self.content if isinstance(piece, Picture))


@dataclass(frozen=True, slots=True)
class Thought:
    """Reasoning and what proves it."""

    text: str
    seal: str = ""
    item_id: str = ""


Piece: TypeAlias = str | Picture | Paper | Sound | Call | Result | Thought


@dataclass(frozen=True, slots=True)
class Say:
    """One turn; ``role`` is system, user or assistant."""

    role: str
    pieces: tuple[Piece, ...]


def user(*pieces: Piece) -> Say:
    return Say("user", pieces)


def model(*pieces: Piece) -> Say:
    return Say("assistant", pieces)


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool; without a schema it takes no arguments."""

    name: str
    schema: Mapping[str, Any] | None = None
    description: str = "It helps."
    custom: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """A request.

    Attributes:
        choice: ``auto``, ``required``, ``none``, or ``=`` and a tool's name.
        extra: members of one protocol alone, laid over the body, by the protocol's name.
    """

    turns: tuple[Say, ...] = (Say("user", ("Say hello",)),)
    system: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    choice: str = ""
    parallel: bool | None = None
    limit: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    effort: str = ""
    budget: int | None = None
    show: bool = False
    schema: Mapping[str, Any] | None = None
    json: bool = False
    user: str = ""
    extra: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True)
class Used:
    """Tokens: all of the input, its parts read from and written to a cache, all of the output."""

    input: int = 21
    cached: int = 0
    written: int = 0
    output: int = 9
    reasoning: int = 0


@dataclass(frozen=True, slots=True)
class Source:
    """A citation of the whole text."""

    url: str
    title: str


@dataclass(frozen=True, slots=True)
class Tell:
    """An answer; ``finish`` is stop, length, calls, refusal or stop_string."""

    pieces: tuple[str | Call | Thought, ...] = ("Hello there, friend",)
    finish: str = "stop"
    used: Used = Used()
    source: Source | None = None
    stop_string: str = ""

    @property
    def text(self) -> str:
        return "".join(piece for piece in self.pieces if isinstance(piece, str))

    @property
    def calls(self) -> tuple[Call, ...]:
        return tuple(piece for piece in self.pieces if isinstance(piece, Call))

    @property
    def thoughts(self) -> tuple[Thought, ...]:
        return tuple(piece for piece in self.pieces if isinstance(piece, Thought))


@dataclass(frozen=True, slots=True)
class Got:
    """What a client's SDK says it was answered, in the client's own words for the finish."""

    text: str
    calls: tuple[Call, ...]
    thoughts: tuple[Thought, ...]
    finish: str
    used: Used | None
    urls: tuple[str, ...] = ()
    refusal: str = ""
    stop_string: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """One cell of the matrix."""

    client: str
    upstream: str
    stream: bool = False

    @property
    def is_relay(self) -> bool:
        return self.client == self.upstream


def exact(arguments: str) -> Any:
    """JSON text as a value whose integers are exact."""
    return json.loads(arguments or "{}")


Meant: TypeAlias = tuple[Any, ...]


def meaning(ask: Ask) -> list[Meant]:
    """What a history says, without ids, borders between texts and turns, or system text.

    Pictures in results are told behind the results of their step, where a protocol without
    pictures in results must put them.
    """
    said = list(_said(ask))
    merged: list[Meant] = []
    for meant in said:
        if meant[0] == "text" and merged and merged[-1][:2] == meant[:2]:
            merged[-1] = (*meant[:2], merged[-1][2] + meant[2])
        else:
            merged.append(meant)
    return merged


def _said(ask: Ask) -> Iterator[Meant]:
    names: dict[str, str] = {}
    for turn in ask.turns:
        if turn.role == "system":
            continue
        late: list[Meant] = []
        for piece in turn.pieces:
            match piece:
                case Call():
                    names[piece.id] = piece.name
                    value = piece.arguments if piece.custom else exact(piece.arguments)
                    yield ("call", piece.name, value)
                case Result():
                    name = names.get(piece.id) or piece.name
                    late += [_plain(turn.role, one) for one in piece.pictures]
                    yield ("result", name, piece.text, piece.is_error)
                case Thought():
                    pass
                case _:
                    yield from late
                    late = []
                    yield _plain(turn.role, piece)
        yield from late


def _plain(role: str, piece: Piece) -> Meant:
    match piece:
        case str():
            return ("text", role, piece)
        case Picture():
            return ("picture", piece.url or (piece.mime, piece.data))
        case Paper():
            return ("paper", piece.mime, piece.data)
        case _:
            return (type(piece).__name__.lower(), piece)


def system_text(ask: Ask) -> str:
    """All system text, in order, whatever its place."""
    later = [
        piece
        for turn in ask.turns
        if turn.role == "system"
        for piece in turn.pieces
        if isinstance(piece, str)
    ]
    return "\n\n".join([*ask.system, *later])
