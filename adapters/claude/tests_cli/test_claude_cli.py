"""The real CLI against a scripted model: real tools, real processes, no key and no network."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from claude_recording import Recorder
from runner_shell_claude import ClaudeAdapter, processes
from runner_shell_claude.conversation import user_message
from runner_shell_claude.testing import ApiError, Reply, ScriptedModel, ToolUse

from runner_shell import Answer, Request, UserMessage, events
from runner_shell import commands as told
from runner_shell.errors import AgentFailed
from runner_shell.testing.recorder import ANSWERS, RESTART, WAKE, answered, deferred

pytestmark = pytest.mark.slow


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel() as made:
        yield made


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path)


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


def finished(recorder: Recorder) -> list[tuple[str, Any]]:
    return [(tool.status, tool.output) for tool in recorder.of(events.ToolFinished)]


# --- turns -----------------------------------------------------------------------------------


@pytest.mark.bounded
async def test_a_turn_streams_thinking_text_and_tools(
    recorder: Recorder, model: ScriptedModel
) -> None:
    """Thinking, text and tool input stream by block; the tool really runs; usage is summed."""
    model.say(
        Reply(thinking="Let me see.", text="I write.", tools=[bash("echo made > made.txt")]),
        Reply("Done."),
    )
    recorder.person = answered("allow")
    async with running(recorder, model) as adapter:
        ending = await recorder.turn(adapter, "write a file")

    assert ending.outcome == "completed"
    assert (recorder.workspace / "made.txt").read_text() == "made\n"
    kinds = [(block.kind, block.index) for block in recorder.of(events.BlockStarted)]
    assert kinds == [("thinking", 0), ("text", 1), ("tool_input", 2), ("text", 0)]
    assert recorder.text().startswith("Let me see.I write.")
    assert recorder.open_things() == []
    assert [tool.name for tool in recorder.of(events.ToolStarted)] == ["Bash"]
    assert ending.usage is not None
    assert (ending.usage.input_tokens, ending.usage.output_tokens) == (20, 10)
    assert ending.usage.cost_usd
    assert model.overruns == []


async def test_turns_share_a_conversation_and_count_their_own_usage(
    recorder: Recorder, model: ScriptedModel
) -> None:
    """A second turn knows the first; its usage is the difference of the cumulative counts."""
    model.say(Reply("first", input_tokens=100), Reply("second", input_tokens=7))
    async with running(recorder, model) as adapter:
        one = await recorder.turn(adapter, "one")
        two = await recorder.turn(adapter, "two")

    assert one.usage is not None
    assert two.usage is not None
    assert (one.usage.input_tokens, two.usage.input_tokens) == (100, 7)
    assert {"one", "two"} <= set(model.requests[1].texts())


@pytest.mark.bounded
async def test_a_next_process_resumes_the_conversation(
    recorder: Recorder, model: ScriptedModel
) -> None:
    """Another CLI goes on with the conversation, and counts on from where the first stood."""
    model.say(Reply("first", input_tokens=100), Reply("second", input_tokens=7))
    async with running(recorder, model) as adapter:
        await recorder.turn(adapter, "one")
    async with running(recorder, model) as adapter:
        ending = await recorder.turn(adapter, "two")

    assert ending.usage is not None
    assert ending.usage.input_tokens == 7
    assert {"one", "two"} <= set(model.requests[1].texts())


async def test_the_session_is_durable_before_the_first_turn(
    recorder: Recorder, model: ScriptedModel
) -> None:
    """The SDK's session id is saved before the CLI is asked anything, and is the CLI's own."""
    model.say(Reply("hello", hold_after=0))
    async with running(recorder, model) as adapter:
        turn = asyncio.create_task(recorder.turn(adapter, "one"))
        await asyncio.to_thread(model.wait_until_holding)
        saved = recorder.saved["claude.session"]
        model.release()
        await turn
    assert list((recorder.state_dir / "claude").glob(f"projects/*/{saved}.jsonl"))


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


async def test_attachments_are_content_blocks(recorder: Recorder, model: ScriptedModel) -> None:
    """An image of the workspace and a text arrive at the model as an image and a document."""
    (recorder.workspace / "dot.png").write_bytes(PNG)
    model.say(Reply("a dot"))
    message = UserMessage(
        content="what is this?", attachments=({"path": "dot.png"}, {"text": "note", "name": "n"})
    )
    async with running(recorder, model) as adapter:
        ending = await recorder.turn(adapter, message)
    assert ending.outcome == "completed"
    messages = model.requests[0].body["messages"]
    blocks = [block for one in messages for block in one["content"] if isinstance(block, dict)]
    assert [block["type"] for block in blocks if block["type"] != "text"] == ["image", "document"]
    assert "note" in str(blocks)


PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154"
    "08d763f8cfc000000301010018dd8db00000000049454e44ae426082"
)


# --- requests --------------------------------------------------------------------------------


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


# --- deferral --------------------------------------------------------------------------------


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


# --- interrupts ------------------------------------------------------------------------------


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
        assert [status for status, _ in finished(recorder)] != ["ok"]
        assert not (recorder.workspace / "ended").exists()
        assert recorder.open_things() == []


# --- sub-agents and background work ----------------------------------------------------------


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


# --- failures --------------------------------------------------------------------------------


@pytest.mark.bounded
async def test_a_401_is_a_failure(
    recorder: Recorder, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused key fails the turn as `unauthorized`, not to be tried again as it is."""
    monkeypatch.setenv("CLAUDE_CODE_MAX_RETRIES", "0")
    model.say(ApiError(401), Reply("now it works"))
    async with running(recorder, model) as adapter:
        ending = await recorder.turn(adapter, "go")
        assert ending.outcome == "failed"
        (error,) = recorder.of(events.Error)
        assert (error.code, error.retryable) == ("unauthorized", False)
        assert (await recorder.turn(adapter, "again")).outcome == "completed"


