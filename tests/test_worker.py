from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import gevent
import gevent.event
import gevent.socket
import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger

from app import worker as worker_module
from app.api.client_socket import ClientSocket
from app.worker import GRACE_MARGIN_S, GatewayWorker, _linger, _shut, forward_reload

GET = b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n"
Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


def _pair() -> tuple[Any, Any]:
    return gevent.socket.socketpair()


def _read_all(far: Any) -> bytes:
    got = b""
    with gevent.Timeout(10):
        while piece := far.recv(65536):
            got += piece
    return got


def _until(predicate: Callable[[], object]) -> None:
    with gevent.Timeout(10):
        while not predicate():
            gevent.sleep(0.002)


# Ending connections


def test_whoever_reads_a_connection_sees_its_end() -> None:
    near, far = _pair()
    reading = gevent.spawn(near.recv, 100)
    gevent.sleep(0)
    _shut(near, socket.SHUT_RD)
    assert reading.get(timeout=10) == b""
    near.sendall(b"an answer still goes out")
    assert far.recv(100) == b"an answer still goes out"
    _shut(near, socket.SHUT_RDWR)
    assert far.recv(100) == b""
    near.close()
    far.close()


def test_what_has_no_other_side_is_let_be() -> None:
    near, far = _pair()
    far.close()
    near.close()
    _shut(near, socket.SHUT_RD)
    loose = socket.socket()
    _shut(loose, socket.SHUT_RD)
    assert loose.fileno() >= 0
    loose.close()


def test_a_little_of_an_unwanted_body_is_taken() -> None:
    """The client reads its answer, then the end, while it is still sending."""
    near, far = _pair()
    near.sendall(b"refused")
    lingering = gevent.spawn(_linger, near)
    far.sendall(bytes(3 << 20))
    assert _read_all(far) == b"refused"
    far.close()
    lingering.get(timeout=10)
    near.close()


def test_lingering_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "_LINGER_S", 0.02)
    near, far = _pair()
    gevent.spawn(_linger, near).get(timeout=10)
    near.close()
    far.close()


def test_lingering_takes_only_so_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "_LINGER_BYTES", 100_000)
    near, far = _pair()
    sending = gevent.spawn(far.sendall, bytes(8 << 20))
    gevent.spawn(_linger, near).get(timeout=10)
    assert not sending.ready()
    sending.kill()
    near.close()
    far.close()


def test_lingering_with_a_client_that_is_gone() -> None:
    near, far = _pair()
    near.close()
    _linger(near)
    far.close()


# A worker


def _hello(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]


class Listener:
    def getsockname(self) -> tuple[str, int]:
        return ("127.0.0.1", 8317)


class Serving:
    """A worker that serves one connection at a time, without a server around it."""

    def __init__(self, application: Application = _hello, graceful_timeout: int = 60) -> None:
        config = Config()
        config.set("graceful_timeout", graceful_timeout)
        config.set("keepalive", 75)
        self.worker = GatewayWorker(1, os.getppid(), [], None, 30, config, Logger(config))
        wsgi: Any = application
        self.worker.wsgi = wsgi
        self.worker.alive = True
        self._open: list[Any] = []
        self._greenlets: list[gevent.Greenlet[..., object]] = []

    def connect(self) -> Any:
        near, far = _pair()
        self._open += [near, far]
        address = ("127.0.0.1", 5000)
        self.spawn(self.worker.handle, Listener(), near, address)
        return far

    def spawn(self, work: Callable[..., object], *arguments: object) -> None:
        self._greenlets.append(gevent.spawn(work, *arguments))
        gevent.sleep(0)

    def close(self) -> None:
        gevent.killall(self._greenlets)
        for each in self._open:
            each.close()
        self.worker.tmp.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Serving]]:
    made: list[Serving] = []

    def make(*arguments: Any, **named: Any) -> Serving:
        made.append(Serving(*arguments, **named))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_a_connection_is_known_as_long_as_it_is_served(serve: Callable[..., Serving]) -> None:
    seen: list[Any] = []

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        client = environ["gunicorn.socket"]
        worker = serving.worker
        seen.append((type(client), client.fileno() in worker._busy, len(worker._connections)))
        return _hello(environ, start_response)

    serving = serve(application)
    far = serving.connect()
    for number in (1, 2):
        far.sendall(GET)
        assert far.recv(4096).endswith(b"hello")
        _until(lambda: not serving.worker._busy)
        assert len(serving.worker._connections) == 1
        assert seen == [(ClientSocket, True, 1)] * number
    far.close()
    _until(lambda: not serving.worker._connections)


def test_an_unread_body_ends_the_connection(serve: Callable[..., Serving]) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["wsgi.input"].must_close = True
        return _hello(environ, start_response)

    serving = serve(application)
    far = serving.connect()
    far.sendall(b"POST / HTTP/1.1\r\nHost: gateway\r\nContent-Length: 99999999\r\n\r\nhalf a ")
    answer = _read_all(far)
    assert answer.endswith(b"hello")
    assert b"Connection: close" in answer
    far.close()
    _until(lambda: not serving.worker._connections)


def test_the_last_request_of_a_worker_that_stops(serve: Callable[..., Serving]) -> None:
    seen: list[bool] = []

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        seen.append(environ["wsgi.input"].is_last)
        return _hello(environ, start_response)

    serving = serve(application)
    far = serving.connect()
    far.sendall(GET)
    assert far.recv(4096).endswith(b"hello")
    serving.worker.alive = False
    far.sendall(GET)
    assert _read_all(far).endswith(b"hello")
    assert seen == [False, True]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "_LOOK_S", 0.005)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("patient", [True, False])
def test_a_stop_ends_idle_connections_first(patient: bool, serve: Callable[..., Serving]) -> None:
    """A busy one has the operator's time, which is shorter than the server's own."""
    gate = gevent.event.Event()

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        gate.wait()
        return _hello(environ, start_response)

    serving = serve(application, graceful_timeout=GRACE_MARGIN_S + (60 if patient else 0))
    idle, busy = serving.connect(), serving.connect()
    busy.sendall(GET)
    _until(lambda: serving.worker._busy)
    serving.spawn(serving.worker._let_idle_go)
    gevent.sleep(0.02)
    assert len(serving.worker._connections) == 2
    serving.worker.alive = False
    assert _read_all(idle) == b""
    if patient:
        gate.set()
        assert _read_all(busy).endswith(b"hello")
    else:
        assert _read_all(busy) == b""


def test_nobody_looks_any_more_after_the_end(serve: Callable[..., Serving]) -> None:
    serving = serve()
    serving.worker.alive = False
    with gevent.Timeout(10):
        serving.worker.run()


def test_a_worker_reads_the_configuration_again(serve: Callable[..., Serving]) -> None:
    reloads: list[str] = []
    services = SimpleNamespace(reload=lambda: reloads.append("again"))
    serving = serve()
    wsgi: Any = SimpleNamespace(extensions={"services": services})
    serving.worker.wsgi = wsgi
    serving.worker._reload(signal.SIGUSR1, None)
    _until(lambda: reloads)
    assert reloads == ["again"]


def test_the_master_passes_a_reload_on() -> None:
    sent: list[int] = []
    server = SimpleNamespace(kill_workers=sent.append)
    forward_reload(server)
    server.handle_hup()
    assert sent == [signal.SIGUSR1]
