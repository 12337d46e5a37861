"""From what was said to what the gateway has: kept, sent, acknowledged.

What cannot be kept is not sent, so a journal that breaks ends the session.

Source: docs/decisions/0012-kept-before-it-is-sent.md.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress

from ...errors import JournalBroken, RemoteProtocolError
from ...journal import Journal
from ...link.effects import RunnerEffect
from ...link.runner import RunnerLink
from ...transport.driver import Dial, LinkDriver
from .. import outcome as outcomes
from ..outcome import Verdict
from ..stopping import Stopping


class Delivery:
    """Carries one runner's link, and sees to it that all is kept before it goes.

    Args:
        link: The link.
        journal: Where events are kept until they are acknowledged.
        dial: Opens a connection to the gateway.
        stopping: How long the last events may take.
        on_effect: Called with what comes.
        flush: Brings everything that was said into the journal, and the journal to disk.
        stop: Ends the session with a verdict.
        complain: Logs an exception with a sentence of what went wrong.

    Attributes:
        driver: Dials, and carries the link's frames.
    """

    def __init__(
        self,
        link: RunnerLink,
        journal: Journal,
        dial: Dial,
        stopping: Stopping,
        *,
        on_effect: Callable[[RunnerEffect], None],
        flush: Callable[[], None],
        stop: Callable[[Verdict], None],
        complain: Callable[[str, BaseException | None], None],
    ) -> None:
        self.driver = LinkDriver(link, dial, on_effect, before_send=self._flush)
        self._loop = asyncio.get_running_loop()
        self._link = link
        self._journal = journal
        self._stopping = stopping
        self._flush_all = flush
        self._stop = stop
        self._complain = complain
        self._settled = asyncio.Event()
        self._is_over = False

    def kick(self) -> None:
        """Something was said: keep it, and send it, before the loop waits again."""
        self._loop.call_soon(self.deliver)

    def deliver(self) -> None:
        """Keep what was said, then send it; what broke of the journal ends the session."""
        try:
            self._flush()
            self.driver.kick()
        except JournalBroken as error:
            self._on_broken(str(error))

    def commit(self) -> bool:
        """Make everything that was said durable; False where that failed and the session ends."""
        try:
            self._flush()
        except JournalBroken as error:
            self._on_broken(str(error))
            return False
        return True

    def acknowledged(self, seq: int) -> None:
        """Every event up to `seq` is safe at the gateway."""
        self._journal.acknowledged(seq)
        if self._link.settled:
            self._settled.set()

    async def finish(self, verdict: Verdict) -> Verdict:
        """The verdict, or one to be retried where the gateway does not know it in time."""
        self.commit()
        if await self._all_acknowledged():
            self._journal.settle(self._link.acked)
            self.commit()
            return verdict
        # Source: "75 … or the ending was not acknowledged within the grace: retry".
        if verdict.exit_code in (outcomes.BAD_CONFIGURATION, outcomes.SHELL_FAULT):
            return verdict
        reason = f"{verdict.reason or verdict.outcome}; not everything was acknowledged in time"
        return Verdict(outcome=verdict.outcome, reason=reason, exit_code=outcomes.TRANSIENT)

    async def _all_acknowledged(self) -> bool:
        """Whether everything is acknowledged within the grace.

        A session that ended by itself has the grace anew with all progress: nobody told it to go,
        and a long backlog is no reason to lose it.
        """
        while True:
            before = self._link.acked
            if await self._settled_in_time():
                return self._link.settled
            if self._stopping.is_ordered or self._link.acked == before:
                return False
            self._stopping.renew_grace()

    async def _settled_in_time(self) -> bool:
        try:
            async with asyncio.timeout(max(0.05, self._stopping.share(1.0))):
                while not (self._link.settled or self._is_over):
                    self._settled.clear()
                    await self._settled.wait()
        except TimeoutError:
            return False
        return True

    def expect_more(self) -> None:
        """Something is about to be said that has to be acknowledged too."""
        self._settled.clear()

    async def carry(self) -> None:
        """Hold the link until it is closed; what ends it for good ends the session."""
        try:
            await self.driver.run()
        except JournalBroken as error:
            self._on_broken(str(error))
        except RemoteProtocolError as error:
            code = outcomes.BAD_CONFIGURATION
            reason = f"the gateway broke the protocol: {error}"
            self._stop(Verdict(outcome="failed", reason=reason, exit_code=code))
        except Exception as error:  # noqa: BLE001 — the edge of a task: it becomes the verdict
            self._complain("the link failed", error)
            code = outcomes.SHELL_FAULT
            reason = f"the shell failed: {type(error).__name__}: {error}"
            self._stop(Verdict(outcome="failed", reason=reason, exit_code=code))
        finally:
            self._end()

    async def close(self, carrying: asyncio.Task[None]) -> None:
        """Close the connection, and end the task that carries it."""
        await self.driver.close()
        await asyncio.wait({carrying}, timeout=1.0)
        carrying.cancel()

    def give_history_up(self) -> None:
        """Another runner numbers the session's events now: what this one kept must never be sent.

        A next process on this directory then finds that the gateway holds more than it does.
        """
        with suppress(JournalBroken):
            self._journal.begin_anew(1, os.urandom(8).hex(), {}, [], epoch=0)

    def _flush(self) -> None:
        self._flush_all()
        if self._journal.trouble:
            self._on_broken(self._journal.trouble, can_tell=True)

    def _on_broken(self, reason: str, *, can_tell: bool = False) -> None:
        """What cannot be kept must not be sent: the next process says how this one ended."""
        code = outcomes.TRANSIENT
        self._stop(Verdict(outcome="failed", reason=reason, exit_code=code))
        if not can_tell:
            self._end()

    def _end(self) -> None:
        self._is_over = True
        self._settled.set()