async def test_an_overloaded_api_is_tried_again(
    recorder: Recorder, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 529 is retried and told as a warning; the turn completes."""
    monkeypatch.setenv("CLAUDE_CODE_MAX_RETRIES", "2")
    model.say(ApiError(529), Reply("at last"))
    async with running(recorder, model) as adapter:
        ending = await recorder.turn(adapter, "go")
    assert ending.outcome == "completed"
    assert [warning.code for warning in recorder.of(events.Warning_)] == ["api_retry"]


async def test_an_api_that_stays_overloaded_fails_the_turn(
    recorder: Recorder, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the retries are used up the turn fails as `overloaded`, to be tried again later."""
    monkeypatch.setenv("CLAUDE_CODE_MAX_RETRIES", "0")
    model.say(*[ApiError(529)] * 3)
    async with running(recorder, model) as adapter:
        ending = await recorder.turn(adapter, "go")
    assert ending.outcome == "failed"
    (error,) = recorder.of(events.Error)
    assert (error.code, error.retryable) == ("overloaded", True)


async def test_a_cut_stream_is_begun_anew(recorder: Recorder, model: ScriptedModel) -> None:
    """The message that was cut ends `cancelled`, and the model's second try is a new one."""
    model.say(Reply("it begins and then it is", cut_after=2), Reply("whole"))
    async with running(recorder, model) as adapter:
        ending = await recorder.turn(adapter, "go")
    assert ending.outcome == "completed"
    assert recorder.text().endswith("whole")
    statuses = [message.status for message in recorder.of(events.MessageFinished)]
    assert statuses[-1] == "ok"
    assert set(statuses[:-1]) <= {"cancelled"}
    assert recorder.open_things() == []


@pytest.mark.bounded
async def test_a_budget_stops_the_turn(recorder: Recorder, model: ScriptedModel) -> None:
    """A budget that is used up ends the turn as a failure that says so."""
    model.say(*[Reply(tools=[bash("true")], output_tokens=100_000)] * 3, Reply("done"))
    recorder.person = answered("allow")
    async with running(recorder, model, CLAUDE_MAX_BUDGET_USD="0.1") as adapter:
        ending = await recorder.turn(adapter, "go")
    assert ending.outcome == "budget_exhausted"
    (error,) = recorder.of(events.Error)
    assert error.code == "budget_exhausted"
    assert len(model.requests) == 1


async def test_too_many_steps_stop_the_turn(recorder: Recorder, model: ScriptedModel) -> None:
    """CLAUDE_MAX_TURNS ends the turn as a failure that says so."""
    model.say(*[Reply(tools=[bash("true")])] * 3)
    recorder.person = answered("allow")
    async with running(recorder, model, CLAUDE_MAX_TURNS="2") as adapter:
        ending = await recorder.turn(adapter, "go")
    assert ending.outcome == "failed"
    (error,) = recorder.of(events.Error)
    assert error.code == "max_turns"


@pytest.mark.bounded
async def test_a_killed_cli_goes_on_in_a_new_one(recorder: Recorder, model: ScriptedModel) -> None:
    """A CLI that dies while the model speaks is started again in the same turn, once."""
    model.say(Reply("hello"), Reply("one two three four", hold_after=1), Reply("as I said"))
    async with running(recorder, model) as adapter:
        await recorder.turn(adapter, "first")
        turn = asyncio.create_task(recorder.turn(adapter, "second"))
        await asyncio.to_thread(model.wait_until_holding)
        kill(adapter, signal.SIGKILL)
        ending = await turn
    assert ending.outcome == "completed"
    assert [warning.code for warning in recorder.of(events.Warning_)] == ["cli_restarted"]
    assert recorder.text().endswith("as I said")
    assert recorder.open_things() == []


@pytest.mark.bounded
async def test_a_cli_killed_at_work_fails_the_turn_and_leaves_no_process(
    recorder: Recorder, model: ScriptedModel
) -> None:
    """Where a tool was at work nothing is run twice: the turn fails, and the tool is ended too."""
    model.say(Reply(tools=[bash("touch began; tail -f /dev/null")]), Reply("again"))
    recorder.person = answered("allow")
    async with running(recorder, model) as adapter:
        turn = asyncio.create_task(recorder.turn(adapter, "go"))
        await exists(recorder.workspace / "began")
        mark = adapter._conversation._connection.mark  # type: ignore[union-attr]
        kill(adapter, signal.SIGKILL)
        with pytest.raises(AgentFailed, match="killed by signal 9") as failure:
            await turn
        assert failure.value.code == "cli_crashed"
        await adapter.close()
        assert processes.marked(mark) == []


def kill(adapter: ClaudeAdapter, number: signal.Signals) -> None:
    """Kill the CLI itself, and nothing it started."""
    connection = adapter._conversation._connection
    assert connection is not None
    tree = processes.marked(connection.mark)
    cli = [pid for pid in tree if parent(pid) == os.getpid()]
    assert len(cli) == 1
    os.kill(cli[0], number)


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


async def test_a_dead_process_is_gone_on_after(recorder: Recorder, model: ScriptedModel) -> None:
    """A next process tells the conversation that it was interrupted, and goes on."""
    model.say(Reply("hello"), Reply("one two three four", hold_after=1), Reply("as I said"))
    async with running(recorder, model) as adapter:
        await recorder.turn(adapter, "first")
        turn = asyncio.create_task(recorder.turn(adapter, "second"))
        await asyncio.to_thread(model.wait_until_holding)
        turn.cancel()
        await asyncio.gather(turn, return_exceptions=True)
    recorder.events.clear()
    async with running(recorder, model) as adapter:
        ending = await recorder.turn(adapter, RESTART)
    assert ending.outcome == "completed"
    assert recorder.text() == "as I said"
    assert {"first", "second"} <= set(model.requests[-1].texts())


async def test_a_message_that_never_arrived_is_sent_by_the_next_process(
    recorder: Recorder, model: ScriptedModel
) -> None:
    """A process that died before its CLI took the message up has not lost it."""
    model.say(Reply("hello"))
    async with running(recorder, model) as adapter:
        adapter._memory.sending("turn-1", [user_message("do it")])
    async with running(recorder, model) as adapter:
        ending = await recorder.turn(adapter, RESTART)
    assert ending.outcome == "completed"
    assert "do it" in model.requests[0].texts()


# --- commands --------------------------------------------------------------------------------


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


# --- MCP -------------------------------------------------------------------------------------

MCP_SERVER = """
import sys
from mcp.server import MCPServer
server = MCPServer("house")

@server.tool()
def colour(of: str) -> str:
    "The colour of a thing."
    return f"the {of} is blue"

server.run("stdio")
"""


async def test_a_tool_of_an_mcp_server(
    recorder: Recorder, model: ScriptedModel, tmp_path: Path
) -> None:
    """A stdio server from a configuration outside of the workspace is started and its tool runs.

    Switched off and connected anew, it is there again.
    """
    (tmp_path / "server.py").write_text(MCP_SERVER)
    server = {"command": "${PYTHON}", "args": [str(tmp_path / "server.py")]}
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"house": server}}))
    more = {
        "MCP_CONFIG_PATH": str(tmp_path / "mcp.json"),
        "CLAUDE_MCP_VARIABLES": "PYTHON",
        "CLAUDE_ALLOWED_TOOLS": "mcp__house",
    }
    os.environ["PYTHON"] = sys.executable
    try:
        model.say(Reply(tools=[ToolUse("mcp__house__colour", {"of": "door"})]), Reply("done"))
        async with running(recorder, model, **more) as adapter:
            await recorder.turn(adapter, "which colour?")
            house: Any = {"server": "house"}
            for enabled in (False, True):
                params = house | {"enabled": enabled}
                await adapter.handle(told.AdapterCall(id="c", method="mcp_toggle", params=params))
            await adapter.handle(told.AdapterCall(id="c", method="mcp_reconnect", params=house))
            status = await adapter.handle(told.AdapterCall(id="c1", method="mcp_status"))
    finally:
        del os.environ["PYTHON"]
    assert ("house", "connected") in [(one["name"], one["status"]) for one in status]
    assert not any("config" in one for one in status)
    ((outcome, output),) = finished(recorder)
    assert (outcome, "the door is blue" in str(output)) == ("ok", True)


