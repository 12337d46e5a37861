"""How a runner ends: outcomes, exit codes, and what is said to whom."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from fake_gateway import FakeGateway, running, script

from runner_shell import Adapter, ConfigurationError, Ending, Request, Session, Turn
from runner_shell.errors import Refused
from runner_shell.testing.adapters import EchoAdapter, ScriptedAdapter
from runner_shell.testing.hosting import host


async def ending(prompt: str, **settings: Any) -> tuple[int, dict[str, Any], dict[str, Any]]:
    """The exit code, the last `turn.finished` and the `session.finished` of a scripted session."""
    async with host(ScriptedAdapter, prompt=prompt, **settings) as session:
        verdict = await session.end()
    turn = session.of_type("turn.finished")[-1]
    finished = session.events[-1]
    assert finished["type"] == "session.finished"
    assert finished["outcome"] == verdict.outcome
    assert finished.get("exit_code", 0) == verdict.exit_code
    return verdict.exit_code, turn, finished


@pytest.mark.parametrize(
    ("actions", "outcome", "code"),
    [
        ([{"say": "hello"}], "completed", 0),
        ([{"end": {"outcome": "failed", "reason": "no"}}], "failed", 1),
        ([{"end": {"outcome": "interrupted"}}], "interrupted", 130),
        ([{"fail": {"message": "no"}}], "failed", 1),
        ([{"raise": "no"}], "failed", 1),
        ([{"end": None}], "failed", 1),
        ([{"end": {"outcome": "splendid"}}], "failed", 1),
        ([{"end": {"outcome": "waiting"}}], "failed", 1),
    ],
)
async def test_a_turns_outcome_is_the_sessions(
    actions: list[dict[str, Any]], outcome: str, code: int
) -> None:
    """Without a person to go on, the last turn's outcome is the process's, and so is its code."""
    exit_code, turn, finished = await ending(script(*actions))
    assert (exit_code, turn["outcome"], finished["outcome"]) == (code, outcome, outcome)


async def test_an_agents_failure_names_its_code() -> None:
    """`AgentFailed` becomes an `error` event with its code and whether to retry."""
    prompt = script({"fail": {"message": "slow down", "code": "rate_limited", "retryable": True}})
    async with host(ScriptedAdapter, prompt=prompt) as session:
        await session.end()
    (error,) = session.of_type("error")
    assert (error["code"], error["retryable"], error["message"]) == (
        "rate_limited",
        True,
        "slow down",
    )


@pytest.mark.parametrize("where", ["constructor", "open"])
async def test_a_configuration_error_exits_with_2(where: str) -> None:
    """Every problem is an `error` event, whether the constructor or `open` raised it."""

    class Unready(EchoAdapter):
        async def open(self, session: Session) -> None:
            raise ConfigurationError("GRAPH is not set", "MODEL is not known")

    def unmade() -> Adapter:
        raise ConfigurationError("GRAPH is not set", "MODEL is not known")

    async with host(Unready if where == "open" else unmade, prompt="x") as session:
        verdict = await session.end()
    assert (verdict.outcome, verdict.exit_code) == ("failed", 2)
    assert session.types() == ["session.started", "error", "error", "session.finished"]
    assert [error["message"] for error in session.of_type("error")] == [
        "GRAPH is not set",
        "MODEL is not known",
    ]


async def test_an_adapter_that_cannot_be_imported_exits_with_2() -> None:
    """The gateway is told what is installed."""
    from runner_shell.adapter import discovery

    def make() -> Adapter:
        return discovery.load("no-such")(EchoAdapter.Settings())

    async with host(make, prompt="x") as session:
        verdict = await session.end()
    assert verdict.exit_code == 2
    assert "no adapter is called 'no-such'; installed: " in verdict.reason


async def test_an_adapter_that_fails_to_start_is_a_failure() -> None:
    """Anything but a configuration error is the adapter's fault: exit code 1, never a hang."""

    class Odd(EchoAdapter):
        def describe(self) -> dict[str, Any]:
            raise ZeroDivisionError("odd")

    async with host(Odd, prompt="x") as session:
        verdict = await session.end()
    assert verdict.exit_code == 1
    assert session.of_type("error")[0]["code"] == "adapter_start"


