"""The application with everything real but the provider and the configuration file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import flask
from flask.testing import FlaskClient
from typing_extensions import override

from app.access.keys import KeyRing
from app.accounting.ledger import LedgerHealth
from app.api import anthropic, gemini, health, openai
from app.api.dispatch import LightDispatch
from app.api.http import ClientApi, install_errors
from app.config.load import ConfigWarning
from app.config.schema import Config
from app.credentials.credential import Credential
from app.errors import ConfigError
from app.gateway.serve import Pipeline
from app.routing.catalog import Catalog
from app.routing.select import Rotation
from app.services import Services, Snapshot
from app.storage.memory import MemoryLedger, MemorySeals
from app.upstream.fetch import MediaFetcher
from app.upstream.transport import Transport
from app.wire.peer import networks

KEY = "client-key"


class ReportingLedger(MemoryLedger):
    """Says of itself what a test wants to hear."""

    said = LedgerHealth(ok=True)

    @override
    def health(self) -> LedgerHealth:
        return self.said


@dataclass
class FixedServices:
    """What the views ask for, as a test sets it."""

    snapshot: Snapshot
    transport: Transport = field(default_factory=Transport)
    ledger: ReportingLedger = field(default_factory=ReportingLedger)
    version: str = "1.2.3"
    error: ConfigError | None = None

    def pipeline(self) -> Pipeline:
        return Pipeline(
            self.transport,
            self.ledger,
            Rotation(),
            fetch=MediaFetcher(allow_private=True).fetch,
            seals=MemorySeals(),
        )

    def config_status(self) -> tuple[ConfigError | None, tuple[ConfigWarning, ...], datetime]:
        return self.error, (), datetime(2026, 11, 21, tzinfo=UTC)


def snapshot(config: Config, credentials: Sequence[Credential] = ()) -> Snapshot:
    return Snapshot(
        config=config,
        keys=KeyRing(config),
        catalog=Catalog(config, credentials),
        trusted_proxies=networks(config.trusted_proxies),
    )


class Front:
    """The routes, and a client that knows a key."""

    def __init__(self, *credentials: Credential, config: Config | None = None) -> None:
        config = config or Config(api_keys=(KEY,))
        self.services = FixedServices(snapshot(config, credentials))
        self.api = ClientApi(cast(Services, self.services))
        self.app = flask.Flask("front", static_folder=None)
        for part in (openai, anthropic, gemini, health):
            self.app.register_blueprint(part.blueprint(self.api))
        install_errors(self.app)
        self.dispatch = LightDispatch(self.app, cast(Any, self.app.wsgi_app))
        cast(Any, self.app).wsgi_app = self.dispatch

    @property
    def client(self) -> FlaskClient:
        return self.app.test_client()

    def close(self) -> None:
        self.services.transport.close()
