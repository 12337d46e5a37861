"""`runner-shell sessions` and `requests`: what there is at a gateway."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import typer

from ..errors import ConfigurationError
from .place import Place, ask
from .screen import BOLD, DIM, Screen, Span, cells, harmless
from .wording import label, short

if TYPE_CHECKING:
    from ..client import GatewayClient, OpenRequest, SessionInfo
    from ..client.model import Status

STATUSES: tuple[Status, ...] = ("created", "running", "disconnected", "finished", "lost")

_HEAD = ("SESSION", "STATUS", "CREATED", "EVENTS", "QUESTIONS", "ENDED")


def list_sessions(
    place: Place,
    *,
    json_lines: bool,
    status: Sequence[str] = (),
    metadata: Sequence[str] = (),
    limit: int = 0,
) -> None:
    """Print the sessions, oldest id first.

    Raises:
        ConfigurationError: A status that there is not, metadata that is not `KEY=VALUE`, or what
            the gateway says.
    """
    wanted, problems = _filters(status, metadata)
    if problems:
        raise ConfigurationError(*problems)

    async def listed(client: GatewayClient) -> list[SessionInfo]:
        found = []
        chosen = [one for one in STATUSES if one in status]
        async for info in client.sessions(status=chosen, metadata=wanted):
            found.append(info)
            if len(found) == limit:
                break
        return found

    print_sessions(ask(place, listed), json_lines=json_lines)


def _filters(status: Sequence[str], metadata: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    problems = [
        f"--status is {one!r}: must be one of {', '.join(STATUSES)}"
        for one in status
        if one not in STATUSES
    ]
    wanted = {}
    for one in metadata:
        key, equals, value = one.partition("=")
        if not (key and equals):
            problems.append(f"--metadata is {one!r}: must be KEY=VALUE, such as team=search")
        wanted[key] = value
    return wanted, problems


def print_sessions(sessions: Sequence[SessionInfo], *, json_lines: bool) -> None:
    """Print a line for each session: a table, or JSON."""
    if json_lines:
        for info in sessions:
            typer.echo(msgspec.json.encode(info))
        return
    if sessions:
        _print_table([_HEAD, *map(_row, sessions)])


def _row(info: SessionInfo) -> tuple[str, ...]:
    ended = info.finished
    how = "" if ended is None else f"{ended.outcome}{f': {ended.reason}' if ended.reason else ''}"
    return (
        info.id,
        info.status,
        info.created_at.replace("T", " ")[:19],
        str(info.last_event),
        str(info.open_requests or ""),
        short(how),
    )


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    screen = Screen.of_stdout()
    widths = [max(cells(harmless(row[place])) for row in rows) for place in range(len(rows[0]))]
    for number, row in enumerate(rows):
        padded = [
            text + " " * (width - cells(harmless(text))) for text, width in _pairs(row, widths)
        ]
        line = "  ".join(padded).rstrip()
        screen.line(Span(line, DIM if number == 0 else ""))
    screen.flush()


def _pairs(row: tuple[str, ...], widths: list[int]) -> zip[tuple[str, int]]:
    return zip(row, widths, strict=True)


def list_requests(place: Place, session: str, *, json_lines: bool) -> None:
    """Print the open questions of one session, or of all."""

    async def listed(client: GatewayClient) -> list[OpenRequest]:
        if session:
            return await client.session(session).requests()
        return [request async for request in client.requests()]

    screen = Screen.of_stdout()
    for asked in ask(place, listed):
        if json_lines:
            typer.echo(msgspec.json.encode(asked))
        else:
            _print_request(asked, screen)
    screen.flush()


def _print_request(asked: OpenRequest, screen: Screen) -> None:
    request = asked.request
    since = asked.time.replace("T", " ")[:19]
    place = f"  {asked.session}  {request.id}  {request.kind}  {since}"
    screen.line(Span(f"? {request.title}", BOLD), Span(place, DIM), indent=2)
    if request.body not in (None, request.title):
        screen.line(Span(f"  {short(request.body)}"), indent=2)
    for number, option in enumerate(request.options, 1):
        screen.line(Span(f"  {number}) {label(option)}"), indent=5)
    if request.expires_at is not None:
        default = short(request.default) or "no answer"
        expires = request.expires_at.replace("T", " ")[:19]
        screen.line(Span(f"  at {expires} by default: {default}", DIM), indent=2)
