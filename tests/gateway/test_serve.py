"""The steps of an exchange: whom to ask, in which order, and what to say when nobody answers."""

from __future__ import annotations

import pytest
from typing_extensions import override

from app.credentials.credential import Credential
from app.errors import (
    ClientError,
    Garbled,
    GatewayError,
    NoCandidate,
    Overloaded,
    QuotaExhausted,
    Rejected,
    UnknownModel,
    Untranslatable,
    UpstreamError,
)
from app.ir.events import Usage
from app.protocols.base import Operation
from app.storage.memory import MemoryLedger
from tests.fakes import answers
from tests.fakes.answers import openai_error as error
from tests.fakes.upstream import EVENT_STREAM, Reply, ScriptedUpstream
from tests.gateway.world import World, credential, exchange

PATH = "/v1/chat/completions"
DEAD = "http://127.0.0.1:1/v1"
"""Nobody listens there."""


def _several(upstream: ScriptedUpstream, *replies: Reply) -> list[Credential]:
    """A credential for each reply, asked in this order."""
    made = []
    for number, reply in enumerate(replies):
        upstream.reply(f"/{number}{PATH}", reply)
        made.append(credential(f"c{number}", f"{upstream.url}/{number}/v1"))
    return made


# The loop over candidates


def test_the_first_that_answers(world: World, upstream: ScriptedUpstream) -> None:
    body = answers.chat_answer()
    credentials = _several(upstream, error(500, "a"), Reply(body=body), error(500, "c"))
    asked = exchange(*credentials)
    assert world.body(asked) == body
    assert [request.path for request in upstream.requests] == [f"/0{PATH}", f"/1{PATH}"]
    row = world.row()
    assert (row.status, row.blame, row.attempts, row.credential_id) == (200, "", 2, "c1")
    assert (asked.body, asked.headers) == (b"", [])


@pytest.mark.parametrize(
    ("replies", "kind", "message"),
    [
        ([(500, "a"), (503, "b")], Overloaded, "b"),
        ([(429, "a"), (500, "b")], QuotaExhausted, "a"),
        ([(429, "a"), (429, "b"), (500, "c")], QuotaExhausted, "b"),
        ([(500, "a"), (401, "b")], Overloaded, "a"),
        ([(401, "a"), (500, "b"), (403, "c")], Overloaded, "b"),
        ([(429, "a"), (401, "b")], QuotaExhausted, "a"),
        ([(401, "a"), (403, "b")], NoCandidate, "the provider refused the gateway's own"),
    ],
    ids=lambda value: "-".join(str(s) for s, _ in value) if isinstance(value, list) else "",
)
def test_what_is_told_when_all_fail(
    replies: list[tuple[int, str]],
    kind: type[GatewayError],
    message: str,
    world: World,
    upstream: ScriptedUpstream,
) -> None:
    credentials = _several(upstream, *(error(status, words) for status, words in replies))
    with pytest.raises(kind, match=message):
        world.serve(exchange(*credentials))
    assert len(upstream.requests) == len(replies)
    row = world.row()
    assert row.attempts == len(replies)
    assert row.usage == Usage()
    blames: dict[type[GatewayError], str] = {Overloaded: "upstream", QuotaExhausted: "model"}
    assert row.blame == blames.get(kind, "credential")


@pytest.mark.parametrize(
    ("waits", "soonest"),
    [(["30", "20"], 20), (["20", "30"], 20), (["30", ""], 30), (["", "5"], 5), (["", ""], None)],
)
def test_the_soonest_return_is_told(
    waits: list[str], soonest: int | None, world: World, upstream: ScriptedUpstream
) -> None:
    replies = [error(429, "slow", retry_after=wait) if wait else error(429) for wait in waits]
    with pytest.raises(QuotaExhausted) as told:
        world.serve(exchange(*_several(upstream, *replies)))
    assert told.value.retry_after_s == soonest


def test_the_soonest_return_of_refused_credentials(
    world: World, upstream: ScriptedUpstream
) -> None:
    replies = [error(403, "a", retry_after="40"), error(401, "b", retry_after="30")]
    with pytest.raises(NoCandidate) as told:
        world.serve(exchange(*_several(upstream, *replies)))
    assert (told.value.kind, told.value.retry_after_s) == ("credential_refused", 30)


def test_a_request_at_fault_is_not_repeated(world: World, upstream: ScriptedUpstream) -> None:
    credentials = _several(upstream, error(500, "a"), error(422, "b"), Reply())
    with pytest.raises(Rejected, match="b"):
        world.serve(exchange(*credentials))
    assert len(upstream.requests) == 2
    assert (world.row().status, world.row().blame) == (422, "request")


def test_a_provider_that_cannot_be_reached(world: World, upstream: ScriptedUpstream) -> None:
    (good,) = _several(upstream, Reply(body=answers.chat_answer()))
    asked = exchange(credential("dead", DEAD), good)
    assert world.body(asked) == answers.chat_answer()
    assert asked.attempts == 2


