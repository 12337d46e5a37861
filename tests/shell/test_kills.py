"""Runners killed for real, on one state directory, against a real gateway."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from real_processes import Launcher, RealGateway, Started, eventually, script

from runner_shell.testing.conformance import check_order

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the guardian's promises"),
]


class Scene:
    """One session and its state directory, over any number of runners."""

    def __init__(self, launch: Launcher, gateway: RealGateway) -> None:
        self._launch = launch
        self._gateway = gateway
        self.session, self._token = gateway.create()
        self.state = launch.directory / "state"

    def runner(self, prompt: str, **variables: str | Path) -> Started:
        given: dict[str, str | Path] = {
            "RUNNER_ADAPTER": "scripted",
            "RUNNER_GATEWAY": self._gateway.url,
            "RUNNER_STATE_DIR": self.state,
            "RUNNER_GRACE_SECONDS": "10",
            "SESSION_ID": self.session,
            "BOT_TOKEN": self._token,
            "PROMPT": prompt,
        }
        return self._launch.container(**(given | variables))

    def events(self) -> list[dict[str, Any]]:
        events = self._gateway.events(self.session)
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        return events

    def wait_for(self, type: str, **fields: Any) -> dict[str, Any]:
        return self._gateway.wait_for(self.session, type, **fields)

    def termination(self) -> dict[str, Any]:
        return self._launch.termination()


@pytest.fixture
def scene(launch: Launcher, gateway: RealGateway) -> Scene:
    return Scene(launch, gateway)


def test_a_runner_killed_again_and_again(scene: Scene) -> None:
    """Six kills at any instant: one ending for each start, and every text of the turn is there."""
    chance = random.Random(5)
    work = [
        action
        for number in range(12)
        for action in ({"say": f"<{number}>"}, {"checkpoint": True}, {"delay": 0.05})
    ]
    prompt = script(*work)
    for _ in range(6):
        runner = scene.runner(prompt)
        pid = runner.runner
        time.sleep(chance.uniform(0.1, 0.8))
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            break
        runner.wait()
    assert scene.runner(prompt).wait() == 0
    events = scene.events()
    assert check_order(events) == []
    starts = [event for event in events if event["type"] == "turn.started"]
    ends = [event for event in events if event["type"] == "turn.finished"]
    assert len(starts) == len(ends)
    assert [turn.get("command") for turn in starts].count("initial") == 1
    said = "".join(event["text"] for event in events if event["type"] == "block.delta")
    numbers = [int(number) for number in re.findall(r"<(\d+)>", said)]
    assert sorted(set(numbers)) == list(range(12))
    assert numbers == sorted(numbers)


def test_a_killed_runner_that_was_superseded_drops_what_it_had_not_sent(
    launch: Launcher,
) -> None:
    """Another volume's runner went on meanwhile, with fewer events: no history is mixed."""
    own_gateway = RealGateway(launch, launch.directory)
    scene = Scene(launch, own_gateway)
    work = [action for n in range(1000) for action in ({"say": f"<{n}>"}, {"delay": 0.01})]
    first = scene.runner(script(*work))
    scene.wait_for("block.delta")
    own_gateway.kill()
    size = bytes_in(scene.state)
    eventually(lambda: bytes_in(scene.state) > size + 8000, "events that nobody takes")
    os.kill(first.runner, signal.SIGKILL)
    first.wait()
    own_gateway.start()
    other = scene.runner("", RUNNER_STATE_DIR=launch.directory / "another", INTERACTIVE="true")
    scene.wait_for("gap")
    other.process.terminate()
    assert other.wait() == 143
    before = scene.events()
    again = scene.runner("again")
    assert again.wait() == 1
    assert "initial_not_repeated" in str(scene.events())
    events = scene.events()
    assert events[: len(before)] == before
    own = events[len(before) :]
    assert [event["type"] for event in own[:2]] == ["gap", "session.started"]
    assert "another runner has gone on" in own[0]["reason"]
    assert not [event for event in own if event["type"] == "block.delta"]


def bytes_in(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def test_a_drained_pod_goes_on(scene: Scene) -> None:
    """SIGTERM is 143 and resumable; the same command line on the same volume ends the work."""
    prompt = script({"say": "a"}, {"checkpoint": True}, {"delay": 4}, {"say": "b"})
    first = scene.runner(prompt)
    scene.wait_for("session.saved")
    first.process.terminate()
    assert first.wait() == 143
    assert scene.termination()["resumable"] is True
    second = scene.runner(prompt)
    assert second.wait() == 0
    started = [event for event in scene.events() if event["type"] == "session.started"]
    assert [event["resumed"] for event in started] == [False, True]


def test_a_second_runner_on_the_directory_is_refused(scene: Scene) -> None:
    """With 2 and who has it; the first one goes on. Behind a killed one it has the next epoch."""
    first = scene.runner(script({"say": "a"}, {"checkpoint": True}, {"delay": 600}))
    scene.wait_for("session.saved")
    second = scene.runner("x")
    assert second.wait() == 2
    assert "another runner uses" in second.err
    assert first.process.poll() is None
    first.process.kill()  # its guardian; the runner dies with it
    first.wait()
    third = scene.runner("x", RUNNER_RESUME_POLICY="fail")
    assert third.wait() == 1
    assert check_order(scene.events()) == []
    started = [event for event in scene.events() if event["type"] == "session.started"]
    assert [event["epoch"] for event in started] == [1, 2]


def test_the_policy_is_asked_for_what_it_can_be(scene: Scene) -> None:
    """A wrong one is 2, by its name; the alias counts."""
    wrong = scene.runner("x", RESUME_POLICY="maybe")
    assert wrong.wait() == 2
    assert "RESUME_POLICY is 'maybe': must be continue, ask or fail" in wrong.err


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path | None]:
    """A file system of its own with two megabytes, where one may be mounted."""
    where = tmp_path / "disk"
    where.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", str(where)]
    mounted = shutil.which("mount") and not subprocess.run(command, check=False).returncode
    yield where if mounted else None
    if mounted:
        subprocess.run(["umount", "-l", str(where)], check=False)


def test_a_disk_that_fills_up_ends_the_session_with_its_cause(
    scene: Scene, tiny_disk: Path | None
) -> None:
    """At once, as failed and resumable; the next runner goes on when there is room again."""
    if tiny_disk is None:
        pytest.skip("no right to mount a disk of two megabytes")
    scene.state = tiny_disk / "state"
    first = scene.runner(
        script(
            {"checkpoint": True},
            {"emit": {"messages": 400, "events": 1, "size": 9000}},
            {"delay": 600},
        )
    )
    assert first.wait() == 75
    assert "No space left on device" in scene.termination()["reason"]
    finished = scene.wait_for("session.finished")
    assert (finished["outcome"], finished["resumable"]) == ("failed", True)
    assert "No space left on device" in finished["reason"]
    command = ["mount", "-o", "remount,size=16m", str(tiny_disk)]
    subprocess.run(command, check=True)
    second = scene.runner("x")
    scene.wait_for("turn.started", cause="restart")
    second.process.terminate()
    assert second.wait() == 143
    assert check_order(scene.events()) == []
