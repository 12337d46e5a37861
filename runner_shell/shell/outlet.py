"""The one way out, in one order.

redact (a stream per block or tool call) → merge → number → encode once → journal → link. Everything
that leaves a runner comes through here; finished content is built from what was redacted.

An adapter's payload is encoded already. Where redaction leaves it as it is, it is spliced in, not
encoded again; and text deltas, which are most of all events, go the shortest way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Literal, get_origin

import msgspec
from msgspec.structs import replace

from ..errors import RemoteProtocolError
from ..journal import Journal
from ..journal.recovery import add
from ..link.runner import RunnerLink
from ..protocol import codec
from ..protocol.events import (
    JSON,
    BlockDelta,
    BlockFinished,
    BlockStarted,
    CommandDone,
    CommandFailed,
    Gap,
    RequestClosed,
    RequestOpened,
    Scope,
    SessionFinished,
    SessionSaved,
    SessionStarted,
    ToolFinished,
    ToolOutput,
    TurnFinished,
    TurnStarted,
    Warning_,
)
from ..redaction import RedactingStream, Redactor
from .ledger import AnyEvent, Ledger
from .merging import Held, Merger

Tap = Callable[[bytes], None]

_SHELLS_OWN = frozenset({
    SessionStarted, SessionFinished, SessionSaved, TurnStarted, TurnFinished, RequestOpened,
    RequestClosed, CommandDone, CommandFailed, Gap,
})  # fmt: skip
"""What an adapter cannot say: else a turn could have two endings, or a question no book."""


_IDS = frozenset({"id", "call", "request", "command", "key", "scope"})
"""Fields in which a rule could make two names alike: known secrets only. So is a block's
`message`."""


class Outlet:
    """Takes events in their final order and makes numbered, journaled, sent ones of them.

    Args:
        link: Numbers and sends.
        journal: Keeps, before the link sends.
        redactor: Replaces secrets.
        kick: Called when there is something to flush, once until it is flushed.
        now: Monotonic seconds.

    Attributes:
        taps: Called with each event as it is stored, once it is: the terminal's view, `--json`.
        ledger: What is open.
    """

    def __init__(
        self,
        link: RunnerLink,
        journal: Journal,
        redactor: Redactor,
        *,
        kick: Callable[[], None],
        now: Callable[[], float],
    ) -> None:
        self.taps: list[Tap] = []
        self.ledger = Ledger()
        self._link = link
        self._journal = journal
        self._redactor = redactor
        self._kick = kick
        self._now = now
        self._streams: dict[tuple[str, str | int], RedactingStream] = {}
        self._plain_names: tuple[str, Scope] | None = None
        self._merger = Merger()
        self._merging = False
        self._dirty = False
        self._shown: list[bytes] = []
        self._time = 0.0
        self._envelope = b""
        self._envelope_turn: str | None = None
        self._number = link.number
        self._journaled = link.journaled
        self._append = journal.append

    def restore(self, opened: Iterable[AnyEvent]) -> None:
        """Take over what a process before left open, as the events that opened it."""
        for event in opened:
            self.ledger.admit(event)
            if isinstance(event, BlockDelta):
                self.ledger.heard(event.message, event.index, event.text)

    def flush(self) -> None:
        """Have everything that was said journaled, and then shown.

        Nothing of it may be sent or acted upon before this returns. The events of one flush have
        the time at which the first of them was said.

        Raises:
            JournalBroken: It cannot be kept.
        """
        self._dirty = False
        self._envelope_turn = self._plain_names = None
        self._journal.flush()
        if self._shown:
            shown, self._shown = self._shown, []
            for encoded in shown:
                for tap in self.taps:
                    tap(encoded)

    def merge(self, on: bool) -> None:
        """Merge deltas from now on, while there is pressure; or write what waited, and no more."""
        self._merging = on
        if not on:
            self._write_held()

    def emitted(self, payload: bytes, turn: str) -> None:
        """An adapter's event: repaired where its order is wrong, and told of."""
        delta = codec.decode_delta(payload)
        if delta is not None:
            texts = self.ledger.texts(delta.message, delta.index)
            if texts is not None:
                self._take_delta(delta, texts, payload, turn)
                return
        try:
            event = codec.decode_emitted(payload)
        except RemoteProtocolError as error:
            self._drop(str(error), turn)
            return
        if type(event) in _SHELLS_OWN:
            self._drop(f"{event.__struct_config__.tag!r} is the shell's to say", turn)
            return
        self._admit(event, payload, turn)

    def say(self, event: AnyEvent, turn: str = "") -> None:
        """An event of the shell's own."""
        for piece in self._redacted(event):
            self._write(piece, turn)

    def _take_delta(self, delta: BlockDelta, texts: list[str], payload: bytes, turn: str) -> None:
        stream = self._stream(delta.message, delta.index)
        text = stream.feed(delta.text)
        if not text:
            return
        add(text, texts)
        if text != delta.text or self._renamed(delta):
            delta, payload = self._delta(delta.message, delta.index, text, delta.scope), b""
        if self._merging:
            self._write(delta, turn)
        else:
            self._write_payload(payload or codec.encode_payload(delta), delta, turn, lingers=True)

    def close_open_things(self, turn: str, *, waiting: bool) -> None:
        """Write the endings that a turn left out."""
        for message, index in self.ledger.open_blocks():
            self._flush_block(message, index, turn)
        for ending in self.ledger.close_all(keep_tools_and_steps=waiting):
            for piece in self._redacted(ending):
                self._write(piece, turn)
        if not waiting:
            self._streams.clear()

    def _drop(self, why: str, turn: str) -> None:
        self.say(Warning_(code="invalid_event", message=f"an event was dropped: {why}"), turn)

    def _admit(self, event: AnyEvent, payload: bytes, turn: str) -> None:
        if isinstance(event, BlockFinished):
            self._flush_block(event.message, event.index, turn)
        elif isinstance(event, ToolFinished):
            self._flush_tool(event.call, turn)
        for admitted in self.ledger.admit(event):
            for piece in self._redacted(admitted):
                if piece is event:
                    self._write(piece, turn, payload)
                else:
                    self._write(piece, turn)
        for repair in self.ledger.take_repairs() if self.ledger.repairs else ():
            self.say(Warning_(code="adapter_order", message=repair), turn)

    # --- redaction ---------------------------------------------------------------------------

    def _redacted(self, event: AnyEvent) -> list[AnyEvent]:
        if isinstance(event, BlockDelta):
            text = self._stream(event.message, event.index).feed(event.text)
            if not text:
                return []
            self.ledger.heard(event.message, event.index, text)
            return [self._delta(event.message, event.index, text, event.scope)]
        if isinstance(event, ToolOutput):
            text = self._stream("", event.call).feed(event.text)
            return [self._whole(replace(event, text=text))] if text else []
        return [self._whole(event)]

    def _delta(self, message: str, index: int, text: str, scope: Scope) -> BlockDelta:
        """A delta whose text is redacted already; a second time would see other edges."""
        name = self._redactor.identifier(message)
        return BlockDelta(
            message=name, index=index, text=text, scope=tuple(map(self._redactor.identifier, scope))
        )

    def _renamed(self, delta: BlockDelta) -> bool:
        """Whether its names hold a secret; asked once for each message and scope."""
        names = (delta.message, delta.scope)
        if names != self._plain_names:
            if any(
                self._redactor.identifier(name) != name for name in (delta.message, *delta.scope)
            ):
                return True
            self._plain_names = names
        return False

    def _whole(self, event: AnyEvent) -> AnyEvent:
        changed: dict[str, JSON] = {}
        ids = _IDS | {"message"} if isinstance(event, BlockStarted | BlockFinished) else _IDS
        for field in _open_fields(type(event)):
            plain = msgspec.to_builtins(getattr(event, field))
            redacted = self._ids(plain) if field in ids else self._redactor.payload(plain)
            if redacted != plain:
                changed[field] = redacted
        return replace(event, **changed) if changed else event

    def _ids(self, value: JSON) -> JSON:
        if isinstance(value, list | tuple):
            return type(value)(map(self._ids, value))  # a list where a tuple was counts as changed
        return self._redactor.identifier(value) if isinstance(value, str) else value

    def _stream(self, message: str, part: str | int) -> RedactingStream:
        key = (message, part)
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = self._redactor.stream()
        return stream

    def _flush_block(self, message: str, index: int, turn: str) -> None:
        stream = self._streams.pop((message, index), None)
        rest = stream.finish() if stream is not None else ""
        scope = self.ledger.open_blocks().get((message, index))
        if rest and scope is not None:
            self.ledger.heard(message, index, rest)
            self._write(self._delta(message, index, rest, scope), turn)

    def _flush_tool(self, call: str, turn: str) -> None:
        stream = self._streams.pop(("", call), None)
        rest = stream.finish() if stream is not None else ""
        if rest:
            scope = self.ledger.scope_of_tool(call)
            self._write(self._whole(ToolOutput(call=call, text=rest, scope=scope)), turn)

    # --- writing -----------------------------------------------------------------------------

    def _write(self, event: AnyEvent, turn: str, payload: bytes = b"") -> None:
        lingers = type(event) is BlockDelta or type(event) is ToolOutput
        if self._merging and isinstance(event, BlockDelta | ToolOutput):
            held = self._merger.take(event, turn)
            if held is not None:
                self._write_merged(held)
            return
        if self._merger.holds:
            self._write_held()
        self._write_payload(payload or codec.encode_payload(event), event, turn, lingers=lingers)

    def _write_held(self) -> None:
        held = self._merger.release()
        if held is not None:
            self._write_merged(held)

    def _write_merged(self, held: Held) -> None:
        delta = held.merged()
        self._write_payload(codec.encode_payload(delta), delta, held.turn, lingers=True)

    def _write_payload(self, payload: bytes, event: AnyEvent, turn: str, *, lingers: bool) -> None:
        if not self._dirty:
            self._dirty = True
            self._kick()
        if turn != self._envelope_turn:
            time = datetime.now(UTC).isoformat(timespec="milliseconds")
            self._envelope, self._envelope_turn = codec.envelope(time, turn), turn
            self._time = self._now()
        seq = self._number()
        encoded = codec.number_within(payload, seq, self._envelope)
        self._append(seq, encoded, event, turn)
        self._journaled(seq, len(encoded), lingers=lingers, now=self._time)
        if self.taps:
            self._shown.append(encoded)


@cache
def _open_fields(event: type[AnyEvent]) -> tuple[str, ...]:
    """All fields but those that hold a word of the vocabulary, no secret even if one is alike."""
    return tuple(
        field.name
        for field in msgspec.structs.fields(event)
        if get_origin(field.type) is not Literal
    )
