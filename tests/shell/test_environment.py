"""What the shell's variables may hold, and what is said where they hold something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner_shell.errors import ConfigurationError
from runner_shell.journal import DurableJournal
from runner_shell.shell.configuration.environment import (
    OWN_SECRETS,
    TAKEN,
    examine,
    read_given,
    read_token,
)
from runner_shell.shell.process import Process, _journal, _runner_settings

SECRET = "rs_s3cret-that-nobody-shows"


def problem(**variables: str) -> str:
    """The one problem with these variables, which gives no secret away."""
    _, problems = read_given(variables)
    (found,) = problems
    assert SECRET not in found
    return found


@pytest.mark.parametrize("session", ["a/b", "..", ".hidden", "-x", "_x", "ä", "a b", "s" * 129])
def test_session_ids_that_are_none(session: str) -> None:
    """An id that a gateway would refuse, or that is no name of a directory, is refused."""
    assert problem(SESSION_ID=session).startswith("SESSION_ID is ")


@pytest.mark.parametrize("session", ["a", "2026-11-21.run_1", "s" * 128])
def test_session_ids(session: str) -> None:
    """Every id that a gateway takes is taken."""
    assert read_given({"SESSION_ID": session})[0].session == session


@pytest.mark.parametrize(
    "url",
    [
        f"http://bot:{SECRET}@gateway:1",
        f"http://{SECRET}@gateway",
        f"ftp://bot:{SECRET}@gateway",
        f"http://bot:{SECRET}@",
        f"http://bot:{SECRET}@gateway:port",
        f"bot:{SECRET}@gateway",
        f"ftp://gateway/?token={SECRET}",
    ],
)
def test_secrets_in_addresses(url: str) -> None:
    """A wrong address is shown without what may be a password or a token."""
    assert problem(RUNNER_GATEWAY=url).startswith("RUNNER_GATEWAY is ")
    assert problem(WEBSOCKET_URL=url).startswith("WEBSOCKET_URL is ")


@pytest.mark.parametrize(
    "content",
    ["", " \n", f"{SECRET}\n{SECRET}", f"{SECRET} x", f"{SECRET}ä", f"{SECRET}\0", f"{SECRET}\x1b"],
)
def test_token_files_without_a_token(tmp_path: Path, content: str) -> None:
    """What a header could not carry is no token; the file is named, its content is not shown."""
    file = tmp_path / "token"
    file.write_text(content)
    assert problem(BOT_TOKEN_FILE=str(file)).startswith(f"BOT_TOKEN_FILE is '{file}': ")


def test_a_token_loses_its_line_end(tmp_path: Path) -> None:
    """The newline that editors and secret stores append is no part of the token."""
    file = tmp_path / "token"
    file.write_text(f" {SECRET}\r\n")
    assert read_token(read_given({"BOT_TOKEN_FILE": str(file)})[0]) == SECRET
    assert read_token(read_given({"BOT_TOKEN": f"{SECRET}\n"})[0]) == SECRET


def test_a_token_file_that_went_away(tmp_path: Path) -> None:
    """Reading a token again says what is wrong with its file by then."""
    file = tmp_path / "token"
    file.write_text(SECRET)
    settings, _ = read_given({"BOT_TOKEN_FILE": str(file)})
    file.write_text("")
    with pytest.raises(ConfigurationError, match=r"BOT_TOKEN_FILE is .* is empty"):
        read_token(settings)
    file.unlink()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_token(settings)


def test_what_is_wrong_and_what_is_missing() -> None:
    """Both are told at once, and a variable that is wrong does not count as missing too."""
    _, problems = examine({"RUNNER_GATEWAY": "nowhere", "TIMEOUT": "soon"})
    names = [one.partition(" ")[0] for one in problems]
    assert names == ["RUNNER_GATEWAY", "TIMEOUT", "RUNNER_ADAPTER", "PROMPT"]


def test_an_empty_variable_is_not_set() -> None:
    """Orchestrators set what they do not know to the empty string."""
    settings, problems = read_given({"TIMEOUT": "", "SESSION_ID": "", "INTERACTIVE": ""})
    assert (settings.timeout_seconds, settings.session, settings.interactive) == (None, "", False)
    assert problems == []


def test_ours_beats_an_alias() -> None:
    """Of two names for one thing, the preferred one counts."""
    settings, _ = read_given({"PROMPT": "ours", "INITIAL_PROMPT": "theirs"})
    assert settings.prompt == "ours"
    assert read_given({"INITIAL_PROMPT": "theirs"})[0].prompt == "theirs"


def test_what_leaves_the_environment() -> None:
    """Secrets leave it, and with them the place where one lies."""
    assert {"BOT_TOKEN"} == set(OWN_SECRETS)
    assert {"BOT_TOKEN", "BOT_TOKEN_FILE"} == set(TAKEN)


def test_what_is_set_reaches_the_journal_and_the_runner(tmp_path: Path) -> None:
    """What is read does something: each of these by another path than its default's."""
    variables = {
        "RESUME_POLICY": "ask",
        "RUNNER_JOURNAL_LIMIT": "2000000",
        "RUNNER_JOURNAL_RETENTION": "3",
        "RUNNER_STATE_DIR": str(tmp_path),
        "SESSION_ID": "s",
    }
    given, problems = read_given(variables)
    assert problems == []
    process = Process(given, variables)
    settings = _runner_settings(process, ())
    assert (settings.resume, settings.journal_limit_bytes) == ("ask", 2_000_000)
    (process.state_dir / "shell").mkdir(parents=True, exist_ok=True)
    journal = _journal(process, lasting=True)
    assert isinstance(journal, DurableJournal)
    assert journal._retention == 3
    journal.close()
