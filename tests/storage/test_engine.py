from __future__ import annotations

import socket
from pathlib import Path

import pytest
from sqlalchemy import make_url

from app.errors import ConfigError, GatewayError
from app.storage import IN_MEMORY, open_ledger, prepare
from app.storage.memory import MemoryLedger
from app.storage.sql.engine import make_engine, resolve

PLACE = Path("/srv/data")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", "sqlite:////srv/data/aiproxyapi.db"),
        ("sqlite:////var/x.db", "sqlite:////var/x.db"),
        ("sqlite:///x.db", "sqlite:///x.db"),
        ("sqlite+pysqlite:////var/x.db", "sqlite:////var/x.db"),
        (
            "postgres://u:p@db:5/x?sslmode=require",
            "postgresql+psycopg://u:p@db:5/x?sslmode=require",
        ),
        ("postgresql://u@db/x", "postgresql+psycopg://u@db/x"),
        ("postgresql+psycopg://u@db/x", "postgresql+psycopg://u@db/x"),
    ],
)
def test_urls(given: str, expected: str) -> None:
    assert resolve(given, PLACE) == make_url(expected)


def test_home_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert resolve("", Path("~/.x")).database == "/home/me/.x/aiproxyapi.db"
    assert resolve("sqlite:///~/x.db", PLACE).database == "/home/me/x.db"


@pytest.mark.parametrize(
    "given", ["nonsense", "mysql://u@db/x", "sqlite://", "sqlite:///:memory:", "postgres://db:x/y"]
)
def test_other_urls_are_refused(given: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(given, PLACE)
    assert caught.value.key == "database-url"


def test_what_is_kept_in_memory(tmp_path: Path) -> None:
    assert isinstance(open_ledger(IN_MEMORY, tmp_path), MemoryLedger)
    prepare(IN_MEMORY, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_preparing_makes_the_database(tmp_path: Path) -> None:
    prepare("", tmp_path / "a" / "b")
    prepare("", tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b" / "aiproxyapi.db").stat().st_size > 0


def test_preparing_says_when_it_cannot(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(GatewayError) as caught:
        prepare("", tmp_path / "file")
    assert caught.value.kind == "storage_unavailable"
    with pytest.raises(GatewayError):
        prepare(f"postgresql://u@/x?host={tmp_path}", tmp_path)


def test_a_host_name_is_looked_up_by_python_and_not_by_libpq() -> None:
    with socket.socket() as listener:  # bound and not listening: a connection is refused
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        engine = make_engine(resolve(f"postgresql://u@localhost:{port}/x", PLACE))
        with pytest.raises(Exception, match=r"127\.0\.0\.1"):
            engine.connect()
        engine.dispose()


def test_a_refused_url_is_not_told() -> None:
    with pytest.raises(ConfigError) as caught:
        resolve("mysql://root:hunter2@db/x", PLACE)
    assert "hunter2" not in str(caught.value)
