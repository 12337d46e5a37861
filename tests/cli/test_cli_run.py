"""`runner-shell run` as a person types it, without a gateway: outcomes, output, messages, pipes."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from real_processes import (
    DEADLINE_SECONDS,
    RUNNER_SHELL,
    Launcher,
    Started,
    eventually,
    launcher,
    script,
)


def test_echo_is_shown_and_succeeds(launch: Launcher) -> None:
    """The first command of the README shows the agent's text and exits with 0."""
    done = launch.echo()
    assert done.wait() == 0
    assert "hello\n" in done.out
    assert "session completed" in done.out
    assert done.err == ""


ENDINGS: dict[str, tuple[dict[str, Any], str, int]] = {
    "completed": ({"end": {"outcome": "completed"}}, "completed", 0),
    "failed": ({"end": {"outcome": "failed", "reason": "it went wrong"}}, "failed", 1),
    "raised": ({"fail": {"message": "no quota", "code": "rate_limited"}}, "failed", 1),
    "crashed": ({"raise": "boom"}, "failed", 1),
    "no ending": ({"end": None}, "failed", 1),
    "left open": ({"event": {"type": "tool.started", "call": "c", "name": "t"}}, "failed", 1),
    "waits for nothing": ({"end": {"outcome": "waiting"}}, "failed", 1),
    "interrupted": ({"end": {"outcome": "interrupted"}}, "interrupted", 130),
}


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Started]]:
    """A run of each ending, all at once."""
    with launcher(tmp_path_factory.mktemp("endings")) as launch:
        yield {
            name: launch.scripted(action, options=("--json",))
            for name, (action, _, _) in ENDINGS.items()
        }


@pytest.mark.parametrize("ending", ENDINGS)
def test_outcome_and_exit_code(ended: dict[str, Started], ending: str) -> None:
    """The exit code is the outcome's; a failure, however it came about, is never a success."""
    _, outcome, exit_code = ENDINGS[ending]
    done = ended[ending]
    assert done.wait() == exit_code
    last = done.events()[-1]
    assert (last["type"], last["outcome"]) == ("session.finished", outcome)
    assert last.get("exit_code", 0) == exit_code


@pytest.mark.slow
def test_time_is_up(launch: Launcher) -> None:
    """TIMEOUT ends a session with `timed_out` and 124."""
    prompt = script({"delay": 60})
    done = launch.cli("run", "--adapter", "scripted", "--prompt", prompt, "--json", TIMEOUT="0.3")
    assert done.wait() == 124
    assert done.events()[-1]["outcome"] == "timed_out"


@pytest.mark.slow
def test_json_is_what_is_stored(launch: Launcher) -> None:
    """`--json` prints each event exactly as the store holds it, and nothing else on stdout."""
    store = launch.directory / "run.db"
    tool = {"tool": {"name": "grep", "input": {"q": "ä"}, "output": "found"}}
    options = ("--json", "--session", "s", "--store", str(store))
    done = launch.scripted({"say": "hello there"}, tool, options=options)
    assert done.wait() == 0
    read = launch.cli("events", "s", "--store", store, "--json")
    assert read.wait() == 0
    assert done.out == read.out
    assert [event["seq"] for event in done.events()] == list(range(1, len(done.events()) + 1))


@pytest.mark.slow
def test_events_of_a_store(launch: Launcher) -> None:
    """`events` lists a store's sessions, shows one as the run did, and goes on from a number."""
    store = launch.directory / "run.db"
    done = launch.echo("--session", "s", "--store", store)
    assert done.wait() == 0
    listed = launch.cli("events", "--store", store, "--json")
    table = launch.cli("events", "--store", store)
    shown = launch.cli("events", "s", "--store", store)
    late = launch.cli("events", "s", "--store", store, "--json", "--since", "3")
    assert {one.wait() for one in (listed, table, shown, late)} == {0}
    assert re.search(r"^s +finished .* completed$", table.out, re.MULTILINE)
    assert json.loads(listed.out)["id"] == "s"
    assert json.loads(listed.out)["status"] == "finished"
    assert shown.out.replace("› hello\n", "") == done.out
    assert late.events()[0]["seq"] == 4


@pytest.mark.slow
def test_a_prompt_is_not_run_twice(launch: Launcher) -> None:
    """A session goes on by its journal, and with a `gap` by its store alone; both say so."""
    store = launch.directory / "run.db"
    assert launch.echo("--session", "s", "--store", store).wait() == 0
    again = launch.echo("--session", "s", "--store", store, "--json")
    assert again.wait() == 0
    assert again.events()[0] == again.events()[0] | {"type": "session.started", "resumed": True}
    elsewhere = launch.directory / "elsewhere"
    lost = launch.echo("--session", "s", "--store", store, "--state-dir", elsewhere, "--json")
    assert lost.wait() == 1
    assert lost.events()[0]["type"] == "gap"
    for run in (again, lost):
        assert "turn.started" not in run.types()
        assert "initial_not_repeated" in [event.get("code") for event in run.events()]


