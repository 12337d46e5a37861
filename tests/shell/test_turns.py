"""Turns: one at a time, one ending each, interrupts in time, and nothing lost or told twice."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from fake_gateway import FakeGateway, running, script

from runner_shell import Adapter, Ending, Session, Turn, TurnOver, UserMessage, events
from runner_shell.testing.adapters import EchoAdapter, ScriptedAdapter
from runner_shell.testing.conformance import check_order
from runner_shell.testing.hosting import host


async def test_the_initial_prompt_is_the_command_initial() -> None:
    """It runs once, first, and names its command."""
    async with host(ScriptedAdapter, prompt="hello") as session:
        assert (await session.end()).exit_code == 0
    (started,) = session.of_type("turn.started")
    assert (started["command"], started["cause"], started["input"]) == (
        "initial",
        "message",
        "hello",
    )
    assert check_order(session.events) == []


@pytest.mark.parametrize("interactive", [False, True])
async def test_a_prompt_is_not_run_again_after_lost_history(interactive: bool) -> None:
    """The gap is told first, then why nothing runs; a person can go on, a job fails."""
    gateway = FakeGateway(acked=7, epoch=2)
    async with running(gateway, "pay the bill", interactive=interactive) as run:
        await gateway.wait_for("warning", code="initial_not_repeated")
        if not interactive:
            assert (await run.end()).exit_code == 1
    assert run.told[0] == run.told[0] | {"type": "gap", "seq": 8, "after": 7}
    assert run.told[1]["type"] == "session.started"
    assert not [event for event in run.told if event["type"] == "turn.started"]


async def test_messages_during_a_turn_are_queued_in_order() -> None:
    """`command.done` means queued; each message gets a turn of its own."""
    prompt = script({"delay": 0.1}, {"say": "one "})
    async with host(ScriptedAdapter, prompt=prompt, interactive=True) as session:
        await session.wait_for("turn.started")
        commands = [await session.send("turn.start", content=text) for text in ("two ", "three")]
        await session.wait_for("command.done", 2)
        assert not session.of_type("turn.finished")
        await session.wait_for("turn.finished", 3)
    assert session.text() == "one two three"
    started = session.of_type("turn.started")
    assert [turn["command"] for turn in started] == ["initial", *commands]
    assert len({turn["turn"] for turn in started}) == 3
    assert check_order(session.events) == []


async def test_a_wake_runs_a_turn_without_a_message() -> None:
    """A framework's background work gets its turn, also in a session that is not interactive."""
    async with host(ScriptedAdapter, prompt=script({"wake": True}, {"say": "a"})) as session:
        assert (await session.end()).exit_code == 0
    assert [turn["cause"] for turn in session.of_type("turn.started")] == ["message", "wake"]
    assert session.text() == "awoken"


async def test_turns_open_and_close_share_one_task() -> None:
    """Frameworks tie their scopes to the task that opened them."""
    tasks: list[asyncio.Task[Any] | None] = []

    class Tasks(EchoAdapter):
        async def open(self, session: Session) -> None:
            tasks.append(asyncio.current_task())

        async def turn(self, turn: Turn) -> Ending:
            tasks.append(asyncio.current_task())
            return await super().turn(turn)

        async def close(self) -> None:
            tasks.append(asyncio.current_task())

    async with host(Tasks, prompt="x") as session:
        await session.end()
    assert len(tasks) == 3
    assert len(set(tasks)) == 1


# --- interrupts ----------------------------------------------------------------------------------


class Interrupts(Adapter):
    """Waits in its turn, and notes what happens to it."""

    name = "interrupts"

    def __init__(self, *, told: bool, stubborn: float = 0.0, returns: bool = False) -> None:
        self.told = told
        self.stubborn = stubborn
        self.returns = returns
        self.notes: list[str] = []

    async def open(self, session: Session) -> None:
        self.notes.append("open")

    async def turn(self, turn: Turn) -> Ending:
        if isinstance(turn.input, UserMessage) and turn.input.content == "again":
            return Ending("completed")
        self.stop = asyncio.Event()
        try:
            await self.stop.wait()
        except asyncio.CancelledError:
            self.notes.append("cancelled")
            await asyncio.sleep(self.stubborn)
            raise
        self.notes.append("returned")
        return Ending("interrupted", "as told")

    async def interrupt(self, reason: str) -> bool:
        self.notes.append(f"told: {reason}")
        if self.told and self.returns:
            self.stop.set()
        return self.told

    async def close(self) -> None:
        self.notes.append("close")


