"""Put the programs of ``package.json`` into ``.clients``, each for itself: ``-m`` runs it.

A program that cannot be installed is told, and its tests are skipped.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / ".clients"
"""Where the programs are; Git ignores it."""

_WANTED = Path(__file__).with_name("package.json")
_LIMIT_S = 600


def missing() -> dict[str, str]:
    """The packages that are not there at their pinned version, by name."""
    wanted: dict[str, str] = json.loads(_WANTED.read_text())["dependencies"]
    return {name: version for name, version in wanted.items() if _version(name) != version}


def _version(name: str) -> str | None:
    path = FOLDER / "node_modules" / name / "package.json"
    return str(json.loads(path.read_text())["version"]) if path.exists() else None


def _install(npm: str, packages: list[str]) -> str:
    """What npm complains of; empty when all went well."""
    quiet = ("--no-audit", "--no-fund", "--no-save", "--loglevel=error")
    try:
        done = subprocess.run(
            [npm, "install", *quiet, *packages],
            cwd=FOLDER,
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"npm took longer than {_LIMIT_S} s"
    return done.stderr.strip() or f"npm failed ({done.returncode})" if done.returncode else ""


def main() -> None:
    """Install what is missing: all at once, and one by one if that fails."""
    lacking = missing()
    if not lacking:
        return
    npm = shutil.which("npm")
    if npm is None:
        sys.stderr.write("npm is not there: the tests of programs will be skipped\n")
        return
    sys.stderr.write("Installing the programs (once) ...\n")
    FOLDER.mkdir(exist_ok=True)
    shutil.copy(_WANTED, FOLDER)
    if not _install(npm, []):
        return
    # One that cannot be had must not keep the others away.
    (FOLDER / "package.json").write_text('{"private": true}')
    for name, version in missing().items():
        installed = [f"{one}@{v}" for one, v in _there().items()]
        if complaint := _install(npm, [*installed, f"{name}@{version}"]):
            sys.stderr.write(f"{name} {version} cannot be installed: {complaint}\n")


def _there() -> dict[str, str]:
    wanted: dict[str, str] = json.loads(_WANTED.read_text())["dependencies"]
    return {name: version for name, version in wanted.items() if name not in missing()}


if __name__ == "__main__":
    main()
