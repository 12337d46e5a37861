"""The client itself: a gateway, seen by one token."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Self

from ..protocol.events import JSON
from .http import Http
from .model import (
    CreatedSession,
    OpenRequest,
    RequestPage,
    SessionInfo,
    SessionPage,
    Status,
    WhoAmI,
)
from .session import SessionClient

if TYPE_CHECKING:
    import httpx

PAGE = 100


class GatewayClient:
    """Talks to a gateway; open it by `async with`.

    Every method raises `RequestRefused` where the gateway says no, `TransportBroken` where it is
    away for longer than the patience, and `RemoteProtocolError` where it answers nonsense.

    Args:
        url: The gateway's base URL.
        token: A token, or a function that is asked for one at each request: a token file that is
            replaced while this runs is then no matter.
        patience_seconds: For how long the gateway may be away before a call gives up; 0 fails at
            the first try.
        transport: Where requests go instead of the network, such as `httpx.ASGITransport(app)`.
    """

    def __init__(
        self,
        url: str,
        token: str | Callable[[], str],
        *,
        patience_seconds: float = 60.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        read = token if callable(token) else lambda: token
        self._http = Http(url, read, patience_seconds=patience_seconds, transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._http.close()

    @property
    def url(self) -> str:
        """The gateway's base URL, without a slash at its end."""
        return self._http.url

    def session(self, id: str) -> SessionClient:
        """One session by its id; nothing is asked yet."""
        return SessionClient(self._http, id)

    async def health(self) -> None:
        """Return if the gateway takes work; raises where it is away or draining."""
        await self._http.ask(type(None), "GET", "/health")

    async def whoami(self) -> WhoAmI:
        """Whom the gateway takes this token for."""
        return await self._http.ask(WhoAmI, "GET", "/whoami")

    async def create_session(
        self,
        id: str | None = None,
        *,
        metadata: Mapping[str, JSON] | None = None,
        retention_seconds: float | None = None,
    ) -> CreatedSession:
        """Create a session, and the token for its runner.

        Args:
            id: Its id, or None for a random one.
            metadata: Kept and shown as it is; sessions can be listed by it.
            retention_seconds: How long the gateway keeps it, or None for the gateway's own rule.

        Raises:
            RequestRefused: With `code` 409 where there is a session with this id.
        """
        given: dict[str, Any] = {
            "id": id,
            "metadata": dict(metadata) if metadata else None,
            "retention_seconds": retention_seconds,
        }
        body = {name: value for name, value in given.items() if value is not None}
        # A repeat of one that had arrived would be told that the session exists.
        return await self._http.ask(
            CreatedSession, "POST", "/sessions", body=body, repeatable=False
        )

    async def sessions(
        self,
        *,
        status: Collection[Status] = (),
        metadata: Mapping[str, str] | None = None,
    ) -> AsyncIterator[SessionInfo]:
        """The tenant's sessions in order of id.

        Args:
            status: Only those with one of these.
            metadata: Only those whose metadata has these values.
        """
        query: dict[str, str | int] = {"limit": PAGE}
        if status:
            query["status"] = ",".join(sorted(status))
        query |= {f"metadata.{key}": value for key, value in (metadata or {}).items()}
        while True:
            page = await self._http.ask(SessionPage, "GET", "/sessions", query=query)
            for info in page.sessions:
                yield info
            if page.next is None:
                return
            query["after"] = page.next

    async def requests(self) -> AsyncIterator[OpenRequest]:
        """The questions that wait for an answer, over all of the tenant's sessions."""
        query: dict[str, str | int] = {"limit": PAGE}
        while True:
            page = await self._http.ask(RequestPage, "GET", "/requests", query=query)
            for request in page.requests:
                yield request
            if page.next is None:
                return
            query["after"] = page.next
