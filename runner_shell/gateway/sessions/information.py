"""What a client is told: of sessions, commands and requests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias, get_args

import msgspec
from msgspec import Raw, Struct

from ...protocol import codec
from ...protocol.events import JSON, SessionFinished
from ..store import CommandRow, OpenRequest, SessionRecord
from .live import payload_of

Status: TypeAlias = Literal["created", "running", "disconnected", "finished", "lost"]

SESSION_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
"""What a session's id looks like; it stands in paths as it is."""

MAX_RETENTION_SECONDS = 100 * 365 * 86_400

STATUSES: tuple[Status, ...] = get_args(Status)


class SessionInfo(Struct, frozen=True, kw_only=True):
    """What a client is told of a session.

    Attributes:
        id: Its id.
        status: `created` before its first runner; `running` with a runner connected; `finished`
            where its latest runner said how it ended; else `disconnected`, after a while `lost`.
        created_at: RFC 3339.
        seen_at: When a runner was last known to be there, RFC 3339, or empty.
        expires_at: When it will be deleted unless a runner comes, RFC 3339; null where it is kept
            for ever or has a runner.
        metadata: What its creator said of it.
        epoch: Number of its latest runner process.
        last_event: Number of the last committed event.
        events_bytes: What its events have, encoded.
        open_requests: How many questions wait for an answer.
        last_command: Number of the last command.
        acknowledged_command: Number of the last command that a runner has journaled.
        finished: How its latest runner ended, where it said so.
    """

    id: str
    status: Status
    created_at: str
    seen_at: str
    expires_at: str | None
    metadata: dict[str, JSON]
    epoch: int
    last_event: int
    events_bytes: int
    open_requests: int
    last_command: int
    acknowledged_command: int
    finished: SessionFinished | None = None


class SessionPage(Struct, frozen=True, kw_only=True):
    """Some of a tenant's sessions, in order of their ids.

    Attributes:
        sessions: At most as many as were asked for; with a filter perhaps none, and more to come.
        next: The `after` of the next page, or null where this one is the last.
    """

    sessions: list[SessionInfo]
    next: str | None


class CommandInfo(Struct, frozen=True, kw_only=True):
    """A command and what became of it.

    Attributes:
        command: The command, with its number and principal.
        acknowledged: Whether a runner has taken it in.
        reply: The event that answers it, `command.done` or `command.failed`, or null.
    """

    command: Raw
    acknowledged: bool
    reply: Raw | None


class CommandPage(Struct, frozen=True, kw_only=True):
    """Some of a session's commands, in order of their numbers.

    Attributes:
        commands: At most as many as were asked for.
        next: The `after` of the next page, or null where this one is the last.
    """

    commands: list[CommandInfo]
    next: int | None


class RequestInfo(Struct, frozen=True, kw_only=True):
    """A question that waits for its answer.

    Attributes:
        session: Id of its session.
        seq: Number of its event.
        time: When it was asked, RFC 3339.
        turn: Id of its turn, or empty.
        request: The event's own fields.
    """

    session: str
    seq: int
    time: str
    turn: str
    request: dict[str, JSON]


class RequestPage(Struct, frozen=True, kw_only=True):
    """Some of a tenant's open requests, in order of session and number.

    Attributes:
        requests: At most as many as were asked for.
        next: The `after` of the next page, or null where this one is the last.
    """

    requests: list[RequestInfo]
    next: str | None


def session_info(record: SessionRecord, status: Status, now: datetime) -> SessionInfo:
    """What a client is told of a session.

    Args:
        record: What is stored.
        status: What was derived.
        now: The time, at which a connected runner is seen.
    """
    running = status == "running"
    return SessionInfo(
        id=record.key.id,
        status=status,
        created_at=record.created_at,
        seen_at=rfc3339(now) if running else record.seen_at,
        expires_at=None if running else _expires_at(record),
        metadata=record.metadata,
        epoch=record.epoch,
        last_event=record.last_event,
        events_bytes=record.events_bytes,
        open_requests=record.open_requests,
        last_command=record.last_command,
        acknowledged_command=record.acknowledged_command,
        finished=record.finished,
    )


def command_info(row: CommandRow) -> CommandInfo:
    """What a client is told of a command."""
    return CommandInfo(
        command=Raw(row.data),
        acknowledged=row.acknowledged,
        reply=None if row.reply is None else Raw(row.reply),
    )


def request_info(request: OpenRequest) -> RequestInfo:
    """What a client is told of an open request."""
    envelope = codec.decode_envelope(request.data)
    return RequestInfo(
        session=request.session,
        seq=request.seq,
        time=envelope.time,
        turn=envelope.turn,
        request=payload_of(request.data),
    )


def has_metadata(info: SessionInfo, wanted: dict[str, str]) -> bool:
    """Whether each of these fields has this value: a string as it is, others as JSON."""
    return all(
        name in info.metadata and _text(info.metadata[name]) == value
        for name, value in wanted.items()
    )


def rfc3339(time: datetime) -> str:
    """The time with milliseconds and its zone."""
    return time.isoformat(timespec="milliseconds")


def _expires_at(record: SessionRecord) -> str | None:
    if record.retention_seconds is None:
        return None
    begin = datetime.fromisoformat(record.seen_at or record.created_at)
    try:
        return rfc3339(begin + timedelta(seconds=record.retention_seconds))
    except OverflowError:
        return rfc3339(datetime.max.replace(tzinfo=UTC))


def _text(value: JSON) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
