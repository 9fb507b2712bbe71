"""Every kind of ledger there is, for tests that hold for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from app.accounting.ledger import Ledger
from app.storage import IN_MEMORY, open_ledger
from tests.storage.postgres import shared_postgres


def _memory(_: Path) -> str:
    return IN_MEMORY


def _sqlite(directory: Path) -> str:
    return f"sqlite:///{directory / 'usage.db'}"


def _postgres(_: Path) -> str:
    return shared_postgres().new_database()


URLS: dict[str, Callable[[Path], str]] = {
    "memory": _memory,
    "sqlite": _sqlite,
    "postgres": _postgres,
}
"""Makes an empty database of each kind and tells its URL; a new kind is registered here."""

ON_DISK = tuple(name for name in URLS if name != "memory")


@contextmanager
def opened(url: str, directory: Path) -> Iterator[Ledger]:
    """A ledger that is closed at the end."""
    ledger = open_ledger(url, directory)
    try:
        yield ledger
    finally:
        ledger.close()
