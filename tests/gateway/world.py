"""The pipeline with everything real but the provider: what the tests of it share."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import gevent

from app import clock
from app.access.keys import ANONYMOUS, KeyRing
from app.accounting.ledger import UsageRecord
from app.config.schema import Config
from app.credentials.credential import Credential
from app.errors import UpstreamError
from app.gateway.exchange import Answer, Exchange, Snapshot
from app.gateway.relay import Cut
from app.gateway.serve import Pipeline
from app.protocols import CODECS
from app.protocols.base import Operation, Peek
from app.providers import PROVIDERS
from app.providers.demo import Demo
from app.routing.catalog import Catalog
from app.routing.select import Rotation
from app.storage.memory import MemoryLedger, MemorySeals
from app.upstream.fetch import MediaFetcher
from app.upstream.transport import Reply, Transport
from tests.fakes import answers

CHAT = "openai_chat"
EVENTS = [("Content-Type", "text/event-stream")]
BODY = b'{"model":"m","messages":[]}'


def credential(
    credential_id: str,
    base_url: str,
    provider: str = "openai",
    *,
    models: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    proxy_url: str | None = None,
    wire_api: str = "",
    include_usage: bool = True,
) -> Credential:
    """A credential that serves the model ``m``."""
    return Credential(
        id=credential_id,
        provider=Demo() if provider == "demo" else PROVIDERS[provider],
        provider_name=provider,
        secret=f"secret-{credential_id}",
        base_url=base_url,
        label=credential_id,
        models=models or {"m": "m"},
        headers=headers or {},
        proxy_url=proxy_url,
        wire_api=wire_api,
        include_usage=include_usage,
    )


def exchange(
    *credentials: Credential,
    codec: str = CHAT,
    operation: Operation = Operation.GENERATE,
    model: str = "m",
    stream: bool = False,
    wants_usage: bool = True,
    continues: str = "",
    config: Config | None = None,
    headers: Sequence[tuple[str, str]] = (),
    query: str = "",
    body: bytes = BODY,
    stored_id: str = "",
    request_id: str = "request-1",
) -> Exchange:
    """A client's request as it stands when it enters the pipeline."""
    config = config or Config()
    return Exchange(
        id=request_id,
        at=datetime(2026, 11, 21, tzinfo=UTC),
        started_s=clock.monotonic(),
        client=ANONYMOUS,
        codec=CODECS[codec],
        operation=operation,
        model=model,
        peek=Peek(model, stream=stream, wants_usage=wants_usage, continues=continues),
        headers=list(headers),
        query=query,
        body=body,
        snapshot=Snapshot(config, KeyRing(config), Catalog(config, credentials)),
        stored_id=stored_id,
    )


class World:
    """A pipeline and what it writes down."""

    def __init__(self, ledger: MemoryLedger | None = None) -> None:
        self.transport = Transport()
        self.ledger = ledger or MemoryLedger()
        self.pipeline = Pipeline(
            self.transport,
            self.ledger,
            Rotation(),
            fetch=MediaFetcher(allow_private=True).fetch,
            seals=MemorySeals(),
        )

    def serve(self, asked: Exchange) -> Answer:
        return self.pipeline.serve(asked)

    def body(self, asked: Exchange) -> bytes:
        """Serve a request to its end."""
        return taken(self.serve(asked))

    def row(self) -> UsageRecord:
        """The only record there is."""
        (record,) = self.ledger.records()
        return record


class Saved:
    """What a relay has written down, in order."""

    def __init__(self) -> None:
        self.rows: list[UsageRecord] = []

    def __call__(self, asked: Exchange, status: int, blame: str) -> None:
        self.rows.append(asked.record(status, blame))

    @property
    def outcomes(self) -> list[tuple[int, str]]:
        return [(row.status, row.blame) for row in self.rows]


class Scripted:
    """A provider's answer that comes in exactly these pieces; None = nothing came in time."""

    def __init__(self, pieces: Iterable[bytes | Exception | None]) -> None:
        self._pieces = iter(pieces)
        self.closed = 0

    def read(self, wait_s: float | None = None) -> bytes | None:
        piece = next(self._pieces, b"")
        if isinstance(piece, Exception):
            raise piece
        assert piece is not None or wait_s is not None, "nobody waits with a limit"
        return piece

    def close(self) -> None:
        self.closed += 1


def reply(
    *pieces: bytes | Exception | None,
    headers: Sequence[tuple[str, str]] = EVENTS,
    status: int = 200,
) -> Reply:
    """An answer whose pieces are known."""
    return Reply(status, "OK", list(headers), Scripted(pieces))


def is_closed(answer: Reply) -> bool:
    raw: Any = answer._raw
    return bool(raw.closed)


def taken(answer: Answer) -> bytes:
    """All of an answer, taken as a server takes it."""
    try:
        return b"".join(answer)
    finally:
        answer.close()


def taken_until_cut(answer: Answer) -> tuple[bytes, UpstreamError]:
    """What comes of an answer that breaks, and why it broke."""
    got: list[bytes] = []
    reason: BaseException | None = None
    try:
        for piece in answer:
            got.append(piece)
    except Cut as cut:
        reason = cut.__cause__
    finally:
        answer.close()
    assert isinstance(reason, UpstreamError), f"the answer was whole: {got!r}"
    return b"".join(got), reason


def gwait(predicate: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Let other greenlets run until something is true."""
    with contextlib.suppress(gevent.Timeout), gevent.Timeout(timeout_s):
        while not predicate():
            gevent.sleep(0.001)
    assert predicate()


def error_documents() -> list[tuple[str, bytes]]:
    """Errors as providers word them, each in one line and indented, with the codec's name."""
    found: list[tuple[str, bytes]] = []
    for name in CODECS:
        make = {
            "anthropic_messages": answers.anthropic_error(529, "overloaded"),
            "gemini_generate": answers.gemini_error(429, "quota"),
        }.get(name, answers.openai_error(429, "slow down"))
        assert isinstance(make.body, bytes)
        found.append((name, make.body))
        found.append((name, json.dumps(json.loads(make.body), indent=2).encode() + b"\n"))
    return found
