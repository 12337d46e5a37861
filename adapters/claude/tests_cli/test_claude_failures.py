"""The API fails, a limit is reached, the real CLI or its runner dies."""

from __future__ import annotations

import asyncio
import signal

import pytest
from claude_recording import Recorder
from real_cli import bash, exists, kill, running
from runner_shell_claude import processes
from runner_shell_claude.conversation import user_message
from runner_shell_claude.testing import ApiError, Reply, ScriptedModel

from runner_shell import events
from runner_shell.errors import AgentFailed
from runner_shell.testing.recorder import RESTART, answered

pytestmark = pytest.mark.slow


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
