"""Connections that are dead and say nothing: found from either side, with real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from gateways import TOKEN, Dialler

from runner_shell.gateway.app import Gateway
from runner_shell.gateway.core import GatewayCore
from runner_shell.gateway.server import serve
from runner_shell.gateway.sqlite import SqliteStore
from runner_shell.gateway.tokens import Principal, Role
from runner_shell.link.gateway import GatewayLimits
from runner_shell.testing.faults import Direction, FaultProxy

HEARTBEAT_SECONDS = 0.4
"""Short, so that a silence of two and a half of them is soon over."""

ADMIN = Principal(name="admin", role=Role.ADMIN, tenant="t")


class Anybody:
    """Takes the test's token for this session's runner."""

    async def authenticate(self, token: str) -> Principal | None:
        assert token == TOKEN
        return Principal(name="runner", role=Role.RUNNER, tenant="t", session="s")


@asynccontextmanager
async def scene() -> AsyncIterator[tuple[GatewayCore, FaultProxy, Dialler]]:
    """A real gateway, a proxy before it, and a link that dials through it."""
    limits = GatewayLimits(heartbeat_seconds=HEARTBEAT_SECONDS, credit_bytes=2**30)
    async with SqliteStore(":memory:") as store:
        core = GatewayCore(store, limits=limits)
        await core.create_session(ADMIN, "s")
        async with serve(Gateway(core, Anybody())) as url:
            port = int(url.rpartition(":")[2])
            async with FaultProxy(("127.0.0.1", port)) as proxy:
                one = Dialler(f"ws://{proxy.address}/sessions/s/runner")
                async with one.running():
                    await one.until(lambda: one.welcomes)
                    yield core, proxy, one


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_a_black_hole_is_found(direction: Direction) -> None:
    """Whichever way nothing comes through, the connection is given up and made anew."""
    async with scene() as (_, proxy, one):
        proxy.black_hole(direction)
        await one.until(lambda: one.driver.last_problem)
        # Where `down` is black the gateway's own word does not come, so the runner finds it.
        finder = "runner" if direction == "up" else "gateway"
        assert f"nothing came from the {finder}" in one.driver.last_problem
        proxy.reset()
        proxy.heal()
        await one.until(lambda: one.welcomes == 2)


async def test_a_peer_that_takes_nothing_is_found() -> None:
    """A runner in the midst of sending, with every buffer on the way full, still finds a silent
    gateway: looking is not the sender's work."""
    event = b'{"seq":%d,"time":"t","type":"log","message":"%b"}'
    async with scene() as (_, proxy, one):
        proxy.black_hole()
        one.journal.update({seq: event % (seq, b"x" * 200_000) for seq in range(1, 101)})
        for seq, data in one.journal.items():
            one.link.journaled(seq, len(data), lingers=False, now=0.0)
        one.driver.kick()
        await one.until(lambda: one.driver.last_problem)
        assert "nothing came from the gateway" in one.driver.last_problem
        proxy.reset()
        proxy.heal()
        await one.until(lambda: one.link.settled)
        assert one.welcomes == 2
