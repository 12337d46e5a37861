"""The embedded store: one SQLite file, or memory, behind one thread of its own."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, Self, TypeVar
from urllib.parse import quote

from ..errors import ConfigurationError, TransportClosed
from ..protocol.events import JSON
from .database import Database
from .errors import StoreError
from .store import CommandReceipt, CommandRow, EventRow, SessionKey, SessionRecord
from .tokens import TokenRecord

P = ParamSpec("P")
T = TypeVar("T")

MEMORY = ":memory:"


class SqliteStore:
    """A `Store` in one SQLite file that only its owner can read; use it with `async with`.

    Calls run in their order on one thread, so that the event loop never waits for the disk.
    The file is in WAL mode: others can read it meanwhile.

    Args:
        path: The file, made where it is missing; `":memory:"` keeps everything in this process.
    """

    def __init__(self, path: str | os.PathLike[str], *, _readonly: bool = False) -> None:
        self._path = os.fspath(path)
        self._readonly = _readonly
        self._thread: ThreadPoolExecutor | None = None
        self._database: Database | None = None

    @classmethod
    def open_readonly(cls, path: str | os.PathLike[str]) -> Self:
        """A store on an existing file that reads only; a gateway may be using the file."""
        return cls(path, _readonly=True)

    async def open(self) -> None:
        """Open the file.

        Raises:
            ConfigurationError: It cannot be opened, is no store, or is a newer version's.
        """
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="gateway-store")
        connect = _connect_readonly if self._readonly else _connect
        loop = asyncio.get_running_loop()
        try:
            self._database = await loop.run_in_executor(self._thread, connect, self._path)
        except BaseException as error:
            self._thread.shutdown()
            if isinstance(error, OSError | sqlite3.Error):
                raise ConfigurationError(
                    f"cannot open the store {self._path!r}: {error}"
                ) from error
            raise

    async def close(self) -> None:
        """Finish what was asked for, then close the file. Closing twice does nothing."""
        thread, database = self._thread, self._database
        self._thread = self._database = None
        if thread is None or database is None:
            return
        try:
            await asyncio.get_running_loop().run_in_executor(thread, database.close)
        finally:
            thread.shutdown(wait=False)

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

    async def create_session(
        self, key: SessionKey, *, created_at: str, metadata: dict[str, JSON]
    ) -> SessionRecord:
        """See `Store.create_session`."""
        return await self._call(Database.create_session, key, created_at, metadata)

    async def get_session(self, key: SessionKey) -> SessionRecord:
        """See `Store.get_session`."""
        return await self._call(Database.get_session, key)

    async def list_sessions(
        self, tenant: str, *, limit: int, after: str = ""
    ) -> list[SessionRecord]:
        """See `Store.list_sessions`."""
        return await self._call(Database.list_sessions, tenant, limit, after)

    async def bump_epoch(self, key: SessionKey, instance: str) -> int:
        """See `Store.bump_epoch`."""
        return await self._call(Database.bump_epoch, key, instance)

    async def touch(self, key: SessionKey, seen_at: str) -> None:
        """See `Store.touch`."""
        await self._call(Database.touch, key, seen_at)

    async def append_events(self, key: SessionKey, epoch: int, rows: Sequence[EventRow]) -> int:
        """See `Store.append_events`."""
        return await self._call(Database.append_events, key, epoch, rows)

    async def read_events(
        self, key: SessionKey, *, since: int = 0, limit: int, types: Collection[str] | None = None
    ) -> list[bytes]:
        """See `Store.read_events`. Without `types` a page costs the same wherever it begins."""
        return await self._call(Database.read_events, key, since, limit, types)

    async def add_command(
        self, key: SessionKey, command_id: str, by: str, encode: Callable[[int], bytes]
    ) -> CommandReceipt:
        """See `Store.add_command`."""
        return await self._call(Database.add_command, key, command_id, by, encode)

    async def commands_after(self, key: SessionKey, seq: int, *, limit: int) -> list[CommandRow]:
        """See `Store.commands_after`."""
        return await self._call(Database.commands_after, key, seq, limit)

    async def acknowledge_command(self, key: SessionKey, seq: int) -> None:
        """See `Store.acknowledge_command`."""
        await self._call(Database.acknowledge_command, key, seq)

    async def saved_state(self, key: SessionKey) -> dict[str, JSON]:
        """See `Store.saved_state`."""
        return await self._call(Database.saved_state, key)

    async def open_requests(self, key: SessionKey) -> tuple[dict[str, JSON], ...]:
        """See `Store.open_requests`."""
        return await self._call(Database.open_requests, key)

    async def put_token(self, record: TokenRecord) -> None:
        """See `Store.put_token`."""
        await self._call(Database.put_token, record)

    async def find_token(self, token_hash: str) -> TokenRecord | None:
        """See `Store.find_token`."""
        return await self._call(Database.find_token, token_hash)

    # `Concatenate[Database, P]` would need every method's keywords repeated at the call.
    async def _call(self, work: Callable[..., T], *args: object) -> T:
        if self._thread is None or self._database is None:
            raise TransportClosed("the store is not open")
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, work, self._database, *args)
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
    return _checked(connection, Database.check_version)


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
