"""The steps of an exchange in order, and the loop over candidates."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import gevent

from app.accounting.ledger import Ledger
from app.errors import (
    Blame,
    CredentialRefused,
    Garbled,
    GatewayError,
    NoCandidate,
    QuotaExhausted,
    UnknownModel,
    Untranslatable,
    UpstreamError,
)
from app.gateway.asking import Fetch
from app.gateway.call import relayed_call
from app.gateway.exchange import Answer, Exchange
from app.gateway.memory import SealStore
from app.gateway.refusal import blame_of, late_failure, shown_status
from app.gateway.relay import ArrayRelay, Cut, Relayed, StreamRelay, WholeRelay, refusal
from app.gateway.translator import TRANSLATED, Translator
from app.ir.reasoning import split_suffix
from app.protocols.base import Codec, Operation
from app.routing.catalog import Candidate, Route
from app.routing.select import Rotation
from app.upstream.transport import Reply, Transport

_log = logging.getLogger(__name__)

_ERROR_LIMIT = 1024 * 1024

Relay = Relayed


class ClientGone(gevent.GreenletExit):
    """The client closed its connection; thrown into the greenlet that serves it."""


class Pipeline:
    """Takes an authenticated exchange to its answer."""

    def __init__(
        self,
        transport: Transport,
        ledger: Ledger,
        rotation: Rotation,
        *,
        fetch: Fetch,
        seals: SealStore,
    ) -> None:
        self._transport = transport
        self._ledger = ledger
        self._rotation = rotation
        self._translator = Translator(transport, self.save, fetch=fetch, seals=seals)

    def serve(self, exchange: Exchange) -> Answer:
        """Ask the candidates one after the other until one has its first event in hand.

        Raises:
            GatewayError: none could; it is in the ledger already.
        """
        try:
            candidates = self._candidates(exchange)
            return self._wait(exchange, candidates)
        except GatewayError as error:
            self.save(exchange, shown_status(exchange.codec, error), blame_of(error))
            raise
        except ClientGone:
            self.save(exchange, 499, "")
            raise

    def save(self, exchange: Exchange, status: int, blame: str) -> None:
        """Write an exchange down; returns when that is safe."""
        self._ledger.save(exchange.record(status, blame))

    def _candidates(self, exchange: Exchange) -> Sequence[Candidate]:
        catalog = exchange.snapshot.catalog
        if exchange.stored_id:
            able: Sequence[Candidate] = _keepers(catalog.of_protocol(exchange.codec.name))
        else:
            ordered = self._rotation.order(self._route(exchange))
            able = [each for each in ordered if _speaks(each, exchange.codec)]
            if exchange.operation in TRANSLATED and len(able) < len(ordered):
                able = sorted(ordered, key=lambda each: _reluctance(each, exchange.codec))
            if ordered and not able:
                provider = ordered[0].credential.provider_name
                raise Untranslatable(
                    f"the model {exchange.model!r} is served by {provider}, which has no "
                    f"{exchange.operation.value} in this protocol",
                    status=501,
                )
        if not able:
            raise NoCandidate("no credential is configured for this")
        return self._owner_first(exchange, able)

    def _route(self, exchange: Exchange) -> Route:
        """Where the model leads; a name nobody has may be one with a thinking suffix."""
        catalog = exchange.snapshot.catalog
        try:
            return catalog.resolve(exchange.model)
        except UnknownModel:
            base, exchange.reasoning = split_suffix(exchange.model)
            if exchange.reasoning is None:
                raise
            return catalog.resolve(base)

    def _owner_first(
        self, exchange: Exchange, candidates: Sequence[Candidate]
    ) -> Sequence[Candidate]:
        """Put the credential that gave an earlier answer first: only it can go on with it."""
        earlier = exchange.stored_id or exchange.peek.continues
        if not earlier or len(candidates) < 2:
            return candidates
        try:
            owner = self._ledger.credential_of(earlier)
        except GatewayError:  # the database is away: any order is as good as another
            return candidates
        return sorted(candidates, key=lambda candidate: candidate.credential.id != owner)

    def _wait(self, exchange: Exchange, candidates: Sequence[Candidate]) -> Answer:
        """Wait for the first event, in silence for a while, then with heartbeats."""
        config = exchange.snapshot.config
        grace_s = (
            config.streaming.keepalive_seconds
            if exchange.peek.stream
            else config.nonstream_keepalive_interval
        )
        if grace_s <= 0:
            return self._attempt_all(exchange, candidates)
        attempts = gevent.spawn(self._outcome, exchange, candidates)
        try:
            outcome = attempts.get(timeout=grace_s)
        except gevent.Timeout:
            return LateAnswer(self, exchange, attempts, grace_s)
        except BaseException:
            _abandon(attempts)
            raise
        if isinstance(outcome, GatewayError):
            raise outcome
        return outcome

    def _outcome(self, exchange: Exchange, candidates: Sequence[Candidate]) -> Relay | GatewayError:
        try:
            return self._attempt_all(exchange, candidates)
        except GatewayError as error:
            return error

    def _attempt_all(self, exchange: Exchange, candidates: Sequence[Candidate]) -> Relay:
        failures: list[UpstreamError] = []
        unsayable: Untranslatable | None = None
        for candidate in candidates:
            try:
                return self._attempt(exchange, candidate)
            except Untranslatable as error:  # another provider may have words for it
                unsayable = unsayable or error
            except UpstreamError as error:
                self._note(exchange, candidate, error)
                if error.blame is Blame.REQUEST and not _may_be_elsewhere(exchange, error):
                    raise
                failures.append(error)
        raise _verdict(failures) if failures or unsayable is None else unsayable

    def _note(self, exchange: Exchange, candidate: Candidate, error: UpstreamError) -> None:
        _log.warning(
            "attempt failed request=%s provider=%s credential=%s model=%s "
            "blame=%s kind=%s status=%s",
            exchange.id,
            candidate.credential.provider_name,
            candidate.credential.id,
            candidate.upstream_model,
            error.blame.value,
            error.kind,
            error.reply.status if error.reply else error.status,
        )

    def _attempt(self, exchange: Exchange, candidate: Candidate) -> Relay:
        exchange.candidate = candidate
        if _speaks(candidate, exchange.codec) and not _must_be_rewritten(exchange):
            relay = self._ask_alike(exchange, candidate)
        else:
            relay = self._translator.ask(exchange, candidate)
        try:
            relay.begin()
        except BaseException as error:
            relay.let_go()
            if isinstance(error, UpstreamError) and error.reply is not None:
                exchange.meter.forget()
            raise
        exchange.forget_request()
        return relay

    def _ask_alike(self, exchange: Exchange, candidate: Candidate) -> Relay:
        drop_usage = _must_ask_for_usage(exchange, candidate)
        call = relayed_call(exchange, candidate, ask_usage=drop_usage)
        exchange.begin_attempt()
        reply = self._transport.send(call)
        try:
            return self._relay(exchange, candidate, reply, drop_usage=drop_usage)
        except BaseException:
            reply.close()
            raise

    def _relay(
        self, exchange: Exchange, candidate: Candidate, reply: Reply, *, drop_usage: bool
    ) -> Relay:
        if reply.status >= 300:
            exchange.meter.forget()
            raise refusal(candidate, reply)
        content_type = reply.get("content-type").lower()
        if content_type.startswith("text/event-stream"):
            return StreamRelay(exchange, reply, self.save, drop_usage=drop_usage)
        if content_type.startswith("text/html"):
            raise Garbled("the provider answered with a web page")
        if (
            exchange.peek.stream
            and exchange.codec.model_in_path
            and "alt=sse" not in exchange.query
        ):
            return ArrayRelay(exchange, reply, self.save)
        return WholeRelay(exchange, reply, self.save)


class LateAnswer:
    """Status 200 and heartbeats while no candidate has answered yet.

    A failure can no longer have a status of its own; it is told in the body.
    """

    status = 200

    def __init__(
        self,
        pipeline: Pipeline,
        exchange: Exchange,
        attempts: gevent.Greenlet[..., Relay | GatewayError],
        interval_s: float,
    ) -> None:
        self._pipeline = pipeline
        self._exchange = exchange
        self._attempts = attempts
        self._interval_s = interval_s
        self._relay: Relay | None = None
        self._failed = False
        is_array = exchange.codec.model_in_path and "alt=sse" not in exchange.query
        self._is_events = exchange.peek.stream and not is_array
        if self._is_events:
            kind, self._beat = "text/event-stream; charset=utf-8", exchange.codec.heartbeat
        else:
            kind, self._beat = "application/json", b"\n"
        self.headers = [
            ("Content-Type", kind),
            ("Cache-Control", "no-cache"),
            ("X-Accel-Buffering", "no"),
        ]

    def __iter__(self) -> Iterator[bytes]:
        yield self._beat
        while True:
            try:
                outcome = self._attempts.get(timeout=self._interval_s)
                break
            except gevent.Timeout:
                yield self._beat
        if isinstance(outcome, GatewayError):
            self._failed = True
            self._pipeline.save(self._exchange, 200, blame_of(outcome))
            exchange = self._exchange
            yield late_failure(exchange.codec, outcome, exchange.id, stream=self._is_events)
            if self._exchange.peek.stream:
                raise Cut from outcome
            return
        self._relay = outcome
        yield from outcome

    def close(self) -> None:
        """Stop whatever still runs, and write the exchange down if nobody has."""
        if self._relay is not None:
            self._relay.close()
        elif not self._failed:
            _abandon(self._attempts)
            self._pipeline.save(self._exchange, 499, "")


def _abandon(attempts: gevent.Greenlet[..., Relay | GatewayError]) -> None:
    """Stop asking candidates; an answer that comes all the same is closed at once."""

    def let_go(finished: gevent.Greenlet[..., Relay | GatewayError]) -> None:
        if isinstance(finished.value, Relayed):
            finished.value.let_go()

    attempts.link_value(let_go)
    attempts.kill(block=False)


def _must_ask_for_usage(exchange: Exchange, candidate: Candidate) -> bool:
    peek = exchange.peek
    return (
        peek.stream
        and not peek.wants_usage
        and candidate.credential.include_usage
        and exchange.operation in (Operation.GENERATE, Operation.COMPLETE)
        and exchange.codec.name == "openai_chat"
    )


def _speaks(candidate: Candidate, codec: Codec) -> bool:
    credential = candidate.credential
    return codec.name in credential.provider.protocols(credential)


def _must_be_rewritten(exchange: Exchange) -> bool:
    """Whether even a provider of the client's own protocol cannot be given the client's bytes."""
    if exchange.operation not in TRANSLATED:
        return False
    return exchange.reasoning is not None or exchange.holds_marks()


def _reluctance(candidate: Candidate, codec: Codec) -> tuple[int, bool]:
    """Among credentials of equal priority those are asked first that need no translation."""
    return -candidate.credential.priority, not _speaks(candidate, codec)


def _keepers(candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    """Those that keep answers; the demo does not, and only speaks where there is no other."""
    real = [each for each in candidates if each.credential.provider_name != "demo"]
    return real or candidates


def _may_be_elsewhere(exchange: Exchange, error: UpstreamError) -> bool:
    """A stored response lives with one credential; the others say 404."""
    return bool(exchange.stored_id) and error.status == 404


def _verdict(failures: Sequence[UpstreamError]) -> GatewayError:
    """What the client is told when every candidate has failed.

    An exhausted quota says more than a fault, and a fault more than a refused credential, which
    is none of the client's business.
    """
    waits = [error.retry_after_s for error in failures if error.retry_after_s is not None]
    telling = [error for error in failures if not isinstance(error, CredentialRefused)]
    quota = [error for error in telling if isinstance(error, QuotaExhausted)]
    if not telling:
        return NoCandidate(
            "no credential can serve this model right now: the provider refused the gateway's own",
            kind="credential_refused",
            retry_after_s=min(waits, default=None),
        )
    error = (quota or telling)[-1]
    if waits:
        error.retry_after_s = min(waits)
    return error
