"""Where secrets begin in a stretch of a text: what stands before one ends there.

A key of a fixed length that a letter follows is a longer word, and no key; but a secret that
follows will be a placeholder, which begins with a bracket, and so the key is one. What begins here
is judged generously, by its own characters: by what stands around it would mean to look ahead
without end, along a chain of keys of which each is one if the next is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .patterns import HEAD, Literal

if TYPE_CHECKING:
    from .patterns import Automaton, Bucket

PARTIAL_LENGTH = 8
"""A text's tail of this many characters can be redacted as part of a secret."""


def beginnings(
    layers: Iterable[Automaton], text: str, first: int, last: int, *, exact: bool, final: bool
) -> dict[int, bool]:
    """Where a known secret or a rule's anchor begins.

    Args:
        layers: What is looked for.
        text: The text as far as it is known.
        first: The first position that is asked about.
        last: The last.
        exact: Whether rules do not count.
        final: Whether nothing more will come.

    Returns:
        By position, whether something stands there whole; otherwise the text ends before that is
        known.
    """
    found: dict[int, bool] = {}
    searched = text[first : last + HEAD]
    for layer in layers:
        for start, bucket in layer.at(layer.search(searched, True), first):
            if start <= last:
                stands = _stands(bucket, text, start, exact=exact, final=final)
                if stands or (not final and _has_begun(bucket, text, start)):
                    found[start] = stands or found.get(start, False)
        if not final:
            for start in range(max(first, len(text) - HEAD + 1), last + 1):
                if text[start:] in layer.begun:
                    found.setdefault(start, False)
    return found


def _stands(bucket: Bucket, text: str, start: int, *, exact: bool, final: bool) -> bool:
    if any(isinstance(one, Literal) or not exact for one in bucket.complete(text, start)):
        return True
    return final and unfinished(bucket, text, start) is not None


def _has_begun(bucket: Bucket, text: str, start: int) -> bool:
    return len(text) - start < bucket.longest and bucket.has_begun(text[start:])


def unfinished(bucket: Bucket, text: str, start: int) -> Literal | None:
    """The known secret that an ended text breaks off in, if a good part of it is there.

    Returns:
        The shortest of which the tail is at least half, and at least 8 characters.
    """
    length = len(text) - start
    if not PARTIAL_LENGTH <= length < bucket.longest:
        return None
    for begun in sorted(bucket.begun(text[start:]), key=len):
        literal = bucket.literal(begun)
        if literal is not None and not literal.offset and 2 * length >= len(begun):
            return literal
    return None
