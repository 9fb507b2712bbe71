"""Whether the gateway lives, and whether it is ready to serve."""

from __future__ import annotations

import flask
import orjson

from app.api.http import ClientApi, json_answer, route
from app.api.incoming import Incoming
from app.gateway.exchange import Answer

_ENDPOINTS = [
    "POST /v1/chat/completions",
    "POST /v1/responses",
    "POST /v1/messages",
    "POST /v1/embeddings",
    "POST /v1beta/models/{model}:generateContent",
    "GET /v1/models",
    "GET /v1beta/models",
    "GET /health",
    "GET /readyz",
]


def blueprint(api: ClientApi) -> flask.Blueprint:
    """``/``, ``/health``, ``/healthz`` and ``/readyz``; none of them asks for a key."""
    routes = flask.Blueprint("health", __name__)
    services = api.services

    def index(_: Incoming) -> Answer:
        return json_answer(
            orjson.dumps(
                {"message": "AIProxyAPI", "version": services.version, "endpoints": _ENDPOINTS}
            )
        )

    def health(_: Incoming) -> Answer:
        error, _warnings, _loaded = services.config_status()
        state: dict[str, object] = {"status": "ok", "version": services.version}
        if error is not None:
            # No path of this machine: everybody may read this.
            state["config_error"] = {
                "line": error.line,
                "key": error.key,
                "message": error.message,
            }
        return json_answer(orjson.dumps(state))

    def ready(_: Incoming) -> Answer:
        error, _warnings, _loaded = services.config_status()
        ledger = services.ledger.health()
        # A spooling ledger still keeps every record; only a losing one is a reason to go.
        is_ready = ledger.ok or ledger.lost == 0
        state = {
            "status": "ok" if is_ready and ledger.ok else "degraded" if is_ready else "failing",
            "config": "ok" if error is None else "stale",
            "ledger": {
                "ok": ledger.ok,
                "waiting": ledger.waiting,
                "spooled": ledger.spooled,
                "lost": ledger.lost,
            },
        }
        return json_answer(orjson.dumps(state), 200 if is_ready else 503)

    route(routes, "/", ["GET"], index)
    for path in ("/health", "/healthz"):
        route(routes, path, ["GET"], health)
    route(routes, "/readyz", ["GET"], ready)
    return routes
