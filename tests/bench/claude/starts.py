"""A start beside a start: the SDK alone and a real runner, from nothing to the end of one turn.

Every start is a process and its own CLI. At the turn's end it is stopped (SIGSTOP), so that what
the kernel has counted by then can be read in peace.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from runner_shell.protocol import codec
from runner_shell.protocol.frames import SUBPROTOCOL, Ack, Events, Welcome

from .. import processes
from .bare import END, FIRST, WORD
from .model import LONG, NAME, ROOT, SHORT

PATIENCE_SECONDS = 120.0

SAID_BY_EVENTS = {"session.started": FIRST, "message.started": WORD, "turn.finished": END}


class Start(NamedTuple):
    """One start.

    Attributes:
        first: Seconds until the first message of the SDK's, or the first event at the gateway.
        word: Seconds until the model's message begins.
        cpu: Seconds of CPU until the turn's end, a guardian's included and the CLI's not.
        peak_mib: The most memory that was resident.
        guardian_mib: What is resident of the guardian; 0 without one.
        cli_mib: The most that was resident of the CLI.
    """

    first: float
    word: float
    cpu: float
    peak_mib: float
    guardian_mib: float
    cli_mib: float


class Pair(NamedTuple):
    """One contestant in one round: a turn of one word, and a long one.

    Attributes:
        short: The start whose times and CPU count.
        long: The start whose memory counts.
    """

    short: Start
    long: Start


BARE = "the SDK alone"
RUNNER = "runner"


async def measure(model: Mapping[str, str], rounds: int) -> dict[str, list[Pair]]:
    """Run the rounds, after one that is not counted and leaves warm bytecode and caches."""
    found: dict[str, list[Pair]] = {BARE: [], RUNNER: []}
    start = {BARE: _bare, RUNNER: _runner}
    for number in range(rounds + 1):
        order = list(found) if number % 2 else list(found)[::-1]
        short = {name: await start[name](model, SHORT) for name in order}
        long = {name: await start[name](model, LONG) for name in order}
        if number > 0:
            for name in order:
                found[name].append(Pair(short[name], long[name]))
    return found


async def _bare(model: Mapping[str, str], prompt: str) -> Start:
    arguments = ("-m", f"{__package__}.bare", prompt, NAME)
    async with _started(arguments, {**model, "PYTHONPATH": str(ROOT)}) as run:
        assert run.process.stdout is not None
        while END not in run.reached:
            line = await asyncio.wait_for(run.process.stdout.readline(), PATIENCE_SECONDS)
            if not line:
                raise RuntimeError(f"the script ended before its turn did: {run.said()}")
            run.reach(line.decode().strip())
        return run.weigh()


async def _runner(model: Mapping[str, str], prompt: str) -> Start:
    ended = asyncio.Event()
    run: _Run

    async def converse(connection: ServerConnection) -> None:
        """A gateway that commits everything at once."""
        await connection.recv()
        await connection.send(codec.encode_frame(Welcome(epoch=1, acked=0)), text=True)
        with suppress(ConnectionClosed):
            async for data in connection:
                frame = codec.decode_runner_frame(data)
                if isinstance(frame, Events):
                    several = codec.decode_envelopes(data, len(frame.events))
                    for event in several:
                        run.reach(SAID_BY_EVENTS.get(event.type, ""))
                    if END in run.reached:
                        ended.set()
                        return
                    ack = codec.encode_frame(Ack(seq=several[-1].seq))
                    await connection.send(ack, text=True)

    async with serve(
        converse, "127.0.0.1", 0, subprotocols=[Subprotocol(SUBPROTOCOL)], compression=None
    ) as server:
        port = server.sockets[0].getsockname()[1]
        environment = {
            **model,
            "RUNNER_ADAPTER": "claude",
            "WEBSOCKET_URL": f"ws://127.0.0.1:{port}/runner",
            "BOT_TOKEN": "token-of-the-bench",
            "SESSION_ID": "bench",
            "PROMPT": prompt,
            "INTERACTIVE": "1",
            "LLM_MODEL": NAME,
        }
        async with _started(("-m", "runner_shell"), environment, guarded=True) as run:
            try:
                await asyncio.wait_for(ended.wait(), PATIENCE_SECONDS)
            except TimeoutError:
                raise RuntimeError(f"the runner's turn did not end: {run.said()}") from None
            return run.weigh()


class _Run:
    """A process that runs.

    Attributes:
        process: What was started.
        reached: When it reached what.
    """

    def __init__(self, process: asyncio.subprocess.Process, place: Path, *, guarded: bool) -> None:
        self.process = process
        self.reached: dict[str, float] = {}
        self._place = place
        self._guarded = guarded
        self._pid = process.pid
        self._began = time.perf_counter()

    def reach(self, what: str) -> None:
        """Note when this was reached first; at the end have the process stand still."""
        if not what or what in self.reached:
            return
        self.reached[what] = time.perf_counter() - self._began
        if what == END:
            child = processes.child_of(self.process.pid) if self._guarded else None
            self._pid = child or self.process.pid
            os.kill(self._pid, signal.SIGSTOP)

    def weigh(self) -> Start:
        """What the kernel has counted, of a process that stands still."""
        cpu, guardian_mib = processes.cpu_seconds(self._pid), 0.0
        if self._guarded:
            cpu += processes.cpu_seconds(self.process.pid)
            guardian_mib = processes.memory_mib(self.process.pid, "VmRSS")
        (cli,) = processes.children_of(self._pid)
        return Start(
            first=self.reached[FIRST],
            word=self.reached[WORD],
            cpu=cpu,
            peak_mib=processes.memory_mib(self._pid, "VmHWM"),
            guardian_mib=guardian_mib,
            cli_mib=processes.memory_mib(cli, "VmHWM"),
        )

    def said(self) -> str:
        """Its last words."""
        return (self._place / "stderr").read_text(errors="replace")[-2000:]

    async def end(self) -> None:
        """End it and all it started."""
        own = [self._pid, *processes.children_of(self._pid)] if self._alive() else []
        for pid in dict.fromkeys([*own, self.process.pid]):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await self.process.wait()

    def _alive(self) -> bool:
        return self.process.returncode is None and Path(f"/proc/{self._pid}").exists()


@asynccontextmanager
async def _started(
    arguments: tuple[str, ...], environment: Mapping[str, str], *, guarded: bool = False
) -> AsyncIterator[_Run]:
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as directory:
        place = Path(directory)
        (place / "workspace").mkdir()
        own = {
            "PATH": os.environ["PATH"],
            "HOME": directory,
            "RUNNER_STATE_DIR": str(place / "state"),
            "RUNNER_TERMINATION_LOG": str(place / "termination-log"),
        }
        with (place / "stderr").open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, *arguments),
                cwd=place / "workspace",
                env=own | dict(environment),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
            )
        run = _Run(process, place, guarded=guarded)
        try:
            yield run
        finally:
            await run.end()
