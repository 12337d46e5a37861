"""The way of a runner's frames past the application, and through it under another server."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.client import ClientProtocol
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from runner_shell.gateway import direct
from runner_shell.gateway.core import GatewayCore
from runner_shell.gateway.web.websocket import WebSocketSocket
from runner_shell.protocol.frames import CloseCode

from .site import V1, Site, hear, hear_close, site
from .support import ADMIN, DEADLINE_SECONDS, event, events_frame, hello


async def _never(*arguments: Any) -> None:
    raise AssertionError("a frame came this way")


@pytest.fixture(params=["direct", "asgi"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Either way, with the other one barred: what holds must hold for both."""
    if request.param == "asgi":
        monkeypatch.setattr(direct, "UpgradeProtocol", WebSocketsSansIOProtocol)
        monkeypatch.setattr(GatewayCore, "take_line", _never)
    else:
        monkeypatch.setattr(WebSocketSocket, "recv", _never)
    return str(request.param)


@pytest.mark.usefixtures("way")
async def test_a_conversation() -> None:
    """Hello, commands, events in both kinds of frames, acknowledgement, and a close with a code."""
    async with site() as gateway:
        token = await gateway.create()
        await gateway.core.submit_command(ADMIN, "s", {"type": "x.y", "id": "c"})
        async with gateway.dial(token) as runner:
            await runner.send(hello())
            await hear(runner, "welcome")
            assert (await hear(runner, "commands"))["commands"][0]["id"] == "c"
            await runner.send(events_frame(event(1)))
            await runner.send(events_frame(event(2)).encode())
            while (await hear(runner, "ack"))["seq"] != 2:
                pass
            await runner.send("{")
            assert await hear_close(runner) == CloseCode.PROTOCOL
        stored = await gateway.core.events(ADMIN, "s")
        assert stored == [event(1).encode(), event(2).encode()]


@pytest.mark.usefixtures("way")
async def test_a_message_in_pieces_is_one_frame() -> None:
    """A peer's library may cut a message wherever it likes, and ask in between who is there."""
    async with site() as gateway:
        token = await gateway.create()
        async with gateway.dial(token) as runner:
            await runner.send(hello())
            await hear(runner, "welcome")
            text = events_frame(event(1, message="ä" * 100))
            await runner.send([text[:10], text[10:11], text[11:]])
            async with asyncio.timeout(DEADLINE_SECONDS):
                await (await runner.ping())
            assert (await hear(runner, "ack"))["seq"] == 1
        assert await gateway.core.events(ADMIN, "s") == [event(1, message="ä" * 100).encode()]


@pytest.mark.usefixtures("way")
async def test_a_runner_that_goes_is_gone() -> None:
    """Whether it says so or not, the session has no runner any more."""
    async with site() as gateway:
        token = await gateway.create()
        for abruptly in (False, True):
            async with gateway.dial(token) as runner:
                await runner.send(hello())
                await hear(runner, "welcome")
                assert (await gateway.core.session(ADMIN, "s")).status == "running"
                if abruptly:
                    runner.transport.abort()
            async with asyncio.timeout(DEADLINE_SECONDS):
                while (await gateway.core.session(ADMIN, "s")).status == "running":
                    pass


@pytest.mark.usefixtures("way")
async def test_frames_that_overtake_the_welcome_wait_for_it() -> None:
    """What comes together with hello, or while the session is looked up, is taken afterwards."""
    async with site() as gateway:
        token = await gateway.create()
        async with gateway.dial(token) as runner:
            beats = '{"frame":"heartbeat","progress":1}'
            for frame in (hello(), beats, events_frame(event(1)), beats):
                await runner.send(frame)
            await hear(runner, "welcome")
            assert (await hear(runner, "ack"))["seq"] == 1


@pytest.mark.usefixtures("way")
async def test_a_runner_that_takes_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commands are read from the store no faster than it takes them, and then no more."""
    monkeypatch.setattr("runner_shell.gateway.runner.connection.SEND_SECONDS", 0.3)
    monkeypatch.setattr("runner_shell.gateway.runner.line.SEND_SECONDS", 0.3)
    monkeypatch.setattr("runner_shell.gateway.runner.feed.COMMANDS_PER_READ", 2)
    monkeypatch.setattr("runner_shell.gateway.direct.CLOSE_SECONDS", 0.3)
    monkeypatch.setattr("runner_shell.gateway.web.websocket.CLOSE_SECONDS", 0.3)
    async with site() as gateway:
        token = await gateway.create()
        for number in range(200):
            command = {"type": "x.y", "id": f"c{number}", "text": "x" * 200_000}
            await gateway.core.submit_command(ADMIN, "s", command)
        offered: list[int] = []
        read = gateway.store.commands_after

        async def counted(key: Any, seq: int, *, limit: int) -> Any:
            offered.append(seq)
            return await read(key, seq, limit=limit)

        monkeypatch.setattr(gateway.store, "commands_after", counted)
        with await _deaf(gateway, token):
            async with asyncio.timeout(DEADLINE_SECONDS):
                while (await gateway.core.session(ADMIN, "s")).status in ("created", "running"):
                    pass
        assert max(offered) < 150  # the rest of forty megabytes was left where it is


async def _deaf(gateway: Site, token: str) -> socket.socket:
    """A connected runner that has said hello and reads nothing, whose system holds little."""
    loop = asyncio.get_running_loop()
    host, port = gateway.url.removeprefix("http://").split(":")
    dialled = socket.socket()
    dialled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    dialled.setblocking(False)
    await loop.sock_connect(dialled, (host, int(port)))
    uri = parse_uri(f"ws://{host}:{port}/sessions/s/runner")
    websocket = ClientProtocol(uri, subprotocols=[Subprotocol(V1)])
    request = websocket.connect()
    request.headers["Authorization"] = f"Bearer {token}"
    websocket.send_request(request)
    await loop.sock_sendall(dialled, b"".join(websocket.data_to_send()))
    while not websocket.handshake_exc and websocket.state.name == "CONNECTING":
        websocket.receive_data(await loop.sock_recv(dialled, 4096))
    assert websocket.handshake_exc is None
    websocket.send_text(hello().encode())
    await loop.sock_sendall(dialled, b"".join(websocket.data_to_send()))
    return dialled


@pytest.mark.usefixtures("way")
async def test_a_stopping_server_sends_everyone_away() -> None:
    """Those who are connected are told to dial again, and the server's end waits for none."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        async with site() as gateway:
            runner = await gateway.dial(await gateway.create())
            await runner.send(hello())
            await hear(runner, "welcome")
        assert await hear_close(runner) == CloseCode.DRAINING
