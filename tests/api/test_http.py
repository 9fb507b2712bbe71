from __future__ import annotations

from typing import Any

import flask
import gevent
import gevent.socket
import orjson
import pytest
from flask.testing import FlaskClient

from app import clock
from app.api.http import (
    answering,
    asker,
    error_answer,
    install_errors,
    json_answer,
    new_request_id,
    route,
)
from app.api.incoming import Incoming
from app.config.schema import Config
from app.errors import (
    BadRequest,
    CredentialRefused,
    ErrorReply,
    Forbidden,
    GatewayError,
    LimitExceeded,
    QuotaExhausted,
    Unauthenticated,
    Untranslatable,
)
from app.gateway.exchange import PlainAnswer
from app.gateway.serve import ClientGone
from app.protocols import CODECS
from app.protocols.base import Operation
from app.upstream import sockets
from tests.api.requests import environ
from tests.api.sockets import client_pair
from tests.api.world import KEY, Front
from tests.fakes import answers
from tests.fakes.upstream import Hang, Reply, ScriptedUpstream
from tests.gateway.world import gwait, taken

CHAT = CODECS["openai_chat"]
BODY = b'{"model":"m","messages":[]}'
BEARER: dict[str, Any] = {"HTTP_AUTHORIZATION": f"Bearer {KEY}"}


def test_request_ids_sort_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = []
    for now_s in (1.0, 1_795_000_000.001, 1_795_000_000.002):
        monkeypatch.setattr(clock, "epoch_s", lambda now_s=now_s: now_s)
        ids.append(new_request_id())
    assert ids == sorted(ids)
    assert {len(request_id) for request_id in ids} == {32}
    assert len({new_request_id() for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("path", "headers", "name"),
    [
        ("/v1/chat/completions", {}, "openai_chat"),
        ("/v1/models", {}, "openai_chat"),
        ("/v1beta/models", {}, "gemini_generate"),
        ("/v1/models", {"HTTP_X_GOOG_API_KEY": "k"}, "gemini_generate"),
        ("/v1/models", {"HTTP_X_GOOG_API_CLIENT": "genai"}, "gemini_generate"),
        ("/v1/models", {"HTTP_ANTHROPIC_VERSION": "2023-06-01"}, "anthropic_messages"),
        ("/v1/messages", {}, "anthropic_messages"),
        ("/messages/count_tokens", {}, "anthropic_messages"),
        ("/v1/responses/resp_1", {}, "openai_responses"),
        ("/nowhere", {}, "openai_chat"),
    ],
)
def test_who_asks(path: str, headers: dict[str, Any], name: str) -> None:
    assert asker(Incoming(environ(path=path, **headers))).name == name


# Errors


def _named(answer: PlainAnswer, name: str) -> list[str]:
    return [value for key, value in answer.headers if key.lower() == name]


@pytest.mark.parametrize("codec", CODECS.values(), ids=lambda codec: codec.name)
def test_an_error_of_ours(codec: Any) -> None:
    answer = error_answer(codec, BadRequest("no good"), "request-1")
    assert answer.status == 400
    assert b"no good" in answer.body
    assert _named(answer, "content-type") == ["application/json"]
    assert _named(answer, "content-length") == [str(len(answer.body))]
    for name in ("x-aiproxy-request-id", "x-request-id", "request-id"):
        assert _named(answer, name) == ["request-1"]
    for name in ("retry-after", "www-authenticate", "x-should-retry", "x-cpa-safe-mode"):
        assert _named(answer, name) == []


def test_a_providers_own_words() -> None:
    reply = ErrorReply(
        429,
        (("content-type", "application/json"), ("retry-after", "9"), ("set-cookie", "a=b")),
        b'{"error":{}}',
    )
    ours = error_answer(CHAT, CredentialRefused("no", retry_after_s=3, reply=reply), "request-1")
    assert (ours.status, _named(ours, "retry-after")) == (503, ["3"])
    assert ours.body != reply.body
    theirs = error_answer(CHAT, QuotaExhausted("no", retry_after_s=3, reply=reply), "request-1")
    assert (theirs.status, theirs.body) == (429, reply.body)
    assert _named(theirs, "retry-after") == ["9"]
    assert _named(theirs, "set-cookie") == []
    assert _named(theirs, "x-aiproxy-request-id") == ["request-1"]
    assert _named(theirs, "content-length") == ["12"]


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.0, "1"), (0.2, "1"), (1.0, "1"), (1.2, "2"), (59.999, "60")]
)
def test_the_wait_is_told_in_whole_seconds(seconds: float, told: str) -> None:
    answer = error_answer(CHAT, LimitExceeded("no", retry_after_s=seconds), "r")
    assert _named(answer, "retry-after") == [told]


