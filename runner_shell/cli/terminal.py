"""A session in this terminal: what it says is shown, what is typed goes to it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, ParamSpec, Self

from ..protocol import codec
from .keyboard import Keyboard, Submit
from .questions import Questions
from .screen import Screen
from .view import EventView

P = ParamSpec("P")


class Terminal:
    """Shows events, as a person reads them or as JSON lines, and listens to the keyboard.

    Args:
        submit: Sends a command.
        json_lines: Whether each event is printed as stored.
        listens: Whether anything typed is read.
        interactive: Whether messages are taken, besides answers.
        prefix: What the ids of typed commands begin with.
        at_end: Called at the end of the input (Ctrl-D).
        also_mine: Id of another command that whoever sits here gave.
    """

    def __init__(
        self,
        submit: Submit,
        *,
        json_lines: bool,
        listens: bool,
        interactive: bool,
        prefix: str,
        at_end: Callable[[Terminal], None],
        also_mine: str = "",
    ) -> None:
        self._also_mine = also_mine
        self._listens = listens
        self._questions = Questions()
        self._keyboard = Keyboard(
            submit,
            self._questions,
            interactive=interactive,
            prefix=prefix,
            at_end=lambda: at_end(self),
        )
        self._view = None if json_lines else self._shown()

    def __enter__(self) -> Self:
        if self._listens:
            self._keyboard.listen(sys.stdin.fileno())
        return self

    def __exit__(self, *exception: object) -> None:
        if self._listens:
            self._keyboard.stop()
        if self._view is not None:
            even_if_nobody_reads(self._view.finish)()

    def show(self, event: bytes) -> None:
        """Show one stored event."""
        if self._view is not None:
            even_if_nobody_reads(self._view.show)(event)
            return
        self._questions.follow(codec.decode_payload(event))
        even_if_nobody_reads(print_line)(event)

    def send(self, **command: Any) -> None:
        """Send a command behind what was typed before."""
        self._keyboard.send(**command)

    def _shown(self) -> EventView:
        return EventView(Screen.of_stdout(), self._questions, is_mine=self._is_mine)

    def _is_mine(self, command: str) -> bool:
        return command == self._also_mine or self._keyboard.is_mine(command)


def print_line(encoded: bytes) -> None:
    """Print one line of JSON, exactly these bytes."""
    sys.stdout.buffer.write(encoded + b"\n")
    sys.stdout.buffer.flush()


def even_if_nobody_reads(show: Callable[P, None]) -> Callable[P, None]:
    """Show until the reader of a pipe is gone; the session itself goes on."""

    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            show(*args, **kwargs)
        except BrokenPipeError:
            # The descriptor itself, so that what is buffered already has somewhere to go too.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    return guarded
