"""The runners that are connected: taken in, served, sent away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..errors import RunnerError
from ..link.gateway import GatewayLimits, GatewayLink
from ..protocol.frames import CloseCode
from ..transport.socket import Socket
from .connection import RunnerConnection
from .errors import DrainingError, ForbiddenError, StoreError, UnknownSessionError
from .live_sessions import LiveSessions
from .logs import Log
from .store import SessionKey, Store

GOING = "the gateway is going"

_log = Log(__name__)


class Runners:
    """Every connection of a gateway.

    Args:
        store: Where their sessions are kept.
        live: The sessions they belong to.
        limits: What the links allow and how long they wait.
        clock: Monotonic seconds.
        now: The time of day as RFC 3339.
    """

    def __init__(
        self,
        store: Store,
        live: LiveSessions,
        *,
        limits: GatewayLimits,
        clock: Callable[[], float],
        now: Callable[[], str],
    ) -> None:
        self._store = store
        self._live = live
        self._limits = limits
        self._clock = clock
        self._now = now
        self._connections: set[RunnerConnection] = set()
        self._all_gone = asyncio.Event()

    async def serve(self, socket: Socket, key: SessionKey) -> None:
        """Serve one connection of a session's runner until it is gone."""
        live = self._live.enter(key)
        link = GatewayLink(now=self._clock(), limits=self._limits)
        connection = RunnerConnection(socket, link, home=live, store=self._store, clock=self._clock)
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            live.leave(connection)
            self._connections.discard(connection)
            if not self._connections:
                self._all_gone.set()
        await self._note_seen(key)

    async def drain(self, timeout_seconds: float) -> None:
        """Close every socket with "dial again now"; return when they are gone, or in this time."""
        self._all_gone.clear()
        if not self._connections:
            return
        try:
            async with asyncio.timeout(timeout_seconds):
                leaving = list(self._connections)
                await asyncio.gather(*[each.fence(CloseCode.DRAINING, GOING) for each in leaving])
                await self._all_gone.wait()
        except TimeoutError:
            return

    async def _note_seen(self, key: SessionKey) -> None:
        try:
            await self._store.touch(key, self._now())
        except StoreError as error:
            _log.warning("store_failed", session=key.id, error=str(error))


def close_code(error: RunnerError) -> int:
    """What a runner is told that is refused for this reason."""
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
