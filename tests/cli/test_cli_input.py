"""Bad input: every problem at once, by the name that was used, never a secret or a traceback."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from real_processes import Launcher, RealGateway, Started

SECRET = "rs_s3cret-that-nobody-shows"
LISTED = "claude, echo, "


def refused(done: Started, *sentences: str) -> str:
    """Assert that it ended with 2, said each sentence, and gave no secret or traceback away."""
    assert done.wait() == 2
    for sentence in sentences:
        assert sentence in done.err, done.err
    assert "Traceback" not in done.err
    assert SECRET not in done.err + done.out
    assert all(line.startswith("runner-shell: ") for line in done.err.splitlines()), done.err
    return done.err


def test_nothing_at_all(launch: Launcher) -> None:
    """`run` alone names what is missing: the option, and the variable beside it."""
    refused(
        launch.cli("run"),
        "--adapter or RUNNER_ADAPTER is not set",
        "--prompt or PROMPT is not set",
    )


def test_everything_at_once(launch: Launcher) -> None:
    """Every problem is told at once, options by their names and variables by theirs."""
    said = refused(
        launch.cli(
            *("run", "--adapter", "nope", "--session", "a/b", "--workspace", "/not/there"),
            *("--gateway", "ftp://somewhere", "--token-file", "/not/there/either"),
            TIMEOUT="soon",
            INTERACTIVE="perhaps",
            RUNNER_GRACE_SECONDS="-1",
            BOT_TOKEN=SECRET,
        ),
        "--adapter: no adapter is called 'nope'; installed: " + LISTED,
        "--session is 'a/b': must be 1 to 128 letters",
        "--workspace is '/not/there': must be an existing directory",
        "--gateway is 'ftp://somewhere': must be a URL with http or https",
        "--token-file is '/not/there/either': cannot be read",
        "TIMEOUT is 'soon': must be a number of seconds",
        "INTERACTIVE is 'perhaps': must be true or false",
        "RUNNER_GRACE_SECONDS is '-1'",
        "--prompt or PROMPT is not set",
    )
    assert len(said.splitlines()) == 9
    assert "RUNNER_ADAPTER" not in said
    assert "RUNNER_GATEWAY" not in said


def test_variables_keep_their_names(launch: Launcher) -> None:
    """What came from a variable is not blamed on an option that nobody typed."""
    said = refused(
        launch.cli(
            "run",
            RUNNER_TYPE="nope",
            RUNNER_GATEWAY="nowhere",
            BOT_TOKEN_FILE="/not/there",
            SESSION_ID="a/b",
            PROMPT="hello",
            BOT_TOKEN=SECRET,
        ),
        "no adapter is called 'nope'; installed: " + LISTED,
        "RUNNER_GATEWAY is 'nowhere'",
        "BOT_TOKEN_FILE is '/not/there'",
        "SESSION_ID is 'a/b'",
    )
    assert "--" not in said


def test_secrets_in_addresses(launch: Launcher) -> None:
    """A wrong address is shown without what may be a password."""
    url = f"http://bot:{SECRET}@127.0.0.1:1"
    run = launch.echo("--gateway", url)
    read = launch.cli("events", "--gateway", url, "--token-file", "x")
    websocket = launch.echo(WEBSOCKET_URL=f"ftp://127.0.0.1/?token={SECRET}")
    refused(run, "--gateway is 'http://…@127.0.0.1:1': must not hold a name or password")
    refused(read, "--gateway is 'http://…@127.0.0.1:1'", "--token-file is 'x'")
    refused(websocket, "WEBSOCKET_URL is 'ftp://127.0.0.1/': must be a URL with ws or wss")


@pytest.mark.slow
def test_token_files(launch: Launcher) -> None:
    """A file that holds no token is named, and never shown."""
    empty, two = launch.file("empty", " \n"), launch.file("two", f"{SECRET}\n{SECRET}\n")
    for token_file, problem in ((empty, "the file is empty"), (two, "must be one token")):
        gateway = ("--gateway", "http://127.0.0.1:1", "--token-file", token_file)
        run, read = launch.echo(*gateway), launch.cli("events", *gateway)
        refused(run, f"--token-file is '{token_file}'", problem)
        refused(read, f"--token-file is '{token_file}'", problem)


def test_a_token_that_is_none(launch: Launcher) -> None:
    """A wrong BOT_TOKEN is named without its value."""
    done = launch.echo("--gateway", "http://127.0.0.1:1", BOT_TOKEN=f"{SECRET} {SECRET}")
    refused(done, "BOT_TOKEN is a value that is not shown: must be one token")


def test_a_missing_token(launch: Launcher) -> None:
    """A gateway without a token is refused, naming where a token can come from."""
    url = ("--gateway", "http://127.0.0.1:1")
    run, read = launch.echo(*url), launch.cli("events", *url)
    refused(run, "--token-file or BOT_TOKEN_FILE is not set")
    refused(read, "--token-file or BOT_TOKEN_FILE is not set")


@pytest.mark.slow
def test_a_wrong_token(launch: Launcher, gateway: RealGateway) -> None:
    """A token that the gateway does not know is refused at once, by the name it came under."""
    token_file = launch.file("token", SECRET)
    url = ("--gateway", gateway.url)
    by_option = launch.echo(*url, "--token-file", token_file)
    by_value = launch.echo(*url, BOT_TOKEN=SECRET)
    by_variable = launch.echo(RUNNER_GATEWAY=gateway.url, BOT_TOKEN_FILE=token_file)
    read = launch.cli("events", *url, "--token-file", token_file)
    refused(by_option, "--token-file: ", "401")
    refused(by_value, "BOT_TOKEN: ", "401")
    refused(by_variable, "BOT_TOKEN_FILE: ", "401")
    refused(read, "--token-file: ", "401")


def test_nobody_listens(launch: Launcher) -> None:
    """A gateway that is not there is said by the name that was used."""
    with socket.create_server(("127.0.0.1", 0)) as unheard:
        port = unheard.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    typed = launch.echo("--gateway", url, BOT_TOKEN=SECRET)
    given = launch.echo(RUNNER_GATEWAY=url, BOT_TOKEN=SECRET)
    refused(typed, "cannot be reached", "is --gateway its base URL?")
    refused(given, "cannot be reached", "is RUNNER_GATEWAY its base URL?")


def test_state_in_the_workspace(launch: Launcher) -> None:
    """State does not lie where the agent works, by any spelling or link."""
    inside = launch.workspace / "state"
    link = launch.directory / "link"
    link.symlink_to(launch.workspace)
    runs = [launch.echo("--state-dir", state) for state in (inside, Path("state"), link / "state")]
    by_variable = launch.echo("--workspace", launch.directory, RUNNER_STATE_DIR=inside)
    for run in runs:
        refused(run, "--state-dir lies in the workspace")
    refused(by_variable, "RUNNER_STATE_DIR lies in the workspace")
    assert not inside.exists()


def test_state_that_cannot_be_made(launch: Launcher) -> None:
    """A state directory that cannot be used is refused by its option, before anything starts."""
    file = launch.file("file", "")
    typed, given = launch.echo("--state-dir", file), launch.echo(RUNNER_STATE_DIR=file / "below")
    refused(typed, f"--state-dir: {file}", "name a directory")
    refused(given, f"RUNNER_STATE_DIR: {file}/below")


@pytest.mark.slow
def test_stores(launch: Launcher) -> None:
    """A store that is none, or is not there, is refused by its name."""
    no_store, store = launch.file("no-store", "text"), launch.directory / "run.db"
    known = launch.echo("--store", store, "--session", "known")
    run, read = launch.echo("--store", no_store), launch.cli("events", "--store", no_store)
    absent, nothing = launch.cli("events", "--store", "absent.db"), launch.cli("events")
    refused(run, f"{no_store}")
    refused(read, f"{no_store}")
    refused(absent, "--store 'absent.db' does not exist")
    refused(nothing, "--store FILE, or --gateway URL")
    assert known.wait() == 0
    refused(launch.cli("events", "other", "--store", store), "no session 'other'", "known")


@pytest.mark.slow
def test_serve(launch: Launcher) -> None:
    """A gateway that cannot listen, or keep its store or its token, says which and why."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        here = launch.cli("serve", "--port", port)
        store = launch.cli("serve", "--port", "0", "--store", "/not/there.db")
        token = launch.cli("serve", "--port", "0", "--token-file", "/not/there")
        refused(here, f"cannot listen at 127.0.0.1:{port}")
        refused(store, "/not/there.db")
        refused(token, "/not/there")


@pytest.mark.slow
def test_a_graph_that_is_none(launch: Launcher) -> None:
    """A wrong graph or its JSON is named by its variable, with an example of what is right."""
    graph = ("run", "--adapter", "langgraph", "--prompt", "hello")
    config = '{"api_key": "' + SECRET
    wrong = launch.cli(*graph, GRAPH="nope")
    both = launch.cli(*graph, "--session", "a/b", WORKFLOW_CONFIG=config)
    alone = launch.cli(*graph, GRAPH="a.b:c", WORKFLOW_CONFIG=config)
    refused(wrong, "GRAPH='nope' is not a reference", "./file.py:variable")
    refused(both, "WORKFLOW_CONFIG: must be valid JSON", "--session is 'a/b'")
    refused(alone, "WORKFLOW_CONFIG: must be valid JSON")


def test_unknown_options(launch: Launcher) -> None:
    """What the command line does not know is refused with its usage."""
    typed = [("run", "--nope"), ("nope",), ("serve", "--port", "x")]
    for done in [launch.cli(*arguments) for arguments in typed]:
        assert done.wait() == 2
        assert "Usage: " in done.err
        assert "Traceback" not in done.err
