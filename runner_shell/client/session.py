"""One session at a gateway: what it says, what it is told, and how it ends."""

from __future__ import annotations

import asyncio
import math
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from ..errors import CommandRefused, SessionLost
from ..protocol import codec
from ..protocol.commands import (
    Command,
    RequestAnswer,
    SecretAdd,
    SessionEnd,
    SessionStop,
    TurnInterrupt,
    TurnStart,
)
from ..protocol.events import JSON, CommandDone, CommandFailed, SessionFinished
from .follow import Following
from .model import (
    CommandReceipt,
    CommandState,
    EventPage,
    IssuedToken,
    OpenRequest,
    ReceivedEvent,
    RequestPage,
    SessionInfo,
    State,
)

if TYPE_CHECKING:
    from .http import Http

PAGE = 1000
WAIT_SECONDS = 30.0
"""How long one request for a reply may hang; the gateway allows 60."""

LOOK_SECONDS = 15.0
"""How often `wait` looks whether the runner is lost."""


class SessionClient:
    """Talks about one session; made by `GatewayClient.session`, which opens and closes.

    Every method raises `RequestRefused` where the gateway says no, and `TransportBroken` where it
    is away for longer than the client's patience.

    Attributes:
        id: The session's id.
    """

    def __init__(self, http: Http, id: str) -> None:
        self.id = id
        self._http = http
        self._path = f"/sessions/{quote(id, safe='')}"

    async def info(self) -> SessionInfo:
        """What the gateway says of it now."""
        return await self._http.ask(SessionInfo, "GET", self._path)

    async def delete(self) -> None:
        """Delete it with its history; a connected runner is told to go."""
        await self._http.ask(type(None), "DELETE", self._path)

    async def issue_token(self, role: str = "runner", *, name: str = "") -> str:
        """Make one more token that is good for this session alone."""
        body = {"role": role} | ({"name": name} if name else {})
        path = f"{self._path}/tokens"
        # Twice would be one token too many, which harms nobody.
        return (await self._http.ask(IssuedToken, "POST", path, body=body)).token

    async def state(self) -> dict[str, JSON]:
        """What the adapter saved."""
        return (await self._http.ask(State, "GET", f"{self._path}/state")).state

    # --- events --------------------------------------------------------------------------

    async def events(
        self, *, since: int = 0, types: Collection[str] | None = None
    ) -> AsyncIterator[ReceivedEvent]:
        """The events that are stored now, in order, after the number `since`.

        Args:
            since: Number of the last event that is known.
            types: The event types that are wanted, or None for all.
        """
        following: int | None = since
        while following is not None:
            query: dict[str, str | int] = {"since": following, "limit": PAGE}
            if types is not None:
                query["types"] = ",".join(sorted(types))
            page = await self._http.ask(EventPage, "GET", f"{self._path}/events", query=query)
            for data in page.events:
                yield ReceivedEvent(codec.decode_envelope(bytes(data)).seq, bytes(data))
            following = page.next

    def follow(
        self,
        *,
        since: int = 0,
        types: Collection[str] | None = None,
        patience_seconds: float | None = None,
    ) -> AsyncGenerator[ReceivedEvent]:
        """Every event after `since`: those stored, then each as it is committed.

        It goes on through lost connections and the gateway's restarts, without a gap or a repeat,
        and over a session's end too, because a next process may go on: break where enough was seen.

        Args:
            since: Number of the last event that is known.
            types: The event types that are wanted, or None for all.
            patience_seconds: For how long the gateway may be away; the client's unless given.
        """
        patience = self._http.patience_seconds if patience_seconds is None else patience_seconds
        return Following(
            self._http, self._path, since=since, types=types, patience_seconds=patience
        ).events()

    async def wait(self) -> SessionFinished:
        """Wait for the end of the session's runner, and return how it ended.

        A session that has ended returns at once. Bound it by `asyncio.timeout`.

        Raises:
            SessionLost: The runner is gone and said no ending.
        """
        info = await self.info()
        while info.finished is None:
            if info.status == "lost":
                raise SessionLost(
                    f"session {self.id!r}: its runner is gone without an ending, the last event is "
                    f"{info.last_event}; start another runner for it, or stop waiting"
                )
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    return await self._next_ending(info.last_event)
            except TimeoutError:
                info = await self.info()
        return info.finished

    async def _next_ending(self, since: int) -> SessionFinished:
        endings = self.follow(since=since, types={"session.finished"}, patience_seconds=math.inf)
        async with aclosing(endings):
            async for event in endings:
                if isinstance(event.payload, SessionFinished):
                    return event.payload
        raise AssertionError("following never ends by itself")

    # --- requests ------------------------------------------------------------------------

    async def requests(self) -> list[OpenRequest]:
        """The questions that wait for an answer."""
        found: list[OpenRequest] = []
        query: dict[str, str | int] = {}
        while True:
            page = await self._http.ask(RequestPage, "GET", f"{self._path}/requests", query=query)
            found += [msgspec.structs.replace(each, session=self.id) for each in page.requests]
            if page.next is None:
                return found
            query = {"after": page.next}

    # --- commands ------------------------------------------------------------------------

    async def send(self, command: Command | SecretAdd | Mapping[str, Any]) -> CommandReceipt:
        """Hand a command in; the runner gets it now, or when it comes.

        Its id makes it safe to send again: the gateway takes a command once. One without an id gets
        a random one, so that this client's own repeats are one command.

        Args:
            command: A struct of `runner_shell.commands`, or a plain object with its `type`.
        """
        body = _plain(command)
        if body["type"] != "secret.add" and not body.get("id"):
            body["id"] = new_command_id()
        receipt = await self._http.ask(
            CommandReceipt,
            "POST",
            f"{self._path}/commands",
            body=body,
            repeatable=body["type"] != "secret.add",
        )
        return msgspec.structs.replace(receipt, id=body.get("id"))

    async def command(self, id: str, *, wait_seconds: float = 0.0) -> CommandState:
        """How far a command is.

        Args:
            id: The command's id.
            wait_seconds: How long to wait for the reply; up to 60 in one request.
        """
        query: dict[str, str | int] = {"wait": f"{wait_seconds:g}"} if wait_seconds else {}
        path = f"{self._path}/commands/{quote(id, safe='')}"
        seconds = wait_seconds + WAIT_SECONDS
        return await self._http.ask(CommandState, "GET", path, query=query, seconds=seconds)

    async def call(
        self, command: Command | Mapping[str, Any], *, timeout_seconds: float = math.inf
    ) -> JSON:
        """Hand a command in, wait until a runner has carried it out, and return its result.

        Raises:
            CommandRefused: The runner did not carry it out, and says why.
            TimeoutError: No reply within `timeout_seconds`; the command may still be carried out.
        """
        receipt = await self.send(command)
        assert receipt.id is not None, "a command has an id"
        return result_of(await self.reply(receipt.id, timeout_seconds=timeout_seconds))

    async def reply(
        self, id: str, *, timeout_seconds: float = math.inf
    ) -> CommandDone | CommandFailed:
        """Wait for the reply to a command. Raises `TimeoutError` where none comes in time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        while True:
            left = deadline - loop.time()
            if (
                reply := (
                    await self.command(id, wait_seconds=max(0.0, min(left, WAIT_SECONDS)))
                ).reply
            ) is not None:
                return reply
            if left <= 0:
                raise TimeoutError(
                    f"session {self.id!r}: no reply to command {id!r} within {timeout_seconds:g} s"
                )

    async def start_turn(
        self, content: JSON, *, attachments: tuple[JSON, ...] = (), id: str = ""
    ) -> CommandReceipt:
        """Begin a turn with a user's message; during a turn it is queued."""
        return await self.send(TurnStart(id=id, content=content, attachments=attachments))

    async def answer(self, request: str, answer: JSON, *, id: str = "") -> CommandReceipt:
        """Answer an open request."""
        return await self.send(RequestAnswer(id=id, request=request, answer=answer))

    async def interrupt(self, reason: str = "", *, id: str = "") -> CommandReceipt:
        """End the running turn soon."""
        return await self.send(TurnInterrupt(id=id, reason=reason))

    async def stop(self, reason: str = "", *, id: str = "") -> CommandReceipt:
        """End the session now: interrupt the running turn first."""
        return await self.send(SessionStop(id=id, reason=reason))

    async def end(self, *, id: str = "") -> CommandReceipt:
        """End the session after the running turn and the queued ones."""
        return await self.send(SessionEnd(id=id))

    async def add_secret(self, name: str, value: str) -> None:
        """Tell the connected runner a value that must not cross; it is stored nowhere."""
        await self.send(SecretAdd(name=name, value=value))


def new_command_id() -> str:
    """A random id for a command."""
    return f"c-{secrets.token_hex(12)}"


def result_of(reply: CommandDone | CommandFailed) -> JSON:
    """A reply's result. Raises `CommandRefused` where it says no."""
    if isinstance(reply, CommandFailed):
        raise CommandRefused(reply.message, code=reply.code)
    return reply.result


def _plain(command: Command | SecretAdd | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(command, Mapping):
        return dict(command)
    body: dict[str, Any] = msgspec.to_builtins(command)
    return body
