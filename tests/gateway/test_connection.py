"""A runner's connection, over memory sockets, told literal frames."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from runner_shell.gateway.errors import (
    DrainingError,
    StoreError,
)
from runner_shell.gateway.runner.connection import RunnerConnection
from runner_shell.gateway.sqlite import SqliteStore
from runner_shell.gateway.store import SessionKey, SessionRecord
from runner_shell.link import gateway as link
from runner_shell.link.gateway import GatewayLimits, GatewayLink
from runner_shell.protocol.frames import CloseCode

from .support import (
    ADMIN,
    DEADLINE_SECONDS,
    KEY,
    RUNNER,
    SteadyClock,
    bench,
    event,
    events_frame,
    hello,
)


class HeldStore(SqliteStore):
    """Holds every append until it is let go, and says when one has begun."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.begun = asyncio.Event()
        self.go = asyncio.Event()
        self.records_read = 0

    async def get_session(self, key: SessionKey) -> SessionRecord:
        self.records_read += 1
        return await super().get_session(key)

    async def append_frames(self, appends: Any) -> Any:
        self.begun.set()
        await self.go.wait()
        return await super().append_frames(appends)


class BrokenStore(SqliteStore):
    """Fails at every append."""

    async def append_frames(self, appends: Any) -> Any:
        raise StoreError("the disk is full")


# --- numbers and acknowledgement -------------------------------------------------------------


async def test_events_are_stored_as_they_came_and_acknowledged() -> None:
    """The first process gets epoch 1; its events come back to the byte."""
    async with bench() as gateway:
        runner = gateway.dial()
        welcome = await runner.greet()
        assert (welcome["epoch"], welcome["acked"]) == (1, 0)
        odd = event(2).replace('": ', '":    ')
        await runner.say(events_frame(event(1), odd))
        await runner.hear_ack(2)
        stored = await gateway.core.events(ADMIN, "s")
        assert stored == [event(1).encode(), odd.encode()]


async def test_a_repeated_event_is_stored_once() -> None:
    """What is sent again after a redial is passed over, and the rest goes on."""
    async with bench() as gateway:
        first = gateway.dial()
        await first.greet()
        await first.say(events_frame(event(1), event(2)))
        await first.hear_ack(2)
        first.socket.cut()
        again = gateway.dial()
        assert (await again.greet(epoch=1, next=3))["acked"] == 2
        await again.say(events_frame(event(1), event(2), event(3)))
        await again.hear_ack(3)
        assert len(await gateway.core.events(ADMIN, "s")) == 3


async def test_a_gap_is_refused() -> None:
    """Nothing after a missing number is stored, and the runner is told to come again."""
    async with bench() as gateway:
        runner = gateway.dial()
        await runner.greet()
        await runner.say(events_frame(event(1), event(3)))
        assert await runner.hear_close() == CloseCode.RESYNC
        assert await gateway.core.events(ADMIN, "s") == [event(1).encode()]


async def test_nothing_is_acknowledged_before_it_is_committed() -> None:
    """However long the store takes; and that it takes long is not the runner's silence."""
    store = HeldStore()
    limits = GatewayLimits(heartbeat_seconds=0.2)
    async with bench(store, limits=limits, clock=SteadyClock()) as gateway:
        runner = gateway.dial()
        await runner.greet()
        await runner.say(events_frame(event(1)))
        await store.begun.wait()
        # Far longer than an acknowledgement may take, and than a silent runner is waited for.
        for _ in range(5):
            assert json.loads(await runner.socket.recv()) == {"frame": "heartbeat"}
            await runner.say('{"frame":"heartbeat","progress":1}')
        assert await gateway.core.events(ADMIN, "s") == []
        store.go.set()
        await runner.hear_ack(1)
        assert await gateway.core.events(ADMIN, "s") == [event(1).encode()]


