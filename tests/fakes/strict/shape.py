"""What a JSON value must look like, and how a service words that it does not.

A ``Check`` looks at one value and raises ``Refused``. Each service has a ``Wording``; the rest is
shared, so that a validator reads like the table in the service's reference.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn, TypeAlias

from typing_extensions import override

Step: TypeAlias = str | int


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a service refuses a request: its own sentence, and the member it is about."""

    message: str
    where: str = ""
    code: str | None = None
    status: int = 400


class Refused(Exception):
    """A request is wrong."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class Wording(ABC):
    """How one service names places and words its refusals."""

    @abstractmethod
    def place(self, path: tuple[Step, ...]) -> str: ...

    @abstractmethod
    def unknown(self, path: tuple[Step, ...], name: str) -> Problem: ...

    @abstractmethod
    def missing(self, path: tuple[Step, ...], name: str) -> Problem: ...

    @abstractmethod
    def wrong(self, path: tuple[Step, ...], expected: str, value: Any) -> Problem: ...


@dataclass(frozen=True, slots=True)
class At:
    """A place in a request."""

    wording: Wording
    path: tuple[Step, ...] = ()

    def __truediv__(self, step: Step) -> At:
        return replace(self, path=(*self.path, step))

    @override
    def __str__(self) -> str:
        return self.wording.place(self.path)

    def refuse(self, message: str, code: str | None = None) -> NoReturn:
        raise Refused(Problem(message, str(self), code))

    def wrong(self, expected: str, value: Any) -> NoReturn:
        raise Refused(self.wording.wrong(self.path, expected, value))

    def unknown(self, name: str) -> NoReturn:
        raise Refused(self.wording.unknown(self.path, name))

    def missing(self, name: str) -> NoReturn:
        raise Refused(self.wording.missing(self.path, name))


Check: TypeAlias = Callable[[Any, At], None]
Members: TypeAlias = Mapping[str, Check]
NO_MEMBERS: Members = {}


def anything(value: Any, at: At) -> None:
    """Take any JSON value."""


def flag(value: Any, at: At) -> None:
    """Take true or false."""
    if not isinstance(value, bool):
        at.wrong("a boolean", value)


def map_(value: Any, at: At) -> None:
    """Take an object with any members."""
    if not isinstance(value, dict):
        at.wrong("an object", value)


def text(pattern: str = "", *, least: int = 0, most: int | None = None) -> Check:
    """Take a string, within some length, that fits a pattern as a whole."""
    fits = re.compile(pattern) if pattern else None

    def check(value: Any, at: At) -> None:
        if not isinstance(value, str):
            at.wrong("a string", value)
        if len(value) < least:
            at.refuse(f"Invalid '{at}': empty string. Expected at least {least} characters.")
        if most is not None and len(value) > most:
            at.refuse(
                f"Invalid '{at}': string too long. Expected a string with maximum length {most},"
                f" but got a string with length {len(value)} instead.",
                "string_above_max_length",
            )
        if fits and not fits.fullmatch(value):
            at.refuse(f"Invalid '{at}': string does not match pattern '{pattern}'.")

    return check


def integer(least: int | None = None, most: int | None = None) -> Check:
    """Take a whole number within a range."""

    def check(value: Any, at: At) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            at.wrong("an integer", value)
        _in_range(value, least, most, at)

    return check


def number(least: float | None = None, most: float | None = None) -> Check:
    """Take a number within a range."""

    def check(value: Any, at: At) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            at.wrong("a number", value)
        _in_range(value, least, most, at)

    return check


def _in_range(value: float, least: float | None, most: float | None, at: At) -> None:
    if least is not None and value < least:
        at.wrong(f"a value greater than or equal to {least}", value)
    if most is not None and value > most:
        at.wrong(f"a value less than or equal to {most}", value)


def one_of(*values: str) -> Check:
    """Take one of some words."""

    def check(value: Any, at: At) -> None:
        if value not in values:
            at.wrong("one of " + ", ".join(values), value)

    return check


def nullable(inner: Check) -> Check:
    """Take null as well."""

    def check(value: Any, at: At) -> None:
        if value is not None:
            inner(value, at)

    return check


def either(**kinds: Check) -> Check:
    """Choose the check by the value's JSON type: ``text``, ``list`` or ``map``."""
    types: dict[str, type] = {"text": str, "list": list, "map": dict}

    def check(value: Any, at: At) -> None:
        for kind, inner in kinds.items():
            if isinstance(value, types[kind]):
                inner(value, at)
                return
        at.wrong("one of " + ", ".join(kinds), value)

    return check


def list_of(inner: Check, least: int = 0, most: int | None = None) -> Check:
    """Take an array of some length."""

    def check(value: Any, at: At) -> None:
        if not isinstance(value, list):
            at.wrong("an array", value)
        if len(value) < least:
            at.refuse(f"Invalid '{at}': empty array. Expected at least {least} element(s).")
        if most is not None and len(value) > most:
            at.refuse(f"Invalid '{at}': array too long. Expected at most {most} element(s).")
        for index, entry in enumerate(value):
            inner(entry, at / index)

    return check


def map_of(inner: Check, most: int | None = None) -> Check:
    """Take an object whose members are all alike."""

    def check(value: Any, at: At) -> None:
        map_(value, at)
        if most is not None and len(value) > most:
            at.refuse(f"Invalid '{at}': too many properties. Expected at most {most}.")
        for name, entry in value.items():
            inner(entry, at / name)

    return check


