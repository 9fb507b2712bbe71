from __future__ import annotations

from dataclasses import replace

import bcrypt
import gevent
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.config.schema import RemoteManagement
from app.errors import Forbidden, GatewayError, Unauthenticated
from app.management.auth import BAN_S, Bans, Guard
from tests.management.conftest import KEY, FixedServices

STATUS = "/v0/management/status"
HASH = bcrypt.hashpw(KEY.encode(), bcrypt.gensalt(4)).decode()


def configure(services: FixedServices, *, trusted: tuple[str, ...] = (), **changes: object) -> None:
    management = replace(services.snapshot.remote_management, **changes)  # type: ignore[arg-type]
    services.snapshot = replace(
        services.snapshot, remote_management=management, trusted_proxies=trusted
    )


def ask(
    client: FlaskClient, key: str | None = KEY, address: str = "127.0.0.1", **headers: str
) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if key is not None:
        named["Authorization"] = f"Bearer {key}"
    return client.get(STATUS, headers=named, environ_base={"REMOTE_ADDR": address})


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {KEY}"},
        {"Authorization": f"bearer   {KEY} "},
        {"Authorization": KEY},
        {"X-Management-Key": KEY},
    ],
)
@pytest.mark.parametrize("secret", [KEY, HASH], ids=["clear", "bcrypt"])
def test_ways_to_present_the_key(
    client: FlaskClient, services: FixedServices, headers: dict[str, str], secret: str
) -> None:
    configure(services, secret_key=secret)
    answer = client.get(STATUS, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["X-CPA-VERSION"] == "1.2.3"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({}, "missing management key"),
        ({"Authorization": "Bearer "}, "missing management key"),
        ({"Authorization": "Bearer wrong"}, "invalid management key"),
        ({"X-Management-Key": KEY + "x"}, "invalid management key"),
        ({"Authorization": "Bearer \xff\xfe"}, "invalid management key"),
    ],
)
@pytest.mark.parametrize("secret", [KEY, HASH, "$2b$broken"], ids=["clear", "bcrypt", "broken"])
def test_no_key_and_wrong_keys(
    client: FlaskClient,
    services: FixedServices,
    headers: dict[str, str],
    message: str,
    secret: str,
) -> None:
    configure(services, secret_key=secret)
    answer = client.get(STATUS, headers=headers)
    assert (answer.status_code, answer.json) == (401, {"error": message})
    assert "X-CPA-VERSION" not in answer.headers


def test_a_key_beyond_ascii(client: FlaskClient, services: FixedServices) -> None:
    configure(services, secret_key="schlüssel-模型")
    sent = "schlüssel-模型".encode().decode("latin-1")
    assert ask(client, sent).status_code == 200


def test_a_key_longer_than_bcrypt_reads(client: FlaskClient, services: FixedServices) -> None:
    key = "k" * 80
    configure(services, secret_key=bcrypt.hashpw(key[:72].encode(), bcrypt.gensalt(4)).decode())
    assert ask(client, key).status_code == 200


@pytest.mark.parametrize("path", ["/status", "/usage", "/config", "/nothing", "/"])
def test_without_a_secret_there_is_nothing(
    client: FlaskClient, services: FixedServices, path: str
) -> None:
    configure(services, secret_key="")
    answer = client.get("/v0/management" + path, headers={"Authorization": f"Bearer {KEY}"})
    assert (answer.status_code, answer.data) == (404, b"")


def test_a_secret_set_later_opens_and_a_changed_one_shuts(
    client: FlaskClient, services: FixedServices
) -> None:
    configure(services, secret_key="")
    assert ask(client).status_code == 404
    configure(services, secret_key=HASH)
    assert ask(client).status_code == 200
    configure(services, secret_key=bcrypt.hashpw(b"another", bcrypt.gensalt(4)).decode())
    assert ask(client).status_code == 401


def test_remote_callers(client: FlaskClient, services: FixedServices) -> None:
    refused = ask(client, address="203.0.113.9")
    assert (refused.status_code, refused.json) == (403, {"error": "remote management disabled"})
    configure(services, allow_remote=True)
    assert ask(client, address="203.0.113.9").status_code == 200


@pytest.mark.parametrize(
    ("headers", "trusted", "status"),
    [
        ({}, (), 200),
        ({"X_Forwarded_For": "127.0.0.1"}, (), 403),
        ({"X_Forwarded_For": ""}, (), 403),
        ({"Forwarded": "for=127.0.0.1"}, (), 403),
        ({"X_Real_IP": "127.0.0.1"}, (), 403),
        ({"Via": "1.1 proxy"}, (), 403),
        ({}, ("127.0.0.1",), 200),
        ({"X_Forwarded_For": "127.0.0.1, 203.0.113.9"}, ("127.0.0.1",), 403),
        ({"X_Forwarded_For": "203.0.113.9, ::1"}, ("127.0.0.1",), 200),
        ({"X_Real_IP": "127.0.0.1"}, ("127.0.0.1",), 403),
    ],
)
def test_a_proxy_on_this_machine_lets_nobody_in(
    client: FlaskClient,
    services: FixedServices,
    headers: dict[str, str],
    trusted: tuple[str, ...],
    status: int,
) -> None:
    configure(services, trusted=trusted)
    assert ask(client, **headers).status_code == status