async def test_the_timeout_ends_the_turn_and_exits_with_124() -> None:
    """The turn's ending is `timed_out` too."""
    code, turn, _ = await ending(script({"delay": 600}), timeout_seconds=2.0)
    assert (code, turn["outcome"]) == (124, "timed_out")


async def test_a_stubborn_adapter_is_fenced_at_deadline_plus_grace() -> None:
    """The main side writes the ending for it, long before it would return."""
    prompt = script({"stubborn": 600}, {"say": "too late"})
    async with host(
        ScriptedAdapter, prompt=prompt, timeout_seconds=2.0, grace_seconds=1.0
    ) as session:
        verdict = await session.end()
    assert verdict.exit_code == 124
    assert session.of_type("error")[0]["code"] == "adapter_stuck"
    assert session.types()[-2:] == ["turn.finished", "session.finished"]
    assert session.text() == ""


async def test_nothing_follows_session_finished() -> None:
    """Whatever a stuck adapter still says, in a turn or outside of one."""
    ended, said = threading.Event(), threading.Event()

    class SaysLate(EchoAdapter):
        async def open(self, session: Session) -> None:
            self.session = session

        async def turn(self, turn: Turn) -> Ending:
            ended.wait()
            self.session.log.info("late")
            self.session.state["late"] = True
            self.session.wake()
            said.set()
            return Ending("completed")

    async with host(SaysLate, prompt="x", grace_seconds=0.5) as session:
        await session.wait_for("turn.started")
        await session.send("session.stop")
        await session.end()
        ended.set()
        await asyncio.to_thread(said.wait)
        session.runner.host.crossing.drain()
    assert session.types()[-1] == "session.finished"


async def test_a_blocked_thread_is_fenced_too() -> None:
    """A node that blocks cannot be cancelled; the deadline holds all the same."""
    code, turn, _ = await ending(script({"block": 600}), timeout_seconds=2.0, grace_seconds=1.0)
    assert (code, turn["outcome"]) == (124, "timed_out")


async def test_a_blocking_node_costs_no_heartbeat_and_delays_no_event() -> None:
    """What was emitted before arrives while the node blocks, and so do heartbeats."""
    gateway = FakeGateway(heartbeat_seconds=0.1)
    prompt = script({"say": "first"}, {"block": 0.6}, {"say": "second"})
    async with running(gateway, prompt) as run:
        await gateway.wait_for("message.finished")
        keeping = asyncio.ensure_future(_keep_alive(gateway))

        def beats() -> int:
            return sum(frame["frame"] == "heartbeat" for frame in gateway.frames)

        before = beats()
        await gateway.until(lambda: beats() >= before + 2)
        assert not [event for event in gateway.events if event.get("text") == "second"]
        assert (await run.end()).exit_code == 0
        keeping.cancel()


async def _keep_alive(gateway: FakeGateway) -> None:
    while True:
        await gateway.send("heartbeat")
        await asyncio.sleep(0.02)


async def test_session_stop_exits_with_130() -> None:
    """The running turn ends as `stopped`, with the reason that was given."""
    async with host(ScriptedAdapter, prompt=script({"delay": 600})) as session:
        await session.wait_for("turn.started")
        command = await session.send("session.stop", reason="enough")
        verdict = await session.end()
    assert (verdict.outcome, verdict.exit_code, verdict.reason) == ("stopped", 130, "enough")
    assert session.of_type("command.done")[0]["command"] == command
    assert session.of_type("turn.finished")[0]["outcome"] == "stopped"


