"""A Starlette WebSocket as the `Socket` that links run over."""

from __future__ import annotations

import asyncio

from starlette.websockets import WebSocket, WebSocketDisconnect

from ...errors import TransportBroken, TransportClosed

CLOSE_SECONDS = 5.0
MAX_REASON_BYTES = 123
"""What fits into a WebSocket's close frame beside the code."""


class WebSocketSocket:
    """See `transport.socket.Socket`.

    Args:
        websocket: Accepted already.
    """

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._closed = False

    async def send(self, data: bytes) -> None:
        """See `Socket.send`."""
        if self._closed:
            raise TransportClosed("the connection was closed here")
        try:
            await self._websocket.send({"type": "websocket.send", "text": data.decode()})
        except (WebSocketDisconnect, RuntimeError) as error:
            # Starlette raises RuntimeError for a send after the other side's close.
            raise TransportBroken(f"the connection is gone: {error}") from error

    async def recv(self) -> str | bytes:
        """See `Socket.recv`."""
        if self._closed:
            raise TransportClosed("the connection was closed here")
        try:
            message = await self._websocket.receive()
        except RuntimeError as error:
            raise TransportBroken(f"the connection is gone: {error}") from error
        if message["type"] == "websocket.disconnect":
            reason = message.get("reason") or "the other side closed"
            raise TransportBroken(reason, message.get("code"))
        frame: str | bytes | None = message.get("text")
        return frame if frame is not None else message["bytes"]

    async def close(self, code: int, reason: str) -> None:
        """See `Socket.close`."""
        if self._closed:
            return
        self._closed = True
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._websocket.close(code, cut_reason(reason))
        except (WebSocketDisconnect, RuntimeError, TimeoutError):
            return  # it is gone, which is what was wanted


def cut_reason(reason: str) -> str:
    """As much of a reason as a close frame holds."""
    return reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
