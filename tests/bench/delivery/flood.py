"""What is asked of every contestant: so many events of a kind, flat out or at a rate."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Literal

from msgspec import Struct

TEXT = "word " * 12
"""What an event says; with it an event of each contestant has about 200 bytes."""

REST_EVERY = 500
"""After how many events one that never waits lets its loop run."""

Kind = Literal["deltas", "tools", "logs", "rests"]


class Flood(Struct, frozen=True, kw_only=True):
    """So many events.

    Attributes:
        kind: Text deltas; the starts and ends of tools; log lines that hold their time; or nothing
            at all, which only the bare peer can: what it costs to sleep.
        count: How many events, starts and ends of what contains them apart.
        rate: How many a second; 0 for flat out.
        awaits: Whether each emit is awaited, which lets pressure slow it down.
    """

    kind: Kind
    count: int
    rate: float = 0.0
    awaits: bool = True


async def paced(flood: Flood) -> AsyncIterator[int]:
    """The numbers of the events, each when it is due."""
    began = time.monotonic()
    for number in range(flood.count):
        if flood.rate:
            delay = began + number / flood.rate - time.monotonic()
            if delay > 0:
                await asyncio.sleep(delay)
        elif not flood.awaits and number % REST_EVERY == 0:
            await asyncio.sleep(0)
        yield number
