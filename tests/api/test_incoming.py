from __future__ import annotations

import gzip
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from app.api.incoming import Incoming
from app.errors import BadRequest, RequestTimedOut, TooLarge, UnsupportedMedia
from tests.api.requests import CHUNKED, Body, environ

MIB = 1024 * 1024


class Dripping(Body):
    """A body that comes a piece at a time, whatever is asked for."""

    @override
    def read(self, size: int | None = -1, /) -> bytes:
        asked = -1 if size is None else size
        return super().read(min(asked, 300_000) if asked >= 0 else 300_000)


def _incoming(body: bytes = b"", /, **more: Any) -> Incoming:
    return Incoming(environ(body=body, **more))


# What is asked


def test_headers() -> None:
    incoming = _incoming(
        b"{}", HTTP_X_API_KEY="k", HTTP_USER_AGENT="curl", CONTENT_TYPE="application/json"
    )
    assert incoming.header("x-api-key") == "k"
    assert incoming.header("absent") is None
    assert sorted(incoming.headers()) == [
        ("content-type", "application/json"),
        ("user-agent", "curl"),
        ("x-api-key", "k"),
    ]
    assert (incoming.method, incoming.path, incoming.query) == ("POST", "/v1/chat/completions", "")


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("", ""),
        ("alt=sse", "alt=sse"),
        ("key=k", ""),
        ("key=k&alt=sse", "alt=sse"),
        ("alt=sse&auth_token=k&key", "alt=sse"),
        ("%6Bey=k&a=1", "a=1"),
        (
            "%24alt=sse&key=k&b=a%2Cb,c&&empty=&monkey=%FF",
            "%24alt=sse&b=a%2Cb,c&&empty=&monkey=%FF",
        ),
    ],
)
def test_the_query_loses_keys_and_nothing_else(query: str, left: str) -> None:
    assert _incoming(query=query).query_without_keys() == left


@given(st.lists(st.text("ab=%2+;"), max_size=6))
def test_a_query_without_keys_stays_as_it_is(pairs: list[str]) -> None:
    query = "&".join(pairs)
    assert _incoming(query=query).query_without_keys() == query


# The body


@pytest.mark.parametrize(
    ("size", "kind"),
    [(0, Body), (1, Body), (MIB, Body), (MIB + 1, Body), (3 * MIB, Body), (3 * MIB, Dripping)],
)
def test_a_body_with_a_length(size: int, kind: type[Body]) -> None:
    body = bytes(size)
    incoming = _incoming(body, **{"wsgi.input": kind(body + b"of the next request")})
    assert incoming.body(4 * MIB, 0) == body


@pytest.mark.parametrize("size", [0, 1, MIB, 3 * MIB])
@pytest.mark.parametrize("kind", [Body, Dripping])
def test_a_body_in_chunks(size: int, kind: type[Body]) -> None:
    body = bytes(size)
    incoming = _incoming(length="", **{"wsgi.input": kind(body)}, **CHUNKED)
    assert incoming.body(4 * MIB, 0) == body


def test_neither_length_nor_chunks_is_no_body() -> None:
    incoming = _incoming(length="", **{"wsgi.input": Body(b"of the next request")})
    assert incoming.body(MIB, 0) == b""


@pytest.mark.parametrize("size", [10, MIB + 10])
def test_a_body_that_breaks_off(size: int) -> None:
    with pytest.raises(BadRequest, match="broke off"):
        _incoming(bytes(size - 1), length=str(size)).body(4 * MIB, 0)


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", " 7", "\u00b2", "9" * 5000])
def test_a_length_that_is_no_number(length: str) -> None:
    with pytest.raises(BadRequest, match="not a number"):
        _incoming(b"{}", length=length).body(MIB, 0)


def test_a_body_that_says_it_is_too_large_is_not_read() -> None:
    body = Body(b"x" * 100)
    with pytest.raises(TooLarge, match="larger than 1 MiB"):
        _incoming(length=str(MIB + 1), **{"wsgi.input": body}).body(MIB, 0)
    assert body.tell() == 0
    assert _incoming(bytes(MIB)).body(MIB, 0) == bytes(MIB)


