"""What a gateway's answers hold; fields that this version does not know are passed over.

Source: docs/reference/rest.md.
"""

from __future__ import annotations

from functools import cached_property
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from ..protocol import codec
from ..protocol.events import (
    JSON,
    CommandDone,
    CommandFailed,
    Event,
    RequestOpened,
    SessionFinished,
    StoredEvent,
    UnknownEvent,
)

Status: TypeAlias = Literal["created", "running", "disconnected", "finished", "lost"]
Role: TypeAlias = Literal["runner", "viewer", "operator", "approver", "admin"]


class WhoAmI(Struct, frozen=True, kw_only=True):
    """Whom the gateway takes this client's token for.

    Attributes:
        name: What goes into `by` of commands and answers.
        role: What it may do; a gateway may have roles of its own.
        tenant: Whose sessions it sees.
        session: The one session it is good for, or None for all of the tenant's.
    """

    name: str
    role: str
    tenant: str = ""
    session: str | None = None


class SessionInfo(Struct, frozen=True, kw_only=True):
    """What a gateway says of a session.

    Attributes:
        id: Its id.
        status: `created`, `running`, `disconnected`, `finished` or `lost`.
        created_at: RFC 3339.
        metadata: What its creator said of it.
        epoch: Number of its latest runner process.
        last_event: Number of the last committed event.
        last_command: Number of the last command.
        acknowledged_command: Number of the last command that a runner has journaled.
        finished: How its latest runner ended, where it said so.
        seen_at: RFC 3339 time at which its runner was last seen, or empty.
        open_requests: How many questions wait for an answer.
        events_bytes: Size of its history.
        expires_at: RFC 3339 time at which its retention ends, or None.
        retention_seconds: How long it is kept once no runner is there, or None for ever.
    """

    id: str
    status: Status
    created_at: str = ""
    metadata: dict[str, JSON] = {}
    epoch: int = 0
    last_event: int = 0
    last_command: int = 0
    acknowledged_command: int = 0
    finished: SessionFinished | None = None
    seen_at: str | None = None
    open_requests: int = 0
    events_bytes: int = 0
    expires_at: str | None = None
    retention_seconds: float | None = None


class CreatedSession(Struct, frozen=True, kw_only=True):
    """A new session.

    Attributes:
        id: Its id.
        runner_token: What its runner shows at the gateway; it is nowhere else.
    """

    id: str
    runner_token: str


class CommandReceipt(Struct, frozen=True, kw_only=True):
    """The gateway has a command.

    Attributes:
        id: The command's id; None for a secret, which has none.
        seq: The gateway's number for it; 0 for a secret, which is never stored.
        new: False where this id was handed in before.
    """

    id: str | None = None
    seq: int
    new: bool = True


class CommandState(Struct, frozen=True, kw_only=True):
    """How far a command is.

    Attributes:
        command: The command as it is stored.
        acknowledged: Whether a runner has journaled it.
        reply_data: The reply event, exactly as stored, or `null`.
    """

    command: dict[str, JSON]
    acknowledged: bool = False
    reply_data: msgspec.Raw = msgspec.field(name="reply", default=msgspec.Raw(b"null"))

    @property
    def reply(self) -> CommandDone | CommandFailed | None:
        """What the runner replied, or None while it has not."""
        data = bytes(self.reply_data)
        if data == b"null":
            return None
        payload = codec.decode_payload(data)
        return payload if isinstance(payload, CommandDone | CommandFailed) else None


class OpenRequest(Struct, frozen=True, kw_only=True):
    """A question that waits for an answer.

    Attributes:
        request: What is asked.
        session: Id of the session that asks.
        seq: Number of the `request.opened` event.
        time: RFC 3339 time at which it was asked.
        turn: Id of the turn that asks.
    """

    request: RequestOpened
    session: str = ""
    seq: int = 0
    time: str = ""
    turn: str = ""


class ReceivedEvent:
    """A stored event: the exact bytes, decoded when they are looked into.

    Attributes:
        seq: Its number.
        data: The event as its runner encoded it.
    """

    def __init__(self, seq: int, data: bytes) -> None:
        self.seq = seq
        self.data = data

    @cached_property
    def stored(self) -> StoredEvent:
        """Envelope and payload. Raises `RemoteProtocolError` where it is no event."""
        return codec.decode_event(self.data)

    @property
    def type(self) -> str:
        """The event's type."""
        return self.stored.envelope.type

    @property
    def turn(self) -> str:
        """Id of its turn, or empty."""
        return self.stored.envelope.turn

    @property
    def payload(self) -> Event | UnknownEvent:
        """The event's own fields; match over the structs of `runner_shell.events`."""
        return self.stored.payload

    def __repr__(self) -> str:
        return f"ReceivedEvent({self.seq}, {self.data!r})"


class SessionPage(Struct, frozen=True):
    """A page of sessions; `next` is None at the end."""

    sessions: list[SessionInfo]
    next: str | None = None


class EventPage(Struct, frozen=True):
    """A page of events, each exactly as stored; `next` is None at the end."""

    events: list[msgspec.Raw]
    next: int | None = None


class RequestPage(Struct, frozen=True):
    """A page of open requests; `next` is None at the end."""

    requests: list[OpenRequest]
    next: str | int | None = None


class State(Struct, frozen=True):
    """What an adapter saved."""

    state: dict[str, JSON]


class IssuedToken(Struct, frozen=True):
    """A token that was just made."""

    token: str


class Problem(Struct, frozen=True, kw_only=True):
    """Problem details (RFC 9457).

    Attributes:
        title: The kind of problem.
        status: The HTTP status; 0 where it is not said.
        detail: What happened and what to do.
        code: A stable word for programs, or empty.
    """

    title: str = ""
    status: int = 0
    detail: str = ""
    code: str = ""
