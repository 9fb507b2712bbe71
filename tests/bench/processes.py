"""Processes seen from outside: on which core, at what cost of time and memory."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class BenchError(Exception):
    """The benchmark cannot say anything: something did not start, or an answer was wrong."""


# Cores


@dataclass(frozen=True, slots=True)
class Cores:
    """Who runs where: the application under test alone on one core, all else on the other."""

    tested: int
    others: int

    @classmethod
    def pick(cls) -> Cores:
        """The last two cores we may use; the first ones serve most interrupts."""
        usable = sorted(os.sched_getaffinity(0))
        return cls(usable[-1], usable[-2] if len(usable) > 1 else usable[-1])

    @property
    def are_apart(self) -> bool:
        return self.tested != self.others


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """Start processes on a core: children inherit it."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def raise_descriptor_limit() -> int:
    """Let this process and its children open as many sockets as the system permits."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


# What /proc says


def process_tree(root: int) -> list[int]:
    """A process and all its descendants, parents first."""
    children: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields:
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [root]
    for pid in found:  # grows while it is walked
        found.extend(children.get(pid, ()))
    return found


def _stat(pid: int) -> list[str]:
    """Fields of /proc/<pid>/stat from the state on; empty when the process is gone.

    Source: proc_pid_stat(5); the second field, the name, may itself hold blanks and brackets.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return []


def cpu_ms(pids: list[int]) -> float:
    """User and system time so far, with that of children already gone; ticks of 10 ms."""
    ticks = 0
    for pid in pids:
        ticks += sum(map(int, _stat(pid)[11:15]))
    return ticks * _TICK_MS


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of a process tree in MB (10^6 bytes).

    ``rss`` counts a page that two processes share twice, ``pss`` once.
    """

    rss: float = 0.0
    pss: float = 0.0

    @classmethod
    def of(cls, pids: list[int]) -> Memory:
        rss = pss = 0
        for pid in pids:
            with contextlib.suppress(OSError):  # it ended meanwhile
                rss += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
                pss += _kilobytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss:") * 1024
        return cls(rss / 1e6, pss / 1e6)

    def or_more(self, other: Memory) -> Memory:
        return Memory(max(self.rss, other.rss), max(self.pss, other.pss))


def peak_mb(pid: int) -> float:
    """Largest resident size since ``forget_peak``, in MB."""
    return _kilobytes(Path(f"/proc/{pid}/status"), "VmHWM:") * 1024 / 1e6


def forget_peak(pid: int) -> None:
    """Set the peak back to the present size. Source: proc_pid_clear_refs(5), value 5."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _kilobytes(path: Path, name: str) -> int:
    for line in path.read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    return 0
