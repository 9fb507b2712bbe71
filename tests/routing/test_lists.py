from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping

import pytest

from app.credentials.credential import Credential
from app.errors import Overloaded
from app.routing.lists import LiveLists
from tests.routing.credentials import credential

HOUR = 3600.0


class Clock:
    def __init__(self) -> None:
        self.time_s = 1000.0

    def monotonic(self) -> float:
        return self.time_s


class Provider:
    """The far end: pages by URL, or an error; remembers what it was asked."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self.error: Exception | None = None
        self.asked: list[tuple[str, Mapping[str, str], str | None]] = []

    def fetch(self, url: str, headers: Mapping[str, str], proxy_url: str | None) -> bytes:
        self.asked.append((url, headers, proxy_url))
        if self.error is not None:
            raise self.error
        return self.pages[url]

    def lists(self, *models: str) -> None:
        page = json.dumps({"data": [{"id": model} for model in models]}).encode()
        self.pages["https://provider.example.net/v1/models"] = page


class World:
    def __init__(self) -> None:
        self.clock = Clock()
        self.provider = Provider()
        self.lists = LiveLists(self.provider.fetch, self.clock, luck=lambda: 0.5)

    def ids(self, credential_id: str = "c1") -> list[str] | None:
        models = self.lists.get(credential_id)
        return None if models is None else [model.id for model in models]

    def refresh(
        self, *credentials: Credential, after_s: float = 0.0, every_s: float = HOUR
    ) -> float:
        self.clock.time_s += after_s
        return self.lists.refresh(credentials, every_s)


@pytest.fixture
def world() -> World:
    return World()


def test_a_list_is_fetched_once_and_again_when_it_is_old(world: World) -> None:
    world.provider.lists("b", "a")
    assert world.lists.version == 0
    assert world.ids() is None
    assert world.refresh(credential()) == 60.0
    assert world.ids() == ["a", "b"]
    assert world.lists.version == 1
    world.refresh(credential(), after_s=HOUR - 30)
    assert len(world.provider.asked) == 1
    world.provider.lists("a", "c")
    assert world.refresh(credential(), after_s=31) == 60.0
    assert world.ids() == ["a", "c"]
    assert world.lists.version == 2


def test_the_same_list_again_is_no_change(world: World) -> None:
    world.provider.lists("a")
    world.refresh(credential())
    world.refresh(credential(), after_s=2 * HOUR)
    assert len(world.provider.asked) == 2
    assert world.lists.version == 1


def test_the_call_is_signed_and_goes_through_the_keys_proxy(world: World) -> None:
    world.provider.lists("a")
    world.refresh(
        credential(
            headers={"X-Own": "1", "x-theirs": "$x-theirs", "authorization": "stolen"},
            proxy_url="direct",
        )
    )
    ((url, headers, proxy_url),) = world.provider.asked
    assert url == "https://provider.example.net/v1/models"
    assert headers == {"x-own": "1", "authorization": "Bearer secret-of-c1"}
    assert proxy_url == "direct"


def test_a_header_the_provider_needs_is_sent(world: World) -> None:
    world.provider.pages["https://provider.example.net/v1/models?limit=1000"] = b'{"data":[]}'
    world.refresh(credential(provider="claude"))
    ((_, headers, _),) = world.provider.asked
    assert headers["anthropic-version"] == "2023-06-01"
    assert world.ids() == []


def test_all_pages_are_read(world: World) -> None:
    first = "https://provider.example.net/v1/models?limit=1000"
    world.provider.pages = {
        first: b'{"data":[{"id":"b"},{"id":"c"}],"has_more":true,"last_id":"c"}',
        first + "&after_id=c": b'{"data":[{"id":"a"},{"id":"b"}],"has_more":false}',
    }
    world.refresh(credential(provider="claude"))
    assert world.ids() == ["a", "b", "c"]


def test_a_list_that_never_ends_is_left_after_a_while(world: World) -> None:
    page = b'{"data":[{"id":"a"}],"has_more":true,"last_id":"a"}'
    first = "https://provider.example.net/v1/models?limit=1000"
    world.provider.pages = {first: page, first + "&after_id=a": page}
    world.refresh(credential(provider="claude"))
    assert len(world.provider.asked) == 20
    assert world.ids() == ["a"]


def test_only_credentials_that_need_a_list_are_asked_for(world: World) -> None:
    assert world.refresh(credential(models={"a": "a"})) == 60.0
    assert world.refresh(credential(), every_s=0) == 60.0
    assert world.provider.asked == []


def test_failures_are_told_once_and_repeated_ever_later(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.provider.error = Overloaded("busy")
    with caplog.at_level(logging.INFO, "app.routing.lists"):
        rests = [world.refresh(credential())]
        for after_s in (30, 60, 120, 240):
            rests.append(world.refresh(credential(), after_s=after_s))
        assert rests == [30.0, 60.0, 60.0, 60.0, 60.0]  # the loop itself rests a minute at most
        assert len(world.provider.asked) == 5
        world.refresh(credential(), after_s=479)
        assert len(world.provider.asked) == 5
        assert len(caplog.records) == 1
        assert "credential=c1 provider=openai error=upstream_overloaded reason=busy" in caplog.text
        assert "secret" not in caplog.text
        world.provider.error = None
        world.provider.lists("a")
        world.refresh(credential(), after_s=1)
        assert "read again" in caplog.text
    assert world.ids() == ["a"]


def test_a_failure_waits_no_longer_than_a_success(world: World) -> None:
    world.provider.error = Overloaded("busy")
    for _ in range(40):
        world.refresh(credential(), after_s=100, every_s=100)
    assert len(world.provider.asked) == 40


def test_a_failure_leaves_the_last_list(world: World) -> None:
    world.provider.lists("a")
    world.refresh(credential())
    world.provider.pages = {"https://provider.example.net/v1/models": b"<html>"}
    world.refresh(credential(), after_s=2 * HOUR)
    assert world.ids() == ["a"]
    assert world.lists.version == 1


def test_a_surprise_in_one_list_does_not_stop_the_others(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.provider.lists("a")
    world.refresh(credential("bad", "claude"), credential("c1"))  # no page for claude: KeyError
    assert world.ids("bad") is None
    assert world.ids() == ["a"]
    assert "error=KeyError" in caplog.text


def test_a_credential_that_is_gone_is_forgotten(world: World) -> None:
    world.provider.lists("a")
    world.refresh(credential("c1"), credential("c2"))
    world.refresh(credential("c2"))
    assert world.ids("c1") is None
    assert world.ids("c2") == ["a"]
    assert len(world.provider.asked) == 2


def test_a_changed_credential_is_tried_at_once(world: World) -> None:
    world.provider.error = Overloaded("busy")
    world.refresh(credential())
    world.provider.error = None
    world.provider.lists("a")
    world.refresh(credential(proxy_url="http://proxy.example.net"))
    assert world.ids() == ["a"]


def test_many_lists_are_fetched_in_one_go(world: World) -> None:
    world.provider.lists("a")
    world.refresh(*(credential(f"c{number}") for number in range(20)))
    assert len(world.provider.asked) == 20
    assert world.lists.version == 20


def test_the_loop_looks_when_woken_and_ends_when_stopped() -> None:
    provider = Provider()
    provider.lists("a")
    seen = threading.Semaphore(0)

    def fetch(url: str, headers: Mapping[str, str], proxy_url: str | None) -> bytes:
        page = provider.fetch(url, headers, proxy_url)
        seen.release()
        return page

    lists = LiveLists(fetch)
    credentials = [credential("c1")]
    loop = threading.Thread(target=lists.run, args=(lambda: credentials, lambda: HOUR))
    loop.start()
    try:
        assert seen.acquire(timeout=10)
        credentials.append(credential("c2"))
        lists.wake()
        assert seen.acquire(timeout=10)
    finally:
        lists.stop()
        loop.join(timeout=10)
    assert not loop.is_alive()
    assert [url for url, _, _ in provider.asked] == ["https://provider.example.net/v1/models"] * 2
