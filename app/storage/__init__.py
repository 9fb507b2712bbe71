"""Keeps records; implements the stores other packages ask for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from app.accounting.ledger import Ledger

if TYPE_CHECKING:
    from app.storage.memory import MemorySeals
    from app.storage.sql.seals import SqlSeals

IN_MEMORY = "memory://"
"""The database URL of a trial that keeps nothing."""


def open_ledger(database_url: str, data_dir: Path) -> Ledger:
    """Make the ledger of a configuration; nothing is opened before its first use.

    So it may be made before a fork, and each process then has connections of its own.

    Args:
        database_url: ``sqlite:///path``, ``postgresql://…``, ``memory://``; empty = SQLite in
            the data directory.
        data_dir: where the default database and the spool live; made when needed.

    Raises:
        ConfigError: no database is reached by such a URL.
    """
    if database_url == IN_MEMORY:
        from app.storage.memory import MemoryLedger

        return MemoryLedger()
    # SQLAlchemy is heavy to import and not everybody who imports this package needs it.
    from app.storage.sql.ledger import SqlLedger

    return SqlLedger.open(database_url, data_dir)


def open_seals(database_url: str, data_dir: Path) -> MemorySeals | SqlSeals:
    """Make the store of what belongs to tool calls, in the same database; see ``open_ledger``.

    Raises:
        ConfigError: no database is reached by such a URL.
    """
    if database_url == IN_MEMORY:
        from app.storage.memory import MemorySeals

        return MemorySeals()
    from app.storage.sql.seals import SqlSeals

    return SqlSeals.open(database_url, data_dir)


def prepare(database_url: str, data_dir: Path) -> None:
    """Make the data directory and bring the tables up to date; cheap when they are.

    Raises:
        ConfigError: no database is reached by such a URL.
        GatewayError: the database cannot be reached. A server may start all the same: its
            ledger spools, and tries again.
    """
    if database_url == IN_MEMORY:
        return
    from app.storage.sql.engine import resolve
    from app.storage.sql.store import prepare_database

    prepare_database(resolve(database_url, data_dir))
