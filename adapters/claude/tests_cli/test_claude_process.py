"""A real runner around the real CLI: whichever process is killed, nothing is left."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from real_processes import Launcher, Started, children, eventually
from runner_shell_claude.testing import Reply, ScriptedModel, ToolUse

pytestmark = [pytest.mark.slow, pytest.mark.bounded]


@pytest.fixture
def agents(tmp_path: Path) -> Path:
    """Where the agent works, and the runner does not stand."""
    made = tmp_path / "agents"
    made.mkdir()
    return made


@pytest.fixture
def runner(launch: Launcher, agents: Path) -> Iterator[Started]:
    """A runner whose agent has a tool at work that would never end by itself."""
    command = "touch began; tail -f /dev/null"
    with ScriptedModel([Reply("Now.", tools=[ToolUse("Bash", {"command": command})])]) as model:
        started = launch.cli(
            *("run", "--adapter", "claude", "--prompt", "go", "--workspace", agents),
            NON_INTERACTIVE_POLICY="allow",
            **model.environment(),
        )
        try:
            eventually((agents / "began").exists, "the tool at work")
            yield started
        finally:
            for pid in working_in(agents):
                with suppress(ProcessLookupError):  # it is gone already
                    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("whom", ["guardian", "runner", "cli"])
def test_whoever_is_killed_nothing_is_left(
    runner: Started, agents: Path, whom: str, number: signal.Signals
) -> None:
    """The tool, in a session of its own, ends with the runner, its guardian or the CLI."""
    pids = {"guardian": runner.process.pid, "runner": runner.runner, "cli": cli_of(runner.runner)}
    assert working_in(agents)
    os.kill(pids[whom], number)
    assert runner.wait() != 0
    eventually(lambda: not working_in(agents), "the end of the CLI and its tool")


def working_in(directory: Path) -> list[int]:
    """The CLI and its tools: the processes that stand in the workspace."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cwd").readlink() == directory:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def cli_of(runner: int) -> int:
    """The CLI is the runner's child; the runner itself stands elsewhere."""
    (cli,) = children(runner)
    return cli
