"""Short tasks that connections set going; the gateway owns them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from ..logs import Log

_log = Log(__name__)


class Errands:
    """Keeps tasks until they are done: what is called by a socket has none of its own to wait in.

    Whoever runs one sees to what it may raise; anything else is a fault, and is told.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, errand: Coroutine[None, None, None]) -> None:
        """Begin this at the loop's next turn."""
        task = asyncio.create_task(errand)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def done(self) -> None:
        """Wait until there are none."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("errand_failed", error=repr(error))
