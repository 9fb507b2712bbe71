"""A provider that fails: before the first byte of its answer, and after it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import TypeAlias

import pytest

from tests.e2e.raw import Answer, Connection, ask, request_bytes
from tests.e2e.speech import CHAT, GEMINI, MESSAGES, RESPONSES, Speech
from tests.fakes import answers
from tests.fakes.gateway import Gateway
from tests.fakes.script import Step
from tests.fakes.upstream import (
    EVENT_STREAM,
    Close,
    Recorded,
    Reply,
    Reset,
    ScriptedUpstream,
    WaitFor,
)

HTML = (("Content-Type", "text/html; charset=utf-8"),)


def _ask(gateway: Gateway, speech: Speech, model: str, *, stream: bool) -> Answer:
    return ask(
        gateway.port,
        "POST",
        speech.client_path(model, stream=stream),
        speech.body(model, stream=stream),
        [speech.key_header(gateway.key)],
    )


def _signature(request: Recorded) -> str:
    return request.header("authorization") or request.header("x-goog-api-key") or ""


def _bad_for_the_first(bad: Reply, good: Reply) -> Callable[[Recorded], Reply]:
    """Fail for whichever credential comes first, and for it alone."""
    first: list[str] = []
    lock = threading.Lock()

    def choose(request: Recorded) -> Reply:
        with lock:
            if not first:
                first.append(_signature(request))
        return bad if _signature(request) == first[0] else good

    return choose


def _stream(*steps: Step) -> Reply:
    return Reply(body=list(steps), headers=EVENT_STREAM, framing="chunked")


# Each fault, and the statuses a client may see when there is no other credential.
Fault: TypeAlias = tuple[Callable[[Speech], Reply], set[int]]


def _always(reply: Reply) -> Callable[[Speech], Reply]:
    return lambda speech: reply


def _error(status: int) -> Callable[[Speech], Reply]:
    return lambda speech: speech.error(status, "sorry")


def _error_document(speech: Speech) -> Reply:
    return Reply(body=speech.error(503, "no capacity").body)


def _error_document_as_events(speech: Speech) -> Reply:
    return Reply(body=speech.error(503, "no capacity").body, headers=EVENT_STREAM)


FAULTS: dict[str, Fault] = {
    "reset before the head": (_always(Reply(before_head=Reset())), {502, 503}),
    "closed before the head": (_always(Reply(before_head=Close())), {502, 503}),
    "reset within the head": (_always(Reply(mid_head=Reset())), {502, 503}),
    "no HTTP": (_always(Reply(raw=[b"SSH-2.0-OpenSSH_9.9\r\n\r\n"])), {502, 503}),
    "web page": (_always(Reply(body=b"<html>Hello</html>", headers=HTML)), {502}),
    "redirect": (_always(Reply(307, b"", headers=[("Location", "/openai/v1/elsewhere")])), {502}),
    "bad gateway": (_always(Reply(502, b"<html>bad gateway</html>", headers=HTML)), {502, 503}),
    "internal error": (_error(500), {500}),
    "unavailable": (_error(503), {503}),
    "overloaded": (_error(529), {529}),
    "key unknown": (_error(401), {503}),
    "key forbidden": (_error(403), {503}),
    "quota": (_error(429), {429}),
    "short body": (
        _always(Reply(body=b'{"a":', claimed_length=500, keep_alive=False)),
        {502},
    ),
}
STREAM_FAULTS: dict[str, Fault] = {
    "no event": (_always(_stream()), {502}),
    "comments alone": (_always(_stream(b": hello\n\n: still there\n\n")), {502}),
    "reset before the body": (_always(_stream(Reset())), {502, 503}),
    "error document": (_error_document, {502, 503}),
    "error document as events": (_error_document_as_events, {502, 503}),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("fault", FAULTS)
def test_before_the_first_byte_the_next_credential_is_tried(
    fault: str, stream: bool, speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    bad = FAULTS[fault][0](speech)
    good = speech.stream("saved") if stream else speech.plain("saved")
    path = speech.upstream_path(speech.pair, stream=stream)
    upstream.reply(path, _bad_for_the_first(bad, good))
    answer = _ask(gateway, speech, speech.pair, stream=stream)
    assert (answer.status, answer.whole) == (200, True)
    assert answer.body == (b"".join(speech.frames("saved")) if stream else speech.whole("saved"))
    assert len({_signature(request) for request in upstream.requests}) == 2
    assert {request.path for request in upstream.requests} == {path}  # no redirect is followed
    row = gateway.row(answer.request_id)
    assert (row["status"], row["blame"], row["attempts"]) == (200, "", 2)


@pytest.mark.parametrize("fault", STREAM_FAULTS)
def test_a_stream_that_has_not_begun_is_tried_elsewhere(
    fault: str, speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    bad = STREAM_FAULTS[fault][0](speech)
    path = speech.upstream_path(speech.pair, stream=True)
    upstream.reply(path, _bad_for_the_first(bad, speech.stream("saved")))
    answer = _ask(gateway, speech, speech.pair, stream=True)
    assert (answer.status, answer.whole) == (200, True)
    assert answer.body == b"".join(speech.frames("saved"))
    assert gateway.row(answer.request_id)["attempts"] == 2


@pytest.mark.parametrize("fault", [*FAULTS, *STREAM_FAULTS])
def test_with_one_credential_the_error_is_told_in_the_clients_protocol(
    fault: str, speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    make, statuses = (FAULTS | STREAM_FAULTS)[fault]
    upstream.reply(speech.upstream_path(stream=True), make(speech))
    answer = _ask(gateway, speech, speech.model, stream=True)
    assert answer.status in statuses
    assert answer.whole
    assert answer.header("content-type") == "application/json"
    body = answer.json()
    assert speech.error_message(body)
    assert speech.error_type(body)
    assert b"127.0.0.1" not in answer.body
    row = gateway.row(answer.request_id)
    assert row["status"] == answer.status
    assert row["blame"] != ""


def test_a_refusal_of_the_request_is_not_tried_elsewhere(
    speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    refusal = speech.error(400, "your request makes no sense")
    upstream.reply(speech.upstream_path(speech.pair), refusal)
    answer = _ask(gateway, speech, speech.pair, stream=False)
    assert answer.status == 400
    assert answer.body == refusal.body
    assert len(upstream.requests) == 1
    assert gateway.row(answer.request_id)["blame"] == "request"


def test_when_all_have_run_out_the_client_learns_when_to_return(
    speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    path = speech.upstream_path(speech.pair)
    late, soon = (speech.error(429, "slow down", retry_after=s) for s in ("40", "5"))
    upstream.reply(path, _bad_for_the_first(late, soon))
    answer = _ask(gateway, speech, speech.pair, stream=False)
    assert answer.status == 429
    assert answer.header("retry-after") == "5"
    assert len(upstream.requests) == 2


def test_when_all_keys_are_refused_the_client_is_not_to_blame(
    speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.reply(speech.upstream_path(speech.pair), speech.error(401, "no such key sk-lost"))
    answer = _ask(gateway, speech, speech.pair, stream=False)
    assert answer.status == 503
    assert b"sk-lost" not in answer.body
    assert len(upstream.requests) == 2


def test_each_credential_gets_its_turn(
    speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.reply(speech.upstream_path(speech.pair), speech.plain())
    for _ in range(4):
        assert _ask(gateway, speech, speech.pair, stream=False).status == 200
    turns = [_signature(request) for request in upstream.requests]
    assert len(set(turns)) == 2
    assert turns[:2] == turns[2:]


def test_googles_hint_counts_for_all(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.reply(GEMINI.upstream_path(GEMINI.pair), answers.gemini_error(429))
    answer = _ask(gateway, GEMINI, GEMINI.pair, stream=False)
    assert answer.status == 429
    assert answer.header("retry-after") == "17"


def test_a_kept_connection_that_the_provider_closed_meanwhile(
    speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.reply(speech.upstream_path(), speech.plain())
    for _ in range(3):
        answer = _ask(gateway, speech, speech.model, stream=False)
        assert answer.status == 200
        assert gateway.row(answer.request_id)["attempts"] == 1
        upstream.drop_idle()


# After the first byte

ENDINGS: dict[str, list[Step]] = {"reset": [Reset()], "closed": [Close()], "ended early": []}


def _ask_and_go_on(
    gateway: Gateway,
    upstream: ScriptedUpstream,
    speech: Speech,
    begun: list[bytes],
    *then: Step,
    model: str = "",
) -> Answer:
    """A stream that goes on only when the client has all of its beginning."""
    gate = threading.Event()
    steps: list[Step] = [*begun, WaitFor(gate), *then]
    reply = Reply(body=steps, headers=EVENT_STREAM, framing="chunked")
    upstream.reply(speech.upstream_path(model, stream=True), reply)
    path, body = speech.client_path(model, stream=True), speech.body(model, stream=True)
    with Connection(gateway.port) as client:
        client.send(request_bytes("POST", path, body, [speech.key_header(gateway.key)]))
        client.head()
        client.until(b"".join(begun))
        gate.set()
        return client.rest()


def _told(speech: Speech, tail: bytes) -> str:
    """The message of an error frame, which must have the shape its protocol's clients know."""
    if speech is MESSAGES or speech is RESPONSES:
        assert tail.startswith(b"event: error\ndata: ")
    else:
        assert tail.startswith(b"data: ")
    assert tail.endswith(b"\n\n")
    frame = json.loads(tail.partition(b"data: ")[2])
    if speech is RESPONSES:
        assert frame["type"] == "error"
        return str(frame.get("message") or frame["error"]["message"])
    if speech is MESSAGES:
        assert frame["type"] == "error"
    return str(frame["error"]["message"])


