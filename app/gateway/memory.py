"""Reasoning goes on through clients that cannot carry its proof.

Some providers want their reasoning back with the next request of a tool loop: Claude its thinking
blocks, OpenAI its encrypted items, Gemini the signature of each call. A client that has no field
for them sends back the calls alone. What belongs to a call is therefore kept under the call's id,
and put back in front of it.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Protocol, TypeAlias

from app import clock
from app.errors import GatewayError
from app.ir.events import Delta, Event, Finish, Open, PartKind, Shut
from app.ir.parts import Part, Seal, Thinking, ToolCall
from app.ir.request import Request, Role, Turn

Kept: TypeAlias = Thinking | Seal
"""Thinking that came before a call, always with its seal, or the seal of the call itself."""

Entries: TypeAlias = Mapping[str, tuple[Kept, ...]]
"""What is kept for each call id: the thinking in its order, then the call's own seal."""

CACHED_BYTES = 16 << 20
CACHED_S = 3600.0
UNKNOWN_S = 60.0
"""How long a worker believes that nothing is kept for a call."""

_COVERS_TEXT = frozenset({"anthropic"})
"""Whose seals are over the words, so that those must come back to the letter."""

_log = logging.getLogger(__name__)


class SealStore(Protocol):
    """Keeps what belongs to tool calls for a day, for all workers and instances.

    A client finds what was kept for it and nothing else.
    """

    def start(self) -> None:
        """Begin to drop what has expired; ``save`` does so by itself."""

    def save(self, client_id: str, entries: Entries) -> None:
        """Return once the entries are safe; a value over its limit of size is left out.

        Raises:
            GatewayError: they could not be written.
        """

    def load(self, client_id: str, call_ids: Collection[str]) -> Entries:
        """What is kept for these calls; unknown and expired ones are missing.

        Raises:
            GatewayError: the store cannot be read.
        """

    def close(self) -> None:
        """Let go of everything; may be called twice."""


class CachedSeals:
    """A store with a small copy of its latest entries in this worker.

    It never fails: an answer must not be lost for its seals, and a request without them is still
    a request. A failure is logged, and this worker goes on with its copy.

    Args:
        store: what all workers share.
        size: bytes of text the copy may hold.
    """

    def __init__(self, store: SealStore, size: int = CACHED_BYTES) -> None:
        self._store = store
        self._size = size
        self._held = 0
        self._copy: OrderedDict[tuple[str, str], tuple[float, tuple[Kept, ...]]] = OrderedDict()

    def start(self) -> None:
        self._store.start()

    def close(self) -> None:
        self._store.close()

    def save(self, client_id: str, entries: Entries) -> None:
        """Return once the entries are safe, or their loss is logged."""
        if not entries:
            return
        for call_id, kept in entries.items():
            self._put((client_id, call_id), kept, CACHED_S)
        try:
            self._store.save(client_id, entries)
        except GatewayError as error:
            _log.warning("reasoning is not kept calls=%d error=%s", len(entries), error.message)

    def load(self, client_id: str, call_ids: Collection[str]) -> Entries:
        """What is kept for these calls, as far as it can be had."""
        found: dict[str, tuple[Kept, ...]] = {}
        unknown: list[str] = []
        for call_id in dict.fromkeys(call_ids):
            kept = self._get((client_id, call_id))
            if kept is None:
                unknown.append(call_id)
            elif kept:
                found[call_id] = kept
        if unknown:
            found.update(self._ask(client_id, unknown))
        return found

    def _ask(self, client_id: str, call_ids: Collection[str]) -> Entries:
        try:
            stored = self._store.load(client_id, call_ids)
        except GatewayError as error:
            _log.warning("reasoning is not found calls=%d error=%s", len(call_ids), error.message)
            return {}
        for call_id in call_ids:
            kept = stored.get(call_id, ())
            self._put((client_id, call_id), kept, CACHED_S if kept else UNKNOWN_S)
        return stored

    def _get(self, key: tuple[str, str]) -> tuple[Kept, ...] | None:
        entry = self._copy.get(key)
        if entry is None:
            return None
        if entry[0] <= clock.monotonic():
            self._drop(key)
            return None
        self._copy.move_to_end(key)
        return entry[1]

    def _put(self, key: tuple[str, str], kept: tuple[Kept, ...], lasts_s: float) -> None:
        self._drop(key)
        self._copy[key] = (clock.monotonic() + lasts_s, kept)
        self._held += _weight(key, kept)
        while self._held > self._size:
            self._drop(next(iter(self._copy)))

    def _drop(self, key: tuple[str, str]) -> None:
        entry = self._copy.pop(key, None)
        if entry is not None:
            self._held -= _weight(key, entry[1])


