"""The management API's routes; each error is flat: ``{"error": "..."}``."""

from __future__ import annotations

import os
from typing import Any

import flask
import orjson

from app import clock
from app.errors import BadRequest, GatewayError, NotFound
from app.management import Services
from app.management.auth import Guard
from app.management.settings import config_json, problem_json, warning_json
from app.management.usage import DETAILS, MAX_DETAILS, usage_json
from app.wire.peer import client_address, is_local, networks

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_FORWARDING = ("X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Forwarded-Host", "Via")


def make_blueprint(services: Services) -> flask.Blueprint:
    """The routes for these services."""
    routes = flask.Blueprint("management", __name__)
    guard = Guard()

    @routes.before_request
    def admit() -> flask.Response | None:
        return _admit(services, guard)

    @routes.after_request
    def sign(response: flask.Response) -> flask.Response:
        response.headers["Cache-Control"] = "no-store"
        if flask.g.get("is_operator", False):
            response.headers["X-CPA-VERSION"] = services.version
        return response

    @routes.errorhandler(GatewayError)
    def fail(error: GatewayError) -> flask.Response:
        response = _json({"error": error.message}, error.status)
        if error.retry_after_s is not None:
            response.headers["Retry-After"] = str(max(1, int(error.retry_after_s)))
        return response

    @routes.get("/usage")
    def usage() -> flask.Response:
        return _json(usage_json(services.ledger, _limit(flask.request.args.get("limit"))))

    @routes.get("/config")
    def config() -> flask.Response:
        return _json({**config_json(services.config()), **_config_state(services)})

    @routes.get("/status")
    def status() -> flask.Response:
        return _json(_status(services))

    @routes.route("/", defaults={"path": ""}, methods=_METHODS)
    @routes.route("/<path:path>", methods=_METHODS)
    def unknown(path: str) -> flask.Response:
        raise NotFound("not found")

    return routes


def _admit(services: Services, guard: Guard) -> flask.Response | None:
    """Let the operator pass.

    Raises:
        Forbidden: the caller is remote, or banned.
        Unauthenticated: no key, or a wrong one.
    """
    config, request = services.config(), flask.request
    management = config.remote_management
    if not management.secret_key:
        # As if there were nothing here: whoever scans for management APIs moves on.
        return flask.Response(status=404)
    remote_addr = request.remote_addr or ""
    forwarded_for = ",".join(request.headers.getlist("X-Forwarded-For"))
    trusted = networks(config.trusted_proxies)
    if not management.allow_remote:
        was_forwarded = any(name in request.headers for name in _FORWARDING)
        if not is_local(remote_addr, forwarded_for, was_forwarded, trusted):
            return _json({"error": "remote management disabled"}, 403)
    address = client_address(remote_addr, forwarded_for, trusted)
    guard.admit(_presented(request), management.secret_key, address)
    flask.g.is_operator = True
    return None


def _presented(request: flask.Request) -> bytes:
    """The key that was sent; the scheme before it is optional."""
    authorization = request.headers.get("Authorization", "").strip()
    scheme, _, rest = authorization.partition(" ")
    key = rest.strip() if scheme.lower() == "bearer" else authorization
    # WSGI hands bytes over as Latin-1; this gives them back as they were sent.
    return (key or request.headers.get("X-Management-Key", "").strip()).encode("latin-1", "replace")


def _limit(text: str | None) -> int:
    if text is None:
        return DETAILS
    if not text.isdecimal() or int(text) > MAX_DETAILS:
        raise BadRequest(f"limit must be a number from 0 to {MAX_DETAILS}")
    return int(text)


def _config_state(services: Services) -> dict[str, Any]:
    error, warnings, loaded_at = services.config_status()
    return {
        "reload_error": None if error is None else problem_json(error),
        "warnings": [warning_json(warning) for warning in warnings],
        "loaded_at": loaded_at,
    }


def _status(services: Services) -> dict[str, Any]:
    health = services.ledger.health()
    return {
        "version": services.version,
        "worker_pid": os.getpid(),
        "server_pid": os.getppid(),
        "uptime_s": round((clock.now() - services.started_at).total_seconds(), 3),
        "config": _config_state(services),
        "ledger": health,
    }


def _json(body: object, status: int = 200) -> flask.Response:
    # orjson writes dataclasses and datetimes by itself.
    data = orjson.dumps(body, option=orjson.OPT_UTC_Z)
    return flask.Response(data, status, mimetype="application/json")
