"""The embedded store's tables, and how a file of an earlier version becomes one of this."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter

import msgspec

from ...errors import ConfigurationError
from ...protocol.frames import BATCH_BYTES, MAX_EVENTS_PER_FRAME

SCHEMA_VERSION = 2

TABLES = (
    """
    CREATE TABLE IF NOT EXISTS sessions (
        tenant TEXT NOT NULL, id TEXT NOT NULL, created_at TEXT NOT NULL, metadata TEXT NOT NULL,
        retention_seconds INTEGER, epoch INTEGER NOT NULL DEFAULT 0,
        instance TEXT NOT NULL DEFAULT '', last_command INTEGER NOT NULL DEFAULT 0,
        acknowledged_command INTEGER NOT NULL DEFAULT 0, seen_at TEXT NOT NULL DEFAULT '',
        ending BLOB,
        PRIMARY KEY (tenant, id)
    ) WITHOUT ROWID
    """,
    # Apart from the sessions, so that one statement moves many of them on.
    """
    CREATE TABLE IF NOT EXISTS heads (
        tenant TEXT NOT NULL, session TEXT NOT NULL,
        last_event INTEGER NOT NULL, events_bytes INTEGER NOT NULL,
        committed_epoch INTEGER NOT NULL,
        PRIMARY KEY (tenant, session)
    ) WITHOUT ROWID
    """,
    # `data` is the JSON array of the events `first` to `last`, each exactly as it came; `types` has
    # a comma before and after each of their types. With a row id, because such rows are large.
    """
    CREATE TABLE IF NOT EXISTS frames (
        tenant TEXT NOT NULL, session TEXT NOT NULL,
        last INTEGER NOT NULL, first INTEGER NOT NULL, types TEXT NOT NULL, data BLOB NOT NULL,
        PRIMARY KEY (tenant, session, last)
    )
    """,
    # `digest` is of what the client wrote; `reply` is the number of the event that answers it.
    """
    CREATE TABLE IF NOT EXISTS commands (
        tenant TEXT NOT NULL, session TEXT NOT NULL, seq INTEGER NOT NULL,
        id TEXT NOT NULL, by TEXT NOT NULL, digest TEXT NOT NULL, data BLOB NOT NULL, reply INTEGER,
        PRIMARY KEY (tenant, session, seq), UNIQUE (tenant, session, id)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS state (
        tenant TEXT NOT NULL, session TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,
        PRIMARY KEY (tenant, session, key)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS open_requests (
        tenant TEXT NOT NULL, session TEXT NOT NULL, id TEXT NOT NULL, seq INTEGER NOT NULL,
        PRIMARY KEY (tenant, session, id)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS tokens (
        hash TEXT PRIMARY KEY, tenant TEXT NOT NULL, role TEXT NOT NULL, session TEXT,
        name TEXT NOT NULL
    ) WITHOUT ROWID
    """,
)

_EVENT = msgspec.json.Decoder(dict[str, object])


def version_of(sql: sqlite3.Connection) -> int:
    """The file's schema version, 0 for an empty file.

    Raises:
        ConfigurationError: A newer version wrote the file.
    """
    version = int(sql.execute("PRAGMA user_version").fetchone()[0])
    if version > SCHEMA_VERSION:
        raise ConfigurationError(
            f"the store has schema version {version}, and this runner-shell knows versions up "
            f"to {SCHEMA_VERSION}: use the newer runner-shell that wrote it, or another file"
        )
    return version


def demand_current(sql: sqlite3.Connection) -> None:
    """Refuse to read what only a gateway can bring up to date.

    Raises:
        ConfigurationError: The file is of an earlier or a later version.
    """
    version = version_of(sql)
    if 0 < version < SCHEMA_VERSION:
        raise ConfigurationError(
            f"the store has schema version {version} where {SCHEMA_VERSION} is current: start a"
            " gateway on it once, which brings it up to date"
        )


def make_current(sql: sqlite3.Connection) -> None:
    """Make the tables of a new file, or bring an earlier version's up to date, in one transaction.

    Another process may do the same at the same moment: whoever comes second finds it done.
    """
    if version_of(sql) == SCHEMA_VERSION:
        return
    sql.execute("BEGIN IMMEDIATE")
    try:
        match version_of(sql):
            case 0:
                _make_tables(sql)
            case 1:
                _from_version_1(sql)
        sql.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    except BaseException:
        sql.execute("ROLLBACK")
        raise
    sql.execute("COMMIT")


def types_of(types: Iterable[str]) -> str:
    """The text by which a row is found for one of its types; see `type_pattern`."""
    return f",{','.join(dict.fromkeys(types))},"


def type_pattern(type: str) -> str:
    """What `types_of` contains where the type is among them (or, with commas in it, may be)."""
    return f",{type},"


def joined(events: Iterable[bytes]) -> bytes:
    """The events as one JSON array, each untouched."""
    return b"[%b]" % b",".join(events)


def _make_tables(sql: sqlite3.Connection) -> None:
    for table in TABLES:
        sql.execute(table)


def _from_version_1(sql: sqlite3.Connection) -> None:
    """Version 1 had a row for each event, and did not keep which process had brought the last."""
    sql.execute("ALTER TABLE sessions RENAME TO sessions_1")
    sql.execute("ALTER TABLE commands RENAME TO commands_1")
    _make_tables(sql)
    sql.execute(
        "INSERT INTO sessions SELECT tenant, id, created_at, metadata, NULL, epoch, instance,"
        " last_command, acknowledged_command, seen_at,"
        " (SELECT data FROM events e WHERE e.tenant = s.tenant AND e.session = s.id"
        "  AND e.seq = s.ending) FROM sessions_1 s"
    )
    sql.execute(
        "INSERT INTO heads SELECT tenant, id, last_event,"
        " (SELECT coalesce(sum(length(data)), 0) FROM events e"
        "  WHERE e.tenant = s.tenant AND e.session = s.id), 0 FROM sessions_1 s"
    )
    sql.execute(
        "INSERT INTO commands SELECT tenant, session, seq, id, by, '', data, NULL FROM commands_1"
    )
    sql.executemany("INSERT INTO frames VALUES (?, ?, ?, ?, ?, ?)", _frames_of_version_1(sql))
    sql.executemany(
        "UPDATE commands SET reply = ? WHERE tenant = ? AND session = ? AND id = ?",
        _replies_of_version_1(sql),
    )
    for table in ("events", "sessions_1", "commands_1"):
        sql.execute(f"DROP TABLE {table}")


def _frames_of_version_1(
    sql: sqlite3.Connection,
) -> Iterator[tuple[str, str, int, int, str, bytes]]:
    rows = sql.execute(
        "SELECT tenant, session, seq, type, data FROM events ORDER BY tenant, session, seq"
    )
    for (tenant, session), events in groupby(rows, key=itemgetter(0, 1)):
        batch: list[tuple[int, str, bytes]] = []
        size = 0
        for _, _, seq, type, data in events:
            if batch and (len(batch) == MAX_EVENTS_PER_FRAME or size + len(data) > BATCH_BYTES):
                yield _frame(tenant, session, batch)
                batch, size = [], 0
            batch.append((seq, type, data))
            size += len(data)
        yield _frame(tenant, session, batch)


def _frame(
    tenant: str, session: str, batch: list[tuple[int, str, bytes]]
) -> tuple[str, str, int, int, str, bytes]:
    types = types_of(type for _, type, _ in batch)
    return tenant, session, batch[-1][0], batch[0][0], types, joined(data for *_, data in batch)


def _replies_of_version_1(sql: sqlite3.Connection) -> Iterator[tuple[int, str, str, str]]:
    rows = sql.execute(
        "SELECT tenant, session, seq, data FROM events"
        " WHERE type IN ('command.done', 'command.failed')"
    )
    for tenant, session, seq, data in rows:
        yield seq, tenant, session, str(_EVENT.decode(data).get("command", ""))
