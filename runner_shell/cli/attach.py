"""`runner-shell attach`: a session that runs elsewhere, in this terminal."""

from __future__ import annotations

import asyncio
import secrets
import signal
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from ..errors import RunnerError, TransportBroken
from ..protocol import codec
from ..protocol.events import (
    Event,
    SessionFinished,
    SessionStarted,
    TurnFinished,
    TurnStarted,
    UnknownEvent,
)
from ..shell.outcome import COMPLETED, STOPPED, TRANSIENT
from .events import PATIENCE_SECONDS
from .keyboard import tell
from .place import Place, ask
from .terminal import Terminal

if TYPE_CHECKING:
    from ..client import GatewayClient, SessionClient, SessionInfo


class AttachOptions(Struct, frozen=True, kw_only=True):
    """What was typed.

    Attributes:
        session: Id of the session.
        since: Show only events after this number.
        json_lines: Whether each event is printed as stored.
    """

    session: str
    since: int
    json_lines: bool


def attach_session(place: Place, options: AttachOptions) -> int:
    """Show the session and send what is typed; returns the exit code.

    It is the session's own where it ends, 0 where Ctrl-D left it running, 75 where the gateway
    stayed away, and 130 where Ctrl-C left.

    Raises:
        ConfigurationError: The gateway is away at the start, or refuses.
    """

    async def attached(client: GatewayClient) -> int:
        session = client.session(options.session)
        info = await session.info()
        return await Attachment(session, info, options).run()

    return ask(place, attached)


class Attachment:
    """Follows one session while somebody sits at it.

    Args:
        session: The session.
        info: What the gateway said of it at the start.
        options: What was typed.
    """

    def __init__(self, session: SessionClient, info: SessionInfo, options: AttachOptions) -> None:
        self._session = session
        self._history = info.last_event
        self._since = options.since
        self._left: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._turn = ""
        self._seen = options.since
        self._ending: SessionFinished | None = info.finished
        self._presses = 0
        self._with_terminal = sys.stdin.isatty()
        self._terminal = Terminal(
            self._submit,
            json_lines=options.json_lines,
            listens=self._with_terminal,
            interactive=True,
            prefix=f"key-{secrets.token_hex(8)}",
            at_end=lambda _: self._leave(COMPLETED),
        )

    async def run(self) -> int:
        """Follow to the session's end, or until somebody leaves; returns the exit code."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._interrupt)
        following = asyncio.ensure_future(self._follow())
        try:
            with self._terminal:
                await asyncio.wait({following, self._left}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            loop.remove_signal_handler(signal.SIGINT)
            following.cancel()
            await asyncio.wait({following})
        return self._left.result() if self._left.done() else following.result()

    async def _follow(self) -> int:
        if self._is_over():
            return self._exit_code()
        events = self._session.follow(since=self._since, patience_seconds=PATIENCE_SECONDS)
        try:
            async with aclosing(events):
                async for event in events:
                    self._terminal.show(event.data)
                    self._seen = event.seq
                    self._note(codec.decode_payload(event.data), event.turn)
                    if self._is_over():
                        break
        except TransportBroken as error:
            tell(f"{error}; the session itself may go on")
            return TRANSIENT
        return self._exit_code()

    def _note(self, event: Event | UnknownEvent, turn: str) -> None:
        match event:
            case TurnStarted():
                self._turn, self._presses = turn, 0
            case TurnFinished():
                self._turn = ""
            case SessionStarted():
                self._ending = None
            case SessionFinished():
                self._ending, self._turn = event, ""
            case _:
                pass

    def _is_over(self) -> bool:
        """Whether the session has ended; an earlier process's ending in the history is none."""
        return self._ending is not None and self._seen >= self._history

    def _exit_code(self) -> int:
        return COMPLETED if self._ending is None else self._ending.exit_code

    # --- the person ----------------------------------------------------------------------

    async def _submit(self, command: dict[str, Any]) -> str:
        try:
            await self._session.send(command)
        except RunnerError as error:
            return str(error)
        return ""

    def _leave(self, code: int) -> None:
        if not self._left.done():
            tell("left; the session goes on")
            self._left.set_result(code)

    def _interrupt(self) -> None:
        """Ctrl-C as at a session's own terminal; without a terminal it only leaves."""
        self._presses += 1
        if not self._with_terminal or self._presses > 2:
            self._leave(STOPPED)
        elif self._presses == 1 and self._turn:
            self._terminal.send(type="turn.interrupt", reason="Ctrl-C")
            tell("interrupting the turn; Ctrl-C again stops the session, Ctrl-D leaves it running")
        else:
            self._presses = 2
            self._terminal.send(type="session.stop", reason="stopped by Ctrl-C")
            tell("stopping in order; Ctrl-C again leaves at once")
