"""A message during a turn of the real CLI."""

from __future__ import annotations

import asyncio
import signal

import pytest
from claude_recording import Recorder
from real_cli import bash, kill, running, written
from runner_shell_claude.testing import Reply, ScriptedModel

from runner_shell import UserMessage, events
from runner_shell.testing.recorder import answered

pytestmark = pytest.mark.slow


async def began(recorder: Recorder) -> None:
    await recorder.until(lambda: recorder.of(events.BlockDelta))


@pytest.mark.bounded
async def test_a_message_during_a_turn_is_folded_in(
    recorder: Recorder, model: ScriptedModel
) -> None:
    """The CLI takes it up in the running turn, which ends only once it is dealt with."""
    model.say(
        Reply("Working.", tools=[bash("until test -e go; do sleep 0.05; done")]),
        Reply("Both done."),
        Reply("Both done, really."),
    )
    recorder.person = answered("allow")
    async with running(recorder, model) as adapter:
        assert not await adapter.inject(UserMessage(content="too early"))
        turn = asyncio.create_task(recorder.turn(adapter, "one"))
        await recorder.until(lambda: recorder.of(events.ToolStarted))
        assert await adapter.inject(UserMessage(content="and two"))
        (recorder.workspace / "go").touch()
        ending = await turn
        assert not await adapter.inject(UserMessage(content="too late"))

    assert ending.outcome == "completed"
    # As a user's message, or as the system's word of one: that differs from CLI to CLI.
    said = str([request.body["messages"] for request in model.requests])
    assert "and two" in said
    assert "too early" not in said
    assert "too late" not in said
    assert recorder.open_things() == []


@pytest.mark.bounded
async def test_an_interrupt_takes_what_was_folded_in_along(
    recorder: Recorder, model: ScriptedModel
) -> None:
    """A message that the CLI has not taken up does not begin after the interrupt."""
    model.say(Reply("a long answer", hold_after=1), Reply("next"), Reply("next"))
    async with running(recorder, model) as adapter:
        turn = asyncio.create_task(recorder.turn(adapter, "one"))
        await began(recorder)
        assert await adapter.inject(UserMessage(content="and two"))
        assert await adapter.interrupt("stop it")
        assert (await turn).outcome == "interrupted"
        assert (await recorder.turn(adapter, "three")).outcome == "completed"


async def test_a_folded_message_outlives_the_cli(recorder: Recorder, model: ScriptedModel) -> None:
    """Where the CLI dies before it took the message up, the one that goes on is sent it."""
    model.say(Reply("a long answer", hold_after=1), Reply("Both."), Reply("Both."))
    async with running(recorder, model) as adapter:
        turn = asyncio.create_task(recorder.turn(adapter, "one"))
        await began(recorder)
        await written(adapter)
        assert await adapter.inject(UserMessage(content="and two"))
        kill(adapter, signal.SIGKILL)
        assert (await turn).outcome == "completed"
    assert any("and two" in text for text in model.requests[-1].texts())
