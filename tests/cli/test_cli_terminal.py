"""`runner-shell run` in a terminal: answers, messages, Ctrl-C, Ctrl-D; and SIGINT without one."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from pseudo_terminal import CTRL_C, CTRL_D, Desk
from real_processes import Launcher, eventually, exists, script

from runner_shell.cli.screen import cells

WORKING = {"say": "working"}


def ask(**fields: object) -> dict[str, object]:
    return {"ask": {"title": "Deploy?", "options": ["yes", "no"], "default": "no"} | fields}


def test_a_question_is_answered_by_number(desk: Desk) -> None:
    """A question shows its options; the typed number is the answer, and the person's name by it."""
    terminal = desk.run(ask())
    terminal.expect(r"\? Deploy\?\s+1\) yes\s+2\) no")
    terminal.type("1\n")
    assert terminal.wait() == 0
    assert 'answered: "yes"' in terminal.screen
    assert "\x1b[" in terminal.screen


def test_a_wrong_answer_is_refused_and_can_be_given_again(desk: Desk) -> None:
    """What is no option is refused with a reason; the question stays open."""
    terminal = desk.run(ask())
    terminal.expect("2\\) no")
    terminal.type("perhaps\n")
    terminal.expect("refused: the answer must be one of")
    terminal.type("no\n")
    assert terminal.wait() == 0
    assert 'answered: "no"' in terminal.screen


def test_a_question_is_answered_by_its_own_number(desk: Desk) -> None:
    """`#1 ANSWER` answers the question with that number, and no other one."""
    terminal = desk.run(ask(), options=("--interactive",))
    terminal.expect("2\\) no")
    terminal.type("#7 yes\n")
    terminal.expect("no question #7 is open; open: #1")
    terminal.type("#1 2\n")
    terminal.expect('answered: "no"')
    terminal.type(CTRL_D)
    assert terminal.wait() == 0


def test_a_message_while_a_question_waits(desk: Desk) -> None:
    """`> TEXT` is a message, which closes the question; a plain line would have answered it."""
    terminal = desk.run(ask(), options=("--interactive",))
    terminal.expect("2\\) no")
    terminal.type("> never mind\n")
    terminal.expect("superseded")
    terminal.expect("\nnever mind")
    terminal.type(CTRL_D)
    assert terminal.wait() == 0


@pytest.mark.parametrize("columns", [20, 40])
def test_a_narrow_window(desk: Desk, columns: int) -> None:
    """In a narrow window nothing is wider than it, and words stay whole."""
    said = "the quick brown fox jumps over the lazy dog 日本語のテキスト"
    tool = {"tool": {"name": "grep", "input": {"pattern": "x" * 90}, "output": "y" * 90}}
    terminal = desk.run({"say": said}, tool, columns=columns)
    assert terminal.wait() == 0
    lines = terminal.plain().splitlines()
    assert [line for line in lines if cells(line) > columns] == []
    assert said.replace(" ", "") in "".join(lines).replace(" ", "")
    assert {"brown", "jumps"} <= {word for line in lines for word in line.split()}


@pytest.mark.parametrize("variable", ["NO_COLOR", "TERM"])
def test_a_terminal_without_colour(desk: Desk, variable: str) -> None:
    """Where colours are not wanted, or cannot be, none are written."""
    prompt = script({"think": "hm"}, {"say": "hello"})
    value = {"NO_COLOR": "1", "TERM": "dumb"}[variable]
    command = ("run", "--adapter", "scripted", "--prompt", prompt)
    terminal = desk.open(*command, **{variable: value})
    assert terminal.wait() == 0
    assert "\x1b" not in terminal.screen
    assert "(thinking) hm" in terminal.screen


def test_an_empty_line_is_the_default(desk: Desk) -> None:
    """Enter alone takes the default."""
    terminal = desk.run(ask())
    terminal.expect("2\\) no")
    terminal.type("\n")
    assert terminal.wait() == 0
    assert 'answered: "no"' in terminal.screen


@pytest.mark.slow
def test_a_question_nobody_answers_gets_its_default(desk: Desk) -> None:
    """When the time is up, the default is the answer, and it is said that it expired."""
    terminal = desk.run(ask(timeout_seconds=0.3))
    assert terminal.wait() == 0
    assert " s by default: " in terminal.screen
    assert 'expired: "no"' in terminal.screen


def test_messages_and_ctrl_d(desk: Desk) -> None:
    """In an interactive session a line is a message; Ctrl-D ends it in order."""
    terminal = desk.run(options=("--interactive",))
    terminal.expect("session started")
    terminal.type("hello there\n")
    terminal.expect("turn completed")
    terminal.type(CTRL_D)
    assert terminal.wait() == 0
    assert "session completed" in terminal.screen


