"""A permission over the runner's end: a real gateway, two runners, an answer in between."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from runner_shell_claude.testing import Reply, ScriptedModel, ToolUse
from test_claude_process import WAIT_SECONDS, until

from runner_shell.client import GatewayClient, OpenRequest, SessionClient

pytestmark = pytest.mark.slow

RUNNER_SHELL = Path(sys.executable).with_name("runner-shell")


@asynccontextmanager
async def gateway(directory: Path) -> AsyncIterator[GatewayClient]:
    """The gateway for development, as a process."""
    port = random.randrange(20_000, 32_000)
    token = directory / "token"
    serve = [RUNNER_SHELL, "serve", "--port", str(port), "--token-file", token]
    with (directory / "gateway.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: ASYNC220 — it only starts
            [*serve, "--store", directory / "db"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        until(lambda: token.exists() and "http" in (directory / "gateway.log").read_text())
        async with GatewayClient(f"http://127.0.0.1:{port}", token.read_text().strip()) as client:
            yield client
    finally:
        process.terminate()
        process.wait()


def runner(
    directory: Path, url: str, session: str, token: str, environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    """One process of the session."""
    given = {
        "SESSION_ID": session,
        "BOT_TOKEN": token,
        "RUNNER_GATEWAY": url,
        "NON_INTERACTIVE_POLICY": "defer",
        **environment,
    }
    with (directory / "runner.log").open("ab") as log:
        return subprocess.Popen(
            [
                *(RUNNER_SHELL, "run", "--adapter", "claude", "--prompt", "go"),
                *("--workspace", directory / "workspace", "--state-dir", directory / "state"),
            ],
            env=os.environ | given,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


async def asked(session: SessionClient) -> OpenRequest:
    async for event in session.follow():
        if event.type == "request.opened":
            break
    (request,) = await session.requests()
    return request


@pytest.mark.parametrize(
    ("answer", "killed"),
    [
        pytest.param("allow", True, marks=pytest.mark.bounded),
        ("allow", False),
        pytest.param("deny", False, marks=pytest.mark.bounded),
        ("deny", True),
    ],
)
async def test_a_permission_is_answered_between_two_processes(
    tmp_path: Path, killed: bool, answer: str
) -> None:
    """The first process ends while it waits, or is killed; the second does as was answered."""
    (tmp_path / "workspace").mkdir()
    write = ToolUse("Bash", {"command": "touch written"})
    calls = [Reply("I write.", tools=[write])] * (2 if killed else 1)
    with ScriptedModel([*calls, *[Reply("So be it.")] * 3]) as model:
        async with gateway(tmp_path) as client:
            created = await client.create_session()
            given = (tmp_path, client.url, created.id, created.runner_token, model.environment())
            session = client.session(created.id)
            given[-1]["RUNNER_DEFER_SECONDS"] = "1000" if killed else "0.2"
            given[-1]["RUNNER_IDLE_SECONDS"] = "1"
            first = runner(*given)
            request = await asked(session)
            if killed:
                os.killpg(first.pid, signal.SIGKILL)
            first.wait(WAIT_SECONDS)
            assert not (tmp_path / "workspace" / "written").exists()
            await session.answer(request.request.id, answer)
            second = runner(*given)
            second.wait(WAIT_SECONDS)
            events = [event async for event in session.events()]
    assert second.returncode == 0, (tmp_path / "runner.log").read_text()
    assert (tmp_path / "workspace" / "written").exists() == (answer == "allow")
    types = [event.type for event in events]
    assert types.count("request.opened") == 1
    assert types.count("session.started") == 2
    assert types[-1] == "session.finished"
