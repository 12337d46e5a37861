"""What the shell asks of a journal."""

from __future__ import annotations

from typing import Protocol


class Journal(Protocol):
    """Events out and commands in, in order.

    Attributes:
        durable: Whether it survives the process; `resumable` is never claimed without it.
        backlog_bytes: Bytes of the events that are not acknowledged.
    """

    durable: bool
    backlog_bytes: int

    def append(self, seq: int, event: bytes) -> None:
        """Keep an encoded event before it is sent."""

    def read(self, seq: int) -> bytes:
        """The encoded event `seq`, which is not acknowledged."""

    def acknowledged(self, seq: int) -> None:
        """Every event up to `seq` is safe at the gateway and may be dropped."""

    def accept(self, seq: int, command: bytes) -> None:
        """Keep a command before it is acknowledged."""