async def test_what_the_gateway_does_not_read_is_no_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A runner that has brought as much as the gateway holds is read from later, and not let go."""
    monkeypatch.setattr("runner_shell.gateway.runner.basket.MAX_BYTES", 1)
    store = HeldStore()
    limits = GatewayLimits(heartbeat_seconds=0.05)
    async with bench(store, limits=limits, clock=SteadyClock()) as gateway:
        runner = gateway.dial()
        await runner.greet()
        await runner.say(events_frame(event(1)))
        await store.begun.wait()
        await runner.say(events_frame(event(2)))
        for _ in range(10):  # a silent runner is let go after two
            await runner.hear("heartbeat")
            await runner.say('{"frame":"heartbeat","progress":1}')
        store.go.set()
        await runner.hear_ack(2)


async def test_commits_that_wait_for_one_acknowledgement_turn_the_writer_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A frame that makes nothing due costs no turn of the one who sends."""
    monkeypatch.setattr(link, "ACK_SECONDS", 3600.0)
    turns: list[float] = []
    due = GatewayLink.frames_to_send

    def counted(self: GatewayLink, now: float) -> list[bytes]:
        turns.append(now)
        return due(self, now)

    monkeypatch.setattr(GatewayLink, "frames_to_send", counted)
    limits = GatewayLimits(heartbeat_seconds=3600.0)
    async with bench(limits=limits) as gateway:
        runner = gateway.dial()
        await runner.greet()
        for seq in range(1, link.ACK_EVENTS):
            await runner.say(events_frame(event(seq)))
        while (await gateway.core.session(ADMIN, "s")).last_event < link.ACK_EVENTS - 1:
            pass  # to look lets the gateway go on
        counted_before = len(turns)
        await runner.say(events_frame(event(link.ACK_EVENTS)))
        await runner.hear_ack(link.ACK_EVENTS)
    assert counted_before < 10


async def test_what_was_read_before_the_socket_was_lost_is_committed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also what still waited for the store then; the runner need not send it again."""
    store, gone, lost = HeldStore(), RunnerConnection.gone, asyncio.Event()

    def noted(self: RunnerConnection, reason: str) -> None:
        gone(self, reason)
        lost.set()

    monkeypatch.setattr(RunnerConnection, "gone", noted)
    async with bench(store) as gateway, gateway.core.subscribe(ADMIN, "s") as live:
        runner = gateway.dial()
        await runner.greet()
        await runner.say(events_frame(event(1)))
        await store.begun.wait()
        await runner.say(events_frame(event(2)))
        runner.socket.cut()
        async with asyncio.timeout(DEADLINE_SECONDS):
            await lost.wait()
            store.go.set()
            assert [(await anext(live)).seq for _ in range(2)] == [1, 2]
        assert (await gateway.dial().greet(epoch=1, next=3))["acked"] == 2


async def test_a_broken_frame_ends_the_connection_for_good() -> None:
    """What is no frame, or an event with wrong fields, is a breach that nobody retries."""
    async with bench() as gateway:
        for frame in ("{", events_frame(event(1, "session.saved", state=7)), '{"frame":"welcome"}'):
            runner = gateway.dial()
            await runner.greet()
            await runner.say(frame)
            assert await runner.hear_close() == CloseCode.PROTOCOL
        assert await gateway.core.events(ADMIN, "s") == []


async def test_a_failing_store_sends_the_runner_away_for_a_while() -> None:
    """Nothing is acknowledged; the runner backs off and dials again."""
    async with bench(BrokenStore(":memory:")) as gateway:
        runner = gateway.dial()
        await runner.greet()
        await runner.say(events_frame(event(1)))
        assert await runner.hear_close() == CloseCode.OVERLOADED


async def test_a_silent_runner_is_let_go() -> None:
    """One that never says hello is closed, and so is one that says nothing more."""
    limits = GatewayLimits(heartbeat_seconds=0.05, hello_seconds=0.05)
    async with bench(limits=limits, clock=SteadyClock()) as gateway:
        assert await gateway.dial().hear_close() == CloseCode.SILENT
        runner = gateway.dial()
        await runner.greet()
        assert await runner.hear_close() == CloseCode.SILENT


# --- welcome ---------------------------------------------------------------------------------


async def test_a_next_process_goes_on_where_the_last_one_was() -> None:
    """Its welcome has the next epoch, the last number, the saved state and the open requests."""
    async with bench() as gateway:
        first = gateway.dial()
        await first.greet()
        await first.say(
            events_frame(
                event(1, "session.saved", state={"thread": "abc"}),
                event(2, "request.opened", id="q", key="k", kind="plan", title="All right?"),
            )
        )
        await first.hear_ack(2)
        welcome = await gateway.dial().greet(instance="two")
        assert (welcome["epoch"], welcome["acked"]) == (2, 2)
        assert welcome["state"] == {"thread": "abc"}
        assert [request["id"] for request in welcome["open_requests"]] == ["q"]


async def test_what_was_never_given_is_a_breach() -> None:
    """An epoch or a command number from the future cannot be gone on from."""
    async with bench() as gateway:
        for claim in ({"epoch": 7}, {"last_command": 7}):
            runner = gateway.dial()
            await runner.say(hello(**claim))
            assert await runner.hear_close() == CloseCode.PROTOCOL


async def test_hello_must_name_its_own_session() -> None:
    """A token's session and the session in hello are the same, or it is forbidden."""
    async with bench() as gateway:
        runner = gateway.dial()
        await runner.say(hello(session="other"))
        assert await runner.hear_close() == CloseCode.FORBIDDEN


