"""What a runner is compared with: `python -m tests.bench.delivery.peers bare|naive URL`.

Each reads floods from stdin, a line each, and sends them over one connection. Neither keeps,
numbers, acknowledges or redacts anything, and what it sends while nobody listens is lost.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect

from .flood import TEXT, Flood, paced
from .notes import note
from .sink import END

FRAME = json.dumps({
    "seq": 1000000, "time": "2026-11-30T12:00:00.000+00:00", "turn": "turn-1-1",
    "type": "block.delta", "message": "turn-1-1-m", "index": 0, "text": TEXT,
})  # fmt: skip


async def _bare(connection: ClientConnection, flood: Flood) -> None:
    """One frame an event, encoded before the clock runs."""
    async for _ in paced(flood):
        if flood.kind != "rests":
            await connection.send(f"{time.monotonic():.6f}" if flood.kind == "logs" else FRAME)


def _naive() -> Callable[[ClientConnection, Flood], Any]:
    """A pydantic message for each event, and `json.dumps` of it."""
    from datetime import UTC, datetime

    from pydantic import BaseModel, Field

    class Message(BaseModel):
        seq: int
        type: str
        timestamp: str = Field(default_factory=lambda: datetime.now(UTC).isoformat())
        turn: str
        message: str
        index: int
        payload: dict[str, Any]

    async def send(connection: ClientConnection, flood: Flood) -> None:
        async for number in paced(flood):
            text = f"{time.monotonic():.6f}" if flood.kind == "logs" else TEXT
            made = Message(
                seq=number, type="block.delta", turn="turn-1-1", message="turn-1-1-m", index=0,
                payload={"text": text},
            )  # fmt: skip
            await connection.send(json.dumps(made.model_dump()))

    return send


async def _main(kind: str, url: str) -> None:
    send = _bare if kind == "bare" else _naive()
    async with connect(url, compression=None, ping_interval=None, proxy=None) as connection:
        note("connected")
        while line := await asyncio.to_thread(sys.stdin.readline):
            flood = msgspec.json.decode(line, type=Flood)
            note("began")
            await send(connection, flood)
            note("emitted")
            await connection.send(END)


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
