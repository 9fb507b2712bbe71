from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli import main
from app.config.schema import Config
from app.errors import BadRequest, GatewayError
from app.ir.events import Usage
from app.management.report import parse_day, usage_of, usage_report
from app.storage import open_ledger
from app.storage.memory import MemoryLedger
from app.storage.sql.rows import row_of
from app.storage.sql.spool import Spool
from tests.storage.records import NOON, record


@pytest.fixture
def ledger() -> MemoryLedger:
    ledger = MemoryLedger()
    ledger.save(record(id="a", usage=Usage(1_000_000, 20, 3, 4, 50, 6, 7)))
    ledger.save(record(id="b", model="slow", status=500, usage=Usage(1, estimated=True)))
    ledger.save(record(id="c", model="", usage=Usage()))
    return ledger


def test_a_table(ledger: MemoryLedger) -> None:
    assert usage_report(ledger, "model").splitlines() == [
        "model   requests  failures      input  cached  cache write  output  reasoning       total",
        "------  --------  --------  ---------  ------  -----------  ------  ---------  ----------",
        "(none)         1         0          0       0            0       0          0           0",
        "fast           1         0  1,000,004      20            3      57          6   1,000,090",
        "slow           1         1          1       0            0       0          0          ~1",
        "sum            3         1  1,000,005      20            3      57          6  ~1,000,091",
        "",
        "~ some of these tokens were estimated: the provider did not count them",
    ]


def test_json(ledger: MemoryLedger) -> None:
    rows = json.loads(usage_report(ledger, "model", as_json=True))
    assert [row["model"] for row in rows] == ["", "fast", "slow"]
    assert rows[1] == {
        "model": "fast",
        "requests": 1,
        "failures": 0,
        "input": 1_000_004,
        "cached": 20,
        "cache_write": 3,
        "output": 57,
        "reasoning": 6,
        "total": 1_000_090,
        "estimated": False,
    }
    assert rows[2]["estimated"] is True


def test_nothing() -> None:
    assert usage_report(MemoryLedger(), "day") == "No usage recorded."
    assert usage_report(MemoryLedger(), "day", as_json=True) == "[]"


def test_a_span(ledger: MemoryLedger) -> None:
    ledger.save(record(id="d", at=NOON.replace(day=9)))
    rows = json.loads(usage_report(ledger, "day", NOON.replace(day=5), as_json=True))
    assert [row["day"] for row in rows] == ["2026-03-09"]


@pytest.mark.parametrize(
    ("text", "is_end", "expected"),
    [
        ("2026-03-04", False, datetime(2026, 3, 4, tzinfo=UTC)),
        ("2026-03-04", True, datetime(2026, 3, 5, tzinfo=UTC)),
        ("2026-03-04T12:00", True, datetime(2026, 3, 4, 12, tzinfo=UTC)),
        ("2026-03-04T00:00", True, datetime(2026, 3, 4, tzinfo=UTC)),
        ("2026-03-04T12:00+02:00", False, datetime(2026, 3, 4, 10, tzinfo=UTC)),
        ("2026-03-04 12:00:00Z", False, datetime(2026, 3, 4, 12, tzinfo=UTC)),
    ],
)
def test_days(text: str, is_end: bool, expected: datetime) -> None:
    assert parse_day(text, is_end=is_end) == expected


def test_what_the_database_says_with_what_waits_in_the_spool(tmp_path: Path) -> None:
    config = replace(Config(), data_dir=str(tmp_path))
    ledger = open_ledger("", tmp_path)
    ledger.save(record(id="a"))
    ledger.close()
    dead = Spool(tmp_path / "spool")
    dead.append([row_of(record(id="b", at=NOON.replace(day=5)))])
    dead.close()
    rows = json.loads(usage_of(config, "day", None, None, as_json=True))
    assert [(row["day"], row["requests"]) for row in rows] == [("2026-03-04", 1), ("2026-03-05", 1)]
    rows = json.loads(usage_of(config, "day", "2026-03-04", "2026-03-04", as_json=True))
    assert [row["day"] for row in rows] == ["2026-03-04"]


@pytest.mark.parametrize("span", [("soon", None), (None, "2026-13-01")])
def test_a_wrong_date(tmp_path: Path, span: tuple[str | None, str | None]) -> None:
    with pytest.raises(BadRequest, match="is no date"):
        usage_of(replace(Config(), data_dir=str(tmp_path)), "day", *span)


def test_a_database_that_cannot_be_read(tmp_path: Path) -> None:
    url = f"postgresql://u@/x?host={tmp_path}"
    with pytest.raises(GatewayError, match="cannot be used"):
        usage_of(replace(Config(), data_dir=str(tmp_path), database_url=url), "day", None, None)


def test_the_command(tmp_path: Path) -> None:
    ledger = open_ledger("", tmp_path / "data")
    ledger.save(record())
    ledger.close()
    file = tmp_path / "config.yaml"
    file.write_text(f"host: 127.0.0.1\ndata-dir: {tmp_path / 'data'}\n")

    def usage(*options: str) -> Result:
        return CliRunner().invoke(main, ["usage", "--config", str(file), *options])

    printed = usage("--by", "key", "--json")
    assert printed.exit_code == 0
    assert [row["key"] for row in json.loads(printed.stdout)] == ["key-a"]
    refused = usage("--since", "soon")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "'soon' is no date" in refused.stderr
