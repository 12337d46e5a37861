"""Has the disk keep what the embedded store commits, on a thread of its own.

A commit writes to the log beside the file and waits for no disk. What has to wait for it happens
here, so that no commit does: the log is synced before that is answered which must outlive a power
loss, and from time to time what is in it is written back into the file.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from itertools import chain
from queue import Empty, SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Any, Self, TypeAlias

from ..errors import StoreError
from ..logs import Log

Answers: TypeAlias = Sequence[tuple[asyncio.Future[Any], object]]
"""Futures, each with what it is to have."""

WRITE_BACK_SECONDS = 1.0
"""How long after a commit the log is written back, with all that came meanwhile."""

LOG_PAGES = 8000
"""From here on, 32 MiB, the log is to begin anew, which it does once all of it is written back."""

PURSUITS = 4
"""How often at most those commits are written back, too, that came during a writing back: each time
they are fewer, and less is left for the one who commits."""

_log = Log(__name__)


class Disk:
    """The disk below one file in WAL mode; use it with `with`, inside the life of a connection.

    Args:
        file: The store's file, or nothing where there is none: then nothing is to be kept.
        answer: Resolves futures; called on any thread.

    Attributes:
        wants_the_rest: The log is long, and almost all of it is written back. It begins anew when
            the rest is between two commits: only who commits can do that, by `Database.write_back`.
    """

    def __init__(self, file: str, answer: Callable[[Answers], None]) -> None:
        self.wants_the_rest = False
        self._file = file
        self._answer = answer
        self._asked: SimpleQueue[Answers | None] = SimpleQueue()
        self._times_asked = self._times_answered = 0
        self._is_behind = False
        self._thread = Thread(target=self._run, name="gateway-disk", daemon=True)
        self._sql: sqlite3.Connection
        self._log_descriptor = -1

    def __enter__(self) -> Self:
        if self._file:
            # The log stays while there is a connection. No locks are on it that closing could drop.
            self._log_descriptor = os.open(f"{self._file}-wal", os.O_RDONLY | os.O_CLOEXEC)
            self._sql = sqlite3.connect(self._file, isolation_level=None, check_same_thread=False)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file:
            self._asked.put(None)
            self._thread.join()
            self._sql.close()
            os.close(self._log_descriptor)

    @property
    def is_there(self) -> bool:
        """Whether there is one."""
        return bool(self._file)

    @property
    def is_asked(self) -> bool:
        """Whether answers wait for it."""
        return self._times_asked != self._times_answered

    def committed(self) -> None:
        """Write back in a while what was committed."""
        if self._file and not self._is_behind:
            self._is_behind = True
            self._asked.put([])

    def keep(self, answers: Answers) -> None:
        """Give these answers when the disk has what is committed by now, in their order."""
        if answers:
            self._times_asked += 1
            self._asked.put(answers)

    # --- on the thread -------------------------------------------------------------------

    def _run(self) -> None:
        write_back_at: float | None = None
        going = True
        while going:
            asked = self._wait(write_back_at)
            going = None not in asked
            groups = [each for each in asked if each]
            if groups:
                self._answer(self._synced(list(chain.from_iterable(groups))))
                self._times_answered += len(groups)
            now = time.monotonic()
            if write_back_at is not None and now >= write_back_at:
                self._is_behind = False  # before it is looked what there is
                self._write_back()
                write_back_at = None
            if self._is_behind and write_back_at is None:
                write_back_at = now + WRITE_BACK_SECONDS

    def _wait(self, until: float | None) -> list[Answers | None]:
        asked: list[Answers | None] = []
        try:
            timeout = None if until is None else max(0.0, until - time.monotonic())
            asked.append(self._asked.get(timeout=timeout))
            while True:
                asked.append(self._asked.get_nowait())
        except Empty:
            return asked

    def _synced(self, answers: Answers) -> Answers:
        try:
            getattr(os, "fdatasync", os.fsync)(self._log_descriptor)  # macOS has only fsync
        except OSError as error:
            failed = StoreError(f"the disk did not keep {self._file!r}: {error}")
            return [(future, failed) for future, _ in answers]
        return answers

    def _write_back(self) -> None:
        try:
            pages = write_back(self._sql)
            if pages < LOG_PAGES:
                return
            for _ in range(PURSUITS):
                before, pages = pages, write_back(self._sql)
                if pages == before:
                    break
            self.wants_the_rest = True
        except sqlite3.Error as error:
            _log.warning("store_failed", error=f"cannot write back {self._file!r}: {error}")


def write_back(sql: sqlite3.Connection) -> int:
    """Write the log back as far as nobody else is in the way. Returns how many pages it has."""
    _, pages, _ = sql.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return int(pages)
