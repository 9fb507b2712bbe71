from __future__ import annotations

from collections.abc import Iterator

import gevent.socket
import pytest

from app.upstream import sockets
from tests.fakes.upstream import ScriptedUpstream
from tests.gateway.world import World


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as server:
        yield server


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.transport.close()


@pytest.fixture
def cooperative(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections to providers as they are in a worker, where gevent has patched the sockets."""
    monkeypatch.setattr(sockets, "socket", gevent.socket)
