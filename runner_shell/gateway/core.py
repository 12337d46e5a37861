"""The gateway without a web framework: sessions, events, commands, runners over any socket."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime

from ..link.gateway import GatewayLimits
from ..protocol.events import JSON
from ..transport.socket import Socket
from .access import MAX_PAGE, demand, page_size, request_cursor
from .errors import DrainingError, GatewayError, SessionDeletedError, UnknownSessionError
from .quotas import Quotas
from .runner.line import Line, Receiver, SocketLine
from .sessions import submission
from .sessions.commands import Commands
from .sessions.directory import Directory
from .sessions.follower import Follower
from .sessions.information import (
    CommandInfo,
    CommandPage,
    RequestInfo,
    RequestPage,
    SessionInfo,
    SessionPage,
    Status,
    request_info,
    rfc3339,
)
from .sessions.live import LiveSession
from .sessions.live_sessions import LiveSessions
from .sessions.retention import Retention
from .sessions.runners import Runners, close_code
from .sessions.submission import MAX_COMMAND_BYTES
from .sessions.subscription import Subscription
from .store import CommandReceipt, EventPage, SessionKey, Store
from .tokens import Action, Principal, Role, action_of, issue

__all__ = ["MAX_COMMAND_BYTES", "MAX_PAGE", "GatewayCore", "SessionInfo", "Status"]

DRAIN_SECONDS = 5.0


class GatewayCore:
    """Everything a gateway does, for principals that are authenticated already.

    Every method asks first whether the principal may, and reaches only its tenant's rows.

    Args:
        store: Opened by the caller, and closed after `drain()`.
        limits: What the links allow and how long they wait.
        quotas: What tenants and sessions may store; without them, everything.
        lost_after_seconds: For how long a session without its runner counts as `disconnected`.
        maintenance_seconds: How often `maintained` looks for sessions to delete.
        clock: Monotonic seconds.
        wall_clock: The time of day, with its zone.
    """

    def __init__(
        self,
        store: Store,
        *,
        limits: GatewayLimits | None = None,
        quotas: Quotas | None = None,
        lost_after_seconds: float = 120.0,
        maintenance_seconds: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.store = store
        self._live = live = LiveSessions(store, quotas or Quotas())

        def now() -> str:
            return rfc3339(wall_clock())

        self._directory = Directory(
            store, live, lost_after_seconds=lost_after_seconds, wall_clock=wall_clock
        )
        self._commands = Commands(store, live, now)
        self._runners = Runners(store, live, limits=limits or GatewayLimits(), clock=clock, now=now)
        self._retention = Retention(
            store,
            live,
            self._directory,
            first_after_seconds=lost_after_seconds,
            every_seconds=maintenance_seconds,
            now=now,
        )

    @property
    def is_draining(self) -> bool:
        """Whether it takes no one new."""
        return self._live.is_draining

    # --- sessions ------------------------------------------------------------------------

    async def create_session(
        self,
        principal: Principal,
        session_id: str | None = None,
        metadata: dict[str, JSON] | None = None,
        retention_seconds: int | None = None,
    ) -> tuple[SessionInfo, str]:
        """Create a session, and the token for its runners.

        Args:
            principal: Whose tenant it is created in.
            session_id: Its id, or None for a random one.
            metadata: Kept and shown as it is.
            retention_seconds: How long after a runner was last there it is deleted; None for never.

        Raises:
            ForbiddenError: The principal may not create sessions.
            InvalidInputError: The id has characters that ids may not have, or a wrong retention.
            QuotaError: The tenant has as many as it may.
            SessionExistsError: There is one with this id.
        """
        demand(principal, Action.CREATE)
        info = await self._directory.create(
            principal.tenant, session_id, metadata or {}, retention_seconds
        )
        return info, await self.issue_token(principal, info.id)

    async def issue_token(
        self, principal: Principal, session_id: str, role: Role = Role.RUNNER, name: str = ""
    ) -> str:
        """Make a token that is good for one session. Raises as `create_session`."""
        demand(principal, Action.CREATE, session_id)
        await self.store.get_session(SessionKey(principal.tenant, session_id))
        token, record = issue(role, principal.tenant, session_id, name=name)
        await self.store.put_token(record)
        return token

    async def issue_runner_token(self, principal: Principal, session_id: str) -> str:
        """Make one more token for a session's runners. Raises as `create_session`."""
        return await self.issue_token(principal, session_id)

    async def sessions(
        self, principal: Principal, *, limit: int = 100, after: str = ""
    ) -> list[SessionInfo]:
        """A page of the tenant's sessions in order of id, those after the id `after`."""
        return (await self.session_page(principal, limit=limit, after=after)).sessions

    async def session_page(
        self,
        principal: Principal,
        *,
        limit: int = 100,
        after: str = "",
        statuses: Collection[Status] | None = None,
        metadata: dict[str, str] | None = None,
    ) -> SessionPage:
        """A page of the tenant's sessions in order of id, those after the id `after`.

        Args:
            principal: Who asks.
            limit: How many at most.
            after: The last id of the page before.
            statuses: Only those with one of these.
            metadata: Only those whose metadata has each of these values; others than strings are
                compared as JSON.
        """
        demand(principal, Action.READ)
        return await self._directory.page(
            principal.tenant,
            limit=page_size(limit),
            after=after,
            statuses=statuses,
            metadata=metadata or {},
        )

    async def session(self, principal: Principal, session_id: str) -> SessionInfo:
        """One session. Raises `UnknownSessionError` where there is none."""
        demand(principal, Action.READ, session_id)
        return await self._directory.get(SessionKey(principal.tenant, session_id))

    async def state(self, principal: Principal, session_id: str) -> dict[str, JSON]:
        """What the session's adapter saved."""
        demand(principal, Action.READ, session_id)
        return await self.store.saved_state(SessionKey(principal.tenant, session_id))

    async def delete_session(self, principal: Principal, session_id: str) -> None:
        """Delete a session with all that belongs to it; a connected runner is closed for good."""
        demand(principal, Action.CREATE, session_id)
        await self._directory.delete(SessionKey(principal.tenant, session_id))

    # --- events --------------------------------------------------------------------------

    async def events(
        self,
        principal: Principal,
        session_id: str,
        *,
        since: int = 0,
        limit: int = 100,
        types: Collection[str] | None = None,
    ) -> list[bytes]:
        """A page of events after the number `since`, each exactly as its runner encoded it.

        A page may be shorter than `limit`; without `types` it is empty only at the end.
        """
        page = await self.event_page(principal, session_id, since=since, limit=limit, types=types)
        return page.events

    async def event_page(
        self,
        principal: Principal,
        session_id: str,
        *,
        since: int = 0,
        limit: int = 100,
        types: Collection[str] | None = None,
    ) -> EventPage:
        """As `events`, and where the next page begins."""
        demand(principal, Action.READ, session_id)
        key = SessionKey(principal.tenant, session_id)
        return await self.store.read_events(key, since=since, limit=page_size(limit), types=types)

    @asynccontextmanager
    async def subscribe(
        self, principal: Principal, session_id: str, *, max_events: int | None = None
    ) -> AsyncIterator[Subscription]:
        """Listen to what is committed from now on."""
        live = await self._listened(principal, session_id)
        subscription = Subscription(max_events=max_events)
        live.listen(subscription)
        try:
            yield subscription
        finally:
            live.unlisten(subscription)

    async def follower(
        self,
        principal: Principal,
        session_id: str,
        *,
        since: int = 0,
        types: Collection[str] | None = None,
        patient: bool = False,
    ) -> Follower:
        """Every event after `since`, stored ones first, then live, without a gap or a repeat.

        See `Follower`. Raises `DrainingError` where the gateway is going.
        """
        live = await self._listened(principal, session_id)
        return Follower(live, self.store, since=since, types=types, patient=patient)

    async def follow(
        self, principal: Principal, session_id: str, *, since: int = 0
    ) -> AsyncIterator[tuple[int, bytes]]:
        """As `follower`, one event after the other.

        A listener who is slow gets them from the store again. It ends when the gateway drains, or
        the session is deleted.
        """
        async with await self.follower(
            principal, session_id, since=since, patient=True
        ) as followed:
            while True:
                try:
                    rows = await followed.batch()
                except (DrainingError, SessionDeletedError, UnknownSessionError):
                    return
                for row in rows:
                    yield row.seq, row.data

    # --- commands ------------------------------------------------------------------------

    async def submit_command(
        self, principal: Principal, session_id: str, command: dict[str, JSON]
    ) -> CommandReceipt:
        """Take a command in; the runner gets it now, or when it comes.

        Handing in the same id again changes nothing and gets the same number. Number, principal and
        time of receipt are the gateway's to say: what the client puts there is replaced.

        Raises:
            InvalidInputError: It is no command, or a known one with wrong fields.
            ForbiddenError: The principal may not give this command.
            CommandConflictError: The id was used before, for another content.
            NotConnectedError: A secret is never stored, and no runner is connected to take it.
            UnknownSessionError: There is no such session.
        """
        demand(principal, action_of(submission.type_of(command)), session_id)
        key = SessionKey(principal.tenant, session_id)
        return await self._commands.submit(key, principal.name, command)

    async def commands(
        self, principal: Principal, session_id: str, *, after: int = 0, limit: int = 100
    ) -> CommandPage:
        """A page of the commands after the number `after`, with their replies; never secrets."""
        demand(principal, Action.READ, session_id)
        key = SessionKey(principal.tenant, session_id)
        return await self._commands.page(key, after=after, limit=page_size(limit))

    async def command(
        self, principal: Principal, session_id: str, command_id: str, *, wait_seconds: float = 0.0
    ) -> CommandInfo:
        """One command and its reply.

        Args:
            principal: Who asks.
            session_id: Of which session.
            command_id: The id that its client chose.
            wait_seconds: For how long to wait for a reply that is not there yet.

        Raises:
            UnknownCommandError: The session was given none with this id.
        """
        demand(principal, Action.READ, session_id)
        key = SessionKey(principal.tenant, session_id)
        if wait_seconds <= 0:
            return await self._commands.get(key, command_id)
        async with self.subscribe(principal, session_id) as live:
            return await self._commands.replied(key, command_id, live, wait_seconds=wait_seconds)

    async def requests(self, principal: Principal, session_id: str) -> list[RequestInfo]:
        """The open requests of one session, oldest first."""
        demand(principal, Action.READ, session_id)
        key = SessionKey(principal.tenant, session_id)
        await self.store.get_session(key)
        rows = await self.store.open_requests(key.tenant, session=key.id, limit=MAX_PAGE)
        return [request_info(row) for row in rows]

    async def request_page(
        self, principal: Principal, *, limit: int = 100, after: str = ""
    ) -> RequestPage:
        """A page of the tenant's open requests, those after the cursor `after`.

        Raises:
            InvalidInputError: `after` is no cursor of an earlier page.
        """
        demand(principal, Action.READ)
        limit = page_size(limit)
        rows = await self.store.open_requests(
            principal.tenant, after=request_cursor(after), limit=limit + 1
        )
        more = len(rows) > limit
        return RequestPage(
            requests=[request_info(row) for row in rows[:limit]],
            next=f"{rows[limit - 1].session}:{rows[limit - 1].seq}" if more else None,
        )

    # --- runners -------------------------------------------------------------------------

    async def check_runner(self, principal: Principal, session_id: str) -> None:
        """Ask before a socket is accepted what `serve_runner` would say.

        Raises:
            ForbiddenError: Another role, or the token of another session.
            UnknownSessionError: There is no such session.
            DrainingError: The gateway is going.
        """
        demand(principal, Action.RUN, session_id)
        await self.store.get_session(SessionKey(principal.tenant, session_id))
        self._refuse_when_draining()

    async def serve_runner(self, socket: Socket, principal: Principal, session_id: str) -> None:
        """Serve one connection of a session's runner until it is gone.

        The newest connection of a session wins. Refusals are told by close code, never raised.
        """
        try:
            await self.check_runner(principal, session_id)
        except GatewayError as error:
            await socket.close(close_code(error), str(error))
            return
        line = SocketLine(socket)
        await line.carry(self._runners.connect(line, SessionKey(principal.tenant, session_id)))

    def take_line(self, line: Line, principal: Principal, session_id: str) -> Receiver:
        """As `serve_runner`, for a line that is not to be waited for: tell the receiver what comes.

        Call it right after `check_runner`.
        """
        demand(principal, Action.RUN, session_id)
        return self._runners.connect(line, SessionKey(principal.tenant, session_id))

    async def drain(self, *, timeout_seconds: float = DRAIN_SECONDS) -> None:
        """Take no one new, close every runner's socket with "dial again now", end every listener.

        Returns when they are gone, or after `timeout_seconds`.
        """
        self._live.drain()
        await self._runners.drain(timeout_seconds)

    # --- maintenance ---------------------------------------------------------------------

    def maintained(self) -> AbstractAsyncContextManager[None]:
        """Delete sessions whose retention is over, from time to time, while the block runs."""
        return self._retention.kept()

    async def purge(self) -> list[SessionKey]:
        """Delete every session whose retention is over and that has no runner; return their keys.

        Connected runners are noted as seen before, so that other gateways on the store see them.
        """
        return await self._retention.purge()

    # --- how -----------------------------------------------------------------------------

    async def _listened(self, principal: Principal, session_id: str) -> LiveSession:
        demand(principal, Action.READ, session_id)
        self._refuse_when_draining()
        key = SessionKey(principal.tenant, session_id)
        await self.store.get_session(key)
        return self._live.enter(key)

    def _refuse_when_draining(self) -> None:
        if self._live.is_draining:
            raise DrainingError("the gateway is going; dial again")
