"""What a gateway keeps in memory of a session that someone is connected to or listens to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from ...protocol import codec
from ...protocol.commands import SessionStop
from ...protocol.events import JSON
from ...protocol.frames import CloseCode, Hello
from ..errors import GatewayError, QuotaError, UnknownSessionError
from ..quotas import Allowance, Quotas, Tally, demand_room
from ..runner.connection import RunnerConnection
from ..runner.home import Refusal
from ..runner.welcome import Admission, fitting
from ..store import EventRow, SessionKey, SessionRecord, Store
from .submission import numbered
from .subscription import Subscription

GATEWAY = "gateway"
"""The principal of what the gateway asks for by itself."""

WELCOME_REQUESTS = 1000
"""How many open requests are looked at for a welcome; the rest is counted only."""


class LiveSession:
    """One session's connection and listeners. At most one connection may commit at any time.

    Args:
        key: The session.
        store: Where it is kept.
        quotas: What it may store.
        tally: What its tenant takes.
    """

    def __init__(
        self,
        key: SessionKey,
        store: Store,
        quotas: Quotas,
        tally: Callable[[], Awaitable[Tally]],
    ) -> None:
        self._key = key
        self._store = store
        self._quotas = quotas
        self._tally = tally
        self._admitting = asyncio.Lock()
        self._subscriptions: set[Subscription] = set()
        self._ended: tuple[GatewayError | None] | None = None
        self.connection: RunnerConnection | None = None

    @property
    def key(self) -> SessionKey:
        """The session's key."""
        return self._key

    @property
    def is_draining(self) -> bool:
        """Whether the gateway goes, so that nobody is kept listening."""
        return self._ended == (None,)

    async def admit(self, connection: RunnerConnection, hello: Hello) -> Admission | Refusal:
        """Make this the session's connection, or say why not.

        The connection before is fenced before the last number is read, so that nothing is committed
        after what the welcome says.
        """
        async with self._admitting:
            try:
                record = await self._store.get_session(self._key)
            except UnknownSessionError as error:
                return Refusal(code=CloseCode.NO_SESSION, reason=str(error))
            refusal = _refusal(record, hello) or await self._over_quota(record, hello)
            if refusal is not None:
                return refusal
            if hello.epoch is None:
                await self._store.bump_epoch(self._key, hello.instance)
            await self._replace(connection)
            return await self._admission(hello)

    def leave(self, connection: RunnerConnection) -> None:
        """Forget a connection that is gone."""
        if self.connection is connection:
            self.connection = None

    async def wind_down(self, epoch: int, reason: str) -> None:
        """Have the process stop in order, because a quota is used up; once for each process."""
        stop = SessionStop(id=f"{GATEWAY}.quota.{epoch}", by=GATEWAY, reason=reason)
        await self._store.add_command(
            self._key, stop.id, GATEWAY, stop.id, lambda seq: numbered(stop, seq)
        )
        if self.connection is not None:
            self.connection.notify_command()

    def publish(self, rows: Sequence[EventRow]) -> None:
        """Hand committed events to whoever listens."""
        for subscription in self._subscriptions:
            subscription.push(rows)

    def listen(self, subscription: Subscription) -> None:
        """Hand every event that is committed from now on to this listener."""
        self._subscriptions.add(subscription)
        if self._ended is not None:
            subscription.close(*self._ended)

    def unlisten(self, subscription: Subscription) -> None:
        """Hand nothing more to this listener."""
        self._subscriptions.discard(subscription)

    def close_subscriptions(self, reason: GatewayError | None = None) -> None:
        """End every listener's iteration, those of later ones too."""
        self._ended = (reason,)
        for subscription in self._subscriptions:
            subscription.close(reason)

    async def _replace(self, connection: RunnerConnection) -> None:
        before, self.connection = self.connection, connection
        if before is None or before is connection:
            return
        if before.instance == connection.instance:
            await before.fence(CloseCode.REPLACED, "this process dialled again")
        else:
            await before.fence(CloseCode.SUPERSEDED, "a newer process has the session")

    async def _admission(self, hello: Hello) -> Admission:
        record = await self._store.get_session(self._key)
        requests = await self._store.open_requests(
            self._key.tenant, session=self._key.id, limit=WELCOME_REQUESTS
        )
        whole = Admission(
            epoch=record.epoch,
            acked=record.last_event,
            committed_epoch=record.committed_epoch,
            # What an earlier process took in may have been applied: it is not sent again.
            last_command=max(hello.last_command, record.acknowledged_command),
            state=await self._store.saved_state(self._key),
            open_requests=tuple(payload_of(request.data) for request in requests),
            omitted_requests=record.open_requests - len(requests),
            allowance=await self._allowance(record),
        )
        return fitting(whole, hello.max_frame_bytes)

    async def _allowance(self, record: SessionRecord) -> Allowance | None:
        if not self._quotas.count_events:
            return None
        return Allowance(
            self._quotas,
            await self._tally(),
            self._key.id,
            events=record.last_event,
            bytes=record.events_bytes,
        )

    async def _over_quota(self, record: SessionRecord, hello: Hello) -> Refusal | None:
        # A process that is stopping may dial again: it has its reserve.
        if hello.epoch is not None or not self._quotas.count_events:
            return None
        try:
            demand_room(self._quotas, await self._tally(), record)
        except QuotaError as error:
            return Refusal(code=CloseCode.QUOTA, reason=str(error))
        return None


def payload_of(event: bytes) -> dict[str, JSON]:
    """An event without what the shell put in front of it."""
    fields: dict[str, JSON] = msgspec.json.decode(event)
    return {name: value for name, value in fields.items() if name not in codec.SHELL_FIELDS}


def _refusal(record: SessionRecord, hello: Hello) -> Refusal | None:
    if hello.session != record.key.id:
        return Refusal(code=CloseCode.FORBIDDEN, reason="hello names another session")
    if hello.last_command > record.last_command:
        reason = f"command {hello.last_command} was never given; {record.last_command} is the last"
        return Refusal(code=CloseCode.PROTOCOL, reason=reason)
    if hello.epoch is None:
        return None
    if hello.epoch > record.epoch:
        reason = f"epoch {hello.epoch} was never given; {record.epoch} is the latest"
        return Refusal(code=CloseCode.PROTOCOL, reason=reason)
    if hello.epoch < record.epoch or hello.instance != record.instance:
        return Refusal(code=CloseCode.SUPERSEDED, reason=f"epoch {record.epoch} has the session")
    return None
