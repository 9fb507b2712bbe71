"""Two workers as one gateway: reloads, signals, and stopping."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator

import bcrypt
import psutil
import pytest

from tests.e2e.raw import Answer, Connection, Gone, ask, request_bytes
from tests.e2e.speech import CHAT, Speech, settings
from tests.fakes.gateway import Gateway
from tests.fakes.script import Step
from tests.fakes.upstream import EVENT_STREAM, Reply, ScriptedUpstream, WaitFor
from tests.fakes.waiting import wait_until

FRAMES = CHAT.frames("one two three")


@pytest.fixture(scope="module")
def pair(provider: ScriptedUpstream) -> Iterator[Gateway]:
    """Two workers."""
    with Gateway(settings(provider.url), workers=2) as running:
        wait_until(lambda: len(running.worker_pids()) == 2)
        yield running


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What the provider waits for in the middle of a stream."""
    event = threading.Event()
    yield event
    event.set()


def _gated(upstream: ScriptedUpstream, gate: threading.Event) -> None:
    """Streams stop behind their first frame until the gate opens; whole answers do not."""
    steps: list[Step] = [FRAMES[0], WaitFor(gate), *FRAMES[1:]]
    stream = Reply(body=steps, headers=EVENT_STREAM, framing="chunked")
    upstream.reply(
        CHAT.upstream_path(),
        lambda request: stream if b'"stream": true' in request.body else CHAT.plain(),
    )


def _request(gateway: Gateway, key: str = "", *, stream: bool = False) -> bytes:
    body = CHAT.body(stream=stream)
    header = CHAT.key_header(key or gateway.key)
    return request_bytes("POST", CHAT.client_path(), body, [header])


def _holder(gateway: Gateway, connection: Connection) -> int:
    """The worker at the other end of a connection."""
    ours = connection.sock.getsockname()
    for pid in gateway.worker_pids():
        for found in psutil.Process(pid).net_connections("tcp4"):
            if found.raddr and (found.raddr.ip, found.raddr.port) == ours:
                return pid
    raise AssertionError("no worker holds the connection")


def _one_to_each(gateway: Gateway, held: contextlib.ExitStack) -> dict[int, Connection]:
    """Kept-alive connections, one to each worker."""
    found: dict[int, Connection] = {}
    wanted = set(gateway.worker_pids())
    spare: list[Connection] = []

    def reached_all() -> bool:
        connection = held.enter_context(Connection(gateway.port))
        spare.append(connection)
        connection.send(request_bytes("GET", "/health"))
        assert connection.answer("GET").status == 200
        found.setdefault(_holder(gateway, connection), connection)
        return set(found) >= wanted

    wait_until(reached_all, 20, "every worker answers")
    return found


def _status(connection: Connection, request: bytes) -> int:
    connection.send(request)
    return connection.answer().status


def _health(connection: Connection) -> dict[str, object]:
    connection.send(request_bytes("GET", "/health"))
    body: dict[str, object] = connection.answer("GET").json()
    return body


# Reloading


