"""Rounds: in each, everything is started once, in an order that turns around.

A round starts every contestant twice. The first start is timed and otherwise left alone; in the
second the process is stopped (SIGSTOP) at the frame that is waited for, so that what the kernel
has counted by then can be read in peace.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from . import processes
from .gateway import HELLO, Gateway, Visit

HERE = Path(__file__).parent
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, eq=False)
class Contestant:
    """Something that is started.

    Attributes:
        label: What the table calls it.
        arguments: What follows the interpreter.
        until: `HELLO` or the type of an event.
        environment: What it needs besides the address and the token.
        guarded: Whether its first process is a guardian, and the child is what counts.
    """

    label: str
    arguments: tuple[str, ...]
    until: str = HELLO
    environment: Mapping[str, str] = field(default_factory=dict)
    guarded: bool = True


class Sample(NamedTuple):
    """One contestant in one round.

    Attributes:
        wall_ms: From before the process was started to the frame's arrival.
        cpu_ms: User and system time, a guardian's included.
        peak_mib: The most memory that was resident.
        guardian_mib: What is resident of the guardian; 0 without one.
    """

    wall_ms: float
    cpu_ms: float
    peak_mib: float
    guardian_mib: float


RUNNER = ("-m", "runner_shell")
BARE = Contestant("bare client, to its first frame", (str(HERE / "bare.py"),), guarded=False)
CONTESTANTS = (
    BARE,
    Contestant("runner, to its first frame", RUNNER, environment={"RUNNER_ADAPTER": "echo"}),
    Contestant(
        "runner with echo, to `session.started`",
        RUNNER,
        until="session.started",
        environment={"RUNNER_ADAPTER": "echo"},
    ),
    Contestant(
        "runner with LangGraph, to `session.started`",
        RUNNER,
        until="session.started",
        environment={"RUNNER_ADAPTER": "langgraph", "GRAPH": f"{HERE / 'graph.py'}:graph"},
    ),
)


async def measure(
    rounds: int, contestants: Sequence[Contestant] = CONTESTANTS
) -> dict[Contestant, list[Sample]]:
    """Run the rounds, after one that is not counted and leaves warm bytecode and caches."""
    samples: dict[Contestant, list[Sample]] = {contestant: [] for contestant in contestants}
    async with Gateway() as gateway:
        for number in range(rounds + 1):
            order = contestants if number % 2 else contestants[::-1]
            # Each kind of start by itself: what is compared then runs right after one another.
            walls = [await _timed(gateway, contestant) for contestant in order]
            weights = [await _weighed(gateway, contestant) for contestant in order]
            if number > 0:
                for contestant, wall_ms, weight in zip(order, walls, weights, strict=True):
                    samples[contestant].append(Sample(wall_ms, *weight))
    return samples


async def _timed(gateway: Gateway, contestant: Contestant) -> float:
    visit = Visit(contestant.until)
    gateway.expect(visit)
    async with _Started(gateway.url, contestant) as started:
        return (await started.arrival(visit) - started.at) * 1000


async def _weighed(gateway: Gateway, contestant: Contestant) -> tuple[float, float, float]:
    async with _Started(gateway.url, contestant) as started:
        visit = Visit(contestant.until, started.find, started.halt)
        gateway.expect(visit)
        await started.arrival(visit)
        return started.weigh()


class _Started:
    """A process that runs while the block does, in directories of its own."""

    def __init__(self, url: str, contestant: Contestant) -> None:
        self._url = url
        self._contestant = contestant
        self._directory = tempfile.TemporaryDirectory(prefix="bench-")
        self._process: asyncio.subprocess.Process
        self._pid = 0
        self.at = 0.0

    async def __aenter__(self) -> _Started:
        home = Path(self._directory.name)
        (home / "workspace").mkdir()
        environment = {
            "PATH": os.defpath,
            "WEBSOCKET_URL": self._url,
            "BOT_TOKEN": "token-of-the-bench",
            "SESSION_ID": "bench",
            "PROMPT": "hello",
            "RUNNER_STATE_DIR": str(home / "state"),
            "RUNNER_TERMINATION_LOG": str(home / "termination-log"),
            **self._contestant.environment,
        }
        with (home / "stderr").open("wb") as stderr:
            self.at = time.perf_counter()
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *self._contestant.arguments,
                cwd=home / "workspace",
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=stderr,
            )
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self._process.returncode is None:
            self.find()
            for pid in {self._pid, self._process.pid}:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        await self._process.wait()
        self._directory.cleanup()

    async def arrival(self, visit: Visit) -> float:
        """When what is waited for came.

        Raises:
            RuntimeError: The process ended before that, or took too long.
        """
        ended = asyncio.ensure_future(self._process.wait())
        either: set[asyncio.Future[Any]] = {visit.arrived, ended}
        await asyncio.wait(either, timeout=PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        if not visit.arrived.done():
            said = (Path(self._directory.name) / "stderr").read_text(errors="replace")
            raise RuntimeError(f"{self._contestant.label}: it never got there.\n{said}")
        return visit.arrived.result()

    def find(self) -> None:
        """Find out who runs; a guardian's child."""
        if not self._pid:
            child = processes.child_of(self._process.pid) if self._contestant.guarded else None
            self._pid = child or self._process.pid

    def halt(self) -> None:
        """Have it stand still."""
        os.kill(self._pid, signal.SIGSTOP)

    def weigh(self) -> tuple[float, float, float]:
        """CPU in milliseconds, peak memory and the guardian's in MiB, of what stands still."""
        cpu = processes.cpu_seconds(self._pid)
        guardian_mib = 0.0
        if self._pid != self._process.pid:
            cpu += processes.cpu_seconds(self._process.pid)
            guardian_mib = processes.memory_mib(self._process.pid, "VmRSS")
        return cpu * 1000, processes.memory_mib(self._pid, "VmHWM"), guardian_mib
