"""How the embedded store keeps events: one row for each frame, many frames in one statement.

A row for each event would cost three times what a runner pays to send it. Between two statements
another thread may take the interpreter, so a batch of any size takes a handful of them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from itertools import islice

import msgspec

from ...errors import RunnerError
from ...protocol.events import JSON
from ...protocol.frames import MAX_EVENTS_PER_FRAME
from ..errors import NumberGapError, StaleEpochError, UnknownSessionError
from ..store import Append, EventPage, EventRow, Outcome, SessionKey
from .derived import DERIVING_TYPES, Changes, changes
from .schema import joined, type_pattern, types_of

PAGE_BYTES = 8 * 1024 * 1024
"""A page of events ends after about this much, however many were asked for."""

SCAN_ROWS = 2000
"""Among so many frames a filtered page is looked for; then it ends, with whatever it has. One that
looked on to the end of a long history would keep every commit waiting meanwhile."""

LAST_NUMBER = 2**63 - 1
HEADS_KEPT = 100_000
ROWS_PER_STATEMENT = 1024


class _Head(msgspec.Struct):
    """Where a session's history ends."""

    epoch: int
    last: int
    bytes: int
    committed_epoch: int


class _Type(msgspec.Struct):
    type: str


_raws = msgspec.json.Decoder(list[msgspec.Raw])
_types = msgspec.json.Decoder(list[_Type])


