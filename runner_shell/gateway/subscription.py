"""One listener's queue of committed events."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Self

from .errors import TooSlowError
from .store import EventRow

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

    def __init__(self, *, max_events: int = MAX_EVENTS, max_bytes: int = MAX_BYTES) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._rows: deque[EventRow] = deque()
        self._bytes = 0
        self._news = asyncio.Event()
        self._cut = False
        self._closed = False

    def push(self, rows: Iterable[EventRow]) -> None:
        """Take in committed events, or cut the listener off where they do not fit."""
        for row in rows:
            if self._cut or self._is_full(row):
                self._cut = True
                break
            self._rows.append(row)
            self._bytes += len(row.data)
        self._news.set()

    def close(self) -> None:
        """End the iteration after what is held."""
        self._closed = True
        self._news.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> EventRow:
        while not self._rows:
            if self._cut:
                raise TooSlowError("the listener fell too far behind; read the store, listen again")
            if self._closed:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        row = self._rows.popleft()
        self._bytes -= len(row.data)
        return row

    def _is_full(self, row: EventRow) -> bool:
        too_large = self._bytes > 0 and self._bytes + len(row.data) > self._max_bytes
        return too_large or len(self._rows) >= self._max_events
