"""What one connection has brought, until it is committed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ..quotas import Allowance
from ..store import EventRow

MAX_BYTES = 4 * 1024 * 1024
"""With this much waiting for the store nothing more is read; credit bounds it long before."""


class Basket:
    """Gathers events; what is taken out is on its way, and nothing more is until it has arrived.

    Attributes:
        rows: What is in it.
        is_on_its_way: Whether something was taken out and has not arrived.
    """

    __slots__ = ("_arrival", "_bytes", "is_on_its_way", "rows")

    def __init__(self) -> None:
        self.rows: list[EventRow] = []
        self._bytes = 0
        self._arrival: asyncio.Future[None] | None = None
        self.is_on_its_way = False

    @property
    def is_full(self) -> bool:
        """Whether it should be given no more."""
        return self._bytes > MAX_BYTES

    @property
    def is_done(self) -> bool:
        """Whether everything that was in it has arrived."""
        return not self.rows and not self.is_on_its_way

    def add(self, rows: Sequence[EventRow]) -> None:
        """Put these in, after the others."""
        self.rows += rows
        self._bytes += sum([len(row.data) for row in rows])

    def take_out(self, allowance: Allowance | None) -> tuple[list[EventRow], bool, str]:
        """Take everything out that may be stored; the rest is dropped.

        Returns:
            The events, whether these are all, and which quota they reach; see `Allowance.spend`.
        """
        rows, reached, all_of_them = self.rows, "", True
        self.drop()
        if allowance is not None:
            allowed, reached = allowance.spend(rows)
            all_of_them = allowed == len(rows)
            rows = rows[:allowed]
        self.is_on_its_way = bool(rows)
        return rows, all_of_them, reached

    def drop(self) -> None:
        """Let go of what is in it."""
        self.rows, self._bytes = [], 0

    def arrived(self) -> None:
        """What was taken out is committed, or never will be."""
        self.is_on_its_way = False
        if self._arrival is not None:
            self._arrival.set_result(None)
            self._arrival = None

    async def arrival(self) -> None:
        """Wait until nothing is on its way."""
        if self.is_on_its_way:
            if self._arrival is None:
                self._arrival = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._arrival)
