"""Programs people use, each finishing a task through the gateway on every upstream protocol."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from typing_extensions import override

from tests.clients.brain import LOUD, PROMPT, USED, WORDS, Brain
from tests.clients.programs import PROGRAMS, Program, Seat
from tests.e2e.matrix.talk import PROTOCOLS
from tests.e2e.test_matrix import SPEECH, settings
from tests.fakes.gateway import Gateway
from tests.fakes.script import Reply
from tests.fakes.strict.upstream import StrictUpstream
from tests.fakes.upstream import Recorded, ScriptedUpstream

LIMIT_S = 60.0


class Listener(StrictUpstream):
    """Refuses what a real provider would, where the gateway wrote the request.

    A relayed request is the program's own: what it says is between it and the provider, and it
    holds more than our rules know.

    Attributes:
        relays: whether the program speaks the upstream's own protocol.
    """

    relays = False

    @override
    def _choose(self, request: Recorded) -> Reply:
        if self.relays:
            return ScriptedUpstream._choose(self, request)
        return super()._choose(request)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Listener]:
    with Listener() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(upstream: Listener) -> Iterator[Gateway]:
    with Gateway(settings(upstream.url)) as running:
        yield running


def _seat(tmp_path: Path, gateway: Gateway, model: str) -> Seat:
    home, folder = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    folder.mkdir()
    return Seat(home, folder, gateway.url, gateway.key, model)


def _run(program: Program, seat: Seat) -> subprocess.CompletedProcess[str]:
    """The program's whole run; its home, its variables and its input are empty but for ours."""
    run = program.prepare(seat, PROMPT)
    environ = {"PATH": os.environ["PATH"], "HOME": str(seat.home), "TERM": "dumb", "CI": "1"}
    return subprocess.run(
        [str(program.path), *run.arguments],
        cwd=seat.folder,
        env={**environ, **run.environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


@pytest.mark.time_limit(LIMIT_S + 20)
@pytest.mark.parametrize("via", PROTOCOLS)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_a_program_finishes_its_task(
    program: Program, via: str, gateway: Gateway, upstream: Listener, tmp_path: Path
) -> None:
    if not program.path.exists():
        pytest.skip(f"{program.command} could not be installed")
    seat = _seat(tmp_path, gateway, f"via-{via}-new")
    brain = Brain(seat.folder)
    upstream.relays = SPEECH[via].name == program.protocol
    upstream.requests.clear()
    upstream.complaints.clear()
    upstream.reply("*", brain.answer)
    before = len(gateway.ledger_rows())
    done = _run(program, seat)
    said = f"{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
    assert [str(complaint) for complaint in upstream.complaints] == [], said
    assert done.returncode == 0, said
    assert (seat.folder / "note.txt").read_text().strip() == WORDS, said
    assert (seat.folder / "loud.txt").read_text().strip() == LOUD
    assert f"I have read: {LOUD}" in done.stdout
    assert len(brain.heard[-1].results) == 3
    rows = [row for row in gateway.ledger_rows()[before:] if row["operation"] == "generate"]
    assert len(rows) >= 4
    for row in rows:
        assert (row["protocol"], row["status"], row["estimated"]) == (program.protocol, 200, 0)
        assert row["input_tokens"] + row["cache_read_tokens"] == USED.input
        assert row["output_tokens"] + row["reasoning_tokens"] >= USED.output
    assert all(request.path.startswith(SPEECH[via].base) for request in upstream.requests)
