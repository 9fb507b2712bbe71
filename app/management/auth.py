"""Who may use the management API.

Source: the rules and texts are those that panels of earlier gateways rely on. Two are stricter
here: callers on this machine are banned like others, and a proxy on this machine does not make
its callers local (``app.wire.peer.is_local``).
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import bcrypt
import gevent
from gevent.lock import BoundedSemaphore

from app import clock
from app.errors import Forbidden, Unauthenticated

FAILURES_ALLOWED = 5
BAN_S = 30 * 60.0
ADDRESSES_KEPT = 10_000

_BCRYPT_BYTES = 72
_BCRYPT_MARKS = ("$2a$", "$2b$", "$2y$")
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Tally:
    """Wrong keys of one address in a row; ``last_s`` is when the latest came."""

    failures: int = 0
    last_s: float = 0.0


class Bans:
    """Counts wrong keys for each address, in this process alone."""

    def __init__(self, monotonic: Callable[[], float] = clock.monotonic) -> None:
        self._monotonic = monotonic
        self._tallies: OrderedDict[str, _Tally] = OrderedDict()

    def check(self, address: str) -> None:
        """Let an address pass.

        Raises:
            Forbidden: it has guessed too often and must wait.
        """
        tally = self._tallies.get(_network_of(address))
        if tally is None or tally.failures < FAILURES_ALLOWED:
            return
        rest_s = tally.last_s + BAN_S - self._monotonic()
        if rest_s <= 0:
            self.clear(address)
            return
        raise Forbidden(
            f"IP banned due to too many failed attempts. Try again in {_duration(rest_s)}",
            kind="banned",
            retry_after_s=rest_s,
        )

    def count(self, address: str) -> None:
        """Note a wrong key."""
        self._forget_idle()
        tally = self._tallies.setdefault(_network_of(address), _Tally())
        self._tallies.move_to_end(_network_of(address))
        tally.failures += 1
        tally.last_s = self._monotonic()
        if tally.failures == FAILURES_ALLOWED:
            _log.warning("management: address banned address=%s", address)

    def clear(self, address: str) -> None:
        """Forget the wrong keys of an address."""
        self._tallies.pop(_network_of(address), None)

    def _forget_idle(self) -> None:
        # Oldest first, so this stops at the first one that still matters.
        long_ago_s = self._monotonic() - BAN_S
        while self._tallies:
            address, tally = next(iter(self._tallies.items()))
            if tally.last_s > long_ago_s and len(self._tallies) < ADDRESSES_KEPT:
                return
            del self._tallies[address]


class Guard:
    """Checks the management key."""

    def __init__(self, bans: Bans | None = None) -> None:
        self._bans = bans or Bans()
        self._turn = BoundedSemaphore(1)
        self._verified: tuple[str, bytes] | None = None

    def admit(self, presented: bytes, secret: str, address: str) -> None:
        """Let a caller in.

        Args:
            presented: the key as it was sent, empty when none was.
            secret: the configured key, in clear or as a bcrypt hash.
            address: where the caller is, for counting wrong keys.

        Raises:
            Forbidden: the address is banned.
            Unauthenticated: there is no key, or a wrong one.
        """
        self._bans.check(address)
        if not presented:
            raise Unauthenticated("missing management key")
        if secret.startswith(_BCRYPT_MARKS):
            self._compare_hashed(presented, secret, address)
        else:
            fits = hmac.compare_digest(presented, secret.encode(errors="surrogatepass"))
            self._judge(fits, address)

    def _compare_hashed(self, presented: bytes, secret: str, address: str) -> None:
        digest = hashlib.sha256(presented).digest()
        if self._is_verified(secret, digest):
            self._judge(True, address)
            return
        # One comparison takes a tenth of a second of a core: they stand in line, and who was
        # banned while waiting is not compared, so that many guesses at once are no way round.
        with self._turn:
            self._bans.check(address)
            fits = self._is_verified(secret, digest)
            if not fits:
                fits = bool(gevent.get_hub().threadpool.apply(_fits, (presented, secret)))
            if fits:
                self._verified = (secret, digest)
            self._judge(fits, address)

    def _judge(self, fits: bool, address: str) -> None:
        if not fits:
            self._bans.count(address)
            raise Unauthenticated("invalid management key")
        self._bans.clear(address)

    def _is_verified(self, secret: str, digest: bytes) -> bool:
        """Whether this key was found right before, for the very secret that is configured now."""
        known = self._verified
        return known is not None and known[0] == secret and hmac.compare_digest(known[1], digest)


def _fits(presented: bytes, secret: str) -> bool:
    try:
        # bcrypt reads 72 bytes; tools that make hashes cut there, this library refuses more.
        return bcrypt.checkpw(presented[:_BCRYPT_BYTES], secret.encode())
    except ValueError:
        _log.error("the management key is no valid bcrypt hash")
        return False


def _network_of(address: str) -> str:
    """What is banned together: an IPv4 address, or the /64 that one IPv6 customer has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def _duration(seconds: float) -> str:
    minutes, rest = divmod(max(1, int(seconds)), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
