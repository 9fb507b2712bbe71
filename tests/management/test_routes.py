from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from typing_extensions import override

from app.accounting.ledger import UsageRecord
from app.config.report import ConfigWarning
from app.config.schema import Compatible, Credential, KeyEntry, Model
from app.errors import ConfigError, GatewayError
from app.ir.events import Usage
from app.storage import open_ledger
from app.storage.memory import MemoryLedger
from tests.management.conftest import KEY, FixedServices
from tests.storage.records import NOON, record


def get(client: FlaskClient, path: str, status: int = 200) -> Any:
    headers = {"Authorization": f"Bearer {KEY}"}
    answer = client.get("/v0/management" + path, headers=headers)
    assert answer.status_code == status
    assert answer.mimetype == "application/json"
    return answer.json


def fill(services: FixedServices) -> None:
    save = services.ledger.save
    save(record(id="a", at=NOON))
    save(record(id="b", at=NOON.replace(hour=13), status=502, blame="upstream", usage=Usage()))
    usage = Usage(input_tokens=1, output_tokens=2, estimated=True)
    save(record(id="c", at=NOON.replace(day=5), client_id="key-b", model="", usage=usage))


def test_usage(client: FlaskClient, services: FixedServices) -> None:
    fill(services)
    whole = get(client, "/usage")
    usage = whole["usage"]
    assert whole["failed_requests"] == 1
    assert (usage["total_requests"], usage["success_count"], usage["failure_count"]) == (3, 2, 1)
    assert usage["total_tokens"] == 103
    assert usage["requests_by_day"] == {"2026-03-04": 2, "2026-03-05": 1}
    assert usage["requests_by_hour"] == {"12": 2, "13": 1}
    assert usage["tokens_by_day"] == {"2026-03-04": 100, "2026-03-05": 3}
    assert usage["tokens_by_hour"] == {"12": 103, "13": 0}
    assert sorted(usage["apis"]) == ["key-a", "key-b"]
    fast = usage["apis"]["key-a"]["models"]["fast"]
    assert (fast["total_requests"], fast["total_tokens"]) == (2, 100)
    assert usage["apis"]["key-b"]["models"]["unknown"]["total_requests"] == 1


def test_a_call_in_detail(client: FlaskClient, services: FixedServices) -> None:
    fill(services)
    details = get(client, "/usage")["usage"]["apis"]["key-a"]["models"]["fast"]["details"]
    assert [detail["request_id"] for detail in details] == ["a", "b"]
    assert [detail["failed"] for detail in details] == [False, True]
    first = details[0]
    assert datetime.fromisoformat(first["timestamp"]) == NOON
    assert first["timestamp"].endswith("Z")
    assert first["source"] == "openai:0123456789ab"
    assert len(first["auth_index"]) == 16
    tokens = first["tokens"]
    assert tokens == {
        "input_tokens": 37,
        "output_tokens": 57,
        "reasoning_tokens": 6,
        "cached_tokens": 20,
        "cache_write_tokens": 3,
        "total_tokens": 100,
        "estimated": False,
    }
    parts = ("input_tokens", "output_tokens", "reasoning_tokens")
    assert sum(tokens[part] for part in parts) == tokens["total_tokens"]
    assert "user_prompt" not in first


def test_details_are_bounded_and_sums_are_not(client: FlaskClient, services: FixedServices) -> None:
    fill(services)
    usage = get(client, "/usage?limit=1")["usage"]
    assert usage["total_requests"] == 3
    assert usage["apis"]["key-a"]["models"]["fast"]["details"] == []
    assert len(usage["apis"]["key-b"]["models"]["unknown"]["details"]) == 1
    assert get(client, "/usage?limit=0")["usage"]["total_requests"] == 3


@pytest.mark.parametrize("limit", ["-1", "x", "10001", "²", ""])
def test_a_wrong_bound(client: FlaskClient, limit: str) -> None:
    assert "limit must be a number" in get(client, f"/usage?limit={limit}", 400)["error"]


def test_usage_of_nothing(client: FlaskClient) -> None:
    usage = get(client, "/usage")["usage"]
    assert (usage["total_requests"], usage["apis"]) == (0, {})


def test_many_details(client: FlaskClient, services: FixedServices) -> None:
    for number in range(450):
        services.ledger.save(record(id=f"r{number}"))
    usage = get(client, "/usage")["usage"]
    assert len(usage["apis"]["key-a"]["models"]["fast"]["details"]) == 450


