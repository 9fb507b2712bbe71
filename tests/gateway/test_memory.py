from __future__ import annotations

import logging
from collections.abc import Collection

import pytest

from app import clock
from app.errors import GatewayError
from app.gateway.memory import (
    CachedSeals,
    Entries,
    Kept,
    SealStore,
    missing,
    recall,
    remembering,
)
from app.ir.events import (
    Delta,
    Event,
    Finish,
    FinishReason,
    Flush,
    Open,
    PartKind,
    Shut,
    Start,
)
from app.ir.parts import Part, Seal, Text, Thinking, ToolCall, ToolResult
from app.ir.request import Request, Role, Turn
from app.storage.memory import MemorySeals

CLAUDE = Seal("anthropic", "sig")
OPENAI = Seal("openai", "gAAAA", "rs_1")
GOOGLE = Seal("google", "CiQ=")
FINISH = Finish(FinishReason.TOOL_CALLS)


def thought(text: str, seal: Seal | None, redacted: bool = False) -> list[Event]:
    return [
        Open(PartKind.THINKING),
        *(Delta(letter) for letter in text),
        Flush(),
        Shut(seal, redacted),
    ]


def call(call_id: str, seal: Seal | None = None) -> list[Event]:
    return [Open(PartKind.TOOL_CALL, call_id, "look"), Delta("{}"), Shut(seal)]


def words() -> list[Event]:
    return [Open(PartKind.TEXT), Delta("words"), Shut(GOOGLE)]


def kept_of(*events: Event) -> Entries:
    """What an answer hands over; nothing handed over is an empty mapping."""
    handed: list[Entries] = []
    answer = [Start("a", "m", 0), *events, FINISH]
    assert list(remembering(answer, handed.append)) == answer
    assert len(handed) <= 1
    return handed[0] if handed else {}


def request(*parts: Part) -> Request:
    turns = (
        Turn(Role.USER, (Text("go"),)),
        Turn(Role.ASSISTANT, parts),
        Turn(Role.USER, (ToolResult("c1", (Text("done"),)),)),
    )
    return Request("m", turns)


def parts_of(asked: Request) -> tuple[Part, ...]:
    return asked.turns[1].parts


def tool_call(call_id: str, seal: Seal | None = None) -> ToolCall:
    return ToolCall(call_id, "look", "{}", seal=seal)


def test_the_thinking_before_a_call_is_kept_with_it() -> None:
    first, second = Thinking("one", CLAUDE), Thinking("", Seal("anthropic", "x"), redacted=True)
    entries = kept_of(
        *thought("one", CLAUDE),
        *words(),
        *call("c1"),
        *thought("", Seal("anthropic", "x"), redacted=True),
        *call("c2"),
    )
    assert entries == {"c1": (first,), "c2": (first, second)}


def test_the_seal_of_a_call_is_kept() -> None:
    entries = kept_of(*thought("shown", None), *call("c1", GOOGLE), *call("c2"))
    assert entries == {"c1": (GOOGLE,)}


def test_words_are_kept_only_where_the_seal_covers_them() -> None:
    assert kept_of(*thought("summary", OPENAI), *call("c1")) == {"c1": (Thinking("", OPENAI),)}


def test_an_answer_without_calls_or_without_seals_hands_nothing_over() -> None:
    assert kept_of(*thought("one", CLAUDE), *words()) == {}
    assert kept_of(*thought("one", None), *call("c1")) == {}
    assert kept_of(*call("", GOOGLE)) == {}


def test_it_is_handed_over_before_the_end_goes_out() -> None:
    handed: list[Entries] = []
    events = remembering([*call("c1", GOOGLE), FINISH], handed.append)
    seen: list[Event] = []
    for event in events:
        seen.append(event)
        assert bool(handed) == isinstance(event, Finish)
    assert seen[-1] == FINISH


def test_an_answer_that_breaks_off_is_not_kept() -> None:
    handed: list[Entries] = []
    list(remembering(call("c1", GOOGLE), handed.append))
    assert handed == []


def test_what_is_missing() -> None:
    assert missing(request(Text("no call"))) == ()
    assert missing(request(tool_call("c1"), tool_call("c2"), tool_call("c1"))) == ("c1", "c2")
    assert missing(request(Thinking("shown", None), tool_call("c1"))) == ("c1",)
    assert missing(request(tool_call(""))) == ()


def test_a_client_that_keeps_proofs_misses_nothing() -> None:
    found = {"c1": (Thinking("one", CLAUDE), GOOGLE), "c2": (GOOGLE,)}
    for asked in (
        request(Thinking("one", CLAUDE), tool_call("c1")),
        request(tool_call("c1", GOOGLE), tool_call("c2")),
    ):
        assert missing(asked) == ()
        assert recall(asked, found) == asked


def test_thinking_comes_back_to_the_front_of_its_turn() -> None:
    one = Thinking("one", CLAUDE)
    asked = recall(request(Text("I look"), tool_call("c1")), {"c1": (one,)})
    assert parts_of(asked) == (one, Text("I look"), tool_call("c1"))


def test_thinking_between_calls_comes_back_between_them_and_only_once() -> None:
    one, two = Thinking("one", CLAUDE), Thinking("two", Seal("anthropic", "s2"))
    found: Entries = {"c1": (one,), "c2": (one,), "c3": (one, two)}
    asked = recall(request(tool_call("c1"), tool_call("c2"), tool_call("c3")), found)
    assert parts_of(asked) == (one, tool_call("c1"), tool_call("c2"), two, tool_call("c3"))


