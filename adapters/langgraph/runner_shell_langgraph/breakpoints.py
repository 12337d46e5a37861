"""Static breakpoints: where a graph stands at one, and whether a dead process left it at one.

A sub-graph's breakpoint stops its parents too, which keep their checkpoint meanwhile: only its own
checkpoint tells one stop from the next.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from langgraph.pregel import Pregel
from langgraph.types import StateSnapshot

from .load import Graph
from .opened import Opened, checkpoint_id


async def stands_at_breakpoint(opened: Opened, state: StateSnapshot) -> bool:
    """Whether `interrupt_before` or `interrupt_after` stops the graph, or a sub-graph, here.

    To go on from here would go past it, and nobody might have been asked. One that was approved
    before the process died is asked under the same key and has its answer.
    """
    graph = opened.graph
    return isinstance(graph, Pregel) and await _stops(opened, graph, state)


def stopping_place(state: StateSnapshot) -> str:
    """What names this stop and no other: the newest checkpoints of the graph and its sub-graphs."""
    inner = sorted(stopping_place(one) for one in _inner(state).values())
    return ".".join([checkpoint_id(state), *inner])


def next_nodes(state: StateSnapshot) -> list[str]:
    """What runs next, a sub-graph's nodes with its own node before them: `research/search`."""
    inner = _inner(state)
    return [
        name
        for node in state.next
        for name in (
            [f"{node}/{one}" for one in next_nodes(inner[node])] if node in inner else [node]
        )
    ]


async def _stops(opened: Opened, graph: Graph, state: StateSnapshot) -> bool:
    if _any_of(graph.interrupt_before_nodes, state.next):
        return True
    if graph.interrupt_after_nodes and _any_of(
        graph.interrupt_after_nodes, await _just_done(opened, state)
    ):
        return True
    if not (inner := _inner(state)):
        return False
    below: dict[str, Any] = dict(graph.get_subgraphs())
    return any([await _stops(opened, below[n], inner[n]) for n in inner.keys() & below.keys()])


async def _just_done(opened: Opened, state: StateSnapshot) -> tuple[str, ...]:
    """The nodes of the superstep before."""
    parent: dict[str, Any] = dict((state.parent_config or {}).get("configurable", {}))
    if parent.get("checkpoint_id", "") in ("", checkpoint_id(state)):
        return ()
    configurable = {**opened.config["configurable"], **parent}
    config: Any = {**opened.config, "configurable": configurable}
    before = await opened.graph.aget_state(config)
    return before.next


def _inner(state: StateSnapshot) -> dict[str, StateSnapshot]:
    """The states of sub-graphs that have begun and are not through, by their nodes."""
    return {
        task.name: task.state
        for task in state.tasks
        if isinstance(task.state, StateSnapshot) and task.state.next
    }


def _any_of(nodes: str | Iterable[str], names: Iterable[str]) -> bool:
    names = [name for name in names if name != "__start__"]
    return bool(names) if nodes == "*" else not set(nodes).isdisjoint(names)
