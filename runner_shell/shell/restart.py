"""What a process owes to the one before it: its missing endings, its questions, its turn.

A process can die at any instruction. What its journal amounts to decides what the next one does,
in this order: the missing endings, `session.started`, the turn that was cut off, the commands that
have something left to be done.

Source: PROTOCOL, promises 1 and 3; docs/decisions/0013-what-a-restart-does.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ..adapter.contract import Continue, UserMessage
from ..adapter.session import Answer, Request
from ..errors import RemoteProtocolError
from ..journal import CutTurn, Journal, Recovered
from ..journal.recovered import AcceptedCommand, LastTurn
from ..journal.recovery import why
from ..link.effects import CommandReceived
from ..protocol import codec
from ..protocol.commands import (
    Command,
    RequestAnswer,
    ReservedCommand,
    SecretAdd,
    SessionEnd,
    SessionStop,
    TurnInterrupt,
    TurnStart,
)
from ..protocol.events import Outcome, SessionFinished, TurnFinished
from . import outcome as outcomes
from .outbound.outlet import Outlet
from .outcome import Verdict, goes_on
from .turns import Work

if TYPE_CHECKING:
    from .requests import RequestBook

Policy = Literal["continue", "ask", "fail"]

GO_ON = "continue"
GIVE_UP = "fail"

_IDEMPOTENT = (TurnStart, TurnInterrupt, RequestAnswer, SessionEnd, SessionStop)
"""What may begin a second time: each finds out by itself whether it was done."""

_DIED = "the process died without saying how it ended"


class Restart:
    """What is to be done for the processes before this one.

    Args:
        journal: Its `recovered` says what they left.
        policy: What to do with a turn that was cut off; None: go on if the adapter can.
    """

    def __init__(self, journal: Journal, policy: Policy | None) -> None:
        self.found: Recovered = journal.recovered
        self._journal = journal
        self._policy = policy
        self._pending = [_received(one) for one in self.found.commands.values() if not one.queued]
        self._applying = {
            id for id, one in self.found.commands.items() if one.applying and not one.queued
        }
        self._in_turn = {id for id in self._applying if self.found.commands[id].in_turn}
        self.refused_to_resume = False

    @property
    def resumed(self) -> bool:
        """Whether there was a process before, whose journal is taken over."""
        return not self.found.fresh

    @property
    def recorded(self) -> Verdict | None:
        """The verdict that a process recorded and nobody acknowledged, if the session is over.

        Source: "the next process only flushes and returns the recorded code".
        """
        said = self.found.verdict
        if said is None or self.found.settled or goes_on(said.outcome, said.exit_code):
            return None
        return Verdict(outcome=said.outcome, reason=said.reason, exit_code=said.exit_code)

    @property
    def stop(self) -> Verdict | None:
        """The end that a person had ordered, if the process died before it came."""
        for command in self._commands():
            if isinstance(command, SessionStop):
                return Verdict.of("stopped", why(command))
        return None if self.found.stop is None else Verdict.of("stopped", self.found.stop)

    @property
    def last(self) -> tuple[Outcome, str] | None:
        """How the last turn ended."""
        return (
            None if self.found.last is None else (self.found.last.outcome, self.found.last.reason)
        )

    def forget(self, found: Recovered) -> None:
        """History was lost: nothing that the journal holds is owed any more."""
        self.found = found
        self._pending.clear()
        self._applying.clear()
        self._in_turn.clear()

    def decide(self, *, can_resume: bool) -> Policy:
        """What is done with a turn that was cut off."""
        wanted = self._policy or (GO_ON if can_resume else GIVE_UP)
        if wanted != GIVE_UP and not can_resume:
            self.refused_to_resume = self.cut is not None or self.found.turn is not None
            return "fail"
        return "ask" if wanted == "ask" else "continue" if wanted == GO_ON else "fail"

    @property
    def cut(self) -> CutTurn | None:
        """The turn to go on with."""
        return self.found.cut

    # --- the missing endings -----------------------------------------------------------------

    def write_endings(self, outlet: Outlet, requests: RequestBook, policy: Policy) -> None:
        """Write what the process before could not say any more.

        A turn that can go on keeps the questions that can be deferred, and ends `waiting`: "One
        path serves deferral and a crash in mid-question".
        """
        if self.found.turn is not None:
            self._end_turn(self.found.turn, outlet, requests, policy)
        if self.found.running:
            stop = self.stop
            outlet.say(
                SessionFinished(
                    outcome=stop.outcome if stop else "failed",
                    reason=stop.reason if stop else _DIED,
                    resumable=True,
                    exit_code=stop.exit_code if stop else outcomes.TRANSIENT,
                    usage=self.found.usage,
                )
            )

    def _end_turn(
        self, turn: CutTurn, outlet: Outlet, requests: RequestBook, policy: Policy
    ) -> None:
        ordered = turn.interrupted or self._interrupting()
        stop = self.stop
        may_go_on = policy != "fail" and not ordered and stop is None
        waits = may_go_on and requests.has_deferrable
        requests.cancel(keep_deferrable=waits)
        outlet.close_open_things(turn.id, waiting=False)
        outcome: Outcome = "interrupted" if may_go_on or ordered else "failed"
        reason = ordered or "the process died in this turn"
        if stop is not None:
            outcome, reason = stop.outcome, stop.reason
        if waits:
            outcome, reason = "waiting", f"{reason}; its questions stay open"
        elif may_go_on:
            self.found.cut = turn
            self._journal.resume(turn)
        self.found.last = LastTurn(outcome=outcome, reason=reason)
        outlet.say(TurnFinished(outcome=outcome, reason=reason), turn.id)

    def _interrupting(self) -> str:
        for command in self._commands():
            if isinstance(command, TurnInterrupt):
                return why(command)
        return ""

    def _commands(self) -> list[Command | ReservedCommand]:
        return [received.command for received in self._pending]

    # --- what is left to do ------------------------------------------------------------------

    def queued(self) -> list[Work]:
        """The turns that were accepted and have not begun, in order."""
        works = []
        for id, accepted in self.found.commands.items():
            command = _received(accepted).command
            if accepted.queued and isinstance(command, TurnStart):
                message = UserMessage(content=command.content, attachments=command.attachments)
                works.append(Work(input=message, cause="message", command=id))
        return works

    def commands(self, *, injects: bool = False) -> list[CommandReceived | str]:
        """What is to be applied; an id alone: its effect had begun and cannot begin again.

        Args:
            injects: Whether the adapter takes messages into a running turn: then one that was
                offered may have been taken.

        Source: "idempotent commands run again, `turn.start` too if no `turn.started` was
        journaled, others reply `command.failed{interrupted}`".
        """
        todo: list[CommandReceived | str] = []
        for received in self._pending:
            command = received.command
            begun = command.id in self._applying
            if injects and isinstance(command, TurnStart) and command.id in self._in_turn:
                todo.append(command.id)
                continue
            if isinstance(command, TurnInterrupt) and self.found.turn is not None:
                continue  # done by the turn's ending; `answered` says so
            if begun and not isinstance(command, _IDEMPOTENT) and not received.problem:
                todo.append(command.id)
            else:
                todo.append(received)
        return todo

    def answered(self) -> list[str]:
        """Commands that the missing endings have carried out."""
        if self.found.turn is None:
            return []
        return [one.id for one in self._commands() if isinstance(one, TurnInterrupt)]

    def question(self, cut: CutTurn) -> tuple[Request, str]:
        """What `ask` asks, and under which key."""
        request = Request(
            kind="question",
            title="The process died in a turn. Go on with it?",
            body={"turn": cut.id, "command": cut.command},
            options=(GO_ON, GIVE_UP),
            default=GIVE_UP,
        )
        return request, f"shell.resume.{cut.id}"

    def settle(self, answer: Answer) -> Work | None:
        """What the answer to that question means."""
        if answer.value == GO_ON and answer.how == "answered":
            return self.work()
        self._journal.resume(None)
        return None

    def work(self) -> Work:
        """The turn that goes on."""
        return Work(input=Continue(cause="restart"), cause="restart")


def _received(accepted: AcceptedCommand) -> CommandReceived:
    data = bytes(accepted.data)
    try:
        command = codec.decode_command(data)
    except RemoteProtocolError as error:
        return CommandReceived(codec.decode_command_head(data), problem=str(error))
    assert not isinstance(command, SecretAdd), "a secret is never journaled"
    return CommandReceived(command)
