"""Whoever asks a runner how it stands is told, and can do nothing besides."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from real_processes import Launcher, RealGateway, Started, eventually, script

from runner_shell.control import address, server
from runner_shell.control.client import NobodyAnswers, ask, exit_code, sentence
from runner_shell.control.location import named_socket, socket_path
from runner_shell.control.server import StatusServer
from runner_shell.control.status import Status

STATUS = Status(
    session="s",
    instance="i",
    pid=7,
    adapter="echo",
    connected=True,
    link="open",
    problem="",
    epoch=3,
    last_acked=41,
    backlog_events=2,
    backlog_bytes=400,
    turn="turn-3-1",
    queued_turns=0,
    ending=False,
    uptime_seconds=1.5,
)


async def asked(path: Path, **options: Any) -> dict[str, Any]:
    return await asyncio.to_thread(ask, path, **options)


# --- the socket ------------------------------------------------------------------------------


async def test_whoever_asks_is_told(tmp_path: Path) -> None:
    """Each connection gets one JSON object, as things are at that moment."""
    path = tmp_path / "status.sock"
    async with StatusServer(path, lambda: STATUS):
        first, second = await asyncio.gather(asked(path), asked(path))
        assert first == second
        assert first["last_acked"] == 41
        assert exit_code(first) == 0
        assert path.stat().st_mode & 0o777 == 0o600
    assert not path.exists()


async def test_nothing_that_is_said_is_heard(tmp_path: Path) -> None:
    """The socket takes nothing: what somebody writes changes neither the answer nor the runner."""
    path = tmp_path / "status.sock"
    async with StatusServer(path, lambda: STATUS):
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b'{"type":"session.stop"}\n' * 1000)
        assert json.loads(await reader.readline())["pid"] == 7
        writer.close()
        assert (await asked(path))["pid"] == 7


async def test_another_user_is_told_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the runner's own user is answered, even where the socket can be reached."""
    path = tmp_path / "status.sock"
    monkeypatch.setattr(server.os, "geteuid", lambda: os.getuid() + 1)
    async with StatusServer(path, lambda: STATUS):
        with pytest.raises(NobodyAnswers, match="its own user only"):
            await asked(path)


async def test_a_socket_that_was_left_is_replaced(tmp_path: Path) -> None:
    """A killed process leaves its socket; the next one answers in its place, and an older one that
    ends later takes nothing from it."""
    path = tmp_path / "status.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with pytest.raises(NobodyAnswers, match="no runner answers"):
        await asked(path)
    older = StatusServer(path, lambda: STATUS)
    async with older:
        async with StatusServer(path, lambda: STATUS):
            await older.__aexit__()
            assert (await asked(path))["session"] == "s"
        assert not path.exists()


async def test_a_long_path(tmp_path: Path) -> None:
    """A state directory may be deeper than a Unix socket's name may be long."""
    deep = tmp_path.joinpath(*["a-rather-long-directory-name"] * 6)
    deep.mkdir(parents=True)
    path = deep / "status.sock"
    assert len(str(path)) > address.MAX_BYTES
    async with StatusServer(path, lambda: STATUS):
        assert (await asked(path))["session"] == "s"
    assert not path.exists()


async def test_a_runner_that_cannot_listen_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A directory that is not there costs the status, not the session."""
    async with StatusServer(tmp_path / "nowhere" / "status.sock", lambda: STATUS):
        assert "no status at" in caplog.text


@contextmanager
def answering(path: Path, *pieces: bytes) -> Iterator[None]:
    """Something else that answers at the socket."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        code = "import sys,socket;s=socket.socket(fileno=int(sys.argv[1]));c,_=s.accept();"
        code += "c.sendall(sys.stdin.buffer.read());c.close()"
        child = subprocess.Popen(
            [sys.executable, "-c", code, str(listener.fileno())],
            pass_fds=[listener.fileno()],
            stdin=subprocess.PIPE,
        )
        assert child.stdin is not None
        child.stdin.write(b"".join(pieces))
        child.stdin.close()
        try:
            yield
        finally:
            child.wait(60)


@pytest.mark.parametrize("said", [b"hello\n", b"[1]", b"\xff"])
async def test_something_else_that_answers_is_no_runner(tmp_path: Path, said: bytes) -> None:
    """What is no JSON object is called so."""
    path = tmp_path / "status.sock"
    with answering(path, said), pytest.raises(NobodyAnswers, match="no runner"):
        await asked(path)


async def test_a_runner_that_does_not_react(tmp_path: Path) -> None:
    """A process that is stopped or blocked does not make who asks wait for ever."""
    path = tmp_path / "status.sock"
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(path))
        deaf.listen()
        with pytest.raises(NobodyAnswers, match=r"did not answer within 0\.1 s"):
            await asked(path, timeout=0.1)


