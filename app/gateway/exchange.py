"""One client request to its end, and the answer it gets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from app import clock
from app.access.keys import Client, KeyRing
from app.accounting.ledger import UsageRecord
from app.accounting.meter import Meter
from app.config.schema import Config
from app.ir.request import Reasoning, Request
from app.protocols.base import Codec, Operation, Peek
from app.routing.catalog import Candidate, Catalog


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One state of the configuration and what has been built from it.

    An exchange takes it once and never looks again, so that a reload half way changes nothing.
    """

    config: Config
    keys: KeyRing
    catalog: Catalog


class Answer(Protocol):
    """What goes back to the client: ``status``, ``headers``, then the bytes by iterating.

    ``close`` is called exactly once, also when the iteration never began.
    """

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> list[tuple[str, str]]: ...
    def __iter__(self) -> Iterator[bytes]: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class PlainAnswer:
    """An answer that is in hand as a whole."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""

    def __iter__(self) -> Iterator[bytes]:
        yield self.body

    def close(self) -> None:
        """Nothing is held."""


@dataclass(slots=True)
class Exchange:
    """What is known of a request, and what has become of it so far.

    Attributes:
        id: the request id, also the ledger's key.
        started_s: monotonic time of arrival.
        model: the name the client asked for; empty for operations on a stored response.
        stored_id: the stored response an operation is about, else empty.
        headers: the client's, names in lower case.
        query: the client's query string without keys.
        bytes_out: payload bytes handed to the client.
        reasoning: what a suffix of the model's name asked for; it wins over the body.
        request: the client's request in our own form, once an attempt has needed it.
    """

    id: str
    at: datetime
    started_s: float
    client: Client
    codec: Codec
    operation: Operation
    model: str
    peek: Peek
    headers: list[tuple[str, str]]
    query: str
    body: bytes | bytearray
    snapshot: Snapshot
    method: str = "POST"
    stored_id: str = ""
    attempts: int = 0
    candidate: Candidate | None = None
    first_byte_s: float | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    reasoning: Reasoning | None = None
    request: Request | None = None
    meter: Meter = field(init=False)

    def __post_init__(self) -> None:
        self.bytes_in = len(self.body)
        self.meter = Meter(self.codec, self.operation, self.bytes_in)

    def holds_marks(self) -> bool:
        """Whether the history holds what another protocol's provider said through us.

        Its own provider would refuse that; it has to be read and written anew.
        """
        return self.codec.holds_marks(self.body)

    def begin_attempt(self) -> None:
        """Count an attempt whose call is made; one that cannot be made has asked nobody."""
        self.attempts += 1
        self.meter.restart()

    def forget_request(self) -> None:
        """Let go of what no attempt needs any more; a stream may live for an hour."""
        self.body = b""
        self.headers = []
        self.request = None

    def hand_out(self, size: int) -> None:
        """Note that bytes of the answer go to the client now."""
        if self.first_byte_s is None:
            self.first_byte_s = clock.monotonic()
        self.bytes_out += size

    def record(self, status: int, blame: str) -> UsageRecord:
        """What the ledger keeps of this exchange."""
        self.meter.passed_bytes = self.bytes_out
        candidate = self.candidate
        credential = candidate.credential if candidate else None
        return UsageRecord(
            id=self.id,
            at=self.at,
            client_id=self.client.id,
            model=self.model,
            upstream_model=candidate.upstream_model if candidate else "",
            provider=credential.provider_name if credential else "",
            credential_id=credential.id if credential else "",
            protocol=self.codec.name,
            operation=self.operation.value,
            stream=self.peek.stream,
            status=status,
            blame=blame,
            usage=self.meter.usage(),
            attempts=self.attempts,
            ttft_ms=None
            if self.first_byte_s is None
            else (self.first_byte_s - self.started_s) * 1000,
            duration_ms=(clock.monotonic() - self.started_s) * 1000,
            bytes_in=self.bytes_in,
            bytes_out=self.bytes_out,
            answer_id=self.meter.progress.answer_id,
        )
