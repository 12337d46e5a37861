"""The suite for adapters: ours pass it, and each broken one is caught with a finding that helps."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from runner_shell import Adapter, AgentFailed, Capabilities, Ending, Request, Session, Turn, events
from runner_shell.testing.adapters import EchoAdapter, ScriptedAdapter
from runner_shell.testing.conformance import AdapterConformance, check_order, leftovers


def script(*actions: dict[str, Any]) -> str:
    return json.dumps(actions)


class TestEcho(AdapterConformance):
    """The echo passes; it plays nothing but `says`."""

    adapter = EchoAdapter
    says = "hello there"
    entry_point = "echo"


class TestScripted(AdapterConformance):
    """The scripted adapter passes every test of the suite."""

    adapter = ScriptedAdapter
    environment: ClassVar[dict[str, str]] = {"SCRIPT": "[]"}
    says = script({"say": "hello there"})
    runs_long = script({"say": "one moment"}, {"delay": 600})
    asks = script({"ask": {"title": "Go on?", "key": "go", "may_defer": True}})
    fails = script({"fail": {"message": "no more tokens", "code": "rate_limited"}})
    uses_tool = script({"tool": {"name": "add", "input": [1, 2], "output": 3}}, {"say": "3"})
    entry_point = "scripted"


class TestFactory(TestEcho):
    """A function that makes the adapter does as well as a class."""

    adapter = lambda: EchoAdapter(EchoAdapter.Settings())  # noqa: E731
    entry_point = None


def test_the_tests_of_a_scenario_that_is_none_are_taken_out() -> None:
    """They are neither collected nor skipped, and come back in a subclass that has the scenario."""
    assert TestEcho.test_an_interrupt_ends_the_turn_in_time is None
    assert TestFactory.test_it_is_found_by_its_entry_point is None

    class More(TestEcho):
        __test__ = False
        runs_long = "on and on"

    assert callable(More.test_an_interrupt_ends_the_turn_in_time)


# --- broken adapters -----------------------------------------------------------------------------


class Broken(Adapter):
    """What the broken ones have in common."""

    name = "broken"

    async def turn(self, turn: Turn) -> Ending:
        async with turn.message("answer") as message:
            await message.text("hello")
        return Ending("completed")


def findings(
    adapter: type[Adapter] | Callable[[], Adapter],
    test: str = "test_a_turn_completes",
    **scenarios: Any,
) -> str:
    """What a test of the suite says of an adapter; fails where it says nothing."""
    attributes = {"adapter": adapter, "says": "hello", "__test__": False, **scenarios}
    suite = type("Suite", (AdapterConformance,), attributes)
    with pytest.raises(pytest.fail.Exception) as caught:
        getattr(suite(), test)()
    return str(caught.value)


def test_a_block_left_open_is_caught() -> None:
    """The finding names the block and says how to end it."""

    class LeavesOpen(Broken):
        async def turn(self, turn: Turn) -> Ending:
            await turn.emit(events.MessageStarted(id="m"))
            await turn.emit(events.BlockStarted(message="m", index=0))
            await turn.emit(events.BlockDelta(message="m", index=0, text="hi"))
            return Ending("completed")

    found = findings(LeavesOpen)
    assert "[left_open]" in found
    assert "block 0 of message m" in found
    assert "fix: emit the ending in a `finally`" in found


def test_a_delta_without_a_start_is_caught() -> None:
    """The shell mends it, and the suite tells."""

    class NoStart(Broken):
        async def turn(self, turn: Turn) -> Ending:
            await turn.emit(events.BlockDelta(message="m", index=0, text="hi"))
            await turn.emit(events.BlockFinished(message="m", index=0))
            await turn.emit(events.MessageFinished(id="m"))
            return Ending("completed")

    found = findings(NoStart)
    assert "[adapter_order]" in found
    assert "was not started" in found


def test_a_second_ending_is_caught() -> None:
    """Endings are the shell's: an adapter that emits one has it dropped, and is told."""

    class EndsItself(Broken):
        async def turn(self, turn: Turn) -> Ending:
            await turn.emit(events.TurnFinished(outcome="completed"))
            return await super().turn(turn)

    found = findings(EndsItself)
    assert "[invalid_event]" in found
    assert "'turn.finished' is the shell's to say" in found


def test_an_event_after_the_end_is_caught() -> None:
    """A task that goes on emitting is told of, though nothing of it is stored."""

    class EmitsLate(Broken):
        async def turn(self, turn: Turn) -> Ending:
            self.task = asyncio.ensure_future(self.emit_late(turn))
            return await super().turn(turn)

        async def emit_late(self, turn: Turn) -> None:
            await asyncio.sleep(0.05)
            turn.emit(events.Log(message="late"))

        async def close(self) -> None:
            await asyncio.gather(self.task, return_exceptions=True)

    assert "[after_end] Log was emitted after `turn()` had returned" in findings(EmitsLate)


