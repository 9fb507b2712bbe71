from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from app.errors import ConfigError, Overloaded
from app.services import Services
from app.storage import IN_MEMORY
from app.storage.memory import MemoryLedger
from tests.fakes.greenlets import cooperate, settle
from tests.fakes.upstream import Recorded, Reply, ScriptedUpstream

BASE = f"""
api-keys: [client-key]
database-url: "{IN_MEMORY}"
data-dir: data
model-list-interval: 0
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(BASE.replace("data-dir: data", f"data-dir: {tmp_path / 'data'}"))
    return path


@pytest.fixture
def services(config: Path) -> Iterator[Services]:
    made = Services(config, {})
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def _cooperative(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    cooperate(monkeypatch)
    yield
    settle()


@pytest.fixture(autouse=True)
def _log_level() -> Iterator[None]:
    logger = logging.getLogger("app")
    before = logger.level
    yield
    logger.setLevel(before)


def _until(predicate: Callable[[], object]) -> None:
    with gevent.Timeout(10):
        while not predicate():
            gevent.sleep(0.005)


def test_a_configuration_that_cannot_be_used(config: Path) -> None:
    config.write_text("port: high\n")
    with pytest.raises(ConfigError) as told:
        Services(config, {})
    assert (told.value.line, told.value.key) == (1, "port")


def test_nothing_is_opened_before_the_start(services: Services, config: Path) -> None:
    assert services.config().api_keys == ("client-key",)
    assert services.snapshot.config is services.config()
    assert "demo-echo" in _models(services)
    error, warnings, _ = services.config_status()
    assert (error, warnings) == (None, ())
    services.stop()  # a worker that never came to serve
    assert not (config.parent / "data").exists()


def test_the_start_happens_once(services: Services) -> None:
    services.start()
    ledger, pipeline, at = services.ledger, services.pipeline(), services.started_at
    services.start()
    assert isinstance(ledger, MemoryLedger)
    assert services.ledger is ledger
    assert services.pipeline() is pipeline
    assert services.started_at == at


def test_whoever_asks_first_starts_it(services: Services) -> None:
    assert isinstance(services.ledger, MemoryLedger)
    assert services.pipeline() is services.pipeline()


def test_another_process_makes_its_own(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was opened before a fork belongs to the process that opened it."""
    before = services.pipeline()
    theirs = list(services._background)
    monkeypatch.setattr("app.services.os", SimpleNamespace(getpid=lambda: -1))
    assert services.pipeline() is not before
    gevent.killall(theirs)


def test_a_stop_ends_the_background(services: Services) -> None:
    services.start()
    running = list(services._background)
    assert len(running) == 2
    services.stop()
    gevent.joinall(running, timeout=10)
    assert all(greenlet.dead for greenlet in running)


def test_an_edit_is_taken_over(services: Services, config: Path) -> None:
    services.start()
    before = services.snapshot
    config.write_text(config.read_text() + "debug: true\ntrusted-proxies: [10.0.0.0/8]\n")
    services.reload()
    _until(lambda: services.snapshot is not before)
    assert services.config().debug
    assert [str(network) for network in services.snapshot.trusted_proxies] == ["10.0.0.0/8"]
    assert logging.getLogger("app").level == logging.DEBUG
    assert before.config.debug is False


def test_a_broken_edit_changes_nothing(services: Services, config: Path) -> None:
    services.start()
    before = services.snapshot
    config.write_text("port: high\n")
    services.reload()
    _until(lambda: services.config_status()[0])
    assert services.snapshot is before


LISTING = """
openai-api-key:
  - api-key: sk-1
    base-url: {url}/v1
    {own}
model-list-interval: 3600
{general}
"""


def _ask_list(
    config: Path, upstream: ScriptedUpstream, own: str = "", general: str = ""
) -> Services:
    text = config.read_text().replace("model-list-interval: 0\n", "")
    config.write_text(text + LISTING.format(url=upstream.url, own=own, general=general))
    services = Services(config, {})
    services.start()
    return services


def _models(services: Services) -> list[str]:
    return [model.id for model in services.snapshot.catalog.models()]


def test_model_lists_are_fetched(config: Path) -> None:
    with ScriptedUpstream() as upstream:
        upstream.reply("/v1/models", Reply(body=b'{"data":[{"id":"gpt-b"},{"id":"gpt-a"}]}'))
        services = _ask_list(config, upstream)
        _until(lambda: _models(services) == ["gpt-a", "gpt-b"])
        services.stop()
    assert upstream.requests[0].header("authorization") == "Bearer sk-1"


@pytest.mark.parametrize(
    ("own", "general", "by_proxy"),
    [
        ("", "", False),
        ("", "proxy-url: {proxy}", True),
        ("proxy-url: {proxy}", "", True),
        ("proxy-url: direct", "proxy-url: {proxy}", False),
    ],
)
def test_model_lists_go_the_way_of_calls(
    own: str, general: str, by_proxy: bool, config: Path
) -> None:
    with ScriptedUpstream() as upstream, ScriptedUpstream() as proxy:
        listing = Reply(body=b'{"data":[{"id":"gpt-a"}]}')
        for server in (upstream, proxy):
            server.reply("*", listing)
        own, general = own.format(proxy=proxy.url), general.format(proxy=proxy.url)
        services = _ask_list(config, upstream, own, general)
        _until(lambda: _models(services) == ["gpt-a"])
        services.stop()
        assert (len(upstream.requests), len(proxy.requests)) == (not by_proxy, by_proxy)


def test_a_list_that_cannot_be_had_is_no_harm(config: Path) -> None:
    asked: list[Recorded] = []

    def refuse(request: Recorded) -> Reply:
        asked.append(request)
        return Reply(500)

    with ScriptedUpstream() as upstream:
        upstream.reply("*", refuse)
        services = _ask_list(config, upstream)
        _until(lambda: asked)
        assert services.snapshot.catalog.resolve("gpt-anything").candidates
        services.stop()


def test_environment_proxies_are_used_when_wanted(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text(config.read_text() + "use-environment-proxy: true\n")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    services = Services(config, {})
    services.start()
    fetch: Any = services._fetch_list
    with ScriptedUpstream() as upstream:
        upstream.reply("*", Reply(body=b"{}"))
        with pytest.raises(Overloaded):
            fetch(upstream.url, {}, None)
        assert fetch(upstream.url, {}, "direct") == b"{}"
    services.stop()
