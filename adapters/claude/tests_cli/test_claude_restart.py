"""A permission over the runner's end: a real gateway, two runners, an answer in between."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest
from real_processes import Launcher, RealGateway, Started, children
from runner_shell_claude.testing import Reply, ScriptedModel, ToolUse

pytestmark = pytest.mark.slow


def runner(launch: Launcher, gateway: RealGateway, **environment: str | Path) -> Started:
    """One process of a session; they share the workspace and the state directory."""
    return launch.cli(
        *("run", "--adapter", "claude", "--prompt", "go"),
        *("--workspace", launch.workspace, "--state-dir", launch.state),
        RUNNER_GATEWAY=gateway.url,
        RUNNER_IDLE_SECONDS="1",
        NON_INTERACTIVE_POLICY="defer",
        **environment,
    )


def kill(started: Started) -> None:
    """Kill guardian, runner and CLI at once, as the end of a container does."""
    for pid in (started.process.pid, started.runner, *children(started.runner)):
        with suppress(ProcessLookupError):  # the end of one is the next one's, at times at once
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("answer", "killed"),
    [
        pytest.param("allow", True, marks=pytest.mark.bounded),
        ("allow", False),
        pytest.param("deny", False, marks=pytest.mark.bounded),
        ("deny", True),
    ],
)
def test_a_permission_is_answered_between_two_processes(
    launch: Launcher, gateway: RealGateway, killed: bool, answer: str
) -> None:
    """The first process ends while it waits, or is killed; the second does as was answered."""
    session, token = gateway.create()
    written = launch.workspace / "written"
    write = ToolUse("Bash", {"command": "touch written"})
    calls = [Reply("I write.", tools=[write])] * (2 if killed else 1)
    with ScriptedModel([*calls, *[Reply("So be it.")] * 3]) as model:
        given = {
            **model.environment(),
            "SESSION_ID": session,
            "BOT_TOKEN": token,
            "RUNNER_DEFER_SECONDS": "1000" if killed else "0.2",
        }
        first = runner(launch, gateway, **given)
        request = gateway.wait_for(session, "request.opened")
        if killed:
            kill(first)
        first.wait()
        assert not written.exists()
        gateway.command(
            session, type="request.answer", id="answer", request=request["id"], answer=answer
        )
        second = runner(launch, gateway, **given)
        assert second.wait() == 0, second.err
    assert written.exists() == (answer == "allow")
    types = gateway.types(session)
    assert types.count("request.opened") == 1
    assert types.count("session.started") == 2
    assert types[-1] == "session.finished"
