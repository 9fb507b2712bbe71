"""Where the files lie that go with the package."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def root_file(name: str) -> Path:
    """A file of the project's root: inside the package when installed, beside it in a checkout.

    Raises:
        FileNotFoundError: neither place has it; the installation is damaged.
    """
    for directory in (_PACKAGE / "_root", _PACKAGE.parent):
        if (directory / name).exists():
            return directory / name
    raise FileNotFoundError(f"{name} is missing beside the package {_PACKAGE}")


def pid_file(data_dir: str) -> Path:
    """Where the server writes its process id."""
    return Path(data_dir) / "aiproxyapi.pid"
