"""What the real CLI asks a person, now or in a next process."""

from __future__ import annotations

import pytest
from claude_recording import Recorder
from real_cli import bash, finished, running
from runner_shell_claude.testing import Reply, ScriptedModel, ToolUse

from runner_shell.testing.recorder import ANSWERS, answered, deferred

pytestmark = pytest.mark.slow


@pytest.mark.bounded
async def test_a_denied_tool_does_not_run(recorder: Recorder, model: ScriptedModel) -> None:
    """A no keeps the tool from running, is told to the model, and the turn goes on."""
    model.say(Reply(tools=[bash("touch made")]), Reply("as you wish"))
    recorder.person = answered({"decision": "deny", "message": "not today"})
    async with running(recorder, model) as adapter:
        ending = await recorder.turn(adapter, "go")
    assert ending.outcome == "completed"
    assert not (recorder.workspace / "made").exists()
    assert [status for status, _ in finished(recorder)] == ["denied"]
    assert "not today" in str(model.requests[1].tool_results())


async def test_an_edited_input_is_what_runs(recorder: Recorder, model: ScriptedModel) -> None:
    """The input of an answer takes the place of the model's."""
    model.say(Reply(tools=[bash("touch wrong")]), Reply("done"))
    recorder.person = answered({"decision": "allow", "input": {"command": "touch right"}})
    async with running(recorder, model) as adapter:
        await recorder.turn(adapter, "go")
    assert [path.name for path in recorder.workspace.iterdir()] == ["right"]


async def test_allow_always_holds_for_the_session(recorder: Recorder, model: ScriptedModel) -> None:
    """After `allow_always` nobody is asked again, not by this CLI and not by the next."""
    model.say(*[reply for _ in range(3) for reply in (Reply(tools=[bash("exit 3")]), Reply("ok"))])
    recorder.person = answered("allow_always")
    async with running(recorder, model) as adapter:
        await recorder.turn(adapter, "one")
        await recorder.turn(adapter, "two")
    async with running(recorder, model) as adapter:
        await recorder.turn(adapter, "three")
    assert len(recorder.asked) == 1
    assert [status for status, _ in finished(recorder)] == ["error"] * 3
    assert not (recorder.workspace / ".claude").exists(), "the repository's settings were written"


@pytest.mark.bounded
async def test_a_question_has_its_options_and_its_answer(
    recorder: Recorder, model: ScriptedModel
) -> None:
    """AskUserQuestion becomes a question with its options; the answer reaches the model."""
    options = [{"label": "Red", "description": "warm"}, {"label": "Blue", "description": "cold"}]
    asked = {"question": "Which colour?", "header": "Colour", "options": options}
    model.say(
        Reply(tools=[ToolUse("AskUserQuestion", {"questions": [asked | {"multiSelect": False}]})]),
        Reply("blue then"),
    )
    recorder.person = answered("Blue")
    async with running(recorder, model) as adapter:
        await recorder.turn(adapter, "ask me")
    (request,) = recorder.asked.values()
    assert (request.kind, request.title) == ("question", "Which colour?")
    assert [option["value"] for option in request.options] == ["Red", "Blue"]
    assert '"Which colour?"="Blue"' in str(model.requests[1].tool_results()).replace("\\", "")


async def test_a_plan_is_approved_and_changes_the_mode(
    recorder: Recorder, model: ScriptedModel
) -> None:
    """ExitPlanMode asks for approval of the plan's text; `accept_edits` lets files be edited."""
    write = ToolUse("Write", {"file_path": str(recorder.workspace / "done"), "content": "x"})
    model.say(
        Reply(tools=[ToolUse("ExitPlanMode", {"plan": "1. write the file"})]),
        Reply(tools=[write]),
        Reply("done"),
    )
    recorder.person = answered("accept_edits")
    async with running(recorder, model, PERMISSION_MODE="plan") as adapter:
        await recorder.turn(adapter, "plan it")
    assert [request.kind for request in recorder.asked.values()] == ["plan"]
    (request,) = recorder.asked.values()
    assert request.body == {"plan": "1. write the file"}
    assert (recorder.workspace / "done").exists()


