"""A runner as a container starts it, against a real gateway: everything here is a real process."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
from real_processes import (
    DEADLINE_SECONDS,
    Launcher,
    RealGateway,
    Started,
    eventually,
    exists,
    free_port,
    script,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the guardian's promises")

WORKING = {"say": "working"}


class Scene:
    """A session at a gateway, and runners of it.

    Attributes:
        session: The session's id.
        token: Its runner's token.
    """

    def __init__(self, launch: Launcher, gateway: RealGateway) -> None:
        self._launch = launch
        self.gateway = gateway
        self.session, self.token = gateway.create()

    def runner(self, *actions: dict[str, Any], **variables: str | Path) -> Started:
        """Start a runner of this session that plays a script, and what is set here beats."""
        prompt = {"PROMPT": script(*actions)} if actions else {}
        token = {} if "BOT_TOKEN_FILE" in variables else {"BOT_TOKEN": self.token}
        state = self._launch.directory / f"state-{time.monotonic_ns()}"
        given = {
            "RUNNER_ADAPTER": "scripted",
            "RUNNER_GATEWAY": self.gateway.url,
            "RUNNER_STATE_DIR": state,
            "RUNNER_GRACE_SECONDS": "2",
            "SESSION_ID": self.session,
            **token,
            **prompt,
        }
        return self._launch.container(**(given | variables))

    def working(self, *actions: dict[str, Any], **variables: str | Path) -> Started:
        """Start one and wait until its turn has begun to work."""
        runner = self.runner(WORKING, *actions, **variables)
        self.wait_for("message.finished")
        return runner

    def wait_for(self, type: str, **fields: Any) -> dict[str, Any]:
        return self.gateway.wait_for(self.session, type, **fields)

    def events(self) -> list[dict[str, Any]]:
        """What the gateway holds, with its numbers checked."""
        events = self.gateway.events(self.session)
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        return events

    def endings(self) -> dict[str, str]:
        """The outcomes of the turn and of the session; each has one ending at most."""
        found = [e for e in self.events() if e["type"] in ("turn.finished", "session.finished")]
        endings = {event["type"]: event["outcome"] for event in found}
        assert len(endings) == len(found)
        return endings

    def termination(self) -> dict[str, Any]:
        return self._launch.termination()


@pytest.fixture
def scene(launch: Launcher, gateway: RealGateway) -> Scene:
    return Scene(launch, gateway)


@pytest.fixture
def own_gateway(launch: Launcher) -> RealGateway:
    """A gateway for one test, which may be killed."""
    return RealGateway(launch, launch.directory)


# --- outcomes


def test_completed(scene: Scene) -> None:
    """A good end is 0, silent, and in the termination log with the last acknowledged number."""
    runner = scene.runner({"say": "hello"}, {"end": {"usage": {"cost_usd": 0.25}}})
    assert runner.wait() == 0
    assert scene.endings() == {"turn.finished": "completed", "session.finished": "completed"}
    assert runner.out + runner.err == ""
    assert scene.termination() == {
        "outcome": "completed",
        "reason": "",
        "resumable": True,
        "last_acked": len(scene.events()),
        "cost": 0.25,
    }


def test_failed(scene: Scene) -> None:
    """An agent's failure is 1, with its reason on stderr and in the termination log."""
    runner = scene.runner({"fail": {"message": "no quota left", "code": "rate_limited"}})
    assert runner.wait() == 1
    assert scene.endings()["session.finished"] == "failed"
    assert scene.termination()["reason"] == "no quota left"
    assert "runner-shell: failed: no quota left" in runner.err


def test_nothing_is_set(launch: Launcher) -> None:
    """Without settings everything that is missing is said, in the termination log too: 2."""
    runner = launch.container()
    assert runner.wait() == 2
    for name in ("RUNNER_ADAPTER", "PROMPT", "RUNNER_GATEWAY"):
        assert f"{name} is not set" in runner.err
        assert name in launch.termination()["reason"]


