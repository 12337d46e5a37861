"""What records amount to: folds them, one after the other, into what a next process has to know.

Pure: records in, `Recovered` out. The same fold runs along while a process writes, so that a
snapshot is always at hand, and over what a dead process left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from ..protocol import codec
from ..protocol.commands import SessionEnd, SessionStop, TurnInterrupt, TurnStart
from ..protocol.events import (
    JSON,
    BlockDelta,
    BlockFinished,
    BlockStarted,
    CommandDone,
    CommandFailed,
    Event,
    Gap,
    MessageFinished,
    MessageStarted,
    RequestClosed,
    RequestOpened,
    SessionFinished,
    SessionSaved,
    SessionStarted,
    StepFinished,
    StepStarted,
    ToolFinished,
    ToolStarted,
    TurnFinished,
    TurnStarted,
    UnknownEvent,
    Usage,
)
from .recovered import (
    INITIAL,
    AcceptedCommand,
    CutTurn,
    KnownRequest,
    LastTurn,
    OpenBlock,
    Recovered,
    decode,
)
from .segments import Kind, Record

E = TypeVar("E")


class Fold:
    """Takes records in, one after the other.

    Args:
        start: What to go on from.

    Attributes:
        now: What they amount to.
    """

    def __init__(self, start: Recovered) -> None:
        self.now = start
        self._blocks = {_key(block.started): block for block in start.blocks}
        self._answered_in_turn = False
        self._handlers: dict[type[Any], Callable[[Any, str], None]] = {
            BlockStarted: self._block_started,
            BlockFinished: self._block_finished,
            MessageStarted: lambda event, _: self._open(start.messages, event.id, event),
            MessageFinished: lambda event, _: self._close(start.messages, event.id),
            ToolStarted: lambda event, _: self._open(start.tools, event.call, event),
            ToolFinished: lambda event, _: self._close(start.tools, event.call),
            StepStarted: lambda event, _: self._open(start.steps, event.id, event),
            StepFinished: lambda event, _: self._close(start.steps, event.id),
            SessionStarted: self._session_started,
            SessionFinished: self._session_finished,
            SessionSaved: self._saved,
            Gap: self._gap,
            TurnStarted: self._turn_started,
            TurnFinished: self._turn_finished,
            RequestOpened: self._request_opened,
            RequestClosed: self._request_closed,
            CommandDone: lambda event, _: self._replied(
                event.command, done=True, result=event.result
            ),
            CommandFailed: lambda event, _: self._replied(event.command, done=False),
        }

    def take(self, record: Record) -> None:
        """Take one record of a file in; those of a later version are passed over.

        Raises:
            RemoteProtocolError: It holds what no version ever wrote.
        """
        match record.kind:
            case Kind.EVENT:
                stored = codec.decode_event(record.body)
                self.event(record.number, stored.payload, stored.envelope.turn)
            case Kind.COMMAND:
                self.accepted(record.number, record.body)
            case Kind.APPLYING:
                self.applying(record.body.decode())
            case Kind.RESUME:
                self.resume(decode(record.body, CutTurn | None))
            case Kind.SETTLED:
                self.settled(record.number)
            case Kind.EPOCH:
                self.epoch(record.number)
            case _:
                pass

    def event(self, seq: int, event: Event | UnknownEvent, turn: str) -> None:
        """An event was journaled."""
        self.now.next = seq + 1
        if type(event) is BlockDelta:  # most of all events, and nothing but text
            if (block := self._blocks.get((event.message, event.index))) is not None:
                add(event.text, block.texts)
            return
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event, turn)

    def accepted(self, seq: int, data: bytes) -> None:
        """A command was accepted."""
        head = codec.decode_command_head(data)
        now = self.now
        now.fresh = False
        now.last_command = max(now.last_command, seq)
        now.initial = now.initial or head.id == INITIAL
        now.commands[head.id] = AcceptedCommand(
            seq=seq, data=msgspec.Raw(data), queued=head.id == INITIAL
        )

    def applying(self, command: str) -> None:
        """The effect of a command begins."""
        accepted = self.now.commands.get(command)
        if accepted is not None:
            accepted.applying = True
            accepted.in_turn = self.now.turn is not None

    def resume(self, cut: CutTurn | None) -> None:
        """A next process is to go on with this turn, or with none any more."""
        self.now.cut = cut

    def settled(self, seq: int) -> None:
        """Everything is acknowledged and the process goes."""
        self.now.acked = max(self.now.acked, seq)
        self.now.settled = True

    def epoch(self, number: int) -> None:
        """The process has this number."""
        self.now.epoch = number

    # --- sessions and turns ------------------------------------------------------------------

    def _session_started(self, event: SessionStarted, _: str) -> None:
        now = self.now
        now.fresh, now.running, now.verdict, now.settled = False, True, None, False

    def _session_finished(self, event: SessionFinished, _: str) -> None:
        now = self.now
        now.running, now.verdict, now.settled = False, event, False
        now.stop, now.ending_asked = None, False

    def _gap(self, _: Gap, __: str) -> None:
        self.now.owes_gap = False

    def _saved(self, event: SessionSaved, _: str) -> None:
        for key in event.removed:
            self.now.state.pop(key, None)
        self.now.state |= event.state

    def _turn_started(self, event: TurnStarted, turn: str) -> None:
        now = self.now
        now.turn = CutTurn(id=turn, cause=event.cause, command=event.command)
        now.cut = None
        now.answers_due = self._answered_in_turn = False
        now.commands.pop(event.command, None)

    def _turn_finished(self, event: TurnFinished, _: str) -> None:
        now = self.now
        now.turn = None
        now.last = LastTurn(outcome=event.outcome, reason=event.reason)
        now.usage = summed(now.usage, event.usage)
        now.answers_due = event.outcome == "waiting" and self._answered_in_turn

    # --- commands ----------------------------------------------------------------------------

    def _replied(self, command: str, *, done: bool, result: JSON = None) -> None:
        accepted = self.now.commands.get(command)
        if accepted is None:
            return
        given = codec.decode_command(bytes(accepted.data)) if done else None
        if isinstance(given, TurnStart) and result is None:  # else it was folded into a turn
            accepted.queued = True
            return
        del self.now.commands[command]
        match given:
            case TurnInterrupt() if self.now.turn is not None:
                self.now.turn = msgspec.structs.replace(self.now.turn, interrupted=why(given))
            case SessionEnd():
                self.now.ending_asked = True
            case SessionStop():
                self.now.stop = why(given)
            case _:
                pass

    # --- requests ----------------------------------------------------------------------------

    def _request_opened(self, event: RequestOpened, _: str) -> None:
        self.now.requests[event.id] = KnownRequest(opened=event)

    def _request_closed(self, event: RequestClosed, _: str) -> None:
        known = self.now.requests.get(event.id)
        if known is None:
            return
        known.closed = event
        if event.how not in ("answered", "expired"):
            return
        if self.now.turn is None:
            self.now.answers_due = True
        else:
            self._answered_in_turn = True

    # --- what is open ------------------------------------------------------------------------

    def _block_started(self, event: BlockStarted, _: str) -> None:
        block = self._blocks[_key(event)] = OpenBlock(started=event)
        self.now.blocks.append(block)

    def _block_finished(self, event: BlockFinished, _: str) -> None:
        block = self._blocks.pop(_key(event), None)
        if block is not None:
            self.now.blocks.remove(block)

    def _open(self, room: dict[str, E], id: str, event: E) -> None:
        room[id] = event

    def _close(self, room: dict[str, Any], id: str) -> None:
        room.pop(id, None)


def add(text: str, texts: list[str]) -> None:
    """Append a piece of a text that grows for long.

    Many short strings take several times the room of one: what has gathered is joined now and then.
    """
    texts.append(text)
    if not len(texts) % _JOIN_EVERY:
        short = len(texts)
        while short and len(texts[short - 1]) < _JOINED:
            short -= 1
        texts[short:] = ["".join(texts[short:])]


_JOIN_EVERY = 512
_JOINED = 4096


def why(command: TurnInterrupt | SessionStop) -> str:
    """The reason of an order to end, in words."""
    what = "interrupted" if isinstance(command, TurnInterrupt) else "stopped"
    by = f" by {command.by}" if command.by else ""
    return command.reason or what + by


def summed(so_far: Usage | None, more: Usage | None) -> Usage | None:
    """The sum of two usages, each of which may be unknown."""
    if so_far is None or more is None:
        return so_far or more
    costs = [cost for cost in (so_far.cost_usd, more.cost_usd) if cost is not None]
    return Usage(
        input_tokens=so_far.input_tokens + more.input_tokens,
        output_tokens=so_far.output_tokens + more.output_tokens,
        cache_read_tokens=so_far.cache_read_tokens + more.cache_read_tokens,
        cache_write_tokens=so_far.cache_write_tokens + more.cache_write_tokens,
        cost_usd=sum(costs) if costs else None,
    )


def _key(event: BlockStarted | BlockFinished) -> tuple[str, int]:
    return event.message, event.index
