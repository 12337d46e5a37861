"""A real shell around an adapter, in this process, joined to an in-memory gateway.

What it shows is what a gateway stored: the same lifecycle, redaction, numbering and link as in a
runner process, without sockets, signals and the guardian.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from ..adapter.contract import Adapter
from ..adapter.settings import AdapterSettings
from ..gateway.core import GatewayCore
from ..gateway.sqlite import SqliteStore
from ..gateway.tokens import Principal, Role
from ..protocol.events import JSON
from ..redaction import SecretRegistry
from ..shell.outcome import Termination, Verdict
from ..shell.runner import Runner, RunnerSettings
from ..transport.memory import MemorySocket, memory_pair
from ..transport.socket import PromptSocket

WAIT_SECONDS = 60.0

TENANT = "test"


class HostedSession:
    """A session that runs; made by `host`.

    Attributes:
        id: The session's id.
        runner: The shell around the adapter.
        events: What was stored so far, as plain objects.
    """

    def __init__(self, id: str, core: GatewayCore, runner_token_principal: Principal) -> None:
        self.id = id
        self.core = core
        self.events: list[dict[str, JSON]] = []
        self.runner: Runner
        self._principal = runner_token_principal
        self._news = asyncio.Event()
        self._commands = 0
        self._socket: MemorySocket | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._ended: asyncio.Task[tuple[Verdict, Termination]]

    async def send(self, type: str, *, by: Principal | None = None, **fields: Any) -> str:
        """Submit a command as a person would; returns its id."""
        self._commands += 1
        command = {"type": type, "id": f"command-{self._commands}", **fields}
        await self.core.submit_command(by or person(), self.id, command)
        return str(command["id"])

    async def wait_for(self, type: str, count: int = 1, **fields: Any) -> dict[str, JSON]:
        """Wait for the `count`th event of a type with these fields.

        Raises:
            AssertionError: It did not come, or the session ended without it.
        """

        def found() -> list[dict[str, JSON]]:
            return [event for event in self.of_type(type) if fields.items() <= event.items()]

        await self.until(lambda: len(found()) >= count, f"{type} {fields}")
        return found()[count - 1]

    async def until(self, what: Callable[[], object], name: str = "such event") -> None:
        """Wait until this is true of what was stored.

        Raises:
            AssertionError: It did not become true, or the session ended before.
        """
        deadline = asyncio.get_running_loop().time() + WAIT_SECONDS
        while not what():
            left = deadline - asyncio.get_running_loop().time()
            seen = [event["type"] for event in self.events]
            assert left > 0, f"no {name} within {WAIT_SECONDS} s; seen: {seen}"
            assert not self._ended.done(), f"the session ended without {name}: {seen}"
            self._news.clear()
            news = asyncio.ensure_future(self._news.wait())
            await asyncio.wait(
                {news, self._ended}, timeout=left, return_when=asyncio.FIRST_COMPLETED
            )
            news.cancel()

    async def end(self) -> Verdict:
        """Wait for the session's own end."""
        async with asyncio.timeout(WAIT_SECONDS):
            verdict, _ = await asyncio.shield(self._ended)
        return verdict

    def of_type(self, *types: str) -> list[dict[str, JSON]]:
        """The stored events of these types."""
        return [event for event in self.events if event["type"] in types]

    def types(self) -> list[str]:
        """The types of the stored events, in order."""
        return [str(event["type"]) for event in self.events]

    def text(self) -> str:
        """All text that was streamed."""
        return "".join(str(event["text"]) for event in self.of_type("block.delta"))

    def cut(self) -> None:
        """Cut the connection, as a lost network does; the runner dials again."""
        if self._socket is not None:
            self._socket.cut()

    async def stored(self) -> list[dict[str, JSON]]:
        """What the gateway's store holds."""
        found: list[dict[str, JSON]] = []
        while True:
            since = int(found[-1]["seq"]) if found else 0
            page = await self.core.events(person(), self.id, since=since)
            if not page:
                return found
            found.extend(msgspec.json.decode(event) for event in page)

    async def dial(self) -> PromptSocket:
        """What the runner dials by."""
        ours, theirs = memory_pair()
        self._socket = ours
        serving = asyncio.ensure_future(self.core.serve_runner(theirs, self._principal, self.id))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)
        return ours

    def tap(self, event: bytes) -> None:
        """The runner's tap."""
        self.events.append(msgspec.json.decode(event))
        self._news.set()


@asynccontextmanager
async def host(
    adapter: type[Adapter] | Callable[[], Adapter],
    *,
    prompt: str = "",
    interactive: bool = False,
    environment: Mapping[str, str] | None = None,
    secrets: Mapping[str, str] | None = None,
    workspace: Path | None = None,
    **settings: Any,
) -> AsyncIterator[HostedSession]:
    """Run a session around an adapter until the block is left.

    Args:
        adapter: Its class (made with settings from `environment`), or a function that makes one.
        prompt: The first message, or empty.
        interactive: Whether the session stays after the first turn.
        environment: What the adapter's settings are read from.
        secrets: Values to redact, by name.
        workspace: The agent's directory; a fresh one unless given.
        settings: Other fields of `RunnerSettings`, such as `grace_seconds`.
    """
    with tempfile.TemporaryDirectory() as scratch:
        store = SqliteStore(":memory:")
        async with store:
            core = GatewayCore(store)
            info, _ = await core.create_session(person())
            principal = Principal(name="runner", role=Role.RUNNER, tenant=TENANT, session=info.id)
            session = HostedSession(info.id, core, principal)
            framework_dir = _directory(scratch, "framework")
            given = workspace or _directory(scratch, "workspace")
            session.runner = Runner(
                RunnerSettings(
                    session=info.id,
                    instance="hosted",
                    adapter=getattr(adapter, "name", "adapter"),
                    workspace=given,
                    framework_dir=framework_dir,
                    prompt=prompt,
                    interactive=interactive,
                    **({"grace_seconds": 2.0} | settings),
                ),
                lambda: _make(adapter, environment or {}),
                session.dial,
                registry=SecretRegistry(secrets),
                taps=(session.tap,),
            )
            session._ended = asyncio.ensure_future(session.runner.run())
            try:
                yield session
            finally:
                session.runner.stop(Verdict.of("stopped", "the test is over"))
                await asyncio.wait({session._ended}, timeout=WAIT_SECONDS)
                await core.drain()
            session._ended.result()


def person(name: str = "tester", role: Role = Role.ADMIN) -> Principal:
    """Somebody who may do what `role` may."""
    return Principal(name=name, role=role, tenant=TENANT)


def _directory(parent: str, name: str) -> Path:
    path = Path(parent, name)
    path.mkdir()
    return path


def _make(
    adapter: type[Adapter] | Callable[[], Adapter], environment: Mapping[str, str]
) -> Adapter:
    if not isinstance(adapter, type):
        return adapter()
    settings: type[AdapterSettings] = adapter.Settings  # type: ignore[attr-defined]
    made = adapter(settings.from_environment(environment))
    assert isinstance(made, Adapter), f"{adapter} is not an adapter"
    return made
