"""A message for the turn that runs: offered to the adapter, taken into the turn or queued.

What the adapter takes is never run again, also where the process dies before it could say so: it
cannot know whether the framework has the message, so the next one answers `interrupted`.

An adapter that does not answer is treated as one that does not react to an interrupt: after a share
of the grace it is cancelled, after another it is left alone.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..adapter.contract import UserMessage
from ..errors import AgentFailed
from ..protocol.commands import TurnStart
from ..protocol.events import (
    BlockDelta,
    BlockFinished,
    BlockStarted,
    Event,
    MessageFinished,
    MessageStarted,
    Warning_,
)
from .thread.host import Cancelled

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
        self._deaf = ""  # the turn whose adapter did not react, and is asked no more

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

        Raises:
            AgentFailed: The adapter did not even react when it was cancelled (`adapter_stuck`).
            Exception: What the adapter raised.
        """
        runner = self._runner
        async with self._one_at_a_time:
            turn = runner.turn
            if not runner.takes_messages or turn == self._deaf:
                return ""
            if not await self._taken(runner.host.inject(message), turn):
                return ""
            if turn == runner.turn:
                for event in said(command.id, message):
                    runner.tell(event)
            return turn

    async def _taken(self, offered: asyncio.Future[bool], turn: str) -> bool:
        """Whether the adapter takes it; one that was cancelled has its say all the same.

        Source: "tell → grace → cancel → grace → fence".
        """
        runner = self._runner
        try:
            await asyncio.wait({offered}, timeout=runner.stopping.share(0.4))
            if not offered.done():
                runner.say(Warning_(code="inject_slow", message=_SLOW))
                runner.host.cancel(offered)
                await asyncio.wait({offered}, timeout=runner.stopping.share(0.4))
            if not offered.done():
                self._deaf = turn
                raise AgentFailed(_STUCK, code="adapter_stuck")
            return bool(offered.result())
        except Cancelled:
            return False
        finally:
            offered.cancel()  # also where the session ends meanwhile: nobody waits any more


_SLOW = "the adapter did not say within the grace whether the turn takes the message; cancelled"
_STUCK = (
    "the adapter did not react when it was offered the message, nor when that was cancelled; look "
    "whether it took effect before you hand it in again"
)


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