@pytest.mark.parametrize(("policy", "made"), [("allow", True), ("deny", False)])
async def test_a_policy_decides_where_nobody_is_there(
    recorder: Recorder, model: ScriptedModel, policy: str, made: bool
) -> None:
    """With the policy `allow` or `deny` nobody is asked."""
    model.say(Reply(tools=[bash("touch made")]), Reply("done"))
    async with running(recorder, model, NON_INTERACTIVE_POLICY=policy) as adapter:
        ending = await recorder.turn(adapter, "go")
    assert ending.outcome == "completed"
    assert (recorder.workspace / "made").exists() is made
    assert recorder.asked == {}


@pytest.mark.bounded
@pytest.mark.parametrize(("answer", "made"), [("allow", True), ("deny", False)])
@pytest.mark.parametrize("allowed", ["", "Bash(touch:*)"])
async def test_a_deferred_permission_survives_the_process(
    recorder: Recorder, model: ScriptedModel, answer: str, made: bool, allowed: str
) -> None:
    """The turn ends `waiting`; a next process runs or denies the call as it was answered.

    Also where the CLI's own rules would let the call through without asking.
    """
    model.say(Reply("I need this.", tools=[bash("touch made")]), Reply("so be it"))
    recorder.person = deferred
    more = {"NON_INTERACTIVE_POLICY": "defer", "CLAUDE_ALLOWED_TOOLS": allowed}
    async with running(recorder, model, **more) as adapter:
        ending = await recorder.turn(adapter, "go")
    assert ending.outcome == "waiting"
    assert not (recorder.workspace / "made").exists()
    assert [family for family, _ in recorder.open_things()] == ["tool"]

    recorder.person = answered(answer)
    async with running(recorder, model, **more) as adapter:
        ending = await recorder.turn(adapter, ANSWERS)
    assert ending.outcome == "completed"
    assert (recorder.workspace / "made").exists() is made
    assert [status for status, _ in finished(recorder)] == ["ok" if made else "denied"]
    assert recorder.open_things() == []
    assert len(recorder.asked) == 1
    assert recorder.text().endswith("so be it")


async def test_of_several_calls_one_is_deferred_and_none_lost(
    recorder: Recorder, model: ScriptedModel
) -> None:
    """The CLI keeps one deferred call; the others are denied for now, so that each has a result."""
    model.say(
        Reply(tools=[bash("touch one"), bash("touch two")]),
        Reply("more", tools=[bash("touch two")]),
        Reply("done"),
    )
    recorder.person = deferred
    async with running(recorder, model, NON_INTERACTIVE_POLICY="defer") as adapter:
        ending = await recorder.turn(adapter, "go")
        assert ending.outcome == "waiting"
        recorder.person = answered("allow")
        ending = await recorder.turn(adapter, ANSWERS)
    assert ending.outcome == "completed"
    assert sorted(path.name for path in recorder.workspace.iterdir()) == ["one", "two"]
    assert sorted(status for status, _ in finished(recorder)) == ["denied", "ok", "ok"]


async def test_a_message_in_place_of_an_answer_denies_the_deferred_call(
    recorder: Recorder, model: ScriptedModel
) -> None:
    """A new message supersedes the question: the call does not run, the message is answered."""
    model.say(Reply(tools=[bash("touch made")]))
    recorder.person = deferred
    async with running(recorder, model, NON_INTERACTIVE_POLICY="defer") as adapter:
        await recorder.turn(adapter, "go")
        model.say(*[Reply("something else")] * 2)
        ending = await recorder.turn(adapter, "leave it")
    assert ending.outcome == "completed"
    assert not (recorder.workspace / "made").exists()
    assert "leave it" in model.requests[-1].texts()
    assert recorder.open_things() == []
