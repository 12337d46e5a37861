"""What the embedded store has on the disk, and who waits for that."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runner_shell.gateway.embedded import disk
from runner_shell.gateway.embedded.database import Database
from runner_shell.gateway.errors import StoreError
from runner_shell.gateway.sqlite import SqliteStore
from runner_shell.gateway.store import SessionKey
from runner_shell.gateway.tokens import Role, issue

from .support import DEADLINE_SECONDS, KEY, row

CREATED = "2026-11-21T09:00:00.000+00:00"
OTHER = SessionKey("default", "other")
TOKEN, RECORD = issue(Role.ADMIN, "default")


async def _session(store: SqliteStore, key: SessionKey = KEY) -> int:
    await store.create_session(key, created_at=CREATED, metadata={})
    return await store.bump_epoch(key, "one")


async def _create(store: SqliteStore) -> object:
    return await store.create_session(OTHER, created_at=CREATED, metadata={})


async def _command(store: SqliteStore) -> object:
    return await store.add_command(KEY, "c1", "ada", "d", lambda seq: b"{}")


LASTING: dict[str, tuple[Callable[[SqliteStore], Awaitable[object]], str]] = {
    "an epoch": (
        lambda store: store.bump_epoch(KEY, "two"),
        "SELECT 1 FROM sessions WHERE epoch = 2 AND instance = 'two'",
    ),
    "a command": (_command, "SELECT 1 FROM commands WHERE id = 'c1'"),
    "a session": (_create, "SELECT 1 FROM sessions WHERE id = 'other'"),
    "a deletion": (
        lambda store: store.delete_session(KEY),
        "SELECT NOT EXISTS (SELECT 1 FROM sessions)",
    ),
    "a token": (lambda store: store.put_token(RECORD), "SELECT 1 FROM tokens"),
}


@pytest.mark.parametrize("what", LASTING)
async def test_a_power_loss_takes_back_nothing_of_these(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the disk was last asked to keep before the answer has it: no epoch is given twice."""
    path, kept = tmp_path / "gateway.db", tmp_path / "kept"
    kept.mkdir()
    sync, log = os.fdatasync, _log_of(path)

    def noted(descriptor: int) -> None:
        assert os.path.samestat(os.fstat(descriptor), log.stat())
        for file in (path, log):
            shutil.copy(file, kept)
        sync(descriptor)

    async with SqliteStore(path) as store:
        await _session(store)
        await store.append_events(KEY, 1, [row(1)])
        monkeypatch.setattr(os, "fdatasync", noted)
        ask, query = LASTING[what]
        await ask(store)
        monkeypatch.undo()
    after = sqlite3.connect(kept / "gateway.db")
    assert after.execute(query).fetchone() == (1,)
    after.close()


async def test_a_commit_waits_for_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the disk takes its time over an epoch, events are committed; readers wait."""
    asked, go = threading.Event(), threading.Event()

    def slow(descriptor: int) -> None:
        asked.set()
        assert go.wait(DEADLINE_SECONDS)

    async with asyncio.timeout(DEADLINE_SECONDS), SqliteStore(tmp_path / "gateway.db") as store:
        await _session(store)
        monkeypatch.setattr(os, "fdatasync", slow)
        second = asyncio.create_task(store.bump_epoch(KEY, "two"))
        try:
            assert await asyncio.to_thread(asked.wait, DEADLINE_SECONDS)
            for seq in (1, 2, 3):
                assert await store.append_events(KEY, 2, [row(seq)]) == seq
            told = asyncio.create_task(store.get_session(KEY))
            for _ in range(3):
                await store.touch(KEY, CREATED)  # time enough for it to be read
            assert not second.done()
            assert not told.done()
        finally:
            go.set()
        assert await second == 2
        assert (await told).epoch == 2


@pytest.mark.parametrize("call", ["fdatasync", "fsync"])
async def test_what_the_disk_does_not_keep_is_not_answered_as_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """It fails, says why, and what is asked for later does not fail with it.

    Whichever of the two calls the system has.
    """

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    async with SqliteStore(tmp_path / "gateway.db") as store:
        await _session(store)
        with monkeypatch.context() as patch:
            patch.delattr(os, "fdatasync")
            patch.setattr(os, call, full, raising=False)
            with pytest.raises(StoreError, match="No space left on device"):
                await store.bump_epoch(KEY, "two")
        assert await store.bump_epoch(KEY, "three") == 3


async def test_commits_are_not_held_up_by_writing_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No commit writes the log back, however long it is, or waits for who does."""
    asked, go = threading.Event(), threading.Event()
    monkeypatch.setattr("runner_shell.gateway.embedded.disk.WRITE_BACK_SECONDS", 0.0)
    write_back = disk.write_back

    def slow(sql: sqlite3.Connection) -> int:
        asked.set()
        assert go.wait(DEADLINE_SECONDS)
        return write_back(sql)

    path, size = tmp_path / "gateway.db", 12 * 1024 * 1024
    async with asyncio.timeout(DEADLINE_SECONDS), SqliteStore(path) as store:
        await _session(store)
        monkeypatch.setattr(disk, "write_back", slow)
        try:
            await store.touch(KEY, CREATED)
            assert await asyncio.to_thread(asked.wait, DEADLINE_SECONDS)
            await store.append_events(KEY, 1, [row(1, message="x" * size)])
            assert await store.append_events(KEY, 1, [row(2)]) == 2
            assert _size(path) < size < _size(_log_of(path))
        finally:
            go.set()


