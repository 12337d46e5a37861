"""What is still to be run, and how the session ends when that is nothing."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from ..adapter.contract import Ending
from .outcome import Verdict
from .turns import Work


class Agenda:
    """The turns that wait, one after the other.

    Args:
        interactive: Whether the session waits for messages when nothing is left.
        has_open: Whether a question is open whose answer may bring a turn.

    Attributes:
        last: How the last turn ended, or None before the first.
        ending_asked: Whether the session is to end when the turns are done.
    """

    def __init__(self, *, interactive: bool, has_open: Callable[[], bool]) -> None:
        self._interactive = interactive
        self._has_open = has_open
        self._queue: deque[Work] = deque()
        self._news = asyncio.Event()
        self.last: Ending | None = None
        self.ending_asked = False

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, work: Work) -> None:
        """Run a turn when its time comes."""
        self._queue.append(work)
        self.wake()

    def add_first(self, work: Work) -> None:
        """Run a turn before all others."""
        self._queue.appendleft(work)

    def extend(self, works: Iterable[Work]) -> None:
        """Run these turns, in order, after the others."""
        self._queue.extend(works)

    def next(self) -> Work:
        """Take the next turn; there is one."""
        return self._queue.popleft()

    def has_cause(self, cause: str) -> bool:
        """Whether a turn with this cause waits."""
        return any(work.cause == cause for work in self._queue)

    def end_after_work(self) -> None:
        """End the session when the queued turns are done."""
        self.ending_asked = True
        self.wake()

    def wake(self) -> None:
        """Something has changed: look again."""
        self._news.set()

    async def wait(self, seconds: float | None) -> bool:
        """Wait for something to do; False when the time is over."""
        self._news.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return False
        return True

    @property
    def is_over(self) -> bool:
        """Whether nothing can come any more, once the queue is empty."""
        return self.ending_asked or not (self._interactive or self._has_open())

    @property
    def has_nothing_to_do(self) -> bool:
        """Whether the session ends here, unless a turn is running."""
        return not self._queue and self.is_over

    def natural_end(self) -> Verdict:
        """How a session ends that nobody stopped."""
        ending = self.last
        if ending is None:
            return Verdict.of("completed", "the session ended without a turn")
        if self._has_open() and not self.ending_asked:
            return Verdict.of("waiting", ending.reason)
        if ending.outcome == "waiting" and self.ending_asked:
            return Verdict.of("stopped", "the session was ended while a question was open")
        return Verdict.of(ending.outcome, ending.reason)

    def idle_end(self, seconds: float | None) -> Verdict:
        """How a session ends that had nothing to do for so long."""
        verdict = self.natural_end()
        if verdict.outcome in ("completed", "waiting"):
            return Verdict.of(verdict.outcome, f"nothing to do for {seconds:g} s")
        return verdict
