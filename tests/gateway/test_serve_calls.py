"""What goes to the provider: headers, query, proxy and body of a call."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
import pytest

from app.config.schema import Config
from app.errors import Overloaded
from app.protocols.base import Operation
from tests.fakes import answers
from tests.fakes.upstream import Recorded, Reply, ScriptedUpstream
from tests.gateway.world import World, credential, exchange

DEAD = "http://127.0.0.1:1"


def _sent(
    world: World,
    upstream: ScriptedUpstream,
    *,
    own: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    config: Config | None = None,
    query: str = "",
    proxy_url: str | None = None,
) -> Recorded:
    upstream.reply("*", Reply(body=answers.chat_answer()))
    made = credential("c", f"{upstream.url}/v1", headers=own, proxy_url=proxy_url)
    asked = exchange(made, headers=list((headers or {}).items()), config=config, query=query)
    world.body(asked)
    return upstream.requests[0]


def test_the_operators_headers(world: World, upstream: ScriptedUpstream) -> None:
    own = {"X-Team": "blue", "X-Copy": "$X-Mine", "X-None": "$x-absent", "User-Agent": "ours"}
    sent = _sent(world, upstream, own=own, headers={"x-mine": "7", "user-agent": "theirs"})
    assert sent.header("x-team") == "blue"
    assert sent.header("x-copy") == "7"
    assert sent.header("x-none") is None
    assert [value for name, value in sent.headers if name == "user-agent"] == ["ours"]
    assert sent.header("accept-encoding") == "identity"
    assert sent.header("content-type") == "application/json"


def test_no_header_takes_the_place_of_the_signature(
    world: World, upstream: ScriptedUpstream
) -> None:
    own = {"Authorization": "$authorization"}
    sent = _sent(world, upstream, own=own, headers={"authorization": "Bearer x"})
    assert sent.header("authorization") == "Bearer secret-c"


@pytest.mark.parametrize("given", [None, "2099-01-01"])
def test_a_header_the_provider_needs(
    given: str | None, world: World, upstream: ScriptedUpstream
) -> None:
    upstream.reply("*", Reply(body=answers.messages_answer()))
    headers = [("anthropic-version", given)] if given else []
    made = credential("c", upstream.url, "claude")
    world.body(exchange(made, codec="anthropic_messages", headers=headers))
    assert upstream.requests[0].header("anthropic-version") == (given or "2023-06-01")


@pytest.mark.parametrize("query", ["", "a=1&b=%20"])
def test_the_query_goes_along(query: str, world: World, upstream: ScriptedUpstream) -> None:
    assert _sent(world, upstream, query=query).query == query


@pytest.mark.parametrize(
    ("stream", "query"),
    [(True, "alt=sse"), (True, ""), (True, "$alt=sse&x=1"), (False, "x=1")],
)
def test_a_gemini_client_chooses_the_framing(
    stream: bool, query: str, world: World, upstream: ScriptedUpstream
) -> None:
    body = b"[" + answers.gemini_answer() + b"]"
    upstream.reply("*", Reply(body=body))
    made = credential("c", upstream.url, "gemini")
    asked = exchange(made, codec="gemini_generate", stream=stream, query=query, body=b"{}")
    assert world.body(asked) == body
    assert upstream.requests[0].query == query


@pytest.mark.parametrize("query", ["", "beta=true"])
def test_a_query_behind_the_providers_own(query: str, world: World) -> None:
    """The demo's address has one, in every protocol."""
    made = credential("d", "demo://local", "demo", models={"demo-echo": "demo-echo"})
    body = b'{"model":"demo-echo","messages":[{"role":"user","content":"hi"}]}'
    answer = world.body(exchange(made, model="demo-echo", body=body, query=query))
    assert orjson.loads(answer)["model"] == "demo-echo"
    body = b'{"contents":[{"parts":[{"text":"hi"}]}]}'
    asked = exchange(
        made, codec="gemini_generate", model="demo-echo", body=body, stream=True, query=query
    )
    assert isinstance(orjson.loads(world.body(asked)), list)


@pytest.mark.parametrize(
    ("general", "own", "reached"),
    [("", None, True), (DEAD, None, False), (DEAD, "direct", True), ("", DEAD, False)],
)
def test_the_proxy(
    general: str, own: str | None, reached: bool, world: World, upstream: ScriptedUpstream
) -> None:
    config = Config(proxy_url=general)
    if reached:
        _sent(world, upstream, config=config, proxy_url=own)
    else:
        with pytest.raises(Overloaded):
            _sent(world, upstream, config=config, proxy_url=own)
    assert len(upstream.requests) == reached


def test_the_upstreams_name_of_the_model(world: World, upstream: ScriptedUpstream) -> None:
    upstream.reply("*", Reply(body=answers.chat_answer()))
    made = credential("c", f"{upstream.url}/v1", models={"m": "gpt-\u00fc"})
    world.body(exchange(made, body=b'{ "messages":[],"model" : "m"}'))
    assert upstream.requests[0].body == '{ "messages":[],"model" : "gpt-\u00fc"}'.encode()
    assert world.row().upstream_model == "gpt-\u00fc"


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (b'{"model":"models/m","a":1}', b'{"model":"models/g","a":1}'),
        (b'{"model" :  "models/m"}', b'{"model" :  "models/g"}'),
        (b'{"model":"models/other"}', b'{"model":"models/other"}'),
        (b'{"text":"\\"model\\":\\"models/m\\""}', b'{"text":"\\"model\\":\\"models/m\\""}'),
        (b'{"contents":[]}', b'{"contents":[]}'),
    ],
)
def test_a_gemini_body_that_repeats_the_model(
    body: bytes, sent: bytes, world: World, upstream: ScriptedUpstream
) -> None:
    upstream.reply("*", Reply(body=b'{"totalTokens":3}'))
    made = credential("c", upstream.url, "gemini", models={"m": "g"})
    asked = exchange(made, codec="gemini_generate", operation=Operation.COUNT_TOKENS, body=body)
    world.body(asked)
    assert upstream.requests[0].path == "/v1beta/models/g:countTokens"
    assert upstream.requests[0].body == sent


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("wants", [True, False], ids=["wanted", "unwanted"])
@pytest.mark.parametrize("takes", [True, False], ids=["a host", "a host that refuses"])
def test_usage_is_asked_for(
    stream: bool, wants: bool, takes: bool, world: World, upstream: ScriptedUpstream
) -> None:
    upstream.reply("*", answers.streamed(answers.chat_stream()))
    made = credential("c", f"{upstream.url}/v1", include_usage=takes)
    got = world.body(exchange(made, stream=stream, wants_usage=wants))
    added = stream and takes and not wants
    assert ("stream_options" in upstream.requests[0].json()) is added
    assert (b'"choices":[]' not in got) is added
