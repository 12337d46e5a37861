"""One thread for the embedded store, and one transaction for everything that waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack, closing
from itertools import compress
from operator import not_
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, NamedTuple

from ...errors import RunnerError
from ..errors import StoreError
from ..store import Append, Outcome
from .database import Database
from .disk import Answers, Disk

MAX_JOBS = 1024
"""How many share a transaction."""


class Job(NamedTuple):
    """Something that is asked of the store.

    Attributes:
        answer: Gets what becomes of it, once it is committed.
        writes: Whether it needs a transaction.
        lasts: Whether it is answered only when a power loss would not take it back.
        work: What to do.
    """

    answer: asyncio.Future[Any]
    writes: bool
    lasts: bool
    work: Callable[[Database], object]


class Committer:
    """Takes jobs in their order; all that wait at the same time are committed together.

    Nobody is answered before the commit. Who asks for what lasts is answered by the `Disk`, and the
    others do not wait for that. A transaction that fails is tried again job by job, and appends one
    by one, so that none takes others down with it.

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

    def do(
        self, work: Callable[[Database], Any], *, writes: bool = False, lasts: bool = False
    ) -> asyncio.Future[Any]:
        """Do this in its turn; the future has what it returns or raises."""
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._jobs.put(Job(answer, writes, lasts, work))
        return answer

    def append(self, appends: Sequence[Append]) -> Awaitable[Sequence[Outcome]]:
        """Commit these in their turn, which is fixed now; see `Store.append_frames`."""
        return self._outcomes(appends, self._append(appends))

    async def _outcomes(
        self, appends: Sequence[Append], together: Awaitable[Sequence[Outcome]]
    ) -> Sequence[Outcome]:
        try:
            return await together
        except Exception:  # noqa: BLE001 — whatever is wrong with one is not the others' fault
            return [await self._by_itself(append) for append in appends]

    async def _by_itself(self, append: Append) -> Outcome:
        try:
            outcomes: Sequence[Outcome] = await self._append([append])
        except Exception as error:  # noqa: BLE001 — it is told to whom it concerns
            return StoreError(f"the store failed: {error}")
        return outcomes[0]

    def _append(self, appends: Sequence[Append]) -> asyncio.Future[Any]:
        return self.do(lambda database: database.append_frames(appends), writes=True)

    # --- on the thread -------------------------------------------------------------------

    def _run(self, opened: asyncio.Future[None]) -> None:
        with ExitStack() as resources:
            try:
                database = resources.enter_context(closing(self._connect()))
                disk = resources.enter_context(Disk(database.file, self._answer))
            except BaseException as error:  # noqa: BLE001 — it is raised where it was asked for
                self._answer([(opened, error)])
                return
            self._answer([(opened, None)])
            self._serve(database, disk)
        self._answer([(self._stopped, None)])

    def _serve(self, database: Database, disk: Disk) -> None:
        going = True
        while going:
            jobs = [self._jobs.get(), *self._waiting()]
            going = None not in jobs
            self._do([job for job in jobs if job is not None], database, disk)

    def _do(self, jobs: Sequence[Job], database: Database, disk: Disk) -> None:
        answers = committed(database, jobs)
        # Whoever reads is told nothing that a power loss could still take back, nor told it first.
        holds = disk.is_asked or (disk.is_there and any(job.lasts for job in jobs))
        held = [
            holds and (job.lasts or not job.writes) and not isinstance(outcome, BaseException)
            for job, (_, outcome) in zip(jobs, answers, strict=True)
        ]
        self._answer(list(compress(answers, map(not_, held))))
        disk.keep(list(compress(answers, held)))
        if any(job.writes for job in jobs):
            disk.committed()
            if disk.wants_the_rest:
                disk.wants_the_rest = False
                database.write_back()

    def _waiting(self) -> list[Job | None]:
        jobs: list[Job | None] = []
        try:
            while len(jobs) < MAX_JOBS:
                jobs.append(self._jobs.get_nowait())
        except Empty:
            pass
        return jobs

    def _answer(self, answers: Answers) -> None:
        if not answers:
            return
        try:
            self._loop.call_soon_threadsafe(_resolve, answers)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more


def committed(database: Database, jobs: Sequence[Job]) -> Answers:
    """Do these jobs in one transaction; where it fails, each in one of its own.

    Returns:
        For each what it gave, or the exception that it raised.
    """
    answers = [job.answer for job in jobs]
    try:
        return list(zip(answers, _in_transaction(database, jobs), strict=True))
    except Exception as error:  # noqa: BLE001 — it is raised where it was asked for
        if len(jobs) <= 1:
            return [(answer, error) for answer in answers]
    return [outcome for job in jobs for outcome in committed(database, [job])]


def _in_transaction(database: Database, jobs: Sequence[Job]) -> list[object]:
    if not any(job.writes for job in jobs):
        return [_outcome(database, job) for job in jobs]
    with database.transaction():
        return [_outcome(database, job) for job in jobs]


def _outcome(database: Database, job: Job) -> object:
    try:
        return job.work(database)
    except RunnerError as error:
        return error


def _resolve(answers: Answers) -> None:
    for answer, outcome in answers:
        if answer.done():
            continue  # whoever asked has gone
        if isinstance(outcome, BaseException):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)
