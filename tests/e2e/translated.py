"""One gateway, the official SDKs and a strict upstream, for what is told in another protocol."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.matrix.answering import told
from tests.e2e.matrix.reading import Sdks, clients
from tests.e2e.matrix.talk import PROTOCOLS, Pair, Tell
from tests.e2e.raw import Answer, ask
from tests.e2e.speech import Speech
from tests.e2e.test_matrix import SPEECH, settings
from tests.fakes.gateway import Gateway
from tests.fakes.strict.upstream import StrictUpstream, protocol_of
from tests.fakes.upstream import Recorded, Reply


@dataclass(frozen=True, slots=True)
class Stage:
    """Who plays in a test.

    Attributes:
        upstream: refuses what the real service refuses.
    """

    upstream: StrictUpstream
    gateway: Gateway
    sdks: Sdks

    def script(self, *replies: Reply | Callable[[Recorded], Reply]) -> None:
        """Forget earlier exchanges and set the next answers."""
        self.upstream.requests.clear()
        self.upstream.complaints.clear()
        self.upstream.reply("*", *replies)

    def tells(self, upstream: str, *tells: Tell) -> None:
        """Set the next answers of a protocol, each streamed or whole as it is asked for."""
        self.script(*(answering(upstream, tell) for tell in tells))

    def heard(self, upstream: str) -> list[Any]:
        """The bodies of the generating requests, all of one protocol and none refused."""
        assert [str(complaint) for complaint in self.upstream.complaints] == []
        name = SPEECH[upstream].name
        assert {protocol_of(seen.path) for seen in self.upstream.requests} == {name}
        return [seen.json() for seen in self.upstream.requests]

    def post(self, client: str, path: str, body: object) -> Answer:
        """Ask without an SDK, to see the bytes and the headers."""
        speech: Speech = SPEECH[client]
        headers = [speech.key_header(self.gateway.key)]
        return ask(self.gateway.port, "POST", path, json.dumps(body).encode(), headers)

    def generate(self, client: str, model: str, *, stream: bool = False) -> Answer:
        """A small request without an SDK."""
        speech: Speech = SPEECH[client]
        path = speech.client_path(model, stream=stream)
        return self.post(client, path, speech.request(model, stream))

    def last_row(self, answer: Answer) -> dict[str, Any]:
        """The ledger's row of an answer."""
        return self.gateway.row(answer.request_id)


def answering(upstream: str, tell: Tell) -> Callable[[Recorded], Reply]:
    """An answer that is streamed when the request says so."""

    def reply(request: Recorded) -> Reply:
        streams = request.path.endswith(":streamGenerateContent") or b'"stream":true' in (
            request.body.replace(b" ", b"")
        )
        return told(tell, Pair(upstream, upstream, streams))

    return reply


@contextlib.contextmanager
def staged(workers: int = 1, **more: Any) -> Iterator[Stage]:
    """Start everything; ``more`` are settings, underscores for dashes."""
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(StrictUpstream())
        config = settings(upstream.url)
        config |= {name.replace("_", "-"): value for name, value in more.items()}
        gateway = stack.enter_context(Gateway(config, workers=workers))
        sdks = stack.enter_context(clients(gateway.url, gateway.key))
        yield Stage(upstream, gateway, sdks)


def others(client: str) -> pytest.MarkDecorator:
    """A test's upstream, each of the other protocols in turn."""
    names = [name for name in PROTOCOLS if name != client]
    return pytest.mark.parametrize("upstream", names)


def cross_pairs() -> pytest.MarkDecorator:
    """A test's client and upstream, each of the twelve pairs in turn."""
    pairs = [(one, other) for one in PROTOCOLS for other in PROTOCOLS if one != other]
    return pytest.mark.parametrize(("client", "upstream"), pairs)
