"""The one way out, in one order.

redact (a stream per block or tool call) → merge → number → encode once → journal → link. Everything
that leaves a runner comes through here; finished content is built from what was redacted.

An adapter's payload is never spliced in: it may hold more than the event that was read from it.
Text deltas, which are most of all events, go the shortest way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from ...errors import RemoteProtocolError
from ...journal import Journal
from ...journal.recovery import add
from ...link.runner import RunnerLink
from ...protocol import codec
from ...protocol.events import (
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
from .ledger import AnyEvent, Ledger
from .merging import Held, Merger
from .safeguard import Safeguard
from .streams import Key, Later, Streams, never

Tap = Callable[[bytes], None]

_SHELLS_OWN = frozenset({
    SessionStarted, SessionFinished, SessionSaved, TurnStarted, TurnFinished, RequestOpened,
    RequestClosed, CommandDone, CommandFailed, Gap,
})  # fmt: skip
"""What an adapter cannot say: else a turn could have two endings, or a question no book."""


_BEGINNINGS = frozenset({SessionStarted, TurnStarted})


class Outlet:
    """Takes events in their final order and makes numbered, journaled, sent ones of them.

    Args:
        link: Numbers and sends.
        journal: Keeps, before the link sends.
        guard: Replaces secrets, and looks a last time.
        kick: Called when there is something to flush, once until it is flushed.
        now: Monotonic seconds.
        later: Calls a function after so many seconds: idle streams let go of what is harmless.

    Attributes:
        taps: Called with each event as it is stored, once it is: the terminal's view, `--json`.
        ledger: What is open.
    """

    def __init__(
        self,
        link: RunnerLink,
        journal: Journal,
        guard: Safeguard,
        *,
        kick: Callable[[], None],
        now: Callable[[], float],
        later: Later = never,
    ) -> None:
        self.taps: list[Tap] = []
        self.ledger = Ledger()
        self._link = link
        self._journal = journal
        self._guard = guard
        self._kick = kick
        self._now = now
        self._streams = Streams(guard, self._release, later)
        self._plain_names: tuple[str, Scope, int] | None = None
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
        self._envelope_turn = None
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
                self._take_delta(delta, texts, turn)
                return
        try:
            event = codec.decode_emitted(payload)
        except RemoteProtocolError as error:
            self._drop(str(error), turn)
            return
        if type(event) in _SHELLS_OWN:
            self._drop(f"{event.__struct_config__.tag!r} is the shell's to say", turn)
            return
        self._admit(event, turn)

    def say(self, event: AnyEvent, turn: str = "") -> None:
        """An event of the shell's own."""
        for piece in self._redacted(event, turn):
            self._write(piece, turn)

    def _take_delta(self, delta: BlockDelta, texts: list[str], turn: str) -> None:
        text = self._streams.feed((delta.message, delta.index), delta.text, turn)
        if not text:
            return
        add(text, texts)
        if text != delta.text or self._renamed(delta):
            delta = self._delta(delta.message, delta.index, text, delta.scope)
        if self._merging:
            self._write(delta, turn)
        else:
            self._write_out(delta, turn, lingers=True)

    def close_open_things(self, turn: str, *, waiting: bool) -> None:
        """Write the endings that a turn left out."""
        for message, index in self.ledger.open_blocks():
            self._flush_block(message, index, turn)
        for ending in self.ledger.close_all(keep_tools_and_steps=waiting):
            for piece in self._redacted(ending, turn):
                self._write(piece, turn)
        if waiting:
            self._streams.rest()
        else:
            self._streams.clear()

    def _drop(self, why: str, turn: str) -> None:
        self.say(Warning_(code="invalid_event", message=f"an event was dropped: {why}"), turn)

    def _admit(self, event: AnyEvent, turn: str) -> None:
        if isinstance(event, BlockFinished):
            self._flush_block(event.message, event.index, turn)
        elif isinstance(event, ToolFinished):
            self._flush_tool(event.call, turn)
        for admitted in self.ledger.admit(event):
            for piece in self._redacted(admitted, turn):
                self._write(piece, turn)
        for repair in self.ledger.take_repairs() if self.ledger.repairs else ():
            self.say(Warning_(code="adapter_order", message=repair), turn)

    # --- redaction ---------------------------------------------------------------------------

    def _redacted(self, event: AnyEvent, turn: str) -> list[AnyEvent]:
        if isinstance(event, BlockDelta):
            text = self._streams.feed((event.message, event.index), event.text, turn)
            if not text:
                return []
            self.ledger.heard(event.message, event.index, text)
            return [self._delta(event.message, event.index, text, event.scope)]
        if isinstance(event, ToolOutput):
            text = self._streams.feed(("", event.call), event.text, turn)
            return [self._output(event.call, text, event.scope)] if text else []
        return [self._guard.event(event)]

    def _delta(self, message: str, index: int, text: str, scope: Scope) -> BlockDelta:
        """A delta whose text is redacted already; a second time would see other edges."""
        name = self._guard.identifier
        return BlockDelta(
            message=name(message), index=index, text=text, scope=tuple(map(name, scope))
        )

    def _output(self, call: str, text: str, scope: Scope) -> ToolOutput:
        """The same of a tool."""
        name = self._guard.identifier
        return ToolOutput(call=name(call), text=text, scope=tuple(map(name, scope)))

    def _renamed(self, delta: BlockDelta) -> bool:
        """Whether its names hold a secret; asked once for each message, scope, and new secret."""
        names = (delta.message, delta.scope, self._guard.redactor.registry.size)
        if names != self._plain_names:
            if any(self._guard.identifier(name) != name for name in (delta.message, *delta.scope)):
                return True
            self._plain_names = names
        return False

    def _flush_block(self, message: str, index: int, turn: str) -> None:
        self._release((message, index), self._streams.finish((message, index)), turn)

    def _flush_tool(self, call: str, turn: str) -> None:
        self._release(("", call), self._streams.finish(("", call)), turn)

    def _release(self, key: Key, text: str, turn: str) -> None:
        """Write what a stream let go of, where it belongs."""
        if not text:
            return
        message, part = key
        if isinstance(part, str):
            self._write(self._output(part, text, self.ledger.scope_of_tool(part)), turn)
            return
        scope = self.ledger.open_blocks().get((message, part))
        if scope is not None:
            self.ledger.heard(message, part, text)
            self._write(self._delta(message, part, text, scope), turn)

    # --- writing -----------------------------------------------------------------------------

    def _write(self, event: AnyEvent, turn: str) -> None:
        lingers = type(event) is BlockDelta or type(event) is ToolOutput
        if self._merging and isinstance(event, BlockDelta | ToolOutput):
            held = self._merger.take(event, turn)
            if held is not None:
                self._write_merged(held)
            return
        if self._merger.held:
            self._write_held()
        self._write_out(event, turn, lingers=lingers)

    def _write_held(self) -> None:
        held = self._merger.release()
        if held is not None:
            self._write_merged(held)

    def _write_merged(self, held: Held) -> None:
        self._write_out(held.merged(), held.turn, lingers=True)

    def _write_out(self, event: AnyEvent, turn: str, *, lingers: bool) -> None:
        event, payload = self._guard.last_look(event, codec.encode_payload(event))
        # Told before, as nothing may follow on an ending; but behind what everything else follows.
        if self._guard.troubles and type(event) not in _BEGINNINGS:
            self._tell(turn)
        self._number_and_keep(event, payload, turn, lingers=lingers)
        if self._guard.troubles:
            self._tell(turn)

    def _tell(self, turn: str) -> None:
        """Say that redaction failed; nothing looks at these, as they hold no content."""
        for trouble in self._guard.take_troubles():
            self._number_and_keep(trouble, codec.encode_payload(trouble), turn, lingers=False)

    def _number_and_keep(
        self, event: AnyEvent, payload: bytes, turn: str, *, lingers: bool
    ) -> None:
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