def test_the_seal_of_a_call_comes_back() -> None:
    asked = recall(request(tool_call("c1"), tool_call("c2")), {"c1": (GOOGLE,)})
    assert parts_of(asked) == (tool_call("c1", GOOGLE), tool_call("c2"))


def test_what_was_kept_stands_for_what_the_client_repeats_without_proof() -> None:
    asked = request(Thinking("one", None), tool_call("c1"))
    assert parts_of(recall(asked, {"c1": (Thinking("one\n", CLAUDE),)})) == (
        Thinking("one\n", CLAUDE),
        tool_call("c1"),
    )


def test_words_that_were_not_kept_are_the_clients() -> None:
    asked = request(Thinking("summary", None), tool_call("c1"))
    assert parts_of(recall(asked, {"c1": (Thinking("", OPENAI),)})) == (
        Thinking("summary", OPENAI),
        tool_call("c1"),
    )
    silent = Thinking("", CLAUDE)
    assert parts_of(recall(asked, {"c1": (silent,)})) == (silent, tool_call("c1"))


def test_thinking_without_proof_stays_where_nothing_is_found() -> None:
    asked = request(Thinking("one", None), tool_call("c1"))
    assert recall(asked, {}) is asked
    assert recall(asked, {"c1": (GOOGLE,)}).turns[1].parts[0] == Thinking("one", None)
    assert recall(asked, {"other": (GOOGLE,)}) == asked


def test_what_an_answer_was_goes_out_again() -> None:
    """All of the way: an answer, a client that sends the calls alone, the next request."""
    store = MemorySeals()
    answer = [*thought("one", CLAUDE), *words(), *call("c1"), FINISH]
    list(remembering(answer, lambda entries: store.save("key", entries)))
    asked = request(Text("words"), tool_call("c1"))
    back = recall(asked, store.load("key", missing(asked)))
    assert parts_of(back) == (Thinking("one", CLAUDE), Text("words"), tool_call("c1"))


class Counting:
    """A store that counts how often it is asked, and can be made to fail."""

    def __init__(self) -> None:
        self.inner = MemorySeals()
        self.asked: list[tuple[str, ...]] = []
        self.saved = 0
        self.fails = False
        self.state: list[str] = []

    def start(self) -> None:
        self.state.append("started")

    def save(self, client_id: str, entries: Entries) -> None:
        self.saved += 1
        self._fail()
        self.inner.save(client_id, entries)

    def load(self, client_id: str, call_ids: Collection[str]) -> Entries:
        self.asked.append(tuple(call_ids))
        self._fail()
        return self.inner.load(client_id, call_ids)

    def close(self) -> None:
        self.state.append("closed")

    def _fail(self) -> None:
        if self.fails:
            raise GatewayError("away")


KEPT: tuple[Kept, ...] = (Thinking("one", CLAUDE),)


def test_a_worker_asks_only_for_what_it_does_not_know() -> None:
    store = Counting()
    seals = CachedSeals(store)
    seals.save("key", {"c1": KEPT})
    store.inner.save("key", {"c2": KEPT})  # by another worker
    for _ in range(2):
        assert seals.load("key", ["c1", "c2", "c3", "c2"]) == {"c1": KEPT, "c2": KEPT}
    assert store.asked == [("c2", "c3")]
    assert seals.load("other", ["c1"]) == {}


def test_a_copy_lasts_for_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Counting()
    seals = CachedSeals(store)
    assert seals.load("key", ["c1"]) == {}
    store.inner.save("key", {"c1": KEPT})
    assert seals.load("key", ["c1"]) == {}
    later = clock.monotonic() + 61
    monkeypatch.setattr(clock, "monotonic", lambda: later)
    assert seals.load("key", ["c1"]) == {"c1": KEPT}


def test_a_copy_is_bounded() -> None:
    store = Counting()
    seals = CachedSeals(store, size=3000)
    for number in range(50):
        seals.save("key", {f"c{number}": (Thinking("x" * 500, CLAUDE), GOOGLE)})
    assert seals.load("key", ["c49"])
    assert store.asked == []
    assert seals.load("key", ["c0"])
    assert store.asked == [("c0",)]
    seals.save("key", {"vast": (Thinking("x" * 5000, CLAUDE),)})
    assert seals.load("key", ["vast"])  # from the store: too large for the copy
    assert store.asked[-1] == ("vast",)


def test_a_store_that_fails_fails_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    store = Counting()
    seals: SealStore = CachedSeals(store)
    store.fails = True
    with caplog.at_level(logging.WARNING):
        seals.save("key", {"c1": KEPT})
        assert seals.load("key", ["c1", "c2"]) == {"c1": KEPT}
    assert [record.getMessage() for record in caplog.records] == [
        "reasoning is not kept calls=1 error=away",
        "reasoning is not found calls=1 error=away",
    ]
    store.fails = False
    store.inner.save("key", {"c2": KEPT})
    assert seals.load("key", ["c2"]) == {"c2": KEPT}  # a failure is not taken for an answer


def test_nothing_to_save_asks_no_store() -> None:
    store = Counting()
    seals = CachedSeals(store)
    seals.save("key", {})
    assert seals.load("key", []) == {}
    assert (store.saved, store.asked) == (0, [])
    seals.start()
    seals.close()
    assert store.state == ["started", "closed"]
