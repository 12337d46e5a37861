"""The embedded store: one SQLite file, or memory, behind one thread of its own."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote

from ..errors import ConfigurationError, TransportClosed
from ..protocol.events import JSON
from .embedded.committer import Committer
from .embedded.database import Database
from .errors import StoreError
from .store import (
    Append,
    CommandReceipt,
    CommandRow,
    EventPage,
    OpenRequest,
    Outcome,
    SessionKey,
    SessionRecord,
    Store,
    Usage,
)
from .tokens import TokenRecord

T = TypeVar("T")

MEMORY = ":memory:"


class SqliteStore(Store):
    """A `Store` in one SQLite file that only its owner can read; use it with `async with`.

    Calls run in their order on one thread, so that the event loop never waits for the disk, and all
    that wait share a transaction. The file is in WAL mode: others can read it meanwhile. A crash of
    the gateway loses nothing that was answered. A crash of the machine may take the last moments of
    what runners stream: events, and up to where commands are journaled. All else lasts when it is
    answered: epochs, commands, sessions made or deleted, tokens.

    Args:
        path: The file, made where it is missing; `":memory:"` keeps everything in this process.
    """

    def __init__(self, path: str | os.PathLike[str], *, _readonly: bool = False) -> None:
        self._path = os.fspath(path)
        self._readonly = _readonly
        self._committer: Committer | None = None

    @classmethod
    def open_readonly(cls, path: str | os.PathLike[str]) -> Self:
        """A store on an existing file that reads only; a gateway may be using the file."""
        return cls(path, _readonly=True)

    async def open(self) -> None:
        """Open the file; one that an earlier version wrote is brought up to date.

        Raises:
            ConfigurationError: It cannot be opened, is no store, or is a newer version's.
        """
        connect = _connect_readonly if self._readonly else _connect
        committer = Committer(lambda: connect(self._path))
        try:
            await committer.start()
        except (OSError, sqlite3.Error) as error:
            raise ConfigurationError(f"cannot open the store {self._path!r}: {error}") from error
        self._committer = committer

    async def close(self) -> None:
        """Finish what was asked for, then close the file. Closing twice does nothing."""
        committer, self._committer = self._committer, None
        if committer is not None:
            await committer.stop()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    # --- sessions ------------------------------------------------------------------------

    async def create_session(
        self,
        key: SessionKey,
        *,
        created_at: str,
        metadata: dict[str, JSON],
        retention_seconds: int | None = None,
    ) -> SessionRecord:
        """See `Store.create_session`."""
        return await self._write(
            lambda db: db.create_session(key, created_at, metadata, retention_seconds)
        )

    async def get_session(self, key: SessionKey) -> SessionRecord:
        """See `Store.get_session`."""
        return await self._read(lambda db: db.get_session(key))

    async def list_sessions(
        self, tenant: str, *, limit: int, after: str = ""
    ) -> list[SessionRecord]:
        """See `Store.list_sessions`."""
        return await self._read(lambda db: db.list_sessions(tenant, limit, after))

    async def delete_session(self, key: SessionKey) -> None:
        """See `Store.delete_session`."""
        await self._write(lambda db: db.delete_session(key))

    async def expired_sessions(self, now: str, *, limit: int) -> list[SessionKey]:
        """See `Store.expired_sessions`."""
        return await self._read(lambda db: db.expired_sessions(now, limit))

    async def usage(self, tenant: str) -> Usage:
        """See `Store.usage`."""
        return await self._read(lambda db: db.usage(tenant))

    async def bump_epoch(self, key: SessionKey, instance: str) -> int:
        """See `Store.bump_epoch`."""
        return await self._write(lambda db: db.bump_epoch(key, instance))

    async def touch(self, key: SessionKey, seen_at: str) -> None:
        """See `Store.touch`."""
        await self._write(lambda db: db.touch(key, seen_at), lasts=False)

    # --- events --------------------------------------------------------------------------

    def append_frames(self, appends: Sequence[Append]) -> Awaitable[Sequence[Outcome]]:
        """See `Store.append_frames`."""
        return self._outcomes(self._opened().append(appends))

    async def _outcomes(self, outcomes: Awaitable[Sequence[Outcome]]) -> Sequence[Outcome]:
        with self._failures():
            return await outcomes

    async def read_events(
        self, key: SessionKey, *, since: int = 0, limit: int, types: Collection[str] | None = None
    ) -> EventPage:
        """See `Store.read_events`. What a page costs at most is the same wherever it begins."""
        return await self._read(lambda db: db.read_events(key, since, limit, types))

    # --- commands ------------------------------------------------------------------------

    async def add_command(
        self,
        key: SessionKey,
        command_id: str,
        by: str,
        digest: str,
        encode: Callable[[int], bytes],
    ) -> CommandReceipt:
        """See `Store.add_command`."""
        return await self._write(lambda db: db.add_command(key, command_id, by, digest, encode))

    async def commands_after(self, key: SessionKey, seq: int, *, limit: int) -> list[CommandRow]:
        """See `Store.commands_after`."""
        return await self._read(lambda db: db.commands_after(key, seq, limit))

    async def get_command(self, key: SessionKey, command_id: str) -> CommandRow:
        """See `Store.get_command`."""
        return await self._read(lambda db: db.get_command(key, command_id))

    async def acknowledge_command(self, key: SessionKey, seq: int) -> None:
        """See `Store.acknowledge_command`."""
        await self._write(lambda db: db.acknowledge_command(key, seq), lasts=False)

    # --- state and requests --------------------------------------------------------------

    async def saved_state(self, key: SessionKey) -> dict[str, JSON]:
        """See `Store.saved_state`."""
        return await self._read(lambda db: db.saved_state(key))

    async def open_requests(
        self,
        tenant: str,
        *,
        session: str | None = None,
        after: tuple[str, int] = ("", 0),
        limit: int,
    ) -> list[OpenRequest]:
        """See `Store.open_requests`."""
        return await self._read(lambda db: db.open_requests(tenant, session, after, limit))

    # --- tokens --------------------------------------------------------------------------

    async def put_token(self, record: TokenRecord) -> None:
        """See `Store.put_token`."""
        await self._write(lambda db: db.put_token(record))

    async def find_token(self, token_hash: str) -> TokenRecord | None:
        """See `Store.find_token`."""
        return await self._read(lambda db: db.find_token(token_hash))

    # --- how -----------------------------------------------------------------------------

    async def _read(self, work: Callable[[Database], T]) -> T:
        with self._failures():
            found: T = await self._opened().do(work)
            return found

    async def _write(self, work: Callable[[Database], T], *, lasts: bool = True) -> T:
        with self._failures():
            done: T = await self._opened().do(work, writes=True, lasts=lasts)
            return done

    def _opened(self) -> Committer:
        if self._committer is None:
            raise TransportClosed("the store is not open")
        return self._committer

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"the store {self._path!r} failed: {error}") from error


def _connect(path: str) -> Database:
    if path != MEMORY:
        _make_private(path)
    connection = sqlite3.connect(path, isolation_level=None, timeout=10.0)
    return _checked(connection, Database.prepare)


def _connect_readonly(path: str) -> Database:
    uri = f"file:{quote(str(Path(path).absolute()))}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=10.0)
    return _checked(connection, Database.prepare_reading)


def _checked(connection: sqlite3.Connection, check: Callable[[Database], object]) -> Database:
    database = Database(connection)
    try:
        check(database)
    except BaseException:
        database.close()
        raise
    return database


def _make_private(path: str) -> None:
    # SQLite gives the files beside it (-wal, -shm) the mode of the main one.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
