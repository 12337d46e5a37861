"""The seam between the gateway and what keeps its sessions.

A store is the gateway's only memory: a gateway that restarts goes on from it. Every row belongs to
a tenant and every call names it, so that no query can reach another tenant's. Whoever writes one
subclasses `runner_shell.testing.stores.StoreContract`, which holds it to what is said here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from msgspec import Struct

from ..errors import RunnerError
from ..link.effects import NumberedEvent
from ..protocol.events import JSON, SessionFinished

if TYPE_CHECKING:
    from .tokens import TokenRecord

DEFAULT_TENANT = "default"
"""The tenant of a gateway that has only one."""

EventRow: TypeAlias = NumberedEvent
"""An event as the link hands it out: what its envelope says, and the bytes as they came."""


class SessionKey(NamedTuple):
    """Names one session.

    Attributes:
        tenant: Whose it is.
        id: Its id, unique within the tenant.
    """

    tenant: str
    id: str


class Append(NamedTuple):
    """Events of one session that are to be committed, all or none.

    Attributes:
        key: The session.
        epoch: The number of the process that brought them.
        rows: In order, without a hole.
    """

    key: SessionKey
    epoch: int
    rows: Sequence[EventRow]


Outcome: TypeAlias = int | RunnerError
"""The number of a session's last committed event, or why nothing of an `Append` was stored."""


class EventPage(NamedTuple):
    """Some of a session's events, in order.

    Attributes:
        events: Each exactly as its runner encoded it.
        next: The number after which the next page begins, or None where this one is the last.
        last: The number of the session's last event when this was read.
    """

    events: list[bytes]
    next: int | None
    last: int


class CommandRow(NamedTuple):
    """A stored command and what became of it.

    Attributes:
        seq: Its number.
        data: The whole command, encoded.
        acknowledged: Whether a runner has journaled it.
        reply: The event that answers it, encoded, or None.
    """

    seq: int
    data: bytes
    acknowledged: bool
    reply: bytes | None


class CommandReceipt(NamedTuple):
    """What became of a command that was handed in.

    Attributes:
        seq: Its number; 0 for an unnumbered one.
        new: False where its id was known already, and nothing was added.
    """

    seq: int
    new: bool


class OpenRequest(NamedTuple):
    """A question that waits for its answer.

    Attributes:
        session: Id of its session.
        seq: Number of its `request.opened`.
        data: That event, encoded.
    """

    session: str
    seq: int
    data: bytes


class Usage(NamedTuple):
    """How much of a store a tenant takes.

    Attributes:
        sessions: How many it has.
        events: Events in them.
        bytes: What these events have, encoded.
    """

    sessions: int
    events: int
    bytes: int


class SessionRecord(Struct, frozen=True, kw_only=True):
    """What is stored of a session, its events and commands apart.

    Attributes:
        key: Tenant and id.
        created_at: RFC 3339.
        metadata: What its creator said of it.
        retention_seconds: For how long after it was last used it is kept; None for ever.
        epoch: The number of its latest process; 0 before the first.
        instance: The id which that process gave itself.
        last_event: The last committed event.
        events_bytes: What its events have, encoded.
        committed_epoch: The number of the process that had its last event committed; 0 without one.
        last_command: The last number given to a command.
        acknowledged_command: The last command that a runner has journaled.
        open_requests: How many questions wait for an answer.
        seen_at: RFC 3339 time a runner was last known to be there, or empty.
        finished: The `session.finished` of its latest process, if there was one.
    """

    key: SessionKey
    created_at: str
    metadata: dict[str, JSON]
    retention_seconds: int | None = None
    epoch: int = 0
    instance: str = ""
    last_event: int = 0
    events_bytes: int = 0
    committed_epoch: int = 0
    last_command: int = 0
    acknowledged_command: int = 0
    open_requests: int = 0
    seen_at: str = ""
    finished: SessionFinished | None = None


