"""`runner-shell events`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import typer

from ..errors import ConfigurationError
from ..gateway.core import GatewayCore, SessionInfo
from ..gateway.sqlite import SqliteStore
from ..gateway.store import DEFAULT_TENANT
from ..gateway.tokens import Principal, Role
from ..shell.environment import read_given, read_token
from .logs import log_to_stderr
from .options import in_options
from .view import EventView

if TYPE_CHECKING:
    from .person import Person

PAGE = 1000


def show_events(
    *, session: str, store: str, gateway: str, token_file: str, since: int, json_lines: bool
) -> None:
    """Print a session's events, or the sessions where none is named.

    Raises:
        ConfigurationError: Neither a store nor a gateway, or one that cannot be read.
    """
    log_to_stderr(debug=False)
    given = gateway or ("" if store else os.environ.get("RUNNER_GATEWAY", ""))
    if bool(store) == bool(given):
        raise ConfigurationError(
            "name one place to read from: --store FILE, or --gateway URL with --token-file FILE"
        )
    source = StoreSource(store) if store else GatewaySource(_person(gateway, given, token_file))
    asyncio.run(_show(source, session, since, json_lines))


def _person(typed_gateway: str, gateway: str, token_file: str) -> Person:
    from .person import Person

    settings, problems = read_given({"RUNNER_GATEWAY": gateway, "BOT_TOKEN_FILE": token_file})
    if not token_file:
        problems.append("BOT_TOKEN_FILE is missing: name the file with your token")
    if problems:
        typed = {"BOT_TOKEN_FILE"} | ({"RUNNER_GATEWAY"} if typed_gateway else set())
        raise in_options(ConfigurationError(*problems), typed)
    name = "--gateway" if typed_gateway else "RUNNER_GATEWAY"
    return Person(gateway, read_token(settings), given_by=(name, "--token-file"))


async def _show(
    source: StoreSource | GatewaySource, session: str, since: int, json_lines: bool
) -> None:
    if not session:
        for line in await source.sessions():
            typer.echo(line)
        return
    view = EventView.for_stdout()
    async for event in source.events(session, since):
        if json_lines:
            typer.echo(event)
        else:
            view.show(event)
    view.finish()


class StoreSource:
    """Reads the gateway's SQLite file."""

    def __init__(self, path: str) -> None:
        if not Path(path).is_file():
            raise ConfigurationError(f"--store {path!r} does not exist; name a gateway's store")
        self._path = path
        self._person = Principal(name="local", role=Role.VIEWER, tenant=DEFAULT_TENANT)

    async def sessions(self) -> list[str]:
        """A line each."""
        async with SqliteStore.open_readonly(self._path) as store:
            return [_line(info) for info in await GatewayCore(store).sessions(self._person)]

    async def events(self, session: str, since: int) -> AsyncIterator[bytes]:
        """Every event after `since`."""
        from ..gateway.errors import UnknownSessionError

        async with SqliteStore.open_readonly(self._path) as store:
            core = GatewayCore(store)
            try:
                await core.session(self._person, session)
            except UnknownSessionError as error:
                known = ", ".join(info.id for info in await core.sessions(self._person))
                raise ConfigurationError(
                    f"no session {session!r} in {self._path}; it holds: {known or 'none'}"
                ) from error
            while page := await core.events(self._person, session, since=since, limit=PAGE):
                for event in page:
                    yield event
                since = msgspec.json.decode(page[-1])["seq"]


class GatewaySource:
    """Asks a gateway."""

    def __init__(self, person: Person) -> None:
        self._person = person

    async def sessions(self) -> list[str]:
        """A line each."""
        found = await self._person.get("/sessions")
        listed = found.get("sessions", []) if isinstance(found, dict) else found
        return [msgspec.json.encode(entry).decode() for entry in listed]

    async def events(self, session: str, since: int) -> AsyncIterator[bytes]:
        """Every event after `since`."""
        while True:
            page = await self._person.events(session, since=since, limit=PAGE)
            for event in page:
                yield event
            if len(page) < PAGE:
                return
            since = msgspec.json.decode(page[-1])["seq"]


def _line(info: SessionInfo) -> str:
    return msgspec.json.encode(info).decode()
