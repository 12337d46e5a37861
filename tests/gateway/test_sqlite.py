"""The embedded store."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from pathlib import Path

import pytest

from runner_shell.errors import ConfigurationError, TransportClosed
from runner_shell.gateway.embedded.database import Database
from runner_shell.gateway.errors import NumberGapError, StaleEpochError, StoreError
from runner_shell.gateway.sqlite import SqliteStore
from runner_shell.gateway.store import Append, EventRow, SessionKey
from runner_shell.testing.stores import StoreContract

from .support import KEY, row

CREATED = "2026-11-21T09:00:00.000+00:00"


def _modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


async def _session(store: SqliteStore, key: SessionKey = KEY) -> int:
    await store.create_session(key, created_at=CREATED, metadata={"title": "a session"})
    return await store.bump_epoch(key, "one")


class TestSqliteStoreInMemory(StoreContract):
    """Everything in this process."""

    def open_store(self) -> SqliteStore:
        """A fresh one."""
        return SqliteStore(":memory:")


class TestSqliteStoreInAFile(StoreContract):
    """In WAL mode, as a gateway uses it."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self._path = tmp_path / "gateway.db"

    def open_store(self) -> SqliteStore:
        """A fresh one."""
        return SqliteStore(self._path)


async def test_only_the_next_number_is_taken() -> None:
    """A gap stores nothing of its frame; what is stored already is passed over."""
    async with SqliteStore(":memory:") as store:
        epoch = await _session(store)
        assert await store.append_events(KEY, epoch, [row(1), row(2)]) == 2
        with pytest.raises(NumberGapError, match="event 5 came where 4 is next"):
            await store.append_events(KEY, epoch, [row(3), row(5)])
        assert await store.append_events(KEY, epoch, [row(1), row(2), row(3)]) == 3
        page = await store.read_events(KEY, limit=10)
        assert page.events == [row(n).data for n in (1, 2, 3)]


async def test_a_page_of_large_events_ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page is bounded in bytes, and still never empty before the end."""
    monkeypatch.setattr("runner_shell.gateway.embedded.history.PAGE_BYTES", 100)
    async with SqliteStore(":memory:") as store:
        epoch = await _session(store)
        await store.append_events(KEY, epoch, [row(1, message="x" * 200), row(2)])
        first = await store.read_events(KEY, limit=10)
        assert first == ([row(1, message="x" * 200).data], 1, 2)
        assert await store.read_events(KEY, since=1, limit=10) == ([row(2).data], None, 2)


async def test_what_was_committed_survives_and_is_private(tmp_path: Path) -> None:
    """A new store on the same file has it all; only the owner can read the files."""
    path = tmp_path / "gateway.db"
    path.touch(0o644)
    async with SqliteStore(path) as store:
        epoch = await _session(store)
        await store.append_events(KEY, epoch, [row(1)])
        assert _modes(tmp_path) == {0o600}
    async with SqliteStore(path) as store:
        assert (await store.read_events(KEY, limit=9)).events == [row(1).data]


async def test_a_reader_beside_a_writer(tmp_path: Path) -> None:
    """A read-only store sees what is committed, writes nothing and makes no file."""
    path = tmp_path / "gateway.db"
    with pytest.raises(ConfigurationError, match="cannot open"):
        await SqliteStore.open_readonly(path).open()
    assert not path.exists()
    async with SqliteStore(path) as store:
        epoch = await _session(store)
        async with SqliteStore.open_readonly(path) as reader:
            await store.append_events(KEY, epoch, [row(1)])
            assert (await reader.read_events(KEY, limit=9)).events == [row(1).data]


async def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    """A file of a newer version is left alone, with a word on what to do."""
    path = tmp_path / "gateway.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ConfigurationError, match="newer runner-shell"):
        await SqliteStore(path).open()


async def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    """What SQLite cannot read is a wrong setting, not a crash."""
    path = tmp_path / "gateway.db"
    path.write_text("this is no database, but it is long enough to look at" * 20)
    with pytest.raises(ConfigurationError, match="cannot open the store"):
        await SqliteStore(path).open()


async def test_a_closed_store_says_so() -> None:
    """Using a store that is not open is this side's error, and closing twice is none."""
    store = SqliteStore(":memory:")
    async with store:
        pass
    await store.close()
    with pytest.raises(TransportClosed):
        await store.get_session(KEY)


