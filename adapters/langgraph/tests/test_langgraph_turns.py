"""What a turn of a graph emits: messages, tools, steps."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.config import get_stream_writer
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolRuntime
from langgraph_recording import Recorder
from runner_shell_langgraph import emit, progress
from runner_shell_langgraph.testing import ScriptedChatModel, ScriptedReply
from small_graphs import Plain, add, agent, call, one_node

from runner_shell import events

USAGE = {
    "input_tokens": 10,
    "output_tokens": 5,
    "total_tokens": 15,
    "input_token_details": {"cache_read": 4},
}


async def test_an_agents_turn(recorder: Recorder) -> None:
    """Thinking, text and arguments stream as blocks, tools and nodes have start and end."""
    model = ScriptedChatModel(
        chunk_characters=1000,
        replies=[
            ScriptedReply(
                reasoning="Add them.",
                text="One moment.",
                tool_calls=[call("add", "c1", a=1, b=2)],
                usage=USAGE,
            ),
            ScriptedReply("It is 3.", usage=USAGE),
        ],
    )
    adapter = await recorder.adapter(agent(model, [add]))

    ending = await recorder.turn(adapter, "What is 1 + 2?")

    lines = [line for line in recorder.order() if line != "usage.updated"]
    assert lines == [
        "step.started model node",
        "message.started",
        "block.started thinking",
        "block.delta Add them.",
        "block.finished",
        "block.started text",
        "block.delta One moment.",
        "block.finished",
        "block.started tool_input c1",
        'block.delta {"a": 1, "b": 2}',
        "block.finished",
        "message.finished",
        "step.finished",
        "step.started tools node",
        "tool.started add other c1",
        "tool.finished c1 3",
        "step.finished",
        "step.started model node",
        "message.started",
        "block.started text",
        "block.delta It is 3.",
        "block.finished",
        "message.finished",
        "step.finished",
    ]
    assert recorder.open_things() == []
    assert ending.outcome == "completed"
    assert ending.usage == events.Usage(input_tokens=20, output_tokens=10, cache_read_tokens=8)
    last = recorder.of(events.UsageUpdated)[-1]
    assert (last.turn_usage, last.by_model) == (ending.usage, {"scripted": ending.usage})
    first = recorder.of(events.MessageFinished)[0]
    assert first.usage == events.Usage(input_tokens=10, output_tokens=5, cache_read_tokens=4)
    assert recorder.of(events.ToolStarted)[0].input == {"a": 1, "b": 2}


async def test_deltas_are_the_whole_text(recorder: Recorder) -> None:
    """However the model cuts its chunks, a block's deltas add up to what it said."""
    model = ScriptedChatModel(
        chunk_characters=1,
        replies=[
            ScriptedReply(
                "Grüße 🌍", tool_calls=[call("add", "c1", a=1, b=2), call("add", "c2", a=3, b=4)]
            ),
            ScriptedReply("Done."),
        ],
    )
    adapter = await recorder.adapter(agent(model, [add]))
    await recorder.turn(adapter, "go")

    assert recorder.open_things() == []
    blocks: dict[Any, str] = {}
    for delta in recorder.of(events.BlockDelta):
        blocks[delta.message, delta.index] = (
            blocks.get((delta.message, delta.index), "") + delta.text
        )
    assert list(blocks.values()) == ["Grüße 🌍", '{"a": 1, "b": 2}', '{"a": 3, "b": 4}', "Done."]
    assert {tool.call: tool.output for tool in recorder.of(events.ToolFinished)} == {
        "c1": "3",
        "c2": "7",
    }


async def test_a_conversation_goes_on(recorder: Recorder) -> None:
    """The next message of a session finds the history of those before; nothing is told twice."""
    seen: list[list[str]] = []

    async def answer(state: MessagesState) -> Any:
        seen.append([str(message.content) for message in state["messages"]])
        return {"messages": [AIMessage(f"reply {len(seen)}")]}

    adapter = await recorder.adapter(one_node(answer, MessagesState))
    await recorder.turn(adapter, "one")
    await recorder.turn(adapter, "two")

    assert seen == [["one"], ["one", "reply 1", "two"]]
    assert [delta.text for delta in recorder.of(events.BlockDelta)] == ["reply 1", "reply 2"]


