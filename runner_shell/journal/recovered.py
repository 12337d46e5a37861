"""What a next process has to know of the ones before: data, and the first record of a segment."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct, field

from ..errors import RemoteProtocolError
from ..protocol.events import (
    JSON,
    BlockDelta,
    BlockStarted,
    Event,
    MessageStarted,
    Outcome,
    RequestClosed,
    RequestOpened,
    SessionFinished,
    StepStarted,
    ToolStarted,
    TurnCause,
    Usage,
)

INITIAL = "initial"
"""Id of the command that the initial prompt is; its number is 0."""


class CutTurn(Struct, frozen=True, kw_only=True):
    """A turn without its ending, or with one that only its process's end was the reason of.

    Attributes:
        id: The turn's id.
        cause: What had set it going.
        command: Id of the command that brought it, or empty.
        interrupted: A person's order to end it that was accepted, or empty.
    """

    id: str
    cause: TurnCause = "message"
    command: str = ""
    interrupted: str = ""


class OpenBlock(Struct, kw_only=True):
    """A block without its ending.

    Attributes:
        started: How it began.
        texts: Its text so far, in pieces.
    """

    started: BlockStarted
    texts: list[str] = field(default_factory=list)


class AcceptedCommand(Struct, kw_only=True):
    """A command that has something left to be done.

    Attributes:
        seq: Its number; 0 for the initial prompt.
        data: The command, encoded, without secrets.
        applying: Whether its effect had begun.
        queued: Whether it was answered, and is a turn that has not begun.
        in_turn: Whether a turn ran when its effect began.
    """

    seq: int
    data: msgspec.Raw
    applying: bool = False
    queued: bool = False
    in_turn: bool = False


class KnownRequest(Struct, kw_only=True):
    """A question and what came of it.

    Attributes:
        opened: As it was told.
        closed: Its ending, or None while it is open.
    """

    opened: RequestOpened
    closed: RequestClosed | None = None


class LastTurn(Struct, frozen=True, kw_only=True):
    """How the last turn ended."""

    outcome: Outcome
    reason: str = ""


class Recovered(Struct, kw_only=True):
    """What a journal amounts to.

    Attributes:
        log: Random id of the journal.
        next: The next event's number.
        acked: Every event up to here is known to be acknowledged.
        epoch: Number of the last process that went on with this history; 0 before the first.
        owes_gap: Whether history was lost and no event has said so.
        last_command: Number of the last command that was accepted.
        fresh: Whether nothing was ever journaled.
        running: Whether a process has said `session.started` and not `session.finished`.
        verdict: The ending that the last process said, if nothing followed.
        settled: Whether that process knew that all was acknowledged.
        state: What the adapter saved.
        usage: Sum over the turns.
        turn: The turn without an ending.
        cut: The turn that a next process is to go on with.
        last: How the last turn ended.
        initial: Whether the initial prompt was accepted once.
        commands: Commands with something left to do, by id, in order.
        requests: Every request by its id, in order; answers are given again under its key.
        answers_due: Whether an answer came that no turn has begun with.
        ending_asked: Whether `session.end` was accepted.
        stop: The reason of a `session.stop` that was accepted, or None.
        messages: Open messages, in order.
        blocks: Open blocks, in order.
        tools: Open tool calls, in order.
        steps: Open steps, in order.
    """

    log: str
    next: int = 1
    acked: int = 0
    epoch: int = 0
    owes_gap: bool = False
    last_command: int = 0
    fresh: bool = True
    running: bool = False
    verdict: SessionFinished | None = None
    settled: bool = False
    state: dict[str, JSON] = field(default_factory=dict)
    usage: Usage | None = None
    turn: CutTurn | None = None
    cut: CutTurn | None = None
    last: LastTurn | None = None
    initial: bool = False
    commands: dict[str, AcceptedCommand] = field(default_factory=dict)
    requests: dict[str, KnownRequest] = field(default_factory=dict)
    answers_due: bool = False
    ending_asked: bool = False
    stop: str | None = None
    messages: dict[str, MessageStarted] = field(default_factory=dict)
    blocks: list[OpenBlock] = field(default_factory=list)
    tools: dict[str, ToolStarted] = field(default_factory=dict)
    steps: dict[str, StepStarted] = field(default_factory=dict)

    def opened(self) -> list[Event]:
        """What is open, as the events that opened it: to admit them restores a ledger."""
        events: list[Event] = [*self.steps.values(), *self.messages.values()]
        for block in self.blocks:
            events.append(block.started)
            if text := "".join(block.texts):
                began = block.started
                events.append(BlockDelta(message=began.message, index=began.index, text=text))
        return [*events, *self.tools.values()]

    def open_requests(self) -> list[RequestOpened]:
        """The requests without an ending."""
        return [known.opened for known in self.requests.values() if known.closed is None]


def encode(value: Recovered | CutTurn | None) -> bytes:
    """The body of a snapshot or of a `RESUME` record."""
    return msgspec.json.encode(value)


def decode(body: bytes, type: Any) -> Any:
    """Read what `encode` wrote.

    Raises:
        RemoteProtocolError: It is something else.
    """
    try:
        return msgspec.json.decode(body, type=type)
    except msgspec.DecodeError as error:
        raise RemoteProtocolError(f"the journal holds what no version wrote: {error}") from error