def test_unknown_adapter(scene: Scene) -> None:
    """An adapter that is not installed is 2, and the gateway is told which ones are."""
    runner = scene.runner(WORKING, RUNNER_ADAPTER="nope")
    assert runner.wait() == 2
    assert "no adapter is called 'nope'; installed: " in runner.err
    assert "echo, " in scene.wait_for("error")["message"]


# --- orders to stop


@pytest.mark.slow
def test_sigterm_in_a_turn(scene: Scene) -> None:
    """SIGTERM ends turn and session in order, without waiting for the grace: 143."""
    runner = scene.working({"delay": 600}, RUNNER_GRACE_SECONDS="600")
    runner.process.terminate()
    assert runner.wait() == 143
    assert scene.endings() == {"turn.finished": "interrupted", "session.finished": "interrupted"}
    assert scene.termination()["outcome"] == "interrupted"
    assert "SIGTERM" in scene.termination()["reason"]


@pytest.mark.slow
def test_sigterm_before_the_welcome(launch: Launcher) -> None:
    """SIGTERM while the gateway is away ends a runner at once: 143."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(DEADLINE_SECONDS)
        port = silent.getsockname()[1]
        runner = launch.container(
            RUNNER_ADAPTER="echo",
            PROMPT="hello",
            RUNNER_GATEWAY=f"http://127.0.0.1:{port}",
            SESSION_ID="s",
            BOT_TOKEN="token-of-nobody",
        )
        connection, _ = silent.accept()
        with connection:
            runner.process.terminate()
            assert runner.wait() == 143
    assert launch.termination()["outcome"] == "interrupted"


@pytest.mark.slow
def test_sigterm_with_a_blocked_adapter(scene: Scene) -> None:
    """An adapter whose thread is blocked bounds nothing: the endings are written, it ends."""
    runner = scene.working({"block": 600}, RUNNER_GRACE_SECONDS="1")
    runner.process.terminate()
    assert runner.wait() == 143
    assert scene.endings() == {"turn.finished": "interrupted", "session.finished": "interrupted"}
    assert "adapter_stuck" in [event.get("code") for event in scene.events()]


@pytest.mark.slow
@pytest.mark.parametrize("action", ["stubborn", "block"])
def test_time_is_up(scene: Scene, action: str) -> None:
    """TIMEOUT ends whatever the agent does, with `timed_out` and 124."""
    runner = scene.runner(WORKING, {action: 60}, TIMEOUT="6", RUNNER_GRACE_SECONDS="0.5")
    assert runner.wait() == 124
    assert scene.endings() == {"turn.finished": "timed_out", "session.finished": "timed_out"}
    assert scene.termination()["outcome"] == "timed_out"


# --- deaths


def leave(file: Path) -> dict[str, Any]:
    """The action that leaves a process in a session of its own."""
    return {"spawn": ["setsid", "sh", "-c", f"echo $$ > {file}; exec sleep 600"]}


def left(file: Path) -> int:
    """The process that was left."""
    return eventually(
        lambda: int(file.read_text() or 0) if file.exists() else 0, "what the agent started"
    )


@pytest.mark.slow
def test_a_killed_runner(scene: Scene, tmp_path: Path) -> None:
    """kill -9: the guardian ends what is left, says `failed` and 137; no ending is made up."""
    file = tmp_path / "pid"
    guardian = scene.working(leave(file), {"delay": 60})
    descendant = left(file)
    os.kill(guardian.runner, signal.SIGKILL)
    assert guardian.wait() == 137
    assert not exists(descendant)
    assert scene.termination()["outcome"] == "failed"
    assert "SIGKILL" in scene.termination()["reason"]
    status = scene.gateway.session(scene.session)
    assert status["status"] in ("running", "disconnected")
    assert status["finished"] is None


def test_an_agent_that_exits_the_process(scene: Scene) -> None:
    """`os._exit(0)` by the agent's code is no success: 70, and `failed` in the log."""
    runner = scene.runner(WORKING, {"exit": 0})
    assert runner.wait() == 70
    assert scene.termination()["outcome"] == "failed"
    assert "session.finished" not in scene.gateway.types(scene.session)


