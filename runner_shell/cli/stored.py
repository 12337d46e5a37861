"""A gateway's SQLite file, read without the gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from pathlib import Path

import msgspec

from ..client import SessionInfo
from ..errors import ConfigurationError
from ..gateway.core import GatewayCore
from ..gateway.errors import UnknownSessionError
from ..gateway.sqlite import SqliteStore
from ..gateway.store import DEFAULT_TENANT
from ..gateway.tokens import Principal, Role

PAGE = 1000


class StoredSessions:
    """Reads the file as a viewer of the default tenant.

    Args:
        path: The file, as it was typed.

    Raises:
        ConfigurationError: There is no such file.
    """

    def __init__(self, path: str) -> None:
        if not Path(path).is_file():
            raise ConfigurationError(f"--store {path!r} does not exist; name a gateway's store")
        self._path = path
        self._person = Principal(name="local", role=Role.VIEWER, tenant=DEFAULT_TENANT)

    async def sessions(self) -> list[SessionInfo]:
        """Every session, in order of id."""
        found: list[SessionInfo] = []
        async with SqliteStore.open_readonly(self._path) as store:
            core = GatewayCore(store)
            while page := await core.sessions(self._person, after=found[-1].id if found else ""):
                found += [msgspec.convert(msgspec.to_builtins(one), SessionInfo) for one in page]
        return found

    async def events(
        self, session: str, since: int, types: Collection[str] | None
    ) -> AsyncIterator[bytes]:
        """Every event after `since`, exactly as stored."""
        async with SqliteStore.open_readonly(self._path) as store:
            core = GatewayCore(store)
            try:
                await core.session(self._person, session)
            except UnknownSessionError as error:
                known = ", ".join(info.id for info in await core.sessions(self._person))
                raise ConfigurationError(
                    f"no session {session!r} in {self._path}; it holds: {known or 'none'}"
                ) from error
            following: int | None = since
            while following is not None:
                page = await core.event_page(
                    self._person, session, since=following, limit=PAGE, types=types
                )
                for event in page.events:
                    yield event
                following = page.next
