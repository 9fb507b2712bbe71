"""What the ledger knows of a call, seen from outside."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.raw import Answer, Connection, ask, request_bytes
from tests.e2e.speech import CHAT, GEMINI, MESSAGES, RESPONSES, Speech, settings
from tests.fakes import answers
from tests.fakes.answers import dumps
from tests.fakes.gateway import Gateway
from tests.fakes.upstream import EVENT_STREAM, Reply, ScriptedUpstream, WaitFor

# What the provider says, and what it comes to when no token is counted twice.
COUNTS: dict[str, tuple[dict[str, int], dict[str, int]]] = {
    CHAT.name: (
        {"prompt": 100, "completion": 50, "cached": 30, "reasoning": 20},
        {"input": 70, "cache_read": 30, "cache_write": 0, "output": 30, "reasoning": 20},
    ),
    RESPONSES.name: (
        {"prompt": 100, "completion": 50, "cached": 30, "reasoning": 20},
        {"input": 70, "cache_read": 30, "cache_write": 0, "output": 30, "reasoning": 20},
    ),
    MESSAGES.name: (
        {"prompt": 100, "completion": 50, "cached": 30, "cache_write": 7},
        {"input": 100, "cache_read": 30, "cache_write": 7, "output": 50, "reasoning": 0},
    ),
    GEMINI.name: (
        {"prompt": 100, "completion": 50, "cached": 30, "reasoning": 20},
        {"input": 70, "cache_read": 30, "cache_write": 0, "output": 50, "reasoning": 20},
    ),
}


def _ask(gateway: Gateway, speech: Speech, model: str = "", *, stream: bool) -> Answer:
    return ask(
        gateway.port,
        "POST",
        speech.client_path(model, stream=stream),
        speech.body(model, stream=stream),
        [speech.key_header(gateway.key)],
    )


def _counts(row: dict[str, Any]) -> dict[str, int]:
    kinds = ("input", "cache_read", "cache_write", "output", "reasoning")
    return {kind: row[f"{kind}_tokens"] for kind in kinds}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_row_tells_everything(
    stream: bool, speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    said, expected = COUNTS[speech.name]
    reply = speech.stream("one two", **said) if stream else speech.plain("one two", **said)
    upstream.reply(speech.upstream_path(stream=stream), reply)
    answer = _ask(gateway, speech, speech.alias, stream=stream)
    rows = [row for row in gateway.ledger_rows() if row["id"] == answer.request_id]
    assert len(rows) == 1  # at once: it was written before the last byte went out
    row = rows[0]
    assert _counts(row) == expected
    assert row["estimated"] == 0
    assert (row["model"], row["upstream_model"]) == (speech.alias, speech.model)
    assert (row["protocol"], row["operation"]) == (speech.name, "generate")
    assert (row["status"], row["blame"], row["attempts"]) == (200, "", 1)
    assert row["stream"] == stream
    assert row["bytes_in"] == len(speech.body(speech.alias, stream=stream))
    assert row["bytes_out"] == len(answer.body)
    assert 0 < row["ttft_ms"] <= row["duration_ms"]
    assert row["client_id"].startswith("key-")
    secret = json.dumps(row)
    assert gateway.key not in secret
    assert speech.secrets[0] not in secret


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_provider_that_tells_no_usage_is_estimated(
    stream: bool, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    if stream:
        reply = answers.streamed(CHAT.frames("one two three", with_usage=False))
    else:
        body = json.loads(CHAT.whole("one two three"))
        del body["usage"]
        reply = Reply(body=dumps(body))
    upstream.reply(CHAT.upstream_path(), reply)
    row = gateway.row(_ask(gateway, CHAT, stream=stream).request_id)
    assert row["estimated"] == 1
    assert row["input_tokens"] > 0
    assert row["output_tokens"] > 0


def test_a_client_that_left_early_has_its_row(
    speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    never = threading.Event()
    first = speech.frames("one two three")[0]
    upstream.reply(
        speech.upstream_path(stream=True),
        Reply(body=[first, WaitFor(never)], headers=EVENT_STREAM, framing="chunked"),
    )
    with Connection(gateway.port) as client:
        path, body = speech.client_path(stream=True), speech.body(stream=True)
        client.send(request_bytes("POST", path, body, [speech.key_header(gateway.key)]))
        request_id = client.head().request_id
        client.until(first)
    row = gateway.row(request_id)
    never.set()
    assert (row["status"], row["estimated"], row["blame"]) == (499, 1, "")
    assert row["input_tokens"] > 0
    assert row["bytes_out"] == len(first)


@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_a_refused_call_costs_nothing(
    status: int, speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.reply(speech.upstream_path(), speech.error(status))
    row = gateway.row(_ask(gateway, speech, stream=False).request_id)
    assert _counts(row) == dict.fromkeys(_counts(row), 0)
    assert row["estimated"] == 0
    blames = {400: "request", 401: "credential", 429: "model", 500: "upstream"}
    assert row["blame"] == blames[status]


def test_a_refused_client_costs_nothing(gateway: Gateway, speech: Speech) -> None:
    answer = _ask(gateway, speech, "no-such-model", stream=False)
    row = gateway.row(answer.request_id)
    assert _counts(row) == dict.fromkeys(_counts(row), 0)
    assert (row["blame"], row["provider"], row["attempts"]) == ("client", "", 0)


def test_smaller_calls_are_written_down_too(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    embedded = {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [1.0]}],
        "model": "embedding-test",
        "usage": {"prompt_tokens": 9, "total_tokens": 9},
    }
    upstream.reply("/openai/v1/embeddings", Reply(body=dumps(embedded)))
    upstream.reply("/claude/v1/messages/count_tokens", Reply(body=dumps({"input_tokens": 14})))
    headers = [CHAT.key_header(gateway.key)]
    body = b'{"model":"embedding-test","input":"x"}'
    row = gateway.row(ask(gateway.port, "POST", "/v1/embeddings", body, headers).request_id)
    assert (row["operation"], row["input_tokens"], row["output_tokens"]) == ("embed", 9, 0)
    path = "/v1/messages/count_tokens"
    row = gateway.row(ask(gateway.port, "POST", path, MESSAGES.body(), headers).request_id)
    assert row["operation"] == "count_tokens"
    assert _counts(row) == dict.fromkeys(_counts(row), 0)  # asking what it would cost is free


def test_the_demo_is_written_down_as_well(gateway: Gateway, speech: Speech) -> None:
    for stream in (False, True):
        row = gateway.row(_ask(gateway, speech, "demo-thinking", stream=stream).request_id)
        assert (row["provider"], row["estimated"]) == ("demo", 0)
        assert row["output_tokens"] == 2  # "Say hello"
        # What a Claude answer thinks is part of its output count.
        assert row["reasoning_tokens"] > 0 or row["output_tokens"] > 2 or speech is MESSAGES


# Sums


@pytest.fixture
def counting(provider: ScriptedUpstream, upstream: ScriptedUpstream) -> Iterator[Gateway]:
    """A gateway of its own, whose sums nobody else touches."""
    other = {"api-keys": [Gateway.key, "second-client-key"]}
    with Gateway(settings(provider.url) | other) as running:
        yield running


def test_the_command_and_the_management_api_agree(
    counting: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.reply(CHAT.upstream_path(), CHAT.plain(prompt=10, completion=5))
    upstream.reply(MESSAGES.upstream_path(), MESSAGES.error(529))
    for key in (counting.key, counting.key, "second-client-key"):
        ask(counting.port, "POST", CHAT.client_path(), CHAT.body(), [CHAT.key_header(key)])
    _ask(counting, MESSAGES, stream=False)
    wanted = {CHAT.model: (3, 45), MESSAGES.model: (1, 0)}
    assert {row["model"]: 0 for row in counting.ledger_rows()} == dict.fromkeys(wanted, 0)

    command = counting.command("usage", "--by", "model", "--json")
    assert command.returncode == 0, command.stderr
    told = json.loads(command.stdout)
    assert {entry["model"]: entry["requests"] for entry in told} == {
        name: requests for name, (requests, _) in wanted.items()
    }

    headers = [("Authorization", f"Bearer {counting.management_key}")]
    answer = ask(counting.port, "GET", "/v0/management/usage", None, headers)
    assert answer.status == 200
    usage = answer.json()["usage"]
    assert (usage["total_requests"], usage["failure_count"]) == (4, 1)
    assert usage["total_tokens"] == 45
    assert len(usage["apis"]) == 2
    by_model: dict[str, tuple[int, int]] = {}
    for api in usage["apis"].values():
        for name, model in api["models"].items():
            requests, tokens = by_model.get(name, (0, 0))
            by_model[name] = (
                requests + model["total_requests"],
                tokens + model["total_tokens"],
            )
    assert by_model == wanted
    assert sum(usage["requests_by_day"].values()) == 4

    for by in ("key", "provider", "day"):
        table = counting.command("usage", "--by", by)
        assert table.returncode == 0
        assert table.stdout.strip()
    assert counting.key not in counting.command("usage", "--by", "key").stdout
    # Reading beside it must not have cost it its place in the database.
    _ask(counting, CHAT, stream=False)
    assert len(counting.ledger_rows()) == 5


def test_reading_the_ledger_loses_no_row(counting: Gateway, upstream: ScriptedUpstream) -> None:
    """Others open and close the database file while a worker has it open."""
    upstream.reply(CHAT.upstream_path(), CHAT.plain())
    management = [("Authorization", f"Bearer {counting.management_key}")]
    for number in range(1, 6):
        answer = _ask(counting, CHAT, stream=False)
        assert answer.status == 200
        assert ask(counting.port, "GET", "/v0/management/usage", None, management).status == 200
        assert ask(counting.port, "GET", "/readyz").status == 200
        assert len(counting.ledger_rows()) == number


@pytest.mark.parametrize("presented", ["", "wrong"])
def test_management_asks_for_its_own_key(presented: str, gateway: Gateway) -> None:
    headers = [("Authorization", f"Bearer {presented}")] if presented else []
    assert ask(gateway.port, "GET", "/v0/management/usage", None, headers).status == 401
    client = [("Authorization", f"Bearer {gateway.key}")]
    assert ask(gateway.port, "GET", "/v0/management/usage", None, client).status == 401
    right = [("X-Management-Key", gateway.management_key)]
    assert ask(gateway.port, "GET", "/v0/management/usage", None, right).status == 200
