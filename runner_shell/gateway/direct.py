"""A WebSocket that uvicorn has accepted, spoken to without its queue and Starlette's layers.

A frame that passes through an ASGI application costs several times what it costs to read it, and a
connection that waits in one holds several times its memory. So the application decides who is
taken in, and then takes the connection over: its frames go straight to whoever receives them.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

from .runner.line import LINE, Receiver
from .web.websocket import CLOSE_SECONDS, cut_reason

if TYPE_CHECKING:
    from websockets.http11 import Request

GOING_AWAY = 1012


class UpgradeProtocol(WebSocketsSansIOProtocol):
    """uvicorn's own protocol up to the moment when the connection is taken over.

    Its scope has the extension `LINE` with the function `take_over`. It relies on how uvicorn's is
    made inside: `tests/gateway/test_direct.py` watches that. Under any other server an application
    does not find the extension, and speaks ASGI.
    """

    def handle_connect(self, event: Request) -> None:
        """An upgrade is asked for."""
        super().handle_connect(event)
        scope: Any = getattr(self, "scope", None)  # none where the request was refused
        if scope is not None:
            scope["extensions"][LINE] = {"take_over": self.take_over}

    def take_over(self) -> DirectLine:
        """Give the accepted connection away; the application may return then."""
        line = DirectLine(self.transport, self.conn, self.connections)
        while not self.queue.empty():
            message: Any = self.queue.get_nowait()
            line.came_before(message.get("text") or message.get("bytes"))
        self.connections.discard(self)
        self.connections.add(line)  # type: ignore[arg-type]
        self.transport.set_protocol(line)
        if self.read_paused:
            self.transport.resume_reading()
        self.transport = _Given()  # type: ignore[assignment]
        return line


class _Given:
    """Stands where the transport was, for the protocol that closes it when its task is done."""

    def close(self) -> None:
        """Leave the connection to whom it was given."""


class DirectLine(asyncio.Protocol):
    """See `line.Line`; and it is what the server has among its connections.

    Args:
        transport: Connected.
        websocket: Its protocol, open.
        connections: The server's; it is in there as long as it lasts.
    """

    __slots__ = (
        "_close_timer",
        "_connections",
        "_early",
        "_fragments",
        "_is_closed",
        "_receiver",
        "_room",
        "_transport",
        "_websocket",
    )

    def __init__(
        self, transport: asyncio.Transport, websocket: ServerProtocol, connections: set[Any]
    ) -> None:
        self._transport = transport
        self._websocket = websocket
        self._connections = connections
        self._receiver: Receiver | None = None
        self._early: list[bytes | str] = []
        self._fragments: list[bytes] = []
        self._room: asyncio.Future[None] | None = None
        self._is_closed = False
        self._close_timer: asyncio.TimerHandle | None = None

    def came_before(self, frame: bytes | str | None) -> None:
        """Keep a frame that was read before the connection was taken over."""
        if frame is not None:
            self._early.append(frame)

    def carry_to(self, receiver: Receiver) -> None:
        """From now on what comes goes there."""
        self._receiver = receiver
        early, self._early = self._early, []
        for frame in early:
            receiver.take(frame)
        if self._transport.is_closing():
            receiver.gone("the other side closed")

    # --- the line ------------------------------------------------------------------------

    @property
    def is_full(self) -> bool:
        """See `Line.is_full`."""
        return self._room is not None

    async def writable(self) -> None:
        """See `Line.writable`."""
        if self._room is not None:
            await asyncio.shield(self._room)

    def write(self, frame: bytes) -> None:
        """See `Line.write`."""
        if not self._is_closed:
            try:
                self._websocket.send_text(frame)
            except InvalidState:  # the other side is closing, which will be told
                return
            self._send()

    def pause(self) -> None:
        """See `Line.pause`."""
        self._transport.pause_reading()

    def resume(self) -> None:
        """See `Line.resume`."""
        self._transport.resume_reading()

    def close(self, code: int, reason: str) -> None:
        """See `Line.close`."""
        if self._is_closed:
            return
        self._is_closed = True
        # Whatever the other side does, and however much it has not taken yet.
        loop = asyncio.get_running_loop()
        self._close_timer = loop.call_later(CLOSE_SECONDS, self._transport.abort)
        with suppress(InvalidState):  # the other side was faster
            self._websocket.send_close(code, cut_reason(reason))
        self._send()
        self._transport.resume_reading()

    # --- the server's --------------------------------------------------------------------

    def shutdown(self) -> None:
        """The server stops."""
        self.close(GOING_AWAY, "the server stops")

    # --- the transport's -----------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Take in what came, and answer what WebSocket itself asks for."""
        self._websocket.receive_data(data)
        for event in self._websocket.events_received():
            if isinstance(event, Frame):
                self._take(event)
        self._send()
        if self._websocket.close_expected():
            self._transport.close()

    def _take(self, frame: Frame) -> None:
        match frame.opcode:
            case Opcode.TEXT | Opcode.BINARY if frame.fin:
                self._pass_on(bytes(frame.data))
            case Opcode.TEXT | Opcode.BINARY | Opcode.CONT:
                self._fragments.append(bytes(frame.data))
                if frame.fin:
                    message, self._fragments = b"".join(self._fragments), []
                    self._pass_on(message)

    def _pass_on(self, message: bytes) -> None:
        if self._is_closed:
            return
        if self._receiver is None:
            self._early.append(message)
        else:
            self._receiver.take(message)

    def eof_received(self) -> None:
        """The other side sends no more."""
        self._websocket.receive_eof()
        self._send()

    def pause_writing(self) -> None:
        """The other side takes less than it is sent."""
        if self._room is None:
            self._room = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """It takes something again."""
        if self._room is not None:
            self._room.set_result(None)
            self._room = None

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone, for whatever reason."""
        self._connections.discard(self)
        self.resume_writing()
        if self._close_timer is not None:
            self._close_timer.cancel()
        if self._receiver is not None:
            said = self._websocket.close_rcvd
            self._receiver.gone(str(said or error or "the connection was lost"))

    def _send(self) -> None:
        for data in self._websocket.data_to_send():
            if data:
                self._transport.write(data)
            elif self._transport.can_write_eof():
                self._transport.write_eof()
