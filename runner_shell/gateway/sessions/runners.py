"""The runners that are connected: taken in, served, sent away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ...errors import RunnerError
from ...link.gateway import GatewayLimits, GatewayLink
from ...protocol.frames import CloseCode
from ..errors import DrainingError, ForbiddenError, StoreError, UnknownSessionError
from ..logs import Log
from ..runner.connection import RunnerConnection
from ..runner.errands import Errands
from ..runner.home import Surroundings
from ..runner.intake import Intake
from ..runner.line import Line
from ..runner.rounds import Rounds
from ..store import SessionKey, Store
from .live_sessions import LiveSessions

GOING = "the gateway is going"

_log = Log(__name__)


class Runners:
    """Every connection of a gateway, and what they share.

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
        self._now = now
        self._errands = Errands()
        self._around = Surroundings(
            store=store,
            intake=Intake(store, self._errands),
            errands=self._errands,
            rounds=Rounds(clock),
            clock=clock,
        )
        self._connections: set[RunnerConnection] = set()
        self._all_gone = asyncio.Event()

    def connect(self, line: Line, key: SessionKey) -> RunnerConnection:
        """Serve this line for a runner of this session, until it is gone."""
        connection = RunnerConnection(
            line,
            GatewayLink(now=self._around.clock(), limits=self._limits),
            home=self._live.enter(key),
            around=self._around,
            on_over=self._over,
        )
        self._connections.add(connection)
        self._all_gone.clear()
        connection.begin()
        if self._live.is_draining:
            connection.close(CloseCode.DRAINING, GOING)
        return connection

    async def drain(self, timeout_seconds: float) -> None:
        """Close every line with "dial again now"; return when all are gone, or after this long."""
        if not self._connections:
            return
        try:
            async with asyncio.timeout(timeout_seconds):
                leaving = list(self._connections)
                await asyncio.gather(*[each.fence(CloseCode.DRAINING, GOING) for each in leaving])
                await self._all_gone.wait()
        except TimeoutError:
            return

    def _over(self, connection: RunnerConnection) -> None:
        self._errands.run(self._note_seen(connection))

    async def _note_seen(self, connection: RunnerConnection) -> None:
        try:
            await self._store.touch(connection.key, self._now())
        except StoreError as error:
            _log.warning("store_failed", session=connection.key.id, error=str(error))
        finally:
            self._connections.discard(connection)
            if not self._connections:
                self._all_gone.set()


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
