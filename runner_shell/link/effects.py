"""What a link asks its transport to carry out."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from ..protocol.commands import Command, ReservedCommand, SecretAdd
from ..protocol.events import JSON
from ..protocol.frames import Hello


class CloseSocket(Struct, frozen=True):
    """Close the connection with this code."""

    code: int
    reason: str


# --- runner's side ---------------------------------------------------------------------------


class Welcomed(Struct, frozen=True, kw_only=True):
    """The gateway took the session up; numbers may be given and events flow.

    Attributes:
        first: Whether this is the first welcome of this process.
        epoch: This process's number.
        acked: The last committed event.
        lost_after: Where history was lost: the last number the gateway holds; emit `gap` first.
        diverged: Whether it was lost because another process's history stands in its place.
        state: What the gateway knows of the adapter's saved state.
        open_requests: Payloads of `request.opened` without an ending.
        omitted_state: How many saved values are left out of `state`.
        omitted_requests: How many open requests are left out of `open_requests`.
    """

    first: bool
    epoch: int
    acked: int
    lost_after: int | None
    state: dict[str, JSON]
    open_requests: tuple[JSON, ...]
    diverged: bool = False
    omitted_state: int = 0
    omitted_requests: int = 0


class Acknowledged(Struct, frozen=True):
    """Everything up to `seq` is committed; the journal may drop it."""

    seq: int


class CommandReceived(Struct, frozen=True):
    """A new command in order: journal it, call `command_journaled`, then apply it.

    Attributes:
        command: The command.
        problem: What is wrong with its fields; reply `command.failed{invalid}` and do not apply.
    """

    command: Command | ReservedCommand
    problem: str = ""


class SecretReceived(Struct, frozen=True):
    """A value to redact from now on."""

    secret: SecretAdd


class Redial(Struct, frozen=True):
    """The connection is gone; dial again.

    Attributes:
        at_once: Without backing off first.
        reason: What happened.
    """

    at_once: bool
    reason: str


class GaveUp(Struct, frozen=True):
    """Nothing that dialling could change; the link is REFUSED.

    Attributes:
        code: HTTP status or close code.
        reason: What the gateway said.
        fenced: Whether a newer runner took the session over.
    """

    code: int
    reason: str
    fenced: bool


RunnerEffect: TypeAlias = (
    CloseSocket | Welcomed | Acknowledged | CommandReceived | SecretReceived | Redial | GaveUp
)


# --- gateway's side --------------------------------------------------------------------------


class NumberedEvent(Struct, frozen=True, gc=False):
    """An encoded event, and what its envelope says, so that nobody need decode it again.

    Attributes:
        seq: Its number.
        time: When it was numbered.
        type: Its type.
        turn: Id of its turn, or empty.
        data: The event exactly as the runner encoded it.
    """

    seq: int
    time: str
    type: str
    turn: str
    data: bytes


class HelloReceived(Struct, frozen=True):
    """Look the session up, then call `welcome` or `refuse`."""

    hello: Hello


class EventsReceived(Struct, frozen=True):
    """New events, contiguous and in order: commit them in one transaction, then `committed`."""

    events: tuple[NumberedEvent, ...]


class CommandsAcknowledged(Struct, frozen=True):
    """The runner has journaled every command up to `seq`."""

    seq: int


class HeartbeatReceived(Struct, frozen=True):
    """The runner lives; `progress` counts what its adapter has emitted."""

    progress: int


GatewayEffect: TypeAlias = (
    CloseSocket | HelloReceived | EventsReceived | CommandsAcknowledged | HeartbeatReceived
)
