"""The gateway with the endpoints of its REST contract that it may still lack, over its own core.

Routes that the gateway has itself win; what stands here is only as good as the client's tests need.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from runner_shell.gateway.app import Gateway
from runner_shell.gateway.store import SessionKey
from runner_shell.gateway.tokens import Principal, Role, issue

PAGE = 1000


class StandIn(Gateway):
    """The gateway, completed."""

    def asgi(self) -> Starlette:
        app = super().asgi()
        theirs = {getattr(route, "path", "") for route in app.routes}
        one = "/sessions/{session}"
        ours = {
            "/whoami": self._whoami,
            "/requests": self._all_requests,
            f"{one}/requests": self._requests,
            f"{one}/state": self._state,
            f"{one}/events/live": self._live,
            f"{one}/commands/{{command}}": self._one_command,
        }
        for path, endpoint in ours.items():
            if path not in theirs:
                app.router.routes.insert(0, Route(path, self._route(endpoint), methods=["GET"]))
        if f"{one}/tokens" not in theirs:
            tokens = Route(f"{one}/tokens", self._route(self._tokens), methods=["POST"])
            app.router.routes.insert(0, tokens)
        return app

    async def _whoami(self, request: Request, principal: Principal) -> Response:
        return JSONResponse(
            {
                "name": principal.name,
                "role": principal.role.value,
                "tenant": principal.tenant,
                "session": principal.session,
            }
        )

    async def _tokens(self, request: Request, principal: Principal) -> Response:
        session = request.path_params["session"]
        await self.core.issue_runner_token(principal, session)  # whether it may
        body = await request.json()
        token, record = issue(Role(body["role"]), principal.tenant, session)
        await self.core.store.put_token(record)
        return JSONResponse({"token": token}, 201)

    async def _state(self, request: Request, principal: Principal) -> Response:
        session = request.path_params["session"]
        await self.core.session(principal, session)
        key = SessionKey(principal.tenant, session)
        return JSONResponse({"state": await self.core.store.saved_state(key)})

    async def _live(self, request: Request, principal: Principal) -> Response:
        session = request.path_params["session"]
        await self.core.session(principal, session)
        since = int(request.headers.get("last-event-id") or request.query_params.get("since") or 0)
        types = request.query_params.get("types")
        wanted = types.split(",") if types else None

        async def stream() -> AsyncIterator[bytes]:
            yield b": hello\n\n"
            async for seq, data in self.core.follow(principal, session, since=since):
                kind = json.loads(data)["type"]
                if wanted is None or kind in wanted:
                    yield b"id: %d\nevent: %b\ndata: %b\n\n" % (seq, kind.encode(), data)
            yield b'event: draining\ndata: {"title":"Service Unavailable","status":503}\n\n'

        return StreamingResponse(stream(), media_type="text/event-stream")

    async def _requests(self, request: Request, principal: Principal) -> Response:
        found = await self._open(principal, request.path_params["session"])
        return JSONResponse({"requests": found, "next": None})

    async def _all_requests(self, request: Request, principal: Principal) -> Response:
        found = []
        for info in await self.core.sessions(principal):
            found += await self._open(principal, info.id)
        return JSONResponse({"requests": found, "next": None})

    async def _open(self, principal: Principal, session: str) -> list[dict[str, Any]]:
        opened = {}
        for event in await self._stored(principal, session):
            if event["type"] == "request.opened":
                request = {k: v for k, v in event.items() if k not in ("seq", "time", "turn")}
                opened[event["id"]] = {
                    "session": session,
                    "seq": event["seq"],
                    "time": event["time"],
                    "turn": event.get("turn", ""),
                    "request": request,
                }
            elif event["type"] == "request.closed":
                opened.pop(event["id"], None)
        return list(opened.values())

    async def _one_command(self, request: Request, principal: Principal) -> Response:
        session, id = request.path_params["session"], request.path_params["command"]
        deadline = asyncio.get_running_loop().time() + float(request.query_params.get("wait", 0))
        while True:
            for event in await self._stored(principal, session):
                if event["type"].startswith("command.") and event["command"] == id:
                    return JSONResponse(
                        {"command": {"id": id}, "acknowledged": True, "reply": event}
                    )
            if asyncio.get_running_loop().time() >= deadline:
                return JSONResponse({"command": {"id": id}, "acknowledged": False, "reply": None})
            await asyncio.sleep(0.02)

    async def _stored(self, principal: Principal, session: str) -> list[dict[str, Any]]:
        await self.core.session(principal, session)
        page = await self.core.events(principal, session, limit=PAGE)
        return [msgspec.json.decode(event) for event in page]


def main() -> None:
    """`runner-shell`, with this gateway in `serve`."""
    from runner_shell.cli.app import main
    from runner_shell.gateway import server

    server.Gateway = StandIn  # type: ignore[misc]
    main()


if __name__ == "__main__":
    main()
