"""Who may do what at the gateway's core, and what it tells of sessions and their events."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest

from runner_shell.gateway.errors import (
    ForbiddenError,
    InvalidInputError,
    SessionExistsError,
    TooSlowError,
    UnknownSessionError,
)
from runner_shell.gateway.tokens import Principal, Role, StoreAuthenticator
from runner_shell.protocol.frames import CloseCode

from .support import (
    ADMIN,
    DEADLINE_SECONDS,
    RUNNER,
    STRANGER,
    bench,
    event,
    events_frame,
    turn_start,
)


def _with(role: Role, session: str | None = None) -> Principal:
    return Principal(name=role.value, role=role, tenant="default", session=session)


# --- who may ---------------------------------------------------------------------------------


async def test_a_runner_can_neither_create_nor_read_nor_command() -> None:
    """Its token is good for its own socket and for nothing else, its own session included."""
    answer = {"type": "request.answer", "id": "a", "request": "q", "answer": True}
    mode = {"type": "settings.update", "id": "m", "settings": {"permission_mode": "all"}}
    async with bench() as gateway:
        core = gateway.core
        for command in (answer, mode, turn_start("c"), {"type": "x.y", "id": "u"}):
            with pytest.raises(ForbiddenError):
                await core.submit_command(RUNNER, "s", command)
        for attempt in (
            core.create_session(RUNNER, "t"),
            core.sessions(RUNNER),
            core.session(RUNNER, "s"),
            core.events(RUNNER, "s"),
            core.issue_runner_token(RUNNER, "s"),
            anext(core.follow(RUNNER, "s")),
        ):
            with pytest.raises(ForbiddenError):
                await attempt


async def test_an_operator_cannot_answer_or_change_rights() -> None:
    """It begins and ends work; an approver may answer too."""
    answer = {"type": "request.answer", "id": "a", "request": "q", "answer": True}
    mode = {"type": "settings.update", "id": "m", "settings": {}}
    async with bench() as gateway:
        submit = gateway.core.submit_command
        await submit(_with(Role.OPERATOR), "s", turn_start("c1"))
        for command in (answer, mode):
            with pytest.raises(ForbiddenError, match="operator token may not approve"):
                await submit(_with(Role.OPERATOR), "s", command)
            assert (await submit(_with(Role.APPROVER), "s", command)).new
        with pytest.raises(ForbiddenError):
            await submit(_with(Role.VIEWER), "s", turn_start("c2"))


async def test_another_tenant_s_session_is_unknown() -> None:
    """Its admin sees and reaches nothing of it, and may have one of the same name."""
    async with bench() as gateway:
        core = gateway.core
        for attempt in (
            core.session(STRANGER, "s"),
            core.events(STRANGER, "s"),
            core.submit_command(STRANGER, "s", turn_start("c")),
            core.issue_runner_token(STRANGER, "s"),
            anext(core.follow(STRANGER, "s")),
        ):
            with pytest.raises(UnknownSessionError):
                await attempt
        assert await core.sessions(STRANGER) == []
        await core.create_session(STRANGER, "s")
        assert [info.id for info in await core.sessions(STRANGER)] == ["s"]


async def test_only_the_session_s_own_runner_is_served() -> None:
    """Other roles and other sessions' tokens are forbidden; an unknown session is told apart."""
    gone = Principal(name="r", role=Role.RUNNER, tenant="default", session="gone")
    async with bench() as gateway:
        assert await gateway.dial(ADMIN).hear_close() == CloseCode.FORBIDDEN
        assert await gateway.dial(gone).hear_close() == CloseCode.FORBIDDEN
        assert await gateway.dial(gone, "gone").hear_close() == CloseCode.NO_SESSION


# --- sessions --------------------------------------------------------------------------------


