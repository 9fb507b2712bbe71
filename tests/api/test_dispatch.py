from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import flask
import gevent
import orjson
import pytest

from app.api import direct
from app.api.dispatch import LightDispatch
from app.api.http import route
from app.api.incoming import Environ, Incoming
from app.gateway.exchange import Answer, PlainAnswer
from app.gateway.relay import Cut
from tests.api.requests import environ
from tests.api.sockets import client_pair, read_all

ORIGIN = {"HTTP_ORIGIN": "https://page.example"}


class Broken:
    """An answer that fails after its first piece."""

    status = 200
    closed = 0

    def __init__(self) -> None:
        self.headers: list[tuple[str, str]] = []

    def __iter__(self) -> Any:
        yield b"half"
        raise RuntimeError("a bug")

    def close(self) -> None:
        self.closed += 1


class Application:
    """A dispatcher over a few routes, and what it was called with."""

    def __init__(self) -> None:
        self.broken = Broken()
        app = flask.Flask("few")
        routes = flask.Blueprint("few", "few")
        route(routes, "/exact", ["GET", "POST"], self._exact)
        route(routes, "/models/<path:target>", ["POST"], self._target)
        route(routes, "/items/<item>", ["GET"], self._item)
        route(routes, "/broken", ["GET"], lambda _: self.broken)
        route(routes, "/fails", ["GET"], self._fail)
        route(routes, "/leaves", ["GET"], self._leave)
        app.register_blueprint(routes)
        app.add_url_rule("/v0/plain", view_func=lambda: "plain")
        self.inner_calls = 0
        self.status = ""
        self.headers: list[tuple[str, str]] = []
        self.dispatch = LightDispatch(app, self._inner)

    def _inner(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        self.inner_calls += 1
        start_response("299 Inner", [("X-Inner", "1")])
        return [b"inner"]

    def _exact(self, incoming: Incoming) -> Answer:
        return PlainAnswer(200, [("X-A", "b")], incoming.method.encode())

    def _target(self, _: Incoming, target: str) -> Answer:
        return PlainAnswer(200, [], target.encode())

    def _item(self, _: Incoming, item: str) -> Answer:
        return PlainAnswer(200, [], item.encode())

    def _fail(self, _: Incoming) -> Answer:
        raise RuntimeError("secret of ours")

    def _leave(self, _: Incoming) -> Answer:
        raise gevent.GreenletExit

    def _start(self, status: str, headers: list[tuple[str, str]], *_: object) -> None:
        self.status, self.headers = status, headers

    def call(self, method: str, path: str, **more: Any) -> bytes:
        answer = self.dispatch(environ(method, path, **more), self._start)
        return b"".join(answer)

    def header(self, name: str) -> str | None:
        return dict(self.headers).get(name)


@pytest.fixture
def app() -> Application:
    return Application()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/exact", b"GET"),
        ("POST", "/exact", b"POST"),
        ("POST", "/models/a", b"a"),
        ("POST", "/models/org/a:go", b"org/a:go"),
    ],
)
def test_hot_routes_are_answered_here(
    method: str, path: str, body: bytes, app: Application
) -> None:
    assert app.call(method, path) == body
    assert app.status == "200 OK"
    assert app.inner_calls == 0


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/exact"),
        ("HEAD", "/exact"),
        ("POST", "/exact/"),
        ("POST", "/models/"),
        ("GET", "/models/a"),
        ("GET", "/items/a"),
        ("GET", "/v0/plain"),
        ("GET", "/nowhere"),
        ("OPTIONS", "/v0/plain"),
    ],
)
def test_everything_else_goes_the_usual_way(method: str, path: str, app: Application) -> None:
    assert app.call(method, path) == b"inner"
    assert app.inner_calls == 1
    assert app.status == "299 Inner"


# Browsers


