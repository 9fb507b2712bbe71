"""Programs people use, each finishing a task through the gateway on every upstream protocol."""

from __future__ import annotations

import contextlib
import os
import signal
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

# Who asks for anything but this machine, and heeds these, reaches nobody.
_NOWHERE = {
    "HTTP_PROXY": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "127.0.0.1,localhost",
}


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


def _run(program: Program, seat: Seat) -> tuple[int, str, str]:
    """The program's whole run, nothing of ours in its home or its variables but what it needs.

    Returns:
        Its exit code, output and errors. One that hangs is ended, with all that it started.
    """
    run = program.prepare(seat, PROMPT)
    environ = {"PATH": os.environ["PATH"], "HOME": str(seat.home), "TERM": "dumb", "CI": "1"}
    process = subprocess.Popen(
        [str(program.path), *run.arguments],
        cwd=seat.folder,
        env={**environ, **_NOWHERE, **run.environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        output, errors = process.communicate()
        errors += f"\nit was ended after {LIMIT_S} s"
    return process.returncode, output, errors


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
    status, output, errors = _run(program, seat)
    said = f"{output[-6000:]}\n{errors[-6000:]}"
    assert [str(complaint) for complaint in upstream.complaints] == [], said
    assert status == 0, said
    assert (seat.folder / "note.txt").read_text().strip() == WORDS, said
    assert (seat.folder / "loud.txt").read_text().strip() == LOUD
    assert f"I have read: {LOUD}" in output
    assert len(brain.heard[-1].results) == 3
    rows = [row for row in gateway.ledger_rows()[before:] if row["operation"] == "generate"]
    assert len(rows) >= 4
    for row in rows:
        assert (row["protocol"], row["status"], row["estimated"]) == (program.protocol, 200, 0)
        assert row["input_tokens"] + row["cache_read_tokens"] == USED.input
        assert row["output_tokens"] + row["reasoning_tokens"] >= USED.output
    assert all(request.path.startswith(SPEECH[via].base) for request in upstream.requests)