async def test_a_session_s_token_is_its_runner_s() -> None:
    """The token that creating gives stands for a runner of that session only."""
    async with bench() as gateway:
        info, token = await gateway.core.create_session(ADMIN, metadata={"title": "t"})
        principal = await StoreAuthenticator(gateway.core.store).authenticate(token)
        assert principal is not None
        assert (principal.role, principal.session) == (Role.RUNNER, info.id)
        assert (info.status, info.metadata) == ("created", {"title": "t"})


async def test_a_session_id_is_taken_once_and_is_plain() -> None:
    """A second one of the same id, and ids that do not belong into a path, are refused."""
    async with bench() as gateway:
        with pytest.raises(SessionExistsError):
            await gateway.core.create_session(ADMIN, "s")
        for wrong in ("", "../s", "a/b", ".hidden", "ä", "x" * 129, "a\n"):
            with pytest.raises(InvalidInputError):
                await gateway.core.create_session(ADMIN, wrong)


async def test_a_session_that_nobody_comes_back_to_is_lost() -> None:
    """It is running while connected, then disconnected, and lost after the time for it."""
    now = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
    async with bench(wall_clock=lambda: now, lost_after_seconds=60) as gateway:
        runner = gateway.dial()
        await runner.greet()
        assert (await gateway.core.session(ADMIN, "s")).status == "running"
        runner.socket.cut()
        async with asyncio.timeout(DEADLINE_SECONDS):
            while (await gateway.core.session(ADMIN, "s")).status == "running":
                pass
        assert (await gateway.core.session(ADMIN, "s")).status == "disconnected"
        now += timedelta(seconds=61)
        assert (await gateway.core.session(ADMIN, "s")).status == "lost"


async def test_a_session_that_said_its_ending_is_finished() -> None:
    """Its ending is shown, connected or not, until a next process starts."""
    async with bench() as gateway:
        runner = gateway.dial()
        await runner.greet()
        await runner.say(events_frame(event(1, "session.finished", outcome="completed")))
        await runner.hear_ack(1)
        info = await gateway.core.session(ADMIN, "s")
        assert info.finished is not None
        assert (info.status, info.finished.outcome) == ("finished", "completed")


# --- listeners -------------------------------------------------------------------------------


async def test_following_passes_from_stored_to_live_without_gap_or_repeat() -> None:
    """What was there before comes first, then what is committed."""
    async with bench() as gateway:
        runner = gateway.dial()
        await runner.greet()
        await runner.say(events_frame(event(1), event(2)))
        await runner.hear_ack(2)
        async with aclosing(gateway.core.follow(ADMIN, "s", since=1)) as followed:
            assert await anext(followed) == (2, event(2).encode())
            await runner.say(events_frame(event(3)))
            await runner.say(events_frame(event(4)))
            assert await anext(followed) == (3, event(3).encode())
            assert await anext(followed) == (4, event(4).encode())


async def test_a_slow_listener_is_cut_off_and_a_follower_catches_up() -> None:
    """The queue is bounded; following reads the store again and misses nothing."""
    async with bench() as gateway, gateway.core.subscribe(ADMIN, "s", max_events=2) as live:
        runner = gateway.dial()
        await runner.greet()
        await runner.say(events_frame(*[event(n) for n in range(1, 6)]))
        await runner.hear_ack(5)
        assert [(await anext(live)).seq, (await anext(live)).seq] == [1, 2]
        with pytest.raises(TooSlowError):
            await anext(live)


async def test_a_follower_who_was_cut_off_misses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on from the store where its queue ran over."""
    monkeypatch.setattr("runner_shell.gateway.sessions.subscription.MAX_EVENTS", 1)
    async with bench() as gateway:
        runner = gateway.dial()
        await runner.greet()
        await runner.say(events_frame(event(1)))
        await runner.hear_ack(1)
        async with aclosing(gateway.core.follow(ADMIN, "s")) as followed:
            assert (await anext(followed))[0] == 1
            await runner.say(events_frame(*[event(n) for n in range(2, 300)]))
            await runner.hear_ack(299)
            assert [(await anext(followed))[0] for _ in range(298)] == list(range(2, 300))
