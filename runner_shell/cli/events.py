"""`runner-shell events`."""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing
from typing import TYPE_CHECKING

from msgspec import Struct

from ..errors import ConfigurationError
from .place import Place, ask, find_place
from .screen import Screen
from .terminal import even_if_nobody_reads, print_line
from .view import EventView

if TYPE_CHECKING:
    from ..client import GatewayClient, SessionClient

PATIENCE_SECONDS = 600.0
"""For how long a gateway may be away while its events are followed."""


class EventOptions(Struct, frozen=True, kw_only=True):
    """What was typed; an empty option was not."""

    session: str
    store: str
    gateway: str
    token_file: str
    since: int
    types: list[str] | None
    follow: bool
    json_lines: bool


def show_events(options: EventOptions) -> None:
    """Print a session's events, or the sessions where none is named.

    Raises:
        ConfigurationError: Neither a store nor a gateway, or one that cannot be read.
    """
    somewhere = options.gateway or os.environ.get("RUNNER_GATEWAY", "")
    if bool(options.store) == bool(options.gateway if options.store else somewhere):
        raise ConfigurationError(
            "name one place to read from: --store FILE, or --gateway URL with --token-file FILE"
        )
    if options.follow and options.store:
        raise ConfigurationError("--follow needs a gateway: a file does not tell of news")
    if options.follow and not options.session:
        raise ConfigurationError("--follow needs a session: name the one to follow")
    if options.store:
        _show_stored(options)
        return
    place = find_place(options.gateway, options.token_file)
    if not options.session:
        from .sessions import list_sessions

        list_sessions(place, json_lines=options.json_lines)
    elif options.follow:
        _follow(place, options)
    else:
        ask(place, lambda client: _print(client.session(options.session), options))


class Printer:
    """Prints events one by one, until the reader of a pipe is gone."""

    def __init__(self, *, json_lines: bool) -> None:
        self._view = None if json_lines else EventView(Screen.of_stdout())

    def show(self, event: bytes) -> None:
        """Print one."""
        show = print_line if self._view is None else self._view.show
        even_if_nobody_reads(show)(event)

    def finish(self) -> None:
        """End the last line."""
        if self._view is not None:
            even_if_nobody_reads(self._view.finish)()


async def _print(session: SessionClient, options: EventOptions) -> None:
    printer = Printer(json_lines=options.json_lines)
    await session.info()  # one that is not there is no empty history
    async for event in session.events(since=options.since, types=options.types):
        printer.show(event.data)
    printer.finish()


def _follow(place: Place, options: EventOptions) -> None:
    """Print what is stored, then what comes, until Ctrl-C or the session's deletion."""
    printer = Printer(json_lines=options.json_lines)

    async def following(client: GatewayClient) -> None:
        session = client.session(options.session)
        await session.info()
        events = session.follow(
            since=options.since, types=options.types, patience_seconds=PATIENCE_SECONDS
        )
        async with aclosing(events):
            async for event in events:
                printer.show(event.data)

    try:
        ask(place, following)
    finally:
        printer.finish()


def _show_stored(options: EventOptions) -> None:
    from .sessions import print_sessions
    from .stored import StoredSessions

    source = StoredSessions(options.store)

    async def show() -> None:
        if not options.session:
            print_sessions(await source.sessions(), json_lines=options.json_lines)
            return
        printer = Printer(json_lines=options.json_lines)
        async for event in source.events(options.session, options.since, options.types):
            printer.show(event)
        printer.finish()

    asyncio.run(show())
