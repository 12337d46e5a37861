"""The same backend on FastAPI.

ADMIN_TOKEN=… uvicorn --factory fastapi_app:application
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from team import BACKEND, gateway_over

from runner_shell.gateway.sqlite import SqliteStore


def make(store_path: str, admin_token: str) -> FastAPI:
    """The backend; its lifespan opens the store, maintains the gateway and drains it."""
    store = SqliteStore(store_path)
    gateway = gateway_over(store, admin_token)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with store, gateway:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/tickets/{ticket}/work")
    async def start_work(ticket: str) -> dict[str, str]:
        """The team's own endpoint: the core can be called without HTTP."""
        info, runner_token = await gateway.core.create_session(
            BACKEND, metadata={"ticket": ticket}, retention_seconds=86_400
        )
        return {"session": info.id, "runner_token": runner_token}

    app.mount("/agents", gateway.asgi())
    return app


def application() -> FastAPI:
    """As a server starts it."""
    return make(os.environ.get("STORE", "gateway.db"), os.environ["ADMIN_TOKEN"])