@pytest.mark.parametrize(
    ("adapter", "notes"),
    [
        (
            lambda: Interrupts(told=True, returns=True),
            ["open", "told: enough", "returned", "close"],
        ),
        (
            lambda: Interrupts(told=False),
            ["open", "told: enough", "cancelled", "close", "open", "close"],
        ),
        (
            lambda: Interrupts(told=True, returns=False),
            ["open", "told: enough", "cancelled", "close", "open", "close"],
        ),
    ],
    ids=["told and returns", "not told", "told but does not return"],
)
async def test_an_interrupt_tells_then_cancels(adapter: Any, notes: list[str]) -> None:
    """Tell, grace, cancel; who was cancelled is closed and opened before the next turn."""
    made = adapter()
    async with host(lambda: made, prompt="x", interactive=True, grace_seconds=3.0) as session:
        await session.wait_for("turn.started")
        await session.send("turn.interrupt", reason="enough")
        finished = await session.wait_for("turn.finished")
        assert (finished["outcome"], finished["reason"]) == ("interrupted", "enough")
        await session.send("turn.start", content="again")
        await session.wait_for("turn.finished", outcome="completed")
    assert made.notes == notes


async def test_an_interrupt_that_is_not_heeded_fences_the_adapter() -> None:
    """The turn ends, and the process with it: a thread cannot be ended from outside."""
    made = Interrupts(told=False, stubborn=600)
    async with host(lambda: made, prompt="x", interactive=True, grace_seconds=0.6) as session:
        await session.wait_for("turn.started")
        await session.send("turn.interrupt")
        verdict = await session.end()
    assert session.of_type("turn.finished")[0]["outcome"] == "interrupted"
    assert session.of_type("error")[0]["code"] == "adapter_stuck"
    assert (verdict.outcome, verdict.exit_code) == ("failed", 1)


async def test_an_interrupt_that_hangs_or_raises_does_not_stop_the_cancellation() -> None:
    """`interrupt` is the adapter's; the grace is the shell's."""

    class Raises(Interrupts):
        async def interrupt(self, reason: str) -> bool:
            raise OSError("no line")

    class Hangs(Interrupts):
        async def interrupt(self, reason: str) -> bool:
            await asyncio.sleep(600)
            return True

    for adapter in (Raises, Hangs):
        made = adapter(told=True)
        async with host(lambda made=made: made, prompt="x", grace_seconds=3.0) as session:  # type: ignore[misc]
            await session.wait_for("turn.started")
            await session.send("turn.interrupt")
            assert (await session.end()).exit_code == 130
        assert "cancelled" in made.notes


async def test_a_cancellation_that_was_kept_quiet_does_not_reach_the_next_turn() -> None:
    """An adapter that turns it into an Ending is not cancelled afterwards, nor its scopes."""
    cancelling = []

    class KeepsQuiet(EchoAdapter):
        async def turn(self, turn: Turn) -> Ending:
            task = asyncio.current_task()
            assert task is not None
            cancelling.append(task.cancelling())
            try:
                await asyncio.sleep(0 if cancelling[1:] else 600)
            except asyncio.CancelledError:
                return Ending("interrupted")
            return Ending("completed")

    async with host(KeepsQuiet, prompt="x", interactive=True) as session:
        await session.wait_for("turn.started")
        await session.send("turn.interrupt")
        await session.wait_for("turn.finished", outcome="interrupted")
        await session.send("turn.start", content="again")
        await session.wait_for("turn.finished", outcome="completed")
    assert cancelling == [0, 0]


