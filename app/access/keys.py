"""Who calls: from the key a client presents to the ``Client`` it stands for.

A plain key costs one digest and one dictionary look-up. A bcrypt entry costs a tenth of a second
of pure computing, so it is tried away from the serving loop, two at a time, and the outcome is
remembered for as long as the configuration stands.
"""

from __future__ import annotations

import hashlib
import hmac
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote_plus

import bcrypt

from app.config.schema import EXAMPLE_KEYS, Config
from app.errors import LimitExceeded, Unauthenticated
from app.redact import mask

_HASH_MARKS = ("$2a$", "$2b$", "$2y$")
_BCRYPT_BYTES = 72
_AT_ONCE = 2
_WAITING = 64
_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Client:
    """Who calls.

    Attributes:
        id: what limits and statistics are kept under; ``key-<12 hex>`` of the configured entry,
            so that it does not depend on the order of the list. ``anonymous`` without keys.
        label: what to show instead of the key.
    """

    id: str
    label: str


ANONYMOUS = Client(id="anonymous", label="anonymous")


class KeyRing:
    """The client keys of one state of the configuration.

    Attributes:
        unsafe_example: a key of the sample files is still configured.
    """

    def __init__(self, config: Config) -> None:
        keys = [key for key in config.api_keys if key.strip()]
        self.unsafe_example = not EXAMPLE_KEYS.isdisjoint(keys)
        # A list of blanks is a mistake, not an invitation: it lets nobody in.
        self._is_open = not config.api_keys
        self._plain = {
            _digest(key): (_digest(key), _client_of(key))
            for key in keys
            if not key.startswith(_HASH_MARKS)
        }
        self._hashed = _Hashed([key for key in keys if key.startswith(_HASH_MARKS)])

    def authenticate(self, presented: str | None) -> Client:
        """Say who presents this key.

        Raises:
            Unauthenticated: there is no key, or it is none of ours.
            LimitExceeded: too many unknown keys are being compared with hashed entries.
        """
        if self._is_open:
            return ANONYMOUS
        if not presented:
            raise Unauthenticated("Missing API key")
        digest = _digest(presented)
        known = self._plain.get(digest)
        # The look-up compares digests, of which an outsider can choose no prefix; the second
        # comparison takes the same time wherever they differ.
        if known is not None and hmac.compare_digest(known[0], digest):
            return known[1]
        client = self._hashed.find(presented, digest)
        if client is None:
            raise Unauthenticated("Invalid API key")
        return client


class _Hashed:
    """The entries that are bcrypt hashes, and what has been learned about presented keys."""

    def __init__(self, hashes: list[str]) -> None:
        self._entries = [(entry.encode(), _client_of(entry)) for entry in hashes]
        self._clients: dict[bytes, Client] = {}
        self._strangers: OrderedDict[bytes, None] = OrderedDict()
        self._lock = threading.Lock()
        self._turn = threading.BoundedSemaphore(_AT_ONCE)
        self._waiting = 0

    def find(self, presented: str, digest: bytes) -> Client | None:
        """The client whose hash this key fits, None when there is none.

        Raises:
            LimitExceeded: too many keys wait for their turn already.
        """
        if not self._entries:
            return None
        known, client = self._recall(digest)
        if known:
            return client
        self._stand_in_line()
        try:
            with self._turn:
                known, client = self._recall(digest)  # may have been found out while we waited
                if not known:
                    client = _off_the_loop(lambda: self._match(presented))
                    self._remember(digest, client)
                return client
        finally:
            with self._lock:
                self._waiting -= 1

    def _recall(self, digest: bytes) -> tuple[bool, Client | None]:
        if (client := self._clients.get(digest)) is not None:
            return True, client
        with self._lock:
            if digest not in self._strangers:
                return False, None
            self._strangers.move_to_end(digest)
            return True, None

    def _stand_in_line(self) -> None:
        with self._lock:
            if self._waiting >= _WAITING:
                raise LimitExceeded("too many API keys are being checked", retry_after_s=1.0)
            self._waiting += 1

    def _match(self, presented: str) -> Client | None:
        # bcrypt reads 72 bytes; tools that make hashes cut there, this library refuses more.
        secret = presented.encode(errors="surrogatepass")[:_BCRYPT_BYTES]
        for entry, client in self._entries:
            try:
                if bcrypt.checkpw(secret, entry):
                    return client
            except ValueError:  # a damaged hash fits nothing
                continue
        return None

    def _remember(self, digest: bytes, client: Client | None) -> None:
        with self._lock:
            if client is None:
                self._strangers[digest] = None
                if len(self._strangers) > _REMEMBERED:
                    self._strangers.popitem(last=False)
            else:
                if len(self._clients) >= _REMEMBERED:  # one key with ever new tails past 72 bytes
                    self._clients.clear()
                self._clients[digest] = client


def key_from(header: Callable[[str], str | None], query_string: str) -> str | None:
    """The key a client presents; the first place that holds one wins.

    Args:
        header: gives a header by its name, as WSGI has it (bytes as Latin-1).
        query_string: as it came, still escaped.

    Source: order and bare ``Authorization`` as the earlier gateways had them.
    """
    if authorization := header("authorization"):
        scheme, _, rest = authorization.strip().partition(" ")
        key = rest.strip() if scheme.lower() == "bearer" else authorization.strip()
        if key:
            return _as_sent(key)
    for name in ("x-goog-api-key", "x-api-key"):
        if (value := header(name)) and (key := value.strip()):
            return _as_sent(key)
    return _key_in_query(query_string) if query_string else None


def _key_in_query(query_string: str) -> str | None:
    found: dict[str, str] = {}
    for pair in query_string.split("&"):
        name, _, value = pair.partition("=")
        if value and name in {"key", "auth_token"}:
            found.setdefault(name, unquote_plus(value))
    return found.get("key") or found.get("auth_token")


def _as_sent(value: str) -> str:
    """A header's text as its sender wrote it: WSGI hands UTF-8 over as Latin-1."""
    if value.isascii():
        return value
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogatepass")).digest()


def _client_of(entry: str) -> Client:
    return Client(id=f"key-{_digest(entry).hex()[:12]}", label=mask(entry))


def _off_the_loop(compute: Callable[[], Client | None]) -> Client | None:
    """Run a computation in a native thread where green threads share this one."""
    # Looked up, not imported: where nothing has patched, gevent need not even be loaded.
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None or not monkey.is_module_patched("threading"):
        return compute()  # native threads: bcrypt itself lets the others run
    client: Client | None = sys.modules["gevent"].get_hub().threadpool.apply(compute)
    return client
