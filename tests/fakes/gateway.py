"""The gateway itself, as an operator runs it: its own processes, port, configuration, database."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, TypeAlias

import psutil
import yaml

from tests.fakes.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
"""The checkout, where ``app`` is imported from."""

Settings: TypeAlias = dict[str, Any]

_START_TRIES = 3
# It only asks whether somebody answers; tests that care use a context of their own.
_TRUSTING = ssl._create_unverified_context()
_START_S = 30.0
_STOP_S = 45.0
_OUR_VARIABLES = ("AIPROXY_", "AI_PROXY_", "MANAGEMENT_PASSWORD", "GUNICORN_", "PORT", "WEB_")


def free_port() -> int:
    """A port nobody listens on right now; who takes it should be ready to lose the race."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Gateway:
    """A running gateway; use it as a context manager.

    Everything it writes goes to a directory of its own, which is removed at the end together
    with every process it started.

    Args:
        settings: the configuration, keys as in YAML; where to listen, where to keep data and one
            client key are filled in.
        workers: worker processes.
        environ: variables on top of a clean environment.

    Attributes:
        key: a client key it accepts.
        management_key: the key of its management API.
        directory: where its configuration and data are.
        port: where it listens.
    """

    key = "client-key-for-tests-1"
    management_key = "management-key-for-tests"

    def __init__(
        self,
        settings: Mapping[str, Any] | None = None,
        *,
        workers: int = 1,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="gateway-"))
        self.config_path = self.directory / "config.yaml"
        self.port = 0
        self._log_path = self.directory / "output.log"
        self._environ = dict(environ or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._family: list[psutil.Process] = []
        self._settings: Settings = {
            "host": "127.0.0.1",
            "workers": workers,
            "data-dir": str(self.directory / "data"),
            "auth-dir": str(self.directory / "auth"),
            "api-keys": [self.key],
            "remote-management": {"secret-key": self.management_key},
            "model-list-interval": 0,
            **(settings or {}),
        }

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.kill()

    # Where it is

    @property
    def url(self) -> str:
        """Its address without a path."""
        return f"{'https' if self._is_tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def _is_tls(self) -> bool:
        return bool(self._settings.get("tls", {}).get("enable"))

    @property
    def pid(self) -> int:
        """The process that watches over the workers."""
        pid_file = self.directory / "data" / "aiproxyapi.pid"
        return int(pid_file.read_text())

    def worker_pids(self) -> list[int]:
        """The workers that are alive, sorted."""
        with contextlib.suppress(psutil.NoSuchProcess):
            children = psutil.Process(self.pid).children()
            return sorted(child.pid for child in children if _is_alive(child))
        return []

    # What it says and keeps

    def log(self) -> str:
        """Everything it printed."""
        return self._log_path.read_text(errors="replace") if self._log_path.exists() else ""

    def ledger_rows(self) -> list[dict[str, Any]]:
        """The rows of its ledger, oldest first; none before the table is made."""
        path = self.directory / "data" / "aiproxyapi.db"
        with contextlib.closing(sqlite3.connect(path, timeout=5)) as connection:
            connection.row_factory = sqlite3.Row
            made = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'usage_records'")
            if made.fetchone() is None:
                return []
            rows = connection.execute("SELECT * FROM usage_records ORDER BY at_us, id")
            return [dict(row) for row in rows]

    def row(self, request_id: str | None, timeout_s: float = 5.0) -> dict[str, Any]:
        """The only row of a request, waiting for it where the answer does not.

        Raises:
            AssertionError: there is none in time, or more than one.
        """

        def found() -> list[dict[str, Any]]:
            return [row for row in self.ledger_rows() if row["id"] == request_id]

        try:
            wait_until(found, timeout_s, f"a row for {request_id}")
        except AssertionError as error:
            error.add_note(f"the gateway printed:\n{self.log()[-4000:]}")
            raise
        rows = found()
        assert len(rows) == 1
        return rows[0]

    # What an operator does

    def edit_config(self, changes: Mapping[str, Any]) -> None:
        """Replace top-level settings, as an editor does: a new file moved over the old one."""
        self._settings |= changes
        self.write_config(self._yaml())

    def write_config(self, text: str) -> None:
        """Put any text in place of the configuration file."""
        fresh = self.directory / "config.yaml.new"
        fresh.write_text(text)
        fresh.chmod(0o600)
        fresh.replace(self.config_path)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process that watches over the workers."""
        master = psutil.Process(self.pid)
        self._family = [master, *master.children(recursive=True)]
        master.send_signal(number)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of the gateway's commands on its configuration."""
        return subprocess.run(
            [sys.executable, "-m", "app.cli", *arguments, "--config", str(self.config_path)],
            cwd=self.directory,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def stop(self) -> float:
        """Ask it to stop and wait until it has.

        Returns:
            How many seconds that took.
        """
        assert self._process is not None
        began = time.monotonic()
        self.signal(signal.SIGTERM)
        self._process.wait(_STOP_S)
        return time.monotonic() - began

    def has_stopped(self) -> bool:
        """Whether the process that was started has ended."""
        return self._process is None or self._process.poll() is not None

    def kill(self) -> None:
        """End every process it started, and remove what it wrote."""
        if "COVERAGE_PROCESS_CONFIG" in os.environ:
            self._stop_measured()
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(_STOP_S)
        # Once it has ended its number may be somebody else's: only whom we knew is ended then.
        for process in self._family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._process = None
        shutil.rmtree(self.directory, ignore_errors=True)

    def _stop_measured(self) -> None:
        """Let processes that count their lines write the counts down; a kill would lose them."""
        with contextlib.suppress(OSError, ValueError, psutil.Error, subprocess.TimeoutExpired):
            if not self.has_stopped():
                self.stop()

    # Starting

    def _start(self) -> None:
        for attempt in range(_START_TRIES):
            self.port = self._settings["port"] = free_port()
            self.write_config(self._yaml())
            self._process = self._spawn()
            if self._becomes_healthy():
                return
            lost_the_port = "in use" in self.log()
            if not lost_the_port or attempt == _START_TRIES - 1:
                status = self._process.poll()
                raise AssertionError(f"the gateway does not serve ({status}):\n{self.log()}")

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self._log_path.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "app.cli", "run", "--config", str(self.config_path)],
                cwd=self.directory,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _environment(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(_OUR_VARIABLES) and not name.lower().endswith("_proxy")
        }
        ours = {"HOME": str(self.directory), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        return kept | ours | self._environ

    def _yaml(self) -> str:
        return yaml.safe_dump(self._settings, sort_keys=False)

    def _becomes_healthy(self) -> bool:
        """Wait for an answer; False when the process ends instead."""
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            if self.has_stopped():
                return False
            if self._is_healthy():
                return True
            time.sleep(0.02)
        return False

    def _is_healthy(self) -> bool:
        connection = (
            http.client.HTTPSConnection("127.0.0.1", self.port, timeout=5, context=_TRUSTING)
            if self._is_tls
            else http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        )
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
