"""The questions that are open in a terminal, and what a typed line means while they are; pure."""

from __future__ import annotations

import json
import re
from typing import Any

from ..protocol.events import (
    JSON,
    CommandFailed,
    Event,
    RequestClosed,
    RequestOpened,
    UnknownEvent,
)

Command = dict[str, Any]

_NUMBERED = re.compile(r"#(\d{1,9})(?:\s+(.*))?")
_MESSAGE = ">"


class Questions:
    """What is asked and not answered yet, in order, each with the number it is shown under.

    One that is being answered is left out until the answer is refused or the question closed, so
    that the next line answers the next question.
    """

    def __init__(self) -> None:
        self._open: dict[str, tuple[int, RequestOpened]] = {}
        self._answering: dict[str, str] = {}

    def follow(self, event: Event | UnknownEvent) -> None:
        """Take in what an event changes."""
        match event:
            case RequestOpened():
                number = 1 + max((number for number, _ in self._open.values()), default=0)
                self._open[event.id] = (number, event)
            case RequestClosed():
                self._open.pop(event.id, None)
                self._answering.pop(event.id, None)
            case CommandFailed():
                self.refused(event.command)
            case _:
                pass

    def number(self, request: str) -> int:
        """The number of a question that is open."""
        return self._open[request][0]

    def answering(self, request: str, command: str) -> None:
        """An answer is on its way, under this command's id."""
        self._answering[request] = command

    def refused(self, command: str) -> None:
        """A command was refused: the question it was to answer can be answered again."""
        for request, answer in list(self._answering.items()):
            if answer == command:
                del self._answering[request]

    def waiting(self) -> list[tuple[int, RequestOpened]]:
        """Those that nobody here is answering, the oldest first."""
        return [entry for id, entry in self._open.items() if id not in self._answering]


def meaning(line: str, questions: Questions, *, interactive: bool) -> Command | str:
    """The command that a typed line is, without its id; or why it is none, which may be nothing.

    A line answers the oldest open question, `#2 ANSWER` the one with that number. Where none is
    open a line is a message, and `> TEXT` is one in any case.

    Args:
        line: What was typed.
        questions: What is open.
        interactive: Whether messages are taken.
    """
    waiting = questions.waiting()
    if waiting and not (line.startswith(_MESSAGE) and interactive):
        return _answer(line, waiting)
    text = line.removeprefix(_MESSAGE).strip()
    if not text:
        return ""
    if not interactive:
        return "nothing is asked just now, and this session takes no messages (see --interactive)"
    return {"type": "turn.start", "content": text}


def _answer(line: str, waiting: list[tuple[int, RequestOpened]]) -> Command | str:
    request, text = waiting[0][1], line
    if found := _NUMBERED.fullmatch(line):
        numbered = dict(waiting)
        number, text = int(found[1]), found[2] or ""
        if number not in numbered:
            known = ", ".join(f"#{one}" for one in numbered)
            return f"no question #{number} is open; open: {known}"
        request = numbered[number]
    return {
        "type": "request.answer",
        "request": request.id,
        "answer": parse_answer(text, request),
    }


def parse_answer(line: str, request: RequestOpened) -> JSON:
    """What a typed line means as an answer; an empty one is the default."""
    if not line:
        return request.default
    options = request.options
    if options and line.isascii() and line.isdigit() and 1 <= int(line) <= len(options):
        option = options[int(line) - 1]
        if isinstance(option, dict):
            return option.get("value", option.get("label"))
        return option
    return parse_value(line)


def parse_value(text: str) -> JSON:
    """JSON where it is an object, a list, a string, true, false or null; else the text itself."""
    if text[:1] in ("{", '"', "[") or text in ("true", "false", "null"):
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return text
    return text
