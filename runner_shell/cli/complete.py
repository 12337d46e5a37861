"""What a shell completes: adapters from what is installed, sessions and questions from a gateway.

A gateway is asked only where variables say which, and only for a moment; whatever goes wrong, a
shell that waits for a completion gets none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import typer

from ..errors import RunnerError

if TYPE_CHECKING:
    from ..client import GatewayClient

T = TypeVar("T")

PATIENCE_SECONDS = 5.0

Completions = list[tuple[str, str]]
"""Each with a line of help, which some shells show."""


def adapters(incomplete: str) -> Completions:
    """Names of installed adapters; none is imported."""
    from ..adapter.discovery import installed

    found = [(name, point.value) for name, point in installed().items()]
    return [one for one in found if one[0].startswith(incomplete)]


def sessions(context: typer.Context, incomplete: str) -> Completions:
    """Ids of the gateway's sessions."""

    async def listed(client: GatewayClient) -> Completions:
        return [
            (info.id, info.status)
            async for info in client.sessions()
            if info.id.startswith(incomplete)
        ]

    return _asked(context, listed)


def open_requests(context: typer.Context, incomplete: str) -> Completions:
    """Ids of a session's open questions."""
    session = context.params.get("session") or ""

    async def listed(client: GatewayClient) -> Completions:
        return [
            (each.request.id, each.request.title)
            for each in await client.session(session).requests()
            if each.request.id.startswith(incomplete)
        ]

    return _asked(context, listed) if session else []


def _asked(
    context: typer.Context, talk: Callable[[GatewayClient], Awaitable[Completions]]
) -> Completions:
    import asyncio

    from .place import ask, find_place

    async def briefly(client: GatewayClient) -> Completions:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await talk(client)

    given = context.params
    try:
        place = find_place(given.get("gateway") or "", given.get("token_file") or "")
        return ask(place, briefly)
    except (RunnerError, TimeoutError, OSError):
        return []
