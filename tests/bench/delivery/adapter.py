"""The adapter of the bench: it emits what it is asked for."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import ClassVar

import msgspec

from runner_shell import Adapter, Ending, Turn, UserMessage, events

from .flood import TEXT, Flood, paced
from .notes import note

BLOCK_DELTAS = 1000
"""How many a block has: its text is kept until it is finished, in memory and in snapshots."""

Emit = Callable[[int], Awaitable[None]]


class FloodAdapter(Adapter):
    """A turn for each flood."""

    name: ClassVar[str] = "flood"

    async def turn(self, turn: Turn) -> Ending:
        """Emit the flood, and note when it began and when the last emit had returned."""
        assert isinstance(turn.input, UserMessage)
        flood = msgspec.json.decode(turn.input.text(), type=Flood)
        message = f"{turn.id}-m"
        await turn.emit(events.MessageStarted(id=message))
        emit = _emits(turn, message)[flood.kind]
        note("began")
        async for number in paced(flood):
            if flood.kind == "deltas" and number % BLOCK_DELTAS == 0:
                _next_block(turn, message, number // BLOCK_DELTAS)
            emitted = emit(number)
            if flood.awaits:
                await emitted
        note("emitted")
        await turn.emit(events.MessageFinished(id=message))
        return Ending("completed")


def _next_block(turn: Turn, message: str, index: int) -> None:
    if index:
        turn.emit(events.BlockFinished(message=message, index=index - 1))
    turn.emit(events.BlockStarted(message=message, index=index))


def _emits(turn: Turn, message: str) -> dict[str, Emit]:
    def delta(number: int) -> Awaitable[None]:
        index = number // BLOCK_DELTAS
        return turn.emit(events.BlockDelta(message=message, index=index, text=TEXT))

    def tool(number: int) -> Awaitable[None]:
        call = f"call-{number // 2}"
        if number % 2 == 0:
            return turn.emit(events.ToolStarted(call=call, name="Read", input={"path": TEXT}))
        return turn.emit(events.ToolFinished(call=call, output=TEXT))

    def log(number: int) -> Awaitable[None]:
        return turn.emit(events.Log(message=f"{time.monotonic():.6f}"))

    return {"deltas": delta, "tools": tool, "logs": log}
