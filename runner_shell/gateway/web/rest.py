"""The one table of endpoints: routes, rights, OpenAPI and the reference come from it.

Needs no web framework, so that the reference can be made without one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct

from ...protocol.events import JSON
from ..sessions.information import (
    MAX_RETENTION_SECONDS,
    SESSION_ID,
    STATUSES,
    CommandInfo,
    CommandPage,
    RequestInfo,
    RequestPage,
    SessionInfo,
    SessionPage,
)
from ..tokens import Action, Principal, Role, action_of, allowed

Right: TypeAlias = Action | Literal["none", "any", "by type"]
"""What a caller needs: an action, no token at all, any token, or what the command's type needs."""

MAX_WAIT_SECONDS = 60
MAX_NUMBER = 10**18 - 1


# --- what is sent and answered -----------------------------------------------------------


class NewSession(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A session to create.

    Attributes:
        id: Its id; a random one unless given.
        metadata: Kept and shown as it is; sessions are found by it.
        retention_seconds: How long after a runner was last there it is deleted; null for never.
    """

    id: Annotated[str, Meta(pattern=SESSION_ID)] | None = None
    metadata: dict[str, JSON] = {}
    retention_seconds: Annotated[int, Meta(ge=0, le=MAX_RETENTION_SECONDS)] | None = None


class CreatedSession(Struct, frozen=True, kw_only=True):
    """A session that was created.

    Attributes:
        id: Its id.
        runner_token: Good for its runners; shown this once.
    """

    id: str
    runner_token: str


class NewToken(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token to make; it is good for one session.

    Attributes:
        role: What it is for.
        name: Its holder's name, which goes into `by`; made of role and session unless given.
    """

    role: Role
    name: Annotated[str, Meta(max_length=200)] = ""


class IssuedToken(Struct, frozen=True, kw_only=True):
    """A token that was made.

    Attributes:
        token: The token; shown this once.
    """

    token: str


class CommandTaken(Struct, frozen=True, kw_only=True):
    """A command that was taken in.

    Attributes:
        id: Its id; null for `secret.add`, which has none.
        seq: Its number; 0 for `secret.add`.
        new: Whether it was not known before.
    """

    id: str | None
    seq: int
    new: bool


class Events(Struct, frozen=True, kw_only=True):
    """Some of a session's events, in order.

    Attributes:
        events: Each exactly as its runner wrote it.
        next: The `since` of the next page, or null where this one is the last.
    """

    events: list[dict[str, JSON]]
    next: int | None


class OpenRequests(Struct, frozen=True, kw_only=True):
    """A session's open requests.

    Attributes:
        requests: Oldest first.
    """

    requests: list[RequestInfo]


class SavedState(Struct, frozen=True, kw_only=True):
    """What an adapter saved.

    Attributes:
        state: Its values by name.
    """

    state: dict[str, JSON]


class Health(Struct, frozen=True, kw_only=True):
    """The gateway works.

    Attributes:
        status: Always `ok`; a gateway that is going answers 503.
    """

    status: Literal["ok"]


class WhoAmI(Struct, frozen=True, kw_only=True):
    """Whom a token stands for.

    Attributes:
        name: Goes into `by`.
        role: What it may do.
        tenant: Whose rows it may do it to.
        session: The one session it is good for, or null for all of the tenant's.
    """

    name: str
    role: Role
    tenant: str
    session: str | None


# --- the table ---------------------------------------------------------------------------


class Parameter(Struct, frozen=True):
    """A parameter of an endpoint.

    Attributes:
        name: Its name.
        schema: JSON Schema of its value.
        description: What it means.
        place: Where it stands.
    """

    name: str
    schema: Mapping[str, Any]
    description: str
    place: Literal["query", "header"] = "query"


class Endpoint(Struct, frozen=True, kw_only=True):
    """One row of the table.

    Attributes:
        method: HTTP method, or `WS` for the link.
        path: Below the gateway's base URL.
        right: What a caller needs.
        operation: Name of what answers.
        summary: What it does.
        answer: What comes back where all is well; None for no body, a string for what is no JSON.
        status: The status then.
        body: What is sent.
        parameters: Besides those in the path.
        problems: Other statuses it may answer: besides 401, 403, 422, 503, and 404 below a session.
        notes: What else a caller should know.
        metadata_filter: Whether it takes parameters `metadata.KEY`.
    """

    method: str
    path: str
    right: Right
    operation: str
    summary: str
    answer: type[Struct] | str | None
    status: int = 200
    body: type[Struct] | str | None = None
    parameters: tuple[Parameter, ...] = ()
    problems: tuple[int, ...] = ()
    notes: str = ""
    metadata_filter: bool = False


_NUMBER = {"type": "integer", "minimum": 0, "maximum": MAX_NUMBER, "default": 0}
_LIMIT = Parameter(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": MAX_NUMBER, "default": 100},
    "How many at most; more than 1000 are as 1000.",
)
_SINCE = Parameter("since", _NUMBER, "The number after which to begin.")
_TYPES = Parameter("types", {"type": "string"}, "Only events of these types, separated by commas.")
_ONE = "/sessions/{session}"

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        method="GET",
        path="/health",
        right="none",
        operation="health",
        summary="Whether the gateway works, for probes; any host name may ask.",
        answer=Health,
        problems=(503,),
    ),
    Endpoint(
        method="GET",
        path="/openapi.json",
        right="none",
        operation="openapi",
        summary="This API as an OpenAPI document.",
        answer="application/json",
    ),
    Endpoint(
        method="GET",
        path="/whoami",
        right="any",
        operation="whoami",
        summary="Whom the token stands for.",
        answer=WhoAmI,
    ),
    Endpoint(
        method="POST",
        path="/sessions",
        right=Action.CREATE,
        operation="create",
        summary="Create a session.",
        body=NewSession,
        answer=CreatedSession,
        status=201,
        problems=(400, 409, 413),
        notes="403 with the code `quota` says that the tenant has as many sessions as it may.",
    ),
    Endpoint(
        method="GET",
        path="/sessions",
        right=Action.READ,
        operation="sessions",
        summary="List sessions in order of their ids.",
        parameters=(
            Parameter(
                "status",
                {"type": "string", "pattern": f"^({'|'.join(STATUSES)})$"},
                "Only those with this status; several are separated by commas.",
            ),
            _LIMIT,
            Parameter("after", {"type": "string"}, "The `next` of the page before."),
        ),
        answer=SessionPage,
        metadata_filter=True,
        notes="`metadata.KEY=VALUE` chooses those whose metadata has this value; values that are no"
        " strings are compared as JSON. A page may be shorter than `limit`, and empty, with more to"
        " come: `next` tells.",
    ),
    Endpoint(
        method="GET",
        path=_ONE,
        right=Action.READ,
        operation="session",
        summary="Read one session.",
        answer=SessionInfo,
    ),
    Endpoint(
        method="DELETE",
        path=_ONE,
        right=Action.CREATE,
        operation="delete",
        summary="Delete a session with all that belongs to it.",
        answer=None,
        status=204,
        notes="A connected runner is closed with 4010 `SESSION_DELETED`.",
    ),
    Endpoint(
        method="POST",
        path=f"{_ONE}/tokens",
        right=Action.CREATE,
        operation="issue",
        summary="Make a token that is good for this session.",
        body=NewToken,
        answer=IssuedToken,
        status=201,
        problems=(400, 413),
    ),
    Endpoint(
        method="GET",
        path=f"{_ONE}/events",
        right=Action.READ,
        operation="events",
        summary="Read events.",
        parameters=(_SINCE, _LIMIT, _TYPES),
        answer=Events,
        notes="A page ends early after some megabytes; `next` tells whether there is more.",
    ),
    Endpoint(
        method="GET",
        path=f"{_ONE}/events/live",
        right=Action.READ,
        operation="live",
        summary="Follow events: the stored ones first, then live, without a gap or a repeat.",
        parameters=(
            _SINCE,
            _TYPES,
            Parameter(
                "Last-Event-ID",
                {"type": "string", "pattern": "^[0-9]{1,18}$"},
                "As `since`, and before it; browsers send it when they come again.",
                place="header",
            ),
        ),
        answer="text/event-stream",
        notes="`id` is the event's number, `event` its type, `data` the event. A comment comes when"
        " nothing did for 15 seconds. The last message has no `id` and a problem object as `data`:"
        " `session.deleted`, `draining` (come again now), or `cut`, where the caller took live"
        " events too slowly: come again with the last number.",
    ),
    Endpoint(
        method="POST",
        path=f"{_ONE}/commands",
        right="by type",
        operation="submit",
        summary="Give the session's runner a command, now or when it comes.",
        parameters=(
            Parameter(
                "Idempotency-Key",
                {"type": "string", "pattern": "^[!-~]{1,200}$"},
                "The command's `id`, where the body has none.",
                place="header",
            ),
        ),
        body="command",
        answer=CommandTaken,
        status=202,
        problems=(400, 409, 413),
        notes="The body is a [command](protocol.md#commands). The same `id` with the same content"
        " is the same command; with other content it is refused with 409 and `command_conflict`."
        " `secret.add` is never stored: without a connected runner it is refused with 409 and"
        " `not_connected`.",
    ),
    Endpoint(
        method="GET",
        path=f"{_ONE}/commands",
        right=Action.READ,
        operation="commands",
        summary="Read commands and their replies, in order of their numbers.",
        parameters=(Parameter("after", _NUMBER, "The `next` of the page before."), _LIMIT),
        answer=CommandPage,
    ),
    Endpoint(
        method="GET",
        path=f"{_ONE}/commands/{{command}}",
        right=Action.READ,
        operation="command",
        summary="Read one command and its reply, and wait for it.",
        parameters=(
            Parameter(
                "wait",
                {"type": "integer", "minimum": 0, "maximum": MAX_WAIT_SECONDS, "default": 0},
                "For how many seconds to wait where there is no reply yet.",
            ),
        ),
        answer=CommandInfo,
    ),
    Endpoint(
        method="GET",
        path=f"{_ONE}/requests",
        right=Action.READ,
        operation="requests",
        summary="Read the session's open requests, the oldest 1000.",
        answer=OpenRequests,
    ),
    Endpoint(
        method="GET",
        path="/requests",
        right=Action.READ,
        operation="all_requests",
        summary="Read the open requests of all sessions, in order of session and number.",
        parameters=(
            Parameter("after", {"type": "string"}, "The `next` of the page before."),
            _LIMIT,
        ),
        answer=RequestPage,
    ),
    Endpoint(
        method="GET",
        path=f"{_ONE}/state",
        right=Action.READ,
        operation="state",
        summary="Read what the session's adapter saved.",
        answer=SavedState,
    ),
    Endpoint(
        method="WS",
        path=f"{_ONE}/runner",
        right=Action.RUN,
        operation="runner",
        summary="The link of the session's runner.",
        answer="the protocol",
        status=101,
        problems=(426, 503),
        notes="See [the protocol](protocol.md).",
    ),
)


def http_endpoints() -> tuple[Endpoint, ...]:
    """All but the link."""
    return tuple(endpoint for endpoint in ENDPOINTS if endpoint.method != "WS")


def names_session(endpoint: Endpoint) -> bool:
    """Whether it concerns one session, which a token that is bound to it may do."""
    return "{session}" in endpoint.path


def may_call(
    principal: Principal, endpoint: Endpoint, session: str | None = None, command_type: str = ""
) -> bool:
    """Whether the principal may use an endpoint, in its own tenant.

    Args:
        principal: Who asks.
        endpoint: What for.
        session: Of which session.
        command_type: For a command: its type; without one, whether any type may be given.
    """
    match endpoint.right:
        case "none" | "any":
            return True
        case "by type":
            actions = [action_of(command_type)] if command_type else list(_COMMAND_ACTIONS)
            return any(allowed(principal, action, session) for action in actions)
        case action:
            return allowed(principal, action, session)


_COMMAND_ACTIONS = (Action.OPERATE, Action.APPROVE)
