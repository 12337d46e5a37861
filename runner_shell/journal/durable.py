"""The journal on disk.

`directory` holds segments, of which each begins with a snapshot: a start reads the last one and,
where the gateway has not acknowledged the ones before, where their events lie. What is appended in
one tick of the loop goes into the file by one write, before any of it is sent; the disk is asked to
keep it in the background. So a killed process loses nothing, a lost node the last moment.

Source: docs/decisions/0011-the-journal-is-segments.md.
"""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from pathlib import Path

from ..errors import ConfigurationError, JournalBroken, RemoteProtocolError
from ..protocol.events import JSON, Event, RequestOpened, UnknownEvent
from . import recovered
from .files import Reserve, Segment, Syncer, found, path_of, sync_directory
from .lock import DirectoryLock
from .recovered import CutTurn, KnownRequest, Recovered
from .recovery import Fold
from .segments import HEAD_BYTES, Kind, Record, encode, event_head

SEGMENT_BYTES = 4 * 1024 * 1024
"""A segment that has grown by this, and at least doubled, is followed by the next."""

WRITE_BYTES = 128 * 1024
"""What a tick has brought is written when it is as much as this, at the latest."""

MEMORY_BYTES = 4 * 1024 * 1024
"""The newest events are held in memory up to here; older ones are read back."""