def test_a_swallowed_cancellation_is_caught() -> None:
    """The shell ends the turn for it, and the suite says whose fault it was."""
    until = time.monotonic() + 2.0

    class Swallows(Broken):
        async def turn(self, turn: Turn) -> Ending:
            while time.monotonic() < until:
                try:
                    await asyncio.sleep(0.5)
                except asyncio.CancelledError:
                    await turn.emit(events.Log(message="not now"))
            return Ending("completed")

    found = findings(
        Swallows, "test_cancellation_is_passed_on", runs_long="long", interrupt_seconds=0.3
    )
    assert "[adapter_stuck]" in found
    assert "let `CancelledError` pass" in found


def test_an_interrupt_that_only_the_tongue_obeys_is_caught() -> None:
    """`interrupt` returns True but the turn completes as if nothing was: that is no ending."""

    class Deaf(Broken):
        async def turn(self, turn: Turn) -> Ending:
            await asyncio.sleep(0.2)
            return Ending("completed")

        async def interrupt(self, reason: str) -> bool:
            return True

    found = findings(Deaf, "test_an_interrupt_ends_the_turn_in_time", runs_long="long")
    assert "the interrupted turn is completed" in found


def test_a_turn_without_an_ending_is_caught() -> None:
    """None is no ending."""

    class ReturnsNone(Broken):
        async def turn(self, turn: Turn) -> Ending:
            await super().turn(turn)
            return None  # type: ignore[return-value]

    found = findings(ReturnsNone)
    assert "[no_ending] turn() returned NoneType" in found
    assert 'return Ending("completed")' in found


def test_a_failure_reported_as_success_is_caught() -> None:
    """`fails` must not complete."""
    found = findings(Broken, "test_a_failure_is_told_as_one", fails="fail")
    assert "[outcome]" in found
    assert "[error]" in found


def test_an_unmapped_error_is_caught() -> None:
    """A framework's exception that escapes has no code of its own."""

    class Raises(Broken):
        async def turn(self, turn: Turn) -> Ending:
            raise KeyError("a framework's own")

    found = findings(Raises, "test_a_failure_is_told_as_one", fails="fail")
    assert "[adapter_raised]" in found
    assert "AgentFailed(message, code=…)" in found


def test_an_adapter_that_breaks_for_good_is_caught() -> None:
    """The turn after a failure must work."""

    class NeverAgain(Broken):
        failed = False

        async def turn(self, turn: Turn) -> Ending:
            type(self).failed = True
            raise AgentFailed("it broke", code="broke")

    found = findings(NeverAgain, "test_it_works_again_after_a_failure", fails="fail")
    assert "turn 2 is failed (it broke)" in found


def test_a_task_left_running_is_caught() -> None:
    """The finding names the coroutine."""

    class LeavesTask(Broken):
        async def turn(self, turn: Turn) -> Ending:
            self.task = asyncio.ensure_future(asyncio.sleep(600))
            return await super().turn(turn)

    found = findings(LeavesTask, "test_nothing_is_left_running")
    assert "[left_running] a task was still running after `close`: <coroutine object sleep" in found


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left running on purpose is not waited for."""
    monkeypatch.setattr(leftovers, "SETTLE_SECONDS", 0.4)


@pytest.fixture
def children() -> Iterator[list[int]]:
    """Process ids to end afterwards."""
    started: list[int] = []
    yield started
    for child in started:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_child_process_left_running_is_caught(children: list[int]) -> None:
    """The finding names the process."""

    class LeavesChild(Broken):
        async def turn(self, turn: Turn) -> Ending:
            child = os.posix_spawn("/bin/sleep", ["sleep", "600"], {})  # noqa: ASYNC221 — returns
            children.append(child)
            return await super().turn(turn)

    found = findings(LeavesChild, "test_nothing_is_left_running")
    assert "[left_running] after the session a child process was left: sleep" in found


def test_a_thread_left_running_is_caught() -> None:
    """The finding names the thread."""
    over = threading.Event()

    class LeavesThread(Broken):
        async def turn(self, turn: Turn) -> Ending:
            threading.Thread(target=over.wait, name="pump", daemon=True).start()
            return await super().turn(turn)

    found = findings(LeavesThread, "test_nothing_is_left_running")
    over.set()
    assert "[left_running] after the session a thread was left: pump" in found


def test_a_question_asked_twice_is_caught() -> None:
    """Without the framework's key a deferred question is asked again."""

    class AsksAnew(Broken):
        capabilities = Capabilities(defer=True)
        asked = 0

        async def open(self, session: Session) -> None:
            self.session = session

        async def turn(self, turn: Turn) -> Ending:
            for _ in range(2):
                self.asked += 1
                request = Request(kind="question", title="?", timeout_seconds=0.2)
                await self.session.ask(request)
            return Ending("completed")

    found = findings(AsksAnew, "test_an_answered_question_lets_the_turn_complete", asks="ask")
    assert "asking again under the same key never asks a person twice" in found


