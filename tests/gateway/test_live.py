"""Following a session: over server-sent events, and as a property of the follower."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner_shell.gateway.errors import TooSlowError
from runner_shell.gateway.quotas import Quotas, Tally
from runner_shell.gateway.sessions.follower import Follower
from runner_shell.gateway.sessions.live import LiveSession
from runner_shell.gateway.sessions.subscription import Subscription
from runner_shell.gateway.sqlite import SqliteStore
from runner_shell.gateway.store import EventPage, EventRow
from runner_shell.gateway.web.sse import KEEP_ALIVE, EventStream, ending, messages

from .site import Site, hear, site
from .support import DEADLINE_SECONDS, KEY, event, events_frame, hello, row


class Message(dict[str, str]):
    """One server-sent event: its fields."""


@asynccontextmanager
async def live(gateway: Site, query: str = "", **headers: str) -> AsyncIterator[Any]:
    """The messages of a stream, and its comments as messages without fields."""
    path = f"/sessions/s/events/live?{query}"
    async with gateway.http.stream("GET", path, headers=headers, timeout=DEADLINE_SECONDS) as got:
        assert got.status_code == 200
        assert got.headers["content-type"].startswith("text/event-stream")
        yield _parsed(got.aiter_lines())


async def _parsed(lines: AsyncIterator[str]) -> AsyncIterator[Message]:
    message = Message()
    async for line in lines:
        if not line:
            yield message
            message = Message()
            continue
        name, _, value = line.partition(": ")
        message[name] = f"{message[name]}\n{value}" if name in message else value


async def _seqs(messages: AsyncIterator[Message], count: int) -> list[int]:
    return [int((await anext(messages))["id"]) for _ in range(count)]


async def test_a_stream_passes_from_stored_to_live() -> None:
    """Stored events first, then what is committed; number, type and bytes as they are."""
    async with site() as gateway:
        token = await gateway.create()
        async with gateway.dial(token) as runner:
            await runner.send(hello())
            await hear(runner, "welcome")
            odd = event(2, "odd\\ntype", a=1).replace(", ", ",\n ")
            await runner.send(events_frame(event(1), odd))
            await hear(runner, "ack")
            async with live(gateway) as messages:
                first = await anext(messages)
                assert (first["id"], first["event"], first["data"]) == ("1", "log", event(1))
                second = await anext(messages)
                assert (second["id"], json.loads(second["data"])) == ("2", json.loads(odd))
                await runner.send(events_frame(event(3), event(4)))
                assert await _seqs(messages, 2) == [3, 4]


async def test_a_stream_begins_where_it_is_told() -> None:
    """By `since`, by `Last-Event-ID` before it, and only with these types."""
    async with site() as gateway:
        token = await gateway.create()
        kinds = ["log", "warning", "log", "warning", "log"]
        async with gateway.dial(token) as runner:
            await runner.send(hello())
            await hear(runner, "welcome")
            events = [event(n, kind, code="c") for n, kind in enumerate(kinds, start=1)]
            await runner.send(events_frame(*events))
            await hear(runner, "ack")
            for query, headers, expected in [
                ("since=3", {}, [4, 5, 6]),
                ("since=1", {"Last-Event-ID": "4"}, [5, 6]),
                ("types=warning", {}, [2, 4, 6]),
            ]:
                async with live(gateway, query, **headers) as messages:
                    found = await _seqs(messages, len(expected) - 1)
                    if expected[-1] == 6 and query == "since=3":
                        await runner.send(events_frame(event(6, "warning", code="c")))
                    found += await _seqs(messages, 1)
                assert found == expected
        answer = await gateway.http.get("/sessions/s/events/live", headers={"Last-Event-ID": "x"})
        assert answer.status_code == 422


async def test_a_stream_ends_with_its_reason() -> None:
    """Deletion and draining are said last, without a number, as problem objects."""
    async with site() as gateway:
        await gateway.create()
        async with live(gateway) as messages:
            deletion = asyncio.ensure_future(gateway.http.delete("/sessions/s"))
            last = await anext(messages)
            assert (await deletion).status_code == 204
            assert (last["event"], "id" in last) == ("session.deleted", False)
            assert json.loads(last["data"])["code"] == "session_deleted"
            assert [message async for message in messages] == []
        await gateway.create()
        async with live(gateway) as messages:
            draining = asyncio.ensure_future(gateway.core.drain())
            last = await anext(messages)
            await draining
            assert (last["event"], json.loads(last["data"])["code"]) == ("draining", "draining")
        answer = await gateway.http.get("/sessions/s/events/live")
        assert answer.status_code == 503


async def test_a_quiet_stream_lets_itself_be_heard() -> None:
    """A comment, again and again, loses nothing of what comes then."""
    sent: list[bytes] = []
    async with SqliteStore(":memory:") as store, asyncio.timeout(DEADLINE_SECONDS):
        session, epoch = await _session(store)
        stream = EventStream(Follower(session, store), keep_alive_seconds=0.01)
        three = asyncio.Event()

        async def send(message: Any) -> None:
            sent.append(message.get("body", b""))
            if sent.count(KEEP_ALIVE) == 3:
                three.set()

        serving = asyncio.ensure_future(stream({"method": "GET"}, asyncio.Event().wait, send))
        await three.wait()
        await _commit(store, session, epoch, [row(1)])
        session.close_subscriptions()
        await serving
    assert b"id: 1\nevent: log\n" in b"".join(sent)


async def test_a_slow_listener_is_cut_with_a_reason() -> None:
    """What was held comes first, in order; then it is told, and can come again from there."""
    async with SqliteStore(":memory:") as store, asyncio.timeout(DEADLINE_SECONDS):
        session, epoch = await _session(store)
        async with Follower(session, store, subscription=_small) as follower:
            await _commit(store, session, epoch, [row(1)])
            assert [found.seq for found in await follower.batch()] == [1]
            waiting = asyncio.ensure_future(follower.batch())
            await asyncio.sleep(0)
            await _commit(store, session, epoch, [row(n) for n in range(2, 9)])
            held = [found.seq for found in await waiting]
            assert held == list(range(2, 2 + len(held)))
            with pytest.raises(TooSlowError) as cut:
                await follower.batch()
    last = ending(cut.value).decode()
    assert last.startswith('event: cut\ndata: {"type":"urn:runner-shell:problem:too_slow"')
    async with SqliteStore(":memory:") as store:
        session, epoch = await _session(store)
        await _commit(store, session, epoch, [row(n) for n in range(1, 9)])
        async with Follower(session, store, since=held[-1], subscription=_small) as again:
            assert (await again.batch())[0].seq == held[-1] + 1


class BusyStore(SqliteStore):
    """Commits more than a listener's queue holds while a page is read."""

    busy: LiveSession
    rows: list[EventRow]

    async def read_events(self, *arguments: Any, **options: Any) -> EventPage:
        page = await super().read_events(*arguments, **options)
        rows, self.rows = self.rows, []
        if rows:
            await _commit(self, self.busy, 1, rows)
        return page


