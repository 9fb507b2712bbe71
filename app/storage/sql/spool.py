"""Where rows wait on disk while the database cannot take them.

Each process appends to a segment of its own and holds a lock on it while it lives. A segment
whose lock can be had has lost its process: whoever finds it writes its rows to the database.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import logging
import os
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

import orjson

from app import clock
from app.storage.sql.rows import COLUMNS, Row

LIMIT_BYTES = 64 * 1024 * 1024
BLOCK_BYTES = 64 * 1024
"""How much is read, and so written to the database, at a time: some 120 rows."""

LOG_EVERY_S = 60.0

_SUFFIX = ".jsonl"
_log = logging.getLogger(__name__)


class Spool:
    """Rows on disk, one JSON object a line.

    Attributes:
        waiting: rows in the segment of this process.
        lost: rows that could not even be kept here.
    """

    def __init__(self, directory: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        self._directory = directory
        self._limit_bytes = limit_bytes
        self._segment: _Segment | None = None
        self._names = itertools.count()
        self._logged_at = float("-inf")
        self.waiting = 0
        self.lost = 0

    def append(self, rows: Sequence[Row]) -> None:
        """Keep rows; those that cannot be kept are counted as lost. Never yields."""
        lines = b"".join(orjson.dumps(dict(zip(COLUMNS, row, strict=True))) + b"\n" for row in rows)
        try:
            if self._used_bytes() + len(lines) > self._limit_bytes:
                raise OSError(errno.EDQUOT, "the spool is full")
            if self._segment is None:
                self._segment = self._create()
            self._segment.append(lines)
        except OSError as error:
            self.lose(len(rows), error.strerror or "unknown error")
        else:
            self.waiting += len(rows)

    def own(self) -> Iterator[list[Row]]:
        """The rows of this process, oldest first, those appended meanwhile as well.

        The segment is removed when the last row has been taken, before the generator ends.
        """
        if self._segment is not None:
            yield from self._read(self._segment)
            # No yield since the end of the file was seen: nothing can have been appended.
            self._segment.remove()
            self._segment = None
        self.waiting = 0

    def orphans(self) -> Generator[list[Row], None, None]:
        """The rows that processes left behind when they died.

        A segment is removed once all its rows were taken and the generator is resumed; if it is
        closed before, the segment stays for another time.
        """
        own = self._segment.path if self._segment else None
        for path in sorted(self._directory.glob(f"*{_SUFFIX}")):
            segment = _Segment.adopt(path) if path != own else None
            if segment is None:
                continue
            try:
                yield from self._read(segment)
                segment.remove()
            finally:
                segment.close()

    def lose(self, rows: int, reason: str) -> None:
        """Count rows that are kept nowhere, and say so once in a while."""
        self.lost += rows
        if clock.monotonic() - self._logged_at >= LOG_EVERY_S:
            self._logged_at = clock.monotonic()
            _log.error("usage records lost lost=%d reason=%r", self.lost, reason)

    def close(self) -> None:
        """Leave what waits to whoever comes next."""
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    def _create(self) -> _Segment:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{int(clock.epoch_s() * 1e6)}-{os.getpid()}-{next(self._names)}"
        return _Segment.create(self._directory / f"{name}{_SUFFIX}")

    def _used_bytes(self) -> int:
        try:
            with os.scandir(self._directory) as entries:
                return sum(_size(entry) for entry in entries)
        except FileNotFoundError:
            return 0

    def _read(self, segment: _Segment) -> Iterator[list[Row]]:
        offset, rest = 0, b""
        while block := segment.read(offset):
            offset += len(block)
            *lines, rest = (rest + block).split(b"\n")
            yield [row for line in lines if (row := self._parse(line)) is not None]
        if rest:
            self.lose(1, "a spooled row was cut short")

    def _parse(self, line: bytes) -> Row | None:
        try:
            named = orjson.loads(line)
            return tuple(named[name] for name in COLUMNS)
        except (orjson.JSONDecodeError, KeyError, TypeError):
            self.lose(1, "a spooled row cannot be read")
            return None


class _Segment:
    """One file, locked by this process."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def create(cls, path: Path) -> _Segment:
        # It gets its name once it is locked, lest another process takes it for an orphan.
        unnamed = path.with_suffix(".new")
        descriptor = os.open(
            unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600
        )
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        unnamed.rename(path)
        return cls(path, descriptor)

    @classmethod
    def adopt(cls, path: Path) -> _Segment | None:
        """Take over a segment, or None while its process lives or when somebody was faster."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        if os.fstat(descriptor).st_nlink == 0:  # drained by another between open and lock
            os.close(descriptor)
            return None
        return cls(path, descriptor)

    def append(self, lines: bytes) -> None:
        """Write all or nothing, with one call."""
        before = os.fstat(self._descriptor).st_size
        written = os.write(self._descriptor, lines)
        if written < len(lines):
            os.ftruncate(self._descriptor, before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def read(self, offset: int) -> bytes:
        return os.pread(self._descriptor, BLOCK_BYTES, offset)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Give the lock back; safe to call twice."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except FileNotFoundError:  # drained and removed meanwhile
        return 0
