"""Finds fixed strings: known secrets in their forms, and the anchors of rules.

The automaton knows only the first `HEAD` characters of each string. What stands in the text is
compared at a hit, which is rare. So it stays small and quick to build however long the secrets
are, and the same hit finds a string that has begun and is not complete.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ahocorasick_rs import AhoCorasick

    from .rule import Rule

HEAD = 5
"""Characters of a string that the automaton looks for; all values that are known have more."""

DFA_LIMIT = 8_000
"""With more heads than this the automaton is one that is slower, smaller and quicker to build."""


@dataclass(slots=True, eq=False)
class Literal:
    """A known secret in one of its forms.

    Attributes:
        text: The string.
        placeholder: What stands for it.
        offset: How many of its first characters are context, and stay.
        whole_word: Whether letters and digits around it make it something else.
    """

    text: str
    placeholder: str
    offset: int = 0
    whole_word: bool = False


@dataclass(slots=True, eq=False)
class Anchor:
    """A beginning that rules have in common."""

    text: str
    rules: list[Rule] = field(default_factory=list)


Pattern = Literal | Anchor

Search = Callable[[str, bool], Sequence[tuple[int, int, int]]]


class Bucket:
    """The patterns that have a head in common.

    Attributes:
        longest: Length of the longest.
    """

    __slots__ = ("_by_key", "_key_length", "_texts", "longest")

    def __init__(self, patterns: list[Pattern]) -> None:
        self._key_length = min(len(pattern.text) for pattern in patterns)
        self._by_key: dict[str, list[Pattern]] = {}
        for pattern in patterns:
            self._by_key.setdefault(pattern.text[: self._key_length], []).append(pattern)
        self._texts = sorted({pattern.text for pattern in patterns})
        self.longest = max(map(len, self._texts))

    def complete(self, text: str, start: int) -> list[Pattern]:
        """The patterns that stand in the text at a position, whole."""
        found = self._by_key.get(text[start : start + self._key_length])
        if found is None:
            return []
        return [pattern for pattern in found if text.startswith(pattern.text, start)]

    def begun(self, tail: str) -> list[str]:
        """The strings that this tail of a text is a proper beginning of."""
        index = bisect_right(self._texts, tail)
        found = []
        while index < len(self._texts) and self._texts[index].startswith(tail):
            found.append(self._texts[index])
            index += 1
        return found

    def has_begun(self, tail: str) -> bool:
        """Whether there is one."""
        index = bisect_right(self._texts, tail)
        return index < len(self._texts) and self._texts[index].startswith(tail)

    def literal(self, text: str) -> Literal | None:
        """The known secret with this very text."""
        for pattern in self._by_key.get(text[: self._key_length], ()):
            if isinstance(pattern, Literal) and pattern.text == text:
                return pattern
        return None


class Automaton:
    """Patterns, compiled; immutable.

    Args:
        patterns: The strings to find.
        quick: Whether it should be quick to build rather than to search.

    Attributes:
        patterns: What it was made of.
        begun: Every proper beginning of a head, and so everything a text can end in that could
            become a hit.
        begun_in_words: Those of them that could do so behind a letter or a digit.
        search: Finds heads in a text: each one's index, where it begins, and where it ends. Raises
            `UnicodeEncodeError` where the text holds a surrogate.
    """

    __slots__ = ("_buckets", "begun", "begun_in_words", "patterns", "search")

    def __init__(self, patterns: Iterable[Pattern], *, quick: bool = False) -> None:
        self.patterns = tuple(patterns)
        by_head: dict[str, list[Pattern]] = {}
        for pattern in self.patterns:
            by_head.setdefault(pattern.text[:HEAD], []).append(pattern)
        self.begun = _beginnings(by_head)
        self.begun_in_words = _beginnings(
            head for head, found in by_head.items() if any(map(_stands_in_words, found))
        )
        self._buckets = [Bucket(found) for found in by_head.values()]
        heads = list(by_head)
        self.search: Search = (
            _compile(heads, quick=quick).find_matches_as_indexes if heads else _nowhere
        )

    def at(self, found: Sequence[tuple[int, int, int]], since: int) -> list[tuple[int, Bucket]]:
        """Every position where a head stands, with what may follow there, in order.

        Args:
            found: What `search` found in the text from a position on.
            since: That position.
        """
        if not found:
            return []
        buckets = self._buckets
        hits = [(start + since, buckets[index]) for index, start, _ in found]
        if len(hits) > 1:
            hits.sort(key=itemgetter(0))
        return hits


def _beginnings(heads: Iterable[str]) -> frozenset[str]:
    return frozenset(head[:size] for head in heads for size in range(1, len(head)))


def _stands_in_words(pattern: Pattern) -> bool:
    """Whether a pattern can match where a letter or a digit stands before it."""
    if isinstance(pattern, Literal):
        return not pattern.whole_word
    return any(not rule.begins_words for rule in pattern.rules)


def _nowhere(text: str, overlapping: bool) -> Sequence[tuple[int, int, int]]:
    return ()


def _compile(heads: list[str], *, quick: bool) -> AhoCorasick:
    from ahocorasick_rs import AhoCorasick, Implementation, MatchKind

    quick = quick or len(heads) > DFA_LIMIT
    kind = Implementation.ContiguousNFA if quick else Implementation.DFA
    return AhoCorasick(heads, MatchKind.Standard, False, kind)
