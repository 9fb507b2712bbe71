"""Requests to and from the Chat codec, shared by its tests."""

from __future__ import annotations

import json
from typing import Any

from app.ir.parts import Part
from app.ir.request import Request, Role, Turn
from app.ir.tidy import tidy
from app.ir.traits import UNKNOWN, Traits
from app.protocols.base import Encoded, Operation, Target
from app.protocols.openai_chat import OpenAIChat
from tests.fakes.strict.openai_chat import validate

CHAT = OpenAIChat()
HOST = Target("glm-5", is_official=False)
HEADERS = {"authorization": "Bearer k", "content-type": "application/json"}


def maker(model: str = "gpt-4o", traits: Traits = UNKNOWN) -> Target:
    return Target(model, traits)


def decoded(body: dict[str, Any], operation: Operation = Operation.GENERATE) -> Request:
    stream = body.get("stream") is True
    return CHAT.decode_request(json.dumps(body).encode(), operation, model="m", stream=stream)


def of_messages(*messages: dict[str, Any], **members: Any) -> Request:
    return decoded({"model": "m", "messages": list(messages), **members})


def said(role: Role, *parts: Part) -> Turn:
    return Turn(role, parts)


def asking(*turns: Turn, **members: Any) -> Request:
    return tidy(Request("gpt-4o", turns, **members))


def encoded(request: Request, target: Target | None = None) -> Encoded:
    """What the codec writes; for the maker it must be what the service takes."""
    target = target or maker()
    written = CHAT.encode_request(request, target)
    if target.is_official:
        problem = validate("/v1/chat/completions", HEADERS, written.body)
        assert problem is None, problem
    return written


def body_of(request: Request, target: Target | None = None) -> dict[str, Any]:
    body = json.loads(encoded(request, target).body)
    assert isinstance(body, dict)
    return body


def losses_of(request: Request, target: Target | None = None) -> set[str]:
    return {loss.name for loss in encoded(request, target).losses}
