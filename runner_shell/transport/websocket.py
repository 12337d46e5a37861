"""A runner's WebSocket."""

from __future__ import annotations

from collections.abc import Callable

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
    InvalidURI,
    NegotiationError,
)
from websockets.typing import Subprotocol

from ..errors import Refused, TransportBroken
from ..protocol.frames import MAX_FRAME_BYTES, SUBPROTOCOL

DIAL_SECONDS = 10.0
CLOSE_SECONDS = 2.0
_RETRY = frozenset({408, 425, 429})


async def dial(url: str, token: Callable[[], str]) -> WebSocket:
    """Open a connection to a gateway.

    Args:
        url: `ws://` or `wss://`, used verbatim.
        token: Gives the bearer token; called at every dial, so that a rotated one is taken up.

    Raises:
        Refused: The gateway said no; `final` says whether dialling again can help.
        TransportBroken: It cannot be reached.
    """
    try:
        connection = await connect(
            url,
            additional_headers={"Authorization": f"Bearer {token()}"},
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            compression=None,  # measured: deflate costs ten times what it saves on events
            ping_interval=None,  # heartbeats are the link's
            max_size=MAX_FRAME_BYTES,
            open_timeout=DIAL_SECONDS,
            close_timeout=CLOSE_SECONDS,
        )
    except InvalidStatus as error:
        raise _refusal(error) from error
    except NegotiationError as error:
        raise Refused(f"the gateway does not speak {SUBPROTOCOL}", final=True, code=426) from error
    except InvalidURI as error:
        raise Refused(f"not a WebSocket address: {error}", final=True, code=400) from error
    except (OSError, TimeoutError, InvalidHandshake, EOFError) as error:
        raise TransportBroken(f"the gateway cannot be reached: {error}") from error
    if connection.subprotocol != SUBPROTOCOL:
        await connection.close()
        raise Refused(f"the gateway does not speak {SUBPROTOCOL}", final=True, code=426)
    return WebSocket(connection)


class WebSocket:
    """One connection; a `Socket`."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def send(self, data: bytes) -> None:
        """Send a text frame; waits while the kernel's buffer is full."""
        try:
            await self._connection.send(data, text=True)
        except ConnectionClosed as error:
            raise _broken(error) from error

    async def recv(self) -> str | bytes:
        """Wait for the next frame, undecoded."""
        try:
            return await self._connection.recv(decode=False)
        except ConnectionClosed as error:
            raise _broken(error) from error

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye; bounded by the close time-out."""
        # A reason travels in a control frame of at most 123 bytes.
        await self._connection.close(code, reason.encode()[:120].decode(errors="ignore"))


def _broken(error: ConnectionClosed) -> TransportBroken:
    received = error.rcvd
    if received is None:
        return TransportBroken("the connection was lost")
    return TransportBroken(received.reason or f"closed with {received.code}", received.code)


def _refusal(error: InvalidStatus) -> Refused:
    """Source: "401, 403, 404, 426 final; 429, 503 retry"; a proxy's 5xx is worth a retry too."""
    response = error.response
    status = response.status_code
    said = bytes(response.body or b"").decode("utf-8", "replace").strip()[:500]
    after = response.headers.get("Retry-After", "")
    return Refused(
        f"the gateway refused with HTTP {status}" + (f": {said}" if said else ""),
        final=400 <= status < 500 and status not in _RETRY,
        code=status,
        retry_after_seconds=float(after) if after.isdigit() else None,
    )
