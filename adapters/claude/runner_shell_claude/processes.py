"""The CLI's process tree, found by a mark in its environment.

The Bash tool runs in sessions of its own and outlives a CLI that is killed; the mark is inherited
by all of them, so that nothing needs to be known of who started what. On Linux; elsewhere no
process is found, and the shell's guardian ends what is left with the runner.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

MARK = "RUNNER_SHELL_CLAUDE"
"""The variable whose value names one CLI's tree."""

_PROC = Path("/proc")
_STEP_SECONDS = 0.02


def marked(mark: str) -> list[int]:
    """The processes of one tree, this one left out."""
    wanted = f"{MARK}={mark}".encode()
    return [pid for pid in _pids() if pid != os.getpid() and wanted in _environment(pid)]


async def end(mark: str, grace_seconds: float) -> int:
    """End a tree: ask at first, kill what is left after the grace.

    Returns:
        How many processes had to be killed.
    """
    _signal(marked(mark), signal.SIGTERM)
    loop = asyncio.get_running_loop()
    until = loop.time() + grace_seconds
    while (left := marked(mark)) and loop.time() < until:  # noqa: ASYNC110 — /proc tells nobody
        await asyncio.sleep(_STEP_SECONDS)
    killed = len(left)
    while left:  # what is killed may have forked meanwhile
        _signal(left, signal.SIGKILL)
        await asyncio.sleep(_STEP_SECONDS)
        left = marked(mark)
    return killed


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _pids() -> list[int]:
    if not _PROC.is_dir():
        return []
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]


def _environment(pid: int) -> list[bytes]:
    """A process's environment at its start; empty for a zombie, or for somebody else's."""
    try:
        return (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return []
