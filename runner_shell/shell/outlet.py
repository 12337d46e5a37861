"""The one way out, in one order.

redact (a stream per block or tool call) → number → encode once → journal → link. Everything that
leaves a runner comes through here; finished content is built from what was redacted.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Literal, get_origin

import msgspec
from msgspec.structs import replace

from ..errors import RemoteProtocolError
from ..journal import Journal
from ..link.runner import RunnerLink
from ..protocol import codec
from ..protocol.events import (
    JSON,
    BlockDelta,
    BlockFinished,
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
from ..redaction import Redactor, Stream
from .ledger import AnyEvent, Ledger

Tap = Callable[[bytes], None]

_SHELLS_OWN = (
    SessionStarted | SessionFinished | SessionSaved | TurnStarted | TurnFinished | RequestOpened
    | RequestClosed | CommandDone | CommandFailed | Gap
)  # fmt: skip
"""What an adapter cannot say: else a turn could have two endings, or a question no book."""


class Outlet:
    """Takes events in their final order and makes numbered, journaled, sent ones of them.

    Args:
        link: Numbers and sends.
        journal: Keeps, before the link sends.
        redactor: Replaces secrets.
        kick: Called when there is something to send.
        now: Monotonic seconds.

    Attributes:
        taps: Called with each event as it is stored: the terminal's view, `--json`.
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
        self._streams: dict[tuple[str, str], Stream] = {}

    def emitted(self, payload: bytes, turn: str) -> None:
        """An adapter's event: repaired where its order is wrong, and told of."""
        try:
            event = codec.decode_payload(payload)
        except RemoteProtocolError as error:
            self._drop(str(error), turn)
            return
        if isinstance(event, _SHELLS_OWN):
            self._drop(f"{event.__struct_config__.tag!r} is the shell's to say", turn)
            return
        self._admit(event, turn)

    def say(self, event: AnyEvent, turn: str = "") -> None:
        """An event of the shell's own."""
        for piece in self._redacted(event):
            self._write(piece, turn)

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

    def _admit(self, event: AnyEvent, turn: str) -> None:
        if isinstance(event, BlockFinished):
            self._flush_block(event.message, event.index, turn)
        elif isinstance(event, ToolFinished):
            self._flush_tool(event.call, turn)
        for admitted in self.ledger.admit(event):
            for piece in self._redacted(admitted):
                self._write(piece, turn)
        for repair in self.ledger.take_repairs():
            self.say(Warning_(code="adapter_order", message=repair), turn)

    # --- redaction ---------------------------------------------------------------------------

    def _redacted(self, event: AnyEvent) -> list[AnyEvent]:
        if isinstance(event, BlockDelta):
            text = self._stream(event.message, str(event.index)).feed(event.text)
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
        name = self._redactor.text(message)
        return BlockDelta(
            message=name, index=index, text=text, scope=tuple(map(self._redactor.text, scope))
        )

    def _whole(self, event: AnyEvent) -> AnyEvent:
        if self._redactor.registry.snapshot.pattern is None:
            return event
        changed: dict[str, JSON] = {}
        for field in _open_fields(type(event)):
            plain = msgspec.to_builtins(getattr(event, field))
            redacted = self._redactor.value(plain)
            if redacted != plain:
                changed[field] = redacted
        return replace(event, **changed) if changed else event

    def _stream(self, message: str, part: str) -> Stream:
        key = (message, part)
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = self._redactor.stream()
        return stream

    def _flush_block(self, message: str, index: int, turn: str) -> None:
        stream = self._streams.pop((message, str(index)), None)
        rest = stream.flush() if stream is not None else ""
        scope = self.ledger.open_blocks().get((message, index))
        if rest and scope is not None:
            self.ledger.heard(message, index, rest)
            self._write(self._delta(message, index, rest, scope), turn)

    def _flush_tool(self, call: str, turn: str) -> None:
        stream = self._streams.pop(("", call), None)
        rest = stream.flush() if stream is not None else ""
        if rest:
            scope = self.ledger.scope_of_tool(call)
            self._write(self._whole(ToolOutput(call=call, text=rest, scope=scope)), turn)

    # --- writing -----------------------------------------------------------------------------

    def _write(self, event: AnyEvent, turn: str) -> None:
        seq = self._link.number()
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        encoded = codec.number(codec.encode_payload(event), seq=seq, time=time, turn=turn)
        self._journal.append(seq, encoded)
        lingers = isinstance(event, BlockDelta | ToolOutput)
        self._link.journaled(seq, len(encoded), lingers=lingers, now=self._now())
        self._kick()
        for tap in self.taps:
            tap(encoded)


@cache
def _open_fields(event: type[AnyEvent]) -> tuple[str, ...]:
    """All fields but those that hold a word of the vocabulary, no secret even if one is alike."""
    return tuple(
        field.name
        for field in msgspec.structs.fields(event)
        if get_origin(field.type) is not Literal
    )
