from __future__ import annotations

import pytest

from tests.api.world import KEY, Front
from tests.fakes import answers
from tests.fakes.upstream import Reply, ScriptedUpstream

BODY = b'{"contents":[]}'
VERSIONS = pytest.mark.parametrize("version", ["/v1beta", "/v1", ""])


@VERSIONS
@pytest.mark.parametrize(
    ("verb", "operation"),
    [
        ("generateContent", "generate"),
        ("countTokens", "count_tokens"),
        ("embedContent", "embed"),
        ("batchEmbedContents", "batch_embed"),
    ],
)
def test_verbs(
    verb: str, operation: str, version: str, front: Front, upstream: ScriptedUpstream
) -> None:
    upstream.reply(f"/v1beta/models/g:{verb}", Reply(body=answers.gemini_answer()))
    path = f"{version}/models/g:{verb}?key={KEY}"
    got = front.client.post(path, data=BODY)
    assert (got.status_code, got.data) == (200, answers.gemini_answer())
    (row,) = front.services.ledger.records()
    assert (row.operation, row.protocol, row.model) == (operation, "gemini_generate", "g")
    assert not row.stream


@VERSIONS
@pytest.mark.parametrize("query", ["?alt=sse", ""])
def test_streams(query: str, version: str, front: Front, upstream: ScriptedUpstream) -> None:
    body = b"".join(answers.gemini_stream()) if query else b"[" + answers.gemini_answer() + b"]"
    reply = answers.streamed([body]) if query else Reply(body=body)
    upstream.reply(f"/v1beta/models/g:streamGenerateContent{query}", reply)
    path = f"{version}/models/g:streamGenerateContent{query}"
    got = front.client.post(path, data=BODY, headers={"x-goog-api-key": KEY})
    assert (got.status_code, got.data) == (200, body)
    (row,) = front.services.ledger.records()
    assert row.stream
    assert not row.usage.estimated


def test_a_model_name_with_a_slash(front: Front, upstream: ScriptedUpstream) -> None:
    upstream.reply("*", Reply(body=answers.gemini_answer()))
    for name in ("org/g", "models/org/g"):
        path = f"/v1beta/models/{name}:generateContent"
        assert (
            front.client.post(path, data=BODY, headers={"x-goog-api-key": KEY}).status_code == 200
        )
    assert {row.model for row in front.services.ledger.records()} == {"org/g"}


@VERSIONS
@pytest.mark.parametrize("target", ["g:doSomething", "g", ":generateContent", "g:"])
def test_what_is_no_method(target: str, version: str, front: Front) -> None:
    headers = {"x-goog-api-key": KEY}
    got = front.client.post(f"{version}/models/{target}", data=BODY, headers=headers)
    assert got.status_code == 404
    assert (got.json or {})["error"]["status"] == "NOT_FOUND"
    assert list(front.services.ledger.records()) == []


def test_the_list_of_models(front: Front) -> None:
    got = front.client.get(f"/v1beta/models?key={KEY}")
    names = [model["name"] for model in (got.json or {})["models"]]
    assert names == ["models/c", "models/g", "models/m", "models/org/g"]


def test_a_wrong_key_is_refused_in_googles_words(front: Front) -> None:
    got = front.client.post("/v1beta/models/g:generateContent?key=wrong", data=BODY)
    assert got.status_code == 400
    assert "API key not valid" in (got.json or {})["error"]["message"]
