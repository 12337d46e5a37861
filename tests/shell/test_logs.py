"""Logs: to stderr, one JSON object a line, redacted, whichever library they were written with."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest
from plugin import install
from real_processes import Launcher

from runner_shell.redaction import Redactor, SecretRegistry
from runner_shell.shell.outbound.logs import _Lines

SECRET = 'p"ass\\word-ä'


def line(*, people: bool = False, **fields: Any) -> str:
    """A line as it is written, with an exception in it."""
    formatter = _Lines(Redactor(SecretRegistry({"PASSWORD": SECRET})).text, people=people)
    try:
        raise ValueError(f"not with {SECRET}")
    except ValueError:
        given: dict[str, Any] = {"msg": "said %s", "args": (SECRET,), **fields}
        error = sys.exc_info()
        record = logging.LogRecord(
            "a.logger", logging.WARNING, "file.py", 1, given["msg"], given["args"], error
        )
    return formatter.format(record)


def test_a_line_is_one_json_object() -> None:
    """It says when, how grave, from where and what, a traceback in the same line."""
    written = line()
    assert "\n" not in written
    said = json.loads(written)
    assert list(said)[:4] == ["time", "level", "logger", "event"]
    assert (said["level"], said["logger"]) == ("warning", "a.logger")
    assert "Traceback" in said["exception"]


def test_a_secret_is_hidden_by_no_escape() -> None:
    """A secret that JSON escapes is replaced all the same, in text and traceback."""
    for people in (False, True):
        written = line(people=people)
        assert "word-" not in written
        assert written.count("[REDACTED:PASSWORD]") >= 2


def test_people_get_lines_without_json() -> None:
    """A terminal is for people."""
    written = line(people=True)
    with pytest.raises(ValueError):
        json.loads(written)
    assert "said [REDACTED:PASSWORD]" in written


PLUGIN = """
import logging, os, structlog
from runner_shell import Adapter, Ending

class Plugin(Adapter):
    name = "logs"

    async def turn(self, turn):
        secret = os.environ["MY_SECRET"]
        logging.getLogger("library").warning("plain %s", secret)
        structlog.get_logger("adapter").warning("structured", value={"in": [secret]}, count=2)
        structlog.get_logger("adapter").debug("not asked for")
        return Ending("completed")
"""


def test_both_libraries_take_one_way(launch: Launcher) -> None:
    """What an adapter logs, by either library, is JSON on stderr and redacted; stdout has none."""
    site = install(launch.directory, "logs", PLUGIN)
    command = ("run", "--adapter", "logs", "--prompt", "hello", "--json")
    done = launch.cli(*command, PYTHONPATH=site, MY_SECRET="a-secret-of-mine")
    assert done.wait() == 0
    plain, structured = [json.loads(one) for one in done.err.splitlines()]
    assert (plain["logger"], plain["event"]) == ("library", "plain [REDACTED:MY_SECRET]")
    assert (structured["event"], structured["count"]) == ("structured", 2)
    assert structured["value"] == {"in": ["[REDACTED:MY_SECRET]"]}
    assert "a-secret-of-mine" not in done.out + done.err
