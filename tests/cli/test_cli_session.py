"""The commands that a person gives a session at a gateway, against a real one with real runners."""

from __future__ import annotations

import json
import signal
import sys
from typing import Any

import pytest
from pseudo_terminal import CTRL_C, CTRL_D, Desk
from real_processes import Launcher, RealGateway, Started, eventually, script

ASK = {"ask": {"title": "Deploy?", "options": ["yes", "no"], "default": "no", "key": "k"}}
WORKING = {"say": "working"}


class Runner:
    """A runner as a container has it, at the gateway, and the commands about its session."""

    def __init__(self, launch: Launcher, gateway: RealGateway, prompt: str, **variables: str):
        self.session, token = gateway.create()
        self._launch = launch
        self._gateway = gateway
        self.process = launch.start(
            [sys.executable, "-m", "runner_shell"],
            **{
                "RUNNER_ADAPTER": "scripted",
                "RUNNER_GATEWAY": gateway.url,
                "BOT_TOKEN": token,
                "SESSION_ID": self.session,
                "PROMPT": prompt,
                "INTERACTIVE": "true",
                **variables,
            },
        )

    @property
    def place(self) -> dict[str, Any]:
        """The variables that say where the gateway is."""
        return {
            "RUNNER_GATEWAY": self._gateway.url,
            "BOT_TOKEN_FILE": self._gateway.token_file,
        }

    def cli(self, command: str, *arguments: str) -> Started:
        """Give a command about the session, and wait for its end."""
        done = self._launch.cli(command, self.session, *arguments, **self.place)
        done.wait()
        return done

    def wait_for(self, type: str, **fields: Any) -> dict[str, Any]:
        """Wait until the gateway has such an event."""
        return self._gateway.wait_for(self.session, type, **fields)


@pytest.fixture
def start(launch: Launcher, gateway: RealGateway) -> Any:
    """Starts a runner that plays actions."""

    def starting(*actions: dict[str, Any], **variables: str) -> Runner:
        return Runner(launch, gateway, script(*actions), **variables)

    return starting


def test_a_message_is_sent_once(start: Any) -> None:
    """`send` says what came of it; the same id again is told as such, and no second turn."""
    runner = start(WORKING)
    runner.wait_for("turn.finished")
    first = runner.cli("send", script({"say": "hello"}), "--command-id", "once", "--wait", "60")
    again = runner.cli("send", script({"say": "hello"}), "--command-id", "once", "--json")
    assert (first.process.returncode, first.out) == (0, "done, command 1\n")
    said = json.loads(again.out)
    assert (said["id"], said["seq"], said["new"], said["reply"]["type"]) == (
        *("once", 1, False, "command.done"),
    )
    stopped = runner.cli("stop", "--after-turn", "--wait", "0")
    assert stopped.out == "accepted as command 2; no runner has replied yet\n"
    assert runner.process.wait() == 0
    inputs = [e for e in runner._gateway.events(runner.session) if e["type"] == "turn.started"]
    assert len(inputs) == 2


def test_a_message_from_stdin(launch: Launcher, start: Any) -> None:
    """`send SESSION -` reads the text from stdin; an empty one is refused."""
    runner = start(WORKING)
    runner.wait_for("turn.finished")
    with launch.file("message", script({"say": "from a file"})).open("rb") as stdin:
        done = launch.cli("send", runner.session, "-", stdin=stdin, **runner.place)
    assert done.wait() == 0
    runner.wait_for("turn.finished", turn=runner.wait_for("turn.started", cause="message")["turn"])
    empty = runner.cli("send", "-")
    assert empty.process.returncode == 2
    assert "MESSAGE is empty" in empty.err


