from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api.world import Front
from tests.fakes.upstream import ScriptedUpstream
from tests.gateway.world import credential


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as server:
        yield server


@pytest.fixture
def front(upstream: ScriptedUpstream) -> Iterator[Front]:
    """One credential for each of the three providers, each of which serves a model of its own."""
    made = Front(
        credential("o", f"{upstream.url}/v1", models={"m": "m"}),
        credential("a", upstream.url, "claude", models={"c": "c"}),
        credential("g", upstream.url, "gemini", models={"g": "g", "org/g": "org/g"}),
    )
    yield made
    made.close()
