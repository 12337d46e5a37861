"""What a runner's connection is spoken over, without waiting for it."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from ...errors import TransportBroken, TransportClosed
from ...protocol.frames import CloseCode
from ...transport.socket import Socket

LINE = "runner_shell.line"
"""The ASGI extension by which an application takes a connection over; see `direct`."""

SEND_SECONDS = 10.0
"""A peer that takes nothing for this long is gone."""

FULL_BYTES = 64 * 1024
"""With this much to be sent, a line is full."""


class Receiver(Protocol):
    """Who listens at a line."""

    def take(self, frame: bytes | str) -> None:
        """A frame came."""

    def gone(self, reason: str) -> None:
        """Nothing more will come or go; it may be said more than once."""


class Line(Protocol):
    """One connection, for whoever must not wait: it buffers, and says when it has too much."""

    @property
    def is_full(self) -> bool:
        """Whether the other side takes less than it is sent."""

    async def writable(self) -> None:
        """Wait until it is not full, or gone."""

    def write(self, frame: bytes) -> None:
        """Send one text frame of UTF-8 JSON; nothing happens where it is gone or closed."""

    def pause(self) -> None:
        """Read no more for now; what was read already may still come."""

    def resume(self) -> None:
        """Read on."""

    def close(self, code: int, reason: str) -> None:
        """Close it. The receiver is told when it is gone, which is within a bounded time."""


class _Closed(Exception):
    """Ends both tasks of a line; it never leaves this module."""


class SocketLine:
    """A line over any `Socket`, for the time of `carry`.

    Args:
        socket: Open.
    """

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._outbox: deque[bytes] = deque()
        self._outbox_bytes = 0
        self._news = asyncio.Event()
        self._reading = asyncio.Event()
        self._reading.set()
        self._writable = asyncio.Event()
        self._writable.set()
        self._ending: tuple[int, str] | None = None

    @property
    def is_full(self) -> bool:
        """See `Line.is_full`."""
        return not self._writable.is_set()

    async def writable(self) -> None:
        """See `Line.writable`."""
        await self._writable.wait()

    def write(self, frame: bytes) -> None:
        """See `Line.write`."""
        if self._ending is None:
            self._outbox.append(frame)
            self._outbox_bytes += len(frame)
            if self._outbox_bytes >= FULL_BYTES:
                self._writable.clear()
            self._news.set()

    def pause(self) -> None:
        """See `Line.pause`."""
        self._reading.clear()

    def resume(self) -> None:
        """See `Line.resume`."""
        self._reading.set()

    def close(self, code: int, reason: str) -> None:
        """See `Line.close`."""
        if self._ending is None:
            self._ending = (code, reason)
            self._news.set()

    async def carry(self, receiver: Receiver) -> None:
        """Pass on what comes and send what is written, until either side closes."""
        why = "the gateway closed it"
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read(receiver))
                tasks.create_task(self._write(receiver))
        except* _Closed:
            assert self._ending is not None
            await self._socket.close(*self._ending)
        except* (TransportBroken, TransportClosed) as broken:
            why = str(broken.exceptions[0])
        finally:
            self._writable.set()
            receiver.gone(why)

    async def _read(self, receiver: Receiver) -> None:
        while True:
            frame = await self._socket.recv()
            await self._reading.wait()
            receiver.take(frame)

    async def _write(self, receiver: Receiver) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._outbox and self._ending is None:
                try:
                    async with asyncio.timeout(SEND_SECONDS):
                        await self._socket.send(self._outbox[0])
                except TimeoutError:
                    why = "nothing was taken for too long"
                    self.close(CloseCode.SILENT, why)
                    receiver.gone(why)
                else:
                    self._sent(self._outbox.popleft())
            if self._ending is not None:
                raise _Closed

    def _sent(self, frame: bytes) -> None:
        self._outbox_bytes -= len(frame)
        if self._outbox_bytes < FULL_BYTES:
            self._writable.set()
