"""What gunicorn is told. The file patches its process, so each test runs it in another one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]


def _run(tmp_path: Path, settings: dict[str, Any], script: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "config.yaml").write_text(
        yaml.safe_dump({"data-dir": str(tmp_path / "data"), **settings})
    )
    program = f"import json, runpy, sys\nconf = runpy.run_path(sys.argv[1])\n{script}"
    kept = {key: value for key, value in os.environ.items() if not key.startswith("AIPROXY_")}
    return subprocess.run(
        [sys.executable, "-c", program, str(ROOT / "gunicorn.conf.py")],
        cwd=tmp_path,
        env=kept | {"PYTHONPATH": str(ROOT), "AIPROXY_CONFIG": str(tmp_path / "config.yaml")},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def _told(tmp_path: Path, settings: dict[str, Any]) -> Any:
    plain = "isinstance(value, (str, int))"
    script = f"print(json.dumps({{name: value for name, value in conf.items() if {plain}}}))"
    done = _run(tmp_path, settings, script)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_follows_from_nothing(tmp_path: Path) -> None:
    told = _told(tmp_path, {})
    assert told["bind"] == "0.0.0.0:8317"
    assert told["workers"] == os.cpu_count()
    assert told["graceful_timeout"] == 35
    assert told["forwarded_allow_ips"] == "127.0.0.1"
    assert told["loglevel"] == "warning"
    assert told["pidfile"] == str(tmp_path / "data" / "aiproxyapi.pid")
    assert "certfile" not in told
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


def test_what_follows_from_settings(tmp_path: Path) -> None:
    for name in ("chain.pem", "key.pem"):
        (tmp_path / name).touch()
    tls = {"enable": True, "cert": str(tmp_path / "chain.pem"), "key": str(tmp_path / "key.pem")}
    settings = {
        "host": "::1",
        "port": 9000,
        "workers": 3,
        "debug": True,
        "shutdown-timeout": 0,
        "trusted-proxies": ["10.0.0.1", "10.1.0.0/16"],
        "tls": tls,
    }
    told = _told(tmp_path, settings)
    assert told["bind"] == "[::1]:9000"
    assert (told["workers"], told["graceful_timeout"], told["loglevel"]) == (3, 6, "debug")
    assert told["forwarded_allow_ips"] == "10.0.0.1,10.1.0.0/16"
    assert (told["certfile"], told["keyfile"]) == (tls["cert"], tls["key"])


def test_a_configuration_that_cannot_be_used(tmp_path: Path) -> None:
    done = _run(tmp_path, {"port": "high"}, "")
    assert done.returncode == 2
    assert "config.yaml:2: port:" in done.stderr


_STARTING = """
import resource
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
conf["on_starting"](None)
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0], "sqlalchemy" in sys.modules)
conf["on_starting"](None)  # nothing is left to do
"""


@pytest.mark.parametrize("elsewhere", [False, True])
def test_what_the_master_prepares(elsewhere: bool, tmp_path: Path) -> None:
    """Descriptors for every stream, and a database, without the code that makes it."""
    settings: dict[str, Any] = {"worker-connections": 100}
    if elsewhere:
        settings["database-url"] = "postgresql://nowhere.invalid/db"
    done = _run(tmp_path, settings, _STARTING)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["456", "False"]
    assert (tmp_path / "data" / "aiproxyapi.db").exists() is not elsewhere


_HOOKS = """
from types import SimpleNamespace
done = []
services = SimpleNamespace(start=lambda: done.append("start"), stop=lambda: done.append("stop"))
worker = SimpleNamespace(wsgi=SimpleNamespace(extensions={"services": services}))
conf["post_worker_init"](worker)
conf["worker_exit"](None, worker)
conf["worker_exit"](None, SimpleNamespace())
server = SimpleNamespace(kill_workers=done.append)
conf["when_ready"](server)
server.handle_hup()
print(json.dumps(done))
"""


def test_the_hooks(tmp_path: Path) -> None:
    done = _run(tmp_path, {"host": "127.0.0.1", "workers": 2}, _HOOKS)
    assert json.loads(done.stdout) == ["start", "stop", 10]
    assert done.stderr == "AIProxyAPI listens on http://127.0.0.1:8317 with 2 worker(s)\n"
