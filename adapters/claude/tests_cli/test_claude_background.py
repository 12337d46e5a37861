"""Sub-agents of the real CLI, and work that outlives its turn."""

from __future__ import annotations

import asyncio

import pytest
from claude_recording import Recorder
from real_cli import bash, running
from runner_shell_claude.testing import Reply, ScriptedModel, ToolUse

from runner_shell import events
from runner_shell.testing.recorder import WAKE, answered

pytestmark = pytest.mark.slow


@pytest.mark.bounded
async def test_a_subagent_is_a_step_with_a_scope(recorder: Recorder, model: ScriptedModel) -> None:
    """A sub-agent's messages and tools carry its step as scope; the turn ends after it."""
    prompt = "Look into the cellar."
    agent = {"description": "look", "prompt": prompt, "subagent_type": "general-purpose"}
    model.say(
        Reply("I send somebody.", tools=[ToolUse("Agent", agent)]),
        Reply("They are on their way."),
        Reply("It is dark there."),
    )
    model.say(Reply("I look.", tools=[bash("touch seen")]), Reply("It is dark."), to=prompt)
    recorder.person = answered("allow")
    async with running(recorder, model) as adapter:
        ending = await recorder.turn(adapter, "what is in the house?")

    assert ending.outcome == "completed"
    (step,) = recorder.of(events.StepStarted)
    assert (step.kind, step.name) == ("subagent", "general-purpose")
    inside = [tool.name for tool in recorder.of(events.ToolStarted) if tool.scope == (step.id,)]
    assert inside == ["Bash"]
    scopes = {event.scope for event in recorder.of(events.MessageStarted)}
    assert scopes == {(), (step.id,)}
    assert [end.status for end in recorder.of(events.StepFinished)] == ["ok"]
    assert recorder.open_things() == []
    assert ending.usage is not None
    assert ending.usage.input_tokens == 50, "a sub-agent's usage counts"


@pytest.mark.bounded
async def test_background_work_wakes_a_turn(recorder: Recorder, model: ScriptedModel) -> None:
    """A command in the background outlives its turn; its end asks for another one."""
    command = bash("until [ -e go ]; do sleep 0.1; done", run_in_background=True)
    model.say(Reply(tools=[command]), Reply("It runs."), Reply("It is done."))
    recorder.person = answered("allow")
    async with running(recorder, model) as adapter:
        first = await recorder.turn(adapter, "start it")
        assert first.outcome == "completed"
        assert [end.status for end in recorder.of(events.StepFinished)] == ["waiting"]
        assert recorder.open_things() == []
        (recorder.workspace / "go").touch()
        await recorder.until(lambda: recorder.wakes)
        second = await recorder.turn(adapter, WAKE)
    assert second.outcome == "completed"
    assert recorder.text().endswith("It is done.")
    assert [end.status for end in recorder.of(events.StepFinished)] == ["waiting", "ok"]
    assert recorder.open_things() == []


async def test_background_work_does_not_end_a_users_turn(
    recorder: Recorder, model: ScriptedModel
) -> None:
    """A message that is sent while background work ends by itself is still answered."""
    command = bash("until [ -e go ]; do sleep 0.1; done", run_in_background=True)
    model.say(Reply(tools=[command]), Reply("It runs."))
    recorder.person = answered("allow")
    async with running(recorder, model) as adapter:
        await recorder.turn(adapter, "start it")
        model.say(Reply("It is done.", hold_after=0))
        model.say(Reply("You asked."), to="a question of mine")
        (recorder.workspace / "go").touch()
        await recorder.until(lambda: recorder.wakes)
        await asyncio.to_thread(model.wait_until_holding)
        turn = asyncio.create_task(recorder.turn(adapter, "a question of mine"))
        await recorder.until(lambda: recorder.saved["claude.turns"].get("turn-2"))
        model.release()
        ending = await turn
    assert ending.outcome == "completed"
    assert "a question of mine" in str(model.requests[-1].texts())
    assert recorder.text().endswith("You asked.")
