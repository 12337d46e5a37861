"""What still runs when a session is over: tasks, threads and child processes."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path

from ..order import Finding
from .findings import left_running

SETTLE_SECONDS = 2.0
"""How long threads, tasks and processes may take to go after the session's end."""

Running = dict[str, set[str]]
"""Names of what runs, by what it is."""


def running() -> Running:
    """The threads and child processes of this process."""
    threads = {f"{thread.name} ({thread.ident})" for thread in threading.enumerate()}
    return {"thread": threads, "child process": _children()}


def check_left_since(before: Running) -> list[Finding]:
    """Whatever runs that did not before, after it has had its time to go."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while (left := _more(before, running())) and time.monotonic() < deadline:
        time.sleep(0.02)
    return [
        left_running(
            f"after the session a {what} was left: {name}",
            "end it in `close`, or at the end of the turn that started it",
        )
        for what, names in left.items()
        for name in sorted(names)
    ]


async def check_tasks() -> list[Finding]:
    """Every other task of this loop, after it has had its time to end."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        _, left = await asyncio.wait(left, timeout=SETTLE_SECONDS / 2)
    return [
        left_running(
            f"a task was still running after `close`: {task.get_coro()!r}",
            "cancel and await it in `close`, or give it to a TaskGroup of the turn",
        )
        for task in left
    ]


def _more(before: Running, after: Running) -> Running:
    more = {what: names - before[what] for what, names in after.items()}
    return {what: names for what, names in more.items() if names}


def _children() -> set[str]:
    """Child processes that run; only where `/proc` tells (Linux)."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, tail = stat.read_text().rpartition(")")
        except OSError:
            continue  # it is gone already
        state, parent = tail.split()[:2]
        if int(parent) == os.getpid() and state != "Z":
            found.add(f"{head.partition('(')[2]} (pid {stat.parent.name})")
    return found
