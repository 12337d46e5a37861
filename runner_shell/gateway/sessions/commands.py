"""Commands: taken in, numbered and stored, handed to the runner, and their replies found."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from ...protocol import codec
from ...protocol.commands import SecretAdd
from ...protocol.events import JSON, CommandDone, CommandFailed
from ..errors import NotConnectedError, TooSlowError
from ..store import CommandReceipt, CommandRow, EventRow, SessionKey, Store
from . import submission
from .information import CommandInfo, CommandPage, command_info
from .live_sessions import LiveSessions
from .subscription import Subscription

_REPLIES = ("command.done", "command.failed")


class Commands:
    """The commands of all sessions; whoever calls has asked whether the caller may.

    Args:
        store: Where they are kept.
        live: Where runners are connected.
        now: The time of day as RFC 3339.
    """

    def __init__(self, store: Store, live: LiveSessions, now: Callable[[], str]) -> None:
        self._store = store
        self._live = live
        self._now = now

    async def submit(self, key: SessionKey, by: str, command: dict[str, JSON]) -> CommandReceipt:
        """Take a command in; see `GatewayCore.submit_command`."""
        decoded = submission.decoded(command)
        if isinstance(decoded, SecretAdd):
            return await self._pass_on(key, decoded)
        stamped = submission.stamped(decoded, by=by, now=self._now())
        receipt = await self._store.add_command(
            key,
            stamped.id,
            by,
            submission.digest_of(command),
            lambda seq: submission.numbered(stamped, seq),
        )
        live = self._live.get(key)
        if live is not None and live.connection is not None:
            live.connection.notify_command()
        return receipt

    async def page(self, key: SessionKey, *, after: int, limit: int) -> CommandPage:
        """Some commands with their replies; see `GatewayCore.commands`."""
        rows = await self._store.commands_after(key, after, limit=limit + 1)
        return CommandPage(
            commands=[command_info(row) for row in rows[:limit]],
            next=rows[limit - 1].seq if len(rows) > limit else None,
        )

    async def get(self, key: SessionKey, command_id: str) -> CommandInfo:
        """One command. Raises `UnknownCommandError` where there is none."""
        return command_info(await self._store.get_command(key, command_id))

    async def replied(
        self, key: SessionKey, command_id: str, live: Subscription, *, wait_seconds: float
    ) -> CommandInfo:
        """One command, with its reply where that comes in time.

        Args:
            key: Of which session.
            command_id: The id that its client chose.
            live: Listens to the session since before this was called.
            wait_seconds: For how long to wait.
        """
        row: CommandRow = await self._store.get_command(key, command_id)
        if row.reply is None:
            with suppress(TimeoutError, TooSlowError, StopAsyncIteration):
                async with asyncio.timeout(wait_seconds):
                    await _reply_to(command_id, live)
            row = await self._store.get_command(key, command_id)
        return command_info(row)

    async def _pass_on(self, key: SessionKey, secret: SecretAdd) -> CommandReceipt:
        await self._store.get_session(key)
        live = self._live.get(key)
        connection = live.connection if live is not None else None
        if connection is None or not connection.welcomed:
            raise NotConnectedError(
                f"a secret is never stored, and session {key.id!r} has no runner to take it:"
                " hand it in again when one is connected"
            )
        connection.send_unnumbered(codec.encode_command(secret))
        return CommandReceipt(seq=0, new=True)


async def _reply_to(command_id: str, live: Subscription) -> None:
    while True:
        for row in await live.batch():
            if row.type in _REPLIES and _answers(row, command_id):
                return


def _answers(row: EventRow, command_id: str) -> bool:
    payload = codec.decode_payload(row.data)
    return isinstance(payload, CommandDone | CommandFailed) and payload.command == command_id
