"""How what is compared is started and measured: the sender on one core, the receiver on another."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

import httpx
import msgspec

from runner_shell.testing.faults import FaultProxy

from .. import processes
from .flood import Flood
from .notes import VARIABLE, Notes
from .runner import PLAIN

ROOT = Path(__file__).parents[3]
SECRETS = 100
END_SECONDS = 20.0


class Flooded(NamedTuple):
    """What a flood took.

    Attributes:
        seconds: From before its first event to the last one's commit, or arrival at a sink.
        cpu_us: Of the sender, microseconds an event.
        receiver_cpu_us: Of the receiver.
        received: Seconds until each log line arrived.
        committed: Seconds until each was committed; nothing at a sink.
    """

    seconds: float
    cpu_us: float
    receiver_cpu_us: float
    received: list[float]
    committed: list[float]


class Contestant(Protocol):
    """Something that can be given floods."""

    async def flood(self, flood: Flood) -> Flooded:
        """Give it a flood, and wait until it has arrived."""


class Started:
    """A process on a core of its own, which ends with the block it was started in.

    Attributes:
        pid: The process that counts; a guardian's child.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.pid = process.pid

    @property
    def cpu(self) -> float:
        """Seconds of CPU so far, a guardian's included."""
        own = processes.cpu_seconds(self.pid)
        guarded = self.pid != self.process.pid
        return own + (processes.cpu_seconds(self.process.pid) if guarded else 0.0)

    @property
    def mib(self) -> float:
        """What is resident now."""
        return processes.memory_mib(self.pid, "VmRSS")

    async def end(self, number: int = signal.SIGTERM) -> None:
        """End it in order, and by force where it takes too long."""
        if self.process.returncode is not None:
            return
        self.process.send_signal(number)
        try:
            await asyncio.wait_for(self.process.wait(), END_SECONDS)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


class Peer:
    """One of the peers, with its sink."""

    def __init__(self, sender: Started, receiver: Started, notes: Notes) -> None:
        self._sender, self._receiver, self._notes = sender, receiver, notes

    async def flood(self, flood: Flood) -> Flooded:
        """See `Contestant.flood`."""
        stdin = self._sender.process.stdin
        assert stdin is not None
        with _Measured(self._sender, self._receiver, self._notes) as measured:
            stdin.write(msgspec.json.encode(flood) + b"\n")
            return await measured.result(flood)


class Runner:
    """A real runner and its gateway.

    Attributes:
        sender: The runner; its guardian is the process.
        receiver: The gateway.
        notes: What both say.
        proxy: Between them, where there is one.
    """

    def __init__(
        self, place: _Place, sender: Started, session: str, proxy: FaultProxy | None
    ) -> None:
        self.sender, self.notes, self.proxy = sender, place.notes, proxy
        self._place = place
        self._session = session

    @property
    def receiver(self) -> Started:
        """The gateway of the moment."""
        return self._place.gateway

    async def flood(self, flood: Flood) -> Flooded:
        """See `Contestant.flood`."""
        with _Measured(self.sender, self.receiver, self.notes) as measured:
            await self.ask(flood)
            return await measured.result(flood)

    async def ask(self, flood: Flood) -> None:
        """Give it a flood, and wait for nothing."""
        command = {"type": "turn.start", "id": secrets.token_hex(8)}
        command["content"] = msgspec.json.encode(flood).decode()
        answer = await self._place.http.post(f"/sessions/{self._session}/commands", json=command)
        answer.raise_for_status()

    async def kill_gateway(self) -> None:
        """As a lost machine does."""
        await self.receiver.end(signal.SIGKILL)

    async def restart_gateway(self) -> None:
        """At the same port, with the same store."""
        await self._place.serve()