@pytest.mark.slow
def test_a_killed_guardian(scene: Scene, tmp_path: Path) -> None:
    """Without its guardian a runner ends its tree and itself."""
    file = tmp_path / "pid"
    guardian = scene.working(leave(file), {"delay": 60})
    runner, descendant = guardian.runner, left(file)
    guardian.process.kill()
    eventually(lambda: not exists(descendant) and not exists(runner), "the end of the tree")


# --- the gateway


@pytest.mark.slow
def test_a_gateway_that_is_killed_and_comes_back(
    launch: Launcher, own_gateway: RealGateway
) -> None:
    """Over a killed and restarted gateway nothing is lost or repeated: 0, contiguous numbers."""
    scene = Scene(launch, own_gateway)
    words = [f"word-{number}" for number in range(40)]
    actions = [one for word in words for one in ({"say": word}, {"delay": 0.02})]
    runner = scene.runner(*actions, RUNNER_GRACE_SECONDS="60")
    scene.wait_for("block.finished", content="word-3")
    own_gateway.kill()
    own_gateway.start()
    assert runner.wait() == 0
    said = [event["content"] for event in scene.events() if event["type"] == "block.finished"]
    assert said == words
    assert scene.endings() == {"turn.finished": "completed", "session.finished": "completed"}
    assert scene.termination()["last_acked"] == len(scene.events())


@pytest.mark.slow
def test_a_gateway_that_is_away_at_the_end(launch: Launcher, own_gateway: RealGateway) -> None:
    """An ending that nobody acknowledged is 75, so that the orchestrator tries again."""
    scene = Scene(launch, own_gateway)
    runner = scene.working({"delay": 5}, RUNNER_GRACE_SECONDS="0.5")
    own_gateway.kill()
    assert runner.wait() == 75
    assert "not everything was acknowledged" in scene.termination()["reason"]
    assert "not everything was acknowledged" in runner.err
    assert scene.termination()["outcome"] == "completed"


@pytest.mark.slow
def test_no_gateway(launch: Launcher) -> None:
    """Without a welcome within RUNNER_CONNECT_SECONDS: 75, and why, on stderr too."""
    runner = launch.container(
        RUNNER_ADAPTER="echo",
        PROMPT="hello",
        RUNNER_GATEWAY=f"http://127.0.0.1:{free_port()}",
        RUNNER_CONNECT_SECONDS="0.5",
        SESSION_ID="s",
        BOT_TOKEN="token-of-nobody",
    )
    assert runner.wait() == 75
    assert "no welcome from the gateway within 0.5 s" in runner.err
    assert "no welcome" in launch.termination()["reason"]


def test_a_wrong_token(scene: Scene) -> None:
    """A token that the gateway does not know is final: 2 at the first dial."""
    runner = scene.runner(WORKING, BOT_TOKEN="token-of-nobody", DEBUG="1")
    assert runner.wait() == 2
    assert runner.err.count("dialling ws://") == 1
    assert "401" in runner.err
    assert "401" in scene.termination()["reason"]
    assert "token-of-nobody" not in runner.err + scene.termination()["reason"]


def test_the_token_of_another_session(scene: Scene) -> None:
    """A token is good for its own session only: 2."""
    _, other = scene.gateway.create()
    runner = scene.runner(WORKING, BOT_TOKEN=other)
    assert runner.wait() == 2
    assert "403" in runner.err


