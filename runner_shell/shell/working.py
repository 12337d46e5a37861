"""The middle of a runner: turn after turn, until there is a reason to end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..adapter.contract import Continue, Ending, UserMessage
from ..journal import INITIAL, CutTurn
from ..journal.recovery import summed
from ..protocol.commands import TurnStart
from ..protocol.events import Warning_
from .outcome import Verdict
from .turns import Work

if TYPE_CHECKING:
    from ..adapter.session import Answer
    from .runner import Runner


class Working:
    """Runs one runner's turns.

    Args:
        runner: Whose turns they are.

    Attributes:
        turn_count: How many have begun in this process.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._settings = runner.settings
        self._journal = runner.journal
        self._restart = runner.restart
        self._link = runner.link
        self._host = runner.host
        self._turns = runner.turns
        self._agenda = runner.agenda
        self._stopping = runner.stopping
        self._opening = runner.opening
        self.turn_count = 0

    async def run(self) -> Verdict:
        """Run turns until there is a reason to end."""
        self._queue_initial()
        self._take_over()
        self._runner.reception.apply_early()
        while True:
            if self._stopping.is_ordered:
                return self._stopping.verdict
            if len(self._agenda):
                await self._run_turn(self._agenda.next())
                if self._turns.stuck:
                    return self._stopping.verdict_or(self._stuck())
                continue
            if self._agenda.is_over:
                return self._agenda.natural_end()
            seconds = self._settings.idle_seconds
            if not await self._agenda.wait(seconds):
                return self._agenda.idle_end(seconds)

    def _queue_initial(self) -> None:
        """Source: "The initial prompt is the command `initial`: it is never run twice"."""
        if not self._settings.prompt:
            return
        if self._opening.welcome.result().lost_after:
            message = (
                "the session has a history but this process has no journal of it; the initial "
                "prompt may have run, so it is not run again. Send a message to go on"
            )
            self._runner.say(Warning_(code="initial_not_repeated", message=message))
            if not self._settings.interactive:
                self._runner.stop(Verdict.of("failed", message))
            return
        if self._restart.found.initial:
            return
        initial = TurnStart(id=INITIAL, content=self._settings.prompt)
        self._journal.accept(0, self._runner.reception.plain(initial))
        if self._runner.commit():
            message_input = UserMessage(content=self._settings.prompt)
            self._agenda.add_first(Work(input=message_input, cause="message", command=INITIAL))

    def _take_over(self) -> None:
        """Go on with what the processes before have left to be done."""
        restart, found = self._restart, self._restart.found
        if restart.last is not None:
            self._agenda.last = Ending(*restart.last)  # type: ignore[arg-type]  # or the shell's
        self._agenda.ending_asked = self._agenda.ending_asked or found.ending_asked
        if restart.stop is not None:
            self._runner.stop(restart.stop)
        self._runner.requests.cancel(keep_deferrable=True)
        for id in restart.answered():
            self._runner.desk.done(id)
        if restart.cut is not None:
            self._go_on_with(restart.cut)
        elif found.answers_due:
            self.on_late_answer()
        self._agenda.extend(restart.queued())
        for todo in restart.commands(injects=self._runner.capabilities.inject):
            if isinstance(todo, str):
                self._runner.desk.give_up(todo)
            else:
                self._runner.desk.apply(todo, again=True)
        self._runner.requests.watch()
        if restart.resumed and self._settings.prompt and self._agenda.has_nothing_to_do:
            message = "the initial prompt has run already; send a message to go on"
            self._runner.say(Warning_(code="initial_not_repeated", message=message))
            if self._agenda.last is None:  # lost history, whose first process failed for it
                reason = "the session's history was lost, and its prompt is not run again"
                self._agenda.last = Ending("failed", reason)

    def _go_on_with(self, cut: CutTurn) -> None:
        match self._opening.policy:
            case "continue":
                self._agenda.add(self._restart.work())
            case "ask":
                request, key = self._restart.question(cut)
                self._runner.requests.ask_to_resume(request, key, self._on_resume_answer)
            case "fail":
                self._journal.resume(None)
                reason = f"turn {cut.id} was cut off, and is not gone on with"
                self._agenda.last = Ending("failed", reason)

    def _on_resume_answer(self, answer: Answer | None) -> None:
        if answer is None:
            return
        work = self._restart.settle(answer)
        if work is not None:
            self._agenda.add(work)
        else:
            self._agenda.last = Ending("failed", f"not gone on with: {answer.how}")
            self._agenda.wake()

    async def _run_turn(self, work: Work) -> None:
        self.turn_count += 1
        done = await self._turns.run(
            f"turn-{self._link.epoch}-{self.turn_count}", work, self._runner.requests
        )
        self._agenda.last = done.ending
        self._runner.usage = summed(self._runner.usage, done.ending.usage)
        if done.waiting and self._runner.requests.answers_due:
            self.on_late_answer()
        self._runner.requests.answers_due = False
        if done.raised:
            await self._reopen()

    async def _reopen(self) -> None:
        """Source: "If it raises or is cancelled, the shell closes and reopens the adapter"."""
        if self._stopping.is_ordered or self._agenda.has_nothing_to_do:
            return
        try:
            async with asyncio.timeout(self._settings.grace_seconds):
                await self._host.close()
                await self._host.open(self._opening.session)
        except Exception as error:  # noqa: BLE001 — the plug-in's edge: reported as the outcome
            self._runner.stop(self._opening.failed_to_start(error))

    def on_late_answer(self) -> None:
        """A question was answered that no task waits for: a turn goes on with it."""
        if self._turns.current:
            return  # `answers_due` says so at its end
        if not self._agenda.has_cause("answers"):
            self._agenda.add(Work(input=Continue(cause="answers"), cause="answers"))

    def _stuck(self) -> Verdict:
        return Verdict.of("failed", "the adapter did not react when its turn was cancelled")
