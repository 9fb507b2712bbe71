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
)
from app.ir.fold import Answer, Part, fold, settle
from app.ir.parts import Citation, Media, MediaKind, Seal

SEAL = Seal("google", "c2VhbA==")
PAGE = Citation("https://example.com/", "a page", 0, 4)
PICTURE = Media(MediaKind.IMAGE, "image/png", data="AAAA")


def test_a_stream_folds_into_its_parts() -> None:
    events: list[Event] = [
        Start("id", "m", 7),
        UsageEvent(Usage(input_tokens=3)),
        Open(PartKind.THINKING),
        Delta("hm"),
        Delta("m"),
        Shut(SEAL, redacted=True),
        Open(PartKind.TEXT),
        Cite(PAGE),
        Shut(),
        Flush(),
        Open(PartKind.MEDIA, media=PICTURE),
        Shut(),
        Open(PartKind.TOOL_CALL, "c1", "look", "eyes", custom=True),
        Delta("{}"),
        Shut(),
        UsageEvent(Usage(input_tokens=3, output_tokens=9)),
        Finish(FinishReason.STOP, "END", "why"),
    ]
    assert fold(events) == Answer(
        answer_id="id",
        model="m",
        created_s=7,
        parts=(
            Part(PartKind.THINKING, "hmm", seal=SEAL, redacted=True),
            Part(PartKind.TEXT, "", citations=(PAGE,)),
            Part(PartKind.MEDIA, "", media=PICTURE),
            Part(PartKind.TOOL_CALL, "{}", "c1", "look", "eyes", custom=True),
        ),
        usage=Usage(input_tokens=3, output_tokens=9),
        reason=FinishReason.STOP,
        stop_sequence="END",
        detail="why",
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