@pytest.mark.slow
def test_a_second_runner_fences_the_first(scene: Scene, tmp_path: Path) -> None:
    """A newer runner of a session ends the older one with 2, and says `gap` in its own history."""
    first = scene.working({"delay": 60})
    second = scene.runner(INTERACTIVE="true", RUNNER_TERMINATION_LOG=tmp_path / "second")
    assert first.wait() == 2
    assert "a newer runner took the session over" in first.err
    scene.wait_for("gap")
    started = scene.wait_for("session.started", epoch=2)
    scene.gateway.command(scene.session, id="t", type="turn.start", content=script({"say": "new"}))
    scene.wait_for("block.finished", content="new")
    scene.gateway.command(scene.session, id="e", type="session.end")
    assert second.wait() == 0
    before = [e["type"] for e in scene.events() if e["seq"] < started["seq"]]
    assert "session.finished" not in before, "the fenced runner has no say any more"


# --- tokens


@pytest.mark.slow
def test_a_rotated_token(launch: Launcher, own_gateway: RealGateway) -> None:
    """The token file is read again at each dial; one that is empty for a moment is waited for."""
    scene = Scene(launch, own_gateway)
    token_file = launch.file("token", scene.token)
    actions = [{"say": "one"}, *[{"delay": 0.1}] * 4, {"say": "two"}]
    own = {"BOT_TOKEN_FILE": token_file, "RUNNER_GRACE_SECONDS": "60", "DEBUG": "1"}
    runner = scene.runner(*actions, **own)
    scene.wait_for("block.finished", content="one")
    token_file.write_text("")
    own_gateway.kill()
    own_gateway.start()
    eventually(lambda: "the file is empty" in runner.err, "a dial without a token")
    token_file.write_text(f"{own_gateway.token_file.read_text()}\n")
    assert runner.wait() == 0
    said = [event["content"] for event in scene.events() if event["type"] == "block.finished"]
    assert said == ["one", "two"]
    assert own_gateway.token_file.read_text().strip() not in runner.err


@pytest.mark.slow
@pytest.mark.parametrize("way", ["BOT_TOKEN", "BOT_TOKEN_FILE"])
def test_the_token_is_nowhere(scene: Scene, launch: Launcher, tmp_path: Path, way: str) -> None:
    """The agent's environment has no token, and one that it says is redacted wherever it goes."""
    seen = tmp_path / "environment"
    token = {way: launch.file("token", scene.token) if way == "BOT_TOKEN_FILE" else scene.token}
    runner = scene.runner(INTERACTIVE="true", DEBUG="1", **token)
    message = script(
        {"spawn": ["sh", "-c", f"env > {seen}.part; mv {seen}.part {seen}"]},
        {"say": f"the token is {scene.token}, isn't it?"},
        {"tool": {"name": scene.token, "input": [scene.token], "output": {scene.token: 1}}},
        {"save": {"key": scene.token}},
        {"raise": f"failed with {scene.token}"},
    )
    scene.gateway.command(scene.session, id="t", type="turn.start", content=message)
    eventually(seen.exists, "the agent's environment")
    scene.gateway.command(scene.session, id="e", type="session.end")
    assert runner.wait() == 1
    assert "RUNNER_ADAPTER=scripted" in seen.read_text()
    stored = str(scene.events())
    for text in (seen.read_text(), stored, runner.out, runner.err, str(scene.termination())):
        assert scene.token not in text
    assert not re.search("^BOT_TOKEN", seen.read_text(), re.MULTILINE)
    assert "[REDACTED:BOT_TOKEN]" in stored
    assert "[REDACTED:BOT_TOKEN]" in runner.err


def test_other_secrets_of_the_environment(scene: Scene) -> None:
    """A variable that looks like a secret is the agent's to have, and is redacted all the same."""
    runner = scene.runner(
        {"say": "the key is sk-of-the-model, really"}, SOME_API_KEY="sk-of-the-model"
    )
    assert runner.wait() == 0
    assert "sk-of-the-model" not in str(scene.events())
    assert "[REDACTED:SOME_API_KEY]" in str(scene.events())


# --- variables


