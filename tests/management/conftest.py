from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import flask
import pytest
from flask.testing import FlaskClient

from app.accounting.ledger import Ledger
from app.config.report import ConfigWarning
from app.config.schema import Config, RemoteManagement
from app.errors import ConfigError
from app.management import blueprint
from app.storage.memory import MemoryLedger

KEY = "management-key-1"


@dataclass
class FixedServices:
    """What the blueprint asks for, as a test sets it."""

    snapshot: Config = field(
        default_factory=lambda: Config(remote_management=RemoteManagement(secret_key=KEY))
    )
    ledger: Ledger = field(default_factory=MemoryLedger)
    error: ConfigError | None = None
    warnings: tuple[ConfigWarning, ...] = ()
    version: str = "1.2.3"
    started_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def config(self) -> Config:
        return self.snapshot

    def config_status(
        self,
    ) -> tuple[ConfigError | None, tuple[ConfigWarning, ...], datetime]:
        return self.error, self.warnings, self.started_at


@pytest.fixture
def services() -> FixedServices:
    return FixedServices()


@pytest.fixture
def client(services: FixedServices) -> FlaskClient:
    app = flask.Flask(__name__)
    app.register_blueprint(blueprint(services), url_prefix="/v0/management")
    return app.test_client()
