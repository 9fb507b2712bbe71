"""Brings the tables to the newest revision.

Revisions are files ``NNNN_verb_noun.py`` and count up by one, so that the newest one is known
from its name: a start with tables that are up to date does not even import Alembic.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import URL, Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from app.config.paths import root_file
from app.storage.sql.engine import make_engine

if TYPE_CHECKING:
    from alembic.config import Config

PATIENCE_MS = 10_000
"""How long a start waits for another process that migrates the same SQLite file."""

LOCK = 0x41495058
"""Number of the PostgreSQL advisory lock; any that nobody else uses."""


def migrations_dir() -> Path:
    """Where revisions are: beside the package in a checkout, inside it once installed."""
    return root_file("migrations")


def head() -> str:
    """The newest revision there is."""
    return max(path.name[:4] for path in (migrations_dir() / "versions").glob("[0-9]*_*.py"))


def upgrade(url: URL) -> None:
    """Bring the database to ``head``; any number of processes may do so at once.

    A database of a later version is left alone: its tables must serve this one too.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database cannot be reached or changed.
    """
    engine = make_engine(url, busy_timeout_ms=PATIENCE_MS)
    try:
        if current(engine) < head():
            _upgrade_locked(engine)
    finally:
        engine.dispose()


def current(engine: Engine) -> str:
    """The revision a database is at, empty for a new one."""
    with engine.connect() as connection:
        try:
            found = connection.execute(text("SELECT max(version_num) FROM alembic_version"))
        except DBAPIError:
            # No such table, most likely. Whatever else is wrong shows when migrating.
            return ""
        return str(found.scalar() or "")


def _upgrade_locked(engine: Engine) -> None:
    with engine.connect() as connection, connection.begin():
        # Held to the end of the transaction. Who comes second finds nothing left to do.
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        run(connection, head())


def run(connection: Connection, revision: str) -> None:
    """Migrate up or down to a revision (``base`` for none), in the connection's transaction."""
    from alembic import command
    from alembic.migration import MigrationContext

    settings = config(connection)
    at = MigrationContext.configure(connection).get_current_revision() or ""
    if revision == "base" or revision < at:
        command.downgrade(settings, revision)
    else:
        command.upgrade(settings, revision)


def config(connection: Connection) -> Config:
    """Alembic's configuration, for the connection it is to work on."""
    from alembic.config import Config

    settings = Config()
    settings.set_main_option("script_location", str(migrations_dir()).replace("%", "%%"))
    settings.attributes["connection"] = connection
    return settings
