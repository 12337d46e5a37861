"""The gateway over HTTP and WebSocket: a Starlette application that mounts into any ASGI server.

Source: docs/reference/protocol.md, "Gateway".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress

import msgspec
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from ..protocol.events import JSON
from ..protocol.frames import MAX_FRAME_BYTES, SUBPROTOCOL
from .core import GatewayCore
from .errors import GatewayError, InvalidInputError, SessionExistsError, UnknownSessionError
from .guard import LOOPBACK_HOSTS, HostGuard
from .problems import HttpRefusal, deny, problem, problem_of
from .tokens import Authenticator, Principal, Role, StoreAuthenticator
from .websocket import WebSocketSocket

MAX_BODY_BYTES = MAX_FRAME_BYTES

_body = msgspec.json.Decoder(dict[str, JSON])

Endpoint = Callable[[Request, Principal], Awaitable[Response]]


class Gateway:
    """Makes the application around a core.

    Args:
        core: What it is the front of. Whoever opened its store drains it and closes the store.
        authenticator: Tells who holds a token; without one the store's own tokens count.
        allowed_hosts: Names this gateway is reached by, without a port; `"*"` allows all.
        allowed_origins: Origins of pages that may call it, besides its own.
        create_on_hello: For development: an admin's token may serve as a runner's, and creates the
            session that it names.
    """

    def __init__(
        self,
        core: GatewayCore,
        authenticator: Authenticator | None = None,
        *,
        allowed_hosts: Collection[str] = LOOPBACK_HOSTS,
        allowed_origins: Collection[str] = (),
        create_on_hello: bool = False,
    ) -> None:
        self.core = core
        self._authenticator = authenticator or StoreAuthenticator(core.store)
        self._allowed_hosts = allowed_hosts
        self._allowed_origins = allowed_origins
        self._create_on_hello = create_on_hello

    def asgi(self) -> Starlette:
        """The application; each call makes a new one around the same core."""
        guard = Middleware(
            HostGuard, allowed_hosts=self._allowed_hosts, allowed_origins=self._allowed_origins
        )
        one = "/sessions/{session}"
        return Starlette(
            routes=[
                Route("/sessions", self._route(self._create), methods=["POST"]),
                Route("/sessions", self._route(self._list), methods=["GET"]),
                Route(one, self._route(self._show), methods=["GET"]),
                Route(f"{one}/events", self._route(self._events), methods=["GET"]),
                Route(f"{one}/commands", self._route(self._command), methods=["POST"]),
                WebSocketRoute(f"{one}/runner", self._runner),
            ],
            middleware=[guard],
            exception_handlers={HTTPException: _http_exception},
        )

    # --- endpoints -----------------------------------------------------------------------

    async def _create(self, request: Request, principal: Principal) -> Response:
        body = await _read_object(request)
        session = body.pop("id", None)
        if session is not None and not isinstance(session, str):
            raise InvalidInputError("`id` is a string")
        info, token = await self.core.create_session(principal, session, body)
        return _json({"id": info.id, "runner_token": token}, 201)

    async def _list(self, request: Request, principal: Principal) -> Response:
        sessions = await self.core.sessions(
            principal,
            limit=_number(request, "limit", 100),
            after=request.query_params.get("after", ""),
        )
        return _json({"sessions": sessions})

    async def _show(self, request: Request, principal: Principal) -> Response:
        return _json(await self.core.session(principal, request.path_params["session"]))

    async def _events(self, request: Request, principal: Principal) -> Response:
        types = request.query_params.get("types")
        events = await self.core.events(
            principal,
            request.path_params["session"],
            since=_number(request, "since", 0),
            limit=_number(request, "limit", 100),
            types=types.split(",") if types else None,
        )
        # The bytes as the runner wrote them: decoding and encoding again could change them.
        body = b'{"events":[' + b",".join(events) + b"]}"
        return Response(body, media_type="application/json")

    async def _command(self, request: Request, principal: Principal) -> Response:
        body = await _read_object(request)
        receipt = await self.core.submit_command(principal, request.path_params["session"], body)
        return _json(receipt._asdict(), 202)

    async def _runner(self, websocket: WebSocket) -> None:
        session: str = websocket.path_params["session"]
        try:
            principal = await self._admit_runner(websocket, session)
        except GatewayError as error:
            await deny(problem_of(error), websocket.scope, websocket.receive, websocket.send)
            return
        await websocket.accept(subprotocol=SUBPROTOCOL)
        await self.core.serve_runner(WebSocketSocket(websocket), principal, session)

    # --- who asks ------------------------------------------------------------------------

    def _route(self, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                return await endpoint(request, await self._principal(request.headers))
            except GatewayError as error:
                return problem_of(error)

        return answer

    async def _principal(self, headers: Headers) -> Principal:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise HttpRefusal(401, "send a token in the header `Authorization: Bearer …`")
        principal = await self._authenticator.authenticate(token.strip())
        if principal is None:
            raise HttpRefusal(401, "this token is not good")
        return principal

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


async def _read_object(request: Request) -> dict[str, JSON]:
    data = bytearray()
    try:
        async for chunk in request.stream():
            data += chunk
            if len(data) > MAX_BODY_BYTES:
                raise HttpRefusal(413, f"a body has at most {MAX_BODY_BYTES} bytes")
    except ClientDisconnect as error:
        raise HttpRefusal(400, "the body broke off") from error
    if not data:
        return {}
    try:
        return _body.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise HttpRefusal(400, f"the body is not a JSON object: {error}") from error


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise InvalidInputError(f"`{name}` is a number from 0 on")
    return int(text)


def _json(body: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status_code=status, media_type="application/json")


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, error.detail, error.headers)
