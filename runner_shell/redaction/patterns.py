"""Finds fixed strings: known secrets in their forms, and the anchors of rules.

The automaton knows only the first `HEAD` characters of each string. What stands in the text is
compared at a hit, which is rare. So it stays small and quick to build however long the secrets
are, and the same hit finds a string that has begun and is not complete.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
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
    """

    __slots__ = ("_buckets", "_search", "begun", "patterns")

    def __init__(self, patterns: Iterable[Pattern], *, quick: bool = False) -> None:
        self.patterns = tuple(patterns)
        by_head: dict[str, list[Pattern]] = {}
        for pattern in self.patterns:
            by_head.setdefault(pattern.text[:HEAD], []).append(pattern)
        self.begun = frozenset(head[:size] for head in by_head for size in range(1, len(head)))
        self._buckets = [Bucket(found) for found in by_head.values()]
        self._search = _compile(list(by_head), quick=quick) if by_head else None

    def hits(self, text: str) -> list[tuple[int, Bucket]]:
        """Every position where a head stands, with what may follow there.

        Raises:
            UnicodeEncodeError: The text holds a surrogate.
        """
        if self._search is None:
            return []
        found = self._search.find_matches_as_indexes(text, True)
        if not found:
            return []
        buckets = self._buckets
        return [(start, buckets[index]) for index, start, _ in found]


def _compile(heads: list[str], *, quick: bool) -> AhoCorasick:
    from ahocorasick_rs import AhoCorasick, Implementation, MatchKind

    quick = quick or len(heads) > DFA_LIMIT
    kind = Implementation.ContiguousNFA if quick else Implementation.DFA
    return AhoCorasick(heads, MatchKind.Standard, False, kind)
