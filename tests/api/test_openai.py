from __future__ import annotations

from typing import Any

import pytest

from tests.api.world import KEY, Front
from tests.fakes import answers
from tests.fakes.upstream import Reply, ScriptedUpstream

BEARER = {"Authorization": f"Bearer {KEY}"}
PREFIXES = pytest.mark.parametrize("prefix", ["/v1", ""])


@PREFIXES
@pytest.mark.parametrize(
    ("path", "operation", "protocol"),
    [
        ("/chat/completions", "generate", "openai_chat"),
        ("/completions", "complete", "openai_chat"),
        ("/embeddings", "embed", "openai_chat"),
        ("/responses", "generate", "openai_responses"),
        ("/responses/compact", "compact", "openai_responses"),
        ("/responses/input_tokens", "count_tokens", "openai_responses"),
    ],
)
def test_what_is_posted(
    path: str, operation: str, protocol: str, prefix: str, front: Front, upstream: ScriptedUpstream
) -> None:
    upstream.reply(f"/v1{path}", Reply(body=b'{"of":"the provider"}'))
    body = b'{ "model" : "m", "input" : "x", "prompt" : "x", "messages" : [] }'
    got = front.client.post(prefix + path, data=body, headers=BEARER)
    assert (got.status_code, got.data) == (200, b'{"of":"the provider"}')
    assert upstream.requests[0].body == body
    (row,) = front.services.ledger.records()
    assert (row.operation, row.protocol) == (operation, protocol)
    assert row.id == got.headers["X-Aiproxy-Request-Id"]


@PREFIXES
@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("GET", "", "get_response"),
        ("DELETE", "", "delete_response"),
        ("POST", "/cancel", "cancel_response"),
        ("GET", "/input_items", "list_input_items"),
    ],
)
def test_stored_responses(
    method: str, path: str, operation: str, prefix: str, front: Front, upstream: ScriptedUpstream
) -> None:
    upstream.reply(f"/v1/responses/resp_1{path}", Reply(body=answers.responses_answer()))
    got = front.client.open(f"{prefix}/responses/resp_1{path}", method=method, headers=BEARER)
    assert (got.status_code, got.data) == (200, answers.responses_answer())
    assert (upstream.requests[0].method, upstream.requests[0].body) == (method, b"")
    (row,) = front.services.ledger.records()
    assert (row.operation, row.model, row.stream) == (operation, "", False)


def test_a_stored_response_as_a_stream(front: Front, upstream: ScriptedUpstream) -> None:
    frames = answers.responses_stream()
    upstream.reply("/v1/responses/resp_1?stream=True&starting_after=3", answers.streamed(frames))
    path = "/v1/responses/resp_1?stream=True&starting_after=3"
    got = front.client.get(path, headers=BEARER)
    assert got.data == b"".join(frames)
    (row,) = front.services.ledger.records()
    assert row.stream


@PREFIXES
@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Upgrade": "WebSocket", "Connection": "Upgrade"}, 426, "websocket_not_supported"),
        ({}, 405, "method_not_allowed"),
    ],
)
def test_a_response_is_not_made_by_get(
    headers: dict[str, str], status: int, code: str, prefix: str, front: Front
) -> None:
    got = front.client.get(f"{prefix}/responses", headers=headers)
    assert got.status_code == status
    assert got.json is not None
    assert got.json["error"]["code"] == code


def _ids(body: Any) -> list[str]:
    return [entry.get("id") or entry["name"] for entry in body.get("data") or body["models"]]


@pytest.mark.parametrize("path", ["/v1/models", "/models"])
def test_the_list_of_models_speaks_the_askers_language(path: str, front: Front) -> None:
    client = front.client
    body = client.get(path, headers=BEARER).json
    assert (body or {})["object"] == "list"
    assert _ids(body) == ["c", "g", "m", "org/g"]
    body = client.get(path, headers=BEARER | {"anthropic-version": "2023-06-01"}).json
    assert (body or {})["has_more"] is False
    assert _ids(body) == ["c", "g", "m", "org/g"]
    body = client.get(path, headers={"x-goog-api-key": KEY}).json
    assert _ids(body) == ["models/c", "models/g", "models/m", "models/org/g"]


@pytest.mark.parametrize("prefix", ["/v1/models", "/models", "/v1beta/models"])
@pytest.mark.parametrize("name", ["m", "org/g", "models/m"])
def test_one_model(prefix: str, name: str, front: Front) -> None:
    got = front.client.get(f"{prefix}/{name}", headers=BEARER)
    assert got.status_code == 200
    entry = got.json or {}
    expected = name.removeprefix("models/")
    assert (entry.get("id") or entry["name"].removeprefix("models/")) == expected


def test_a_model_that_is_not_served(front: Front) -> None:
    got = front.client.get("/v1/models/other", headers=BEARER)
    assert got.status_code == 404
    assert (got.json or {})["error"]["code"] == "model_not_found"


@pytest.mark.parametrize(
    "path", ["/v1/models", "/models", "/v1beta/models", "/v1/models/m", "/v1beta/models/m"]
)
def test_models_are_for_clients(path: str, front: Front) -> None:
    assert front.client.get(path).status_code == (400 if "beta" in path else 401)
