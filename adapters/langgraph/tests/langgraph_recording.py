"""A recorder that makes LangGraph adapters, and knows what they say beside the vocabulary."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from runner_shell_langgraph import LangGraphAdapter, LangGraphSettings
from runner_shell_langgraph.load import Source

from runner_shell.protocol.codec import decode_payload
from runner_shell.protocol.events import CheckpointSaved, Custom
from runner_shell.testing import recorder

SHOWN = ("role", "name", "kind", "call", "text", "status", "content", "output")
"""Ids of messages and steps are the framework's, and new each time."""


class Recorder(recorder.Recorder):
    """Records a session of the LangGraph adapter.

    Attributes:
        runs: What was announced of each run of the graph, which is no event of the record.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.runs: list[Any] = []

    def say(self, payload: bytes) -> None:
        event = decode_payload(payload)
        if isinstance(event, Custom) and event.name == "langgraph.run":
            self.runs.append(event.data)
        else:
            super().say(payload)

    async def adapter(self, graph: object, **settings: Any) -> LangGraphAdapter:
        """An opened adapter that runs this graph; its thread in memory unless set otherwise."""
        quiet = {"checkpointer": "memory", "langgraph_state": "off"}
        adapter = LangGraphAdapter(LangGraphSettings(graph="test:graph", **quiet | settings))
        adapter._source = Source(graph, "test:graph")
        return await self.open(adapter)

    @asynccontextmanager
    async def process(self, graph: object, **settings: Any) -> AsyncIterator[LangGraphAdapter]:
        """An adapter as a process has it, on SQLite; the next one finds what this one left."""
        adapter = await self.adapter(graph, **{"checkpointer": "sqlite"} | settings)
        try:
            yield adapter
        finally:
            await adapter.close()

    def order(self) -> list[str]:
        """Each event as a short line, for comparing an order; checkpoints are left out."""
        kept = [event for event in self.events if not isinstance(event, CheckpointSaved)]
        return [recorder.line(event, SHOWN) for event in kept]

    async def values(self, adapter: LangGraphAdapter) -> Any:
        """The graph's state now."""
        assert adapter._opened is not None
        return (await adapter._opened.state()).values