def test_a_new_key_is_live_in_all_workers_within_a_second(
    pair: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.reply(CHAT.upstream_path(), CHAT.plain())
    taken = []
    with contextlib.ExitStack() as held:
        workers = _one_to_each(pair, held)
        for number in range(3):
            key = f"added-key-{number}"
            for connection in workers.values():
                assert _status(connection, _request(pair, key)) == 401
            began = time.monotonic()
            pair.edit_config({"api-keys": [pair.key, key]})
            for connection in workers.values():
                request = _request(pair, key)
                wait_until(lambda to=connection, say=request: _status(to, say) == 200, 5)  # type: ignore[misc]
            taken.append(time.monotonic() - began)
            if taken[-1] <= 1.0:
                break
    assert min(taken) <= 1.0, taken


def test_a_hashed_key_opens_too(pair: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.reply(CHAT.upstream_path(), CHAT.plain())
    hashed = bcrypt.hashpw(b"known-by-its-hash", bcrypt.gensalt(4)).decode()
    with contextlib.ExitStack() as held:
        workers = _one_to_each(pair, held)
        pair.edit_config({"api-keys": [pair.key, hashed]})
        for connection in workers.values():
            request = _request(pair, "known-by-its-hash")
            wait_until(lambda to=connection, say=request: _status(to, say) == 200, 5)  # type: ignore[misc]
            assert _status(connection, _request(pair, "known-by-its-hass")) == 401
            assert _status(connection, _request(pair, hashed)) == 401
        pair.edit_config({"api-keys": [pair.key]})


def test_a_key_that_was_taken_away_is_refused(pair: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.reply(CHAT.upstream_path(), CHAT.plain())
    with contextlib.ExitStack() as held:
        workers = _one_to_each(pair, held)
        pair.edit_config({"api-keys": [pair.key, "short-lived"]})
        request = _request(pair, "short-lived")
        for connection in workers.values():
            wait_until(lambda to=connection: _status(to, request) == 200, 5)  # type: ignore[misc]
        pair.edit_config({"api-keys": [pair.key]})
        for connection in workers.values():
            wait_until(lambda to=connection: _status(to, request) == 401, 5)  # type: ignore[misc]


def test_a_broken_edit_keeps_the_old_state_and_is_shown(
    pair: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.reply(CHAT.upstream_path(), CHAT.plain())
    with contextlib.ExitStack() as held:
        workers = _one_to_each(pair, held)
        before = pair.config_path.read_text()
        pair.write_config(before + "\nport: [not, a, port\n")
        for connection in workers.values():
            wait_until(lambda to=connection: "config_error" in _health(to), 5)  # type: ignore[misc]
            assert str(pair.directory) not in str(_health(connection))
            assert _status(connection, _request(pair)) == 200
        ready = ask(pair.port, "GET", "/readyz")
        assert (ready.status, ready.json()["config"]) == (200, "stale")
        pair.write_config(before)
        for connection in workers.values():
            wait_until(lambda to=connection: "config_error" not in _health(to), 5)  # type: ignore[misc]
            assert _status(connection, _request(pair)) == 200
    assert "config.yaml" in pair.log()


def test_sighup_reads_the_file_and_ends_nothing(
    pair: Gateway, upstream: ScriptedUpstream, gate: threading.Event
) -> None:
    _gated(upstream, gate)
    pids = pair.worker_pids()
    with contextlib.ExitStack() as held:
        workers = _one_to_each(pair, held)
        for connection in workers.values():
            connection.send(_request(pair, stream=True))
            connection.head()
            connection.until(FRAMES[0])
        pair.edit_config({"api-keys": [pair.key, "key-after-hup"]})
        pair.signal(signal.SIGHUP)

        def accepts() -> bool:
            with Connection(pair.port) as fresh:
                return _status(fresh, _request(pair, "key-after-hup")) == 200

        wait_until(accepts, 5)
        gate.set()
        for connection in workers.values():
            answer = connection.rest()
            assert answer.whole
            assert answer.body == b"".join(FRAMES)
    assert pair.worker_pids() == pids


def test_an_exchange_keeps_the_configuration_it_began_with(
    pair: Gateway, upstream: ScriptedUpstream, gate: threading.Event
) -> None:
    """The model it asks for may be gone from the file before its answer ends."""
    _gated(upstream, gate)
    config = settings(upstream.url)
    without = [{**entry, "models": ["something-else"]} for entry in config[CHAT.section]]
    with Connection(pair.port) as client:
        client.send(_request(pair, stream=True))
        client.head()
        client.until(FRAMES[0])
        pair.edit_config({CHAT.section: without})
        try:
            request = _request(pair)
            for _ in range(8):
                with Connection(pair.port) as other:
                    wait_until(lambda to=other: _status(to, request) == 404, 5)  # type: ignore[misc]
            gate.set()
            assert client.rest().whole
        finally:
            pair.edit_config({CHAT.section: config[CHAT.section]})


def test_two_workers_count_into_one_ledger(pair: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.reply(CHAT.upstream_path(), CHAT.plain())
    with contextlib.ExitStack() as held:
        workers = _one_to_each(pair, held)

        def is_back() -> bool:
            return all(_status(to, _request(pair)) == 200 for to in workers.values())

        wait_until(is_back, 5, "the model is configured again")
        ids = set()
        for _ in range(10):
            for connection in workers.values():
                connection.send(_request(pair))
                ids.add(connection.answer().request_id)
    assert len(ids) == 20
    assert ids <= {row["id"] for row in pair.ledger_rows()}


# Stopping


@pytest.fixture
def stopping(provider: ScriptedUpstream, upstream: ScriptedUpstream) -> Iterator[Gateway]:
    """A gateway that a test may stop."""
    with Gateway(settings(provider.url), workers=2) as running:
        yield running


def _is_closed_to_newcomers(gateway: Gateway) -> bool:
    try:
        with Connection(gateway.port) as client:
            client.sock.settimeout(1)
            client.send(request_bytes("GET", "/health"))
            client.answer("GET")
    except (OSError, Gone):
        return True
    return False


@pytest.mark.time_limit(90)
def test_a_stop_lets_open_answers_finish(
    stopping: Gateway, upstream: ScriptedUpstream, gate: threading.Event
) -> None:
    _gated(upstream, gate)
    with contextlib.ExitStack() as held:
        idle = [held.enter_context(Connection(stopping.port)) for _ in range(10)]
        for connection in idle:
            connection.send(request_bytes("GET", "/health"))
            connection.answer("GET")
        silent = [held.enter_context(Connection(stopping.port)) for _ in range(5)]
        open_ones = [held.enter_context(Connection(stopping.port)) for _ in range(6)]
        for connection in open_ones:
            connection.send(_request(stopping, stream=True))
            connection.head()
            connection.until(FRAMES[0])
        stopping.signal(signal.SIGTERM)
        wait_until(lambda: _is_closed_to_newcomers(stopping), 10, "nobody new is let in")
        assert not stopping.has_stopped()
        gate.set()
        released = time.monotonic()
        finished: list[Answer] = [connection.rest() for connection in open_ones]
        assert all(answer.whole for answer in finished)
        assert all(answer.body == b"".join(FRAMES) for answer in finished)
        wait_until(stopping.has_stopped, 20, "it has stopped")
        assert time.monotonic() - released <= 3.0
        assert len(silent) == 5
    rows = {row["id"]: row for row in stopping.ledger_rows()}
    for answer in finished:
        row = rows[answer.request_id]
        assert (row["status"], row["blame"], row["estimated"]) == (200, "", 0)


@pytest.mark.time_limit(90)
def test_idle_connections_do_not_delay_a_stop(stopping: Gateway) -> None:
    with contextlib.ExitStack() as held:
        for number in range(40):
            connection = held.enter_context(Connection(stopping.port))
            if number % 2:
                connection.send(request_bytes("GET", "/health"))
                connection.answer("GET")
        assert stopping.stop() <= 3.0
    assert "Traceback" not in stopping.log()


@pytest.mark.time_limit(90)
def test_a_stop_does_not_wait_for_ever(
    provider: ScriptedUpstream, upstream: ScriptedUpstream, gate: threading.Event
) -> None:
    _gated(upstream, gate)
    with Gateway(settings(provider.url) | {"shutdown-timeout": 1}) as gateway:
        with Connection(gateway.port) as client:
            client.send(_request(gateway, stream=True))
            request_id = client.head().request_id
            client.until(FRAMES[0])
            assert gateway.stop() <= 5.0
            answer = client.rest()
            assert not answer.whole
        row = gateway.row(request_id)
        assert row["estimated"] == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_every_kind_of_stop_leaves_no_process(number: signal.Signals) -> None:
    with Gateway(workers=2) as gateway:
        wait_until(lambda: len(gateway.worker_pids()) == 2)
        processes = [psutil.Process(pid) for pid in [gateway.pid, *gateway.worker_pids()]]
        gateway.signal(number)
        wait_until(gateway.has_stopped, 20)
        wait_until(lambda: not any(process.is_running() for process in processes))


def test_the_stop_command(stopping: Gateway) -> None:
    assert "running" in stopping.command("status").stdout
    stopped = stopping.command("stop")
    assert stopped.returncode == 0
    wait_until(stopping.has_stopped, 20)
    assert "not running" in stopping.command("status").stdout


def test_a_broken_file_is_refused_at_start() -> None:
    with pytest.raises(AssertionError) as caught, Gateway({"body-limit-mb": "plenty"}):
        pass
    message = str(caught.value)
    assert "config.yaml:" in message
    assert "body-limit-mb" in message


def test_every_protocol_is_answered_after_a_reload(
    speech: Speech, pair: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.reply(speech.upstream_path(), speech.plain())
    answer = ask(
        pair.port,
        "POST",
        speech.client_path(),
        speech.body(),
        [speech.key_header(pair.key)],
    )
    assert answer.body == speech.whole()
