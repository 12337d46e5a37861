"""The events of a runner that are not acknowledged, and which of them are on their way.

It holds numbers and sizes; the events themselves lie in the journal. What was on its way when a
connection broke is sent again on the next one, from the first that is not committed.

Source: docs/reference/protocol.md, "Numbers and acknowledgement".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Protocol

from ..errors import LocalProtocolError, RemoteProtocolError
from ..protocol import codec
from ..protocol.frames import MAX_EVENTS_PER_FRAME, MAX_FRAME_BYTES
from . import batching

PARTS_AT_ONCE = 16
"""How many parts `frames` gives at a time: a large event is never in memory twice."""


class EventSource(Protocol):
    """Where the link reads journaled events back; the journal is one."""

    def read(self, seq: int) -> bytes:
        """The encoded event `seq`, which is journaled and not acknowledged."""


class Outbox:
    """Numbers in order, at most a credit of bytes on their way, few events to a frame.

    Args:
        events: The journal.
        next_seq: The number of the next event.
        linger_seconds: How long a text delta may wait to share a frame.

    Attributes:
        acked: The last event that is committed.
        next_seq: The number of the next event.
        max_frame_bytes: The largest frame that may be sent on this connection.
        credit: Bytes that may be on their way; one event always may.
    """

    def __init__(self, events: EventSource, *, next_seq: int, linger_seconds: float) -> None:
        self.acked = next_seq - 1
        self.next_seq = next_seq
        self.max_frame_bytes = MAX_FRAME_BYTES
        self.credit = 0
        self._events = events
        self._linger_seconds = linger_seconds
        # Sizes of the events acked + 1 … next_seq - 1: first those on their way, then the rest.
        self._in_flight: deque[int] = deque()
        self._unsent: deque[int] = deque()
        self._in_flight_bytes = 0
        self._parts_held = 0
        self._cutting: Iterator[bytes] | None = None  # the parts still to come of an event sent
        self._linger_until: float | None = None
        self._urgent = False

    # --- what is in it -----------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._in_flight) + len(self._unsent)

    def journaled(self, seq: int, size: int, *, lingers: bool, now: float) -> None:
        """Event `seq` is in the journal and may be sent.

        Args:
            seq: `next_seq`, which it has no more.
            size: Bytes of the encoded event.
            lingers: Whether it may wait a little to share a frame (a text delta).
            now: Monotonic seconds.

        Raises:
            LocalProtocolError: Another number was next, or the size is none.
        """
        if seq != self.next_seq:
            raise LocalProtocolError(f"event {seq} was journaled where {self.next_seq} was next")
        if size <= 0:
            raise LocalProtocolError(f"event {seq} was journaled with {size} bytes")
        self.next_seq += 1
        self._unsent.append(size)
        if not lingers:
            self._urgent = True
        elif self._linger_until is None:
            self._linger_until = now + self._linger_seconds

    def acknowledge(self, seq: int) -> None:
        """Every event up to `seq` is committed.

        Source: `ack` {event seq} is "cumulative, only after commit".

        Raises:
            RemoteProtocolError: It was acknowledged before, or never emitted.
        """
        if seq < self.acked:
            raise RemoteProtocolError(f"acknowledged {seq} after {self.acked}: events were lost")
        if seq >= self.next_seq:
            raise RemoteProtocolError(f"acknowledged {seq}, which was never emitted")
        count, self.acked = seq - self.acked, seq
        sent = min(count, len(self._in_flight))
        take = self._in_flight.popleft
        self._in_flight_bytes -= sum([take() for _ in range(sent)])
        for _ in range(count - sent):  # an earlier connection had brought them
            self._unsent.popleft()
            self._parts_held = 0

    # --- connections -------------------------------------------------------------------------

    def unsend(self) -> None:
        """A new connection stands: nothing is on its way."""
        self._cutting = None
        self._unsent.extendleft(reversed(self._in_flight))
        self._in_flight.clear()
        self._in_flight_bytes = 0

    def begin_anew(self, acked: int) -> None:
        """History was lost: nothing of it is sent, and numbers go on behind `acked`."""
        self._unsent.clear()
        self.acked, self.next_seq = acked, acked + 1

    def begin(self, *, credit: int, max_frame_bytes: int, parts: int) -> None:
        """Send from the first event on, under a connection's terms.

        Args:
            credit: Bytes that may be on their way.
            max_frame_bytes: The largest frame.
            parts: How many parts of the first event the gateway has; see `resumable`.
        """
        self.credit, self.max_frame_bytes = credit, max_frame_bytes
        self._parts_held = parts
        self._urgent = bool(self._unsent)

    def resumable(self, parts: int, max_frame_bytes: int) -> int:
        """How many parts of the first event need not be sent again.

        Source: "`welcome.parts` tells which of them it has".

        Raises:
            RemoteProtocolError: The event has not as many.
        """
        if not parts or not self._unsent:
            return 0  # parts of an event that this journal does not hold are of no use
        size = self._unsent[0]
        whole = batching.fits_one_frame(size, max_frame_bytes)
        if whole or not 0 < parts < batching.part_count(size, max_frame_bytes):
            raise RemoteProtocolError(f"{parts} parts of event {self.acked + 1}")
        return parts

    # --- sending -----------------------------------------------------------------------------

    @property
    def has_more(self) -> bool:
        """Whether a large event is under way, of which `frames` gave a part only."""
        return self._cutting is not None

    @property
    def deadline(self) -> float | None:
        """When to ask for `frames` at the latest: what may wait has waited then."""
        return self._linger_until if self._may_send_next() else None

    def frames(self, now: float) -> list[bytes]:
        """What may be sent now, in order; ask again while it `has_more`."""
        frames = self._more_parts()
        lingering = self._linger_until is not None and now < self._linger_until
        full = len(self._unsent) >= MAX_EVENTS_PER_FRAME
        if lingering and not (frames or self._urgent or full):
            return []
        while self._cutting is None and self._may_send_next():
            if batching.fits_one_frame(self._unsent[0], self.max_frame_bytes):
                frames.append(self._batch())
            else:
                self._begin_parts()
                frames.extend(self._more_parts())
        self._urgent = bool(self._unsent)  # what waits for credit has lingered long enough
        self._linger_until = None
        return frames

    def _may_send_next(self) -> bool:
        """Source: "`credit` is unacknowledged bytes allowed; one event always fits"."""
        if not self._unsent:
            return False
        if not self._in_flight:
            return True
        return self._in_flight_bytes + self._unsent[0] <= self.credit

    def _batch(self) -> bytes:
        credit = self.credit - self._in_flight_bytes
        count = batching.batch_length(self._unsent, self.max_frame_bytes, credit)
        first = self._next_to_send
        frame = codec.join_events(list(map(self._events.read, range(first, first + count))))
        self._mark_sent(count)
        return frame

    def _begin_parts(self) -> None:
        seq = self._next_to_send
        skip, self._parts_held = self._parts_held, 0
        event = self._events.read(seq)
        self._cutting = batching.parts(seq, event, self.max_frame_bytes, skip=skip)
        self._mark_sent(1)

    def _more_parts(self) -> list[bytes]:
        if self._cutting is None:
            return []
        frames = list(islice(self._cutting, PARTS_AT_ONCE))
        if len(frames) < PARTS_AT_ONCE:
            self._cutting = None
        return frames

    @property
    def _next_to_send(self) -> int:
        return self.acked + len(self._in_flight) + 1

    def _mark_sent(self, count: int) -> None:
        for _ in range(count):
            size = self._unsent.popleft()
            self._in_flight.append(size)
            self._in_flight_bytes += size