HOUSE = """
from claude_agent_sdk import create_sdk_mcp_server, tool

@tool("colour", "The colour of a thing.", {"of": str})
async def colour(given):
    return {"content": [{"type": "text", "text": f"the {given['of']} is green"}]}

def make():
    return create_sdk_mcp_server("house", tools=[colour])
"""


async def test_a_server_in_the_runners_process(
    recorder: Recorder, model: ScriptedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named by an import path, it can be switched off and on."""
    (tmp_path / "house_of_test.py").write_text(HOUSE)
    monkeypatch.syspath_prepend(str(tmp_path))
    more = {"CLAUDE_MCP_SERVERS": "house=house_of_test:make", "CLAUDE_ALLOWED_TOOLS": "mcp__house"}
    colour = ToolUse("mcp__house__colour", {"of": "door"})
    model.say(
        Reply(tools=[colour]), Reply("done"), Reply("off"), Reply(tools=[colour]), Reply("on")
    )

    async def status(adapter: ClaudeAdapter) -> dict[str, str]:
        found: Any = await adapter.handle(told.AdapterCall(id="c", method="mcp_status"))
        return {one["name"]: one["status"] for one in found}

    async def toggle(adapter: ClaudeAdapter, on: bool) -> None:
        params: Any = {"server": "house", "enabled": on}
        await adapter.handle(told.AdapterCall(id="c", method="mcp_toggle", params=params))

    async with running(recorder, model, **more) as adapter:
        await recorder.turn(adapter, "which colour?")
        assert (await status(adapter))["house"] == "connected"
        await toggle(adapter, on=False)
        assert (await status(adapter))["house"] == "disabled"
        await recorder.turn(adapter, "and now?")
        assert "mcp__house__colour" not in model.requests[2].tools()
        await toggle(adapter, on=True)
        await recorder.turn(adapter, "and again?")
    assert ["the door is green" in str(output) for _, output in finished(recorder)] == [True, True]


@pytest.mark.bounded
async def test_the_runners_own_tools(recorder: Recorder, model: ScriptedModel) -> None:
    """`artifact` says what a file is; `ask` has an answer in free words. Nobody permits them."""
    (recorder.workspace / "report.md").write_text("all is well\n")
    artifact, outside = (
        ToolUse("mcp__runner__artifact", {"path": path}) for path in ("report.md", "../x")
    )
    ask = ToolUse("mcp__runner__ask", {"question": "Which city?\nFor the weather."})
    model.say(Reply(tools=[artifact, outside]), Reply(tools=[ask]), Reply("done"))
    recorder.person = answered("Graz")
    async with running(recorder, model) as adapter:
        await recorder.turn(adapter, "go")
    (found,) = recorder.of(events.ArtifactCreated)
    assert (found.path, found.bytes, found.media_type) == ("report.md", 12, "text/markdown")
    ((key, request),) = recorder.asked.items()
    assert (request.kind, request.title) == ("input", "Which city?")
    assert key == recorder.of(events.ToolStarted)[-1].call
    statuses = [(status, str(output)) for status, output in finished(recorder)]
    assert sorted(status for status, _ in statuses) == ["error", "ok", "ok"]
    assert "Graz" in statuses[-1][1]


# --- a message during a turn -------------------------------------------------------------------


async def began(recorder: Recorder) -> None:
    await recorder.until(lambda: recorder.of(events.BlockDelta))


async def written(adapter: ClaudeAdapter) -> None:
    """The CLI has begun a transcript, without which it could not be resumed."""
    while not adapter._conversation._memory.has_transcript:  # noqa: ASYNC110 - another's file
        await asyncio.sleep(0.02)


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
    said = [text for request in model.requests for text in request.texts()]
    assert any("and two" in text for text in said)
    assert not any("too early" in text or "too late" in text for text in said)
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
        memory = adapter._conversation._memory
        while not memory.has_transcript:  # noqa: ASYNC110 — without one nothing can go on
            await asyncio.sleep(0.02)
        assert await adapter.inject(UserMessage(content="and two"))
        await written(adapter)
        connection = adapter._conversation._connection
        assert connection is not None
        for pid in processes.marked(connection.mark):
            os.kill(pid, signal.SIGKILL)
        assert (await turn).outcome == "completed"
    assert any("and two" in text for text in model.requests[-1].texts())


# --- transcripts and forks ---------------------------------------------------------------------


@pytest.mark.parametrize("kept", ["files", "store"])
async def test_a_fork_goes_on_from_the_end_of_a_turn(
    recorder: Recorder, model: ScriptedModel, kept: str
) -> None:
    """It knows what was said up to there and nothing later; a next process goes on with it."""
    model.say(Reply("first"), Reply("second"), Reply("third"), Reply("fourth"))
    async with running(recorder, model, CLAUDE_TRANSCRIPTS=kept) as adapter:
        with pytest.raises(ValueError, match="no conversation"):
            await adapter.handle(told.StateFork(id="f"))
        await recorder.turn(adapter, "say one")
        before = recorder.saved["claude.session"]
        await recorder.turn(adapter, "say two")
        with pytest.raises(ValueError, match="turn-9"):
            await adapter.handle(told.StateFork(id="f", checkpoint="turn-9"))
        found: Any = await adapter.handle(told.StateFork(id="f", checkpoint="turn-1"))
        assert found["session"] != before
        await recorder.turn(adapter, "say three")
    async with running(recorder, model, CLAUDE_TRANSCRIPTS=kept) as adapter:
        await recorder.turn(adapter, "say four")
    assert recorder.saved["claude.session"] == found["session"]
    for request in model.requests[2:]:
        assert "say one" in request.texts()
        assert "say two" not in request.texts()
    assert "say three" in model.requests[3].texts()


@pytest.mark.bounded
async def test_the_store_alone_carries_a_conversation_on(
    recorder: Recorder, model: ScriptedModel
) -> None:
    """What the CLI keeps by itself may be gone: a next process resumes from the store."""
    model.say(Reply("first", input_tokens=100), Reply("second", input_tokens=700), Reply("third"))
    async with running(recorder, model, CLAUDE_TRANSCRIPTS="store") as adapter:
        assert "files.rewind" not in adapter.capabilities.commands
        await recorder.turn(adapter, "one")
    shutil.rmtree(recorder.state_dir / "claude")
    async with running(recorder, model, CLAUDE_TRANSCRIPTS="store") as adapter:
        await recorder.turn(adapter, "two")
        await recorder.turn(adapter, "three")

    updates = recorder.of(events.UsageUpdated)
    assert [update.turn_usage.input_tokens for update in updates] == [100, 700, 10]
    assert [update.session_usage.input_tokens for update in updates] == [100, 800, 810]
    assert {"one", "two"} <= set(model.requests[1].texts())


# --- hooks -------------------------------------------------------------------------------------


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
