"""Turns of a graph that fail, are interrupted or cancelled."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph_recording import Recorder
from runner_shell_langgraph import emit
from runner_shell_langgraph.testing import ScriptedChatModel, ScriptedReply
from small_graphs import DEADLINE, Plain, asking, one_node

from runner_shell import AgentFailed, Answer, Request, Turn, TurnOver, UserMessage, events
from runner_shell.testing.recorder import RESTART


async def test_a_failing_node_is_named(recorder: Recorder) -> None:
    """A node's error fails the turn with its name; parallel nodes, messages and tools all end."""
    at_work = asyncio.Event()

    @tool
    async def slow() -> str:
        """Wait."""
        at_work.set()
        await asyncio.Event().wait()
        return ""

    model = ScriptedChatModel(replies=[ScriptedReply("Half a", error=ValueError("overloaded"))])

    async def talk(state: Plain) -> None:
        await at_work.wait()
        await model.ainvoke("hi")

    async def work(state: Plain) -> None:
        await slow.ainvoke({})

    builder = StateGraph(Plain)
    builder.add_node(talk)
    builder.add_node(work)
    builder.add_edge(START, "talk")
    builder.add_edge(START, "work")
    adapter = await recorder.adapter(builder.compile())
    with pytest.raises(AgentFailed, match="node talk failed: ValueError: overloaded") as failed:
        await recorder.turn(adapter, "go")

    assert failed.value.code == "node_failed"
    assert recorder.open_things() == []
    assert [message.status for message in recorder.of(events.MessageFinished)] == ["cancelled"]
    assert [tool.status for tool in recorder.of(events.ToolFinished)] in (["cancelled"], ["error"])
    assert {step.status for step in recorder.of(events.StepFinished)} == {"error", "cancelled"}


async def test_after_a_failure_the_session_goes_on(recorder: Recorder) -> None:
    """Closed and opened again after a failure, as the shell does, the adapter knows its thread."""
    fail = [True]

    async def node(state: MessagesState) -> Any:
        if fail.pop() if fail else False:
            raise OSError("disk full")
        return {"messages": [AIMessage(f"{len(state['messages'])} messages")]}

    adapter = await recorder.adapter(one_node(node, MessagesState))
    with pytest.raises(AgentFailed):
        await recorder.turn(adapter, "one")
    await adapter.close()
    await adapter.open(recorder.session())
    await recorder.turn(adapter, "two")
    assert recorder.of(events.BlockDelta)[-1].text == "2 messages"
    assert recorder.open_things() == []


async def test_a_failed_turn_can_be_tried_again(recorder: Recorder) -> None:
    """A turn given back as a restart goes on at the node that failed."""
    fail, ran = [True], []

    async def first(state: Plain) -> None:
        ran.append("first")

    async def second(state: Plain) -> None:
        ran.append("second")
        if fail.pop() if fail else False:
            raise OSError("disk full")

    builder = StateGraph(Plain)
    builder.add_sequence([first, second])
    builder.add_edge(START, "first")
    adapter = await recorder.adapter(builder.compile())
    with pytest.raises(AgentFailed):
        await recorder.turn(adapter, "go")
    assert (await recorder.turn(adapter, RESTART)).outcome == "completed"
    assert ran == ["first", "second", "second"]


def looping(state: Plain) -> None: ...


def two_writers() -> Any:
    builder = StateGraph(Plain)
    for name in ("one", "two"):
        builder.add_node(name, lambda _: {"prompt": "mine"})
        builder.add_edge(START, name)
    return builder.compile()


def loop() -> Any:
    builder = StateGraph(Plain)
    builder.add_node(looping)
    builder.add_edge(START, "looping")
    builder.add_edge("looping", "looping")
    return builder.compile()


class Overloaded(Exception):
    """As providers' clients raise it."""

    status_code = 529


def overloaded(state: Plain) -> None:
    raise Overloaded


@pytest.mark.parametrize(
    ("graph", "code", "retryable"),
    [
        (loop, "recursion_limit", False),
        (two_writers, "invalid_update", False),
        (lambda: one_node(overloaded), "node_failed", True),
    ],
)
async def test_codes(recorder: Recorder, graph: Any, code: str, retryable: bool) -> None:
    """What a graph raises has a stable code, and says whether to try again."""
    adapter = await recorder.adapter(graph(), langgraph_recursion_limit=5)
    with pytest.raises(AgentFailed) as failed:
        await recorder.turn(adapter, "go")
    assert (failed.value.code, failed.value.retryable) == (code, retryable)
    assert recorder.open_things() == []