@pytest.mark.parametrize("path", ["/exact", "/nowhere"])
def test_a_browser_asks_first(path: str, app: Application) -> None:
    assert app.call("OPTIONS", path) == b""
    assert app.status == "204 No Content"
    assert app.header("Access-Control-Allow-Origin") == "*"
    assert "POST" in str(app.header("Access-Control-Allow-Methods"))
    assert "Authorization" in str(app.header("Access-Control-Allow-Headers"))
    assert app.inner_calls == 0


@pytest.mark.parametrize(
    ("path", "origin", "is_open"),
    [
        ("/exact", ORIGIN, True),
        ("/exact", {}, False),
        ("/items/a", ORIGIN, True),
        ("/items/a", {}, False),
        ("/fails", ORIGIN, True),
        ("/v0/plain", ORIGIN, False),
    ],
)
def test_what_a_page_may_read(
    path: str, origin: dict[str, Any], is_open: bool, app: Application
) -> None:
    app.call("GET", path, **origin)
    assert app.header("Access-Control-Allow-Origin") == ("*" if is_open else None)
    assert app.header("Access-Control-Expose-Headers") == ("*" if is_open else None)


# Faults


def test_a_fault_in_a_view(app: Application, caplog: pytest.LogCaptureFixture) -> None:
    got = orjson.loads(app.call("GET", "/fails"))
    assert got["error"]["message"] == "internal error"
    assert app.status == "500 Internal Server Error"
    assert "secret of ours" in caplog.text


def test_a_client_that_left_is_no_fault(app: Application) -> None:
    with pytest.raises(gevent.GreenletExit):
        app.call("GET", "/leaves")


def test_an_answer_is_closed_when_it_cannot_be_begun(app: Application) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("headers are sent already")

    with pytest.raises(AssertionError, match="already"):
        app.dispatch(environ("GET", "/broken"), refuse)
    assert app.broken.closed == 1


def test_the_server_closes_what_it_is_given(app: Application) -> None:
    answer: Any = app.dispatch(environ("GET", "/broken"), app._start)
    assert answer is app.broken
    assert app.broken.closed == 0


def test_a_status_without_a_name(app: Application) -> None:
    app.broken.status = 599
    app.dispatch(environ("GET", "/broken"), app._start)
    assert app.status == "599 -"


# Straight to the client's socket


def _direct(app: Application, path: str, **more: Any) -> tuple[bytes, object]:
    client, far = client_pair()
    request = environ("GET", path, **more) | {"gunicorn.socket": client}

    def call() -> object:
        try:
            return app.dispatch(request, app._start)
        finally:
            client.close()

    calling = gevent.spawn(call)
    calling.join(10)
    raw = read_all(far)
    far.close()
    return raw, calling.value if calling.exception is None else calling.exception


def test_an_answer_that_is_written_here(app: Application) -> None:
    raw, returned = _direct(app, "/exact", **ORIGIN)
    assert returned is direct.HANDLED
    head, _, body = raw.partition(b"\r\n\r\n")
    assert b"X-A: b" in head
    assert b"Access-Control-Allow-Origin: *" in head
    assert body == b"3\r\nGET\r\n0\r\n\r\n"
    assert app.status == ""


def test_a_fault_in_a_view_is_written_too(app: Application) -> None:
    raw, returned = _direct(app, "/fails")
    assert returned is direct.HANDLED
    assert raw.startswith(b"HTTP/1.1 500 ")
    assert b"internal error" in raw


def test_a_fault_in_an_answer_cuts_it(app: Application, caplog: pytest.LogCaptureFixture) -> None:
    raw, returned = _direct(app, "/broken")
    assert isinstance(returned, Cut)
    assert isinstance(returned.__cause__, RuntimeError)
    assert raw.endswith(b"\r\n\r\n4\r\nhalf\r\n")
    assert app.broken.closed == 1
    assert "a bug" in caplog.text


def test_a_client_that_is_gone_is_the_servers_business(app: Application) -> None:
    client, far = client_pair()
    far.close()
    with pytest.raises(BrokenPipeError):
        app.dispatch(environ("GET", "/exact") | {"gunicorn.socket": client}, app._start)
    client.close()
