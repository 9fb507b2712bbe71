from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import brotli  # type: ignore[import-untyped]  # it ships no types
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from app.errors import BadRequest, Garbled, TooLarge, UnsupportedMedia
from app.wire.inflate import Inflater, codings, inflate

LIMIT = 1 << 20


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
}
CASES = [*PACKERS.items(), ("deflate", raw_deflate), ("x-gzip", gzip.compress)]
each_coding = pytest.mark.parametrize(
    ("coding", "pack"), CASES, ids=["gzip", "deflate", "br", "zstd", "raw", "x-gzip"]
)
DATA = b'{"model":"m","text":"' + bytes(range(32, 127)) * 3000 + b'"}'


@each_coding
def test_a_body_comes_back(coding: str, pack: Callable[[bytes], bytes]) -> None:
    assert inflate(pack(DATA), coding, LIMIT) == DATA
    assert inflate(bytearray(pack(DATA)), coding.upper(), len(DATA)) == DATA


@each_coding
def test_a_cut_body_is_refused(coding: str, pack: Callable[[bytes], bytes]) -> None:
    packed = pack(DATA)
    for end in (1, len(packed) // 2, len(packed) - 1):
        with pytest.raises(BadRequest):
            inflate(packed[:end], coding, LIMIT)


@each_coding
def test_a_corrupt_body_is_refused(coding: str, pack: Callable[[bytes], bytes]) -> None:
    with pytest.raises(BadRequest):
        inflate(b"\xff\xfe\xfd\xfc this is not compressed", coding, LIMIT)
    with pytest.raises(BadRequest):
        inflate(pack(DATA) + b"\xfftrailing", coding, LIMIT)


@each_coding
def test_a_bomb_stops_at_the_limit(coding: str, pack: Callable[[bytes], bytes]) -> None:
    bomb = pack(bytes(200 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            inflate(bomb, coding, 8 << 20)
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()


@each_coding
def test_one_byte_over_the_limit(coding: str, pack: Callable[[bytes], bytes]) -> None:
    with pytest.raises(TooLarge):
        inflate(pack(DATA), coding, len(DATA) - 1)


def test_stacked_codings_are_taken_off_in_turn() -> None:
    assert inflate(brotli.compress(gzip.compress(DATA)), "gzip, br", LIMIT) == DATA
    triple = zstandard.compress(brotli.compress(zlib.compress(DATA)))
    assert inflate(triple, "deflate, br ,zstd", LIMIT) == DATA


def test_the_inside_of_a_stack_is_bounded_too() -> None:
    endless_name = b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * (4 << 20)
    with pytest.raises(TooLarge):
        inflate(gzip.compress(endless_name), "gzip, gzip", LIMIT)


def test_identity_changes_nothing() -> None:
    assert inflate(DATA, "identity", LIMIT) == DATA
    assert inflate(DATA, "", LIMIT) == DATA
    with pytest.raises(TooLarge):
        inflate(DATA, "", 10)


@pytest.mark.parametrize("encoding", ["compress", "gzip, lzma", "gzip,gzip,gzip,gzip", "aes128gcm"])
def test_unknown_codings(encoding: str) -> None:
    with pytest.raises(UnsupportedMedia):
        inflate(DATA, encoding, LIMIT)
    with pytest.raises(Garbled):
        Inflater(encoding, LIMIT)


@each_coding
def test_an_empty_body_needs_no_coding(coding: str, pack: Callable[[bytes], bytes]) -> None:
    assert inflate(b"", coding, LIMIT) == b""
    assert inflate(pack(b""), coding, LIMIT) == b""


def test_gzip_members_follow_each_other() -> None:
    assert inflate(gzip.compress(b"a") + gzip.compress(b"b"), "gzip", LIMIT) == b"ab"


def test_zstd_frames_follow_each_other() -> None:
    assert inflate(zstandard.compress(b"a") + zstandard.compress(b"b"), "zstd", LIMIT) == b"ab"


def test_a_zstd_window_over_8_mib_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=25)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    with pytest.raises(BadRequest):
        inflate(packer.compress(DATA) + packer.flush(), "zstd", LIMIT)


@given(st.binary(max_size=300), st.sampled_from(CASES), st.integers(1, 40))
def test_an_answer_in_pieces(
    data: bytes, case: tuple[str, Callable[[bytes], bytes]], size: int
) -> None:
    coding, pack = case
    packed = pack(data)
    inflater = Inflater(coding, LIMIT)
    out = [inflater.feed(packed[i : i + size]) for i in range(0, len(packed), size)]
    inflater.finish()
    assert b"".join(out) == data


@each_coding
def test_an_empty_piece_changes_nothing(coding: str, pack: Callable[[bytes], bytes]) -> None:
    inflater = Inflater(coding, LIMIT)
    assert inflater.feed(b"") == b""
    inflater.finish()


def test_an_answer_is_given_by_arrival() -> None:
    packer = zlib.compressobj(wbits=31)
    inflater = Inflater("gzip", LIMIT)
    for word in (b"one", b"two"):
        piece = packer.compress(word) + packer.flush(zlib.Z_SYNC_FLUSH)
        assert inflater.feed(piece) == word


@each_coding
def test_a_cut_answer_is_garbled(coding: str, pack: Callable[[bytes], bytes]) -> None:
    inflater = Inflater(coding, LIMIT)
    inflater.feed(pack(DATA)[:-1])
    with pytest.raises(Garbled):
        inflater.finish()


@each_coding
def test_a_corrupt_or_huge_answer_is_garbled(coding: str, pack: Callable[[bytes], bytes]) -> None:
    with pytest.raises(Garbled):
        Inflater(coding, LIMIT).feed(b"\xff\xfe\xfd\xfc not compressed at all, not at all")
    with pytest.raises(Garbled):
        Inflater(coding, 10).feed(pack(DATA))


def test_codings() -> None:
    assert codings(" GZIP, identity,, br") == ["gzip", "br"]
