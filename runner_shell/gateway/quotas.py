"""How much a tenant and a session may store, and what happens at the edge.

At a limit the gateway stops the session in order: the runner is given `session.stop` and may still
add a reserve, in which its endings fit. Past the reserve the link is closed for good. A new process
of a session that is used up is refused.
"""

from __future__ import annotations

from collections.abc import Collection

from msgspec import Struct

from .errors import QuotaError
from .store import EventRow, SessionRecord, Usage


class Quotas(Struct, frozen=True, kw_only=True):
    """Limits; None means none.

    Attributes:
        tenant_sessions: Sessions of a tenant.
        tenant_events: Events in all sessions of a tenant.
        tenant_bytes: Bytes of these events, encoded.
        session_events: Events of one session.
        session_bytes: Bytes of these events, encoded.
        reserve_events: What a session may add after it is told to stop.
        reserve_bytes: Likewise, in bytes.
    """

    tenant_sessions: int | None = None
    tenant_events: int | None = None
    tenant_bytes: int | None = None
    session_events: int | None = None
    session_bytes: int | None = None
    reserve_events: int = 1000
    reserve_bytes: int = 4 * 1024 * 1024

    @property
    def count_events(self) -> bool:
        """Whether anything depends on how much is stored."""
        limits = (self.tenant_events, self.tenant_bytes, self.session_events, self.session_bytes)
        return any(limit is not None for limit in limits)


class Tally(Struct):
    """What a tenant takes, as far as this gateway knows; several gateways on one store see each
    other's part when they read it again.

    Attributes:
        sessions: How many.
        events: In all of them.
        bytes: Of all of them.
        reserves: Of sessions that were told to stop, by id: events and bytes that each may have.
    """

    sessions: int
    events: int
    bytes: int
    reserves: dict[str, tuple[int, int]] = {}

    def refresh(self, usage: Usage) -> None:
        """Take over what the store says."""
        self.sessions, self.events, self.bytes = usage


class Allowance:
    """What one connection may still store.

    Args:
        quotas: The limits.
        tenant: Shared by all connections of the tenant.
        session: Id of its session.
        events: Events the session has.
        bytes: Bytes these have.
    """

    def __init__(
        self, quotas: Quotas, tenant: Tally, session: str, *, events: int, bytes: int
    ) -> None:
        self._quotas = quotas
        self._tenant = tenant
        self._session = session
        self._events = events
        self._bytes = bytes

    def spend(self, rows: Collection[EventRow]) -> str:
        """Count events that are about to be stored.

        Returns:
            Which limit this reaches, the first time one is; else an empty string.

        Raises:
            QuotaError: Even the reserve is used up; store nothing of this.
        """
        size = sum([len(row.data) for row in rows])
        events, total = self._events + len(rows), self._bytes + size
        reached = self._reached(events, total, len(rows), size)
        reserve = self._tenant.reserves.get(self._session)
        if reserve is not None and (events > reserve[0] or total > reserve[1]):
            raise QuotaError("the session was told to stop, and went on beyond its reserve")
        self._events, self._bytes = events, total
        self._tenant.events += len(rows)
        self._tenant.bytes += size
        return reached

    def _reached(self, events: int, total: int, new: int, size: int) -> str:
        if self._session in self._tenant.reserves:
            return ""  # it was told
        tenant = Tally(0, self._tenant.events + new, self._tenant.bytes + size)
        reached = reached_limit(self._quotas, tenant, events, total)
        if reached:
            self._tenant.reserves[self._session] = (
                self._events + self._quotas.reserve_events,
                self._bytes + self._quotas.reserve_bytes,
            )
        return reached


def reached_limit(quotas: Quotas, tenant: Tally, events: int, size: int) -> str:
    """Which limit these are over, for a person; empty where they are over none."""
    for used, limit, what in (
        (events, quotas.session_events, "the session may have {} events"),
        (size, quotas.session_bytes, "the session's events may have {} bytes"),
        (tenant.events, quotas.tenant_events, "the tenant may have {} events"),
        (tenant.bytes, quotas.tenant_bytes, "the tenant's events may have {} bytes"),
    ):
        if limit is not None and used > limit:
            return what.format(limit)
    return ""


def demand_room(quotas: Quotas, tenant: Tally, record: SessionRecord) -> None:
    """Refuse a new process where the session could not store its next event.

    Raises:
        QuotaError: Says which limit is reached.
    """
    one_more = Tally(0, tenant.events + 1, tenant.bytes + 1)
    reached = reached_limit(quotas, one_more, record.last_event + 1, record.events_bytes + 1)
    if reached:
        raise QuotaError(f"{reached}, and that is used up: delete sessions, or raise the quota")