@pytest.mark.parametrize(
    ("attributes", "test", "rule"),
    [
        ({"name": "My Adapter"}, "test_name_and_capabilities_are_sane", "[name]"),
        (
            {"capabilities": Capabilities(commands=frozenset({"fly"}))},
            "test_name_and_capabilities_are_sane",
            "[capabilities] no commands: fly",
        ),
        ({"Settings": dict}, "test_settings_come_from_the_environment", "[settings]"),
    ],
)
def test_wrong_words_are_caught(attributes: dict[str, Any], test: str, rule: str) -> None:
    """What an adapter says of itself is checked."""
    broken = type("Odd", (Broken,), attributes)
    assert rule in findings(lambda: broken(None), test)


def test_a_name_that_is_not_installed_is_caught() -> None:
    """The finding says what to add where."""
    found = findings(Broken, "test_it_is_found_by_its_entry_point", entry_point="broken")
    assert "'runner_shell.adapters'" in found
    assert 'add `broken = "package.module:Class"`' in found


# --- the checker of stored events ----------------------------------------------------------------


def stored(*payloads: dict[str, Any]) -> list[dict[str, Any]]:
    around = [{"type": "session.started"}, {"type": "turn.started", "turn": "t"}]
    inside = [{"turn": "t", **payload} for payload in payloads]
    return [event | {"seq": seq} for seq, event in enumerate([*around, *inside], 1)]


END = {"type": "turn.finished", "outcome": "completed"}
M = {"type": "message.started", "id": "m"}
M_END = {"type": "message.finished", "id": "m"}
B = {"type": "block.started", "message": "m", "index": 0}
D = {"type": "block.delta", "message": "m", "index": 0, "text": "hi"}
B_END = {"type": "block.finished", "message": "m", "index": 0, "content": "hi"}
TOOL = {"type": "tool.started", "call": "c"}
STEP = {"type": "step.started", "id": "s"}
ASK = {"type": "request.opened", "id": "r"}


@pytest.mark.parametrize(
    "payloads",
    [
        (M, B, D, D | {"text": "!"}, B_END | {"content": "hi!"}, M_END, END),
        (TOOL, STEP, ASK, END | {"outcome": "waiting"}),
        (TOOL, {"type": "tool.output", "call": "c"}, {"type": "tool.finished", "call": "c"}, END),
        (M, B, {**B_END, "content": {"media_type": "image/png"}}, M_END, END),
        (M, B, D),
    ],
)
def test_what_is_in_order_has_no_findings(payloads: tuple[dict[str, Any], ...]) -> None:
    """Also where the list stops in the middle."""
    assert check_order(stored(*payloads)) == []


@pytest.mark.parametrize(
    ("payloads", "rules"),
    [
        ((M, M_END, END, END), ["outside_turn", "turn"]),
        ((END, M), ["outside_turn"]),
        ((M, END), ["left_open"]),
        ((TOOL, END), ["left_open"]),
        ((STEP, END), ["left_open"]),
        ((ASK, END), ["left_open"]),
        ((M, B, D, END | {"outcome": "waiting"}), ["left_open"]),
        ((M, B, M_END), ["left_open"]),
        ((M, D), ["not_open"]),
        ((B,), ["not_open"]),
        ((M, B, B_END, B_END), ["not_open"]),
        ((M, B, D, B_END | {"content": "ho"}), ["content"]),
        ((M, M), ["started_twice"]),
        ((TOOL, TOOL), ["started_twice"]),
        (({"type": "tool.finished", "call": "c"},), ["not_open"]),
        (({"type": "step.progress", "id": "s"},), ["not_open"]),
        ((ASK, {"type": "request.closed", "id": "r"}, ASK), ["started_twice"]),
        (({"type": "turn.started", "turn": "u"},), ["turn"]),
        ((END, {"type": "session.finished", "turn": ""}, {"type": "log", "turn": ""}),
         ["outside_session"]),
        ((ASK, {"type": "session.finished", "turn": ""}), ["left_open"]),
    ],
)  # fmt: skip
def test_each_disorder_is_found(payloads: tuple[dict[str, Any], ...], rules: list[str]) -> None:
    """Once, and under its rule."""
    assert [finding.rule for finding in check_order(stored(*payloads))] == rules


def test_a_hole_and_a_repeat_in_the_numbers_are_found() -> None:
    """Numbers are contiguous over the whole list."""
    log = {"type": "log"}
    whole = stored(log, log, log)
    assert [finding.rule for finding in check_order(whole[:3] + whole[4:])] == ["number"]
    assert [finding.rule for finding in check_order([*whole, whole[-1]])] == ["number"]