def _weight(key: tuple[str, str], kept: tuple[Kept, ...]) -> int:
    """Characters held, with a share for the objects around them."""
    total = 200 + len(key[1])
    for each in kept:
        seal = each if isinstance(each, Seal) else each.seal
        total += 200 + (len(each.text) if isinstance(each, Thinking) else 0)
        total += len(seal.value) if seal is not None else 0
    return total


def remembering(events: Iterable[Event], sink: Callable[[Entries], None]) -> Iterator[Event]:
    """Pass an answer on, and hand over what is to be kept of it before its ``Finish`` goes out.

    Args:
        events: a checked answer, its tool names and call ids as the client sees them.
        sink: called at most once, and only when the answer has a call with something to keep.
            While it works the answer waits, so what the client has seen whole is kept.
    """
    thinking: list[Thinking] = []
    entries: dict[str, tuple[Kept, ...]] = {}
    opened: Open | None = None
    pieces: list[str] = []
    for event in events:
        match event:
            case Open():
                opened, pieces = event, []
            case Delta(text) if opened is not None and opened.kind is PartKind.THINKING:
                pieces.append(text)
            case Shut(seal, redacted) if opened is not None:
                if opened.kind is PartKind.THINKING and seal is not None:
                    thinking.append(_kept("".join(pieces), seal, redacted))
                elif opened.kind is PartKind.TOOL_CALL and opened.call_id:
                    kept: tuple[Kept, ...] = (*thinking, *([seal] if seal else []))
                    if kept:
                        entries[opened.call_id] = kept
                opened = None
            case Finish() if entries:
                sink(entries)
            case _:
                pass  # the rest holds nothing that is sealed
        yield event


def _kept(text: str, seal: Seal, redacted: bool) -> Thinking:
    """Thinking without words that nobody needs back."""
    return Thinking(text if seal.issuer in _COVERS_TEXT else "", seal, redacted)


def missing(request: Request) -> tuple[str, ...]:
    """Ids of the calls whose proof the client did not send; empty = no store needs to be asked.

    Of a turn that has sealed thinking or a sealed call nothing is missing: its client keeps
    proofs, and of several calls at once Gemini seals only the first.
    """
    return tuple(
        dict.fromkeys(
            part.call_id
            for turn in request.turns
            if turn.role is Role.ASSISTANT and not _keeps_proofs(turn)
            for part in turn.parts
            if isinstance(part, ToolCall) and part.call_id
        )
    )


def recall(request: Request, found: Entries) -> Request:
    """Put back what was kept for the calls of a request.

    Thinking goes to the front of its turn, where it came from; what came between two calls goes
    in front of the second. Nothing that the client sent itself is doubled.
    """
    if not found:
        return request
    turns = tuple(
        _recalled(turn, found) if turn.role is Role.ASSISTANT and not _keeps_proofs(turn) else turn
        for turn in request.turns
    )
    return replace(request, turns=turns)


def _keeps_proofs(turn: Turn) -> bool:
    """Whether the client sent any proof with this turn; then it sends all there are."""
    return any(
        isinstance(part, (Thinking, ToolCall)) and part.seal is not None for part in turn.parts
    )


def _recalled(turn: Turn, found: Entries) -> Turn:
    own = [part for part in turn.parts if isinstance(part, Thinking)]
    placed: list[Thinking] = []
    parts: list[Part] = []
    for part in turn.parts:
        if isinstance(part, ToolCall):
            kept = found.get(part.call_id, ())
            fresh = [each for each in kept if isinstance(each, Thinking) and each not in placed]
            worded = [_worded(each, own[len(placed) + at :]) for at, each in enumerate(fresh)]
            if placed:
                parts.extend(worded)
            else:
                parts[:0] = worded
            placed.extend(fresh)
            seal = next((each for each in kept if isinstance(each, Seal)), None)
            parts.append(part if seal is None else replace(part, seal=seal))
        else:
            parts.append(part)
    if placed:
        # What a client repeats of the same thoughts without their proof is in the way.
        parts = [part for part in parts if not isinstance(part, Thinking) or part.seal is not None]
    return Turn(turn.role, tuple(parts))


def _worded(thinking: Thinking, own: list[Thinking]) -> Thinking:
    """Give sealed thinking whose words were not kept those that the client sent."""
    if thinking.text or thinking.redacted or not own or thinking.seal is None:
        return thinking
    covers = thinking.seal.issuer in _COVERS_TEXT
    return thinking if covers else replace(thinking, text=own[0].text)
