"""What a link needs of a connection."""

from __future__ import annotations

from typing import Protocol


class Socket(Protocol):
    """A message connection: a WebSocket, or one end of a memory pair."""

    async def send(self, data: bytes) -> None:
        """Send one text frame of UTF-8 JSON.

        Raises:
            TransportBroken: The connection is gone.
        """

    async def recv(self) -> str | bytes:
        """Wait for the next frame.

        Raises:
            TransportBroken: The connection is gone; `code` is the close code, if there was one.
        """

    async def close(self, code: int, reason: str) -> None:
        """Close it, and return within a bounded time. Closing twice does nothing."""


class PromptSocket(Socket, Protocol):
    """A connection of a runner: it also takes frames at once, without a task that waits."""

    @property
    def is_clear(self) -> bool:
        """Whether it stands, and everything that was sent has left."""

    def send_now(self, data: bytes) -> None:
        """Send one text frame, and keep what does not leave at once. Call it when `is_clear`.

        A connection that breaks meanwhile is told of by `recv`.
        """
