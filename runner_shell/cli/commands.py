"""`runner-shell send`, `answer`, `interrupt` and `stop`: one command for a session."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import msgspec
import typer
from msgspec import Struct

from ..errors import ConfigurationError
from ..protocol.events import CommandDone, CommandFailed
from .place import Place, ask
from .questions import parse_answer, parse_value
from .wording import short

if TYPE_CHECKING:
    from ..client import CommandReceipt, GatewayClient, OpenRequest, SessionClient

REFUSED = 1
"""The exit code where the runner refused."""


class Sending(Struct, frozen=True, kw_only=True):
    """How a command is sent.

    Attributes:
        session: Whom it is for.
        id: The command's id; a random one where empty.
        wait_seconds: How long to wait for the runner's reply; 0 does not.
        json_lines: Whether to print one JSON object.
    """

    session: str
    id: str
    wait_seconds: float
    json_lines: bool


def send_message(place: Place, sending: Sending, message: str) -> None:
    """Send a user's message; `-` is read from stdin."""
    if message == "-":
        message = sys.stdin.read().strip()
    if not message:
        raise ConfigurationError("MESSAGE is empty: give the text, or - to read it from stdin")
    _send(place, sending, {"type": "turn.start", "content": message})


def answer_request(place: Place, sending: Sending, answer: str, request: str) -> None:
    """Answer a question: the named one, or the only one that is open."""

    async def found(client: GatewayClient) -> list[OpenRequest]:
        return await client.session(sending.session).requests()

    id, value = _chosen(ask(place, found), sending.session, answer, request)
    _send(place, sending, {"type": "request.answer", "request": id, "answer": value})


def _chosen(found: list[OpenRequest], session: str, answer: str, request: str) -> tuple[str, Any]:
    """Which request is answered, and what the typed answer means for it."""
    matching = [each.request for each in found if request in ("", each.request.id)]
    if request and not matching:
        return request, parse_value(answer)  # closed by now, or never there: the runner says which
    if not matching:
        raise ConfigurationError(f"session {session!r} asks nothing just now")
    if len(matching) > 1:
        named = "; ".join(f"{one.id} ({short(one.title)})" for one in matching)
        raise ConfigurationError(
            f"session {session!r} has several open questions: name one by --request: {named}"
        )
    return matching[0].id, parse_answer(answer, matching[0])


def interrupt_turn(place: Place, sending: Sending, reason: str) -> None:
    """End the running turn soon."""
    _send(place, sending, {"type": "turn.interrupt", "reason": reason})


def stop_session(place: Place, sending: Sending, reason: str, *, after_turn: bool) -> None:
    """End the session now, or after its work."""
    now = {"type": "session.stop", "reason": reason}
    _send(place, sending, {"type": "session.end"} if after_turn else now)


def _send(place: Place, sending: Sending, command: dict[str, Any]) -> None:
    """Send it, say what came of it, and exit with 1 where the runner refused."""
    if sending.id:
        command["id"] = sending.id

    async def sent(client: GatewayClient) -> tuple[CommandReceipt, Reply]:
        session = client.session(sending.session)
        receipt = await session.send(command)
        return receipt, await _reply(session, str(receipt.id), sending.wait_seconds)

    receipt, reply = ask(place, sent)
    if sending.json_lines:
        said = {"id": receipt.id, "seq": receipt.seq, "new": receipt.new, "reply": reply}
        typer.echo(msgspec.json.encode(said))
    else:
        typer.echo(_said(receipt, reply))
    if isinstance(reply, CommandFailed):
        raise typer.Exit(REFUSED)


Reply = CommandDone | CommandFailed | None


async def _reply(session: SessionClient, id: str, seconds: float) -> Reply:
    if seconds <= 0:
        return None
    try:
        return await session.reply(id, timeout_seconds=seconds)
    except TimeoutError:
        return None


def _said(receipt: CommandReceipt, reply: Reply) -> str:
    again = "" if receipt.new else " (it was sent before)"
    match reply:
        case CommandDone():
            result = f": {short(reply.result)}" if reply.result is not None else ""
            return f"done, command {receipt.seq}{again}{result}"
        case CommandFailed():
            return f"refused, command {receipt.seq}{again}: {reply.code}: {reply.message}"
        case None:
            return f"accepted as command {receipt.seq}{again}; no runner has replied yet"