async def test_interrupting_a_turn(recorder: Recorder) -> None:
    """An interrupt ends the turn by itself with everything closed; the session goes on."""
    started = asyncio.Event()
    block = [True]

    async def node(state: MessagesState) -> Any:
        if block:
            started.set()
            await asyncio.Event().wait()
        return {"messages": [AIMessage(f"{len(state['messages'])}")]}

    adapter = await recorder.adapter(one_node(node, MessagesState))
    assert not await adapter.interrupt("too early")
    running = asyncio.create_task(recorder.turn(adapter, "one"))
    await asyncio.wait_for(started.wait(), DEADLINE)
    assert await adapter.interrupt("a person said so")
    ending = await asyncio.wait_for(running, DEADLINE)

    assert (ending.outcome, ending.reason) == ("interrupted", "a person said so")
    assert recorder.open_things() == []
    assert [step.status for step in recorder.of(events.StepFinished)] == ["cancelled"]
    block.clear()
    assert (await recorder.turn(adapter, "two")).outcome == "completed"
    assert recorder.of(events.BlockDelta)[-1].text == "2"


async def test_a_blocking_node_holds_no_interrupt(recorder: Recorder) -> None:
    """A turn with a node that blocks its thread ends; the thread runs on, named but unheard."""
    started, go_on, over = threading.Event(), threading.Event(), threading.Event()

    def node(state: Plain) -> None:
        started.set()
        go_on.wait(DEADLINE)
        try:
            emit(events.ArtifactCreated(path="late", bytes=0, sha256=""))
        finally:
            over.set()

    adapter = await recorder.adapter(one_node(node), langgraph_drain_seconds=0.05)
    running = asyncio.create_task(recorder.turn(adapter, "go"))
    await asyncio.to_thread(started.wait, DEADLINE)
    await adapter.interrupt("now")
    ending = await asyncio.wait_for(running, DEADLINE)
    [warning] = recorder.of(events.Warning_)
    assert (warning.code, "'node'" in warning.message) == ("node_not_cancelled", True)
    go_on.set()
    assert await asyncio.to_thread(over.wait, DEADLINE)
    assert ending.outcome == "interrupted"
    assert recorder.open_things() == []
    assert not recorder.of(events.ArtifactCreated)


async def test_a_failure_to_ask_is_told_as_it_is(recorder: Recorder) -> None:
    """What the shell raises at a question comes out of the turn, not a group of it."""

    async def person(request: Request, key: str) -> Answer:
        raise TurnOver("too late")

    recorder.person = person
    adapter = await recorder.adapter(asking("?"))
    with pytest.raises(TurnOver):
        await recorder.turn(adapter, "go")


async def test_interrupting_a_question(recorder: Recorder) -> None:
    """A turn that waits for an answer can be interrupted."""
    asked = asyncio.Event()

    async def person(request: Request, key: str) -> None:
        asked.set()
        await asyncio.Event().wait()

    recorder.person = person
    adapter = await recorder.adapter(asking("?"))
    running = asyncio.create_task(recorder.turn(adapter, "go"))
    await asyncio.wait_for(asked.wait(), DEADLINE)
    assert await adapter.interrupt("enough")
    assert (await asyncio.wait_for(running, DEADLINE)).outcome == "interrupted"
    assert recorder.open_things() == []


async def test_cancelling_a_turn(recorder: Recorder) -> None:
    """The shell's cancellation passes through, everything is closed, and the adapter works on."""
    started = asyncio.Event()

    async def node(state: Plain) -> None:
        if not started.is_set():
            started.set()
            await asyncio.Event().wait()

    adapter = await recorder.adapter(one_node(node))
    running = asyncio.create_task(recorder.turn(adapter, "go"))
    await asyncio.wait_for(started.wait(), DEADLINE)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert recorder.open_things() == []
    await adapter.close()
    await adapter.open(recorder.session())
    assert (await recorder.turn(adapter, "again")).outcome == "completed"


async def test_a_fenced_turn_is_quiet(recorder: Recorder) -> None:
    """A turn that the shell has ended meanwhile raises nothing of its own at its end."""

    started = asyncio.Event()

    async def node(state: Plain) -> None:
        started.set()
        await asyncio.Event().wait()

    adapter = await recorder.adapter(one_node(node))
    turn = Turn("fenced", UserMessage(content="go"), recorder)
    running = asyncio.create_task(adapter.turn(turn))
    await asyncio.wait_for(started.wait(), DEADLINE)
    turn.finish()
    running.cancel()
    with pytest.raises((asyncio.CancelledError, TurnOver)):
        await running


async def test_a_time_out_of_the_graphs_own_is_a_failure(recorder: Recorder) -> None:
    """`TimeoutError` raised by a node is the node's failure, not an interrupt."""

    async def node(state: Plain) -> None:
        raise TimeoutError("the server is slow")

    adapter = await recorder.adapter(one_node(node))
    with pytest.raises(AgentFailed, match="the server is slow"):
        await recorder.turn(adapter, "go")


async def test_description(recorder: Recorder) -> None:
    """What the adapter says of itself: the graph's nodes, and whether its thread is durable."""
    adapter = await recorder.adapter(one_node(lambda state: None))
    described = adapter.describe()
    assert ({"id": "node", "name": "node"} in described["nodes"], described["durable"]) == (
        True,
        False,
    )
