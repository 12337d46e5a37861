"""Pressure merges, never drops: consecutive deltas become one before they are numbered. Pure.

What crossed together is joined already (`joining`), to save the work; this saves numbers and room
in the journal, for as long as the gateway takes nothing.

Source: PROTOCOL, promise 2.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import replace

from ...protocol.events import BlockDelta, ToolOutput

MERGED_CHARACTERS = 32 * 1024
"""What a merged delta holds at most, but for its last piece: it still fits a frame."""

Delta = BlockDelta | ToolOutput


class Held(NamedTuple):
    """A delta that waits for more of the same.

    Attributes:
        delta: The first piece.
        turn: Its turn.
        texts: All pieces, in order.
    """

    delta: Delta
    turn: str
    texts: list[str]

    def merged(self) -> Delta:
        """All pieces as one."""
        if len(self.texts) == 1:
            return self.delta
        return replace(self.delta, text="".join(self.texts))


class Merger:
    """Holds one delta back, and adds to it what directly follows of the same block or tool call.

    Whoever writes something else calls `release` before, so that no order changes.

    Attributes:
        held: What waits, if anything.
    """

    def __init__(self) -> None:
        self.held: Held | None = None
        self._characters = 0

    def take(self, delta: Delta, turn: str) -> Held | None:
        """Take a delta in; returns what is to be written before it, if anything."""
        held = self.held
        if held is not None and self._characters < MERGED_CHARACTERS and _alike(held, delta, turn):
            held.texts.append(delta.text)
            self._characters += len(delta.text)
            return None
        self.held = Held(delta, turn, [delta.text])
        self._characters = len(delta.text)
        return held

    def release(self) -> Held | None:
        """What waited, to be written now."""
        held, self.held = self.held, None
        return held


def _alike(held: Held, delta: Delta, turn: str) -> bool:
    one = held.delta
    if held.turn != turn or one.scope != delta.scope:
        return False
    if isinstance(one, BlockDelta) and isinstance(delta, BlockDelta):
        return one.message == delta.message and one.index == delta.index
    return isinstance(one, ToolOutput) and isinstance(delta, ToolOutput) and one.call == delta.call
