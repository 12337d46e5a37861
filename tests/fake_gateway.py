"""A gateway that misbehaves on order, and a runner that dials it."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from runner_shell.adapter.contract import Adapter
from runner_shell.errors import Refused, TransportBroken, TransportClosed
from runner_shell.journal import Journal
from runner_shell.redaction import SecretRegistry
from runner_shell.shell.outcome import Termination, Verdict
from runner_shell.shell.runner import Runner, RunnerSettings
from runner_shell.testing.adapters import ScriptedAdapter
from runner_shell.transport.memory import MemorySocket, memory_pair
from runner_shell.transport.socket import PromptSocket

WAIT_SECONDS = 60.0


def script(*actions: dict[str, Any]) -> str:
    """A message that `ScriptedAdapter` plays."""
    return json.dumps(actions)


class FakeGateway:
    """Speaks raw frames.

    Attributes:
        welcomes: Whether it answers `hello`.
        acknowledges: Whether it acknowledges events.
        frames: What came, in order.
        events: The events among it, but those that came in parts.
        received: The last event's number.
    """

    def __init__(self, *, welcomes: bool = True, acknowledges: bool = True, **welcome: Any) -> None:
        self.welcomes = welcomes
        self.acknowledges = acknowledges
        self.refusal: Refused | None = None
        self.frames: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.received = 0
        self.dials = 0
        self._welcome = {"epoch": 1, "acked": 0} | welcome
        self._news = asyncio.Event()
        self._socket: MemorySocket | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def dial(self) -> PromptSocket:
        self.dials += 1
        if self.refusal is not None:
            raise self.refusal
        ours, theirs = memory_pair()
        self._socket = theirs
        task = asyncio.ensure_future(self._serve(theirs))
        self._tasks.add(task)
        return ours

    async def send(self, frame: str, **fields: Any) -> None:
        """Send a frame."""
        assert self._socket is not None
        await self._socket.send(json.dumps({"frame": frame, **fields}).encode())

    async def close(self, code: int) -> None:
        """Close the connection with a code."""
        assert self._socket is not None
        await self._socket.close(code, "as ordered")

    async def acknowledge(self) -> None:
        """Acknowledge everything that came, and go on doing so."""
        self.acknowledges = True
        await self.send("ack", seq=self.received, credit=1_000_000_000)

    async def until(self, what: Callable[[], Any]) -> None:
        """Wait until something came that makes it true."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not what():
                self._news.clear()
                await self._news.wait()

    async def wait_for(self, type: str, **fields: Any) -> dict[str, Any]:
        """Wait for an event."""

        def found() -> list[dict[str, Any]]:
            fitting = [event for event in self.events if fields.items() <= event.items()]
            return [event for event in fitting if event["type"] == type]

        await self.until(found)
        return found()[0]

    async def _serve(self, socket: MemorySocket) -> None:
        try:
            while True:
                await self._take(json.loads(await socket.recv()))
        except (TransportBroken, TransportClosed):
            return

    async def _take(self, frame: dict[str, Any]) -> None:
        self.frames.append(frame)
        if frame["frame"] == "hello" and self.welcomes:
            acked = max(self._welcome["acked"], self.received)
            await self.send("welcome", **self._welcome | {"acked": acked})
        elif frame["frame"] == "events":
            self.events.extend(frame["events"])
            await self._received(self.events[-1]["seq"])
        elif frame["frame"] == "part" and frame["index"] == frame["total"] - 1:
            await self._received(frame["seq"])
        self._news.set()

    async def _received(self, seq: int) -> None:
        self.received = seq
        if self.acknowledges:
            await self.send("ack", seq=seq)


class Running:
    """A runner that runs."""

    def __init__(self, runner: Runner, told: list[dict[str, Any]]) -> None:
        self.runner = runner
        self.told = told
        self._ended: asyncio.Task[tuple[Verdict, Termination]] = asyncio.ensure_future(runner.run())

    async def end(self) -> Verdict:
        """Wait for its end."""
        return (await self.both())[0]

    async def both(self) -> tuple[Verdict, Termination]:
        """Wait for verdict and termination."""
        async with asyncio.timeout(WAIT_SECONDS):
            return await asyncio.shield(self._ended)


@asynccontextmanager
async def running(
    gateway: FakeGateway,
    prompt: str = "",
    *,
    make: Callable[[], Adapter] = lambda: ScriptedAdapter(ScriptedAdapter.Settings()),
    secrets: dict[str, str] | None = None,
    journal: Journal | None = None,
    **settings: Any,
) -> AsyncIterator[Running]:
    """Run a runner against the gateway until the block is left."""
    told: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        runner = Runner(
            RunnerSettings(
                session="s",
                instance="i",
                adapter="scripted",
                workspace=Path(scratch),
                framework_dir=Path(scratch),
                prompt=prompt,
                **({"grace_seconds": 1.0} | settings),
            ),
            make,
            gateway.dial,
            registry=SecretRegistry(secrets),
            taps=(lambda event: told.append(json.loads(event)),),
            journal=journal,
        )
        run = Running(runner, told)
        try:
            yield run
        finally:
            runner.stop(Verdict.of("stopped", "the test is over"))
            await run.both()
