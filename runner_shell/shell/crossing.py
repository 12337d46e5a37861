"""How things cross from the adapter's thread to the main one: a deque with one coalesced wake-up.

The order in which they were put is the order in which they are taken, whatever task or thread put
them, so that a question never overtakes the text before it.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

from ..adapter.turn import Done

T = TypeVar("T")

BURST = 512
"""How many are taken before the main loop gets its turn again."""


class Crossing(Generic[T]):
    """Things put from any thread, taken on one loop.

    Args:
        loop: The loop that takes.
        take: Called with each thing, on that loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, take: Callable[[T], None]) -> None:
        self._loop = loop
        self._take = take
        self._things: deque[T] = deque()
        self._woken = False

    def put(self, thing: T) -> None:
        """Fix the thing's place now; it is taken soon."""
        self._things.append(thing)
        if not self._woken:
            self._woken = True
            self._wake()

    def drain(self) -> None:
        """Take everything that has been put; call it on the taking loop."""
        while self._things:
            self._take(self._things.popleft())

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._drain_burst)
        except RuntimeError:
            # The main loop is closed: the process is on its way out, and its ending is written.
            self._things.clear()

    def _drain_burst(self) -> None:
        # Reset before taking: what is put from here on either is taken below or wakes again.
        self._woken = False
        for _ in range(BURST):
            if not self._things:
                return
            self._take(self._things.popleft())
        if not self._woken:
            self._woken = True
            self._loop.call_soon(self._drain_burst)


class Pressure:
    """Makes an awaited emit wait while too much is not acknowledged.

    Args:
        high_bytes: From here on emits wait.
        low_bytes: Down to here they go on.
    """

    def __init__(
        self, high_bytes: int = 16 * 1024 * 1024, low_bytes: int = 8 * 1024 * 1024
    ) -> None:
        self._high_bytes = high_bytes
        self._low_bytes = low_bytes
        self._lock = threading.Lock()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self.on = False

    def update(self, backlog_bytes: int) -> None:
        """Tell how much is not acknowledged, on the main loop."""
        if not self.on and backlog_bytes >= self._high_bytes:
            self.on = True
        elif self.on and backlog_bytes <= self._low_bytes:
            self.release()

    def release(self) -> None:
        """Let every waiting emit go on: there is room again, or the turn must end."""
        with self._lock:
            self.on = False
            waiting, self._waiting = self._waiting, []
        for loop, future in waiting:
            # A closed loop has no waiting task left.
            if not loop.is_closed():
                loop.call_soon_threadsafe(_set, future)

    def gate(self) -> Done | _Wait:
        """What `emit` returns: done without pressure, else a wait for its end."""
        return _Wait(self) if self.on else DONE

    def register(self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]) -> None:
        """A task waits."""
        with self._lock:
            if self.on:
                self._waiting.append((loop, future))
                return
        _set(future)


class _Wait(Done):
    def __init__(self, pressure: Pressure) -> None:
        self._pressure = pressure

    def __await__(self) -> Generator[Any, Any, None]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._pressure.register(loop, future)
        yield from future.__await__()


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


DONE = Done()
