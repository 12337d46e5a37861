"""What a typed line means while questions are open."""

from __future__ import annotations

from typing import Any

import pytest

from runner_shell import events
from runner_shell.cli.questions import Questions, meaning, parse_answer


def asked(id: str, **fields: Any) -> events.RequestOpened:
    return events.RequestOpened(id=id, key=id, kind="question", title=f"{id}?", **fields)


def open_ones(*ids: str) -> Questions:
    questions = Questions()
    for id in ids:
        questions.follow(asked(id, options=("yes", "no")))
    return questions


def answer(request: str, value: Any) -> dict[str, Any]:
    return {"type": "request.answer", "request": request, "answer": value}


def message(content: str) -> dict[str, Any]:
    return {"type": "turn.start", "content": content}


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("1", answer("a", "yes")),
        ("perhaps", answer("a", "perhaps")),
        ("#2 1", answer("b", "yes")),
        ("#2", answer("b", None)),
        ("", answer("a", None)),
        ("> hello", message("hello")),
        ("#5 no", "no question #5 is open; open: #1, #2"),
    ],
)
def test_a_line_while_two_are_open(line: str, meant: Any) -> None:
    """The oldest is answered, or the one that is named; `>` is a message."""
    assert meaning(line, open_ones("a", "b"), interactive=True) == meant


@pytest.mark.parametrize(
    ("line", "interactive", "meant"),
    [
        ("hello", True, message("hello")),
        ("#2 is a number", True, message("#2 is a number")),
        ("", True, ""),
        ("", False, ""),
    ],
)
def test_a_line_while_none_is_open(line: str, interactive: bool, meant: Any) -> None:
    """It is a message, where messages are taken."""
    assert meaning(line, Questions(), interactive=interactive) == meant


def test_a_line_that_nobody_takes_is_said() -> None:
    """A message to a session that takes none is not dropped without a word."""
    said = meaning("hello", Questions(), interactive=False)
    assert "takes no messages" in str(said)


def test_the_next_line_answers_the_next_question() -> None:
    """A question that is being answered is left out, until the answer is refused."""
    questions = open_ones("a", "b")
    questions.answering("a", "key-1")
    assert meaning("1", questions, interactive=True) == answer("b", "yes")
    questions.follow(events.CommandFailed(command="key-1", code="invalid"))
    assert meaning("1", questions, interactive=True) == answer("a", "yes")
    questions.follow(events.RequestClosed(id="a", how="answered"))
    assert meaning("1", questions, interactive=True) == answer("b", "yes")


def test_numbers_begin_again() -> None:
    """Once none is open, the next question is the first."""
    questions = open_ones("a", "b")
    for id in ("a", "b"):
        questions.follow(events.RequestClosed(id=id, how="cancelled"))
    questions.follow(asked("c"))
    assert questions.number("c") == 1


OPTIONS = ("yes", {"label": "Later", "value": {"in": 5}}, {"label": "Never"})


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("1", "yes"),
        ("2", {"in": 5}),
        ("3", "Never"),
        ("4", "4"),
        ("²", "²"),
        ("", "no"),
        ('{"a": 1}', {"a": 1}),
        ("[1, 2", "[1, 2"),
        ("true", True),
        ("truely", "truely"),
        ('"1"', "1"),
    ],
)
def test_an_answer(line: str, meant: Any) -> None:
    """A number chooses an option, JSON is JSON, an empty line the default, all else is text."""
    assert parse_answer(line, asked("a", options=OPTIONS, default="no")) == meant
