"""The harness itself, in its smallest form: the floor in the gateway's place, no bars.

It must count right and see every kind of wrong answer, else its figures mean nothing.
"""

from __future__ import annotations

import dataclasses
import http.client
import os
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.bench import conversation, payload, report, servers
from tests.bench.dialects import DIALECTS, Dialect, Told, dialect_of
from tests.bench.job import Job, Outcome, Spread
from tests.bench.measure import Bench, Comparison, Sample
from tests.bench.payload import JSON_PLAN, Plan
from tests.bench.processes import BenchError, Cores, Memory, cpu_ms, process_tree
from tests.bench.report import Bar
from tests.bench.servers import Load, Mock
from tests.bench.workloads import TRANSLATED, WORKLOADS


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with Bench.open(Cores.pick(), servers.floor, settle_s=0) as opened:
        yield opened


@pytest.fixture(scope="module")
def mock() -> Iterator[Mock]:
    opened = Mock(Cores.pick().others)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def load() -> Iterator[Load]:
    opened = Load(Cores.pick().others)
    yield opened
    opened.close()


@pytest.mark.parametrize("name", ["json", "sse64", "sseburst", "large"])
def test_a_comparison_counts_each_whole_answer(bench: Bench, name: str) -> None:
    """Every workload, four connections and two exchanges on each, floor against floor."""
    plan = WORKLOADS[name].plan
    if plan.kind == "sse":
        plan = dataclasses.replace(plan, size=10)
    small = dataclasses.replace(WORKLOADS[name], connections=4, plan=plan, duration_s=0.0, repeat=2)
    found = bench.compare(small, 1)
    for sample in (*found.floor, *found.gateway):
        outcome = sample.outcome
        assert (outcome.answered, outcome.failed, outcome.warmed) == (8, 0, 4)
        assert outcome.whole.count == 8
        assert outcome.chunk.count == (80 if plan.kind == "sse" else 0)
        assert outcome.first.count == (8 if plan.kind == "sse" else 0)


def test_the_gateway_answers_and_books_every_call() -> None:
    with Bench.open(Cores.pick(), settle_s=0) as opened:
        small = dataclasses.replace(WORKLOADS["json"], connections=2, duration_s=0.0, repeat=3)
        opened.sample(small, opened.gateway, quick=False)
        stream = dataclasses.replace(small, plan=Plan("sse", 5))
        opened.sample(stream, opened.gateway, quick=False)
        books = opened.books()
    assert books.answered == 1 + 2 * (1 + 3) + 2 * (1 + 3)  # the start, then warm and counted
    assert books.booked == books.answered
    assert books.tokens_booked == books.tokens_due > 0


def test_the_gateway_translates_and_books_every_pair() -> None:
    with Bench.open(Cores.pick(), settle_s=0) as opened:
        for workload in TRANSLATED.values():
            small = dataclasses.replace(workload, connections=1, duration_s=0.0, repeat=1)
            if small.plan.kind == "sse":
                small = dataclasses.replace(small, plan=Plan("sse", 3))
            opened.sample(small, opened.gateway, quick=False)
        books = opened.books()
    assert books.booked == books.answered > len(TRANSLATED)
    assert books.tokens_booked == books.tokens_due


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda one: one.name)
def test_every_dialect_understands_itself(dialect: Dialect) -> None:
    for plan in (JSON_PLAN, Plan("sse", 4)):
        content = dialect.answer(plan.size)
        if plan.kind == "sse":
            chunks = [dialect.chunk() % (number, 1, 1) for number in range(plan.size)]
            stamped = dialect.beginning() + b"".join(chunks) + dialect.end(plan.size)
            content = payload.STAMP.sub(b"#", stamped)
        if dialect.name != "responses" or plan.kind == "json":  # its mock counts no events
            assert dialect.read(content, plan) == dialect.expected(plan, dialect)
        if plan.kind == "sse":
            cut = content[: content.rindex(b"data: ")]
            assert dialect.read(cut, plan) != dialect.expected(plan, dialect)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda one: one.name)
def test_every_dialect_has_the_same_sizes(dialect: Dialect) -> None:
    body = dialect.body(JSON_PLAN, "model", large=True)
    assert 385_000 < len(body) < 405_000
    assert conversation.lacks(body) == ""
    assert payload.plan_of(body) == JSON_PLAN
    assert len(dialect.answer(payload.ANSWER_BYTES)) == payload.ANSWER_BYTES
    assert len(dialect.chunk() % (0, 0, 0)) == payload.CHUNK_BYTES
    assert dialect_of(dialect.path("model", stream=True).encode()) is dialect


