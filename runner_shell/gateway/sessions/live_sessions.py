"""The sessions that someone is connected to or listens to, and what their tenants take."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from ..errors import QuotaError, SessionDeletedError
from ..quotas import Quotas, Tally
from ..store import SessionKey, Store
from .live import LiveSession


class LiveSessions:
    """What a gateway remembers besides its store.

    Args:
        store: Where sessions are kept.
        quotas: What tenants and sessions may store.
    """

    def __init__(self, store: Store, quotas: Quotas) -> None:
        self._store = store
        self._quotas = quotas
        # Whoever is connected or listens holds its session; nobody else needs one.
        self._sessions: WeakValueDictionary[SessionKey, LiveSession] = WeakValueDictionary()
        self._tallies: dict[str, Tally] = {}
        self.is_draining = False

    def __len__(self) -> int:
        return len(self._sessions)

    def get(self, key: SessionKey) -> LiveSession | None:
        """The session, if anyone is there."""
        return self._sessions.get(key)

    def enter(self, key: SessionKey) -> LiveSession:
        """The session, for someone who connects or listens: it is there as long as it is held."""
        live = self._sessions.get(key)
        if live is None:
            live = LiveSession(key, self._store, self._quotas, lambda: self.tally(key.tenant))
            self._sessions[key] = live
            if self.is_draining:
                live.close_subscriptions()
        return live

    def connected(self) -> set[SessionKey]:
        """Those that have a runner here."""
        return {key for key, live in self._sessions.items() if live.connection is not None}

    def forget(self, key: SessionKey) -> LiveSession | None:
        """Take a deleted session out, its listeners told; whoever was there gets it no more."""
        live = self._sessions.pop(key, None)
        if live is not None:
            live.close_subscriptions(SessionDeletedError(f"session {key.id!r} was deleted"))
        return live

    def drain(self) -> None:
        """End every listener, and those who come later."""
        self.is_draining = True
        for live in list(self._sessions.values()):
            live.close_subscriptions()

    # --- what tenants take ---------------------------------------------------------------

    async def tally(self, tenant: str) -> Tally:
        """What the tenant takes, read once and counted on."""
        known = self._tallies.get(tenant)
        if known is None:
            usage = await self._store.usage(tenant)
            # Whoever asked at the same time and was faster counts already.
            known = self._tallies.setdefault(tenant, Tally(*usage))
        return known

    async def recount(self) -> None:
        """Read anew what the known tenants take: other gateways may be on the same store."""
        for tenant, tally in list(self._tallies.items()):
            tally.refresh(await self._store.usage(tenant))

    async def deleted(self, key: SessionKey) -> None:
        """A session is in the store no more: its tenant takes less."""
        tally = self._tallies.get(key.tenant)
        if tally is not None:
            tally.refresh(await self._store.usage(key.tenant))
            tally.reserves.pop(key.id, None)

    @asynccontextmanager
    async def room_for_a_session(self, tenant: str) -> AsyncIterator[None]:
        """Count one more session while the block creates it.

        Raises:
            QuotaError: The tenant has as many as it may.
        """
        limit = self._quotas.tenant_sessions
        if limit is None:
            yield
            return
        tally = await self.tally(tenant)
        if tally.sessions >= limit:
            raise QuotaError(f"the tenant may have {limit} sessions, and has as many: delete some")
        tally.sessions += 1
        try:
            yield
        except BaseException:
            tally.sessions -= 1
            raise
