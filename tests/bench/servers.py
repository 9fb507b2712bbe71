"""Who takes part: mock upstream, load generator, floor, gateway."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic, sleep
from typing import IO

from tests.bench import payload
from tests.bench.dialects import DIALECTS
from tests.bench.floor import GUNICORN
from tests.bench.job import Job, Outcome
from tests.bench.processes import BenchError, cpu_ms, on_core, process_tree

ROOT = Path(__file__).resolve().parents[2]


class Mock:
    """The mock upstream's process."""

    def __init__(self, core: int) -> None:
        with on_core(core):
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.bench.mock"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        self.port = int(_output(self._process).readline())

    def ask(self, path: str) -> dict[str, int] | int:
        """What it has seen: ``/bench/gone`` or ``/bench/streams``."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            found: dict[str, int] | int = json.loads(connection.getresponse().read())
            return found
        finally:
            connection.close()

    def close(self) -> None:
        _end(self._process)


class Load:
    """The load generator's process."""

    def __init__(self, core: int) -> None:
        with on_core(core):
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.bench.load"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )

    def prepare(self, job: Job) -> None:
        """Connect and warm up; returns when the counted part can begin."""
        self._say(json.dumps(dataclasses.asdict(job)))
        if self._hear() != "ready\n":
            raise BenchError("the load generator died")

    def go(self, meanwhile: Callable[[], None] | None = None, every_s: float = 0.2) -> Outcome:
        """Run the counted part; call ``meanwhile`` now and then until it ends."""
        self._say("go")
        out = _output(self._process)
        while meanwhile and not select.select([out], [], [], every_s)[0]:
            meanwhile()
        return Outcome.decode(self._hear())

    def run(self, job: Job) -> Outcome:
        """Prepare and go."""
        self.prepare(job)
        return self.go()

    def close(self) -> None:
        _end(self._process)

    def _say(self, line: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _hear(self) -> str:
        line = _output(self._process).readline()
        if not line:
            raise BenchError("the load generator died")
        return line


def _output(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout
    return process.stdout


def _end(process: subprocess.Popen[str]) -> None:
    """Close our ends of the pipes, which is what it waits for."""
    for pipe in (process.stdin, process.stdout):
        if pipe:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# The applications under test


@dataclasses.dataclass(frozen=True, slots=True)
class Recipe:
    """How to start an application under test.

    Attributes:
        upstream_model: the name it sends upstream for ``payload.MODEL``.
    """

    name: str
    port: int
    command: tuple[str, ...]
    env: Mapping[str, str]
    log: Path
    upstream_model: str


class Application:
    """A server under test, the gateway or the floor; running once it has answered."""

    def __init__(self, recipe: Recipe, core: int, patience_s: float = 60.0) -> None:
        self.name = recipe.name
        self.port = recipe.port
        self.upstream_model = recipe.upstream_model
        self._log = recipe.log
        began = monotonic()
        with on_core(core), recipe.log.open("ab") as out:
            # A group of its own, so that a stop reaches it and nothing else.
            self._process = subprocess.Popen(
                recipe.command,
                cwd=ROOT,
                env=dict(recipe.env),
                stdout=out,
                stderr=out,
                process_group=0,
            )
        try:
            self._await_answer(began + patience_s)
        except BaseException:
            self.stop()
            raise
        self.started_s = monotonic() - began
        self.started_cpu_s = cpu_ms(self.pids) / 1000

    @property
    def pids(self) -> list[int]:
        """The whole process tree."""
        return process_tree(self._process.pid)

    def _await_answer(self, until: float) -> None:
        last = "nothing"
        while monotonic() < until:
            if self._process.poll() is not None:
                raise BenchError(f"{self.name} ended with {self._process.returncode}{self.log()}")
            try:
                status, answer = ask(self.port, payload.request_body(payload.JSON_PLAN), 10)
            except OSError as error:
                last = str(error)
            else:
                if status == 200:
                    return
                last = f"{status} {answer[:300]!r}"
                if status < 500:
                    break
            sleep(0.002)
        raise BenchError(f"{self.name} does not answer: {last}{self.log()}")

    def log(self) -> str:
        """The last lines it wrote."""
        lines = self._log.read_text(errors="replace").splitlines()[-30:]
        return "".join(f"\n    {line}" for line in lines)

    def stop(self) -> None:
        """Ask it to stop, then make it."""
        if self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def ask(port: int, body: bytes, timeout_s: float) -> tuple[int, bytes]:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    headers = {
        "Authorization": f"Bearer {payload.CLIENT_KEY}",
        "Content-Type": "application/json",
    }
    try:
        connection.request("POST", payload.PATH, body, headers)
        reply = connection.getresponse()
        return reply.status, reply.read()
    except http.client.HTTPException as error:
        raise ConnectionError(f"{type(error).__name__}: {error}") from error
    finally:
        connection.close()


def free_port() -> int:
    """A port on loopback that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _environment(home: Path) -> dict[str, str]:
    """Ours, without what would configure the application behind our back."""
    dropped = (
        "AIPROXY_",
        "GUNICORN_",
        "WEB_CONCURRENCY",
        "MANAGEMENT_",
        "http_proxy",
        "HTTP_PROXY",
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return {**kept, "HOME": str(home), "PYTHONUNBUFFERED": "1"}


def floor(home: Path, mock: Mock) -> Recipe:
    """The floor on gunicorn's stock gevent worker."""
    port = free_port()
    settings = home / "floor.conf.py"  # or gunicorn would take the gateway's from the checkout
    settings.write_text(GUNICORN.format(port=port))
    return Recipe(
        name="floor",
        port=port,
        command=(
            sys.executable,
            *("-m", "gunicorn", "-c", str(settings), "tests.bench.floor:create_app()"),
        ),
        env={**_environment(home), "BENCH_UPSTREAM": f"http://127.0.0.1:{mock.port}"},
        log=home / "floor.log",
        upstream_model=payload.MODEL,
    )


_CONFIG = """\
host: 127.0.0.1
port: {port}
workers: 1
data-dir: {home}/data
auth-dir: {home}/auth
api-keys:
  - {client_key}
remote-management:
  secret-key: {management_key}
openai-compatibility:
  - name: bench
    base-url: http://127.0.0.1:{upstream}/v1
    api-key-entries:
      - api-key: {upstream_key}
    models:
      - name: {upstream_model}
        alias: {model}
      - name: {upstream_model}
        alias: {on_chat}
  - name: bench-responses
    base-url: http://127.0.0.1:{upstream}/v1
    wire-api: responses
    api-key-entries:
      - api-key: {upstream_key}
    models:
      - name: {upstream_model}
        alias: {on_responses}
claude-api-key:
  - api-key: {upstream_key}
    base-url: http://127.0.0.1:{upstream}
    models:
      - name: {upstream_model}
        alias: {on_messages}
gemini-api-key:
  - api-key: {upstream_key}
    base-url: http://127.0.0.1:{upstream}
    models:
      - name: {upstream_model}
        alias: {on_gemini}
"""


def gateway(home: Path, mock: Mock) -> Recipe:
    """The gateway by its real command: one worker, a client key, an alias, SQLite, all on."""
    port = free_port()
    config = home / "config.yaml"
    config.write_text(
        _CONFIG.format(
            port=port,
            home=home,
            upstream=mock.port,
            client_key=payload.CLIENT_KEY,
            management_key=payload.MANAGEMENT_KEY,
            upstream_key=payload.UPSTREAM_KEY,
            upstream_model=payload.UPSTREAM_MODEL,
            model=payload.MODEL,
            **{f"on_{name}": payload.model_on(name) for name in DIALECTS},
        )
    )
    config.chmod(0o600)
    return Recipe(
        name="gateway",
        port=port,
        command=(sys.executable, "-m", "app.cli", "run", "--config", str(config)),
        env=_environment(home),
        log=home / "gateway.log",
        upstream_model=payload.UPSTREAM_MODEL,
    )


def booked(application: Application) -> tuple[int, int]:
    """Requests and tokens that the gateway's own usage report counts."""
    connection = http.client.HTTPConnection("127.0.0.1", application.port, timeout=30)
    try:
        key = {"Authorization": f"Bearer {payload.MANAGEMENT_KEY}"}
        connection.request("GET", "/v0/management/usage", headers=key)
        reply = connection.getresponse()
        found = json.loads(reply.read())
        if reply.status != 200:
            raise BenchError(f"the usage report answered {reply.status}: {found}")
        usage = found["usage"]
        return usage["total_requests"], usage["total_tokens"]
    finally:
        connection.close()