async def test_a_turn_that_was_done_before_it_heard_is_completed() -> None:
    """The outcome is the truth, not the order."""

    class Deaf(EchoAdapter):
        async def interrupt(self, reason: str) -> bool:
            self.stop.set()
            return True

        async def turn(self, turn: Turn) -> Ending:
            self.stop = asyncio.Event()
            await self.stop.wait()
            return Ending("completed")

    async with host(Deaf, prompt="x") as session:
        await session.wait_for("turn.started")
        await session.send("turn.interrupt")
        assert (await session.end()).outcome == "completed"


async def until(what: Callable[[], Any]) -> None:
    """Wait for what no event tells."""
    async with asyncio.timeout(60):
        while not what():  # noqa: ASYNC110 — it is another thread's
            await asyncio.sleep(0.005)


async def test_pressure_never_holds_an_interrupt_back() -> None:
    """An adapter that waits for room is let go to say its last words, with the gateway away."""
    gateway = FakeGateway(acknowledges=False, credit=1)

    class Floods(Adapter):
        name = "floods"
        last_words = 0

        async def turn(self, turn: Turn) -> Ending:
            self.stop = asyncio.Event()
            while not self.stop.is_set():
                await turn.emit(events.Custom(name="flood", data="x" * 1_000_000))
            for _ in range(3):
                await turn.emit(events.Custom(name="last words", data="x" * 1_000_000))
                await asyncio.sleep(0.01)
                self.last_words += 1
            return Ending("interrupted")

        async def interrupt(self, reason: str) -> bool:
            self.stop.set()
            return True

    made = Floods(Floods.Settings())
    async with running(gateway, "x", make=lambda: made, grace_seconds=600.0) as run:
        await until(lambda: run.runner.pressure._waiting)
        assert run.runner.interrupt("enough")
        # By itself: it would be cancelled after the grace only.
        await until(lambda: [event for event in run.told if event["type"] == "turn.finished"])
        await gateway.acknowledge()
    assert made.last_words == 3


async def test_a_loop_of_awaited_emits_can_be_interrupted() -> None:
    """An await that never waits would keep `interrupt` out."""

    class NeverRests(EchoAdapter):
        stopped = False

        async def turn(self, turn: Turn) -> Ending:
            while not self.stopped:
                await turn.emit(events.Custom(name="n"))
            return Ending("interrupted")

        async def interrupt(self, reason: str) -> bool:
            self.stopped = True
            return True

    async with host(NeverRests, prompt="x") as session:
        await session.wait_for("custom")
        await session.send("turn.interrupt")
        assert (await session.end()).outcome == "interrupted"
    assert not session.of_type("error")


async def test_a_turn_whose_events_still_cross_is_not_stuck() -> None:
    """An adapter that cannot wait may be far ahead; it heard the interrupt all the same."""

    class FarAhead(EchoAdapter):
        async def turn(self, turn: Turn) -> Ending:
            self.stop = asyncio.Event()
            for number in range(40_000):
                turn.emit(events.Custom(name="n", data=number))
            await self.stop.wait()
            return Ending("interrupted")

        async def interrupt(self, reason: str) -> bool:
            self.stop.set()
            return True

    async with host(FarAhead, prompt="x", grace_seconds=0.6) as session:
        await session.wait_for("custom")
        assert session.runner.interrupt("enough")
        await session.wait_for("turn.finished", outcome="interrupted")
    assert not session.of_type("error")
    assert [event["data"] for event in session.of_type("custom")] == list(range(40_000))


async def test_pressure_makes_an_awaited_emit_wait_and_loses_nothing() -> None:
    """It goes on when the gateway has acknowledged."""
    gateway = FakeGateway(acknowledges=False, credit=1)

    class Floods(Adapter):
        name = "floods"

        async def turn(self, turn: Turn) -> Ending:
            for number in range(24):
                await turn.emit(events.Custom(name=f"{number}", data="x" * 1_000_000))
                await asyncio.sleep(0)
            return Ending("completed")

    async with running(gateway, "x", make=lambda: Floods(Floods.Settings())) as run:
        await until(lambda: run.runner.pressure._waiting)
        assert len(run.told) < 24
        await gateway.acknowledge()
        assert (await run.end()).exit_code == 0
    names = [event["name"] for event in run.told if event["type"] == "custom"]
    assert names == [str(number) for number in range(24)]


