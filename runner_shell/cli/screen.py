"""Text on a terminal or into a pipe: wrapped at words, painted, and without an agent's controls."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from typing import NamedTuple, TextIO

DIM, BOLD, RED, YELLOW, GREEN, PLAIN = (
    "\x1b[2m",
    "\x1b[1m",
    "\x1b[31m",
    "\x1b[33m",
    "\x1b[32m",
    "",
)
_RESET = "\x1b[0m"

LINE = 100
"""How long a shortened line may be where no terminal says its width."""

NARROWEST = 20
TAB = 8

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_PIECE = re.compile(r"\n|[ \t]+|[^ \t\n]+")


class Span(NamedTuple):
    """A piece of a line in one style.

    Attributes:
        text: The text.
        style: One of the styles of this module.
    """

    text: str
    style: str = PLAIN


class Screen:
    """Writes streamed text and whole lines.

    Args:
        out: Where to write.
        colour: Whether to use ANSI styles.
        width: Tells the terminal's width in cells, anew for each line, as windows change; None
            where nothing is to be wrapped.
    """

    def __init__(
        self, out: TextIO, *, colour: bool = False, width: Callable[[], int] | None = None
    ) -> None:
        self._out = out
        self.colour = colour
        self._width = width
        self._column = 0
        self._space = ""
        self._word = ""
        self._style = PLAIN
        self._painted = PLAIN

    @classmethod
    def of_stdout(cls) -> Screen:
        """Colour and wrapping where stdout is a terminal, colour unless somebody said no."""
        with_terminal = sys.stdout.isatty()
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        if hasattr(sys.stdout, "reconfigure"):  # an ASCII locale shows `?`, and is no error
            sys.stdout.reconfigure(errors="replace")
        return cls(
            sys.stdout,
            colour=with_terminal and not plain,
            width=_terminal_width if with_terminal else None,
        )

    @property
    def in_line(self) -> bool:
        """Whether something stands in the current line."""
        return bool(self._column or self._word or self._space)

    def text(self, text: str, style: str = PLAIN) -> None:
        """Write more of a running text; its last word waits for its end where lines are wrapped."""
        text = harmless(text)
        if self._width is None:
            self._put(text, style)
            return
        if style != self._style:
            self._end_word()
            self._style = style
        for piece in _PIECE.findall(text):
            if piece[0] == "\n":
                self._end_word()
                self._newline()
            elif piece[0] in " \t":
                self._end_word()
                self._space += piece
            else:
                self._add_to_word(piece)

    def line(self, *spans: Span, indent: int = 0) -> None:
        """Write a line of its own, its continuations indented."""
        self.fresh()
        self._write_spans(spans, indent)
        self._newline()

    def open_line(self, *spans: Span) -> None:
        """Begin a line that `append` may go on with; it takes no more than the width."""
        self.fresh()
        self._fit(spans, self._limit())

    def append(self, *spans: Span, otherwise: tuple[Span, ...]) -> None:
        """Go on with the open line and end it; a new line begins `otherwise` where it is full."""
        limit = self._limit()
        if not self.in_line or self._column + min(cells(_joined(spans)), limit // 3) > limit:
            self.fresh()
            self._fit(otherwise, limit)
        self._fit(spans, limit)
        self._newline()

    def short_line(self, *spans: Span) -> None:
        """Write a line of its own, cut off at the width."""
        self.open_line(*spans)
        self._newline()

    def fresh(self) -> None:
        """End a line that is open."""
        self._end_word()
        self._space = ""
        if self._column:
            self._newline()

    def flush(self) -> None:
        """Show what is written so far; what is typed meanwhile has no style."""
        self._paint(PLAIN)
        self._out.flush()

    # --- how -----------------------------------------------------------------------------

    def _limit(self) -> int:
        return LINE if self._width is None else max(NARROWEST, self._width())

    def _write_spans(self, spans: tuple[Span, ...], indent: int) -> None:
        if self._width is None:
            for span in spans:
                self._put(harmless(span.text), span.style)
            return
        for span in spans:
            for number, part in enumerate(harmless(span.text).split("\n")):
                if number:
                    self._break(indent)
                self._wrap(part, span.style, indent)
        self._end_word()

    def _wrap(self, text: str, style: str, indent: int) -> None:
        for run in _PIECE.findall(text):
            if run[0] in " \t":
                self._space += run
                continue
            for piece in _breakable(run):
                space, self._space = self._space, ""
                full = cells(space + piece, self._column) > self._limit()
                if full and self._column > indent:
                    self._break(indent)
                else:
                    self._put(space, style)
                self._put_word(piece, style, indent)

    def _fit(self, spans: tuple[Span, ...], limit: int) -> None:
        for span in spans:
            text = _shortened(harmless(span.text).replace("\n", " "), limit - self._column)
            self._put(text, span.style)

    def _add_to_word(self, run: str) -> None:
        for piece in _breakable(run):
            if self._word and (_is_wide(piece[0]) or _is_wide(self._word[0])):
                self._end_word()
            self._word += piece
            if cells(self._word) >= self._limit():
                self._end_word()

    def _end_word(self) -> None:
        word, space = self._word, self._space
        if not word:
            return
        self._word = self._space = ""
        if self._column and cells(space + word, self._column) > self._limit():
            self._newline()
        else:
            self._put(space, self._style)
        self._put_word(word, self._style, 0)

    def _put_word(self, word: str, style: str, indent: int) -> None:
        """Write a word that begins where it fits, or is longer than any line."""
        while self._column + cells(word) > self._limit() and cells(word) > 1:
            head = _head(word, self._limit() - self._column)
            if not head:
                break
            self._put(head, style)
            self._break(indent)
            word = word[len(head) :]
        self._put(word, style)

    def _break(self, indent: int) -> None:
        self._newline()
        self._put(" " * indent, PLAIN)

    def _paint(self, style: str) -> None:
        if not self.colour or style == self._painted:
            return
        if self._painted:
            self._out.write(_RESET)
        self._out.write(style)
        self._painted = style

    def _newline(self) -> None:
        self._paint(PLAIN)
        self._out.write("\n")
        self._column = 0
        self._space = ""

    def _put(self, text: str, style: str) -> None:
        if not text:
            return
        self._paint(style)
        self._out.write(text)
        last = text.rpartition("\n")[2]
        self._column = cells(last, 0 if "\n" in text else self._column)


def harmless(text: str) -> str:
    """Text without the control characters by which an agent could take a terminal over."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def cells(text: str, start: int = 0) -> int:
    """Where the cursor is after this text, from column `start`: wide characters take two cells."""
    from rich.cells import cell_len

    if "\t" not in text:
        return start + cell_len(text)
    column = start
    for number, part in enumerate(text.split("\t")):
        if number:
            column += TAB - column % TAB
        column += cell_len(part)
    return column


def _terminal_width() -> int:
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or 80
    except (OSError, ValueError):  # it went away
        return 80


def _joined(spans: tuple[Span, ...]) -> str:
    return "".join(span.text for span in spans)


def _is_wide(character: str) -> bool:
    return not character.isascii() and cells(character) == 2


def _breakable(run: str) -> list[str]:
    """A run of characters as the pieces that stay together: a line may break at wide characters."""
    if run.isascii():
        return [run]
    pieces = [""]
    for character in run:
        joins = not pieces[-1] or not (_is_wide(character) or _is_wide(pieces[-1][0]))
        if joins or cells(character) == 0:
            pieces[-1] += character
        else:
            pieces.append(character)
    return pieces


def _head(text: str, width: int) -> str:
    """As much of the text as fits into so many cells."""
    end = 0
    while end < len(text) and cells(text[: end + 1]) <= width:
        end += 1
    return text[:end]


def _shortened(text: str, width: int) -> str:
    if cells(text) <= width:
        return text
    return f"{_head(text, width - 1)}…" if width > 1 else ""
