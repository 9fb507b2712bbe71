"""The migrations make the tables that the code expects, in both directions, with rows in them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Engine, MetaData, Table, inspect, text

from app.accounting.ledger import UsageRecord
from app.storage.sql import migrate
from app.storage.sql.engine import make_engine, resolve
from app.storage.sql.rows import COLUMNS, row_of
from app.storage.sql.store import open_store
from app.storage.sql.tables import metadata, usage_records
from tests.storage.backends import ON_DISK, URLS
from tests.storage.records import record


@pytest.fixture(params=ON_DISK)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> URL:
    return resolve(URLS[request.param](tmp_path), tmp_path)


@pytest.fixture
def engine(url: URL) -> Iterator[Engine]:
    engine = make_engine(url)
    yield engine
    engine.dispose()


def test_head_equals_the_tables(url: URL, engine: Engine) -> None:
    migrate.upgrade(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []
        primary = inspect(connection).get_pk_constraint("usage_records")
        assert primary["constrained_columns"] == ["id"]


def test_the_newest_revision_is_told_by_its_name(engine: Engine) -> None:
    with engine.connect() as connection:
        scripts = ScriptDirectory.from_config(migrate.config(connection))
    assert scripts.get_heads() == [migrate.head()]


def test_rows_have_the_tables_columns() -> None:
    assert tuple(column.name for column in usage_records.columns) == COLUMNS
    assert len(row_of(record())) == len(COLUMNS)


def _revisions() -> list[str]:
    return sorted(path.name[:4] for path in (migrate.migrations_dir() / "versions").glob("0*.py"))


@pytest.mark.parametrize("revision", _revisions())
def test_each_revision_goes_up_down_and_up_with_rows(
    url: URL, engine: Engine, revision: str
) -> None:
    before = f"{int(revision) - 1:04d}" if int(revision) > 1 else "base"
    with engine.begin() as connection:
        migrate.run(connection, revision)
    _insert(engine, record(id="first"))
    with engine.begin() as connection:
        migrate.run(connection, before)
    with engine.begin() as connection:
        migrate.run(connection, revision)
    _insert(engine, record(id="second"))
    assert "second" in _ids(engine)


def test_two_starts_at_once(url: URL, engine: Engine) -> None:
    program = (
        "import sys\n"
        "from app.storage.sql import migrate\n"
        "from sqlalchemy import make_url\n"
        "url = make_url(sys.argv[1])\n"
        "sys.stdin.readline()\n"
        "migrate.upgrade(url)\n"
    )
    rendered = url.render_as_string(hide_password=False)
    starts = [
        subprocess.Popen(
            [sys.executable, "-c", program, rendered],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for start in starts:
        assert start.stdin is not None
        start.stdin.write("go\n")
        start.stdin.flush()
    for start in starts:
        _, errors = start.communicate(timeout=30)
        assert (start.returncode, errors) == (0, "")
    assert migrate.current(engine) == migrate.head()
    assert _ids(engine) == []


def test_a_start_with_tables_up_to_date_needs_no_alembic(url: URL) -> None:
    migrate.upgrade(url)
    program = (
        "import sys\n"
        "from app.storage.sql import migrate\n"
        "from sqlalchemy import make_url\n"
        "migrate.upgrade(make_url(sys.argv[1]))\n"
        "sys.exit('alembic' in sys.modules)\n"
    )
    rendered = url.render_as_string(hide_password=False)
    subprocess.run([sys.executable, "-c", program, rendered], check=True, timeout=30)


def test_tables_of_a_later_version_are_left_alone(url: URL, engine: Engine) -> None:
    migrate.upgrade(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    store = open_store(url)
    store.write([row_of(record())], 1.0)
    store.close()
    assert migrate.current(engine) == "9999"
    assert _ids(engine) == ["req-1"]


def _insert(engine: Engine, each: UsageRecord) -> None:
    """Insert what the table has columns for: an older revision has fewer than the code."""
    there = Table("usage_records", MetaData(), autoload_with=engine)
    values = dict(zip(COLUMNS, row_of(each), strict=True))
    with engine.begin() as connection:
        names = [column.name for column in there.columns]
        connection.execute(there.insert(), {name: values[name] for name in names})


def _ids(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT id FROM usage_records ORDER BY id")).scalars())
