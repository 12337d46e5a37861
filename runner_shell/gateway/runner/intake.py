"""Gathers what all connections have received, and has it committed together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from time import monotonic
from typing import NamedTuple, Protocol, TypeAlias

from ...errors import RunnerError
from ..errors import StoreError
from ..store import Append, Outcome, SessionKey, Store
from .errands import Errands

BATCH_BYTES = 8 * 1024 * 1024
"""About how much is committed at once; what goes beyond waits for the next time."""


GATHER_SECONDS = 0.02
"""Where several bring something, batches begin no sooner after one another."""


class Depositor(Protocol):
    """Who has something to be committed."""

    @property
    def key(self) -> SessionKey:
        """Its session."""

    def journaled(self) -> int | None:
        """Up to which command its runner has journaled, where that is to be noted."""

    def deposit(self) -> Append | None:
        """What it has by now, if anything; until `settle` it gives no more."""

    def settle(self, append: Append, outcome: Outcome) -> None:
        """What became of its deposit."""

    def fail(self, error: Exception) -> None:
        """What it asked for failed, for this reason."""


_Noted: TypeAlias = list[tuple[Depositor, int]]


class _Batch(NamedTuple):
    """What was handed to the store together, and what becomes of it."""

    deposits: Sequence[tuple[Depositor, Append]]
    outcomes: Awaitable[Sequence[Outcome]]


class Intake:
    """While one batch is committed, the next one gathers: the busier, the larger.

    So a runner alone waits for nothing, a thousand connections with a frame each cost one
    transaction, and no frame costs a task. A transaction costs as much as twenty frames in it:
    where several runners are at it, they wait for each other a little.

    Args:
        store: Where it goes.
        errands: Runs the task that commits, while there is something to commit.
    """

    def __init__(self, store: Store, errands: Errands) -> None:
        self._store = store
        self._errands = errands
        self._waiting: dict[Depositor, None] = {}
        self._committing = False
        self._alone: Depositor | None = None
        self._next_at = 0.0

    def expect(self, depositor: Depositor) -> None:
        """It has something: commit it with whatever else there is by then."""
        self._waiting[depositor] = None
        if not self._committing:
            noted = self._journaled()
            # Handed over before there is a task, which takes longer to begin than that.
            handed_over = None if noted or self._delay() > 0 else self._hand_over()
            self._committing = True  # not before: were something wrong with it, all would wait
            self._errands.run(self._commit(noted, handed_over))

    async def _commit(self, noted: _Noted, handed_over: _Batch | None) -> None:
        try:
            await self._note(noted)
            await self._settle(handed_over)
            while self._waiting:
                if (delay := self._delay()) > 0:
                    await asyncio.sleep(delay)
                await self._note(self._journaled())
                await self._settle(self._hand_over())
        finally:
            self._committing = False

    def _delay(self) -> float:
        if self._waiting.keys() == {self._alone}:
            return 0.0
        return self._next_at - monotonic()

    def _journaled(self) -> _Noted:
        return [(each, seq) for each in self._waiting if (seq := each.journaled()) is not None]

    async def _note(self, noted: _Noted) -> None:
        # Before the events that came after it: whoever applied a command may have been told so.
        if not noted:
            return
        calls = [self._store.acknowledge_command(each.key, seq) for each, seq in noted]
        for (each, _), outcome in zip(
            noted, await asyncio.gather(*calls, return_exceptions=True), strict=True
        ):
            if isinstance(outcome, Exception):
                each.fail(outcome)

    def _hand_over(self) -> _Batch | None:
        deposits: list[tuple[Depositor, Append]] = []
        size = 0
        while self._waiting and size < BATCH_BYTES:
            depositor = next(iter(self._waiting))
            del self._waiting[depositor]
            append = depositor.deposit()
            if append is not None:
                deposits.append((depositor, append))
                size += sum([len(row.data) for row in append.rows])
        if not deposits:
            return None
        self._alone = deposits[0][0] if len(deposits) == 1 else None
        self._next_at = monotonic() + GATHER_SECONDS
        try:
            return _Batch(deposits, self._store.append_frames([append for _, append in deposits]))
        except Exception as error:  # noqa: BLE001 — as where it is awaited
            return _Batch(deposits, _raises(error))

    async def _settle(self, batch: _Batch | None) -> None:
        if batch is None:
            return
        outcomes = await _outcomes(batch)
        for (depositor, append), outcome in zip(batch.deposits, outcomes, strict=True):
            try:
                depositor.settle(append, outcome)
            except Exception as error:  # noqa: BLE001 — the others' outcomes must reach them
                depositor.fail(error)


async def _outcomes(batch: _Batch) -> Sequence[Outcome]:
    try:
        return await batch.outcomes
    except RunnerError as error:
        return [error] * len(batch.deposits)
    except Exception as error:  # noqa: BLE001 — see below
        # A store's own fault ends the connections that were to be told, and not the gateway.
        failed = StoreError(f"the store failed: {error!r}")
        failed.__cause__ = error
        return [failed] * len(batch.deposits)


async def _raises(error: Exception) -> Sequence[Outcome]:
    raise error
