"""The command line: what it prints, how it ends, what it starts."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import bcrypt
import pytest
from click.testing import CliRunner, Result

import app
from app.cli import main

ROOT = Path(app.__file__ or "").parent.parent

GUNICORN = """
import json, os, sys
names = [name for name in os.environ if name.startswith(("AIPROXY_", "MY_"))]
print("STARTED", json.dumps({
    "argv": sys.argv[1:], "environ": {name: os.environ[name] for name in names},
    "path": sys.path,
}))
"""

SERVER = """
import signal, sys
def told(number, frame):
    print(signal.Signals(number).name, flush=True)
    if number == signal.SIGTERM and "stubborn" not in sys.argv:
        sys.exit(0)
for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, told)
print("ready", flush=True)
while True:
    signal.pause()
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and none of this machine's own settings."""
    for name in list(os.environ):
        if name.upper().startswith(("AIPROXY_", "AI_PROXY_", "MANAGEMENT_", "WRITABLE_")):
            monkeypatch.delenv(name)
    directory = tmp_path / "here"
    directory.mkdir()
    monkeypatch.chdir(directory)
    return directory


def call(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(main, arguments, input=text)


# run


class Started:
    """What came of ``aiproxyapi run`` with a gunicorn that tells how it was called."""

    def __init__(self, fake: Path, *arguments: str, **environ: str) -> None:
        done = subprocess.run(
            [sys.executable, "-c", "from app.cli import main; main()", *arguments],
            env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{fake}", **environ},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        self.code, self.err = done.returncode, done.stderr
        self.out, _, told = done.stdout.partition("STARTED ")
        found = json.loads(told) if told else {}
        self.argv: list[str] = found.get("argv", [])
        self.environ: dict[str, str] = found.get("environ", {})
        self.path: list[str] = found.get("path", [])


Run = Callable[..., Started]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    fake = tmp_path / "fake"
    fake.mkdir()
    (fake / "gunicorn.py").write_text(GUNICORN)
    return lambda *arguments, **environ: Started(fake, *arguments, **environ)


def test_the_first_start_writes_a_configuration_and_shows_its_keys_once(
    run: Run, here: Path
) -> None:
    first = run()
    assert first.code == 0, first.err
    config = here / "config.yaml"
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert stat.S_IMODE((here / "data").stat().st_mode) == 0o700
    (key,) = set(re.findall(r"sk-\S{48}", first.out))
    assert key in config.read_text()
    assert "curl http://127.0.0.1:8317/v1/chat/completions" in first.out
    assert first.argv == ["--config", str(ROOT / "gunicorn.conf.py"), "wsgi:application"]
    assert first.environ == {"AIPROXY_CONFIG": str(config)}
    assert first.err == ""

    before = config.read_text()
    second = run("run")
    assert (second.code, second.out) == (0, "")
    assert config.read_text() == before


def test_the_server_finds_our_package_before_the_working_directory(run: Run, here: Path) -> None:
    (here / "app").mkdir()
    (here / "gunicorn.py").write_text("raise SystemExit('taken from the working directory')")
    started = run()
    assert started.code == 0, started.err
    assert started.path.index(str(ROOT)) < started.path.index(str(here))


@pytest.mark.parametrize("name", ["other.yaml", "nowhere/config.yaml"])
@pytest.mark.parametrize("how", ["--config", "-c", "-config", "environment"])
def test_a_named_file_that_is_missing_is_an_error(
    run: Run, here: Path, name: str, how: str
) -> None:
    started = run(AIPROXY_CONFIG=name) if how == "environment" else run(how, name)
    assert started.code == 2
    assert started.err == f"{name}: does not exist\n"
    assert list(here.iterdir()) == []


def test_the_default_file_may_be_named_and_still_is_written(run: Run, here: Path) -> None:
    assert run("--config", "config.yaml").code == 0
    assert (here / "config.yaml").exists()


def test_a_dead_link_in_the_place_of_the_configuration_is_left_alone(run: Run, here: Path) -> None:
    (here / "config.yaml").symlink_to(here / "gone.yaml")
    assert run().code == 2
    assert not (here / "gone.yaml").exists()


def test_a_place_that_cannot_be_written_is_told(run: Run, here: Path, tmp_path: Path) -> None:
    (here / "data").write_text("a file")
    (here / "config.yaml").write_text("data-dir: ./data/deep\napi-keys: [a]\n")
    started = run()
    assert started.code == 2
    assert "the data directory data/deep cannot be made: Not a directory" in started.err


@pytest.mark.parametrize(
    "config",
    [["--config=c/gateway.yaml"], ["-config", "c/gateway.yaml"], ["-config=c/gateway.yaml"]],
)
@pytest.mark.parametrize("command", [[], ["run"]])
def test_the_command_line_wins_over_environment_and_dotenv(
    run: Run, here: Path, config: list[str], command: list[str]
) -> None:
    (here / "c").mkdir()
    (here / "c" / "gateway.yaml").write_text("data-dir: d\napi-keys: [env://MY_KEY]\n")
    (here / ".env").write_text("AIPROXY_PORT=1\nAIPROXY_HOST=1.1.1.1\nMY_KEY=k\nAIPROXY_WORKERS=1")
    started = run(*command, *config, "-port", "3", "--log-level", "DEBUG", AIPROXY_HOST="2.2.2.2")
    assert started.code == 0, started.err
    assert started.environ == {
        "AIPROXY_CONFIG": str(here / "c" / "gateway.yaml"),
        "AIPROXY_HOST": "2.2.2.2",
        "AIPROXY_LOG_LEVEL": "debug",
        "AIPROXY_PORT": "3",
        "AIPROXY_WORKERS": "1",
        "MY_KEY": "k",
    }


def test_the_banner_names_the_port_of_the_command_line(run: Run) -> None:
    assert "curl http://127.0.0.1:9000/v1" in run("--port", "9000").out


def test_a_broken_configuration_ends_the_start(run: Run, here: Path) -> None:
    (here / "config.yaml").write_text("port: x\ndebug: 7\n")
    started = run()
    assert started.code == 2
    assert started.err.splitlines() == [
        "config.yaml:1: port: must be a whole number from 1 to 65535, not 'x'",
        "config.yaml:2: debug: must be true or false, not '7'",
    ]
    assert started.argv == []


def test_warnings_are_shown_and_do_not_end_the_start(run: Run, here: Path) -> None:
    (here / "config.yaml").write_text("prot: 1\nhost: localhost\ndata-dir: d\n")
    started = run()
    assert started.err == ("warning: config.yaml:1: prot: is not a setting; did you mean `port`?\n")
    assert started.argv != []


@pytest.mark.parametrize("arguments", [["--port", "0"], ["--log-level", "loud"], ["--nonsense"]])
def test_an_option_that_cannot_be_used_ends_the_start(here: Path, arguments: list[str]) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert list(here.iterdir()) == []


def test_a_broken_dotenv_ends_every_command(here: Path) -> None:
    (here / ".env").write_text("A=b\nnonsense\n")
    for command in ("run", "check-config", "status"):
        result = call(command)
        assert result.exit_code == 2
        assert result.stderr.startswith(".env:2: must be a comment or an assignment")


# check-config, migrate, hash-password, version


def test_check_config_says_that_a_file_can_be_used(here: Path) -> None:
    (here / "config.yaml").write_text("api-keys: [a]")
    result = call("check-config")
    assert (result.exit_code, result.output) == (0, "config.yaml: can be used\n")


@pytest.mark.parametrize("arguments", [["other.yaml"], ["--config", "other.yaml"]])
def test_check_config_shows_warnings(here: Path, arguments: list[str]) -> None:
    (here / "other.yaml").write_text("api-keys: [a]\nprot: 1\ncloak: {}")
    result = call("check-config", *arguments)
    assert result.exit_code == 0
    assert result.stdout == "other.yaml: can be used, with 2 warnings\n"
    assert [line.split(": ")[:3] for line in result.stderr.splitlines()] == [
        ["warning", "other.yaml:2", "prot"],
        ["warning", "other.yaml:3", "cloak"],
    ]


def test_check_config_shows_errors_and_writes_nothing(here: Path) -> None:
    assert call("check-config").stderr == "config.yaml: does not exist\n"
    (here / "broken.yaml").write_text("tls: {enable: maybe}")
    result = call("check-config", "broken.yaml")
    assert result.exit_code == 2
    assert result.stderr == ("broken.yaml:1: tls.enable: must be true or false, not 'maybe'\n")
    assert [path.name for path in here.iterdir()] == ["broken.yaml"]


def test_migrate_makes_the_database(here: Path) -> None:
    (here / "config.yaml").write_text("api-keys: [a]\ndata-dir: d\n")
    for _ in range(2):
        result = call("migrate")
        assert (result.exit_code, result.output) == (0, "the database is up to date\n")
    assert list((here / "d").iterdir())


def test_migrate_tells_of_a_database_that_cannot_be_used(here: Path) -> None:
    (here / "file").touch()
    (here / "config.yaml").write_text("api-keys: [a]\ndatabase-url: sqlite:///file/x.db\n")
    result = call("migrate")
    assert result.exit_code == 1
    assert "the database cannot be used" in result.stderr


def test_hash_password_prints_a_hash_that_fits() -> None:
    result = call("hash-password", "--password", "secret", "--cost", "4")
    assert result.output.startswith("$2b$04$")
    assert bcrypt.checkpw(b"secret", result.output.strip().encode())


def test_hash_password_reads_what_is_piped_in() -> None:
    result = call("hash-password", "--cost", "4", text="secret\n")
    assert bcrypt.checkpw(b"secret", result.output.strip().encode())


@pytest.mark.parametrize("password", ["", "x" * 73, "é" * 37])
def test_hash_password_refuses_what_bcrypt_cannot_take(password: str) -> None:
    result = call("hash-password", "--password", password, "--cost", "4")
    assert result.exit_code == 2
    assert "1 to 72 bytes" in result.stderr


@pytest.mark.parametrize("option", ["--version", "-version"])
def test_the_version(option: str) -> None:
    assert call(option).output == f"aiproxyapi, version {app.__version__}\n"


@pytest.mark.parametrize("option", ["--help", "-h", "-help"])
def test_help_lists_the_commands(option: str) -> None:
    output = call(option).output
    for name in ("run", "stop", "status", "reload", "check-config", "hash-password", "migrate"):
        assert re.search(rf"(?m)^  {name} ", output)


# stop, status, reload


class Server:
    """A process that could be the gateway's, and its PID file."""

    def __init__(self, directory: Path, *words: str) -> None:
        directory.mkdir()
        self.pid_file = directory / "aiproxyapi.pid"
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER, *words], stdout=subprocess.PIPE, text=True
        )
        assert self.said() == "ready"
        self.pid_file.write_text(f"{self.process.pid}\n")

    def said(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def configured(here: Path) -> Path:
    (here / "config.yaml").write_text("data-dir: d\n")
    return here / "d"


def test_status_and_reload_of_a_running_server(configured: Path) -> None:
    with Server(configured, "gunicorn") as server:
        pid = server.process.pid
        assert call("status").output == f"running (PID {pid})\n"
        result = call("reload")
        assert (result.exit_code, result.output) == (0, f"told to reload (PID {pid})\n")
        assert server.said() == "SIGHUP"


def _end(process: subprocess.Popen[str]) -> None:
    """Collect the dead child, as the real server's parent would."""
    process.wait(20)


def test_stop_waits_until_the_server_has_ended(configured: Path) -> None:
    with Server(configured, "gunicorn") as server:
        collector = threading.Thread(target=_end, args=(server.process,))
        collector.start()
        result = call("stop")
        collector.join(20)
        assert (result.exit_code, result.output) == (0, f"stopped (PID {server.process.pid})\n")
        assert server.process.returncode == 0


def test_stop_kills_what_does_not_stop(configured: Path) -> None:
    with Server(configured, "gunicorn", "stubborn") as server:
        result = call("stop", "--timeout", "0.2")
        assert result.exit_code == 0
        assert "did not stop within 0.2 s" in result.output
        assert server.process.wait(20) == -signal.SIGKILL


def test_a_process_that_only_has_the_number_is_left_alone(configured: Path) -> None:
    with Server(configured, "somebody-else") as server:
        stale = "not running (stale PID file d/aiproxyapi.pid)\n"
        assert call("status").output == stale
        assert (call("stop").exit_code, call("stop").output) == (0, stale)
        assert (call("reload").exit_code, call("reload").stderr) == (1, stale)
        assert server.process.poll() is None


def test_no_server_is_no_failure_but_for_reload(configured: Path) -> None:
    none = "not running (no PID file d/aiproxyapi.pid)\n"
    assert (call("status").exit_code, call("status").output) == (0, none)
    assert (call("stop").exit_code, call("stop").output) == (0, none)
    assert (call("reload").exit_code, call("reload").stderr) == (1, none)


@pytest.mark.parametrize("content", ["", "abc", "-1", "1", "0", "99999999999999999999", "12 34"])
def test_a_pid_file_that_holds_none_is_told(here: Path, content: str) -> None:
    (here / "pid").write_text(content)
    for command in ("stop", "reload"):
        result = call(command, "--pid-file", "pid")
        assert (result.exit_code, result.stderr) == (1, "Error: pid holds no process id\n")
    result = call("status", "--pid-file", "pid")
    assert (result.exit_code, result.output) == (0, "unknown: pid holds no process id\n")


@pytest.mark.parametrize(("command", "code"), [("stop", 1), ("status", 0), ("reload", 1)])
def test_a_pid_file_that_cannot_be_read_is_told(here: Path, command: str, code: int) -> None:
    result = call(command, "--pid-file", str(here))
    assert result.exit_code == code
    assert "cannot be read" in result.output


def test_with_a_broken_configuration_the_pid_file_must_be_named(here: Path) -> None:
    (here / "config.yaml").write_text("port: x")
    result = call("stop")
    assert result.exit_code == 1
    assert "config.yaml:1: port: " in result.stderr
    assert "name it with --pid-file" in result.stderr
    with Server(here / "d", "gunicorn") as server:
        assert "running" in call("status", "--pid-file", str(server.pid_file)).output
