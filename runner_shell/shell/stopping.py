"""The order to end, and how long everything may still take from then on."""

from __future__ import annotations

import asyncio
from typing import Any

from .outcome import Verdict


class Stopping:
    """The first order to end a session counts, and begins the grace.

    Construct it on the loop that runs the session.

    Args:
        grace_seconds: From the order to the end of the process.

    Attributes:
        ordered: The verdict, once the session must end now.
    """

    def __init__(self, grace_seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._grace_seconds = grace_seconds
        self._until: float | None = None
        self.ordered: asyncio.Future[Verdict] = self._loop.create_future()

    @property
    def is_ordered(self) -> bool:
        """Whether the session must end now."""
        return self.ordered.done()

    @property
    def verdict(self) -> Verdict:
        """What was ordered; ask `is_ordered` first."""
        return self.ordered.result()

    def verdict_or(self, verdict: Verdict) -> Verdict:
        """What was ordered, or else this."""
        return self.ordered.result() if self.ordered.done() else verdict

    def order(self, verdict: Verdict) -> bool:
        """End the session now, with this verdict; False where an order came before."""
        if self.ordered.done():
            return False
        self.renew_grace()
        self.ordered.set_result(verdict)
        return True

    def begin_grace(self) -> None:
        """The session ends by itself; where it was ordered to, the grace runs already."""
        if self._until is None:
            self.renew_grace()

    def renew_grace(self) -> None:
        """The whole grace, from now on."""
        self._until = self._loop.time() + self._grace_seconds

    def share(self, share: float) -> float:
        """A share of the grace, or of what is left of it once the process must end."""
        left = self._grace_seconds
        if self._until is not None:
            left = max(0.0, self._until - self._loop.time())
        return left * share

    async def first_of(self, awaited: asyncio.Future[Any], seconds: float | None = None) -> bool:
        """Whether it was done before a stop came and before the time was over."""
        await asyncio.wait(
            {awaited, self.ordered}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        return awaited.done()
