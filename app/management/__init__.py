"""The operator's side: the JSON API behind the panel."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from app.accounting.ledger import Ledger
from app.config.report import ConfigWarning
from app.config.schema import Config
from app.errors import ConfigError

if TYPE_CHECKING:
    import flask


class Services(Protocol):
    """What the management API needs of the long-lived objects."""

    @property
    def version(self) -> str:
        """The gateway's version."""
        ...

    @property
    def started_at(self) -> datetime:
        """When this worker began, aware UTC."""
        ...

    @property
    def ledger(self) -> Ledger:
        """The usage records."""
        ...

    def config(self) -> Config:
        """The configuration in force."""
        ...

    def config_status(self) -> tuple[ConfigError | None, Sequence[ConfigWarning], datetime]:
        """The last reload's error if it failed, the warnings, when the current one was read."""
        ...


def blueprint(services: Services) -> flask.Blueprint:
    """The routes, to be mounted at ``/v0/management``."""
    # The command line uses this package too and needs no Flask.
    from app.management.routes import make_blueprint

    return make_blueprint(services)
