"""A database that cannot be written: answers go on, and no row is lost."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import time
from collections.abc import Iterator

import pytest

from tests.e2e.raw import Answer, ask
from tests.e2e.speech import CHAT, settings
from tests.fakes.gateway import Gateway
from tests.fakes.upstream import ScriptedUpstream
from tests.fakes.waiting import wait_until


@pytest.fixture
def keeping(provider: ScriptedUpstream, upstream: ScriptedUpstream) -> Iterator[Gateway]:
    """A gateway whose database a test may lock."""
    upstream.reply(CHAT.upstream_path(), CHAT.plain())
    upstream.reply(CHAT.upstream_path(CHAT.pair), CHAT.plain())
    with Gateway(settings(provider.url)) as running:
        assert running.row(_ask(running).request_id)["status"] == 200
        yield running


def _ask(gateway: Gateway) -> Answer:
    headers = [CHAT.key_header(gateway.key)]
    return ask(gateway.port, "POST", CHAT.client_path(), CHAT.body(), headers)


@contextlib.contextmanager
def _locked(gateway: Gateway) -> Iterator[None]:
    """Hold the database as another program would that writes and never ends."""
    path = gateway.directory / "data" / "aiproxyapi.db"
    with contextlib.closing(sqlite3.connect(path, timeout=20, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def _has(gateway: Gateway, ids: list[str]) -> bool:
    rows = [row["id"] for row in gateway.ledger_rows()]
    return all(rows.count(request_id) == 1 for request_id in ids)


@pytest.mark.time_limit(90)
def test_answers_go_on_and_rows_follow(keeping: Gateway) -> None:
    with _locked(keeping):
        ids = []
        for _ in range(5):
            began = time.monotonic()
            answer = _ask(keeping)
            assert answer.status == 200
            assert time.monotonic() - began < 5.0
            ids.append(answer.request_id)
        state = ask(keeping.port, "GET", "/readyz")
        assert state.status == 200  # it still keeps every record
        assert state.json()["ledger"]["ok"] is False
        assert ask(keeping.port, "GET", "/health").status == 200
    wait_until(lambda: _has(keeping, ids), 30, "the rows are replayed")
    wait_until(lambda: ask(keeping.port, "GET", "/readyz").json()["ledger"]["ok"], 20)


@pytest.mark.time_limit(90)
def test_rows_in_the_spool_survive_the_worker(keeping: Gateway) -> None:
    with _locked(keeping):
        ids = [_ask(keeping).request_id for _ in range(3)]
        victim = keeping.worker_pids()[0]
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: keeping.worker_pids() not in ([], [victim]), 20, "another worker")
    wait_until(lambda: _ask(keeping).status == 200, 20)
    wait_until(lambda: _has(keeping, ids), 40, "the rows of the dead worker are adopted")


@pytest.mark.time_limit(90)
def test_the_command_counts_what_a_dead_server_left(keeping: Gateway) -> None:
    with _locked(keeping):
        request_id = _ask(keeping).request_id
        os.killpg(keeping.pid, signal.SIGKILL)
        wait_until(keeping.has_stopped, 20)
    command = keeping.command("usage", "--by", "model")
    assert command.returncode == 0, command.stderr
    assert _has(keeping, [request_id])