def test_a_question_is_listed_and_answered(start: Any) -> None:
    """`requests` shows what is asked, `answer` answers it by an option's number."""
    runner = start(ASK, INTERACTIVE="")
    opened = runner.wait_for("request.opened")
    listed = runner.cli("requests")
    assert f"? Deploy?  {runner.session}  {opened['id']}  question" in listed.out
    assert "  1) yes\n  2) no\n" in listed.out
    assert json.loads(runner.cli("requests", "--json").out)["request"]["id"] == opened["id"]
    answered = runner.cli("answer", "1", "--wait", "60")
    assert answered.out == "done, command 1\n"
    assert runner.process.wait() == 0
    closed = runner.wait_for("request.closed")
    assert (closed["answer"], closed["how"]) == ("yes", "answered")
    nothing = runner.cli("answer", "1")
    assert nothing.process.returncode == 2
    assert "asks nothing just now" in nothing.err


def test_a_refused_answer_is_told(start: Any) -> None:
    """A runner's refusal is said with its code, and the exit code is 1."""
    runner = start(WORKING)
    runner.wait_for("turn.finished")
    refused = runner.cli("answer", "yes", "--request", "none", "--wait", "60")
    assert refused.process.returncode == 1
    assert "refused, command 1: unknown_request: " in refused.out


def test_interrupt_and_stop(start: Any) -> None:
    """Both end what they say, with their reason."""
    runner = start(WORKING, {"delay": 600})
    runner.wait_for("block.delta")
    assert runner.cli("interrupt", "--reason", "enough").process.returncode == 0
    runner.wait_for("turn.finished", outcome="interrupted")
    assert runner.cli("stop", "--reason", "done for today").process.returncode == 0
    assert runner.process.wait() == 130
    assert runner.wait_for("session.finished")["outcome"] == "stopped"


