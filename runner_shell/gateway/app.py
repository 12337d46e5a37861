"""The gateway over HTTP and WebSocket: a Starlette application that mounts into any ASGI server.

Source: docs/reference/rest.md, and docs/reference/protocol.md for the link.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import groupby
from types import TracebackType
from typing import Self

import msgspec
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from ..errors import ConfigurationError
from ..protocol.frames import SUBPROTOCOL
from .core import GatewayCore
from .errors import (
    DrainingError,
    ForbiddenError,
    GatewayError,
    SessionExistsError,
    UnknownSessionError,
)
from .quotas import Quotas
from .runner.line import LINE
from .store import Store
from .tokens import Authenticator, Principal, Role, StoreAuthenticator
from .web import incoming, openapi, rest
from .web.guard import LOOPBACK_HOSTS, HostGuard
from .web.incoming import MAX_BODY_BYTES
from .web.problems import HttpRefusal, answer, deny
from .web.rest import Endpoint, NewSession, NewToken
from .web.sse import EventStream
from .web.websocket import WebSocketSocket

__all__ = ["MAX_BODY_BYTES", "Gateway"]

Handler = Callable[[Request, Principal], Awaitable[Response]]

_NOBODY = Principal(name="", role=Role.RUNNER, tenant="")
"""Asks for what needs no token; it may do nothing else."""


class Gateway:
    """Makes the application around a core.

    With `async with` it maintains its core while the block runs (sessions whose retention is over
    are deleted) and drains it at the end; mounted into another application, do this in that one's
    lifespan. Whoever opened the store closes it afterwards.

    Args:
        core: What it is the front of, made from `store` unless given.
        authenticator: Tells who holds a token; without one the store's own tokens count.
        store: What to make a core from, opened by the caller.
        quotas: What tenants and sessions may store, where the core is made here.
        allowed_hosts: Names this gateway is reached by, without a port; `"*"` allows all.
        allowed_origins: Origins of pages that may call it, besides its own.
        create_on_hello: For development: an admin's token may serve as a runner's, and creates the
            session that it names.

    Raises:
        ConfigurationError: Neither a core nor a store, or both.
    """

    def __init__(
        self,
        core: GatewayCore | None = None,
        authenticator: Authenticator | None = None,
        *,
        store: Store | None = None,
        quotas: Quotas | None = None,
        allowed_hosts: Collection[str] = LOOPBACK_HOSTS,
        allowed_origins: Collection[str] = (),
        create_on_hello: bool = False,
    ) -> None:
        if core is None and store is not None:
            core = GatewayCore(store, quotas=quotas)
        elif core is None or store is not None or quotas is not None:
            raise ConfigurationError("a gateway needs a store, or a core that has one, not both")
        self.core = core
        self._authenticator = authenticator or StoreAuthenticator(core.store)
        self._allowed_hosts = allowed_hosts
        self._allowed_origins = allowed_origins
        self._create_on_hello = create_on_hello
        self._running = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._running.enter_async_context(self.core.maintained())
        self._running.push_async_callback(self.core.drain)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._running.aclose()

    def asgi(self) -> Starlette:
        """The application; each call makes a new one around the same core.

        Served by itself, its lifespan enters the gateway.
        """
        guard = Middleware(
            HostGuard,
            allowed_hosts=self._allowed_hosts,
            allowed_origins=self._allowed_origins,
            open_paths=["/health"],
        )
        made = Starlette(
            routes=list(self._routes()),
            middleware=[guard],
            exception_handlers={HTTPException: _http_exception},
            lifespan=self._lifespan,
        )
        made.router.redirect_slashes = False
        return made

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        async with self:
            yield

    def _routes(self) -> list[BaseRoute]:
        found: list[BaseRoute] = []
        rows = sorted(rest.ENDPOINTS, key=lambda row: row.path)
        # One route for each path, so that 405 names every method there is.
        for path, group in groupby(rows, key=lambda row: row.path):
            by_method = {row.method: row for row in group}
            if "WS" in by_method:
                found.append(WebSocketRoute(path, self._runner))
            else:
                found.append(Route(path, self._route(by_method), methods=list(by_method)))
        return found

    # --- sessions ------------------------------------------------------------------------

    async def _create(self, request: Request, principal: Principal) -> Response:
        new = await incoming.body(request, NewSession)
        info, token = await self.core.create_session(
            principal, new.id, new.metadata, new.retention_seconds
        )
        return _json(rest.CreatedSession(id=info.id, runner_token=token), 201)

    async def _sessions(self, request: Request, principal: Principal) -> Response:
        page = await self.core.session_page(
            principal,
            limit=incoming.limit(request),
            after=request.query_params.get("after", ""),
            statuses=incoming.statuses(request),
            metadata=incoming.metadata(request),
        )
        return _json(page)

    async def _session(self, request: Request, principal: Principal) -> Response:
        return _json(await self.core.session(principal, _session_of(request)))

    async def _delete(self, request: Request, principal: Principal) -> Response:
        await self.core.delete_session(principal, _session_of(request))
        return Response(status_code=204)

    async def _issue(self, request: Request, principal: Principal) -> Response:
        new = await incoming.body(request, NewToken)
        token = await self.core.issue_token(principal, _session_of(request), new.role, new.name)
        return _json(rest.IssuedToken(token=token), 201)

    async def _state(self, request: Request, principal: Principal) -> Response:
        state = await self.core.state(principal, _session_of(request))
        return _json(rest.SavedState(state=state))

    # --- events --------------------------------------------------------------------------

    async def _events(self, request: Request, principal: Principal) -> Response:
        page = await self.core.event_page(
            principal,
            _session_of(request),
            since=incoming.number(request, "since"),
            limit=incoming.limit(request),
            types=incoming.types(request),
        )
        # The bytes as the runner wrote them: decoding and encoding again could change them.
        following = b"null" if page.next is None else b"%d" % page.next
        body = b'{"events":[%b],"next":%b}' % (b",".join(page.events), following)
        return Response(body, media_type="application/json")

    async def _live(self, request: Request, principal: Principal) -> Response:
        follower = await self.core.follower(
            principal,
            _session_of(request),
            since=incoming.last_event(request),
            types=incoming.types(request),
        )
        return EventStream(follower)

    # --- commands and requests -----------------------------------------------------------

    async def _submit(self, request: Request, principal: Principal) -> Response:
        command = await incoming.command(request)
        receipt = await self.core.submit_command(principal, _session_of(request), command)
        name = command["id"] if receipt.seq else None
        return _json(rest.CommandTaken(id=name, seq=receipt.seq, new=receipt.new), 202)

    async def _commands(self, request: Request, principal: Principal) -> Response:
        page = await self.core.commands(
            principal,
            _session_of(request),
            after=incoming.number(request, "after"),
            limit=incoming.limit(request),
        )
        return _json(page)

    async def _command(self, request: Request, principal: Principal) -> Response:
        found = await self.core.command(
            principal,
            _session_of(request),
            request.path_params["command"],
            wait_seconds=incoming.number(request, "wait", high=rest.MAX_WAIT_SECONDS),
        )
        return _json(found)

    async def _requests(self, request: Request, principal: Principal) -> Response:
        found = await self.core.requests(principal, _session_of(request))
        return _json(rest.OpenRequests(requests=found))

    async def _all_requests(self, request: Request, principal: Principal) -> Response:
        page = await self.core.request_page(
            principal,
            limit=incoming.limit(request),
            after=request.query_params.get("after", ""),
        )
        return _json(page)

    # --- about the gateway ---------------------------------------------------------------

    async def _health(self, request: Request, principal: Principal) -> Response:
        if self.core.is_draining:
            raise DrainingError("the gateway is going")
        return _json(rest.Health(status="ok"))

    async def _openapi(self, request: Request, principal: Principal) -> Response:
        return _json(openapi.document())

    async def _whoami(self, request: Request, principal: Principal) -> Response:
        who = rest.WhoAmI(
            name=principal.name,
            role=principal.role,
            tenant=principal.tenant,
            session=principal.session,
        )
        return _json(who)

    # --- the link ------------------------------------------------------------------------

    async def _runner(self, websocket: WebSocket) -> None:
        session: str = websocket.path_params["session"]
        try:
            principal = await self._admit_runner(websocket, session)
        except GatewayError as error:
            await deny(answer(error), websocket.scope, websocket.receive, websocket.send)
            return
        await websocket.accept(subprotocol=SUBPROTOCOL)
        extension = websocket.scope.get("extensions", {}).get(LINE)
        if extension is None:
            await self.core.serve_runner(WebSocketSocket(websocket), principal, session)
        else:
            line = extension["take_over"]()
            line.carry_to(self.core.take_line(line, principal, session))

    async def _admit_runner(self, websocket: WebSocket, session: str) -> Principal:
        principal = await self._principal(websocket.headers)
        if SUBPROTOCOL not in websocket.scope["subprotocols"]:
            raise HttpRefusal(426, f"this gateway speaks the subprotocol {SUBPROTOCOL!r} only")
        if self._create_on_hello and principal.role is Role.ADMIN:
            principal = await self._adopt(principal, session)
        await self.core.check_runner(principal, session)
        return principal

    async def _adopt(self, admin: Principal, session: str) -> Principal:
        try:
            await self.core.session(admin, session)
        except UnknownSessionError:
            with suppress(SessionExistsError):  # where another dial was faster
                await self.core.create_session(admin, session)
        return Principal(name=admin.name, role=Role.RUNNER, tenant=admin.tenant, session=session)

    # --- who asks ------------------------------------------------------------------------

    def _route(self, by_method: dict[str, Endpoint]) -> Callable[[Request], Awaitable[Response]]:
        async def answered(request: Request) -> Response:
            # Starlette lets HEAD in where GET is.
            endpoint = by_method.get(request.method) or by_method["GET"]
            try:
                principal = await self._caller(request, endpoint)
                incoming.demand_known_parameters(request, endpoint)
                handler: Handler = getattr(self, f"_{endpoint.operation}")
                return await handler(request, principal)
            except GatewayError as error:
                return answer(error)

        return answered

    async def _caller(self, request: Request, endpoint: Endpoint) -> Principal:
        """Who asks. What it asks for is looked at only where it may ask."""
        if endpoint.right == "none":
            return _NOBODY
        principal = await self._principal(request.headers)
        if not rest.may_call(principal, endpoint, request.path_params.get("session")):
            needed = "operate or approve" if endpoint.right == "by type" else endpoint.right
            raise ForbiddenError(
                f"a {principal.role.value} token may not {needed}:"
                f" {endpoint.method} {endpoint.path}"
            )
        return principal

    async def _principal(self, headers: Headers) -> Principal:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise HttpRefusal(401, "send a token in the header `Authorization: Bearer …`")
        principal = await self._authenticator.authenticate(token.strip())
        if principal is None:
            raise HttpRefusal(401, "this token is not good")
        return principal


def _session_of(request: Request) -> str:
    session: str = request.path_params["session"]
    return session


def _json(body: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status_code=status, media_type="application/json")


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return answer(HttpRefusal(error.status_code, error.detail), error.headers)
