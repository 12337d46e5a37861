"""The seam between the gateway and what keeps its sessions.

A store is the gateway's only memory: a gateway that restarts goes on from it. Every row belongs to
a tenant and every call names it, so that no query can reach another tenant's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from msgspec import Struct

from ..protocol.events import JSON, SessionFinished

if TYPE_CHECKING:
    from .tokens import TokenRecord

DEFAULT_TENANT = "default"
"""The tenant of a gateway that has only one."""


class SessionKey(NamedTuple):
    """Names one session.

    Attributes:
        tenant: Whose it is.
        id: Its id, unique within the tenant.
    """

    tenant: str
    id: str


class EventRow(NamedTuple):
    """A numbered event, ready to be stored.

    Attributes:
        seq: Its number.
        time: When it was numbered, as the runner wrote it.
        type: Its type.
        turn: Id of its turn, or empty.
        data: The whole event, exactly as the runner encoded it.
    """

    seq: int
    time: str
    type: str
    turn: str
    data: bytes


class CommandRow(NamedTuple):
    """A stored command.

    Attributes:
        seq: Its number.
        data: The whole command, encoded.
    """

    seq: int
    data: bytes


class CommandReceipt(NamedTuple):
    """What became of a command that was handed in.

    Attributes:
        seq: Its number; 0 for an unnumbered one.
        new: False where its id was known already, and nothing was added.
    """

    seq: int
    new: bool


class SessionRecord(Struct, frozen=True, kw_only=True):
    """What is stored of a session, its events and commands apart.

    Attributes:
        key: Tenant and id.
        created_at: RFC 3339.
        metadata: What its creator said of it.
        epoch: The number of its latest process; 0 before the first.
        instance: The id which that process gave itself.
        last_event: The last committed event.
        last_command: The last number given to a command.
        acknowledged_command: The last command that a runner has journaled.
        seen_at: RFC 3339 time a runner was last known to be there, or empty.
        finished: The `session.finished` of its latest process, if there was one.
    """

    key: SessionKey
    created_at: str
    metadata: dict[str, JSON]
    epoch: int = 0
    instance: str = ""
    last_event: int = 0
    last_command: int = 0
    acknowledged_command: int = 0
    seen_at: str = ""
    finished: SessionFinished | None = None


class Store(Protocol):
    """Keeps sessions, events, commands and token hashes.

    Each call is atomic. What a call has returned from survives a crash of the gateway. Calls that
    name a session raise `UnknownSessionError` where there is none, and any call may raise
    `StoreError`.
    """

    async def create_session(
        self, key: SessionKey, *, created_at: str, metadata: dict[str, JSON]
    ) -> SessionRecord:
        """Add a session. Raises `SessionExistsError` where the tenant has one with this id."""

    async def get_session(self, key: SessionKey) -> SessionRecord:
        """What is known of a session."""

    async def list_sessions(
        self, tenant: str, *, limit: int, after: str = ""
    ) -> list[SessionRecord]:
        """A page of the tenant's sessions in order of id, those after the id `after`."""

    async def bump_epoch(self, key: SessionKey, instance: str) -> int:
        """Give the session to the process `instance`; its epoch is the stored one plus one.

        The process that holds the latest epoch gets the same one again: its welcome was lost.
        """

    async def touch(self, key: SessionKey, seen_at: str) -> None:
        """Note that a runner was there at this time."""

    async def append_events(self, key: SessionKey, epoch: int, rows: Sequence[EventRow]) -> int:
        """Commit events and what follows from them in one transaction.

        Rows that are stored already are passed over. State, open requests and the session's ending
        change in the same transaction.

        Returns:
            The number of the last committed event.

        Raises:
            StaleEpochError: `epoch` is not the session's latest; nothing was stored.
            NumberGapError: A number is missing before one of the rows; nothing was stored.
            RemoteProtocolError: An event's own fields are wrong; nothing was stored.
        """

    async def read_events(
        self, key: SessionKey, *, since: int = 0, limit: int, types: Collection[str] | None = None
    ) -> list[bytes]:
        """A page of events after the number `since`, each exactly as its runner encoded it.

        A page may be shorter than `limit`; it is empty only at the end.
        """

    async def add_command(
        self, key: SessionKey, command_id: str, by: str, encode: Callable[[int], bytes]
    ) -> CommandReceipt:
        """Give a command the next number and store `encode(number)`.

        An id that is known already changes nothing and gets its first receipt's number again.
        `encode` may run on another thread.
        """

    async def commands_after(self, key: SessionKey, seq: int, *, limit: int) -> list[CommandRow]:
        """The next commands after the number `seq`, in order."""

    async def acknowledge_command(self, key: SessionKey, seq: int) -> None:
        """Note that the runner has journaled every command up to `seq`; never goes back."""

    async def saved_state(self, key: SessionKey) -> dict[str, JSON]:
        """What the adapter saved: the session's `session.saved` events, merged."""

    async def open_requests(self, key: SessionKey) -> tuple[dict[str, JSON], ...]:
        """The payloads of `request.opened` without a `request.closed`, oldest first."""

    async def put_token(self, record: TokenRecord) -> None:
        """Store a token's hash and what the token is good for."""

    async def find_token(self, token_hash: str) -> TokenRecord | None:
        """What the token with this hash is good for, or None."""