class Store(Protocol):
    """Keeps sessions, events, commands and token hashes.

    Each call is atomic. What a call has returned from survives a crash of the gateway; numbers that
    `bump_epoch` and `add_command` gave survive a power loss, too, for none may be given twice.
    Calls that name a session raise `UnknownSessionError` where there is none, and any call may
    raise `StoreError`.
    """

    # --- sessions ------------------------------------------------------------------------

    async def create_session(
        self,
        key: SessionKey,
        *,
        created_at: str,
        metadata: dict[str, JSON],
        retention_seconds: int | None = None,
    ) -> SessionRecord:
        """Add a session. Raises `SessionExistsError` where the tenant has one with this id."""

    async def get_session(self, key: SessionKey) -> SessionRecord:
        """What is known of a session."""

    async def list_sessions(
        self, tenant: str, *, limit: int, after: str = ""
    ) -> list[SessionRecord]:
        """A page of the tenant's sessions in order of id, those after the id `after`."""

    async def delete_session(self, key: SessionKey) -> None:
        """Remove a session, all that belongs to it, and the tokens that are good for it alone."""

    async def expired_sessions(self, now: str, *, limit: int) -> list[SessionKey]:
        """Sessions of all tenants whose retention was over at the RFC 3339 time `now`.

        It begins when a runner was last seen, without one when the session was created.
        """

    async def usage(self, tenant: str) -> Usage:
        """How much the tenant takes."""

    async def bump_epoch(self, key: SessionKey, instance: str) -> int:
        """Give the session to the process `instance`; its epoch is the stored one plus one.

        The process that holds the latest epoch gets the same one again: its welcome was lost.
        """

    async def touch(self, key: SessionKey, seen_at: str) -> None:
        """Note that a runner was there at this time."""

    # --- events --------------------------------------------------------------------------

    def append_frames(self, appends: Sequence[Append]) -> Awaitable[Sequence[Outcome]]:
        """Commit what several runners brought; each append whole or not at all, and by itself.

        Rows that are stored already are passed over. State, open requests, replies to commands, the
        session's ending and `committed_epoch` change together with the events. Appends of the same
        session are committed in the order in which they come.

        A gateway under load hands in what a thousand connections have at once: one transaction for
        all of them is what makes that cheap.

        A coroutine function will do. What begins in the call itself, and not when its result is
        awaited, begins before the gateway does anything else.

        Returns:
            For each append the number of the session's last committed event, or the reason why
            nothing of it was stored, which is not raised: `StaleEpochError` where `epoch` is not
            the session's latest, `NumberGapError` where a number is missing before one of the rows,
            `RemoteProtocolError` where an event's own fields are wrong, `UnknownSessionError`,
            `StoreError`.
        """

    async def append_events(self, key: SessionKey, epoch: int, rows: Sequence[EventRow]) -> int:
        """`append_frames` of one, whose outcome is returned or raised; every store inherits it."""
        (outcome,) = await self.append_frames([Append(key, epoch, rows)])
        if isinstance(outcome, RunnerError):
            raise outcome
        return outcome

    async def read_events(
        self, key: SessionKey, *, since: int = 0, limit: int, types: Collection[str] | None = None
    ) -> EventPage:
        """A page of events after the number `since`, only those of `types` where it is given.

        It may be shorter than `limit`, and empty with more to come: `next` tells.
        """

    # --- commands ------------------------------------------------------------------------

    async def add_command(
        self,
        key: SessionKey,
        command_id: str,
        by: str,
        digest: str,
        encode: Callable[[int], bytes],
    ) -> CommandReceipt:
        """Give a command the next number and store `encode(number)`.

        An id that is known already changes nothing and gets its first receipt's number again.
        `encode` may run on another thread.

        Raises:
            CommandConflictError: The known one has another digest.
        """

    async def commands_after(self, key: SessionKey, seq: int, *, limit: int) -> list[CommandRow]:
        """The next commands after the number `seq`, in order."""

    async def get_command(self, key: SessionKey, command_id: str) -> CommandRow:
        """One command. Raises `UnknownCommandError` where the session has none with this id."""

    async def acknowledge_command(self, key: SessionKey, seq: int) -> None:
        """Note that the runner has journaled every command up to `seq`; never goes back."""

    # --- state and requests --------------------------------------------------------------

    async def saved_state(self, key: SessionKey) -> dict[str, JSON]:
        """What the adapter saved: the session's `session.saved` events, merged."""

    async def open_requests(
        self,
        tenant: str,
        *,
        session: str | None = None,
        after: tuple[str, int] = ("", 0),
        limit: int,
    ) -> list[OpenRequest]:
        """Requests without an ending, in order of session and number, those after `after`.

        Args:
            tenant: Whose they are.
            session: Of one session only; an unknown one has none.
            after: Session and number of the last one seen.
            limit: How many at most.
        """

    # --- tokens --------------------------------------------------------------------------

    async def put_token(self, record: TokenRecord) -> None:
        """Store a token's hash and what the token is good for."""

    async def find_token(self, token_hash: str) -> TokenRecord | None:
        """What the token with this hash is good for, or None."""
