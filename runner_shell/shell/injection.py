"""A message for the turn that runs: offered to the adapter, taken into the turn or queued.

What the adapter takes is never run again, also where the process dies before it could say so: it
cannot know whether the framework has the message, so the next one answers `interrupted`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..adapter.contract import UserMessage
from ..protocol.commands import TurnStart
from ..protocol.events import (
    BlockDelta,
    BlockFinished,
    BlockStarted,
    Event,
    MessageFinished,
    MessageStarted,
)

if TYPE_CHECKING:
    from .runner import Runner


class Injection:
    """Offers the messages that come during a turn, one after the other, in their order.

    Args:
        runner: Whose turn it is.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._one_at_a_time = asyncio.Lock()

    @property
    def due(self) -> bool:
        """Whether a message that comes now is offered, or waits for one that is."""
        if not self._runner.capabilities.inject:
            return False
        return self._one_at_a_time.locked() or self._runner.takes_messages

    async def offer(self, command: TurnStart, message: UserMessage) -> str:
        """Offer a message to the running turn.

        Returns:
            The id of the turn that took it, or empty: then it is a turn of its own.
        """
        runner = self._runner
        async with self._one_at_a_time:
            turn = runner.turn
            if not runner.takes_messages or not await runner.host.inject(message):
                return ""
            if turn == runner.turn:
                for event in said(command.id, message):
                    runner.tell(event)
            return turn


def said(id: str, message: UserMessage) -> list[Event]:
    """A user's message as the turn's transcript has it; its id is the command's."""
    events: list[Event] = [MessageStarted(id=id, role="user")]
    if text := message.text():
        events += [
            BlockStarted(message=id, index=0, kind="text"),
            BlockDelta(message=id, index=0, text=text),
            BlockFinished(message=id, index=0),
        ]
    return [*events, MessageFinished(id=id)]
