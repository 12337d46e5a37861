"""A runner's WebSocket: proxies and certificates on the way there, and a token's end."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidProxy,
    InvalidStatus,
    InvalidURI,
    NegotiationError,
)
from websockets.protocol import State
from websockets.typing import Subprotocol

from ..errors import Refused, TransportBroken
from ..protocol.frames import MAX_FRAME_BYTES, SUBPROTOCOL, CloseCode
from . import tokens

DIAL_SECONDS = 10.0
CLOSE_SECONDS = 2.0
SILENT_CLOSE_SECONDS = 0.2
"""A peer that was not heard does not answer a goodbye either, and the next dial is due."""

TOKEN_CHECK_SECONDS = 3.0
"""How often a newer token is looked for once the old one is about to end."""

_RETRY = frozenset({408, 425, 429})


async def dial(url: str, token: Callable[[], str], *, ca_file: Path | None = None) -> WebSocket:
    """Open a connection to a gateway, through the proxy that the environment names.

    Shortly before the end of a token that is a JWT it is read again, and the connection is made
    anew once there is a newer one.

    Args:
        url: `ws://` or `wss://`, used verbatim.
        token: Gives the bearer token; called at every dial, so that a rotated one is taken up.
        ca_file: Certificates, as PEM, to trust instead of the system's; read at every dial.

    Raises:
        Refused: The gateway said no; `final` says whether dialling again can help.
        TransportBroken: It cannot be reached.
    """
    used = token()
    try:
        connection = await connect(
            url,
            additional_headers={"Authorization": f"Bearer {used}"},
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            compression=None,  # measured: deflate costs ten times what it saves on events
            ping_interval=None,  # heartbeats are the link's
            max_size=MAX_FRAME_BYTES,
            open_timeout=DIAL_SECONDS,
            close_timeout=CLOSE_SECONDS,
            proxy=_proxy(url),
            ssl=_trust(url, ca_file),
        )
    except InvalidStatus as error:
        raise _answer(error, token, used) from error
    except NegotiationError as error:
        raise Refused(f"the gateway does not speak {SUBPROTOCOL}", final=True, code=426) from error
    except InvalidURI as error:
        raise Refused(f"not a WebSocket address: {error}", final=True, code=400) from error
    except InvalidProxy as error:  # its text holds the proxy's password
        raise Refused(f"the proxy's address is wrong: {error.msg}", final=True, code=400) from None
    except ImportError as error:
        raise Refused(f"the proxy cannot be used: {error}", final=True, code=400) from error
    except ssl.SSLCertVerificationError as error:
        raise TransportBroken(
            f"the gateway's certificate is not trusted ({error.verify_message}): name the"
            " certificate of who issued it by RUNNER_CA_FILE"
        ) from error
    except (OSError, TimeoutError, InvalidHandshake, EOFError) as error:
        raise TransportBroken(f"the gateway cannot be reached: {error}") from error
    if connection.subprotocol != SUBPROTOCOL:
        await connection.close()
        raise Refused(f"the gateway does not speak {SUBPROTOCOL}", final=True, code=426)
    socket = WebSocket(connection)
    socket.renew_with(token, used)
    return socket


class WebSocket:
    """One connection; a `PromptSocket`."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._renewal: asyncio.Task[None] | None = None
        self._renewing = False

    async def send(self, data: bytes) -> None:
        """Send a text frame; waits while the kernel's buffer is full."""
        try:
            await self._connection.send(data, text=True)
        except ConnectionClosed as error:
            raise self._broken(error) from error

    @property
    def is_clear(self) -> bool:
        """See `PromptSocket.is_clear`."""
        connection = self._connection
        is_open = connection.protocol.state is State.OPEN
        return is_open and not connection.transport.get_write_buffer_size()

    def send_now(self, data: bytes) -> None:
        """See `PromptSocket.send_now`."""
        # What the library's `send` does where it need not wait, without its two coroutines.
        connection = self._connection
        connection.protocol.send_text(data)
        for piece in connection.protocol.data_to_send():
            connection.transport.write(piece)

    async def recv(self) -> str | bytes:
        """Wait for the next frame, undecoded."""
        try:
            return await self._connection.recv(decode=False)
        except ConnectionClosed as error:
            raise self._broken(error) from error

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye, and be gone within twice `CLOSE_SECONDS` whatever the peer does.

        To a peer that was not heard it is said, and no answer waited for.
        """
        if self._renewal is not None:
            self._renewal.cancel()
        await self._shut(code, reason)

    def renew_with(self, token: Callable[[], str], used: str) -> None:
        """Close, so that the driver dials anew, once `token` gives another than the `used` one.

        It is looked for shortly before the used one ends; one that does not say when never is.
        """
        expires = tokens.expires_at(used)
        if expires is not None:
            self._renewal = asyncio.create_task(self._renew(token, used, expires), name="token")

    async def _renew(self, token: Callable[[], str], used: str, expires: float) -> None:
        await asyncio.sleep(tokens.seconds_until_renewal(expires, time.time()))
        while not _is_replaced(token, used):  # noqa: ASYNC110 — a file tells nobody
            await asyncio.sleep(TOKEN_CHECK_SECONDS)
        self._renewing = True
        await self._shut(CloseCode.RENEWING, "there is a newer token")

    async def _shut(self, code: int, reason: str) -> None:
        # A reason travels in a control frame of at most 123 bytes.
        said = reason.encode()[:120].decode(errors="ignore")
        patience = SILENT_CLOSE_SECONDS if code == CloseCode.SILENT else 2 * CLOSE_SECONDS
        try:
            # The library bounds the peer's answer only: with a peer that takes nothing, and the
            # kernel's buffer full, the goodbye itself would wait for ever.
            async with asyncio.timeout(patience):
                await self._connection.close(code, said)
        except TimeoutError:
            self._connection.transport.abort()

    def _broken(self, error: ConnectionClosed) -> TransportBroken:
        if self._renewing:
            return TransportBroken("there is a newer token", CloseCode.RENEWING)
        received = error.rcvd
        if received is None:
            return TransportBroken("the connection was lost")
        return TransportBroken(received.reason or f"closed with {received.code}", received.code)


def _proxy(url: str) -> Literal[True] | None:
    """Whether the environment's proxy counts: none reaches what listens on our own loopback."""
    host = urlsplit(url).hostname or ""
    here = host in ("localhost", "::1") or host.startswith("127.")
    return None if here else True


def _trust(url: str, ca_file: Path | None) -> ssl.SSLContext | None:
    """The system's certificates, or SSL_CERT_FILE's, unless a file of ours says otherwise."""
    if urlsplit(url).scheme != "wss":
        return None
    return ssl.create_default_context(cafile=ca_file)


def _is_replaced(token: Callable[[], str], used: str) -> bool:
    with suppress(TransportBroken):  # a file that is just being replaced
        return token() != used
    return False


def _answer(error: InvalidStatus, token: Callable[[], str], used: str) -> Refused | TransportBroken:
    """Source: "401, 403, 404, 426 final; 429, 503 retry"; a proxy's 5xx is worth a retry too."""
    response = error.response
    status = response.status_code
    if status == 401 and _is_replaced(token, used):
        return TransportBroken("the token was replaced while the gateway was dialled")
    said = bytes(response.body or b"").decode("utf-8", "replace").strip()[:500]
    after = response.headers.get("Retry-After", "")
    return Refused(
        f"the gateway refused with HTTP {status}" + (f": {said}" if said else ""),
        final=400 <= status < 500 and status not in _RETRY,
        code=status,
        retry_after_seconds=float(after) if after.isdigit() else None,
    )