async def test_a_long_history_is_no_slowness() -> None:
    """Whoever still reads the store is not cut for what is committed meanwhile, and misses none."""
    store = BusyStore(":memory:")
    store.rows = []
    async with store, asyncio.timeout(DEADLINE_SECONDS):
        store.busy, epoch = await _session(store)
        await _commit(store, store.busy, epoch, [row(n) for n in range(1, 6)])
        async with Follower(store.busy, store, subscription=_small) as follower:
            store.rows = [row(n) for n in range(6, 20)]
            found: list[int] = []
            while len(found) < 19:
                found += [each.seq for each in await follower.batch()]
        assert found == list(range(1, 20))


async def test_a_caller_who_takes_nothing_is_let_go() -> None:
    """The stream ends without its last chunk, so that a caller knows that it is not whole."""
    never = asyncio.Event()
    said: list[Any] = []

    async def send(message: Any) -> None:
        said.append(message)
        if message["type"] == "http.response.body":
            await never.wait()

    async with SqliteStore(":memory:") as store, asyncio.timeout(DEADLINE_SECONDS):
        session, epoch = await _session(store)
        await _commit(store, session, epoch, [row(1)])
        stream = EventStream(Follower(session, store), stall_seconds=0.01)
        await stream({"method": "GET"}, never.wait, send)
    assert [message.get("more_body") for message in said] == [None, True]


