"""Events as they are committed, over HTTP: server-sent events.

Source: WHATWG HTML, "Server-sent events".
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..errors import GatewayError, SessionDeletedError, TooSlowError, UnknownSessionError
from ..logs import Log
from ..sessions.follower import Follower
from ..store import EventRow
from .problems import problem_of

KEEP_ALIVE_SECONDS = 15.0
STALL_SECONDS = 60.0
"""A caller who takes nothing for this long is gone."""

WRITE_BYTES = 256 * 1024
"""About how much is written at a time."""

KEEP_ALIVE = b": keep-alive\n\n"

_log = Log(__name__)


class EventStream(Response):
    """Follows a session until the caller goes, or there is a reason to end, which it says last.

    Args:
        follower: What is followed; not entered yet.
        keep_alive_seconds: How long it says nothing at most.
        stall_seconds: How long a write may take.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        follower: Follower,
        *,
        keep_alive_seconds: float = KEEP_ALIVE_SECONDS,
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        super().__init__()
        # Proxies must neither keep nor collect it.
        self.headers.update({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["Content-Length"]
        self._follower = follower
        self._keep_alive_seconds = keep_alive_seconds
        self._stall_seconds = stall_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; returns when either side ends it."""
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        gone = asyncio.create_task(_disconnected(receive))
        streaming = asyncio.create_task(self._stream(send))
        try:
            await asyncio.wait({gone, streaming}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            streaming.cancel()
            await asyncio.wait({gone, streaming})
        if not streaming.cancelled():
            streaming.result()

    async def _stream(self, send: Send) -> None:
        try:
            async with self._follower:
                while True:
                    for text in await self._next():
                        await self._write(send, text)
        except GatewayError as error:
            await self._write(send, ending(error))
            await send({"type": "http.response.body", "body": b""})
        except TimeoutError:
            # It ends without its last chunk, so that the caller knows that it is not whole.
            _log.info("listener_stalled", seconds=self._stall_seconds)

    async def _next(self) -> Iterable[bytes]:
        try:
            async with asyncio.timeout(self._keep_alive_seconds):
                rows = await self._follower.batch()
        except TimeoutError:
            return (KEEP_ALIVE,)
        return messages(rows)

    async def _write(self, send: Send, text: bytes) -> None:
        async with asyncio.timeout(self._stall_seconds):
            await send({"type": "http.response.body", "body": text, "more_body": True})


def messages(rows: Iterable[EventRow]) -> Iterable[bytes]:
    """Events as the stream's text, in pieces of about `WRITE_BYTES`."""
    piece: list[bytes] = []
    size = 0
    for row in rows:
        text = b"id: %d\nevent: %b\ndata: %b\n\n" % (
            row.seq,
            _one_line(row.type.encode()),
            _data(row.data),
        )
        piece.append(text)
        size += len(text)
        if size >= WRITE_BYTES:
            yield b"".join(piece)
            piece, size = [], 0
    if piece:
        yield b"".join(piece)


def ending(error: GatewayError) -> bytes:
    """The last message: why it ends. Without a number, so that a caller comes again from the last.

    Source: docs/reference/rest.md, "events/live".
    """
    match error:
        case TooSlowError():
            name = b"cut"
        case SessionDeletedError() | UnknownSessionError():
            name = b"session.deleted"
        case _:
            # A store that failed is a gateway to come back to, as one that is going.
            name = b"draining"
    return b"event: %b\ndata: %b\n\n" % (name, msgspec.json.encode(problem_of(error)))


def _data(event: bytes) -> bytes:
    # An event may have line breaks between its tokens: each line needs a field of its own.
    if b"\n" not in event and b"\r" not in event:
        return event
    return b"\ndata: ".join(event.splitlines())


def _one_line(name: bytes) -> bytes:
    return b" ".join(name.split())


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
