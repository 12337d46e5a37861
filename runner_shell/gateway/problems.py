"""Errors as HTTP answers: problem details (RFC 9457), also at the upgrade of a WebSocket."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .errors import (
    DrainingError,
    ForbiddenError,
    GatewayError,
    InvalidInputError,
    NotConnectedError,
    SessionExistsError,
    StoreError,
    UnknownSessionError,
)

_STATUS: dict[type[GatewayError], int] = {
    ForbiddenError: 403,
    UnknownSessionError: 404,
    SessionExistsError: 409,
    NotConnectedError: 409,
    InvalidInputError: 422,
    DrainingError: 503,
    StoreError: 503,
}

_HEADERS: dict[int, dict[str, str]] = {
    401: {"WWW-Authenticate": "Bearer"},
    426: {"Upgrade": "websocket", "Connection": "Upgrade"},
    503: {"Retry-After": "1"},
}


class HttpRefusal(GatewayError):
    """A request that HTTP alone is enough to refuse.

    Args:
        status: The HTTP status.
        detail: What happened and what to do.
    """

    def __init__(self, status: int, detail: str) -> None:
        self.status = status
        super().__init__(detail)


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """An answer that says what is wrong."""
    body = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return Response(
        msgspec.json.encode(body),
        status_code=status,
        headers=_HEADERS.get(status, {}) | dict(headers or {}),
        media_type="application/problem+json",
    )


def problem_of(error: GatewayError) -> Response:
    """The answer to what the gateway refused or failed to do."""
    if isinstance(error, HttpRefusal):
        return problem(error.status, str(error))
    # What broke inside is for the log, not for whoever asked.
    detail = "the gateway's store failed" if isinstance(error, StoreError) else str(error)
    return problem(_STATUS.get(type(error), 500), detail)


async def deny(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request, or refuse a WebSocket's upgrade, with this response.

    A server without the extension for it refuses the upgrade with a bare 403.
    """
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get(
        "extensions", {}
    ):
        await send({"type": "websocket.close", "code": 1008, "reason": ""})
        return
    await response(scope, receive, send)
