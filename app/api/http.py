"""Flask and WSGI on one side, exchanges and answers on the other.

A view is a function from ``Incoming`` to ``Answer`` and never touches Flask's request context, so
that hot routes can be answered without one (see ``dispatch``); Flask's own routing stays the
truth about which routes exist.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import flask

from app import clock
from app.access.keys import key_from
from app.api.incoming import Incoming
from app.api.presence import ClientWatch
from app.errors import (
    Forbidden,
    GatewayError,
    MethodNotAllowed,
)
from app.gateway.exchange import Answer, Exchange, PlainAnswer
from app.gateway.refusal import verbatim
from app.gateway.serve import ClientGone
from app.protocols import CODECS
from app.protocols.base import Codec, Operation, Peek
from app.services import Services
from app.wire.headers import client_headers
from app.wire.peer import is_local

_log = logging.getLogger(__name__)

Handler = Callable[..., Answer]

_FORWARDING = ("x-forwarded-for", "forwarded", "x-real-ip")

_SAFE_MODE = (
    "This gateway still has an example API key in its configuration. Replace it before "
    "serving other machines."
)


def new_request_id() -> str:
    """A fresh id, sortable by time: 12 hex digits of milliseconds, 20 random ones."""
    return f"{int(clock.epoch_s() * 1000):012x}{secrets.token_hex(10)}"


def asker(incoming: Incoming) -> Codec:
    """The protocol of whoever asks, as far as path and headers tell."""
    path = incoming.path
    if path.startswith("/v1beta") or incoming.header("x-goog-api-key"):
        return CODECS["gemini_generate"]
    if incoming.header("x-goog-api-client"):
        return CODECS["gemini_generate"]
    if path.endswith(("/messages", "/count_tokens")) or incoming.header("anthropic-version"):
        return CODECS["anthropic_messages"]
    if "/responses" in path:
        return CODECS["openai_responses"]
    return CODECS["openai_chat"]


class ClientApi:
    """Carries requests of one worker into the pipeline and answers out of it."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @property
    def services(self) -> Services:
        return self._services

    def generate(
        self,
        incoming: Incoming,
        codec: Codec,
        operation: Operation,
        *,
        model: str = "",
        stream: bool = False,
        stored_id: str = "",
    ) -> Answer:
        """Take one request through the pipeline.

        Args:
            incoming: the request.
            codec: the client's protocol.
            operation: what is asked.
            model: the model where the path holds it; else it is read from the body.
            stream: whether the path asks for a stream.
            stored_id: the stored response the request is about.
        """
        request_id = new_request_id()
        watch = ClientWatch(incoming.environ.get("gunicorn.socket"))
        try:
            exchange = self._exchange(
                incoming, request_id, codec, operation, model, stream, stored_id
            )
            watch.start()
            answer = self._services.pipeline().serve(exchange)
            return _Watched(answer, watch, request_id)
        except GatewayError as error:
            watch.stop()
            incoming.abandon_body()
            return error_answer(codec, error, request_id)
        except BaseException:
            watch.stop()
            raise

    def admit(self, incoming: Incoming) -> None:
        """Refuse whoever may not call.

        Raises:
            Unauthenticated: no client key or a wrong one.
            Forbidden: an example key is configured and the caller is on another machine.
        """
        snapshot = self._services.snapshot
        snapshot.keys.authenticate(key_from(incoming.header, incoming.query))
        self._refuse_unsafe(incoming)

    def _exchange(
        self,
        incoming: Incoming,
        request_id: str,
        codec: Codec,
        operation: Operation,
        model: str,
        stream: bool,
        stored_id: str,
    ) -> Exchange:
        started_s = clock.monotonic()
        at = clock.now()
        snapshot = self._services.snapshot
        config = snapshot.config
        client = snapshot.keys.authenticate(key_from(incoming.header, incoming.query))
        if snapshot.keys.unsafe_example:
            self._refuse_unsafe(incoming)
        body: bytes | bytearray = b""
        if stored_id:
            peek = Peek(model="", stream=stream)
        else:
            body = incoming.body(config.body_limit_mb * 1024 * 1024, config.client_timeout)
            peek = codec.peek(body, operation)
            if model:
                peek = Peek(model=model, stream=stream)
        return Exchange(
            id=request_id,
            at=at,
            started_s=started_s,
            client=client,
            codec=codec,
            operation=operation,
            model=peek.model,
            peek=peek,
            headers=incoming.headers(),
            query=incoming.query_without_keys(),
            body=body,
            snapshot=snapshot,
            method=incoming.method,
            stored_id=stored_id,
        )

    def _refuse_unsafe(self, incoming: Incoming) -> None:
        snapshot = self._services.snapshot
        if not snapshot.keys.unsafe_example:
            return
        was_forwarded = any(incoming.header(name) for name in _FORWARDING)
        if not is_local(
            str(incoming.environ.get("REMOTE_ADDR", "")),
            incoming.header("x-forwarded-for") or "",
            was_forwarded,
            snapshot.trusted_proxies,
        ):
            raise Forbidden(_SAFE_MODE, kind="unsafe_example_api_key")


