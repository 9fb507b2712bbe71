"""Gemini's routes: ``models/{model}:{verb}`` under ``/v1beta`` and, as its SDKs do now, ``/v1``."""

from __future__ import annotations

import flask

from app.api.http import ClientApi, answering, asker, json_answer, route
from app.api.incoming import Incoming
from app.api.openai import one_model
from app.errors import NotFound
from app.gateway.exchange import Answer
from app.protocols import CODECS
from app.protocols.base import Operation

_VERBS = {
    "generateContent": (Operation.GENERATE, False),
    "streamGenerateContent": (Operation.GENERATE, True),
    "countTokens": (Operation.COUNT_TOKENS, False),
    "embedContent": (Operation.EMBED, False),
    "batchEmbedContents": (Operation.BATCH_EMBED, False),
}


def blueprint(api: ClientApi) -> flask.Blueprint:
    """The routes under both versions."""
    routes = flask.Blueprint("gemini", __name__)
    codec = CODECS["gemini_generate"]

    def call(incoming: Incoming, target: str) -> Answer:
        model, _, verb = target.rpartition(":")
        if not model or verb not in _VERBS:
            message = f"there is no method {verb!r} on a model"
            return answering(incoming, lambda: _raise(NotFound(message)))
        operation, stream = _VERBS[verb]
        return api.generate(
            incoming, codec, operation, model=model.removeprefix("models/"), stream=stream
        )

    def entry(incoming: Incoming, target: str) -> Answer:
        return one_model(api, incoming, target)

    def models(incoming: Incoming) -> Answer:
        def work() -> Answer:
            api.admit(incoming)
            return json_answer(
                asker(incoming).encode_models(api.services.snapshot.catalog.models())
            )

        return answering(incoming, work)

    for version in ("/v1beta", "/v1"):
        route(routes, version + "/models/<path:target>", ["POST"], call)
        route(routes, version + "/models/<path:target>", ["GET"], entry)
    route(routes, "/v1beta/models", ["GET"], models)
    route(routes, "/models/<path:target>", ["POST"], call)
    route(routes, "/models/<path:target>", ["GET"], entry)
    return routes


def _raise(error: Exception) -> Answer:
    raise error
