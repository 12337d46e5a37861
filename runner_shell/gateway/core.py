"""The gateway without a web framework: sessions, events, commands, runners over any socket."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Literal, TypeAlias
from weakref import WeakValueDictionary

import msgspec
import structlog
from msgspec import Struct

from ..errors import RemoteProtocolError
from ..link.gateway import GatewayLimits, GatewayLink
from ..protocol import codec
from ..protocol.commands import Command, RequestAnswer, ReservedCommand, SecretAdd
from ..protocol.events import JSON, SessionFinished
from ..protocol.frames import MAX_FRAME_BYTES, CloseCode
from ..transport.socket import Socket
from .connection import RunnerConnection
from .errors import (
    DrainingError,
    ForbiddenError,
    GatewayError,
    InvalidInputError,
    NotConnectedError,
    StoreError,
    TooSlowError,
    UnknownSessionError,
)
from .live import LiveSession
from .store import CommandReceipt, SessionKey, SessionRecord, Store
from .subscription import Subscription
from .tokens import Action, Principal, Role, action_of, allowed, issue

MAX_PAGE = 1000
MAX_COMMAND_BYTES = MAX_FRAME_BYTES - 4096
"""Largest command; the rest of a frame is for its number, its principal and the frame itself."""

DRAIN_SECONDS = 5.0

Status: TypeAlias = Literal["created", "running", "disconnected", "finished", "lost"]

_log = structlog.get_logger(__name__)
_SESSION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_COMMAND_ID = re.compile(r"[\x21-\x7e]{1,200}")


class SessionInfo(Struct, frozen=True, kw_only=True):
    """What a client is told of a session.

    Attributes:
        id: Its id.
        status: `created` before its first runner; `running` with a runner connected; `finished`
            where its latest runner said how it ended; else `disconnected`, after a while `lost`.
        created_at: RFC 3339.
        metadata: What its creator said of it.
        epoch: Number of its latest runner process.
        last_event: Number of the last committed event.
        last_command: Number of the last command.
        acknowledged_command: Number of the last command that a runner has journaled.
        finished: How its latest runner ended, where it said so.
    """

    id: str
    status: Status
    created_at: str
    metadata: dict[str, JSON]
    epoch: int
    last_event: int
    last_command: int
    acknowledged_command: int
    finished: SessionFinished | None = None


class GatewayCore:
    """Everything a gateway does, for principals that are authenticated already.

    Every method asks first whether the principal may, and reaches only its tenant's rows.

    Args:
        store: Opened by the caller, and closed after `drain()`.
        limits: What the links allow and how long they wait.
        lost_after_seconds: For how long a session without its runner counts as `disconnected`.
        clock: Monotonic seconds.
        wall_clock: The time of day, with its zone.
    """

    def __init__(
        self,
        store: Store,
        *,
        limits: GatewayLimits | None = None,
        lost_after_seconds: float = 120.0,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.store = store
        self._limits = limits or GatewayLimits()
        self._lost_after_seconds = lost_after_seconds
        self._clock = clock
        self._wall_clock = wall_clock
        self._started_at = wall_clock()
        self._draining = False
        # Whoever is connected or listens holds its session; nobody else needs one.
        self._live: WeakValueDictionary[SessionKey, LiveSession] = WeakValueDictionary()
        self._connections: set[RunnerConnection] = set()
        self._all_gone = asyncio.Event()

    # --- sessions ------------------------------------------------------------------------

    async def create_session(
        self,
        principal: Principal,
        session_id: str | None = None,
        metadata: dict[str, JSON] | None = None,
    ) -> tuple[SessionInfo, str]:
        """Create a session, and the token for its runners.

        Args:
            principal: Whose tenant it is created in.
            session_id: Its id, or None for a random one.
            metadata: Kept and shown as it is.

        Raises:
            ForbiddenError: The principal may not create sessions.
            InvalidInputError: The id has characters that ids may not have.
            SessionExistsError: There is one with this id.
        """
        _demand(principal, Action.CREATE)
        name = secrets.token_hex(8) if session_id is None else session_id
        if not _SESSION_ID.fullmatch(name):
            raise InvalidInputError(
                "a session id has 1 to 128 letters, digits, dots, dashes and underscores, and"
                " begins with a letter or a digit"
            )
        key = SessionKey(principal.tenant, name)
        record = await self.store.create_session(
            key, created_at=self._now(), metadata=metadata or {}
        )
        return self._info(record), await self.issue_runner_token(principal, name)

    async def issue_runner_token(self, principal: Principal, session_id: str) -> str:
        """Make one more token for a session's runners. Raises as `create_session`."""
        _demand(principal, Action.CREATE, session_id)
        await self.store.get_session(SessionKey(principal.tenant, session_id))
        token, record = issue(Role.RUNNER, principal.tenant, session_id)
        await self.store.put_token(record)
        return token

    async def sessions(
        self, principal: Principal, *, limit: int = 100, after: str = ""
    ) -> list[SessionInfo]:
        """A page of the tenant's sessions in order of id, those after the id `after`."""
        _demand(principal, Action.READ)
        records = await self.store.list_sessions(
            principal.tenant, limit=_page_size(limit), after=after
        )
        return [self._info(record) for record in records]

    async def session(self, principal: Principal, session_id: str) -> SessionInfo:
        """One session. Raises `UnknownSessionError` where there is none."""
        _demand(principal, Action.READ, session_id)
        return self._info(await self.store.get_session(SessionKey(principal.tenant, session_id)))

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
        _demand(principal, Action.READ, session_id)
        key = SessionKey(principal.tenant, session_id)
        return await self.store.read_events(key, since=since, limit=_page_size(limit), types=types)

    @asynccontextmanager
    async def subscribe(
        self, principal: Principal, session_id: str, *, max_events: int | None = None
    ) -> AsyncIterator[Subscription]:
        """Listen to what is committed from now on."""
        _demand(principal, Action.READ, session_id)
        self._refuse_when_draining()
        key = SessionKey(principal.tenant, session_id)
        await self.store.get_session(key)
        live = self._session(key)
        subscription = Subscription() if max_events is None else Subscription(max_events=max_events)
        live.listen(subscription)
        if self._draining:
            subscription.close()
        try:
            yield subscription
        finally:
            live.unlisten(subscription)

    async def follow(
        self, principal: Principal, session_id: str, *, since: int = 0
    ) -> AsyncIterator[tuple[int, bytes]]:
        """Every event after `since`, stored ones first, then live, without a gap or a repeat.

        A listener who is slow gets them from the store again. It ends when the gateway drains.
        """
        while not self._draining:
            async with self.subscribe(principal, session_id) as live:
                try:
                    while page := await self.events(
                        principal, session_id, since=since, limit=MAX_PAGE
                    ):
                        for data in page:
                            since += 1  # numbers have no holes
                            yield since, data
                    async for row in live:
                        if row.seq > since + 1:
                            break  # another gateway commits to the same store
                        if row.seq == since + 1:
                            since = row.seq
                            yield since, row.data
                except TooSlowError:
                    continue

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
            NotConnectedError: A secret is never stored, and no runner is connected to take it.
            UnknownSessionError: There is no such session.
        """
        kind = command.get("type")
        if not isinstance(kind, str):
            raise InvalidInputError("a command has a field `type`")
        _demand(principal, action_of(kind), session_id)
        key = SessionKey(principal.tenant, session_id)
        decoded = _command(command)
        if isinstance(decoded, SecretAdd):
            return await self._pass_on(key, decoded)
        stamped = self._stamped(decoded, principal)
        receipt = await self.store.add_command(
            key, stamped.id, principal.name, lambda seq: _numbered(stamped, seq)
        )
        live = self._live.get(key)
        if live is not None and live.connection is not None:
            live.connection.notify_command()
        return receipt

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

    def _stamped(
        self, command: Command | ReservedCommand, principal: Principal
    ) -> Command | ReservedCommand:
        if isinstance(command, RequestAnswer):
            return msgspec.structs.replace(command, by=principal.name, received_at=self._now())
        return msgspec.structs.replace(command, by=principal.name)

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

    # --- how -----------------------------------------------------------------------------

    def _session(self, key: SessionKey) -> LiveSession:
        live = self._live.get(key)
        if live is None:
            live = self._live[key] = LiveSession(key, self.store)
        return live

    def _refuse_when_draining(self) -> None:
        if self._draining:
            raise DrainingError("the gateway is going; dial again")

    def _now(self) -> str:
        return self._wall_clock().isoformat(timespec="milliseconds")

    async def _note_seen(self, key: SessionKey) -> None:
        try:
            await self.store.touch(key, self._now())
        except StoreError as error:
            _log.warning("store_failed", session=key.id, error=str(error))

    def _info(self, record: SessionRecord) -> SessionInfo:
        return SessionInfo(
            id=record.key.id,
            status=self._status(record),
            created_at=record.created_at,
            metadata=record.metadata,
            epoch=record.epoch,
            last_event=record.last_event,
            last_command=record.last_command,
            acknowledged_command=record.acknowledged_command,
            finished=record.finished,
        )

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


def _command(command: dict[str, JSON]) -> Command | ReservedCommand | SecretAdd:
    encoded = msgspec.json.encode(command | {"seq": 0, "by": ""})
    if len(encoded) > MAX_COMMAND_BYTES:
        raise InvalidInputError(
            f"the command has {len(encoded)} bytes; at most {MAX_COMMAND_BYTES} fit into a frame"
        )
    try:
        decoded = codec.decode_command(encoded)
    except RemoteProtocolError as error:
        raise InvalidInputError(str(error)) from error
    if not isinstance(decoded, SecretAdd) and not _COMMAND_ID.fullmatch(decoded.id):
        raise InvalidInputError("a command's `id` has 1 to 200 visible ASCII characters")
    return decoded


def _numbered(command: Command | ReservedCommand, seq: int) -> bytes:
    return codec.encode_command(msgspec.structs.replace(command, seq=seq))


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
