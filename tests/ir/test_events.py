from __future__ import annotations

import pytest

from app.errors import Garbled
from app.ir.events import (
    Cite,
    Delta,
    Event,
    Finish,
    FinishReason,
    Flush,
    Open,
    PartKind,
    Shut,
    Start,
    Usage,
    UsageEvent,
    check,
)
from app.ir.parts import Citation

START = Start("a", "m", 1)
PAGE = Citation("https://example.com/")
TEXT = Open(PartKind.TEXT)
USED = UsageEvent(Usage(input_tokens=1))
END = Finish(FinishReason.STOP)


def test_totals_count_every_token_once() -> None:
    usage = Usage(1, 20, 300, 4000, 5, 60, 700)
    assert (usage.input_total, usage.output_total, usage.total) == (4321, 765, 5086)


@pytest.mark.parametrize(
    "events",
    [
        [START, END],
        [START, TEXT, Shut(), END],
        [Flush(), START, TEXT, Flush(), Cite(PAGE), Delta("x"), Shut(), END, Flush()],
        [START, USED, TEXT, USED, Delta("x"), Delta("y"), USED, Shut(), TEXT, Shut(), USED, END],
    ],
)
def test_what_keeps_the_grammar_passes_unchanged(events: list[Event]) -> None:
    assert list(check(events)) == events


@pytest.mark.parametrize(
    "events",
    [
        [],
        [START],
        [END],
        [USED, START, END],
        [START, START, END],
        [START, Delta("x"), END],
        [START, Cite(PAGE), END],
        [START, TEXT, Shut(), Cite(PAGE), END],
        [START, Flush()],
        [START, Shut(), END],
        [START, TEXT, END],
        [START, TEXT, TEXT, Shut(), END],
        [START, TEXT, Shut(), Delta("x"), END],
        [START, END, END],
        [START, END, TEXT],
        [START, END, USED],
        [START, TEXT, Shut()],
    ],
)
def test_disorder_and_an_early_end_are_garbled(events: list[Event]) -> None:
    with pytest.raises(Garbled):
        list(check(events))


def test_events_are_passed_on_before_the_next_is_asked_for() -> None:
    def source() -> object:
        yield START
        raise AssertionError("the second event was asked for too early")

    assert next(check(source())) == START  # type: ignore[arg-type]
