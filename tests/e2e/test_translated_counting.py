"""Counting, suffixes, old completions, pictures by address, losses, and what outlives a worker."""

from __future__ import annotations

import base64
import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.e2e.matrix.cases import PIXEL
from tests.e2e.matrix.talk import PROTOCOLS, Call, Tell, Thought, Used
from tests.e2e.raw import Connection, request_bytes
from tests.e2e.test_matrix import MODELS, SPEECH
from tests.e2e.test_sdk_features import SKU, THOUGHT, USED
from tests.e2e.translated import Stage, answering, staged
from tests.fakes.answers import dumps
from tests.fakes.upstream import Reply, ScriptedUpstream
from tests.fakes.waiting import wait_until

BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
TURN: Any = [{"role": "user", "content": "How many A7?"}]
COUNTERS = [
    (client, upstream)
    for client in ("responses", "claude", "gemini")
    for upstream in ("responses", "claude", "gemini")
    if client != upstream
]
counting = pytest.mark.parametrize(("client", "upstream"), COUNTERS)


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with staged(fetch_private_addresses=True) as running:
        yield running


# Counting


def _count(stage: Stage, client: str, model: str) -> tuple[int, Any]:
    """The count as the SDK has it, and the answer's headers."""
    match client:
        case "responses":
            raw = stage.sdks.openai.responses.input_tokens.with_raw_response.count(
                model=model, input="How many A7?"
            )
            return raw.parse().input_tokens, raw.headers
        case "claude":
            reply = stage.sdks.anthropic.messages.with_raw_response.count_tokens(
                model=model, messages=TURN
            )
            return reply.parse().input_tokens, reply.headers
        case _:
            found = stage.sdks.google.models.count_tokens(model=model, contents="How many A7?")
            assert found.sdk_http_response is not None
            return found.total_tokens or 0, found.sdk_http_response.headers or {}


def _counted(upstream: str, number: int) -> Reply:
    body = {"totalTokens": number} if upstream == "gemini" else {"input_tokens": number}
    return Reply(body=dumps(body))


@counting
def test_a_provider_that_counts_is_asked(stage: Stage, client: str, upstream: str) -> None:
    stage.script(_counted(upstream, 4321))
    count, headers = _count(stage, client, f"via-{upstream}")
    assert count == 4321
    assert "x-aiproxy-estimate" not in {name.lower() for name in headers}
    (seen,) = stage.upstream.requests
    endings = {"responses": "/responses/input_tokens", "claude": "/messages/count_tokens"}
    assert seen.path.endswith(endings.get(upstream, ":countTokens"))
    body = seen.json()
    assert "How many A7?" in json.dumps(body)
    assert MODELS[f"via-{upstream}"] in json.dumps(body)
    for refused in ("max_tokens", "max_output_tokens", "stream", "store"):
        assert refused not in body


@pytest.mark.parametrize("client", ["responses", "claude", "gemini"])
def test_for_one_that_does_not_we_estimate(stage: Stage, client: str) -> None:
    stage.script()
    count, headers = _count(stage, client, "via-chat")
    assert 5 < count < 30
    found = {name.lower(): value for name, value in headers.items()}
    assert found["x-aiproxy-estimate"] == "true"
    assert stage.upstream.requests == []
    row = stage.gateway.row(found["x-aiproxy-request-id"])
    assert (row["operation"], row["status"], row["input_tokens"]) == ("count_tokens", 200, 0)


@counting
def test_for_a_host_without_the_endpoint_we_estimate(
    stage: Stage, client: str, upstream: str
) -> None:
    stage.script(Reply(404, b'{"detail":"Not Found"}'))
    count, headers = _count(stage, client, f"via-{upstream}")
    assert 5 < count < 30
    assert "x-aiproxy-estimate" in {name.lower() for name in headers}


# Losses


def test_what_was_lost_is_named(stage: Stage) -> None:
    stage.tells("claude", Tell())
    body = {"model": "via-claude", "messages": TURN, "seed": 7, "logit_bias": {"50256": -100}}
    answer = stage.post("chat", "/v1/chat/completions", body)
    assert answer.status == 200
    names = (answer.header("x-aiproxy-loss") or "").split(", ")
    assert "seed" in names
    assert "logit_bias" in names
    assert names == sorted(names)
    assert "losses=" in stage.gateway.log()


def test_where_nothing_was_lost_no_header_says_so(stage: Stage) -> None:
    stage.tells("claude", Tell())
    assert stage.generate("chat", "via-claude").header("x-aiproxy-loss") is None


