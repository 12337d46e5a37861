"""Real processes for tests: the command line, a runner as a container starts it, a gateway.

Everything has a home and a state directory of its own, an environment of its own, and a deadline.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import httpx

BIN = Path(sys.executable).parent
RUNNER_SHELL = str(BIN / "runner-shell")
DEADLINE_SECONDS = 60.0
"""Ends a hang and says where; nothing is judged by it, so it is generous on a busy machine."""

POLL_SECONDS = 0.02

T = TypeVar("T")


def eventually(find: Callable[[], T], what: str, seconds: float = DEADLINE_SECONDS) -> T:
    """Poll until something is found; fail, saying what is missing, when it is not by then."""
    deadline = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(POLL_SECONDS)
    return found


def script(*actions: dict[str, Any]) -> str:
    """A prompt for the scripted adapter."""
    return json.dumps(actions)


def exists(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def children(pid: int) -> list[int]:
    """The children of a process."""
    found: list[int] = []
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (thread / "children").read_text().split())
    return found


class Started:
    """A process that was started; its output goes to files, which never block it.

    Attributes:
        process: The process itself: a runner's guardian, or the gateway.
    """

    def __init__(self, process: subprocess.Popen[bytes], out: Path, err: Path) -> None:
        self.process = process
        self._out, self._err = out, err

    @property
    def out(self) -> str:
        """What it has written to stdout so far."""
        return self._out.read_text()

    @property
    def err(self) -> str:
        """What it has written to stderr so far."""
        return self._err.read_text()

    @property
    def runner(self) -> int:
        """The runner's process id: the guardian's first child."""
        return eventually(lambda: children(self.process.pid), "the runner")[0]

    def events(self) -> list[dict[str, Any]]:
        """The events of `--json`, complete lines only."""
        complete = self.out[: self.out.rfind("\n") + 1]
        return [json.loads(line) for line in complete.splitlines()]

    def types(self) -> list[str]:
        """The events' types."""
        return [event["type"] for event in self.events()]

    def wait(self, seconds: float = DEADLINE_SECONDS) -> int:
        """Wait for the end and return the exit code."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"no end within {seconds:g} s: {self.out}\n{self.err}") from None

    def close(self) -> None:
        """End what a failed test leaves; the runner's tree goes with its guardian."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(3)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stdin is not None:
            with suppress(BrokenPipeError):
                self.process.stdin.close()


class Launcher:
    """Starts processes in directories of their own.

    Args:
        directory: Where home, state and workspace are made.
        stack: Ends every process.
    """

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory = directory
        self.workspace = self._made("workspace")
        self.state = directory / "state"
        self.termination_log = directory / "termination-log"
        self._home = self._made("home")
        self._stack = stack
        self._count = 0

    def environment(self, **variables: str | Path) -> dict[str, str]:
        """A clean environment with these variables."""
        own = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._home),
            "XDG_STATE_HOME": str(self.state),
            "RUNNER_TERMINATION_LOG": str(self.termination_log),
        }
        return own | {name: str(value) for name, value in variables.items()}

    def cli(
        self, *arguments: str | Path, stdin: Any = subprocess.DEVNULL, **variables: str | Path
    ) -> Started:
        """Start `runner-shell` as a person would type it."""
        return self.start([RUNNER_SHELL, *map(str, arguments)], stdin=stdin, **variables)

    def echo(self, *arguments: str | Path, **variables: str | Path) -> Started:
        """Start a run that is right but for what is added here."""
        return self.cli("run", "--adapter", "echo", "--prompt", "hello", *arguments, **variables)

    def scripted(self, *actions: dict[str, Any], options: tuple[str, ...] = ()) -> Started:
        """Start a run of the scripted adapter."""
        return self.cli("run", "--adapter", "scripted", "--prompt", script(*actions), *options)

    def container(self, **variables: str | Path) -> Started:
        """Start a runner as a container does, from the environment alone."""
        return self.start([sys.executable, "-m", "runner_shell"], **variables)

    def start(
        self, command: list[str], *, stdin: Any = subprocess.DEVNULL, **variables: str | Path
    ) -> Started:
        """Start any command in the workspace."""
        self._count += 1
        out = self.directory / f"out-{self._count}"
        err = self.directory / f"err-{self._count}"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                command,
                cwd=self.workspace,
                env=self.environment(**variables),
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
            )
        started = Started(process, out, err)
        self._stack.callback(started.close)
        return started

    def client(self) -> httpx.Client:
        """An HTTP client, closed at the end; making one is dear."""
        return self._stack.enter_context(httpx.Client())

    def termination(self) -> dict[str, Any]:
        """What the termination log says."""
        found: dict[str, Any] = json.loads(self.termination_log.read_text())
        return found

    def file(self, name: str, content: str) -> Path:
        """Write a file beside the workspace."""
        path = self.directory / name
        path.write_text(content)
        return path

    def _made(self, name: str) -> Path:
        path = self.directory / name
        path.mkdir()
        return path


