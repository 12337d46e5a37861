"""The embedded store's SQL, synchronous: one connection, used by one thread."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from ..errors import ConfigurationError
from ..protocol import codec
from ..protocol.events import JSON, SessionFinished
from .derived import Changes, changes
from .errors import NumberGapError, SessionExistsError, StaleEpochError, UnknownSessionError
from .store import CommandReceipt, CommandRow, EventRow, SessionKey, SessionRecord
from .tokens import Role, TokenRecord

SCHEMA_VERSION = 1
WAL_SECONDS = 5.0
PAGE_BYTES = 8 * 1024 * 1024
"""A page of events ends after about this much, however many were asked for."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (
    tenant TEXT NOT NULL, id TEXT NOT NULL, created_at TEXT NOT NULL, metadata TEXT NOT NULL,
    epoch INTEGER NOT NULL DEFAULT 0, instance TEXT NOT NULL DEFAULT '',
    last_event INTEGER NOT NULL DEFAULT 0, last_command INTEGER NOT NULL DEFAULT 0,
    acknowledged_command INTEGER NOT NULL DEFAULT 0, seen_at TEXT NOT NULL DEFAULT '',
    ending INTEGER,
    PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    tenant TEXT NOT NULL, session TEXT NOT NULL, seq INTEGER NOT NULL,
    time TEXT NOT NULL, type TEXT NOT NULL, turn TEXT NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (tenant, session, seq)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS commands (
    tenant TEXT NOT NULL, session TEXT NOT NULL, seq INTEGER NOT NULL,
    id TEXT NOT NULL, by TEXT NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (tenant, session, seq), UNIQUE (tenant, session, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state (
    tenant TEXT NOT NULL, session TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (tenant, session, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS open_requests (
    tenant TEXT NOT NULL, session TEXT NOT NULL, id TEXT NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (tenant, session, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tokens (
    hash TEXT PRIMARY KEY, tenant TEXT NOT NULL, role TEXT NOT NULL, session TEXT,
    name TEXT NOT NULL
) WITHOUT ROWID;
"""

_SESSION = """
SELECT s.tenant, s.id, s.created_at, s.metadata, s.epoch, s.instance, s.last_event,
       s.last_command, s.acknowledged_command, s.seen_at, e.data
FROM sessions s LEFT JOIN events e ON e.tenant = s.tenant AND e.session = s.id AND e.seq = s.ending
"""


class Database:
    """Every query of the embedded store; each method is one transaction.

    Args:
        connection: In autocommit mode (`isolation_level=None`).
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sql = connection

    # --- schema --------------------------------------------------------------------------

    def prepare(self) -> None:
        """Set the connection up for writing, and make the tables of a new file."""
        self._switch_to_wal()
        self._sql.execute("PRAGMA synchronous = NORMAL")
        if self.check_version() == 0:
            # Another process may make them at the same moment: whoever comes second finds them.
            self._sql.executescript(
                f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
            )

    def _switch_to_wal(self) -> None:
        """Wait for another process that does the same; SQLite's time-out does not apply here."""
        until = time.monotonic() + WAL_SECONDS
        while True:
            try:
                self._sql.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
                time.sleep(0.01)
            else:
                return

    def check_version(self) -> int:
        """The file's schema version, 0 for an empty file.

        Raises:
            ConfigurationError: A newer version wrote the file.
        """
        version = int(self._sql.execute("PRAGMA user_version").fetchone()[0])
        if version > SCHEMA_VERSION:
            raise ConfigurationError(
                f"the store has schema version {version}, and this runner-shell knows versions up "
                f"to {SCHEMA_VERSION}: use the newer runner-shell that wrote it, or another file"
            )
        return version

    def close(self) -> None:
        """Close the connection."""
        self._sql.close()

    # --- sessions ------------------------------------------------------------------------

    def create_session(
        self, key: SessionKey, created_at: str, metadata: dict[str, JSON]
    ) -> SessionRecord:
        """See `Store.create_session`."""
        encoded = msgspec.json.encode(metadata).decode()
        try:
            self._sql.execute(
                "INSERT INTO sessions (tenant, id, created_at, metadata) VALUES (?, ?, ?, ?)",
                (*key, created_at, encoded),
            )
        except sqlite3.IntegrityError as error:
            raise SessionExistsError(f"session {key.id!r} exists already") from error
        return SessionRecord(key=key, created_at=created_at, metadata=metadata)

    def get_session(self, key: SessionKey) -> SessionRecord:
        """See `Store.get_session`."""
        row = self._sql.execute(f"{_SESSION} WHERE s.tenant = ? AND s.id = ?", key).fetchone()
        if row is None:
            raise _unknown(key)
        return _session(row)

    def list_sessions(self, tenant: str, limit: int, after: str) -> list[SessionRecord]:
        """See `Store.list_sessions`."""
        rows = self._sql.execute(
            f"{_SESSION} WHERE s.tenant = ? AND s.id > ? ORDER BY s.id LIMIT ?",
            (tenant, after, limit),
        )
        return [_session(row) for row in rows]

    def bump_epoch(self, key: SessionKey, instance: str) -> int:
        """See `Store.bump_epoch`."""
        with self._transaction():
            epoch, holder = self._fields(key, "epoch, instance")
            if holder == instance and epoch > 0:
                return int(epoch)
            self._sql.execute(
                "UPDATE sessions SET epoch = ?, instance = ? WHERE tenant = ? AND id = ?",
                (epoch + 1, instance, *key),
            )
            return int(epoch) + 1

    def touch(self, key: SessionKey, seen_at: str) -> None:
        """See `Store.touch`."""
        self._sql.execute(
            "UPDATE sessions SET seen_at = ? WHERE tenant = ? AND id = ?", (seen_at, *key)
        )

    # --- events --------------------------------------------------------------------------

    def append_events(self, key: SessionKey, epoch: int, rows: Sequence[EventRow]) -> int:
        """See `Store.append_events`."""
        with self._transaction():
            latest, last = self._fields(key, "epoch, last_event")
            if epoch != latest:
                raise StaleEpochError(
                    f"session {key.id!r}: epoch {epoch} is over, epoch {latest} has it"
                )
            new = _next_rows(rows, last)
            if not new:
                return int(last)
            self._sql.executemany(
                "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", [(*key, *row) for row in new]
            )
            self._sql.execute(
                "UPDATE sessions SET last_event = ? WHERE tenant = ? AND id = ?",
                (new[-1].seq, *key),
            )
            self._apply(key, changes(new))
            return new[-1].seq

    def read_events(
        self, key: SessionKey, since: int, limit: int, types: Collection[str] | None
    ) -> list[bytes]:
        """See `Store.read_events`."""
        self._fields(key, "id")
        chosen = tuple(types) if types is not None else ()
        where = f"AND type IN ({', '.join('?' * len(chosen))})" if types is not None else ""
        rows = self._sql.execute(
            "SELECT data FROM events WHERE tenant = ? AND session = ? AND seq > ?"  # noqa: S608
            f" {where} ORDER BY seq LIMIT ?",
            (*key, since, *chosen, limit),
        )
        return _page(data for (data,) in rows)

    # --- commands ------------------------------------------------------------------------

    def add_command(
        self, key: SessionKey, command_id: str, by: str, encode: Callable[[int], bytes]
    ) -> CommandReceipt:
        """See `Store.add_command`."""
        with self._transaction():
            known = self._sql.execute(
                "SELECT seq FROM commands WHERE tenant = ? AND session = ? AND id = ?",
                (*key, command_id),
            ).fetchone()
            if known is not None:
                return CommandReceipt(seq=known[0], new=False)
            seq = int(self._fields(key, "last_command")[0]) + 1
            self._sql.execute(
                "INSERT INTO commands VALUES (?, ?, ?, ?, ?, ?)",
                (*key, seq, command_id, by, encode(seq)),
            )
            self._sql.execute(
                "UPDATE sessions SET last_command = ? WHERE tenant = ? AND id = ?", (seq, *key)
            )
            return CommandReceipt(seq=seq, new=True)

    def commands_after(self, key: SessionKey, seq: int, limit: int) -> list[CommandRow]:
        """See `Store.commands_after`."""
        rows = self._sql.execute(
            "SELECT seq, data FROM commands WHERE tenant = ? AND session = ? AND seq > ?"
            " ORDER BY seq LIMIT ?",
            (*key, seq, limit),
        )
        return [CommandRow(*row) for row in rows]

    def acknowledge_command(self, key: SessionKey, seq: int) -> None:
        """See `Store.acknowledge_command`."""
        self._sql.execute(
            "UPDATE sessions"
            " SET acknowledged_command = max(acknowledged_command, min(last_command, ?))"
            " WHERE tenant = ? AND id = ?",
            (seq, *key),
        )

    # --- derived data --------------------------------------------------------------------

    def saved_state(self, key: SessionKey) -> dict[str, JSON]:
        """See `Store.saved_state`."""
        rows = self._sql.execute(
            "SELECT key, value FROM state WHERE tenant = ? AND session = ? ORDER BY key", key
        )
        return {name: msgspec.json.decode(value) for name, value in rows}

    def open_requests(self, key: SessionKey) -> tuple[dict[str, JSON], ...]:
        """See `Store.open_requests`."""
        rows = self._sql.execute(
            "SELECT e.data FROM open_requests r JOIN events e"
            " ON e.tenant = r.tenant AND e.session = r.session AND e.seq = r.seq"
            " WHERE r.tenant = ? AND r.session = ? ORDER BY r.seq",
            key,
        )
        return tuple(_payload(data) for (data,) in rows)

    def _apply(self, key: SessionKey, change: Changes) -> None:
        execute_many = self._sql.executemany
        execute_many(
            "DELETE FROM state WHERE tenant = ? AND session = ? AND key = ?",
            [(*key, name) for name in change.removed],
        )
        execute_many(
            "INSERT INTO state VALUES (?, ?, ?, ?)",
            [(*key, name, msgspec.json.encode(value)) for name, value in change.saved.items()],
        )
        execute_many(
            "DELETE FROM open_requests WHERE tenant = ? AND session = ? AND id = ?",
            [(*key, request) for request in change.closed],
        )
        execute_many(
            "INSERT OR REPLACE INTO open_requests VALUES (?, ?, ?, ?)",
            [(*key, request, seq) for request, seq in change.opened.items()],
        )
        if change.ending_changed:
            self._sql.execute(
                "UPDATE sessions SET ending = ? WHERE tenant = ? AND id = ?", (change.ending, *key)
            )

    # --- tokens --------------------------------------------------------------------------

    def put_token(self, record: TokenRecord) -> None:
        """See `Store.put_token`."""
        self._sql.execute(
            "INSERT INTO tokens VALUES (?, ?, ?, ?, ?)",
            (record.hash, record.tenant, record.role.value, record.session, record.name),
        )

    def find_token(self, token_hash: str) -> TokenRecord | None:
        """See `Store.find_token`. Its tenant is what the token tells, so none is asked for."""
        row = self._sql.execute(
            "SELECT hash, tenant, role, session, name FROM tokens WHERE hash = ?", (token_hash,)
        ).fetchone()
        if row is None:
            return None
        found, tenant, role, session, name = row
        return TokenRecord(hash=found, tenant=tenant, role=Role(role), session=session, name=name)

    # --- how -----------------------------------------------------------------------------

    def _fields(self, key: SessionKey, columns: str) -> tuple[JSON, ...]:
        row: tuple[JSON, ...] | None = self._sql.execute(
            f"SELECT {columns} FROM sessions WHERE tenant = ? AND id = ?",  # noqa: S608 — ours
            key,
        ).fetchone()
        if row is None:
            raise _unknown(key)
        return row

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._sql.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._sql.execute("ROLLBACK")
            raise
        self._sql.execute("COMMIT")


def _unknown(key: SessionKey) -> UnknownSessionError:
    return UnknownSessionError(f"there is no session {key.id!r}")


def _session(row: tuple[JSON, ...]) -> SessionRecord:
    ending = codec.decode_payload(row[10]) if row[10] is not None else None
    return SessionRecord(
        key=SessionKey(row[0], row[1]),
        created_at=row[2],
        metadata=msgspec.json.decode(row[3]),
        epoch=row[4],
        instance=row[5],
        last_event=row[6],
        last_command=row[7],
        acknowledged_command=row[8],
        seen_at=row[9],
        finished=ending if isinstance(ending, SessionFinished) else None,
    )


def _next_rows(rows: Sequence[EventRow], last: int) -> list[EventRow]:
    new = [row for row in rows if row.seq > last]
    for expected, row in enumerate(new, start=last + 1):
        if row.seq != expected:
            raise NumberGapError(f"event {row.seq} came where {expected} is next")
    return new


def _page(events: Iterator[bytes]) -> list[bytes]:
    page: list[bytes] = []
    size = 0
    for data in events:
        size += len(data)
        if page and size > PAGE_BYTES:
            break
        page.append(data)
    return page


def _payload(event: bytes) -> dict[str, JSON]:
    fields: dict[str, JSON] = msgspec.json.decode(event)
    return {name: value for name, value in fields.items() if name not in ("seq", "time", "turn")}
