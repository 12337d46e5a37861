"""What the LangGraph adapter costs per part, beside a bare `astream` loop, in one run.

`python -m tests.bench.stream [--words N] [--rounds N]`. Three ways of running the same graph, one
after another in each round, and of each the best turn: a bare loop; the adapter, its events
counted; the adapter in a real shell, with a gateway in memory that stores them.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from runner_shell_langgraph import LangGraphAdapter, LangGraphSettings
from runner_shell_langgraph.load import Source
from runner_shell_langgraph.testing import ScriptedChatModel, ScriptedReply
from runner_shell_langgraph.translate import STREAM_MODES

from runner_shell import Session, Turn, UserMessage
from runner_shell.testing.hosting import host

from .counting import Counting

Result = tuple[float, int]
"""The seconds of a turn, and how many parts or events it had."""


def graph(words: int, **compile: Any) -> Any:
    """A model that says so many words, one chunk each."""
    reply = ScriptedReply("word " * words)

    async def talk(state: MessagesState) -> Any:
        model = ScriptedChatModel(replies=[reply], chunk_characters=5)
        return {"messages": [await model.ainvoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node(talk)
    builder.add_edge(START, "talk")
    return builder.compile(**compile)


def adapter_of(words: int) -> LangGraphAdapter:
    """The adapter around the graph."""
    settings = LangGraphSettings(graph="bench:graph", checkpointer="memory")
    adapter = LangGraphAdapter(settings)
    adapter._source = Source(graph(words), "bench:graph")
    return adapter


async def bare(words: int) -> Result:
    """The loop that anyone would write."""
    config: Any = {"configurable": {"thread_id": "bench"}}
    parts = 0
    made = graph(words, checkpointer=InMemorySaver())
    began = time.perf_counter()
    async for _ in made.astream(
        {"messages": [("user", "go")]},
        config,
        stream_mode=list(STREAM_MODES),
        subgraphs=True,
        version="v2",
    ):
        parts += 1
    return time.perf_counter() - began, parts


async def adapted(words: int) -> Result:
    """The adapter alone."""
    port: Any = Counting()
    adapter = adapter_of(words)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch)
        await adapter.open(Session("bench", port, workspace=path, state_dir=path / "state"))
        began = time.perf_counter()
        await adapter.turn(Turn("turn-1", UserMessage(content="go"), port))
        seconds = time.perf_counter() - began
        await adapter.close()
    return seconds, port.events


async def hosted(words: int) -> Result:
    """The adapter in a shell, its events stored."""
    async with host(lambda: adapter_of(words), prompt="go") as session:
        await session.end()
    [finished] = session.of_type("turn.finished")
    return float(finished["duration_seconds"]), len(session.events)


WAYS: tuple[tuple[str, Callable[[int], Awaitable[Result]]], ...] = (
    ("astream alone", bare),
    ("adapter", adapted),
    ("adapter, shell, gateway", hosted),
)


async def measure(words: int, rounds: int) -> dict[str, Result]:
    """The best round of each way."""
    best: dict[str, Result] = {}
    for _ in range(rounds):
        for name, run in WAYS:
            seconds, seen = await run(words)
            if name not in best or seconds < best[name][0]:
                best[name] = (seconds, seen)
    return best


def table(best: dict[str, Result]) -> str:
    """The result, as Markdown."""
    alone, parts = best["astream alone"]
    lines = [
        "| | parts or events | per second | µs per part | beside `astream` | more µs per part |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, (seconds, seen) in best.items():
        lines.append(
            f"| {name} | {seen} | {seen / seconds:,.0f} | {seconds / parts * 1e6:.1f} | "
            f"{seconds / alone:.2f}× | {(seconds - alone) / parts * 1e6:.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.stream", description=__doc__)
    parser.add_argument("--words", type=int, default=5_000, help="chunks that the model says")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(table(asyncio.run(measure(options.words, options.rounds))))


if __name__ == "__main__":
    main()
