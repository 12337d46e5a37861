"""The documented backends with a gateway mounted in them, over uvicorn."""

from __future__ import annotations

import asyncio
import importlib
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from runner_shell.errors import ConfigurationError
from runner_shell.gateway.app import Gateway
from runner_shell.gateway.core import GatewayCore
from runner_shell.gateway.sqlite import SqliteStore
from runner_shell.gateway.tokens import Principal, Role, StaticTokens
from runner_shell.protocol.frames import CloseCode

from .site import V1, hear, hear_close
from .support import event, events_frame, hello

EXAMPLE = Path(__file__).parents[2] / "docs/examples/mounted_gateway"
TOKEN = "the-backend-s-own"


@pytest.fixture(params=["app", "fastapi_app"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The example's module, imported as a server does that is started beside it."""
    monkeypatch.syspath_prepend(EXAMPLE)
    yield importlib.import_module(request.param)
    for name in ("team", request.param):
        del sys.modules[name]


@asynccontextmanager
async def served(application: Any) -> AsyncIterator[tuple[uvicorn.Server, str]]:
    """The application as its own server runs it, lifespan and all."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(application, log_config=None, ws="websockets-sansio", lifespan="on")
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        serving = asyncio.create_task(server._serve(sockets=[listener]))
        try:
            yield server, f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


async def test_the_documented_backend_works(
    backend: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session from the team's endpoint to its end; going, it tells the runner to dial again."""
    monkeypatch.setenv("STORE", str(tmp_path / "gateway.db"))
    monkeypatch.setenv("ADMIN_TOKEN", TOKEN)
    async with served(backend.application()) as (server, address):
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(
            base_url=f"http://{address}", headers=headers, trust_env=False
        ) as http:
            made = (await http.post("/tickets/T-1/work")).json()
            path = f"/agents/sessions/{made['session']}"
            runner = await connect(
                f"ws://{address}{path}/runner",
                subprotocols=[Subprotocol(V1)],
                additional_headers={"Authorization": f"Bearer {made['runner_token']}"},
                proxy=None,
            )
            await runner.send(hello(session=made["session"]))
            await hear(runner, "welcome")
            await runner.send(events_frame(event(1)))
            await hear(runner, "ack")
            shown = (await http.get(path)).json()
            assert (shown["metadata"], shown["last_event"]) == ({"ticket": "T-1"}, 1)
            assert (await http.get("/agents/whoami")).json()["name"] == "backend"
            assert (await http.get("/agents/health", headers={"Host": "10.0.0.1"})).is_success
            assert (await http.get("/agents/whoami", headers={"Host": "10.0.0.1"})).is_error
            assert (await http.get("/agents/nowhere")).status_code == 404
        closing = asyncio.create_task(hear_close(runner))
        server.should_exit = True
        # Uvicorn itself says "going away" to open sockets before it ends the lifespan.
        assert await closing in (CloseCode.DRAINING, 1001, 1012)


async def test_static_tokens_stand_for_their_principals() -> None:
    """Exactly those; they are kept as hashes."""
    ada = Principal(name="ada", role=Role.VIEWER, tenant="t")
    known = StaticTokens({"first-secret": ada, "second-secret": ada})
    assert await known.authenticate("first-secret") == ada
    assert await known.authenticate("third-secret") is None
    assert "secret" not in repr(vars(known))


async def test_a_gateway_has_one_core() -> None:
    """From a store, or given; neither and both are wrong."""
    async with SqliteStore(":memory:") as store:
        for wrong in ({}, {"core": GatewayCore(store), "store": store}):
            with pytest.raises(ConfigurationError):
                Gateway(**wrong)


async def test_maintenance_deletes_what_is_over(tmp_path: Path) -> None:
    """While the gateway is entered, sessions whose retention is over go by themselves."""
    async with SqliteStore(":memory:") as store:
        core = GatewayCore(store, lost_after_seconds=0.0, maintenance_seconds=0.01)
        admin = Principal(name="ada", role=Role.ADMIN, tenant="t")
        await core.create_session(admin, "kept")
        await core.create_session(admin, "over", retention_seconds=0)
        async with Gateway(core), asyncio.timeout(60):
            while len(await core.sessions(admin)) == 2:
                pass
        assert [info.id for info in await core.sessions(admin)] == ["kept"]
