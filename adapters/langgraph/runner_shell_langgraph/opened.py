"""A graph that is ready to run in its session's thread."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, cast

from langgraph.pregel.remote import RemoteGraph
from langgraph.runtime import RunControl
from langgraph.types import StateSnapshot

from runner_shell import Session

from .load import AnyGraph
from .remote import STREAM_MODES as REMOTE_MODES
from .settings import LangGraphSettings
from .threads import NodeThreads
from .translate import STREAM_MODES
from .turn_record import TurnRecord


@dataclass(frozen=True)
class Opened:
    """A graph and everything its runs need.

    Attributes:
        graph: The graph, with a checkpointer.
        session: Whose thread it runs in.
        settings: The adapter's.
        config: For every run: thread, `configurable`, recursion limit. Holds secrets.
        context: For every run.
        record: Where a turn's beginning is kept; None where the thread dies with the process.
        threads: Where synchronous nodes run.
    """

    graph: AnyGraph
    session: Session
    settings: LangGraphSettings
    config: dict[str, Any]
    context: dict[str, Any] | None
    record: TurnRecord | None
    threads: NodeThreads

    @property
    def is_remote(self) -> bool:
        """Whether it runs on a server."""
        return isinstance(self.graph, RemoteGraph)

    def stream(self, given: Any, control: RunControl, **config: Any) -> AsyncIterator[Any]:
        """Begin a run; its parts are of version 2, sub-graphs' included.

        Args:
            given: The input, a `Command`, or None to go on.
            control: By which it can be drained; a server's run cannot.
            config: What this run's config has beside the others.
        """
        options: dict[str, Any] = {"durability": self.settings.langgraph_durability}
        modes = [*REMOTE_MODES] if self.is_remote else [*STREAM_MODES]
        if self.settings.langgraph_state == "off":
            modes.remove("values")
        if not self.is_remote:
            options["control"] = control
        parts = self.graph.astream(
            given,
            cast("Any", {**self.config, **config}),
            context=self.context,
            stream_mode=cast("Any", modes),
            subgraphs=True,
            version="v2",
            **options,
        )
        return cast("AsyncIterator[Any]", parts)

    async def state(self, checkpoint: str = "") -> StateSnapshot:
        """The thread's state; as of a checkpoint, where one is named."""
        if self.is_remote and not checkpoint:
            return await _remote_state(self.graph, self.config)
        return await self.graph.aget_state(self.at(checkpoint), subgraphs=not checkpoint)

    def at(self, checkpoint: str) -> Any:
        """The config that names a checkpoint of the thread; the newest where empty."""
        if not checkpoint:
            return self.config
        configurable = {**self.config["configurable"], "checkpoint_id": checkpoint}
        return {**self.config, "configurable": {**configurable, "checkpoint_ns": ""}}


def checkpoint_id(state: StateSnapshot) -> str:
    """The id of the state's checkpoint; empty where there is none."""
    return str(state.config.get("configurable", {}).get("checkpoint_id") or "")


async def _remote_state(graph: AnyGraph, config: dict[str, Any]) -> StateSnapshot:
    from langgraph_sdk.errors import NotFoundError

    try:
        return await graph.aget_state(cast("Any", config), subgraphs=True)
    except NotFoundError:  # the thread begins with its first run
        return StateSnapshot({}, (), {"configurable": {}}, None, None, None, (), ())
