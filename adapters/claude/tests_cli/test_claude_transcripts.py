"""Where a conversation is kept: forked, and carried on from a store alone."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
from claude_recording import Recorder
from real_cli import running
from runner_shell_claude.testing import Reply, ScriptedModel

from runner_shell import commands as told
from runner_shell import events

pytestmark = pytest.mark.slow


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
