"""An agent's long transcript, replayed from every protocol to every other: nothing is refused."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import pytest

from tests.e2e.matrix.answering import told
from tests.e2e.matrix.asking import written
from tests.e2e.matrix.cases import LOOK, PIXEL
from tests.e2e.matrix.reading import clients
from tests.e2e.matrix.talk import PROTOCOLS, Ask, Call, Pair, Result, Tell, Thought, meaning
from tests.e2e.matrix.transcript import SYSTEM_SIZE, TOOLS, TURNS, transcript
from tests.e2e.test_matrix import Matrix, settings
from tests.fakes.gateway import Gateway
from tests.fakes.strict.upstream import StrictUpstream

_PAIRS = [
    Pair(client, upstream, stream)
    for client in PROTOCOLS
    for upstream in PROTOCOLS
    for stream in (False, True)
]


@pytest.fixture(scope="module")
def matrix() -> Iterator[Matrix]:
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(StrictUpstream())
        gateway = stack.enter_context(Gateway(settings(upstream.url)))
        sdks = stack.enter_context(clients(gateway.url, gateway.key))
        yield Matrix(upstream, sdks)


def _results(ask: Ask) -> list[tuple[str, str]]:
    return [(one[1], one[2]) for one in meaning(ask) if one[0] == "result"]


def _told_alike(ask: Ask, seen: Ask, pair: Pair) -> None:
    """Every call, result and picture is there, in order; an error still reads as one."""
    calls = [one for one in meaning(ask) if one[0] == "call"]
    assert [one for one in meaning(seen) if one[0] == "call"] == calls
    for (name, text), (other, heard) in zip(_results(ask), _results(seen), strict=True):
        assert name == other
        assert text.strip() in heard
    assert str(meaning(seen)).count(PIXEL) == str(meaning(ask)).count(PIXEL)
    assert len(seen.tools) == TOOLS
    words = [one[2] for one in meaning(ask) if one[0] == "text"]
    said = "".join(one[2] for one in meaning(seen) if one[0] == "text")
    assert all(word.strip() in said for word in words)


def test_a_transcript_is_as_long_as_an_agent_s() -> None:
    for client in PROTOCOLS:
        ask = transcript(client)
        pieces = [piece for turn in ask.turns for piece in turn.pieces]
        assert len(ask.system[0].encode()) >= SYSTEM_SIZE
        assert TURNS - 2 < len(ask.turns) <= TURNS
        assert any(isinstance(piece, Thought) for piece in pieces) or client == "chat"
        parallel = [turn for turn in ask.turns if sum(isinstance(p, Call) for p in turn.pieces) > 1]
        assert len(parallel) > 5
        shown = [piece for piece in pieces if isinstance(piece, Result) and piece.pictures]
        assert len(shown) > 3 or client == "chat"
        assert len(json.dumps(written(ask, client))) > SYSTEM_SIZE


@pytest.mark.parametrize("pair", _PAIRS, ids=lambda p: f"{p.client}-{p.upstream}-{p.stream}")
def test_a_transcript_is_taken(matrix: Matrix, pair: Pair) -> None:
    ask = transcript(pair.client, plain=pair.is_relay)
    tell = Tell(("Next.", LOOK), "calls")
    seen, got = matrix.ask(pair, ask, told(tell, pair), new=True)
    assert got.text == "Next."
    assert [call.name for call in got.calls] == [LOOK.name]
    _told_alike(ask, seen, pair)
    system = seen.system or seen.turns[0].pieces
    assert ask.system[0].strip() == "".join(map(str, system)).strip()


@pytest.mark.parametrize("pair", _PAIRS, ids=lambda p: f"{p.client}-{p.upstream}-{p.stream}")
def test_every_length_of_it_is_taken_by_older_models(matrix: Matrix, pair: Pair) -> None:
    if pair.is_relay or pair.stream:
        pytest.skip("older models are asked whole, and another protocol's")
    ask = transcript(pair.client)
    for length in (1, 3, 5, 13, len(ask.turns)):
        part = Ask(ask.turns[:length], ask.system, ask.tools, limit=4000)
        seen, _ = matrix.ask(pair, part, told(Tell(), pair))
        _told_alike(part, seen, pair)
