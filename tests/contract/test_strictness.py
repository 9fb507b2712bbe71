"""Whatever a client says, no provider gets a body it must refuse."""

from __future__ import annotations

import base64
import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Untranslatable
from app.ir.parts import (
    Media,
    MediaKind,
    Opaque,
    Part,
    Refusal,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from app.ir.request import (
    Choosing,
    OutputFormat,
    OutputKind,
    Reasoning,
    Request,
    Role,
    Sampling,
    Tool,
    ToolChoice,
    ToolKind,
    Turn,
)
from app.ir.tidy import tidy
from app.protocols import CODECS
from app.protocols.base import Target
from app.providers.traits import traits_of
from tests.fakes.strict import seals
from tests.fakes.strict.upstream import VALIDATORS

MODELS = [
    *((name, "openai_chat") for name in ("gpt-4o", "gpt-5", "gpt-5.2", "o3")),
    *((name, "openai_responses") for name in ("gpt-4.1", "gpt-5", "gpt-5.1")),
    ("claude-3-5-haiku-20241022", "anthropic_messages"),
    ("claude-opus-4-1-20250805", "anthropic_messages"),
    ("claude-sonnet-4-5", "anthropic_messages"),
    ("claude-sonnet-4-6", "anthropic_messages"),
    ("claude-opus-4-8", "anthropic_messages"),
    ("claude-sonnet-5", "anthropic_messages"),
    *((name, "gemini_generate") for name in ("gemini-2.5-pro", "gemini-2.5-flash-lite")),
    *((name, "gemini_generate") for name in ("gemini-3-pro", "gemini-3-flash")),
]
PROVIDERS = {"anthropic_messages": "anthropic", "gemini_generate": "gemini"}
HEADERS = {
    "authorization": "Bearer sk",
    "x-api-key": "sk",
    "x-goog-api-key": "sk",
    "anthropic-version": "2023-06-01",
    "content-type": "application/json",
}


def _data(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


_PNG = Media(MediaKind.IMAGE, "image/png", data=_data(b"\x89PNG\r\n\x1a\n"))
_MEDIA = st.sampled_from(
    [
        _PNG,
        Media(MediaKind.IMAGE, "image/jpeg", url="https://example.com/a.jpg", detail="low"),
        Media(MediaKind.DOCUMENT, "application/pdf", data=_data(b"%PDF-1.7"), name="a.pdf"),
        Media(MediaKind.DOCUMENT, "text/plain", data=_data(b"words")),
        Media(MediaKind.AUDIO, "audio/wav", data=_data(b"RIFF")),
    ]
)
_WORDS = st.sampled_from(["", " ", "hello", "two\nlines"])
_THOUGHTS = st.sampled_from(
    [
        Thinking("hm"),
        Thinking("hm", Seal("anthropic", seals.claude_signature("hm"))),
        Thinking("", Seal("anthropic", seals.claude_redacted("x")), redacted=True),
        Thinking("hm", Seal("openai", seals.openai_encrypted("rs_1"), "rs_1")),
        Thinking("hm", Seal("google", seals.gemini_signature("x"))),
    ]
)
_SEARCHED = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
_IDS = st.sampled_from(["", "call_1", "a.b/c", "x" * 70, "toolu_2"])
_NAMES = st.sampled_from(["look", "mcp__server__" + "n" * 70, "dotted.name", "gone"])
_ASSISTANT: st.SearchStrategy[Part] = st.one_of(
    st.builds(Text, _WORDS),
    _THOUGHTS,
    st.builds(Refusal, _WORDS),
    st.builds(
        ToolCall,
        _IDS,
        _NAMES,
        st.sampled_from(["{}", '{"place": "x"}', "", "{", "[1]"]),
        seal=st.sampled_from([None, Seal("google", seals.gemini_signature("y"))]),
    ),
    st.builds(ToolCall, _IDS, st.just("patch"), st.just("free text"), custom=st.just(True)),
    st.just(Opaque("openai_responses", "web_search_call", _SEARCHED)),
)
_USER: st.SearchStrategy[Part] = st.one_of(
    st.builds(Text, _WORDS),
    _MEDIA,
    st.builds(
        ToolResult,
        _IDS,
        st.lists(st.builds(Text, _WORDS) | st.just(_PNG), max_size=2).map(tuple),
        _NAMES,
        is_error=st.booleans(),
    ),
)
_TURNS = st.one_of(
    st.builds(Turn, st.just(Role.USER), st.lists(_USER, max_size=3).map(tuple)),
    st.builds(Turn, st.just(Role.ASSISTANT), st.lists(_ASSISTANT, max_size=4).map(tuple)),
    st.builds(Turn, st.just(Role.SYSTEM), st.lists(st.builds(Text, _WORDS)).map(tuple)),
)
_SCHEMAS = st.sampled_from(
    [
        None,
        {"type": "object", "properties": {}},
        {
            "type": "object",
            "properties": {
                "place": {"type": ["string", "null"], "format": "hostname"},
                "more": {"anyOf": [{"type": "integer", "enum": [1, 2]}, {"const": "x"}]},
                "tree": {"$ref": "#/$defs/tree"},
            },
            "required": ["place", "ghost"],
            "additionalProperties": False,
            "$defs": {
                "tree": {"type": "object", "properties": {"child": {"$ref": "#/$defs/tree"}}}
            },
        },
    ]
)
_TOOLS = st.sampled_from(
    [
        *((Tool, name, ToolKind.FUNCTION, "") for name in ("look", "dotted.name", "n" * 90)),
        (Tool, "look", ToolKind.FUNCTION, "space"),
        (Tool, "patch", ToolKind.CUSTOM, ""),
    ]
)


@st.composite
def tools(draw: st.DrawFn) -> tuple[Tool, ...]:
    found = []
    for _, name, kind, space in draw(st.lists(_TOOLS, max_size=4)):
        schema = draw(_SCHEMAS) if kind is ToolKind.FUNCTION else None
        found.append(Tool(name, kind, draw(_WORDS), schema, namespace=space))
    return tuple(found)


_CHOICES = st.sampled_from(
    [None, *(ToolChoice(mode) for mode in Choosing), ToolChoice(Choosing.REQUIRED, ("look",))]
)
_UNIT = st.sampled_from([None, 0.0, 0.7, 1.0])
_SAMPLINGS = st.builds(
    Sampling,
    temperature=st.sampled_from([None, 0.0, 0.7, 1.0, 1.7]),
    top_p=_UNIT,
    top_k=st.sampled_from([None, 5]),
    seed=st.sampled_from([None, 7]),
    presence_penalty=st.sampled_from([None, 0.5]),
    frequency_penalty=st.sampled_from([None, 0.5]),
    stop=st.sampled_from([(), ("END",), (" ", "a", "b", "c", "d", "e")]),
)
_REASONINGS = st.one_of(
    st.just(Reasoning()),
    st.builds(
        Reasoning,
        level=st.sampled_from(["none", "auto", "minimal", "low", "medium", "high", "xhigh", "max"]),
        show=st.sampled_from([None, True, False]),
    ),
    st.builds(Reasoning, budget=st.sampled_from([-1, 0, 100, 5000, 200_000])),
    st.builds(Reasoning, adaptive=st.just(True), level=st.sampled_from([None, "high"])),
    st.just(Reasoning(level="high", summary="auto")),
)
_OBJECT = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
_OUTPUTS = st.sampled_from(
    [
        OutputFormat(),
        OutputFormat(OutputKind.JSON),
        OutputFormat(OutputKind.SCHEMA, schema=_OBJECT),
        OutputFormat(
            OutputKind.SCHEMA, "form", _OBJECT | {"additionalProperties": False}, strict=True
        ),
    ]
)
ASKED = (Turn(Role.USER, (Text("go on in JSON"),)),)
REQUESTS = st.builds(
    Request,
    st.just("m"),
    st.lists(_TURNS, max_size=6).map(lambda turns: (*turns, *ASKED)),
    stream=st.booleans(),
    tools=tools(),
    tool_choice=_CHOICES,
    parallel_calls=st.sampled_from([None, True, False]),
    max_tokens=st.sampled_from([None, 100, 2000, 200_000]),
    sampling=_SAMPLINGS,
    reasoning=_REASONINGS,
    output=_OUTPUTS,
    user=st.sampled_from(["", "u_1"]),
    metadata=st.sampled_from([{}, {"a": "b"}]),
    service_tier=st.sampled_from(["", "auto", "priority"]),
    verbosity=st.sampled_from(["", "low"]),
    cache_key=st.sampled_from(["", "k"]),
)


@pytest.mark.parametrize(("model", "protocol"), MODELS)
@given(request_=REQUESTS)
def test_a_body_is_fit_for_its_provider(model: str, protocol: str, request_: Request) -> None:
    # A choice says no namespace, so it is clear only for names that stand in none.
    named = {tool.name for tool in request_.tools if not tool.namespace}
    named -= {tool.name for tool in request_.tools if tool.namespace}
    choice = request_.tool_choice
    if choice is not None and not named.issuperset(choice.only):
        request_ = dataclasses.replace(request_, tool_choice=None)
    target = Target(model, traits_of(model, PROVIDERS.get(protocol, "openai")))
    try:
        encoded = CODECS[protocol].encode_request(tidy(request_), target)
    except Untranslatable:
        return
    verb = "streamGenerateContent" if request_.stream else "generateContent"
    problem = VALIDATORS[protocol](f"/v1beta/models/{model}:{verb}", HEADERS, encoded.body)
    assert problem is None, encoded.body.decode()
