"""A request in good order, whatever mess its history was.

Every protocol is strict about a different part of a history: ids, pairs, alternation, empty
texts. A tidy request keeps the rules of all of them, so that encoders need not look twice.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
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
    """A call, its own id or none yet, and the result found for it."""

    call: ToolCall
    result: ToolResult | None = None


def _ordered(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    clean = merged(piece for turn in turns for piece in _by_role(turn))
    if all(turn.role is Role.SYSTEM for turn in clean):
        return merged(Turn(Role.USER, turn.parts) for turn in clean)
    pairing = _Pairing()
    rest = [pairing.take(turn) for turn in clean]
    return merged(_answered(rest, pairing.steps))


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


class _Pairing:
    """Finds the call of each result, turn by turn.

    ``steps`` holds the calls of each assistant turn, by the turn's number.
    """

    def __init__(self) -> None:
        self.steps: dict[int, list[_Asked]] = {}
        self._number = -1
        self._open: list[_Asked] = []
        self._by_id: dict[str, deque[_Asked]] = {}

    def take(self, turn: Turn) -> Turn:
        """Note the calls or pair the results of the next turn; give it back without results."""
        self._number += 1
        if turn.role is Role.ASSISTANT:
            self._note([part for part in turn.parts if isinstance(part, ToolCall)])
            return turn
        results = [part for part in turn.parts if isinstance(part, ToolResult)]
        if not results:
            return turn
        orphans = self._pair(results)
        parts: list[Part] = []
        for part in turn.parts:
            if not isinstance(part, ToolResult):
                parts.append(part)
            elif id(part) in orphans:
                parts += _told(part)
        return Turn(turn.role, tuple(parts))

    def _note(self, calls: list[ToolCall]) -> None:
        if not calls:
            return
        self._open = self.steps[self._number] = [_Asked(call) for call in calls]
        step: defaultdict[str, deque[_Asked]] = defaultdict(deque)
        for asked in self._open:
            step[asked.call.call_id].append(asked)
        step.pop("", None)
        self._by_id |= step  # an id used again means the newer call from here on

    def _pair(self, results: list[ToolResult]) -> set[int]:
        """Pair by id, then by name, then by order; gives the ``id()`` of those left over."""
        unnamed = [result for result in results if not self._paired_by_id(result)]
        free = [asked for asked in self._open if asked.result is None]
        by_name: defaultdict[str, deque[_Asked]] = defaultdict(deque)
        for asked in free:
            by_name[asked.call.name].append(asked)
        unmatched = []
        for result in unnamed:
            queue = by_name.get(result.name)
            if queue and _may_pair(result, queue[0]):
                queue.popleft().result = result
            else:
                unmatched.append(result)
        left = deque(asked for asked in free if asked.result is None)
        orphans = set()
        for result in unmatched:
            if left and _may_pair(result, left[0]):
                left.popleft().result = result
            else:
                orphans.add(id(result))
        return orphans

    def _paired_by_id(self, result: ToolResult) -> bool:
        queue = self._by_id.get(result.call_id)
        if queue is None:
            return False
        queue[0].result = result
        if len(queue) > 1:  # calls that share an id take its results in order, the last one keeps
            queue.popleft()
        return True


def _may_pair(result: ToolResult, asked: _Asked) -> bool:
    """Without an id on one side; two ids that differ mean two calls."""
    return not (result.call_id and asked.call.call_id)


def _told(result: ToolResult) -> list[Part]:
    """A result nobody asked for, as something the user says."""
    name = result.name or result.call_id or "unknown"
    what = "Error" if result.is_error else "Result"
    texts = [piece.text for piece in result.content if isinstance(piece, Text)]
    told = f"{what} of the tool {name}:\n" + "\n".join(texts)
    return [Text(told.rstrip("\n")), *(p for p in result.content if isinstance(p, Media))]


def _answered(turns: list[Turn], steps: dict[int, list[_Asked]]) -> Iterator[Turn]:
    """The turns with unique ids, and behind each turn with calls one with their results."""
    taken = {asked.call.call_id for step in steps.values() for asked in step}
    used: set[str] = set()
    for number, turn in enumerate(turns):
        step = steps.get(number)
        if step is None:
            yield turn
            continue
        for place, asked in enumerate(step):
            asked.call = _named(asked.call, f"call_{number}_{place}", taken, used)
        calls = iter(step)
        yield Turn(
            turn.role,
            tuple(next(calls).call if isinstance(p, ToolCall) else p for p in turn.parts),
        )
        if number + 1 < len(turns):
            yield Turn(Role.USER, tuple(_result(asked) for asked in step))


def _named(call: ToolCall, made: str, taken: set[str], used: set[str]) -> ToolCall:
    """The call under an id that no other has.

    Args:
        call: any call; the first with an id of its own keeps it.
        made: the id for one that has none.
        taken: all ids of the request.
        used: the ids seen so far.
    """
    own = call.call_id
    if own and own not in used:
        used.add(own)
        return call
    base, count = own or made, 2 if own else 1
    found = base
    while found in taken:
        found, count = f"{base}_{count}", count + 1
    taken.add(found)
    used.add(found)
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
