"""What the tests of the Responses codec share: bodies in, bodies out, and the strict service."""

from __future__ import annotations

import json
from typing import Any

from app.ir.request import Request
from app.ir.tidy import tidy
from app.ir.traits import UNKNOWN, Traits
from app.protocols.base import Encoded, Operation, Target
from app.protocols.openai_responses import OpenAIResponses
from app.providers.traits import traits_of
from tests.fakes.strict.openai_responses import validate

CODEC = OpenAIResponses()
HEADERS = {"authorization": "Bearer k", "content-type": "application/json"}


def decoded(document: dict[str, Any], *, stream: bool = False) -> Request:
    body = json.dumps({"model": "m"} | document).encode()
    return CODEC.decode_request(body, Operation.GENERATE, model="m", stream=stream)


def asked(**members: Any) -> Request:
    """A request of one sentence, with more members."""
    return decoded({"input": "Hello"} | members)


def encoded(
    request: Request, model: str = "gpt-5.2", *, is_official: bool = True, traits: Traits = UNKNOWN
) -> tuple[dict[str, Any], Encoded]:
    """The body for a model, which the strict service must take, and all of what came of it."""
    traits = traits if traits != UNKNOWN else traits_of(model)
    result = CODEC.encode_request(tidy(request), Target(model, traits, is_official))
    problem = validate("/v1/responses", HEADERS, result.body)
    assert problem is None, problem
    return json.loads(result.body), result


def losses(result: Encoded) -> set[str]:
    return {loss.name for loss in result.losses}
