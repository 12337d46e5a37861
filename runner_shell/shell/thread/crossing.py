"""How things cross from the adapter's thread to the main one: a deque with one coalesced wake-up.

The order in which they were put is the order in which they are taken, whatever task or thread put
them, so that a question never overtakes the text before it.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Generator, Sized
from os import sched_yield
from time import monotonic
from typing import Any, Generic, TypeVar

from ...adapter.turn import Done

T = TypeVar("T")

BURST = 512
"""How many are taken before the main loop gets its turn again."""

BURST_SECONDS = 0.01
"""For how long they are taken at most: large ones would hold up interrupts and heartbeats."""

LINGER_SECONDS = 0.02
"""How long what may wait does wait. Source: "Text deltas may linger 10–20 ms to share a frame"."""

QUIET_SECONDS = 0.002
"""Who wakes the main loop after this long lets it go first, as it could not begin before the other
thread waits for something. Where much is put, to go on is worth more: more crosses at once."""

CLOCK_EVERY = 8
"""After how many of them the clock is asked."""

REST_EVERY = 128
"""After how many emits an awaited one lets other tasks of its loop run."""


class Crossing(Generic[T]):
    """Things put from any thread, taken on one loop.

    Args:
        loop: The loop that takes.
        take: Called with each thing, on that loop.
        taken: Called on that loop when as many were taken as is done in one go.

    Attributes:
        things: What waits. Its length is quick to ask, from any thread; put by `put` only.
        is_taking: Whether `take` or `taken` is being called.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        take: Callable[[T], None],
        taken: Callable[[], None] = lambda: None,
    ) -> None:
        self._loop = loop
        self._take = take
        self._taken = taken
        self.things: deque[T] = deque()
        self.is_taking = False
        self._woken = False
        self._woke_at = 0.0
        self._looking = False  # whether the loop will look by itself, and need not be woken
        self._lingered = False  # whether something was put that may wait

    def put(self, thing: T) -> None:
        """Fix the thing's place now; it is taken soon."""
        self.things.append(thing)
        if not self._woken:
            self._woken = True
            self._wake()

    def put_lingering(self, thing: T) -> None:
        """As `put`, but it may wait a little and cross with others.

        The first after a while is taken at once; from then on the loop looks by itself until
        nothing more comes. To wake it for each would cost ten times what is done with it.
        """
        self.things.append(thing)  # before the loop's look is counted on: it cannot miss it then
        self._lingered = True
        if not self._woken and (not self._looking or len(self.things) >= BURST):
            self._woken = True
            self._wake()

    def drain(self) -> None:
        """Take everything that has been put; call it on the taking loop."""
        self.is_taking = True
        try:
            while self.things:
                self._take(self.things.popleft())
        finally:
            self._took()

    def _wake(self) -> None:
        since, self._woke_at = self._woke_at, monotonic()
        try:
            self._loop.call_soon_threadsafe(self._drain_burst)
            if self._woke_at - since > QUIET_SECONDS:
                sched_yield()
        except RuntimeError:
            # The main loop is closed: the process is on its way out, and its ending is written.
            self.things.clear()

    def _drain_burst(self) -> None:
        # Reset before taking: what is put from here on either is taken below or wakes again.
        self._woken = False
        things, take = self.things, self._take
        until = monotonic() + BURST_SECONDS
        self.is_taking = True
        try:
            for count in range(BURST):
                if not things:
                    break
                take(things.popleft())
                if not count % CLOCK_EVERY and monotonic() > until:
                    break
        finally:
            self._took()
        if things and not self._woken:
            self._woken = True
            self._loop.call_soon(self._drain_burst)
        elif self._lingered and not self._looking:
            self._lingered = False
            self._looking = True
            self._loop.call_later(LINGER_SECONDS, self._look)

    def _took(self) -> None:
        try:
            self._taken()
        finally:
            self.is_taking = False

    def _look(self) -> None:
        # Reset before taking, as above.
        self._looking = False
        if self.things:
            self._drain_burst()


