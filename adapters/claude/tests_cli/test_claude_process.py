"""A real runner around the real CLI: whichever process is killed, nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from runner_shell_claude.testing import Reply, ScriptedModel, ToolUse

pytestmark = [pytest.mark.slow, pytest.mark.bounded]

RUNNER_SHELL = Path(sys.executable).with_name("runner-shell")
WAIT_SECONDS = 90.0
"""Ends a hang; nothing is judged by it."""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    made = tmp_path / "workspace"
    made.mkdir()
    return made


@pytest.fixture
def runner(workspace: Path, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A runner whose agent has a tool at work that would never end by itself."""
    command = "touch began; tail -f /dev/null"
    with ScriptedModel([Reply("Now.", tools=[ToolUse("Bash", {"command": command})])]) as model:
        started = subprocess.Popen(
            [
                *(RUNNER_SHELL, "run", "--adapter", "claude", "--prompt", "go"),
                *("--workspace", workspace, "--state-dir", tmp_path / "state"),
            ],
            env=os.environ | model.environment() | {"NON_INTERACTIVE_POLICY": "allow"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            until((workspace / "began").exists)
            yield started
        finally:
            for pid in (started.pid, *working_in(workspace)):
                if Path(f"/proc/{pid}").exists():
                    os.kill(pid, signal.SIGKILL)
            started.wait()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("whom", ["guardian", "runner", "cli"])
def test_whoever_is_killed_nothing_is_left(
    runner: subprocess.Popen[bytes], workspace: Path, whom: str, number: signal.Signals
) -> None:
    """The tool, in a session of its own, ends with the runner, its guardian or the CLI."""
    (own,) = children(runner.pid)
    pid = {"guardian": runner.pid, "runner": own, "cli": cli_of(own)}[whom]
    assert working_in(workspace)
    os.kill(pid, number)
    runner.wait(WAIT_SECONDS)
    until(lambda: not working_in(workspace))
    assert runner.returncode != 0


def until(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not what():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)


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


def children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return found
