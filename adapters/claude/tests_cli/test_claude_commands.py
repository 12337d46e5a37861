"""Commands that the real CLI is given while it runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from claude_recording import Recorder
from real_cli import bash, running
from runner_shell_claude.testing import Reply, ScriptedModel, ToolUse

from runner_shell import commands as told
from runner_shell import events
from runner_shell.testing.recorder import WAKE, answered

pytestmark = pytest.mark.slow


async def test_model_and_mode_change_while_it_runs(
    recorder: Recorder, model: ScriptedModel
) -> None:
    """settings.update changes model and permission mode for the next turn and the next CLI."""
    write = ToolUse("Write", {"file_path": str(recorder.workspace / "a"), "content": "x"})
    model.say(*[Reply("hello")] * 2, Reply(tools=[write]), Reply("done"), Reply("again"))
    changes = {"model": "claude-opus-5", "permission_mode": "acceptEdits"}
    async with running(recorder, model) as adapter:
        await recorder.turn(adapter, "one")
        await adapter.handle(told.SettingsUpdate(id="c1", settings=changes))
        await recorder.turn(adapter, "two")
    async with running(recorder, model) as adapter:
        await recorder.turn(adapter, "three")
    assert (recorder.workspace / "a").exists()
    assert recorder.asked == {}
    assert [request.body["model"] for request in model.requests][-1] == "claude-opus-5"


async def test_files_are_rewound_to_before_a_turn(recorder: Recorder, model: ScriptedModel) -> None:
    """files.rewind puts files back to what they were before the turn, and deletes new ones."""
    edited, new = recorder.workspace / "edited", recorder.workspace / "new"
    edited.write_text("before")
    model.say(
        Reply("hello"),
        Reply(tools=[ToolUse("Read", {"file_path": str(edited)})]),
        Reply(
            tools=[
                ToolUse("Write", {"file_path": str(edited), "content": "after"}),
                ToolUse("Write", {"file_path": str(new), "content": "after"}),
            ]
        ),
        Reply("done"),
    )
    async with running(recorder, model, PERMISSION_MODE="acceptEdits") as adapter:
        await recorder.turn(adapter, "one")
        await recorder.turn(adapter, "two")
        assert (edited.read_text(), new.exists()) == ("after", True)
        await adapter.handle(told.FilesRewind(id="c1", turn="turn-2"))
    assert (edited.read_text(), new.exists()) == ("before", False)


async def test_a_directory_is_added_without_losing_the_conversation(
    recorder: Recorder, model: ScriptedModel, tmp_path: Path
) -> None:
    """settings.update with add_dirs lets the agent work there; it still knows the first turn."""
    other = tmp_path / "other"
    other.mkdir()
    write = ToolUse("Write", {"file_path": str(other / "a"), "content": "x"})
    model.say(Reply("hello"), Reply(tools=[write]), Reply("done"))
    async with running(recorder, model, PERMISSION_MODE="acceptEdits") as adapter:
        await recorder.turn(adapter, "one")
        await adapter.handle(told.SettingsUpdate(id="c", settings={"add_dirs": [str(other)]}))
        await recorder.turn(adapter, "two")
    assert (other / "a").exists()
    assert recorder.asked == {}
    assert {"one", "two"} <= set(model.requests[-1].texts())


async def test_context_usage_and_stopping_a_task(recorder: Recorder, model: ScriptedModel) -> None:
    """adapter.call gives the context's usage, and ends a command in the background."""
    command = bash("tail -f /dev/null", run_in_background=True)
    model.say(Reply(tools=[command]), Reply("It runs."), *[Reply("It is stopped.")] * 2)
    recorder.person = answered("allow")
    async with running(recorder, model) as adapter:
        await recorder.turn(adapter, "start")
        usage = await adapter.handle(told.AdapterCall(id="c1", method="context_usage"))
        assert usage["totalTokens"] > 0
        (step,) = recorder.of(events.StepStarted)
        call = told.AdapterCall(id="c2", method="stop_task", params={"task": step.id})
        assert await adapter.handle(call) == {"task": step.id}
        await recorder.turn(adapter, WAKE)
    assert recorder.of(events.StepFinished)[-1].status == "cancelled"
