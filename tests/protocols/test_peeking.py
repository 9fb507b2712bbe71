from __future__ import annotations

import base64
import os
import tracemalloc

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import BadRequest
from app.protocols import CODECS
from app.protocols.base import Operation, Peek

CHAT = CODECS["openai_chat"]
RESPONSES = CODECS["openai_responses"]
MESSAGES = CODECS["anthropic_messages"]
GEMINI = CODECS["gemini_generate"]
GENERATE = Operation.GENERATE

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("codec", "body", "seen"),
    [
        (CHAT, '{"model":"m"}', Peek("m", wants_usage=False)),
        (CHAT, '{"model":" m ","stream":null}', Peek("m", wants_usage=False)),
        (
            CHAT,
            '{"stream":true,"stream_options":{"include_usage":true},"model":"m"}',
            Peek("m", stream=True),
        ),
        (
            CHAT,
            '{"stream":true,"stream_options":{"include_usage":false},"model":"m"}',
            Peek("m", stream=True, wants_usage=False),
        ),
        (CHAT, '{"stream_options":null,"model":"m"}', Peek("m", wants_usage=False)),
        (CHAT, '{"model":"a","model":"b"}', Peek("b", wants_usage=False)),
        (CHAT, '{"mod\\u0065l":"\\u006d"}', Peek("m", wants_usage=False)),
        (RESPONSES, '{"model":"m","stream":true}', Peek("m", stream=True)),
        (
            RESPONSES,
            '{"previous_response_id":"resp_1","model":"m"}',
            Peek("m", continues="resp_1"),
        ),
        (RESPONSES, '{"previous_response_id":null,"model":"m"}', Peek("m")),
        (MESSAGES, '{"model":"m","stream":true}', Peek("m", stream=True)),
        (MESSAGES, '{"model":"m","thread":null}', Peek("m")),
        (MESSAGES, '{"model":"m","thread":{"type":"create"}}', Peek("m", thread=True)),
        (
            MESSAGES,
            '{"thread":{"type":"continue","previous_message_id":"msg_1"},"model":"m"}',
            Peek("m", continues="msg_1", thread=True),
        ),
        (GEMINI, '{"model":5,"stream":"x"}', Peek("")),
        (GEMINI, "{}", Peek("")),
    ],
)
def test_the_members_that_steer_are_read(codec: object, body: str, seen: Peek) -> None:
    assert codec.peek(body.encode(), GENERATE) == seen  # type: ignore[attr-defined]
    assert codec.peek(bytearray(body.encode()), GENERATE) == seen  # type: ignore[attr-defined]


@pytest.mark.parametrize("operation", [Operation.EMBED, Operation.COUNT_TOKENS])
def test_an_embedding_needs_only_its_model(operation: Operation) -> None:
    assert CHAT.peek(b'{"model":"m","stream":7}', operation) == Peek("m")


def test_a_legacy_completion_may_be_streamed() -> None:
    assert CHAT.peek(b'{"model":"m","stream":true}', Operation.COMPLETE).stream


def test_counting_tokens_is_never_streamed() -> None:
    assert not MESSAGES.peek(b'{"model":"m","stream":true}', Operation.COUNT_TOKENS).stream


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "is empty"),
        (b" \n ", "is empty"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b"[1]", "must be an object, not a list"),
        (b'"text"', "must be an object, not a string"),
        (b'{"model":"m"} x', "trailing characters near line 1, column 16"),
        (b'{"model":"m",\n "a": tru}', "near line 2, column 8"),
        (b'{"model":"m",}', "trailing comma"),
        (b'{"model":"m"', "not valid JSON"),
        (b'{"model":"m","a":NaN}', "not valid JSON"),
        (b'{"model":"m","a":"\\ud800"}', "not valid JSON"),
        (b'{"model":"m","a":"\xff"}', "not valid UTF-8"),
        (b'{"model":"m","a":"\xed\xa0\x80"}', "not valid UTF-8"),
        (b'{"model":"\xff"}', "not valid UTF-8"),
        (b'{"model":"m","a":"\xc3"}', "not valid UTF-8"),
        (b'{"model":"m","a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    ],
)
@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())
def test_what_is_no_json_object_is_refused_with_its_place(
    codec: object, body: bytes, words: str
) -> None:
    with pytest.raises(BadRequest, match=words):
        codec.peek(body, GENERATE)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("codec", "body", "words", "param"),
    [
        (CHAT, b"{}", "`model` is missing", "model"),
        (CHAT, b'{"model":null}', "`model` must be a string, not null", "model"),
        (CHAT, b'{"model":7}', "`model` must be a string, not a number", "model"),
        (CHAT, b'{"model":"  "}', "`model` is empty", "model"),
        (CHAT, b'{"model":"m","stream":"yes"}', "`stream` must be true or false", "stream"),
        (CHAT, b'{"model":"m","stream_options":[]}', "`stream_options` must be", "stream_options"),
        (RESPONSES, b'{"model":"m","previous_response_id":1}', "`previous_response_id`", None),
        (
            RESPONSES,
            b'{"model":"m","stream":1}',
            "`stream` must be true or false, not a number",
            None,
        ),
        (MESSAGES, b'{"model":["m"]}', "`model` must be a string, not a list", "model"),
        (MESSAGES, b'{"model":"m","thread":"x"}', "`thread` must be an object", "thread"),
    ],
)
def test_a_wrong_member_is_named(codec: object, body: bytes, words: str, param: str | None) -> None:
    with pytest.raises(BadRequest, match=words) as caught:
        codec.peek(body, GENERATE)  # type: ignore[attr-defined]
    if param:
        assert caught.value.details["param"] == param


@given(value=JSON, before=st.booleans())
def test_any_json_may_stand_beside_the_model(value: object, before: bool) -> None:
    pairs = [("messages", value), ("model", "m")]
    body = orjson.dumps(dict(pairs if before else pairs[::-1]))
    assert CHAT.peek(body, GENERATE).model == "m"


@given(text=st.text(max_size=50), shift=st.integers(0, 5))
def test_characters_may_be_cut_by_the_window_of_the_check(text: str, shift: int) -> None:
    filling = "x" * (64 * 1024 - len(text) // 2 - 30 + shift)
    body = orjson.dumps({"model": "m", "input": filling + "é" + text})
    assert CHAT.peek(body, GENERATE).model == "m"


def test_a_large_picture_is_not_built() -> None:
    picture = base64.b64encode(os.urandom(6_000_000)).decode()
    body = orjson.dumps({"messages": [{"content": picture}], "model": "m", "note": "é"})
    tracemalloc.start()
    try:
        for codec in CODECS.values():
            codec.peek(body, GENERATE)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 500_000 < len(body)
