"""Signs of life while a provider thinks, and what becomes of a failure behind them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import openai
import pytest

from tests.e2e.raw import Connection, ask, request_bytes
from tests.e2e.speech import CHAT, GEMINI, MESSAGES, RESPONSES, Speech
from tests.fakes import answers
from tests.fakes.gateway import Gateway
from tests.fakes.script import Step
from tests.fakes.upstream import EVENT_STREAM, Reply, ScriptedUpstream, WaitFor
from tests.fakes.waiting import wait_until

BEAT = b": keep-alive\n\n"
WITH_COMMENTS = [CHAT, RESPONSES, MESSAGES]


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What the provider waits for."""
    event = threading.Event()
    yield event
    event.set()


def _begin(client: Connection, gateway: Gateway, speech: Speech, *, stream: bool) -> None:
    path = speech.client_path(stream=stream)
    body = speech.body(stream=stream)
    client.send(request_bytes("POST", path, body, [speech.key_header(gateway.key)]))


@pytest.mark.parametrize("speech", WITH_COMMENTS, ids=lambda speech: speech.name)
def test_before_the_first_byte(
    speech: Speech, beating: Gateway, upstream: ScriptedUpstream, gate: threading.Event
) -> None:
    frames = speech.frames("at last")
    upstream.reply(
        speech.upstream_path(stream=True),
        Reply(body=frames, headers=EVENT_STREAM, framing="chunked", before_head=WaitFor(gate)),
    )
    with Connection(beating.port) as client:
        _begin(client, beating, speech, stream=True)
        head = client.head()
        assert head.status == 200
        assert (head.header("content-type") or "").startswith("text/event-stream")
        client.until(BEAT + BEAT)
        gate.set()
        answer = client.rest()
    assert answer.whole
    beats, _, rest = answer.body.partition(frames[0])
    assert beats == BEAT * beats.count(BEAT)
    assert frames[0] + rest == b"".join(frames)
    assert beating.row(answer.request_id)["status"] == 200


@pytest.mark.parametrize("speech", WITH_COMMENTS, ids=lambda speech: speech.name)
def test_between_two_frames(
    speech: Speech, beating: Gateway, upstream: ScriptedUpstream, gate: threading.Event
) -> None:
    first, *rest = speech.frames("one two three")
    steps: list[Step] = [first, WaitFor(gate), *rest]
    upstream.reply(
        speech.upstream_path(stream=True),
        Reply(body=steps, headers=EVENT_STREAM, framing="chunked"),
    )
    with Connection(beating.port) as client:
        _begin(client, beating, speech, stream=True)
        client.head()
        client.until(first + BEAT + BEAT)
        gate.set()
        answer = client.rest()
    assert answer.whole
    assert answer.body.replace(BEAT, b"") == first + b"".join(rest)


def test_never_within_a_frame(
    beating: Gateway, upstream: ScriptedUpstream, gate: threading.Event
) -> None:
    data = b"".join(CHAT.frames("one two three"))
    cut = len(CHAT.frames("one two three")[0]) + 25
    other = threading.Event()
    steps: list[Step] = [data[:cut], WaitFor(other), data[cut:]]
    threading.Timer(1.0, other.set).start()  # three beats' time
    upstream.reply(
        CHAT.upstream_path(stream=True),
        Reply(body=steps, headers=EVENT_STREAM, framing="chunked"),
    )
    with Connection(beating.port) as client:
        _begin(client, beating, CHAT, stream=True)
        answer = client.answer()
    assert answer.whole
    assert answer.body == data


