"""The gateway without a web framework: sessions, events, commands, runners over any socket."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from weakref import WeakValueDictionary

from ..link.gateway import GatewayLimits, GatewayLink
from ..protocol import codec
from ..protocol.commands import SecretAdd
from ..protocol.events import JSON, CommandDone, CommandFailed
from ..protocol.frames import CloseCode
from ..transport.socket import Socket
from . import submission
from .connection import RunnerConnection
from .errors import (
    DrainingError,
    ForbiddenError,
    GatewayError,
    InvalidInputError,
    NotConnectedError,
    QuotaError,
    SessionDeletedError,
    StoreError,
    TooSlowError,
    UnknownSessionError,
)
from .follower import Follower
from .information import (
    MAX_RETENTION_SECONDS,
    SESSION_ID,
    CommandInfo,
    CommandPage,
    RequestInfo,
    RequestPage,
    SessionInfo,
    SessionPage,
    Status,
    command_info,
    has_metadata,
    request_info,
    rfc3339,
    session_info,
)
from .live import LiveSession
from .logs import Log
from .quotas import Quotas, Tally
from .store import CommandReceipt, EventPage, EventRow, SessionKey, SessionRecord, Store
from .submission import MAX_COMMAND_BYTES
from .subscription import Subscription
from .tokens import Action, Principal, Role, action_of, allowed, issue

__all__ = ["MAX_COMMAND_BYTES", "MAX_PAGE", "GatewayCore", "SessionInfo", "Status"]

MAX_PAGE = 1000
MAX_SCAN = 10_000
"""How many sessions one filtered page looks at before it says "there may be more"."""

DRAIN_SECONDS = 5.0

_log = Log(__name__)
_SESSION_ID = re.compile(SESSION_ID)
_REPLIES = ("command.done", "command.failed")


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
        self._limits = limits or GatewayLimits()
        self._quotas = quotas or Quotas()
        self._lost_after_seconds = lost_after_seconds
        self._maintenance_seconds = maintenance_seconds
        self._clock = clock
        self._wall_clock = wall_clock
        self._started_at = wall_clock()
        self._draining = False
        # Whoever is connected or listens holds its session; nobody else needs one.
        self._live: WeakValueDictionary[SessionKey, LiveSession] = WeakValueDictionary()
        self._connections: set[RunnerConnection] = set()
        self._tallies: dict[str, Tally] = {}
        self._all_gone = asyncio.Event()

    @property
    def is_draining(self) -> bool:
        """Whether it takes no one new."""
        return self._draining

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
        _demand(principal, Action.CREATE)
        name = secrets.token_hex(8) if session_id is None else session_id
        if not _SESSION_ID.fullmatch(name):
            raise InvalidInputError(
                "a session id has 1 to 128 letters, digits, dots, dashes and underscores, and"
                " begins with a letter or a digit"
            )
        if retention_seconds is not None and not 0 <= retention_seconds <= MAX_RETENTION_SECONDS:
            raise InvalidInputError(
                f"`retention_seconds` is from 0 to {MAX_RETENTION_SECONDS}, or null for ever"
            )
        async with self._room_for_a_session(principal.tenant):
            record = await self.store.create_session(
                SessionKey(principal.tenant, name),
                created_at=self._now(),
                metadata=metadata or {},
                retention_seconds=retention_seconds,
            )
        return self._info(record), await self.issue_token(principal, name)

    async def issue_token(
        self, principal: Principal, session_id: str, role: Role = Role.RUNNER, name: str = ""
    ) -> str:
        """Make a token that is good for one session. Raises as `create_session`."""
        _demand(principal, Action.CREATE, session_id)
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
        _demand(principal, Action.READ)
        limit = _page_size(limit)
        found: list[SessionInfo] = []
        for _ in range(-(-MAX_SCAN // MAX_PAGE)):
            records = await self.store.list_sessions(principal.tenant, limit=MAX_PAGE, after=after)
            for info in map(self._info, records):
                if statuses is not None and info.status not in statuses:
                    continue
                if not has_metadata(info, metadata or {}):
                    continue
                if len(found) == limit:
                    return SessionPage(sessions=found, next=found[-1].id)
                found.append(info)
            if len(records) < MAX_PAGE:
                return SessionPage(sessions=found, next=None)
            after = records[-1].key.id
        return SessionPage(sessions=found, next=after)

    async def session(self, principal: Principal, session_id: str) -> SessionInfo:
        """One session. Raises `UnknownSessionError` where there is none."""
        _demand(principal, Action.READ, session_id)
        return self._info(await self.store.get_session(SessionKey(principal.tenant, session_id)))

    async def state(self, principal: Principal, session_id: str) -> dict[str, JSON]:
        """What the session's adapter saved."""
        _demand(principal, Action.READ, session_id)
        return await self.store.saved_state(SessionKey(principal.tenant, session_id))

    async def delete_session(self, principal: Principal, session_id: str) -> None:
        """Delete a session with all that belongs to it; a connected runner is closed for good."""
        _demand(principal, Action.CREATE, session_id)
        await self._delete(SessionKey(principal.tenant, session_id))

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

        A page may be shorter than `limit`; it is empty only at the end.
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
        _demand(principal, Action.READ, session_id)
        key = SessionKey(principal.tenant, session_id)
        return await self.store.read_events(key, since=since, limit=_page_size(limit), types=types)

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
        _demand(principal, action_of(submission.type_of(command)), session_id)
        key = SessionKey(principal.tenant, session_id)
        decoded = submission.decoded(command)
        if isinstance(decoded, SecretAdd):
            return await self._pass_on(key, decoded)
        stamped = submission.stamped(decoded, by=principal.name, now=self._now())
        receipt = await self.store.add_command(
            key,
            stamped.id,
            principal.name,
            submission.digest_of(command),
            lambda seq: submission.numbered(stamped, seq),
        )
        live = self._live.get(key)
        if live is not None and live.connection is not None:
            live.connection.notify_command()
        return receipt

    async def commands(
        self, principal: Principal, session_id: str, *, after: int = 0, limit: int = 100
    ) -> CommandPage:
        """A page of the commands after the number `after`, with their replies; never secrets."""
        _demand(principal, Action.READ, session_id)
        limit = _page_size(limit)
        key = SessionKey(principal.tenant, session_id)
        rows = await self.store.commands_after(key, after, limit=limit + 1)
        return CommandPage(
            commands=[command_info(row) for row in rows[:limit]],
            next=rows[limit - 1].seq if len(rows) > limit else None,
        )

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
        _demand(principal, Action.READ, session_id)
        key = SessionKey(principal.tenant, session_id)
        if wait_seconds <= 0:
            return command_info(await self.store.get_command(key, command_id))
        async with self.subscribe(principal, session_id) as live:
            row = await self.store.get_command(key, command_id)
            if row.reply is None:
                with suppress(TimeoutError, TooSlowError, StopAsyncIteration):
                    async with asyncio.timeout(wait_seconds):
                        await _reply_to(command_id, live)
                row = await self.store.get_command(key, command_id)
        return command_info(row)

    async def requests(self, principal: Principal, session_id: str) -> list[RequestInfo]:
        """The open requests of one session, oldest first."""
        _demand(principal, Action.READ, session_id)
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
        _demand(principal, Action.READ)
        limit = _page_size(limit)
        rows = await self.store.open_requests(
            principal.tenant, after=_request_cursor(after), limit=limit + 1
        )
        more = len(rows) > limit
        return RequestPage(
            requests=[request_info(row) for row in rows[:limit]],
            next=f"{rows[limit - 1].session}:{rows[limit - 1].seq}" if more else None,
        )

    async def _pass_on(self, key: SessionKey, secret: SecretAdd) -> CommandReceipt:
        await self.store.get_session(key)
        live = self._live.get(key)
        connection = live.connection if live is not None else None
        if connection is None or not connection.welcomed:
            raise NotConnectedError(
                f"a secret is never stored, and session {key.id!r} has no runner to take it:"
                " hand it in again when one is connected"
            )
        connection.send_unnumbered(codec.encode_command(secret))
        return CommandReceipt(seq=0, new=True)

    # --- runners -------------------------------------------------------------------------

    async def check_runner(self, principal: Principal, session_id: str) -> None:
        """Ask before a socket is accepted what `serve_runner` would say.

        Raises:
            ForbiddenError: Another role, or the token of another session.
            UnknownSessionError: There is no such session.
            DrainingError: The gateway is going.
        """
        _demand(principal, Action.RUN, session_id)
        await self.store.get_session(SessionKey(principal.tenant, session_id))
        self._refuse_when_draining()

    async def serve_runner(self, socket: Socket, principal: Principal, session_id: str) -> None:
        """Serve one connection of a session's runner until it is gone.

        The newest connection of a session wins. Refusals are told by close code, never raised.
        """
        try:
            await self.check_runner(principal, session_id)
        except GatewayError as error:
            await socket.close(_close_code(error), str(error))
            return
        live = self._session(SessionKey(principal.tenant, session_id))
        link = GatewayLink(now=self._clock(), limits=self._limits)
        connection = RunnerConnection(socket, link, home=live, store=self.store, clock=self._clock)
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            live.leave(connection)
            self._connections.discard(connection)
            if not self._connections:
                self._all_gone.set()
        await self._note_seen(live.key)

    async def drain(self, *, timeout_seconds: float = DRAIN_SECONDS) -> None:
        """Take no one new, close every runner's socket with "dial again now", end every listener.

        Returns when they are gone, or after `timeout_seconds`.
        """
        self._draining = True
        for live in list(self._live.values()):
            live.close_subscriptions()
        self._all_gone.clear()
        if not self._connections:
            return
        async with _bounded(timeout_seconds):
            leaving = list(self._connections)
            reason = "the gateway is going"
            await asyncio.gather(*[each.fence(CloseCode.DRAINING, reason) for each in leaving])
            await self._all_gone.wait()

    # --- maintenance ---------------------------------------------------------------------

    @asynccontextmanager
    async def maintained(self) -> AsyncIterator[None]:
        """Delete sessions whose retention is over, from time to time, while the block runs."""
        # No task group: it would wrap whatever the block raises.
        task = asyncio.create_task(self._maintain(), name="gateway-maintenance")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def purge(self) -> list[SessionKey]:
        """Delete every session whose retention is over and that has no runner; return their keys.

        Connected runners are noted as seen before, so that other gateways on the store see them.
        """
        connected = {key for key, live in self._live.items() if live.connection is not None}
        for key in connected:
            await self.store.touch(key, self._now())
        purged: list[SessionKey] = []
        for key in await self.store.expired_sessions(self._now(), limit=MAX_PAGE):
            if key not in connected:
                with suppress(UnknownSessionError):  # another gateway was faster
                    await self._delete(key)
                purged.append(key)
        return purged

    async def _maintain(self) -> None:
        # Runners that a restart of this gateway cut off have the time to come back.
        await asyncio.sleep(self._lost_after_seconds)
        while True:
            try:
                for key in await self.purge():
                    _log.info("session_expired", session=key.id)
                for tenant, tally in list(self._tallies.items()):
                    tally.refresh(await self.store.usage(tenant))
            except StoreError as error:
                _log.warning("store_failed", error=str(error))
            await asyncio.sleep(self._maintenance_seconds)

    async def _delete(self, key: SessionKey) -> None:
        await self.store.delete_session(key)
        if key.tenant in self._tallies:
            self._tallies[key.tenant].refresh(await self.store.usage(key.tenant))
            self._tallies[key.tenant].reserves.pop(key.id, None)
        live = self._live.pop(key, None)
        if live is None:
            return
        gone = SessionDeletedError(f"session {key.id!r} was deleted")
        live.close_subscriptions(gone)
        if live.connection is not None:
            await live.connection.fence(CloseCode.SESSION_DELETED, str(gone))

    # --- how -----------------------------------------------------------------------------

    async def _listened(self, principal: Principal, session_id: str) -> LiveSession:
        _demand(principal, Action.READ, session_id)
        self._refuse_when_draining()
        key = SessionKey(principal.tenant, session_id)
        await self.store.get_session(key)
        return self._session(key)

    def _session(self, key: SessionKey) -> LiveSession:
        live = self._live.get(key)
        if live is None:
            live = self._live[key] = LiveSession(
                key, self.store, self._quotas, lambda: self._tally(key.tenant)
            )
            if self._draining:
                live.close_subscriptions()
        return live

    async def _tally(self, tenant: str) -> Tally:
        known = self._tallies.get(tenant)
        if known is None:
            usage = await self.store.usage(tenant)
            # Whoever asked at the same time and was faster counts already.
            known = self._tallies.setdefault(tenant, Tally(*usage))
        return known

    @asynccontextmanager
    async def _room_for_a_session(self, tenant: str) -> AsyncIterator[None]:
        limit = self._quotas.tenant_sessions
        if limit is None:
            yield
            return
        tally = await self._tally(tenant)
        if tally.sessions >= limit:
            raise QuotaError(f"the tenant may have {limit} sessions, and has as many: delete some")
        tally.sessions += 1
        try:
            yield
        except BaseException:
            tally.sessions -= 1
            raise

    def _refuse_when_draining(self) -> None:
        if self._draining:
            raise DrainingError("the gateway is going; dial again")

    def _now(self) -> str:
        return rfc3339(self._wall_clock())

    async def _note_seen(self, key: SessionKey) -> None:
        try:
            await self.store.touch(key, self._now())
        except StoreError as error:
            _log.warning("store_failed", session=key.id, error=str(error))

    def _info(self, record: SessionRecord) -> SessionInfo:
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


