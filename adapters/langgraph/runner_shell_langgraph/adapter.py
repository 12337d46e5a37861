"""The adapter: one LangGraph thread per session.

The thread lives in the graph's own checkpointer, or in one that the adapter gives it: SQLite in the
runner's private directory, so that a next process goes on from the last checkpoint.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.pregel import Pregel

from runner_shell import (
    Adapter,
    AdapterSettings,
    AgentFailed,
    Capabilities,
    ConfigurationError,
    Ending,
    NotSupported,
    RunnerError,
    Session,
    Turn,
    commands,
    events,
)

from . import history
from .checkpoints import Saver, open_durable, serializer, watch_blocked
from .describe import described, schemas
from .failures import failure
from .load import AnyGraph, Source, check, find_source, made
from .opened import Opened
from .remote import thread_of
from .run import Run
from .schema_types import named_types
from .settings import GraphConfig, LangGraphSettings
from .threads import NodeThreads
from .tracing import send_traces
from .turn_record import TurnRecord


class LangGraphAdapter(Adapter):
    """Runs any LangGraph graph.

    A node finds `thread_id`, `session_id` and `workspace` in its config's `configurable`.
    """

    name = "langgraph"
    capabilities = Capabilities(
        resume=True,
        defer=True,
        commands=frozenset({"state.get", "state.fork", "adapter.call"}),
    )
    Settings = LangGraphSettings

    settings: LangGraphSettings

    def __init__(self, settings: LangGraphSettings) -> None:
        super().__init__(settings)
        self._source: Source | None = None
        self._memory: InMemorySaver | None = None  # outlives close and reopen, as the session does
        self._threads: NodeThreads | None = None
        self._opened: Opened | None = None
        self._description: dict[str, events.JSON] = {}
        self._stack = AsyncExitStack()
        self._run: Run | None = None

    @classmethod
    def preflight(cls, settings: AdapterSettings, *, workspace: Path) -> Iterable[str]:
        """Import the graph, and compile it; a factory is looked at and not called."""
        assert isinstance(settings, LangGraphSettings)
        try:
            source = find_source(settings, workspace)
            check(source)
            named_types(settings.langgraph_checkpoint_types)
            settings.graph_config(has_context=False)
        except ConfigurationError as error:
            return error.problems
        return ()

    async def open(self, session: Session) -> None:
        """Make the graph, and open what keeps its thread.

        Raises:
            ConfigurationError: A setting is wrong, or the graph cannot be loaded: where, and why.
        """
        for name, value in self.settings.named_values():
            session.secrets.add_variables({name: value})
        source = self._source or find_source(
            self.settings, session.workspace.path, session.secrets.add_variables
        )
        self._source = source
        self._stack.callback(watch_blocked(lambda name: _warn_blocked(session, name)))
        graph = await made(source, self._factory_config(session), self._stack)
        has_context = isinstance(graph, Pregel) and graph.context_schema is not None
        config = self.settings.graph_config(has_context=has_context)
        serde: Any = JsonPlusSerializer(allowed_msgpack_modules=[])
        if isinstance(graph, Pregel):
            serde = serializer(self.settings, graph)
            if not isinstance(graph.checkpointer, BaseCheckpointSaver):
                saver = await self._open_saver(serde, session)
                graph = graph.copy(update={"checkpointer": saver})
        self._opened = Opened(
            graph=graph,
            session=session,
            settings=self.settings,
            config=self._run_config(session, config, graph),
            context=config.context,
            record=TurnRecord(session.state_dir, serde) if _is_durable(graph) else None,
            threads=self._node_threads(),
        )
        await self._refuse_unreadable()
        self._description = await self._describe(graph)

    async def turn(self, turn: Turn) -> Ending:
        """Run the graph until it is at rest, asking its questions on the way.

        Raises:
            AgentFailed: A node raised (`node_failed`, `node_timeout`, `rate_limited`), the graph
                is at fault (`recursion_limit`, `invalid_update`), the message does not fit it
                (`invalid_input`), its thread is gone (`state_lost`), or its message was
                (`input_lost`).
        """
        assert self._opened is not None, "opened before the first turn"
        self._run = Run(turn, self._opened)
        try:
            return await self._run.to_ending()
        except RunnerError:
            raise
        except Exception as error:
            raise failure(error) from error
        finally:
            self._run = None

    async def interrupt(self, reason: str) -> bool:
        """Let the running superstep end, or cancel it; the thread can go on."""
        return self._run is not None and self._run.interrupt(reason)

    async def handle(self, command: commands.Command | commands.ReservedCommand) -> events.JSON:
        """Read and change the thread's state; see `history`.

        Raises:
            AgentFailed: `busy`: a turn is running; or the command is wrong.
            NotSupported: There is no such method.
        """
        opened = self._opened
        if opened is None:
            raise AgentFailed("the graph is not open yet", code="busy")
        match command:
            case commands.StateGet():
                return await history.read_state(opened, command.checkpoint)
            case commands.StateFork():
                self._refuse_in_turn()
                forked = await history.fork(
                    opened, command.checkpoint, command.values, command.as_node
                )
                if command.run:
                    opened.session.wake()
                return forked
            case commands.AdapterCall(method="langgraph.history"):
                return await history.read_history(opened, command.params)
            case commands.AdapterCall(method="langgraph.update_state"):
                self._refuse_in_turn()
                return await history.update_state(opened, command.params)
            case commands.AdapterCall():
                raise NotSupported(
                    f"there is no method {command.method!r}; there are langgraph.history and "
                    "langgraph.update_state"
                )
            case _:
                return await super().handle(command)

    async def close(self) -> None:
        """Let the session go; what it keeps in memory stays for the next `open`."""
        opened, self._opened = self._opened, None
        stack, self._stack = self._stack, AsyncExitStack()
        await stack.aclose()
        if opened is not None and not await send_traces():
            opened.session.log.warning("LangSmith does not take the traces; they are given up")

    def describe(self) -> dict[str, events.JSON]:
        """The graph's picture and schemas, and what keeps its thread; once it is open."""
        said: dict[str, events.JSON] = {"graph": self.settings.graph, **self._description}
        if self._opened is not None and isinstance(self._opened.graph, Pregel):
            saver = self._opened.graph.checkpointer
            said["checkpointer"] = type(saver).__name__
            said["durable"] = _is_durable(self._opened.graph)
        return said

    def _refuse_in_turn(self) -> None:
        if self._run is not None:
            raise AgentFailed("a turn is running; interrupt it first", code="busy")

    async def _open_saver(self, serde: Any, session: Session) -> Saver:
        if self.settings.checkpointer == "memory":
            self._memory = self._memory or InMemorySaver(serde=serde)
            return self._memory
        return await open_durable(self.settings, serde, session.state_dir, self._stack)

    async def _refuse_unreadable(self) -> None:
        """Find out now, not in the first turn, that the key is not the one it was written with."""
        opened = self._opened
        if opened is None or opened.record is None or opened.is_remote:
            return
        try:
            await opened.state()
            opened.record.read()
        except (ValueError, NotImplementedError) as error:
            raise ConfigurationError(
                f"the session's checkpoints cannot be read: {error}; is LANGGRAPH_AES_KEY the key "
                "that they were written with?"
            ) from error

    async def _describe(self, graph: AnyGraph) -> dict[str, events.JSON]:
        if isinstance(graph, Pregel):
            return await _describe(graph)
        from httpx import HTTPError

        try:
            return await _describe(graph)
        except HTTPError as error:
            raise ConfigurationError(
                f"the LangGraph server {self.settings.langgraph_url} does not show the graph "
                f"{self.settings.remote_id!r}: {type(error).__name__}: {error}"
            ) from error

    def _node_threads(self) -> NodeThreads:
        if self._threads is None:
            self._threads = NodeThreads()
            asyncio.get_running_loop().set_default_executor(self._threads)
        return self._threads

    def _factory_config(self, session: Session) -> dict[str, Any]:
        config = self.settings.graph_config(has_context=False)
        return {"configurable": self._configurable(session, config), "context": config.context}

    def _configurable(self, session: Session, config: GraphConfig) -> dict[str, Any]:
        own = {
            "thread_id": session.id,
            "session_id": session.id,
            "workspace": str(session.workspace.path),
        }
        return {**config.configurable, **own}

    def _run_config(self, session: Session, config: GraphConfig, graph: AnyGraph) -> dict[str, Any]:
        configurable = self._configurable(session, config)
        if not isinstance(graph, Pregel):
            configurable["thread_id"] = thread_of(session.id)
        return {
            "configurable": configurable,
            "recursion_limit": config.recursion_limit,
            "metadata": {"workflow_id": self.settings.workflow_id, "session_id": session.id},
        }


def _is_durable(graph: AnyGraph) -> bool:
    """Whether the thread outlives the process."""
    return not (isinstance(graph, Pregel) and isinstance(graph.checkpointer, InMemorySaver))


async def _describe(graph: AnyGraph) -> dict[str, events.JSON]:
    said = {"name": getattr(graph, "name", "") or "", **described(await graph.aget_graph(xray=1))}
    return {**said, **schemas(graph)} if isinstance(graph, Pregel) else said


def _warn_blocked(session: Session, name: str) -> None:
    session.log.warning(
        f"a checkpoint holds a {name}, which is not built again because no schema of the graph "
        f"names it: it stays plain data. LANGGRAPH_CHECKPOINT_TYPES={name} allows it"
    )
