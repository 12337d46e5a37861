"""Bytes to structs and back, with limits of size and depth.

An event is encoded once: `encode_payload` on the adapter's side, and `number` puts the envelope in
front of the bytes. Decoding never trusts its input: what breaks a limit or the schema raises.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TypeVar

import msgspec

from ..errors import LimitExceeded, RemoteProtocolError
from . import catalogue, frames
from .commands import Command, ReservedCommand, SecretAdd
from .events import JSON, BlockDelta, Envelope, Event, StoredEvent, UnknownEvent
from .frames import MAX_DEPTH, MAX_EVENT_BYTES, MAX_FRAME_BYTES, Frame

T = TypeVar("T")

# Possessive, and content with a string that never ends: any other form takes quadratic time over
# hostile bytes, or a hundred times their size in memory.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ENVELOPE_FIELDS = frozenset({"seq", "time", "turn", "type", "scope"})
SHELL_FIELDS = frozenset({"seq", "time", "turn"})
"""What `number` puts in front of a payload."""

_FRAME_LEVELS = 2
"""How much deeper a member of a frame is nested than by itself."""


class _Head(msgspec.Struct):
    type: str


class _FrameHead(msgspec.Struct):
    frame: str


class _Envelopes(msgspec.Struct):
    events: list[Envelope]


_encoder = msgspec.json.Encoder()
_head = msgspec.json.Decoder(_Head)
_frame_head = msgspec.json.Decoder(_FrameHead)
_object = msgspec.json.Decoder(dict[str, JSON])
_envelope = msgspec.json.Decoder(Envelope)
_delta = msgspec.json.Decoder(BlockDelta)
_DELTA_PREFIX = b'{"type":"block.delta",'
_TYPE_AT = len(b'{"type":"')


# The rest are made when they are first used: all at once they cost every start some milliseconds.


@cache
def _runner_frames() -> msgspec.json.Decoder[Frame]:
    return msgspec.json.Decoder(
        frames.Hello | frames.Events | frames.Part | frames.Ack | frames.Heartbeat
    )


@cache
def _gateway_frames() -> msgspec.json.Decoder[Frame]:
    return msgspec.json.Decoder(frames.Welcome | frames.Ack | frames.Commands | frames.Heartbeat)


@cache
def _envelopes() -> msgspec.json.Decoder[_Envelopes]:
    return msgspec.json.Decoder(_Envelopes)


@cache
def _event(kind: str) -> msgspec.json.Decoder[Event]:
    return msgspec.json.Decoder(catalogue.EVENTS[kind].struct)


@cache
def _emitted() -> dict[bytes, msgspec.json.Decoder[Event]]:
    return {kind.encode(): _event(kind) for kind in catalogue.EVENTS}


@cache
def _command(kind: str) -> msgspec.json.Decoder[Command]:
    return msgspec.json.Decoder(catalogue.COMMANDS[kind])


@cache
def _secret() -> msgspec.json.Decoder[SecretAdd]:
    return msgspec.json.Decoder(SecretAdd)


# --- writing ---------------------------------------------------------------------------------


def encode_payload(event: Event | UnknownEvent) -> bytes:
    """Encode an event's own fields, `type` first; `number` makes an event of it.

    Raises:
        TypeError: A value that JSON cannot hold, or an unknown event's field with the name of one
            of the envelope's.
    """
    try:
        if isinstance(event, UnknownEvent):
            return _encoder.encode(_unknown_fields(event))
        return _encoder.encode(event)
    except (ValueError, RecursionError) as error:  # half a surrogate pair; a list in itself
        raise TypeError(f"{type(event).__name__} holds what JSON cannot: {error}") from error


def _unknown_fields(event: UnknownEvent) -> dict[str, JSON]:
    if clash := _ENVELOPE_FIELDS & event.fields.keys():
        raise TypeError(f"event {event.type!r}: the envelope has {', '.join(sorted(clash))}")
    scope = {"scope": event.scope} if event.scope else {}
    return {"type": event.type, **scope, **event.fields}


def number(payload: bytes, *, seq: int, time: str, turn: str) -> bytes:
    """Put the envelope in front of an encoded payload.

    Args:
        payload: From `encode_payload`; never an empty object.
        seq: The event's number.
        time: RFC 3339, without characters that JSON escapes.
        turn: Id of the turn, or empty.
    """
    return number_within(payload, seq, envelope(time, turn))


def envelope(time: str, turn: str) -> bytes:
    """What `number` puts between an event's number and its payload; events of a turn share it."""
    of_turn = b'"turn":%b,' % _encoder.encode(turn) if turn else b""
    return b'"time":"%b",%b' % (time.encode(), of_turn)


