"""The servers under load: the gateway, and what it is compared with.

Each prints its port and a token for each runner, and serves until its stdin ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path

from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websockets
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from runner_shell.gateway.app import Gateway
from runner_shell.gateway.core import GatewayCore
from runner_shell.gateway.server import serve
from runner_shell.gateway.sqlite import SqliteStore
from runner_shell.gateway.store import DEFAULT_TENANT
from runner_shell.gateway.tokens import Role, issue
from runner_shell.protocol.frames import SUBPROTOCOL

Conversation = Callable[[ServerConnection], Awaitable[None]]

ACK_SECONDS = 0.1
"""How often the storing peer commits and answers: as often as the gateway acknowledges."""


async def gateway(folder: str, runners: int) -> None:
    """The real one, with its store in a file."""
    async with SqliteStore(Path(folder, "gateway.db")) as store:
        core = GatewayCore(store)
        _, admin = issue(Role.ADMIN, DEFAULT_TENANT)
        created = await asyncio.gather(
            *[core.create_session(admin.principal(), f"s{number}") for number in range(runners)]
        )
        tokens = [token for _, token in created]
        async with serve(Gateway(core)) as url:
            await _until_told(int(url.rpartition(":")[2]), tokens)


async def echo(folder: str, runners: int) -> None:
    """Nothing but websockets: what comes goes back."""

    async def converse(connection: ServerConnection) -> None:
        async for frame in connection:
            await connection.send(frame)

    await _serve_bare(converse, runners)


async def storing(folder: str, runners: int) -> None:
    """What one would write first: each event a row, one transaction for all that came in 100 ms.

    It checks nothing: no token, no number, no epoch.
    """
    sql = sqlite3.connect(Path(folder, "peer.db"), isolation_level=None, check_same_thread=False)
    sql.execute("PRAGMA journal_mode = WAL")
    sql.execute("PRAGMA synchronous = NORMAL")
    sql.execute(
        "CREATE TABLE events (session TEXT, seq INTEGER, data BLOB, PRIMARY KEY (session, seq))"
    )
    waiting: list[tuple[ServerConnection, str, int, str]] = []

    def commit(rows: list[tuple[str, int, str]]) -> None:
        sql.execute("BEGIN")
        sql.executemany("INSERT INTO events VALUES (?, ?, ?)", rows)
        sql.execute("COMMIT")

    async def commit_and_answer() -> None:
        while True:
            await asyncio.sleep(ACK_SECONDS)
            batch = waiting.copy()
            waiting.clear()
            if not batch:
                continue
            await asyncio.to_thread(commit, [row for _, *row in batch])  # type: ignore[misc]
            for connection, seq in {each[0]: each[2] for each in batch}.items():
                with contextlib.suppress(ConnectionClosed):
                    await connection.send(f'{{"frame":"ack","seq":{seq}}}')

    async def converse(connection: ServerConnection) -> None:
        session = json.loads(await connection.recv())["session"]
        await connection.send('{"frame":"welcome"}')
        async for frame in connection:
            for event in json.loads(frame)["events"]:
                waiting.append((connection, session, event["seq"], json.dumps(event)))

    async with _owned(commit_and_answer()):
        await _serve_bare(converse, runners)


SERVERS: dict[str, Callable[[str, int], Coroutine[None, None, None]]] = {
    "echo": echo,
    "storing": storing,
    "gateway": gateway,
}


async def _serve_bare(
    converse: Callable[[ServerConnection], Awaitable[None]], runners: int
) -> None:
    async def until_closed(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            await converse(connection)

    async with serve_websockets(
        until_closed,
        "127.0.0.1",
        0,
        subprotocols=[Subprotocol(SUBPROTOCOL)],
        compression=None,
        ping_interval=None,
    ) as server:
        await _until_told(server.sockets[0].getsockname()[1], ["-"] * runners)


async def _until_told(port: int, tokens: list[str]) -> None:
    print(port, *tokens, flush=True)
    await asyncio.to_thread(sys.stdin.read)


@contextlib.asynccontextmanager
async def _owned(work: Awaitable[None]) -> AsyncIterator[None]:
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
