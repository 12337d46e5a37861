"""When connections are looked after: one timer for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Protocol

SLOT_SECONDS = 0.01
"""Those that are due within the same slot are visited together, at its end."""


class Visited(Protocol):
    """Who is looked after."""

    slot: int | None
    """Where `Rounds` has it; nobody else's to touch."""

    def visit(self) -> None:
        """Do what is due, and ask for the next visit."""


class Rounds:
    """Visits each at its time. A timer for each would cost more than most visits do.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._slots: dict[int, set[Visited]] = {}
        self._order: list[int] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_slot = 0
        self._past = 0

    def visit(self, visited: Visited, due: float) -> None:
        """Visit it when `due` has passed; an earlier visit that was asked for stands instead."""
        slot = max(int(due / SLOT_SECONDS), self._past) + 1
        if visited.slot is not None:
            if visited.slot <= slot:
                return
            self.forget(visited)
        visited.slot = slot
        there = self._slots.get(slot)
        if there is None:
            there = self._slots[slot] = set()
            heappush(self._order, slot)
            self._wake_for(slot)
        there.add(visited)

    def forget(self, visited: Visited) -> None:
        """Do not visit it."""
        if visited.slot is not None:
            self._slots[visited.slot].discard(visited)
            visited.slot = None

    def _wake_for(self, slot: int) -> None:
        if self._timer is not None:
            if self._timer_slot <= slot:
                return
            self._timer.cancel()
        delay = max(0.0, slot * SLOT_SECONDS - self._clock())
        self._timer = asyncio.get_running_loop().call_later(delay, self._go_round)
        self._timer_slot = slot

    def _go_round(self) -> None:
        self._timer = None
        # Whoever asks for another visit during this round, however soon, gets it in a later one.
        self._past = int(self._clock() / SLOT_SECONDS)
        try:
            while self._order and self._order[0] <= self._past:
                there = self._slots[self._order[0]]
                while there:
                    visited = there.pop()
                    visited.slot = None
                    visited.visit()
                del self._slots[heappop(self._order)]
        finally:
            if self._order:
                self._wake_for(self._order[0])
