"""One thread for the embedded store, and one transaction for everything that waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import groupby
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, NamedTuple, TypeAlias

from ..errors import RunnerError
from .database import Database
from .history import Append

MAX_JOBS = 1024
"""How many share a transaction."""

Outcome: TypeAlias = Any
"""What a job gave, or the exception that it raised."""


class Job(NamedTuple):
    """Something that is asked of the store.

    Attributes:
        answer: Gets what becomes of it, once it is committed.
        writes: Whether it needs a transaction.
        work: What to do; None for an append, of which many are done as one.
        append: The frame, for an append.
    """

    answer: asyncio.Future[Any]
    writes: bool
    work: Callable[[Database], object] | None
    append: Append | None = None


class Committer:
    """Takes jobs in their order; all that wait at the same time are committed together.

    So a thousand runners with a frame each cost one transaction, and a frame alone waits for
    nothing. Nobody is answered before the commit. A transaction that fails is tried again job by
    job, so that none takes others down with it.

    Args:
        connect: Opens the database; called on the thread.
    """

    def __init__(self, connect: Callable[[], Database]) -> None:
        self._connect = connect
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._loop: asyncio.AbstractEventLoop
        self._stopped: asyncio.Future[None]

    async def start(self) -> None:
        """Open the database. Raises what `connect` raises."""
        self._loop = asyncio.get_running_loop()
        self._stopped = self._loop.create_future()
        opened = self._loop.create_future()
        Thread(target=self._run, args=(opened,), name="gateway-store", daemon=True).start()
        await opened

    async def stop(self) -> None:
        """Do what was asked for, then close the database."""
        self._jobs.put(None)
        await self._stopped

    async def do(self, work: Callable[[Database], Any], *, writes: bool) -> Any:
        """Do this in its turn; raises what it raises."""
        return await self._put(writes=writes, work=work)

    async def append(self, append: Append) -> int:
        """Commit a frame in its turn; see `Store.append_events`."""
        last: int = await self._put(writes=True, append=append)
        return last

    def _put(
        self,
        *,
        writes: bool,
        work: Callable[[Database], Any] | None = None,
        append: Append | None = None,
    ) -> asyncio.Future[Any]:
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._jobs.put(Job(answer, writes, work, append))
        return answer

    # --- on the thread -------------------------------------------------------------------

    def _run(self, opened: asyncio.Future[None]) -> None:
        try:
            database = self._connect()
        except BaseException as error:  # noqa: BLE001 — it is raised where it was asked for
            self._answer([(opened, error)])
            return
        self._answer([(opened, None)])
        going = True
        while going:
            jobs = [self._jobs.get(), *self._waiting()]
            going = None not in jobs
            self._answer(committed(database, [job for job in jobs if job is not None]))
        database.close()
        self._answer([(self._stopped, None)])

    def _waiting(self) -> list[Job | None]:
        jobs: list[Job | None] = []
        try:
            while len(jobs) < MAX_JOBS:
                jobs.append(self._jobs.get_nowait())
        except Empty:
            pass
        return jobs

    def _answer(self, answers: Sequence[tuple[asyncio.Future[Any], Outcome]]) -> None:
        try:
            self._loop.call_soon_threadsafe(_resolve, answers)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more


def committed(database: Database, jobs: Sequence[Job]) -> list[tuple[asyncio.Future[Any], Outcome]]:
    """Do these jobs in one transaction; where it fails, each in one of its own."""
    answers = [job.answer for job in jobs]
    try:
        return list(zip(answers, _in_transaction(database, jobs), strict=True))
    except Exception as error:  # noqa: BLE001 — it is raised where it was asked for
        if len(jobs) <= 1:
            return [(answer, error) for answer in answers]
    return [outcome for job in jobs for outcome in committed(database, [job])]


def _in_transaction(database: Database, jobs: Sequence[Job]) -> list[Outcome]:
    if not any(job.writes for job in jobs):
        return _outcomes(database, jobs)
    with database.transaction():
        return _outcomes(database, jobs)


def _outcomes(database: Database, jobs: Sequence[Job]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for work, group in groupby(jobs, key=lambda job: job.work):
        if work is None:
            frames = [job.append for job in group if job.append is not None]
            outcomes.extend(database.append_events(frames))
        else:
            outcomes.extend(_outcome(database, work) for _ in group)
    return outcomes


def _outcome(database: Database, work: Callable[[Database], object]) -> Outcome:
    try:
        return work(database)
    except RunnerError as error:
        return error


def _resolve(answers: Sequence[tuple[asyncio.Future[Any], Outcome]]) -> None:
    for answer, outcome in answers:
        if answer.done():
            continue  # whoever asked has gone
        if isinstance(outcome, BaseException):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)