class DurableJournal:
    """Made by `open_journal`; keeps everything in a directory that it has locked.

    Attributes:
        durable: True.
        backlog_bytes: Bytes of the events that are not acknowledged.
        recovered: What the directory held.
        first: Number of the first event that may have to be sent again.
        cut_bytes: How much of a torn tail was cut off.
        trouble: Why the session must end soon, though its endings can still be kept; or empty.
    """

    durable = True

    def __init__(
        self,
        directory: Path,
        lock: DirectoryLock,
        *,
        retention: int = 0,
        segment_bytes: int = SEGMENT_BYTES,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        self.backlog_bytes = 0
        self.cut_bytes = 0
        self.trouble = ""
        self.first = 1
        self.recovered: Recovered
        self._directory = directory
        self._lock = lock
        self._retention = retention
        self._segment_bytes = segment_bytes
        self._memory_bytes = memory_bytes
        self._segments: deque[Segment] = deque()
        self._segment: Segment
        self._fold: Fold
        self._buffer: list[bytes] = []
        self._next_byte = 0
        self._write_at = 0
        self._full_at = 0
        self._recent: deque[bytes] = deque()
        self._recent_bytes = 0
        self._recent_from = 1
        self._broken: JournalBroken | None = None
        self._syncer = Syncer()
        self._reserve = Reserve(directory)

    # --- opening -----------------------------------------------------------------------------

    def load(self) -> None:
        """Read what is there, cut a torn tail off, and begin a segment of this process's own."""
        paths = found(self._directory)
        number = int(paths[-1].stem) + 1 if paths else 1
        start = Recovered(log=os.urandom(8).hex())
        segments = [Segment(path) for path in paths]
        while segments and not self._begins_well(segments[-1]):
            # Its process died before the first record was whole: the ones before hold everything.
            self.cut_bytes += segments[-1].size
            segments.pop().drop()
        for segment in segments:
            start = self._read(segment, is_last=segment is segments[-1])
        self._fold = Fold(start)
        self.first = max(self._segments[0].first if self._segments else start.next, start.acked + 1)
        self._recent_from = start.next
        self.recovered = recovered.decode(recovered.encode(start), Recovered)
        self.backlog_bytes = sum(map(self.size, range(self.first, start.next)))
        self._reserve.make()
        self._begin_segment(number)

    def _begins_well(self, segment: Segment) -> bool:
        records = segment.scan().records
        return bool(records) and records[0].kind == Kind.SNAPSHOT

    def _read(self, segment: Segment, *, is_last: bool) -> Recovered:
        records, sound, cut = segment.scan()
        if not records or records[0].kind != Kind.SNAPSHOT:
            raise _damaged(segment, 0)
        if cut and not is_last:
            raise _damaged(segment, sound)
        if cut:
            self.cut_bytes += cut
            segment.cut(sound)
        try:
            return self._take(segment, records, is_last=is_last)
        except RemoteProtocolError as error:
            raise ConfigurationError(f"RUNNER_STATE_DIR: {segment.path}: {error}") from error

    def _take(self, segment: Segment, records: list[Record], *, is_last: bool) -> Recovered:
        """Note where the events lie; only the last segment's records are looked into."""
        now: Recovered = recovered.decode(records[0].body, Recovered)
        segment.first = now.next
        if self._segments and self._segments[-1].last + 1 != segment.first:
            for older in self._segments:  # history was lost here, and numbered anew
                older.drop()
            self._segments.clear()
        self._segments.append(segment)
        fold = Fold(now)
        for record in records[1:]:
            if record.kind == Kind.EVENT:
                segment.note(record.start << 32 | len(record.body))
            if is_last:
                fold.take(record)
        return now

    # --- the journal's seam ------------------------------------------------------------------

    def append(self, seq: int, encoded: bytes, event: Event | UnknownEvent, turn: str) -> None:
        """See `Journal.append`."""
        if self._broken is not None:
            return
        size = len(encoded)
        start = self._next_byte + HEAD_BYTES
        self._segment.note(start << 32 | size)
        self._next_byte = start + size
        self._buffer += (event_head(seq, encoded), encoded)
        self._fold.event(seq, event, turn)
        self._recent.append(encoded)
        self._recent_bytes += size
        self.backlog_bytes += size
        if self._next_byte > self._write_at or self._recent_bytes > self._memory_bytes:
            self._relieve()

    def read(self, seq: int) -> bytes:
        """See `Journal.read`.

        Raises:
            IndexError: It was acknowledged, or never appended.
        """
        if seq >= self._recent_from:
            return self._recent[seq - self._recent_from]
        return self._of(seq).read(seq)

    def size(self, seq: int) -> int:
        """See `Journal.size`. Raises as `read`."""
        return self._of(seq).event_size(seq)

    def acknowledged(self, seq: int) -> None:
        """See `Journal.acknowledged`."""
        seq = min(seq, self._fold.now.next - 1)
        for number in range(max(self.first, self._fold.now.acked + 1), seq + 1):
            if number < self._recent_from:
                self.backlog_bytes -= self.size(number)
                continue
            size = len(self._recent.popleft())
            self._recent_from += 1
            self._recent_bytes -= size
            self.backlog_bytes -= size
        if seq > self._fold.now.acked:
            self._fold.now.acked = seq
            self._drop_acknowledged()

    def accept(self, seq: int, command: bytes) -> None:
        """See `Journal.accept`."""
        self._fold.accepted(seq, command)
        self._keep(Kind.COMMAND, seq, command)

    def applying(self, command: str) -> None:
        """See `Journal.applying`."""
        self._fold.applying(command)
        self._keep(Kind.APPLYING, 0, command.encode())

    def resume(self, cut: CutTurn | None) -> None:
        """See `Journal.resume`."""
        self._fold.resume(cut)
        self._keep(Kind.RESUME, 0, recovered.encode(cut))

    def settle(self, seq: int) -> None:
        """See `Journal.settle`."""
        self._fold.settled(seq)
        self._keep(Kind.SETTLED, seq, b"")

    def took_epoch(self, epoch: int) -> None:
        """See `Journal.took_epoch`."""
        self._fold.epoch(epoch)
        self._keep(Kind.EPOCH, epoch, b"")

    def begin_anew(
        self,
        next: int,
        log: str,
        state: dict[str, JSON],
        requests: list[RequestOpened],
        *,
        epoch: int,
    ) -> None:
        """See `Journal.begin_anew`."""
        known = {request.id: KnownRequest(opened=request) for request in requests}
        last_command = self._fold.now.last_command
        fresh = Recovered(
            log=log,
            next=next,
            acked=next - 1,
            epoch=epoch,
            owes_gap=next > 1,
            last_command=last_command,
            fresh=False,
            initial=True,  # it may have run, so it is not run again
            state=state,
            requests=known,
        )
        self.flush()
        self._fold = Fold(fresh)
        self._recent.clear()
        self._recent_bytes = self.backlog_bytes = 0
        self._recent_from = self.first = next
        self._begin_segment(self._segment.number + 1)
        while len(self._segments) > 1:
            self._segments.popleft().drop()

    def flush(self) -> None:
        """See `Journal.flush`.

        Raises:
            JournalBroken: The disk is full, read-only or at fault. What was flushed before stays.
        """
        if self._broken is not None or self._syncer.error is not None:
            self._break(self._broken or self._syncer.error)
        if not self._buffer:
            return
        data = b"".join(self._buffer)
        try:
            self._write(self._segment, data)
            self._buffer.clear()
            self._write_at = self._segment.size + WRITE_BYTES
            self._syncer.written()
            if self._segment.size >= self._full_at:
                self._segment.sync()  # before the next one is there: no hole between them
                self._begin_segment(self._segment.number + 1)
        except JournalBroken as error:
            self._break(error)

    def close(self) -> None:
        """See `Journal.close`. Closing twice does nothing."""
        with suppress(JournalBroken):
            self.flush()
        self._syncer.close()
        with suppress(JournalBroken):
            if self._segment.descriptor >= 0:
                self._segment.sync()
        for segment in self._segments:
            segment.close()
        self._lock.release()

    # --- files -------------------------------------------------------------------------------

    def _keep(self, kind: Kind, number: int, body: bytes) -> None:
        if self._broken is not None:
            return
        record = encode(kind, number, body)
        self._buffer.append(record)
        self._next_byte += len(record)

    def _write(self, segment: Segment, data: bytes) -> None:
        try:
            segment.write(data)
        except JournalBroken as error:
            # The space that was kept for this: it takes the endings, and the cause is still told.
            if not self._reserve.give_up():
                raise
            self.trouble = str(error)
            segment.write(data)

    def _break(self, error: JournalBroken | None) -> None:
        assert error is not None, "called with what broke"
        if self._broken is None:
            self._broken = error
        raise self._broken

    def _begin_segment(self, number: int) -> None:
        segment = Segment(path_of(self._directory, number), create=True)
        segment.first = self._fold.now.next
        snapshot = encode(Kind.SNAPSHOT, segment.first, recovered.encode(self._fold.now))
        self._write(segment, snapshot)
        segment.sync()
        sync_directory(self._directory)
        self._syncer.watch(segment)
        self._segments.append(segment)
        self._segment = segment
        self._next_byte = segment.size
        self._write_at = segment.size + WRITE_BYTES
        # A block of many megabytes is in each snapshot: it must not fill a segment by itself.
        self._full_at = segment.size + max(self._segment_bytes, segment.size)
        self._drop_acknowledged()

    def _drop_acknowledged(self) -> None:
        acked = self._fold.now.acked
        while len(self._segments) > 1 + self._retention and self._segments[0].last <= acked:
            self._segments.popleft().drop()

    def _relieve(self) -> None:
        """Write in the midst of a tick: the reserve must hold it, and memory may let it go."""
        with suppress(JournalBroken):  # the next `flush` says so
            self.flush()
        if self._recent_bytes <= self._memory_bytes or self._broken is not None:
            return
        while self._recent_bytes > self._memory_bytes // 2 and len(self._recent) > 1:
            self._recent_bytes -= len(self._recent.popleft())
            self._recent_from += 1

    def _of(self, seq: int) -> Segment:
        for segment in self._segments:
            if segment.first <= seq <= segment.last:
                return segment
        raise IndexError(f"event {seq} is acknowledged and gone, or was never appended")


def open_journal(
    directory: Path,
    *,
    holder: str = "",
    retention: int = 0,
    segment_bytes: int = SEGMENT_BYTES,
    memory_bytes: int = MEMORY_BYTES,
) -> DurableJournal:
    """Lock a directory and take over what a process before left in it.

    Args:
        directory: Private to one session, and there.
        holder: Who opens it, for a second runner's refusal.
        retention: How many acknowledged segments are kept, for debugging.
        segment_bytes: When the next segment is begun.
        memory_bytes: How much of the newest events is held in memory.

    Raises:
        ConfigurationError: A live runner has the directory, its disk cannot be written, or the
            journal is damaged in its midst.
    """
    lock = DirectoryLock(directory)
    lock.take(holder)
    journal = DurableJournal(
        directory,
        lock,
        retention=retention,
        segment_bytes=segment_bytes,
        memory_bytes=memory_bytes,
    )
    try:
        journal.load()
    except JournalBroken as error:
        lock.release()
        raise ConfigurationError(f"RUNNER_STATE_DIR: {error}") from error
    except ConfigurationError:
        lock.release()
        raise
    return journal


def _damaged(segment: Segment, position: int) -> ConfigurationError:
    return ConfigurationError(
        f"RUNNER_STATE_DIR: {segment.path} is damaged at byte {position}, and newer segments "
        "follow: move the directory away to go on with what the gateway holds, and look at the disk"
    )
