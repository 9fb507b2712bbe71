from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ir.parts import (
    Media,
    MediaKind,
    Opaque,
    Part,
    Refusal,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from app.ir.request import Request, Role, Tool, ToolKind, Turn
from app.ir.tidy import NO_RESULT, merged, tidy

SEAL = Seal("google", "c2VhbA==")
PICTURE = Media(MediaKind.IMAGE, "image/png", data="AAAA")


def system(*parts: Part) -> Turn:
    return Turn(Role.SYSTEM, parts)


def user(*parts: Part) -> Turn:
    return Turn(Role.USER, parts)


def model(*parts: Part) -> Turn:
    return Turn(Role.ASSISTANT, parts)


def call(call_id: str = "", name: str = "f", **more: object) -> ToolCall:
    return ToolCall(call_id, name, "{}", **more)  # type: ignore[arg-type]


def result(call_id: str = "", said: str = "r", name: str = "f", **more: object) -> ToolResult:
    content = (Text(said),) if said else ()
    return ToolResult(call_id, content, name, **more)  # type: ignore[arg-type]


def ordered(*turns: Turn) -> tuple[Turn, ...]:
    return tidy(Request("m", turns)).turns


HI, OK = user(Text("hi")), model(Text("ok"))
LOST = ToolResult("a", (Text(NO_RESULT),), "f")


# --- turns -----------------------------------------------------------------------------------


def test_neighbours_of_one_role_are_merged() -> None:
    assert ordered(
        system(Text("s")), system(Text("t")), HI, user(PICTURE), OK, model(Thinking("hm", SEAL)), HI
    ) == (
        system(Text("s"), Text("t")),
        user(Text("hi"), PICTURE),
        model(Text("ok"), Thinking("hm", SEAL)),
        HI,
    )


def test_blank_parts_and_empty_turns_go_and_their_neighbours_meet() -> None:
    blank = model(Text(" \n"), Text(""), Refusal(""), Thinking(""), Thinking("x", redacted=True))
    assert ordered(HI, blank, system(), HI) == (user(Text("hi"), Text("hi")),)


@pytest.mark.parametrize(
    "part",
    [
        Text("", seal=SEAL),
        Thinking("", SEAL),
        Thinking("", SEAL, redacted=True),
        Thinking(" "),
        Refusal("no"),
        PICTURE,
        Opaque("openai_responses", "web_search_call"),
    ],
)
def test_what_looks_empty_but_counts_is_kept(part: Part) -> None:
    assert ordered(HI, model(part)) == (HI, model(part))


def test_only_system_text_becomes_what_the_user_says() -> None:
    assert ordered(system(Text("a")), system(Text("b"))) == (user(Text("a"), Text("b")),)
    assert ordered(system(Text(" "))) == ()
    assert ordered() == ()


def test_system_text_in_the_middle_stays() -> None:
    turns = (HI, system(Text("s")), HI)
    assert ordered(*turns) == turns


def test_parts_are_brought_to_the_role_that_can_say_them() -> None:
    assert ordered(user(Text("x"), call("a"), Text("y")), model(result("a"), Text("z"))) == (
        user(Text("x")),
        model(call("a")),
        user(result("a"), Text("y")),
        model(Text("z")),
    )


def test_merging_anew_keeps_results_first() -> None:
    turns = [user(Text("x")), user(result("a")), user(), OK]
    assert merged(turns) == (user(result("a"), Text("x")), OK)


# --- pairs -----------------------------------------------------------------------------------


def test_results_stand_behind_their_step_in_the_order_of_the_calls() -> None:
    assert ordered(
        HI, model(call("a"), Text("t"), call("b")), user(Text("x"), result("b"), result("a"))
    ) == (
        HI,
        model(call("a"), Text("t"), call("b")),
        user(result("a"), result("b"), Text("x")),
    )


def test_results_in_turns_of_their_own_become_one_turn() -> None:
    assert ordered(
        model(call("a")), model(call("b")), user(result("a")), user(result("b")), HI
    ) == (
        model(call("a"), call("b")),
        user(result("a"), result("b"), Text("hi")),
    )


def test_a_late_result_goes_to_its_call() -> None:
    assert ordered(model(call("a")), HI, OK, user(result("a")), OK) == (
        model(call("a")),
        user(result("a"), Text("hi")),
        model(Text("ok"), Text("ok")),
    )


def test_system_text_does_not_part_a_call_from_its_result() -> None:
    note = system(Text("s"))
    assert ordered(model(call("a")), note, user(result("a"), Text("x"))) == (
        model(call("a")),
        user(result("a")),
        note,
        user(Text("x")),
    )


def test_of_two_results_the_last_one_counts() -> None:
    assert ordered(model(call("a")), user(result("a", "old"), result("a", "new"))) == (
        model(call("a")),
        user(result("a", "new")),
    )


@pytest.mark.parametrize("after", [HI, user(result("b")), user(result("x")), system(Text("s"))])
def test_a_call_nobody_answered_gets_a_result_that_says_so(after: Turn) -> None:
    turns = ordered(model(call("a"), call("b")), after)
    assert turns[1].role is Role.USER
    assert turns[1].parts[0] == LOST


def test_the_last_turn_may_wait_for_its_results() -> None:
    turns = (HI, model(call("a")))
    assert ordered(*turns, user(Text(" "))) == turns


@pytest.mark.parametrize(
    ("orphan", "told"),
    [
        (result("x", "42"), [Text("Result of the tool f:\n42")]),
        (result("x", "42", ""), [Text("Result of the tool x:\n42")]),
        (result("", "42", ""), [Text("Result of the tool unknown:\n42")]),
        (result("x", ""), [Text("Result of the tool f:")]),
        (result("x", "no", is_error=True), [Text("Error of the tool f:\nno")]),
        (
            ToolResult("x", (Text("a"), PICTURE, Text("b")), "f"),
            [Text("Result of the tool f:\na\nb"), PICTURE],
        ),
    ],
)
def test_a_result_nobody_asked_for_becomes_user_text(orphan: ToolResult, told: list[Part]) -> None:
    assert ordered(user(Text("1"), orphan, Text("2"))) == (user(Text("1"), *told, Text("2")),)


def test_a_result_with_another_id_is_no_answer() -> None:
    assert ordered(model(call("a")), user(result("b"))) == (
        model(call("a")),
        user(LOST, Text("Result of the tool f:\nr")),
    )


def test_empty_texts_in_a_result_go() -> None:
    mixed = ToolResult("a", (Text(""), PICTURE, Text(" ")), "f")
    assert ordered(model(call("a")), user(mixed))[1] == user(
        ToolResult("a", (PICTURE, Text(" ")), "f")
    )


def test_a_result_takes_what_its_call_knows() -> None:
    asked = call("a", "apply", custom=True)
    bare = ToolResult("a", (Text("r"),), is_error=True)
    assert ordered(model(asked), user(bare))[1] == user(
        ToolResult("a", (Text("r"),), "apply", is_error=True, custom=True)
    )


# --- ids -------------------------------------------------------------------------------------


def told(turns: tuple[Turn, ...]) -> list[tuple[str, str]]:
    """Id and text of each result."""
    return [
        (part.call_id, "".join(piece.text for piece in part.content if isinstance(piece, Text)))
        for turn in turns
        for part in turn.parts
        if isinstance(part, ToolResult)
    ]


def ids(turns: tuple[Turn, ...]) -> list[str]:
    return [part.call_id for turn in turns for part in turn.parts if isinstance(part, ToolCall)]


def test_calls_without_ids_pair_by_name_and_then_by_order() -> None:
    turns = ordered(
        HI,
        model(call(name="f"), call(name="g"), call(name="f"), call(name="h")),
        user(
            result(said="g1", name="g"),
            result(said="f1", name="f"),
            result(said="f2", name="f"),
            result(said="h1", name="function"),
        ),
    )
    assert ids(turns) == ["call_1_0", "call_1_1", "call_1_2", "call_1_3"]
    assert told(turns) == [
        ("call_1_0", "f1"),
        ("call_1_1", "g1"),
        ("call_1_2", "f2"),
        ("call_1_3", "h1"),
    ]


def test_an_id_on_one_side_alone_still_pairs_by_name() -> None:
    assert told(ordered(model(call("a")), user(result("", "1")))) == [("a", "1")]
    assert told(ordered(model(call("")), user(result("x", "1")))) == [("call_0_0", "1")]


def test_a_result_without_an_id_leaves_calls_to_results_that_have_one() -> None:
    turns = ordered(model(call("a"), call("b")), user(result("", "1"), result("a", "2")))
    assert told(turns) == [("a", "2"), ("b", "1")]


def test_a_guess_takes_no_call_whose_own_result_comes_later() -> None:
    turns = ordered(model(call("a")), user(result("", "1")), system(Text("s")), user(result("a")))
    assert told(turns) == [("a", "r")]
    assert turns[1].parts[1] == Text("Result of the tool f:\n1")


def test_results_without_ids_belong_to_the_last_step() -> None:
    turns = ordered(model(call()), HI, model(call()), user(result()))
    assert told(turns) == [("call_0_0", NO_RESULT), ("call_2_0", "r")]


def test_more_results_than_calls_leave_text() -> None:
    turns = ordered(model(call()), user(result(said="1"), result(said="2")))
    assert turns[1] == user(
        ToolResult("call_0_0", (Text("1"),), "f"), Text("Result of the tool f:\n2")
    )


def test_a_made_id_avoids_those_that_are_there() -> None:
    turns = ordered(
        model(call(), call("call_0_0"), call("call_0_0_1")), user(result(), result("call_0_0"))
    )
    assert ids(turns) == ["call_0_0_2", "call_0_0", "call_0_0_1"]


def test_an_id_used_in_every_step_is_made_unique_with_its_results() -> None:
    turns = ordered(
        model(call("a")), user(result("a", "1")), model(call("a")), user(result("a", "2")), OK
    )
    assert ids(turns) == ["a", "a_2"]
    assert told(turns) == [("a", "1"), ("a_2", "2")]


def test_an_id_used_twice_in_one_step_takes_its_results_in_order() -> None:
    turns = ordered(
        model(call("a"), call("a"), call("a_2")),
        user(result("a", "1"), result("a", "2"), result("a", "3")),
    )
    assert ids(turns) == ["a", "a_3", "a_2"]
    assert told(turns) == [("a", "1"), ("a_3", "3"), ("a_2", NO_RESULT)]


def test_made_ids_do_not_change_as_the_talk_goes_on() -> None:
    turns = (HI, model(call()), user(result()), model(call()), user(result()))
    assert ids(ordered(*turns, OK, HI)) == ids(ordered(*turns)) == ["call_1_0", "call_3_0"]


# --- tools -----------------------------------------------------------------------------------


def test_of_two_functions_with_one_name_the_first_is_kept() -> None:
    first = Tool("f", description="first")
    others = (
        Tool("f", namespace="n"),
        Tool("mcp", ToolKind.OTHER),
        Tool("mcp", ToolKind.OTHER),
        Tool("f", ToolKind.WEB_SEARCH),
    )
    request = Request("m", (HI,), tools=(first, Tool("f", ToolKind.CUSTOM), *others))
    assert tidy(request).tools == (first, *others)


# --- properties ------------------------------------------------------------------------------

_WORDS = st.sampled_from(["", " ", "x", "yy", "zzz"])
_IDS = st.sampled_from(["", "", "a", "b", "call_1_0", "a_2"])
_NAMES = st.sampled_from(["f", "g"])
_PARTS: st.SearchStrategy[Part] = st.one_of(
    st.builds(Text, _WORDS, seal=st.sampled_from([None, SEAL])),
    st.builds(Thinking, _WORDS, st.sampled_from([None, SEAL])),
    st.builds(Refusal, _WORDS),
    st.just(PICTURE),
    st.builds(ToolCall, _IDS, _NAMES, st.just("{}"), custom=st.booleans()),
    st.builds(
        ToolResult,
        _IDS,
        st.lists(st.builds(Text, _WORDS) | st.just(PICTURE), max_size=2).map(tuple),
        st.sampled_from(["", "f", "g"]),
        is_error=st.booleans(),
    ),
)
_TURNS = st.builds(Turn, st.sampled_from(Role), st.lists(_PARTS, max_size=4).map(tuple))
HISTORIES = st.lists(_TURNS, max_size=8).map(tuple)


def parts_of(turns: tuple[Turn, ...]) -> Iterator[Part]:
    for turn in turns:
        yield from turn.parts


def words_of(turns: tuple[Turn, ...]) -> list[str]:
    """All that is said outside of results, without what is blank."""
    said = [part.text for part in parts_of(turns) if isinstance(part, (Text, Thinking, Refusal))]
    return [text for text in said if text.strip() and not text.startswith(("Result of", "Error"))]


@given(turns=HISTORIES)
def test_a_tidy_history_stays_as_it_is(turns: tuple[Turn, ...]) -> None:
    once = ordered(*turns)
    assert ordered(*once) == once


@given(turns=HISTORIES)
def test_turns_alternate_and_hold_something(turns: tuple[Turn, ...]) -> None:
    tidied = ordered(*turns)
    assert all(turn.parts for turn in tidied)
    assert all(one.role is not other.role for one, other in itertools.pairwise(tidied))
    assert not tidied or any(turn.role is not Role.SYSTEM for turn in tidied)


@given(turns=HISTORIES)
def test_every_call_is_answered_once_behind_its_step(turns: tuple[Turn, ...]) -> None:
    tidied = ordered(*turns)
    assert len(set(ids(tidied))) == len(ids(tidied))
    assert all(ids(tidied))
    for before, turn in zip((model(), *tidied), tidied, strict=False):
        results = [part for part in turn.parts if isinstance(part, ToolResult)]
        calls = [part for part in before.parts if isinstance(part, ToolCall)]
        assert [r.call_id for r in results] == [c.call_id for c in calls]
        assert [(r.name, r.custom) for r in results] == [(c.name, c.custom) for c in calls]
        assert list(turn.parts[: len(results)]) == results
        assert turn.role is Role.ASSISTANT or not any(
            isinstance(part, ToolCall) for part in turn.parts
        )


@given(turns=HISTORIES)
def test_nothing_that_is_said_gets_lost(turns: tuple[Turn, ...]) -> None:
    tidied = ordered(*turns)
    assert sorted(words_of(tidied)) == sorted(words_of(turns))
    assert len(ids(tidied)) == len(ids(turns))


@given(turns=HISTORIES)
def test_a_result_is_kept_unless_another_one_took_its_place(turns: tuple[Turn, ...]) -> None:
    given_ids = {part.call_id for part in parts_of(turns) if isinstance(part, ToolResult)}
    tidied = ordered(*turns)
    paired = [text for _, text in told(tidied) if text != NO_RESULT]
    orphans = [
        part
        for part in parts_of(tidied)
        if isinstance(part, Text) and part.text.startswith(("Result of", "Error of"))
    ]
    assert len(paired) + len(orphans) >= len(given_ids)


@pytest.mark.parametrize("call_id", ["", "same"])
def test_a_long_history_is_no_different(call_id: str) -> None:
    step = (model(call(call_id), call(call_id)), user(result(call_id, "1"), result(call_id, "2")))
    tidied = ordered(*(step * 1000))
    assert len(set(ids(tidied))) == 2000
    assert [text for _, text in told(tidied)] == ["1", "2"] * 1000
