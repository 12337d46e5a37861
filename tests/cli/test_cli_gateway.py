"""`serve`, and `run` and `events` against it."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest
from real_processes import Launcher, RealGateway, eventually, script


def runner_token(launch: Launcher, gateway: RealGateway, session: str = "") -> tuple[str, Path]:
    """Create a session and put its runner's token into a file."""
    session, token = gateway.create(session)
    return session, launch.file(f"{session}.token", token + "\n")


@pytest.mark.slow
def test_admin_token_creates_the_session(launch: Launcher, gateway: RealGateway) -> None:
    """With a person's token `run` creates its session; what it prints is what is stored there."""
    done = launch.echo(
        *("--gateway", gateway.url, "--token-file", gateway.token_file),
        *("--session", "by-admin", "--json"),
    )
    assert done.wait() == 0
    read = launch.cli(
        *("events", "by-admin", "--json"),
        *("--gateway", gateway.url, "--token-file", gateway.token_file),
    )
    assert read.wait() == 0
    assert done.out == read.out
    assert gateway.session("by-admin")["status"] == "finished"


def test_runner_token_serves_its_session(launch: Launcher, gateway: RealGateway) -> None:
    """With a runner's token `run` serves the session that the token is for."""
    session, token_file = runner_token(launch, gateway)
    done = launch.echo(
        *("--gateway", f"{gateway.url}/", "--session", session, "--token-file", token_file)
    )
    assert done.wait() == 0
    assert "hello\n" in done.out
    assert gateway.types(session)[-1] == "session.finished"


def test_settings_from_the_environment(launch: Launcher, gateway: RealGateway) -> None:
    """Gateway, token and session can come from variables as well."""
    session, token = gateway.create()
    done = launch.echo(RUNNER_GATEWAY=gateway.url, BOT_TOKEN=f"{token}\n", SESSION_ID=session)
    assert done.wait() == 0
    assert gateway.session(session)["status"] == "finished"


def test_messages_go_by_the_gateway(launch: Launcher, gateway: RealGateway) -> None:
    """What is typed with a person's token is a command like any other, in the typed order."""
    lines = [f"message {number}" for number in range(8)]
    run = launch.cli(
        *("run", "--adapter", "echo", "--interactive", "--json", "--session", "typed"),
        *("--gateway", gateway.url, "--token-file", gateway.token_file),
        stdin=subprocess.PIPE,
    )
    assert run.process.stdin is not None
    run.process.stdin.write("\n".join(lines).encode())
    run.process.stdin.close()
    assert run.wait() == 0
    inputs = [event["input"] for event in run.events() if event["type"] == "turn.started"]
    assert inputs == lines


def test_a_runner_cannot_answer_from_its_terminal(launch: Launcher, gateway: RealGateway) -> None:
    """With a runner's token a typed line is refused, and the refusal is said."""
    session, token_file = runner_token(launch, gateway)
    run = launch.cli(
        *("run", "--adapter", "echo", "--interactive", "--session", session),
        *("--gateway", gateway.url, "--token-file", token_file),
        stdin=subprocess.PIPE,
    )
    assert run.process.stdin is not None
    run.process.stdin.write(b"hello\n")
    run.process.stdin.flush()
    eventually(lambda: "may not" in run.err, "the refusal")
    gateway.wait_for(session, "session.started")
    gateway.command(session, id="end", type="session.end")
    assert run.wait() == 0


def test_events_lists_sessions(launch: Launcher, gateway: RealGateway) -> None:
    """`events` without a session lists them, as `sessions` does; both take variables."""
    session, _ = gateway.create()
    places = {"RUNNER_GATEWAY": gateway.url, "BOT_TOKEN_FILE": gateway.token_file}
    done, table = launch.cli("events", "--json", **places), launch.cli("sessions", **places)
    assert (done.wait(), table.wait()) == (0, 0)
    assert session in [json.loads(line)["id"] for line in done.out.splitlines()]
    assert table.out.startswith("SESSION ")
    assert [line.split()[:2] for line in table.out.splitlines() if session in line.split()] == [
        [session, "created"]
    ]


def test_events_of_an_unknown_session(launch: Launcher, gateway: RealGateway) -> None:
    """A session that is not there is said by its name, with exit code 2."""
    done = launch.cli(
        "events", "nobody", "--gateway", gateway.url, "--token-file", gateway.token_file
    )
    assert done.wait() == 2
    assert "404" in done.err
    assert "nobody" in done.err
    assert "Traceback" not in done.err


@pytest.mark.slow
def test_the_gateway_can_go_and_come(launch: Launcher) -> None:
    """`serve` ends in order on SIGTERM, takes its token file away, and keeps its sessions."""
    own = RealGateway(launch, launch.directory)
    session, token = own.create()
    assert own.token_file.stat().st_mode & 0o777 == 0o600
    own.process.process.send_signal(signal.SIGTERM)
    assert own.process.wait() == 0
    assert not own.token_file.exists()
    own.start()
    done = launch.echo(RUNNER_GATEWAY=own.url, BOT_TOKEN=token, SESSION_ID=session)
    assert done.wait() == 0
    assert own.process.err == ""


def test_the_gateway_says_where_it_is(gateway: RealGateway) -> None:
    """`serve` prints its address, its store and the token that is in the file."""
    assert gateway.url in gateway.process.out
    assert str(gateway.store) in gateway.process.out
    assert gateway.token_file.read_text().strip() in gateway.process.out


@pytest.mark.slow
def test_a_question_is_answered_elsewhere(launch: Launcher, gateway: RealGateway) -> None:
    """An answer that another person gives at the gateway reaches a run in a terminal."""
    question = {"ask": {"title": "Deploy?", "options": ["yes", "no"]}}
    run = launch.cli(
        *("run", "--adapter", "scripted", "--prompt", script(question), "--session", "asks"),
        *("--gateway", gateway.url, "--token-file", gateway.token_file),
    )
    opened = gateway.wait_for("asks", "request.opened")
    gateway.command("asks", id="a", type="request.answer", request=opened["id"], answer="yes")
    assert run.wait() == 0
    assert 'answered: "yes"' in run.out