def test_events_are_followed(launch: Launcher, start: Any) -> None:
    """`events --follow` shows what is stored and what comes, as it is stored; SIGINT ends it."""
    runner = start(WORKING)
    runner.wait_for("turn.finished")
    follow = launch.cli("events", runner.session, "--follow", "--json", **runner.place)
    eventually(lambda: "turn.finished" in follow.types(), "the history")
    runner.cli("send", script({"say": "hello"}))
    eventually(lambda: follow.types().count("turn.finished") == 2, "the news")
    follow.process.send_signal(signal.SIGINT)
    assert follow.wait() == 130
    assert follow.err == ""
    numbers = [event["seq"] for event in follow.events()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_types_of_events(start: Any) -> None:
    """`--types` leaves the others out."""
    runner = start(WORKING, INTERACTIVE="")
    assert runner.process.wait() == 0
    chosen = runner.cli("events", "--types", "turn.started,turn.finished", "--json")
    assert chosen.types() == ["turn.started", "turn.finished"]


def test_sessions_are_filtered_by_what_there_is(start: Any, launch: Launcher) -> None:
    """A status that there is not, and metadata that is none, are refused together."""
    runner = start(WORKING, INTERACTIVE="")
    options = ("--status", "gone", "--metadata", "team")
    done = launch.cli("sessions", *options, **runner.place)
    assert done.wait() == 2
    assert "--status is 'gone': must be one of created, running" in done.err
    assert "--metadata is 'team': must be KEY=VALUE" in done.err


def test_an_unknown_session_is_said(gateway: RealGateway, launch: Launcher) -> None:
    """Every command names the session that is not there, with 2."""
    place = {"RUNNER_GATEWAY": gateway.url, "BOT_TOKEN_FILE": gateway.token_file}
    commands = [
        ("attach", "nobody"),
        ("send", "nobody", "hello"),
        ("answer", "nobody", "yes"),
        ("interrupt", "nobody"),
        ("stop", "nobody"),
        ("events", "nobody", "--follow"),
        ("requests", "nobody"),
    ]
    for done in [launch.cli(*command, **place) for command in commands]:
        assert done.wait() == 2
        assert "answered 404" in done.err
        assert "nobody" in done.err
        assert "Traceback" not in done.err


def test_without_a_gateway(launch: Launcher) -> None:
    """What is missing is named, the option and the variable, all at once."""
    for command in (("sessions",), ("attach", "s"), ("send", "s", "m"), ("stop", "s")):
        done = launch.cli(*command)
        assert done.wait() == 2
        assert "--gateway or RUNNER_GATEWAY is not set" in done.err
        assert "--token-file or BOT_TOKEN_FILE is not set" in done.err


# --- attach ----------------------------------------------------------------------------------


def test_attach_ends_with_the_session(start: Any, desk: Desk) -> None:
    """It shows what was and what comes, answers in place, and exits with the session's code."""
    runner = start(WORKING, ASK, {"end": {"outcome": "failed", "reason": "no way"}}, INTERACTIVE="")
    runner.wait_for("request.opened")
    terminal = desk.open("attach", runner.session, **runner.place)
    terminal.expect("working")
    terminal.expect("2\\) no")
    terminal.type("2\n")
    assert terminal.wait() == 1
    assert "session failed: no way" in terminal.plain()
    assert runner.process.wait() == 1


def test_attach_to_a_session_that_has_ended(start: Any, launch: Launcher) -> None:
    """Its history is shown, in a pipe as well, and its exit code given."""
    runner = start(WORKING, {"end": {"outcome": "failed"}}, INTERACTIVE="")
    assert runner.process.wait() == 1
    done = runner.cli("attach")
    assert done.process.returncode == 1
    assert "working\n" in done.out
    assert "session failed" in done.out
    as_json = runner.cli("attach", "--json", "--since", "2")
    assert as_json.events()[0]["seq"] == 3


def test_messages_and_leaving(start: Any, desk: Desk) -> None:
    """A line is a message; Ctrl-D leaves the session running."""
    runner = start(WORKING)
    terminal = desk.open("attach", runner.session, **runner.place)
    terminal.expect("turn completed")
    terminal.type(script({"say": "typed"}) + "\n")
    terminal.expect("\ntyped")
    terminal.expect("turn completed", count=2)
    terminal.type(CTRL_D)
    assert terminal.wait() == 0
    assert "left; the session goes on" in terminal.screen
    assert runner._gateway.session(runner.session)["status"] == "running"


def test_ctrl_c_in_an_attached_terminal(start: Any, desk: Desk) -> None:
    """The first Ctrl-C interrupts the turn, the second stops the session in order: 130."""
    runner = start(WORKING, {"delay": 600})
    terminal = desk.open("attach", runner.session, **runner.place)
    terminal.expect("working")
    terminal.type(CTRL_C)
    terminal.expect("turn interrupted")
    terminal.type(CTRL_C)
    assert terminal.wait() == 130
    assert "session stopped: stopped by Ctrl-C" in terminal.plain()
    assert runner.process.wait() == 130


def test_a_viewer_s_third_ctrl_c_leaves(start: Any, desk: Desk, launch: Launcher) -> None:
    """Who may not interrupt is told, and the third Ctrl-C leaves the session alone."""
    runner = start(WORKING, {"delay": 600})
    path = f"/sessions/{runner.session}/tokens"
    answer = runner._gateway.ask("POST", path, json={"role": "viewer"})
    token_file = launch.file("viewer", answer.json()["token"])
    place = runner.place | {"BOT_TOKEN_FILE": token_file}
    terminal = desk.open("attach", runner.session, **place)
    terminal.expect("working")
    for count in (1, 2):
        terminal.type(CTRL_C)
        terminal.expect("viewer.* may not", count=count)
    terminal.type(CTRL_C)
    assert terminal.wait() == 130
    assert runner._gateway.session(runner.session)["status"] == "running"


@pytest.mark.slow
def test_attached_over_a_restart_of_the_gateway(launch: Launcher, desk: Desk) -> None:
    """A gateway that is killed and comes back loses nothing of what is shown."""
    gateway = RealGateway(launch, launch.directory)
    runner = Runner(launch, gateway, script(WORKING))
    runner.wait_for("turn.finished")
    follow = launch.cli("attach", runner.session, "--json", **runner.place)
    eventually(lambda: "turn.finished" in follow.types(), "the history")
    gateway.kill()
    gateway.start()
    runner.cli("send", script({"say": "after"}))
    runner.cli("stop", "--after-turn")
    assert follow.wait() == 0
    numbers = [event["seq"] for event in follow.events()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert follow.types()[-1] == "session.finished"
