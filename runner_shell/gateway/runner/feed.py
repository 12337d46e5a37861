"""Gives one runner the commands that the store has for it."""

from __future__ import annotations

from collections.abc import Callable

from ...errors import RemoteProtocolError
from ...link.gateway import GatewayLink
from ...protocol.frames import MAX_FRAME_BYTES
from ..errors import InvalidInputError
from ..store import CommandRow, SessionKey, Store
from .line import Line

COMMANDS_PER_READ = 100

COMMANDS_OVERHEAD = 64
"""What a frame of commands has besides them, at most."""


class CommandFeed:
    """Reads commands from the store and offers them to the link, in the order of their numbers.

    None is handed over by whoever gives it: two that are given at once would come in any order.

    Args:
        link: Welcomed.
        line: Says whether the runner takes what it is sent.
        store: Has the commands.
        key: The session.
        after: The last one that the runner needs no more.
        max_frame_bytes: The largest frame that the runner takes.
        send_due: Sends what the link has; says whether the connection is still there.
    """

    __slots__ = (
        "_after",
        "_is_offering",
        "_key",
        "_line",
        "_link",
        "_max_bytes",
        "_may_have_more",
        "_send_due",
        "_store",
    )

    def __init__(
        self,
        link: GatewayLink,
        line: Line,
        store: Store,
        key: SessionKey,
        *,
        after: int,
        max_frame_bytes: int,
        send_due: Callable[[], bool],
    ) -> None:
        self._link = link
        self._line = line
        self._store = store
        self._key = key
        self._after = after
        self._max_bytes = min(max_frame_bytes, MAX_FRAME_BYTES) - COMMANDS_OVERHEAD
        self._send_due = send_due
        self._may_have_more = False
        self._is_offering = False

    def notify(self) -> bool:
        """The store may have more. Returns whether `offer` is to be run for it, or runs already."""
        self._may_have_more = True
        if self._is_offering:
            return False
        self._is_offering = True
        return True

    async def offer(self) -> None:
        """Offer what the store has, until it has no more.

        Raises:
            RemoteProtocolError: One is larger than what the runner takes.
        """
        try:
            while self._may_have_more and self._send_due():
                self._may_have_more = False
                rows = await self._store.commands_after(
                    self._key, self._after, limit=COMMANDS_PER_READ
                )
                for row in rows:
                    self._demand_fits(row)
                    self._link.offer_command(row.seq, row.data)
                    self._after = row.seq
                self._may_have_more = self._may_have_more or len(rows) == COMMANDS_PER_READ
                self._send_due()
                await self._line.writable()
        finally:
            self._is_offering = False

    def offer_unnumbered(self, encoded: bytes) -> None:
        """Send a command that is never stored.

        Raises:
            InvalidInputError: The runner takes no frame of this size.
        """
        if len(encoded) > self._max_bytes:
            raise InvalidInputError(
                f"the command has {len(encoded)} bytes, and the session's runner takes at most"
                f" {self._max_bytes}"
            )
        self._link.offer_unnumbered(encoded)
        self._send_due()

    def _demand_fits(self, row: CommandRow) -> None:
        if len(row.data) > self._max_bytes:
            raise RemoteProtocolError(
                f"command {row.seq} has {len(row.data)} bytes, and this runner takes at most"
                f" {self._max_bytes}"
            )