@pytest.mark.parametrize("secret", [KEY, HASH], ids=["clear", "bcrypt"])
def test_guessing_is_stopped(client: FlaskClient, services: FixedServices, secret: str) -> None:
    configure(services, secret_key=secret)
    assert [ask(client, f"wrong-{n}").status_code for n in range(6)] == [401] * 5 + [403]
    banned = ask(client)
    assert banned.status_code == 403
    assert banned.json is not None
    assert banned.json["error"].startswith(
        "IP banned due to too many failed attempts. Try again in "
    )
    assert 1 <= int(banned.headers["Retry-After"]) <= 1800
    assert ask(client, address="127.0.0.2").status_code == 200


def test_a_missing_key_is_no_guess(client: FlaskClient) -> None:
    assert [ask(client, None).status_code for _ in range(8)] == [401] * 8
    assert ask(client).status_code == 200


def test_who_guesses_through_a_proxy_is_banned_alone(
    client: FlaskClient, services: FixedServices
) -> None:
    configure(services, allow_remote=True, trusted=("10.0.0.1",))
    for _ in range(6):
        ask(client, "wrong", "10.0.0.1", X_Forwarded_For="6.6.6.6, 203.0.113.9")
    assert ask(client, KEY, "10.0.0.1", X_Forwarded_For="203.0.113.9").status_code == 403
    assert ask(client, KEY, "10.0.0.1", X_Forwarded_For="203.0.113.10").status_code == 200


class Hands:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def _fail(guard: Guard, address: str, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(Unauthenticated):
            guard.admit(b"wrong", KEY, address)


def test_a_ban_says_how_long_and_ends() -> None:
    hands = Hands()
    guard = Guard(Bans(hands))
    _fail(guard, "::1", 5)
    for passed_s, rest in ((1.5, "29m58s"), (BAN_S - 59.5, "59s"), (BAN_S - 0.1, "1s")):
        hands.now_s = 1000 + passed_s
        with pytest.raises(Forbidden, match=f"Try again in {rest}$"):
            guard.admit(KEY.encode(), KEY, "::1")
    hands.now_s = 1000 + BAN_S
    guard.admit(KEY.encode(), KEY, "::1")


def test_success_forgives() -> None:
    guard = Guard()
    for _ in range(3):
        _fail(guard, "127.0.0.1", 4)
        guard.admit(KEY.encode(), KEY, "127.0.0.1")


def test_old_failures_are_forgotten() -> None:
    hands = Hands()
    guard = Guard(Bans(hands))
    _fail(guard, "127.0.0.1", 4)
    hands.now_s += BAN_S + 1
    _fail(guard, "127.0.0.1", 4)
    guard.admit(KEY.encode(), KEY, "127.0.0.1")


def test_an_ipv6_customer_has_one_tally() -> None:
    guard = Guard()
    for number in range(5):
        _fail(guard, f"2001:db8:0:1::{number}")
    with pytest.raises(Forbidden):
        guard.admit(KEY.encode(), KEY, "2001:db8:0:1:ffff::1")
    guard.admit(KEY.encode(), KEY, "2001:db8:0:2::1")


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.management.auth.ADDRESSES_KEPT", 3)
    guard = Guard()
    _fail(guard, "192.0.2.1", 5)
    for number in range(2, 5):
        _fail(guard, f"192.0.2.{number}")
    guard.admit(KEY.encode(), KEY, "192.0.2.1")


def test_many_guesses_at_once_are_no_way_round() -> None:
    guard = Guard()
    outcomes: list[str] = []

    def guess(number: int) -> None:
        try:
            guard.admit(f"guess-{number}".encode(), HASH, "127.0.0.1")
        except GatewayError as error:
            outcomes.append(error.kind)

    gevent.joinall([gevent.spawn(guess, number) for number in range(7)], raise_error=True)
    assert outcomes.count("invalid_api_key") == 5
    assert outcomes.count("banned") == 2


def test_a_hash_is_compared_once_for_the_same_key(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []
    real = bcrypt.checkpw

    def count(presented: bytes, secret: bytes) -> bool:
        compared.append(presented)
        return real(presented, secret)

    monkeypatch.setattr(bcrypt, "checkpw", count)
    guard = Guard()

    def admit() -> None:
        guard.admit(KEY.encode(), HASH, "127.0.0.1")

    gevent.joinall([gevent.spawn(admit) for _ in range(5)], raise_error=True)
    admit()
    assert compared == [KEY.encode()]
    with pytest.raises(Unauthenticated):
        guard.admit(b"wrong", HASH, "127.0.0.1")
    admit()
    assert compared == [KEY.encode(), b"wrong"]


def test_the_default_is_local_alone() -> None:
    assert RemoteManagement().allow_remote is False