async def test_session_stop_counts_while_the_adapter_still_opens() -> None:
    """`open` is cancelled, the command answered, and nothing waits for the grace."""
    cancelled = threading.Event()

    class Slow(EchoAdapter):
        async def open(self, session: Session) -> None:
            try:
                await asyncio.sleep(600)
            finally:
                cancelled.set()

    async with host(Slow, prompt="x", grace_seconds=600.0, announce_seconds=0.05) as session:
        await session.wait_for("session.started")
        await session.send("session.stop")
        verdict = await session.end()
    assert verdict.exit_code == 130
    assert cancelled.is_set()
    assert session.types() == ["session.started", "command.done", "session.finished"]


async def test_a_session_starts_with_what_the_open_adapter_says_of_itself() -> None:
    """`session.started` has the description after `open`, and comes before all that `open` said."""

    class Described(EchoAdapter):
        model = ""

        async def open(self, session: Session) -> None:
            session.log.info("opening")
            self.model = "found out"

        def describe(self) -> dict[str, object]:
            return {"model": self.model}

    async with host(Described, prompt="x") as session:
        await session.wait_for("turn.finished")
    assert session.events[0]["type"] == "session.started"
    assert session.events[0]["description"] == {"model": "found out"}
    assert session.types().index("log") < session.types().index("turn.started")


async def test_an_adapter_that_asks_while_it_opens_is_announced_first() -> None:
    """Its question is not held back for the adapter to be open."""

    class Asks(EchoAdapter):
        async def open(self, session: Session) -> None:
            await session.ask(Request(kind="question", title="Which?"), key="which")

    async with host(Asks, prompt="x") as session:
        await session.wait_for("request.opened")
    assert session.types()[:2] == ["session.started", "request.opened"]


async def test_commands_are_answered_in_their_order_while_the_adapter_opens() -> None:
    """One that comes during `open` does not overtake one that came before."""
    may_open = threading.Event()

    class Slow(EchoAdapter):
        async def open(self, session: Session) -> None:
            session.log.info("opening")
            await asyncio.to_thread(may_open.wait)

    async with host(Slow, interactive=True, announce_seconds=0.05) as session:
        sent = [await session.send("turn.start", content="one")]
        await session.wait_for("log")
        sent.append(await session.send("turn.start", content="two"))
        sent.append(await session.send("turn.interrupt"))
        may_open.set()
        await session.wait_for("turn.finished", 2)
    replies = session.of_type("command.done", "command.failed")
    assert [reply["command"] for reply in replies] == sent


async def test_session_end_comes_after_the_work() -> None:
    """The running turn and the queued ones are done first."""
    async with host(
        ScriptedAdapter, prompt=script({"delay": 0.1}, {"say": "one"}), interactive=True
    ) as session:
        await session.wait_for("turn.started")
        await session.send("turn.start", content="two")
        await session.send("session.end")
        verdict = await session.end()
    assert verdict.exit_code == 0
    assert session.text() == "onetwo"


async def test_session_end_does_not_wait_for_an_answer() -> None:
    """A turn that waits for a person is no work: the question is closed, the outcome `stopped`."""
    prompt = script({"ask": {"key": "k", "may_defer": True}})
    async with host(ScriptedAdapter, prompt=prompt, defer_seconds=0.01) as session:
        await session.wait_for("turn.finished", outcome="waiting")
        await session.send("session.end")
        verdict = await session.end()
    assert verdict.outcome == "stopped"
    assert session.of_type("request.closed")[0]["how"] == "cancelled"


async def test_an_idle_session_ends() -> None:
    """After `idle_seconds` without work, with the last turn's outcome."""
    async with host(ScriptedAdapter, prompt="hello", interactive=True, idle_seconds=0.1) as session:
        verdict = await session.end()
    assert (verdict.exit_code, verdict.reason) == (0, "nothing to do for 0.1 s")


async def test_idling_after_a_failure_is_no_success() -> None:
    """The failure stays the outcome."""
    prompt = script({"fail": {"message": "no"}})
    async with host(ScriptedAdapter, prompt=prompt, interactive=True, idle_seconds=0.1) as session:
        assert (await session.end()).exit_code == 1