def obj(required: Members = NO_MEMBERS, optional: Members = NO_MEMBERS) -> Check:
    """Take an object with these members and no others."""
    known = {**required, **optional}

    def check(value: Any, at: At) -> None:
        map_(value, at)
        for name in value:
            if name not in known:
                at.unknown(name)
        for name in required:
            if name not in value:
                at.missing(name)
        for name, entry in value.items():
            known[name](entry, at / name)

    return check


def tagged(kinds: Mapping[str, Check], tag: str = "type", default: str | None = None) -> Check:
    """Choose an object's check by one of its members."""

    def check(value: Any, at: At) -> None:
        map_(value, at)
        kind = value.get(tag, default)
        if kind is None:
            at.missing(tag)
        inner = kinds.get(kind) if isinstance(kind, str) else None
        if inner is None:
            (at / tag).wrong("one of " + ", ".join(kinds), kind)
        inner(value, at)

    return check


def base64_text(value: Any, at: At) -> None:
    """Take base64 with padding, no ``data:`` in front, not empty."""
    text(least=1)(value, at)
    if value.startswith("data:"):
        at.refuse(f"Invalid '{at}': expected base64, got a data URL.")
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        at.refuse(f"Invalid '{at}': not valid base64.")


def web_url(value: Any, at: At) -> None:
    """Take an address of the public web."""
    text(r"https?://\S+")(value, at)


def data_url(*types: str) -> Check:
    """Take a ``data:`` URL in base64 of one of some media types; none given = any."""

    def check(value: Any, at: At) -> None:
        text()(value, at)
        found = re.fullmatch(r"data:([\w.+-]+/[\w.+-]+);base64,(.+)", value, re.DOTALL)
        if not found or (types and found[1] not in types):
            at.refuse(f"Invalid '{at}': expected a base64-encoded data URL with a known type.")
        base64_text(found[2], at)

    return check


def parsed(body: bytes, at: At) -> Any:
    """The JSON object a body holds."""

    def no_constant(name: str) -> NoReturn:
        at.refuse(f"We could not parse the JSON body of your request: {name} is no JSON")

    try:
        document = json.loads(body, parse_constant=no_constant)
    except ValueError as error:
        at.refuse(f"We could not parse the JSON body of your request: {error}")
    map_(document, at)
    return document


def first_problem(check: Callable[[], None]) -> Problem | None:
    """What a check finds wrong, None for nothing."""
    try:
        check()
    except Refused as refused:
        return refused.problem
    return None


class OpenAIWording(Wording):
    """``messages[0].content``; sentences as in OpenAI's error answers."""

    @override
    def place(self, path: tuple[Step, ...]) -> str:
        name = ""
        for step in path:
            name += f"[{step}]" if isinstance(step, int) else f".{step}" if name else step
        return name

    @override
    def unknown(self, path: tuple[Step, ...], name: str) -> Problem:
        where = self.place((*path, name))
        return Problem(f"Unknown parameter: '{where}'.", where, "unknown_parameter")

    @override
    def missing(self, path: tuple[Step, ...], name: str) -> Problem:
        where = self.place((*path, name))
        return Problem(
            f"Missing required parameter: '{where}'.", where, "missing_required_parameter"
        )

    @override
    def wrong(self, path: tuple[Step, ...], expected: str, value: Any) -> Problem:
        where = self.place(path)
        told = json.dumps(value)[:60]
        return Problem(
            f"Invalid type for '{where}': expected {expected}, but got {told} instead.",
            where,
            "invalid_type",
        )


class AnthropicWording(Wording):
    """``messages.0.content``; sentences as in Anthropic's error answers."""

    @override
    def place(self, path: tuple[Step, ...]) -> str:
        return ".".join(str(step) for step in path)

    @override
    def unknown(self, path: tuple[Step, ...], name: str) -> Problem:
        where = self.place((*path, name))
        return Problem(f"{where}: Extra inputs are not permitted", where)

    @override
    def missing(self, path: tuple[Step, ...], name: str) -> Problem:
        where = self.place((*path, name))
        return Problem(f"{where}: Field required", where)

    @override
    def wrong(self, path: tuple[Step, ...], expected: str, value: Any) -> Problem:
        where = self.place(path)
        told = json.dumps(value)[:60]
        return Problem(f"{where}: Input should be {expected}, not {told}", where)


class GoogleWording(Wording):
    """``contents[0].parts``; sentences as in Google's error answers."""

    @override
    def place(self, path: tuple[Step, ...]) -> str:
        return OpenAIWording().place(path)

    @override
    def unknown(self, path: tuple[Step, ...], name: str) -> Problem:
        where = self.place(path)
        place = f" at '{where}'" if where else ""
        return Problem(
            f'Invalid JSON payload received. Unknown name "{name}"{place}: Cannot find field.',
            where,
        )

    @override
    def missing(self, path: tuple[Step, ...], name: str) -> Problem:
        where = self.place((*path, name))
        return Problem(f"* GenerateContentRequest.{where}: {name} is not specified", where)

    @override
    def wrong(self, path: tuple[Step, ...], expected: str, value: Any) -> Problem:
        where = self.place(path)
        told = json.dumps(value)[:60]
        return Problem(f"Invalid value at '{where}': {told}, expected {expected}", where)