# --- failures ------------------------------------------------------------------------------------


async def test_a_turn_that_raised_reopens_the_adapter() -> None:
    """Close and open come before the next turn, which works."""
    async with host(
        ScriptedAdapter, prompt=script({"raise": "broken pipe"}), interactive=True
    ) as session:
        await session.wait_for("turn.finished", outcome="failed")
        await session.send("turn.start", content="hello")
        await session.wait_for("turn.finished", outcome="completed")
    (error,) = session.of_type("error")
    assert (error["code"], error["origin"]) == ("adapter_raised", "adapter")
    assert error["message"] == "RuntimeError: broken pipe"


async def test_a_reopening_that_fails_ends_the_session() -> None:
    """As a failure, with what `open` said."""

    class OpensOnce(EchoAdapter):
        opened = 0

        async def open(self, session: Session) -> None:
            self.opened += 1
            if self.opened > 1:
                raise OSError("no second time")

        async def turn(self, turn: Turn) -> Ending:
            raise OSError("broken")

    async with host(OpensOnce, prompt="x", interactive=True) as session:
        verdict = await session.end()
    assert verdict.exit_code == 1
    assert "no second time" in verdict.reason


async def test_returning_completed_with_something_open_is_a_failure() -> None:
    """The shell closes it, and says whose fault it was."""
    event = {"type": "tool.started", "call": "c", "name": "rm"}
    async with host(ScriptedAdapter, prompt=script({"event": event})) as session:
        assert (await session.end()).exit_code == 1
    assert session.of_type("error")[0]["code"] == "left_open"
    assert session.of_type("tool.finished")[0]["status"] == "cancelled"
    assert check_order(session.events) == []


async def test_what_an_interrupted_turn_left_open_is_closed() -> None:
    """Innermost first, as cancelled, before the turn's ending."""
    started = [
        {"type": "step.started", "id": "s", "name": "node"},
        {"type": "message.started", "id": "m"},
        {"type": "block.delta", "message": "m", "index": 0, "text": "half a wo"},
        {"type": "tool.started", "call": "c", "name": "rm"},
    ]
    prompt = script(*({"event": event} for event in started), {"delay": 600})
    async with host(ScriptedAdapter, prompt=prompt) as session:
        await session.wait_for("tool.started")
        await session.send("turn.interrupt")
        await session.end()
    last = ["block.finished", "message.finished", "tool.finished", "step.finished"]
    assert session.types()[-6:] == [*last, "turn.finished", "session.finished"]
    assert {event["status"] for event in session.of_type(*last)} == {"cancelled"}
    assert check_order(session.events) == []


async def test_emitting_after_the_ending_raises_turn_over() -> None:
    """Nothing of it is stored."""
    caught: list[BaseException] = []

    class EmitsLate(EchoAdapter):
        last: Turn | None = None

        async def turn(self, turn: Turn) -> Ending:
            if self.last is not None:
                try:
                    self.last.emit(events.Log(message="late"))
                except TurnOver as error:
                    caught.append(error)
            self.last = turn
            return await super().turn(turn)

    async with host(EmitsLate, prompt="one", interactive=True) as session:
        await session.wait_for("turn.finished")
        await session.send("turn.start", content="two")
        await session.wait_for("turn.finished", 2)
    assert len(caught) == 1
    assert not session.of_type("log")


async def test_emits_from_other_threads_keep_their_order() -> None:
    """The place is fixed at the call, from whatever thread; a question overtakes nothing."""

    class Threads(EchoAdapter):
        async def turn(self, turn: Turn) -> Ending:
            def emit(number: int) -> None:
                turn.emit(events.Custom(name="n", data=number))

            for number in range(0, 400, 4):
                emit(number)
                thread = threading.Thread(target=emit, args=(number + 1,))
                thread.start()
                thread.join()
                emit(number + 2)
                await asyncio.to_thread(emit, number + 3)
            return Ending("completed")

    async with host(Threads, prompt="x") as session:
        await session.end()
    assert [event["data"] for event in session.of_type("custom")] == list(range(400))


