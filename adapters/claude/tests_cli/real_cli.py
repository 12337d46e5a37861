"""The real CLI at a scripted model: real tools, real processes, no key and no network."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from claude_recording import Recorder
from real_processes import children
from runner_shell_claude import ClaudeAdapter, processes
from runner_shell_claude.testing import ScriptedModel, ToolUse

from runner_shell import events


@asynccontextmanager
async def running(
    recorder: Recorder, model: ScriptedModel, **environment: str
) -> AsyncIterator[ClaudeAdapter]:
    """An adapter on the real CLI; nothing of it is left afterwards."""
    given = {
        **model.environment(),
        "LLM_MODEL": "claude-sonnet-5",
        "CLAUDE_PASS_ENVIRONMENT": "CLAUDE_CODE_MAX_RETRIES",
        **environment,
    }
    adapter = await recorder.adapter(**given)
    marks: list[str] = []
    try:
        yield adapter
        if (connection := adapter._conversation._connection) is not None:
            marks.append(connection.mark)
    finally:
        await adapter.close()
    assert not [pid for mark in marks for pid in processes.marked(mark)], "it left processes"


def bash(command: str, **more: Any) -> ToolUse:
    return ToolUse("Bash", {"command": command, **more})


async def exists(path: Path) -> None:
    """Wait until a tool has made this file."""
    while not path.exists():  # noqa: ASYNC110, ASYNC240 — a file tells nobody
        await asyncio.sleep(0.02)


async def written(adapter: ClaudeAdapter) -> None:
    """The CLI has begun a transcript, without which it could not be resumed."""
    while not adapter._conversation._memory.has_transcript:  # noqa: ASYNC110 - another's file
        await asyncio.sleep(0.02)


def finished(recorder: Recorder) -> list[tuple[str, Any]]:
    return [(tool.status, tool.output) for tool in recorder.of(events.ToolFinished)]


def kill(adapter: ClaudeAdapter, number: signal.Signals) -> None:
    """Kill the CLI itself, and nothing it started."""
    connection = adapter._conversation._connection
    assert connection is not None
    (cli,) = set(children(os.getpid())).intersection(processes.marked(connection.mark))
    os.kill(cli, number)
