"""Which headers cross the gateway, seen from both ends."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.e2e.raw import Connection, ask, request_bytes
from tests.e2e.speech import CHAT, GEMINI, MESSAGES, Speech
from tests.fakes import answers
from tests.fakes.gateway import Gateway
from tests.fakes.upstream import Recorded, Reply, ScriptedUpstream

NEVER_UP = {
    "Cookie": "session=abc",
    "Proxy-Authorization": "Basic c2VjcmV0",
    "Proxy-Connection": "keep-alive",
    "Keep-Alive": "timeout=5",
    "TE": "trailers",
    "X-Only-This-Hop": "1",
    "X-Forwarded-For": "198.51.100.9",
    "X-Real-IP": "198.51.100.9",
    "Forwarded": "for=198.51.100.9",
    "X-Api-Key": "stolen-key-1",
    "X-Goog-Api-Key": "stolen-key-2",
    "Origin": "https://browser.test",
    "Referer": "https://browser.test/page",
    "X-Unknown-To-Us": "private",
}
NEVER_DOWN = {
    "Set-Cookie": "a=b",
    "X-Other-Hop": "1",
    "Keep-Alive": "timeout=9",
    "Proxy-Authenticate": "Basic",
    "Server": "scripted",
    "Via": "1.1 edge",
    "Strict-Transport-Security": "max-age=1",
    "Alt-Svc": "h3=1",
    "OpenAI-Organization": "org-of-the-gateway",
}
ALWAYS_DOWN = {
    "Retry-After": "3",
    "X-Request-Id": "req_upstream",
    "Request-Id": "req_upstream_2",
    "X-RateLimit-Remaining-Requests": "41",
    "Anthropic-RateLimit-Tokens-Remaining": "1000",
    "OpenAI-Processing-Ms": "77",
}


def _says_nothing_of(text: str, request: Recorded) -> bool:
    head = [request.target, *(f"{name}: {value}" for name, value in request.headers)]
    return text not in "\n".join(head) and text.encode() not in request.body


def test_what_never_reaches_the_provider(
    speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.reply(speech.upstream_path(), speech.plain())
    headers = [("Authorization", f"Bearer {gateway.key}"), *NEVER_UP.items()]
    headers.append(("Connection", "keep-alive, X-Only-This-Hop"))
    answer = ask(gateway.port, "POST", speech.client_path(), speech.body(), headers)
    assert answer.status == 200
    seen = upstream.requests[0]
    for name, value in NEVER_UP.items():
        assert seen.header(name) != value, name
    assert _says_nothing_of(gateway.key, seen)
    assert _says_nothing_of("stolen-key", seen)
    assert seen.header("host") == upstream.url.removeprefix("http://")


@pytest.mark.parametrize("place", ["bearer", "bare", "x-api-key", "x-goog-api-key"])
def test_a_key_in_any_header_stays_here(
    place: str, speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.reply(speech.upstream_path(), speech.plain())
    header = {
        "bearer": ("Authorization", f"bearer  {gateway.key}"),
        "bare": ("Authorization", gateway.key),
    }.get(place, (place, gateway.key))
    answer = ask(gateway.port, "POST", speech.client_path(), speech.body(), [header])
    assert answer.status == 200
    assert _says_nothing_of(gateway.key, upstream.requests[0])
    assert not _says_nothing_of(speech.secrets[0], upstream.requests[0])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ["key", "auth_token"])
def test_a_key_in_the_query_stays_here(
    name: str, stream: bool, speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    reply = speech.stream() if stream else speech.plain()
    upstream.reply(speech.upstream_path(stream=stream), reply)
    path, _, query = speech.client_path(stream=stream).partition("?")
    escaped = quote(gateway.key[0], safe="").replace("c", "%63") + gateway.key[1:]
    for key in (gateway.key, escaped):
        upstream.requests.clear()
        target = f"{path}?{name}={key}" + (f"&{query}" if query else "") + "&beta=true"
        answer = ask(gateway.port, "POST", target, speech.body(stream=stream))
        assert answer.status == 200
        seen = upstream.requests[0]
        assert _says_nothing_of(gateway.key, seen)
        assert f"{name}=" not in seen.query
        assert "beta=true" in seen.query
        assert ("alt=sse" in seen.query) is (query == "alt=sse")


def test_headers_of_openai_clients_go_on(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.reply(CHAT.upstream_path(), CHAT.plain())
    passed = {
        "OpenAI-Organization": "org-1",
        "OpenAI-Project": "proj_1",
        "OpenAI-Beta": "assistants=v2",
        "User-Agent": "OpenAI/Python 3.52",
    }
    headers = [CHAT.key_header(gateway.key), *passed.items()]
    ask(gateway.port, "POST", CHAT.client_path(), CHAT.body(), headers)
    for name, value in passed.items():
        assert upstream.requests[0].header(name) == value


def test_headers_of_anthropic_clients_go_on(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.reply(MESSAGES.upstream_path(), MESSAGES.plain())
    passed = {"anthropic-version": "2026-10-21", "anthropic-beta": "a-2025-01-01,b-2025-02-02"}
    headers = [MESSAGES.key_header(gateway.key), *passed.items()]
    ask(gateway.port, "POST", MESSAGES.client_path(), MESSAGES.body(), headers)
    for name, value in passed.items():
        assert upstream.requests[0].header(name) == value


def test_an_anthropic_version_is_filled_in(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.reply(MESSAGES.upstream_path(), MESSAGES.plain())
    headers = [MESSAGES.key_header(gateway.key)]
    ask(gateway.port, "POST", MESSAGES.client_path(), MESSAGES.body(), headers)
    assert upstream.requests[0].header("anthropic-version") == "2023-06-01"


@pytest.mark.parametrize("stream", [False, True])
def test_what_of_the_answer_reaches_the_client(
    stream: bool, speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    base = speech.stream() if stream else speech.plain()
    headers = [*base.headers, *NEVER_DOWN.items(), *ALWAYS_DOWN.items()]
    headers.append(("Connection", "keep-alive, X-Other-Hop"))
    upstream.reply(
        speech.upstream_path(stream=stream),
        Reply(body=base.body, headers=headers, framing=base.framing),
    )
    answer = ask(
        gateway.port,
        "POST",
        speech.client_path(stream=stream),
        speech.body(stream=stream),
        [speech.key_header(gateway.key)],
    )
    assert answer.status == 200
    for name, value in NEVER_DOWN.items():
        assert answer.header(name) != value, name
    for name, value in ALWAYS_DOWN.items():
        assert answer.header(name) == value, name
    for name in ("content-type", "content-length", "transfer-encoding", "date", "connection"):
        assert sum(key.lower() == name for key, _ in answer.headers) <= 1, name
    assert not (answer.header("content-length") and answer.header("transfer-encoding"))


def test_a_stream_tells_proxies_not_to_hold_it(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.reply(CHAT.upstream_path(), CHAT.stream())
    body = CHAT.body(stream=True)
    answer = ask(gateway.port, "POST", CHAT.client_path(), body, [CHAT.key_header(gateway.key)])
    assert answer.header("x-accel-buffering") == "no"
    assert "no-cache" in (answer.header("cache-control") or "")


def test_a_compressed_answer_is_handed_on_plain(
    speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    body = speech.whole("squeezed", prompt=6)
    upstream.reply(speech.upstream_path(), Reply(body=body, encoded="gzip"))
    answer = ask(
        gateway.port,
        "POST",
        speech.client_path(),
        speech.body(),
        [speech.key_header(gateway.key), ("Accept-Encoding", "gzip, deflate, br, zstd")],
    )
    assert upstream.requests[0].header("accept-encoding") == "identity"
    assert answer.body == body
    assert answer.header("content-encoding") is None
    assert gateway.row(answer.request_id)["input_tokens"] == 6


def test_a_control_character_in_an_answers_header_is_not_handed_on(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    raw = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        b"X-Request-Id: one\rX-Injected: two\r\nContent-Length: %d\r\n\r\n" % len(CHAT.whole())
    )
    upstream.reply(CHAT.upstream_path(), Reply(raw=[raw + CHAT.whole()]))
    headers = [CHAT.key_header(gateway.key)]
    answer = ask(gateway.port, "POST", CHAT.client_path(), CHAT.body(), headers)
    assert answer.status in (200, 502, 503)
    assert answer.header("x-injected") is None
    assert not any("\r" in value or "\n" in value for _, value in answer.headers)


@pytest.mark.parametrize(
    "target",
    [
        "/v1beta/models/gemini-test%0d%0aX-Injected:%201:generateContent",
        "/v1beta/models/..%2f..%2fv1%2fsecret:generateContent",
        "/v1beta/models/gemini-test%00:generateContent",
    ],
)
def test_a_model_name_cannot_leave_its_place(
    target: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.reply("*", GEMINI.plain())
    headers = [GEMINI.key_header(gateway.key)]
    answer = ask(gateway.port, "POST", target, GEMINI.body(), headers)
    assert answer.status in (400, 404)
    assert answer.header("x-injected") is None
    assert upstream.requests == []


@pytest.mark.parametrize("name", ["key", "beta"])
def test_line_breaks_in_the_query_stay_escaped(
    name: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.reply(CHAT.upstream_path(), CHAT.plain())
    target = f"{CHAT.client_path()}?{name}=a%0d%0aX-Injected:%201"
    headers = [CHAT.key_header(gateway.key)]
    answer = ask(gateway.port, "POST", target, CHAT.body(), headers)
    assert answer.status == 200
    seen = upstream.requests[0]
    assert seen.header("x-injected") is None
    assert ("%0d%0a" in seen.query.lower()) is (name == "beta")


@pytest.mark.parametrize(
    "line",
    [
        b"X-Bad: one\rX-Injected: two",
        b"X-Bad: nul\x00",
        b"Bad Name: 1",
        b" folded: 1",
    ],
)
def test_a_broken_header_is_refused(
    line: bytes, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.reply(CHAT.upstream_path(), CHAT.plain())
    body = CHAT.body()
    head = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n%b\r\n"
        b"Content-Length: %d\r\n\r\n" % (gateway.key.encode(), line, len(body))
    )
    with Connection(gateway.port) as client:
        client.send(head + body)
        answer = client.answer()
    if answer.status == 200:  # a control character a parser takes for a blank: nothing crosses
        assert upstream.requests[0].header("x-injected") is None
        assert upstream.requests[0].header("x-bad") is None
    else:
        assert answer.status == 400
        assert upstream.requests == []


def test_answers_speak_for_themselves(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """Two answers on one connection: nothing of the first is left in the second."""
    upstream.reply(CHAT.upstream_path(), CHAT.plain("first"), answers.openai_error(400, "second"))
    with Connection(gateway.port) as client:
        seen = []
        for _ in range(2):
            headers = [CHAT.key_header(gateway.key)]
            client.send(request_bytes("POST", CHAT.client_path(), CHAT.body(), headers))
            seen.append(client.answer())
    assert [answer.status for answer in seen] == [200, 400]
    assert seen[0].request_id != seen[1].request_id