def test_which_runner_is_meant() -> None:
    """What is typed beats RUNNER_STATE_DIR, that beats SESSION_ID; without any, nobody is."""
    environment = {"RUNNER_STATE_DIR": "/a", "SESSION_ID": "s", "XDG_STATE_HOME": "/x"}
    assert named_socket(None, "", environment) == socket_path(Path("/a"))
    assert named_socket(Path("/b"), "", environment) == socket_path(Path("/b"))
    assert named_socket(None, "t", environment) == socket_path(Path("/x/runner-shell/t"))
    environment.pop("RUNNER_STATE_DIR")
    assert named_socket(None, "", environment) == socket_path(Path("/x/runner-shell/s"))
    assert named_socket(None, "", {}) is None


def test_the_sentence_for_a_person() -> None:
    """One line says what there is to know, and why it is not connected."""
    said = json.loads(
        json.dumps({name: getattr(STATUS, name) for name in Status.__struct_fields__})
    )
    assert sentence(said) == (
        "s: connected, epoch 3, 41 events acknowledged, 2 events (400 bytes) not yet, in turn-3-1"
    )
    away = said | {"connected": False, "link": "away", "problem": "refused", "turn": ""}
    assert sentence(away) == (
        "s: not connected (away), epoch 3, 41 events acknowledged, 2 events (400 bytes) not yet, "
        "no turn; refused"
    )


# --- a real runner ---------------------------------------------------------------------------


class Scene:
    """A real runner at a real gateway, and those who ask it."""

    def __init__(self, launch: Launcher, gateway: RealGateway) -> None:
        self._launch = launch
        self.state = launch.directory / "runner-state"
        self.session, self.token = gateway.create()
        self.runner = launch.container(
            RUNNER_ADAPTER="scripted",
            RUNNER_GATEWAY=gateway.url,
            RUNNER_STATE_DIR=self.state,
            RUNNER_GRACE_SECONDS="2",
            SESSION_ID=self.session,
            BOT_TOKEN=self.token,
            PROMPT=script({"say": "working"}, {"delay": 120}),
        )
        gateway.wait_for(self.session, "message.finished")

    def probe(self, **variables: str | Path) -> tuple[int, str]:
        """What a probe's command says; its exit code and its output."""
        return ended(
            self._launch.start([sys.executable, "-m", "runner_shell.control"], **variables)
        )

    def status(self, *options: str | Path) -> tuple[int, str]:
        """`runner-shell status`."""
        return ended(self._launch.cli("status", *options))


def ended(started: Started) -> tuple[int, str]:
    return started.wait(), started.out + started.err


@pytest.fixture
def own_gateway(launch: Launcher) -> RealGateway:
    return RealGateway(launch, launch.directory)


@pytest.mark.slow
def test_the_life_of_a_probe(launch: Launcher, own_gateway: RealGateway) -> None:
    """0 while the runner is connected, 1 while its gateway is away, 3 once nobody runs there; both
    commands say the same, and neither shows the token."""
    scene = Scene(launch, own_gateway)
    code, said = scene.probe(RUNNER_STATE_DIR=scene.state)
    status = json.loads(said)
    assert code == 0
    assert (status["session"], status["epoch"]) == (scene.session, 1)
    assert (status["connected"], status["turn"]) == (True, "turn-1-1")
    assert status["pid"] == scene.runner.runner
    assert scene.status("--state-dir", scene.state)[0] == 0
    code, said = scene.status("--state-dir", scene.state, "--json")
    assert json.loads(said)["pid"] == status["pid"]
    assert scene.token not in said

    own_gateway.kill()
    eventually(
        lambda: scene.probe(RUNNER_STATE_DIR=scene.state)[0] == 1, "the news that it is away"
    )
    code, said = scene.status("--state-dir", scene.state)
    assert code == 1
    assert "not connected" in said

    os.kill(scene.runner.runner, signal.SIGKILL)
    scene.runner.wait()
    assert scene.probe(RUNNER_STATE_DIR=scene.state)[0] == 3
    code, said = scene.status("--state-dir", scene.state)
    assert code == 3
    assert "no runner answers at" in said


def test_asking_without_saying_whom(launch: Launcher) -> None:
    """Without a session or a directory it is told what to name: 2."""
    code, said = ended(launch.cli("status"))
    assert code == 2
    assert "--session" in said
    code, said = ended(launch.start([sys.executable, "-m", "runner_shell.control"]))
    assert code == 2
    assert "RUNNER_STATE_DIR" in said


def test_a_probe_is_light(launch: Launcher) -> None:
    """Asking imports nothing but the standard library and the shell: a probe runs every few
    seconds."""
    command = [sys.executable, "-X", "importtime", "-m", "runner_shell.control"]
    started = launch.start(command, SESSION_ID="nobody")
    assert started.wait() == 3
    assert "json" in started.err
    for heavy in ("msgspec", "asyncio", "typer", "pydantic", "websockets"):
        assert f" {heavy}\n" not in started.err
