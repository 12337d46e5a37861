"""A runner and a client that are nothing but frames and requests, for any gateway at a URL."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self
from urllib.parse import quote

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, NegotiationError
from websockets.typing import Subprotocol

from ..errors import RunnerError
from ..protocol import codec
from ..protocol.frames import SUBPROTOCOL

TIME = "2026-11-21T10:00:00.000Z"


class BrokenRule(RunnerError):
    """The gateway did something else than the protocol says; the message tells what."""


def event(seq: int, type: str = "log", **fields: Any) -> str:
    """A numbered event; without fields it is a line of log."""
    own = fields or {"level": "info", "message": f"line {seq}"}
    return json.dumps({"seq": seq, "time": TIME, "turn": "t1", "type": type} | own)


def events_frame(*events: str) -> str:
    """A frame around events."""
    return f'{{"frame":"events","events":[{",".join(events)}]}}'


def turn_start(id: str, content: str = "hello") -> dict[str, Any]:
    """A command as a client hands it in."""
    return {"type": "turn.start", "id": id, "content": content}


class PeerRunner:
    """One connection of a runner.

    Args:
        connection: The WebSocket.
        session: Its session.
        seconds: How long anything may take.
    """

    def __init__(self, connection: ClientConnection, session: str, seconds: float) -> None:
        self._connection = connection
        self._session = session
        self._seconds = seconds

    async def say(self, frame: str) -> None:
        """Send a frame; one that the gateway no longer takes is lost, as frames are."""
        try:
            await self._connection.send(frame)
        except ConnectionClosed:
            return

    async def hear(self, kind: str) -> dict[str, Any]:
        """The next frame of this kind, checked; others in between are passed over.

        Raises:
            BrokenRule: None came, the gateway closed, or sent what is no frame.
        """
        try:
            async with asyncio.timeout(self._seconds):
                while True:
                    frame = await self._connection.recv()
                    try:
                        codec.decode_gateway_frame(frame)
                    except RunnerError as error:
                        raise BrokenRule(f"it sent what is no frame: {error}") from error
                    found: dict[str, Any] = json.loads(frame)
                    if found["frame"] == kind:
                        return found
        except TimeoutError as error:
            raise BrokenRule(f"no {kind!r} came within {self._seconds:g} s") from error
        except ConnectionClosed as closed:
            raise BrokenRule(f"it closed ({_said(closed)}) where {kind!r} was due") from closed

    async def greet(self, **fields: Any) -> dict[str, Any]:
        """Say `hello` with these fields, and return the welcome."""
        await self.say(self.hello(**fields))
        return await self.hear("welcome")

    def hello(self, **fields: Any) -> str:
        """The first frame of a process that is called `one`."""
        frame = {"frame": "hello", "session": self._session, "epoch": None, "instance": "one"}
        return json.dumps(frame | {"log": "l", "next": 1, "last_command": 0} | fields)

    async def commit(self, *events: str, last: int) -> None:
        """Send events, and wait until `last` is acknowledged."""
        await self.say(events_frame(*events))
        await self.acknowledged(last)

    async def acknowledged(self, last: int) -> None:
        """Wait until `last` is acknowledged.

        Raises:
            BrokenRule: More was, or it was not.
        """
        seq = 0
        while seq < last:
            seq = (await self.hear("ack"))["seq"]
        if seq > last:
            raise BrokenRule(f"event {seq} was acknowledged, and {last} was the last that was sent")

    async def commands(self, count: int) -> list[dict[str, Any]]:
        """The next commands, over as many frames as they come in."""
        heard: list[dict[str, Any]] = []
        while len(heard) < count:
            heard += (await self.hear("commands"))["commands"]
        return heard

    async def hear_close(self) -> int:
        """The close code; frames before it are passed over.

        Raises:
            BrokenRule: It did not close, or without a code.
        """
        try:
            async with asyncio.timeout(self._seconds):
                while True:
                    await self._connection.recv()
        except TimeoutError as error:
            raise BrokenRule(f"it did not close within {self._seconds:g} s") from error
        except ConnectionClosed as closed:
            if closed.rcvd is None:
                raise BrokenRule("the connection broke without a close code") from closed
            return closed.rcvd.code


class Peer:
    """Talks to one gateway. Use it with `async with`.

    Args:
        url: The gateway's base URL.
        token: Of an admin: it creates sessions, reads and commands them.
        seconds: How long anything may take.
    """

    def __init__(self, url: str, token: str, seconds: float) -> None:
        self.seconds = seconds
        self._url = url.rstrip("/")
        self._http = httpx.AsyncClient(
            base_url=self._url, timeout=seconds, headers={"Authorization": f"Bearer {token}"}
        )
        self._sessions: list[str] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        for session in self._sessions:
            await self._http.delete(f"/sessions/{session}")
        await self._http.aclose()

    async def create(self) -> tuple[str, str]:
        """Create a session; its id and its runner's token.

        Raises:
            BrokenRule: It could not be created.
        """
        session = f"check-{secrets.token_hex(6)}"
        made = await self.ask("POST", "/sessions", 201, {"id": session})
        token = made.get("runner_token")
        if made.get("id") != session or not isinstance(token, str):
            raise BrokenRule(f"`POST /sessions` answered {made!r}")
        self._sessions.append(session)
        return session, token

    async def ask(
        self, method: str, path: str, status: int, body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """The JSON body of an answer with this status.

        Raises:
            BrokenRule: Another status, or no JSON object.
        """
        answer = await self._http.request(method, path, json=body)
        if answer.status_code != status:
            raise BrokenRule(
                f"`{method} {path}` answered {answer.status_code} where {status} is due:"
                f" {answer.text[:200]}"
            )
        try:
            found: dict[str, Any] = answer.json()
        except ValueError as error:
            raise BrokenRule(f"`{method} {path}` answered no JSON: {answer.text[:200]}") from error
        return found

    async def stored(self, session: str) -> bytes:
        """The text of all of a session's events, as the gateway gives it back."""
        answer = await self._http.get(f"/sessions/{session}/events", params={"limit": 1000})
        return answer.content

    async def numbers(self, session: str) -> list[int]:
        """The numbers of the stored events."""
        page = await self.ask("GET", f"/sessions/{session}/events?limit=1000", 200)
        return [found["seq"] for found in page["events"]]

    async def command(
        self, session: str, command: dict[str, Any], *, status: int = 202
    ) -> dict[str, Any]:
        """Submit a command."""
        return await self.ask("POST", f"/sessions/{session}/commands", status, command)

    @asynccontextmanager
    async def dial(self, session: str, token: str) -> AsyncIterator[PeerRunner]:
        """A connection to the session's link.

        Raises:
            BrokenRule: The gateway refused it, or chose another subprotocol.
        """
        try:
            connection = await self._connect(session, token, SUBPROTOCOL)
        except InvalidStatus as refusal:
            raise BrokenRule(
                f"it refused a good upgrade with {refusal.response.status_code}"
            ) from refusal
        except NegotiationError as error:
            raise BrokenRule(f"the subprotocol was not chosen: {error}") from error
        try:
            if connection.subprotocol != SUBPROTOCOL:
                raise BrokenRule(f"it chose the subprotocol {connection.subprotocol!r}")
            yield PeerRunner(connection, session, self.seconds)
        finally:
            await connection.close()

    async def refusal(
        self, session: str, token: str | None, subprotocol: str | None = SUBPROTOCOL
    ) -> int:
        """The HTTP status with which an upgrade is refused; 101 where it is not."""
        try:
            connection = await self._connect(session, token, subprotocol)
        except InvalidStatus as refusal:
            return refusal.response.status_code
        except NegotiationError:
            return 101
        await connection.close()
        return 101

    async def _connect(
        self, session: str, token: str | None, subprotocol: str | None
    ) -> ClientConnection:
        base = self._url.replace("http", "ws", 1)
        return await connect(
            f"{base}/sessions/{quote(session)}/runner",
            additional_headers={} if token is None else {"Authorization": f"Bearer {token}"},
            subprotocols=None if subprotocol is None else [Subprotocol(subprotocol)],
            compression=None,
            ping_interval=None,
            open_timeout=self.seconds,
            close_timeout=1.0,
            max_size=None,
        )


def _said(closed: ConnectionClosed) -> str:
    received = closed.rcvd
    return "without a code" if received is None else f"{received.code} {received.reason}".strip()
