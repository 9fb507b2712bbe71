from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Garbled
from app.wire.http1 import (
    CHUNKED,
    FIELD_LIMIT,
    HEAD_LIMIT,
    UNKNOWN,
    Dechunker,
    Head,
    head_end,
    read_head,
)


def head_of(*lines: str, first: str = "HTTP/1.1 200 OK", method: str = "POST") -> Head:
    return read_head("\r\n".join([first, *lines, "", ""]).encode("latin-1"), method)


def test_a_head() -> None:
    head = head_of("Content-Type:  text/plain\t", "X-Odd:", "x-ODD: ü", "Content-Length: 12")
    assert (head.status, head.reason, head.length, head.keep_alive) == (200, "OK", 12, True)
    assert head.fields == [
        ("Content-Type", "text/plain"),
        ("X-Odd", ""),
        ("x-ODD", "ü"),
        ("Content-Length", "12"),
    ]


@pytest.mark.parametrize("first", ["HTTP/1.1 200", "HTTP/1.1 200 "])
def test_a_head_without_reason_and_headers(first: str) -> None:
    head = head_of(first=first)
    assert (head.reason, head.fields, head.length, head.keep_alive) == ("", [], UNKNOWN, False)


@pytest.mark.parametrize(
    ("lines", "length", "keep_alive"),
    [
        (["Transfer-Encoding: chunked"], CHUNKED, True),
        (["Transfer-Encoding: Chunked", "Content-Length: 3"], CHUNKED, False),
        (["Content-Length: 3", "Transfer-Encoding: chunked"], CHUNKED, False),
        (["Transfer-Encoding: identity", "Content-Length: 3"], 3, True),
        (["Content-Length: 3, 3"], 3, True),
        (["Content-Length: 3", "Content-Length: 3"], 3, True),
        (["Content-Length: 3", "Connection: Close"], 3, False),
        (["Content-Length: 3", "Connection: x, close"], 3, False),
        (["Content-Length: 0"], 0, True),
    ],
)
def test_framing(lines: list[str], length: int, keep_alive: bool) -> None:
    head = head_of(*lines)
    assert (head.length, head.keep_alive) == (length, keep_alive)


def test_http_1_0_closes_unless_it_says_so() -> None:
    first = "HTTP/1.0 200 OK"
    assert not head_of("Content-Length: 3", first=first).keep_alive
    assert head_of("Content-Length: 3", "Connection: keep-alive", first=first).keep_alive


@pytest.mark.parametrize("status", [100, 103, 204, 304])
def test_statuses_without_a_body(status: int) -> None:
    assert head_of("Content-Length: 5", first=f"HTTP/1.1 {status} X").length == 0


def test_the_answer_to_head_has_no_body() -> None:
    assert head_of("Content-Length: 5", method="HEAD").length == 0


