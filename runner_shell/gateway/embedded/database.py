"""The embedded store's SQL, synchronous: one connection, used by one thread."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from ...protocol import codec
from ...protocol.events import JSON, SessionFinished
from ..errors import (
    CommandConflictError,
    SessionExistsError,
    UnknownCommandError,
    UnknownSessionError,
)
from ..store import (
    Append,
    CommandReceipt,
    CommandRow,
    EventPage,
    OpenRequest,
    Outcome,
    SessionKey,
    SessionRecord,
    Usage,
)
from ..tokens import Role, TokenRecord
from . import schema
from .derived import Changes
from .disk import write_back
from .history import History

WAL_SECONDS = 5.0

_SESSION = """
SELECT s.tenant, s.id, s.created_at, s.metadata, s.retention_seconds, s.epoch, s.instance,
       h.last_event, h.events_bytes, h.committed_epoch, s.last_command, s.acknowledged_command,
       (SELECT count(*) FROM open_requests r WHERE r.tenant = s.tenant AND r.session = s.id),
       s.seen_at, s.ending
FROM sessions s JOIN heads h ON h.tenant = s.tenant AND h.session = s.id
"""


class Database:
    """Every query of the embedded store, in the transaction that `transaction` holds.

    A method that raises a `RunnerError` has written nothing.

    Args:
        connection: In autocommit mode (`isolation_level=None`).

    Attributes:
        file: What it writes, links followed; empty in memory, and where it only reads.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.file = ""
        self._sql = connection
        self._history = History(connection)

    # --- the file ------------------------------------------------------------------------

    def prepare(self) -> None:
        """Set the connection up for writing, and bring the file's tables up to date."""
        schema.version_of(self._sql)
        self._switch_to_wal()
        self._sql.execute("PRAGMA synchronous = NORMAL")
        self._sql.execute("PRAGMA wal_autocheckpoint = 0")  # `disk` does it, where no commit waits
        schema.make_current(self._sql)
        self.file = str(self._sql.execute("PRAGMA database_list").fetchone()[2])

    def prepare_reading(self) -> None:
        """See that the file can be read as it is."""
        schema.demand_current(self._sql)

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

    def close(self) -> None:
        """Close the connection."""
        self._sql.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what is written in the block, or nothing of it where it raises."""
        self._sql.execute("BEGIN IMMEDIATE")
        try:
            self._history.begun()
            yield
            self._sql.execute("COMMIT")
        except BaseException:
            self._history.rolled_back()
            if self._sql.in_transaction:
                self._sql.execute("ROLLBACK")
            raise

    def write_back(self) -> None:
        """Write what is left in the log into the file; the next transaction begins the log anew."""
        write_back(self._sql)

    # --- sessions ------------------------------------------------------------------------

    def create_session(
        self,
        key: SessionKey,
        created_at: str,
        metadata: dict[str, JSON],
        retention_seconds: int | None,
    ) -> SessionRecord:
        """See `Store.create_session`."""
        try:
            self._sql.execute(
                "INSERT INTO sessions (tenant, id, created_at, metadata, retention_seconds)"
                " VALUES (?, ?, ?, ?, ?)",
                (*key, created_at, msgspec.json.encode(metadata).decode(), retention_seconds),
            )
        except sqlite3.IntegrityError as error:
            raise SessionExistsError(f"session {key.id!r} exists already") from error
        self._sql.execute("INSERT INTO heads VALUES (?, ?, 0, 0, 0)", key)
        return SessionRecord(
            key=key, created_at=created_at, metadata=metadata, retention_seconds=retention_seconds
        )

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

    def delete_session(self, key: SessionKey) -> None:
        """See `Store.delete_session`."""
        self._fields(key, "id")
        self._history.changed(key)
        self._sql.execute("DELETE FROM sessions WHERE tenant = ? AND id = ?", key)
        for table in ("heads", "frames", "commands", "state", "open_requests", "tokens"):
            self._sql.execute(
                f"DELETE FROM {table} WHERE tenant = ? AND session = ?",  # noqa: S608 — ours
                key,
            )

    def expired_sessions(self, now: str, limit: int) -> list[SessionKey]:
        """See `Store.expired_sessions`."""
        rows = self._sql.execute(
            "SELECT tenant, id FROM sessions WHERE retention_seconds IS NOT NULL"
            " AND CAST(strftime('%s', coalesce(nullif(seen_at, ''), created_at)) AS INTEGER)"
            " + retention_seconds <= CAST(strftime('%s', ?) AS INTEGER) LIMIT ?",
            (now, limit),
        )
        return [SessionKey(*row) for row in rows]

    def usage(self, tenant: str) -> Usage:
        """See `Store.usage`."""
        row = self._sql.execute(
            "SELECT count(*), coalesce(sum(last_event), 0), coalesce(sum(events_bytes), 0)"
            " FROM heads WHERE tenant = ?",
            (tenant,),
        ).fetchone()
        return Usage(*row)

    def bump_epoch(self, key: SessionKey, instance: str) -> int:
        """See `Store.bump_epoch`."""
        epoch, holder = self._fields(key, "epoch, instance")
        if holder == instance and epoch > 0:
            return int(epoch)
        self._history.changed(key)
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

    def append_frames(self, appends: Sequence[Append]) -> list[Outcome]:
        """See `Store.append_frames`."""
        outcomes, derived = self._history.append(appends)
        for key, change in derived:
            self._apply(key, change)
        return outcomes

    def read_events(
        self, key: SessionKey, since: int, limit: int, types: Collection[str] | None
    ) -> EventPage:
        """See `Store.read_events`."""
        row = self._sql.execute(
            "SELECT last_event FROM heads WHERE tenant = ? AND session = ?", key
        ).fetchone()
        if row is None:
            raise _unknown(key)
        return self._history.page(key, row[0], since, limit, types)

    # --- commands ------------------------------------------------------------------------

    def add_command(
        self,
        key: SessionKey,
        command_id: str,
        by: str,
        digest: str,
        encode: Callable[[int], bytes],
    ) -> CommandReceipt:
        """See `Store.add_command`."""
        known = self._sql.execute(
            "SELECT seq, digest FROM commands WHERE tenant = ? AND session = ? AND id = ?",
            (*key, command_id),
        ).fetchone()
        if known is not None:
            # The first version of the schema kept none.
            if known[1] not in ("", digest):
                raise CommandConflictError(
                    f"command {command_id!r} was given before, with other content: choose a new id"
                )
            return CommandReceipt(seq=known[0], new=False)
        seq = int(self._fields(key, "last_command")[0]) + 1
        self._sql.execute(
            "INSERT INTO commands VALUES (?, ?, ?, ?, ?, ?, ?, NULL)",
            (*key, seq, command_id, by, digest, encode(seq)),
        )
        self._sql.execute(
            "UPDATE sessions SET last_command = ? WHERE tenant = ? AND id = ?", (seq, *key)
        )
        return CommandReceipt(seq=seq, new=True)

    def commands_after(self, key: SessionKey, seq: int, limit: int) -> list[CommandRow]:
        """See `Store.commands_after`."""
        return self._commands(key, "seq > ? ORDER BY seq LIMIT ?", (seq, limit))

    def get_command(self, key: SessionKey, command_id: str) -> CommandRow:
        """See `Store.get_command`."""
        rows = self._commands(key, "id = ?", (command_id,))
        if not rows:
            raise UnknownCommandError(f"session {key.id!r} was given no command {command_id!r}")
        return rows[0]

    def _commands(self, key: SessionKey, where: str, values: tuple[JSON, ...]) -> list[CommandRow]:
        acknowledged = int(self._fields(key, "acknowledged_command")[0])
        rows = self._sql.execute(
            "SELECT seq, data, reply FROM commands"  # noqa: S608 — ours, without a value in it
            f" WHERE tenant = ? AND session = ? AND {where}",
            (*key, *values),
        ).fetchall()
        return [
            CommandRow(seq, data, seq <= acknowledged, reply and self._history.event(key, reply))
            for seq, data, reply in rows
        ]

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
        self._fields(key, "id")
        rows = self._sql.execute(
            "SELECT key, value FROM state WHERE tenant = ? AND session = ? ORDER BY key", key
        )
        return {name: msgspec.json.decode(value) for name, value in rows}

    def open_requests(
        self, tenant: str, session: str | None, after: tuple[str, int], limit: int
    ) -> list[OpenRequest]:
        """See `Store.open_requests`."""
        one = "" if session is None else "AND session = ?"
        rows = self._sql.execute(
            "SELECT session, seq FROM open_requests"  # noqa: S608 — ours, without a value in it
            f" WHERE tenant = ? AND (session, seq) > (?, ?) {one} ORDER BY session, seq LIMIT ?",
            (tenant, *after, *(() if session is None else (session,)), limit),
        ).fetchall()
        return [
            OpenRequest(found, seq, self._history.event(SessionKey(tenant, found), seq))
            for found, seq in rows
        ]

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
        execute_many(
            "UPDATE commands SET reply = ? WHERE tenant = ? AND session = ? AND id = ?",
            [(seq, *key, command) for command, seq in change.replies.items()],
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


def _unknown(key: SessionKey) -> UnknownSessionError:
    return UnknownSessionError(f"there is no session {key.id!r}")


def _session(row: tuple[JSON, ...]) -> SessionRecord:
    ending = codec.decode_payload(row[14]) if row[14] is not None else None
    return SessionRecord(
        key=SessionKey(row[0], row[1]),
        created_at=row[2],
        metadata=msgspec.json.decode(row[3]),
        retention_seconds=row[4],
        epoch=row[5],
        instance=row[6],
        last_event=row[7],
        events_bytes=row[8],
        committed_epoch=row[9],
        last_command=row[10],
        acknowledged_command=row[11],
        open_requests=row[12],
        seen_at=row[13],
        finished=ending if isinstance(ending, SessionFinished) else None,
    )
