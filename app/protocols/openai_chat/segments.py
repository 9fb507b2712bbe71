"""The parts of a Chat answer, one at a time, from fragments that may be mixed.

Chat has no sign for the end of a call, and fragments of several calls may alternate. The first
one stays open; what belongs elsewhere waits until the open call's arguments are whole JSON, or
until the end. So nothing waits where calls come one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson

from app.errors import Garbled
from app.ir.events import Cite, Delta, Event, Open, PartKind, Shut
from app.ir.parts import Citation, Media, Seal


class Fragment(NamedTuple):
    """A piece of a call; everything but its text may be missing."""

    number: int | None
    call_id: str
    name: str
    text: str
    custom: bool
    seal: Seal | None


@dataclass(slots=True)
class _Words:
    """Text, thoughts, a refusal or a picture that has to wait."""

    kind: PartKind
    waiting: list[Delta | Cite] = field(default_factory=list)
    media: Media | None = None


@dataclass(slots=True)
class _Call:
    """A call; ``text`` is all of its arguments so far, ``sent`` how much of it is told."""

    call_id: str
    name: str
    custom: bool
    pieces: list[str] = field(default_factory=list)
    seal: Seal | None = None
    is_shut: bool = False

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def is_whole(self) -> bool:
        """Whether the arguments are an object, so that nothing can follow."""
        if self.custom or not self.pieces or not self.pieces[-1].rstrip().endswith("}"):
            return False
        try:
            orjson.loads(self.text)
        except orjson.JSONDecodeError:
            return False
        return True


class Segments:
    """Gives the events of parts in order.

    Attributes:
        answer_id: ids of calls that have none are made of it.
        called, refused, said: whether there was a call, a refusal, anything at all.
    """

    def __init__(self) -> None:
        self.answer_id = ""
        self.called = False
        self.refused = False
        self.said = False
        self._open: _Words | _Call | None = None
        self._waiting: list[_Words | _Call] = []
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._told_chars = 0  # of text parts before the open one
        self._open_chars = 0

    def words(self, kind: PartKind, text: str) -> Iterator[Event]:
        """More text of a kind."""
        self.said = True
        self.refused = self.refused or kind is PartKind.REFUSAL
        current = self._open
        if isinstance(current, _Words) and current.kind is kind and not self._waiting:
            if kind is PartKind.TEXT:
                self._open_chars += len(text)
            yield Delta(text)
            return
        last = self._waiting[-1] if self._waiting else None
        if not (isinstance(last, _Words) and last.kind is kind and last.media is None):
            last = _Words(kind)
            self._waiting.append(last)
        last.waiting.append(Delta(text))
        yield from self._advance()

    def goes_on(self, text: str) -> bool:
        """Take more of the open text; False when it is not text that is open, or something waits.

        What ``words`` would give is then one ``Delta``.
        """
        current = self._open
        if self._waiting or not isinstance(current, _Words) or current.kind is not PartKind.TEXT:
            return False
        self._open_chars += len(text)
        return True

    def cite(self, cite: Cite) -> Iterator[Event]:
        """A source of the latest text; it is left out when there is none."""
        last = self._waiting[-1] if self._waiting else self._open
        if not isinstance(last, _Words) or last.kind is not PartKind.TEXT:
            return
        if last is self._open:
            yield self._moved(cite)
        else:
            last.waiting.append(cite)

    def picture(self, media: Media) -> Iterator[Event]:
        """A whole picture."""
        self.said = True
        self._waiting.append(_Words(PartKind.MEDIA, media=media))
        yield from self._advance()

    def fragment(self, piece: Fragment) -> Iterator[Event]:
        """A piece of a call."""
        self.said = True
        call = self._call_of(piece)
        if call.is_shut:
            return  # a repetition of what was whole
        call.call_id = call.call_id or piece.call_id
        call.name = call.name or piece.name
        call.seal = call.seal or piece.seal
        if piece.text:
            call.pieces.append(piece.text)
        if call is not self._open:
            yield from self._advance()
            return
        if piece.text:
            yield Delta(piece.text)
        if self._waiting:
            yield from self._advance()

    def close(self) -> Iterator[Event]:
        """Everything that still waits."""
        yield from self._shut()
        while self._waiting:
            yield from self._begin(self._waiting.pop(0))
            yield from self._shut()

    def _call_of(self, piece: Fragment) -> _Call:
        """The call a piece belongs to; a new one when it can be no other's."""
        if piece.number is None:
            call = self._unnumbered(piece)
        else:
            call = self._by_index.get(piece.number)
            # One index for all calls, with an id and a name each: seen at compatible hosts.
            if call is not None and piece.name and piece.call_id not in ("", call.call_id):
                call = None if call.call_id else call
        if call is None:
            call = _Call(piece.call_id, piece.name, piece.custom)
            self._calls.append(call)
            self._waiting.append(call)
        if piece.number is not None:
            self._by_index[piece.number] = call
        return call

    def _unnumbered(self, piece: Fragment) -> _Call | None:
        """Google's own endpoint leaves the index out; ids and names tell calls apart."""
        if piece.call_id:
            for call in self._calls:
                if call.call_id == piece.call_id:
                    return call
        last = self._calls[-1] if self._calls else None
        if last is None or not piece.name:
            return last
        if (piece.call_id and last.call_id) or piece.name != last.name or last.is_whole():
            return None if last.name else last
        return last

    def _advance(self) -> Iterator[Event]:
        """Open what waits, as far as what is open may end."""
        while self._waiting and self._may_end() and self._may_begin(self._waiting[0]):
            yield from self._shut()
            yield from self._begin(self._waiting.pop(0))

    def _may_end(self) -> bool:
        return not isinstance(self._open, _Call) or self._open.is_whole()

    def _may_begin(self, segment: _Words | _Call) -> bool:
        """A call needs its name, and its id unless arguments came without one."""
        if isinstance(segment, _Words):
            return True
        return bool(segment.name) and bool(segment.call_id or segment.pieces)

    def _begin(self, segment: _Words | _Call) -> Iterator[Event]:
        if isinstance(segment, _Call):
            yield from self._begin_call(segment)
            return
        self._open = segment
        yield Open(segment.kind, media=segment.media)
        for event in segment.waiting:
            if isinstance(event, Cite):
                yield self._moved(event)
                continue
            if segment.kind is PartKind.TEXT:
                self._open_chars += len(event.text)
            yield event

    def _begin_call(self, call: _Call) -> Iterator[Event]:
        if not call.name:
            call.is_shut = True
            if call.text:
                raise Garbled("the provider's answer calls a tool without a name")
            return  # an empty shell, which some hosts send ahead
        self._open = call
        self.called = True
        # unique in the answer, and within the 40 letters that ids may have
        made = f"call_{self.answer_id[-24:]}_{self._calls.index(call)}"
        yield Open(PartKind.TOOL_CALL, call.call_id or made, call.name, custom=call.custom)
        if call.pieces:
            yield Delta(call.text)

    def _shut(self) -> Iterator[Event]:
        match self._open:
            case None:
                return
            case _Call() as call:
                call.is_shut = True
                if not call.text.strip() and not call.custom:
                    yield Delta("{}")
                yield Shut(call.seal)
            case _Words():
                self._told_chars += self._open_chars
                self._open_chars = 0
                yield Shut()
        self._open = None

    def _moved(self, cite: Cite) -> Cite:
        """Chat counts from the beginning of all text, a citation from that of its part."""
        found = cite.citation
        if not self._told_chars:
            return cite
        start = max(0, found.start - self._told_chars)
        end = max(0, found.end - self._told_chars)
        return Cite(Citation(found.url, found.title, start, end, found.quote))
