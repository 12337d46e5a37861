"""`runner-shell check`: promises one by one, and findings that say how to mend what is broken."""

from __future__ import annotations

import json
from typing import Any

import pytest
from plugin import install
from real_processes import DEADLINE_SECONDS, Launcher, script

GOOD = """
from runner_shell import Adapter, Ending

class Plugin(Adapter):
    name = "good"

    async def turn(self, turn):
        print("not a part of the report")
        async with turn.message("answer") as message:
            await message.text("hello")
        return Ending("completed")
"""

BROKEN = """
from runner_shell import Adapter, Ending, events

class Plugin(Adapter):
    name = "broken"

    def __init__(self, settings):
        super().__init__(settings)
        self.said = 0

    async def turn(self, turn):
        await turn.emit(events.MessageStarted(id="m"))
        await turn.emit(events.BlockStarted(message="m", index=0))
        await turn.emit(events.BlockDelta(message="m", index=0, text="hello"))
        return Ending("completed")
"""

RAISES = """
from runner_shell import Adapter, Ending

class Plugin(Adapter):
    name = "raises"

    def __init__(self, settings):
        raise KeyError("too early")

    async def turn(self, turn):
        return Ending("completed")
"""


EXITS = """
import os
from runner_shell import Adapter, Ending

class Plugin(Adapter):
    name = "exits"

    async def turn(self, turn):
        if turn.input.content == "fail":
            os._exit(3)
        os.abort()
"""

EXITS_AT_IMPORT = "raise SystemExit(4)"


@pytest.mark.slow
def test_an_adapter_that_ends_the_process(launch: Launcher) -> None:
    """A finding for each promise in which it does so; the report goes on to its end."""
    site = install(launch.directory, "exits", EXITS)
    done = launch.cli("check", "exits", "--json", "--fails", "fail", PYTHONPATH=site)
    assert done.wait(2 * DEADLINE_SECONDS) == 1  # it starts a process anew for each promise
    promises = json.loads(done.out)["promises"]
    ended = [
        finding["happened"]
        for one in promises
        for finding in one["findings"]
        if finding["rule"] == "ended_the_process"
    ]
    assert "the adapter ended the process by SIGABRT while this was tried" in ended
    assert "the adapter ended the process with exit code 3 while this was tried" in ended
    assert promises[-1]["status"] in ("held", "broken", "not_tried")
    assert len({one["test"] for one in promises}) == len(promises)
    assert [one["status"] for one in promises].count("held") >= 2


def test_an_adapter_that_ends_the_process_at_its_import(launch: Launcher) -> None:
    """2, and it says so."""
    site = install(launch.directory, "leaves", EXITS_AT_IMPORT)
    done = launch.cli("check", "leaves", PYTHONPATH=site)
    assert done.wait() == 2
    assert "ended the process with exit code 4 before a promise was tried" in done.err


@pytest.mark.slow
def test_an_adapter_that_keeps_its_promises(launch: Launcher) -> None:
    """0, with each promise, and what was not tried with the option that tries it."""
    site = install(launch.directory, "good", GOOD)
    done = launch.cli("check", "good", PYTHONPATH=site)
    assert done.wait() == 0, done.out + done.err
    assert "✓ A second turn in the same process is as good as the first." in done.out
    assert "give --runs-long a prompt where the turn lasts until it is interrupted" in done.out
    assert "promises hold, 0 do not, 10 not tried" in done.out
    assert "not a part" not in done.out


@pytest.mark.slow
def test_findings_say_how_to_mend(launch: Launcher) -> None:
    """1, with what the contract says, what happened and how to fix it, as text and as JSON."""
    site = install(launch.directory, "broken", BROKEN)
    done = launch.cli("check", "broken", PYTHONPATH=site)
    as_json = launch.cli("check", "broken", "--json", PYTHONPATH=site)
    assert (done.wait(), as_json.wait()) == (1, 1)
    after = done.out.partition("✗ `says` gives some text")[2].splitlines()
    assert after[1].strip() == "left_open"
    assert after[2].strip().startswith("the contract says  returning with something still open")
    assert "what happened      turn() returned 'completed' with something open" in done.out
    assert "how to fix it      emit the ending in a `finally`" in done.out
    report: dict[str, Any] = json.loads(as_json.out)
    broken = [one for one in report["promises"] if one["status"] == "broken"]
    assert not report["ok"]
    assert {"rule", "contract", "happened", "fix"} == broken[0]["findings"][0].keys()


@pytest.mark.slow
def test_every_scenario_can_be_tried(launch: Launcher) -> None:
    """With a prompt for each scenario every promise is tried, and ours keep them all."""
    ask = {"ask": {"title": "Go on?", "key": "go", "may_defer": True}}
    done = launch.cli(
        *("check", "scripted", "--json"),
        *("--runs-long", script({"say": "one moment"}, {"delay": 600})),
        *("--asks", script(ask), "--answer", "yes"),
        *("--fails", script({"fail": {"message": "no more", "code": "rate_limited"}})),
        *("--uses-tool", script({"tool": {"name": "add", "output": 3}}, {"say": "3"})),
    )
    assert done.wait() == 0, done.out
    assert {one["status"] for one in json.loads(done.out)["promises"]} == {"held"}


def test_an_adapter_that_cannot_even_be_made(launch: Launcher) -> None:
    """A constructor that raises is a finding with its place, not a traceback of the suite."""
    site = install(launch.directory, "raises", RAISES)
    done = launch.cli("check", "raises", PYTHONPATH=site)
    assert done.wait() == 1
    assert "KeyError: 'too early'" in done.out
    assert "raises_plugin.py:8" in "".join(done.out.split("\n"))
    assert "Traceback" not in done.out


def test_what_is_not_installed(launch: Launcher) -> None:
    """An adapter that is not there is bad input: 2."""
    done = launch.cli("check", "nope")
    assert done.wait() == 2
    assert "no adapter is called 'nope'" in done.err
