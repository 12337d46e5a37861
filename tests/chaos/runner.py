"""A runner's process: what a container starts, and every journaled event in a file besides."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from runner_shell.shell.configuration.environment import examine
from runner_shell.shell.process import (
    Connection,
    Process,
    run,
    stand_in_for_closed_streams,
    take_environment,
    websocket_dial,
)
from tests.chaos import mutants


@asynccontextmanager
async def stage(process: Process) -> AsyncIterator[Connection]:
    """The gateway that the environment names, and a tap that outlives `kill -9`."""
    file = os.open(os.environ["CHAOS_TAP"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def tap(event: bytes) -> None:
        os.write(file, event + b"\n")

    yield Connection(websocket_dial(process), tap)


if __name__ == "__main__":
    stand_in_for_closed_streams()
    environment = take_environment(os.environ)
    mutants.apply(environment.get("CHAOS_MUTANT", ""))
    settings, problems = examine(environment)
    assert not [one for one in problems if not one.startswith("PROMPT")], problems
    run(Process(settings, environment), stage)
