"""Requests to a gateway: one connection pool, and its answers and failures as our own errors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from ..errors import RemoteProtocolError, RequestRefused, TransportBroken, TransportClosed
from ..transport.backoff import Backoff
from .model import Problem

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

REQUEST_SECONDS = 10.0
SILENCE_SECONDS = 45.0
"""A stream that is silent for so long is broken: a gateway says something every 15 seconds."""

_AWAY = frozenset({429, 502, 503, 504})
"""Answers that say "not now": the same request may succeed later."""

_log = logging.getLogger("runner_shell.client")


class NothingSent(TransportBroken):
    """There was no connection: the request cannot have arrived."""


class Http:
    """Sends requests with a token, again and again while the gateway is away.

    Args:
        url: The gateway's base URL.
        token: Gives the token, at each request.
        patience_seconds: For how long a gateway may be away.
        transport: Where requests go instead of the network.
    """

    def __init__(
        self,
        url: str,
        token: Callable[[], str],
        *,
        patience_seconds: float,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.patience_seconds = patience_seconds
        self._token = token
        self._transport = transport
        self._client: httpx.AsyncClient | None = None
        self._closed = False

    async def close(self) -> None:
        """Close every connection."""
        self._closed = True
        if self._client is not None:
            await self._client.aclose()

    async def ask(
        self,
        answer: type[T],
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str | int] | None = None,
        repeatable: bool = True,
        seconds: float = REQUEST_SECONDS,
    ) -> T:
        """Send a request and decode its answer.

        Args:
            answer: What the answer is decoded to; `None` takes any.
            method: HTTP method.
            path: Below the base URL, with its parts quoted.
            body: A JSON object.
            query: The query's parameters.
            repeatable: Whether sending it twice does no harm. What is not is sent again only if it
                cannot have arrived.
            seconds: How long one attempt may take.

        Raises:
            RequestRefused: The gateway said no.
            TransportBroken: The gateway is away, for longer than the patience.
            RemoteProtocolError: The answer is not what the contract says.
        """
        backoff, deadline = Backoff(), asyncio.get_running_loop().time() + self.patience_seconds
        while True:
            await asyncio.sleep(backoff.next_seconds())
            try:
                return _decoded(
                    answer, await self._send(method, path, body, query, seconds), self.url
                )
            except (TransportBroken, RequestRefused) as error:
                late = asyncio.get_running_loop().time() >= deadline
                if late or not _worth_repeating(error, repeatable):
                    raise
                await _heed(error)

    @asynccontextmanager
    async def stream(
        self, path: str, query: Mapping[str, str | int]
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a stream of server-sent events, once, and yield its chunks. Raises as `ask`."""
        import httpx

        try:
            async with self._opened().stream(
                "GET",
                self.url + path,
                params=query,
                headers=self._headers() | {"Accept": "text/event-stream"},
                timeout=httpx.Timeout(REQUEST_SECONDS, read=SILENCE_SECONDS),
            ) as response:
                if response.status_code != 200:
                    await response.aread()
                    raise refusal(response.status_code, response.content, response.headers)
                yield response.aiter_raw()
        except httpx.HTTPError as error:
            raise self._broken(error) from error

    async def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        query: Mapping[str, str | int] | None,
        seconds: float,
    ) -> httpx.Response:
        import httpx

        headers = self._headers()
        content = None
        if body is not None:
            content = msgspec.json.encode(body)
            headers["Content-Type"] = "application/json"
        try:
            response = await self._opened().request(
                method,
                self.url + path,
                content=content,
                params=query,
                headers=headers,
                timeout=seconds,
            )
        except httpx.HTTPError as error:
            raise self._broken(error) from error
        if not response.is_success:
            raise refusal(response.status_code, response.content, response.headers)
        return response

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token()}"}

    def _opened(self) -> httpx.AsyncClient:
        import httpx

        if self._closed:
            raise TransportClosed("this client was closed; make another one")
        if self._client is None:
            self._client = httpx.AsyncClient(transport=self._transport)
        return self._client

    def _broken(self, error: httpx.HTTPError) -> TransportBroken:
        import httpx

        what = str(error) or type(error).__name__
        unsent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
        kind = NothingSent if unsent else TransportBroken
        return kind(f"the gateway {self.url} cannot be reached ({what})")


def refusal(status: int, content: bytes, headers: Mapping[str, str]) -> RequestRefused:
    """What a gateway's no says, as problem details or, from something in between, as text."""
    try:
        problem = msgspec.json.decode(content, type=Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        problem = Problem(detail=content[:200].decode(errors="replace"))
    return refused(problem, status=status, retry_after=headers.get("Retry-After", ""))


def refused(problem: Problem, *, status: int = 0, retry_after: str = "") -> RequestRefused:
    """The error for problem details."""
    code = status or problem.status
    return RequestRefused(
        problem.detail or problem.title or f"HTTP {code}",
        final=code not in _AWAY,
        code=code,
        problem=problem.code,
        retry_after_seconds=float(retry_after) if retry_after.isdigit() else None,
    )


def _decoded(answer: type[T], response: httpx.Response, url: str) -> T:
    if answer is type(None):
        return None
    try:
        return msgspec.json.decode(response.content, type=answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RemoteProtocolError(
            f"{url} answered what is no {answer.__name__} ({error}): is it a gateway's base URL?"
        ) from error


def _worth_repeating(error: TransportBroken | RequestRefused, repeatable: bool) -> bool:
    if isinstance(error, RequestRefused):
        return not error.final and repeatable
    return repeatable or isinstance(error, NothingSent)


async def _heed(error: TransportBroken | RequestRefused) -> None:
    _log.info("not now: %s", error)
    if isinstance(error, RequestRefused) and error.retry_after_seconds:
        await asyncio.sleep(min(error.retry_after_seconds, 10.0))
