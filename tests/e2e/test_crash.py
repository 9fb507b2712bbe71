"""A worker dies in the middle of two hundred calls: nobody who got an answer is forgotten."""

from __future__ import annotations

import collections
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.raw import Answer, Connection, Gone, ask, request_bytes
from tests.e2e.speech import ALL, Speech, settings
from tests.fakes.gateway import Gateway
from tests.fakes.script import Step
from tests.fakes.upstream import EVENT_STREAM, Pause, Reply, ScriptedUpstream
from tests.fakes.waiting import wait_until

AT_ONCE = 200
ROUNDS = 3
"""How many calls each client makes, so that some are open whenever the worker dies."""


@pytest.fixture
def pair(provider: ScriptedUpstream, upstream: ScriptedUpstream) -> Iterator[Gateway]:
    """Two workers, one of which will die."""
    for speech in ALL:
        steps: list[Step] = []
        for frame in speech.frames("one two three four five"):
            steps += [Pause(0.02), frame]
        body = speech.whole("one two three four five")
        upstream.reply(
            speech.upstream_path(stream=True),
            lambda request, steps=steps, body=body: _answer(request.body, steps, body),  # type: ignore[misc]
        )
        upstream.reply(speech.upstream_path(stream=False), _paced(body))
        if not speech.model_in_path:
            upstream.reply(
                speech.upstream_path(),
                lambda request, steps=steps, body=body: _answer(request.body, steps, body),  # type: ignore[misc]
            )
        else:
            upstream.reply(
                speech.upstream_path(stream=True),
                Reply(body=steps, headers=EVENT_STREAM, framing="chunked"),
            )
    with Gateway(settings(provider.url), workers=2) as running:
        wait_until(lambda: len(running.worker_pids()) == 2)
        yield running


def _paced(body: bytes) -> Reply:
    return Reply(body=[Pause(0.05), body[:50], Pause(0.05), body[50:]])


def _answer(request: bytes, steps: list[Step], body: bytes) -> Reply:
    if b'"stream": true' in request:
        return Reply(body=steps, headers=EVENT_STREAM, framing="chunked")
    return _paced(body)


class _Crowd:
    """Two hundred clients, each with a connection of its own for every call."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._lock = threading.Lock()
        self.whole: list[Answer] = []
        self.broken = 0

    def client(self, number: int) -> None:
        speech = ALL[number % len(ALL)]
        stream = number % 8 < 4
        for _ in range(ROUNDS):
            self._call(speech, stream=stream)

    def _call(self, speech: Speech, *, stream: bool) -> None:
        path, body = speech.client_path(stream=stream), speech.body(stream=stream)
        headers = [speech.key_header(self._gateway.key)]
        try:
            with Connection(self._gateway.port) as client:
                client.send(request_bytes("POST", path, body, headers))
                answer = client.answer()
        except (Gone, OSError):
            with self._lock:
                self.broken += 1
            return
        with self._lock:
            if answer.whole:
                self.whole.append(answer)
            else:
                self.broken += 1


@pytest.mark.time_limit(120)
def test_every_answer_seen_whole_has_exactly_one_row(pair: Gateway) -> None:
    crowd = _Crowd(pair)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        calls = [pool.submit(crowd.client, number) for number in range(AT_ONCE)]
        wait_until(lambda: len(crowd.whole) >= AT_ONCE, 60, "the first answers are whole")
        victim = pair.worker_pids()[0]
        os.kill(victim, signal.SIGKILL)
        for call in calls:
            call.result()
    assert crowd.broken > 0  # it did die in the middle
    assert len(crowd.whole) + crowd.broken == AT_ONCE * ROUNDS
    assert {answer.status for answer in crowd.whole} == {200}
    rows = collections.Counter(row["id"] for row in pair.ledger_rows())
    seen = [answer.request_id for answer in crowd.whole]
    assert len(set(seen)) == len(seen)
    missing = [request_id for request_id in seen if rows[request_id] != 1]
    assert missing == []

    def is_whole_again() -> bool:
        pids = pair.worker_pids()
        return len(pids) == 2 and victim not in pids

    wait_until(is_whole_again, 20, "another worker takes its place")
    for speech in ALL:
        for _ in range(4):
            headers = [speech.key_header(pair.key)]
            answer = ask(pair.port, "POST", speech.client_path(), speech.body(), headers)
            assert answer.whole
            assert answer.body == speech.whole("one two three four five")
            assert pair.row(answer.request_id)["status"] == 200
