"""Principals, literal events, and a runner that is nothing but frames."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from runner_shell.errors import TransportBroken
from runner_shell.gateway.core import GatewayCore
from runner_shell.gateway.sqlite import SqliteStore
from runner_shell.gateway.store import EventRow, SessionKey
from runner_shell.gateway.tokens import Principal, Role
from runner_shell.transport.memory import MemorySocket, memory_pair

ADMIN = Principal(name="ada", role=Role.ADMIN, tenant="default")
STRANGER = Principal(name="eve", role=Role.ADMIN, tenant="elsewhere")
RUNNER = Principal(name="runner:s", role=Role.RUNNER, tenant="default", session="s")
KEY = SessionKey("default", "s")
DEADLINE_SECONDS = 60.0
STEP_SECONDS = 0.01


def event(seq: int, type: str = "log", **fields: Any) -> str:
    own = fields or {"message": f"line {seq}"}
    head = {"seq": seq, "time": "2026-11-21T10:00:00.000Z", "turn": "t1", "type": type}
    return json.dumps(head | own)


def row(seq: int, type: str = "log", **fields: Any) -> EventRow:
    data = event(seq, type, **fields).encode()
    return EventRow(seq, "2026-11-21T10:00:00.000Z", type, "t1", data)


def turn_start(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "turn.start", "id": name, "content": "hello"} | fields


def hello(**fields: Any) -> str:
    frame = {"frame": "hello", "session": "s", "epoch": None, "instance": "one", "log": "l"}
    return json.dumps(frame | {"next": 1, "last_command": 0} | fields)


def events_frame(*events: str) -> str:
    return '{"frame":"events","events":[' + ",".join(events) + "]}"


class SteadyClock:
    """Seconds that pass while the loop turns: that the machine stands still is nobody's silence."""

    def __init__(self) -> None:
        self._now = 0.0
        self._runs = False

    def __call__(self) -> float:
        if not self._runs:
            self._runs = True
            self._pass()
        return self._now

    def _pass(self) -> None:
        self._now += STEP_SECONDS
        asyncio.get_running_loop().call_later(STEP_SECONDS, self._pass)


class FrameRunner:
    """A runner that says literal frames and remembers what it heard."""

    def __init__(self, socket: MemorySocket) -> None:
        self.socket = socket

    async def say(self, frame: str) -> None:
        await self.socket.send(frame.encode())

    async def hear(self, kind: str) -> Any:
        """The next frame of this kind; others in between are passed over."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                frame = json.loads(await self.socket.recv())
                if frame["frame"] == kind:
                    return frame

    async def hear_commands(self, count: int) -> list[Any]:
        heard: list[Any] = []
        while len(heard) < count:
            heard += (await self.hear("commands"))["commands"]
        return heard

    async def hear_ack(self, seq: int) -> None:
        while (await self.hear("ack"))["seq"] != seq:
            pass

    async def hear_close(self) -> int | None:
        """The close code; frames before it are passed over."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                try:
                    await self.socket.recv()
                except TransportBroken as broken:
                    return broken.code

    async def greet(self, **fields: Any) -> Any:
        await self.say(hello(**fields))
        return await self.hear("welcome")


class Bench:
    """A core with the session `s`, and runners that dial it over memory."""

    def __init__(self, core: GatewayCore, tasks: asyncio.TaskGroup) -> None:
        self.core = core
        self._tasks = tasks

    def dial(self, principal: Principal = RUNNER, session: str = "s") -> FrameRunner:
        ours, theirs = memory_pair()
        self._tasks.create_task(self.core.serve_runner(theirs, principal, session))
        return FrameRunner(ours)


@asynccontextmanager
async def bench(store: SqliteStore | None = None, **options: Any) -> AsyncIterator[Bench]:
    """A core over a store of its own; every runner still there at the end is drained."""
    async with store or SqliteStore(":memory:") as opened:
        core = GatewayCore(opened, **options)
        await core.create_session(ADMIN, "s")
        async with asyncio.TaskGroup() as tasks:
            yield Bench(core, tasks)
            await core.drain()