@pytest.mark.parametrize("ending", ENDINGS)
def test_after_the_first_byte_the_stream_ends_with_an_error_and_a_cut(
    ending: str, speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    begun = speech.frames("one two three four")[:3]
    answer = _ask_and_go_on(gateway, upstream, speech, begun, *ENDINGS[ending], model=speech.pair)
    assert answer.status == 200
    assert not answer.whole
    told = _told(speech, answer.body[len(b"".join(begun)) :])
    assert told
    assert "127.0.0.1" not in told
    assert len(upstream.requests) == 1  # what has begun is never begun again
    row = gateway.row(answer.request_id)
    assert (row["status"], row["blame"], row["estimated"]) == (200, "upstream", 1)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_cut_within_a_frame(
    ending: str, speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    """The error must not be glued to half a frame."""
    first, second = speech.frames("one two three four")[:2]
    begun = [first, second[:20]]
    answer = _ask_and_go_on(gateway, upstream, speech, begun, *ENDINGS[ending])
    assert not answer.whole
    tail = answer.body[len(b"".join(begun)) :]
    assert tail.startswith(b"\n\n")
    assert _told(speech, tail.lstrip(b"\n"))


def test_the_providers_own_error_event_passes_as_it_is(
    speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    begun = speech.frames("one two three four")[:3]
    body = speech.error(503, "busy").body
    assert isinstance(body, bytes)
    error = b"data: " + body + b"\n\n"
    if speech is MESSAGES:
        error = b"event: error\n" + error
    if speech is RESPONSES:
        error = (
            b'event: error\ndata: {"type":"error","code":"server_error","message":"busy",'
            b'"param":null,"sequence_number":3}\n\n'
        )
    answer = _ask_and_go_on(gateway, upstream, speech, begun, error)
    assert answer.body == b"".join(begun) + error
    assert gateway.row(answer.request_id)["blame"] != ""


def test_an_error_as_the_first_event_is_tried_elsewhere(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    busy = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error",'
    bad = _stream(busy + b'"message":"busy"}}\n\n')
    upstream.reply(
        MESSAGES.upstream_path(MESSAGES.pair, stream=True),
        _bad_for_the_first(bad, MESSAGES.stream("saved")),
    )
    answer = _ask(gateway, MESSAGES, MESSAGES.pair, stream=True)
    assert answer.body == b"".join(MESSAGES.frames("saved"))


def test_a_large_answer_that_breaks_is_cut(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    body = CHAT.whole("x" * 2_000_000)
    gate = threading.Event()
    steps: list[Step] = [body[:1_000_000], WaitFor(gate), Reset()]
    upstream.reply(
        CHAT.upstream_path(), Reply(body=steps, claimed_length=len(body), keep_alive=False)
    )
    with Connection(gateway.port) as client:
        headers = [CHAT.key_header(gateway.key)]
        client.send(request_bytes("POST", CHAT.client_path(), CHAT.body(), headers))
        assert client.head().status == 200
        client.until(body[:500_000])
        gate.set()
        answer = client.rest()
    assert not answer.whole
    assert body.startswith(answer.body)
    row = gateway.row(answer.request_id)
    assert (row["blame"], row["estimated"]) == ("upstream", 1)
    assert row["output_tokens"] > 0
