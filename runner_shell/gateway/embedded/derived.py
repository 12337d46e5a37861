"""What a batch of events changes in a session besides its history; pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ...protocol import codec
from ...protocol.events import (
    JSON,
    CommandDone,
    CommandFailed,
    RequestClosed,
    RequestOpened,
    SessionFinished,
    SessionSaved,
    SessionStarted,
)
from ..store import EventRow

DERIVING_TYPES = frozenset(
    {
        "command.done",
        "command.failed",
        "session.started",
        "session.finished",
        "session.saved",
        "request.opened",
        "request.closed",
    }
)
"""Events of other types change nothing besides history."""


@dataclass
class Changes:
    """The net effect of a batch; apply the removals before the additions.

    Attributes:
        removed: Keys of the state that are gone, or replaced by `saved`.
        saved: Keys of the state with their new values.
        closed: Ids of the requests that are closed.
        opened: Ids of the requests that are open now, with the number of their event.
        replies: Ids of the commands that are answered, with the number of their reply.
        ending_changed: Whether `ending` says anything.
        ending: The `session.finished` that holds, or None where a process runs again.
    """

    removed: set[str] = field(default_factory=set)
    saved: dict[str, JSON] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    opened: dict[str, int] = field(default_factory=dict)
    replies: dict[str, int] = field(default_factory=dict)
    ending_changed: bool = False
    ending: bytes | None = None


def changes(rows: Iterable[EventRow]) -> Changes:
    """Work out what these events, in order, change.

    Raises:
        RemoteProtocolError: One of the events that matter has wrong fields.
    """
    result = Changes()
    for row in rows:
        if row.type in DERIVING_TYPES:
            _apply(result, row)
    return result


def _apply(result: Changes, row: EventRow) -> None:
    match codec.decode_payload(row.data):
        case SessionSaved(state=state, removed=removed):
            result.removed |= {*removed, *state}
            for key in removed:
                result.saved.pop(key, None)
            result.saved |= state
        case RequestOpened(id=request):
            result.closed.discard(request)
            result.opened[request] = row.seq
        case RequestClosed(id=request):
            result.opened.pop(request, None)
            result.closed.add(request)
        case CommandDone(command=command) | CommandFailed(command=command):
            result.replies[command] = row.seq
        case SessionFinished():
            result.ending_changed, result.ending = True, row.data
        case SessionStarted():
            result.ending_changed, result.ending = True, None
        case _:
            pass
