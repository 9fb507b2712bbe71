"""Answers the hot routes without Flask's request context.

The views stay in their blueprints and Flask's URL map stays the only list of routes; this table
is made from it. Whatever is not found here goes the usual way.

Measured: Flask's context, request and response objects cost about as much as all of the rest of
a small call (`docs/performance.md`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import cast

import flask

from app.api import direct
from app.api.client_socket import ClientSocket
from app.api.direct import STATUS_LINES
from app.api.http import Handler, asker, error_answer, new_request_id
from app.api.incoming import Environ, Incoming
from app.errors import GatewayError
from app.gateway.exchange import Answer
from app.gateway.relay import Cut

_log = logging.getLogger(__name__)

StartResponse = Callable[..., object]
Wsgi = Callable[[Environ, StartResponse], Iterable[bytes]]

_CORS_ALLOW = [
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS"),
    ("Access-Control-Allow-Headers", "*, Authorization"),
    ("Access-Control-Max-Age", "86400"),
    ("Content-Length", "0"),
]
_CORS = [("Access-Control-Allow-Origin", "*"), ("Access-Control-Expose-Headers", "*")]
_PRIVATE = ("/v0/",)


def _with_cors(start_response: StartResponse) -> StartResponse:
    def start(status: str, headers: list[tuple[str, str]], *rest: object) -> object:
        return start_response(status, [*headers, *_CORS], *rest)

    return start


class LightDispatch:
    """A WSGI application in front of Flask's."""

    def __init__(self, app: flask.Flask, inner: Wsgi) -> None:
        self._inner = inner
        self._exact: dict[tuple[str, str], Handler] = {}
        self._prefixed: list[tuple[str, str, str, Handler]] = []
        for rule in app.url_map.iter_rules():
            handler = getattr(app.view_functions[rule.endpoint], "light", None)
            if handler is None:
                continue
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
                self._add(method, rule.rule, handler)

    def _add(self, method: str, rule: str, handler: Handler) -> None:
        prefix, _, rest = rule.partition("<")
        if not rest:
            self._exact[(method, rule)] = handler
        elif rest.startswith("path:") and rest.endswith(">"):
            self._prefixed.append((method, prefix, rest[5:-1], handler))

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        path = environ["PATH_INFO"]
        handler = self._exact.get((method, path))
        if handler is not None:
            return self._answer(environ, start_response, handler, {})
        for candidate, prefix, name, prefixed in self._prefixed:
            if candidate == method and path.startswith(prefix) and len(path) > len(prefix):
                parameters = {name: path[len(prefix) :]}
                return self._answer(environ, start_response, prefixed, parameters)
        if method == "OPTIONS" and not path.startswith(_PRIVATE):
            start_response("204 No Content", list(_CORS_ALLOW))
            return []
        if "HTTP_ORIGIN" in environ and not path.startswith(_PRIVATE):
            return self._inner(environ, _with_cors(start_response))
        return self._inner(environ, start_response)

    def _answer(
        self,
        environ: Environ,
        start_response: StartResponse,
        handler: Handler,
        parameters: dict[str, str],
    ) -> Iterable[bytes]:
        incoming = Incoming(environ)
        try:
            answer: Answer = handler(incoming, **parameters)
        except Exception:  # noqa: BLE001  the last line: a bug must still answer in the protocol
            _log.exception("a request failed unexpectedly")
            answer = error_answer(asker(incoming), GatewayError("internal error"), new_request_id())
        headers = answer.headers
        if "HTTP_ORIGIN" in environ:
            headers = [*headers, *_CORS]
        client = direct.socket_of(environ)
        if client is not None:
            _write(client, environ, answer, headers)
            return cast(Iterable[bytes], direct.HANDLED)
        try:
            start_response(STATUS_LINES.get(answer.status) or f"{answer.status} -", headers)
        except BaseException:
            answer.close()
            raise
        return answer


def _write(
    client: ClientSocket, environ: Environ, answer: Answer, headers: list[tuple[str, str]]
) -> None:
    try:
        direct.write(client, environ, answer, headers)
    except OSError:
        raise
    except Exception as error:
        # Half an answer may be out: nothing can follow it but the end of the connection.
        _log.exception("an answer failed unexpectedly")
        raise Cut from error
