"""HTTPS towards clients: the same answers, and the same eye on who leaves."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.e2e.raw import Answer, Connection, request_bytes
from tests.e2e.speech import CHAT, Speech, settings
from tests.fakes.certificates import make_certificate
from tests.fakes.gateway import Gateway
from tests.fakes.script import Step
from tests.fakes.upstream import EVENT_STREAM, Reply, ScriptedUpstream, WaitFor
from tests.fakes.waiting import wait_until

LATENCY_S = 0.050


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where certificate and key are."""
    made = tmp_path_factory.mktemp("tls")
    make_certificate(made)
    return made


@pytest.fixture(scope="module")
def secure(provider: ScriptedUpstream, folder: Path) -> Iterator[Gateway]:
    """A gateway that speaks HTTPS alone."""
    files = {"cert": str(folder / "certificate.pem"), "key": str(folder / "key.pem")}
    with Gateway(settings(provider.url) | {"tls": {"enable": True, **files}}) as running:
        yield running


@pytest.fixture(scope="module")
def context(folder: Path) -> ssl.SSLContext:
    """What trusts that gateway."""
    return ssl.create_default_context(cafile=str(folder / "certificate.pem"))


def _ask(gateway: Gateway, context: ssl.SSLContext, speech: Speech, *, stream: bool) -> Answer:
    path, body = speech.client_path(stream=stream), speech.body(stream=stream)
    with Connection(gateway.port, tls=context) as client:
        client.send(request_bytes("POST", path, body, [speech.key_header(gateway.key)]))
        return client.answer()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_the_same_bytes(
    stream: bool,
    speech: Speech,
    secure: Gateway,
    context: ssl.SSLContext,
    upstream: ScriptedUpstream,
) -> None:
    upstream.reply(
        speech.upstream_path(stream=stream), speech.stream() if stream else speech.plain()
    )
    answer = _ask(secure, context, speech, stream=stream)
    assert answer.whole
    assert answer.body == (b"".join(speech.frames()) if stream else speech.whole())


def test_a_large_body_and_a_large_answer(
    secure: Gateway, context: ssl.SSLContext, upstream: ScriptedUpstream
) -> None:
    whole = CHAT.whole("x" * 2_000_000)
    upstream.reply(CHAT.upstream_path(), Reply(body=whole))
    body = CHAT.body() + b" " * 3_000_000
    with Connection(secure.port, tls=context) as client:
        headers = [CHAT.key_header(secure.key)]
        client.send(request_bytes("POST", CHAT.client_path(), body, headers))
        answer = client.answer()
    assert answer.body == whole
    assert upstream.requests[0].body == body


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_client_that_leaves_is_noticed(
    stream: bool, secure: Gateway, context: ssl.SSLContext, upstream: ScriptedUpstream
) -> None:
    never = threading.Event()
    first = CHAT.frames()[0]
    steps: list[Step] = [first, WaitFor(never)] if stream else [WaitFor(never)]
    upstream.reply(CHAT.upstream_path(), Reply(body=steps, headers=EVENT_STREAM, framing="chunked"))
    request = request_bytes(
        "POST", CHAT.client_path(), CHAT.body(stream=stream), [CHAT.key_header(secure.key)]
    )
    taken: list[float] = []
    while len(taken) < 3 and min(taken, default=1.0) > LATENCY_S:
        upstream.requests.clear()
        with Connection(secure.port, tls=context) as client:
            client.send(request)
            wait_until(lambda: upstream.requests, what="the provider is asked")
            link = upstream.requests[-1].connection
            if stream:
                client.head()
                client.until(first)
            left = client.close()
        wait_until(lambda at=link: upstream.closed_at(at) is not None)  # type: ignore[misc]
        taken.append((upstream.closed_at(link) or 0.0) - left)
    never.set()
    assert min(taken) <= LATENCY_S, taken


def test_an_sdk_over_https(
    secure: Gateway, folder: Path, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.reply(CHAT.upstream_path(), CHAT.stream("one two"))
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "certificate.pem"))
    with openai.OpenAI(api_key=secure.key, base_url=f"{secure.url}/v1", max_retries=0) as client:
        chunks = client.chat.completions.create(
            model=CHAT.model, messages=[{"role": "user", "content": "hi"}], stream=True
        )
        said = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(said) == "one two"


def test_a_stop_ends_idle_secure_connections(
    provider: ScriptedUpstream, folder: Path, context: ssl.SSLContext
) -> None:
    files = {"cert": str(folder / "certificate.pem"), "key": str(folder / "key.pem")}
    config = settings(provider.url) | {"tls": {"enable": True, **files}}
    with Gateway(config) as gateway, Connection(gateway.port, tls=context) as client:
        client.send(request_bytes("GET", "/health"))
        assert client.answer("GET").status == 200
        assert gateway.stop() <= 3.0
        assert "Traceback" not in gateway.log()
