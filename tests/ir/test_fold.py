from __future__ import annotations

import pytest

from app.errors import Garbled
from app.ir.events import (
    Delta,
    Event,
    Finish,
    FinishReason,
    Open,
    PartKind,
    Shut,
    Start,
    Usage,
    UsageEvent,
)
from app.ir.fold import Answer, Part, fold, settle


def test_a_stream_folds_into_its_parts() -> None:
    events: list[Event] = [
        Start("id", "m", 7),
        UsageEvent(Usage(input_tokens=3)),
        Open(PartKind.THINKING),
        Delta("hm"),
        Delta("m"),
        Shut("seal"),
        Open(PartKind.TEXT),
        Shut(),
        Open(PartKind.TOOL_CALL, "c1", "look"),
        Delta("{}"),
        Shut(),
        UsageEvent(Usage(input_tokens=3, output_tokens=9)),
        Finish(FinishReason.TOOL_CALLS),
    ]
    assert fold(events) == Answer(
        answer_id="id",
        model="m",
        created_s=7,
        parts=(
            Part(PartKind.THINKING, "hmm", signature="seal"),
            Part(PartKind.TEXT, ""),
            Part(PartKind.TOOL_CALL, "{}", "c1", "look"),
        ),
        usage=Usage(input_tokens=3, output_tokens=9),
        reason=FinishReason.TOOL_CALLS,
    )


def test_silence_about_usage_stays_silence() -> None:
    assert fold([Start("", "m", 0), Finish(FinishReason.STOP)]).usage is None


def test_a_cut_stream_is_no_answer() -> None:
    with pytest.raises(Garbled):
        fold([Start("", "m", 0), Open(PartKind.TEXT), Delta("half")])


@pytest.mark.parametrize(
    ("reason", "called", "told"),
    [
        (FinishReason.STOP, True, FinishReason.TOOL_CALLS),
        (FinishReason.STOP, False, FinishReason.STOP),
        (FinishReason.LENGTH, True, FinishReason.LENGTH),
        (FinishReason.REFUSAL, True, FinishReason.REFUSAL),
        (FinishReason.TOOL_CALLS, True, FinishReason.TOOL_CALLS),
    ],
)
def test_an_answer_with_calls_says_so_unless_it_was_cut(
    reason: FinishReason, called: bool, told: FinishReason
) -> None:
    assert settle(reason, called) is told
