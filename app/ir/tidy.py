"""A request in good order, whatever mess its history was.

Every protocol is strict about a different part of a history: ids, pairs, alternation, empty
texts. A tidy request keeps the rules of all of them, so that encoders need not look twice.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from app.ir.parts import Media, Part, Refusal, Text, Thinking, ToolCall, ToolResult
from app.ir.request import Request, Role, Tool, ToolKind, Turn

NO_RESULT = "No result: the call was interrupted."


def tidy(request: Request) -> Request:
    """Put the tools and the history of a request in order.

    Afterwards every call has an id of its own, and directly behind the turn with the calls
    stands one user turn that begins with one result for each, in the order of the calls; only
    the calls of a last turn may lack theirs. Turns of one role do not stand side by side, none
    is empty, no text is blank, and there is a turn that is not the system's. Functions and
    custom tools differ in name or namespace. A tidy request comes back equal.
    """
    return replace(request, turns=_ordered(request.turns), tools=_distinct(request.tools))


def merged(turns: Iterable[Turn]) -> tuple[Turn, ...]:
    """Turns without the empty ones, and neighbours of one role made one.

    For encoders as well, once they have left out parts or moved system text.
    """
    whole = (turn for turn in turns if turn.parts)
    groups = (list(group) for _, group in groupby(whole, key=lambda turn: turn.role))
    return tuple(group[0] if len(group) == 1 else _joined(group) for group in groups)


def _joined(turns: list[Turn]) -> Turn:
    parts = tuple(part for turn in turns for part in turn.parts)
    if turns[0].role is Role.USER:  # results lead, in their order
        parts = tuple(sorted(parts, key=lambda part: not isinstance(part, ToolResult)))
    return Turn(turns[0].role, parts)


def _distinct(tools: tuple[Tool, ...]) -> tuple[Tool, ...]:
    """Tools without second ones of a name; hosted tools may repeat (several MCP servers)."""
    seen: set[tuple[str, str]] = set()
    kept = []
    for tool in tools:
        key = (tool.namespace, tool.name)
        if tool.kind in (ToolKind.FUNCTION, ToolKind.CUSTOM):
            if key in seen:
                continue
            seen.add(key)
        kept.append(tool)
    return tuple(kept)


# --- the history -----------------------------------------------------------------------------


@dataclass(slots=True)
class _Asked:
    """A call, and the result found for it."""

    call: ToolCall
    result: ToolResult | None = None


@dataclass(slots=True)
class _Given:
    """A result, and whether it found its call."""

    result: ToolResult
    paired: bool = False

    def answer(self, queue: deque[_Asked], *, keep_last: bool = False) -> None:
        """Answer the first call waiting; ``keep_last`` lets later results answer the last again."""
        queue[0].result = self.result
        self.paired = True
        if len(queue) > 1 or not keep_last:
            queue.popleft()


_Steps = dict[int, list[_Asked]]
"""The calls of each turn that has some, by the turn's number."""

_Results = dict[int, list[_Given]]
"""The results of each turn that has some, by the turn's number."""


