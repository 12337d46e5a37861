"""Turns of the real CLI: what streams, what it counts, and what a next one knows."""

from __future__ import annotations

import asyncio

import pytest
from claude_recording import Recorder
from real_cli import bash, running
from runner_shell_claude.testing import Reply, ScriptedModel

from runner_shell import UserMessage, events
from runner_shell.testing.recorder import answered

pytestmark = pytest.mark.slow


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