@pytest.mark.parametrize(
    ("error", "name", "value"),
    [
        (Unauthenticated("no"), "www-authenticate", "Bearer"),
        (Untranslatable("no", status=501), "x-should-retry", "false"),
        (Forbidden("no", kind="unsafe_example_api_key"), "x-cpa-safe-mode", "example-api-key"),
    ],
)
def test_what_some_errors_say_besides(error: GatewayError, name: str, value: str) -> None:
    assert _named(error_answer(CHAT, error, "r"), name) == [value]


def test_a_view_that_refuses() -> None:
    incoming = Incoming(environ(path="/v1/messages", length="99999999"))

    def refuse() -> PlainAnswer:
        raise BadRequest("no")

    answer = answering(incoming, refuse)
    assert orjson.loads(taken(answer))["type"] == "error"
    assert incoming.environ["wsgi.input"].must_close
    assert answering(incoming, lambda: json_answer(b"{}")).status == 200


def test_a_document() -> None:
    answer = json_answer(b"{}", 503)
    assert answer.status == 503
    assert answer.headers == [("Content-Type", "application/json"), ("Content-Length", "2")]


# Through Flask


@pytest.fixture
def broken() -> FlaskClient:
    """An application with a route that fails, reached the long way."""
    app = flask.Flask("broken")
    routes = flask.Blueprint("routes", "routes")

    def fail(_: Incoming) -> PlainAnswer:
        raise RuntimeError("secret of ours")

    def greet(_: Incoming, name: str) -> PlainAnswer:
        return PlainAnswer(203, [("X-A", "b")], name.encode())

    route(routes, "/fail", ["GET"], fail)
    route(routes, "/greet/<name>", ["GET"], greet)
    app.register_blueprint(routes)
    install_errors(app)
    return app.test_client()


def test_a_route_through_flask(broken: FlaskClient) -> None:
    got = broken.get("/greet/you")
    assert (got.status_code, got.data, got.headers["X-A"]) == (203, b"you", "b")
    assert broken.head("/greet/you").data == b""


def test_a_fault_of_ours_is_told_without_its_words(broken: FlaskClient) -> None:
    got = broken.get("/fail")
    assert got.status_code == 500
    assert got.json is not None
    assert got.json["error"]["message"] == "internal error"
    assert b"secret" not in got.data


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/nowhere", 404, "there is no route GET /nowhere"),
        ("PUT", "/greet/you", 405, "PUT is not allowed on /greet/you"),
    ],
)
def test_unknown_routes_and_methods(
    method: str, path: str, status: int, message: str, broken: FlaskClient
) -> None:
    got = broken.open(path, method=method)
    assert got.status_code == status
    assert got.json is not None
    assert got.json["error"]["message"] == message
    if status == 405:
        assert got.headers["Allow"] == "GET, HEAD, OPTIONS"


# From a request to its exchange


def _generate(front: Front, body: bytes = BODY, /, **more: Any) -> Any:
    incoming = Incoming(environ(body=body, **more))
    return front.api.generate(incoming, CHAT, Operation.GENERATE)