def test_a_conversation_that_lost_a_tool_is_seen() -> None:
    body = DIALECTS["chat"].body(JSON_PLAN, "model", large=True)
    assert "39 of 40" in conversation.lacks(body.replace(b'"tool_39"', b'"other"'))


def test_slow_streams_are_counted_where_they_end(bench: Bench) -> None:
    plan = Plan("sse", 3, spacing_ms=20, first_ms=20)
    crowd = bench.crowd(20, plan)
    assert (crowd.streams, crowd.whole) == (20, 20)
    assert 1 <= crowd.open_upstream <= 20
    assert crowd.peak.rss >= crowd.before.rss > crowd.before.pss > 10


def test_first_tokens_are_timed_with_and_without_the_gateway(bench: Bench) -> None:
    found = bench.first_token(streams=2, chunks=2, repeat=2)
    assert (found.gateway.count, found.direct.count) == (4, 4)
    assert found.added_p50 > 0


@pytest.mark.parametrize("plan", [JSON_PLAN, Plan("sse", 5), Plan("sse", 5, 2, 2)])
def test_the_mock_itself_answers_what_the_load_expects(mock: Mock, load: Load, plan: Plan) -> None:
    job = Job(mock.port, 3, plan.encode(), repeat=2, upstream_model=payload.MODEL)
    outcome = load.run(job)
    assert (outcome.answered, outcome.failed, outcome.errors) == (6, 0, [])


@pytest.mark.parametrize("ask_usage", [True, False])
def test_usage_is_sent_where_it_was_asked_for(mock: Mock, ask_usage: bool) -> None:
    body = payload.request_body(Plan("sse", 2), ask_usage=ask_usage)
    status, answer = servers.ask(mock.port, body, 5)
    assert status == 200
    assert (b'"completion_tokens":201' in answer) is ask_usage
    assert answer.endswith(payload.DONE)
    assert payload.STAMP.sub(b"#", answer) == payload.stream_answer(2, ask_usage)


def test_the_mock_remembers_who_left(mock: Mock, load: Load) -> None:
    plan = Plan("sse", 100, spacing_ms=50, first_ms=1, name="left")
    job = Job(mock.port, 2, plan.encode(), warm=0, leave_after_ms=5)
    outcome = load.run(job)
    assert (outcome.answered, outcome.failed) == (0, 0)
    assert outcome.left_ns.keys() == {"left0", "left1"}
    seen: object = {}
    while not isinstance(seen, dict) or not outcome.left_ns.keys() <= seen.keys():
        seen = mock.ask("/bench/gone")
    assert all(seen[name] > at for name, at in outcome.left_ns.items())


def _chunked(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content)


_STREAM = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
_RIGHT = payload.json_answer(payload.ANSWER_BYTES, "fp_bench")
_FRAMES = [payload.CHUNK % (number, 1, 1) for number in range(3)]
_REST = b"".join(payload.stream_end(True))
_JSON, _SSE = JSON_PLAN.encode(), Plan("sse", 3).encode()


@pytest.mark.parametrize(
    ("plan", "answer", "error"),
    [
        (_JSON, _WHOLE % len(_RIGHT) + _RIGHT.replace(b"201", b"202"), "different from byte"),
        (_JSON, _WHOLE % 4 + b"null", "4 bytes in place of 1600"),
        (_JSON, b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "502 Bad Gateway"),
        (_JSON, _WHOLE % len(_RIGHT) + _RIGHT[:-1], "closed before the answer's end"),
        (_SSE, _STREAM + _chunked(b"".join(_FRAMES)), "bytes in place of"),
        (_SSE, _STREAM + _chunked(_FRAMES[0] + _FRAMES[2] + _REST), "chunk 2 came in place of 1"),
        (_SSE, _STREAM + _chunked(b"".join(_FRAMES) + _REST)[:-5], "closed before the answer's"),
        (_SSE, _STREAM + _chunked(b"".join(_FRAMES) + payload.FINISH + payload.DONE), "in place"),
    ],
    ids=[
        "another count",
        "too short",
        "an error status",
        "cut",
        "no end",
        "a chunk lost",
        "no terminator",
        "no usage",
    ],
)
def test_a_wrong_answer_is_an_error(load: Load, plan: str, answer: bytes, error: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]

        def answer_once() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(65_536)
                sock.sendall(answer)
                sock.shutdown(socket.SHUT_WR)
                sock.recv(1)

        server = threading.Thread(target=answer_once)
        server.start()
        outcome = load.run(Job(port, 1, plan, warm=0))
        server.join()
    assert (outcome.answered, outcome.failed) == (0, 1)
    assert error in outcome.errors[0]