# --- fencing ---------------------------------------------------------------------------------


async def test_a_newer_process_fences_the_older_one() -> None:
    """The older one is closed as superseded, and when it dials again it is refused as such."""
    async with bench() as gateway:
        old = gateway.dial()
        await old.greet()
        new = gateway.dial()
        await new.greet(instance="two")
        assert await old.hear_close() == CloseCode.SUPERSEDED
        for stale in ({"epoch": 1}, {"epoch": 2}):
            zombie = gateway.dial()
            await zombie.say(hello(**stale))
            assert await zombie.hear_close() == CloseCode.SUPERSEDED
        await new.say(events_frame(event(1)))
        await new.hear_ack(1)


async def test_a_redial_replaces_its_own_socket() -> None:
    """The same process on a new socket: the old socket is closed with another code."""
    async with bench() as gateway:
        old = gateway.dial()
        await old.greet()
        again = gateway.dial()
        assert (await again.greet(epoch=1))["epoch"] == 1
        assert await old.hear_close() == CloseCode.REPLACED
        lost_welcome = gateway.dial()
        assert (await lost_welcome.greet())["epoch"] == 1
        assert await again.hear_close() == CloseCode.REPLACED


async def test_a_commit_in_flight_is_in_the_next_welcome() -> None:
    """What an old socket is committing when the new one says hello is counted there."""
    store = HeldStore()
    async with bench(store) as gateway, gateway.core.subscribe(ADMIN, "s") as live:
        old = gateway.dial()
        await old.greet()
        await old.say(events_frame(event(1)))
        await store.begun.wait()
        new = gateway.dial()
        store.records_read = 0
        await new.say(hello(epoch=1))
        # Read twice: before the socket is served, and to decide over its hello.
        await _until(lambda: store.records_read == 2)
        for _ in range(5):  # the store answers in order, so a third reading would be among these
            await store.saved_state(KEY)
        assert store.records_read == 2
        store.go.set()
        assert (await new.hear("welcome"))["acked"] == 1
        assert await old.hear_close() == CloseCode.REPLACED
        assert (await anext(live)).seq == 1


async def test_what_waits_behind_a_commit_is_not_committed_after_the_fence() -> None:
    """It was read before, and not handed to the store: the next welcome does not count it."""
    store = HeldStore()
    async with bench(store) as gateway:
        old = gateway.dial()
        await old.greet()
        await old.say(events_frame(event(1)))
        await store.begun.wait()
        await old.say(events_frame(event(2, message="old")))
        new = gateway.dial()
        await new.say(hello(epoch=1))
        assert await old.hear_close() == CloseCode.REPLACED
        store.go.set()
        assert (await new.hear("welcome"))["acked"] == 1
        for _ in range(5):  # the store answers in order
            await store.saved_state(KEY)
        assert await gateway.core.events(ADMIN, "s") == [event(1).encode()]


async def test_after_its_fence_a_connection_commits_nothing() -> None:
    """Frames that the old process still sends, even correct ones, change nothing."""
    async with bench() as gateway:
        old = gateway.dial()
        await old.greet()
        # Both are on their way before the gateway reads either.
        new = gateway.dial()
        await new.say(hello(instance="two"))
        welcome = await new.hear("welcome")
        await old.hear_close()
        await new.say(events_frame(event(welcome["acked"] + 1, message="new")))
        await new.hear_ack(welcome["acked"] + 1)
        assert [b"new" in data for data in await gateway.core.events(ADMIN, "s")] == [True]


# --- draining --------------------------------------------------------------------------------


async def test_draining_sends_runners_to_dial_again() -> None:
    """Connected ones are closed so, new ones refused so, and listeners' iterations end."""
    async with bench() as gateway, gateway.core.subscribe(ADMIN, "s") as live:
        runner = gateway.dial()
        await runner.greet()
        await gateway.core.drain()
        assert await runner.hear_close() == CloseCode.DRAINING
        assert await gateway.dial().hear_close() == CloseCode.DRAINING
        assert [row async for row in live] == []
        with pytest.raises(DrainingError):
            await gateway.core.check_runner(RUNNER, "s")


# --- what the tests need ---------------------------------------------------------------------


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():  # noqa: ASYNC110 — the condition is anything
            await asyncio.sleep(0)