@pytest.mark.slow
def test_three_times_ctrl_c(desk: Desk) -> None:
    """The first Ctrl-C interrupts the turn, the second stops in order, the third at once."""
    terminal = desk.run(WORKING, {"stubborn": 60}, options=("--interactive",))
    terminal.expect("working")
    terminal.type(CTRL_C)
    terminal.expect("interrupting the turn; Ctrl-C again stops the session")
    terminal.type(CTRL_C)
    terminal.expect("stopping in order; Ctrl-C again ends at once")
    terminal.type(CTRL_C)
    assert terminal.wait() == 130
    assert "session stopped" not in terminal.screen, "nothing is at once that says how it ended"


@pytest.mark.slow
def test_each_turn_has_a_first_ctrl_c(desk: Desk) -> None:
    """A turn that was interrupted long ago does not make the next Ctrl-C stop the session."""
    terminal = desk.run(WORKING, {"delay": 60}, options=("--interactive",))
    terminal.expect("working")
    terminal.type(CTRL_C)
    terminal.expect("turn interrupted")
    terminal.type(script({"say": "again"}, {"delay": 60}) + "\n")
    terminal.expect("\nagain")
    terminal.type(CTRL_C)
    terminal.expect("turn interrupted", count=2)
    terminal.type(CTRL_D)
    assert terminal.wait() == 130
    assert "session interrupted" in terminal.screen


@pytest.mark.slow
def test_the_second_ctrl_c_stops_in_order(desk: Desk) -> None:
    """After an interrupt, a second Ctrl-C ends an idle interactive session with its ending."""
    terminal = desk.run(WORKING, {"delay": 60}, options=("--interactive",))
    terminal.expect("working")
    terminal.type(CTRL_C)
    terminal.expect("turn interrupted")
    terminal.type(CTRL_C)
    assert terminal.wait() == 130
    assert "session stopped: stopped by Ctrl-C" in terminal.screen


def test_ctrl_c_without_interactive(desk: Desk) -> None:
    """Where no other message can come, interrupting the turn is the end: 130."""
    terminal = desk.run(WORKING, {"delay": 60})
    terminal.expect("working")
    terminal.type(CTRL_C)
    assert terminal.wait() == 130
    assert "session interrupted: Ctrl-C" in terminal.screen


def test_ctrl_c_while_idle_stops(desk: Desk) -> None:
    """Without a turn to interrupt, the first Ctrl-C already stops the session."""
    terminal = desk.run(options=("--interactive",))
    terminal.expect("session started")
    terminal.type(CTRL_C)
    assert terminal.wait() == 130
    assert "session stopped" in terminal.screen


def test_a_closed_terminal_ends_the_session(desk: Desk, launch: Launcher) -> None:
    """When the window is closed, nothing that the agent started lives on."""
    pid_file = launch.directory / "pid"
    leave = ["setsid", "sh", "-c", f"echo $$ > {pid_file}; exec sleep 600"]
    terminal = desk.run({"spawn": leave}, WORKING, {"delay": 60})
    terminal.expect("working")
    left = eventually(lambda: _pid(pid_file), "the agent's process")
    terminal.process.send_signal(signal.SIGHUP)
    assert terminal.wait() == 143
    eventually(lambda: not exists(left), "the end of what the agent started")


@pytest.mark.slow
def test_sigint_without_a_terminal_drains(launch: Launcher) -> None:
    """Without a terminal the first SIGINT stops the session in order, with its endings."""
    run = launch.scripted(WORKING, {"delay": 60}, options=("--json", "--interactive"))
    eventually(lambda: "block.delta" in run.types(), "the turn's text")
    run.process.send_signal(signal.SIGINT)
    assert run.wait() == 130
    endings = {e["type"]: e["outcome"] for e in run.events() if e["type"].endswith("n.finished")}
    assert endings == {"turn.finished": "stopped", "session.finished": "stopped"}


def test_a_second_sigint_without_a_terminal_ends_at_once(launch: Launcher) -> None:
    """Without a terminal the second SIGINT does not wait for a stubborn agent."""
    prompt = script(WORKING, {"stubborn": 600})
    run = launch.cli(
        *("run", "--adapter", "scripted", "--prompt", prompt, "--json"),
        RUNNER_GRACE_SECONDS="600",
    )
    eventually(lambda: "block.delta" in run.types(), "the turn's text")
    runner = run.runner
    run.process.send_signal(signal.SIGINT)

    def gone() -> bool:
        # Two signals of a kind that come together are one: the second has to be another.
        run.process.send_signal(signal.SIGINT)
        return not exists(runner)

    eventually(gone, "the end, without the agent's")
    assert run.wait() == 130


def _pid(file: Path) -> int | None:
    return int(file.read_text()) if file.exists() and file.read_text().strip() else None