async def test_a_tool_run_by_hand_shows(recorder: Recorder) -> None:
    """A tool that shows only as its result has start, input and end all the same."""

    def model(state: MessagesState) -> Any:
        return {"messages": [AIMessage("", tool_calls=[{**call("add", "c1", a=1, b=2)}])]}

    def by_hand(state: MessagesState) -> Any:
        return {"messages": [ToolMessage("3", tool_call_id="c1", status="error")]}

    builder = StateGraph(MessagesState)
    builder.add_sequence([model, by_hand])
    builder.add_edge(START, "model")
    adapter = await recorder.adapter(builder.compile())
    await recorder.turn(adapter, "go")

    assert recorder.open_things() == []
    [started], [finished] = recorder.of(events.ToolStarted), recorder.of(events.ToolFinished)
    assert (started.name, started.input) == ("add", {"a": 1, "b": 2})
    assert (finished.status, finished.output) == ("error", "3")


async def test_a_failing_tool_and_its_output(recorder: Recorder) -> None:
    """A tool streams its output; one that raises ends with `error`, and the graph goes on."""

    @tool
    async def build(runtime: ToolRuntime) -> str:
        """Build."""
        runtime.emit_output_delta("compiling\n")
        raise ValueError("no compiler")

    model = ScriptedChatModel(
        replies=[ScriptedReply(tool_calls=[call("build", "c1")]), ScriptedReply("Sorry.")]
    )
    adapter = await recorder.adapter(agent(model, [build], handle_tool_errors=True))
    ending = await recorder.turn(adapter, "go")

    assert ending.outcome == "completed"
    assert recorder.open_things() == []
    assert recorder.of(events.ToolOutput)[0].text == "compiling\n"
    [finished] = recorder.of(events.ToolFinished)
    assert (finished.status, finished.output) == ("error", "no compiler")


async def test_sub_graphs_have_their_steps_as_scope(recorder: Recorder) -> None:
    """What happens in a sub-graph carries the path of the steps around it, whatever it emits."""

    async def inner(state: MessagesState) -> Any:
        progress("half", 0.5)
        get_stream_writer()({"any": "thing"})
        return {"messages": [AIMessage("from within")]}

    outer = StateGraph(MessagesState)
    outer.add_node("outer", one_node(inner, MessagesState))
    outer.add_edge(START, "outer")
    adapter = await recorder.adapter(outer.compile())
    await recorder.turn(adapter, "go")

    assert recorder.open_things() == []
    around, within = recorder.of(events.StepStarted)
    assert (around.scope, within.scope) == ((), (around.id,))
    [step] = recorder.of(events.StepProgress)
    assert (step.id, step.scope) == (within.id, (around.id,))
    [custom] = recorder.of(events.Custom)
    assert (custom.name, custom.data) == ("langgraph.custom", {"any": "thing"})
    assert custom.scope == recorder.of(events.MessageStarted)[0].scope == (around.id,)


async def test_events_from_nodes(recorder: Recorder) -> None:
    """A node emits an event as it is; one that is the shell's it cannot, not even by hand."""

    async def node(state: Plain) -> None:
        emit(events.ArtifactCreated(path="a.txt", bytes=1, sha256="0"))
        with pytest.raises(ValueError, match="the shell's"):
            emit(events.TurnFinished(outcome="completed"))
        get_stream_writer()(events.TurnFinished(outcome="completed"))
        get_stream_writer()({"object": object, "text": "\udcff", "nan": float("nan")})

    adapter = await recorder.adapter(one_node(node))
    await recorder.turn(adapter, "go")

    assert [artifact.path for artifact in recorder.of(events.ArtifactCreated)] == ["a.txt"]
    assert not recorder.of(events.TurnFinished)
    assert len(recorder.of(events.Custom)) == 2


async def test_nodes_are_told_the_workspace(recorder: Recorder) -> None:
    """A node finds session and workspace in its config, beside what WORKFLOW_CONFIG says."""
    told: dict[str, Any] = {}

    async def node(state: Plain, config: RunnableConfig) -> None:
        told.update(config["configurable"])

    adapter = await recorder.adapter(one_node(node), workflow_config={"depth": 3})
    await recorder.turn(adapter, "go")

    assert told["workspace"] == str(recorder.workspace)
    assert (told["session_id"], told["thread_id"], told["depth"]) == ("session-1", "session-1", 3)
