"""States as snapshots and patches, and checkpoints as they are saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt
from langgraph_recording import Recorder
from runner_shell_langgraph.states import diff
from typing_extensions import TypedDict

from runner_shell import events
from runner_shell.testing.recorder import answered

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab/~", max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab/~", max_size=2), inner),
    max_leaves=12,
)


@given(JSON_VALUES, JSON_VALUES)
def test_a_patch_makes_the_new_state_of_the_old(old: Any, new: Any) -> None:
    """Any two states: another JSON Patch library gets from the one to the other."""
    patched = jsonpatch.apply_patch(old, list(diff(old, new)))
    assert patched == new
    assert list(diff(new, new)) == []


class State(TypedDict, total=False):
    """A graph whose state changes twice."""

    prompt: str
    done: list[str]


def two_steps(**compile: Any) -> Any:
    def first(state: State) -> Any:
        return {"done": ["first"]}

    def second(state: State) -> Any:
        return {"done": [*state["done"], "second"]}

    builder = StateGraph(State)
    builder.add_sequence([first, second])
    builder.add_edge(START, "first")
    return builder.compile(**compile)


async def test_a_turn_is_snapshots_and_patches(tmp_path: Path) -> None:
    """The first state in full, patches between, and the last in full: what is patched is true."""
    recorder = Recorder(tmp_path)
    adapter = await recorder.adapter(two_steps(), langgraph_state="auto")
    await recorder.turn(adapter, "go")

    first, last = recorder.of(events.StateSnapshot)
    assert first.state == {"prompt": "go"}
    assert last.state == {"prompt": "go", "done": ["first", "second"]}
    state = first.state
    for patch in recorder.of(events.StatePatch):
        state = jsonpatch.apply_patch(state, list(patch.patch))
    assert state == last.state
    kinds = [type(event) for event in recorder.events]
    assert kinds.index(events.StateSnapshot) < kinds.index(events.StatePatch)
    assert kinds[-1] is events.StateSnapshot


@pytest.mark.parametrize(
    ("mode", "max_bytes", "snapshots"), [("off", 9999, 0), ("auto", 20, 1), ("on", 20, 2)]
)
async def test_states_can_be_left_out(
    tmp_path: Path, mode: str, max_bytes: int, snapshots: int
) -> None:
    """`off` says nothing, `auto` stops where a state grows large, `on` says all."""
    recorder = Recorder(tmp_path)
    adapter = await recorder.adapter(
        two_steps(), langgraph_state=mode, langgraph_state_max_bytes=max_bytes
    )
    await recorder.turn(adapter, "go")
    assert len(recorder.of(events.StateSnapshot)) == snapshots
    assert len(recorder.of(events.StatePatch)) == (2 if mode == "on" else 0)


async def test_a_sub_graphs_state_has_its_scope(tmp_path: Path) -> None:
    """A sub-graph's state is told apart by the step that runs it."""
    outer = StateGraph(State)
    outer.add_node("inner", two_steps())
    outer.add_edge(START, "inner")
    recorder = Recorder(tmp_path)
    adapter = await recorder.adapter(outer.compile(), langgraph_state="on")
    await recorder.turn(adapter, "go")
    [step] = [one for one in recorder.of(events.StepStarted) if one.name == "inner"]
    scopes = {patch.scope for patch in recorder.of(events.StatePatch)}
    assert scopes == {(), (step.id,)}


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_a_checkpoint_is_told_once_it_is_saved(tmp_path: Path, durability: str) -> None:
    """Each id that is told is in the store, in order, with what runs next; the last is at rest."""
    recorder = Recorder(tmp_path)
    adapter = await recorder.adapter(two_steps(), langgraph_durability=durability)
    await recorder.turn(adapter, "go")

    told = recorder.of(events.CheckpointSaved)
    assert told[-1].next == ()
    opened = adapter._opened
    assert opened is not None
    stored = [state async for state in opened.graph.aget_state_history(opened.at(""))]
    ids = [state.config["configurable"]["checkpoint_id"] for state in reversed(stored)]
    assert [one.id for one in told][-len(ids) :] == ids
    if durability != "exit":
        assert [one.next for one in told] == [("__start__",), ("first",), ("second",), ()]


async def test_sync_checkpoints_are_told_as_the_turn_runs(tmp_path: Path) -> None:
    """With `sync` a checkpoint is told before the next node begins."""
    recorder = Recorder(tmp_path)
    await recorder.turn(await recorder.adapter(two_steps()), "go")
    order = [
        event.name if isinstance(event, events.StepStarted) else event.next
        for event in recorder.of(events.StepStarted, events.CheckpointSaved)
    ]
    assert order.index(("second",)) < order.index("second")


async def test_configurable_never_crosses(tmp_path: Path) -> None:
    """A secret in WORKFLOW_CONFIG is in no event of a turn, and in no answer to a command."""
    secret = "sesame-5c1f"

    def node(state: State) -> Any:
        return {"done": [interrupt("go on?")]}

    builder = StateGraph(State)
    builder.add_node(node)
    builder.add_edge(START, "node")
    recorder = Recorder(tmp_path)
    recorder.person = answered("yes")
    adapter = await recorder.adapter(
        builder.compile(), langgraph_state="on", workflow_config={"api_key": secret}
    )
    await recorder.turn(adapter, "go")
    from runner_shell import commands

    replies = [
        await adapter.handle(commands.StateGet(id="1")),
        await adapter.handle(commands.AdapterCall(id="2", method="langgraph.history")),
        adapter.describe(),
    ]
    assert recorder.of(events.CheckpointSaved, events.StateSnapshot)
    assert secret not in repr(recorder.events) + repr(replies) + repr(recorder.runs)
