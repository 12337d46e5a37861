"""What a runner is told: one frozen struct per command type.

A client chooses the id, the gateway gives the number and the verified principal. Every command
gets exactly one reply event: `command.done` or `command.failed`.

Source: docs/reference/protocol.md, "Commands".
"""

from __future__ import annotations

from msgspec import Struct

from .events import JSON


class Command(Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True):
    """What every command has.

    Attributes:
        id: Chosen by its client, unique in the session: the idempotency key.
        seq: The gateway's number, contiguous per session from 1; 0 before it has one.
        by: The principal that the gateway verified; empty for the shell's own.
    """

    id: str
    seq: int = 0
    by: str = ""


class TurnStart(Command, frozen=True, kw_only=True, tag="turn.start"):
    """Begin a turn with a user's message; during a turn it is queued or, with `inject`, folded in.

    Attributes:
        content: A string, or a list of content blocks.
        attachments: Files that come with it.
    """

    content: JSON
    attachments: tuple[JSON, ...] = ()


class TurnInterrupt(Command, frozen=True, kw_only=True, tag="turn.interrupt"):
    """End the running turn soon.

    Attributes:
        reason: Why, for the record.
    """

    reason: str = ""


class RequestAnswer(Command, frozen=True, kw_only=True, tag="request.answer"):
    """Answer an open request.

    Attributes:
        request: Id of the request.
        answer: The answer.
        received_at: RFC 3339 time at which the gateway took it in; late is judged by it.
    """

    request: str
    answer: JSON
    received_at: str = ""


class SessionEnd(Command, frozen=True, kw_only=True, tag="session.end"):
    """Finish after the running turn and the queued ones."""


class SessionStop(Command, frozen=True, kw_only=True, tag="session.stop"):
    """Finish now: interrupt the running turn first.

    Attributes:
        reason: Why, for the record.
    """

    reason: str = ""


class StateGet(Command, frozen=True, kw_only=True, tag="state.get"):
    """Read the agent's state.

    Attributes:
        checkpoint: As of which checkpoint; the newest where empty.
    """

    checkpoint: str = ""


class StateFork(Command, frozen=True, kw_only=True, tag="state.fork"):
    """Go on from an earlier checkpoint; what came after it stays in the history.

    Attributes:
        checkpoint: From which one; the newest where empty.
        values: What to change in its state, as the framework takes updates.
        as_node: In whose name, where the framework asks for one.
        run: Whether to begin a turn there; else the next message does.
    """

    checkpoint: str = ""
    values: JSON = None
    as_node: str = ""
    run: bool = False


class AdapterCall(Command, frozen=True, kw_only=True, tag="adapter.call"):
    """A framework's extra.

    Attributes:
        method: What to call, in the adapter's words.
        params: Its arguments.
    """

    method: str
    params: JSON = None


class SettingsUpdate(Command, frozen=True, kw_only=True, tag="settings.update"):
    """Change settings of the running adapter.

    Attributes:
        settings: The new values by name.
    """

    settings: dict[str, JSON]


class FilesRewind(Command, frozen=True, kw_only=True, tag="files.rewind"):
    """Put the agent's files back to what they were before a turn; the conversation goes on.

    Attributes:
        turn: Id of the turn.
    """

    turn: str


class SecretAdd(Struct, frozen=True, kw_only=True, tag_field="type", tag="secret.add"):
    """Add a value that must not cross; unnumbered and never stored.

    Attributes:
        name: What it is called in placeholders.
        value: The secret.
    """

    name: str
    value: str


class ReservedCommand(Struct, frozen=True, kw_only=True):
    """A command that this version does not know or carry out; it is answered `not_supported`.

    Attributes:
        type: Its type.
        id: Its id.
        seq: Its number.
        by: The principal.
        fields: Its other fields.
    """

    type: str
    id: str
    seq: int
    by: str
    fields: dict[str, JSON]
