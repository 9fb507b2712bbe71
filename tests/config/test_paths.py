"""Files that go with the package."""

from __future__ import annotations

from pathlib import Path

import pytest

import app
from app.config import paths
from app.config.paths import pid_file, root_file


def test_a_checkout_has_them_beside_the_package() -> None:
    assert app.__file__ is not None
    assert root_file("pyproject.toml") == Path(app.__file__).parent.parent / "pyproject.toml"


def test_an_installation_has_them_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "app" / "_root" / "gunicorn.conf.py"
    inside.parent.mkdir(parents=True)
    inside.touch()
    (tmp_path / "gunicorn.conf.py").touch()  # somebody else's, beside it in site-packages
    monkeypatch.setattr(paths, "_PACKAGE", tmp_path / "app")
    assert root_file("gunicorn.conf.py") == inside


def test_a_damaged_installation_is_told() -> None:
    with pytest.raises(FileNotFoundError, match=r"no\.such\.file is missing"):
        root_file("no.such.file")


def test_the_pid_file_lies_with_the_data() -> None:
    assert pid_file("/var/lib/gateway") == Path("/var/lib/gateway/aiproxyapi.pid")
