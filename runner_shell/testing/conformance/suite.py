"""Every promise that an adapter makes, as a test of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ...adapter.contract import Adapter
from ...protocol.events import JSON
from ..hosting import HostedSession
from ..order import Finding
from . import declared, playing
from .findings import ending, report, types, wrong_capabilities
from .leftovers import check_left_since, running
from .playing import Played, Scenario


class AdapterConformance:
    """Checks an adapter against the contract.

    Attributes:
        adapter: The class, or a function without parameters that makes one.
        environment: What the class's settings are read from.
        says: A prompt; the turn says some text and completes.
        runs_long: A prompt; the turn lasts until it is interrupted.
        asks: A prompt; the turn asks exactly one question and completes once it is answered.
        answer: The answer to that question.
        fails: A prompt; the turn fails as the framework's turns do.
        uses_tool: A prompt; the turn calls at least one tool and completes.
        entry_point: The name under which the adapter is installed, where it claims one.
        interrupt_seconds: Within this a turn ends after an interrupt.
    """

    adapter: ClassVar[Any]
    environment: ClassVar[Mapping[str, str]] = {}
    says: ClassVar[str]
    runs_long: ClassVar[str | None] = None
    asks: ClassVar[str | None] = None
    answer: ClassVar[JSON] = "yes"
    fails: ClassVar[str | None] = None
    uses_tool: ClassVar[str | None] = None
    entry_point: ClassVar[str | None] = None
    interrupt_seconds: ClassVar[float] = 5.0

    def __init_subclass__(cls, **kwargs: object) -> None:
        """Take out the tests of scenarios that are None, and put back those of the others."""
        super().__init_subclass__(**kwargs)
        for scenario, tests in SCENARIO_TESTS.items():
            for test in tests:
                if getattr(cls, scenario) is None:
                    setattr(cls, test, None)
                elif getattr(cls, test) is None:
                    setattr(cls, test, getattr(AdapterConformance, test))

    # --- what it is --------------------------------------------------------------------------

    def test_name_and_capabilities_are_sane(self) -> None:
        """`name` is a lower-case word; every command it claims is one that exists."""
        adapter = self._make()
        report(declared.check_name(adapter) + declared.check_capabilities(adapter))

    def test_settings_come_from_the_environment(self) -> None:
        """`Settings` is a subclass of `AdapterSettings` that `environment` fills."""
        report(declared.check_settings(self._make(), self.environment))

    def test_it_is_found_by_its_entry_point(self) -> None:
        """`runner-shell run --adapter NAME` finds this class."""
        assert self.entry_point is not None, "without a name this test is taken out"
        report(declared.check_entry_point(self._make(), self.entry_point))

    # --- a turn ------------------------------------------------------------------------------

    def test_it_opens_and_closes_without_a_turn(self) -> None:
        """A session that never gets a message ends in order."""

        async def scenario(session: HostedSession) -> None:
            await session.wait_for("session.started")
            await session.send("session.end")
            await session.end()

        report(self._play(scenario, interactive=True).findings)

    def test_a_turn_completes(self) -> None:
        """`says` gives some text, one ending, `completed`, and the exit code 0."""
        played = self._play(playing.to_its_end, prompt=self.says)
        findings = played.findings
        findings += _expect_outcome(played, "completed", "says")
        if not any(event["text"] for event in played.of_type("block.delta")):
            findings.append(
                Finding(
                    rule="says",
                    contract="what the agent says is streamed as text blocks of a message",
                    happened=f"no text came: {types(played.events)}",
                    fix="write to `async with turn.message(id)`, or give another prompt as `says`",
                )
            )
        report(findings)

    def test_turns_follow_each_other(self) -> None:
        """A second turn in the same process is as good as the first."""

        async def scenario(session: HostedSession) -> None:
            await playing.completed(session, 1)
            await playing.complete_another(session, self.says, 2)

        report(self._play(scenario, prompt=self.says, interactive=True).findings)

    def test_a_tool_call_is_shown(self) -> None:
        """`uses_tool` gives a start and an ending for each call, and completes."""
        played = self._play(playing.to_its_end, prompt=self.uses_tool or "")
        findings = played.findings + _expect_outcome(played, "completed", "uses_tool")
        if not played.of_type("tool.finished"):
            findings.append(
                Finding(
                    rule="uses_tool",
                    contract="every tool call is told by `tool.started` and `tool.finished`",
                    happened=f"none came: {types(played.events)}",
                    fix="emit both around the call, under the framework's own id of it",
                )
            )
        report(findings)

    # --- interrupts --------------------------------------------------------------------------

    def test_an_interrupt_ends_the_turn_in_time(self) -> None:
        """`turn.interrupt` ends `runs_long` within `interrupt_seconds`; the next turn works."""
        report(self._play(self._interrupted, prompt=self.runs_long, interactive=True).findings)

    def test_cancellation_is_passed_on(self) -> None:
        """Cancelled without being told, `runs_long` ends too; the next turn works."""
        played = self._play(
            self._interrupted, prompt=self.runs_long, interactive=True, tell_interrupts=False
        )
        report(played.findings)

    def test_a_stop_ends_the_session_in_time(self) -> None:
        """`session.stop` in the middle of `runs_long` gives one true ending and the code 130."""

        async def scenario(session: HostedSession) -> None:
            await playing.begun(session)
            await session.send("session.stop")
            await session.end()

        played = self._play(scenario, prompt=self.runs_long)
        report(played.findings + _expect_outcome(played, "stopped", "runs_long", exit_code=130))

    def test_a_message_during_a_turn_is_folded_in_or_queued(self) -> None:
        """It never vanishes and never runs twice: the reply says where it went, and it holds."""
        can = bool(self._make().capabilities.inject)

        async def scenario(session: HostedSession) -> None:
            await playing.begun(session)
            id = await session.send("turn.start", content=self.says)
            reply = await session.wait_for("command.done", command=id)
            folded = reply.get("result") is not None
            assert can or not folded, "a message was folded in without the capability `inject`"
            await self._interrupt(session, "interrupted")
            if folded:
                await session.send("turn.start", content=self.says)
            finished = await session.wait_for("turn.finished", 2)
            assert finished["outcome"] == "completed", f"the next turn is {ending(finished)}"
            await session.send("session.end")
            await session.end()
            begun = [turn.get("command") for turn in session.of_type("turn.started")]
            assert begun.count(id) == (not folded), f"the turns were begun by {begun}"

        report(self._play(scenario, prompt=self.runs_long, interactive=True).findings)

    # --- failures ----------------------------------------------------------------------------

    def test_a_failure_is_told_as_one(self) -> None:
        """`fails` gives an `error` event with a code, the outcome `failed`, and the exit code 1."""
        played = self._play(playing.to_its_end, prompt=self.fails, may_fail=True)
        findings = played.findings + _expect_outcome(played, "failed", "fails", exit_code=1)
        if not any(event["code"] for event in played.of_type("error")):
            findings.append(
                Finding(
                    rule="error",
                    contract="a failing turn says why in an `error` event with a code",
                    happened=f"none came: {types(played.events)}",
                    fix="raise `AgentFailed(message, code=…)`, or emit `Error` before the ending",
                )
            )
        report(findings)

    def test_it_works_again_after_a_failure(self) -> None:
        """The turn after `fails` completes in the same process."""

        async def scenario(session: HostedSession) -> None:
            await session.wait_for("turn.finished")
            await playing.complete_another(session, self.says, 2)

        played = self._play(scenario, prompt=self.fails, interactive=True, may_fail=True)
        report(played.findings)

    # --- questions ---------------------------------------------------------------------------

    def test_an_answered_question_lets_the_turn_complete(self) -> None:
        """`asks` opens one request; once it is answered the work completes."""

        async def scenario(session: HostedSession) -> None:
            await playing.answer(session, self.answer)
            await session.end()

        played = self._play(scenario, prompt=self.asks)
        findings = played.findings + _expect_outcome(played, "completed", "asks")
        closed = [event["how"] for event in played.of_type("request.closed")]
        if closed != ["answered"]:
            findings.append(
                Finding(
                    rule="asks",
                    contract="asking again under the same key never asks a person twice",
                    happened=f"the requests were closed so: {closed}",
                    fix="give `session.ask` the framework's own id of the question as its key",
                )
            )
        report(findings)

    def test_a_question_is_closed_when_its_turn_is_interrupted(self) -> None:
        """An interrupt while `asks` waits closes the request or ends the turn `waiting`."""

        async def scenario(session: HostedSession) -> None:
            await session.wait_for("request.opened")
            await self._interrupt(session, "interrupted", "waiting")

        report(self._play(scenario, prompt=self.asks, interactive=True).findings)

    def test_a_question_is_deferred_or_held(self) -> None:
        """With `defer` a turn ends `waiting` and goes on with the answer; without, it holds on."""

        async def scenario(session: HostedSession) -> None:
            opened = await session.wait_for("request.opened")
            if opened.get("deferrable"):
                await session.wait_for("turn.finished", outcome="waiting")
            await playing.answer(session, self.answer)
            await session.end()

        played = self._play(scenario, prompt=self.asks, defer_seconds=0.05)
        findings = played.findings + _expect_outcome(played, "completed", "asks")
        if any(event.get("deferrable") for event in played.of_type("request.opened")) != bool(
            self._make().capabilities.defer
        ):
            findings.append(wrong_capabilities("`defer` and the question do not agree"))
        report(findings)

    # --- what stays --------------------------------------------------------------------------

    def test_nothing_is_left_running(self) -> None:
        """No thread, task or child process outlives a session, however its turn ended."""
        prompts = [prompt for prompt in (self.says, self.runs_long) if prompt is not None]
        self._play_all(prompts)  # what a framework keeps for the whole process begins here
        before = running()
        report(self._play_all(prompts) + check_left_since(before))

    # --- how ---------------------------------------------------------------------------------

    def _make(self) -> Adapter:
        adapter = type(self).adapter
        if isinstance(adapter, type) and issubclass(adapter, Adapter):
            return adapter(adapter.Settings.from_environment(self.environment))
        made = adapter()
        assert isinstance(made, Adapter), f"`adapter` made {type(made).__name__}, not an Adapter"
        return made

    def _play(self, scenario: Scenario, prompt: str | None = "", **how: Any) -> Played:
        grace = {"grace_seconds": self.interrupt_seconds}
        return playing.play(self._make, scenario, prompt=prompt or "", **(grace | how))

    def _play_all(self, prompts: list[str]) -> list[Finding]:
        return [one for prompt in prompts for one in self._play(playing.begun, prompt).findings]

    async def _interrupted(self, session: HostedSession) -> None:
        await playing.begun(session)
        await self._interrupt(session, "interrupted")
        await playing.complete_another(session, self.says, 2)

    async def _interrupt(self, session: HostedSession, *outcomes: str) -> None:
        await playing.interrupt(session, outcomes, within=self.interrupt_seconds)


SCENARIO_TESTS = {
    "runs_long": (
        "test_an_interrupt_ends_the_turn_in_time",
        "test_cancellation_is_passed_on",
        "test_a_stop_ends_the_session_in_time",
        "test_a_message_during_a_turn_is_folded_in_or_queued",
    ),
    "asks": (
        "test_an_answered_question_lets_the_turn_complete",
        "test_a_question_is_closed_when_its_turn_is_interrupted",
        "test_a_question_is_deferred_or_held",
    ),
    "fails": ("test_a_failure_is_told_as_one", "test_it_works_again_after_a_failure"),
    "uses_tool": ("test_a_tool_call_is_shown",),
    "entry_point": ("test_it_is_found_by_its_entry_point",),
}
"""The tests that each scenario is needed for."""


def _expect_outcome(
    played: Played, outcome: str, scenario: str, *, exit_code: int = 0
) -> list[Finding]:
    endings = played.of_type("turn.finished", "session.finished")
    found = [ending(event) for event in endings]
    fits = len(endings) > 1 and all(event["outcome"] == outcome for event in endings[-2:])
    if fits and played.exit_code == exit_code:
        return []
    return [
        Finding(
            rule="outcome",
            contract=f"`{scenario}` ends {outcome!r}, and the process exits with {exit_code}",
            happened=f"{found}, exit code {played.exit_code}",
            fix="return the honest Ending, or give the suite another prompt for this scenario",
        )
    ]
