"""The floor: the least that a gateway on this stack can be.

A plain Flask view, one tuned ``requests.Session``, gunicorn's stock gevent worker. It reads the
body's ``model`` and ``stream``, as any gateway must to know where to send it and how to answer,
and passes bytes on. It checks no key, knows no route, counts and stores nothing.
"""

from __future__ import annotations

import json
import os

import requests
from flask import Flask, Response, request
from requests.adapters import HTTPAdapter

from tests.bench import payload

GUNICORN = """\
bind = "127.0.0.1:{port}"
workers = 1
worker_class = "gevent"
worker_connections = 10000
keepalive = 75
timeout = 120
loglevel = "warning"
"""
"""The floor's gunicorn configuration; takes ``port``."""


def tuned_session() -> requests.Session:
    """A session that keeps its connections and asks the environment nothing."""
    session = requests.Session()
    session.trust_env = False  # else proxy variables and netrc are looked up for each call
    session.mount("http://", HTTPAdapter(pool_connections=4, pool_maxsize=10_000, max_retries=0))
    return session


def create_app() -> Flask:
    """Forward to the upstream named by ``BENCH_UPSTREAM``."""
    app = Flask("floor")
    session = tuned_session()
    url = os.environ["BENCH_UPSTREAM"] + payload.PATH
    headers = {
        "Authorization": f"Bearer {payload.UPSTREAM_KEY}",
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",
    }

    @app.post(payload.PATH)
    def chat() -> Response:
        body = request.get_data(cache=False)
        asked = json.loads(body)
        if not isinstance(asked.get("model"), str):
            return Response("no model", 400)
        streams = bool(asked.get("stream"))
        reply = session.post(url, data=body, headers=headers, stream=streams, timeout=(10, 600))
        content_type = reply.headers["Content-Type"]
        if not streams:
            return Response(reply.content, reply.status_code, content_type=content_type)
        answer = Response(reply.iter_content(None), reply.status_code, content_type=content_type)
        answer.call_on_close(reply.close)
        return answer

    return app
