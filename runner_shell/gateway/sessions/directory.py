"""Sessions by their ids: made, looked up, deleted, with the status that is derived for each."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Collection
from datetime import datetime

from ...protocol.events import JSON
from ...protocol.frames import CloseCode
from ..access import MAX_PAGE
from ..errors import InvalidInputError
from ..store import SessionKey, SessionRecord, Store
from .information import (
    MAX_RETENTION_SECONDS,
    SESSION_ID,
    SessionInfo,
    SessionPage,
    Status,
    has_metadata,
    rfc3339,
    session_info,
)
from .live_sessions import LiveSessions

MAX_SCAN = 10_000
"""How many sessions one filtered page looks at before it says "there may be more"."""

_SESSION_ID = re.compile(SESSION_ID)


class Directory:
    """All sessions of a store; whoever calls has asked whether the caller may.

    Args:
        store: Where they are kept.
        live: Those that someone is connected to.
        lost_after_seconds: For how long a session without its runner counts as `disconnected`.
        wall_clock: The time of day, with its zone.
    """

    def __init__(
        self,
        store: Store,
        live: LiveSessions,
        *,
        lost_after_seconds: float,
        wall_clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._live = live
        self._lost_after_seconds = lost_after_seconds
        self._wall_clock = wall_clock
        self._started_at = wall_clock()

    async def create(
        self,
        tenant: str,
        session_id: str | None,
        metadata: dict[str, JSON],
        retention_seconds: int | None,
    ) -> SessionInfo:
        """Add a session; see `GatewayCore.create_session`."""
        name = secrets.token_hex(8) if session_id is None else session_id
        _demand_sound(name, retention_seconds)
        async with self._live.room_for_a_session(tenant):
            record = await self._store.create_session(
                SessionKey(tenant, name),
                created_at=rfc3339(self._wall_clock()),
                metadata=metadata,
                retention_seconds=retention_seconds,
            )
        return self.info(record)

    async def page(
        self,
        tenant: str,
        *,
        limit: int,
        after: str,
        statuses: Collection[Status] | None,
        metadata: dict[str, str],
    ) -> SessionPage:
        """Some of a tenant's sessions; see `GatewayCore.session_page`."""
        found: list[SessionInfo] = []
        for _ in range(-(-MAX_SCAN // MAX_PAGE)):
            records = await self._store.list_sessions(tenant, limit=MAX_PAGE, after=after)
            for info in map(self.info, records):
                if statuses is not None and info.status not in statuses:
                    continue
                if not has_metadata(info, metadata):
                    continue
                if len(found) == limit:
                    return SessionPage(sessions=found, next=found[-1].id)
                found.append(info)
            if len(records) < MAX_PAGE:
                return SessionPage(sessions=found, next=None)
            after = records[-1].key.id
        return SessionPage(sessions=found, next=after)

    async def get(self, key: SessionKey) -> SessionInfo:
        """One session. Raises `UnknownSessionError` where there is none."""
        return self.info(await self._store.get_session(key))

    async def delete(self, key: SessionKey) -> None:
        """Remove a session with all that belongs to it; a connected runner is closed for good."""
        await self._store.delete_session(key)
        await self._live.deleted(key)
        live = self._live.forget(key)
        if live is not None and live.connection is not None:
            reason = f"session {key.id!r} was deleted"
            await live.connection.fence(CloseCode.SESSION_DELETED, reason)

    def info(self, record: SessionRecord) -> SessionInfo:
        """What is shown of a session."""
        return session_info(record, self._status(record), self._wall_clock())

    def _status(self, record: SessionRecord) -> Status:
        live = self._live.get(record.key)
        if record.finished is not None:
            return "finished"
        if live is not None and live.connection is not None:
            return "running"
        if record.epoch == 0:
            return "created"
        # A gateway that has just started gives every runner the time to come back.
        seen = datetime.fromisoformat(record.seen_at) if record.seen_at else self._started_at
        away = self._wall_clock() - max(seen, self._started_at)
        return "lost" if away.total_seconds() > self._lost_after_seconds else "disconnected"


def _demand_sound(name: str, retention_seconds: int | None) -> None:
    if not _SESSION_ID.fullmatch(name):
        raise InvalidInputError(
            "a session id has 1 to 128 letters, digits, dots, dashes and underscores, and"
            " begins with a letter or a digit"
        )
    if retention_seconds is not None and not 0 <= retention_seconds <= MAX_RETENTION_SECONDS:
        raise InvalidInputError(
            f"`retention_seconds` is from 0 to {MAX_RETENTION_SECONDS}, or null for ever"
        )
