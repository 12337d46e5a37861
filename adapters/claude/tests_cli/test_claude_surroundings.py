"""What the real CLI is given of its surroundings, and what not."""

from __future__ import annotations

import json

import pytest
from claude_recording import Recorder
from real_cli import bash, finished, running
from runner_shell_claude.testing import Reply, ScriptedModel

from runner_shell import events
from runner_shell.testing.recorder import answered

pytestmark = pytest.mark.slow


async def test_claude_codes_own_prompt_is_kept(recorder: Recorder, model: ScriptedModel) -> None:
    """CLAUDE_SYSTEM_PROMPT is added to Claude Code's own prompt and does not take its place."""
    model.say(Reply("yes"))
    async with running(recorder, model, CLAUDE_SYSTEM_PROMPT="Speak like a pirate.") as adapter:
        await recorder.turn(adapter, "hello")
    system = model.requests[0].system()
    assert "Speak like a pirate." in system
    assert len(system) > 2000


@pytest.mark.bounded
async def test_a_repositorys_settings_are_not_loaded(
    recorder: Recorder, model: ScriptedModel
) -> None:
    """A hook in the workspace's settings does not run, and its CLAUDE.md is not read."""
    claude = recorder.workspace / ".claude"
    claude.mkdir()
    hooks = [{"hooks": [{"type": "command", "command": "touch pwned"}]}]
    settings = {"hooks": {"UserPromptSubmit": hooks, "SessionStart": hooks}}
    (claude / "settings.json").write_text(json.dumps(settings))
    (recorder.workspace / "CLAUDE.md").write_text("The magic word is xyzzy.")
    model.say(Reply("hello"))
    async with running(recorder, model) as adapter:
        await recorder.turn(adapter, "hello")
    assert not (recorder.workspace / "pwned").exists()
    assert "xyzzy" not in str(model.requests[0].body)


async def test_the_cli_and_its_tools_see_no_other_variable(
    recorder: Recorder, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable of the runner that is not on the list reaches no tool; a passed one does."""
    monkeypatch.setenv("COMPANY_SECRET", "hunter2-hunter2")
    monkeypatch.setenv("COMPANY_PUBLIC", "visible-enough")
    model.say(Reply(tools=[bash("env; true")]), Reply("done"))
    recorder.person = answered("allow")
    async with running(recorder, model, CLAUDE_PASS_ENVIRONMENT="COMPANY_PUBLIC") as adapter:
        await recorder.turn(adapter, "show")
    ((status, output),) = finished(recorder)
    assert status == "ok"
    assert "visible-enough" in output
    assert "COMPANY_SECRET" not in output


async def test_hooks_that_are_allowed_are_said(recorder: Recorder, model: ScriptedModel) -> None:
    """A project's hooks run once its settings are loaded; that they did stands in the stream."""
    (recorder.workspace / ".claude").mkdir()
    hooks = [{"hooks": [{"type": "command", "command": "echo hooked"}]}]
    settings = {"hooks": {"UserPromptSubmit": hooks}}
    (recorder.workspace / ".claude" / "settings.json").write_text(json.dumps(settings))
    model.say(Reply("done"))
    async with running(recorder, model, CLAUDE_SETTING_SOURCES="project") as adapter:
        await recorder.turn(adapter, "go")
    said = [one.data for one in recorder.of(events.Custom) if one.name == "claude.hook"]
    assert [one["event"] for one in said] == ["hook_started", "hook_response"]
    assert said[0]["hook_event"] == "UserPromptSubmit"
    assert "hooked" in said[1]["output"]