@asynccontextmanager
async def _bounded(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        return


def _demand(principal: Principal, action: Action, session_id: str | None = None) -> None:
    if not allowed(principal, action, session_id):
        where = "" if session_id is None else f" in session {session_id!r}"
        raise ForbiddenError(f"a {principal.role.value} token may not {action.value}{where}")


def _page_size(limit: int) -> int:
    return max(1, min(limit, MAX_PAGE))


def _request_cursor(after: str) -> tuple[str, int]:
    session, colon, seq = after.rpartition(":")
    if not after:
        return "", 0
    if not (colon and seq.isascii() and seq.isdigit() and len(seq) <= 18):
        raise InvalidInputError("`after` is the `next` of an earlier page")
    return session, int(seq)


async def _reply_to(command_id: str, live: Subscription) -> None:
    while True:
        for row in await live.batch():
            if row.type in _REPLIES and _answers(row, command_id):
                return


def _answers(row: EventRow, command_id: str) -> bool:
    payload = codec.decode_payload(row.data)
    return isinstance(payload, CommandDone | CommandFailed) and payload.command == command_id


def _close_code(error: GatewayError) -> int:
    match error:
        case ForbiddenError():
            return CloseCode.FORBIDDEN
        case UnknownSessionError():
            return CloseCode.NO_SESSION
        case DrainingError():
            return CloseCode.DRAINING
        case StoreError():
            return CloseCode.OVERLOADED
        case _:
            return CloseCode.PROTOCOL
