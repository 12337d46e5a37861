"""How much a tenant and a session may store, and what happens at the edge.

At a limit the gateway stops the session in order: the runner is given `session.stop` and may still
add a reserve, in which its endings fit. Past the reserve the link is closed for good. A new process
of a session that is used up is refused.
"""

from __future__ import annotations

from collections.abc import Sequence

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

    def spend(self, rows: Sequence[EventRow]) -> tuple[int, str]:
        """Count events that are about to be stored. How they are gathered makes no difference.

        Returns:
            How many of them may be stored: all, or those that come before the reserve is used up.
            And which limit they reach, the first time one is; else an empty string.
        """
        size = sum([len(row.data) for row in rows])
        if self._session not in self._tenant.reserves and not self._reached(len(rows), size):
            self._count(len(rows), size)
            return len(rows), ""
        told = ""
        for number, row in enumerate(rows):
            told = told or self._tell(len(row.data))
            if not self._is_within_reserve(len(row.data)):
                return number, told
            self._count(1, len(row.data))
        return len(rows), told

    def _tell(self, size: int) -> str:
        """Which limit one more event of this size reaches, unless the session was told before."""
        if self._session in self._tenant.reserves:
            return ""
        reached = self._reached(1, size)
        if reached:
            self._tenant.reserves[self._session] = (
                self._events + self._quotas.reserve_events,
                self._bytes + self._quotas.reserve_bytes,
            )
        return reached

    def _is_within_reserve(self, size: int) -> bool:
        reserve = self._tenant.reserves.get(self._session)
        if reserve is None:
            return True
        return self._events + 1 <= reserve[0] and self._bytes + size <= reserve[1]

    def _reached(self, events: int, size: int) -> str:
        tenant = Tally(0, self._tenant.events + events, self._tenant.bytes + size)
        return reached_limit(self._quotas, tenant, self._events + events, self._bytes + size)

    def _count(self, events: int, size: int) -> None:
        self._events += events
        self._bytes += size
        self._tenant.events += events
        self._tenant.bytes += size


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
