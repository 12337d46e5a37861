"""The stretches of a text that placeholders stand for, and how far they reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Span:
    """A stretch of the text that a placeholder stands for.

    Attributes:
        start: Where it begins.
        end: Where it ends, as far as that is known.
        placeholder: What stands for it.
        rank: Whose placeholder wins where spans overlap: known secrets before formats before
            contexts, a longer secret before a shorter one.
        runs: What makes it go on, while it touches the text's end.
        announced: Whether the placeholder has been emitted.
    """

    start: int
    end: int
    placeholder: str
    rank: tuple[int, int]
    runs: tuple[Callable[[str, int], Any], ...] = ()
    announced: bool = False

    def absorb(self, other: Span) -> None:
        """Make one of two that overlap; this is the one that begins first."""
        if other.rank > self.rank:
            self.placeholder, self.rank = other.placeholder, other.rank
        self.end = max(self.end, other.end)
        self.runs = tuple(dict.fromkeys(self.runs + other.runs))

    def shift(self, by: int) -> None:
        """Move it, as the text's beginning was cut off."""
        self.start += by
        self.end += by


class Reach:
    """How far those spans reach that begin before a position, which only goes forwards.

    Of `password=…` the name stays: the span is found where that stands, and begins behind it. Until
    a position comes there, what stands before it ends where something else does.

    Attributes:
        end: The end of what begins before the last position.
    """

    __slots__ = ("_ahead", "end")

    def __init__(self) -> None:
        self.end = 0
        self._ahead: list[Span] = []

    def add(self, span: Span, position: int) -> None:
        """A span was found at a position."""
        if span.start > position:
            self.move_to(position)
            self._ahead.append(span)
        else:
            self.grow(span.end)

    def grow(self, end: int) -> None:
        """One of them goes on."""
        self.end = max(self.end, end)

    def move_to(self, position: int) -> None:
        """Count in what begins before this one."""
        if self._ahead:
            self.end = max([self.end, *(one.end for one in self._ahead if one.start < position)])
            self._ahead = [one for one in self._ahead if one.start >= position]

    def ends_at(self, position: int) -> bool:
        """Whether what stands right before a position was redacted, and nothing goes beyond it."""
        self.move_to(position)
        return position == self.end

    def begins(self, first: int, last: int) -> list[int]:
        """Where the spans begin that are still ahead, within these positions."""
        return [one.start for one in self._ahead if first <= one.start <= last]

    def shift(self, by: int) -> None:
        """Move it, as the text's beginning was cut off; the spans are moved by whoever has them."""
        self.end += by
