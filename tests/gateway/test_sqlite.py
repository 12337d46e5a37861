"""The embedded store."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from pathlib import Path

import pytest

from runner_shell.errors import ConfigurationError, RemoteProtocolError, TransportClosed
from runner_shell.gateway.database import Database
from runner_shell.gateway.errors import (
    NumberGapError,
    SessionExistsError,
    StaleEpochError,
    UnknownSessionError,
)
from runner_shell.gateway.sqlite import SqliteStore
from runner_shell.gateway.store import EventRow, SessionKey

from .support import KEY, row

OTHER_TENANT = SessionKey("elsewhere", "s")
CREATED = "2026-11-21T09:00:00.000+00:00"


def _modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


async def _session(store: SqliteStore, key: SessionKey = KEY) -> int:
    await store.create_session(key, created_at=CREATED, metadata={"title": "a session"})
    return await store.bump_epoch(key, "one")


async def test_an_event_is_read_as_the_bytes_that_came() -> None:
    """Odd spacing, order of fields and escapes come back to the byte."""
    data = rb'{ "seq":1,"zeta":1.0, "type":"log","time":"x","message":"\u00e4\/" }'
    async with SqliteStore(":memory:") as store:
        epoch = await _session(store)
        assert await store.append_events(KEY, epoch, [EventRow(1, "x", "log", "", data)]) == 1
        assert await store.read_events(KEY, limit=10) == [data]


async def test_only_the_next_number_is_taken() -> None:
    """A gap stores nothing of its frame; what is stored already is passed over."""
    async with SqliteStore(":memory:") as store:
        epoch = await _session(store)
        assert await store.append_events(KEY, epoch, [row(1), row(2)]) == 2
        with pytest.raises(NumberGapError):
            await store.append_events(KEY, epoch, [row(3), row(5)])
        assert await store.append_events(KEY, epoch, [row(1), row(2), row(3)]) == 3
        assert await store.append_events(KEY, epoch, [row(2, message="another")]) == 3
        assert await store.read_events(KEY, limit=10) == [row(n).data for n in (1, 2, 3)]


async def test_a_stale_epoch_stores_nothing() -> None:
    """After a newer process took the session, the older one's events are refused."""
    async with SqliteStore(":memory:") as store:
        old = await _session(store)
        new = await store.bump_epoch(KEY, "two")
        assert (old, new) == (1, 2)
        with pytest.raises(StaleEpochError):
            await store.append_events(KEY, old, [row(1)])
        assert await store.append_events(KEY, new, [row(1)]) == 1


async def test_the_process_that_holds_the_epoch_gets_it_again() -> None:
    """A process whose first welcome was lost does not count twice."""
    async with SqliteStore(":memory:") as store:
        await _session(store)
        assert await store.bump_epoch(KEY, "one") == 1
        assert await store.bump_epoch(KEY, "two") == 2
        assert await store.bump_epoch(KEY, "one") == 3


async def test_pages_go_on_where_the_last_one_ended() -> None:
    """`since` and `limit` page through all of it; `types` chooses."""
    async with SqliteStore(":memory:") as store:
        epoch = await _session(store)
        rows = [row(n, "log" if n % 2 else "warning", message="m", code="c") for n in range(1, 8)]
        await store.append_events(KEY, epoch, rows)
        assert await store.read_events(KEY, since=2, limit=3) == [r.data for r in rows[2:5]]
        warnings = await store.read_events(KEY, limit=9, types=["warning"])
        assert warnings == [r.data for r in rows[1::2]]
        assert await store.read_events(KEY, limit=9, types=[]) == []
        assert await store.read_events(KEY, since=7, limit=3) == []


async def test_a_page_of_large_events_ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page is bounded in bytes, and still never empty before the end."""
    monkeypatch.setattr("runner_shell.gateway.database.PAGE_BYTES", 100)
    async with SqliteStore(":memory:") as store:
        epoch = await _session(store)
        await store.append_events(KEY, epoch, [row(1, message="x" * 200), row(2)])
        assert await store.read_events(KEY, limit=10) == [row(1, message="x" * 200).data]
        assert await store.read_events(KEY, since=1, limit=10) == [row(2).data]


async def test_state_is_the_saved_events_merged() -> None:
    """Later values win, removed keys are gone, within a frame and across frames."""
    async with SqliteStore(":memory:") as store:
        epoch = await _session(store)
        await store.append_events(
            KEY,
            epoch,
            [
                row(1, "session.saved", state={"a": 1, "b": {"deep": [1]}}),
                row(2, "session.saved", state={"c": 3}, removed=["a"]),
                row(3, "session.saved", state={"a": "again"}),
            ],
        )
        await store.append_events(KEY, epoch, [row(4, "session.saved", state={}, removed=["c"])])
        assert await store.saved_state(KEY) == {"a": "again", "b": {"deep": [1]}}


async def test_open_requests_are_those_without_an_ending() -> None:
    """They keep their order and are payloads: number, time and turn are left out."""
    async with SqliteStore(":memory:") as store:
        epoch = await _session(store)
        ask = {"kind": "permission", "title": "May I?"}
        await store.append_events(
            KEY,
            epoch,
            [
                row(1, "request.opened", id="q1", key="k1", **ask),
                row(2, "request.opened", id="q2", key="k2", **ask),
                row(3, "request.opened", id="q3", key="k3", **ask),
                row(4, "request.closed", id="q2", how="expired"),
            ],
        )
        await store.append_events(KEY, epoch, [row(5, "request.closed", id="q1", how="answered")])
        expected = {"type": "request.opened", "id": "q3", "key": "k3"} | ask
        assert await store.open_requests(KEY) == (expected,)


async def test_the_ending_is_the_latest_process_s() -> None:
    """`session.finished` sets it, and a next process's `session.started` clears it."""
    async with SqliteStore(":memory:") as store:
        epoch = await _session(store)
        finished = row(1, "session.finished", outcome="failed", reason="no more", exit_code=1)
        await store.append_events(KEY, epoch, [finished])
        record = await store.get_session(KEY)
        assert record.finished is not None
        assert (record.finished.outcome, record.finished.reason) == ("failed", "no more")
        started = row(2, "session.started", epoch=2, resumed=True, adapter="echo")
        await store.append_events(KEY, epoch, [started])
        assert (await store.get_session(KEY)).finished is None


