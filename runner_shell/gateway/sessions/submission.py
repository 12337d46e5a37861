"""How a command that a client hands in becomes one that a runner is given; pure."""

from __future__ import annotations

import hashlib
import re
from typing import TypeAlias

import msgspec

from ...errors import RemoteProtocolError
from ...protocol import codec
from ...protocol.commands import Command, RequestAnswer, ReservedCommand, SecretAdd
from ...protocol.events import JSON
from ...protocol.frames import MAX_FRAME_BYTES
from ..errors import InvalidInputError

MAX_COMMAND_BYTES = MAX_FRAME_BYTES - 4096
"""Largest command; the rest of a frame is for its number, its principal and the frame itself."""

_COMMAND_ID = re.compile(r"[\x21-\x7e]{1,200}")
_STAMPS = ("seq", "by", "received_at")
_canonical = msgspec.json.Encoder(order="sorted")

Numbered: TypeAlias = Command | ReservedCommand


def type_of(command: dict[str, JSON]) -> str:
    """The command's type. Raises `InvalidInputError` where it has none."""
    kind = command.get("type")
    if not isinstance(kind, str):
        raise InvalidInputError("a command has a field `type`")
    return kind


def decoded(command: dict[str, JSON]) -> Numbered | SecretAdd:
    """The command without a number and a principal: what a client puts there counts for nothing.

    Raises:
        InvalidInputError: It is no command, a known one with wrong fields, or too large.
    """
    encoded = msgspec.json.encode(command | {"seq": 0, "by": ""})
    if len(encoded) > MAX_COMMAND_BYTES:
        raise InvalidInputError(
            f"the command has {len(encoded)} bytes; at most {MAX_COMMAND_BYTES} fit into a frame"
        )
    try:
        found = codec.decode_command(encoded)
    except RemoteProtocolError as error:
        raise InvalidInputError(str(error)) from error
    if not isinstance(found, SecretAdd) and not _COMMAND_ID.fullmatch(found.id):
        raise InvalidInputError("a command's `id` has 1 to 200 visible ASCII characters")
    return found


def digest_of(command: dict[str, JSON]) -> str:
    """By which the same content is known again, whatever the order of its fields."""
    own = {name: value for name, value in command.items() if name not in _STAMPS}
    return hashlib.sha256(_canonical.encode(own)).hexdigest()


def stamped(command: Numbered, *, by: str, now: str) -> Numbered:
    """The command with the principal that the gateway verified and, for an answer, its time."""
    if isinstance(command, RequestAnswer):
        return msgspec.structs.replace(command, by=by, received_at=now)
    return msgspec.structs.replace(command, by=by)


def numbered(command: Numbered, seq: int) -> bytes:
    """The command as it is stored and sent."""
    return codec.encode_command(msgspec.structs.replace(command, seq=seq))
