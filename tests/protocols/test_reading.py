"""What is learnt from answers as they pass: usage, the end, the id."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.ir.events import Usage
from app.protocols import CODECS
from app.protocols.base import Codec, Progress

CHAT = CODECS["openai_chat"]
RESPONSES = CODECS["openai_responses"]
MESSAGES = CODECS["anthropic_messages"]
GEMINI = CODECS["gemini_generate"]

WORKED = Usage(input_tokens=40, cache_read_tokens=60, output_tokens=20, reasoning_tokens=30)
"""100 tokens in, 60 of them cached; 50 out, 30 of them thought."""


def whole(codec: Codec, body: object, before: Progress | None = None) -> Progress:
    return codec.read_answer(json.dumps(body).encode(), before or Progress())


def frame(data: object) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def named(data: dict[str, Any]) -> bytes:
    return f"event: {data['type']}\n".encode() + frame(data)


def read(codec: Codec, *frames: bytes) -> Progress:
    progress = Progress()
    for one in frames:
        if codec.tells(one, progress):
            assert (
                progress.finished
                or any(mark in one for mark in codec.marks)
                or (
                    codec is CHAT  # its own short cut reads more than the marks ask for
                )
            )
            progress = codec.read_frame(one, progress)
    return progress


CHAT_USAGES: list[tuple[dict[str, Any], Usage]] = [
    (
        {
            "prompt_tokens": 100,
            "completion_tokens": 50,
            "total_tokens": 150,
            "prompt_tokens_details": {"cached_tokens": 60},
            "completion_tokens_details": {"reasoning_tokens": 30},
        },
        WORKED,
    ),
    ({"prompt_tokens": 9, "total_tokens": 9}, Usage(input_tokens=9)),
    (
        {
            "prompt_tokens": 100,
            "completion_tokens": 40,
            "prompt_tokens_details": {
                "cached_tokens": 10,
                "cache_write_tokens": 20,
                "audio_tokens": 30,
            },
            "completion_tokens_details": {"reasoning_tokens": 5, "audio_tokens": 15},
        },
        Usage(40, 10, 20, 30, 20, 5, 15),
    ),
    (
        {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 99, "audio_tokens": 99},
            "completion_tokens_details": {"reasoning_tokens": 99, "audio_tokens": 99},
        },
        Usage(cache_read_tokens=10, reasoning_tokens=5),
    ),
    (
        {"prompt_tokens": 10, "completion_tokens": 5, "prompt_cache_hit_tokens": 4},
        Usage(input_tokens=6, cache_read_tokens=4, output_tokens=5),
    ),
    (
        {
            "prompt_tokens": 32,
            "completion_tokens": 9,
            "total_tokens": 135,
            "completion_tokens_details": {"reasoning_tokens": 94},
        },
        Usage(input_tokens=32, output_tokens=9, reasoning_tokens=94),
    ),
    (
        {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 45},
        Usage(input_tokens=10, output_tokens=5, reasoning_tokens=30),
    ),
    (
        {
            "prompt_tokens": 8.0,
            "completion_tokens": None,
            "prompt_tokens_details": None,
            "completion_tokens_details": {"reasoning_tokens": -4},
        },
        Usage(input_tokens=8),
    ),
]


@pytest.mark.parametrize(("usage", "counted"), CHAT_USAGES)
def test_chat_usage_is_taken_apart(usage: dict[str, Any], counted: Usage) -> None:
    chunk = {"id": "chatcmpl-1", "choices": [], "usage": usage}
    assert read(CHAT, frame(chunk)).usage == counted
    assert whole(CHAT, chunk).usage == counted


@pytest.mark.parametrize(("usage", "counted"), CHAT_USAGES)
def test_responses_usage_is_taken_apart_alike(usage: dict[str, Any], counted: Usage) -> None:
    if "prompt_cache_hit_tokens" in usage:
        return  # the name one Chat host has for it
    renamed = json.loads(
        json.dumps(usage).replace("prompt_", "input_").replace("completion_", "output_")
    )
    response = {"id": "resp_1", "status": "completed", "usage": renamed, "error": None}
    assert whole(RESPONSES, response) == Progress(counted, True, True, "resp_1")
    end = named({"type": "response.completed", "response": response})
    assert read(RESPONSES, end) == Progress(counted, True, True, "resp_1")


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        (
            {
                "input_tokens": 40,
                "cache_read_input_tokens": 60,
                "output_tokens": 50,
                "output_tokens_details": {"thinking_tokens": 30},
            },
            WORKED,
        ),
        (
            {
                "input_tokens": 5,
                "cache_creation_input_tokens": 7,
                "cache_read_input_tokens": None,
                "output_tokens": 3,
            },
            Usage(input_tokens=5, cache_write_tokens=7, output_tokens=3),
        ),
        (
            {
                "input_tokens": 5,
                "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4},
                "output_tokens": 3,
            },
            Usage(input_tokens=5, cache_write_tokens=7, output_tokens=3),
        ),
        (
            {"output_tokens": 3, "output_tokens_details": {"thinking_tokens": 9}},
            Usage(reasoning_tokens=3),
        ),
    ],
)
def test_message_usage_is_taken_apart(usage: dict[str, Any], counted: Usage) -> None:
    body = {"id": "msg_1", "type": "message", "usage": usage}
    assert whole(MESSAGES, body) == Progress(counted, True, True, "msg_1")


@pytest.mark.parametrize(
    ("later", "counted"),
    [
        ({"output_tokens": 50}, Usage(40, 60, 0, 0, 50)),
        ({"input_tokens": 0, "output_tokens": 50}, Usage(0, 60, 0, 0, 50)),
        (
            {"input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 50},
            Usage(40, 60, 0, 0, 50),
        ),
        (
            {"input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens": 50},
            Usage(10, 90, 0, 0, 50),
        ),
        (
            {"output_tokens": 50, "output_tokens_details": {"thinking_tokens": 30}},
            WORKED,
        ),
        ({}, Usage(40, 60, 0, 0, 1)),
        (None, Usage(40, 60, 0, 0, 1)),
    ],
)
def test_a_message_delta_goes_over_what_the_start_said(
    later: dict[str, Any] | None, counted: Usage
) -> None:
    first = {"input_tokens": 40, "cache_read_input_tokens": 60, "output_tokens": 1}
    progress = read(
        MESSAGES,
        named({"type": "message_start", "message": {"id": "msg_1", "usage": first}}),
        named({"type": "ping"}),
        named({"type": "message_delta", "delta": {}, "usage": later}),
    )
    assert progress == Progress(counted, answer_id="msg_1")
    assert read(MESSAGES, named({"type": "message_stop"})) == Progress(finished=True, last=True)


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        (
            {
                "promptTokenCount": 100,
                "cachedContentTokenCount": 60,
                "candidatesTokenCount": 20,
                "thoughtsTokenCount": 30,
                "totalTokenCount": 150,
            },
            WORKED,
        ),
        (
            {"promptTokenCount": 10, "toolUsePromptTokenCount": 5, "candidatesTokenCount": 1},
            Usage(input_tokens=15, output_tokens=1),
        ),
        (
            {
                "promptTokenCount": 100,
                "promptTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 20},
                    {"modality": "AUDIO", "tokenCount": 80},
                ],
                "cachedContentTokenCount": 50,
                "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 50}],
                "candidatesTokenCount": 9,
                "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 9}],
            },
            Usage(20, 50, 0, 30, 0, 0, 9),
        ),
        (
            {"promptTokenCount": 3, "cachedContentTokenCount": 9, "promptTokensDetails": "odd"},
            Usage(cache_read_tokens=3),
        ),
    ],
)
def test_gemini_usage_is_taken_apart(usage: dict[str, Any], counted: Usage) -> None:
    candidates = [{"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}]
    chunk = {"candidates": candidates, "usageMetadata": usage, "responseId": "r1"}
    assert read(GEMINI, frame(chunk)) == Progress(counted, finished=True, answer_id="r1")
    assert whole(GEMINI, chunk) == Progress(counted, True, True, "r1")
    assert whole(GEMINI, [{"candidates": None}, chunk]) == Progress(counted, True, True, "r1")


@pytest.mark.parametrize(
    ("codec", "body"),
    [
        (CHAT, {"object": "list", "data": [], "usage": {"prompt_tokens": 8, "total_tokens": 8}}),
        (GEMINI, {"embedding": {"values": []}, "usageMetadata": {"promptTokenCount": 8}}),
    ],
)
def test_embeddings_use_input_alone(codec: Codec, body: object) -> None:
    assert whole(codec, body).usage == Usage(input_tokens=8)


@pytest.mark.parametrize(
    ("codec", "body"),
    [
        (MESSAGES, {"input_tokens": 12}),
        (GEMINI, {"totalTokens": 12, "promptTokensDetails": []}),
        (GEMINI, {"embeddings": []}),
        (CHAT, {"usage": None}),
        (RESPONSES, {"usage": {}}),
    ],
)
def test_an_answer_without_usage_has_none(codec: Codec, body: object) -> None:
    assert whole(codec, body).usage is None


@pytest.mark.parametrize(
    ("codec", "name", "usage", "counted"),
    [
        (CHAT, "usage", {"prompt_tokens": 4, "completion_tokens": 6}, Usage(4, output_tokens=6)),
        (RESPONSES, "usage", {"input_tokens": 4, "output_tokens": 6}, Usage(4, output_tokens=6)),
        (MESSAGES, "usage", {"input_tokens": 4, "output_tokens": 6}, Usage(4, output_tokens=6)),
        (
            GEMINI,
            "usageMetadata",
            {"promptTokenCount": 4, "candidatesTokenCount": 6},
            Usage(4, output_tokens=6),
        ),
    ],
)
def test_the_end_of_a_huge_answer_still_tells_its_usage(
    codec: Codec, name: str, usage: dict[str, int], counted: Usage
) -> None:
    decoy = json.dumps({name: {"prompt_tokens": 1, "input_tokens": 1, "promptTokenCount": 1}})
    text = json.dumps({"data": "x" * 500, "said": decoy, name: usage, "more": [{name: None}]})
    for cut in (3, 40, 400):
        progress = codec.read_answer(text[cut:].encode(), Progress())
        assert (progress.usage, progress.finished) == (counted, True)
    broken = codec.read_answer(text[3:-4].encode(), Progress())
    assert (broken.usage, broken.finished) == (counted, False)
    nothing = codec.read_answer(b'xxx"usage": {"broken', Progress())
    assert (nothing.usage, nothing.finished) == (None, False)


@pytest.mark.parametrize("codec", [CHAT, RESPONSES, MESSAGES])
def test_the_beginning_of_a_huge_answer_tells_its_id(codec: Codec) -> None:
    body = b'{"id": "resp_7", "data": "xxxx' + b'yyyy", "usage": {"input_tokens": 4}}'
    assert codec.read_answer(body.replace(b"xy", b'x"y'), Progress()).answer_id == "resp_7"
    assert codec.read_answer(b'"id": "item_3", "usage": null}', Progress()).answer_id == ""


def test_a_chat_choice_ends_without_ending_the_stream() -> None:
    chunk = {"id": "c1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    assert read(CHAT, frame(chunk)) == Progress(finished=True, answer_id="c1")
    assert read(CHAT, frame(chunk), b"data: [DONE]\n\n").last
    assert read(CHAT, frame(chunk).replace(b'": "', b'":"')).finished
    for reason in (None, ""):
        chunk["choices"] = [{"index": 0, "delta": {}, "finish_reason": reason}]
        assert not CHAT.read_frame(frame(chunk), Progress()).finished


def test_chat_usage_behind_the_finish_is_read_wherever_it_stands() -> None:
    end = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
    used = {"choices": [], "x_groq": {"usage": {"prompt_tokens": 4, "completion_tokens": 6}}}
    assert read(CHAT, frame(end), frame(used)).usage == Usage(4, output_tokens=6)


def test_counts_behind_the_last_gemini_chunk_are_read_too() -> None:
    end = {"candidates": [{"finishReason": "STOP"}]}
    used = {"usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": 6}}
    assert not GEMINI.tells(frame(used), Progress())
    assert read(GEMINI, frame(end), frame(used)).usage == Usage(4, output_tokens=6)


@pytest.mark.parametrize(
    "chunk",
    [
        {"choices": [{"delta": {"content": "x"}, "finish_reason": None}], "usage": None},
        {"choices": [{"index": 0, "delta": {"tool_calls": []}, "finish_reason": None}]},
    ],
)
def test_ordinary_chat_chunks_are_passed_over(chunk: dict[str, Any]) -> None:
    for one in (frame(chunk), frame(chunk).replace(b": ", b":")):
        assert not CHAT.tells(one, Progress())
        assert CHAT.read_frame(one, Progress()) == Progress()


def test_ordinary_content_is_passed_over() -> None:
    delta = named({"type": "response.output_text.delta", "delta": "x", "logprobs": []})
    assert not RESPONSES.tells(delta, Progress())
    block = named({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "x"}})
    assert not MESSAGES.tells(block, Progress())
    part = {"candidates": [{"content": {"parts": [{"text": 'x "error" "code"'}]}}]}
    assert not GEMINI.tells(frame(part), Progress())


@pytest.mark.parametrize(
    ("chunk", "extra"),
    [
        ({"choices": [], "usage": {"prompt_tokens": 1}}, True),
        ({"choices": [], "usage": None, "note": "_tokens"}, False),
        ({"choices": [], "prompt_filter_results": [{"max_tokens": 1}]}, False),
        ({"choices": [{"delta": {}}], "usage": {"prompt_tokens": 1}}, False),
        ({"choices": [], "usage": {"prompt_tokens": 1}, "error": {"message": "x"}}, False),
        ({"choices": "_tokens"}, False),
    ],
)
def test_only_a_chunk_of_usage_alone_is_extra(chunk: object, extra: bool) -> None:
    assert CHAT.is_usage_extra(frame(chunk)) is extra
    assert not MESSAGES.is_usage_extra(frame(chunk))


@pytest.mark.parametrize(
    ("kind", "status"), [("incomplete", "incomplete"), ("completed", "completed")]
)
def test_a_response_ends_with_its_last_event(kind: str, status: str) -> None:
    created = {"type": "response.created", "response": {"id": "resp_1", "usage": None}}
    assert read(RESPONSES, named(created)) == Progress(answer_id="resp_1")
    end = {"type": f"response.{kind}", "response": {"id": "resp_1", "status": status}}
    assert read(RESPONSES, named(created), named(end)) == Progress(None, True, True, "resp_1")


def test_a_blocked_prompt_ends_a_gemini_stream() -> None:
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}}
    assert read(GEMINI, frame(blocked)).finished
    assert not read(GEMINI, frame({"promptFeedback": {}, "note": "Reason"})).finished


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())
@pytest.mark.parametrize(
    "odd",
    [
        b": keep-alive\n\n",
        b"\n\n",
        b'data: {"error"\n\n',
        b"data: [1,\n\n",
        b'data: {"choices":7,"response":7,"candidates":7}\n\n',
        b'data: {"id":7,"usage":"_tokens","usageMetadata":[],"type":null,"error":null}\n\n',
        b'data: {"message":"\xff"}\n\n',
    ],
)
def test_what_cannot_be_read_teaches_nothing(codec: Codec, odd: bytes) -> None:
    assert codec.read_frame(odd, Progress()) == Progress()


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_spacing_and_line_ends_do_not_matter(end: bytes) -> None:
    text = b'event:x\ndata:  {"type" : "message_delta",\ndata: "usage":{"output_tokens":3}}\n\n'
    assert read(MESSAGES, text.replace(b"\n", end)).usage == Usage(output_tokens=3)