def test_an_answer(front: Front, upstream: ScriptedUpstream) -> None:
    upstream.reply("*", Reply(body=answers.chat_answer()))
    answer = _generate(front, query=f"a=1&key={KEY}")
    ids = [value for name, value in answer.headers if name == "X-Aiproxy-Request-Id"]
    assert taken(answer) == answers.chat_answer()
    (row,) = front.services.ledger.records()
    assert [row.id] == ids
    assert (row.status, row.client_id != "anonymous", row.bytes_in) == (200, True, len(BODY))
    assert upstream.requests[0].query == "a=1"


@pytest.mark.parametrize(
    ("body", "more", "status"),
    [
        (BODY, {}, 401),
        (BODY, {"HTTP_X_API_KEY": "wrong"}, 401),
        (b"{}", BEARER, 400),
        (b'{"model":"unknown"}', BEARER, 404),
        (b"", BEARER | {"length": "999999999"}, 413),
    ],
)
def test_a_refusal(body: bytes, more: dict[str, Any], status: int, front: Front) -> None:
    answer = _generate(front, body, **more)
    assert answer.status == status
    assert orjson.loads(taken(answer))["error"]["message"]


def test_a_body_that_is_refused_before_it_was_read_ends_the_connection(front: Front) -> None:
    request = environ(body=bytes(100_000))
    front.api.generate(Incoming(request), CHAT, Operation.GENERATE)
    assert request["wsgi.input"].must_close


def test_a_client_that_leaves_while_nothing_has_come(
    front: Front, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "socket", gevent.socket)
    upstream.reply("*", Reply(before_head=Hang()))
    client, far = client_pair()
    serving = gevent.spawn(_generate, front, **BEARER, **{"gunicorn.socket": client})
    gwait(lambda: upstream.requests)
    far.close()
    gwait(serving.ready)
    assert isinstance(serving.value, ClientGone)
    gwait(lambda: upstream.closed_at(0) is not None)
    (row,) = front.services.ledger.records()
    assert row.status == 499
    client.close()


def test_the_watch_ends_with_the_answer(front: Front, upstream: ScriptedUpstream) -> None:
    """The client may leave behind it; nobody serves it any more."""
    upstream.reply("*", Reply(body=answers.chat_answer()))
    client, far = client_pair()
    answer = _generate(front, **BEARER, **{"gunicorn.socket": client})
    assert taken(answer) == answers.chat_answer()
    far.close()
    gevent.sleep(0.01)  # the hub looks at all sockets once
    client.close()


# Example keys

EXAMPLE = Config(api_keys=("your-api-key-1", KEY), trusted_proxies=("10.0.0.1",))


@pytest.mark.parametrize(
    ("more", "is_served"),
    [
        ({}, True),
        ({"REMOTE_ADDR": "::1"}, True),
        ({"REMOTE_ADDR": "192.0.2.1"}, False),
        ({"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, False),
        ({"HTTP_FORWARDED": "for=127.0.0.1"}, False),
        ({"HTTP_X_REAL_IP": "127.0.0.1"}, False),
        ({"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "127.0.0.1"}, True),
        ({"REMOTE_ADDR": ""}, False),
    ],
)
def test_an_example_key_serves_this_machine_alone(more: dict[str, Any], is_served: bool) -> None:
    front = Front(config=EXAMPLE)
    answer = _generate(front, **BEARER, **more)
    assert answer.status == (404 if is_served else 403)
    request = Incoming(environ(**BEARER, **more))
    if is_served:
        front.api.admit(request)
    else:
        with pytest.raises(Forbidden):
            front.api.admit(request)
    front.close()


def test_without_an_example_key_everybody_with_a_key_is_served(front: Front) -> None:
    front.api.admit(Incoming(environ(**BEARER, REMOTE_ADDR="192.0.2.1")))
    with pytest.raises(Unauthenticated):
        front.api.admit(Incoming(environ()))