async def test_waiting_for_answers_until_idle_exits_with_75() -> None:
    """A later process can go on when they come."""
    prompt = script({"ask": {"key": "k", "may_defer": True}})
    async with host(
        ScriptedAdapter, prompt=prompt, defer_seconds=0.01, idle_seconds=0.1
    ) as session:
        verdict = await session.end()
    assert (verdict.outcome, verdict.exit_code) == ("waiting", 75)


# --- a gateway that fails ------------------------------------------------------------------------


def adapter_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "adapter"]


async def test_without_a_welcome_the_process_exits_with_75() -> None:
    """Nothing was numbered, nothing begun, and the adapter's thread is gone."""
    gateway = FakeGateway(welcomes=False)
    before = adapter_threads()
    async with running(gateway, "hello", connect_seconds=0.1) as run:
        verdict = await run.end()
    assert verdict.exit_code == 75
    assert "no welcome from the gateway within 0.1 s" in verdict.reason
    assert run.told == []
    assert set(adapter_threads()) <= set(before), "one that a test before left may end meanwhile"


async def test_nothing_is_numbered_before_the_first_welcome() -> None:
    """The adapter loads meanwhile; the session starts when the welcome comes."""
    gateway = FakeGateway(welcomes=False)
    made = asyncio.Event()
    loop = asyncio.get_running_loop()

    def make() -> Adapter:
        loop.call_soon_threadsafe(made.set)
        return EchoAdapter(EchoAdapter.Settings())

    async with running(gateway, "hello", make=make) as run:
        await made.wait()
        await gateway.until(lambda: gateway.frames)
        assert run.told == []
        assert [frame["frame"] for frame in gateway.frames] == ["hello"]
        await gateway.send("welcome", epoch=1, acked=0)
        assert (await run.end()).exit_code == 0
    assert run.told[0]["type"] == "session.started"


async def test_an_ending_that_is_not_acknowledged_exits_with_75() -> None:
    """Whatever the outcome was: the next process delivers the rest."""
    gateway = FakeGateway(acknowledges=False)
    async with running(gateway, "hello", grace_seconds=0.3) as run:
        verdict = await run.end()
    assert (verdict.outcome, verdict.exit_code) == ("completed", 75)
    assert "not everything was acknowledged in time" in verdict.reason


async def test_a_backlog_is_delivered_as_long_as_there_is_progress() -> None:
    """A session that ended by itself does not give its backlog up while the gateway takes it."""
    gateway = FakeGateway(acknowledges=False)
    async with running(gateway, "hello there", grace_seconds=0.3) as run:
        await gateway.wait_for("session.finished")
        began = time.monotonic()
        for seq in range(gateway.received - 4, gateway.received + 1):
            await asyncio.sleep(0.15)  # a slow gateway: together longer than the grace
            await gateway.send("ack", seq=seq)
        verdict = await run.end()
        assert time.monotonic() - began > 0.3
    assert (verdict.outcome, verdict.exit_code) == ("completed", 0)


@pytest.mark.parametrize(
    ("code", "reason"),
    [(4000, "a newer runner took the session over"), (4004, "refused this runner for good")],
)
async def test_a_final_close_code_ends_the_process_at_once(code: int, reason: str) -> None:
    """A fenced runner ends its turn and exits with 2, without waiting for acknowledgements."""
    gateway = FakeGateway()
    async with running(gateway, script({"delay": 600}), grace_seconds=600.0) as run:
        await gateway.wait_for("turn.started")
        await gateway.close(code)
        verdict = await run.end()
    assert verdict.exit_code == 2
    assert reason in verdict.reason
    assert [event["type"] for event in run.told][-2:] == ["turn.finished", "session.finished"]