def test_what_is_not_honoured_warns_once(scene: Scene) -> None:
    """A variable of the contract that this version does not honour gives one warning, by name."""
    runner = scene.runner(WORKING, AUTO_PUSH_ON_COMPLETE="true", CREATE_PR="true")
    assert runner.wait() == 0
    warnings = [e for e in scene.events() if e.get("code") == "variable_not_honoured"]
    assert [e["message"].partition(" ")[0] for e in warnings] == [
        "AUTO_PUSH_ON_COMPLETE",
        "CREATE_PR",
    ]


def test_debug_says_what_the_shell_does(scene: Scene) -> None:
    """DEBUG shows each dial and how it went; without it a good run is silent."""
    runner = scene.runner(WORKING, DEBUG="true")
    assert runner.wait() == 0
    assert "dialling ws://127.0.0.1" in runner.err
    assert "connected" in runner.err
    assert "Bearer" not in runner.err


def test_websocket_url_is_used_verbatim(scene: Scene) -> None:
    """WEBSOCKET_URL needs no RUNNER_GATEWAY and beats it."""
    url = f"ws{scene.gateway.url.removeprefix('http')}/sessions/{scene.session}/runner"
    runner = scene.runner(WORKING, WEBSOCKET_URL=url, RUNNER_GATEWAY="http://127.0.0.1:1")
    assert runner.wait() == 0
    assert scene.endings()["session.finished"] == "completed"


@pytest.mark.slow
def test_idle(scene: Scene) -> None:
    """An interactive session ends after RUNNER_IDLE_SECONDS without work, as its work did."""
    runner = scene.runner(WORKING, INTERACTIVE="true", RUNNER_IDLE_SECONDS="0.2")
    assert runner.wait() == 0
    assert "nothing to do for 0.2 s" in scene.termination()["reason"]


@pytest.mark.slow
def test_a_good_end_takes_the_tree_along(scene: Scene, tmp_path: Path) -> None:
    """A normal end takes what the agent left running along as well."""
    file = tmp_path / "pid"
    runner = scene.runner(leave(file), INTERACTIVE="true")
    descendant = left(file)
    scene.gateway.command(scene.session, id="e", type="session.end")
    assert runner.wait() == 0
    assert not exists(descendant)


def test_stdout_of_an_agents_tool(scene: Scene) -> None:
    """A tool's own output goes where the container's goes, and is no event."""
    runner = scene.runner({"spawn": ["echo", "from a tool"]}, INTERACTIVE="true")
    eventually(lambda: runner.out, "the tool's output")
    scene.gateway.command(scene.session, id="e", type="session.end")
    assert runner.wait() == 0
    assert runner.out == "from a tool\n"


def test_a_fault_of_the_shell_itself(tmp_path: Path) -> None:
    """What nobody foresaw exits with 70, is told without secrets, and is in the termination log."""
    code = textwrap.dedent(
        """
        from runner_shell.shell.configuration.environment import examine
        from runner_shell.shell.process import Process, run, take_environment
        import os

        class Broken:
            def __init__(self, process): ...
            async def __aenter__(self): raise RuntimeError("broke over " + SECRET)
            async def __aexit__(self, *_): ...

        environment = take_environment(os.environ)
        SECRET = environment["BOT_TOKEN"]
        run(Process(examine(environment)[0], environment), Broken)
        """
    )
    log = tmp_path / "termination"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ
        | {
            "RUNNER_ADAPTER": "echo",
            "PROMPT": "x",
            "BOT_TOKEN": "token-of-the-runner",
            "RUNNER_STATE_DIR": str(tmp_path / "state"),
            "RUNNER_TERMINATION_LOG": str(log),
        },
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert done.returncode == 70
    assert "broke over [REDACTED:BOT_TOKEN]" in done.stderr
    assert "token-of-the-runner" not in done.stderr
    assert json.loads(log.read_text())["outcome"] == "failed"
