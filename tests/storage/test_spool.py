from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from app.storage.sql.rows import Row, row_of
from app.storage.sql.spool import Spool
from tests.storage.records import record


def rows(*ids: str) -> list[Row]:
    return [row_of(record(id=each)) for each in ids]


def taken(chunks: Iterable[list[Row]]) -> list[object]:
    return [row[0] for chunk in chunks for row in chunk]


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def test_rows_come_back_as_they_went_and_nothing_stays(directory: Path) -> None:
    spool = Spool(directory)
    first, second = rows("a", "b")
    spool.append([first])
    spool.append([second])
    assert spool.waiting == 2
    assert [row for chunk in spool.own() for row in chunk] == [first, second]
    assert (spool.waiting, files(directory)) == (0, [])


def test_nobody_else_may_read_it(directory: Path) -> None:
    spool = Spool(directory)
    spool.append(rows("a"))
    (segment,) = directory.iterdir()
    assert segment.stat().st_mode & 0o077 == 0
    assert directory.stat().st_mode & 0o077 == 0


def test_rows_that_come_while_it_is_read_are_read_too(directory: Path) -> None:
    spool = Spool(directory)
    spool.append(rows("a"))
    found: list[object] = []
    for chunk in spool.own():
        found += [row[0] for row in chunk]
        if len(found) == 1:
            spool.append(rows("b", "c"))
    assert found == ["a", "b", "c"]
    assert files(directory) == []


def test_reading_that_stops_half_way_keeps_everything(directory: Path) -> None:
    spool = Spool(directory)
    spool.append(rows("a", "b"))
    for _ in spool.own():
        break
    assert spool.waiting == 2
    assert taken(spool.own()) == ["a", "b"]


def test_many_rows_come_in_pieces(directory: Path) -> None:
    spool = Spool(directory)
    ids = [f"r{number}" for number in range(1000)]
    spool.append(rows(*ids))
    chunks = list(spool.own())
    assert len(chunks) > 3
    assert taken(chunks) == ids


def test_a_living_process_keeps_its_segment(directory: Path) -> None:
    living, other = Spool(directory), Spool(directory)
    living.append(rows("a"))
    assert taken(other.orphans()) == []
    assert taken(living.orphans()) == []
    living.close()
    assert taken(other.orphans()) == ["a"]
    assert files(directory) == []


def test_an_orphan_that_was_not_written_stays(directory: Path) -> None:
    dead, heir = Spool(directory), Spool(directory)
    dead.append(rows("a"))
    dead.close()
    orphans = heir.orphans()
    assert [row[0] for row in next(orphans)] == ["a"]
    orphans.close()
    assert taken(heir.orphans()) == ["a"]


def test_an_orphan_drained_by_another_is_left_alone(directory: Path) -> None:
    dead = Spool(directory)
    dead.append(rows("a"))
    dead.close()
    one, two = Spool(directory).orphans(), Spool(directory).orphans()
    assert [row[0] for row in next(one)] == ["a"]
    assert taken(two) == []
    assert taken(one) == []


def test_what_a_killed_process_left_is_found(directory: Path) -> None:
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from app.storage.sql.rows import row_of\n"
        "from app.storage.sql.spool import Spool\n"
        "from tests.storage.records import record\n"
        "spool = Spool(Path(sys.argv[1]))\n"
        "spool.append([row_of(record(id='a'))])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    died = subprocess.run([sys.executable, "-c", program, directory], timeout=30)
    assert died.returncode == -9
    assert taken(Spool(directory).orphans()) == ["a"]


def test_a_line_that_cannot_be_read_costs_itself_alone(directory: Path) -> None:
    dead, heir = Spool(directory), Spool(directory)
    dead.append(rows("a", "b"))
    dead.close()
    (segment,) = directory.iterdir()
    first, second = segment.read_bytes().splitlines()
    segment.write_bytes(b"\n".join([first, b"{", b"[]", b'{"id":"x"}', second, b'{"id":"cu']))
    assert taken(heir.orphans()) == ["a", "b"]
    assert heir.lost == 4


def test_it_never_grows_past_its_bound(directory: Path) -> None:
    spool = Spool(directory, limit_bytes=2_000)
    for number in range(50):
        spool.append(rows(f"r{number}"))
    size = sum(path.stat().st_size for path in directory.iterdir())
    assert 1_000 < size <= 2_000
    assert spool.waiting + spool.lost == 50
    assert taken(spool.own()) == [f"r{number}" for number in range(50 - spool.lost)]


def test_the_bound_counts_all_processes(directory: Path) -> None:
    Spool(directory, limit_bytes=1_000).append(rows("a"))
    other = Spool(directory, limit_bytes=1_000)
    other.append(rows("b", "c"))
    assert (other.waiting, other.lost) == (0, 2)


@pytest.mark.parametrize("place", ["file", "broken"])
def test_a_spool_that_cannot_be_written_loses_and_says_so_once(
    tmp_path: Path, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "spool"
    if place == "file":
        path.write_text("in the way")
    else:
        path.symlink_to(tmp_path / "nowhere" / "at all")
    spool = Spool(path)
    with caplog.at_level(logging.ERROR):
        for each in ("a", "b", "c"):
            spool.append(rows(each))
    assert (spool.waiting, spool.lost) == (0, 3)
    assert len(caplog.records) == 1


def test_a_disk_that_fills_up_leaves_whole_lines(directory: Path) -> None:
    # A limit on the size of files is what comes nearest to a full disk.
    program = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from app.storage.sql.rows import row_of\n"
        "from app.storage.sql.spool import Spool\n"
        "from tests.storage.records import record\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))\n"
        "spool = Spool(Path(sys.argv[1]))\n"
        "for number in range(10):\n"
        "    spool.append([row_of(record(id=str(number)))])\n"
        "print(spool.waiting, spool.lost)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, directory], timeout=30, capture_output=True, text=True
    )
    waiting, lost = map(int, ran.stdout.split())
    assert waiting > 0
    assert lost > 0
    heir = Spool(directory)
    assert taken(heir.orphans()) == [str(number) for number in range(waiting)]
    assert heir.lost == 0


def test_a_file_of_another_kind_is_left_alone(directory: Path) -> None:
    directory.mkdir()
    (directory / "note.txt").write_text("mine")
    (directory / f"1-{os.getpid()}-0.new").write_text("")
    assert taken(Spool(directory).orphans()) == []
    assert len(files(directory)) == 2