def test_a_gemini_client_is_sent_nothing_its_sdk_cannot_read(
    beating: Gateway, upstream: ScriptedUpstream, gate: threading.Event
) -> None:
    """Google's SDK takes every line that is no data for broken JSON."""
    frames = GEMINI.frames("at last")
    steps: list[Step] = [frames[0], WaitFor(gate), *frames[1:]]
    upstream.reply(
        GEMINI.upstream_path(stream=True),
        Reply(body=steps, headers=EVENT_STREAM, framing="chunked"),
    )
    threading.Timer(1.0, gate.set).start()  # three beats' time
    with Connection(beating.port) as client:
        _begin(client, beating, GEMINI, stream=True)
        answer = client.answer()
    assert answer.whole
    lines = answer.body.replace(b"\r\n", b"\n").split(b"\n")
    assert all(line == b"" or line.startswith(b"data: ") for line in lines)
    assert [line for line in lines if line] == [frame.strip() for frame in frames]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_failure_before_the_first_beat_keeps_its_status(
    stream: bool, speech: Speech, beating: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.reply(speech.upstream_path(stream=stream), speech.error(429, "slow down"))
    answer = ask(
        beating.port,
        "POST",
        speech.client_path(stream=stream),
        speech.body(stream=stream),
        [speech.key_header(beating.key)],
    )
    assert answer.status == 429


@pytest.mark.parametrize("speech", WITH_COMMENTS, ids=lambda speech: speech.name)
def test_a_failure_behind_a_beat_is_an_error_frame(
    speech: Speech, beating: Gateway, upstream: ScriptedUpstream, gate: threading.Event
) -> None:
    error = speech.error(429, "slow down")
    upstream.reply(
        speech.upstream_path(stream=True),
        Reply(429, error.body, headers=error.headers, before_head=WaitFor(gate)),
    )
    with Connection(beating.port) as client:
        _begin(client, beating, speech, stream=True)
        client.head()
        client.until(BEAT)
        gate.set()
        answer = client.rest()
    assert answer.status == 200
    assert not answer.whole
    frame = answer.body.rpartition(BEAT)[2]
    assert b"data: " in frame
    assert b"slow down" in frame
    row = beating.row(answer.request_id)
    assert row["blame"] == "model"


def test_a_plain_answer_is_kept_alive_with_blank_lines(
    speech: Speech, beating: Gateway, upstream: ScriptedUpstream, gate: threading.Event
) -> None:
    body = speech.whole("at last")
    upstream.reply(speech.upstream_path(), Reply(body=body, before_head=WaitFor(gate)))
    with Connection(beating.port) as client:
        _begin(client, beating, speech, stream=False)
        assert client.head().status == 200
        client.until(b"\n\n")
        gate.set()
        answer = client.rest()
    assert answer.whole
    assert answer.body.strip(b"\n") == body.strip(b"\n")
    assert json.loads(answer.body) == json.loads(body)


def test_a_plain_failure_behind_a_blank_line_is_told_in_the_body(
    speech: Speech, beating: Gateway, upstream: ScriptedUpstream, gate: threading.Event
) -> None:
    error = speech.error(500, "broke")
    upstream.reply(
        speech.upstream_path(),
        Reply(500, error.body, headers=error.headers, before_head=WaitFor(gate)),
    )
    with Connection(beating.port) as client:
        _begin(client, beating, speech, stream=False)
        client.head()
        client.until(b"\n")
        gate.set()
        answer = client.rest()
    assert speech.error_message(answer.json()) == "broke"


def test_the_sdk_does_not_mind_the_beats(
    beating: Gateway, upstream: ScriptedUpstream, gate: threading.Event
) -> None:
    upstream.reply(
        CHAT.upstream_path(),
        Reply(
            body=CHAT.frames("at last"),
            headers=EVENT_STREAM,
            framing="chunked",
            before_head=WaitFor(gate),
        ),
    )
    threading.Timer(1.0, gate.set).start()  # three beats' time
    with openai.OpenAI(api_key=beating.key, base_url=f"{beating.url}/v1", max_retries=0) as client:
        chunks = client.chat.completions.create(
            model=CHAT.model, messages=[{"role": "user", "content": "hi"}], stream=True
        )
        said = [c.choices[0].delta.content or "" for c in chunks if c.choices]
    assert "".join(said) == "at last"


def test_beats_do_not_hide_the_next_credential(
    beating: Gateway, upstream: ScriptedUpstream, gate: threading.Event
) -> None:
    bad = answers.openai_error(503, "busy")
    upstream.reply(
        CHAT.upstream_path(CHAT.pair),
        Reply(503, bad.body, headers=bad.headers, before_head=WaitFor(gate)),
        CHAT.stream("saved"),
    )
    with Connection(beating.port) as client:
        body = CHAT.body(CHAT.pair, stream=True)
        headers = [CHAT.key_header(beating.key)]
        client.send(request_bytes("POST", CHAT.client_path(), body, headers))
        client.head()
        client.until(BEAT)
        gate.set()
        answer = client.rest()
    assert answer.whole
    assert answer.body.replace(BEAT, b"") == b"".join(CHAT.frames("saved"))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_client_that_leaves_between_beats(
    stream: bool,
    speech: Speech,
    beating: Gateway,
    upstream: ScriptedUpstream,
    gate: threading.Event,
) -> None:
    """The provider is let go at once, and there is one row."""
    upstream.reply(
        speech.upstream_path(stream=stream), Reply(body=b"{}", before_head=WaitFor(gate))
    )
    taken: list[float] = []
    while len(taken) < 3 and min(taken, default=1.0) > 0.050:
        upstream.requests.clear()
        with Connection(beating.port) as client:
            _begin(client, beating, speech, stream=stream)
            request_id = client.head().request_id  # sent with the first beat
            link = upstream.requests[-1].connection
            left = client.close()
        wait_until(lambda at=link: upstream.closed_at(at) is not None)  # type: ignore[misc]
        taken.append((upstream.closed_at(link) or 0.0) - left)
        assert beating.row(request_id)["status"] == 499
    assert min(taken) <= 0.050, taken
