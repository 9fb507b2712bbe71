"""Every client protocol on every upstream protocol, whole and streamed, concept by concept.

The upstream is as strict as the real services: what it refuses fails the test with its words.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import anthropic
import openai
import pytest
from google.genai import errors as google_errors

from tests.e2e.matrix.answering import broken, sealed, stream_error, told
from tests.e2e.matrix.asking import written
from tests.e2e.matrix.cases import CASES, LOOK, STOCK
from tests.e2e.matrix.expecting import Case, Fault
from tests.e2e.matrix.hearing import heard
from tests.e2e.matrix.reading import Sdks, clients
from tests.e2e.matrix.talk import (
    PROTOCOLS,
    Ask,
    Call,
    Got,
    Pair,
    Result,
    Tell,
    Thought,
    Used,
    model,
    user,
)
from tests.e2e.speech import CHAT, GEMINI, MESSAGES, RESPONSES, Speech
from tests.fakes.gateway import Gateway
from tests.fakes.strict.upstream import StrictUpstream, protocol_of
from tests.fakes.upstream import Reply

SPEECH = {"chat": CHAT, "responses": RESPONSES, "claude": MESSAGES, "gemini": GEMINI}
MODELS = {
    "via-chat": "gpt-4.1",
    "via-responses": "gpt-4.1",
    "via-claude": "claude-sonnet-4-5",
    "via-gemini": "gemini-2.5-flash",
    "via-chat-new": "gpt-5.1",
    "via-responses-new": "gpt-5.1",
    "via-claude-new": "claude-opus-4-7",
    "via-gemini-new": "gemini-3-pro-preview",
}
SDK_ERRORS = (openai.APIError, anthropic.APIError, google_errors.APIError)


def settings(url: str) -> dict[str, Any]:
    """One credential for each protocol, and the models of both generations."""
    config: dict[str, Any] = {"demo": False, "streaming": {"keepalive-seconds": 0}}
    for short, speech in SPEECH.items():
        version = "/v1" if short == "responses" else ""
        names = [name for name in MODELS if name.removesuffix("-new") == f"via-{short}"]
        entry = {
            "api-key": f"sk-{short}",
            "base-url": url + speech.base + version,
            "models": [{"name": MODELS[name], "alias": name} for name in names],
        }
        if short == "chat":
            entry["wire-api"] = "chat"
        config[speech.section] = [entry]
    return config


@dataclass(frozen=True, slots=True)
class Matrix:
    """A gateway between the official SDKs and a strict upstream."""

    upstream: StrictUpstream
    sdks: Sdks

    def ask(self, pair: Pair, ask: Ask, reply: Reply, *, new: bool = False) -> tuple[Ask, Got]:
        """One exchange: what the upstream heard, and what the client got."""
        name = f"via-{pair.upstream}{'-new' if new else ''}"
        self.script(reply)
        try:
            got = self.sdks.ask(pair, name, written(ask, pair.client))
        except SDK_ERRORS as error:
            for complaint in self.upstream.complaints:
                error.add_note(str(complaint))
            raise
        assert [str(complaint) for complaint in self.upstream.complaints] == []
        if not pair.is_relay:
            assert got.model == name
        return self.heard(pair), got

    def script(self, reply: Reply) -> None:
        """Forget earlier exchanges and set the next answer."""
        self.upstream.requests.clear()
        self.upstream.complaints.clear()
        self.upstream.reply("*", reply)

    def heard(self, pair: Pair) -> Ask:
        """What the upstream was asked, as its own protocol puts it."""
        (request,) = self.upstream.requests
        assert protocol_of(request.path) == SPEECH[pair.upstream].name
        streams = request.path.endswith("streamGenerateContent") or request.json().get("stream")
        assert bool(streams) == pair.stream
        assert not any(Gateway.key in value for _, value in request.headers)
        return heard(request, pair.upstream)


@pytest.fixture(scope="module")
def matrix() -> Iterator[Matrix]:
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(StrictUpstream())
        gateway = stack.enter_context(Gateway(settings(upstream.url)))
        sdks = stack.enter_context(clients(gateway.url, gateway.key))
        yield Matrix(upstream, sdks)


def _cells() -> list[Any]:
    return [
        pytest.param(
            case,
            pair,
            id=f"{case.name}-{pair.client}-{pair.upstream}-{'stream' if pair.stream else 'whole'}",
        )
        for case in CASES
        for pair in case.pairs()
    ]


@pytest.mark.parametrize(("case", "pair"), _cells())
def test_a_concept(matrix: Matrix, case: Case, pair: Pair) -> None:
    fault = case.fault(pair)
    if fault is not None:
        _fails(matrix, case, pair, fault)
        return
    seen, got = matrix.ask(pair, case.ask, told(case.tell, pair), new=case.new)
    case.hears(case.ask, seen, pair)
    case.gets(case.tell, got, pair)


def _fails(matrix: Matrix, case: Case, pair: Pair, fault: Fault) -> None:
    if fault.breaks:
        last = stream_error(pair.upstream) if fault.breaks == "error" else b""
        matrix.script(broken(Tell(("one two three four five six",)), pair, last))
    elif fault.status:
        speech: Speech = SPEECH[pair.upstream]
        matrix.script(speech.error(fault.status, fault.says or "no", Retry_After="17"))
    else:
        matrix.script(Reply())
    body = written(case.ask, pair.client)
    with pytest.raises(SDK_ERRORS) as caught:
        matrix.sdks.ask(pair, f"via-{pair.upstream}{'-new' if case.new else ''}", body)
    assert fault.says.lower() in str(caught.value).lower()
    assert [str(complaint) for complaint in matrix.upstream.complaints] == []
    assert bool(matrix.upstream.requests) == bool(fault.status or fault.breaks)
    if fault.shows:
        assert _status_of(caught.value) in fault.shows
    if fault.status == 429:
        assert _headers_of(caught.value)["retry-after"] == "17"


def _status_of(error: Any) -> int:
    return int(error.code if isinstance(error, google_errors.APIError) else error.status_code)


def _headers_of(error: Any) -> Any:
    return error.response.headers


# Reasoning goes on over several requests

ISSUING = ("responses", "claude", "gemini")
THOUGHT = "The shelf is what they mean."
OPENING = Ask((user("How many A7?"),), tools=(STOCK,), effort="high", show=True)


def _first(*names: str) -> Tell:
    """Thinking and a call; its id is of one test alone, for the gateway remembers by it."""
    call = replace(LOOK, id="_".join(("call", *names)), seal="yes")
    return Tell((Thought(THOUGHT), call), "calls", Used(21, 0, 0, 30, 12))


def _goes_on(got: Got) -> Ask:
    """The next request of a client that sends back all it was given, and the result."""
    (call,) = got.calls
    known = call if call.id else Call("only", call.name, call.arguments, seal=call.seal)
    said = model(*got.thoughts, *([got.text] if got.text else []), known)
    result = user(Result(known.id, ("14 units",)))
    return replace(OPENING, turns=(*OPENING.turns, said, result))


def _seals(seen: Ask) -> list[str]:
    pieces = [piece for turn in seen.turns for piece in turn.pieces]
    return [piece.seal for piece in pieces if isinstance(piece, Thought | Call) and piece.seal]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("upstream", ISSUING)
@pytest.mark.parametrize("client", PROTOCOLS)
def test_a_proof_returns_to_its_issuer(
    matrix: Matrix, client: str, upstream: str, stream: bool
) -> None:
    pair = Pair(client, upstream, stream)
    _, got = matrix.ask(
        pair, OPENING, told(_first(client, upstream, "s" if stream else "w"), pair), new=True
    )
    seen, _ = matrix.ask(pair, _goes_on(got), told(Tell(("14.",)), pair), new=True)
    expected = sealed(Thought("lookup_stock" if upstream == "gemini" else THOUGHT), upstream)
    assert expected in _seals(seen)
    if upstream != "gemini":
        texts = [p.text for turn in seen.turns for p in turn.pieces if isinstance(p, Thought)]
        assert texts == [THOUGHT]


@pytest.mark.parametrize(
    ("before", "after"), [(one, other) for one in PROTOCOLS for other in PROTOCOLS if one != other]
)
@pytest.mark.parametrize("client", PROTOCOLS)
def test_a_proof_goes_to_nobody_else(matrix: Matrix, client: str, before: str, after: str) -> None:
    if client == after == "chat":
        pytest.skip("what Chat has no member for is between the client and its provider")
    earlier = Pair(client, before)
    first = told(_first(client, before, after), earlier)
    _, got = matrix.ask(earlier, OPENING, first, new=True)
    pair = Pair(client, after)
    seen, _ = matrix.ask(pair, _goes_on(got), told(Tell(("14.",)), pair), new=True)
    assert not _seals(seen) or after == "gemini"  # where a word stands for the missing signature
    assert sealed(Thought(THOUGHT), before) not in _seals(seen)
