"""A server that notes when frames come, in the process that starts what is measured."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request
from websockets.typing import Subprotocol

from runner_shell.protocol import codec
from runner_shell.protocol.frames import SUBPROTOCOL, Welcome

HELLO = "hello"
"""Wait for the first frame; every other word waits for an event of that type."""


class Visit:
    """One process that is expected.

    Args:
        until: `HELLO`, or the type of the event that ends the measurement.
        on_dial: Called when the process asks for its connection, before it is answered.
        on_arrival: Called at once when what is waited for came.
    """

    def __init__(
        self,
        until: str,
        on_dial: Callable[[], None] = lambda: None,
        on_arrival: Callable[[], None] = lambda: None,
    ) -> None:
        self.until = until
        self.on_dial = on_dial
        self.on_arrival = on_arrival
        self.arrived: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def took(self, frame: bytes) -> None:
        """Note the time if this frame is, or holds, what is waited for."""
        now = time.perf_counter()
        if self.until != HELLO and b'"type":"%b"' % self.until.encode() not in frame:
            return
        if not self.arrived.done():
            self.on_arrival()
            self.arrived.set_result(now)


class Gateway:
    """Serves one visit after another on a free port of the loopback."""

    def __init__(self) -> None:
        self._server: Server
        self._visit: Visit | None = None

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._converse,
            "127.0.0.1",
            0,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            compression=None,
            process_request=self._dialled,
        )
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """Where to dial."""
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/runner"

    def expect(self, visit: Visit) -> None:
        """The next connection is this one's."""
        self._visit = visit

    def _dialled(self, connection: ServerConnection, request: Request) -> None:
        if self._visit is not None:
            self._visit.on_dial()

    async def _converse(self, connection: ServerConnection) -> None:
        visit = self._visit
        assert visit is not None, "nobody else knows this port"
        try:
            visit.took(await connection.recv(decode=False))
            await connection.send(codec.encode_frame(Welcome(epoch=1, acked=0)), text=True)
            async for frame in connection:
                visit.took(frame.encode() if isinstance(frame, str) else frame)
        except ConnectionClosed:
            return
