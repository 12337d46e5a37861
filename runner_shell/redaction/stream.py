"""A text that comes in pieces, redacted as if it had come whole.

Everything is a function of the text alone: a *span* is where a known secret stands or a rule
matches; spans that overlap are one, and one placeholder stands for them. The stream decides
positions from left to right and never goes back: what has been decided is emitted or dropped, what
could still become a secret is held. How the text was cut cannot matter, as no decision looks at it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING

from .beginnings import beginnings, unfinished
from .patterns import HEAD, Anchor, Bucket, Literal
from .rule import Hit, Open, Runs
from .spans import Reach, Span

if TYPE_CHECKING:
    from .patterns import Automaton

CONTEXT = 256
"""Decided characters that are kept: what rules look back at, and late secrets may reach into."""

SMALL = 4096
"""A longer piece is likely to have something in it."""

MOST_CONTEXT = 1024
"""So many may be kept: cutting them off at each piece costs more than they do."""

VISIBLE = 3
"""Characters of something that could become a secret which an idle stream may show."""

SURROGATE = re.compile("[\ud800-\udfff]")
REPLACEMENT = "\ufffd"

_WORD = re.compile("[A-Za-z0-9]").match

Layers = tuple["Automaton", ...]


class RedactingStream:
    """Redacts a text that comes in pieces; how it is cut never changes the result.

    Held back is only what could still become a secret: at most the longest known secret, what a
    rule needs to be decided, or the one behind the other. A match that goes on and on is dropped
    as it comes.

    Args:
        layers: Returns the automata of the moment; the same object as long as nothing was added.
        exact: Whether only known secrets are redacted, and no rule applies.
    """

    __slots__ = (
        "_at",
        "_exact",
        "_layers",
        "_raw",
        "_reach",
        "_seen",
        "_shown",
        "_since",
        "_spans",
    )

    def __init__(self, layers: Callable[[], Layers], *, exact: bool = False) -> None:
        self._layers = layers
        self._seen = layers()
        self._exact = exact
        self._raw = ""
        self._at = 0  # what is before is decided
        self._since = 0  # from here on is searched: a secret added late may begin before `_at`
        self._shown = 0  # what is before was emitted or dropped
        self._reach = Reach()
        self._spans: list[Span] = []

    @property
    def held(self) -> int:
        """Characters that are held back."""
        return len(self._raw) - self._shown

    @property
    def waiting(self) -> bool:
        """Whether `idle` could have something to say."""
        return bool(self._spans) or len(self._raw) > self._shown

    def feed(self, text: str) -> str:
        """Take a piece in and return what is safe to show."""
        layers = self._layers()
        since = self._since
        # Most pieces hold nothing and begin nothing: this is `_advance` without the rest.
        plain = not self._spans and layers is self._seen and self._shown == since
        if not plain or len(layers) > 1 or len(text) > SMALL:
            return self._advance(layers, text, final=False)
        piece, text = text, self._raw + text
        try:
            found = layers[0].search(text[since:], True)
        except UnicodeEncodeError:
            return self._advance(layers, piece, final=False)
        if found:
            return self._go_on(layers, text, layers[0].at(found, since), final=False)
        stop = self._begun_plainly(layers[0], text)
        shown = text[since:stop]
        if stop > MOST_CONTEXT:
            cut = stop - CONTEXT
            text, stop = text[cut:], CONTEXT
            self._reach.shift(-cut)
        self._raw, self._at, self._since, self._shown = text, stop, stop, stop
        return shown

    def finish(self, text: str = "") -> str:
        """The text has ended: return what was held back.

        A tail that is at least half of a known secret, and at least 8 characters, is redacted.

        Args:
            text: The last piece, if there is one.
        """
        shown = self._advance(self._layers(), text, final=True)
        self._raw = ""
        self._at = self._since = self._shown = 0
        self._reach, self._spans = Reach(), []
        return shown

    def idle(self) -> str:
        """Nothing has come for a while: return what may be shown without knowing how it goes on.

        A placeholder that is due comes at once. Of what could become a secret at most 3 characters
        become visible, ever; it is redacted from there on if it does become one.
        """
        if self._spans and self._spans[0].start < self._at:
            return self._announce(self._spans[0])
        until = min(self._at + VISIBLE, len(self._raw))
        if self._spans:
            until = min(until, self._spans[0].start)
        shown, self._shown = self._raw[self._shown : until], max(until, self._shown)
        return shown

    def _announce(self, span: Span) -> str:
        if span.announced:
            return ""
        span.announced = True
        return span.placeholder

    # --- what is where -----------------------------------------------------------------------

    def _advance(self, layers: Layers, piece: str, *, final: bool) -> str:
        if layers is not self._seen:
            self._seen, self._since = layers, 0
        text = self._raw + piece if self._raw else piece
        try:
            hits = self._hits(layers, text)
        except UnicodeEncodeError:
            text = SURROGATE.sub(REPLACEMENT, text)
            hits = self._hits(layers, text)
        return self._go_on(layers, text, hits, final=final)

    def _go_on(
        self, layers: Layers, text: str, hits: list[tuple[int, Bucket]], *, final: bool
    ) -> str:
        """Decide what can be, emit it, and keep the rest."""
        if self._spans:
            self._run_on(text)
        stop = len(text) if final else self._begun(layers, text)
        if hits:
            stop = self._look(text, hits, stop, final=final)
        hold = max(stop, self._at)
        shown = self._emit(text, hold, final=final) if self._spans else text[self._shown : hold]
        self._keep(text, hold, stop)
        return shown

    def _hits(self, layers: Layers, text: str) -> list[tuple[int, Bucket]]:
        since = self._since
        searched = text[since:] if since else text
        hits = layers[0].at(layers[0].search(searched, True), since)
        for layer in layers[1:]:
            hits += layer.at(layer.search(searched, True), since)
        if len(layers) > 1:
            hits.sort(key=itemgetter(0))
        return hits

    def _begun(self, layers: Layers, text: str) -> int:
        """Where the earliest tail begins that is too short to be a hit, and may become one."""
        length = len(text)
        start = max(self._since, length - HEAD + 1)
        if len(layers) == 1:
            begun = layers[0].begun
            while start < length and text[start:] not in begun:
                start += 1
            return start
        while start < length and not any(text[start:] in layer.begun for layer in layers):
            start += 1
        return start

    def _begun_plainly(self, layer: Automaton, text: str) -> int:
        """The same where there are no hits, so that it is known what stands before the tail.

        A beginning that only rules have, and none of them inside of a word, is none there: unless
        what stands before was redacted. With hits that could turn out later.
        """
        length = len(text)
        begun, start = layer.begun, max(self._since, length - HEAD + 1)
        while start < length:
            tail = text[start:]
            if tail in begun and (
                tail in layer.begun_in_words
                or start == self._reach.end
                or not (start and _WORD(text, start - 1))
            ):
                return start
            start += 1
        return start

    def _run_on(self, text: str) -> None:
        """Let matches that touched the end of what was known go on."""
        length, known = len(text), len(self._raw)
        for span in self._spans:
            if span.runs:
                ends = [(run(text, known).end(), run) for run in span.runs]
                span.end = max(span.end, *(end for end, _ in ends))
                span.runs = tuple(run for end, run in ends if end == length)
                if span.start < self._at:
                    self._reach.grow(span.end)

    def _look(self, text: str, hits: list[tuple[int, Bucket]], stop: int, *, final: bool) -> int:
        """Decide hits in order, up to the first that cannot be; return where that is."""
        index = 0
        runs: Runs = {}
        while index < len(hits):
            start = hits[index][0]
            if start >= stop:
                break
            spans: list[Span] = []
            while index < len(hits) and hits[index][0] == start:
                found = self._at_hit(text, start, hits[index][1], runs, final=final)
                if found is None:
                    return start
                spans += found
                index += 1
            for span in spans:
                self._found(span, start)
        return stop

    def _found(self, span: Span, position: int) -> None:
        span.start = max(span.start, self._at)
        if span.end > max(self._at, self._shown):  # else all of it was visible before it was known
            self._spans.append(span)
            self._reach.add(span, position)

    def _at_hit(
        self, text: str, start: int, bucket: Bucket, runs: Runs, *, final: bool
    ) -> list[Span] | None:
        """The spans that begin here; None where that cannot be said yet."""
        spans: list[Span] = []
        for pattern in bucket.complete(text, start):
            if isinstance(pattern, Literal):
                found = self._literal(text, start, pattern, final=final)
            elif start >= self._at:
                found = self._rules(text, start, pattern, runs, final=final)
            else:
                continue  # decided before
            if found is None:
                return None
            spans += found
        if len(text) - start < bucket.longest:
            if final:
                literal = unfinished(bucket, text, start)
                if literal is not None:
                    spans.append(Span(start, len(text), literal.placeholder, (2, 0)))
            elif bucket.has_begun(text[start:]):
                return None
        return spans

    def _literal(
        self, text: str, start: int, literal: Literal, *, final: bool
    ) -> list[Span] | None:
        end = start + len(literal.text)
        if literal.whole_word:
            if start and not self._reach.ends_at(start) and _WORD(text, start - 1):
                return []
            if end == len(text):
                if not final:
                    return None
            elif _WORD(text, end):
                behind = self._beginnings(text, end, end, final=final)
                if not behind:
                    return []
                if not behind[0][1]:
                    return None
        rank = (2, len(literal.text))
        return [Span(start + literal.offset, end, literal.placeholder, rank)]

    def _rules(
        self, text: str, start: int, anchor: Anchor, measured: Runs, *, final: bool
    ) -> list[Span] | None:
        if self._exact:
            return []
        spans = []
        behind = start + len(anchor.text)
        fresh = self._reach.ends_at(start)
        for rule in anchor.rules:
            found = rule.match(
                text,
                start,
                behind,
                fresh=fresh,
                final=final,
                beginnings=self._beginnings,
                runs=measured,
            )
            if isinstance(found, Open):
                return None
            if isinstance(found, Hit):
                runs = (rule.runner,) if found.running else ()
                rank = (0 if rule.context else 1, 0)
                spans.append(Span(found.start, found.end, rule.placeholder, rank, runs))
        return spans

    def _beginnings(
        self, text: str, first: int, last: int, *, final: bool
    ) -> list[tuple[int, bool]]:
        found = beginnings(self._seen, text, first, last, exact=self._exact, final=final)
        found.update(dict.fromkeys(self._reach.begins(first, last), True))
        return sorted(found.items())

    # --- what goes out -----------------------------------------------------------------------

    def _emit(self, text: str, hold: int, *, final: bool) -> str:
        """Emit what is decided; keep the span that reaches over it, and those behind."""
        out: list[str] = []
        cursor = self._shown
        later: list[Span] = []
        current: Span | None = None
        self._spans.sort(key=attrgetter("start"))
        for span in self._spans:
            if span.start >= hold:
                later.append(span)
            elif current is not None and span.start < current.end:
                current.absorb(span)
            else:
                if current is not None:
                    cursor = self._close(current, cursor, out)
                current = span
                if span.start > cursor:
                    out.append(text[cursor : span.start])
                    cursor = span.start
        if current is not None and not final and (current.runs or current.end > hold):
            later.insert(0, current)
        else:
            if current is not None:
                cursor = self._close(current, cursor, out)
            out.append(text[cursor:hold])
        self._spans = later
        return "".join(out)

    def _close(self, span: Span, cursor: int, out: list[str]) -> int:
        if not span.announced:
            out.append(span.placeholder)
        return max(span.end, cursor)

    def _keep(self, text: str, hold: int, stop: int) -> None:
        self._reach.move_to(hold)
        shown = max(hold, self._shown)
        cut = min(hold - CONTEXT, stop)
        if cut > 0:
            text = text[cut:]
            hold, stop, shown = hold - cut, stop - cut, shown - cut
            self._reach.shift(-cut)
            for span in self._spans:
                span.shift(-cut)
        self._raw, self._at, self._since, self._shown = text, hold, stop, shown
