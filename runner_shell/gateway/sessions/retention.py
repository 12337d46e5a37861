"""Deletes sessions whose retention is over, and keeps count of what tenants take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from ..access import MAX_PAGE
from ..errors import StoreError, UnknownSessionError
from ..logs import Log
from ..store import SessionKey, Store
from .directory import Directory
from .live_sessions import LiveSessions

_log = Log(__name__)


class Retention:
    """What a gateway does from time to time.

    Args:
        store: Knows which sessions are over.
        live: Those that are in use.
        directory: Deletes them.
        first_after_seconds: When it is done for the first time: runners that a restart of the
            gateway cut off have that long to come back.
        every_seconds: How long it waits between.
        now: The time of day as RFC 3339.
    """

    def __init__(
        self,
        store: Store,
        live: LiveSessions,
        directory: Directory,
        *,
        first_after_seconds: float,
        every_seconds: float,
        now: Callable[[], str],
    ) -> None:
        self._store = store
        self._live = live
        self._directory = directory
        self._first_after_seconds = first_after_seconds
        self._every_seconds = every_seconds
        self._now = now

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Do it from time to time while the block runs."""
        # No task group: it would wrap whatever the block raises.
        task = asyncio.create_task(self._keep(), name="gateway-maintenance")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def purge(self) -> list[SessionKey]:
        """Delete what is over and has no runner; see `GatewayCore.purge`."""
        connected = self._live.connected()
        for key in connected:
            await self._store.touch(key, self._now())
        purged: list[SessionKey] = []
        for key in await self._store.expired_sessions(self._now(), limit=MAX_PAGE):
            if key not in connected:
                with suppress(UnknownSessionError):  # another gateway was faster
                    await self._directory.delete(key)
                purged.append(key)
        return purged

    async def _keep(self) -> None:
        await asyncio.sleep(self._first_after_seconds)
        while True:
            try:
                for key in await self.purge():
                    _log.info("session_expired", session=key.id)
                await self._live.recount()
            except StoreError as error:
                _log.warning("store_failed", error=str(error))
            await asyncio.sleep(self._every_seconds)
