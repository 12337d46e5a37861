"""The frames of the link: one JSON object each, told apart by the field `frame`.

`events` and `commands` carry many; their members are kept as the bytes that came, so that storing
and passing on never changes them.

Source: docs/reference/protocol.md, "Frames".
"""

from __future__ import annotations

from msgspec import Raw, Struct

from .events import JSON

SUBPROTOCOL = "runner-shell.v1"
"""WebSocket subprotocol: the protocol's version."""

MAX_FRAME_BYTES = 256 * 1024
"""What each side takes unless `hello` or `welcome` says another number."""

MAX_EVENTS_PER_FRAME = 64
"""What one frame of events carries at most."""

BATCH_BYTES = 64 * 1024
"""A frame of events is filled up to here; a single larger event still goes, up to the maximum."""

MAX_DEPTH = 64
"""Nesting of arrays and objects that a decoder takes."""

MAX_EVENT_BYTES = 64 * 1024 * 1024
"""Largest event put together from parts."""


class Frame(Struct, frozen=True, kw_only=True, tag_field="frame", omit_defaults=True):
    """What every frame is."""


class UnknownFrame(Frame, frozen=True, kw_only=True):
    """A frame that this version does not know; it is ignored.

    Attributes:
        name: What the field `frame` says.
    """

    name: str


# --- runner → gateway ------------------------------------------------------------------------


class Hello(Frame, frozen=True, kw_only=True, tag="hello"):
    """The first frame of a connection.

    Attributes:
        session: Id of the session.
        epoch: Null in the first dial of a process, else what the gateway assigned.
        instance: Random id of this process, the same at each of its dials.
        log: Random id of the journal; a new one where history was lost.
        next: The number its next event will have, unless the gateway holds more.
        last_command: The last command it has journaled.
        runner: Name and version of the shell.
        adapter: Name of the adapter.
        max_frame_bytes: The largest frame it takes.
    """

    session: str
    epoch: int | None
    instance: str
    log: str
    next: int
    last_command: int
    runner: str = ""
    adapter: str = ""
    max_frame_bytes: int = MAX_FRAME_BYTES


class Events(Frame, frozen=True, kw_only=True, tag="events"):
    """Events in order.

    Attributes:
        events: Each an encoded event.
    """

    events: list[Raw]


class Part(Frame, frozen=True, kw_only=True, tag="part"):
    """A piece of an event that is larger than a frame.

    Attributes:
        seq: The event's number.
        index: This piece's place, from 0.
        total: How many there are.
        data: Base64 of this piece of the encoded event.
    """

    seq: int
    index: int
    total: int
    data: str


class Ack(Frame, frozen=True, kw_only=True, tag="ack"):
    """What is safe on the sender's side; cumulative.

    Attributes:
        seq: From a runner the last journaled command, from a gateway the last committed event.
        credit: From a gateway: unacknowledged bytes it allows.
    """

    seq: int
    credit: int | None = None


class Heartbeat(Frame, frozen=True, kw_only=True, tag="heartbeat"):
    """I am alive.

    Attributes:
        progress: From a runner: how many events its adapter has emitted in this process.
    """

    progress: int = 0


# --- gateway → runner ------------------------------------------------------------------------


class Welcome(Frame, frozen=True, kw_only=True, tag="welcome"):
    """The answer to `hello`.

    Attributes:
        epoch: The number of this process in its session.
        acked: The last event that is committed.
        committed_epoch: The number of the process that had event `acked` committed, so that an
            earlier process's journal is told from this history; 0 before the first event, or where
            the gateway does not know.
        parts: How many parts of event `acked + 1` the gateway has.
        last_command: The last command that a process of this session has acknowledged; a process
            whose journal is behind goes on after it, because those commands may have been applied.
        credit: Unacknowledged bytes it allows; one event always fits.
        max_frame_bytes: The largest frame it takes.
        heartbeat_seconds: How often each side lets itself be heard.
        state: What the adapter saved, as far as the gateway knows.
        open_requests: The payloads of `request.opened` without an ending.
        omitted_state: How many saved values are left out of `state`, because the frame would be
            larger than the smaller of both sides' maximum. Each is there whole or not at all. A
            runner that has its own journal needs none of them; one that has lost it must not go
            on as if `state` were complete.
        omitted_requests: How many open requests are left out of `open_requests`; likewise.
    """

    epoch: int
    acked: int
    parts: int = 0
    last_command: int = 0
    credit: int = 1024 * 1024
    max_frame_bytes: int = MAX_FRAME_BYTES
    heartbeat_seconds: float = 10.0
    state: dict[str, JSON] = {}
    open_requests: tuple[JSON, ...] = ()
    omitted_state: int = 0
    omitted_requests: int = 0
    committed_epoch: int = 0


class Commands(Frame, frozen=True, kw_only=True, tag="commands"):
    """Commands in order; an unnumbered one (`secret.add`) among them counts for nothing.

    Attributes:
        commands: Each an encoded command.
    """

    commands: list[Raw]


class CloseCode:
    """Why a connection was closed; an unknown code acts by its range.

    4000–4099 are final. 4100–4199: back off and dial again. 4200–4299: dial again now.

    Attributes:
        SUPERSEDED: A newer process serves the session; this one is fenced.
        UNAUTHORISED: The token is not known.
        PROTOCOL: The peer broke the protocol.
        FORBIDDEN: The token may not do this.
        NO_SESSION: There is no such session.
        SESSION_DELETED: The session was deleted.
        QUOTA: The session or its tenant has used up what it may store.
        VERSION: The two sides have no version in common.
        TOKEN_EXPIRED: The token is too old; read it again before dialling.
        RESYNC: The numbers do not fit together; begin again with `hello`.
        OVERLOADED: The gateway has too much to do.
        SILENT: The peer was not heard in time.
        DRAINING: The gateway is about to restart.
        REPLACED: The same process has dialled again.
        RENEWING: From a runner: it dials again at once, with a newer token.
    """

    SUPERSEDED = 4000
    UNAUTHORISED = 4001
    PROTOCOL = 4002
    FORBIDDEN = 4003
    NO_SESSION = 4004
    SESSION_DELETED = 4010
    QUOTA = 4011
    VERSION = 4026
    TOKEN_EXPIRED = 4101
    RESYNC = 4110
    OVERLOADED = 4129
    SILENT = 4130
    DRAINING = 4200
    REPLACED = 4201
    RENEWING = 4202
