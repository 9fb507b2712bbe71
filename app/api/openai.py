"""OpenAI's routes: Chat Completions, Responses, legacy completions, embeddings, models."""

from __future__ import annotations

import flask

from app.api.http import ClientApi, answering, asker, json_answer, route
from app.api.incoming import Incoming
from app.errors import BadRequest, UnknownModel, UpgradeRequired
from app.gateway.exchange import Answer
from app.protocols import CODECS
from app.protocols.base import Operation


def blueprint(api: ClientApi) -> flask.Blueprint:
    """The routes, with and without ``/v1`` in front."""
    routes = flask.Blueprint("openai", __name__)
    chat = CODECS["openai_chat"]
    responses = CODECS["openai_responses"]

    def post(path: str, codec_name: str, operation: Operation) -> None:
        codec = CODECS[codec_name]

        def view(incoming: Incoming) -> Answer:
            return api.generate(incoming, codec, operation)

        for prefix in ("/v1", ""):
            route(routes, prefix + path, ["POST"], view)

    post("/chat/completions", chat.name, Operation.GENERATE)
    post("/completions", chat.name, Operation.COMPLETE)
    post("/embeddings", chat.name, Operation.EMBED)
    post("/responses", responses.name, Operation.GENERATE)
    post("/responses/compact", responses.name, Operation.COMPACT)
    post("/responses/input_tokens", responses.name, Operation.COUNT_TOKENS)

    def stored(path: str, method: str, operation: Operation) -> None:
        def view(incoming: Incoming, response_id: str) -> Answer:
            stream = "stream=true" in incoming.query.lower()
            return api.generate(
                incoming, responses, operation, stored_id=response_id, stream=stream
            )

        for prefix in ("/v1", ""):
            route(routes, prefix + path, [method], view)

    stored("/responses/<response_id>", "GET", Operation.GET_RESPONSE)
    stored("/responses/<response_id>", "DELETE", Operation.DELETE_RESPONSE)
    stored("/responses/<response_id>/cancel", "POST", Operation.CANCEL_RESPONSE)
    stored("/responses/<response_id>/input_items", "GET", Operation.LIST_INPUT_ITEMS)

    def socket(incoming: Incoming) -> Answer:
        def refuse() -> Answer:
            if (incoming.header("upgrade") or "").lower() == "websocket":
                raise UpgradeRequired("WebSocket is not served here; use POST over HTTP")
            raise BadRequest("a response is made with POST", status=405, kind="method_not_allowed")

        return answering(incoming, refuse)

    for prefix in ("/v1", ""):
        route(routes, prefix + "/responses", ["GET"], socket)

    def models(incoming: Incoming) -> Answer:
        def work() -> Answer:
            api.admit(incoming)
            found = api.services.snapshot.catalog.models()
            return json_answer(asker(incoming).encode_models(found))

        return answering(incoming, work)

    for path in ("/v1/models", "/models"):
        route(routes, path, ["GET"], models)
    return routes


def one_model(api: ClientApi, incoming: Incoming, name: str) -> Answer:
    """One entry of the model list, in the asker's protocol."""

    def work() -> Answer:
        api.admit(incoming)
        wanted = name.removeprefix("models/")
        for model in api.services.snapshot.catalog.models():
            if model.id == wanted:
                return json_answer(asker(incoming).encode_model(model))
        raise UnknownModel(f"the model {wanted!r} does not exist or is not served here")

    return answering(incoming, work)
