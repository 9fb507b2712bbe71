from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from app.errors import Garbled
from app.wire.sse import FrameCutter, data_of

LINES = st.lists(
    st.sampled_from(
        [b"data: x", b"data:", b": c", b"event: a", b"\xef\xbb\xbfdata: y", b"", b"data"]
    )
)
ENDINGS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    return b"".join(line + draw(ENDINGS) for line in draw(LINES))


def cut(pieces: list[bytes]) -> tuple[list[bytes], bytes]:
    cutter = FrameCutter()
    frames = [frame for piece in pieces for frame in cutter.feed(piece)]
    return frames, cutter.rest


@st.composite
def splits(draw: st.DrawFn, source: st.SearchStrategy[bytes]) -> tuple[bytes, list[bytes]]:
    data = draw(source)
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=8)))
    bounds = [0, *places, len(data)]
    return data, [data[a:b] for a, b in itertools.pairwise(bounds)]


RAW = st.lists(st.sampled_from([b"\r", b"\n", b"a", b"data: "])).map(b"".join)


@given(splits(streams() | RAW))
def test_frames_and_rest_are_the_bytes_again(given_split: tuple[bytes, list[bytes]]) -> None:
    data, pieces = given_split
    frames, rest = cut(pieces)
    assert b"".join(frames) + rest == data


@given(splits(streams() | RAW))
def test_any_split_gives_the_same_frames(given_split: tuple[bytes, list[bytes]]) -> None:
    data, pieces = given_split
    assert cut(pieces) == cut([data]) == cut([data[i : i + 1] for i in range(len(data))])


@given(streams() | RAW)
def test_a_frame_ends_at_the_first_blank_line(data: bytes) -> None:
    line_end = rb"(?>\r\n|\n|\r)"
    frames, rest = cut([data])
    for frame in frames:
        assert len(re.findall(line_end + line_end, frame)) == 1
        assert re.search(line_end + line_end + rb"\Z", frame)
    assert not re.search(line_end + rb"(?>\r\n|\n|\r(?!\Z))", rest)


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\n\r\n", b"\r\n\n", b"\r\r\n"])
def test_a_whole_frame_is_given_at_once(end: bytes) -> None:
    assert FrameCutter().feed(b"data: 1" + end) == [b"data: 1" + end]


def test_two_frames_in_one_chunk() -> None:
    assert FrameCutter().feed(b"data: 1\n\ndata: 2\n\nda") == [b"data: 1\n\n", b"data: 2\n\n"]


def test_a_bare_cr_ends_a_frame_with_the_byte_after_it() -> None:
    cutter = FrameCutter()
    assert cutter.feed(b"data: 1\r\r") == []
    assert cutter.feed(b"d") == [b"data: 1\r\r"]
    assert cutter.feed(b"ata: 2\n\r") == []
    assert cutter.flush() == [b"data: 2\n\r"]
    assert cutter.rest == b""


def test_flush_does_not_make_a_frame_of_a_cut_one() -> None:
    cutter = FrameCutter()
    cutter.feed(b"data: 1\r")
    assert cutter.flush() == []
    assert cutter.rest == b"data: 1\r"


def test_a_cr_in_a_chunk_of_one_lf_frame() -> None:
    cutter = FrameCutter()
    assert cutter.feed(b"data: 1\r\rdata: 2\n\n") == [b"data: 1\r\r", b"data: 2\n\n"]
    assert cutter.feed(b"data: 3\n\n") == [b"data: 3\n\n"]


class _Counted(bytearray):
    """Counts the bytes that are looked through."""

    looked = 0

    @override
    def find(self, sub: Any, start: Any = None, end: Any = None) -> int:
        self.looked += len(self) - start
        return super().find(sub, start)


def test_a_huge_frame_in_small_pieces_costs_linear_time() -> None:
    cutter = FrameCutter()
    counted = cutter._rest = _Counted()
    size = 1 << 20
    for _ in range(size // 512):
        assert cutter.feed(b"x" * 512) == []
    assert cutter.feed(b"\n\n") == [b"x" * size + b"\n\n"]
    assert counted.looked < 2 * size


def test_a_frame_without_end_is_refused() -> None:
    cutter = FrameCutter(limit=100)
    assert cutter.feed(b"x" * 100) == []
    with pytest.raises(Garbled):
        cutter.feed(b"x")


@pytest.mark.parametrize(
    ("frame", "data"),
    [
        (b"data: 1\n\n", b"1"),
        (b"data: 1\r\n\r\n", b"1"),
        (b"data: 1\r\r", b"1"),
        (b"data:1\n\n", b"1"),
        (b"data:  1 \n\n", b" 1 "),
        (b"event: a\ndata: 1\nid: 7\n\n", b"1"),
        (b"data: 1\ndata: 2\n\n", b"1\n2"),
        (b"data\ndata: 2\n\n", b"\n2"),
        (b"\xef\xbb\xbfdata: 1\n\n", b"1"),
        (b": comment\n\n", b""),
        (b"\n\ndata: 1\n\n", b"1"),
        (b"database: 1\n\n", b""),
        (b"data: \n\n", b""),
    ],
)
def test_data_of(frame: bytes, data: bytes) -> None:
    assert data_of(frame) == data
