from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app import clock
from app.gateway.exchange import PlainAnswer
from app.ir.events import Usage
from app.protocols.base import Operation
from app.routing.catalog import Candidate
from tests.fakes import answers
from tests.gateway.world import BODY, credential, exchange


def test_what_is_written_of_an_exchange_that_asked_nobody() -> None:
    asked = exchange(model="nothing", stream=True)
    row = asked.record(404, "client")
    assert row.id == "request-1"
    assert row.at == datetime(2026, 11, 21, tzinfo=UTC)
    assert (row.model, row.upstream_model) == ("nothing", "")
    assert (row.provider, row.credential_id) == ("", "")
    assert (row.protocol, row.operation, row.stream) == ("openai_chat", "generate", True)
    assert (row.status, row.blame, row.attempts) == (404, "client", 0)
    assert row.usage == Usage()
    assert row.ttft_ms is None
    assert (row.bytes_in, row.bytes_out) == (len(BODY), 0)


def test_what_is_written_of_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    asked = exchange(operation=Operation.EMBED)
    asked.candidate = Candidate(credential("c1", "http://provider"), "m-2")
    asked.attempts = 2
    now[0] = 100.25
    asked.hand_out(10)
    now[0] = 101.0
    asked.hand_out(5)
    asked.meter.read_answer(answers.chat_answer(prompt=3, completion=4))
    row = asked.record(200, "")
    assert (row.upstream_model, row.provider, row.credential_id) == ("m-2", "openai", "c1")
    assert (row.ttft_ms, row.duration_ms) == (250.0, 1000.0)
    assert (row.bytes_out, row.attempts, row.answer_id) == (15, 2, "chatcmpl-1")
    assert row.usage == Usage(input_tokens=3, output_tokens=4)


def test_a_request_that_nobody_needs_any_more_is_let_go() -> None:
    asked = exchange(headers=[("user-agent", "x")])
    asked.forget_request()
    assert (asked.body, asked.headers) == (b"", [])
    assert asked.record(200, "").bytes_in == len(BODY)


def test_a_plain_answer_comes_in_one_piece() -> None:
    answer = PlainAnswer(200, [("A", "b")], b"body")
    assert list(answer) == [b"body"]
    answer.close()
    assert list(answer) == [b"body"]
