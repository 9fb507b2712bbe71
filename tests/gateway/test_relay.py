"""Relaying an answer whose every piece is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import clock
from app.config.schema import Config, Streaming
from app.errors import Garbled, Overloaded, QuotaExhausted, TimedOut, UpstreamError
from app.gateway.exchange import Exchange
from app.gateway.relay import StreamRelay
from app.ir.events import Usage
from app.protocols import CODECS
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

FRAMES = answers.chat_stream("one two three", prompt=11, completion=7)
USAGE = Usage(input_tokens=11, output_tokens=7)
BEAT = CODECS["openai_chat"].heartbeat


def _begun(
    *pieces: bytes | Exception | None,
    drop_usage: bool = False,
    codec: str = "openai_chat",
    config: Config | None = None,
) -> tuple[StreamRelay, Saved, Exchange, Reply]:
    asked = exchange(stream=True, codec=codec, config=config)
    answer = reply(*pieces)
    saved = Saved()
    relay = StreamRelay(asked, answer, saved, drop_usage=drop_usage)
    relay.begin()
    return relay, saved, asked, answer


def _lf(data: bytes) -> bytes:
    return data


def _crlf(data: bytes) -> bytes:
    return data.replace(b"\n", b"\r\n")


def _cr(data: bytes) -> bytes:
    return data.replace(b"\n", b"\r")


ENDINGS = {"lf": _lf, "crlf": _crlf, "cr": _cr}


# Streams


@pytest.mark.parametrize("end", ENDINGS.values(), ids=ENDINGS.keys())
@given(data=st.data())
def test_a_stream_cut_anywhere_loses_its_extra_usage_and_nothing_else(
    end: Callable[[bytes], bytes], data: st.DataObject
) -> None:
    frames = [b": ready\n\n", *FRAMES]
    extra = next(frame for frame in frames if b'"choices":[]' in frame)
    whole = end(b"".join(frames))
    kept = end(b"".join(frame for frame in frames if frame is not extra))
    places = data.draw(st.lists(st.integers(0, len(whole)), max_size=12))
    cuts = [0, *sorted(places), len(whole)]
    pieces = [whole[a:b] for a, b in pairwise(cuts) if a != b]
    relay, saved, _, _ = _begun(*pieces, drop_usage=True)
    assert taken(relay) == kept
    assert saved.outcomes == [(200, "")]
    assert saved.rows[0].usage == USAGE
    assert saved.rows[0].answer_id == "chatcmpl-1"


@pytest.mark.parametrize("end", ENDINGS.values(), ids=ENDINGS.keys())
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_stream_goes_through_as_it_came(size: int, end: Callable[[bytes], bytes]) -> None:
    whole = end(b"".join(FRAMES))
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    relay, saved, asked, _ = _begun(*pieces)
    assert taken(relay) == whole
    assert saved.outcomes == [(200, "")]
    assert saved.rows[0].usage == USAGE
    assert asked.bytes_out == len(whole)


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\r"])
def test_an_extra_usage_at_the_very_end_is_left_out_too(ending: bytes) -> None:
    """Some hosts send no [DONE], and some leave out the last blank line."""
    *told, extra, _ = FRAMES
    relay, saved, _, _ = _begun(*told, extra.rstrip() + ending, drop_usage=True)
    assert taken(relay) == b"".join(told)
    assert saved.rows[0].usage == USAGE


def test_a_last_frame_without_its_blank_line_is_kept() -> None:
    told = [*FRAMES[:-2], FRAMES[-1].rstrip()]
    relay, saved, _, _ = _begun(*told, drop_usage=True)
    assert taken(relay) == b"".join(told)
    assert saved.outcomes == [(200, "")]


def test_a_stream_is_written_down_before_its_last_frame_goes_out() -> None:
    relay, saved, _, _ = _begun(*FRAMES)
    for piece in relay:
        assert bool(saved.rows) is (piece == answers.DONE)
    relay.close()
    assert saved.outcomes == [(200, "")]


def test_where_the_end_is_the_end_of_the_connection_each_last_frame_may_be_it() -> None:
    frames = answers.gemini_stream("one two")
    relay, saved, _, _ = _begun(*frames, codec="gemini_generate")
    seen = [(piece, len(saved.rows)) for piece in relay]
    assert seen == [(frames[0], 0), (frames[1], 1)]


def test_a_stream_that_says_nothing_for_a_while() -> None:
    config = Config(streaming=Streaming(keepalive_seconds=1))
    half = len(FRAMES[1]) // 2
    pieces = [FRAMES[0], None, None, FRAMES[1][:half], None, FRAMES[1][half:], *FRAMES[2:]]
    relay, _, _, _ = _begun(*pieces, config=config)
    got = list(relay)
    assert got[:5] == [FRAMES[0], BEAT, BEAT, FRAMES[1][:half], FRAMES[1][half:]]
    assert b"".join(got).replace(BEAT, b"") == b"".join(FRAMES)


def test_a_client_that_leaves_a_stream() -> None:
    relay, saved, _, answer = _begun(*FRAMES)
    pieces = iter(relay)
    next(pieces)
    relay.close()
    relay.close()
    assert is_closed(answer)
    assert saved.outcomes == [(499, "")]
    assert saved.rows[0].usage.estimated


def test_an_answer_that_nobody_takes_is_let_go_without_a_word() -> None:
    relay, saved, _, answer = _begun(*FRAMES)
    relay.let_go()
    assert is_closed(answer)
    assert saved.rows == []


def test_a_stream_cut_between_two_frames() -> None:
    relay, saved, _, _ = _begun(*FRAMES[:2])
    got, reason = taken_until_cut(relay)
    assert isinstance(reason, Garbled)
    told, _, error = got.rpartition(b"data: ")
    assert told == b"".join(FRAMES[:2])
    assert "before the answer was finished" in json.loads(error)["error"]["message"]
    assert saved.outcomes == [(200, "upstream")]
    assert saved.rows[0].usage.estimated


@pytest.mark.parametrize("drop_usage", [False, True], ids=["plain", "drop"])
def test_a_stream_cut_within_a_frame(drop_usage: bool) -> None:
    """The half is ended, or not handed out at all: it must not swallow the error."""
    half = FRAMES[1][:20]
    relay, _, _, _ = _begun(FRAMES[0], half, Overloaded("gone"), drop_usage=drop_usage)
    got, _ = taken_until_cut(relay)
    before = FRAMES[0] if drop_usage else FRAMES[0] + half + b"\n\n"
    assert got.startswith(before + b"data: ")
    assert json.loads(got[len(before) + 6 :])["error"]["message"] == "gone"


def test_an_error_in_the_stream_is_the_providers_last_word() -> None:
    error = b'data: {"error":{"message":"slow down","code":429}}\n\n'
    relay, saved, _, _ = _begun(FRAMES[0], error)
    assert taken(relay) == FRAMES[0] + error
    assert saved.outcomes == [(200, "model")]


# The wait for the first event


def test_comments_before_the_first_event_are_kept() -> None:
    relay, _, _, _ = _begun(b": a\n\n", b": b\n\n", *FRAMES)
    assert next(iter(relay)) == b": a\n\n: b\n\n" + FRAMES[0]


@pytest.mark.parametrize("pieces", [[], [b": a\n\n"], [b"data: {"]])
def test_a_stream_without_an_event(pieces: list[bytes]) -> None:
    with pytest.raises(Garbled, match="before its first event"):
        _begun(*pieces)


def test_an_error_as_the_first_event() -> None:
    with pytest.raises(QuotaExhausted, match="slow down"):
        _begun(b'data: {"error":{"message":"slow down","code":429}}\n\n')


class _Times:
    """A clock that goes on by a minute with each look."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        self.now_s += 60
        return self.now_s