class History:
    """The events of every session, in the connection's current transaction.

    Args:
        connection: In autocommit mode; its owner begins and commits.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sql = connection
        self._heads: dict[SessionKey, _Head] = {}
        self._version = 0

    def begun(self) -> None:
        """A transaction has begun: what another process committed in between is read anew."""
        version = int(self._sql.execute("PRAGMA data_version").fetchone()[0])
        if version != self._version or len(self._heads) > HEADS_KEPT:
            self._heads.clear()
        self._version = version

    def rolled_back(self) -> None:
        """Nothing of what was written in the transaction holds."""
        self._heads.clear()

    def changed(self, key: SessionKey) -> None:
        """The session was deleted, or given to another process."""
        self._heads.pop(key, None)

    # --- writing -------------------------------------------------------------------------

    def append(
        self, appends: Sequence[Append]
    ) -> tuple[list[Outcome], list[tuple[SessionKey, Changes]]]:
        """Write frames in order, each whole or not at all.

        Every one is judged before anything is written: what is wrong with one is its own outcome,
        and touches none of the others.

        Returns:
            For each its last committed number, or why it was not written; and what the
            new events change besides history.
        """
        outcomes: list[Outcome] = []
        frames: list[tuple[JSON, ...]] = []
        moved: dict[SessionKey, _Head] = {}
        derived: list[tuple[SessionKey, Changes]] = []
        for append in appends:
            try:
                head, new, types, change = self._judged(append)
            except RunnerError as error:
                outcomes.append(error)
                continue
            if new:
                data = [row.data for row in new]
                frames.extend(_frames(append.key, head.last, types, data))
                head.last += len(new)
                head.bytes += sum(map(len, data))
                head.committed_epoch = head.epoch
                moved[append.key] = head
            if change is not None:
                derived.append((append.key, change))
            outcomes.append(head.last)
        self._insert("INSERT INTO frames VALUES", frames)
        self._insert(
            "INSERT OR REPLACE INTO heads VALUES",
            [(*key, head.last, head.bytes, head.committed_epoch) for key, head in moved.items()],
        )
        return outcomes, derived

    def _judged(
        self, append: Append
    ) -> tuple[_Head, Sequence[EventRow], list[str], Changes | None]:
        key, epoch, rows = append
        head = self._heads.get(key) or self._read_head(key)
        if epoch != head.epoch:
            raise StaleEpochError(
                f"session {key.id!r}: epoch {epoch} is over, epoch {head.epoch} has it"
            )
        new = _next_rows(rows, head.last)
        types = [row.type for row in new]
        change = None if DERIVING_TYPES.isdisjoint(types) else changes(new)
        return head, new, types, change

    def _read_head(self, key: SessionKey) -> _Head:
        row = self._sql.execute(
            "SELECT s.epoch, h.last_event, h.events_bytes, h.committed_epoch FROM sessions s"
            " JOIN heads h ON h.tenant = s.tenant AND h.session = s.id"
            " WHERE s.tenant = ? AND s.id = ?",
            key,
        ).fetchone()
        if row is None:
            raise UnknownSessionError(f"there is no session {key.id!r}")
        head = self._heads[key] = _Head(*row)
        return head

    def _insert(self, statement: str, rows: list[tuple[JSON, ...]]) -> None:
        """Insert many rows with few statements, whose texts are few, so that SQLite keeps them."""
        start = 0
        while start < len(rows):
            count = min(ROWS_PER_STATEMENT, 1 << ((len(rows) - start).bit_length() - 1))
            place = f"({', '.join('?' * len(rows[0]))})"
            values = [value for row in rows[start : start + count] for value in row]
            self._sql.execute(f"{statement} {', '.join([place] * count)}", values)
            start += count

    # --- reading -------------------------------------------------------------------------

    def page(
        self, key: SessionKey, last: int, since: int, limit: int, types: Collection[str] | None
    ) -> EventPage:
        """See `Store.read_events`; `last` is the session's last number."""
        page: list[bytes] = []
        size, reached = 0, since
        end = None if types is None else self._end_of_scan(key, since)
        for seq, event in self._events(key, since, end, types):
            size += len(event)
            if page and (len(page) == limit or size > PAGE_BYTES):
                return EventPage(page, reached, last)
            page.append(bytes(event))
            reached = seq
            if seq == last:
                break
        return EventPage(page, end, last)

    def _end_of_scan(self, key: SessionKey, since: int) -> int | None:
        """The last event that a page is looked for among, or None where that is the session's."""
        row = self._sql.execute(
            "SELECT last FROM frames WHERE tenant = ? AND session = ? AND last > ?"
            " ORDER BY last LIMIT 1 OFFSET ?",
            (*key, since, SCAN_ROWS - 1),
        ).fetchone()
        return None if row is None else int(row[0])

    def _events(
        self, key: SessionKey, since: int, end: int | None, types: Collection[str] | None
    ) -> Iterator[tuple[int, msgspec.Raw]]:
        chosen = None if types is None else frozenset(types)
        for first, data in self._rows(key, since, end, chosen):
            raws = _raws.decode(data)
            skipped = max(0, since + 1 - first)
            numbered = enumerate(islice(raws, skipped, None), start=first + skipped)
            if chosen is None:
                yield from numbered
                continue
            kinds = islice(_types.decode(data), skipped, None)
            yield from (
                found for found, kind in zip(numbered, kinds, strict=True) if kind.type in chosen
            )

    def _rows(
        self, key: SessionKey, since: int, end: int | None, types: Collection[str] | None
    ) -> sqlite3.Cursor:
        # A row that may hold one is enough here; its events are looked at one by one.
        patterns = [type_pattern(type) for type in types or ()]
        where = ""
        if types is not None:
            where = f"AND ({' OR '.join(['instr(types, ?) > 0'] * len(patterns)) or 'FALSE'})"
        return self._sql.execute(
            "SELECT first, data FROM frames"  # noqa: S608 — ours, without a value in it
            f" WHERE tenant = ? AND session = ? AND last > ? AND last <= ? {where} ORDER BY last",
            (*key, since, LAST_NUMBER if end is None else end, *patterns),
        )

    def event(self, key: SessionKey, seq: int) -> bytes:
        """One event that is there."""
        first, data = self._sql.execute(
            "SELECT first, data FROM frames WHERE tenant = ? AND session = ? AND last >= ?"
            " ORDER BY last LIMIT 1",
            (*key, seq),
        ).fetchone()
        return bytes(_raws.decode(data)[seq - first])


def _frames(
    key: SessionKey, last: int, types: list[str], data: list[bytes]
) -> Iterator[tuple[JSON, ...]]:
    for start in range(0, len(data), MAX_EVENTS_PER_FRAME):
        end = min(start + MAX_EVENTS_PER_FRAME, len(data))
        array = joined(data[start:end])
        yield (*key, last + end, last + start + 1, types_of(types[start:end]), array)


def _next_rows(rows: Sequence[EventRow], last: int) -> Sequence[EventRow]:
    new = rows if not rows or rows[0].seq > last else [row for row in rows if row.seq > last]
    numbers, expected = [row.seq for row in new], range(last + 1, last + 1 + len(new))
    if numbers != list(expected):
        wrong, right = next(
            pair for pair in zip(numbers, expected, strict=True) if len({*pair}) > 1
        )
        raise NumberGapError(f"event {wrong} came where {right} is next")
    return new