class _Watched:
    """An answer that stops when its client leaves, with the request id in its headers."""

    __slots__ = ("_answer", "_watch", "headers", "status")

    def __init__(self, answer: Answer, watch: ClientWatch, request_id: str) -> None:
        self._answer = answer
        self._watch = watch
        self.status = answer.status
        self.headers = answer.headers
        self.headers.append(("X-Aiproxy-Request-Id", request_id))

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._answer)

    def close(self) -> None:
        self._watch.stop()
        self._answer.close()


def error_answer(codec: Codec, error: GatewayError, request_id: str) -> PlainAnswer:
    """An error as the client's own SDK expects it.

    A provider's own words in the same protocol go through as they came, unless they speak of
    the gateway's credential.
    """
    headers = [("X-Aiproxy-Request-Id", request_id)]
    if (reply := verbatim(error)) is not None:
        status, body = reply.status, reply.body
        headers += client_headers(list(reply.headers))
    else:
        status = codec.error_status(error)
        body = codec.encode_error(error, request_id)
        headers.append(("Content-Type", "application/json"))
        headers += [("X-Request-Id", request_id), ("Request-Id", request_id)]
    if error.retry_after_s is not None and not any(
        name.lower() == "retry-after" for name, _ in headers
    ):
        headers.append(("Retry-After", str(max(1, round(error.retry_after_s + 0.499)))))
    if status == 401:
        headers.append(("WWW-Authenticate", "Bearer"))
    if status == 501:
        # Asking again changes nothing, but OpenAI's SDKs repeat any 5xx unless told so.
        headers.append(("X-Should-Retry", "false"))
    if error.kind == "unsafe_example_api_key":
        headers.append(("X-CPA-SAFE-MODE", "example-api-key"))
    headers.append(("Content-Length", str(len(body))))
    return PlainAnswer(status, headers, body)


def answering(incoming: Incoming, work: Callable[[], Answer]) -> Answer:
    """Run a view's work; an error becomes an answer in the asker's protocol."""
    try:
        return work()
    except GatewayError as error:
        incoming.abandon_body()
        return error_answer(asker(incoming), error, new_request_id())


def json_answer(body: bytes, status: int = 200) -> PlainAnswer:
    """A JSON document."""
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    return PlainAnswer(status, headers, body)


def route(blueprint: flask.Blueprint, rule: str, methods: list[str], handler: Handler) -> None:
    """Register a handler as a Flask view, and keep it reachable for light dispatch."""

    def view(**parameters: str) -> flask.Response:
        answer = handler(Incoming(flask.request.environ), **parameters)
        # The answer itself, not an iterator over it: Flask closes what it is given.
        return flask.Response(
            answer, status=answer.status, headers=answer.headers, direct_passthrough=True
        )

    view.light = handler  # type: ignore[attr-defined]  # read by dispatch.light_routes
    name = f"{'_'.join(methods)}_{rule}".replace("/", "_").replace(".", "_")
    blueprint.add_url_rule(rule, endpoint=name, view_func=view, methods=methods)


def install_errors(app: flask.Flask) -> None:
    """Answer unknown routes and methods in the asker's protocol."""

    def not_found(_: Exception) -> flask.Response:
        from app.errors import NotFound

        incoming = Incoming(flask.request.environ)
        message = f"there is no route {incoming.method} {incoming.path}"
        return _response(incoming, NotFound(message))

    def wrong_method(error: Any) -> flask.Response:
        incoming = Incoming(flask.request.environ)
        response = _response(
            incoming, MethodNotAllowed(f"{incoming.method} is not allowed on {incoming.path}")
        )
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
        return response

    def broken(error: Exception) -> flask.Response:
        original = getattr(error, "original_exception", None) or error
        _log.error("a request failed unexpectedly", exc_info=original)
        return _response(Incoming(flask.request.environ), GatewayError("internal error"))

    app.register_error_handler(404, not_found)
    app.register_error_handler(405, wrong_method)
    app.register_error_handler(500, broken)


def _response(incoming: Incoming, error: GatewayError) -> flask.Response:
    incoming.abandon_body()
    answer = error_answer(asker(incoming), error, new_request_id())
    return flask.Response(answer.body, status=answer.status, headers=answer.headers)


__all__ = ["ClientApi", "ClientGone", "Handler", "answering", "asker", "json_answer", "route"]
