"""What a turn emits to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Generator
from contextlib import asynccontextmanager
from typing import Any, Protocol

from ..errors import TurnOver
from ..protocol.codec import encode_payload
from ..protocol.events import (
    JSON,
    BlockDelta,
    BlockFinished,
    BlockKind,
    BlockStarted,
    Event,
    MessageFinished,
    MessageStarted,
    Scope,
    UnknownEvent,
    Usage,
)
from .contract import TurnInput


class EventPort(Protocol):
    """Where emitted events go; the shell's side of `Turn.emit`."""

    def emit(self, turn: str, payload: bytes) -> Awaitable[None]:
        """Fix the event's place now; the awaitable waits while there is pressure."""


class Done:
    """An awaitable that is done: what `emit` returns without pressure."""

    def __await__(self) -> Generator[Any, Any, None]:
        return
        yield


class Turn:
    """One turn: its input, and the place its events go to.

    Attributes:
        id: The turn's id, unique in the session.
        input: What set it going.
    """

    def __init__(self, id: str, input: TurnInput, port: EventPort) -> None:
        self.id = id
        self.input = input
        self._port = port
        self._over = False

    def emit(self, event: Event | UnknownEvent) -> Awaitable[None]:
        """Emit an event; its place is fixed when this returns, from any task or thread.

        The payload is encoded now, so its objects may change afterwards. Awaiting the result
        slows the caller down while the gateway is away; without the await no event is lost.

        Raises:
            TurnOver: The turn has its ending.
            TypeError: A value that JSON cannot hold.
        """
        if self._over:
            raise TurnOver(f"turn {self.id} is over; {type(event).__name__} came too late")
        return self._port.emit(self.id, encode_payload(event))

    @asynccontextmanager
    async def message(
        self, id: str, *, scope: Scope = (), model: str = ""
    ) -> AsyncIterator[MessageWriter]:
        """Write a message block by block; start and end are emitted for you.

        Args:
            id: The framework's id of the message, unique in its turn.
            scope: Path of parent ids.
            model: The model that writes it, where known.
        """
        await self.emit(MessageStarted(id=id, scope=scope, model=model))
        writer = MessageWriter(self, id, scope)
        yield writer
        await writer.close_block()
        await self.emit(MessageFinished(id=id, scope=scope, usage=writer.usage))

    def finish(self) -> None:
        """The shell calls this at the ending; emitting raises `TurnOver` from here on."""
        self._over = True


class MessageWriter:
    """Writes the blocks of one message, one open at a time.

    Attributes:
        usage: Set it before the message ends to have it in `message.finished`.
    """

    def __init__(self, turn: Turn, message: str, scope: Scope) -> None:
        self.usage: Usage | None = None
        self._turn = turn
        self._message = message
        self._scope = scope
        self._index = -1
        self._kind: BlockKind | None = None

    async def text(self, text: str) -> None:
        """Append to the text block, beginning one where another kind is open."""
        await self.write("text", text)

    async def thinking(self, text: str) -> None:
        """Append to the thinking block, beginning one where another kind is open."""
        await self.write("thinking", text)

    async def write(self, kind: BlockKind, text: str, *, call: str = "") -> None:
        """Append to a block of this kind."""
        if self._kind != kind:
            await self.open_block(kind, call=call)
        await self._turn.emit(
            BlockDelta(message=self._message, index=self._index, text=text, scope=self._scope)
        )

    async def open_block(self, kind: BlockKind, *, call: str = "") -> None:
        """Begin a block; the open one is finished first."""
        await self.close_block()
        self._index += 1
        self._kind = kind
        await self._turn.emit(
            BlockStarted(
                message=self._message, index=self._index, kind=kind, call=call, scope=self._scope
            )
        )

    async def close_block(self, content: JSON = None) -> None:
        """Finish the open block, if there is one."""
        if self._kind is None:
            return
        self._kind = None
        await self._turn.emit(
            BlockFinished(
                message=self._message, index=self._index, content=content, scope=self._scope
            )
        )
