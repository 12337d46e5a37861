"""A served gateway: uvicorn, a port of the loopback, and clients for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from runner_shell.gateway.app import Gateway
from runner_shell.gateway.core import GatewayCore
from runner_shell.gateway.server import serve
from runner_shell.gateway.sqlite import SqliteStore
from runner_shell.gateway.store import DEFAULT_TENANT
from runner_shell.gateway.tokens import Role, issue

from .support import DEADLINE_SECONDS

V1 = "runner-shell.v1"


class Site:
    """A served gateway with a token for each role."""

    core: GatewayCore

    def __init__(self, url: str, store: SqliteStore, http: httpx.AsyncClient) -> None:
        self.url = url
        self.store = store
        self.http = http

    async def token(self, role: Role, session: str | None = None, tenant: str = "") -> str:
        token, record = issue(role, tenant or DEFAULT_TENANT, session)
        await self.store.put_token(record)
        return token

    async def create(self, session: str = "s") -> str:
        """Create a session and return its runner token."""
        answer = await self.http.post("/sessions", json={"id": session})
        assert answer.status_code == 201
        token: str = answer.json()["runner_token"]
        return token

    def dial(
        self,
        token: str | None,
        session: str = "s",
        *,
        subprotocol: str | None = V1,
        headers: dict[str, str] | None = None,
    ) -> connect:
        bearer = {} if token is None else {"Authorization": f"Bearer {token}"}
        return connect(
            f"{self.url.replace('http', 'ws')}/sessions/{session}/runner",
            subprotocols=None if subprotocol is None else [Subprotocol(subprotocol)],
            additional_headers=bearer | (headers or {}),
            proxy=None,
            compression=None,
            ping_interval=None,
            max_size=None,
        )

    async def refused(self, token: str | None, session: str = "s", **options: Any) -> int:
        """The HTTP status with which an upgrade is refused."""
        with pytest.raises(InvalidStatus) as refusal:
            await self.dial(token, session, **options)
        response = refusal.value.response
        assert response.headers["Content-Type"] == "application/problem+json"
        return response.status_code


@asynccontextmanager
async def site(core: dict[str, Any] | None = None, **options: Any) -> AsyncIterator[Site]:
    async with SqliteStore(":memory:") as store:
        token, record = issue(Role.ADMIN, DEFAULT_TENANT, name="ada")
        await store.put_token(record)
        gateway = Gateway(GatewayCore(store, **(core or {})), **options)
        async with (
            serve(gateway) as url,
            httpx.AsyncClient(
                base_url=url, headers={"Authorization": f"Bearer {token}"}, trust_env=False
            ) as http,
        ):
            made = Site(url, store, http)
            made.core = gateway.core
            yield made


async def hear(connection: ClientConnection, kind: str) -> Any:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            frame = json.loads(await connection.recv())
            if frame["frame"] == kind:
                return frame


async def hear_close(connection: ClientConnection) -> int | None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        try:
            while True:
                await connection.recv()
        except ConnectionClosed as closed:
            return None if closed.rcvd is None else closed.rcvd.code
