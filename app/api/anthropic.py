"""Anthropic's routes: Messages and token counting. Models share their path with OpenAI's."""

from __future__ import annotations

import flask

from app.api.http import ClientApi, route
from app.api.incoming import Incoming
from app.gateway.exchange import Answer
from app.protocols import CODECS
from app.protocols.base import Operation


def blueprint(api: ClientApi) -> flask.Blueprint:
    """The routes, with and without ``/v1`` in front."""
    routes = flask.Blueprint("anthropic", __name__)
    codec = CODECS["anthropic_messages"]

    def messages(incoming: Incoming) -> Answer:
        return api.generate(incoming, codec, Operation.GENERATE)

    def count_tokens(incoming: Incoming) -> Answer:
        return api.generate(incoming, codec, Operation.COUNT_TOKENS)

    for prefix in ("/v1", ""):
        route(routes, prefix + "/messages", ["POST"], messages)
        route(routes, prefix + "/messages/count_tokens", ["POST"], count_tokens)
    return routes
