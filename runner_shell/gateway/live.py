"""What a gateway keeps in memory of a session that someone is connected to or listens to."""

from __future__ import annotations

import asyncio

from ..protocol.frames import CloseCode, Hello
from .connection import Admission, Refusal, RunnerConnection
from .errors import UnknownSessionError
from .store import EventRow, SessionKey, SessionRecord, Store
from .subscription import Subscription


class LiveSession:
    """One session's connection and listeners. At most one connection may commit at any time.

    Args:
        key: The session.
        store: Where it is kept.
    """

    def __init__(self, key: SessionKey, store: Store) -> None:
        self._key = key
        self._store = store
        self._admitting = asyncio.Lock()
        self._subscriptions: set[Subscription] = set()
        self.connection: RunnerConnection | None = None

    @property
    def key(self) -> SessionKey:
        """The session's key."""
        return self._key

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
            refusal = _refusal(record, hello)
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

    def publish(self, rows: list[EventRow]) -> None:
        """Hand committed events to whoever listens."""
        for subscription in self._subscriptions:
            subscription.push(rows)

    def listen(self, subscription: Subscription) -> None:
        """Hand every event that is committed from now on to this listener."""
        self._subscriptions.add(subscription)

    def unlisten(self, subscription: Subscription) -> None:
        """Hand nothing more to this listener."""
        self._subscriptions.discard(subscription)

    def close_subscriptions(self) -> None:
        """End every listener's iteration."""
        for subscription in self._subscriptions:
            subscription.close()

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
        return Admission(
            epoch=record.epoch,
            acked=record.last_event,
            # What an earlier process took in may have been applied: it is not sent again.
            last_command=max(hello.last_command, record.acknowledged_command),
            state=await self._store.saved_state(self._key),
            open_requests=await self._store.open_requests(self._key),
        )


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
