"""What holds for every store, wherever it keeps its records."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import gevent
import pytest

from app import clock
from app.accounting.ledger import Ledger, Totals
from app.errors import GatewayError
from app.gateway.memory import Kept, SealStore
from app.ir.events import Usage
from app.ir.parts import Seal, Thinking
from app.storage import open_seals
from app.storage.sql import seals as sql_seals
from tests.storage.backends import ON_DISK, URLS, opened
from tests.storage.records import NOON, record


@pytest.fixture(params=URLS)
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    with opened(URLS[request.param](tmp_path), tmp_path) as ledger:
        yield ledger


def test_a_record_comes_back_as_it_went(ledger: Ledger) -> None:
    full = record()
    bare = record(id="req-2", ttft_ms=None, stream=False, usage=Usage(estimated=True))
    for each in (full, bare):
        ledger.save(each)
    assert sorted(ledger.records(), key=lambda r: r.id) == [full, bare]


@pytest.mark.parametrize(
    "at",
    [
        NOON,
        datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2026, 3, 4, 1, 2, 3, 4, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    ],
)
def test_time_is_kept_to_the_microsecond(ledger: Ledger, at: datetime) -> None:
    ledger.save(record(at=at))
    assert [each.at for each in ledger.records()] == [at]


def test_the_same_id_again_replaces_the_record(ledger: Ledger) -> None:
    ledger.save(record(status=200))
    ledger.save(record(id="other"))
    ledger.save(record(status=502, usage=Usage(output_tokens=1)))
    found = {each.id: each for each in ledger.records()}
    assert sorted(found) == ["other", "req-1"]
    assert found["req-1"] == record(status=502, usage=Usage(output_tokens=1))


def test_the_last_of_one_batch_wins(ledger: Ledger) -> None:
    savers = [gevent.spawn(ledger.save, record(status=status)) for status in (500, 503, 200)]
    gevent.joinall(savers, raise_error=True)
    assert [each.status for each in ledger.records()] == [200]


def test_newest_come_first_and_no_more_than_asked(ledger: Ledger) -> None:
    for minute in (3, 1, 2):
        ledger.save(record(id=f"r{minute}", at=NOON + timedelta(minutes=minute)))
    assert [each.id for each in ledger.records()] == ["r3", "r2", "r1"]
    assert [each.id for each in ledger.records(limit=2)] == ["r3", "r2"]
    assert list(ledger.records(limit=0)) == []


def test_a_span_holds_its_begin_and_not_its_end(ledger: Ledger) -> None:
    for minute in range(4):
        ledger.save(record(id=f"r{minute}", at=NOON + timedelta(minutes=minute)))
    since, until = NOON + timedelta(minutes=1), NOON + timedelta(minutes=3)
    assert [each.id for each in ledger.records(since, until)] == ["r2", "r1"]
    assert [each.requests for each in ledger.totals("key", since, until)] == [2]
    assert [pair[1].requests for pair in ledger.totals_by_key_and_model(since)] == [3]
    assert list(ledger.totals("day", until=NOON)) == []


def _three(ledger: Ledger) -> None:
    ledger.save(record(id="a", usage=Usage(1, 2, 3, 4, 5, 6, 7)))
    ledger.save(
        record(
            id="b",
            at=datetime(2026, 3, 5, 0, 0, tzinfo=UTC),
            client_id="key-b",
            model="slow",
            provider="claude",
            status=502,
            blame="upstream",
            usage=Usage(10, 20, 30, 40, 50, 60, 70, estimated=True),
        )
    )
    ledger.save(
        record(
            id="c",
            at=datetime(2026, 3, 4, 23, 59, 59, 999_999, tzinfo=UTC),
            model="slow",
            blame="upstream",
            usage=Usage(100, 200, 300, 400, 500, 600, 700),
        )
    )


def test_totals(ledger: Ledger) -> None:
    _three(ledger)
    first, second, third = (
        Usage(1, 2, 3, 4, 5, 6, 7),
        Usage(10, 20, 30, 40, 50, 60, 70, estimated=True),
        Usage(100, 200, 300, 400, 500, 600, 700),
    )
    outer = Usage(101, 202, 303, 404, 505, 606, 707)
    later = Usage(110, 220, 330, 440, 550, 660, 770, estimated=True)
    assert ledger.totals("key") == [Totals("key-a", 2, 1, outer), Totals("key-b", 1, 1, second)]
    assert ledger.totals("model") == [Totals("fast", 1, 0, first), Totals("slow", 2, 2, later)]
    assert ledger.totals("provider") == [
        Totals("claude", 1, 1, second),
        Totals("openai", 2, 1, outer),
    ]
    assert ledger.totals("day") == [
        Totals("2026-03-04", 2, 1, outer),
        Totals("2026-03-05", 1, 1, second),
    ]
    assert ledger.totals("hour") == [
        Totals("00", 1, 1, second),
        Totals("12", 1, 0, first),
        Totals("23", 1, 1, third),
    ]
    assert ledger.totals_by_key_and_model() == [
        ("key-a", Totals("fast", 1, 0, first)),
        ("key-a", Totals("slow", 1, 1, third)),
        ("key-b", Totals("slow", 1, 1, second)),
    ]


def test_nothing_sums_to_nothing(ledger: Ledger) -> None:
    assert ledger.totals("model") == []
    assert ledger.totals_by_key_and_model() == []
    assert list(ledger.records()) == []


def test_who_gave_an_answer(ledger: Ledger) -> None:
    ledger.save(record(answer_id="resp_1", credential_id="openai:1"))
    ledger.save(record(id="req-2", answer_id="", credential_id="openai:2"))
    assert ledger.credential_of("resp_1") == "openai:1"
    assert ledger.credential_of("resp_2") is None
    assert ledger.credential_of("") is None


def test_text_a_client_made_up_breaks_nothing(ledger: Ledger) -> None:
    ledger.save(record(id="odd", model="a\0b\ud800 ü 模型 '\"%s;--", answer_id="x" * 100_000))
    ledger.save(record(id="plain"))
    assert {each.id for each in ledger.records()} == {"odd", "plain"}
    assert ledger.health().lost == 0


def test_counts_a_provider_made_up_break_nothing(ledger: Ledger) -> None:
    for number in range(3):
        ledger.save(record(id=f"r{number}", usage=Usage(10**12, -5, output_tokens=7)))
    ledger.save(record(id="vast", usage=Usage(output_tokens=10**30)))
    assert len(list(ledger.records())) == 4
    assert ledger.totals("key")[0].usage.input_tokens == 3 * 10**12


def test_two_hundred_at_once(ledger: Ledger) -> None:
    def work(number: int) -> None:
        for turn in range(5):
            ledger.save(record(id=f"{number}-{turn}"))
            gevent.sleep(0)

    gevent.joinall([gevent.spawn(work, number) for number in range(200)], raise_error=True)
    assert [each.requests for each in ledger.totals("key")] == [1000]


def test_it_is_well(ledger: Ledger) -> None:
    ledger.save(record())
    health = ledger.health()
    assert health.ok
    assert (health.waiting, health.spooled, health.lost, health.error) == (0, 0, 0, "")


def test_it_may_be_closed_twice(ledger: Ledger) -> None:
    ledger.save(record())
    ledger.close()
    ledger.close()


@pytest.mark.parametrize("kind", ON_DISK)
def test_a_client_that_leaves_takes_no_record_along(kind: str, tmp_path: Path) -> None:
    with opened(URLS[kind](tmp_path), tmp_path) as ledger:
        ledger.save(record(id="warm"))
        leaving = gevent.spawn(ledger.save, record(id="left"))
        staying = gevent.spawn(ledger.save, record(id="stayed"))
        gevent.sleep(0)  # both begin; the writer has its turn after us
        assert not leaving.ready()
        leaving.kill()
        staying.get()
        assert {each.id for each in ledger.records()} == {"warm", "left", "stayed"}


@pytest.mark.parametrize("kind", ON_DISK)
def test_closing_writes_what_waits(kind: str, tmp_path: Path) -> None:
    url = URLS[kind](tmp_path)
    with opened(url, tmp_path) as ledger:
        savers = [gevent.spawn(ledger.save, record(id=f"r{n}")) for n in range(50)]
        gevent.sleep(0)  # all begin; the writer has its turn after us
        assert not any(saver.ready() for saver in savers)
        ledger.close()
        gevent.joinall(savers, raise_error=True)
    with opened(url, tmp_path) as ledger:
        assert len(list(ledger.records())) == 50


@pytest.mark.parametrize("kind", ON_DISK)
def test_a_record_saved_after_closing_is_found_by_the_next(kind: str, tmp_path: Path) -> None:
    url = URLS[kind](tmp_path)
    with opened(url, tmp_path) as ledger:
        ledger.save(record(id="before"))
        ledger.close()
        ledger.save(record(id="after"))
        ledger.close()
    with opened(url, tmp_path) as ledger:
        assert ledger.recover()
        assert {each.id for each in ledger.records()} == {"before", "after"}


@pytest.mark.parametrize("kind", ON_DISK)
def test_two_ledgers_share_one_table(kind: str, tmp_path: Path) -> None:
    url = URLS[kind](tmp_path)
    with opened(url, tmp_path / "a") as one, opened(url, tmp_path / "b") as two:
        one.save(record(id="one"))
        two.save(record(id="two", at=NOON + timedelta(seconds=1)))
        assert [each.id for each in two.records()] == ["two", "one"]


CLAUDE = Seal("anthropic", "c2ln", "")
KEPT: tuple[Kept, ...] = (
    Thinking("two\nlines \0 \ud800 模型", CLAUDE),
    Thinking("", Seal("anthropic", "x"), redacted=True),
    Thinking("bare"),
    Seal("openai", "gAAAA", "rs_1"),
)


@pytest.fixture(params=URLS)
def seals(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SealStore]:
    store = open_seals(URLS[request.param](tmp_path), tmp_path)
    store.start()
    yield store
    store.close()


def test_entries_come_back_as_they_went(seals: SealStore) -> None:
    seals.save("key", {"c1": KEPT, "c2": KEPT[:1], "none": ()})
    assert seals.load("key", ["c1", "c2", "none", "unknown"]) == {"c1": KEPT, "c2": KEPT[:1]}
    assert seals.load("key", []) == {}


def test_an_entry_saved_again_is_replaced(seals: SealStore) -> None:
    seals.save("key", {"c1": KEPT})
    seals.save("key", {"c1": KEPT[:1]})
    assert seals.load("key", ["c1"]) == {"c1": KEPT[:1]}


def test_a_client_finds_only_its_own(seals: SealStore) -> None:
    seals.save("key", {"c1": KEPT})
    assert seals.load("other", ["c1"]) == {}


def test_ids_a_client_made_up_break_nothing(seals: SealStore) -> None:
    odd = ["", "a\0b", "\ud800", "'\"%s;--", "x" * 100_000]
    seals.save("key", dict.fromkeys(odd, KEPT))
    assert seals.load("key", odd) == dict.fromkeys(odd, KEPT)


def test_a_long_talk_is_found_at_once(seals: SealStore) -> None:
    seals.save("key", {f"c{number}": KEPT for number in range(1200)})
    assert len(seals.load("key", [f"c{number}" for number in range(1500)])) == 1200


def test_an_entry_expires(seals: SealStore, monkeypatch: pytest.MonkeyPatch) -> None:
    seals.save("key", {"c1": KEPT})
    later = clock.epoch_s() + 86_401
    monkeypatch.setattr(clock, "epoch_s", lambda: later)
    assert seals.load("key", ["c1"]) == {}
    seals.save("key", {"c2": KEPT})
    monkeypatch.undo()
    assert seals.load("key", ["c1", "c2"]) == {"c2": KEPT}  # removed, not only hidden


def test_many_may_save_at_once(seals: SealStore) -> None:
    savers = [gevent.spawn(seals.save, "key", {f"c{n}": KEPT}) for n in range(100)]
    gevent.joinall(savers, raise_error=True)
    assert len(seals.load("key", [f"c{n}" for n in range(100)])) == 100


def test_seals_may_be_closed_twice(seals: SealStore) -> None:
    seals.save("key", {"c1": KEPT})
    seals.close()
    seals.close()


@pytest.mark.parametrize("kind", ON_DISK)
def test_other_workers_find_what_one_kept(kind: str, tmp_path: Path) -> None:
    url = URLS[kind](tmp_path)
    one, two = open_seals(url, tmp_path), open_seals(url, tmp_path)
    one.save("key", {"c1": KEPT})
    assert two.load("key", ["c1"]) == {"c1": KEPT}
    one.close()
    two.close()


@pytest.mark.parametrize("kind", ON_DISK)
def test_an_entry_that_is_too_large_is_left_out(kind: str, tmp_path: Path) -> None:
    store = open_seals(URLS[kind](tmp_path), tmp_path)
    vast = (Thinking("x" * sql_seals.MAX_VALUE, CLAUDE),)
    store.save("key", {"vast": vast, "c1": KEPT})
    assert store.load("key", ["vast", "c1"]) == {"c1": KEPT}
    store.close()


@pytest.mark.parametrize("kind", ON_DISK)
def test_a_client_that_leaves_takes_no_entry_along(kind: str, tmp_path: Path) -> None:
    store = open_seals(URLS[kind](tmp_path), tmp_path)
    store.save("key", {"warm": KEPT})
    leaving = gevent.spawn(store.save, "key", {"left": KEPT})
    staying = gevent.spawn(store.save, "key", {"stayed": KEPT})
    gevent.sleep(0)  # both begin; the writer has its turn after us
    assert not leaving.ready()
    leaving.kill()
    staying.get()
    assert sorted(store.load("key", ["left", "stayed"])) == ["left", "stayed"]
    store.close()


@pytest.mark.parametrize("kind", ON_DISK)
def test_closed_seals_say_so(kind: str, tmp_path: Path) -> None:
    store = open_seals(URLS[kind](tmp_path), tmp_path)
    store.close()
    with pytest.raises(GatewayError):
        store.save("key", {"c1": KEPT})
    with pytest.raises(GatewayError):
        store.load("key", ["c1"])


def test_a_database_that_fails_is_left_alone_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    store = open_seals(f"sqlite:///{blocked}/x.db", tmp_path)
    with pytest.raises(GatewayError):
        store.load("key", ["c1"])
    blocked.unlink()
    with pytest.raises(GatewayError):  # it is not even asked
        store.save("key", {"c1": KEPT})
    later = clock.monotonic() + 6
    monkeypatch.setattr(clock, "monotonic", lambda: later)
    store.save("key", {"c1": KEPT})
    assert store.load("key", ["c1"]) == {"c1": KEPT}
    store.close()


def test_saving_to_a_database_that_fails_ends_in_an_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    store = open_seals(f"sqlite:///{blocked}/x.db", tmp_path)
    with pytest.raises(GatewayError):
        store.save("key", {"c1": KEPT})
    store.close()


@pytest.mark.parametrize(
    "value", ["", "no JSON", "7", "[7]", "[[]]", '[["new", 1]]', '[["thinking", "x", false, 7]]']
)
def test_an_entry_of_another_version_is_passed_over(tmp_path: Path, value: str) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    store = open_seals(url, tmp_path)
    store.save("key", {"c1": KEPT, "c2": KEPT})
    key = hashlib.sha256(b"key\0c1").hexdigest()
    with contextlib.closing(sqlite3.connect(tmp_path / "x.db")) as connection, connection:
        connection.execute("UPDATE reasoning_seals SET value = ? WHERE key = ?", (value, key))
        assert connection.total_changes == 1
    assert store.load("key", ["c1", "c2"]) == {"c2": KEPT}
    store.close()


@pytest.mark.parametrize("kind", ON_DISK)
def test_expired_entries_are_removed_a_few_at_a_time(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_seals(URLS[kind](tmp_path), tmp_path)
    assert isinstance(store, sql_seals.SqlSeals)
    ids = [f"c{number}" for number in range(sql_seals.PRUNED_AT_ONCE + 10)]
    store.save("key", dict.fromkeys(ids, KEPT))
    store.save("key", {"fresh": KEPT})
    later = clock.epoch_s() + 86_401
    monkeypatch.setattr(clock, "epoch_s", lambda: later)
    store.save("key", {"fresh": KEPT})  # and takes the first fifty along
    monkeypatch.undo()
    assert len(store.load("key", ids)) == 10
    monkeypatch.setattr(clock, "epoch_s", lambda: later)
    store.prune()
    monkeypatch.undo()
    assert store.load("key", [*ids, "fresh"]) == {"fresh": KEPT}
    store.close()
