"""A team's own backend on Starlette, with the gateway mounted below `/agents`.

ADMIN_TOKEN=… uvicorn --factory app:application
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from team import BACKEND, gateway_over

from runner_shell.gateway.sqlite import SqliteStore


def make(store_path: str, admin_token: str) -> Starlette:
    """The backend; its lifespan opens the store, maintains the gateway and drains it."""
    store = SqliteStore(store_path)
    gateway = gateway_over(store, admin_token)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with store, gateway:
            yield

    async def start_work(request: Request) -> JSONResponse:
        """The team's own endpoint: the core can be called without HTTP."""
        info, runner_token = await gateway.core.create_session(
            BACKEND, metadata={"ticket": request.path_params["ticket"]}, retention_seconds=86_400
        )
        return JSONResponse({"session": info.id, "runner_token": runner_token})

    return Starlette(
        routes=[
            Route("/tickets/{ticket}/work", start_work, methods=["POST"]),
            Mount("/agents", gateway.asgi()),
        ],
        lifespan=lifespan,
    )


def application() -> Starlette:
    """As a server starts it."""
    return make(os.environ.get("STORE", "gateway.db"), os.environ["ADMIN_TOKEN"])