def number_within(payload: bytes, seq: int, envelope: bytes) -> bytes:
    """As `number`, with an envelope that is made already."""
    return b'{"seq":%d,%b%b' % (seq, envelope, payload[1:])


def encode_frame(frame: Frame) -> bytes:
    """Encode a frame other than `events` and `commands`, which are joined from encoded members."""
    return _encoder.encode(frame)


def join_events(events: list[bytes]) -> bytes:
    """An `events` frame around encoded events."""
    return b'{"frame":"events","events":[' + b",".join(events) + b"]}"


def join_commands(commands: list[bytes]) -> bytes:
    """A `commands` frame around encoded commands."""
    return b'{"frame":"commands","commands":[' + b",".join(commands) + b"]}"


def encode_command(command: Command | SecretAdd | ReservedCommand) -> bytes:
    """Encode a command with its number and principal."""
    if isinstance(command, ReservedCommand):
        head = {"type": command.type, "id": command.id, "seq": command.seq, "by": command.by}
        return _encoder.encode(head | command.fields)
    return _encoder.encode(command)


# --- reading ---------------------------------------------------------------------------------


def decode_runner_frame(data: bytes | str, *, max_bytes: int = MAX_FRAME_BYTES) -> Frame:
    """Decode what a runner sent.

    A frame that this version does not know comes back as `UnknownFrame`.

    Raises:
        LimitExceeded: Larger than `max_bytes`, or nested too deeply.
        RemoteProtocolError: Not a frame of the runner's.
    """
    # Its members stay bytes here; `decode_envelopes` judges their depth.
    data = _limited(data, max_bytes, max_depth=None)
    return _decode_frame(_runner_frames(), data)


def decode_gateway_frame(data: bytes | str, *, max_bytes: int = MAX_FRAME_BYTES) -> Frame:
    """Decode what a gateway sent. Raises as `decode_runner_frame`."""
    data = _limited(data, max_bytes, max_depth=MAX_DEPTH + _FRAME_LEVELS)
    return _decode_frame(_gateway_frames(), data)


def _decode_frame(decoder: msgspec.json.Decoder[Frame], data: bytes) -> Frame:
    """Source: "A frame whose name is unknown is ignored"."""
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        name = _decode(_frame_head, data, "frame").frame
        if name in catalogue.RUNNER_FRAMES or name in catalogue.GATEWAY_FRAMES:
            raise RemoteProtocolError(f"not a valid frame: {error}") from error
        return frames.UnknownFrame(name=name)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"not a valid frame: {error}") from error


def decode_envelopes(frame: bytes | str, count: int) -> list[Envelope]:
    """Number, time, type and turn of each event in an `events` frame, in one pass.

    Args:
        frame: A frame that `decode_runner_frame` has taken.
        count: How many events it has.

    Raises:
        LimitExceeded: An event is nested too deeply.
        RemoteProtocolError: A member is no event.
    """
    data = frame.encode() if isinstance(frame, str) else frame
    # Whatever else is opened in the frame could not nest one event too deeply.
    if data.count(b"[") + data.count(b"{") - count > MAX_DEPTH:
        _check_depth(data, MAX_DEPTH + _FRAME_LEVELS)
    return _decode(_envelopes(), data, "event").events


def decode_envelope(event: bytes) -> Envelope:
    """Number, time, type and turn of an encoded event. Raises as `decode_runner_frame`."""
    return _decode(_envelope, _limited(event, MAX_EVENT_BYTES), "event")


def decode_payload(payload: bytes) -> Event | UnknownEvent:
    """An event's own fields, an unknown type's included. Raises as `decode_runner_frame`."""
    data = _limited(payload, MAX_EVENT_BYTES)
    kind = _decode(_head, data, "event").type
    if kind in catalogue.EVENTS:
        return _decode(_event(kind), data, f"event {kind!r}")
    fields = _decode(_object, data, "event")
    scope = fields.get("scope", ())
    if not isinstance(scope, list | tuple) or not all(isinstance(part, str) for part in scope):
        raise RemoteProtocolError(f"event {kind!r}: scope is not a list of strings")
    own = {name: value for name, value in fields.items() if name not in _ENVELOPE_FIELDS}
    return UnknownEvent(type=kind, fields=own, scope=tuple(scope))


