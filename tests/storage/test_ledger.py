"""What happens to records while the database is unwell; the plain days are in the contract."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import gevent
import pytest
from sqlalchemy import Select, text
from typing_extensions import override

from app.accounting.ledger import Ledger, UsageRecord
from app.errors import GatewayError
from app.storage.sql.engine import make_engine, resolve
from app.storage.sql.ledger import SqlLedger
from app.storage.sql.rows import Row, row_of
from app.storage.sql.spool import Spool
from app.storage.sql.store import SqliteStore, Store, open_store
from app.storage.sql.tables import metadata
from app.storage.sql.writer import Writer
from tests.storage.backends import ON_DISK, URLS, opened
from tests.storage.postgres import Postgres, make_postgres
from tests.storage.records import NOON, record

ROOT = Path(__file__).parents[2]


def impatient(
    url: str, directory: Path, spool: Spool | None = None, deadline_s: float = 0.3
) -> SqlLedger:
    """A ledger that gives up and tries again sooner than the real one."""
    store = open_store(resolve(url, directory))
    spool = spool or Spool(directory / "spool")
    writer = Writer(store, spool, deadline_s=deadline_s, retry_s=0.05, adopt_every_s=0.05)
    return SqlLedger(store, spool, writer)


def until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < give_up, "it never happened"
        gevent.sleep(0.01)


def ids(ledger: Ledger) -> list[str]:
    return sorted(each.id for each in ledger.records())


def execute(url: str, *statements: str) -> None:
    engine = make_engine(resolve(url, Path()), busy_timeout_ms=5000)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def make_tables(url: str) -> None:
    engine = make_engine(resolve(url, Path()), busy_timeout_ms=5000)
    metadata.create_all(engine)
    engine.dispose()


@pytest.fixture(params=ON_DISK)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return URLS[request.param](tmp_path)


@pytest.fixture
def ledger(url: str, tmp_path: Path) -> Iterator[SqlLedger]:
    ledger = impatient(url, tmp_path)
    yield ledger
    ledger.close()


def test_records_wait_for_a_table_that_is_gone(url: str, ledger: SqlLedger, tmp_path: Path) -> None:
    ledger.save(record(id="before"))
    execute(url, "DROP TABLE usage_records")
    for number in range(20):
        ledger.save(record(id=f"r{number}"))
    health = ledger.health()
    assert (health.ok, health.spooled, health.lost) == (False, 20, 0)
    assert health.error
    make_tables(url)
    until(lambda: ledger.health().ok)
    ledger.save(record(id="after"))
    assert ids(ledger) == sorted(["after", *(f"r{number}" for number in range(20))])
    assert ledger.health().spooled == 0
    assert list((tmp_path / "spool").iterdir()) == []


def test_an_older_row_never_overtakes_a_newer_one(url: str, ledger: SqlLedger) -> None:
    ledger.save(record(id="other"))
    execute(url, "DROP TABLE usage_records")
    for status in (500, 503, 200):
        ledger.save(record(status=status))
    make_tables(url)
    ledger.save(record(status=299))
    until(lambda: ledger.health().ok)
    assert [each.status for each in ledger.records()] == [299]


def test_reading_what_cannot_be_read_is_an_error_of_ours(url: str, ledger: SqlLedger) -> None:
    ledger.save(record())
    execute(url, "DROP TABLE usage_records")
    with pytest.raises(GatewayError, match="cannot be used right now") as caught:
        ledger.credential_of("x")
    assert (caught.value.status, caught.value.kind) == (503, "storage_unavailable")
    assert not ledger.health().ok


def test_records_go_to_the_spool_while_another_process_holds_the_lock(tmp_path: Path) -> None:
    url = URLS["sqlite"](tmp_path)
    ledger = impatient(url, tmp_path)
    ledger.save(record(id="before"))
    other = sqlite3.connect(tmp_path / "usage.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    turns = 0

    def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            gevent.sleep(0.001)

    ticker = gevent.spawn(turn)
    savers = [gevent.spawn(ledger.save, record(id=f"r{number}")) for number in range(10)]
    gevent.joinall(savers, timeout=10, raise_error=True)
    ticker.kill()
    assert all(saver.ready() for saver in savers)
    assert turns > 10, "the process stood still meanwhile"
    assert ledger.health().spooled == 10
    other.execute("COMMIT")
    other.close()
    until(lambda: ledger.health().ok)
    assert len(ids(ledger)) == 11
    ledger.close()


def test_a_short_lock_is_waited_for(tmp_path: Path) -> None:
    url = URLS["sqlite"](tmp_path)
    ledger = impatient(url, tmp_path, deadline_s=20)
    ledger.save(record(id="before"))
    other = sqlite3.connect(tmp_path / "usage.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    saver = gevent.spawn(ledger.save, record(id="a"))
    gevent.sleep(0.02)
    assert not saver.ready()
    other.execute("COMMIT")
    other.close()
    saver.get(timeout=10)
    assert ledger.health().spooled == 0
    assert ids(ledger) == ["a", "before"]
    ledger.close()


def test_records_wait_for_a_server_that_is_gone(tmp_path: Path) -> None:
    server = make_postgres()
    try:
        _stop_and_start(server, tmp_path)
    finally:
        server.destroy()


def _stop_and_start(server: Postgres, tmp_path: Path) -> None:
    ledger = impatient(server.new_database(), tmp_path)
    ledger.save(record(id="before"))
    server.stop()
    began = time.monotonic()
    for number in range(20):
        ledger.save(record(id=f"r{number}"))
    assert time.monotonic() - began < 5
    health = ledger.health()
    assert (health.ok, health.spooled, health.lost) == (False, 20, 0)
    server.start()
    until(lambda: ledger.health().ok)
    assert len(ids(ledger)) == 21
    ledger.close()


def test_a_silent_server_holds_nobody_up(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.storage.hung", URLS["postgres"](tmp_path), tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert ran.returncode == 0, ran.stderr
    first, second, pause, found = map(int, re.findall(r"\d+", ran.stdout))
    assert first > 900
    assert second < 0.8 * first
    assert pause < 0.8 * first
    assert found == 3


def test_a_server_that_was_never_there(tmp_path: Path) -> None:
    ledger = impatient(f"postgresql://nobody@/none?host={tmp_path}", tmp_path)
    assert not ledger.health().ok
    ledger.save(record())
    assert ledger.health().spooled == 1
    ledger.close()


@pytest.mark.parametrize("table", ["there", "gone"])
def test_whoever_was_told_safe_is_safe(url: str, table: str, tmp_path: Path) -> None:
    with opened(url, tmp_path) as first:
        first.save(record(id="before"))
    if table == "gone":
        execute(url, "DROP TABLE usage_records")
    ran = subprocess.run(
        [sys.executable, "-m", "tests.storage.crash", url, tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert ran.returncode == -9, ran.stderr
    told = set(ran.stdout.split())
    assert len(told) == 250
    if table == "gone":
        make_tables(url)
    with opened(url, tmp_path) as heir:
        assert heir.recover()
        found = ids(heir)
    assert told <= set(found)
    assert len(found) == len(set(found))
    assert list((tmp_path / "spool").glob("*")) == []


def test_a_running_worker_takes_over_what_another_left(ledger: SqlLedger, tmp_path: Path) -> None:
    ledger.save(record(id="mine"))
    dead = Spool(tmp_path / "spool")
    dead.append([row_of(record(id="theirs"))])
    dead.close()
    until(lambda: ids(ledger) == ["mine", "theirs"])


def test_saving_goes_on_while_much_is_taken_over(ledger: SqlLedger, tmp_path: Path) -> None:
    dead = Spool(tmp_path / "spool")
    dead.append([row_of(record(id=f"r{number}")) for number in range(3000)])
    dead.close()
    ledger.start()
    gevent.sleep(0)
    ledger.save(record(id="mine"))
    assert (tmp_path / "spool").exists()
    assert ledger.recover()
    assert len(list(ledger.records())) == 3001


def test_one_bad_row_does_not_keep_the_others_out(ledger: SqlLedger) -> None:
    bad: Any = None
    savers = [
        gevent.spawn(ledger.save, record(id="a")),
        gevent.spawn(ledger.save, record(id="bad", attempts=bad)),
        gevent.spawn(ledger.save, record(id="b")),
    ]
    gevent.joinall(savers, raise_error=True)
    until(lambda: ledger.health().ok)
    assert ids(ledger) == ["a", "b"]
    assert ledger.health().lost == 1


def test_neither_database_nor_spool(url: str, tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("in the way")
    ledger = impatient(url, tmp_path, Spool(tmp_path / "blocked"))
    ledger.save(record(id="before"))
    execute(url, "DROP TABLE usage_records")
    for number in range(3):
        ledger.save(record(id=f"r{number}"))
    health = ledger.health()
    assert (health.ok, health.spooled, health.lost) == (False, 0, 3)
    make_tables(url)
    until(lambda: ledger.health().ok)
    ledger.save(record(id="after"))
    assert ids(ledger) == ["after"]
    ledger.close()


def test_a_directory_that_may_not_be_written() -> None:
    base = Path(tempfile.mkdtemp())  # pytest's own may be entered by its owner alone
    try:
        base.chmod(0o755)
        (base / "closed").mkdir(mode=0o555)
        (base / "open").mkdir()
        (base / "open").chmod(0o777)
        ran = subprocess.run(
            [sys.executable, "-m", "tests.storage.powerless", base / "closed", base / "open"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=30,
        )
    finally:
        shutil.rmtree(base)
    assert ran.stdout.split() == ["False", "5", "0", "PermissionError", "True"], ran.stderr


class Silent(Store):
    """A database that never answers."""

    @override
    def write(self, rows: Sequence[Row], deadline_s: float) -> None:
        gevent.sleep(3600)

    @override
    def fetch(self, query: Select[Any], deadline_s: float = 0.0) -> list[Row]:
        return []

    @override
    def close(self) -> None:
        """Nothing is open."""


def test_a_writer_that_is_killed_leaves_its_rows_in_the_spool(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    writer = Writer(Silent(resolve("", tmp_path)), spool)
    saver = gevent.spawn(writer.save, row_of(record()))
    gevent.sleep(0)
    gevent.sleep(0)
    late = gevent.spawn(writer.save, row_of(record(id="late")))
    gevent.sleep(0)
    assert writer._greenlet is not None
    writer._greenlet.kill()
    writer.close()
    gevent.joinall([saver, late], timeout=10, raise_error=True)
    assert {row[0] for chunk in Spool(tmp_path).orphans() for row in chunk} == {"req-1", "late"}


def test_another_writer_follows_one_that_was_killed(tmp_path: Path) -> None:
    class Waking(SqliteStore):
        """Silent until it is told to go on."""

        is_silent = False

        @override
        def write(self, rows: Sequence[Row], deadline_s: float) -> None:
            while self.is_silent:
                gevent.sleep(0.001)
            super().write(rows, deadline_s)

    store = Waking(resolve("", tmp_path))
    spool = Spool(tmp_path / "spool")
    writer = Writer(store, spool, retry_s=0.01)
    ledger = SqlLedger(store, spool, writer)
    ledger.save(record(id="before"))
    store.is_silent = True
    saver = gevent.spawn(ledger.save, record(id="caught"))
    gevent.sleep(0.01)
    assert writer._greenlet is not None
    writer._greenlet.kill()
    saver.get(timeout=10)
    store.is_silent = False
    ledger.save(record(id="after"))
    until(lambda: ledger.health().ok)
    assert ids(ledger) == ["after", "before", "caught"]
    ledger.close()


def test_closing_while_the_database_is_away(url: str, tmp_path: Path) -> None:
    ledger = impatient(url, tmp_path)
    ledger.save(record(id="before"))
    execute(url, "DROP TABLE usage_records")
    ledger.save(record(id="a"))
    ledger.close()
    make_tables(url)
    with opened(url, tmp_path) as heir:
        assert heir.recover()
        assert ids(heir) == ["a"]


def test_the_database_is_for_its_owner_alone(tmp_path: Path) -> None:
    with opened("", tmp_path / "new") as ledger:
        ledger.save(record())
        for path in (tmp_path / "new").glob("aiproxyapi.db*"):
            assert path.stat().st_mode & 0o077 == 0, path
        assert (tmp_path / "new").stat().st_mode & 0o077 == 0


def test_reading_alone_makes_the_tables(url: str, tmp_path: Path) -> None:
    with opened(url, tmp_path) as ledger:
        assert ledger.totals("day", NOON, NOON + timedelta(days=1)) == []


def test_it_opens_nothing_before_its_first_use(tmp_path: Path) -> None:
    with opened("", tmp_path / "new"):
        assert not (tmp_path / "new").exists()


def test_two_processes_write_at_once(url: str, tmp_path: Path) -> None:
    program = (
        "import sys, gevent\n"
        "from pathlib import Path\n"
        "from app.storage import open_ledger\n"
        "from tests.storage.records import record\n"
        "ledger = open_ledger(sys.argv[1], Path(sys.argv[2]))\n"
        "def work(name):\n"
        "    for number in range(40):\n"
        "        ledger.save(record(id=f'{sys.argv[3]}-{name}-{number}'))\n"
        "        gevent.sleep(0)\n"
        "gevent.joinall([gevent.spawn(work, n) for n in range(10)], raise_error=True)\n"
        "ledger.close()\n"
    )
    with opened(url, tmp_path) as ledger:
        ledger.save(record(id="before"))
        workers = [
            subprocess.Popen([sys.executable, "-c", program, url, tmp_path, str(n)], cwd=ROOT)
            for n in range(2)
        ]
        assert [worker.wait(50) for worker in workers] == [0, 0]
        assert ledger.recover()
        assert [each.requests for each in ledger.totals("key")] == [801]


def test_a_record_is_what_its_row_says(tmp_path: Path) -> None:
    saved: UsageRecord = record(model="x" * 1000)
    with opened("", tmp_path) as ledger:
        ledger.save(saved)
        (found,) = ledger.records()
    assert found.model == "x" * 256
