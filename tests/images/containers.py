"""Containers for tests: built images, run confined, with volumes of their own, and ended."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from real_processes import RealGateway, eventually

from runner_shell.images import hardening
from runner_shell.images.catalogue import UID, WORKSPACE, reference
from runner_shell.images.engine import Engine, find_engine
from runner_shell.images.hardening import Confinement, Volumes
from runner_shell.images.project import read_project

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs/examples"
PROJECT = read_project(ROOT, os.environ)
IMAGES = ("base", "claude", "langgraph")
ADAPTERS = {"base": "echo", "claude": "claude", "langgraph": "langgraph"}
PATIENCE_SECONDS = 120.0
"""Ends a hang; nothing is judged by it."""

TOKEN = "/run/token"


def ours(name: str) -> str:
    """What an image of ours is called."""
    return reference(name, PROJECT.version)


def engine() -> Engine:
    """The engine that built them."""
    return find_engine(os.environ.get("ENGINE", ""))


def call(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Have the engine do something, to its end."""
    done = subprocess.run(
        [engine().program, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=5 * PATIENCE_SECONDS,
        check=False,
    )
    assert not check or done.returncode == 0, done.stderr
    return done


def build(directory: Path, tag: str) -> None:
    """Build an example as its README says, with this machine's certificates and options."""
    options = os.environ.get("IMAGES_BUILD_OPTIONS", "").split()
    certificates = os.environ.get("SSL_CERT_FILE")
    if certificates:
        options.append(f"--secret=id=ca,src={certificates}")
    options += ["--file", str(directory / "Containerfile")]  # docker looks for a Dockerfile
    call("build", *options, "--tag", tag, "--build-arg", f"VERSION={PROJECT.version}", directory)


def code_of(image: str, code: str, *options: str) -> str:
    """What a Python program says in a container of this image, whose network is cut off."""
    arguments = ("--rm", "--no-healthcheck", "--network=none", *options, "--entrypoint=python")
    return call("run", *arguments, image, "-c", code).stdout


class Container:
    """A container that was started; its output goes to files.

    Attributes:
        name: Its name.
        log: The file that stands for its termination log.
    """

    def __init__(self, name: str, directory: Path, command: list[str]) -> None:
        self.name = name
        self.log = directory / f"{name}.termination"
        self._out, self._err = directory / f"{name}.out", directory / f"{name}.err"
        self._command = command
        self._process: subprocess.Popen[bytes]

    def start(self) -> None:
        """Start it."""
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(
                self._command,
                cwd=self.log.parent,  # where conmon notes that memory ran out
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    @property
    def said(self) -> str:
        """What it wrote to stdout and stderr so far."""
        return self._out.read_text() + self._err.read_text()

    def wait(self) -> int:
        """Wait for its end and return its exit code."""
        try:
            return self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} does not end: {self.said}") from None

    def kill(self, signal: str) -> None:
        """Send a signal to its first process."""
        call("kill", f"--signal={signal}", self.name)

    def kill_once(self, signal: str) -> bool:
        """Send a signal as soon as there is a first process; say whether that took it."""
        return call("kill", f"--signal={signal}", self.name, check=False).returncode == 0

    def exec(self, *command: str, check: bool = True) -> str:
        """Run a command in it, and return what that says."""
        return call("exec", self.name, *command, check=check).stdout

    def termination(self) -> dict[str, Any]:
        """What its termination log says."""
        found: dict[str, Any] = json.loads(self.log.read_text())
        return found

    def close(self) -> None:
        """End it, whatever it does."""
        call("rm", "--force", "--volumes", self.name, check=False)
        self._process.wait(PATIENCE_SECONDS)


class Session:
    """One session at the gateway, and the containers that serve it, on the same volumes.

    Attributes:
        id: Its id.
        workspace: The directory of this machine that is its workspace.
    """

    def __init__(self, directory: Path, gateway: RealGateway, stack: ExitStack) -> None:
        self.id, self._token = gateway.create(f"s-{secrets.token_hex(4)}")
        self.gateway = gateway
        self.workspace = directory / f"{self.id}-workspace"
        self.workspace.mkdir()
        self.workspace.chmod(0o777)
        self._directory, self._stack = directory, stack
        self._state = f"runner-shell-{self.id}"
        self._count = 0
        stack.callback(lambda: call("volume", "rm", "--force", self._state, check=False))

    @property
    def token(self) -> str:
        """Its runner's token."""
        return self._token

    def start(
        self,
        image: str,
        environment: Mapping[str, str],
        *options: str,
        confinement: Confinement | None = None,
        token_in_file: bool = True,
        command: tuple[str, ...] = (),
        files: Mapping[str, Path] | None = None,
    ) -> Container:
        """Start a container of this session, confined."""
        self._count += 1
        name = f"{self.id}-{self._count}"
        container = Container(name, self._directory, [])
        given = {"SESSION_ID": self.id, "RUNNER_GATEWAY": self.gateway.url, **environment}
        given |= {"BOT_TOKEN_FILE": TOKEN} if token_in_file else {"BOT_TOKEN": self._token}
        volumes = Volumes(
            workspace=str(self.workspace),
            state=self._state,
            termination_log=self._shared(container.log.name, ""),
            read_only={TOKEN: self._shared(f"{name}.token", self._token), **(files or {})},
        )
        confined = hardening.options(engine().name, confinement or Confinement(), volumes, given)
        container._command = [
            *engine().run(["--rm", "--name", name, "--no-healthcheck", *confined, *options]),
            *(image, *command),
        ]
        container.start()
        self._stack.callback(container.close)
        return container

    def started(self, container: Container) -> None:
        """Wait until a container's runner says that it has started."""
        self.until(lambda: self.types().count("session.started") >= self._count, container)

    def until(self, find: Callable[[], object], container: Container) -> None:
        """Wait until something is so; fail, with what the container says, where it ended before."""

        def found_or_over() -> str:
            over = container._process.poll() is not None  # asked first: its last act counts
            return "found" if find() else "over" if over else ""

        found = eventually(found_or_over, f"it in {self.id}: {container.said}", PATIENCE_SECONDS)
        assert found == "found", f"{container.name} ended before: {container.said}"

    def types(self) -> list[str]:
        """The stored events' types."""
        return self.gateway.types(self.id)

    def events(self, type: str) -> list[dict[str, Any]]:
        """The stored events of one type."""
        return [event for event in self.gateway.events(self.id) if event["type"] == type]

    def text(self) -> str:
        """All text that was streamed."""
        return "".join(str(event["text"]) for event in self.events("block.delta"))

    def file(self, name: str) -> str:
        """What a file of the workspace holds; nothing where there is none yet."""
        with suppress(OSError):
            return (self.workspace / name).read_text()
        return ""

    def _shared(self, name: str, content: str) -> Path:
        """A file that any uid of a container may read and write."""
        path = self._directory / name
        path.write_text(content)
        path.chmod(0o666)
        return path


__all__ = ["UID", "WORKSPACE", "Confinement", "Container", "Session"]
