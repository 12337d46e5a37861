"""One run: processes, a proxy between them, faults by a seed, commands all the while."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import msgspec
from msgspec import Struct

from runner_shell.testing.faults import FaultProxy
from tests.chaos import adapter
from tests.chaos.oracle import DESCRIPTORS, MEMORY_KB, Run, Tapped, violations

ROOT = Path(__file__).parents[2]
SESSION = "chaos"
FINISHED = "session.finished"
TOLD = 50
"""One fault of a link breaks a promise for each event behind it."""

DEADLINE_SECONDS = 120.0
"""Ends a hang; nothing is judged by it."""


ENDLESS = 10**9
"""Rounds enough for any time."""


class Plan(Struct, frozen=True, kw_only=True):
    """What a run is to be.

    Attributes:
        seed: Chooses the faults.
        rounds: How many of them, at most.
        seconds: For how long, at most.
        runner_kills: Whether runners are killed too.
        only: The kinds of faults, of `KINDS`; all unless given.
        mutant: A mistake to patch in, of `mutants.MUTANTS`, or empty.
    """

    seed: int
    rounds: int = ENDLESS
    seconds: float = 30.0
    runner_kills: bool = True
    only: tuple[str, ...] = ()
    mutant: str = ""


KINDS = {"network": 6, "kill_gateway": 1, "drain_gateway": 1, "kill_runner": 2}
"""What can go wrong, and how often of ten times."""


class Failed(AssertionError):
    """The run cannot go on: what should have happened did not."""


class Campaign:
    """Plays a plan in a directory.

    Args:
        plan: What to do.
        directory: Empty; everything that a look back needs stays in it.
        say: Told of each fault as it happens.
    """

    def __init__(self, plan: Plan, directory: Path, say: Callable[[str], None]) -> None:
        self._plan = plan
        self._directory = directory
        self._say = say
        self._random = random.Random(plan.seed)
        self._pace = random.Random(plan.seed + 1)
        self._commands: list[str] = []
        self._taps: list[tuple[Path, bool]] = []
        self._gateway: Process
        self._runner: Process
        self._client: httpx.AsyncClient
        self._proxy: FaultProxy
        self._calm = asyncio.Event()
        self._away = asyncio.Lock()
        self._descriptors: list[int] = []
        self._rss_kb: list[int] = []
        self.faults = 0
        self.stored = 0

    async def run(self) -> list[str]:
        """Play it; returns the broken promises, the first `TOLD` of them."""
        try:
            return (await self._run())[:TOLD]
        except Failed as failed:
            return [str(failed)]

    async def _run(self) -> list[str]:
        async with AsyncExitStack() as stack:
            self._client = await stack.enter_async_context(httpx.AsyncClient(timeout=5))
            port = await _free_port()
            self._url = f"http://127.0.0.1:{port}"
            self._proxy = await stack.enter_async_context(
                FaultProxy(("127.0.0.1", port), seed=self._plan.seed)
            )
            stack.push_async_callback(self._end_processes)
            await self._start_gateway()
            created = await self._post("/sessions", {"id": SESSION})
            (self._directory / "runner.token").write_text(created["runner_token"])
            await self._start_runner()
            commanding = asyncio.create_task(self._give_commands())
            try:
                await self._play()
            finally:
                self._calm.set()
            await commanding
            stored = await self._finish()
        self.stored = len(stored)
        effects = self._directory / "effects"
        return violations(
            Run(
                stored=stored,
                tapped=[Tapped(_lines(path), killed) for path, killed in self._taps],
                commands=self._commands,
                effects=effects.read_text().split() if effects.exists() else [],
            )
        ) + list(self._leaks())

    # --- faults ------------------------------------------------------------------------------

    async def _play(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._plan.seconds
        kinds = self._kinds()
        while self.faults < self._plan.rounds and loop.time() < until:
            await asyncio.sleep(self._random.uniform(0.05, 0.6))
            self._check_runner()
            self.faults += 1
            match self._random.choice(kinds):
                case "network":
                    (fault,) = self._proxy.faults(1)
                    self._say(f"{self.faults}: {fault}")
                    await self._proxy.play(fault)
                case "kill_gateway":
                    self._say(f"{self.faults}: kill -9 the gateway")
                    await self._restart_gateway(signal.SIGKILL)
                case "drain_gateway":
                    self._say(f"{self.faults}: SIGTERM to the gateway")
                    await self._restart_gateway(signal.SIGTERM)
                case "kill_runner":
                    self._say(f"{self.faults}: kill -9 the runner")
                    await self._kill_runner()
                    await self._start_runner()
            self._note_gateway()

    def _kinds(self) -> list[str]:
        plan = self._plan
        chosen = plan.only or [one for one in KINDS if plan.runner_kills or one != "kill_runner"]
        return [kind for kind in chosen for _ in range(KINDS[kind])]

    async def _restart_gateway(self, how: signal.Signals) -> None:
        async with self._away:
            self._gateway.send_signal(how)
            await self._gateway.wait()
            await asyncio.sleep(self._random.uniform(0.0, 0.5))
            await self._start_gateway()
            self._descriptors.clear()
            self._rss_kb.clear()

    async def _kill_runner(self) -> None:
        """Kill the runner itself, not its guardian, which then ends by its own."""
        while not (found := children(self._runner.pid)):  # it has only just been started
            await asyncio.sleep(0.01)
            self._check_runner()
        os.kill(found[0], signal.SIGKILL)
        await self._runner.wait()
        path, _ = self._taps[-1]
        self._taps[-1] = (path, True)

    def _check_runner(self) -> None:
        if self._runner.returncode is not None:
            raise Failed(
                f"the runner ended by itself, with {self._runner.returncode}:"
                f" {self._output('runner')}"
            )

    def _note_gateway(self) -> None:
        process = Path(f"/proc/{self._gateway.pid}")
        with suppress(OSError):
            self._descriptors.append(len(os.listdir(process / "fd")))
            pages = int((process / "statm").read_text().split()[1])
            self._rss_kb.append(pages * os.sysconf("SC_PAGE_SIZE") // 1024)

    def _leaks(self) -> Iterator[str]:
        """Of the gateway's last process; the runners' are the oracle's to find."""
        for noted, allowed, what in (
            (self._descriptors, DESCRIPTORS, "descriptors"),
            (self._rss_kb, MEMORY_KB, "KB"),
        ):
            few, many = min(noted, default=0), max(noted, default=0)
            if many > few + allowed:
                yield f"the gateway went from {few} to {many} {what}"

    # --- commands ----------------------------------------------------------------------------

    async def _give_commands(self) -> None:
        """Turns and notes, one after the other, until it is calm; each is handed in until taken."""
        number = 0
        while not self._calm.is_set():
            number += 1
            if number % 4 == 1:
                words = self._pace.randrange(300, 1500)
                content = adapter.task(f"t{number}", words)
                await self._command(f"turn-{number}", "turn.start", content=content)
            else:
                await self._command(f"note-{number}", "adapter.call", method="note")
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pace.uniform(0.02, 0.25)):
                    await self._calm.wait()

    async def _command(self, id: str, type: str, **fields: Any) -> None:
        body = {"id": id, "type": type, **fields}
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                try:
                    await self._post(f"/sessions/{SESSION}/commands", body)
                except (httpx.HTTPError, OSError):
                    await asyncio.sleep(0.05)  # the gateway is away: the same id again
                else:
                    self._commands.append(id)
                    return

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        answer = await self._client.post(self._url + path, json=body, headers=self._headers())
        if answer.status_code >= 500 or answer.status_code == 401:
            raise httpx.HTTPError(answer.text)  # it is just going, or has just come
        assert answer.is_success, answer.text
        return answer.json()

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {(self._directory / 'admin.token').read_text()}"}

    # --- the end -----------------------------------------------------------------------------

    async def _finish(self) -> list[bytes]:
        self._proxy.heal()
        await self._proxy.accept()
        await self._command("end", "session.end")
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                code = await self._runner.wait()
        except TimeoutError:
            raise Failed("after healing the session did not come to its end") from None
        stored = await self._read()
        if not stored:
            raise Failed(f"the runner ended with {code}, and nothing is stored")
        # A last turn that a kill cut off has failed, and so has the session: that is the truth.
        last = msgspec.json.decode(stored[-1])
        if code not in (0, 1) or (last["type"], last.get("exit_code", 0)) != (FINISHED, code):
            raise Failed(
                f"the runner ended with {code}, {len(stored)} events are stored, {last} is the"
                f" last of them: {self._output('runner')}"
            )
        return stored

    async def _read(self) -> list[bytes]:
        """Every stored event, exactly as it is in the store."""
        found: list[bytes] = []
        path = f"{self._url}/sessions/{SESSION}/events"
        while True:
            query = {"since": len(found), "limit": 500}
            answer = await self._client.get(path, params=query, headers=self._headers())
            page = _members(answer.content)
            if not page:
                return found
            found += page

    async def _end_processes(self) -> None:
        for process in (self._runner, self._gateway):
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
                try:
                    async with asyncio.timeout(10):
                        await process.wait()
                except TimeoutError:
                    process.kill()
                    await process.wait()

    # --- processes ---------------------------------------------------------------------------

    async def _start_gateway(self) -> None:
        token = self._directory / "admin.token"
        token.unlink(missing_ok=True)
        self._gateway = await self._start(
            "gateway",
            ["tests.chaos.gateway", str(self._directory / "store.db"), self._port, str(token)],
        )
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not token.exists():
                if self._gateway.returncode is not None:
                    raise Failed(f"the gateway did not start: {self._output('gateway')}")
                await asyncio.sleep(0.02)

    @property
    def _port(self) -> str:
        return self._url.rpartition(":")[2]

    async def _start_runner(self) -> None:
        tap = self._directory / f"tap-{len(self._taps)}"
        tap.touch()
        self._taps.append((tap, False))
        self._runner = await self._start(
            "runner",
            ["tests.chaos.runner"],
            BOT_TOKEN_FILE=self._directory / "runner.token",
            CHAOS_EFFECTS=self._directory / "effects",
            CHAOS_TAP=tap,
            INTERACTIVE="true",
            RUNNER_ADAPTER="chaos",
            RUNNER_GATEWAY=f"http://{self._proxy.address}",
            RUNNER_GRACE_SECONDS="30",
            RUNNER_STATE_DIR=self._directory / "state",
            RUNNER_TERMINATION_LOG=self._directory / "termination-log",
            SESSION_ID=SESSION,
        )

    async def _start(self, name: str, command: list[str], **variables: str | Path) -> Process:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._directory),
            "PYTHONPATH": f"{_site(self._directory)}:{ROOT}",
            "CHAOS_MUTANT": self._plan.mutant,
        }
        workspace = self._directory / "workspace"
        workspace.mkdir(exist_ok=True)
        with (self._directory / f"{name}.log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", *command),
                cwd=workspace,
                env=environment | {key: str(value) for key, value in variables.items()},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _output(self, name: str) -> str:
        return (self._directory / f"{name}.log").read_text()[-2000:]


def children(pid: int) -> list[int]:
    """The children of a process with one thread."""
    with suppress(OSError):
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(child) for child in found]
    return []


def _site(directory: Path) -> Path:
    """A place where the adapter is installed, by its entry point."""
    metadata = directory / "site" / "chaos-1.dist-info"
    metadata.mkdir(parents=True, exist_ok=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: chaos\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(
        "[runner_shell.adapters]\nchaos = tests.chaos.adapter:ChaosAdapter\n"
    )
    return directory / "site"


def _lines(path: Path) -> list[bytes]:
    """The complete lines of a file."""
    content = path.read_bytes()
    return content[: content.rfind(b"\n") + 1].splitlines()


class _Page(msgspec.Struct):
    events: list[msgspec.Raw]


def _members(page: bytes) -> list[bytes]:
    """The members of `{"events":[…]}` as the bytes they are."""
    return [bytes(raw) for raw in msgspec.json.decode(page, type=_Page).events]


async def _free_port() -> int:
    """A port below those that the system gives to dialling sockets."""
    async with FaultProxy(("127.0.0.1", 1)) as holder:
        return holder.port