# Thinking by the model's name


THINKING: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("(high)", {"reasoning_effort": "high"}),
    "responses": ("(high)", {"effort": "high"}),
    "claude": ("(8192)", {"type": "enabled", "budget_tokens": 8192}),
    "gemini": ("(8192)", {"thinkingBudget": 8192}),
}


def _thinking(upstream: str, body: Any) -> Any:
    """Where each protocol says how much to think."""
    match upstream:
        case "chat":
            return {"reasoning_effort": body.get("reasoning_effort")}
        case "responses":
            return body.get("reasoning")
        case "claude":
            return body.get("thinking")
        case _:
            return body["generationConfig"].get("thinkingConfig")


@BOTH
@pytest.mark.parametrize("upstream", PROTOCOLS)
@pytest.mark.parametrize("client", PROTOCOLS)
def test_a_suffix_says_how_much_to_think(
    stage: Stage, client: str, upstream: str, stream: bool
) -> None:
    suffix, expected = THINKING[upstream]
    name = f"via-{upstream}-new" if upstream in ("chat", "responses") else f"via-{upstream}"
    stage.tells(upstream, Tell())
    speech = SPEECH[client]
    asked = speech.request(name + suffix, stream)
    if client == "claude":
        asked["max_tokens"] = 20_000  # thinking has to fit in
    answer = stage.post(client, speech.client_path(name + suffix, stream=stream), asked)
    assert answer.status == 200, answer.body
    (body,) = stage.heard(upstream)
    found = _thinking(upstream, body)
    assert {key: found.get(key) for key in expected} == expected
    if upstream != "gemini":
        assert body["model"] == MODELS[name]
    row = stage.last_row(answer)
    assert (row["status"], row["upstream_model"]) == (200, MODELS[name])


# Completions of old


@BOTH
@pytest.mark.parametrize("upstream", ["claude", "gemini", "responses"])
def test_an_old_completion(stage: Stage, upstream: str, stream: bool) -> None:
    stage.tells(upstream, Tell(("one two three",)))
    asked: Any = {"model": f"via-{upstream}", "prompt": "Count to three", "max_tokens": 50}
    create: Any = stage.sdks.openai.completions.create
    if stream:
        chunks = list(create(**asked, stream=True, stream_options={"include_usage": True}))
        assert {chunk.object for chunk in chunks} == {"text_completion"}
        assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == (
            "one two three"
        )
        reasons = [c.choices[0].finish_reason for c in chunks if c.choices]
        assert [reason for reason in reasons if reason] == ["stop"]
        usage = chunks[-1].usage
    else:
        answer = create(**asked)
        assert answer.object == "text_completion"
        assert answer.model == f"via-{upstream}"
        assert answer.choices[0].text == "one two three"
        assert answer.choices[0].finish_reason == "stop"
        usage = answer.usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (21, 9)
    (body,) = stage.heard(upstream)
    assert "Count to three" in json.dumps(body)


# Pictures that only have an address


@pytest.fixture
def pictures() -> Iterator[ScriptedUpstream]:
    """A server with one picture, on an address that is nobody else's to read."""
    with ScriptedUpstream() as server:
        png = base64.b64decode(PIXEL)
        server.reply("/pixel.png", Reply(body=png, headers=[("Content-Type", "image/png")]))
        yield server


def _shows(url: str) -> Any:
    image = {"type": "image_url", "image_url": {"url": url}}
    return [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, image]}]


@BOTH
def test_a_picture_is_fetched_for_gemini(
    stage: Stage, pictures: ScriptedUpstream, stream: bool
) -> None:
    stage.tells("gemini", Tell())
    messages = _shows(f"{pictures.url}/pixel.png")
    body = {"model": "via-gemini", "messages": messages, "stream": stream}
    assert stage.post("chat", "/v1/chat/completions", body).status == 200
    (heard,) = stage.heard("gemini")
    assert PIXEL in json.dumps(heard)
    (seen,) = pictures.requests
    assert seen.header("authorization") is None
    assert stage.gateway.key not in str(seen.headers)


def test_a_picture_that_is_not_there_is_the_client_s_fault(
    stage: Stage, pictures: ScriptedUpstream
) -> None:
    stage.script()
    with pytest.raises(openai.BadRequestError) as caught:
        stage.sdks.openai.chat.completions.create(
            model="via-gemini", messages=_shows(f"{pictures.url}/none.png")
        )
    assert "404" in str(caught.value)
    assert stage.upstream.requests == []


