"""A team's own backend, with the gateway mounted below `/agents`.

uvicorn app:application
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from runner_shell.gateway.app import Gateway
from runner_shell.gateway.quotas import Quotas
from runner_shell.gateway.sqlite import SqliteStore
from runner_shell.gateway.tokens import Principal, Role, StaticTokens, StoreAuthenticator


class TeamAccounts:
    """An `Authenticator`: the team's own accounts first, then the runners' tokens in the store."""

    def __init__(self, accounts: StaticTokens, runners: StoreAuthenticator) -> None:
        self._accounts = accounts
        self._runners = runners

    async def authenticate(self, token: str) -> Principal | None:
        """Who holds the token. Verify an OIDC token or ask TokenReview here."""
        return await self._accounts.authenticate(token) or await self._runners.authenticate(token)


def make(store_path: str, admin_token: str) -> Starlette:
    """The backend; its lifespan opens the store, maintains the gateway and drains it."""
    store = SqliteStore(store_path)
    backend = Principal(name="backend", role=Role.ADMIN, tenant="team")
    gateway = Gateway(
        store=store,
        authenticator=TeamAccounts(StaticTokens({admin_token: backend}), StoreAuthenticator(store)),
        quotas=Quotas(tenant_sessions=1000, session_bytes=100 * 1024 * 1024),
        allowed_hosts=["127.0.0.1", "agents.example"],
    )

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with store, gateway:
            yield

    async def start_work(request: Request) -> JSONResponse:
        """The team's own endpoint: the core can be called without HTTP."""
        info, runner_token = await gateway.core.create_session(
            backend, metadata={"ticket": request.path_params["ticket"]}, retention_seconds=86_400
        )
        return JSONResponse({"session": info.id, "runner_token": runner_token})

    return Starlette(
        routes=[
            Route("/tickets/{ticket}/work", start_work, methods=["POST"]),
            Mount("/agents", gateway.asgi()),
        ],
        lifespan=lifespan,
    )