def test_a_type_cannot_forge_a_message() -> None:
    """Line breaks in a type or in the event's text do not end a field."""
    forged = EventRow(1, "", "x\nid: 7\r\nevent: y", "", b'{"a":\n\r1}')
    (text,) = messages([forged])
    assert text == b'id: 1\nevent: x id: 7 event: y\ndata: {"a":\ndata: \ndata: 1}\n\n'


# --- no gap, no repeat -----------------------------------------------------------------------


@given(
    before=st.integers(0, 12),
    since=st.integers(0, 12),
    frames=st.lists(st.integers(1, 6), max_size=8),
    held=st.integers(1, 8),
    page=st.integers(1, 5),
    turns=st.lists(st.integers(0, 6), min_size=1, max_size=12),
    only=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_any_interleaving_has_no_gap_and_no_repeat(
    before: int,
    since: int,
    frames: list[int],
    held: int,
    page: int,
    turns: list[int],
    only: bool,
) -> None:
    """However commits, pages, queues and pauses fall together, each event comes once."""
    total = before + sum(frames)
    wanted = [seq for seq in range(min(since, total) + 1, total + 1) if not only or seq % 3 == 0]

    async def play() -> None:
        async with SqliteStore(":memory:") as store, asyncio.timeout(DEADLINE_SECONDS):
            session, epoch = await _session(store)
            if before:
                await _commit(store, session, epoch, _rows(0, before))
            found: list[int] = []
            follower = Follower(
                session,
                store,
                since=min(since, total),
                types=["third"] if only else None,
                patient=True,
                subscription=lambda: Subscription(max_events=held),
            )

            async def listen() -> None:
                async with follower:
                    while len(found) < len(wanted):
                        found.extend(each.seq for each in await follower.batch())
                        for _ in range(turns[len(found) % len(turns)]):
                            await asyncio.sleep(0)

            async def commit() -> None:
                last = before
                for number, count in enumerate(frames):
                    await _commit(store, session, epoch, _rows(last, last + count))
                    last += count
                    for _ in range(turns[number % len(turns)]):
                        await asyncio.sleep(0)

            await asyncio.gather(listen(), commit())
            assert found == wanted

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("runner_shell.gateway.sessions.follower.PAGE_EVENTS", page)
        asyncio.run(play())


def _rows(last: int, end: int) -> list[EventRow]:
    return [row(n, "third" if n % 3 == 0 else "log", message="m") for n in range(last + 1, end + 1)]


def _small() -> Subscription:
    return Subscription(max_events=3)


async def _session(store: SqliteStore) -> tuple[LiveSession, int]:
    async def tally() -> Tally:
        return Tally(0, 0, 0)

    await store.create_session(KEY, created_at="2026-11-21T09:00:00.000+00:00", metadata={})
    return LiveSession(KEY, store, Quotas(), tally), await store.bump_epoch(KEY, "one")


async def _commit(
    store: SqliteStore, session: LiveSession, epoch: int, rows: list[EventRow]
) -> None:
    await store.append_events(KEY, epoch, rows)
    session.publish(rows)


async def test_a_caller_who_goes_is_forgotten() -> None:
    """Its queue is dropped, and with it what is kept of a session that nobody listens to."""
    async with site() as gateway:
        await gateway.create()
        async with live(gateway):
            pass
        async with asyncio.timeout(DEADLINE_SECONDS):
            while gateway.core._live:
                await gateway.store.usage("default")
