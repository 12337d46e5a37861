"""Who descends from this process, and the end of all of them."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from . import linux
from .bond import guardian_pid

TYPE_CHECKING = False  # typing's own costs the start path milliseconds
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ENDING_SECONDS", "INSTANCE_VARIABLE", "children", "end_tree", "kill"]

INSTANCE_VARIABLE = "RUNNER_INSTANCE"
"""What marks a runner's descendants, in their environment."""

ENDING_SECONDS = 5.0
"""How long the end of a tree may take."""

_POLL_SECONDS = 0.005


def end_tree(marker: str | None, *, seconds: float = ENDING_SECONDS) -> bool:
    """Kill whatever descends from this process or carries its marker; say whether all are gone.

    For a runner that lost its guardian: who had lost its parent before that is no descendant any
    more, and is found by `RUNNER_INSTANCE` in its environment. Only a process that was forked
    without an exec, and lost its parent before, is not found. This process, its parent and the
    guardian are spared. On other systems than Linux the process group gets SIGTERM, if this
    process leads it.

    Args:
        marker: The value of `RUNNER_INSTANCE` that the tree's processes carry; None: it has none.
        seconds: When to give up.
    """
    if not linux.on_linux():
        return _end_group()
    # From here on nobody gets away by losing its parent.
    linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
    give_up = time.monotonic() + seconds
    while victims := _victims(marker):
        if time.monotonic() >= give_up:
            return False
        for pid in victims:
            kill(pid)
        time.sleep(_POLL_SECONDS)
    return True


def _victims(marker: str | None) -> set[int]:
    parents = dict(_read_processes())
    found = _descendants(os.getpid(), parents)
    if marker:
        entry = f"{INSTANCE_VARIABLE}={marker}".encode()
        found |= {pid for pid in parents if _is_ours_and_carries(entry, pid)}
    return found - {os.getpid(), os.getppid(), guardian_pid()}


def _descendants(ancestor: int, parents: dict[int, int]) -> set[int]:
    found: set[int] = set()
    generation = {ancestor}
    while generation:
        generation = {pid for pid, parent in parents.items() if parent in generation} - found
        found |= generation
    return found


def _is_ours_and_carries(entry: bytes, pid: int) -> bool:
    try:
        if os.stat(f"/proc/{pid}").st_uid != os.geteuid():
            return False
        with open(f"/proc/{pid}/environ", "rb") as file:
            return entry in file.read().split(b"\0")
    except OSError:  # gone, or closed to us
        return False


def _end_group() -> bool:
    if os.getpgrp() != os.getpid():
        return False
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # this process is in the group too
    os.killpg(os.getpgrp(), signal.SIGTERM)
    return True


def kill(pid: int) -> None:
    """Kill a process, if it is there and ours to kill."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def children() -> list[int]:
    """Return this process's children, by the kernel's own list where it is built in.

    Reading every process instead takes milliseconds, in which one that forks and exits in a row
    is already another.
    """
    try:
        found: list[int] = []
        for thread in os.listdir("/proc/self/task"):
            with open(f"/proc/self/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    except FileNotFoundError:
        own_pid = os.getpid()
        return [pid for pid, parent in _read_processes() if parent == own_pid]
    return found


def _read_processes() -> Iterator[tuple[int, int]]:
    """Give every process that is no zombie, with its parent."""
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                # pid (name, which may hold anything) state parent …
                state, parent, *_ = file.read().rpartition(b")")[2].split(maxsplit=2)
        except (OSError, ValueError):  # gone meanwhile
            continue
        if state not in b"ZX":
            yield int(name), int(parent)
