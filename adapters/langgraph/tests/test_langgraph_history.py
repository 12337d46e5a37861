"""Reading a thread's past and going on from it, by commands."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph_recording import Recorder

from runner_shell import AgentFailed, Continue, NotSupported, commands, events

WAKE = Continue(cause="wake")


def counting(ran: list[str]) -> Any:
    def first(state: MessagesState) -> Any:
        ran.append("first")
        return {"messages": [AIMessage("first")]}

    def second(state: MessagesState) -> Any:
        ran.append("second")
        return {"messages": [AIMessage(f"second of {state['messages'][-1].content}")]}

    builder = StateGraph(MessagesState)
    builder.add_sequence([first, second])
    builder.add_edge(START, "first")
    return builder.compile()


async def call(adapter: Any, method: str, params: Any = None) -> Any:
    return await adapter.handle(commands.AdapterCall(id="1", method=method, params=params))


async def test_the_state_can_be_read(recorder: Recorder) -> None:
    """The newest state, or that of a checkpoint, with what runs next from there."""
    adapter = await recorder.adapter(counting([]))
    assert (await adapter.handle(commands.StateGet(id="1")))["checkpoint"] == ""
    await recorder.turn(adapter, "go")

    newest = await adapter.handle(commands.StateGet(id="2"))
    assert [one["content"] for one in newest["values"]["messages"]] == [
        "go",
        "first",
        "second of first",
    ]
    assert newest["next"] == []
    before = await adapter.handle(commands.StateGet(id="3", checkpoint=newest["parent"]))
    assert before["next"] == ["second"]
    with pytest.raises(AgentFailed, match="no checkpoint 'gone'") as failed:
        await adapter.handle(commands.StateGet(id="4", checkpoint="gone"))
    assert failed.value.code == "unknown_checkpoint"


async def test_the_history_is_read_in_pages(recorder: Recorder) -> None:
    """The newest first; `before` goes on where a page ended; every id is one that was told."""
    adapter = await recorder.adapter(counting([]))
    await recorder.turn(adapter, "go")
    page = await call(adapter, "langgraph.history", {"limit": 2})
    rest = await call(adapter, "langgraph.history", {"before": page[-1]["checkpoint"]})
    told = [saved.id for saved in recorder.of(events.CheckpointSaved)]
    assert [one["checkpoint"] for one in [*page, *rest]] == told[::-1]
    assert [one["step"] for one in page] == [2, 1]


async def test_a_fork_goes_on_from_an_earlier_checkpoint(recorder: Recorder) -> None:
    """What comes after a fork is made anew, from there; the history keeps both."""
    ran: list[str] = []
    adapter = await recorder.adapter(counting(ran))
    await recorder.turn(adapter, "go")
    newest = await adapter.handle(commands.StateGet(id="1"))
    forked = await adapter.handle(commands.StateFork(id="2", checkpoint=newest["parent"]))
    assert forked["next"] == ["second"]

    assert (await recorder.turn(adapter, WAKE)).outcome == "completed"
    assert ran == ["first", "second", "second"]
    assert [m.content for m in (await recorder.values(adapter))["messages"]] == [
        "go",
        "first",
        "second of first",
    ]
    ids = [one["checkpoint"] for one in await call(adapter, "langgraph.history", {"limit": 50})]
    assert newest["checkpoint"] in ids


async def test_a_fork_may_change_the_state(recorder: Recorder) -> None:
    """With values, a fork's turn runs on the changed state."""
    adapter = await recorder.adapter(counting([]))
    await recorder.turn(adapter, "go")
    newest = await adapter.handle(commands.StateGet(id="1"))
    values = {"messages": [{"role": "assistant", "content": "other"}]}
    await adapter.handle(
        commands.StateFork(id="2", checkpoint=newest["parent"], values=values, as_node="first")
    )
    await recorder.turn(adapter, WAKE)
    messages = (await recorder.values(adapter))["messages"]
    assert messages[-1].content == "second of other"


async def test_the_state_can_be_changed(recorder: Recorder) -> None:
    """An update is what a node would have returned; a wrong one is refused with the reason."""
    adapter = await recorder.adapter(counting([]))
    await recorder.turn(adapter, "go")
    update = {"values": {"messages": [{"role": "user", "content": "more"}]}, "as_node": "second"}
    changed = await call(adapter, "langgraph.update_state", update)
    state = await adapter.handle(commands.StateGet(id="2"))
    assert state["checkpoint"] == changed["checkpoint"]
    assert state["values"]["messages"][-1]["content"] == "more"


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("langgraph.history", {"limit": 0}),
        ("langgraph.history", {"limit": "all"}),
        ("langgraph.history", {"page": 2}),
        ("langgraph.update_state", {}),
        ("langgraph.update_state", {"values": {"messages": []}, "as_node": "nobody"}),
    ],
)
async def test_wrong_parameters_are_refused(recorder: Recorder, method: str, params: Any) -> None:
    """A call that is wrong is `invalid`, and changes nothing."""
    adapter = await recorder.adapter(counting([]))
    with pytest.raises(AgentFailed) as failed:
        await call(adapter, method, params)
    assert failed.value.code == "invalid"


async def test_an_unknown_method(recorder: Recorder) -> None:
    """A method that is not there names those that are."""
    adapter = await recorder.adapter(counting([]))
    with pytest.raises(NotSupported, match=r"langgraph\.history and langgraph\.update_state"):
        await call(adapter, "langgraph.nothing")
