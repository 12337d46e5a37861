"""A connection inside one process: what one end sends, the other receives."""

from __future__ import annotations

import asyncio
from collections import deque

from ..errors import TransportBroken, TransportClosed


class MemorySocket:
    """One end of a pair; both ends belong to the same event loop."""

    def __init__(self) -> None:
        self._inbox: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._peer: MemorySocket | None = None
        self._closed_by_us = False
        self._ended: tuple[int | None, str] | None = None

    async def send(self, data: bytes) -> None:
        """Hand a frame to the other end."""
        if self._closed_by_us:
            raise TransportClosed("the connection was closed here")
        if not self.is_clear:
            raise self._broken()
        self.send_now(data)

    @property
    def is_clear(self) -> bool:
        """See `PromptSocket.is_clear`."""
        return self._ended is None and self._peer is not None

    def send_now(self, data: bytes) -> None:
        """See `PromptSocket.send_now`."""
        if self._peer is not None:
            self._peer._inbox.append(data)
            self._peer._news.set()

    async def recv(self) -> str | bytes:
        """Take the next frame; frames that came before a close are still delivered."""
        while not self._inbox:
            if self._ended is not None:
                raise self._broken()
            self._news.clear()
            await self._news.wait()
        return self._inbox.popleft()

    async def close(self, code: int, reason: str) -> None:
        """Close both ends; the other one sees `code` and `reason`."""
        self._closed_by_us = True
        self._end(code, reason)
        if self._peer is not None:
            self._peer._end(code, reason)

    def cut(self) -> None:
        """Break the connection without a word, as a lost network does."""
        self._end(None, "cut")
        if self._peer is not None:
            self._peer._end(None, "cut")

    def _end(self, code: int | None, reason: str) -> None:
        if self._ended is None:
            self._ended = (code, reason)
        self._news.set()

    def _broken(self) -> TransportBroken:
        code, reason = self._ended or (None, "no peer")
        return TransportBroken(reason or "closed", code)


def memory_pair() -> tuple[MemorySocket, MemorySocket]:
    """Two connected ends. Call it inside the loop that will use them."""
    one, other = MemorySocket(), MemorySocket()
    one._peer, other._peer = other, one
    return one, other
