"""Gathers what all connections have received, and has it committed together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from ..errors import RunnerError
from .errands import Errands
from .errors import StoreError
from .store import Append, Outcome, SessionKey, Store

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
            self._committing = True
            self._errands.run(self._commit())

    async def _commit(self) -> None:
        try:
            while self._waiting:
                await self._gather()
                await self._note_journaled()
                await self._commit_batch()
        finally:
            self._committing = False

    async def _gather(self) -> None:
        delay = self._next_at - asyncio.get_running_loop().time()
        if delay > 0 and self._waiting.keys() != {self._alone}:
            await asyncio.sleep(delay)
        self._next_at = asyncio.get_running_loop().time() + GATHER_SECONDS

    async def _note_journaled(self) -> None:
        # Before the events that came after it: whoever applied a command may have been told so.
        noted = [(each, seq) for each in self._waiting if (seq := each.journaled()) is not None]
        if not noted:
            return
        calls = [self._store.acknowledge_command(each.key, seq) for each, seq in noted]
        for (each, _), outcome in zip(
            noted, await asyncio.gather(*calls, return_exceptions=True), strict=True
        ):
            if isinstance(outcome, Exception):
                each.fail(outcome)

    async def _commit_batch(self) -> None:
        batch: list[tuple[Depositor, Append]] = []
        size = 0
        while self._waiting and size < BATCH_BYTES:
            depositor = next(iter(self._waiting))
            del self._waiting[depositor]
            append = depositor.deposit()
            if append is not None:
                batch.append((depositor, append))
                size += sum([len(row.data) for row in append.rows])
        if not batch:
            return
        self._alone = batch[0][0] if len(batch) == 1 else None
        outcomes = await self._outcomes([append for _, append in batch])
        for (depositor, append), outcome in zip(batch, outcomes, strict=True):
            try:
                depositor.settle(append, outcome)
            except Exception as error:  # noqa: BLE001 — the others' outcomes must reach them
                depositor.fail(error)

    async def _outcomes(self, appends: Sequence[Append]) -> Sequence[Outcome]:
        try:
            return await self._store.append_frames(appends)
        except RunnerError as error:
            return [error] * len(appends)
        except Exception as error:  # noqa: BLE001 — see below
            # A store's own fault ends the connections that were to be told, and not the gateway.
            failed = StoreError(f"the store failed: {error!r}")
            failed.__cause__ = error
            return [failed] * len(appends)
