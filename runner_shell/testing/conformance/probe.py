"""Watches one adapter from inside: emits after the ending, tasks that outlive `close`."""

from __future__ import annotations

from collections.abc import Awaitable

from ...adapter.contract import Adapter, Ending
from ...adapter.turn import Turn
from ...protocol.events import Event, UnknownEvent
from ..order import Finding
from .leftovers import check_tasks


class Probe:
    """Goes around each adapter that a session makes.

    Attributes:
        findings: What was seen so far.
    """

    def __init__(self, *, tell_interrupts: bool) -> None:
        self.findings: list[Finding] = []
        self._tell_interrupts = tell_interrupts
        self._over: set[str] = set()

    def around(self, adapter: Adapter) -> Adapter:
        """Watch this adapter; with `tell_interrupts` false it is not told of any."""
        run, close = adapter.turn, adapter.close

        async def watched_turn(turn: Turn) -> Ending:
            self._watch(turn)
            try:
                return await run(turn)
            finally:
                self._over.add(turn.id)

        async def watched_close() -> None:
            await close()
            self.findings += await check_tasks()

        async def untold(reason: str) -> bool:
            return False

        # Set on the instance, so that the class under test stays as it is.
        vars(adapter).update(turn=watched_turn, close=watched_close)
        if not self._tell_interrupts:
            vars(adapter).update(interrupt=untold)
        return adapter

    def _watch(self, turn: Turn) -> None:
        emit = turn.emit

        def watched_emit(event: Event | UnknownEvent) -> Awaitable[None]:
            if turn.id in self._over:
                self.findings.append(_emitted_late(event))
            return emit(event)

        vars(turn).update(emit=watched_emit)


def _emitted_late(event: Event | UnknownEvent) -> Finding:
    return Finding(
        rule="after_end",
        contract="nothing is emitted after the turn's ending",
        happened=f"{type(event).__name__} was emitted after `turn()` had returned",
        fix="await or cancel every task that emits before `turn()` returns",
    )
