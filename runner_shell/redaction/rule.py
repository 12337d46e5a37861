"""One rule: what a kind of credential looks like, so that a stream can decide it as it comes.

A rule is *prefix-decidable*: a fixed anchor, then a bounded expression, then a run of characters
of one class. Once anchor and expression are complete, no later character can undo the match, so
the body needs no buffer however long it is, and chunking cannot change the result.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from .reach import placeholder

if TYPE_CHECKING:
    from typing import Any

MAX_HEAD = 512
"""Characters behind its anchor within which a rule must be decided: what a stream may hold."""

ALPHANUMERIC = "A-Za-z0-9"

Evidence = Literal["vendor", "observed", "unconfirmed"]
"""How a format is known.

`vendor`: the source states prefix and length, or shows a whole value. `observed`: the vendor's
code or tests, examples in public, or a published study of formats show both. `unconfirmed`: the
prefix is known, the length is a guess.
"""


class Hit(NamedTuple):
    """A rule's match.

    Attributes:
        start: Where the secret begins, which is at or behind the anchor.
        end: Where it ends, as far as the text goes.
        running: Whether it touches the text's end and goes on with the next characters.
    """

    start: int
    end: int
    running: bool


class Open:
    """The text ends before the rule can be decided."""


OPEN = Open()


class Beginnings(Protocol):
    """Says where in a stretch of a text other secrets begin."""

    def __call__(
        self, text: str, first: int, last: int, /, *, final: bool
    ) -> Iterable[tuple[int, bool]]:
        """Positions in order, each with whether that is certain."""


Runs = dict["Rule", tuple[int, int]]
"""Where each rule's last run began and ended, so that none is measured twice."""


def nowhere(text: str, first: int, last: int, /, *, final: bool) -> Iterable[tuple[int, bool]]:
    """There are none: a rule by itself knows of no others."""
    return ()


@dataclass(frozen=True, eq=False)
class Rule:
    r"""What a kind of credential looks like.

    Attributes:
        name: Lower case with hyphens; the placeholder is made of it.
        vendor: Whose credential it is.
        anchors: Fixed beginnings, at least two characters each; three where they are common.
        then: What follows an anchor, a regular expression of bounded length. A group called
            `secret` says which part is redacted, and with `run` what follows it; without one it is
            everything from the anchor on.
        source: Where the vendor documents the format, or speaks of the credential.
        examples: Texts that contain a match; invented values.
        counter_examples: Texts that look alike and must stay as they are.
        run: A regular expression for one character; the match goes on as long as it fits.
        before: Characters, as inside of brackets, that may not stand before the anchor.
        closed: Whether a letter or digit right behind the match undoes it, unless another secret
            begins there, or the match is longer than `MAX_HEAD`.
        context: Whether it goes by what surrounds a value, not by the value's own format.
        evidence: How the format is known.
    """

    name: str
    vendor: str
    anchors: tuple[str, ...]
    then: str
    source: str
    examples: tuple[str, ...]
    counter_examples: tuple[str, ...] = ()
    run: str = ""
    before: str = ALPHANUMERIC
    closed: bool = False
    context: bool = False
    evidence: Evidence = "unconfirmed"

    @cached_property
    def begins_words(self) -> bool:
        """Whether no letter and no digit may stand before it."""
        return ALPHANUMERIC in self.before

    @cached_property
    def placeholder(self) -> str:
        """What stands for a match: `[REDACTED:NAME]`."""
        return placeholder(self.name.replace("-", "_").upper())

    def match(
        self,
        text: str,
        start: int,
        behind: int,
        *,
        fresh: bool,
        final: bool,
        beginnings: Beginnings = nowhere,
        runs: Runs | None = None,
    ) -> Hit | Open | None:
        """What the rule says of an anchor: a `Hit`, `OPEN`, or None where it does not match.

        Args:
            text: The text as far as it is known.
            start: Where the anchor begins.
            behind: Where it ends.
            fresh: Whether what stands before the anchor was redacted, and so cannot be part of it.
            final: Whether nothing more will come.
            beginnings: Says where other secrets begin, for a match that ends at one.
            runs: Where the runs of matches before this one were, in the same text; kept up.
        """
        if not fresh and start and self._before is not None and self._before(text, start - 1):
            return None
        found = self._then(text, behind)
        if found is None:
            is_open = (
                not final and len(text) - behind < MAX_HEAD and self._could_match(text, behind)
            )
            return OPEN if is_open else None
        end = self._run(text, found.end(), {} if runs is None else runs)
        at_end = end == len(text)
        if self.closed and end - behind < MAX_HEAD:
            if not at_end and _WORD(text, end):
                others = beginnings(text, behind, end, final=final)
                return self._cut_short(text, start, behind, others)
            if at_end and not final:
                return OPEN
        if self._is_part and not self.run:
            return Hit(found.start("secret"), found.end("secret"), False)
        return Hit(self._first(start, found), end, at_end and bool(self.run))

    def _cut_short(
        self, text: str, start: int, behind: int, within: Iterable[tuple[int, bool]]
    ) -> Hit | Open | None:
        """The match that ends where another secret begins: its placeholder is no letter."""
        for position, stands in within:
            found = self._then(text, behind, position)
            if found is not None and self._end(text, found, position) == position:
                return Hit(self._first(start, found), position, False) if stands else OPEN
        return None

    def _run(self, text: str, first: int, runs: Runs) -> int:
        """Where the match ends: in a run that is known, where that does."""
        if not self.run:
            return first
        begun, end = runs.get(self, (0, -1))
        if not begun <= first <= end:
            end = self.runner(text, first).end()
            runs[self] = first, end
        return end

    def _end(self, text: str, found: re.Match[str], limit: int) -> int:
        return self.runner(text, found.end(), limit).end() if self.run else found.end()

    def _first(self, start: int, found: re.Match[str]) -> int:
        return found.start("secret") if self._is_part else start

    @cached_property
    def runner(self) -> Any:
        """Bound `match` of the body: `runner(text, position).end()` is where it ends."""
        return re.compile(f"(?:{self.run})*").match

    @cached_property
    def _then(self) -> Any:
        return re.compile(self.then).match

    @cached_property
    def _is_part(self) -> bool:
        return "(?P<secret>" in self.then

    @cached_property
    def _before(self) -> Any:
        return re.compile(f"[{self.before}]").match if self.before else None

    @cached_property
    def _partial(self) -> Any:
        import regex  # the only engine with partial matches; not before the first text

        return regex.compile(self.then).match

    def _could_match(self, text: str, behind: int) -> bool:
        return self._partial(text, behind, partial=True) is not None


_WORD = re.compile(f"[{ALPHANUMERIC}]").match
