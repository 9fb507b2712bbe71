"""The table: one case for each concept that a translation must carry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.e2e.matrix.expecting import Case, Fault, Gets, Hears, same_answer, same_meaning
from tests.e2e.matrix.talk import (
    Ask,
    Call,
    Got,
    Pair,
    Paper,
    Picture,
    Result,
    Say,
    Sound,
    Source,
    Tell,
    Thought,
    Tool,
    Used,
    meaning,
    model,
    system_text,
    user,
)
from tests.fakes.strict.seals import openai_encrypted

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9"
PDF = "JVBERi0xLjQKJcOkw7zDtsOfCg=="
WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEA"
OPENAI = ("chat", "responses")
ADULTS = ("chat", "responses", "claude")
SKU = {"type": "object", "properties": {"sku": {"type": "string"}}, "required": ["sku"]}
STOCK = Tool("lookup_stock", SKU, "Units on the shelf")
ORDER = Tool("order", SKU, "Buys more")
PING = Tool("ping")
LOOK = Call("call_a1", "lookup_stock", '{"sku": "A7"}')
BUY = Call("call_b2", "order", '{"sku": "B8"}')
ONE_STEP = (user("How many A7?"), model("Checking.", LOOK), user(Result("call_a1", ("14 units",))))
TWO_CALLS = (user("A7 and B8?"), model(LOOK, BUY))
LONG = "mcp__warehouse_inventory_service__look_up_the_number_of_units_left_on_the_shelf_in_aisle"
REPLY = {
    "type": "object",
    "properties": {"answer": {"type": "string"}, "score": {"type": "integer"}},
    "required": ["answer", "score"],
    "additionalProperties": False,
}
EXACT = '{"id": 9007199254740993, "text": "Größe\\u2028 😀", "deep": {"list": [1, 2.5, null]}}'
ARGUMENTS = {
    "type": "object",
    "properties": {"id": {"type": "integer"}, "text": {"type": "string"}},
}
HARD = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
        },
        "unit": {"enum": ["kg", "g"]},
    },
    "properties": {
        "tree": {"$ref": "#/$defs/node"},
        "unit": {"$ref": "#/$defs/unit"},
        "other_unit": {"$ref": "#/$defs/unit"},
        "level": {"type": "integer", "enum": [1, 2, 3]},
        "kind": {"const": "fixed"},
        "maybe": {"type": ["string", "null"], "format": "uri"},
        "either": {"oneOf": [{"type": "string"}, {"type": "integer", "exclusiveMinimum": 0}]},
        "type": {"type": "string"},
        "additionalProperties": {"type": "boolean"},
        "const": {"type": "string", "minLength": 1},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "pairs": {"type": "array", "uniqueItems": True, "items": {"type": "number"}},
        "list": {"type": "array"},
    },
    "required": ["tree", "ghost"],
    "additionalProperties": False,
}


def both(*checks: Hears) -> Hears:
    """Look with several eyes."""

    def check(ask: Ask, heard: Ask, pair: Pair) -> None:
        for each in checks:
            each(ask, heard, pair)

    return check


def knob(read: Callable[[Ask], object], *, lost_to: tuple[str, ...] = ()) -> Hears:
    """A member arrives as it is, but where the upstream has no word for it."""

    def check(ask: Ask, heard: Ask, pair: Pair) -> None:
        same_meaning(ask, heard, pair)
        if pair.upstream in lost_to:
            assert not read(heard)
        else:
            assert read(heard) == read(ask)

    return check


def words_arrive(ask: Ask, heard: Ask, pair: Pair) -> None:
    """All user and system text is somewhere, in whatever place."""
    everything = str(meaning(heard)) + system_text(heard)
    for turn in ask.turns:
        for piece in turn.pieces:
            assert not isinstance(piece, str) or piece.strip() in everything
    for text in ask.system:
        assert text in everything


def system_in_place(ask: Ask, heard: Ask, pair: Pair) -> None:
    words_arrive(ask, heard, pair)
    assert [one for one in meaning(heard) if one[1] == "assistant"] == [
        one for one in meaning(ask) if one[1] == "assistant"
    ]
    if pair.upstream in OPENAI:
        assert [turn.role for turn in heard.turns] == ["user", "assistant", "system", "user"]


def tools_arrive(ask: Ask, heard: Ask, pair: Pair) -> None:
    same_meaning(ask, heard, pair)
    assert [tool.name for tool in heard.tools] == [tool.name for tool in ask.tools]
    assert [tool.description for tool in heard.tools] == [tool.description for tool in ask.tools]
    for given, tool in zip(ask.tools, heard.tools, strict=True):
        expected = set((given.schema or {}).get("properties", {}))
        assert set((tool.schema or {}).get("properties", {})) == expected


def error_told(ask: Ask, heard: Ask, pair: Pair) -> None:
    (result,) = (p for turn in heard.turns for p in turn.pieces if isinstance(p, Result))
    assert "no such shelf" in result.text
    assert result.is_error or "error" in result.text.lower()
    assert result.is_error or pair.upstream in OPENAI


def pictures_arrive(ask: Ask, heard: Ask, pair: Pair) -> None:
    told = meaning(heard)
    assert ("picture", ("image/png", PIXEL)) in told
    results = [one for one in told if one[0] == "result"]
    assert [one[1] for one in results] == ["lookup_stock", "order"]
    assert ["shelf" in one[2] for one in results] == [True, False]


def orphan_answered(ask: Ask, heard: Ask, pair: Pair) -> None:
    told = meaning(heard)
    calls = [one for one in told if one[0] == "call"]
    results = [one for one in told if one[0] == "result"]
    assert [one[1] for one in calls] == ["lookup_stock", "order"]
    assert [one[1] for one in results] == ["lookup_stock", "order"]
    assert results[0][2] == "14 units"
    assert "Never mind" in str(told)


def names_fit(ask: Ask, heard: Ask, pair: Pair) -> None:
    limit = 64 if pair.upstream in OPENAI else 128
    (tool,) = heard.tools
    (call,) = (p for turn in heard.turns for p in turn.pieces if isinstance(p, Call))
    assert call.name == tool.name
    assert len(tool.name) <= limit
    if len(ask.tools[0].name) <= limit and pair.upstream == "gemini":
        assert tool.name == ask.tools[0].name


def names_return(name: str) -> Gets:
    def check(tell: Tell, got: Got, pair: Pair) -> None:
        same_answer(replace(tell, pieces=(replace(tell.calls[0], name=name),)), got, pair)

    return check


def custom_arrives(ask: Ask, heard: Ask, pair: Pair) -> None:
    (tool,) = heard.tools
    assert tool.name == "run_script"
    calls = [p for turn in heard.turns for p in turn.pieces if isinstance(p, Call)]
    assert len(calls) == 1
    if pair.upstream in OPENAI:
        assert tool.custom
        assert calls[0].arguments == "echo one\necho two"
    else:
        assert list((tool.schema or {})["properties"]) == ["input"]
        assert "echo one\\necho two" in calls[0].arguments


def custom_returns(tell: Tell, got: Got, pair: Pair) -> None:
    (call,) = got.calls
    assert (call.name, call.arguments, call.custom) == ("run_script", "ls -l\npwd", True)


def schema_arrives(ask: Ask, heard: Ask, pair: Pair) -> None:
    same_meaning(ask, heard, pair)
    assert heard.schema is not None
    assert set(heard.schema["properties"]) == {"answer", "score"}


def json_asked(ask: Ask, heard: Ask, pair: Pair) -> None:
    words_arrive(ask, heard, pair)
    if pair.upstream == "claude":
        assert "json" in system_text(heard).lower()
    else:
        assert heard.json


def sampled(ask: Ask, heard: Ask, pair: Pair) -> None:
    same_meaning(ask, heard, pair)
    highest = 1.0 if pair.upstream == "claude" else 2.0
    assert heard.temperature == min(ask.temperature or 0, highest)
    both_refused = pair.upstream == "claude" and not pair.is_relay
    assert heard.top_p == (None if both_refused else ask.top_p)


def stops_cut(ask: Ask, heard: Ask, pair: Pair) -> None:
    most = {"chat": 4, "responses": 0, "gemini": 5, "claude": 99}[pair.upstream]
    assert heard.stop == ask.stop[:most]


def limit_filled(ask: Ask, heard: Ask, pair: Pair) -> None:
    same_meaning(ask, heard, pair)
    assert (heard.limit or 0) > 1000 if pair.upstream == "claude" else heard.limit is None


def thinks(ask: Ask, heard: Ask, pair: Pair) -> None:
    same_meaning(ask, heard, pair)
    assert heard.effort == ask.effort


def budgeted(ask: Ask, heard: Ask, pair: Pair) -> None:
    same_meaning(ask, heard, pair)
    if pair.upstream in OPENAI:  # models that do not reason
        assert not heard.effort
    else:
        assert heard.budget == ask.budget


def thinking_gives_way(ask: Ask, heard: Ask, pair: Pair) -> None:
    assert heard.choice == "=lookup_stock"
    assert (heard.effort == "high") == (pair.upstream != "claude")


def refused(tell: Tell, got: Got, pair: Pair) -> None:
    assert tell.text in (got.text, got.refusal) or tell.text in got.text + got.refusal
    words = {
        "chat": ("content_filter",),
        "responses": ("incomplete:content_filter", "completed"),
        "claude": ("refusal",),
        "gemini": ("SAFETY",),
    }
    assert got.finish in words[pair.client]
    assert got.finish != "completed" or got.refusal == tell.text


def stopped(tell: Tell, got: Got, pair: Pair) -> None:
    same_answer(tell, got, pair)
    assert got.stop_string == ("END" if pair.client == "claude" else "")


def cited(tell: Tell, got: Got, pair: Pair) -> None:
    same_answer(tell, got, pair)
    assert tell.source is not None
    assert set(got.urls) == {tell.source.url}


def nothing(tell: Tell, got: Got, pair: Pair) -> None:
    assert (got.text, got.calls) == ("", ())


def no_blank_text(ask: Ask, heard: Ask, pair: Pair) -> None:
    told = [one for one in meaning(heard) if one[0] == "text"]
    assert "".join(one[2] for one in told if one[1] == "assistant").strip() == "Fine."
    assert [one[2] for one in told if one[1] == "user"][-1].strip() == "Good."


def merged(ask: Ask, heard: Ask, pair: Pair) -> None:
    same_meaning(ask, heard, pair)
    roles = [turn.role for turn in heard.turns]
    if pair.upstream in ("claude", "gemini") and not pair.is_relay:
        assert roles == ["user", "assistant", "user"]


def late_result_told(ask: Ask, heard: Ask, pair: Pair) -> None:
    assert not [one for one in meaning(heard) if one[0] == "call"]
    words_arrive(ask, heard, pair)


def only(upstream: str, fault: Fault) -> Callable[[Pair], Fault | None]:
    return lambda pair: fault if pair.upstream == upstream else None


def _status(status: int, says: str, **shows: tuple[int, ...]) -> Callable[[Pair], Fault]:
    def fault(pair: Pair) -> Fault:
        return Fault(status, shows.get(pair.client) or shows["others"], says)

    return fault


def _breaks(how: str) -> Callable[[Pair], Fault | None]:
    return lambda pair: Fault(breaks=how) if pair.stream else None


def _unsaid(says: str) -> Callable[[Pair], Fault]:
    return lambda pair: Fault(shows=(400,), says=says)


CASES = (
    # System text
    Case("plain"),
    Case("system_text", Ask(system=("You are a clerk. Größe 😀",))),
    Case(
        "two_system_texts",
        Ask(system=("You are a clerk.", "Be brief.")),
        clients=("chat", "claude", "gemini"),
    ),
    Case(
        "developer_in_the_middle",
        Ask((user("Hi"), model("Hello."), Say("system", ("Now in French.",)), user("And now?"))),
        hears=system_in_place,
        clients=OPENAI,
    ),
    Case(
        "system_turn_in_the_middle",
        Ask((user("Hi"), model("Hello."), Say("system", ("Now in French.",)), user("And now?"))),
        hears=system_in_place,
        clients=("claude",),
        relayed=False,
    ),
    # Turns and text
    Case(
        "several_turns", Ask((user("One"), model("Two"), user("Three"), model("4"), user("Five")))
    ),
    Case("text_parts", Ask((user("First. ", "Second.\n", "Third."),))),
    Case(
        "neighbours_of_one_role",
        Ask((user("One. "), user("Two."), model("Three."), user("Four. "), user("Five."))),
        hears=merged,
    ),
    Case(
        "blank_text_in_the_history",
        Ask((user("How?"), model("Fine.", " "), user("\n"), user("Good."))),
        hears=no_blank_text,
        clients=("chat", "responses", "gemini"),
        relayed=False,
    ),
    # Media
    Case("picture", Ask((user("What is this?", Picture(data=PIXEL)),))),
    Case("picture_first", Ask((user(Picture("image/jpeg", PIXEL), "And this?"),))),
    # Who has to fetch it is only shown to refuse an address inside: no test may reach out.
    Case(
        "picture_by_url",
        Ask((user("See", Picture(url="https://127.0.0.1/a.png")),)),
        fault=lambda pair: (
            None
            if pair.upstream != "gemini" or pair.is_relay
            else Fault(shows=(400,), says="medium given by URL")
        ),
    ),
    Case("pdf", Ask((user("Sum it up.", Paper(PDF)),))),
    Case(
        "text_document",
        Ask((user(Paper("A line.", "notes.txt", "text/plain"), "Sum it up."),)),
        hears=lambda ask, heard, pair: (
            words_arrive(ask, heard, pair) if pair.is_relay else document_told(heard)
        ),
        clients=("claude",),
    ),
    Case(
        "sound",
        Ask((user("What is said?", Sound(WAV)),)),
        clients=("chat", "gemini"),
        upstreams=("chat", "gemini", "claude"),
        fault=only("claude", Fault(shows=(400,), says="audio")),
    ),
    # Tools
    Case("tools", Ask(tools=(STOCK, ORDER)), hears=tools_arrive),
    Case("tool_without_arguments", Ask(tools=(PING,)), hears=tools_arrive),
    Case("hard_schema", Ask(tools=(Tool("plant", HARD),)), hears=tools_arrive, relayed=False),
    Case("choice_auto", Ask(tools=(STOCK,), choice="auto"), hears=knob(lambda a: a.choice)),
    Case("choice_required", Ask(tools=(STOCK,), choice="required"), hears=knob(lambda a: a.choice)),
    Case(
        "choice_of_one",
        Ask(tools=(STOCK, ORDER), choice="=order"),
        hears=knob(lambda a: a.choice),
    ),
    Case("choice_none", Ask(tools=(STOCK,), choice="none"), hears=knob(lambda a: a.choice)),
    Case(
        "choice_none_after_calls",
        Ask(ONE_STEP, tools=(STOCK,), choice="none"),
        hears=knob(lambda a: a.choice),
    ),
    Case(
        "parallel_off",
        Ask(tools=(STOCK,), parallel=False),
        hears=knob(lambda a: a.parallel is False, lost_to=("gemini",)),
        clients=ADULTS,
    ),
    Case("call", Ask(tools=(STOCK,)), Tell((LOOK,), "calls")),
    Case("words_and_call", Ask(tools=(STOCK,)), Tell(("Let me look.", LOOK), "calls")),
    Case("two_calls", Ask(tools=(STOCK, ORDER)), Tell((LOOK, BUY), "calls")),
    Case(
        "one_function_twice",
        Ask(tools=(STOCK,)),
        Tell((LOOK, replace(LOOK, id="call_c3", arguments='{"sku": "C9"}')), "calls"),
    ),
    Case("call_without_arguments", Ask(tools=(PING,)), Tell((Call("call_a1", "ping"),), "calls")),
    Case(
        "exact_arguments",
        Ask(tools=(Tool("store", ARGUMENTS),)),
        Tell((Call("call_a1", "store", EXACT),), "calls"),
    ),
    # Results
    Case("result", Ask(ONE_STEP, tools=(STOCK,))),
    Case(
        "result_and_words",
        Ask(
            (*ONE_STEP[:2], user(Result("call_a1", ("14 units",)), "Is that enough?")),
            tools=(STOCK,),
        ),
    ),
    Case("empty_result", Ask((*ONE_STEP[:2], user(Result("call_a1"))), tools=(STOCK,))),
    Case(
        "json_result",
        Ask((*ONE_STEP[:2], user(Result("call_a1", ('["a", 9007199254740993]',)))), tools=(STOCK,)),
    ),
    Case(
        "exact_arguments_in_the_history",
        Ask(
            (user("Go"), model(Call("call_a1", "store", EXACT)), user(Result("call_a1", ("ok",)))),
            tools=(Tool("store", ARGUMENTS),),
        ),
    ),
    Case(
        "error_result",
        Ask((*ONE_STEP[:2], user(Result("call_a1", ("no such shelf",), True))), tools=(STOCK,)),
        hears=error_told,
        clients=("claude", "gemini"),
    ),
    Case(
        "picture_in_a_result",
        Ask(
            (
                *TWO_CALLS,
                user(
                    Result("call_a1", ("the shelf", Picture(data=PIXEL))),
                    Result("call_b2", ("ordered",)),
                ),
            ),
            tools=(STOCK, ORDER),
        ),
        hears=pictures_arrive,
        clients=("responses", "claude"),
    ),
    Case(
        "results_in_reverse",
        Ask(
            (*TWO_CALLS, user(Result("call_b2", ("ordered",)), Result("call_a1", ("14 units",)))),
            tools=(STOCK, ORDER),
        ),
        hears=lambda ask, heard, pair: results_pair(heard),
        clients=ADULTS,
    ),
    Case(
        "call_without_a_result",
        Ask(
            (*TWO_CALLS, user(Result("call_a1", ("14 units",)), "Never mind the rest.")),
            tools=(STOCK, ORDER),
        ),
        hears=orphan_answered,
        clients=ADULTS,
        relayed=False,
    ),
    Case(
        "result_without_a_call",
        Ask((user("How many?", Result("call_z9", ("14 units",))), user("Well?")), tools=(STOCK,)),
        hears=late_result_told,
        clients=ADULTS,
        relayed=False,
    ),
    Case(
        "long_name",
        Ask(
            (user("Go"), model(replace(LOOK, name=LONG)), user(Result("call_a1", ("14",)))),
            tools=(Tool(LONG, SKU),),
        ),
        hears=names_fit,
        clients=("claude", "gemini"),
    ),
    Case(
        "dotted_name",
        Ask(
            (user("Go"), model(replace(LOOK, name="shop.stock")), user(Result("call_a1", ("14",)))),
            tools=(Tool("shop.stock", SKU),),
        ),
        hears=names_fit,
        clients=("gemini",),
    ),
    Case(
        "custom_tool",
        Ask(
            (
                user("Run it"),
                model(Call("call_a1", "run_script", "echo one\necho two", custom=True)),
                user(Result("call_a1", ("one two",), custom=True)),
            ),
            tools=(Tool("run_script", None, "Runs it", custom=True),),
        ),
        Tell((Call("call_d4", "run_script", "ls -l\npwd", custom=True),), "calls"),
        hears=custom_arrives,
        gets=custom_returns,
        clients=OPENAI,
    ),
    # Form and knobs
    Case(
        "structured_output", Ask(schema=REPLY), Tell(('{"answer":"x","score":3}',)), schema_arrives
    ),
    Case(
        "json_mode",
        Ask((user("Answer in JSON."),), json=True),
        Tell(("{}",)),
        hears=json_asked,
        clients=("chat", "responses", "gemini"),
    ),
    Case("temperature", Ask(temperature=0.5), hears=knob(lambda a: a.temperature)),
    Case(
        "temperature_and_top_p",
        Ask(temperature=1.7, top_p=0.5),
        hears=sampled,
        clients=("chat", "responses", "gemini"),
    ),
    Case("top_p", Ask(top_p=0.5), hears=knob(lambda a: a.top_p)),
    Case(
        "no_temperature_for_those_who_think",
        Ask(temperature=0.5),
        hears=lambda ask, heard, pair: no_temperature(heard, pair),
        new=True,
        relayed=False,
    ),
    Case(
        "top_k",
        Ask(top_k=5),
        hears=knob(lambda a: a.top_k, lost_to=OPENAI),
        clients=("claude", "gemini"),
    ),
    Case(
        "stop",
        Ask(stop=("END", "FIN")),
        hears=knob(lambda a: a.stop, lost_to=("responses",)),
        clients=("chat", "claude", "gemini"),
    ),
    Case("many_stops", Ask(stop=tuple("ABCDEF")), hears=stops_cut, clients=("claude",)),
    Case("limit", Ask(limit=500), hears=knob(lambda a: a.limit)),
    Case("no_limit", hears=limit_filled, clients=("chat", "responses", "gemini")),
    Case(
        "seed",
        Ask(seed=7),
        hears=knob(lambda a: a.seed, lost_to=("responses", "claude")),
        clients=("chat", "gemini"),
    ),
    Case(
        "user",
        Ask(user="hash-of-a-user"),
        hears=knob(lambda a: a.user, lost_to=("gemini",)),
        clients=ADULTS,
    ),
    # Thinking
    Case("effort", Ask(effort="high"), hears=thinks, new=True),
    Case(
        "budget",
        Ask(budget=2048, limit=8000),
        hears=budgeted,
        clients=("claude", "gemini"),
        upstreams=("chat", "responses", "claude", "gemini"),
    ),
    Case(
        "budget_above_the_limit",
        Ask(budget=20000, limit=4000),
        hears=lambda ask, heard, pair: budget_cut(heard, pair),
        clients=("gemini",),
        relayed=False,
    ),
    Case(
        "thinking_shown",
        Ask(effort="high", show=True),
        Tell((Thought("Let me think about it."), "Done."), used=Used(21, 0, 0, 30, 12)),
        new=True,
    ),
    Case(
        "thinking_then_call",
        Ask(effort="high", show=True, tools=(STOCK,)),
        Tell((Thought("A7 it is."), replace(LOOK, seal="yes")), "calls", Used(21, 0, 0, 30, 12)),
        new=True,
    ),
    Case(
        "forced_call_while_thinking",
        Ask(effort="high", tools=(STOCK,), choice="=lookup_stock"),
        Tell((LOOK,), "calls"),
        hears=thinking_gives_way,
        clients=("chat", "responses", "gemini"),
        new=True,
    ),
    Case(
        "tool_loop_of_somebody_else_while_thinking",
        Ask(ONE_STEP, effort="high", tools=(STOCK,)),
        clients=("chat", "responses", "claude"),
        new=True,
    ),
    # Usage and endings
    Case("usage", tell=Tell(used=Used(100, 60, 0, 50, 30))),
    Case("cache_written", tell=Tell(used=Used(100, 30, 20, 50)), upstreams=ADULTS),
    Case("length", tell=Tell(("Half of a",), "length")),
    Case("length_in_a_call", Ask(tools=(STOCK,)), Tell(("Wait", LOOK), "length")),
    Case("refusal", tell=Tell(("I would rather not.",), "refusal"), gets=refused),
    Case(
        "stop_string",
        Ask(stop=("END",)),
        Tell(finish="stop_string", stop_string="END"),
        gets=stopped,
        clients=("chat", "claude", "gemini"),
        upstreams=("claude",),
    ),
    Case(
        "citation",
        tell=Tell(("Zürich is cold.",), source=Source("https://example.com/z", "Weather")),
        gets=cited,
    ),
    Case("empty_answer", tell=Tell(()), gets=nothing),
    # Failures
    Case(
        "status_400",
        fault=_status(400, "prompt is too long: 9 > 5", others=(400,)),
        relayed=False,
    ),
    Case("status_401", fault=_status(401, "", others=(500, 502, 503)), relayed=False),
    Case("status_404", fault=_status(404, "", others=(404,)), relayed=False),
    Case("status_429", fault=_status(429, "slow down", others=(429,)), relayed=False),
    Case("status_500", fault=_status(500, "broken", others=(500, 502, 503)), relayed=False),
    Case(
        "status_529",
        fault=_status(529, "overloaded", claude=(529,), others=(503, 529)),
        upstreams=("claude",),
        relayed=False,
    ),
    Case("error_in_the_stream", fault=_breaks("error"), relayed=False),
    Case("stream_cut_off", fault=_breaks("cut"), relayed=False),
    Case(
        "earlier_response",
        Ask(extra={"responses": {"previous_response_id": "resp_1"}}),
        clients=("responses",),
        fault=_unsaid("previous_response_id"),
        relayed=False,
    ),
    Case(
        "cached_content",
        Ask(extra={"gemini": {"cachedContent": "cachedContents/1"}}),
        clients=("gemini",),
        fault=_unsaid("cached"),
        relayed=False,
    ),
    Case(
        "foreign_seal",
        Ask(
            (
                user("How many A7?"),
                model(Thought("Hm.", openai_encrypted("rs_1"), "rs_1"), LOOK),
                user(Result("call_a1", ("14 units",))),
            ),
            tools=(STOCK,),
            effort="high",
        ),
        clients=("responses",),
        new=True,
    ),
)


def document_told(heard: Ask) -> None:
    told = str(meaning(heard))
    assert "A line." in told
    assert "Sum it up." in told


def results_pair(heard: Ask) -> None:
    told = meaning(heard)
    results = {one[1]: one[2] for one in told if one[0] == "result"}
    assert results == {"lookup_stock": "14 units", "order": "ordered"}


def no_temperature(heard: Ask, pair: Pair) -> None:
    assert heard.temperature == (0.5 if pair.upstream == "gemini" else None) or (
        heard.effort == "none"
    )


def budget_cut(heard: Ask, pair: Pair) -> None:
    if pair.upstream == "claude":
        assert heard.budget is None or 1024 <= heard.budget < (heard.limit or 0)
