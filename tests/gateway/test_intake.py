"""How what connections bring is gathered and committed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence

import pytest

from runner_shell.gateway.errors import StoreError
from runner_shell.gateway.runner.errands import Errands
from runner_shell.gateway.runner.intake import Intake
from runner_shell.gateway.sqlite import SqliteStore
from runner_shell.gateway.store import Append, EventRow, Outcome, SessionKey
from runner_shell.gateway.tokens import Principal, Role

from .support import ADMIN, DEADLINE_SECONDS, bench, event, events_frame, row


class CountingStore(SqliteStore):
    """Holds each batch until it is let go, and notes how many sessions each had."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.batches: list[int] = []
        self.noted: list[int] = []
        self.go = asyncio.Event()
        self.go.set()
        self.begun = asyncio.Event()
        self.broken: Exception | None = None

    async def append_frames(self, appends: Sequence[Append]) -> Sequence[Outcome]:
        self.batches.append(len(appends))
        self.begun.set()
        await self.go.wait()
        if self.broken is not None:
            raise self.broken
        return await super().append_frames(appends)

    async def acknowledge_command(self, key: SessionKey, seq: int) -> None:
        self.noted.append(len(self.batches))


class Bringer:
    """Brings what it is given."""

    def __init__(self, key: SessionKey, rows: Sequence[EventRow] = ()) -> None:
        self.key = key
        self.rows = list(rows)
        self.seq: int | None = None
        self.outcomes: list[object] = []
        self.on_settled: Callable[[], None] = lambda: None

    def journaled(self) -> int | None:
        seq, self.seq = self.seq, None
        return seq

    def deposit(self) -> Append | None:
        rows, self.rows = self.rows, []
        return Append(self.key, 1, rows) if rows else None

    def settle(self, append: Append, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self.on_settled()

    def fail(self, error: Exception) -> None:
        self.outcomes.append(error)


def broken_deposit() -> Append | None:
    raise LookupError("a fault of ours")


async def _bringers(store: SqliteStore, count: int) -> list[Bringer]:
    keys = [SessionKey("t", f"s{number}") for number in range(count)]
    for key in keys:
        await store.create_session(key, created_at="2026-11-21T10:00:00Z", metadata={})
        await store.bump_epoch(key, "one")
    return [Bringer(key, [row(1)]) for key in keys]


async def test_what_comes_during_a_commit_is_committed_together() -> None:
    """One alone waits for nobody; those that come while it is committed share the next batch."""
    async with CountingStore() as store:
        errands = Errands()
        intake = Intake(store, errands)
        first, *others = await _bringers(store, 50)
        store.go.clear()
        intake.expect(first)
        await store.begun.wait()
        for other in others:
            intake.expect(other)
            intake.expect(other)  # whoever asks twice is not committed twice
        store.go.set()
        await errands.done()
        assert store.batches == [1, 49]
        assert [one.outcomes for one in (first, *others)] == [[1]] * 50


async def test_the_first_is_handed_over_before_anything_else_is_done() -> None:
    """Where nothing is being committed, what came is with the store when `expect` returns."""
    begun: list[int] = []

    class NotingStore(SqliteStore):
        def append_frames(self, appends: Sequence[Append]) -> Awaitable[Sequence[Outcome]]:
            begun.append(len(appends))
            return super().append_frames(appends)

    async with NotingStore(":memory:") as store:
        errands = Errands()
        intake = Intake(store, errands)
        (one,) = await _bringers(store, 1)
        intake.expect(one)
        assert begun == [1]
        await errands.done()
        assert one.outcomes == [1]


async def test_whose_deposit_fails_holds_nobody_up() -> None:
    """It is told, and what others bring is committed as before."""
    async with CountingStore() as store:
        errands = Errands()
        intake = Intake(store, errands)
        broken, other = await _bringers(store, 2)
        broken.deposit = broken_deposit  # type: ignore[method-assign]
        with pytest.raises(LookupError):
            intake.expect(broken)
        intake.expect(other)
        await errands.done()
        assert other.outcomes == [1]


async def test_only_who_is_not_alone_waits_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """One runner's frames are committed as they come; those of several are gathered first."""
    gathered, waits = asyncio.Event(), []

    async def gather(seconds: float) -> None:
        waits.append(seconds)
        await gathered.wait()

    async with CountingStore() as store, asyncio.timeout(DEADLINE_SECONDS):
        errands = Errands()
        intake = Intake(store, errands)
        one, other = await _bringers(store, 2)
        monkeypatch.setattr("runner_shell.gateway.runner.intake.GATHER_SECONDS", 3600.0)
        monkeypatch.setattr(asyncio, "sleep", gather)
        for seq in range(1, 4):
            one.rows = [row(seq)]
            intake.expect(one)
            await errands.done()
        assert (store.batches, waits) == ([1, 1, 1], [])
        intake.expect(other)
        for _ in range(9):
            await store.saved_state(one.key)  # time enough for a commit
        assert store.batches == [1, 1, 1]
        one.rows = [row(4)]
        intake.expect(one)
        gathered.set()
        await errands.done()
        assert store.batches == [1, 1, 1, 2]
        assert len(waits) == 1
        assert 0 < waits[0] <= 3600


async def test_a_batch_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes beyond waits for the next one; nothing is left behind."""
    monkeypatch.setattr("runner_shell.gateway.runner.intake.BATCH_BYTES", len(row(1).data) * 10)
    async with CountingStore() as store:
        errands = Errands()
        intake = Intake(store, errands)
        bringers = await _bringers(store, 25)
        for one in bringers:
            intake.expect(one)
        await errands.done()
        assert store.batches == [1, 10, 10, 4]
        assert all(one.outcomes == [1] for one in bringers)


async def test_a_command_is_noted_before_the_events_that_came_after_it() -> None:
    """A gateway that dies between the two has not forgotten what was applied."""
    async with CountingStore() as store:
        errands = Errands()
        intake = Intake(store, errands)
        (one,) = await _bringers(store, 1)
        one.seq = 7
        intake.expect(one)
        await errands.done()
        assert (store.noted, store.batches) == ([0], [1])


@pytest.mark.parametrize("error", [StoreError("full"), ArithmeticError("a fault of the store")])
async def test_a_store_that_fails_is_told_to_each_and_asked_again(error: Exception) -> None:
    """Whatever it raises: who was in the batch hears of it, and who comes next is committed."""
    async with CountingStore() as store:
        errands = Errands()
        intake = Intake(store, errands)
        *unlucky, next_one = await _bringers(store, 4)
        store.broken = error
        for one in unlucky:
            intake.expect(one)
        await errands.done()
        assert all(isinstance(one.outcomes[0], StoreError) for one in unlucky)
        store.broken = None
        intake.expect(next_one)
        await errands.done()
        assert next_one.outcomes == [1]


async def test_a_fault_of_one_keeps_no_outcome_from_the_others() -> None:
    """Who cannot deal with its outcome ends; the others get theirs."""
    async with CountingStore() as store:
        errands = Errands()
        intake = Intake(store, errands)
        bringers = await _bringers(store, 3)
        fault = ArithmeticError("a fault")

        def fail() -> None:
            raise fault

        bringers[1].on_settled = fail
        for one in bringers:
            intake.expect(one)
        await errands.done()
        assert [one.outcomes for one in bringers] == [[1], [1, fault], [1]]


async def test_frames_cost_no_task_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of frames of many connections are taken in and committed by a handful of tasks."""
    run, errands = Errands.run, []

    def counted(self: Errands, errand: Coroutine[None, None, None]) -> None:
        errands.append(errand)
        run(self, errand)

    async with bench() as gateway:
        runners = []
        for name in [f"s{number}" for number in range(20)]:
            await gateway.core.create_session(ADMIN, name)
            principal = Principal(name=name, role=Role.RUNNER, tenant="default", session=name)
            runners.append(gateway.dial(principal, name))
            await runners[-1].greet(session=name)
        monkeypatch.setattr(Errands, "run", counted)
        for seq in range(1, 21):
            for runner in runners:
                await runner.say(events_frame(event(seq)))
        for runner in runners:
            await runner.hear_ack(20)
        assert len(errands) < 40
