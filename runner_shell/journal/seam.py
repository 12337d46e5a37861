"""What the shell asks of a journal."""

from __future__ import annotations

from typing import Protocol

from ..protocol.events import JSON, Event, RequestOpened, UnknownEvent
from .recovered import CutTurn, Recovered


class Journal(Protocol):
    """Events out and commands in, in order.

    What is appended is kept at the next `flush`, all of it by one write; nothing may be sent, shown
    or acted upon before. A call that cannot be kept raises `JournalBroken`, once and for all.

    Attributes:
        durable: Whether it survives the process; `resumable` is never claimed without it.
        backlog_bytes: Bytes of the events that are not acknowledged.
        recovered: What it held when it was opened.
        first: Number of the first event that may have to be sent again.
        cut_bytes: How much of a torn tail was cut off when it was opened.
        trouble: Why the session must end soon, though its endings can still be kept; or empty.
    """

    durable: bool
    backlog_bytes: int
    recovered: Recovered
    first: int
    cut_bytes: int
    trouble: str

    def append(self, seq: int, encoded: bytes, event: Event | UnknownEvent, turn: str) -> None:
        """Keep an event: encoded as it is sent, and as it was before."""

    def read(self, seq: int) -> bytes:
        """The encoded event `seq`, which is not acknowledged."""

    def size(self, seq: int) -> int:
        """How many bytes that event has."""

    def acknowledged(self, seq: int) -> None:
        """Every event up to `seq` is safe at the gateway and may be dropped."""

    def accept(self, seq: int, command: bytes) -> None:
        """Keep an encoded command before it is acknowledged."""

    def applying(self, command: str) -> None:
        """Keep that the effect of the command with this id begins."""

    def resume(self, cut: CutTurn | None) -> None:
        """Keep that a next process is to go on with this turn, or with none."""

    def settle(self, seq: int) -> None:
        """Keep that everything is acknowledged up to the last event, `seq`."""

    def took_epoch(self, epoch: int) -> None:
        """Keep the number that the gateway gave this process, before anything goes under it.

        So a gateway that has events of a higher one has them from somewhere else.
        """

    def begin_anew(
        self,
        next: int,
        log: str,
        state: dict[str, JSON],
        requests: list[RequestOpened],
        *,
        epoch: int,
    ) -> None:
        """History was lost: forget everything and go on with what the gateway holds.

        Args:
            next: The next event's number.
            log: The new history's random id.
            state: What the adapter saved, as the gateway knows it.
            requests: The requests without an ending, likewise.
            epoch: What `took_epoch` would keep; both at once, or neither.
        """

    def flush(self) -> None:
        """Write what was appended; when this returns, no end of this process can lose it."""

    def close(self) -> None:
        """Flush, and let the directory go."""
