from __future__ import annotations

import pytest

from tests.api.world import KEY, Front
from tests.fakes import answers
from tests.fakes.upstream import Reply, ScriptedUpstream

BODY = b'{"model":"c", "max_tokens":5,"messages":[]}'


@pytest.mark.parametrize("prefix", ["/v1", ""])
@pytest.mark.parametrize(
    ("path", "operation"),
    [("/messages", "generate"), ("/messages/count_tokens", "count_tokens")],
)
def test_messages(
    path: str, operation: str, prefix: str, front: Front, upstream: ScriptedUpstream
) -> None:
    upstream.reply(f"/v1{path}?beta=true", Reply(body=answers.messages_answer()))
    got = front.client.post(f"{prefix}{path}?beta=true", data=BODY, headers={"x-api-key": KEY})
    assert (got.status_code, got.data) == (200, answers.messages_answer())
    assert upstream.requests[0].body == BODY
    (row,) = front.services.ledger.records()
    assert (row.operation, row.protocol) == (operation, "anthropic_messages")


def test_errors_are_worded_as_anthropic_does(front: Front) -> None:
    got = front.client.post("/v1/messages", data=BODY)
    assert got.status_code == 401
    assert (got.json or {})["error"]["type"] == "authentication_error"
    assert (got.json or {})["request_id"] == got.headers["Request-Id"]
