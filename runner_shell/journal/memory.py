"""The journal in memory."""

from __future__ import annotations

import os
from collections import deque

from ..protocol.events import JSON, Event, RequestOpened, UnknownEvent
from .recovered import CutTurn, Recovered


class MemoryJournal:
    """Keeps events until they are acknowledged; a lost process loses them.

    Attributes:
        durable: False.
        backlog_bytes: Bytes of the events that are not acknowledged.
        recovered: Nothing; only its `log` counts.
        first: 1.
        cut_bytes: 0.
        trouble: Empty.
    """

    durable = False

    def __init__(self) -> None:
        self.backlog_bytes = 0
        self.recovered = Recovered(log=os.urandom(8).hex())
        self.first = 1
        self.cut_bytes = 0
        self.trouble = ""
        self._events: deque[bytes] = deque()
        self._first = 1

    def append(self, seq: int, encoded: bytes, event: Event | UnknownEvent, turn: str) -> None:
        """Keep an event; the first one, or the first after lost history, sets the count."""
        del event, turn
        if not self._events:
            self._first = seq
        self._events.append(encoded)
        self.backlog_bytes += len(encoded)

    def read(self, seq: int) -> bytes:
        """The event `seq`.

        Raises:
            IndexError: It was acknowledged, or never appended.
        """
        if seq < self._first:
            raise IndexError(f"event {seq} is acknowledged and gone")
        return self._events[seq - self._first]

    def size(self, seq: int) -> int:
        """How many bytes that event has."""
        return len(self.read(seq))

    def acknowledged(self, seq: int) -> None:
        """Drop every event up to `seq`."""
        while self._events and self._first <= seq:
            self.backlog_bytes -= len(self._events.popleft())
            self._first += 1

    def accept(self, seq: int, command: bytes) -> None:
        """A command lives as long as the process: there is nothing to keep."""

    def applying(self, command: str) -> None:
        """There is nothing to keep."""

    def resume(self, cut: CutTurn | None) -> None:
        """There is nothing to keep."""

    def settle(self, seq: int) -> None:
        """There is nothing to keep."""

    def took_epoch(self, epoch: int) -> None:
        """There is nothing to keep."""

    def begin_anew(
        self,
        next: int,
        log: str,
        state: dict[str, JSON],
        requests: list[RequestOpened],
        *,
        epoch: int,
    ) -> None:
        """There is nothing to forget."""

    def flush(self) -> None:
        """There is nothing to write."""

    def close(self) -> None:
        """There is nothing to let go."""
