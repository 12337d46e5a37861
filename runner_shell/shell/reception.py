"""What comes in: from the gateway by the link, and from the adapter by its thread.

Each thing goes to where it is carried out, in its order, and a command is journaled before it is
acknowledged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ..adapter.contract import Continue
from ..link.effects import (
    Acknowledged,
    CommandReceived,
    GaveUp,
    RunnerEffect,
    SecretReceived,
    Welcomed,
)
from ..protocol import codec
from ..protocol.commands import Command, ReservedCommand, SecretAdd, SessionStop
from ..protocol.events import SessionSaved, Warning_
from . import outcome as outcomes
from .commands import stopped_by
from .configuration.known_secrets import warning_of
from .outcome import Verdict
from .thread.host import Asked, Emitted, FromAdapter, Saved, Withdrawn, Woken
from .thread.joining import DeltaRun
from .turns import Work

if TYPE_CHECKING:
    from .runner import Runner

BACKPRESSURE = "backpressure"
"""Why a turn is interrupted whose events the gateway does not take."""


class Reception:
    """Takes in what is said to one runner.

    Args:
        runner: Whose it is.

    Attributes:
        fenced: Whether another runner has taken the session over.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._pressure = runner.pressure
        self._journal = runner.journal
        self._link = runner.link
        self._run = DeltaRun()
        self._early: list[CommandReceived] = []
        self._is_working = False
        # Where an ending is only flushed, commands are left to a process that carries them out.
        self._takes_nothing = runner.restart.recorded is not None
        self.fenced = False

    def apply_early(self) -> None:
        """Apply the commands that came before the work began; the others when they come."""
        self._is_working = True
        early, self._early = self._early, []
        for received in early:
            self._runner.desk.apply(received)

    def refuse_early(self) -> None:
        """Refuse the commands that came before the work began: the session is on its way out."""
        for received in self._early:
            self._runner.desk.refuse(received)

    def take_nothing_more(self) -> None:
        """`session.finished` is said: what comes now is the next process's."""
        self._takes_nothing = True

    def on_effect(self, effect: RunnerEffect) -> None:
        """Take in what the link makes of what the gateway says."""
        match effect:
            case Welcomed():
                self._runner.opening.welcomed(effect)
                if effect.lost_after is not None:
                    self._takes_nothing = (
                        False  # the ending that was recorded is lost with the rest
                    )
            case Acknowledged(seq):
                self._runner.delivery.acknowledged(seq)
                self.feel_pressure()
            case CommandReceived():
                if self._takes_nothing:
                    return  # not acknowledged, so that the next process gets it
                received = self._named(effect)
                command = received.command
                self._journal.accept(command.seq, self.plain(command))
                self._link.command_journaled(command.seq)
                self._take_command(received)
            case SecretReceived(secret):
                self._learn(secret)
            case GaveUp():
                self._on_refusal(effect)
            case _:
                pass  # the connection's own: the driver carried it out

    def _take_command(self, received: CommandReceived) -> None:
        """Commands that come before the work begins wait, in order; one to stop counts at once."""
        if self._is_working:
            self._runner.desk.apply(received)
            return
        self._early.append(received)
        if isinstance(received.command, SessionStop):
            self._runner.stop(stopped_by(received.command))

    def _on_refusal(self, refusal: GaveUp) -> None:
        reason = f"the gateway refused this runner for good: {refusal.reason}"
        self.fenced = refusal.fenced
        if refusal.fenced:
            reason = "a newer runner took the session over"
        code = outcomes.BAD_CONFIGURATION
        self._runner.stop(Verdict(outcome="failed", reason=reason, exit_code=code))

    def on_adapter(self, said: FromAdapter) -> None:
        """Take in what the adapter says, in its order."""
        # Nearly everything goes on with a run, and nothing else is to be asked of it then.
        run = self._run
        if run.payloads and type(said) is Emitted and run.add(said.turn, said.payload):
            self._count(said.payload)
            return
        if not self._runner.ready:
            return  # `session.finished` is the last word, whatever a stuck adapter says
        if not self._runner.opening.announced:
            self._runner.opening.hold(said)
            return
        if run.payloads:
            self._let_run_out()
        match said:
            case Emitted(turn, payload):
                self._count(payload)
                if not self._run.begin(turn, payload):
                    self._let_out(turn, payload)
            case Asked(request, key, may_defer, reply):
                self._runner.requests.ask(request, key, may_defer, reply)
            case Withdrawn(key, reply):
                self._runner.requests.withdraw(key, reply)
            case Saved(key, None):
                self._runner.outlet.say(SessionSaved(state={}, removed=(key,)))
            case Saved(key, value):
                self._runner.outlet.say(
                    SessionSaved(state={key: msgspec.json.decode(value or b"null")})
                )
            case Woken():
                self._runner.agenda.add(Work(input=Continue(cause="wake"), cause="wake"))

    def rest(self) -> None:
        """The adapter has nothing more to say for now."""
        if self._run.payloads:
            self._let_run_out()
        # Until this is over nobody is asked to deliver what is said.
        self._runner.delivery.deliver()
        if self.feel_pressure():
            self._runner.delivery.deliver()

    def _count(self, payload: bytes) -> None:
        self._link.progress += 1
        self._pressure.taken(len(payload))

    def _let_run_out(self) -> None:
        turn, payloads = self._run.take()
        for payload in payloads:
            self._let_out(turn, payload)

    def _let_out(self, turn: str, payload: bytes) -> None:
        # On a full disk the last room is for the endings.
        if turn in ("", self._runner.turns.current) and not self._journal.trouble:
            self._runner.outlet.emitted(payload, turn)

    def feel_pressure(self) -> bool:
        """Look how much is not acknowledged; True where something may have been said for it.

        Source: "at the journal's limit its turn is interrupted with that cause".
        """
        backlog, events = self._journal.backlog_bytes, len(self._link.outbox)
        if self._pressure.stays_low(backlog, events):
            return False  # and so is far below the journal's limit
        self._pressure.update(backlog, events)
        self._runner.outlet.merge(self._pressure.merging)
        if backlog > self._runner.settings.journal_limit_bytes:
            self._runner.turns.interrupt(BACKPRESSURE)
        return True

    def plain(self, command: Command | ReservedCommand) -> bytes:
        """A command as it is journaled: without secrets.

        Source: "Inbound content is journaled redacted too".
        """
        fields = msgspec.json.decode(codec.encode_command(command))
        ids = {name: getattr(command, name) for name in _ids_of(command)}
        return msgspec.json.encode(self._runner.guard.payload(fields) | ids)

    def _named(self, received: CommandReceived) -> CommandReceived:
        """With ids that hold no secret, here and wherever the command goes from here."""
        command = received.command
        ids = {name: getattr(command, name) for name in _ids_of(command)}
        plain = {name: self._runner.guard.identifier(id) for name, id in ids.items()}
        if plain == ids:
            return received
        return CommandReceived(msgspec.structs.replace(command, **plain), received.problem)

    def _learn(self, secret: SecretAdd) -> None:
        warning = warning_of(self._runner.registry.add(secret.name, secret.value))
        if warning is not None and self._runner.ready:
            code, message = warning
            self._runner.say(Warning_(code=code, message=message))


def _ids_of(command: Command | ReservedCommand) -> list[str]:
    """The fields of a command that name something: redacted by known secrets only."""
    if isinstance(command, ReservedCommand):
        return ["id"]
    return [name for name in ("id", "request", "turn", "checkpoint") if hasattr(command, name)]
