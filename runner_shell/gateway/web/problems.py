"""Errors as HTTP answers: problem details (RFC 9457), also at the upgrade of a WebSocket."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from msgspec import Struct
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..errors import (
    CommandConflictError,
    DrainingError,
    ForbiddenError,
    GatewayError,
    InvalidInputError,
    NotConnectedError,
    QuotaError,
    SessionDeletedError,
    SessionExistsError,
    StoreError,
    TooSlowError,
    UnknownCommandError,
    UnknownSessionError,
)

MEDIA_TYPE = "application/problem+json"


class Problem(Struct, frozen=True, kw_only=True):
    """What is wrong, after RFC 9457.

    Attributes:
        type: A URN that ends in the code.
        title: The HTTP status in words.
        status: The HTTP status.
        detail: What happened and what to do, for a person.
        code: A stable word for programs.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str


PROBLEMS: dict[type[GatewayError], tuple[int, str]] = {
    ForbiddenError: (403, "forbidden"),
    QuotaError: (403, "quota"),
    UnknownSessionError: (404, "unknown_session"),
    UnknownCommandError: (404, "unknown_command"),
    SessionExistsError: (409, "session_exists"),
    CommandConflictError: (409, "command_conflict"),
    NotConnectedError: (409, "not_connected"),
    SessionDeletedError: (410, "session_deleted"),
    InvalidInputError: (422, "invalid"),
    TooSlowError: (429, "too_slow"),
    DrainingError: (503, "draining"),
    StoreError: (503, "store_failed"),
}
"""Status and code of each error of the gateway's."""

HTTP_CODES: dict[int, str] = {
    400: "bad_request",
    401: "unauthorised",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    426: "upgrade_required",
}
"""The codes of what HTTP alone is enough to refuse."""

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


def problem_of(error: GatewayError) -> Problem:
    """What the gateway refused or failed to do."""
    if isinstance(error, HttpRefusal):
        return _problem(error.status, HTTP_CODES.get(error.status, "refused"), str(error))
    status, code = PROBLEMS.get(type(error), (500, "failed"))
    # What broke inside is for the log, not for whoever asked.
    inside = isinstance(error, StoreError)
    return _problem(status, code, "the gateway's store failed" if inside else str(error))


def answer(error: GatewayError, headers: Mapping[str, str] | None = None) -> Response:
    """The HTTP answer that says what is wrong."""
    found = problem_of(error)
    return Response(
        msgspec.json.encode(found),
        status_code=found.status,
        headers=_HEADERS.get(found.status, {}) | dict(headers or {}),
        media_type=MEDIA_TYPE,
    )


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


def _problem(status: int, code: str, detail: str) -> Problem:
    return Problem(
        type=f"urn:runner-shell:problem:{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
    )