@pytest.mark.parametrize(
    ("reply", "kind", "message"),
    [
        (Reply(302, headers=[("Location", "/elsewhere")]), Garbled, "redirect"),
        (Reply(200, b"<html>", headers=[("Content-Type", "text/html")]), Garbled, "web page"),
        (Reply(200, b"", headers=EVENT_STREAM), Garbled, "before its first event"),
        (Reply(200, b'{"error":{"message":"late","code":429}}'), QuotaExhausted, "late"),
        (Reply(raw=[b"rubbish\r\n\r\n"]), Garbled, "malformed"),
    ],
    ids=["redirect", "page", "no event", "error in the body", "rubbish"],
)
def test_what_is_no_answer(
    reply: Reply,
    kind: type[UpstreamError],
    message: str,
    world: World,
    upstream: ScriptedUpstream,
) -> None:
    with pytest.raises(kind, match=message):
        world.serve(exchange(*_several(upstream, reply, reply)))
    assert len(upstream.requests) == 2
    assert world.row().blame == kind.blame.value


def test_usage_read_off_a_failed_attempt_is_forgotten(
    world: World, upstream: ScriptedUpstream
) -> None:
    usage = answers.data_frame({"choices": [], "usage": answers.chat_usage(99, 99)})
    broken = Reply(200, b": wait\n\n" + usage[:-2], headers=EVENT_STREAM)
    whole = answers.streamed(answers.chat_stream(prompt=3, completion=4))
    world.body(exchange(*_several(upstream, broken, whole), stream=True))
    assert world.row().usage == Usage(input_tokens=3, output_tokens=4)


# Who is asked


def test_a_model_that_nobody_serves(world: World) -> None:
    with pytest.raises(UnknownModel):
        world.serve(exchange(credential("c", DEAD), model="other"))
    row = world.row()
    assert (row.status, row.blame, row.attempts, row.usage) == (404, "client", 0, Usage())


def test_an_operation_that_the_provider_does_not_have(world: World) -> None:
    asked = exchange(
        credential("c", DEAD, wire_api="responses"), operation=Operation.EMBED, codec="openai_chat"
    )
    with pytest.raises(Untranslatable, match="served by openai"):
        world.serve(asked)
    assert (world.row().status, world.row().blame) == (501, "client")


def test_those_who_speak_the_protocol_come_first(world: World, upstream: ScriptedUpstream) -> None:
    (good,) = _several(upstream, Reply(body=answers.chat_answer()))
    asked = exchange(credential("deaf", DEAD, wire_api="responses"), good)
    assert world.body(asked) == answers.chat_answer()
    assert asked.attempts == 1


class _Knowing(MemoryLedger):
    """Knows one owner of all answers, or cannot be asked."""

    def __init__(self, owner: str | None) -> None:
        super().__init__()
        self._owner = owner

    @override
    def credential_of(self, answer_id: str) -> str | None:
        if self._owner is None:
            raise GatewayError("the database is away")
        return self._owner


@pytest.mark.parametrize(
    ("owner", "order"),
    [("c1", ["c1", "c0", "c2"]), ("gone", ["c0", "c1", "c2"]), (None, ["c0", "c1", "c2"])],
)
def test_who_gave_the_earlier_answer_is_asked_first(
    owner: str | None, order: list[str], upstream: ScriptedUpstream
) -> None:
    upstream.reply("*", error(500, "no"))
    world = World(_Knowing(owner))
    credentials = [credential(f"c{n}", f"{upstream.url}/{n}/v1") for n in range(3)]
    with pytest.raises(Overloaded):
        world.serve(exchange(*credentials, continues="resp_1"))
    keys = [request.header("authorization") for request in upstream.requests]
    assert keys == [f"Bearer secret-{name}" for name in order]
    world.transport.close()


STORED = {"codec": "openai_responses", "operation": Operation.GET_RESPONSE, "model": ""}


def test_a_stored_response_is_looked_for_with_each_credential(
    world: World, upstream: ScriptedUpstream
) -> None:
    body = answers.responses_answer()
    upstream.reply("/0/v1/responses/resp_1", error(404, "not here"))
    upstream.reply("/1/v1/responses/resp_1", Reply(body=body))
    credentials = [credential(f"c{n}", f"{upstream.url}/{n}/v1") for n in range(2)]
    asked = exchange(*credentials, **STORED, stored_id="resp_1", body=b"")  # type: ignore[arg-type]
    asked.method = "GET"
    assert world.body(asked) == body
    assert [request.method for request in upstream.requests] == ["GET", "GET"]
    assert upstream.requests[0].header("content-type") is None


def test_a_stored_response_without_anybody_who_keeps_them(world: World) -> None:
    asked = exchange(credential("c", DEAD, "claude"), **STORED, stored_id="resp_1")  # type: ignore[arg-type]
    with pytest.raises(NoCandidate, match="configured"):
        world.serve(asked)
    assert world.row().blame == "credential"


def test_a_name_that_no_stored_response_can_have(world: World) -> None:
    asked = exchange(credential("c", DEAD), **STORED, stored_id="a/../b")  # type: ignore[arg-type]
    with pytest.raises(ClientError):
        world.serve(asked)
    row = world.row()
    assert (row.status, row.blame, row.usage) == (404, "client", Usage())


def test_a_call_the_provider_does_not_have(world: World) -> None:
    """Nobody has been asked, so nothing is estimated either."""
    asked = exchange(credential("c", DEAD), operation=Operation.BATCH_EMBED)
    with pytest.raises(Untranslatable, match="has no batch_embed"):
        world.serve(asked)
    row = world.row()
    assert (row.credential_id, row.attempts, row.usage) == ("c", 0, Usage())
