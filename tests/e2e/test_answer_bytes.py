"""What the client is sent is what the provider wrote."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

import pytest

from tests.e2e.raw import Answer, Connection, ask, request_bytes
from tests.e2e.speech import CHAT, GEMINI, MESSAGES, RESPONSES, Speech
from tests.fakes import answers
from tests.fakes.answers import DONE
from tests.fakes.gateway import Gateway
from tests.fakes.upstream import EVENT_STREAM, Reply, ScriptedUpstream, WaitFor

Rewrite = Callable[[bytes], bytes]


def _ask(gateway: Gateway, speech: Speech, model: str = "", *, stream: bool = False) -> Answer:
    return ask(
        gateway.port,
        "POST",
        speech.client_path(model, stream=stream),
        speech.body(model, stream=stream),
        [speech.key_header(gateway.key)],
    )


def _as_bytes(reply: Reply) -> bytes:
    body = reply.body
    return body if isinstance(body, bytes) else b"".join(b for b in body if isinstance(b, bytes))


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("nickname", [False, True], ids=["model", "alias"])
def test_a_whole_answer(
    nickname: bool, framing: str, speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    body = b'\r\n{ "odd" :\t1.0,"unk\\u006eown":[1e5 , 12345678901234567890],\r\n"answer":'
    body += speech.whole("caf\u00e9 \U0001f600", prompt=3) + b'\r\n,\t"a":null }\r\n\r\n'
    headers = [("Content-Type", "application/json; charset=UTF-8")]
    upstream.reply(
        speech.upstream_path(),
        Reply(body=body, headers=headers, framing=framing),  # type: ignore[arg-type]
    )
    answer = _ask(gateway, speech, speech.alias if nickname else "")
    assert answer.whole
    assert (answer.status, answer.body) == (200, body)
    assert answer.header("content-type") == "application/json; charset=UTF-8"


def test_a_large_answer(speech: Speech, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    body = speech.whole("x" * 3_000_000)
    upstream.reply(speech.upstream_path(), Reply(body=body, framing="chunked", write_size=50_001))
    answer = _ask(gateway, speech)
    assert answer.whole
    assert answer.body == body


@pytest.mark.parametrize("status", [400, 404, 413, 422, 429, 500, 503, 529])
def test_a_providers_error_in_its_own_words(
    status: int, speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    reply = speech.error(status, "No\u00ebl said \u201cno\u201d", retry_after="7")
    spaced = _as_bytes(reply).replace(b":{", b" :\r\n {")
    upstream.reply(speech.upstream_path(), Reply(status, spaced, headers=reply.headers))
    answer = _ask(gateway, speech)
    assert (answer.status, answer.body) == (status, spaced)
    assert answer.header("retry-after") == "7"


def _plain(data: bytes) -> bytes:
    return data


def _crlf(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _commented(data: bytes) -> bytes:
    return b": ready\n\n" + data.replace(b"\n\n", b"\n\n: tick tock\n\n", 1)


def _with_fields(data: bytes) -> bytes:
    return data.replace(b"data: ", b"id: 7\nretry: 3000\nx-unknown: 1\ndata: ", 1)


def _several_lines(data: bytes) -> bytes:
    return data.replace(b'{"', b'{\ndata: "', 1)


def _tight(data: bytes) -> bytes:
    return data.replace(b"data: ", b"data:")


def _unended(data: bytes) -> bytes:
    return data.rstrip(b"\r\n")


def _bom(data: bytes) -> bytes:
    return b"\xef\xbb\xbf" + data


REWRITES = [_plain, _crlf, _commented, _with_fields, _several_lines, _tight, _unended, _bom]


@pytest.mark.parametrize("write_size", [0, 1], ids=["frames", "bytes"])
@pytest.mark.parametrize("rewrite", REWRITES, ids=lambda rewrite: rewrite.__name__.strip("_"))
def test_a_stream(
    rewrite: Rewrite,
    write_size: int,
    speech: Speech,
    gateway: Gateway,
    upstream: ScriptedUpstream,
) -> None:
    data = rewrite(b"".join(speech.frames("caf\u00e9 \U0001f600 tail")))
    pieces = [data[at : at + 1] for at in range(len(data))] if write_size else [data]
    upstream.reply(speech.upstream_path(stream=True), answers.streamed(pieces))
    answer = _ask(gateway, speech, stream=True)
    assert answer.whole
    assert (answer.status, answer.body) == (200, data)
    assert answer.header("content-type") == EVENT_STREAM[0][1]


@pytest.mark.parametrize("framing", ["length", "close"])
def test_a_stream_without_chunks(
    framing: str, speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    frames = speech.frames("one two three")
    upstream.reply(
        speech.upstream_path(stream=True),
        Reply(body=frames, headers=EVENT_STREAM, framing=framing),  # type: ignore[arg-type]
    )
    answer = _ask(gateway, speech, speech.alias, stream=True)
    assert answer.whole
    assert answer.body == b"".join(frames)


@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_each_frame_arrives_before_the_next_is_written(
    framing: str, speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    frames = speech.frames("one two three")
    seen = [Event() for _ in frames]
    steps = [step for pair in zip(frames, map(WaitFor, seen), strict=True) for step in pair]
    upstream.reply(
        speech.upstream_path(stream=True),
        Reply(body=steps, headers=EVENT_STREAM, framing=framing),  # type: ignore[arg-type]
    )
    path = speech.client_path(stream=True)
    with Connection(gateway.port) as client:
        headers = [speech.key_header(gateway.key)]
        client.send(request_bytes("POST", path, speech.body(stream=True), headers))
        client.head()
        expected = b""
        for frame, event in zip(frames, seen, strict=True):
            expected += frame
            assert client.until(expected) == expected
            event.set()
        assert client.rest().whole


def test_a_gemini_stream_as_one_array(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    pieces = [GEMINI.whole(word, prompt=5, completion=2) for word in ("one", "two", "three")]
    steps = [b"[" + pieces[0], b"\r\n,\r\n" + pieces[1], b",\r\n" + pieces[2], b"]\n"]
    path = GEMINI.client_path(stream=True).partition("?")[0]
    upstream.reply(GEMINI.upstream_path(stream=True), Reply(body=steps, framing="chunked"))
    answer = ask(gateway.port, "POST", path, GEMINI.body(), [GEMINI.key_header(gateway.key)])
    assert answer.whole
    assert answer.body == b"".join(steps)
    assert upstream.requests[0].query == ""
    row = gateway.row(answer.request_id)
    assert (row["stream"], row["input_tokens"], row["output_tokens"]) == (1, 5, 2)


# The usage chunk of Chat


def _chat_stream(gateway: Gateway, extra: bytes = b"") -> Answer:
    body = b'{"model":"gpt-test","stream":true,"messages":[]' + extra + b"}"
    return ask(gateway.port, "POST", "/v1/chat/completions", body, [CHAT.key_header(gateway.key)])


@pytest.mark.parametrize("rewrite", [_plain, _crlf, _commented, _tight, _unended])
@pytest.mark.parametrize("write_size", [0, 1], ids=["frames", "bytes"])
def test_the_usage_chunk_nobody_asked_for_is_taken_out(
    write_size: int, rewrite: Rewrite, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    frames = [rewrite(frame) for frame in CHAT.frames("one two", prompt=31, completion=2)[:-1]]
    if rewrite is _unended:
        frames = CHAT.frames("one two", prompt=31, completion=2)[:-1]
    end = rewrite(DONE)
    sent = b"".join([*frames, end])
    pieces = [sent[at : at + 1] for at in range(len(sent))] if write_size else [*frames, end]
    upstream.reply(CHAT.upstream_path(), answers.streamed(pieces))
    answer = _chat_stream(gateway)
    assert answer.whole
    usage = next(frame for frame in frames if b'"choices":[]' in frame)
    if rewrite is _commented:
        usage = usage.removeprefix(b": ready\n\n").removesuffix(b": tick tock\n\n")
    assert answer.body == sent.replace(usage, b"")
    row = gateway.row(answer.request_id)
    assert (row["input_tokens"], row["output_tokens"], row["estimated"]) == (31, 2, 0)


def test_the_usage_chunk_that_was_asked_for_stays(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    frames = CHAT.frames("one two")
    upstream.reply(CHAT.upstream_path(), answers.streamed(frames))
    answer = _chat_stream(gateway, b',"stream_options":{"include_usage":true}')
    assert answer.body == b"".join(frames)


def test_usage_beside_content_is_no_extra_chunk(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    """Some hosts put usage on the last chunk with a choice; that chunk is the answer's."""
    frames = CHAT.frames("one two", with_usage=False)
    counts = answers.dumps(answers.chat_usage(prompt=8, completion=2))
    frames[-2] = frames[-2].rstrip()[:-1] + b',"usage":' + counts + b"}\n\n"
    upstream.reply(CHAT.upstream_path(), answers.streamed(frames))
    answer = _chat_stream(gateway)
    assert answer.body == b"".join(frames)
    assert gateway.row(answer.request_id)["input_tokens"] == 8


@pytest.mark.parametrize("speech", [CHAT, RESPONSES, MESSAGES], ids=lambda speech: speech.name)
def test_a_stream_asked_for_may_be_answered_whole(
    speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.reply(speech.upstream_path(), speech.plain("all at once"))
    answer = _ask(gateway, speech, stream=True)
    assert answer.whole
    assert answer.body == speech.whole("all at once")