def test_a_translated_answer_that_lost_a_word_is_an_error(mock: Mock, load: Load) -> None:
    job = Job(mock.port, 1, JSON_PLAN.encode(), client="chat", upstream="messages")
    outcome = load.run(dataclasses.replace(job, warm=0))
    assert (outcome.answered, outcome.failed) == (0, 1)  # the mock's text in Chat is shorter
    assert Told.__name__ in outcome.errors[0]


def test_what_never_comes_is_an_error(mock: Mock, load: Load) -> None:
    plan = Plan("json", 1600, first_ms=60_000)
    outcome = load.run(Job(mock.port, 2, plan.encode(), warm=0, timeout_s=0.1))
    assert (outcome.answered, outcome.failed) == (0, 2)
    assert "no answer within" in outcome.errors[0]


def test_an_application_that_does_not_start_says_why(bench: Bench) -> None:
    recipe = dataclasses.replace(
        servers.floor(bench.home, bench.mock),
        command=("/bin/sh", "-c", "echo no such thing; exit 3"),
    )
    with pytest.raises(BenchError, match=r"(?s)ended with 3.*no such thing"):
        servers.Application(recipe, Cores.pick().tested)


def test_an_application_that_refuses_says_so(bench: Bench) -> None:
    recipe = dataclasses.replace(
        servers.floor(bench.home, bench.mock), env={**os.environ, "BENCH_UPSTREAM": "nowhere:"}
    )
    with pytest.raises(BenchError, match="does not answer"):
        servers.Application(recipe, Cores.pick().tested, patience_s=0.5)


def test_the_floor_refuses_a_body_without_a_model(bench: Bench) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", bench.floor.port, timeout=5)
    connection.request("POST", payload.PATH, b"{}", {"Content-Type": "application/json"})
    assert connection.getresponse().status == 400
    connection.close()


def test_time_and_memory_of_this_process_are_seen() -> None:
    pids = process_tree(os.getpid())
    assert pids[0] == os.getpid()
    before = cpu_ms(pids[:1])
    while cpu_ms(pids[:1]) < before + 20:  # ends only when the time used is counted
        sum(range(10_000))
    memory = Memory.of(pids[:1])
    assert memory.rss >= memory.pss > 5


def test_request_sizes_are_what_the_documentation_says() -> None:
    assert 390_000 < len(payload.request_body(JSON_PLAN, large=True)) < 400_000
    assert len(payload.json_answer(payload.ANSWER_BYTES, "fp_bench")) == 1_600
    assert len(payload.CHUNK % (0, 0, 0)) == 300


def test_a_plan_travels_in_a_body() -> None:
    plan = Plan("sse", 7, 10, 20, "name")
    assert payload.plan_of(payload.request_body(plan, large=True)) == plan
    assert payload.plan_of(b"{}") == JSON_PLAN


def test_the_ratio_is_the_median_of_the_rounds_own() -> None:
    nothing = Spread.of([])
    outcome = Outcome(1, 0, [], 1.0, nothing, nothing, nothing, {}, 0, 0.0)
    floor = [Sample(ms, outcome) for ms in (1.0, 2.0, 4.0)]
    gateway = [Sample(ms, outcome) for ms in (0.5, 0.8, 4.0)]
    found = Comparison(WORKLOADS["json"], floor, gateway)
    assert found.ratio == 0.5
    assert [bar.is_met for bar in report.of_comparison(found)] == [True]


def test_bars_are_judged_and_shown() -> None:
    bars = [
        Bar("fine", 1.0, 1.0, "ms", "just so"),
        Bar("missed", float("inf"), 50, "ms"),
        Bar("shown", 7.0, None, "ms"),
    ]
    assert [bar.is_met for bar in bars] == [True, False, True]
    lines = report.table(bars).splitlines()
    assert [line[:4] for line in lines] == ["PASS", "FAIL", "    "]
    assert lines[0].endswith("just so")


def test_spreads_take_the_middle_and_the_hundredth() -> None:
    spread = Spread.of([1_000_000 * value for value in range(101)])
    assert (spread.p50, spread.p99, spread.count) == (50.0, 99.0, 101)
