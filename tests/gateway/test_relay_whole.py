"""Relaying whole answers and arrays whose every piece is known."""

from __future__ import annotations

import json

import pytest

from app.errors import Garbled, Overloaded, UpstreamError
from app.gateway.relay import WHOLE_LIMIT, ArrayRelay, WholeRelay
from app.ir.events import Usage
from app.protocols import CODECS
from app.protocols.base import Codec, Operation
from app.upstream.transport import Reply
from tests.fakes import answers
from tests.gateway.world import (
    Saved,
    error_documents,
    exchange,
    is_closed,
    reply,
    taken,
    taken_until_cut,
)

JSON = [("Content-Type", "application/json")]
USAGE = Usage(input_tokens=11, output_tokens=7)

# Whole answers


def _whole(
    *pieces: bytes | Exception | None,
    headers: list[tuple[str, str]] | None = None,
    codec: str = "openai_chat",
) -> tuple[WholeRelay, Saved, Reply]:
    answer = reply(*pieces, headers=headers or JSON)
    saved = Saved()
    relay = WholeRelay(exchange(codec=codec), answer, saved)
    relay.begin()
    return relay, saved, answer


@pytest.mark.parametrize("more", [-1, 0, 1, 1000])
@pytest.mark.parametrize("size", [1000, WHOLE_LIMIT, 1 << 30])
def test_an_answer_around_the_size_that_is_held_back(size: int, more: int) -> None:
    filling = WHOLE_LIMIT + more - len(answers.chat_answer(""))
    body = answers.chat_answer("x" * filling, prompt=3, completion=4)
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    relay, saved, answer = _whole(*pieces, headers=[*JSON, ("Content-Length", str(len(body)))])
    held = len(body) <= WHOLE_LIMIT
    assert is_closed(answer) is held
    assert ("Content-Length", str(len(body))) in relay.headers
    got = []
    for piece in relay:
        got.append(piece)
        # The last piece waits for the ledger; no piece before it does.
        assert bool(saved.rows) is (sum(map(len, got)) == len(body))
    relay.close()
    assert b"".join(got) == body
    assert saved.outcomes == [(200, "")]
    assert saved.rows[0].usage == Usage(input_tokens=3, output_tokens=4)
    assert saved.rows[0].answer_id == "chatcmpl-1"
    assert saved.rows[0].bytes_out == len(body)


def test_a_large_answer_of_unknown_size() -> None:
    body = answers.chat_answer("x" * WHOLE_LIMIT)
    lying = [("Content-Length", "9"), ("Content-Encoding", "br")]
    extras: list[list[tuple[str, str]]] = [[], lying]
    for extra in extras:
        relay, _, _ = _whole(body, headers=[*JSON, *extra])
        assert [name for name, _ in relay.headers] == ["Content-Type"]
        assert taken(relay) == body


def test_the_usage_of_a_large_answer_stands_at_either_end() -> None:
    """Of the middle nothing is kept, however small the pieces are."""
    body = answers.chat_answer("x" * 600_000, prompt=3, completion=4)
    pieces = [body[at : at + 5000] for at in range(0, len(body), 5000)]
    relay, saved, _ = _whole(*pieces)
    assert taken(relay) == body
    assert saved.rows[0].usage == Usage(input_tokens=3, output_tokens=4)
    assert saved.rows[0].answer_id == "chatcmpl-1"


def test_a_large_answer_that_breaks() -> None:
    pieces: list[bytes | Exception] = [b"x" * WHOLE_LIMIT, b"y", b"z", Overloaded("gone")]
    relay, saved, _ = _whole(*pieces)
    got, reason = taken_until_cut(relay)
    assert got == b"x" * WHOLE_LIMIT + b"y"
    assert reason.message == "gone"
    assert saved.outcomes == [(200, "upstream")]


def test_a_client_that_leaves_a_large_answer() -> None:
    relay, saved, answer = _whole(b"x" * WHOLE_LIMIT, b"y", b"z")
    next(iter(relay))
    relay.close()
    assert is_closed(answer)
    assert saved.outcomes == [(499, "")]


@pytest.mark.parametrize(("codec", "body"), error_documents())
def test_an_error_that_calls_itself_a_success(codec: str, body: bytes) -> None:
    with pytest.raises(UpstreamError, match=json.loads(body)["error"]["message"]):
        _whole(body, codec=codec)


@pytest.mark.parametrize("codec", CODECS.values(), ids=lambda codec: codec.name)
def test_the_word_error_is_no_error(codec: Codec) -> None:
    body = b'{"error":null,"object":"x","say":"\\"error\\""}'
    relay, saved, _ = _whole(body, codec=codec.name)
    assert taken(relay) == body
    assert saved.outcomes == [(200, "")]


def test_an_empty_answer() -> None:
    relay, saved, _ = _whole()
    assert taken(relay) == b""
    assert ("Content-Length", "0") in relay.headers
    assert saved.outcomes == [(200, "")]


# Streams as one JSON array


def _array(*pieces: bytes | Exception | None) -> tuple[ArrayRelay, Saved, Reply]:
    answer = reply(*pieces, headers=JSON)
    saved = Saved()
    asked = exchange(codec="gemini_generate", operation=Operation.GENERATE, stream=True)
    relay = ArrayRelay(asked, answer, saved)
    relay.begin()
    return relay, saved, answer


def _array_body(text: str) -> bytes:
    values = [frame.removeprefix(b"data: ").strip() for frame in answers.gemini_stream(text)]
    return b"[" + b",\r\n".join(values) + b"]\n"


@pytest.mark.parametrize("size", [1, 50, 1 << 20])
def test_an_array(size: int) -> None:
    body = _array_body("one two [three]")
    relay, saved, _ = _array(*(body[at : at + size] for at in range(0, len(body), size)))
    assert ("X-Accel-Buffering", "no") in relay.headers
    got = b""
    for piece in relay:
        got += piece
        if got.rstrip() == body.rstrip():
            assert saved.rows[-1].usage == USAGE
    relay.close()
    assert got == body
    assert set(saved.outcomes) == {(200, "")}
    assert saved.rows[-1].usage == USAGE


def test_an_empty_array_answer() -> None:
    with pytest.raises(Garbled, match="is empty"):
        _array()


@pytest.mark.parametrize("end", [[], [Overloaded("gone")]], ids=["ended", "broken"])
def test_an_array_that_is_cut(end: list[Exception]) -> None:
    """Even behind a piece that looked like its end."""
    relay, saved, _ = _array(b'[{"a":[1]', b"]", b",", *end)
    got, reason = taken_until_cut(relay)
    assert got == b'[{"a":[1]],'
    assert isinstance(reason, Overloaded if end else Garbled)
    assert saved.outcomes[-1] == (200, "upstream")


def test_a_client_that_leaves_an_array() -> None:
    relay, saved, answer = _array(b"[{", b"}]")
    next(iter(relay))
    relay.close()
    assert is_closed(answer)
    assert saved.outcomes == [(499, "")]