@pytest.mark.parametrize("begun", [False, True], ids=["before", "after"])
def test_nothing_but_comments_is_no_progress(begun: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "monotonic", _Times())
    config = Config(idle_timeout=100)
    comments = [b": thinking\n\n"] * 9
    if not begun:
        with pytest.raises(TimedOut, match="nothing but comments"):
            _begun(*comments, config=config)
        return
    relay, saved, _, _ = _begun(FRAMES[0], *comments[:2], FRAMES[1], *comments, config=config)
    got, reason = taken_until_cut(relay)
    assert isinstance(reason, TimedOut)
    assert got.startswith(FRAMES[0] + comments[0] * 2 + FRAMES[1] + comments[0] * 2 + b"data: ")
    assert saved.outcomes == [(200, "upstream")]


def test_comments_for_ever_where_there_is_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "monotonic", _Times())
    pieces = [FRAMES[0], *[b": thinking\n\n"] * 9, *FRAMES[1:]]
    relay, _, _, _ = _begun(*pieces, config=Config(idle_timeout=0))
    assert taken(relay) == b"".join(pieces)


@pytest.mark.parametrize(("codec", "body"), error_documents())
def test_a_bare_error_document_instead_of_a_stream(codec: str, body: bytes) -> None:
    message = json.loads(body)["error"]["message"]
    with pytest.raises(UpstreamError, match=message):
        _begun(body[:9], body[9:], codec=codec)


def test_a_bare_error_document_behind_a_comment() -> None:
    with pytest.raises(QuotaExhausted, match="slow down"):
        _begun(b": wait\n\n", b'{"error":{"message":"slow down",', b'"code":429}}')


def test_any_other_document_is_no_stream() -> None:
    with pytest.raises(Garbled, match="did not send a stream"):
        _begun(b'{"id":"chatcmpl-1"}')
