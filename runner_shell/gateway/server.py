"""Runs the gateway's application in the current event loop."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigurationError
from ..protocol.frames import MAX_FRAME_BYTES
from .app import Gateway
from .core import GatewayCore
from .sqlite import SqliteStore
from .store import DEFAULT_TENANT
from .tokens import Role, StoreAuthenticator, issue

if TYPE_CHECKING:
    import uvicorn

STOP_SECONDS = 5


@dataclass(frozen=True, kw_only=True)
class DevServer:
    """A gateway for development that is running.

    Attributes:
        url: Its base URL.
        admin_token: Good for everything, as long as this server runs.
        token_file: Where the token is written, readable by its owner only.
        core: What answers behind it.
    """

    url: str
    admin_token: str
    token_file: Path
    core: GatewayCore


@asynccontextmanager
async def serve(gateway: Gateway, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve the gateway while the block runs, and yield its base URL.

    On the way out runners are told to dial again now, and listeners' streams end. No signal handler
    is installed.

    Args:
        gateway: What to serve.
        host: Address or name to listen at.
        port: Port, or 0 for a free one.

    Raises:
        ConfigurationError: It cannot listen there, or uvicorn is not installed.
    """
    with _listening(host, port) as listener:
        async with _served(gateway, listener):
            yield _url(host, listener)


@asynccontextmanager
async def dev_server(
    *,
    store_path: str | os.PathLike[str],
    token_file: Path,
    host: str = "127.0.0.1",
    port: int = 0,
    create_on_hello: bool = True,
) -> AsyncIterator[DevServer]:
    """Serve a gateway with a store of its own and a new admin token, while the block runs.

    Args:
        store_path: The store's file, or `":memory:"`.
        token_file: Where to write the admin token; removed at the end.
        host: Address or name to listen at.
        port: Port, or 0 for a free one.
        create_on_hello: Whether an admin's token creates the session that a runner names.

    Raises:
        ConfigurationError: As `serve` and `SqliteStore.open`.
    """
    token, record = issue(Role.ADMIN, DEFAULT_TENANT)
    async with SqliteStore(store_path) as store:
        core = GatewayCore(store)
        # Only in memory, so that the token ends with the server even where the server is killed.
        authenticator = StoreAuthenticator(store, extra=(record,))
        gateway = Gateway(core, authenticator, create_on_hello=create_on_hello)
        # The file not before the port is ours: another server's stays as it is. And not after the
        # first answer, so that whoever gets one finds the token.
        with _listening(host, port) as listener, _token_file(token_file, token):
            async with _served(gateway, listener):
                url = _url(host, listener)
                yield DevServer(url=url, admin_token=token, token_file=token_file, core=core)


@asynccontextmanager
async def _served(gateway: Gateway, listener: socket.socket) -> AsyncIterator[None]:
    server = _server(gateway)
    uvicorn_log = logging.getLogger("uvicorn.error")
    uvicorn_log.addFilter(_is_worth_saying)
    # No task group: it would wrap whatever the block raises.
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        async with gateway:
            yield
    finally:
        server.should_exit = True
        await serving
        uvicorn_log.removeFilter(_is_worth_saying)


def _is_worth_saying(record: logging.LogRecord) -> bool:
    """Uvicorn takes each upgrade that is refused by an HTTP response for the application's fault.

    It has sent the response by then: `handshake_complete` of its protocol stays false.
    """
    return record.msg != "ASGI callable returned without completing handshake."


@contextmanager
def _token_file(path: Path, token: str) -> Iterator[None]:
    # A new file each time: an existing one, or a link, could be someone else's.
    try:
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigurationError(f"cannot write the token file {path}: {error}") from error
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{token}\n")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        raise ConfigurationError(f"cannot listen at {host}:{port}: {error}") from error
    with listener:
        yield listener


def _url(host: str, listener: socket.socket) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}"


def _server(gateway: Gateway) -> uvicorn.Server:
    try:
        import uvicorn
    except ImportError as error:
        raise ConfigurationError(
            "serving a gateway needs uvicorn: install `runner-shell[gateway]`"
        ) from error

    from .direct import UpgradeProtocol

    class EmbeddedServer(uvicorn.Server):
        """Leaves the process's signals to whoever embeds it."""

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    config = uvicorn.Config(
        gateway.asgi(),
        ws=UpgradeProtocol,
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        # Twice, so that a frame somewhat too large is refused by the link, which says why.
        ws_max_size=2 * MAX_FRAME_BYTES,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    return EmbeddedServer(config)
