from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import bcrypt
import pytest

from app.access import keys as module
from app.access.keys import ANONYMOUS, Client, KeyRing, key_from
from app.config.schema import Config
from app.errors import LimitExceeded, Unauthenticated

PLAIN = "client-key-one-0123456789"
SECRET = "client-key-two-0123456789"


def hashed(secret: str) -> str:
    return bcrypt.hashpw(secret.encode()[:72], bcrypt.gensalt(4)).decode()


HASH = hashed(SECRET)


def ring(*keys: str) -> KeyRing:
    return KeyRing(Config(api_keys=keys))


def refuses(keys: KeyRing, presented: str | None) -> bool:
    try:
        keys.authenticate(presented)
    except Unauthenticated:
        return True
    return False


class Counted:
    """Counts the bcrypt computations, and can hold them up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = 0
        self.at_once = 0
        self.most_at_once = 0
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._real = bcrypt.checkpw
        monkeypatch.setattr("app.access.keys.bcrypt.checkpw", self)

    def __call__(self, secret: bytes, entry: bytes) -> bool:
        with self._lock:
            self.calls += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        self.entered.release()
        assert self.gate.wait(10)
        with self._lock:
            self.at_once -= 1
        return self._real(secret, entry)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


def test_a_plain_key_is_known() -> None:
    client = ring("other", PLAIN).authenticate(PLAIN)
    digest = hashlib.sha256(PLAIN.encode()).hexdigest()
    assert client == Client(id=f"key-{digest[:12]}", label="clie…6789")
    assert ring(PLAIN, "other").authenticate(PLAIN) == client


@pytest.mark.parametrize("presented", ["wrong", PLAIN[:-1], PLAIN + "x", PLAIN.upper(), "\udcff"])
def test_a_wrong_key_is_refused(presented: str) -> None:
    with pytest.raises(Unauthenticated, match="Invalid API key") as caught:
        ring(PLAIN).authenticate(presented)
    assert presented not in caught.value.message


@pytest.mark.parametrize("presented", [None, ""])
def test_no_key_is_refused_as_missing(presented: str | None) -> None:
    with pytest.raises(Unauthenticated, match="Missing API key"):
        ring(PLAIN).authenticate(presented)


@pytest.mark.parametrize("presented", [None, "", "whatever"])
def test_without_configured_keys_everybody_may_call(presented: str | None) -> None:
    assert ring().authenticate(presented) is ANONYMOUS


def test_blank_entries_let_nobody_in() -> None:
    assert refuses(ring("", "  "), None)
    assert refuses(ring("", "  "), "  ")


def test_keys_that_are_not_ascii() -> None:
    assert ring("schlüssel-✓").authenticate("schlüssel-✓").id.startswith("key-")


@pytest.mark.parametrize("mark", ["$2a$", "$2b$", "$2y$"])
def test_a_hashed_entry_knows_its_key(mark: str) -> None:
    entry = mark + HASH[4:]
    client = ring(PLAIN, entry).authenticate(SECRET)
    assert client.id == f"key-{hashlib.sha256(entry.encode()).hexdigest()[:12]}"
    assert SECRET not in repr(client)


def test_a_hash_is_no_key() -> None:
    assert refuses(ring(HASH), HASH)


def test_a_damaged_hash_fits_nothing_and_stops_nothing() -> None:
    keys = ring("$2b$04$short", HASH)
    assert refuses(keys, "wrong")
    assert keys.authenticate(SECRET).id.startswith("key-")


def test_keys_longer_than_bcrypt_reads() -> None:
    long = "k" * 80
    assert ring(hashed(long)).authenticate(long).id.startswith("key-")
    assert refuses(ring(hashed(long)), "k" * 71)


def test_a_right_key_is_computed_once(counted: Counted) -> None:
    keys = ring(HASH)
    first = keys.authenticate(SECRET)
    assert keys.authenticate(SECRET) == first
    assert counted.calls == 1


def test_a_wrong_key_is_computed_once(counted: Counted) -> None:
    keys = ring(HASH)
    assert refuses(keys, "wrong")
    assert refuses(keys, "wrong")
    assert counted.calls == 1


def test_a_plain_key_is_never_computed(counted: Counted) -> None:
    keys = ring(HASH, PLAIN)
    keys.authenticate(PLAIN)
    assert counted.calls == 0
    assert refuses(ring(PLAIN), "wrong")
    assert counted.calls == 0


def test_wrong_keys_are_forgotten_oldest_first(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_REMEMBERED", 2)
    keys = ring(HASH)
    for presented in ("a", "b", "a", "c"):  # a was asked for again, so b goes
        assert refuses(keys, presented)
    assert counted.calls == 3
    assert refuses(keys, "a")
    assert counted.calls == 3
    assert refuses(keys, "b")
    assert counted.calls == 4


def test_right_keys_are_bounded_as_well(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REMEMBERED", 2)
    head = "k" * 72
    keys = ring(hashed(head))
    for tail in ("a", "b", "c", "a"):  # all of them fit, since bcrypt reads no further
        keys.authenticate(head + tail)
    assert counted.calls == 4


def test_a_crowd_with_one_key_computes_once(counted: Counted) -> None:
    keys = ring(HASH)
    counted.gate.clear()
    with ThreadPoolExecutor(20) as pool:
        crowd = [pool.submit(keys.authenticate, SECRET) for _ in range(20)]
        assert counted.entered.acquire(timeout=10)
        counted.gate.set()
        clients = {future.result(timeout=10).id for future in crowd}
    assert len(clients) == 1
    assert counted.calls <= 2  # two may have begun at the same moment


def test_only_two_are_computed_at_once_and_plain_keys_do_not_wait(counted: Counted) -> None:
    keys = ring(HASH, PLAIN)
    counted.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        wrong = [pool.submit(refuses, keys, f"wrong-{number}") for number in range(8)]
        assert counted.entered.acquire(timeout=10)
        assert counted.entered.acquire(timeout=10)
        assert keys.authenticate(PLAIN).id.startswith("key-")
        counted.gate.set()
        assert all(future.result(timeout=10) for future in wrong)
    assert counted.calls == 8
    assert counted.most_at_once == 2


def test_the_line_of_unknown_keys_has_an_end(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WAITING", 1)
    keys = ring(HASH)
    counted.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(refuses, keys, "wrong")
        assert counted.entered.acquire(timeout=10)
        with pytest.raises(LimitExceeded) as caught:
            keys.authenticate("another")
        counted.gate.set()
        assert first.result(timeout=10)
    assert caught.value.retry_after_s == 1.0
    assert refuses(keys, "another")  # the place is free again


UNDER_GEVENT = f"""
from gevent import monkey; monkey.patch_all()
import gevent, bcrypt
from app.access import keys
from app.config.schema import Config

