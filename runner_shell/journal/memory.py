"""The journal in memory."""

from __future__ import annotations

from collections import deque


class MemoryJournal:
    """Keeps events until they are acknowledged; a lost process loses them.

    Attributes:
        durable: False.
        backlog_bytes: Bytes of the events that are not acknowledged.
        last_command: The last command it accepted.
    """

    durable = False

    def __init__(self) -> None:
        self.backlog_bytes = 0
        self.last_command = 0
        self._events: deque[bytes] = deque()
        self._first = 1

    def append(self, seq: int, event: bytes) -> None:
        """Keep an event; the first one, or the first after lost history, sets the count."""
        if not self._events:
            self._first = seq
        self._events.append(event)
        self.backlog_bytes += len(event)

    def read(self, seq: int) -> bytes:
        """The event `seq`.

        Raises:
            IndexError: It was acknowledged, or never appended.
        """
        if seq < self._first:
            raise IndexError(f"event {seq} is acknowledged and gone")
        return self._events[seq - self._first]

    def acknowledged(self, seq: int) -> None:
        """Drop every event up to `seq`."""
        while self._events and self._first <= seq:
            self.backlog_bytes -= len(self._events.popleft())
            self._first += 1

    def accept(self, seq: int, command: bytes) -> None:
        """Remember the number; the command itself lives as long as the process."""
        del command
        self.last_command = seq
