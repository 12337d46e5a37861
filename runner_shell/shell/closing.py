"""The end of a runner: the adapter closed, `session.finished`, everything acknowledged."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..protocol.events import SessionFinished, Warning_
from .outcome import Verdict, goes_on

if TYPE_CHECKING:
    from .runner import Runner


class Closing:
    """Ends one runner's session in order.

    Args:
        runner: Whose end it is.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._journal = runner.journal
        self._outlet = runner.outlet
        self._host = runner.host
        self._turns = runner.turns
        self._stopping = runner.stopping
        self._delivery = runner.delivery

    async def finish(self, verdict: Verdict) -> Verdict:
        """Say how the session ends; what the process is to return, where that was acknowledged."""
        self._stopping.begin_grace()
        self._runner.begin_nothing_new()
        await self._runner.desk.close()
        await self._close_adapter()
        keeps = self._journal.durable and goes_on(verdict.outcome, verdict.exit_code)
        if not keeps:
            self._runner.requests.cancel()
        self._outlet.close_open_things("", waiting=keeps)
        self._delivery.expect_more()
        self._runner.say(
            SessionFinished(
                outcome=verdict.outcome,
                reason=verdict.reason,
                resumable=self._runner.resumable,
                exit_code=verdict.exit_code,
                usage=self._runner.usage,
                duration_seconds=round(self._runner.uptime_seconds, 6),
            )
        )
        self._runner.say_nothing_more()
        return await self._delivery.finish(verdict)

    async def _close_adapter(self) -> None:
        if self._turns.stuck:
            return
        if self._host.adapter is not None:
            await self._close_framework()
        await self._host.stop(self._stopping.share(0.2))
        self._host.crossing.drain()

    async def _close_framework(self) -> None:
        closing = asyncio.ensure_future(self._host.close())
        done, _ = await asyncio.wait({closing}, timeout=self._stopping.share(0.5))
        if not done:
            self._runner.say(
                Warning_(code="close_slow", message="the adapter's close() took too long")
            )
            closing.cancel()
        elif closing.exception() is not None:
            error = closing.exception()
            self._runner.complain("the adapter's close() raised", error)
            message = f"the adapter's close() raised {type(error).__name__}: {error}"
            self._runner.say(Warning_(code="close_raised", message=message))
