"""Builds each long-lived object once, hands it down.

A worker makes its ``Services`` after it was forked: sockets, database connections and greenlets
must not be shared with the master.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

import gevent

from app import __version__, clock
from app.access.keys import KeyRing
from app.accounting.ledger import Ledger
from app.config.load import ConfigWarning
from app.config.schema import Config
from app.config.watch import ConfigWatcher
from app.credentials.configured import from_config
from app.errors import ConfigError
from app.gateway import exchange
from app.gateway.memory import CachedSeals
from app.gateway.serve import Pipeline
from app.routing.catalog import Catalog
from app.routing.lists import LiveLists
from app.routing.select import Rotation
from app.storage import open_ledger, open_seals
from app.upstream.fetch import MediaFetcher
from app.upstream.transport import Transport
from app.wire.peer import networks

_log = logging.getLogger(__name__)

_LIST_LIMIT = 8 * 1024 * 1024
_LIST_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Snapshot(exchange.Snapshot):
    """One state of the configuration, with what the edges need of it."""

    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]


class Services:
    """The long-lived objects of one worker."""

    version = __version__

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        """Read the configuration.

        Raises:
            ConfigError: it cannot be used.
        """
        self._watcher = ConfigWatcher(path, environ, self._swap)
        self._lists = LiveLists(self._fetch_list)
        self._transport: Transport | None = None
        self._ledger: Ledger | None = None
        self._seals: CachedSeals | None = None
        self._pipeline: Pipeline | None = None
        self._started_pid = 0
        self._background: list[gevent.Greenlet[..., object]] = []
        self.started_at = clock.now()
        self.snapshot = self._build(self._watcher.current)

    def _build(self, config: Config) -> Snapshot:
        return Snapshot(
            config=config,
            keys=KeyRing(config),
            catalog=Catalog(config, from_config(config), self._lists),
            trusted_proxies=networks(config.trusted_proxies),
        )

    def _swap(self, config: Config) -> None:
        self.snapshot = self._build(config)
        _set_log_level(config)
        self._lists.wake()

    def start(self) -> None:
        """Open what a worker needs; does nothing the second time in one process."""
        if self._started_pid == os.getpid():
            return
        self._started_pid = os.getpid()
        config = self.snapshot.config
        _set_log_level(config)
        self.started_at = clock.now()
        self._transport = Transport(
            pool_size=config.worker_connections, trust_env=config.use_environment_proxy
        )
        self._ledger = open_ledger(config.database_url, Path(config.data_dir))
        self._ledger.start()
        self._seals = CachedSeals(open_seals(config.database_url, Path(config.data_dir)))
        self._seals.start()
        self._pipeline = Pipeline(
            self._transport,
            self._ledger,
            Rotation(),
            fetch=MediaFetcher(allow_private=config.fetch_private_addresses).fetch,
            seals=self._seals,
        )
        self._background = [
            gevent.spawn(self._watcher.run),
            gevent.spawn(
                self._lists.run,
                lambda: self.snapshot.catalog.credentials,
                lambda: self.snapshot.config.model_list_interval,
            ),
        ]

    def stop(self) -> None:
        """Write what waits and let go of everything."""
        gevent.killall(self._background, block=False)
        if self._ledger is not None:
            self._ledger.close()
        if self._seals is not None:
            self._seals.close()
        if self._transport is not None:
            self._transport.close()

    def reload(self) -> None:
        """Look at the configuration file now."""
        self._watcher.reload_now()

    def pipeline(self) -> Pipeline:
        """The pipeline of this worker."""
        if self._pipeline is None or self._started_pid != os.getpid():
            self.start()
            assert self._pipeline is not None
        return self._pipeline

    @property
    def ledger(self) -> Ledger:
        self.pipeline()
        assert self._ledger is not None
        return self._ledger

    def config(self) -> Config:
        """The configuration in force."""
        return self.snapshot.config

    def config_status(self) -> tuple[ConfigError | None, tuple[ConfigWarning, ...], datetime]:
        """The last reload's error if it failed, the warnings, when the current one was loaded."""
        watcher = self._watcher
        return watcher.error, watcher.warnings, watcher.loaded_at

    def _fetch_list(self, url: str, headers: Mapping[str, str], proxy_url: str | None) -> bytes:
        assert self._transport is not None
        config = self.snapshot.config
        proxy = config.proxy_url if proxy_url is None else proxy_url
        return self._transport.get_json(
            url,
            headers,
            proxy_url=proxy,
            limit=_LIST_LIMIT,
            timeout_s=_LIST_TIMEOUT_S,
        )


def _set_log_level(config: Config) -> None:
    logging.getLogger("app").setLevel(logging.DEBUG if config.debug else logging.INFO)
