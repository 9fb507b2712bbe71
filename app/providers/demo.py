"""The built-in demo models: they answer without any provider, the same every time.

Only what is said is decided here, without a clock and without chance; ``upstream.demo`` gives
it bytes, ids and a pace.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import orjson
from typing_extensions import override

from app.errors import BadRequest, UnknownModel
from app.ir.events import (
    Delta,
    Event,
    Finish,
    FinishReason,
    Open,
    PartKind,
    Shut,
    Start,
    Usage,
    UsageEvent,
)
from app.ir.parts import Seal
from app.protocols.base import ModelInfo, Operation
from app.providers.base import Provider, Signer
from app.providers.demo_prompt import Prompt, Tool, completion_prompt, read_prompt
from app.providers.demo_sample import sample_of

ECHO = "demo-echo"
TOOLS = "demo-tools"
THINKING = "demo-thinking"
SLOW = "demo-slow"

_NAMES: Mapping[str, str] = {
    ECHO: "Demo Echo",
    SLOW: "Demo Slow",
    THINKING: "Demo Thinking",
    TOOLS: "Demo Tools",
}
_PIECES = 200
"""A long text is streamed in at most this many pieces; a shorter one word by word."""

_COUNTING = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty"
)
_NOTHING = "There was nothing to repeat."


class Demo(Provider):
    """The demo models, in all four protocols."""

    name = "demo"
    owned_by = "demo"
    default_base_url = "demo://local"
    default_models = tuple(_NAMES)

    def models(self) -> list[ModelInfo]:
        """All demo models, sorted by name."""
        return [
            ModelInfo(name, self.owned_by, display_name=shown) for name, shown in _NAMES.items()
        ]

    @override
    def protocols(self, signer: Signer) -> tuple[str, ...]:
        return ("openai_chat", "openai_responses", "anthropic_messages", "gemini_generate")

    @override
    def url(
        self, signer: Signer, protocol: str, operation: Operation, model: str, stream: bool
    ) -> str:
        root = self.default_base_url
        return (
            f"{root}/{protocol}/{operation.value}?model={quote(model, safe='')}&stream={stream:d}"
        )

    @override
    def headers(self, signer: Signer) -> dict[str, str]:
        return {}

    @override
    def list_url(self, signer: Signer) -> str:
        return ""

    @override
    def read_models(self, body: bytes) -> list[ModelInfo]:
        return self.models()  # there is no list to fetch: they are always these


def check_request(model: str, request: Mapping[str, Any], protocol: str) -> None:
    """Refuse what a real service would refuse.

    Raises:
        UnknownModel: it is none of the demo models.
        BadRequest: a part of the request is missing, or asks to go on with an answer that only
            a service which keeps answers could know.
    """
    if model not in _NAMES:
        raise UnknownModel(f"The model `{model}` does not exist.")
    if protocol == "anthropic_messages" and request.get("thread") is not None:
        # Official clients know these words and go on with whole histories.
        raise BadRequest(
            "thread: message threads are not kept by this model",
            details={"error_code": "thread_unsupported_request"},
        )
    if protocol == "openai_responses" and request.get("previous_response_id") is not None:
        name = request["previous_response_id"]
        raise BadRequest(
            f"Previous response with id '{name}' not found.",
            kind="previous_response_not_found",
            details={"param": "previous_response_id"},
        )


def demo_events(
    model: str,
    request: Mapping[str, Any],
    protocol: str,
    *,
    answer_id: str = "demo",
    created_s: int = 0,
) -> Iterator[Event]:
    """The answer to a generation request.

    ``demo-echo`` repeats the user; ``demo-tools`` calls the first tool and quotes its result;
    ``demo-thinking`` thinks before it repeats; ``demo-slow`` counts to twenty.

    Raises:
        UnknownModel, BadRequest: see ``check_request``; raised before the first event.
    """
    check_request(model, request, protocol)
    if protocol == "anthropic_messages" and not isinstance(request.get("max_tokens"), int):
        raise BadRequest("max_tokens: Field required", details={"param": "max_tokens"})
    prompt = read_prompt(request, protocol)
    return _answer(model, prompt, Start(answer_id, model, created_s))


def completion_events(
    model: str, request: Mapping[str, Any], *, answer_id: str = "demo", created_s: int = 0
) -> Iterator[Event]:
    """The answer to a legacy completion request.

    Raises:
        UnknownModel, BadRequest: see ``check_request``; raised before the first event.
    """
    check_request(model, request, "openai_chat")
    return _answer(model, completion_prompt(request), Start(answer_id, model, created_s))


def count_words(model: str, request: Mapping[str, Any], protocol: str) -> int:
    """The input tokens of a request, by the same estimate its usage has.

    Raises:
        UnknownModel, BadRequest: see ``check_request``.
    """
    check_request(model, request, protocol)
    inner = request.get("generateContentRequest")  # Gemini's second shape
    return read_prompt(inner if isinstance(inner, dict) else request, protocol).words


def _answer(model: str, prompt: Prompt, start: Start) -> Iterator[Event]:
    yield start
    yield UsageEvent(Usage(input_tokens=prompt.words))
    tool = _tool(prompt) if model == TOOLS else None
    thought = ""
    if model == THINKING:
        thought = f"The user says: {prompt.text or 'nothing'}\nI shall repeat it."
        digest = hashlib.sha256(thought.encode("utf-8", "replace")).digest()
        seal = Seal("demo", base64.b64encode(digest).decode())
        yield from _part(Open(PartKind.THINKING), thought, seal)
    if tool is not None:
        text = orjson.dumps(sample_of(tool.schema)).decode()
        yield from _part(Open(PartKind.TOOL_CALL, f"call_{start.answer_id[-32:]}", tool.name), text)
    else:
        text = _text(model, prompt)
        yield from _part(Open(PartKind.TEXT), text)
    yield UsageEvent(
        Usage(
            input_tokens=prompt.words,
            output_tokens=len(text.split()),
            reasoning_tokens=len(thought.split()),
        )
    )
    yield Finish(FinishReason.STOP if tool is None else FinishReason.TOOL_CALLS)


def _text(model: str, prompt: Prompt) -> str:
    if model == SLOW:
        return _COUNTING
    if model == TOOLS and prompt.results:
        return f"The tool returned: {'; '.join(prompt.results)}"
    return prompt.text or _NOTHING


def _tool(prompt: Prompt) -> Tool | None:
    """The tool to call: the one asked for, else the first; none once there is a result."""
    if prompt.results or prompt.choice == "none":
        return None
    named = [tool for tool in prompt.tools if tool.name == prompt.choice]
    return next(iter(named or prompt.tools), None)


def _part(opened: Open, text: str, seal: Seal | None = None) -> Iterator[Event]:
    yield opened
    for piece in _pieces(text):
        yield Delta(piece)
    yield Shut(seal)


def _pieces(text: str) -> Iterator[str]:
    words = re.findall(r"^\s+|\S+\s*", text)
    size = math.ceil(len(words) / _PIECES) or 1
    for index in range(0, len(words), size):
        yield "".join(words[index : index + size])
