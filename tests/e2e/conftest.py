"""One gateway and one scripted provider for all tests that can share them."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import openai
import pytest
from google import genai
from google.genai import types as genai_types

from tests.e2e.speech import ALL, Speech, settings
from tests.fakes.gateway import Gateway
from tests.fakes.upstream import Reply, ScriptedUpstream


@pytest.fixture(scope="session")
def provider() -> Iterator[ScriptedUpstream]:
    """The scripted provider behind every shared gateway; tests use ``upstream``."""
    with ScriptedUpstream() as server:
        yield server


@pytest.fixture
def upstream(provider: ScriptedUpstream) -> ScriptedUpstream:
    """The scripted provider without the scripts and records of earlier tests."""
    provider.reply("*", Reply(404, b'{"error":{"message":"no script","type":"test"}}'))
    provider.requests.clear()
    return provider


@pytest.fixture(scope="session")
def gateway(provider: ScriptedUpstream) -> Iterator[Gateway]:
    """One worker with the default limits."""
    with Gateway(settings(provider.url) | {"body-limit-mb": 8}) as running:
        yield running


@pytest.fixture(scope="session")
def hasty(provider: ScriptedUpstream) -> Iterator[Gateway]:
    """One worker that waits for nobody, and sends no heartbeat."""
    limits = {
        "connect-timeout": 0.4,
        "first-byte-timeout": 0.4,
        "idle-timeout": 0.4,
        "client-timeout": 0.6,
        "body-limit-mb": 64,
        "streaming": {"keepalive-seconds": 0},
    }
    with Gateway(settings(provider.url) | limits) as running:
        yield running


@pytest.fixture(scope="session")
def beating(provider: ScriptedUpstream) -> Iterator[Gateway]:
    """One worker that sends heartbeats soon."""
    beats = {"streaming": {"keepalive-seconds": 0.3}, "nonstream-keepalive-interval": 0.3}
    with Gateway(settings(provider.url) | beats) as running:
        yield running


@pytest.fixture(params=ALL, ids=lambda speech: speech.name)
def speech(request: pytest.FixtureRequest) -> Speech:
    """Each protocol in turn."""
    found: Speech = request.param
    return found


@pytest.fixture
def openai_client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    """The official OpenAI client, pointed at the gateway."""
    with openai.OpenAI(
        api_key=gateway.key, base_url=f"{gateway.url}/v1", max_retries=0, timeout=20
    ) as client:
        yield client


@pytest.fixture
def anthropic_client(gateway: Gateway) -> Iterator[anthropic.Anthropic]:
    """The official Anthropic client, pointed at the gateway."""
    with anthropic.Anthropic(
        api_key=gateway.key, base_url=gateway.url, max_retries=0, timeout=20
    ) as client:
        yield client


@pytest.fixture
def genai_client(gateway: Gateway) -> Iterator[genai.Client]:
    """The official Gemini client, pointed at the gateway."""
    client = genai.Client(
        api_key=gateway.key,
        http_options=genai_types.HttpOptions(
            base_url=gateway.url,
            timeout=20_000,
            retry_options=genai_types.HttpRetryOptions(attempts=1),
        ),
    )
    yield client
    client.close()