class _Measured:
    """Time and CPU from the note `began` to the note `stored`."""

    def __init__(self, sender: Started, receiver: Started, notes: Notes) -> None:
        self._sender, self._receiver, self._notes = sender, receiver, notes

    def __enter__(self) -> _Measured:
        self._notes.skip()
        self._cpu = self._sender.cpu, self._receiver.cpu
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing is to be undone."""

    async def result(self, flood: Flood) -> Flooded:
        began = await self._notes.next("began")
        stored = await self._notes.next("stored")
        costs = [
            (after - before) / flood.count * 1e6
            for before, after in zip(self._cpu, (self._sender.cpu, self._receiver.cpu), strict=True)
        ]
        return Flooded(stored["at"] - began["at"], *costs, stored["received"], stored["committed"])


class _Place:
    """A gateway in a directory of its own."""

    def __init__(self, stack: AsyncExitStack, directory: Path, cores: tuple[int, int]) -> None:
        directory.mkdir()
        self.directory, self.cores = directory, cores
        self.notes = Notes(directory / "notes")
        self.stack = stack
        self.port = 0
        self.gateway: Started
        self.http: httpx.AsyncClient

    async def start(
        self, module: str, *arguments: str, core: int, environment: Mapping[str, str] | None = None
    ) -> Started:
        given = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            VARIABLE: str(self.notes.path),
            "PYTHONPATH": f"{_site(self.directory)}{os.pathsep}{ROOT}",
        }
        with (self.directory / f"stderr-{module}").open("ab") as stderr:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", f"{__package__}.{module}", *arguments),
                cwd=self.directory,
                env=given | dict(environment or {}),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=stderr,
                preexec_fn=lambda: os.sched_setaffinity(0, {core}),
            )
        started = Started(process)
        self.stack.push_async_callback(started.end)
        return started

    async def serve(self) -> None:
        """Start the gateway, at the same port as before."""
        if not self.port:
            # Below the ports that the system gives to dialling sockets.
            async with FaultProxy(("127.0.0.1", 1)) as holder:
                self.port = holder.port
        token_file = self.directory / "token"
        store = str(self.directory / "gateway.db")
        self.gateway = await self.start(
            "gateway", store, str(self.port), str(token_file), core=self.cores[1]
        )
        await self.notes.next("serving")
        self.http = await self.stack.enter_async_context(
            httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{self.port}",
                headers={"Authorization": f"Bearer {token_file.read_text()}"},
                trust_env=False,
            )
        )


@asynccontextmanager
async def peer(kind: str, directory: Path, cores: tuple[int, int]) -> AsyncIterator[Peer]:
    """`bare` or `naive`, with a sink."""
    async with AsyncExitStack() as stack:
        place = _Place(stack, directory, cores)
        receiver = await place.start("sink", kind, core=cores[1])
        port = (await place.notes.next("listening"))["port"]
        sender = await place.start("peers", kind, f"ws://127.0.0.1:{port}", core=cores[0])
        await place.notes.next("connected")
        yield Peer(sender, receiver, place.notes)


@asynccontextmanager
async def runner(
    directory: Path, cores: tuple[int, int], *, redacting: bool, proxied: bool = False
) -> AsyncIterator[Runner]:
    """A runner that waits for floods, connected to a gateway.

    Args:
        directory: For both; it is made.
        cores: The runner's and the gateway's.
        redacting: With a hundred secrets and every rule, or not at all.
        proxied: Whether a proxy that can break things stands between them.
    """
    async with AsyncExitStack() as stack:
        place = _Place(stack, directory, cores)
        await place.serve()
        session = "bench"
        made = await place.http.post("/sessions", json={"id": session})
        target = ("127.0.0.1", place.port)
        proxy = await stack.enter_async_context(FaultProxy(target)) if proxied else None
        (directory / "workspace").mkdir()
        environment = {
            "RUNNER_ADAPTER": "flood",
            "RUNNER_GATEWAY": f"http://{proxy.address if proxy else f'127.0.0.1:{place.port}'}",
            "SESSION_ID": session,
            "BOT_TOKEN": made.json()["runner_token"],
            "INTERACTIVE": "true",
            "RUNNER_STATE_DIR": str(directory / "state"),
            "RUNNER_TERMINATION_LOG": str(directory / "termination-log"),
            "WORKSPACE_PATH": str(directory / "workspace"),
            **(_hundred_secrets() if redacting else {PLAIN: "1"}),
        }
        sender = await place.start("runner", core=cores[0], environment=environment)
        started = Runner(place, sender, session, proxy)
        await started.ask(Flood(kind="deltas", count=1000))  # what is imported late is imported now
        await place.notes.next("stored")
        sender.pid = processes.child_of(sender.pid) or sender.pid
        yield started


def _hundred_secrets() -> dict[str, str]:
    return {f"SERVICE_{number}_TOKEN": secrets.token_urlsafe(30) for number in range(SECRETS)}


def _site(directory: Path) -> Path:
    """A place where the adapter is installed, by its entry point."""
    metadata = directory / "site" / "flood-1.dist-info"
    metadata.mkdir(parents=True, exist_ok=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: flood\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(
        f"[runner_shell.adapters]\nflood = {__package__}.adapter:FloodAdapter\n"
    )
    return directory / "site"