def _ordered(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    clean = merged(piece for turn in turns for piece in _by_role(turn))
    if all(turn.role is Role.SYSTEM for turn in clean):
        return merged(Turn(Role.USER, turn.parts) for turn in clean)
    steps = {n: asked for n, turn in enumerate(clean) if (asked := _asked(turn))}
    given = {n: results for n, turn in enumerate(clean) if (results := _given(turn))}
    _pair_by_id(len(clean), steps, given)
    _pair_the_rest(len(clean), steps, given)
    spoken = [_without_results(turn, given.get(n, [])) for n, turn in enumerate(clean)]
    return merged(_answered(spoken, steps))


def _by_role(turn: Turn) -> Iterator[Turn]:
    """A turn without its blank parts, split where a part can only be another role's."""
    parts = (cleaned for part in turn.parts if (cleaned := _cleaned(part)) is not None)
    for role, group in groupby(parts, key=lambda part: _speaker(part, turn.role)):
        yield Turn(role, tuple(group))


def _speaker(part: Part, role: Role) -> Role:
    match part:
        case ToolCall() | Thinking() | Refusal():
            return Role.ASSISTANT
        case ToolResult():
            return Role.USER
        case _:
            return role


def _cleaned(part: Part) -> Part | None:
    """The part without what is blank in it; None when nothing is left."""
    match part:
        case Text(text, seal=None) | Refusal(text):
            return part if text and not text.isspace() else None
        case Thinking(text, seal=None):
            return part if text and not part.redacted else None
        case ToolResult(content=content):
            kept = tuple(piece for piece in content if not _is_empty(piece))
            return part if len(kept) == len(content) else replace(part, content=kept)
        case _:
            return part


def _is_empty(piece: Text | Media) -> bool:
    return isinstance(piece, Text) and not piece.text


def _asked(turn: Turn) -> list[_Asked]:
    return [_Asked(part) for part in turn.parts if isinstance(part, ToolCall)]


def _given(turn: Turn) -> list[_Given]:
    return [_Given(part) for part in turn.parts if isinstance(part, ToolResult)]


def _pair_by_id(count: int, steps: _Steps, given: _Results) -> None:
    """Give calls the results that name their ids.

    This is done for the whole history before anything is guessed, so that a guess takes no call
    whose own result is still to come. Calls that share an id take its results in order.
    """
    waiting: dict[str, deque[_Asked]] = {}
    for number in range(count):
        waiting |= _queues(steps.get(number, []), _id)  # an id used again means the newer call
        for one in given.get(number, []):
            if one.result.call_id and (queue := waiting.get(one.result.call_id)):
                one.answer(queue, keep_last=True)


def _pair_the_rest(count: int, steps: _Steps, given: _Results) -> None:
    """Pair results with the calls of the step before them, by name and then by order."""
    step: list[_Asked] = []
    for number in range(count):
        step = steps.get(number, step)
        left = [one for one in given.get(number, []) if not one.paired]
        if not left:
            continue
        by_name = _queues(_free(step), _name)
        for one in left:
            _answer_first(one, by_name.get(one.result.name))
        in_order = deque(_free(step))
        for one in left:
            _answer_first(one, None if one.paired else in_order)


def _answer_first(one: _Given, queue: deque[_Asked] | None) -> None:
    """Two ids that differ mean two calls: one side must have none."""
    if queue and not (one.result.call_id and queue[0].call.call_id):
        one.answer(queue)


def _queues(step: list[_Asked], key: Callable[[_Asked], str]) -> defaultdict[str, deque[_Asked]]:
    queues: defaultdict[str, deque[_Asked]] = defaultdict(deque)
    for asked in step:
        queues[key(asked)].append(asked)
    return queues


def _id(asked: _Asked) -> str:
    return asked.call.call_id


def _name(asked: _Asked) -> str:
    return asked.call.name


def _free(step: list[_Asked]) -> list[_Asked]:
    return [asked for asked in step if asked.result is None]


def _without_results(turn: Turn, given: list[_Given]) -> Turn:
    """The turn with what else is said in it; results nobody asked for are said in words."""
    if not given:
        return turn
    results = iter(given)
    parts: list[Part] = []
    for part in turn.parts:
        if not isinstance(part, ToolResult):
            parts.append(part)
        elif not next(results).paired:
            parts += _told(part)
    return Turn(turn.role, tuple(parts))


def _told(result: ToolResult) -> list[Part]:
    """A result nobody asked for, as something the user says."""
    name = result.name or result.call_id or "unknown"
    what = "Error" if result.is_error else "Result"
    texts = [piece.text for piece in result.content if isinstance(piece, Text)]
    told = f"{what} of the tool {name}:\n" + "\n".join(texts)
    return [Text(told.rstrip("\n")), *(p for p in result.content if isinstance(p, Media))]


def _answered(turns: list[Turn], steps: _Steps) -> Iterator[Turn]:
    """The turns with unique ids, and behind each turn with calls one with their results."""
    ids = _Ids(asked.call.call_id for step in steps.values() for asked in step)
    for number, turn in enumerate(turns):
        step = steps.get(number)
        if step is None:
            yield turn
            continue
        for place, asked in enumerate(step):
            asked.call = ids.name(asked.call, f"call_{number}_{place}")
        calls = iter(step)
        yield Turn(
            turn.role,
            tuple(next(calls).call if isinstance(p, ToolCall) else p for p in turn.parts),
        )
        if number + 1 < len(turns):
            yield Turn(Role.USER, tuple(_result(asked) for asked in step))


class _Ids:
    """Gives each call of a request an id that no other has."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)
        self._used: set[str] = set()
        self._counts: dict[str, int] = {}

    def name(self, call: ToolCall, made: str) -> ToolCall:
        """The call under its id; the first to use an id keeps it, ``made`` is for those without."""
        own = call.call_id
        if own and own not in self._used:
            self._used.add(own)
            return call
        base = found = own or made
        while found in self._taken:
            self._counts[base] = count = self._counts.get(base, 1) + 1
            found = f"{base}_{count}"
        self._taken.add(found)
        self._used.add(found)
        return replace(call, call_id=found)


def _result(asked: _Asked) -> ToolResult:
    call, result = asked.call, asked.result
    if result is None:
        content = (Text(NO_RESULT),)
        return ToolResult(call.call_id, content, call.name, custom=call.custom)
    said = (call.call_id, call.name, call.custom)
    if (result.call_id, result.name, result.custom) == said:
        return result
    return replace(result, call_id=call.call_id, name=call.name, custom=call.custom)
