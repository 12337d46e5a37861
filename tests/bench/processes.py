"""What the kernel counted for a process and for its child; Linux only."""

from __future__ import annotations

import os
from pathlib import Path

PROC = Path("/proc")


def child_of(pid: int) -> int | None:
    """The first child of a process, or None."""
    children = (PROC / str(pid) / "task" / str(pid) / "children").read_text().split()
    return int(children[0]) if children else None


def children_of(pid: int) -> list[int]:
    """The children of all its threads."""
    found: list[int] = []
    for thread in (PROC / str(pid) / "task").iterdir():
        found += map(int, (thread / "children").read_text().split())
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of all its threads; exact for a process that stands still."""
    nanoseconds = 0
    for thread in (PROC / str(pid) / "task").iterdir():
        nanoseconds += int((thread / "schedstat").read_text().split()[0])
    return nanoseconds / 1e9


def memory_mib(pid: int, field: str) -> float:
    """`VmHWM` (the peak so far) or `VmRSS` (now)."""
    for line in (PROC / str(pid) / "status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) / 1024
    raise LookupError(f"process {pid} has no {field}: is it a zombie?")


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))
