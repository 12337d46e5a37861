"""Servers for the transport's tests: certificates made on the spot, and a gateway by frames."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from runner_shell.errors import RunnerError
from runner_shell.link.effects import GaveUp, RunnerEffect, Welcomed
from runner_shell.link.runner import LinkSettings, RunnerLink
from runner_shell.protocol.frames import SUBPROTOCOL
from runner_shell.transport.backoff import Backoff
from runner_shell.transport.driver import LinkDriver
from runner_shell.transport.websocket import WebSocket, dial

TOKEN = "token-of-the-test"

Converse = Callable[[ServerConnection], Awaitable[None]]


class Certificates:
    """An authority of its own, and a certificate for `localhost` and `gateway.test` by it.

    Attributes:
        authority: The authority's certificate, as PEM.
        other: The certificate of an authority that has issued nothing.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.authority = self._authority("authority")
        self.other = self._authority("other")
        self._server = self._issue()

    def server_context(self) -> ssl.SSLContext:
        """What a server shows."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._server, self._directory / "server.key")
        return context

    def _authority(self, name: str) -> Path:
        certificate = self._directory / f"{name}.pem"
        self._openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", f"{name}.key", "-out", certificate, "-subj", f"/CN={name}"),
            *("-addext", "basicConstraints=critical,CA:TRUE"),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        )
        return certificate

    def _issue(self) -> Path:
        extensions = self._directory / "extensions"
        names = "DNS:localhost,DNS:gateway.test,IP:127.0.0.1"
        extensions.write_text(
            f"subjectAltName={names}\nextendedKeyUsage=serverAuth\n"
            "keyUsage=critical,digitalSignature,keyEncipherment\n"
            "authorityKeyIdentifier=keyid\n"
        )
        self._openssl(
            *("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"),
            *("-keyout", "server.key", "-out", "server.csr"),
        )
        certificate = self._directory / "server.pem"
        self._openssl(
            *("x509", "-req", "-in", "server.csr", "-days", "2", "-extfile", extensions),
            *("-CA", self.authority, "-CAkey", "authority.key", "-CAcreateserial"),
            *("-out", certificate),
        )
        return certificate

    def _openssl(self, *arguments: str | Path) -> None:
        subprocess.run(
            ["openssl", *map(str, arguments)], cwd=self._directory, check=True, capture_output=True
        )


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Made once: keys take a moment."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


async def welcome(connection: ServerConnection, **terms: Any) -> None:
    """Take one hello and answer it."""
    hello = json.loads(await connection.recv())
    assert hello["frame"] == "hello"
    terms = {"epoch": 1, "acked": hello["next"] - 1} | terms
    await connection.send(json.dumps({"frame": "welcome", **terms}))


async def stay(connection: ServerConnection) -> None:
    """Welcome, and be there until the runner goes."""
    await welcome(connection)
    with suppress(ConnectionClosed):
        while True:
            await connection.recv()


class Gateway:
    """A WebSocket server that answers each dial as it is told.

    Attributes:
        tokens: The token of each dial.
        answers: What the next dials get: an HTTP status, or a conversation; then `stay`.
        headers: What an HTTP answer says besides.
    """

    def __init__(self, *answers: int | Converse, headers: dict[str, str] | None = None) -> None:
        self.headers = headers or {}
        self.tokens: list[str] = []
        self.answers: list[int | Converse] = list(answers)
        self.address = ""
        self.port = 0

    @asynccontextmanager
    async def serving(self, context: ssl.SSLContext | None = None) -> AsyncIterator[Gateway]:
        """Serve while the block runs."""
        async with serve(
            self._converse,
            "127.0.0.1",
            0,
            subprotocols=[SUBPROTOCOL],  # type: ignore[list-item] — a NewType of str
            process_request=self._answer,
            ssl=context,
        ) as server:
            self.port = server.sockets[0].getsockname()[1]
            scheme = "wss" if context else "ws"
            self.address = f"{scheme}://127.0.0.1:{self.port}/sessions/s/runner"
            yield self

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        self.tokens.append(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if self.answers and isinstance(self.answers[0], int):
            status = self.answers.pop(0)
            assert isinstance(status, int)
            response = connection.respond(HTTPStatus(status), "as ordered\n")
            response.headers.update(self.headers)
            return response
        return None

    async def _converse(self, connection: ServerConnection) -> None:
        answer = self.answers.pop(0) if self.answers else stay
        assert callable(answer)
        await answer(connection)


class Dialler:
    """A link and its driver, without a shell.

    Args:
        address: Where to dial.
        options: Of `dial`.
        jitter: Of the back-off; 0 does not wait.
    """

    def __init__(
        self,
        address: str,
        *,
        token: Callable[[], str] = lambda: TOKEN,
        jitter: float = 0.0,
        **options: Any,
    ) -> None:
        self.journal: dict[int, bytes] = {}
        self.link = RunnerLink(LinkSettings(session="s", instance="i", log="l"), self)
        self.effects: list[RunnerEffect] = []
        self.waits: list[float] = []
        self._news = asyncio.Event()

        async def dialling() -> WebSocket:
            return await dial(address, token, **options)

        self.driver = LinkDriver(self.link, dialling, self._take, self._backoff(jitter))

    def read(self, seq: int) -> bytes:
        """The journal, for the link."""
        return self.journal[seq]

    def _backoff(self, jitter: float) -> Backoff:
        def noting() -> float:
            self.waits.append(jitter)
            return jitter

        return Backoff(jitter=noting)

    def _take(self, effect: RunnerEffect) -> None:
        self.effects.append(effect)
        self._news.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Dialler]:
        """Dial and carry while the block runs."""
        task = asyncio.create_task(self.driver.run())
        task.add_done_callback(lambda _: self._news.set())
        self.task = task
        try:
            yield self
        finally:
            await self.driver.close()
            with suppress(asyncio.CancelledError, RunnerError):
                task.cancel()
                await task

    async def until(self, what: Callable[[], object]) -> None:
        """Wait for something to be true; the driver keeps some of what happens to itself."""
        while not what():
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(0.02):
                    await self._news.wait()

    @property
    def welcomes(self) -> int:
        """How often it was welcomed."""
        return sum(isinstance(effect, Welcomed) for effect in self.effects)

    @property
    def refusals(self) -> list[GaveUp]:
        """What it took for final."""
        return [effect for effect in self.effects if isinstance(effect, GaveUp)]