async def test_a_final_refusal_at_the_dial_exits_with_2() -> None:
    """It is not retried, and nothing is numbered."""
    gateway = FakeGateway()
    gateway.refusal = Refused("the token is wrong", final=True, code=401)
    async with running(gateway, "hello") as run:
        verdict = await run.end()
    assert verdict.exit_code == 2
    assert "the token is wrong" in verdict.reason
    assert gateway.dials == 1
    assert run.told == []


async def test_a_gateway_that_breaks_the_protocol_ends_the_process() -> None:
    """With 2, for nothing gets better by dialling again."""
    gateway = FakeGateway()
    async with running(gateway, script({"delay": 600}), grace_seconds=20.0) as run:
        await gateway.wait_for("turn.started")
        await gateway.send("ack", seq=9999)
        verdict = await run.end()
    assert verdict.exit_code == 2
    assert "the gateway broke the protocol" in verdict.reason


async def test_a_command_that_comes_while_the_session_ends_is_refused() -> None:
    """A turn that would never run is not promised."""
    closing, may_close = threading.Event(), threading.Event()

    class SlowClose(EchoAdapter):
        async def close(self) -> None:
            closing.set()
            await asyncio.to_thread(may_close.wait)

    async with host(SlowClose, prompt="x", grace_seconds=5.0) as session:
        await asyncio.to_thread(closing.wait)
        command = await session.send("turn.start", content="more")
        failed = await session.wait_for("command.failed")
        may_close.set()
        await session.end()
    assert (failed["command"], failed["code"]) == (command, "ending")


async def test_a_close_that_raises_or_hangs_is_a_warning() -> None:
    """The outcome stays what the work made it."""

    class Raises(EchoAdapter):
        async def close(self) -> None:
            raise OSError("busy")

    class Hangs(EchoAdapter):
        async def close(self) -> None:
            await asyncio.sleep(600)

    for adapter, code in ((Raises, "close_raised"), (Hangs, "close_slow")):
        async with host(adapter, prompt="x", grace_seconds=0.8) as session:
            assert (await session.end()).exit_code == 0
        assert session.of_type("warning")[0]["code"] == code


async def test_an_adapter_that_cancels_its_own_task_does_not_end_its_thread() -> None:
    """The next turn runs as if nothing was."""

    class CancelsItself(EchoAdapter):
        async def turn(self, turn: Turn) -> Ending:
            ending = await super().turn(turn)
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            return ending

    async with host(CancelsItself, prompt="one", interactive=True) as session:
        await session.wait_for("turn.finished", outcome="completed")
        await session.send("turn.start", content="two")
        await session.wait_for("turn.finished", 2, outcome="completed")


async def test_what_is_returned_holds_no_secret() -> None:
    """Verdict and termination are redacted, as `session.finished` is."""
    gateway = FakeGateway()
    prompt = script({"fail": {"message": "the key hunter2hunter2 is wrong"}})
    async with running(gateway, prompt, secrets={"KEY": "hunter2hunter2"}) as run:
        verdict, termination = await run.both()
    assert verdict.reason == termination.reason == "the key [REDACTED:KEY] is wrong"
    assert run.told[-1]["reason"] == verdict.reason
    assert "hunter2hunter2" not in str(run.told)


async def test_the_termination_says_cost_and_last_number() -> None:
    """Costs of the turns are added up."""
    gateway = FakeGateway()
    end = {"end": {"outcome": "completed", "usage": {"cost_usd": 0.25, "input_tokens": 3}}}
    async with running(gateway, script(end), interactive=True) as run:
        await gateway.wait_for("turn.finished")
        await gateway.send(
            "commands",
            commands=[
                {"type": "turn.start", "id": "c1", "seq": 1, "content": script(end)},
                {"type": "session.end", "id": "c2", "seq": 2},
            ],
        )
        _, termination = await run.both()
    assert termination.cost == 0.5
    assert termination.last_acked == run.told[-1]["seq"]
    assert run.told[-1]["usage"]["input_tokens"] == 6