async def test_what_is_emitted_is_what_it_was_at_the_call() -> None:
    """Frameworks change their objects afterwards."""

    class Changes(EchoAdapter):
        async def turn(self, turn: Turn) -> Ending:
            state = {"n": 0}
            for number in range(3):
                state["n"] = number
                turn.emit(events.Custom(name="n", data=state))
            return Ending("completed")

    async with host(Changes, prompt="x") as session:
        await session.end()
    assert [event["data"]["n"] for event in session.of_type("custom")] == [0, 1, 2]


async def test_an_event_that_is_none_is_dropped_and_told() -> None:
    """A wrong field costs the event, not the session."""

    class Wrong(EchoAdapter):
        async def turn(self, turn: Turn) -> Ending:
            turn.emit(events.Log(message=7))  # type: ignore[arg-type]
            turn.emit(events.RequestClosed(id="r", how="answered"))
            return await super().turn(turn)

    async with host(Wrong, prompt="x") as session:
        assert (await session.end()).exit_code == 0
    warnings = session.of_type("warning")
    assert [warning["code"] for warning in warnings] == ["invalid_event", "invalid_event"]
    assert not session.of_type("request.closed")


# --- state, connection ---------------------------------------------------------------------------


async def test_saved_state_is_told_and_given_back_by_the_welcome() -> None:
    """The next process begins with what the gateway holds."""
    seen: list[Any] = []

    class Remembers(EchoAdapter):
        async def open(self, session: Session) -> None:
            seen.append(dict(session.state))
            session.state["count"] = session.state.get("count", 0) + 1
            del session.state["old"]

    gateway = FakeGateway(acked=3, epoch=2, state={"count": 4, "old": True})
    make = lambda: Remembers(Remembers.Settings())  # noqa: E731
    async with running(gateway, make=make, interactive=True):
        await gateway.wait_for("session.saved", state={}, removed=["old"])
    assert seen == [{"count": 4, "old": True}]
    assert [event["state"] for event in gateway.events if event["type"] == "session.saved"] == [
        {"count": 5},
        {},
    ]


async def test_deltas_that_cross_together_are_one_where_nothing_lies_between() -> None:
    """Whatever else an adapter says stays where it was said, between what is before and behind."""
    main = asyncio.get_running_loop()
    busy, said_all = threading.Event(), threading.Event()

    def look_away() -> None:
        busy.set()
        said_all.wait(60)

    class Between(Adapter):
        name = "between"

        async def open(self, session: Session) -> None:
            self.session = session

        async def turn(self, turn: Turn) -> Ending:
            async with turn.message("m") as message:
                main.call_soon_threadsafe(look_away)
                busy.wait(60)
                for letter in "abcdef":
                    await message.text(f"{letter}, ")
                    if letter == "b":
                        turn.emit(events.Log(message="between"))
                    elif letter == "d":
                        self.session.state["seen"] = "abcd"
                said_all.set()
            return Ending("completed")

    gateway = FakeGateway()
    async with running(gateway, make=lambda: Between(Between.Settings()), prompt="x") as run:
        assert (await run.end()).exit_code == 0
    said = [event.get("text", event["type"]) for event in gateway.events]
    assert said[said.index("block.started") : said.index("block.finished")] == [
        "block.started", "a, b, ", "log", "c, d, ", "session.saved", "e, f, ",
    ]  # fmt: skip


async def test_a_connection_cut_again_and_again_loses_and_repeats_nothing() -> None:
    """What the gateway stored is exactly what the runner told, in order."""
    words = " ".join(f"word-{number}" for number in range(10))
    actions = [{"say": words}, {"delay": 0.005}] * 35
    async with host(ScriptedAdapter, prompt=script(*actions), interactive=True) as session:
        for count in range(5, 35, 5):
            await session.wait_for("message.finished", count)
            session.cut()
        await session.wait_for("turn.finished")
        await session.send("session.end")
        assert (await session.end()).exit_code == 0
        assert await session.stored() == session.events
    assert [event["seq"] for event in session.events] == list(range(1, len(session.events) + 1))
    assert session.text() == words * 35
    assert check_order(session.events) == []