@contextmanager
def launcher(directory: Path) -> Iterator[Launcher]:
    """A launcher whose processes end with the block."""
    with ExitStack() as stack:
        yield Launcher(directory, stack)


def free_port() -> int:
    """A port that nobody listens at, below those the system gives to dialling sockets.

    A gateway that restarts at its port must find it free: from the system's own range another
    dialler, or a runner that dials the gateway again, could be given it meanwhile.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


class RealGateway:
    """`runner-shell serve` in a process of its own, and what a person asks of it.

    Args:
        launcher: Starts it.
        directory: Where its store and its token lie.
        command: What serves.
    """

    def __init__(
        self, launcher: Launcher, directory: Path, command: Sequence[str] = (RUNNER_SHELL,)
    ) -> None:
        self._launcher = launcher
        self._command = command
        self.store = directory / "gateway.db"
        self.token_file = directory / "admin.token"
        self._port = free_port()
        self._sessions = 0
        self._client = launcher.client()
        self.url = ""
        self.process: Started
        self.start()

    def start(self) -> None:
        """Start it, at the same port as before."""
        where = ("--store", str(self.store), "--token-file", str(self.token_file))
        self.process = self._launcher.start(
            [*self._command, "serve", "--port", str(self._port), *where]
        )
        found = eventually(
            lambda: re.search(r"(http://127\.0\.0\.1:(\d+))\n(?s:.*)admin", self.process.out),
            "the gateway's address",
        )
        self.url, self._port = found[1], int(found[2])
        eventually(lambda: self._client.get(self.url).status_code, "the gateway's answer")

    def kill(self) -> None:
        """Kill it as a lost machine does."""
        self.process.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def ask(self, method: str, path: str, token: str = "", **options: Any) -> httpx.Response:
        """Send a request with a token, the admin's unless given."""
        given = token or self.token_file.read_text().strip()
        headers = {"Authorization": f"Bearer {given}"}
        return self._client.request(method, self.url + path, headers=headers, **options)

    def create(self, session: str = "") -> tuple[str, str]:
        """Create a session; returns its id and its runner's token."""
        self._sessions += 1
        session = session or f"session-{self._sessions}"
        answer = self.ask("POST", "/sessions", json={"id": session})
        assert answer.status_code == 201, answer.text
        return session, answer.json()["runner_token"]

    def events(self, session: str) -> list[dict[str, Any]]:
        """The stored events; none of a session that is not there yet."""
        answer = self.ask("GET", f"/sessions/{session}/events?limit=1000")
        found: list[dict[str, Any]] = answer.json().get("events", [])
        return found

    def types(self, session: str) -> list[str]:
        """The stored events' types."""
        return [event["type"] for event in self.events(session)]

    def session(self, session: str) -> dict[str, Any]:
        """What the gateway says of a session."""
        found: dict[str, Any] = self.ask("GET", f"/sessions/{session}").json()
        return found

    def command(self, session: str, **command: Any) -> None:
        """Submit a command."""
        answer = self.ask("POST", f"/sessions/{session}/commands", json=command)
        assert answer.status_code == 202, answer.text

    def wait_for(self, session: str, type: str, **fields: Any) -> dict[str, Any]:
        """Wait until a session has an event of this type with these fields."""

        def find() -> dict[str, Any] | None:
            for event in self.events(session):
                if event["type"] == type and fields.items() <= event.items():
                    return event
            return None

        found = eventually(find, f"{type} {fields} in {session}")
        assert found is not None
        return found
