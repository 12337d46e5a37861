"""Looks at a built image as a platform runs it: confined, against a gateway on this machine."""

from __future__ import annotations

import asyncio
import json
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct

from ..errors import ConfigurationError
from . import hardening
from .catalogue import ENTRYPOINT, GID, HEALTH_COMMAND, STOP_SIGNAL, UID
from .engine import Engine
from .hardening import Confinement, Volumes

if TYPE_CHECKING:
    from ..gateway.server import DevServer

ARBITRARY_UID = 1_000_730_000
"""A uid as OpenShift gives them: no entry in any file of the image."""

_PATIENCE_SECONDS = 300.0
"""Ends a hang; nothing is judged by it."""

_TOKEN = "/run/token"  # noqa: S105 — a place


class Checked(Struct, frozen=True, kw_only=True):
    """One thing that was looked at.

    Attributes:
        what: What was looked at.
        problem: What is wrong, or empty.
    """

    what: str
    problem: str = ""


class Ran(NamedTuple):
    """A container that ended."""

    code: int
    err: str


async def check(engine: Engine, image: str) -> AsyncIterator[Checked]:
    """Look at an image; each finding as soon as it is known.

    Sessions are the echo adapter's, which every image has.

    Raises:
        ConfigurationError: The engine only builds, or the gateway's packages are not installed.
    """
    found = await _inspect(engine, image)
    if found is None:
        yield Checked(what="the image", problem=f"there is no image {image}")
        return
    for checked in configuration(found):
        yield checked
    with tempfile.TemporaryDirectory(prefix="runner-shell-check-") as directory:
        async with _gateway(Path(directory)) as gateway:
            trial = _Trial(engine, image, Path(directory), gateway)
            for uid in (UID, ARBITRARY_UID):
                yield await trial.session(uid)
            yield await trial.wrong_setting()


def configuration(found: Mapping[str, Any]) -> Iterator[Checked]:
    """Whether an image's configuration is what every image of ours promises.

    Args:
        found: The `Config` of the image, as engines print it.
    """
    health = (found.get("Healthcheck") or {}).get("Test", [])
    promised = (
        ("it runs as a user by number", found.get("User"), f"{UID}:{GID}"),
        ("it starts without a shell", found.get("Entrypoint"), list(ENTRYPOINT)),
        ("it is stopped by a signal that drains", found.get("StopSignal"), STOP_SIGNAL),
        ("its health command", health, ["CMD", *HEALTH_COMMAND]),
    )
    for what, said, expected in promised:
        problem = "" if said == expected else f"it says {said!r}, not {expected!r}"
        yield Checked(what=what, problem=problem)


class _Trial:
    """Runs one image, confined, with volumes of its own."""

    def __init__(self, engine: Engine, image: str, directory: Path, gateway: DevServer) -> None:
        self._engine = engine
        self._image = image
        self._directory = directory
        self._gateway = gateway

    async def session(self, uid: int) -> Checked:
        """A session of the echo adapter, to its end."""
        what = f"a session as uid {uid}, confined"
        ran, log = await self._run(uid, {"RUNNER_ADAPTER": "echo", "PROMPT": "hello there"})
        said = json.loads(log.read_text() or "{}")
        if ran.code == 0 and said.get("outcome") == "completed" and said.get("last_acked"):
            return Checked(what=what)
        return Checked(what=what, problem=f"exit code {ran.code}, {said or ran.err.strip()}")

    async def wrong_setting(self) -> Checked:
        """A setting that is wrong: exit code 2, and the reason in the termination log."""
        what = "a wrong setting exits with 2 and says so"
        environment = {"RUNNER_ADAPTER": "echo", "PROMPT": "hello", "TIMEOUT": "soon"}
        ran, log = await self._run(UID, environment)
        if ran.code == 2 and "TIMEOUT" in log.read_text():
            return Checked(what=what)
        return Checked(what=what, problem=f"exit code {ran.code}: {ran.err.strip()}")

    async def _run(self, uid: int, environment: Mapping[str, str]) -> tuple[Ran, Path]:
        name = f"runner-shell-check-{secrets.token_hex(4)}"
        log, token = self._file(f"{name}.log", ""), self._file(f"{name}.token", "")
        token.write_text(self._gateway.admin_token)
        given = {
            "SESSION_ID": name,
            "RUNNER_GATEWAY": self._gateway.url,
            "BOT_TOKEN_FILE": _TOKEN,
            **environment,
        }
        volumes = Volumes(
            workspace=f"{name}-workspace",
            state=f"{name}-state",
            termination_log=log,
            read_only={_TOKEN: token},
        )
        options = hardening.options(self._engine.name, Confinement(uid=uid), volumes, given)
        command = self._engine.run(["--rm", "--name", name, "--no-healthcheck", *options])
        try:
            ran = await _output([*command, self._image])
        finally:
            await _output([self._engine.program, "volume", "rm", "--force", volumes.workspace])
            await _output([self._engine.program, "volume", "rm", "--force", volumes.state])
        return ran, log

    def _file(self, name: str, content: str) -> Path:
        """A file of this machine that any uid of a container may read and write."""
        path = self._directory / name
        path.write_text(content)
        path.chmod(0o666)
        return path


@asynccontextmanager
async def _gateway(directory: Path) -> AsyncIterator[DevServer]:
    from ..gateway.server import dev_server

    async with dev_server(store_path=":memory:", token_file=directory / "admin") as server:
        yield server


async def _inspect(engine: Engine, image: str) -> Mapping[str, Any] | None:
    if engine.name == "buildah":
        raise ConfigurationError("buildah only builds: looking at an image needs podman or docker")
    done = await _process([engine.program, "image", "inspect", image])
    out, _ = await done.communicate()
    if done.returncode:
        return None
    (found,) = json.loads(out)
    # podman keeps it beside the rest, docker within it.
    return {"Healthcheck": found.get("Healthcheck"), **found["Config"]}


async def _output(command: Sequence[str]) -> Ran:
    process = await _process(command)
    async with asyncio.timeout(_PATIENCE_SECONDS):
        _, err = await process.communicate()
    assert process.returncode is not None, "it was waited for"
    return Ran(process.returncode, err.decode(errors="replace"))


async def _process(command: Sequence[str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
