from __future__ import annotations

from collections.abc import Iterator, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

import gevent
import pytest

from app import clock
from app.api import direct
from app.gateway.relay import Cut
from tests.api.requests import Body, environ
from tests.api.sockets import client_pair, read_all


class Pieces:
    """An answer made of these pieces; an exception breaks it."""

    def __init__(self, *pieces: bytes | Exception, status: int = 200) -> None:
        self.status = status
        self.headers: list[tuple[str, str]] = []
        self._pieces = pieces
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    def close(self) -> None:
        self.closed += 1


def _written(
    answer: Pieces, headers: Sequence[tuple[str, str]] = (), /, **more: Any
) -> tuple[str, bytes]:
    """Head and body as the client gets them."""
    client, far = client_pair()

    def write() -> None:
        try:
            direct.write(client, environ(**more), answer, list(headers))
        finally:
            client.close()

    writing = gevent.spawn(write)
    raw = read_all(far)
    far.close()
    writing.get(timeout=10)
    assert answer.closed == 1
    head, _, body = raw.partition(b"\r\n\r\n")
    return head.decode("latin-1"), body


def _sized(*pieces: bytes) -> tuple[Pieces, list[tuple[str, str]]]:
    return Pieces(*pieces), [("Content-Length", str(sum(map(len, pieces))))]


def _unchunked(body: bytes) -> bytes:
    out = b""
    while True:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            assert body == b"\r\n"
            return out
        out += body[:length]
        assert body[length : length + 2] == b"\r\n"
        body = body[length + 2 :]


def test_the_head() -> None:
    answer, headers = _sized(b"body")
    head, body = _written(answer, [("X-One", "caf\u00e9"), *headers])
    lines = head.split("\r\n")
    assert lines[:2] == ["HTTP/1.1 200 OK", "Server: gunicorn"]
    assert lines[3:] == ["Connection: keep-alive", "X-One: caf\u00e9", "Content-Length: 4"]
    date = parsedate_to_datetime(lines[2].removeprefix("Date: "))
    assert abs(date.timestamp() - clock.epoch_s()) < 5
    assert body == b"body"


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (404, "404 Not Found"),
        (499, "499 Client Closed Request"),
        (529, "529 Overloaded"),
        (599, "599"),
    ],
)
def test_statuses(status: int, line: str) -> None:
    head, _ = _written(Pieces(status=status))
    assert head.split("\r\n")[0] == f"HTTP/1.1 {line}"


def test_a_header_cannot_break_out_of_its_line() -> None:
    headers = [("X-A", "b\r\nX-Evil: 1"), ("X-B", "c\nX-Evil: 1"), ("X-C", "\u4e2d"), ("X-D", "d")]
    head, _ = _written(Pieces(), headers)
    lines = head.split("\r\n")
    assert "X-D: d" in lines
    assert "X-C: ?" in lines
    assert "X-A" not in head
    assert "X-Evil" not in head


@pytest.mark.parametrize(
    ("more", "connection"),
    [
        ({}, "keep-alive"),
        ({"HTTP_CONNECTION": "Close"}, "close"),
        ({"HTTP_CONNECTION": "keep-alive, close"}, "close"),
        ({"HTTP_CONNECTION": "keep-alive"}, "keep-alive"),
        ({"wsgi.input": object()}, "keep-alive"),
    ],
)
def test_whether_the_connection_goes_on(more: dict[str, Any], connection: str) -> None:
    head, _ = _written(Pieces(), **more)
    assert f"Connection: {connection}" in head


@pytest.mark.parametrize("mark", ["must_close", "is_last"])
def test_a_connection_that_is_asked_to_end(mark: str) -> None:
    body = Body()
    setattr(body, mark, True)
    head, _ = _written(Pieces(), **{"wsgi.input": body})
    assert "Connection: close" in head


@pytest.mark.parametrize(
    "pieces",
    [
        (),
        (b"",),
        (b"one",),
        (b"one", b"two"),
        (b"x" * 65536,),
        (b"x" * 65537,),
        (b"x" * (3 << 20),),
    ],
    ids=lambda pieces: "+".join(str(len(piece)) for piece in pieces) or "none",
)
@pytest.mark.parametrize("sized", [True, False])
def test_bodies(pieces: tuple[bytes, ...], sized: bool) -> None:
    answer, headers = _sized(*pieces)
    head, body = _written(answer, headers if sized else [])
    assert ("Transfer-Encoding: chunked" in head) is not sized
    assert (body if sized else _unchunked(body)) == b"".join(pieces)


def test_a_small_answer_is_one_send() -> None:
    """Head and body together, whether or not the length is known."""
    for answer, headers in [_sized(b"body"), (Pieces(b"body"), [])]:
        client, far = client_pair()
        sent: list[bytes] = []

        class Counting:
            def send(self, data: bytes, flags: int = 0, sent: list[bytes] = sent) -> int:
                sent.append(data)
                return len(data)

        bare, client._sock = client._sock, Counting()  # type: ignore[assignment]
        direct.write(client, environ(), answer, headers)
        client._sock = bare
        assert sent[0].endswith(b"\r\n\r\nbody" if headers else b"\r\n\r\n4\r\nbody\r\n")
        client.close()
        far.close()


def test_a_stream_that_is_cut_has_no_end_mark() -> None:
    client, far = client_pair()
    answer = Pieces(b"one", Cut())
    with pytest.raises(BrokenPipeError):
        direct.write(client, environ(), answer, [])
    client.close()
    assert read_all(far).endswith(b"\r\n\r\n3\r\none\r\n")
    assert answer.closed == 1
    far.close()


@pytest.mark.parametrize("headers", [[], [("Content-Length", "3")]])
def test_a_client_that_has_gone(headers: list[tuple[str, str]]) -> None:
    client, far = client_pair()
    far.close()
    answer = Pieces(b"one")
    with pytest.raises(OSError, match="pipe"):
        direct.write(client, environ(), answer, headers)
    assert answer.closed == 1
    client.close()


def test_which_sockets_can_be_written_to() -> None:
    client, far = client_pair()
    assert direct.socket_of(environ() | {"gunicorn.socket": client}) is client
    assert direct.socket_of(environ() | {"gunicorn.socket": far}) is None
    assert direct.socket_of(environ()) is None
    old = environ() | {"gunicorn.socket": client, "SERVER_PROTOCOL": "HTTP/1.0"}
    assert direct.socket_of(old) is None
    client.close()
    far.close()


def test_the_date_is_made_anew_each_second(monkeypatch: pytest.MonkeyPatch) -> None:
    heads = []
    for now_s in (0.0, 0.9, 1.0):
        monkeypatch.setattr(clock, "epoch_s", lambda now_s=now_s: now_s)
        heads.append(_written(Pieces())[0].split("\r\n")[2])
    assert heads == ["Date: Thu, 01 Jan 1970 00:00:00 GMT"] * 2 + [
        "Date: Thu, 01 Jan 1970 00:00:01 GMT"
    ]
