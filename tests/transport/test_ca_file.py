"""RUNNER_CA_FILE, as a container sets it, in a real runner."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from gateways import TOKEN, Certificates, Gateway, certificates
from real_processes import Launcher, Started
from websockets.asyncio.server import ServerConnection

from runner_shell.protocol.frames import CloseCode

__all__ = ["certificates"]


def runner(launch: Launcher, address: str, **variables: str | Path) -> Started:
    return launch.container(
        RUNNER_ADAPTER="echo",
        PROMPT="hello",
        SESSION_ID="s",
        BOT_TOKEN=TOKEN,
        WEBSOCKET_URL=address,
        RUNNER_CONNECT_SECONDS="2",
        **variables,
    )


async def refuse(connection: ServerConnection) -> None:
    await connection.recv()
    await connection.close(CloseCode.NO_SESSION, "over TLS")


async def test_a_runner_trusts_its_ca_file(launch: Launcher, certificates: Certificates) -> None:
    """The variable reaches the dial: the gateway's word comes over TLS."""
    gateway = Gateway(refuse)
    async with gateway.serving(certificates.server_context()):
        started = runner(launch, gateway.address, RUNNER_CA_FILE=certificates.authority)
        assert await asyncio.to_thread(started.wait) == 2
    assert "over TLS" in started.err
    assert gateway.tokens == [TOKEN]


async def test_without_it_the_gateway_is_not_trusted(
    launch: Launcher, certificates: Certificates
) -> None:
    """A private authority's gateway is tried until the time is up: 75, and what to do."""
    gateway = Gateway(refuse)
    async with gateway.serving(certificates.server_context()):
        started = runner(launch, gateway.address)
        assert await asyncio.to_thread(started.wait) == 75
    assert "RUNNER_CA_FILE" in started.err
    assert gateway.tokens == []


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_that_holds_none(launch: Launcher, content: str | None) -> None:
    """A file that is not there, or holds no certificate, is told before anything is dialled: 2."""
    file = launch.directory / "ca.pem"
    if content is not None:
        file.write_text(content)
    started = runner(launch, "wss://127.0.0.1:1/", RUNNER_CA_FILE=file)
    assert started.wait() == 2
    assert "RUNNER_CA_FILE is" in started.err