def test_a_body_in_chunks_that_turns_out_too_large() -> None:
    body = Body(bytes(9 * MIB))
    with pytest.raises(TooLarge):
        _incoming(length="", **{"wsgi.input": body}, **CHUNKED).body(MIB, 0)
    assert body.tell() <= MIB + 65536


class _Client:
    """The client's connection, as far as the body's time limit goes."""

    timeout_s: float | None = None

    def settimeout(self, seconds: float) -> None:
        self.timeout_s = seconds


@pytest.mark.parametrize(("limit_s", "set_to"), [(7.0, 7.0), (0.0, None)])
def test_the_time_limit_is_set_on_the_connection(limit_s: float, set_to: float | None) -> None:
    client = _Client()
    assert _incoming(b"{}", **{"gunicorn.socket": client}).body(MIB, limit_s) == b"{}"
    assert client.timeout_s == set_to


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_does_not_arrive(chunked: bool) -> None:
    class Silent(Body):
        @override
        def read(self, size: int | None = -1, /) -> bytes:
            raise TimeoutError

    more = CHUNKED if chunked else {}
    length = "" if chunked else "10"
    with pytest.raises(RequestTimedOut):
        _incoming(length=length, **{"wsgi.input": Silent()}, **more).body(MIB, 1)


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data; boundary=x", "TEXT/HTML", "image/png", "audio/wav"]
)
def test_what_cannot_be_read(content_type: str) -> None:
    with pytest.raises(UnsupportedMedia, match="application/json"):
        _incoming(b"{}", CONTENT_TYPE=content_type).body(MIB, 0)


@pytest.mark.parametrize(
    "content_type", ["", "application/json", "application/x-www-form-urlencoded", "text/plain"]
)
def test_what_may_be_json(content_type: str) -> None:
    assert _incoming(b"{}", CONTENT_TYPE=content_type).body(MIB, 0) == b"{}"


@pytest.mark.parametrize("encoding", ["", "identity", " Identity "])
def test_a_body_that_is_not_compressed(encoding: str) -> None:
    assert _incoming(b"{}", HTTP_CONTENT_ENCODING=encoding).body(MIB, 0) == b"{}"


def test_a_compressed_body() -> None:
    body = b'{"a":1}' * 1000
    packed = gzip.compress(body)
    assert _incoming(packed, HTTP_CONTENT_ENCODING="gzip").body(MIB, 0) == body
    with pytest.raises(TooLarge):
        _incoming(packed, HTTP_CONTENT_ENCODING="gzip").body(len(body) - 1, 0)
    with pytest.raises(UnsupportedMedia):
        _incoming(packed, HTTP_CONTENT_ENCODING="rot13").body(MIB, 0)
    with pytest.raises(BadRequest):
        _incoming(packed[:20], HTTP_CONTENT_ENCODING="gzip").body(MIB, 0)


# A body that nobody reads


@pytest.mark.parametrize(
    ("length", "more", "closes"),
    [
        ("", {}, False),
        ("10", {}, False),
        (str(64 * 1024), {}, False),
        (str(64 * 1024 + 1), {}, True),
        ("ten", {}, True),
        ("9" * 5000, {}, True),
        ("\u00b2", {}, True),
        ("", CHUNKED, True),
    ],
)
def test_a_large_body_that_nobody_wants_ends_the_connection(
    length: str, more: dict[str, str], closes: bool
) -> None:
    incoming = _incoming(length=length, **more)
    incoming.abandon_body()
    assert incoming.environ["wsgi.input"].must_close is closes


def test_a_body_that_was_read_ends_nothing() -> None:
    incoming = _incoming(bytes(100_000))
    incoming.body(MIB, 0)
    incoming.abandon_body()
    assert incoming.environ["wsgi.input"].must_close is False


def test_another_servers_body_takes_no_mark() -> None:
    class Fixed:
        __slots__ = ()

    incoming = _incoming(length="100000", **{"wsgi.input": Fixed()})
    incoming.abandon_body()
    assert not hasattr(incoming.environ["wsgi.input"], "must_close")