async def test_a_wrong_event_leaves_no_trace() -> None:
    """Where an event that matters has wrong fields, its whole frame is not stored."""
    async with SqliteStore(":memory:") as store:
        epoch = await _session(store)
        with pytest.raises(RemoteProtocolError):
            await store.append_events(KEY, epoch, [row(1), row(2, "session.saved", state=7)])
        assert await store.read_events(KEY, limit=10) == []
        assert (await store.get_session(KEY)).last_event == 0


async def test_a_command_is_added_once() -> None:
    """The same id gets the same number; other ids the next ones, in order."""
    async with SqliteStore(":memory:") as store:
        await _session(store)
        assert await store.add_command(KEY, "c1", "ada", lambda n: b"one %d" % n) == (1, True)
        assert await store.add_command(KEY, "c2", "ada", lambda n: b"two %d" % n) == (2, True)
        assert await store.add_command(KEY, "c1", "eve", lambda n: b"three %d" % n) == (1, False)
        assert await store.commands_after(KEY, 0, limit=9) == [(1, b"one 1"), (2, b"two 2")]
        assert await store.commands_after(KEY, 1, limit=9) == [(2, b"two 2")]


async def test_an_acknowledgement_never_goes_back_or_beyond() -> None:
    """The highest one stays, and none counts for commands that were never given."""
    async with SqliteStore(":memory:") as store:
        await _session(store)
        for name in ("c1", "c2"):
            await store.add_command(KEY, name, "ada", lambda n: b"{}")
        for seq in (2, 1):
            await store.acknowledge_command(KEY, seq)
        assert (await store.get_session(KEY)).acknowledged_command == 2
        await store.acknowledge_command(KEY, 99)
        assert (await store.get_session(KEY)).acknowledged_command == 2


async def test_tenants_do_not_see_each_other() -> None:
    """The same id in another tenant is another session in every respect."""
    async with SqliteStore(":memory:") as store:
        epoch = await _session(store)
        with pytest.raises(UnknownSessionError):
            await store.get_session(OTHER_TENANT)
        with pytest.raises(UnknownSessionError):
            await store.read_events(OTHER_TENANT, limit=1)
        with pytest.raises(UnknownSessionError):
            await store.append_events(OTHER_TENANT, epoch, [row(1)])
        await _session(store, OTHER_TENANT)
        await store.append_events(KEY, epoch, [row(1, "session.saved", state={"mine": 1})])
        await store.add_command(KEY, "c1", "ada", lambda n: b"{}")
        assert await store.read_events(OTHER_TENANT, limit=9) == []
        assert await store.saved_state(OTHER_TENANT) == {}
        assert await store.commands_after(OTHER_TENANT, 0, limit=9) == []
        listed = await store.list_sessions("elsewhere", limit=9)
        assert [record.key for record in listed] == [OTHER_TENANT]


async def test_sessions_are_listed_in_pages() -> None:
    """In order of id, going on after the last one; an id is taken once."""
    async with SqliteStore(":memory:") as store:
        for name in ("b", "a", "c"):
            await _session(store, SessionKey("t", name))
        with pytest.raises(SessionExistsError):
            await _session(store, SessionKey("t", "a"))
        first = await store.list_sessions("t", limit=2)
        assert [record.key.id for record in first] == ["a", "b"]
        rest = await store.list_sessions("t", limit=2, after="b")
        assert [record.key.id for record in rest] == ["c"]
        assert rest[0].metadata == {"title": "a session"}


async def test_what_was_committed_survives_and_is_private(tmp_path: Path) -> None:
    """A new store on the same file has it all; only the owner can read the files."""
    path = tmp_path / "gateway.db"
    path.touch(0o644)
    async with SqliteStore(path) as store:
        epoch = await _session(store)
        await store.append_events(KEY, epoch, [row(1)])
        assert _modes(tmp_path) == {0o600}
    async with SqliteStore(path) as store:
        assert await store.read_events(KEY, limit=9) == [row(1).data]


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
            assert await reader.read_events(KEY, limit=9) == [row(1).data]


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
    database.create_session(KEY, CREATED, {})
    epoch = database.bump_epoch(KEY, "one")
    database.append_events(KEY, epoch, [row(n) for n in range(1, 5001)])
    steps = {since: _steps(connection, database, since) for since in (0, 4900)}
    connection.close()
    assert steps[4900] <= steps[0] + 2


def _steps(connection: sqlite3.Connection, database: Database, since: int) -> int:
    taken: list[None] = []
    connection.set_progress_handler(lambda: taken.append(None), 10)
    assert len(database.read_events(KEY, since, 10, None)) == 10
    connection.set_progress_handler(None, 0)
    return len(taken)


async def test_two_gateways_may_make_the_same_store(tmp_path: Path) -> None:
    """Processes that open a new file at the same moment both find it made."""
    for attempt in range(20):
        path = tmp_path / f"{attempt}.db"
        one, other = SqliteStore(path), SqliteStore(path)
        await asyncio.gather(one.open(), other.open())
        await asyncio.gather(one.close(), other.close())