def test_a_pipe_gets_no_escape_codes(launch: Launcher) -> None:
    """Colours are for a terminal only."""
    tool = {"tool": {"name": "grep", "input": {}, "output": "found", "status": "error"}}
    piped = subprocess.run(
        [RUNNER_SHELL, "run", "--adapter", "scripted", "--prompt", script({"think": "hm"}, tool)],
        env=launch.environment(),
        cwd=launch.workspace,
        capture_output=True,
        timeout=DEADLINE_SECONDS,
    )
    assert re.search(rb"grep \{\} \xe2\x86\x92 error \d\.\d s: found", piped.stdout)
    assert b"\x1b" not in piped.stdout


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
def test_a_reader_who_leaves(launch: Launcher, form: tuple[str, ...]) -> None:
    """`| head -1` ends the output, not the session: its exit code is still the agent's."""
    kept = ("--store", str(launch.directory / "run.db"))
    actions = script({"say": "one two three"}, {"delay": 0.2}, {"say": "four five six"})
    command = ("run", "--adapter", "scripted", "--prompt", actions, "--session", "s", *kept)
    run = subprocess.Popen(
        [RUNNER_SHELL, *command, *form],
        env=launch.environment(),
        cwd=launch.workspace,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert run.stdout is not None
    assert run.stderr is not None
    with run, run.stdout, run.stderr:
        assert run.stdout.readline()
        run.stdout.close()
        assert run.wait(DEADLINE_SECONDS) == 0
        assert run.stderr.read() == b""
    went_on = launch.cli("events", "s", *kept, "--json")
    assert went_on.wait() == 0
    assert "four five six" in went_on.out
    assert went_on.events()[-1]["outcome"] == "completed"


def test_messages_over_stdin(launch: Launcher) -> None:
    """Each line is a message, run in order, the last one without a newline too; EOF ends it."""
    asked = launch.file("messages", "one\ntwo\n\nthree")
    with asked.open("rb") as stdin:
        cat = subprocess.Popen(["cat"], stdin=stdin, stdout=subprocess.PIPE)
    with cat:
        done = launch.cli("run", "--adapter", "echo", "--interactive", "--json", stdin=cat.stdout)
        assert done.wait() == 0
    inputs = [event["input"] for event in done.events() if event["type"] == "turn.started"]
    assert inputs == ["one", "two", "three"]
    assert done.events()[-1]["outcome"] == "completed"


def test_messages_from_a_file(launch: Launcher) -> None:
    """A file as stdin is read like a pipe."""
    with launch.file("messages", "one\ntwo\n").open("rb") as stdin:
        done = launch.cli("run", "--adapter", "echo", "--interactive", stdin=stdin)
    assert done.wait() == 0
    assert "one\n" in done.out
    assert "two\n" in done.out


def test_two_lines_at_once_and_half_a_line(launch: Launcher) -> None:
    """Lines that arrive together are both messages; half a line waits for its end, unblocking."""
    run = launch.cli("run", "--adapter", "echo", "--interactive", "--json", stdin=subprocess.PIPE)
    stdin = run.process.stdin
    assert stdin is not None
    stdin.write(b"one\ntwo\nhal")
    stdin.flush()
    eventually(lambda: run.types().count("turn.finished") == 2, "both turns")
    stdin.write(b"f\n")
    stdin.flush()
    eventually(lambda: run.types().count("turn.finished") == 3, "the third turn")
    stdin.close()
    assert run.wait() == 0
    assert [e["input"] for e in run.events() if e["type"] == "turn.started"][2] == "half"


@pytest.mark.slow
def test_messages_of_a_session_that_goes_on(launch: Launcher) -> None:
    """What is typed into a session's second process is run, though the first had messages too."""
    store = launch.directory / "run.db"
    for message in ("first\n", "second\n"):
        with launch.file("messages", message).open("rb") as stdin:
            done = launch.cli(
                *("run", "--adapter", "echo", "--interactive", "--json"),
                *("--session", "s", "--store", store),
                stdin=stdin,
            )
        assert done.wait() == 0
    inputs = [event["input"] for event in done.events() if event["type"] == "turn.started"]
    assert inputs == ["second"]


def test_without_any_standard_stream(launch: Launcher) -> None:
    """Started with stdin and stdout closed, as by some daemons, a run works all the same."""
    command = f"exec {RUNNER_SHELL} run --adapter echo --prompt hello <&- >&-"
    done = launch.start(["sh", "-c", command])
    assert done.wait() == 0
    assert done.err == ""


def test_state_is_private_and_outside_of_the_workspace(launch: Launcher) -> None:
    """A named session's state directory is only this user's, whatever the umask."""
    command = [RUNNER_SHELL, "run", "--adapter", "echo", "--prompt", "hello", "--session", "s"]
    done = launch.start(["sh", "-c", 'umask 0; exec "$@"', "-", *command])
    assert done.wait() == 0
    directories = [path for path in [launch.state, *launch.state.rglob("*")] if path.is_dir()]
    assert launch.state / "runner-shell" / "s" / "framework" in directories
    assert {path.stat().st_mode & 0o777 for path in directories} == {0o700}
    assert list(launch.workspace.iterdir()) == []


def test_an_unnamed_session_leaves_nothing(launch: Launcher) -> None:
    """State that nobody can name again is removed."""
    assert launch.echo().wait() == 0
    assert list((launch.state / "runner-shell").iterdir()) == []


def test_adapters(launch: Launcher) -> None:
    """`adapters` lists what is installed, for people and as JSON lines."""
    for_people, as_json = launch.cli("adapters"), launch.cli("adapters", "--json")
    assert (for_people.wait(), as_json.wait()) == (0, 0)
    rows = [json.loads(line) for line in as_json.out.splitlines()]
    assert {"echo", "scripted"} <= {row["name"] for row in rows}
    for row in rows:
        assert row.keys() == {"name", "class", "package", "version"}
        assert f"{row['name']} " in for_people.out


def test_options_beat_variables(launch: Launcher) -> None:
    """An option counts where a variable says something else."""
    other = launch.directory / "elsewhere"
    done = launch.echo(
        *("--json", "--session", "typed", "--state-dir", other),
        RUNNER_ADAPTER="scripted",
        PROMPT="not this",
        SESSION_ID="variable",
        RUNNER_STATE_DIR=Path("/nowhere"),
    )
    assert done.wait() == 0
    assert done.events()[0]["adapter"] == "echo"
    assert done.events()[1]["input"] == "hello"
    assert (other / "framework").is_dir()
