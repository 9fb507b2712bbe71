"""Routes, methods and everything around them, as plain HTTP clients see it."""

from __future__ import annotations

import json

import pytest

from tests.e2e.raw import ask
from tests.e2e.speech import CHAT, GEMINI, MESSAGES, RESPONSES, Speech, settings
from tests.fakes.answers import dumps
from tests.fakes.gateway import Gateway
from tests.fakes.upstream import Recorded, Reply, ScriptedUpstream
from tests.fakes.waiting import wait_until

OPENAI_LIST = {"object", "data"}
ANTHROPIC = ("anthropic-version", "2023-06-01")


def _bearer(gateway: Gateway) -> tuple[str, str]:
    return ("Authorization", f"Bearer {gateway.key}")


@pytest.mark.parametrize("path", ["/health", "/healthz", "/readyz", "/"])
def test_open_to_everybody(path: str, gateway: Gateway) -> None:
    answer = ask(gateway.port, "GET", path)
    assert answer.status == 200
    assert answer.json()


def test_health_tells_the_version(gateway: Gateway) -> None:
    body = ask(gateway.port, "GET", "/health").json()
    assert body["status"] == "ok"
    assert body["version"]


@pytest.mark.parametrize("path", ["/health", "/v1/models", "/v1beta/models", "/"])
def test_head_is_get_without_a_body(path: str, gateway: Gateway) -> None:
    headers = [_bearer(gateway)]
    full = ask(gateway.port, "GET", path, None, headers)
    bare = ask(gateway.port, "HEAD", path, None, headers)
    assert (bare.status, bare.body) == (full.status, b"")
    assert bare.header("content-type") == full.header("content-type")


# Model lists


@pytest.mark.parametrize("path", ["/v1/models", "/models"])
def test_three_dialects_on_one_path(path: str, gateway: Gateway) -> None:
    openai = ask(gateway.port, "GET", path, None, [_bearer(gateway)]).json()
    claude = ask(gateway.port, "GET", path, None, [("x-api-key", gateway.key), ANTHROPIC]).json()
    gemini = ask(gateway.port, "GET", path, None, [("x-goog-api-key", gateway.key)]).json()
    assert openai["object"] == "list"
    assert {"id", "object", "created", "owned_by"} <= set(openai["data"][0])
    assert claude["has_more"] is False
    assert claude["data"][0]["type"] == "model"
    assert claude["first_id"] == claude["data"][0]["id"]
    assert {"name", "supportedGenerationMethods"} <= set(gemini["models"][0])
    names = [entry["id"] for entry in openai["data"]]
    assert names == sorted(names)
    assert [entry["id"] for entry in claude["data"]] == names
    assert [entry["name"].removeprefix("models/") for entry in gemini["models"]] == names


@pytest.mark.parametrize(
    "headers",
    [[("x-goog-api-client", "genai-py/3.4")], []],
    ids=["by client", "by path"],
)
def test_gemini_lists(headers: list[tuple[str, str]], gateway: Gateway) -> None:
    path = "/v1/models" if headers else "/v1beta/models"
    body = ask(gateway.port, "GET", path, None, [_bearer(gateway), *headers]).json()
    assert "models" in body


def test_lists_ask_for_a_key(gateway: Gateway) -> None:
    for path in ("/v1/models", "/v1beta/models", "/v1/models/gpt-test"):
        assert ask(gateway.port, "GET", path).status in (400, 401)
    assert ask(gateway.port, "GET", f"/v1/models?key={gateway.key}").status == 200


@pytest.fixture
def listing(upstream: ScriptedUpstream) -> ScriptedUpstream:
    """A provider that has model lists."""
    lists = {
        "/openai/v1/models": {
            "object": "list",
            "data": [{"id": "gpt-live", "object": "model", "created": 7, "owned_by": "x"}],
        },
        "/claude/v1/models": {
            "data": [{"id": "claude-live", "type": "model", "display_name": "Live"}],
            "has_more": False,
        },
        "/gemini/v1beta/models": {
            "models": [
                {
                    "name": "models/gemini-live",
                    "supportedGenerationMethods": ["generateContent"],
                }
            ]
        },
    }
    for path, body in lists.items():
        upstream.reply(path, Reply(body=dumps(body)))
    return upstream


