"""Static breakpoints: whether a thread that a dead process left stands at one."""

from __future__ import annotations

from collections.abc import Iterable

from langgraph.pregel import Pregel
from langgraph.types import StateSnapshot

from .opened import Opened, checkpoint_id


async def stands_at_breakpoint(opened: Opened, state: StateSnapshot) -> bool:
    """Whether `interrupt_before` or `interrupt_after` stops the graph here.

    To go on from here would go past it, and nobody might have been asked. One that was approved
    before the process died is asked under the same key and has its answer.
    """
    graph = opened.graph
    if not isinstance(graph, Pregel):
        return False
    if _any_of(graph.interrupt_before_nodes, state.next):
        return True
    if not graph.interrupt_after_nodes or state.parent_config is None:
        return False
    parent = str(state.parent_config.get("configurable", {}).get("checkpoint_id", ""))
    if not parent or parent == checkpoint_id(state):
        return False
    return _any_of(graph.interrupt_after_nodes, (await opened.state(parent)).next)


def _any_of(nodes: str | Iterable[str], names: Iterable[str]) -> bool:
    return nodes == "*" or not set(nodes).isdisjoint(names)
