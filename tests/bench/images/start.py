"""Rounds of containers: each contestant once in a round, in an order that turns around."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

from runner_shell.images.engine import Engine
from tests.bench.gateway import HELLO, Gateway, Visit

PATIENCE_SECONDS = 300.0
"""Ends a hang; nothing is judged by it."""

_DIAL = """
import asyncio, sys
from websockets.asyncio.client import connect
async def main():
    async with connect(sys.argv[1], subprotocols=["runner-shell.v1"], compression=None) as socket:
        await socket.send("{}")
        await socket.recv()
asyncio.run(main())
"""


@dataclass(frozen=True, eq=False)
class Contestant:
    """A container that is started.

    Attributes:
        label: What the table calls it.
        image: Its image.
        adapter: The adapter that its runner names; empty for what is no runner.
        code: What its Python runs in place of a runner; it is given the gateway's URL.
        until: `HELLO` for the first frame, the type of an event, or empty for the container's end.
    """

    label: str
    image: str
    adapter: str = ""
    code: str = ""
    until: str = ""


def contestants(base: str, claude: str, langgraph: str) -> tuple[Contestant, ...]:
    """Who is measured, the two peers first.

    Args:
        base: The base's image.
        claude: Claude's.
        langgraph: LangGraph's.
    """
    return (
        Contestant("`python -c pass`, to the container's end", base, code="pass"),
        Contestant("a bare client, to its first frame", base, code=_DIAL, until=HELLO),
        Contestant("base, to its first frame", base, "echo", until=HELLO),
        Contestant("LangGraph, to its first frame", langgraph, "langgraph", until=HELLO),
        Contestant("Claude, to its first frame", claude, "claude", until=HELLO),
        Contestant("base with echo, to `session.started`", base, "echo", until="session.started"),
    )


async def measure(
    engine: Engine, all_of: Sequence[Contestant], rounds: int
) -> dict[Contestant, list[float]]:
    """Seconds of each contestant in each round, after one round that is not counted."""
    taken: dict[Contestant, list[float]] = {one: [] for one in all_of}
    async with Gateway() as gateway:
        for number in range(rounds + 1):
            for one in all_of if number % 2 else all_of[::-1]:
                seconds = await _timed(engine, gateway, one)
                if number:
                    taken[one].append(seconds)
    return taken


async def _timed(engine: Engine, gateway: Gateway, one: Contestant) -> float:
    visit = Visit(one.until or HELLO)
    gateway.expect(visit)
    name = f"runner-shell-bench-{secrets.token_hex(4)}"
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *engine.run(["--rm", "--name", name, "--network=host", "--no-healthcheck"]),
        *_arguments(gateway.url, one),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    ended = asyncio.ensure_future(process.communicate())
    awaited: asyncio.Future[object] = visit.arrived if one.until else ended  # type: ignore[assignment]
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.wait({awaited, ended}, return_when=asyncio.FIRST_COMPLETED)
    now = time.perf_counter()
    if one.until and not visit.arrived.done():
        raise RuntimeError(f"{one.label}: it never got there.\n{ended.result()[1].decode()}")
    await _end(engine, name)
    await ended
    return (visit.arrived.result() if one.until else now) - began


def _arguments(url: str, one: Contestant) -> list[str]:
    if one.code:
        return ["--entrypoint=python", one.image, "-c", one.code, url]
    given = {
        "WEBSOCKET_URL": url,
        "BOT_TOKEN": "token-of-the-bench",
        "SESSION_ID": "bench",
        "PROMPT": "hello",
        "RUNNER_ADAPTER": one.adapter,
    }
    return [*(f"--env={name}={value}" for name, value in given.items()), one.image]


async def _end(engine: Engine, name: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(engine.program, "rm", "--force", name),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    await process.wait()