def test_live_lists_of_providers_without_configured_models(listing: ScriptedUpstream) -> None:
    config = settings(listing.url)
    changed = {
        section: [{key: value for key, value in config[section][0].items() if key != "models"}]
        for section in ("openai-api-key", "claude-api-key", "gemini-api-key")
    }
    with Gateway(changed | {"model-list-interval": 3600}) as gateway:

        def names() -> list[str]:
            body = ask(gateway.port, "GET", "/v1/models", None, [_bearer(gateway)]).json()
            return [entry["id"] for entry in body["data"]]

        wanted = ["claude-live", "gemini-live", "gpt-live"]
        wait_until(lambda: names() == wanted, 5, "the live lists")
        listing.reply(CHAT.upstream_path(), CHAT.plain("from a live model"))
        body = CHAT.body("gpt-live")
        answer = ask(gateway.port, "POST", CHAT.client_path(), body, [_bearer(gateway)])
        assert answer.body == CHAT.whole("from a live model")


# Routes that are not


@pytest.mark.parametrize(
    ("path", "headers", "speech"),
    [
        ("/v1/nothing", [], CHAT),
        ("/v1/chat", [], CHAT),
        ("/v1/nothing", [ANTHROPIC], MESSAGES),
        ("/v1beta/nothing", [], GEMINI),
        ("/v1beta/models/gemini-test:unknownVerb", [], GEMINI),
        ("/favicon.ico", [], CHAT),
    ],
    ids=["openai", "prefix", "anthropic", "gemini", "verb", "other"],
)
def test_an_unknown_route(
    path: str, headers: list[tuple[str, str]], speech: Speech, gateway: Gateway
) -> None:
    answer = ask(gateway.port, "POST", path, b"{}", [_bearer(gateway), *headers])
    assert answer.status == 404
    assert speech.error_message(answer.json())
    expected = {MESSAGES.name: "not_found_error", GEMINI.name: "NOT_FOUND"}
    assert speech.error_type(answer.json()) == expected.get(speech.name, "invalid_request_error")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD"])
@pytest.mark.parametrize("speech", [CHAT, MESSAGES], ids=lambda speech: speech.name)
def test_a_wrong_method(method: str, speech: Speech, gateway: Gateway) -> None:
    answer = ask(gateway.port, method, speech.client_path(), None, [_bearer(gateway)])
    assert answer.status == 405
    assert "POST" in (answer.header("allow") or "")
    if method != "HEAD":
        assert speech.error_message(answer.json())


@pytest.mark.parametrize("path", ["/v1/responses", "/responses"])
def test_a_websocket_is_refused_with_426(path: str, gateway: Gateway) -> None:
    headers = [
        _bearer(gateway),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("OpenAI-Beta", "responses_websockets=2026-02-06"),
    ]
    answer = ask(gateway.port, "GET", path, None, headers)
    assert answer.status == 426
    assert RESPONSES.error_message(answer.json())


def test_reading_responses_without_an_id(gateway: Gateway) -> None:
    assert ask(gateway.port, "GET", "/v1/responses", None, [_bearer(gateway)]).status == 405


# Stored responses


