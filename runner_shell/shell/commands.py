"""Carries commands out: each gets exactly one reply, `command.done` or `command.failed`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..adapter.contract import UserMessage
from ..errors import AgentFailed, NotSupported
from ..journal.recovery import why
from ..link.effects import CommandReceived
from ..protocol.commands import (
    Command,
    RequestAnswer,
    ReservedCommand,
    SessionEnd,
    SessionStop,
    TurnInterrupt,
    TurnStart,
)
from ..protocol.events import JSON, CommandDone, CommandFailed
from .injection import Injection
from .outcome import Verdict
from .turns import Work

if TYPE_CHECKING:
    from .runner import Runner


class CommandDesk:
    """Applies the commands of one runner, in the order of their numbers.

    Args:
        runner: Whose commands they are.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._injection = Injection(runner)
        self._handling: set[asyncio.Task[None]] = set()

    def apply(self, received: CommandReceived, *, again: bool = False) -> None:
        """Carry a command out, or begin to.

        Args:
            received: The command.
            again: A process before may have begun with it.

        Source: "`applying` is journaled before the effect".
        """
        command = received.command
        if not self._runner.begin(command.id):
            return  # it cannot be kept: the session ends, and a next process applies it
        if received.problem:
            self._fail(command, "invalid", received.problem)
            return
        match command:
            case TurnStart():
                self._start_turn(command)
            case TurnInterrupt():
                if self._runner.interrupt(command.reason or f"interrupted by {command.by}"):
                    self._done(command)
                else:
                    self._fail(command, "not_running", "no turn is running")
            case RequestAnswer():
                self._answer(command, again=again)
            case SessionEnd():
                self._done(command)
                self._runner.agenda.end_after_work()
            case SessionStop():
                self._done(command)
                self._runner.stop(stopped_by(command))
            case _:
                self._hand_over(command)

    def done(self, id: str) -> None:
        """Answer a command that was carried out by other means."""
        self._runner.say(CommandDone(command=id))

    def give_up(self, id: str) -> None:
        """Answer a command that a dead process had begun with and nobody may begin again."""
        self._runner.say(CommandFailed(command=id, code="interrupted", message=_DIED_IN_IT))

    def refuse(self, received: CommandReceived) -> None:
        """Answer a command that nobody carries out any more."""
        self._fail(received.command, "ending", _ENDING)

    async def close(self) -> None:
        """Cancel and answer what is still being carried out: the session ends."""
        if self._handling:
            await asyncio.sleep(0)  # one that is cancelled before it has begun answers nothing
        for task in self._handling:
            task.cancel()
        await asyncio.gather(*self._handling, return_exceptions=True)

    def _start_turn(self, command: TurnStart) -> None:
        """Source: "A user message while a question waits closes it as `superseded`"."""
        if self._runner.ending:
            self._fail(command, "ending", _ENDING)
            return
        self._runner.requests.supersede()
        message = UserMessage(content=command.content, attachments=command.attachments)
        if self._injection.due:
            self._keep(asyncio.ensure_future(self._inject(command, message)))
        else:
            self._queue(command, message)

    async def _inject(self, command: TurnStart, message: UserMessage) -> None:
        try:
            turn = await self._injection.offer(command, message)
        except asyncio.CancelledError:
            self._fail(command, "interrupted", _DIED_IN_IT)
            raise
        except AgentFailed as error:
            self._fail(command, error.code, str(error))
            return
        except Exception as error:  # noqa: BLE001 — the plug-in's edge: it becomes the reply
            self._fail(command, "failed", f"{type(error).__name__}: {error}")
            return
        if turn:
            self._done(command, {"folded_into": turn})
        elif self._runner.ending:
            self._fail(command, "ending", _ENDING)
        else:
            self._queue(command, message)

    def _queue(self, command: TurnStart, message: UserMessage) -> None:
        self._runner.agenda.add(Work(input=message, cause="message", command=command.id))
        self._done(command)

    def _answer(self, command: RequestAnswer, *, again: bool) -> None:
        refusal = self._runner.requests.answer(
            command.request,
            command.answer,
            by=command.by,
            received_at=command.received_at,
            again=again,
        )
        if refusal is None:
            self._done(command)
        else:
            self._fail(command, *refusal)

    def _hand_over(self, command: Command | ReservedCommand) -> None:
        """Source: "A capability that is lacking makes it `not_supported`, never ignored"."""
        kind = command_type(command)
        if kind not in self._runner.capabilities.commands:
            name = self._runner.settings.adapter
            self._fail(command, "not_supported", f"the adapter {name!r} has no {kind!r}")
            return
        if self._runner.ending:
            self._fail(command, "ending", _ENDING)
            return
        self._keep(asyncio.ensure_future(self._handle(command)))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._handling.add(task)
        task.add_done_callback(self._handling.discard)

    async def _handle(self, command: Command | ReservedCommand) -> None:
        try:
            result = await self._runner.host.handle(command)
        except asyncio.CancelledError:
            self._fail(command, "interrupted", "the session ended before this was carried out")
            raise
        except NotSupported as error:
            self._fail(command, "not_supported", str(error))
        except AgentFailed as error:
            self._fail(command, error.code, str(error))
        except Exception as error:  # noqa: BLE001 — the plug-in's edge: it becomes the reply
            self._fail(command, "failed", f"{type(error).__name__}: {error}")
        else:
            self._done(command, result)

    def _done(self, command: Command | ReservedCommand, result: JSON = None) -> None:
        if self._runner.ready:
            self._runner.say(CommandDone(command=command.id, result=result))

    def _fail(self, command: Command | ReservedCommand, code: str, message: str) -> None:
        if self._runner.ready:
            self._runner.say(CommandFailed(command=command.id, code=code, message=message))


_DIED_IN_IT = (
    "the process died while this was carried out; look whether it took effect before you hand it "
    "in again"
)
_ENDING = "the session is ending; hand the command in again to its next process"


def stopped_by(command: SessionStop) -> Verdict:
    """The verdict that an order to stop means."""
    return Verdict.of("stopped", why(command))


def command_type(command: Command | ReservedCommand) -> str:
    """A command's type on the wire."""
    if isinstance(command, ReservedCommand):
        return command.type
    return str(command.__struct_config__.tag)
