"""A scripted provider that answers 400 to what the real one would refuse."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

from typing_extensions import override

from tests.fakes.script import Reply
from tests.fakes.strict import (
    anthropic_messages,
    gemini_generate,
    openai_chat,
    openai_responses,
)
from tests.fakes.strict.shape import Problem
from tests.fakes.upstream import Recorded, ScriptedUpstream

Validate: TypeAlias = Callable[[str, Mapping[str, str], bytes], Problem | None]

VALIDATORS: Mapping[str, Validate] = MappingProxyType(
    {
        "openai_chat": openai_chat.validate,
        "openai_responses": openai_responses.validate,
        "anthropic_messages": anthropic_messages.validate,
        "gemini_generate": gemini_generate.validate,
    }
)


@dataclass(frozen=True, slots=True)
class Complaint:
    """A request that was refused."""

    protocol: str
    problem: Problem
    request: Recorded

    @override
    def __str__(self) -> str:
        body = self.request.body.decode(errors="replace")
        return f"{self.protocol} refused {self.problem.message!r} in {body[:3000]}"


class StrictUpstream(ScriptedUpstream):
    """Looks at each generating request before it does what the script says.

    Attributes:
        complaints: what was refused, in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.complaints: list[Complaint] = []

    @override
    def _choose(self, request: Recorded) -> Reply:
        protocol = protocol_of(request.path)
        if protocol is None:
            return super()._choose(request)
        headers = {name.lower(): value for name, value in request.headers}
        problem = VALIDATORS[protocol](request.path, headers, request.body)
        if problem is None:
            return super()._choose(request)
        self.complaints.append(Complaint(protocol, problem, request))
        return refusal(protocol, problem)


def protocol_of(path: str) -> str | None:
    """The protocol of a generating call, by its path; None for any other call."""
    for protocol, ending in (
        ("openai_chat", "/chat/completions"),
        ("openai_responses", "/responses"),
        ("anthropic_messages", "/messages"),
        ("gemini_generate", ":generateContent"),
        ("gemini_generate", ":streamGenerateContent"),
    ):
        if path.endswith(ending):
            return protocol
    return None


def refusal(protocol: str, problem: Problem) -> Reply:
    """A refusal in the protocol's own form."""
    body: dict[str, Any]
    match protocol:
        case "anthropic_messages":
            error = {"type": "invalid_request_error", "message": problem.message}
            body = {"type": "error", "error": error, "request_id": "req_strict"}
        case "gemini_generate":
            body = {
                "error": {
                    "code": problem.status,
                    "message": problem.message,
                    "status": "INVALID_ARGUMENT",
                }
            }
        case _:
            body = {
                "error": {
                    "message": problem.message,
                    "type": "invalid_request_error",
                    "param": problem.where or None,
                    "code": problem.code,
                }
            }
    return Reply(problem.status, json.dumps(body).encode())