@pytest.mark.parametrize(
    ("method", "suffix"),
    [("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/input_items?limit=2")],
)
def test_a_stored_response_is_looked_for_everywhere(
    method: str, suffix: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    path, _, query = suffix.partition("?")
    found = dumps({"id": "resp_9", "object": "response"})
    owner = f"Bearer {RESPONSES.secrets[2]}"

    def look(request: Recorded) -> Reply:
        if request.header("authorization") == owner:
            return Reply(body=found)
        return RESPONSES.error(404, "No response found with id 'resp_9'")

    upstream.reply(lambda request: request.path.endswith(f"/responses/resp_9{path}"), look)
    target = f"/v1/responses/resp_9{suffix}"
    answer = ask(gateway.port, method, target, None, [_bearer(gateway)])
    assert (answer.status, answer.body) == (200, found)
    assert upstream.requests[-1].method == method
    assert upstream.requests[-1].query == query


def test_a_response_nobody_stored(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    refusal = RESPONSES.error(404, "No response found")
    upstream.reply("*", refusal)
    answer = ask(gateway.port, "GET", "/v1/responses/resp_0", None, [_bearer(gateway)])
    assert (answer.status, answer.body) == (404, refusal.body)


def test_compaction(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    compacted = dumps({"id": "resp_c", "object": "response.compaction", "output": []})
    upstream.reply("/codex/v1/responses/compact", Reply(body=compacted))
    body = RESPONSES.body()
    answer = ask(gateway.port, "POST", "/v1/responses/compact", body, [_bearer(gateway)])
    assert answer.body == compacted
    assert upstream.requests[0].body == body


@pytest.mark.parametrize(
    ("verb", "reply"),
    [
        ("countTokens", {"totalTokens": 3}),
        ("embedContent", {"embedding": {"values": [1.0]}}),
        ("batchEmbedContents", {"embeddings": [{"values": [1.0]}]}),
    ],
)
@pytest.mark.parametrize("version", ["/v1beta", "/v1"])
def test_other_gemini_verbs(
    version: str,
    verb: str,
    reply: dict[str, object],
    gateway: Gateway,
    upstream: ScriptedUpstream,
) -> None:
    upstream.reply(f"/gemini/v1beta/models/{GEMINI.model}:{verb}", Reply(body=dumps(reply)))
    path = f"{version}/models/{GEMINI.alias}:{verb}"
    answer = ask(gateway.port, "POST", path, b"{ }", [_bearer(gateway)])
    assert answer.body == dumps(reply)
    assert upstream.requests[0].body == b"{ }"


# Browsers


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1beta/models/m:x"])
def test_a_preflight_needs_no_key(path: str, gateway: Gateway) -> None:
    headers = [
        ("Origin", "https://app.test"),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "authorization,content-type,x-stainless-lang"),
    ]
    answer = ask(gateway.port, "OPTIONS", path, None, headers)
    assert answer.status == 204
    assert answer.header("access-control-allow-origin") in ("*", "https://app.test")
    assert "POST" in (answer.header("access-control-allow-methods") or "")
    allowed = (answer.header("access-control-allow-headers") or "").lower()
    assert "authorization" in allowed


@pytest.mark.parametrize(
    ("target", "status"),
    [("/v1/models", 401), ("/v1/nothing", 404), ("/health", 200), ("/v1/chat/completions", 405)],
)
def test_a_browser_may_read_every_answer(target: str, status: int, gateway: Gateway) -> None:
    answer = ask(gateway.port, "GET", target, None, [("Origin", "https://app.test")])
    assert answer.status == status
    assert answer.header("access-control-allow-origin") in ("*", "https://app.test")


def test_management_is_not_for_other_pages(gateway: Gateway) -> None:
    headers = [("Origin", "https://evil.test"), ("Access-Control-Request-Method", "GET")]
    answer = ask(gateway.port, "OPTIONS", "/v0/management/usage", None, headers)
    assert answer.header("access-control-allow-origin") is None


def test_an_error_names_its_request(speech: Speech, gateway: Gateway) -> None:
    headers = [speech.key_header(gateway.key)]
    path = speech.client_path("no-such-model")
    answer = ask(gateway.port, "POST", path, speech.body("no-such-model"), headers)
    assert answer.status == 404
    assert answer.request_id in json.dumps(answer.json()) or answer.header("x-request-id")
    row = gateway.row(answer.request_id)
    assert (row["status"], row["blame"], row["model"]) == (404, "client", "no-such-model")
