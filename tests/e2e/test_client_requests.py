"""What clients send that they should not, and what they may."""

from __future__ import annotations

import contextlib
import gzip
import json
import zlib
from collections.abc import Callable

import brotli  # type: ignore[import-untyped]  # it ships no types
import pytest
import zstandard

from tests.e2e.raw import Answer, Connection, Gone, ask, chunk, request_bytes
from tests.e2e.speech import ALL, CHAT, GEMINI, MESSAGES, Speech
from tests.fakes.gateway import Gateway
from tests.fakes.upstream import ScriptedUpstream

MIB = 1024 * 1024
LIMIT = 8 * MIB  # of the shared gateway

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda data: brotli.compress(data, quality=2),
    "zstd": zstandard.ZstdCompressor().compress,
}


def _send(gateway: Gateway, speech: Speech, body: bytes, *more: tuple[str, str]) -> Answer:
    headers = [speech.key_header(gateway.key), *more]
    return ask(gateway.port, "POST", speech.client_path(), body, headers)


def _too_large(speech: Speech) -> int:
    return 400 if speech is GEMINI else 413  # Google's own word for it


# Compressed bodies


@pytest.mark.parametrize("encoding", PACKERS)
def test_a_compressed_body_is_inflated(
    encoding: str, speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.reply(speech.upstream_path(), speech.plain())
    body = speech.body() + b" " * 10_000
    answer = _send(gateway, speech, PACKERS[encoding](body), ("Content-Encoding", encoding))
    assert answer.status == 200
    seen = upstream.requests[0]
    assert seen.body == body
    assert seen.header("content-encoding") is None


@pytest.mark.parametrize("encoding", PACKERS)
def test_a_bomb_is_refused(encoding: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    bomb = PACKERS[encoding](b"\0" * (64 * MIB))
    assert len(bomb) < LIMIT
    answer = _send(gateway, CHAT, bomb, ("Content-Encoding", encoding))
    assert answer.status == 413
    assert CHAT.error_message(answer.json())
    assert upstream.requests == []


@pytest.mark.parametrize("encoding", PACKERS)
def test_a_corrupt_body_is_refused(
    encoding: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    packed = PACKERS[encoding](CHAT.body() * 50)
    for broken in (packed[: len(packed) // 2], b"not compressed at all"):
        answer = _send(gateway, CHAT, broken, ("Content-Encoding", encoding))
        assert answer.status == 400
    assert upstream.requests == []


@pytest.mark.parametrize("encoding", ["compress", "rot13"])
def test_an_unknown_encoding_is_refused(
    encoding: str, speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    answer = _send(gateway, speech, speech.body(), ("Content-Encoding", encoding))
    assert answer.status in (400, 415)
    assert speech.error_message(answer.json())
    assert upstream.requests == []


# Too much


def test_a_gigabyte_announced_is_refused_unread(
    speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    with Connection(gateway.port) as client:
        head = request_bytes(
            "POST",
            speech.client_path(),
            None,
            [
                speech.key_header(gateway.key),
                ("Content-Type", "application/json"),
                ("Content-Length", str(1024 * MIB)),
            ],
        )
        client.send(head + b'{"model":')
        answer = client.answer()
    assert answer.status == _too_large(speech)
    assert answer.header("connection") == "close"
    assert speech.error_message(answer.json())
    assert upstream.requests == []


def test_a_gigabyte_in_chunks_is_refused_on_the_way(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    piece = chunk(b" " * MIB)
    sent = 0
    with Connection(gateway.port) as client:
        headers = [
            CHAT.key_header(gateway.key),
            ("Content-Type", "application/json"),
            ("Transfer-Encoding", "chunked"),
        ]
        client.send(request_bytes("POST", CHAT.client_path(), None, headers))
        with contextlib.suppress(ConnectionError):
            while sent < 1024:
                client.send(piece)
                sent += 1
        # The kernel throws an answer away when its reader goes on sending.
        with contextlib.suppress(Gone, ConnectionError):
            assert client.answer().status == 413
    assert sent < 64
    assert upstream.requests == []


def test_a_body_just_over_the_limit_gets_its_answer(
    speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    """Clients send all of it before they read; the refusal must survive that."""
    for _ in range(5):
        answer = _send(gateway, speech, b" " * (LIMIT + MIB))
        assert answer.status == _too_large(speech)
    assert upstream.requests == []


def test_a_body_just_under_the_limit_goes_through(
    speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.reply(speech.upstream_path(), speech.plain())
    body = speech.body()
    body += b" " * (LIMIT - len(body))
    assert _send(gateway, speech, body).status == 200
    assert upstream.requests[0].body == body


def test_expect_continue(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.reply(CHAT.upstream_path(), CHAT.plain())
    body = CHAT.body()
    whole = request_bytes(
        "POST", CHAT.client_path(), body, [CHAT.key_header(gateway.key), ("Expect", "100-continue")]
    )
    with Connection(gateway.port) as client:
        client.send(whole[: -len(body)])
        client.sock.settimeout(5)
        assert client.sock.recv(4096).startswith(b"HTTP/1.1 100 ")
        client.send(body)
        assert client.answer().status == 200


# Malformed


MALFORMED = {
    "empty": b"",
    "half": b'{"model":"gpt-test"',
    "trailing comma": b'{"model":"gpt-test",}',
    "two values": b'{"model":"gpt-test"}{"model":"gpt-test"}',
    "a list": b"[1,2]",
    "text": b'"gpt-test"',
    "null": b"null",
    "no JSON": b"model=gpt-test",
    "single quotes": b"{'model':'gpt-test'}",
    "NaN": b'{"model":"gpt-test","x":NaN}',
    "bare control": b'{"model":"gpt-test","x":"a\nb"}',
    "half a surrogate": b'{"model":"gpt-\\ud800test"}',
    "half a character": b'{"model":"gpt-test","x":"\xc3"}',
    "overlong": b'{"model":"gpt-test","x":"\xc0\xaf"}',
    "UTF-16": '{"model":"gpt-test"}'.encode("utf-16"),
    "latin-1": '{"model":"gpt-test","x":"é"}'.encode("latin-1"),
    "a byte order mark": b"\xef\xbb\xbf" + b'{"model":"gpt-test"}',
    "too deep": b'{"model":"gpt-test","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_body_is_refused_in_the_clients_protocol(
    case: str, speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    answer = _send(gateway, speech, MALFORMED[case])
    if case == "half a surrogate":  # JSON as such, but no model has such a name
        assert answer.status in ((400, 404) if speech is not GEMINI else (200, 400, 404))
        return
    assert answer.status == 400
    body = answer.json()
    expected = {MESSAGES.name: "invalid_request_error", GEMINI.name: "INVALID_ARGUMENT"}
    assert speech.error_type(body) == expected.get(speech.name, "invalid_request_error")
    assert speech.error_message(body)
    assert answer.request_id
    assert upstream.requests == []


WRONG_TYPES = [
    b'{"model":7}',
    b'{"model":null}',
    b'{"model":""}',
    b'{"model":"   "}',
    b'{"messages":[]}',
    b'{"model":["gpt-test"]}',
    b'{"model":{"name":"gpt-test"}}',
]


@pytest.mark.parametrize("body", WRONG_TYPES)
@pytest.mark.parametrize(
    "speech", [speech for speech in ALL if not speech.model_in_path], ids=lambda s: s.name
)
def test_a_body_without_a_usable_model(
    speech: Speech, body: bytes, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    answer = _send(gateway, speech, body)
    assert answer.status == 400
    assert "model" in speech.error_message(answer.json())
    assert upstream.requests == []


def test_a_form_with_files_is_refused(
    speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    content_type = ("Content-Type", "multipart/form-data; boundary=x")
    answer = _send(gateway, speech, speech.body(), content_type)
    assert answer.status in (400, 415)
    assert speech.error_message(answer.json())
    assert upstream.requests == []


def test_json_that_curl_calls_a_form_is_read(
    speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.reply(speech.upstream_path(), speech.plain())
    content_type = ("Content-Type", "application/x-www-form-urlencoded")
    assert _send(gateway, speech, speech.body(), content_type).status == 200
    assert (upstream.requests[0].header("content-type") or "").startswith("application/json")


def test_a_body_without_a_content_type_is_read(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.reply(CHAT.upstream_path(), CHAT.plain())
    body = CHAT.body()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n"
    head += b"Content-Length: %d\r\n\r\n"
    with Connection(gateway.port) as client:
        client.send(head % (gateway.key.encode(), len(body)) + body)
        assert client.answer().status == 200
    assert (upstream.requests[0].header("content-type") or "").startswith("application/json")


def test_smuggled_lengths_are_refused(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.reply("*", CHAT.plain())
    base = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + gateway.key
    body = CHAT.body().decode()
    for framing in (
        f"Content-Length: {len(body)}\r\nContent-Length: 5",
        f"Content-Length: {len(body)}\r\nTransfer-Encoding: chunked",
        "Content-Length: -1",
        f"Content-Length: +{len(body)}",
        "Transfer-Encoding: chunked, identity",
    ):
        with Connection(gateway.port) as client:
            client.send(f"{base}\r\n{framing}\r\n\r\n{body}".encode())
            assert client.answer().status in (400, 501), framing
    assert upstream.requests == []


def test_an_error_leaves_the_connection_in_order(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    """A refused request with an unread body must not be taken for the next request."""
    upstream.reply(CHAT.upstream_path(), CHAT.plain())
    wrong = request_bytes(
        "POST", CHAT.client_path(), CHAT.body() * 20, [CHAT.key_header("wrong-key")]
    )
    right = request_bytes("POST", CHAT.client_path(), CHAT.body(), [CHAT.key_header(gateway.key)])
    with Connection(gateway.port) as client:
        client.send(wrong)
        first = client.answer()
        assert first.status == 401
        if first.header("connection") == "close":
            return
        client.send(right)
        second = client.answer()
        assert second.status == 200
        assert json.loads(second.body)["object"] == "chat.completion"