# What outlives a worker


@pytest.fixture
def pair() -> Iterator[Stage]:
    """Two workers, and nothing may be fetched from private addresses."""
    with staged(workers=2) as running:
        wait_until(lambda: len(running.gateway.worker_pids()) == 2)
        yield running


def _talk(stage: Stage, upstream: str, history: Any) -> Any:
    """One turn over a connection of its own, so that any worker may get it."""
    tools = [{"type": "function", "function": {"name": "lookup_stock", "parameters": SKU}}]
    body = {"model": f"via-{upstream}-new", "messages": history, "tools": tools}
    answer = stage.post("chat", "/v1/chat/completions", body | {"reasoning_effort": "high"})
    assert answer.status == 200, answer.body
    return json.loads(answer.body)["choices"][0]["message"]


def _bare(message: Any) -> Any:
    """The message as a client sends it back that knows no extra members."""
    calls = [
        {key: call[key] for key in ("id", "type", "function")} for call in message["tool_calls"]
    ]
    return {"role": "assistant", "content": message["content"], "tool_calls": calls}


def _restart(stage: Stage) -> None:
    """Kill both workers without a word; the master makes new ones."""
    before = stage.gateway.worker_pids()
    for pid in before:
        os.kill(pid, signal.SIGKILL)

    def is_whole_again() -> bool:
        pids = stage.gateway.worker_pids()
        return len(pids) == 2 and not set(pids) & set(before)

    wait_until(is_whole_again, 20, "other workers take their place")


@pytest.mark.time_limit(90)
def test_reasoning_goes_on_with_another_worker_and_after_a_crash(
    pair: Stage, pictures: ScriptedUpstream
) -> None:
    histories: dict[str, Any] = {}
    rows: list[str] = []
    for upstream in ("claude", "responses"):
        call = Call(f"call_lives_{upstream}", "lookup_stock", '{"sku": "A7"}')
        pair.tells(upstream, Tell((Thought(THOUGHT), call), "calls", USED))
        message = _talk(pair, upstream, TURN)
        result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "14"}
        histories[upstream] = [*TURN, _bare(message), result]
        pair.tells(upstream, *[Tell(("14.",))] * 8)
        for _ in range(8):  # whoever takes them, both workers have the thought
            assert _talk(pair, upstream, histories[upstream])["content"] == "14."
        assert all(_thought_is_in(body) for body in pair.heard(upstream))
    rows += [row["id"] for row in pair.gateway.ledger_rows()]
    _restart(pair)
    for upstream, history in histories.items():
        pair.tells(upstream, Tell(("14.",)))
        assert _talk(pair, upstream, history)["content"] == "14."
        assert all(_thought_is_in(body) for body in pair.heard(upstream))
    assert set(rows) < {row["id"] for row in pair.gateway.ledger_rows()}
    # Without the setting nobody's own network is read.
    pair.script()
    with pytest.raises(openai.BadRequestError):
        pair.sdks.openai.chat.completions.create(
            model="via-gemini", messages=_shows(f"{pictures.url}/pixel.png")
        )
    assert pictures.requests == []
    assert pair.upstream.requests == []


def _thought_is_in(body: Any) -> bool:
    text = json.dumps(body)
    return '"signature"' in text or '"encrypted_content"' in text


@pytest.mark.time_limit(60)
@BOTH
def test_a_translated_answer_seen_whole_has_its_row_whatever_dies(
    pair: Stage, stream: bool
) -> None:
    """Every worker is killed in the moment the last byte has come."""
    tell = Tell(("one two three",), used=Used(40, 0, 0, 19))
    for client, upstream in (("claude", "chat"), ("chat", "claude"), ("responses", "gemini")):
        pair.upstream.reply("*", answering(upstream, tell))
        speech = SPEECH[client]
        path = speech.client_path(stream=stream)
        body = dumps(speech.request(f"via-{upstream}", stream))
        with Connection(pair.gateway.port) as connection:
            headers = [speech.key_header(pair.gateway.key)]
            connection.send(request_bytes("POST", path, body, headers))
            answer = connection.answer()
            pids = pair.gateway.worker_pids()
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
        assert answer.whole
        rows = [row for row in pair.gateway.ledger_rows() if row["id"] == answer.request_id]
        assert [(row["status"], row["output_tokens"]) for row in rows] == [(200, 19)]
        wait_until(
            lambda pids=pids: len(set(pair.gateway.worker_pids()) - set(pids)) == 2,  # type: ignore[misc]
            20,
            "other workers take their place",
        )