def decode_emitted(payload: bytes) -> Event | UnknownEvent:
    """As `decode_payload`, in a quarter of the time for what `encode_payload` made of this version.

    Raises as `decode_runner_frame`.
    """
    decoder = _emitted().get(payload[_TYPE_AT : payload.find(b'"', _TYPE_AT)])
    if decoder is None or len(payload) > MAX_FRAME_BYTES:
        return decode_payload(payload)
    if payload.count(b"[") + payload.count(b"{") > MAX_DEPTH:
        return decode_payload(payload)
    try:
        return decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return decode_payload(payload)  # which says what is wrong


def decode_delta(payload: bytes) -> BlockDelta | None:
    """The payload of a `block.delta`, or None where it is not a sound and ordinary one.

    The short way for what comes most: a delta nests nothing and is mostly small, so that no other
    limit can be broken. What is refused here goes the long way and is told about there.
    """
    if len(payload) > MAX_FRAME_BYTES or not payload.startswith(_DELTA_PREFIX):
        return None
    try:
        return _delta.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def decode_event(event: bytes) -> StoredEvent:
    """A numbered event. Raises as `decode_runner_frame`."""
    return StoredEvent(envelope=decode_envelope(event), payload=decode_payload(event))


def decode_command(data: bytes) -> Command | ReservedCommand | SecretAdd:
    """A command; one of an unknown type comes back as `ReservedCommand`.

    Raises:
        LimitExceeded: Too large or nested too deeply.
        RemoteProtocolError: Not a command, or a known one with wrong fields; says which.
    """
    data = _limited(data, MAX_FRAME_BYTES)
    kind = _decode(_head, data, "command").type
    if kind == "secret.add":
        return _decode(_secret(), data, "command 'secret.add'")
    if kind in catalogue.COMMANDS:
        return _decode(_command(kind), data, f"command {kind!r}")
    return decode_command_head(data)


def decode_command_head(data: bytes) -> ReservedCommand:
    """A command of any type by its type, id, number and principal; its fields are not checked.

    Raises:
        LimitExceeded: Too large or nested too deeply.
        RemoteProtocolError: Not even that.
    """
    data = _limited(data, MAX_FRAME_BYTES)
    kind = _decode(_head, data, "command").type
    fields = _decode(_object, data, "command")
    head = {name: fields.pop(name, default) for name, default in _COMMAND_HEAD.items()}
    fields.pop("type")
    try:
        return msgspec.convert({"type": kind, **head, "fields": fields}, ReservedCommand)
    except msgspec.ValidationError as error:
        raise RemoteProtocolError(f"command {kind!r}: {error}") from error


_COMMAND_HEAD = {"id": "", "seq": 0, "by": ""}


def _decode(decoder: msgspec.json.Decoder[T], data: bytes, what: str) -> T:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"not a valid {what}: {error}") from error


def _limited(data: bytes | str, max_bytes: int, *, max_depth: int | None = MAX_DEPTH) -> bytes:
    encoded = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    if len(encoded) > max_bytes:
        raise LimitExceeded(f"{len(encoded)} bytes where at most {max_bytes} are allowed")
    if not encoded.isascii():
        _check_utf8(encoded)
    # Few brackets cannot nest deeply; only the rest is worth a closer look.
    if max_depth is not None and encoded.count(b"[") + encoded.count(b"{") > max_depth:
        _check_depth(encoded, max_depth)
    return encoded


def _check_utf8(data: bytes) -> None:
    # The decoders skip what they do not know, but bytes that are passed on reach stricter readers.
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise RemoteProtocolError(f"not UTF-8: {error.reason} at byte {error.start}") from error


def _check_depth(data: bytes, max_depth: int) -> None:
    depth = 0
    for bracket in _STRING.sub(b"", data).translate(None, _NOT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > max_depth:
            raise LimitExceeded(f"nested more than {max_depth} deep")
