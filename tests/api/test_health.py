from __future__ import annotations

from typing import Any

import pytest

from app.accounting.ledger import LedgerHealth
from app.errors import ConfigError
from tests.api.world import Front

BROKEN = ConfigError("is no number", file="/secret/place/config.yaml", line=7, key="port")


def _get(front: Front, path: str) -> tuple[int, Any]:
    got = front.client.get(path)
    return got.status_code, got.json


def test_what_it_is(front: Front) -> None:
    status, body = _get(front, "/")
    assert (status, body["message"], body["version"]) == (200, "AIProxyAPI", "1.2.3")
    rules = {rule.rule for rule in front.app.url_map.iter_rules()}
    for endpoint in body["endpoints"]:
        path = endpoint.split(" ")[1].partition("{")[0]
        assert any(rule.startswith(path) for rule in rules), endpoint


@pytest.mark.parametrize("path", ["/health", "/healthz"])
def test_it_lives(path: str, front: Front) -> None:
    assert _get(front, path) == (200, {"status": "ok", "version": "1.2.3"})


def test_it_lives_with_a_broken_configuration(front: Front) -> None:
    front.services.error = BROKEN
    status, body = _get(front, "/health")
    assert status == 200
    assert body["config_error"] == {"line": 7, "key": "port", "message": "is no number"}
    assert "secret" not in str(body)


@pytest.mark.parametrize(
    ("health", "status", "word"),
    [
        (LedgerHealth(ok=True), 200, "ok"),
        (LedgerHealth(ok=True, lost=3), 200, "ok"),
        (LedgerHealth(ok=False, waiting=2, spooled=5), 200, "degraded"),
        (LedgerHealth(ok=False, lost=1), 503, "failing"),
    ],
)
def test_it_is_ready(health: LedgerHealth, status: int, word: str, front: Front) -> None:
    front.services.ledger.said = health
    got, body = _get(front, "/readyz")
    assert (got, body["status"], body["config"]) == (status, word, "ok")
    assert body["ledger"] == {
        "ok": health.ok,
        "waiting": health.waiting,
        "spooled": health.spooled,
        "lost": health.lost,
    }


def test_it_is_ready_with_an_older_configuration(front: Front) -> None:
    front.services.error = BROKEN
    status, body = _get(front, "/readyz")
    assert (status, body["config"]) == (200, "stale")
