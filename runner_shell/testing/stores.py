"""The gateway's `Store` as a pytest suite: subclass it, and say how a fresh store is opened.

```python
from runner_shell.testing.stores import StoreContract


class TestPostgresStore(StoreContract):
    def open_store(self):
        return PostgresStore(fresh_database_url())
```

The tests are plain functions, so that no plug-in is needed. Each gets a store of its own.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

import pytest

from ..errors import RemoteProtocolError
from ..gateway.errors import (
    CommandConflictError,
    NumberGapError,
    SessionExistsError,
    StaleEpochError,
    UnknownCommandError,
    UnknownSessionError,
)
from ..gateway.store import Append, EventRow, SessionKey, Store, Usage
from ..gateway.tokens import Role, issue

__all__ = ["StoreContract", "event_row"]

DEADLINE_SECONDS = 120.0
"""Ends a hang; nothing is judged by it."""

KEY = SessionKey("tenant", "s")
OTHER = SessionKey("elsewhere", "s")
TIME = "2026-11-21T10:00:00.000Z"
CREATED = "2026-11-21T09:00:00.000+00:00"

Self = TypeVar("Self", bound="StoreContract")


def _with_a_store(test: Callable[[Self, Store], Awaitable[None]]) -> Callable[[Self], None]:
    # Not `functools.wraps`: pytest would look for a fixture with the name of the hidden parameter.
    def run(self: Self) -> None:
        async def within() -> None:
            async with asyncio.timeout(DEADLINE_SECONDS), self.open_store() as store:
                await test(self, store)

        asyncio.run(within())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


def event_row(seq: int, type: str = "log", **fields: Any) -> EventRow:
    """A numbered event as the link hands it out; without fields it is a line of log."""
    head = {"seq": seq, "time": TIME, "turn": "t1", "type": type}
    data = json.dumps(head | (fields or {"message": f"line {seq}"})).encode()
    return EventRow(seq, TIME, type, "t1", data)


class StoreContract:
    """What the gateway relies on; see `runner_shell.gateway.store.Store`."""

    def open_store(self) -> AbstractAsyncContextManager[Store]:
        """A store with nothing in it, open while the block runs."""
        raise NotImplementedError("say how a fresh store is opened")

    # --- events ------------------------------------------------------------------------------

    @_with_a_store
    async def test_an_event_is_read_as_the_bytes_that_came(self, store: Store) -> None:
        """Odd spacing, order of fields and escapes come back to the byte."""
        epoch = await _session(store)
        odd = rb'{ "seq":1,"zeta":1.0, "type":"log","time":"x","message":"\u00e4\/" }'
        large = event_row(2, message="x" * 300_000)
        assert await store.append_events(KEY, epoch, [EventRow(1, "x", "log", "", odd)]) == 1
        assert await store.append_events(KEY, epoch, [large]) == 2
        assert await _events(store) == [odd, large.data]

    @_with_a_store
    async def test_only_the_next_number_is_taken(self, store: Store) -> None:
        """A gap stores nothing of its frame; what is stored already is passed over."""
        epoch = await _session(store)
        assert await store.append_events(KEY, epoch, [event_row(1), event_row(2)]) == 2
        with pytest.raises(NumberGapError):
            await store.append_events(KEY, epoch, [event_row(3), event_row(5)])
        assert await store.append_events(KEY, epoch, [event_row(n) for n in (1, 2, 3)]) == 3
        assert await store.append_events(KEY, epoch, [event_row(2, message="another")]) == 3
        assert await store.append_events(KEY, epoch, []) == 3
        assert await _events(store) == [event_row(n).data for n in (1, 2, 3)]

    @_with_a_store
    async def test_a_stale_epoch_stores_nothing(self, store: Store) -> None:
        """After a newer process took the session, the older one's events are refused."""
        old = await _session(store)
        assert await store.append_events(KEY, old, [event_row(1)]) == 1
        new = await store.bump_epoch(KEY, "two")
        assert (old, new) == (1, 2)
        with pytest.raises(StaleEpochError):
            await store.append_events(KEY, old, [event_row(2)])
        assert await store.append_events(KEY, new, [event_row(2)]) == 2

    @_with_a_store
    async def test_the_last_event_s_process_is_known(self, store: Store) -> None:
        """`committed_epoch` moves with a commit, never with an epoch or a repetition alone."""

        async def committed() -> int:
            return (await store.get_session(KEY)).committed_epoch

        first = await _session(store)
        assert await committed() == 0
        await store.append_events(KEY, first, [])
        assert await committed() == 0
        await store.append_events(KEY, first, [event_row(1)])
        assert await committed() == first
        second = await store.bump_epoch(KEY, "two")
        await store.append_events(KEY, second, [event_row(1)])
        with pytest.raises(NumberGapError):
            await store.append_events(KEY, second, [event_row(3)])
        assert await committed() == first
        await store.append_events(KEY, second, [event_row(1), event_row(2)])
        assert await committed() == second
        assert [
            record.committed_epoch for record in await store.list_sessions("tenant", limit=9)
        ] == [second]

    @_with_a_store
    async def test_the_process_that_holds_the_epoch_gets_it_again(self, store: Store) -> None:
        """A process whose first welcome was lost does not count twice."""
        await _session(store)
        assert await store.bump_epoch(KEY, "one") == 1
        assert await store.bump_epoch(KEY, "two") == 2
        assert await store.bump_epoch(KEY, "one") == 3

    @_with_a_store
    async def test_a_wrong_event_leaves_no_trace(self, store: Store) -> None:
        """Where an event that matters has wrong fields, its whole frame is not stored."""
        epoch = await _session(store)
        wrong = event_row(2, "session.saved", state=7)
        with pytest.raises(RemoteProtocolError):
            await store.append_events(KEY, epoch, [event_row(1), wrong])
        assert await _events(store) == []
        assert (await store.get_session(KEY)).last_event == 0
        assert await store.append_events(KEY, epoch, [event_row(1)]) == 1

    @_with_a_store
    async def test_frames_at_the_same_time_are_each_whole_or_not_there(self, store: Store) -> None:
        """Many sessions commit at once; the one with a wrong frame fails alone."""
        keys = [SessionKey("tenant", f"s{n}") for n in range(20)]
        epochs = [await _session(store, key) for key in keys]
        frames = [[event_row(1), event_row(2 if n != 7 else 3)] for n in range(20)]
        outcomes = await asyncio.gather(
            *[
                store.append_events(key, epoch, rows)
                for key, epoch, rows in zip(keys, epochs, frames, strict=True)
            ],
            return_exceptions=True,
        )
        assert [type(found) for found in outcomes].count(NumberGapError) == 1
        assert isinstance(outcomes[7], NumberGapError)
        for number, key in enumerate(keys):
            assert len(await _events(store, key)) == (0 if number == 7 else 2)

    @_with_a_store
    async def test_what_is_handed_in_together_has_an_outcome_each(self, store: Store) -> None:
        """One after the other, and nothing is raised: what is wrong with one is its own outcome."""
        epoch = await _session(store)
        other = await _session(store, OTHER)
        nobody = SessionKey("tenant", "nobody")
        wrong = event_row(1, "session.saved", state=7)
        outcomes = await store.append_frames(
            [
                Append(KEY, epoch, [event_row(1)]),
                Append(nobody, 1, [event_row(1)]),
                Append(KEY, epoch, [event_row(2), event_row(3)]),
                Append(OTHER, other + 1, [event_row(1)]),
                Append(OTHER, other, [wrong]),
                Append(OTHER, other, [event_row(1), event_row(3)]),
                Append(KEY, epoch, [event_row(3), event_row(4)]),
                Append(OTHER, other, [event_row(1)]),
            ]
        )
        assert [each if isinstance(each, int) else type(each) for each in outcomes] == [
            1,
            UnknownSessionError,
            3,
            StaleEpochError,
            RemoteProtocolError,
            NumberGapError,
            4,
            1,
        ]
        assert await _events(store) == [event_row(n).data for n in (1, 2, 3, 4)]
        assert await _events(store, OTHER) == [event_row(1).data]
        assert await store.append_frames([]) == []

    @_with_a_store
    async def test_frames_of_one_session_at_the_same_time_keep_their_order(
        self, store: Store
    ) -> None:
        """What is asked for first is committed first."""
        epoch = await _session(store)
        frames = [[event_row(2 * n + 1), event_row(2 * n + 2)] for n in range(30)]
        calls = [store.append_events(KEY, epoch, rows) for rows in frames]
        assert await asyncio.gather(*calls) == [rows[-1].seq for rows in frames]
        assert await _events(store) == [event_row(n).data for n in range(1, 61)]

    @_with_a_store
    async def test_pages_go_on_where_the_last_one_ended(self, store: Store) -> None:
        """`since` and `limit` page through all of it, wherever frames begin and end."""
        epoch = await _session(store)
        for numbers in ((1, 2, 3), (4,), (5, 6, 7, 8, 9), (10,)):
            await store.append_events(KEY, epoch, [event_row(n) for n in numbers])
        for limit in (1, 2, 3, 4, 9, 10, 11):
            for start in range(11):
                found, since = [], start
                while True:
                    page = await store.read_events(KEY, since=since, limit=limit)
                    assert len(page.events) <= limit
                    assert page.last == 10
                    found += page.events
                    if page.next is None:
                        break
                    since = page.next
                assert found == [event_row(n).data for n in range(start + 1, 11)]

    @_with_a_store
    async def test_types_choose_and_the_pages_still_find_all(self, store: Store) -> None:
        """Only events of these types, named exactly; `next` leads past the others."""
        epoch = await _session(store)
        kinds = ["log", "warning", "log", "x,log,y", "log%", "warning", "lo", "warning"]
        rows = [event_row(n, kind, code="c") for n, kind in enumerate(kinds, start=1)]
        for start in range(0, 8, 3):
            await store.append_events(KEY, epoch, rows[start : start + 3])
        for types in (["warning"], ["log"], ["lo", "log%"], ["x,log,y"], ["none"], []):
            found, since = [], 0
            while True:
                page = await store.read_events(KEY, since=since, limit=2, types=types)
                found += page.events
                if page.next is None:
                    break
                since = page.next
            assert found == [row.data for row in rows if row.type in types]

    # --- what follows from events ------------------------------------------------------------

    @_with_a_store
    async def test_state_is_the_saved_events_merged(self, store: Store) -> None:
        """Later values win, removed keys are gone, within a frame and across frames."""
        epoch = await _session(store)
        await store.append_events(
            KEY,
            epoch,
            [
                event_row(1, "session.saved", state={"a": 1, "b": {"deep": [1]}}),
                event_row(2, "session.saved", state={"c": 3}, removed=["a"]),
                event_row(3, "session.saved", state={"a": "again"}),
            ],
        )
        removal = event_row(4, "session.saved", state={}, removed=["c"])
        await store.append_events(KEY, epoch, [removal])
        assert await store.saved_state(KEY) == {"a": "again", "b": {"deep": [1]}}

    @_with_a_store
    async def test_open_requests_are_those_without_an_ending(self, store: Store) -> None:
        """In order of session and number, in pages; the event is the one that came."""
        ask = {"kind": "permission", "title": "May I?"}
        opened = [event_row(n, "request.opened", id=f"q{n}", key="k", **ask) for n in range(1, 5)]
        for name in ("s", "b"):
            key = SessionKey("tenant", name)
            epoch = await _session(store, key)
            await store.append_events(key, epoch, opened)
            closed = event_row(5, "request.closed", id="q2", how="expired")
            await store.append_events(key, epoch, [closed])
            assert (await store.get_session(key)).open_requests == 3
        everyone = await store.open_requests("tenant", limit=9)
        expected = [(name, opened[n - 1].data) for name in ("b", "s") for n in (1, 3, 4)]
        assert [(found.session, found.data) for found in everyone] == expected
        rest = await store.open_requests("tenant", after=("b", 3), limit=2)
        assert [(found.session, found.seq) for found in rest] == [("b", 4), ("s", 1)]
        own = await store.open_requests("tenant", session="s", limit=9)
        assert [(found.session, found.seq) for found in own] == [("s", 1), ("s", 3), ("s", 4)]

    @_with_a_store
    async def test_the_ending_is_the_latest_process_s(self, store: Store) -> None:
        """`session.finished` sets it, and a next process's `session.started` clears it."""
        epoch = await _session(store)
        finished = event_row(1, "session.finished", outcome="failed", reason="no", exit_code=1)
        await store.append_events(KEY, epoch, [finished])
        record = await store.get_session(KEY)
        assert record.finished is not None
        assert (record.finished.outcome, record.finished.reason) == ("failed", "no")
        started = event_row(2, "session.started", epoch=2, resumed=True, adapter="echo")
        await store.append_events(KEY, epoch, [started])
        assert (await store.get_session(KEY)).finished is None

    @_with_a_store
    async def test_a_reply_belongs_to_its_command(self, store: Store) -> None:
        """`command.done` and `command.failed` are found with the command, as they came."""
        epoch = await _session(store)
        for name in ("c1", "c2", "c3"):
            await _command(store, name)
        done = event_row(1, "command.done", command="c1")
        failed = event_row(2, "command.failed", command="c2", code="invalid", message="no")
        unknown = event_row(3, "command.done", command="initial")
        await store.append_events(KEY, epoch, [done, failed, unknown])
        rows = await store.commands_after(KEY, 0, limit=9)
        assert [row.reply for row in rows] == [done.data, failed.data, None]
        assert (await store.get_command(KEY, "c1")).reply == done.data

    # --- commands ----------------------------------------------------------------------------

    @_with_a_store
    async def test_a_command_is_added_once(self, store: Store) -> None:
        """The same id gets the same number; other ids the next ones, in order."""
        await _session(store)
        add = store.add_command
        assert await add(KEY, "c1", "ada", "d1", lambda n: b"one %d" % n) == (1, True)
        assert await add(KEY, "c2", "ada", "d2", lambda n: b"two %d" % n) == (2, True)
        assert await add(KEY, "c1", "eve", "d1", lambda n: b"three %d" % n) == (1, False)
        with pytest.raises(CommandConflictError):
            await add(KEY, "c1", "ada", "another", lambda n: b"four %d" % n)
        rows = await store.commands_after(KEY, 0, limit=9)
        assert [row[:2] for row in rows] == [(1, b"one 1"), (2, b"two 2")]
        assert [row.seq for row in await store.commands_after(KEY, 1, limit=9)] == [2]
        assert [row.seq for row in await store.commands_after(KEY, 0, limit=1)] == [1]
        assert (await store.get_command(KEY, "c2")).data == b"two 2"
        with pytest.raises(UnknownCommandError):
            await store.get_command(KEY, "c3")

    @_with_a_store
    async def test_an_acknowledgement_never_goes_back_or_beyond(self, store: Store) -> None:
        """The highest one stays, and none counts for commands that were never given."""
        await _session(store)
        for name in ("c1", "c2", "c3"):
            await _command(store, name)
        for seq in (2, 1):
            await store.acknowledge_command(KEY, seq)
        assert (await store.get_session(KEY)).acknowledged_command == 2
        acknowledged = [row.acknowledged for row in await store.commands_after(KEY, 0, limit=9)]
        assert acknowledged == [True, True, False]
        await store.acknowledge_command(KEY, 99)
        assert (await store.get_session(KEY)).acknowledged_command == 3

    # --- sessions ----------------------------------------------------------------------------

    @_with_a_store
    async def test_sessions_are_listed_in_pages(self, store: Store) -> None:
        """In order of id, going on after the last one; an id is taken once."""
        for name in ("b", "a", "c", "B"):
            await _session(store, SessionKey("t", name))
        with pytest.raises(SessionExistsError):
            await _session(store, SessionKey("t", "a"))
        first = await store.list_sessions("t", limit=2)
        assert [record.key.id for record in first] == ["B", "a"]
        rest = await store.list_sessions("t", limit=9, after="a")
        assert [record.key.id for record in rest] == ["b", "c"]
        assert rest[0].metadata == {"title": "a session"}
        assert rest[0].created_at == CREATED

    @_with_a_store
    async def test_a_deleted_session_leaves_nothing(self, store: Store) -> None:
        """Not even for a new one of the same id; nor its tokens, while others stay."""
        epoch = await _session(store)
        opened = event_row(2, "request.opened", id="q", key="k", kind="plan", title="?")
        saved = event_row(1, "session.saved", state={"a": 1})
        await store.append_events(KEY, epoch, [saved, opened])
        await _command(store, "c1")
        _, bound = issue(Role.RUNNER, KEY.tenant, KEY.id)
        _, free = issue(Role.VIEWER, KEY.tenant)
        for record in (bound, free):
            await store.put_token(record)
        await store.delete_session(KEY)
        for unknown in (
            store.get_session(KEY),
            store.delete_session(KEY),
            store.append_events(KEY, epoch, [event_row(3)]),
        ):
            with pytest.raises(UnknownSessionError):
                await unknown
        assert await store.find_token(bound.hash) is None
        assert await store.find_token(free.hash) == free
        assert await store.usage(KEY.tenant) == Usage(0, 0, 0)
        await _session(store)
        assert await _events(store) == []
        assert await store.saved_state(KEY) == {}
        assert await store.open_requests(KEY.tenant, limit=9) == []
        assert await store.commands_after(KEY, 0, limit=9) == []

    @_with_a_store
    async def test_retention_begins_when_a_runner_was_last_seen(self, store: Store) -> None:
        """Without one, when the session was created; without a retention it never ends."""
        for name, retention in (("unseen", 60), ("seen", 60), ("kept", None)):
            key = SessionKey("tenant", name)
            await store.create_session(
                key, created_at=CREATED, metadata={}, retention_seconds=retention
            )
        await store.touch(SessionKey("tenant", "seen"), "2026-11-21T12:00:00.500+02:00")

        async def expired(now: str) -> set[str]:
            return {key.id for key in await store.expired_sessions(now, limit=9)}

        assert await expired("2026-11-21T09:00:59+00:00") == set()
        assert await expired("2026-11-21T09:01:00+00:00") == {"unseen"}
        assert await expired("2026-11-21T10:00:59+00:00") == {"unseen"}
        assert await expired("2026-11-21T10:01:01+00:00") == {"unseen", "seen"}
        assert (await store.get_session(SessionKey("tenant", "unseen"))).retention_seconds == 60

    @_with_a_store
    async def test_usage_counts_what_is_stored(self, store: Store) -> None:
        """Sessions, their events and these events' bytes, of this tenant only."""
        epoch = await _session(store)
        await _session(store, OTHER)
        rows = [event_row(1), event_row(2)]
        await store.append_events(KEY, epoch, rows)
        await store.append_events(KEY, epoch, rows)
        size = sum(len(row.data) for row in rows)
        assert await store.usage(KEY.tenant) == Usage(1, 2, size)
        assert (await store.get_session(KEY)).events_bytes == size
        assert await store.usage("nobody") == Usage(0, 0, 0)

    @_with_a_store
    async def test_tenants_do_not_see_each_other(self, store: Store) -> None:
        """The same id in another tenant is another session in every respect."""
        epoch = await _session(store)
        _, mine = issue(Role.RUNNER, KEY.tenant, KEY.id)
        await store.put_token(mine)
        for unknown in (
            store.get_session(OTHER),
            store.read_events(OTHER, limit=1),
            store.append_events(OTHER, epoch, [event_row(1)]),
            store.bump_epoch(OTHER, "one"),
            store.saved_state(OTHER),
            store.commands_after(OTHER, 0, limit=1),
            store.get_command(OTHER, "c1"),
            store.add_command(OTHER, "c1", "eve", "d", lambda n: b"{}"),
            store.delete_session(OTHER),
        ):
            with pytest.raises(UnknownSessionError):
                await unknown
        await _session(store, OTHER)
        opened = event_row(2, "request.opened", id="q", key="k", kind="plan", title="?")
        saved = event_row(1, "session.saved", state={"mine": 1})
        finished = event_row(3, "session.finished", outcome="completed")
        await store.append_events(KEY, epoch, [saved, opened, finished])
        await _command(store, "c1")
        await store.acknowledge_command(KEY, 1)
        await store.touch(KEY, CREATED)
        assert await _events(store, OTHER) == []
        assert await store.saved_state(OTHER) == {}
        assert await store.open_requests(OTHER.tenant, session="s", limit=9) == []
        assert await store.commands_after(OTHER, 0, limit=9) == []
        other = await store.get_session(OTHER)
        assert (other.last_event, other.last_command, other.seen_at) == (0, 0, "")
        assert (other.epoch, other.finished, other.acknowledged_command) == (1, None, 0)
        assert [found.key for found in await store.list_sessions("elsewhere", limit=9)] == [OTHER]
        await store.delete_session(OTHER)
        assert len(await _events(store)) == 3
        assert await store.find_token(mine.hash) == mine

    # --- tokens ------------------------------------------------------------------------------

    @_with_a_store
    async def test_a_token_is_found_by_its_hash(self, store: Store) -> None:
        """With all that it is good for; any other hash is nobody's."""
        _, record = issue(Role.APPROVER, "tenant", "s", name="ada")
        await store.put_token(record)
        assert await store.find_token(record.hash) == record
        assert await store.find_token(record.hash[:-1] + "x") is None


async def _session(store: Store, key: SessionKey = KEY) -> int:
    await store.create_session(key, created_at=CREATED, metadata={"title": "a session"})
    return await store.bump_epoch(key, "one")


async def _command(store: Store, name: str) -> None:
    await store.add_command(KEY, name, "ada", name, lambda n: b'{"seq":%d}' % n)


async def _events(store: Store, key: SessionKey = KEY) -> list[bytes]:
    page = await store.read_events(key, limit=1000)
    assert page.next is None
    return page.events
