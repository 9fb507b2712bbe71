"""The SDK's own tool runner against the codec: threads refused, seals carried, results returned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import orjson
import pytest

from app.errors import BadRequest
from app.ir.events import Delta, Event, Finish, FinishReason, Open, PartKind, Shut, Start
from app.ir.parts import Seal, Text, ToolCall, ToolResult
from app.ir.request import Request
from app.ir.tidy import tidy
from app.protocols.anthropic_messages import AnthropicMessages
from app.protocols.base import Operation
from tests.protocols.clients import EVENTS, JSON

CODEC = AnthropicMessages()
SEAL = Seal("google", "proof")


def first_step() -> Iterator[Event]:
    """Two calls as Gemini makes them: whole, the first one sealed."""
    yield Start("a", "m", 0)
    yield Open(PartKind.TOOL_CALL, "c1", "stock")
    yield Delta('{"sku":"x"}')
    yield Shut(SEAL)
    yield Open(PartKind.TOOL_CALL, "c2", "stock")
    yield Delta('{"sku":"y"}')
    yield Shut()
    yield Finish(FinishReason.STOP)


def last_step() -> Iterator[Event]:
    yield Start("b", "m", 0)
    yield Open(PartKind.TEXT)
    yield Delta("done")
    yield Shut()
    yield Finish(FinishReason.STOP)


class Service:
    """Answers requests and remembers them; the second step follows the first."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.refused = 0

    def __call__(self, sent: httpx2.Request) -> httpx2.Response:
        body = sent.read()
        stream = bool(orjson.loads(body).get("stream"))
        try:
            request = CODEC.decode_request(body, Operation.GENERATE, model="m", stream=stream)
        except BadRequest as error:
            self.refused += 1
            told = CODEC.encode_error(error, "r")
            return httpx2.Response(error.status, headers={"content-type": JSON}, content=told)
        self.requests.append(request)
        events = last_step() if len(self.requests) > 1 else first_step()
        if stream:
            content = b"".join(CODEC.encode_stream(events))
            return httpx2.Response(200, headers={"content-type": EVENTS}, content=content)
        return httpx2.Response(
            200, headers={"content-type": JSON}, content=CODEC.encode_answer(events)
        )


@anthropic.beta_tool
def stock(sku: str) -> str:
    """Count an article.

    Args:
        sku: its number.
    """
    return f"{sku}: 7"


@pytest.mark.parametrize("stream", [False, True])
def test_the_tool_runner_finishes_its_loop(stream: bool) -> None:
    service = Service()
    http = httpx2.Client(transport=httpx2.MockTransport(service))
    client: Any = anthropic.Anthropic(
        api_key="k", base_url="http://127.0.0.1", http_client=http, max_retries=0
    )
    ask = {"role": "user", "content": "How many?"}
    if stream:
        told = [
            one.get_final_message()
            for one in client.beta.messages.tool_runner(
                max_tokens=99, model="m", tools=[stock], messages=[ask], stream=True
            )
        ][-1]
    else:
        told = client.beta.messages.tool_runner(
            max_tokens=99, model="m", tools=[stock], messages=[ask]
        ).until_done()
    assert told.content[0].to_dict()["text"] == "done"
    assert len(service.requests) == 2
    step, results = tidy(service.requests[1]).turns[1:]
    assert step.parts == (
        ToolCall("c1", "stock", '{"sku":"x"}', seal=SEAL),
        ToolCall("c2", "stock", '{"sku":"y"}'),
    )
    assert results.parts == (
        ToolResult("c1", (Text("x: 7"),), "stock"),
        ToolResult("c2", (Text("y: 7"),), "stock"),
    )
    assert service.requests[0].tools[0].name == "stock"
    assert service.refused == 1