@pytest.mark.parametrize(
    "lines",
    [
        ["Content-Length: 3, 4"],
        ["Content-Length: 3", "Content-Length: 4"],
        ["Content-Length: +3"],
        ["Content-Length: -3"],
        ["Content-Length: 3x"],
        ["Content-Length: 0x10"],
        ["Content-Length: ,"],
        ["Content-Length: 9999999999999999999"],
        ["Transfer-Encoding: gzip, chunked"],
        ["Transfer-Encoding: chunked, chunked"],
        ["Transfer-Encoding: x"],
        ["A: 1", " folded"],
        ["A : 1"],
        [": 1"],
        ["no colon"],
        ["A: a\0b"],
        ["A: a\rb"],
        ["A: a\nb"],
        ["\xe4: 1"],
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(lines: list[str]) -> None:
    with pytest.raises(Garbled):
        head_of(*lines)


@pytest.mark.parametrize(
    "first",
    [
        "HTTP/2 200 OK",
        "HTTP/1.2 200 OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "http/1.1 200 OK",
        "HTTP/1.1  200 OK",
        "HTTP/1.1 099 X",
        "ICY 200 OK",
        "HTTP/1.1 200 a\0b",
    ],
)
def test_a_status_line_that_is_none(first: str) -> None:
    with pytest.raises(Garbled):
        head_of(first=first)


def test_too_many_headers() -> None:
    assert len(head_of(*["A: b"] * FIELD_LIMIT).fields) == FIELD_LIMIT
    with pytest.raises(Garbled):
        head_of(*["A: b"] * (FIELD_LIMIT + 1))


WHOLE = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n"


def test_the_end_of_a_head_is_found_at_its_last_byte() -> None:
    for size in range(len(WHOLE)):
        assert head_end(WHOLE[:size], max(0, size - 1)) == 0
    for seen in range(len(WHOLE)):
        assert head_end(WHOLE + b"body\r\n\r\n", seen) == len(WHOLE)


@pytest.mark.parametrize(
    "data",
    [
        b"S",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/2.0 200 OK",
        b"\x15\x03\x01\x00\x02",
        b"HTTP/1.1 200 OK\nA: b\n\n",
        b"HTTP/1.1 200 OK\r\nA: b\n",
        b"HTTP/1.1 " + b"x" * HEAD_LIMIT,
        b"HTTP/1.1 " + b"x" * HEAD_LIMIT + b"\r\n\r\n",
    ],
)
def test_what_cannot_become_a_head_is_refused_at_once(data: bytes) -> None:
    with pytest.raises(Garbled):
        head_end(data)


def test_a_bare_lf_is_seen_across_two_looks() -> None:
    assert head_end(b"HTTP/1.1 200 OK\r\n", 16) == 0
    with pytest.raises(Garbled):
        head_end(b"HTTP/1.1 200 OK\n", 15)


@st.composite
def chunked(draw: st.DrawFn) -> tuple[bytes, bytes, list[bytes]]:
    """A payload, its chunked form in some spelling, and the pieces it comes in."""
    chunks = draw(st.lists(st.binary(min_size=1, max_size=20), max_size=5))
    extension = draw(st.sampled_from([b"", b";a=b", b" ", b' ; q="x"']))
    spelling = draw(st.sampled_from([b"%x", b"%X", b"%04x"]))
    trailers = draw(st.sampled_from([b"", b"A: b\r\n", b"A: b\r\nC: d\r\n"]))
    wire = b"".join(spelling % len(c) + extension + b"\r\n" + c + b"\r\n" for c in chunks)
    wire += b"0" + extension + b"\r\n" + trailers + b"\r\n"
    places = sorted(draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    bounds = [0, *places, len(wire)]
    pieces = [wire[a:b] for a, b in itertools.pairwise(bounds)]
    return b"".join(chunks), wire, pieces


@given(chunked())
def test_chunks_however_they_come(case: tuple[bytes, bytes, list[bytes]]) -> None:
    payload, wire, pieces = case
    for parts in (pieces, [wire], [wire[i : i + 1] for i in range(len(wire))]):
        dechunker = Dechunker()
        out = b"".join(dechunker.feed(part) for part in parts)
        assert (out, dechunker.ended, dechunker.surplus) == (payload, True, False)


@given(chunked())
def test_a_cut_body_has_not_ended(case: tuple[bytes, bytes, list[bytes]]) -> None:
    payload, wire, _ = case
    for end in range(len(wire)):
        dechunker = Dechunker()
        assert payload.startswith(dechunker.feed(wire[:end]))
        assert not dechunker.ended


def test_payload_is_given_by_arrival() -> None:
    dechunker = Dechunker()
    assert dechunker.feed(b"5\r\nab") == b"ab"
    assert dechunker.feed(b"cd") == b"cd"
    assert dechunker.feed(b"e\r\n2\r\nf") == b"ef"


def test_what_follows_the_end_is_noted() -> None:
    dechunker = Dechunker()
    assert dechunker.feed(b"1\r\na\r\n0\r\n\r\nHTTP/1.1") == b"a"
    assert dechunker.ended
    assert dechunker.surplus
    later = Dechunker()
    later.feed(b"0\r\n\r\n")
    later.feed(b"x")
    assert later.surplus


@pytest.mark.parametrize(
    "wire",
    [
        b"x\r\n",
        b"\r\n",
        b"-1\r\n",
        b"+1\r\na\r\n",
        b"0x1\r\na\r\n",
        b"1_0\r\n",
        b"1\na\r\n",
        b"1\r\nab\r\n",
        b"1\r\na\n",
        b"1\r\na\rb",
        b"1;a\nb\r\n",
        b"1FFFFFFFF\r\n",
        b"00000000000000001\r\n",
        b"1;" + b"x" * 5000,
        b"0\r\n" + b"a: b\r\n" * 65,
        b"0\r\n" + b"a" * 5000,
        b"0\r\na\nb",
    ],
)
def test_broken_chunks(wire: bytes) -> None:
    with pytest.raises(Garbled):
        Dechunker().feed(wire)
    dechunker = Dechunker()
    with pytest.raises(Garbled):
        b"".join(map(dechunker.feed, (wire[place : place + 1] for place in range(len(wire)))))