def test_a_page_costs_the_same_wherever_it_begins() -> None:
    """Reading ten events at the end of thousands takes as many steps as at their beginning."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    database = Database(connection)
    database.prepare()
    with database.transaction():
        database.create_session(KEY, CREATED, {}, None)
        epoch = database.bump_epoch(KEY, "one")
        frames = [[row(n + k) for k in range(5)] for n in range(1, 20_001, 5)]
        database.append_frames([Append(KEY, epoch, frame) for frame in frames])
    steps = {since: _steps(connection, database, since) for since in (0, 19_900)}
    connection.close()
    assert steps[19_900] <= steps[0] + 2


def test_a_page_of_a_rare_type_looks_no_further_than_it_may(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However long the history is, and the pages after it still find what there is."""
    monkeypatch.setattr("runner_shell.gateway.embedded.history.SCAN_ROWS", 50)
    connection = sqlite3.connect(":memory:", isolation_level=None)
    database = Database(connection)
    database.prepare()
    steps, last = [], 0
    with database.transaction():
        database.create_session(KEY, CREATED, {}, None)
        epoch = database.bump_epoch(KEY, "one")
    for length in (1000, 5000):
        with database.transaction():
            frames = [[row(n), row(n + 1)] for n in range(last + 1, length + 1, 2)]
            frames[-1][-1] = row(length, "rare", code="c")
            database.append_frames([Append(KEY, epoch, frame) for frame in frames])
        last = length
        steps.append(_steps(connection, database, 0, ["rare"], found=0))
    found, since, pages = [], 0, 0
    while True:
        page = database.read_events(KEY, since, 10, ["rare"])
        found, pages = found + page.events, pages + 1
        if page.next is None:
            break
        since = page.next
    connection.close()
    assert steps[1] <= steps[0] + 2
    assert found == [row(n, "rare", code="c").data for n in (1000, 5000)]
    assert pages >= 5000 / 2 / 50


def _steps(
    connection: sqlite3.Connection,
    database: Database,
    since: int,
    types: list[str] | None = None,
    *,
    found: int = 10,
) -> int:
    taken: list[None] = []
    connection.set_progress_handler(lambda: taken.append(None), 10)
    assert len(database.read_events(KEY, since, 10, types).events) == found
    connection.set_progress_handler(None, 0)
    return len(taken)


async def test_what_waits_is_committed_together(tmp_path: Path) -> None:
    """A thousand frames that come while the store is busy cost a few transactions, not a thousand.

    Nobody is answered before the commit: another connection sees what was answered.
    """
    path = tmp_path / "gateway.db"
    async with SqliteStore(path) as store:
        keys = [SessionKey("t", f"s{n}") for n in range(1000)]
        await asyncio.gather(*[_session(store, key) for key in keys])
        watcher = sqlite3.connect(path)
        views: set[int] = set()
        counts: list[int] = []

        def committed(task: asyncio.Future[int]) -> None:
            views.add(watcher.execute("PRAGMA data_version").fetchone()[0])
            counts.append(watcher.execute("SELECT count(*) FROM frames").fetchone()[0])

        tasks = [asyncio.ensure_future(store.append_events(key, 1, [row(1)])) for key in keys]
        for task in tasks:
            task.add_done_callback(committed)
        await asyncio.gather(*tasks)
        watcher.close()
        # The n-th answer came when at least n frames could be seen from outside.
        assert all(seen >= number for number, seen in enumerate(counts, start=1))
        assert len(views) < 100


async def test_a_failing_transaction_is_tried_again_one_by_one(tmp_path: Path) -> None:
    """What the database itself refuses fails alone; the others that waited are stored."""
    async with SqliteStore(tmp_path / "gateway.db") as store:
        epoch = await _session(store)
        broken = SessionKey("t", "\ud800")  # no text that SQLite could hold
        outcomes = await asyncio.gather(
            store.append_events(KEY, epoch, [row(1)]),
            store.create_session(broken, created_at=CREATED, metadata={}),
            store.append_events(KEY, epoch, [row(2)]),
            return_exceptions=True,
        )
        assert (outcomes[0], outcomes[2]) == (1, 2)
        assert isinstance(outcomes[1], UnicodeEncodeError)
        assert (await store.get_session(KEY)).last_event == 2


async def test_what_the_database_refuses_fails_alone_among_what_is_handed_in_together(
    tmp_path: Path,
) -> None:
    """The others are stored, and it is an outcome, not raised."""
    async with SqliteStore(tmp_path / "gateway.db") as store:
        epoch = await _session(store)
        broken = SessionKey("t", "\ud800")  # no text that SQLite could hold
        outcomes = await store.append_frames(
            [
                Append(KEY, epoch, [row(1)]),
                Append(broken, 1, [row(1)]),
                Append(KEY, epoch, [row(2)]),
            ]
        )
        assert (outcomes[0], outcomes[2]) == (1, 2)
        assert isinstance(outcomes[1], StoreError)
        assert (await store.get_session(KEY)).last_event == 2


async def test_two_gateways_on_one_store_see_each_other_s_commits(tmp_path: Path) -> None:
    """What one remembers of a session is read anew when the other has committed."""
    path = tmp_path / "gateway.db"
    async with SqliteStore(path) as one, SqliteStore(path) as other:
        epoch = await _session(one)
        assert await one.append_events(KEY, epoch, [row(1)]) == 1
        assert await other.append_events(KEY, epoch, [row(2)]) == 2
        assert await one.append_events(KEY, epoch, [row(2), row(3)]) == 3
        await other.bump_epoch(KEY, "two")
        with pytest.raises(StaleEpochError):
            await one.append_events(KEY, epoch, [row(4)])