async def test_what_is_committed_is_written_back_before_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has to ask: the file alone, without its log, comes to have the last event."""
    monkeypatch.setattr("runner_shell.gateway.embedded.disk.WRITE_BACK_SECONDS", 0.001)
    path, copy = tmp_path / "gateway.db", tmp_path / "copy.db"
    query = "SELECT last_event FROM heads"
    async with asyncio.timeout(DEADLINE_SECONDS), SqliteStore(path) as store:
        await _session(store)
        for seq in (1, 2):
            await store.append_events(KEY, 1, [row(seq)])
            while True:
                shutil.copy(path, copy)
                alone = sqlite3.connect(f"file:{copy}?immutable=1", uri=True)
                try:
                    if alone.execute(query).fetchall() == [(seq,)]:
                        break
                except sqlite3.DatabaseError:
                    pass  # it was being written when it was copied, or has no tables yet
                finally:
                    alone.close()
                await asyncio.sleep(0)


class Chase:
    """Sees to it that a transaction is going on whenever the disk's thread writes back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._is_wanted, self._is_open = threading.Event(), threading.Event()
        self._is_written_back = threading.Event()
        self._write_back, self._transaction = disk.write_back, Database.transaction
        monkeypatch.setattr(disk, "write_back", self._within_one)
        monkeypatch.setattr(Database, "transaction", lambda database: self._long(database))

    def end(self) -> None:
        """Let whoever waits for one more transaction go on."""
        self._is_open.set()

    def _within_one(self, sql: sqlite3.Connection) -> int:
        self._is_wanted.set()
        assert self._is_open.wait(DEADLINE_SECONDS)
        self._is_open.clear()
        self._is_wanted.clear()
        pages = self._write_back(sql)
        self._is_written_back.set()
        return pages

    @contextmanager
    def _long(self, database: Database) -> Iterator[None]:
        with self._transaction(database):
            yield
            if self._is_wanted.is_set():
                self._is_written_back.clear()
                self._is_open.set()
                assert self._is_written_back.wait(DEADLINE_SECONDS)


async def test_the_log_begins_anew_though_commits_never_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where each writing back is overtaken by another commit: it does not grow for ever."""
    monkeypatch.setattr("runner_shell.gateway.embedded.disk.WRITE_BACK_SECONDS", 0.0)
    monkeypatch.setattr("runner_shell.gateway.embedded.disk.LOG_PAGES", 50)
    path, seq = tmp_path / "gateway.db", 0
    async with SqliteStore(path) as store:
        await _session(store)
        begun = {_generation(path)}
        chase = Chase(monkeypatch)
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                while len(begun) < 3:
                    seq += 1
                    await store.append_events(KEY, 1, [row(seq)])
                    begun.add(_generation(path))
        finally:
            monkeypatch.undo()
            chase.end()
        assert len((await store.read_events(KEY, limit=seq + 9)).events) == seq


def _log_of(path: Path) -> Path:
    return Path(f"{path}-wal")


def _size(path: Path) -> int:
    return path.stat().st_size


def _generation(path: Path) -> bytes:
    """What SQLite changes in the log's head whenever the log begins anew."""
    with _log_of(path).open("rb") as log:
        return log.read(24)[16:]
