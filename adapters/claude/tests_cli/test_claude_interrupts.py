"""The real CLI interrupted: while it speaks, asks and works."""

from __future__ import annotations

import asyncio

import pytest
from claude_recording import Recorder
from real_cli import bash, exists, finished, running
from runner_shell_claude.testing import Reply, ScriptedModel

from runner_shell import Answer, Request, events
from runner_shell.testing.recorder import answered

pytestmark = pytest.mark.slow


@pytest.mark.bounded
async def test_an_interrupt_in_the_middle_of_a_stream(
    recorder: Recorder, model: ScriptedModel
) -> None:
    """The turn returns by itself, what was said so far stays, and the next turn works."""
    model.say(Reply("one two three four five six", hold_after=1), Reply("again"))
    async with running(recorder, model) as adapter:
        turn = asyncio.create_task(recorder.turn(adapter, "count"))
        await asyncio.to_thread(model.wait_until_holding)
        await recorder.until(lambda: recorder.of(events.BlockDelta))
        assert await adapter.interrupt("enough")
        ending = await turn
        assert (ending.outcome, ending.reason) == ("interrupted", "enough")
        assert recorder.open_things() == []
        assert (await recorder.turn(adapter, "again")).outcome == "completed"


@pytest.mark.bounded
async def test_an_interrupt_while_a_permission_is_open(
    recorder: Recorder, model: ScriptedModel
) -> None:
    """The question is withdrawn, the tool is cancelled, and the turn ends interrupted."""
    withdrawn = asyncio.Event()

    async def person(request: Request, key: str) -> Answer:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            withdrawn.set()
            raise
        raise AssertionError

    model.say(Reply(tools=[bash("touch made")]), Reply("again"))
    recorder.person = person
    async with running(recorder, model) as adapter:
        turn = asyncio.create_task(recorder.turn(adapter, "go"))
        await recorder.until(lambda: recorder.asked)
        assert await adapter.interrupt("no")
        ending = await turn
        assert ending.outcome == "interrupted"
        assert withdrawn.is_set()
        assert [status for status, _ in finished(recorder)] == ["cancelled"]
        assert (await recorder.turn(adapter, "again")).outcome == "completed"


async def test_an_interrupt_while_a_tool_runs(recorder: Recorder, model: ScriptedModel) -> None:
    """The command is ended, and its call is cancelled or failed; never ok."""
    model.say(Reply(tools=[bash("touch began; tail -f /dev/null; touch ended")]), Reply("again"))
    recorder.person = answered("allow")
    async with running(recorder, model) as adapter:
        turn = asyncio.create_task(recorder.turn(adapter, "go"))
        await exists(recorder.workspace / "began")
        assert await adapter.interrupt("stop it")
        ending = await turn
        assert ending.outcome == "interrupted"
        assert [status for status, _ in finished(recorder)] in (["cancelled"], ["error"])
        assert not (recorder.workspace / "ended").exists()
        assert recorder.open_things() == []