async def test_a_file_of_version_1_is_brought_up_to_date(tmp_path: Path) -> None:
    """Its sessions, events, commands, replies, state, requests and tokens are all there."""
    path = tmp_path / "gateway.db"
    rows = [
        row(1, "session.saved", state={"a": 1}),
        row(2, "request.opened", id="q", key="k", kind="plan", title="?"),
        row(3, "command.done", command="c1"),
        *[row(n) for n in range(4, 200)],
        row(200, "session.finished", outcome="completed"),
    ]
    _write_version_1(path, rows)
    with pytest.raises(ConfigurationError, match="start a gateway on it once"):
        await SqliteStore.open_readonly(path).open()
    for _ in range(2):
        async with SqliteStore(path) as store:
            page = await store.read_events(KEY, limit=1000)
            assert page.events == [each.data for each in rows]
            record = await store.get_session(KEY)
            assert (record.last_event, record.epoch, record.instance) == (200, 3, "three")
            assert record.events_bytes == sum(len(each.data) for each in rows)
            assert record.finished is not None
            assert record.retention_seconds is None
            (command,) = await store.commands_after(KEY, 0, limit=9)
            assert command == (1, b'{"id":"c1"}', True, rows[2].data)
            assert await store.saved_state(KEY) == {"a": 1}
            assert [found.seq for found in await store.open_requests("default", limit=9)] == [2]
            assert await store.find_token("h") is not None
            assert (await store.add_command(KEY, "c1", "ada", "d", lambda n: b"{}")) == (1, False)
            assert await store.append_events(KEY, 3, [row(200)]) == 200
    async with SqliteStore(path) as store:
        assert await store.append_events(KEY, 3, [row(201)]) == 201


def _write_version_1(path: Path, rows: list[EventRow]) -> None:
    sql = sqlite3.connect(path)
    sql.executescript(VERSION_1)
    sql.execute(
        "INSERT INTO sessions VALUES (?, ?, ?, '{}', 3, 'three', ?, 1, 1, '', ?)",
        (*KEY, CREATED, len(rows), len(rows)),
    )
    sql.executemany(
        "INSERT INTO events VALUES (?, ?, ?, 'time', ?, 'turn', ?)",
        [(*KEY, each.seq, each.type, each.data) for each in rows],
    )
    sql.execute("INSERT INTO commands VALUES (?, ?, 1, 'c1', 'ada', ?)", (*KEY, b'{"id":"c1"}'))
    sql.execute("INSERT INTO state VALUES (?, ?, 'a', ?)", (*KEY, b"1"))
    sql.execute("INSERT INTO open_requests VALUES (?, ?, 'q', 2)", KEY)
    sql.execute("INSERT INTO tokens VALUES ('h', 'default', 'admin', NULL, 'ada')")
    sql.commit()
    sql.close()


async def test_two_gateways_may_make_the_same_store(tmp_path: Path) -> None:
    """Processes that open a new file at the same moment both find it made."""
    for attempt in range(20):
        path = tmp_path / f"{attempt}.db"
        one, other = SqliteStore(path), SqliteStore(path)
        await asyncio.gather(one.open(), other.open())
        await asyncio.gather(one.close(), other.close())


VERSION_1 = """
CREATE TABLE sessions (
    tenant TEXT NOT NULL, id TEXT NOT NULL, created_at TEXT NOT NULL, metadata TEXT NOT NULL,
    epoch INTEGER NOT NULL DEFAULT 0, instance TEXT NOT NULL DEFAULT '',
    last_event INTEGER NOT NULL DEFAULT 0, last_command INTEGER NOT NULL DEFAULT 0,
    acknowledged_command INTEGER NOT NULL DEFAULT 0, seen_at TEXT NOT NULL DEFAULT '',
    ending INTEGER,
    PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
CREATE TABLE events (
    tenant TEXT NOT NULL, session TEXT NOT NULL, seq INTEGER NOT NULL,
    time TEXT NOT NULL, type TEXT NOT NULL, turn TEXT NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (tenant, session, seq)
) WITHOUT ROWID;
CREATE TABLE commands (
    tenant TEXT NOT NULL, session TEXT NOT NULL, seq INTEGER NOT NULL,
    id TEXT NOT NULL, by TEXT NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (tenant, session, seq), UNIQUE (tenant, session, id)
) WITHOUT ROWID;
CREATE TABLE state (
    tenant TEXT NOT NULL, session TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (tenant, session, key)
) WITHOUT ROWID;
CREATE TABLE open_requests (
    tenant TEXT NOT NULL, session TEXT NOT NULL, id TEXT NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (tenant, session, id)
) WITHOUT ROWID;
CREATE TABLE tokens (
    hash TEXT PRIMARY KEY, tenant TEXT NOT NULL, role TEXT NOT NULL, session TEXT,
    name TEXT NOT NULL
) WITHOUT ROWID;
PRAGMA user_version = 1;
"""
"""The tables as the first version made them."""
