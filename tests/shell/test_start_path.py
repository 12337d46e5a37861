"""What a real `python -m runner_shell` has imported by its first frame, and when it collects."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import Any

from real_processes import Launcher, Started
from websockets.asyncio.server import ServerConnection, serve

from runner_shell.protocol.frames import SUBPROTOCOL, CloseCode

FIRST_OF_THE_ADAPTER = "runner_shell.adapter.discovery"
"""What is imported first when the adapter's turn has come."""

ENGINES = {"ahocorasick_rs", "regex"}
"""What redaction searches with: not before there is a text to redact."""

LIGHT = {"runner_shell", "websockets", "msgspec"}

LOOKED_FOR = {
    "org",  # Jython's, by the standard library's `copy`
    "python_socks",  # by websockets, for a proxy that speaks SOCKS
    "typing_extensions",  # by msgspec, which needs it where it is installed
}
"""`-X importtime` also tells of modules that were looked for in vain."""

HEAVY = {
    "git",
    "httpx",
    "pydantic",
    "pydantic_settings",
    "rich",
    "sqlite3",
    "starlette",
    "structlog",
    "typer",
}

PROBE = """
import gc
from runner_shell import Adapter, AdapterSettings, Ending

class Probe(Adapter):
    name = "probe"
    Settings = AdapterSettings

    def describe(self):
        return {"collects": gc.isenabled()}

    async def turn(self, turn):
        return Ending("completed")
"""


@asynccontextmanager
async def runner(
    launch: Launcher, converse: Any, *options: str, **variables: str | Path
) -> AsyncIterator[Started]:
    """A real runner, and a server where `converse` awaits it."""
    async with serve(converse, "127.0.0.1", 0, subprotocols=[SUBPROTOCOL]) as server:
        port = server.sockets[0].getsockname()[1]
        yield launch.start(
            [sys.executable, *options, "-m", "runner_shell"],
            WEBSOCKET_URL=f"ws://127.0.0.1:{port}/runner",
            BOT_TOKEN="token-of-the-test",
            SESSION_ID="start",
            PROMPT="hello",
            **variables,
        )


def imported(report: str) -> list[str]:
    """The modules in a report of `-X importtime`, in order, after the interpreter's own start."""
    lines = [line for line in report.splitlines() if line.startswith("import time:")]
    names = [line.rpartition("|")[2].strip() for line in lines]
    return list(dropwhile(lambda name: name != "site", names))[1:]


async def test_before_hello_only_light_modules_are_imported(launch: Launcher) -> None:
    """Before hello only the standard library, websockets, msgspec and the shell are imported."""
    hello: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    looked = asyncio.Event()

    async def refuse(connection: ServerConnection) -> None:
        hello.set_result(await connection.recv(decode=False))
        await looked.wait()
        await connection.close(CloseCode.NO_SESSION)

    async with runner(launch, refuse, "-X", "importtime", RUNNER_ADAPTER="echo") as started:
        assert json.loads(await hello)["frame"] == "hello"
        names = imported(started.err)
        looked.set()
        await asyncio.to_thread(started.wait)

    before = list(takewhile(lambda name: name != FIRST_OF_THE_ADAPTER, names))
    assert "runner_shell.transport.websocket" in before, "or this test looks at the wrong process"
    assert "runner_shell.redaction.redactor" in before, "or redaction is looked for in vain"
    assert "runner_shell.redaction.rules" not in before
    packages = {name.partition(".")[0] for name in before}
    assert packages - sys.stdlib_module_names - LOOKED_FOR == LIGHT
    assert not packages & (HEAVY | ENGINES)


async def test_a_loaded_runner_collects_its_garbage(launch: Launcher) -> None:
    """The start leaves garbage alone; from the adapter's import on it is collected."""
    site = launch.directory / "site"
    metadata = site / "probe-1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: probe\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[runner_shell.adapters]\nprobe = probe:Probe\n")
    (site / "probe.py").write_text(PROBE)
    said: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    async def welcome(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(json.dumps({"frame": "welcome", "epoch": 1, "acked": 0}))
        said.set_result(json.loads(await connection.recv())["events"][0])
        await connection.close(CloseCode.SUPERSEDED)

    async with runner(launch, welcome, RUNNER_ADAPTER="probe", PYTHONPATH=site) as started:
        event = await said
        await asyncio.to_thread(started.wait)

    assert event["type"] == "session.started"
    assert event["description"] == {"collects": True}