class Pressure:
    """Makes an awaited emit wait while too much is emitted and not acknowledged.

    What still crosses to the main thread counts too: else an adapter that never gives its loop a
    rest would fill the memory before the main thread had seen any of it. Of these the large ones
    count by their bytes, and the others by their number alone: that needs no lock.

    Args:
        high_bytes: From here on emits wait.
        low_bytes: Down to here they go on.
        high_crossing: So many events that still cross make emits wait too, so that an ending is
            never far behind.
        high_events: From so many events in the journal on emits wait, and deltas merge.
        low_events: Down to so many they go on.

    Attributes:
        on: Whether an awaited emit waits now.
        merging: Whether so much is not acknowledged that deltas are to be merged.
    """

    def __init__(
        self,
        high_bytes: int = 16 * 1024 * 1024,
        low_bytes: int = 8 * 1024 * 1024,
        high_crossing: int = 4096,
        high_events: int = 32768,
        low_events: int = 16384,
    ) -> None:
        self._high_bytes = high_bytes
        self._low_bytes = low_bytes
        self._high_crossing = high_crossing
        self._high_events = high_events
        self._low_events = low_events
        self._small_bytes = high_bytes // high_crossing
        self._things: Sized = ()
        self._lock = threading.Lock()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._lifted_bytes = 0
        self._lifted_crossing = 0
        self._lifted_events = 0
        self._lifted = False
        self._gates = 0
        self._crossing_bytes = 0
        self._backlog_bytes = 0
        self._backlog_events = 0
        self.on = False
        self.merging = False

    def watch(self, things: Sized) -> None:
        """Count what crosses by what waits here."""
        self._things = things

    def emitted(self, size: int) -> None:
        """So many bytes begin to cross; from any thread."""
        if size > self._small_bytes:
            with self._lock:
                self._crossing_bytes += size
                self._raise_if_high()
        elif len(self._things) >= self._high_crossing + self._lifted_crossing:
            self.on = True

    def taken(self, size: int) -> None:
        """So many bytes have crossed, and count in the backlog from now on."""
        if size > self._small_bytes:
            with self._lock:
                self._crossing_bytes -= size

    def stays_low(self, backlog_bytes: int, backlog_events: int) -> bool:
        """Whether nothing changes with so much not acknowledged; else call `update`.

        So it is nearly always, and this is all that is done about it then.
        """
        if (
            self.on
            or self.merging
            or self._lifted
            or self._crossing_bytes + backlog_bytes > self._low_bytes
            or backlog_events > self._low_events
        ):
            return False
        self._backlog_bytes, self._backlog_events = backlog_bytes, backlog_events
        return True

    def update(self, backlog_bytes: int, backlog_events: int = 0) -> None:
        """Tell how much is in the journal and not acknowledged, on the main loop."""
        with self._lock:
            self._backlog_bytes, self._backlog_events = backlog_bytes, backlog_events
            deep = backlog_bytes >= self._high_bytes or backlog_events >= self._high_events
            shallow = backlog_bytes <= self._low_bytes and backlog_events <= self._low_events
            self.merging = deep or (self.merging and not shallow)
            self._raise_if_high()
            low = (
                self._bytes <= self._low_bytes + self._lifted_bytes
                and len(self._things) <= self._high_crossing // 2 + self._lifted_crossing
                and backlog_events <= self._low_events + self._lifted_events
            )
        if self.on and low:
            self._release()

    @property
    def _bytes(self) -> int:
        return self._crossing_bytes + self._backlog_bytes

    def lift(self) -> None:
        """Let who waits go on, and say as much again until `restore`: the turn must end.

        Not without any limit: what does not heed its interrupt must not fill the memory.
        """
        with self._lock:
            self._lifted = True
            self._lifted_bytes = self._bytes
            self._lifted_crossing = len(self._things)
            self._lifted_events = self._backlog_events
        self._release()

    def restore(self) -> None:
        """Let emits wait again where they must."""
        with self._lock:
            self._lifted = False
            self._lifted_bytes = self._lifted_crossing = self._lifted_events = 0
            self._raise_if_high()

    def _raise_if_high(self) -> None:
        if (
            self._bytes >= self._high_bytes + self._lifted_bytes
            or len(self._things) >= self._high_crossing + self._lifted_crossing
            or self._backlog_events >= self._high_events + self._lifted_events
        ):
            self.on = True

    def _release(self) -> None:
        with self._lock:
            self.on = False
            waiting, self._waiting = self._waiting, []
        for loop, future in waiting:
            # A closed loop has no waiting task left.
            if not loop.is_closed():
                loop.call_soon_threadsafe(_set, future)

    def gate(self) -> Done | _Wait | _Rest:
        """What `emit` returns: done without pressure, else a wait for its end.

        Now and then, and always once the turn must end, it gives the adapter's loop a rest, so that
        an interrupt gets in between emits that never wait.
        """
        if self.on:
            return _Wait(self)
        self._gates += 1
        return REST if self._lifted or self._gates % REST_EVERY == 0 else DONE

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


class _Rest(Done):
    def __await__(self) -> Generator[Any, Any, None]:
        yield


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


DONE = Done()
REST = _Rest()
