"""Asks a provider in its own protocol what a client asked in another."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from typing_extensions import override

from app.accounting.count import count_request
from app.errors import GatewayError, UpstreamError
from app.gateway.asking import (
    Fetch,
    count_answer,
    count_body,
    counts_upstream,
    encode,
    read_count,
    request_of,
)
from app.gateway.call import translated_call
from app.gateway.exchange import Exchange
from app.gateway.memory import SealStore, missing, recall, remembering
from app.gateway.relay import Relayed, Save, refusal
from app.gateway.translate import Translation, losses_header
from app.protocols import CODECS
from app.protocols.base import Codec, Encoded, Operation
from app.routing.catalog import Candidate
from app.upstream.transport import Reply, Transport

_log = logging.getLogger(__name__)

TRANSLATED = frozenset({Operation.GENERATE, Operation.COMPLETE, Operation.COUNT_TOKENS})
"""What can be asked of a provider that speaks another protocol."""

_COUNT_LIMIT = 1024 * 1024
_NO_SUCH_ENDPOINT = frozenset({404, 405, 501})
"""How compatible hosts answer that speak a protocol and do not count in it."""


class Translator:
    """Takes an exchange to an upstream that speaks another protocol."""

    def __init__(self, transport: Transport, save: Save, *, fetch: Fetch, seals: SealStore) -> None:
        self._transport = transport
        self._save = save
        self._fetch = fetch
        self._seals = seals

    def ask(self, exchange: Exchange, candidate: Candidate) -> Relayed:
        """Send the request, translated; the answer has not begun.

        Raises:
            UpstreamError: the provider refused or could not be reached.
            Untranslatable: the request holds what the provider cannot be given.
        """
        codec = _codec_of(exchange, candidate)
        encoded = self._encoded(exchange, candidate, codec)
        if exchange.operation is Operation.COUNT_TOKENS:
            return self._count(exchange, candidate, codec, encoded)
        reply = self._send(exchange, candidate, codec, encoded)
        return Translation(
            exchange,
            reply,
            self._save,
            source=codec,
            encoded=encoded,
            remember=lambda events: remembering(
                events, lambda found: self._seals.save(exchange.client.id, found)
            ),
        )

    def _encoded(self, exchange: Exchange, candidate: Candidate, codec: Codec) -> Encoded:
        request = request_of(exchange)
        if lacking := missing(request):
            request = recall(request, self._seals.load(exchange.client.id, lacking))
        encoded = encode(request, candidate, codec, self._fetch)
        if encoded.losses:
            names = ",".join(sorted({loss.name for loss in encoded.losses}))
            _log.info("left out request=%s protocol=%s losses=%s", exchange.id, codec.name, names)
        return encoded

    def _send(
        self,
        exchange: Exchange,
        candidate: Candidate,
        codec: Codec,
        encoded: Encoded,
        operation: Operation = Operation.GENERATE,
    ) -> Reply:
        call = translated_call(exchange, candidate, codec, encoded, operation)
        exchange.begin_attempt()
        reply = self._transport.send(call)
        if reply.status < 300:
            return reply
        try:
            error = refusal(candidate, reply)
        finally:
            reply.close()
        exchange.meter.forget()
        raise retold(error)

    def _count(
        self, exchange: Exchange, candidate: Candidate, codec: Codec, encoded: Encoded
    ) -> Relayed:
        """Ask the provider to count where it can; count here where it cannot."""
        request = request_of(exchange)
        if counts_upstream(codec, candidate):
            try:
                body = count_body(codec, encoded, candidate.upstream_model)
                asked = Encoded(body, encoded.losses, encoded.names)
                reply = self._send(exchange, candidate, codec, asked, Operation.COUNT_TOKENS)
                try:
                    count = read_count(codec, reply.read_all(_COUNT_LIMIT))
                finally:
                    reply.close()
                return Counted(exchange, self._save, count, losses_header(encoded))
            except GatewayError as error:
                if isinstance(error, UpstreamError) and error.status not in _NO_SUCH_ENDPOINT:
                    raise
                _log.info("counted here request=%s protocol=%s", exchange.id, codec.name)
        headers = [*losses_header(encoded), ("X-Aiproxy-Estimate", "true")]
        return Counted(exchange, self._save, count_request(request, codec.issuer), headers)


class Counted(Relayed):
    """A number of tokens as the client's protocol writes it."""

    def __init__(
        self, exchange: Exchange, save: Save, count: int, headers: list[tuple[str, str]]
    ) -> None:
        super().__init__(exchange, None, save)
        self.status = 200
        self._body = count_answer(exchange.codec, count)
        self.headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(self._body))),
            *headers,
        ]

    @override
    def begin(self) -> None:
        """The number is in hand."""

    @override
    def __iter__(self) -> Iterator[bytes]:
        self._exchange.hand_out(len(self._body))
        self._settle(200, "")
        yield self._body


def _codec_of(exchange: Exchange, candidate: Candidate) -> Codec:
    credential = candidate.credential
    spoken = credential.provider.protocols(credential)
    return exchange.codec if exchange.codec.name in spoken else CODECS[spoken[0]]


def retold(error: UpstreamError) -> UpstreamError:
    """The same failure without the provider's own words, which are of another protocol."""
    error.reply = None
    return error
