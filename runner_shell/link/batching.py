"""What goes into which frame: few events share one, a large event is cut into parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from ..errors import LimitExceeded, RemoteProtocolError
from ..protocol import codec
from ..protocol.frames import BATCH_BYTES, MAX_EVENTS_PER_FRAME, Part

MIN_FRAME_BYTES = 1024
"""Below this no envelope fits: a peer that takes less is not one."""

MAX_PARTS = 128 * 1024
"""More parts than the largest event has in the smallest frames."""

_EVENTS_OVERHEAD = len(codec.join_events([]))
_PART_OVERHEAD = len(codec.encode_frame(Part(seq=2**63, index=2**31, total=2**31, data="")))


def fits_one_frame(size: int, max_frame_bytes: int) -> bool:
    """Whether an event of this size can travel in a frame of its own."""
    return size + _EVENTS_OVERHEAD <= max_frame_bytes


def batch_length(sizes: Iterable[int], max_frame_bytes: int, credit: int) -> int:
    """How many of the next events share one frame; the first always counts.

    Args:
        sizes: Bytes of the next events.
        max_frame_bytes: The largest frame that the peer takes.
        credit: Bytes of events that may still be sent.
    """
    limit = min(BATCH_BYTES, max_frame_bytes) - _EVENTS_OVERHEAD
    used = count = 0
    for size in islice(sizes, MAX_EVENTS_PER_FRAME):
        used += size
        # One comma for each event so far is a byte too many, and no frame is ever too large.
        if (used + count >= limit or used > credit) and count:
            break
        count += 1
    return count


def part_count(size: int, max_frame_bytes: int) -> int:
    """How many parts a large event of this size has."""
    return -(-size // _piece_bytes(max_frame_bytes))


def parts(seq: int, event: bytes, max_frame_bytes: int, *, skip: int = 0) -> Iterator[bytes]:
    """The frames of a large event, the first `skip` left out.

    Source: docs/reference/protocol.md, "Frames": "An event larger than a frame travels as parts."
    """
    from base64 import b64encode  # large events are rare, the import is not free

    piece = _piece_bytes(max_frame_bytes)
    total = part_count(len(event), max_frame_bytes)
    for index in range(skip, total):
        data = b64encode(event[index * piece : (index + 1) * piece]).decode()
        yield codec.encode_frame(Part(seq=seq, index=index, total=total, data=data))


def _piece_bytes(max_frame_bytes: int) -> int:
    return (max_frame_bytes - _PART_OVERHEAD) // 4 * 3


class PartJoiner:
    """Puts one large event together; parts of another number begin anew.

    It may outlive a connection, so that the next one goes on in mid-event.
    """

    def __init__(self, max_event_bytes: int) -> None:
        self._max_event_bytes = max_event_bytes
        self._seq = 0
        self._total = 0
        self._pieces: list[bytes] = []
        self._bytes = 0
        self._cut: tuple[str, int] | None = None

    def resume(self, *, log: str, seq: int, max_frame_bytes: int) -> int:
        """How many parts of event `seq` it has; what cannot be gone on with is dropped.

        Parts of another journal are of another event with the same number, and those for frames
        of another size are cut elsewhere.
        """
        cut = (log, max_frame_bytes)
        if self._cut != cut or self._seq != seq:
            self._seq, self._total, self._pieces, self._bytes = 0, 0, [], 0
        self._cut = cut
        return len(self._pieces)

    def add(self, part: Part) -> bytes | None:
        """Take a part in; the whole event once the last one came.

        Raises:
            RemoteProtocolError: A part out of order, empty, or not Base64.
            LimitExceeded: The event grows over `max_event_bytes`, or has too many parts.
        """
        from base64 import b64decode

        if part.total > MAX_PARTS:
            raise LimitExceeded(f"event {part.seq} has {part.total} parts, at most {MAX_PARTS} may")
        if part.index == 0:
            self._seq, self._total, self._pieces, self._bytes = part.seq, part.total, [], 0
        if (
            part.index >= part.total
            or part.index != len(self._pieces)
            or (part.seq, part.total) != (self._seq, self._total)
        ):
            raise RemoteProtocolError(
                f"part {part.index} of {part.total} of event {part.seq} came out of order"
            )
        try:
            piece = b64decode(part.data, validate=True)
        except ValueError as error:
            raise RemoteProtocolError(f"part of event {part.seq} is not Base64") from error
        if not piece:
            raise RemoteProtocolError(f"part {part.index} of event {part.seq} is empty")
        self._bytes += len(piece)
        if self._bytes > self._max_event_bytes:
            raise LimitExceeded(f"event {part.seq} is larger than {self._max_event_bytes} bytes")
        self._pieces.append(piece)
        if len(self._pieces) < part.total:
            return None
        event = b"".join(self._pieces)
        self._seq, self._total, self._pieces, self._bytes = 0, 0, [], 0
        return event
