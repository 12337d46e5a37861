"""What a message costs this process: the SDK alone, the adapter, the adapter in a whole shell.

Each way starts a CLI, has one short turn, and then the long one that is measured. CPU is this
process's own: the CLI and the model are others.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from claude_agent_sdk import ClaudeSDKClient
from runner_shell_claude import ClaudeAdapter, ClaudeSettings

from runner_shell import Session, Turn, UserMessage
from runner_shell.testing.hosting import host

from ..counting import Counting
from .bare import options
from .model import LONG, NAME, SHORT


class Cost(NamedTuple):
    """What the long turn took.

    Attributes:
        cpu: Seconds of this process's CPU.
        wall: Seconds.
        seen: The SDK's messages, or the events.
    """

    cpu: float
    wall: float
    seen: int


class _Measured:
    """CPU and time from here to the `cost`."""

    def __init__(self) -> None:
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def cost(self, seen: int) -> Cost:
        cpu, wall = time.process_time() - self._cpu, time.perf_counter() - self._wall
        return Cost(cpu, wall, seen)


async def alone(model: Mapping[str, str], place: Path) -> Cost:
    """The loop that the SDK's documentation shows."""
    client = ClaudeSDKClient(options(model, place, NAME))
    await client.connect()
    try:
        await client.query(SHORT)
        async for _ in client.receive_response():
            pass
        measured, messages = _Measured(), 0
        await client.query(LONG)
        async for _ in client.receive_response():
            messages += 1
        return measured.cost(messages)
    finally:
        await client.disconnect()


async def adapted(model: Mapping[str, str], place: Path) -> Cost:
    """The adapter, its events counted."""
    port: Any = Counting()
    adapter = ClaudeAdapter(_settings(model))
    (place / "state").mkdir()
    await adapter.open(Session("bench", port, workspace=place, state_dir=place / "state"))
    try:
        await adapter.turn(Turn("turn-1", UserMessage(content=SHORT), port))
        before, measured = port.events, _Measured()
        await adapter.turn(Turn("turn-2", UserMessage(content=LONG), port))
        return measured.cost(port.events - before)
    finally:
        await adapter.close()


async def hosted(model: Mapping[str, str], place: Path) -> Cost:
    """The adapter in a shell: redacted, numbered, framed, and stored by a gateway in memory."""
    async with host(
        lambda: ClaudeAdapter(_settings(model)), prompt=SHORT, interactive=True, workspace=place
    ) as session:
        await session.wait_for("turn.finished")
        before, measured = len(session.events), _Measured()
        await session.send("turn.start", content=LONG)
        await session.wait_for("turn.finished", count=2)
        return measured.cost(len(session.events) - before)


Way = Callable[[Mapping[str, str], Path], Awaitable[Cost]]

WAYS: dict[str, Way] = {
    "the SDK alone": alone,
    "adapter": adapted,
    "adapter, shell, gateway": hosted,
}


async def measure(model: Mapping[str, str], rounds: int) -> dict[str, Cost]:
    """The least CPU and the least time of each way, after a round that is not counted."""
    found: dict[str, list[Cost]] = {name: [] for name in WAYS}
    for number in range(rounds + 1):
        for name in WAYS if number % 2 else reversed(WAYS):
            with tempfile.TemporaryDirectory(prefix="bench-") as directory:
                cost = await WAYS[name](model, Path(directory))
            if number > 0:
                found[name].append(cost)
    return {name: _least(costs) for name, costs in found.items()}


def _least(costs: Sequence[Cost]) -> Cost:
    """Each by itself: few rounds have the least of both."""
    cpu, wall = min(cost.cpu for cost in costs), min(cost.wall for cost in costs)
    return Cost(cpu, wall, costs[0].seen)


def _settings(model: Mapping[str, str]) -> ClaudeSettings:
    return ClaudeSettings.from_environment({**model, "LLM_MODEL": NAME})