native = monkey.get_original("_thread", "get_ident")
main, seen, real = native(), [], bcrypt.checkpw
def check(secret, entry):
    seen.append(native())
    return real(secret, entry)
keys.bcrypt.checkpw = check
ring = keys.KeyRing(Config(api_keys=({HASH!r},)))
jobs = [gevent.spawn(ring.authenticate, {SECRET!r}) for _ in range(5)]
gevent.joinall(jobs, timeout=10, raise_error=True)
assert len({{job.value.id for job in jobs}}) == 1
assert seen and main not in seen, "computed on the loop"
print("away")
"""


def test_under_gevent_hashes_are_computed_away_from_the_loop() -> None:
    done = subprocess.run(
        [sys.executable, "-c", UNDER_GEVENT],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("away\n", 0), done.stderr


@pytest.mark.parametrize("number", [1, 2, 3])
def test_keys_of_the_sample_files_are_noticed(number: int) -> None:
    assert ring(PLAIN, f"your-api-key-{number}").unsafe_example
    assert not ring(PLAIN).unsafe_example
    assert not ring().unsafe_example


@pytest.mark.parametrize(
    ("headers", "query", "key"),
    [
        ({"authorization": "Bearer a", "x-goog-api-key": "b", "x-api-key": "c"}, "key=d", "a"),
        ({"authorization": "bearer  a "}, "", "a"),
        ({"authorization": "a"}, "", "a"),
        ({"authorization": "Basic a"}, "", "Basic a"),
        ({"authorization": "Bearer ", "x-api-key": "c"}, "", "c"),
        ({"authorization": " ", "x-api-key": "c"}, "", "c"),
        ({"x-goog-api-key": "b", "x-api-key": "c"}, "key=d", "b"),
        ({"x-goog-api-key": " ", "x-api-key": " c "}, "key=d", "c"),
        ({}, "auth_token=e&key=d", "d"),
        ({}, "alt=sse&auth_token=e", "e"),
        ({}, "key=&auth_token=e", "e"),
        ({}, "key=a%2Bb%20c&key=other", "a+b c"),
        ({}, "monkey=x&key", None),
        ({}, "alt=sse", None),
        ({}, "", None),
        ({"x-api-key": "schlüssel".encode().decode("latin-1")}, "", "schlüssel"),
        ({"x-api-key": "\xff"}, "", "\xff"),
        ({}, "key=schl%C3%BCssel", "schlüssel"),
    ],
)
def test_where_a_key_may_be(headers: Mapping[str, str], query: str, key: str | None) -> None:
    assert key_from(headers.get, query) == key