def test_a_call_that_ends_between_sums_and_details(
    client: FlaskClient, services: FixedServices
) -> None:
    class Late(MemoryLedger):
        @override
        def records(
            self,
            since: datetime | None = None,
            until: datetime | None = None,
            limit: int = 10_000,
        ) -> Iterator[UsageRecord]:
            yield record(id="late", client_id="new")
            yield record(id="later", model="new")
            yield from super().records(since, until, limit)

    services.ledger = Late()
    services.ledger.save(record())
    usage = get(client, "/usage")["usage"]
    assert list(usage["apis"]) == ["key-a"]
    assert len(usage["apis"]["key-a"]["models"]["fast"]["details"]) == 1


def test_usage_from_a_database(
    client: FlaskClient, services: FixedServices, tmp_path: Path
) -> None:
    services.ledger = open_ledger("", tmp_path)
    fill(services)
    assert get(client, "/usage")["usage"]["total_tokens"] == 103
    services.ledger.close()


def test_a_database_that_cannot_be_read(client: FlaskClient, services: FixedServices) -> None:
    class Gone(MemoryLedger):
        @override
        def totals_by_key_and_model(self, since: object = None, until: object = None) -> Any:
            raise GatewayError("the database cannot be used right now", status=503)

    services.ledger = Gone()
    assert get(client, "/usage", 503) == {"error": "the database cannot be used right now"}


def test_the_configuration_is_shown_without_its_secrets(
    client: FlaskClient, services: FixedServices
) -> None:
    services.snapshot = replace(
        services.snapshot,
        api_keys=("client-key-number-one", "short"),
        database_url="postgresql://gateway:hunter2@db/x",
        proxy_url="socks5://me:hunter2@proxy:1080",
        claude_api_key=(
            Credential(
                api_key="sk-ant-0123456789abcdef",
                headers={"X-Secret": "hunter2-hunter2-hunter2"},
                models=(Model(name="claude-x", alias="x"),),
            ),
        ),
        openai_compatibility=(
            Compatible(
                name="other",
                base_url="https://me:hunter2@api.example/v1",
                api_key_entries=(KeyEntry(api_key="hunter2-hunter2-hunter2"),),
            ),
        ),
    )
    answer = client.get(
        "/v0/management/config", headers={"Authorization": f"Bearer {KEY}"}
    ).get_data(as_text=True)
    for secret in ("hunter2", KEY, "client-key-number-one", "sk-ant-0123456789abcdef"):
        assert secret not in answer
    shown = get(client, "/config")
    assert shown["api-keys"] == ["clie…-one", "sh…"]
    assert shown["proxy-url"] == "sock…1080"
    assert shown["claude-api-key"][0]["models"] == [{"name": "claude-x", "alias": "x"}]
    assert shown["openai-compatibility"][0]["base-url"] == "https://…@api.example/v1"
    assert shown["remote-management"]["allow-remote"] is False
    assert shown["port"] == 8317
    assert shown["reload_error"] is None
    assert shown["warnings"] == []


def test_a_failed_reload_is_shown(client: FlaskClient, services: FixedServices) -> None:
    services.error = ConfigError("must be a number", file="c.yaml", line=3, key="port")
    services.error.add_note("c.yaml:4: more")
    services.warnings = (ConfigWarning("is unknown", "c.yaml", 9, "prot"),)
    problem = {
        "file": "c.yaml",
        "line": 3,
        "key": "port",
        "message": "must be a number",
        "notes": ["c.yaml:4: more"],
    }
    warning = {"message": "is unknown", "file": "c.yaml", "line": 9, "key": "prot"}
    for part in (get(client, "/config"), get(client, "/status")["config"]):
        assert part["reload_error"] == problem
        assert part["warnings"] == [warning]


def test_status(client: FlaskClient) -> None:
    status = get(client, "/status")
    assert status["version"] == "1.2.3"
    assert status["worker_pid"] == os.getpid()
    assert status["uptime_s"] > 0
    assert status["ledger"] == {"ok": True, "waiting": 0, "spooled": 0, "lost": 0, "error": ""}


@pytest.mark.parametrize("path", ["", "/", "/nothing", "/nothing/at/all", "/usage/export"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_what_is_not_there(client: FlaskClient, path: str, method: str) -> None:
    answer = client.open(
        "/v0/management" + path,
        method=method,
        headers={"Authorization": f"Bearer {KEY}"},
        follow_redirects=True,
    )
    assert (answer.status_code, answer.json) == (404, {"error": "not found"})


def test_what_is_not_there_is_not_told_to_strangers(client: FlaskClient) -> None:
    assert client.get("/v0/management/nothing").status_code == 401
