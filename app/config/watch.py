"""Sees an edit of the configuration file, loads it, and swaps the snapshot or keeps the old one.

The file is looked at by path a few times a second: that sees an editor's rename, an edit in
place, a swapped symlink of a mounted volume and a network file system alike, and needs no
facility of the kernel that runs out.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from app import clock
from app.config import load as loader
from app.config.load import ConfigWarning, Loaded
from app.config.schema import Config
from app.errors import ConfigError
from app.redact import scrub

_log = logging.getLogger(__name__)

_SETTLE_S = 0.15
"""A file this long unchanged is taken as written to its end, however rarely we look."""

_FRESH_S = 2.0
"""A file changed so recently may change again within the grain of its time stamp."""

_MISSING_LOOKS = 10
"""A file gone for so many looks has not just been renamed by an editor."""


Stamp = tuple[int, int, int]
"""What ``stat`` says of the file: modified (ns), size, inode."""


class ConfigWatcher:
    """Holds the configuration in force.

    Attributes:
        current: the last configuration that could be used.
        loaded_at: when it was read, aware UTC.
        error: why the file as it is now cannot be used; None when all is well.
        warnings: what was said about ``current``.
    """

    def __init__(
        self,
        path: Path,
        environ: Mapping[str, str],
        on_change: Callable[[Config], None],
        loaded: Loaded | None = None,
    ) -> None:
        """Load the file, unless it has just been loaded.

        Args:
            path: the configuration file.
            environ: what overrides it.
            on_change: called with each new configuration before it becomes ``current``; what
                it raises keeps the old one in force.
            loaded: the state to begin with.

        Raises:
            ConfigError: the file cannot be used.
        """
        loaded = loaded or loader.load(path, environ)
        self.current: Config = loaded.config
        self.loaded_at: datetime = clock.now()
        self.error: ConfigError | None = None
        self.warnings: tuple[ConfigWarning, ...] = loaded.warnings
        self._path = path
        self._environ = environ
        self._on_change = on_change
        self._digest = loaded.digest
        self._seen: Stamp | None = None  # of the state that was read last
        self._pending: Stamp | None = None  # of a change that may still go on
        self._missing = 0
        self._stopped = False

    def run(self, interval_s: float = 0.2) -> None:
        """Look again and again, until ``stop``; for a greenlet of its own."""
        while not self._stopped:
            self.poll()
            clock.sleep(interval_s)

    def stop(self) -> None:
        """End ``run`` at its next look."""
        self._stopped = True

    def reload_now(self) -> None:
        """Read the file at once, also when it has not changed: a secret behind it may have."""
        self._read(again=True)

    def poll(self) -> None:
        """Look once; acts when the file has changed and is at rest."""
        try:
            found = self._path.stat()
        except OSError as error:
            self._look_in_vain(error)
            return
        self._missing = 0
        stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        age_s = clock.epoch_s() - found.st_mtime
        if stamp == self._seen:
            if age_s >= _FRESH_S:
                return
        elif stamp != self._pending and not age_s >= _SETTLE_S:
            self._pending = stamp
            return
        self._seen = stamp
        self._pending = None
        self._read(again=False)

    def _look_in_vain(self, error: OSError) -> None:
        self._missing += 1
        self._forget()
        if self._missing >= _MISSING_LOOKS:
            self._keep(ConfigError(f"cannot be read: {error.strerror}", file=str(self._path)))

    def _forget(self) -> None:
        """Take the file's next readable state for a new one."""
        self._seen = None
        self._digest = ""

    def _read(self, *, again: bool) -> None:
        try:
            raw = loader.read(self._path)
        except ConfigError as error:
            self._forget()
            self._keep(error)
            return
        try:
            self._consider(raw, again=again)
        except ConfigError as error:
            self._keep(error)

    def _consider(self, raw: bytes, *, again: bool) -> None:
        """Put the file's content into force, if it is new and not just being written."""
        digest = hashlib.sha256(raw).hexdigest()
        if not raw.strip() or (digest == self._digest and not again):
            return
        self._digest = digest
        loaded = loader.parse_bytes(raw, str(self._path), self._environ)
        if loaded.config != self.current:
            self._swap(loaded)
        elif self.error is not None:
            _log.info("the configuration is whole again, and as it was")
        self.warnings = loaded.warnings
        self.error = None

    def _swap(self, loaded: Loaded) -> None:
        """Make a configuration the current one.

        Raises:
            ConfigError: what depends on it cannot take it.
        """
        later = needing_restart(self.current, loaded.config)
        try:
            self._on_change(loaded.config)
        except ConfigError:
            raise
        except Exception as error:  # whatever it is, the configuration in force goes on serving
            message = f"cannot be put into force: {type(error).__name__}"
            _log.error("%s: %s", message, scrub(str(error)))
            raise ConfigError(message, file=str(self._path)) from error
        self.current = loaded.config
        self.loaded_at = clock.now()
        _log.info("configuration reloaded")
        for warning in loaded.warnings:
            _log.warning("%s", warning)
        if later:
            _log.warning("takes effect at the next start: %s", ", ".join(later))

    def _keep(self, error: ConfigError) -> None:
        """Stay with the configuration in force; the same error is logged once."""
        if str(error) != str(self.error):
            _log.error("the old configuration stays in force: %s", error)
            for note in getattr(error, "__notes__", ()):
                _log.error("the old configuration stays in force: %s", note)
        self.error = error


def needing_restart(old: Config, new: Config) -> tuple[str, ...]:
    """The changed settings that are read once when the process starts, as written in YAML."""
    return tuple(
        field.name.replace("_", "-")
        for field in dataclasses.fields(Config)
        if field.metadata["restart"] and getattr(old, field.name) != getattr(new, field.name)
    )
