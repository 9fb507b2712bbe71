"""A request that is written and read again is the same request."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from app.ir.parts import Media, MediaKind, Part, Refusal, Seal, Text, Thinking, ToolCall, ToolResult
from app.ir.request import Choosing, Request, Role, Sampling, Tool, ToolChoice, ToolKind, Turn
from app.ir.tidy import tidy
from app.protocols.base import Operation, Target
from app.providers.traits import traits_of
from tests.protocols.openai_responses.asking import CODEC

WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(
    lambda text: not text.isspace()
)
PICTURES = st.sampled_from(
    [
        Media(MediaKind.IMAGE, mime="image/png", data="QUJD", detail="auto"),
        Media(MediaKind.IMAGE, url="https://x/y.png", detail="low"),
        Media(MediaKind.DOCUMENT, mime="application/pdf", data="QUJD", name="a.pdf"),
    ]
)
SEALS = st.builds(
    Seal, st.just("openai"), st.text("gA_-", min_size=1), st.sampled_from(["", "rs_1"])
)
TOOLS = (
    Tool("look", schema={"type": "object", "properties": {"n": {"maximum": 2**80}}}, strict=False),
    Tool("exec", ToolKind.CUSTOM, "Runs", options={"format": {"type": "text"}}),
    Tool("find", schema={"type": "object", "properties": {}}, strict=False, namespace="mcp__s"),
)


@st.composite
def steps(draw: st.DrawFn) -> list[Turn]:
    """A question, an answer that may call tools, and their results."""
    asked: list[Part] = [Text(draw(WORDS)), *draw(st.lists(PICTURES, max_size=1))]
    said: list[Part] = []
    if draw(st.booleans()):
        said.append(Thinking(draw(st.just("") | WORDS), draw(SEALS)))
    said.append(draw(st.builds(Text, WORDS) | st.builds(Refusal, WORDS)))
    results: list[Part] = []
    for tool in draw(st.lists(st.sampled_from(TOOLS), max_size=3)):
        call_id, custom = f"call_{draw(st.uuids()).hex}", tool.kind is ToolKind.CUSTOM
        text = draw(WORDS) if custom else '{"n":90071992547409931}'
        said.append(ToolCall(call_id, tool.name, text, tool.namespace, custom))
        content: list[Text | Media] = [Text(draw(WORDS)), *draw(st.lists(PICTURES, max_size=1))]
        results.append(ToolResult(call_id, tuple(content), tool.name, custom=custom))
    turns = [Turn(Role.USER, tuple(asked)), Turn(Role.ASSISTANT, tuple(said))]
    return [*turns, Turn(Role.USER, tuple(results))] if results else turns


@st.composite
def requests(draw: st.DrawFn) -> Request:
    turns = [turn for step in draw(st.lists(steps(), max_size=3)) for turn in step]
    system = draw(st.lists(WORDS, max_size=1))
    choices = st.sampled_from(
        [None, ToolChoice(Choosing.AUTO), ToolChoice(Choosing.REQUIRED, ("look",))]
    )
    return tidy(
        Request(
            "gpt-4.1",
            (
                *(Turn(Role.SYSTEM, (Text(text),)) for text in system),
                *turns,
                Turn(Role.USER, (Text(draw(WORDS)),)),
            ),
            stream=draw(st.booleans()),
            tools=TOOLS,
            tool_choice=draw(choices),
            parallel_calls=draw(st.none() | st.booleans()),
            max_tokens=draw(st.none() | st.integers(16, 30_000)),
            sampling=Sampling(temperature=draw(st.none() | st.floats(0, 2))),
            user=draw(st.just("") | WORDS),
            verbosity=draw(st.sampled_from(["", "low"])),
            cache_key=draw(st.just("") | WORDS),
        )
    )


@given(requests())
def test_a_request_comes_back_as_it_went(request: Request) -> None:
    target = Target("gpt-4.1", traits_of("gpt-4.1"))
    body = CODEC.encode_request(request, target).body
    again = CODEC.decode_request(body, Operation.GENERATE, model="gpt-4.1", stream=request.stream)
    assert replace(tidy(again), extras=()) == request
