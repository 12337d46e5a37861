"""Reads what a request asks for: its parameters and its body."""

from __future__ import annotations

from typing import TypeVar, cast

import msgspec
from starlette.requests import ClientDisconnect, Request

from ...protocol.events import JSON
from ...protocol.frames import MAX_FRAME_BYTES
from ..errors import InvalidInputError
from ..sessions.information import STATUSES, Status
from .problems import HttpRefusal
from .rest import Endpoint

MAX_BODY_BYTES = MAX_FRAME_BYTES
METADATA = "metadata."

T = TypeVar("T")

_object = msgspec.json.Decoder(dict[str, JSON])


def demand_known_parameters(request: Request, endpoint: Endpoint) -> None:
    """Refuse a parameter that the endpoint does not have: it may be a misspelt filter.

    Raises:
        InvalidInputError: Names it, and those there are.
    """
    known = [each.name for each in endpoint.parameters if each.place == "query"]
    for name in request.query_params:
        if name not in known and not (endpoint.metadata_filter and name.startswith(METADATA)):
            there = ", ".join(f"`{each}`" for each in known) or "none"
            raise InvalidInputError(f"there is no parameter {name!r} here; there are: {there}")


def number(request: Request, name: str, *, low: int = 0, high: int | None = None) -> int:
    """A whole number from the query; `low` where it is not given.

    Raises:
        InvalidInputError: It is none, or out of these bounds.
    """
    text = request.query_params.get(name)
    return low if text is None else _number(name, text, low, high)


def limit(request: Request) -> int:
    """How many a page may have. Raises as `number`."""
    return number(request, "limit", low=1) if "limit" in request.query_params else 100


def last_event(request: Request) -> int:
    """After which number to follow. Raises as `number`."""
    header = request.headers.get("last-event-id")
    if not header:
        return number(request, "since")
    return _number("Last-Event-ID", header, 0, None)


def types(request: Request) -> list[str] | None:
    """Which types of events, or None for all."""
    text = request.query_params.get("types")
    return text.split(",") if text else None


def statuses(request: Request) -> list[Status] | None:
    """Which statuses of sessions, or None for all.

    Raises:
        InvalidInputError: There is no such status.
    """
    text = request.query_params.get("status")
    if text is None:
        return None
    chosen = text.split(",")
    for name in chosen:
        if name not in STATUSES:
            raise InvalidInputError(f"`status` is of {', '.join(STATUSES)}, separated by commas")
    return cast("list[Status]", chosen)


def metadata(request: Request) -> dict[str, str]:
    """Which values sessions are to have, from `metadata.KEY=VALUE`."""
    return {
        name.removeprefix(METADATA): value
        for name, value in request.query_params.items()
        if name.startswith(METADATA)
    }


async def body(request: Request, kind: type[T]) -> T:
    """The body as this type.

    Raises:
        HttpRefusal: It is no JSON object, too large, or broke off.
        InvalidInputError: It has wrong fields.
    """
    found = await _read(request)
    try:
        return msgspec.convert(found, kind)
    except msgspec.ValidationError as error:
        raise InvalidInputError(f"the body is wrong: {error}") from error


async def command(request: Request) -> dict[str, JSON]:
    """A command, with the id that the header `Idempotency-Key` gives it. Raises as `body`."""
    found = await _read(request)
    key = request.headers.get("idempotency-key")
    if key and found.setdefault("id", key) != key:
        raise InvalidInputError("the header `Idempotency-Key` and the command's `id` differ")
    return found


def _number(name: str, text: str, low: int, high: int | None) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 18:
        value = int(text)
        if value >= low and (high is None or value <= high):
            return value
    upper = "on" if high is None else f"to {high}"
    raise InvalidInputError(f"`{name}` is a number from {low} {upper}")


async def _read(request: Request) -> dict[str, JSON]:
    data = bytearray()
    try:
        async for chunk in request.stream():
            data += chunk
            if len(data) > MAX_BODY_BYTES:
                raise HttpRefusal(413, f"a body has at most {MAX_BODY_BYTES} bytes")
    except ClientDisconnect as error:
        raise HttpRefusal(400, "the body broke off") from error
    if not data:
        return {}
    try:
        return _object.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise HttpRefusal(400, f"the body is not a JSON object: {error}") from error
