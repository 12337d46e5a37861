"""One listener's queue of committed events."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Self

from ..errors import GatewayError, TooSlowError
from ..store import EventRow

MAX_EVENTS = 4096
MAX_BYTES = 4 * 1024 * 1024


class Subscription:
    """Committed events of one session as they come, in order; iterate over it.

    It holds a bounded amount. A listener who lets it run over is cut off: it gets what is held,
    then `TooSlowError`. The iteration ends when the gateway goes.

    Args:
        max_events: How many it holds.
        max_bytes: How much it holds; one event always fits.
    """

    def __init__(self, *, max_events: int | None = None, max_bytes: int | None = None) -> None:
        self._max_events = MAX_EVENTS if max_events is None else max_events
        self._max_bytes = MAX_BYTES if max_bytes is None else max_bytes
        self._rows: deque[EventRow] = deque()
        self._bytes = 0
        self._news = asyncio.Event()
        self._ending: Exception | None = None

    @property
    def is_cut(self) -> bool:
        """Whether events were left out after those that are held."""
        return isinstance(self._ending, TooSlowError)

    def push(self, rows: Iterable[EventRow]) -> None:
        """Take in committed events, or cut the listener off where they do not fit."""
        for row in rows:
            if self._ending is not None:
                break
            if self._is_full(row):
                self._ending = TooSlowError(
                    "the listener fell too far behind; read the store, listen again"
                )
                break
            self._rows.append(row)
            self._bytes += len(row.data)
        self._news.set()

    def close(self, reason: GatewayError | None = None) -> None:
        """End the iteration after what is held; with a reason, that is raised then."""
        if self._ending is None:
            self._ending = reason or StopAsyncIteration()
        self._news.set()

    async def batch(self) -> list[EventRow]:
        """Everything that is held, at least one event; raises as the iteration does."""
        await self._something()
        rows = list(self._rows)
        self._rows.clear()
        self._bytes = 0
        return rows

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> EventRow:
        await self._something()
        row = self._rows.popleft()
        self._bytes -= len(row.data)
        return row

    async def _something(self) -> None:
        while not self._rows:
            if self._ending is not None:
                raise self._ending
            self._news.clear()
            await self._news.wait()

    def _is_full(self, row: EventRow) -> bool:
        too_large = self._bytes > 0 and self._bytes + len(row.data) > self._max_bytes
        return too_large or len(self._rows) >= self._max_events
